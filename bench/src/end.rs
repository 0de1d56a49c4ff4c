//! One process at the end of a workload, as the parent sees it.

use crate::pair::Wrap;
use anyhow::{Context, Result, bail};
use spanwire_bench_ends::{Job, Role};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

/// One process.
#[derive(Debug)]
pub(crate) struct End {
    name: String,
    child: Child,
    /// Closing it asks the end to leave.
    commands: Option<ChildStdin>,
    lines: Receiver<String>,
    stopped: bool,
}

impl End {
    /// Starts it.
    pub(crate) fn start(program: &Path, role: &Role, wrap: Wrap<'_>) -> Result<Self> {
        let name = role.to_string();
        let mut child = wrap(program, role.side)
            .args(role.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start the {name}"))?;
        let commands = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("the end has no stdout")?);
        // A thread, because std cannot wait for a line and for a deadline at once. It ends with the
        // process that it listens to.
        let (sender, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|l| sender.send(l)));
        Ok(Self { name, child, commands, lines, stopped: false })
    }

    /// Gives it a job.
    pub(crate) fn tell(&mut self, job: Job) -> Result<()> {
        let commands = self.commands.as_mut().context("the end was let go")?;
        writeln!(commands, "{job}").with_context(|| format!("the {} does not listen", self.name))
    }

    /// Waits for a line that starts with `word`, and returns the rest of it.
    pub(crate) fn hear(&mut self, word: &str, deadline: Instant) -> Result<String> {
        let wait = deadline.saturating_duration_since(Instant::now());
        let line = match self.lines.recv_timeout(wait) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => bail!("void: no {word} in time from the {}", self.name),
            Err(RecvTimeoutError::Disconnected) => bail!("void: the {} broke off before {word}", self.name),
        };
        match line.strip_prefix(word) {
            Some(rest) => Ok(rest.trim().to_owned()),
            None => bail!("void: the {} said {line:?} instead of {word}", self.name),
        }
    }

    /// Takes the CPU away from it, for good: it is there, and does nothing.
    pub(crate) fn stop(&mut self) -> Result<()> {
        #[cfg(unix)]
        {
            use rustix::process::{Pid, Signal, kill_process};
            kill_process(Pid::from_child(&self.child), Signal::STOP)
                .with_context(|| format!("cannot stop the {}", self.name))?;
            self.stopped = true;
            Ok(())
        }
        #[cfg(not(unix))]
        bail!("processes are stopped on unix only")
    }

    /// Whether it was stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Lets it go and waits for it.
    pub(crate) fn finish(mut self, deadline: Instant) -> Result<()> {
        self.commands = None;
        let wait = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(wait) {
            Ok(line) => bail!("the {} said {line:?} at the end", self.name),
            Err(RecvTimeoutError::Timeout) => bail!("the {} does not leave", self.name),
            Err(RecvTimeoutError::Disconnected) => {}
        }
        let status = self.child.wait().with_context(|| format!("cannot wait for the {}", self.name))?;
        if !status.success() {
            bail!("the {} failed at the end ({status})", self.name);
        }
        Ok(())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // Both fail harmlessly when it has left already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
