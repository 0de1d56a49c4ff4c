//! A PULL with many peers that say nothing.

use super::{dialing, listening, options, serve};
use anyhow::{Context, Result};
use spanwire::{PullSocket, PushSocket, blocking};
use spanwire_bench_ends::{Job, Measure, Role, Side, role, usage};
use std::time::Duration;

pub(super) async fn run(role: &Role) -> Result<()> {
    usage::raise_file_limit();
    let many = role.cell.many as usize;
    if role.side == Side::Client {
        let socket = PushSocket::with(options(&role.cell));
        let dialing = dialing()?;
        for _ in 0..many {
            socket.dial_with(&role.address, dialing.clone()).await.context("dialing")?;
        }
        return serve::on_runtime(async |_| Ok(Measure::moved(socket.stats().peers as u64))).await;
    }
    let socket = PullSocket::with(options(&role.cell));
    let listener = socket.listen_with(&role.address, listening()?).await.context("listening")?;
    let before = usage::rss_bytes();
    role::say_url(listener.url())?;
    socket.wait_peers(many).await.context("waiting for the peers")?;
    serve::on_runtime(async |job: Job| {
        tokio::time::sleep(Duration::from_millis(job.millis)).await;
        Ok(measure(socket.stats().peers, before))
    })
    .await
}

pub(super) fn run_blocking(role: &Role) -> Result<()> {
    usage::raise_file_limit();
    let many = role.cell.many as usize;
    if role.side == Side::Client {
        let socket = blocking::PushSocket::with(options(&role.cell));
        let dialing = dialing()?;
        for _ in 0..many {
            socket.dial_with(&role.address, dialing.clone()).context("dialing")?;
        }
        return role::serve(|_| Ok(Measure::moved(socket.stats().peers as u64)));
    }
    let socket = blocking::PullSocket::with(options(&role.cell));
    let listener = socket.listen_with(&role.address, listening()?).context("listening")?;
    let before = usage::rss_bytes();
    role::say_url(listener.url())?;
    socket.wait_peers(many).context("waiting for the peers")?;
    role::serve(|job| {
        std::thread::sleep(Duration::from_millis(job.millis));
        Ok(measure(socket.stats().peers, before))
    })
}

fn measure(peers: usize, before: u64) -> Measure {
    Measure { rss_bytes: usage::rss_bytes().saturating_sub(before), ..Measure::moved(peers as u64) }
}
