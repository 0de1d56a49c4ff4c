//! REQ and REP: one request outstanding.

use super::{Flow, dialing, listening, options, serve};
use anyhow::{Context, Result};
use spanwire::{RepSocket, ReqSocket, blocking};
use spanwire_bench_ends::{Job, Measure, Role, Side, Stopwatch, role};

pub(super) async fn run(role: &Role, flow: &Flow) -> Result<()> {
    match role.side {
        Side::Server => {
            let socket = listen(role).await?;
            serve::on_runtime(async |job| answer(&socket, job, flow).await).await
        }
        Side::Client => {
            let socket = ReqSocket::with(options(&role.cell));
            let _dialer = socket.dial_with(&role.address, dialing()?).await.context("dialing")?;
            serve::on_runtime(async |job| ask(&socket, job, flow, 1).await).await
        }
    }
}

pub(super) fn run_blocking(role: &Role, flow: &Flow) -> Result<()> {
    match role.side {
        Side::Server => {
            let socket = listen_blocking(role)?;
            role::serve(|job| answer_blocking(&socket, job, flow))
        }
        Side::Client => {
            let socket = blocking::ReqSocket::with(options(&role.cell));
            let _dialer = socket.dial_with(&role.address, dialing()?).context("dialing")?;
            role::serve(|job| ask_blocking(&socket, job, flow))
        }
    }
}

/// A REP that has its one peer.
pub(super) async fn listen(role: &Role) -> Result<RepSocket> {
    let socket = RepSocket::with(options(&role.cell));
    let listener = socket.listen_with(&role.address, listening()?).await.context("listening")?;
    role::say_url(listener.url())?;
    socket.wait_peers(1).await.context("waiting for the client")?;
    Ok(socket)
}

/// A blocking REP that has its one peer.
pub(super) fn listen_blocking(role: &Role) -> Result<blocking::RepSocket> {
    let socket = blocking::RepSocket::with(options(&role.cell));
    let listener = socket.listen_with(&role.address, listening()?).context("listening")?;
    role::say_url(listener.url())?;
    socket.wait_peers(1).context("waiting for the client")?;
    Ok(socket)
}

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
