//! A PUSH whose PULL does not read: how much memory the two need, against what their options allow.

use super::{Flow, options, serve};
use anyhow::{Context, Result};
use spanwire::{Message, Options, PullSocket, PushSocket, RecvError, SendError, blocking};
use spanwire_bench_ends::{Arrivals, Cell, Job, Measure, QUIET, Role, Side, role, usage};
use std::time::Duration;

pub(super) async fn run(role: &Role, flow: &Flow) -> Result<()> {
    let bounded = bounded(&role.cell);
    match role.side {
        Side::Server => {
            let socket = PullSocket::with(bounded);
            let listener = socket.listen(&role.address).await.context("listening")?;
            role::say_url(listener.url())?;
            socket.wait_peers(1).await.context("waiting for the client")?;
            let before = usage::rss_bytes();
            serve::on_runtime(async |job: Job| {
                usage::forget_peak();
                tokio::time::sleep(Duration::from_millis(job.millis)).await;
                let measure = receive(&socket, job, flow).await?;
                Ok(with_peak(measure, before, flow))
            })
            .await
        }
        Side::Client => {
            let socket = PushSocket::with(bounded);
            let _dialer = socket.dial(&role.address).await.context("dialing")?;
            let before = usage::rss_bytes();
            serve::on_runtime(async |job: Job| {
                usage::forget_peak();
                let mut count = 0;
                while count < job.count {
                    match socket.send_timeout(fresh(flow), Duration::from_millis(job.millis / 2)).await {
                        Ok(()) => count += 1,
                        Err(SendError::TimedOut(_)) => break,
                        Err(error) => return Err(error).context("sending"),
                    }
                }
                Ok(with_peak(Measure::moved(count), before, flow))
            })
            .await
        }
    }
}

async fn receive(socket: &PullSocket, job: Job, flow: &Flow) -> Result<Measure> {
    let mut arrivals = Arrivals::new(job.count);
    while arrivals.missing() > 0 {
        match socket.recv_timeout(QUIET).await {
            Ok(message) => flow.check(&message)?,
            Err(RecvError::TimedOut) => break,
            Err(error) => return Err(error).context("receiving"),
        }
        arrivals.note(1);
    }
    Ok(arrivals.finish())
}

pub(super) fn run_blocking(role: &Role, flow: &Flow) -> Result<()> {
    let bounded = bounded(&role.cell);
    match role.side {
        Side::Server => {
            let socket = blocking::PullSocket::with(bounded);
            let listener = socket.listen(&role.address).context("listening")?;
            role::say_url(listener.url())?;
            socket.wait_peers(1).context("waiting for the client")?;
            let before = usage::rss_bytes();
            role::serve(|job| {
                usage::forget_peak();
                std::thread::sleep(Duration::from_millis(job.millis));
                Ok(with_peak(receive_blocking(&socket, job, flow)?, before, flow))
            })
        }
        Side::Client => {
            let socket = blocking::PushSocket::with(bounded);
            let _dialer = socket.dial(&role.address).context("dialing")?;
            let before = usage::rss_bytes();
            role::serve(|job| {
                usage::forget_peak();
                let mut count = 0;
                while count < job.count {
                    match socket.send_timeout(fresh(flow), Duration::from_millis(job.millis / 2)) {
                        Ok(()) => count += 1,
                        Err(SendError::TimedOut(_)) => break,
                        Err(error) => return Err(error).context("sending"),
                    }
                }
                Ok(with_peak(Measure::moved(count), before, flow))
            })
        }
    }
}

fn receive_blocking(socket: &blocking::PullSocket, job: Job, flow: &Flow) -> Result<Measure> {
    let mut arrivals = Arrivals::new(job.count);
    while arrivals.missing() > 0 {
        match socket.recv_timeout(QUIET) {
            Ok(message) => flow.check(&message)?,
            Err(RecvError::TimedOut) => break,
            Err(error) => return Err(error).context("receiving"),
        }
        arrivals.note(1);
    }
    Ok(arrivals.finish())
}

/// A message with memory of its own: clones of one body would need no more than the one.
fn fresh(flow: &Flow) -> Message {
    Message::new(flow.body.to_vec())
}

fn bounded(cell: &Cell) -> Options {
    Options { outbox_bytes: BOUND_BYTES, recv_bytes: BOUND_BYTES, ..options(cell) }
}

/// What may wait, and the one message beside it that is being handed over or read.
fn with_peak(measure: Measure, before: u64, flow: &Flow) -> Measure {
    let bound_bytes = (BOUND_BYTES + flow.body.len()) as u64;
    Measure { peak_bytes: usage::peak_bytes().saturating_sub(before), bound_bytes, ..measure }
}

const BOUND_BYTES: usize = 4 << 20;
