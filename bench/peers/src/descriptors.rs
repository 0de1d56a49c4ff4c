//! Watching connections that do nothing. Any library's connection is an open socket here, so none has
//! to be asked how many it has.

use anyhow::{Context, Result, bail};
use spanwire_bench_ends::{Begun, Measure, role, usage};
use std::time::{Duration, Instant};

/// Waits for `many` connections, then watches this process as often as the parent likes. Call it right
/// after listening.
pub(crate) fn watch(many: u32) -> Result<()> {
    let (open_before, rss_before) = (open()?, usage::rss_bytes());
    let deadline = Instant::now() + PATIENCE;
    while open()? < open_before + u64::from(many) {
        if Instant::now() > deadline {
            bail!("only {} of {many} connections came", open()?.saturating_sub(open_before));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // The last one is accepted, but perhaps not greeted yet.
    std::thread::sleep(Duration::from_millis(200));
    let mut connections = open()?.saturating_sub(open_before);
    role::say_ready()?;
    while let Some(job) = role::next_job()? {
        let begun = Begun::now()?;
        std::thread::sleep(Duration::from_millis(job.millis));
        // Counting costs more than thousands of connections that do nothing, so it is done between jobs.
        let rss_bytes = usage::rss_bytes().saturating_sub(rss_before);
        begun.finish(Measure { rss_bytes, ..Measure::moved(connections) })?;
        connections = open()?.saturating_sub(open_before);
    }
    Ok(())
}

/// How many sockets are open; a library may open other things when it is first used.
fn open() -> Result<u64> {
    let listed = std::fs::read_dir("/proc/self/fd").context("cannot count open descriptors here")?;
    let target = |entry: std::fs::DirEntry| std::fs::read_link(entry.path()).ok();
    let is_socket = |target: &std::path::PathBuf| target.to_string_lossy().starts_with("socket:");
    Ok(listed.flatten().filter_map(target).filter(is_socket).count() as u64)
}

/// Thousands of connections take a while.
const PATIENCE: Duration = Duration::from_secs(60);
