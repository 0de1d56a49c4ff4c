//! Every logical connection echoes, one message of it in flight: one, 16 or 1,000 on a physical connection, or
//! one on each of several.

use super::{Channel, Message, Multiplexer, accept, listen, open};
use crate::{Budget, Job, Measure, Mux, Role, Samples, Stopwatch, Work, serve};
use anyhow::{Context, Error, Result, anyhow};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::Notify;

pub(super) async fn answer<M: Multiplexer>(multiplexer: &M, role: &Role) -> Result<()> {
    let mut server = listen(multiplexer, role).await?;
    let progress = Arc::new(Progress::default());
    for _ in 0..role.cell.many {
        let channel = accept(multiplexer, &mut server, role.cell.body_bytes).await?;
        tokio::spawn(answer_all(channel, role.cell.body_bytes, progress.clone()));
    }
    serve::on_runtime(async |job| {
        progress.more(job.count).await?;
        Ok(Measure::moved(job.count))
    })
    .await
}

/// Answers until the other end closes.
pub(super) async fn answer_all(mut channel: impl Channel, body_bytes: usize, progress: Arc<Progress>) {
    loop {
        match channel.echo(body_bytes).await {
            Ok(()) => progress.note(),
            Err(error) => return progress.fail(error),
        }
    }
}

pub(super) async fn ask<M: Multiplexer>(multiplexer: &M, role: &Role) -> Result<()> {
    let message = Message::new(role.cell.body_bytes);
    let each_its_own = role.cell.work == Work::Mux(Mux::Links);
    let (mut links, mut channels) = (Vec::new(), Vec::new());
    for _ in 0..role.cell.many {
        if links.is_empty() || each_its_own {
            links.push(multiplexer.dial(&role.address).await.context("dialing")?);
        }
        let link = links.last_mut().context("there is a link")?;
        channels.push(open(multiplexer, link, &message).await?);
    }
    serve::on_runtime(async |job| match &mut channels[..] {
        [only] => ask_job(only, job, &message).await,
        _ => {
            let all = std::mem::take(&mut channels);
            let (measure, all) = ask_all(all, job, &message).await?;
            channels = all;
            Ok(measure)
        }
    })
    .await
}

async fn ask_job(channel: &mut impl Channel, job: Job, message: &Message) -> Result<Measure> {
    let mut watch = Stopwatch::start(job.count, job.group(1));
    for _ in 0..job.count {
        channel.ask(message).await?;
        watch.lap();
    }
    Ok(watch.finish())
}

/// A task for each channel.
async fn ask_all<C: Channel>(channels: Vec<C>, job: Job, message: &Message) -> Result<(Measure, Vec<C>)> {
    let budget = Arc::new(Budget::new(job.count));
    let mut samples = Samples::start(job.count);
    let tasks: Vec<_> = channels
        .into_iter()
        .map(|mut channel| {
            let (budget, message) = (budget.clone(), message.clone());
            tokio::spawn(async move {
                let mut samples = Samples::start(0);
                while budget.take() {
                    let asked_at = Instant::now();
                    channel.ask(&message).await?;
                    samples.note(asked_at.elapsed());
                }
                Ok::<_, Error>((channel, samples))
            })
        })
        .collect();
    let mut channels = Vec::with_capacity(tasks.len());
    for task in tasks {
        let (channel, its_samples) = task.await.map_err(|error| anyhow!("a task failed: {error}"))??;
        samples.join(its_samples);
        channels.push(channel);
    }
    Ok((samples.finish(job.count), channels))
}

/// How many messages the channels of this end have answered.
#[derive(Debug, Default)]
pub(super) struct Progress {
    done: AtomicU64,
    /// When somebody waits: how many there shall be.
    wanted: AtomicU64,
    reached: Notify,
    error: Mutex<Option<Error>>,
}

impl Progress {
    fn note(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done == self.wanted.load(Ordering::Relaxed) {
            self.reached.notify_one();
        }
    }

    fn fail(&self, error: Error) {
        if let Ok(mut place) = self.error.lock() {
            place.get_or_insert(error);
        }
        self.reached.notify_one();
    }

    /// Waits for so many more. Call it before any of them can have come.
    async fn more(&self, count: u64) -> Result<()> {
        let wanted = self.done.load(Ordering::Relaxed) + count;
        self.wanted.store(wanted, Ordering::Relaxed);
        while self.done.load(Ordering::Relaxed) < wanted {
            self.reached.notified().await;
            let error = self.error.lock().ok().and_then(|mut error| error.take());
            if let Some(error) = error {
                return Err(error.context("a channel failed"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_waited_for() {
        crate::mux::runtime().unwrap().block_on(async {
            let progress = Arc::new(Progress::default());
            let others = progress.clone();
            let task = tokio::spawn(async move { (0..3).for_each(|_| others.note()) });
            progress.more(3).await.unwrap();
            task.await.unwrap();
        });
    }

    #[test]
    fn a_channel_that_fails_ends_the_wait() {
        crate::mux::runtime().unwrap().block_on(async {
            let progress = Arc::new(Progress::default());
            progress.fail(anyhow!("closed"));
            assert!(progress.more(1).await.is_err());
        });
    }
}
