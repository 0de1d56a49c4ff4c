//! Puts a thread on a CPU.

use crate::Mode;
use anyhow::Result;

/// Which of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that listens: it receives, answers, or publishes.
    Server,
    /// The one that dials: it sends, asks, or subscribes.
    Client,
}

impl Side {
    /// The one at the other end.
    pub fn other(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }

    /// Its name on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// Puts this thread, and those it starts later, where `mode` wants `side`.
///
/// Call it before anything starts a thread.
pub fn this_thread(mode: Mode, side: Side) -> Result<()> {
    match (mode, side) {
        (Mode::Free, _) => Ok(()),
        (Mode::Split | Mode::Spin, Side::Server) => system::pin(|pair| pair.1),
        (Mode::Split | Mode::Spin, Side::Client) | (Mode::Same | Mode::Runtime, _) => {
            system::pin(|pair| pair.0)
        }
    }
}

/// The two CPUs in use, which differ and are not two threads of one core where that can be had.
pub fn cpus() -> Option<(usize, usize)> {
    system::cpus().filter(|pair| pair.0 != pair.1)
}

#[cfg(target_os = "linux")]
mod system {
    use anyhow::{Context, Result};
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    use std::sync::OnceLock;

    pub(super) fn pin(choose: fn((usize, usize)) -> usize) -> Result<()> {
        let cpu = choose(cpus().context("cannot read which CPUs this process may use")?);
        let mut set = CpuSet::new();
        set.set(cpu);
        sched_setaffinity(None, &set).with_context(|| format!("cannot pin to CPU {cpu}"))
    }

    /// Remembered, because a pinned thread sees one CPU only.
    pub(super) fn cpus() -> Option<(usize, usize)> {
        static CPUS: OnceLock<Option<(usize, usize)>> = OnceLock::new();
        *CPUS.get_or_init(|| {
            let set = sched_getaffinity(None).ok()?;
            let mut allowed = (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu));
            let first = allowed.next()?;
            let others: Vec<usize> = allowed.collect();
            let core = siblings(first);
            let second = others.iter().find(|cpu| siblings(**cpu) != core).or(others.first());
            Some((first, *second.unwrap_or(&first)))
        })
    }

    /// The hardware threads that share `cpu`'s core, as the kernel writes them.
    fn siblings(cpu: usize) -> String {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        std::fs::read_to_string(path).unwrap_or_else(|_| cpu.to_string())
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use anyhow::{Result, bail};

    pub(super) fn pin(_: fn((usize, usize)) -> usize) -> Result<()> {
        bail!("this benchmark pins on Linux only; use --only free")
    }

    pub(super) fn cpus() -> Option<(usize, usize)> {
        None
    }
}
