//! REQ and REP: one request outstanding.

use super::Flow;
use crate::measure::{Measure, Stopwatch};
use crate::role::Job;
use anyhow::{Context, Result};
use spanwire::{RepSocket, ReqSocket, blocking};

/// Asks and waits, taking one sample of each `group` round trips.
pub(super) async fn ask(socket: &ReqSocket, job: Job, flow: &Flow, group: u32) -> Result<Measure> {
    let mut watch = Stopwatch::start(job.count, job.group(group));
    for _ in 0..job.count {
        let reply = socket.request(flow.message()).await.context("asking")?;
        flow.check(&reply)?;
        watch.lap();
    }
    Ok(watch.finish())
}

/// Answers each request with its own body.
pub(super) async fn answer(socket: &RepSocket, job: Job, flow: &Flow) -> Result<Measure> {
    for _ in 0..job.count {
        let request = socket.recv().await.context("waiting for a request")?;
        flow.check(request.message())?;
        let body = request.message().body().clone();
        request.reply(body).await.context("answering")?;
    }
    Ok(Measure::moved(job.count))
}

pub(super) fn ask_blocking(socket: &blocking::ReqSocket, job: Job, flow: &Flow) -> Result<Measure> {
    let mut watch = Stopwatch::start(job.count, job.group(1));
    for _ in 0..job.count {
        let reply = socket.request(flow.message()).context("asking")?;
        flow.check(&reply)?;
        watch.lap();
    }
    Ok(watch.finish())
}

pub(super) fn answer_blocking(socket: &blocking::RepSocket, job: Job, flow: &Flow) -> Result<Measure> {
    for _ in 0..job.count {
        let request = socket.recv().context("waiting for a request")?;
        flow.check(request.message())?;
        let body = request.message().body().clone();
        request.reply(body).context("answering")?;
    }
    Ok(Measure::moved(job.count))
}
