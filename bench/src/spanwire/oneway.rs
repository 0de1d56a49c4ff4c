//! PUSH and PULL: one side only sends, the other counts what arrives.

use super::{CLOSE_DEADLINE, Flow, dialing, listening, nothing_left, options, serve};
use anyhow::{Context, Result};
use spanwire::{PullSocket, PushSocket, blocking};
use spanwire_bench_ends::{Arrivals, Job, Measure, Role, Side, role};
use std::iter::repeat_with;

pub(super) async fn run(role: &Role, flow: &Flow) -> Result<()> {
    match role.side {
        Side::Server => {
            let socket = listen(role, 1).await?;
            serve::on_runtime(async |job| receive(&socket, job, flow).await).await
        }
        Side::Client => {
            let socket = PushSocket::with(options(&role.cell));
            let _dialer = socket.dial_with(&role.address, dialing()?).await.context("dialing")?;
            serve::on_runtime(async |job| send(&socket, job, flow).await).await?;
            nothing_left(socket.close(CLOSE_DEADLINE).await.abandoned)
        }
    }
}

pub(super) fn run_blocking(role: &Role, flow: &Flow) -> Result<()> {
    match role.side {
        Side::Server => {
            let socket = listen_blocking(role, 1)?;
            role::serve(|job| receive_blocking(&socket, job, flow))
        }
        Side::Client => {
            let socket = blocking::PushSocket::with(options(&role.cell));
            let _dialer = socket.dial_with(&role.address, dialing()?).context("dialing")?;
            role::serve(|job| send_blocking(&socket, job, flow))?;
            nothing_left(socket.close(CLOSE_DEADLINE).abandoned)
        }
    }
}

/// A PULL that has its peers.
pub(super) async fn listen(role: &Role, peers: usize) -> Result<PullSocket> {
    let socket = PullSocket::with(options(&role.cell));
    let listener = socket.listen_with(&role.address, listening()?).await.context("listening")?;
    role::say_url(listener.url())?;
    socket.wait_peers(peers).await.context("waiting for the client")?;
    Ok(socket)
}

/// A blocking PULL that has its peers.
pub(super) fn listen_blocking(role: &Role, peers: usize) -> Result<blocking::PullSocket> {
    let socket = blocking::PullSocket::with(options(&role.cell));
    let listener = socket.listen_with(&role.address, listening()?).context("listening")?;
    role::say_url(listener.url())?;
    socket.wait_peers(peers).context("waiting for the client")?;
    Ok(socket)
}

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
