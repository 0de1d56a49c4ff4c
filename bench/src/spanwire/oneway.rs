//! PUSH and PULL: one side only sends, the other counts what arrives.

use super::Flow;
use crate::measure::{Arrivals, Measure};
use crate::role::Job;
use anyhow::{Context, Result};
use spanwire::{PullSocket, PushSocket, blocking};
use std::iter::repeat_with;

/// How many messages one `send_many` or `recv_many` moves at most.
const MANY: u64 = 1024;

pub(super) async fn send(socket: &PushSocket, job: Job, flow: &Flow) -> Result<Measure> {
    if flow.many {
        let mut left = job.count;
        while left > 0 {
            let part = left.min(MANY);
            let messages = repeat_with(|| flow.message()).take(part as usize);
            socket.send_many(messages).await.context("sending many")?;
            left -= part;
        }
    } else {
        for _ in 0..job.count {
            socket.send(flow.message()).await.context("sending")?;
        }
    }
    Ok(Measure::moved(job.count))
}

pub(super) async fn receive(socket: &PullSocket, job: Job, flow: &Flow) -> Result<Measure> {
    let mut arrivals = Arrivals::new(job.count);
    let mut batch = Vec::new();
    while arrivals.missing() > 0 {
        if flow.many {
            let most = arrivals.missing().min(MANY) as usize;
            let count = socket.recv_many(&mut batch, most).await.with_context(|| missing(&arrivals))?;
            batch.drain(..).try_for_each(|message| flow.check(&message))?;
            arrivals.note(count as u64);
        } else {
            let message = socket.recv().await.with_context(|| missing(&arrivals))?;
            flow.check(&message)?;
            arrivals.note(1);
        }
    }
    Ok(arrivals.finish())
}

pub(super) fn send_blocking(socket: &blocking::PushSocket, job: Job, flow: &Flow) -> Result<Measure> {
    if flow.many {
        let mut left = job.count;
        while left > 0 {
            let part = left.min(MANY);
            let messages = repeat_with(|| flow.message()).take(part as usize);
            socket.send_many(messages).context("sending many")?;
            left -= part;
        }
    } else {
        for _ in 0..job.count {
            socket.send(flow.message()).context("sending")?;
        }
    }
    Ok(Measure::moved(job.count))
}

pub(super) fn receive_blocking(socket: &blocking::PullSocket, job: Job, flow: &Flow) -> Result<Measure> {
    let mut arrivals = Arrivals::new(job.count);
    let mut batch = Vec::new();
    while arrivals.missing() > 0 {
        if flow.many {
            let most = arrivals.missing().min(MANY) as usize;
            let count = socket.recv_many(&mut batch, most).with_context(|| missing(&arrivals))?;
            batch.drain(..).try_for_each(|message| flow.check(&message))?;
            arrivals.note(count as u64);
        } else {
            let message = socket.recv().with_context(|| missing(&arrivals))?;
            flow.check(&message)?;
            arrivals.note(1);
        }
    }
    Ok(arrivals.finish())
}

fn missing(arrivals: &Arrivals) -> String {
    format!("{} messages are missing", arrivals.missing())
}
