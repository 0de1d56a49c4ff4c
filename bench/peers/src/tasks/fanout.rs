//! One publisher and many subscribers, each with a task of its own.

use super::{Jobs, Library, Socket, joined, pairs};
use crate::kind::Kind;
use crate::tally::Tally;
use crate::{body, jobs};
use anyhow::{Context, Result};
use bytes::Bytes;
use spanwire_bench_ends::{Arrivals, Measure, Role, Work};

pub(super) async fn publish<L: Library>(library: &L, role: &Role) -> Result<()> {
    // A publisher that waits would wait for the subscriber that does not read.
    let kind = if role.cell.work == Work::Stall { Kind::LossyPub } else { Kind::Pub };
    let mut socket = pairs::listen(library, kind, role).await?;
    let probe = Bytes::from(body::probe(role.cell.body_bytes));
    let body = Bytes::from(body::filling(role.cell.body_bytes));
    let mut jobs = Jobs::ready()?;
    let mut next = loop {
        match tokio::time::timeout(jobs::PROBE_EVERY, jobs.begin()).await {
            Ok(job) => break job?,
            Err(_) => socket.send(probe.clone()).await.context("publishing a probe")?,
        }
    };
    while let Some((job, begun)) = next {
        begun.finish(pairs::send_job(&mut socket, job, &body).await?)?;
        next = jobs.begin().await?;
    }
    Ok(())
}

pub(super) async fn subscribe<L: Library>(library: &L, role: &Role) -> Result<()> {
    let loses = L::loses(Kind::Pub) || role.cell.work == Work::Stall;
    let mut sockets = Vec::new();
    for _ in 0..role.cell.many {
        sockets.push(pairs::dial(library, Kind::Sub, role).await?);
    }
    for socket in &mut sockets {
        socket.recv().await.context("waiting for a probe")?;
    }
    let mut jobs = Jobs::ready()?;
    while let Some((job, begun)) = jobs.begin().await? {
        let receiving: Vec<_> = sockets
            .drain(..)
            .map(|mut socket| {
                let tally = Tally::new(role, job, loses);
                tokio::spawn(
                    async move { pairs::arrive(&mut socket, tally).await.map(|tally| (socket, tally)) },
                )
            })
            .collect();
        let mut all = Vec::new();
        for task in receiving {
            let (socket, tally) = joined(task).await?;
            sockets.push(socket);
            all.push(tally.arrivals);
        }
        let lost = all.iter().map(Arrivals::missing).sum();
        begun.finish(Measure { lost, ..Arrivals::finish_all(&all) })?;
    }
    Ok(())
}
