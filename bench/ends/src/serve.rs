//! Jobs for an end that lives on a runtime.

use crate::{Begun, Job, Measure, role};
use anyhow::Result;
use tokio::sync::mpsc::unbounded_channel;

/// Does what the parent asks for.
///
/// A thread of its own hears the parent, so that the runtime goes on driving connections between jobs:
/// the tail of a burst leaves only then.
pub async fn on_runtime(mut run: impl AsyncFnMut(Job) -> Result<Measure>) -> Result<()> {
    let (sender, mut jobs) = unbounded_channel();
    std::thread::spawn(move || {
        while let Some(job) = role::next_job().transpose() {
            if sender.send(job).is_err() {
                break;
            }
        }
    });
    role::say_ready()?;
    while let Some(job) = jobs.recv().await {
        let job = job?;
        let begun = Begun::now()?;
        begun.finish(run(job).await?)?;
    }
    Ok(())
}
