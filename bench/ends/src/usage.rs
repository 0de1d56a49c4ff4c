//! What this process has used so far: CPU time, memory, switches; and how many files it may open.

/// How often the threads of this process have been switched away from so far; 0 where that is unknown.
pub fn switches() -> u64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0 };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok())
        .flat_map(|status| {
            status
                .lines()
                .filter(|line| line.contains("ctxt_switches:"))
                .filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok())
                .collect::<Vec<_>>()
        })
        .sum()
}

/// User and system time of all threads, those that ended included.
#[cfg(unix)]
pub fn cpu_nanos() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID);
    time.map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// User and system time of all threads; unknown here.
#[cfg(not(unix))]
pub fn cpu_nanos() -> u64 {
    0
}

/// The memory that this process has now; 0 where that is unknown.
pub fn rss_bytes() -> u64 {
    status_bytes("VmRSS:")
}

/// The most memory that it had since it began, or since [`forget_peak`].
pub fn peak_bytes() -> u64 {
    status_bytes("VmHWM:")
}

/// Has [`peak_bytes`] start from what there is now.
pub fn forget_peak() {
    // Without it the peak is an old one, which can only be higher.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn status_bytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) << 10
}

/// Lets this process open as many files as it may, and says how many those are.
#[cfg(unix)]
pub fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // On failure it stays as it was, and so does the answer.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Lets this process open as many files as it may; there is no such limit here.
#[cfg(not(unix))]
pub fn raise_file_limit() -> u64 {
    u64::MAX
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_something() {
        let before = cpu_nanos();
        let used: Vec<u8> = std::hint::black_box((0..1 << 22).map(|n| n as u8).collect());
        assert!(cpu_nanos() > before);
        assert!(rss_bytes() >= used.len() as u64);
        assert!(peak_bytes() >= rss_bytes() / 2);
        assert!(raise_file_limit() > 0);
    }
}
