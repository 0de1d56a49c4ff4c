//! What can be read of the machine without asking anybody.

use serde::{Deserialize, Serialize};

/// The machine that a run was made on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cpus: usize,
    pub(crate) kernel: String,
    pub(crate) memory_gib: u64,
    /// Who else was busy when it began.
    pub(crate) load: String,
    pub(crate) compiler: String,
}

impl Machine {
    /// This one. What cannot be read is called unknown.
    pub(crate) fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).ok();
        let unknown = || "unknown".to_owned();
        let cpu = read("/proc/cpuinfo").and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        let kernel = read("/proc/sys/kernel/osrelease")
            .map(|text| format!("{} {}", std::env::consts::OS, text.trim()));
        let load = read("/proc/loadavg").and_then(|text| Some(text.split_whitespace().next()?.to_owned()));
        let memory = read("/proc/meminfo").and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        });
        let rustc = std::process::Command::new("rustc").arg("--version").output().ok();
        let rustc = rustc.and_then(|out| String::from_utf8(out.stdout).ok());
        Self {
            cpu: cpu.unwrap_or_else(unknown),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: kernel.unwrap_or_else(unknown),
            memory_gib: memory.unwrap_or(0) >> 20,
            load: load.unwrap_or_else(unknown),
            compiler: rustc.map_or_else(unknown, |text| text.trim().to_owned()),
        }
    }
}
