//! Many pushers, many tasks, many connections, many requests in flight.

use super::{Jobs, Library, Socket, joined, pairs};
use crate::kind::Kind;
use crate::{body, descriptors};
use anyhow::{Context, Result};
use bytes::Bytes;
use spanwire_bench_ends::{Budget, Fairness, Job, Measure, Role, Samples, usage};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Keeps many requests in flight on one socket. Answers come in the order of requests, since one task
/// gives them on one connection.
pub(super) async fn flight<L: Library>(library: &L, role: &Role) -> Result<()> {
    let mut socket = pairs::dial(library, Kind::Dealer, role).await?;
    let body = Bytes::from(body::filling(role.cell.body_bytes));
    let mut jobs = Jobs::ready()?;
    while let Some((job, begun)) = jobs.begin().await? {
        let (mut left, mut since) = (job.count, VecDeque::new());
        let mut samples = Samples::start(if job.timed { job.count } else { 0 });
        loop {
            if left > 0 && since.len() < role.cell.many as usize {
                left -= 1;
                since.push_back(Instant::now());
                socket.send(body.clone()).await.context("asking")?;
                continue;
            }
            let Some(since) = since.pop_front() else { break };
            let answer = socket.recv().await.context("waiting for an answer")?;
            body::check(answer.len(), role.cell.body_bytes)?;
            if job.timed {
                samples.note(since.elapsed());
            }
        }
        begun.finish(samples.finish(job.count))?;
    }
    Ok(())
}

pub(super) async fn push<L: Library>(library: &L, role: &Role) -> Result<()> {
    usage::raise_file_limit();
    let mut pushers = Vec::new();
    for number in 0..role.cell.many {
        let body = Bytes::from(Fairness::body(number, role.cell.body_bytes));
        pushers.push((pairs::dial(library, Kind::Push, role).await?, body));
    }
    let mut jobs = Jobs::ready()?;
    while let Some((job, begun)) = jobs.begin().await? {
        begun.finish(send_all(job, &mut pushers).await?)?;
    }
    Ok(())
}

pub(super) async fn share<L: Library>(library: &L, role: &Role) -> Result<()> {
    let first = pairs::dial(library, Kind::Push, role).await?;
    let body = Bytes::from(body::filling(role.cell.body_bytes));
    let mut senders = Vec::new();
    for _ in 0..role.cell.many {
        senders.push((first.share().context("this library's sockets have one owner")?, body.clone()));
    }
    let mut jobs = Jobs::ready()?;
    while let Some((job, begun)) = jobs.begin().await? {
        begun.finish(send_all(job, &mut senders).await?)?;
    }
    Ok(())
}

/// Sends `job.count` messages between them, each socket in a task of its own.
async fn send_all<S: Socket>(job: Job, senders: &mut Vec<(S, Bytes)>) -> Result<Measure> {
    let budget = Arc::new(Budget::new(job.count));
    let sending: Vec<_> = senders
        .drain(..)
        .map(|(mut socket, body)| {
            let budget = budget.clone();
            tokio::spawn(async move {
                while budget.take() {
                    socket.send(body.clone()).await.context("sending")?;
                }
                Ok((socket, body))
            })
        })
        .collect();
    for task in sending {
        senders.push(joined(task).await?);
    }
    Ok(Measure::moved(job.count))
}

pub(super) async fn watch<L: Library>(library: &L, role: &Role) -> Result<()> {
    usage::raise_file_limit();
    let socket = pairs::listen(library, Kind::Pull, role).await?;
    let many = role.cell.many;
    joined(tokio::task::spawn_blocking(move || descriptors::watch(many))).await?;
    drop(socket);
    Ok(())
}

pub(super) async fn idle<L: Library>(library: &L, role: &Role) -> Result<()> {
    usage::raise_file_limit();
    let mut sockets = Vec::new();
    for _ in 0..role.cell.many {
        sockets.push(pairs::dial(library, Kind::Push, role).await?);
    }
    let mut jobs = Jobs::ready()?;
    while let Some((job, begun)) = jobs.begin().await? {
        begun.finish(Measure::moved(job.count))?;
    }
    Ok(())
}

/// Makes a connection for each message.
pub(super) async fn reconnect<L: Library>(library: &L, role: &Role) -> Result<()> {
    let body = Bytes::from(body::filling(role.cell.body_bytes));
    let kind = if L::CLOSE_DELIVERS { Kind::Push } else { Kind::Req };
    let mut jobs = Jobs::ready()?;
    while let Some((job, begun)) = jobs.begin().await? {
        for _ in 0..job.count {
            let mut socket = pairs::dial(library, kind, role).await?;
            if L::CLOSE_DELIVERS {
                socket.send(body.clone()).await.context("sending")?;
            } else {
                socket.ask(body.clone()).await.context("asking")?;
            }
            socket.close().await.context("closing")?;
        }
        begun.finish(Measure::moved(job.count))?;
    }
    Ok(())
}
