//! One PUSH after the other: dial, a message, close.

use super::{CLOSE_DEADLINE, Flow, nothing_left, oneway, options, serve};
use anyhow::{Context, Result};
use spanwire::{PushSocket, blocking};
use spanwire_bench_ends::{Job, Measure, Role, Side, role};

pub(super) async fn run(role: &Role, flow: &Flow) -> Result<()> {
    if role.side == Side::Server {
        let socket = oneway::listen(role, 0).await?;
        return serve::on_runtime(async |job| oneway::receive(&socket, job, flow).await).await;
    }
    serve::on_runtime(async |job: Job| {
        for _ in 0..job.count {
            let socket = PushSocket::with(options(&role.cell));
            socket.dial(&role.address).await.context("dialing")?;
            socket.send(flow.message()).await.context("sending")?;
            nothing_left(socket.close(CLOSE_DEADLINE).await.abandoned)?;
        }
        Ok(Measure::moved(job.count))
    })
    .await
}

pub(super) fn run_blocking(role: &Role, flow: &Flow) -> Result<()> {
    if role.side == Side::Server {
        let socket = oneway::listen_blocking(role, 0)?;
        return role::serve(|job| oneway::receive_blocking(&socket, job, flow));
    }
    role::serve(|job| {
        for _ in 0..job.count {
            let socket = blocking::PushSocket::with(options(&role.cell));
            socket.dial(&role.address).context("dialing")?;
            socket.send(flow.message()).context("sending")?;
            nothing_left(socket.close(CLOSE_DEADLINE).abandoned)?;
        }
        Ok(Measure::moved(job.count))
    })
}
