//! Hearing the parent while doing something else.

use anyhow::Result;
use spanwire_bench_ends::{Job, role};
use std::time::Duration;

/// How often a publisher sends a probe while nobody has asked it for anything yet.
pub(crate) const PROBE_EVERY: Duration = Duration::from_millis(1);

/// Has a thread of its own hear the parent and hand each job to `deliver`, until that returns `false` or the
/// parent has no more.
pub(crate) fn hear(deliver: impl Fn(Result<Job>) -> bool + Send + 'static) {
    std::thread::spawn(move || {
        while let Some(job) = role::next_job().transpose() {
            if !deliver(job) {
                break;
            }
        }
    });
}
