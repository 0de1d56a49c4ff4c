//! A sender whose receiver does not read: how much memory the two need.

use super::{Jobs, Library, Socket, pairs};
use crate::kind::Kind;
use crate::tally::Tally;
use crate::{body, memory};
use anyhow::{Context, Result};
use bytes::Bytes;
use spanwire_bench_ends::{Measure, Role, role};
use std::time::Duration;

pub(super) async fn receive<L: Library>(library: &L, role: &Role) -> Result<()> {
    let mut socket = library.open(Kind::Pull).await?;
    let is_bounded = socket.bound(memory::MESSAGES).await?;
    role::say_url(&socket.listen(&role.address).await.context("listening")?)?;
    let mut jobs = Jobs::ready()?;
    while let Some((job, begun)) = jobs.begin().await? {
        let watch = memory::Watch::start(role, is_bounded);
        tokio::time::sleep(Duration::from_millis(job.millis)).await;
        let tally = pairs::arrive(&mut socket, Tally::new(role, job, true)).await?;
        // How many were sent only the other end knows, so none is known to be lost.
        begun.finish(watch.finish(tally.arrivals.finish()))?;
    }
    Ok(())
}

pub(super) async fn send<L: Library>(library: &L, role: &Role) -> Result<()> {
    let mut socket = library.open(Kind::Push).await?;
    let is_bounded = socket.bound(memory::MESSAGES).await?;
    socket.dial(&role.address).await.context("dialing")?;
    let mut jobs = Jobs::ready()?;
    while let Some((job, begun)) = jobs.begin().await? {
        let watch = memory::Watch::start(role, is_bounded);
        let patience = Duration::from_millis(job.millis / 2);
        let mut count = 0;
        while count < job.count {
            let body = Bytes::from(body::filling(role.cell.body_bytes));
            if !socket.send_within(body, patience).await.context("sending")? {
                break;
            }
            count += 1;
            // Making a message takes long, and where sending never waits nothing would leave meanwhile.
            tokio::task::yield_now().await;
        }
        begun.finish(watch.finish(Measure::moved(count)))?;
    }
    Ok(())
}
