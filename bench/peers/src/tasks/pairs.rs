//! One sender or asker, one receiver or answerer.

use super::{Jobs, Library, Socket};
use crate::body::{self, Seen};
use crate::kind::Kind;
use crate::tally::Tally;
use anyhow::{Context, Result};
use bytes::Bytes;
use spanwire_bench_ends::{Arrivals, Job, Measure, Role, Stopwatch, Work, role, usage};
use std::time::{Duration, Instant};

/// Also answers many at once, where the socket is of a kind that can, and connections in turn.
pub(super) async fn answer<L: Library>(library: &L, kind: Kind, role: &Role) -> Result<()> {
    let mut socket = listen(library, kind, role).await?;
    let mut jobs = Jobs::ready()?;
    while let Some((job, begun)) = jobs.begin().await? {
        begun.finish(answer_job(&mut socket, job, role.cell.body_bytes).await?)?;
    }
    Ok(())
}

pub(super) async fn ask<L: Library>(library: &L, role: &Role) -> Result<()> {
    let mut socket = dial(library, Kind::Req, role).await?;
    let body = Bytes::from(body::filling(role.cell.body_bytes));
    let mut jobs = Jobs::ready()?;
    while let Some((job, begun)) = jobs.begin().await? {
        begun.finish(ask_job(&mut socket, job, &body).await?)?;
    }
    Ok(())
}

/// Also receives from many pushers and tasks, and from connections in turn.
pub(super) async fn receive<L: Library>(library: &L, role: &Role) -> Result<()> {
    usage::raise_file_limit();
    let mut socket = listen(library, Kind::Pull, role).await?;
    let loses = L::loses(Kind::Push) || role.cell.work == Work::Connect;
    let mut jobs = Jobs::ready()?;
    while let Some((job, begun)) = jobs.begin().await? {
        begun.finish(arrive(&mut socket, Tally::new(role, job, loses)).await?.finish())?;
    }
    Ok(())
}

pub(super) async fn send<L: Library>(library: &L, role: &Role) -> Result<()> {
    let mut socket = dial(library, Kind::Push, role).await?;
    let body = Bytes::from(body::filling(role.cell.body_bytes));
    let mut jobs = Jobs::ready()?;
    while let Some((job, begun)) = jobs.begin().await? {
        begun.finish(send_job(&mut socket, job, &body).await?)?;
    }
    Ok(())
}

/// A socket that listens, which the parent knows.
pub(super) async fn listen<L: Library>(library: &L, kind: Kind, role: &Role) -> Result<L::Socket> {
    let mut socket = library.open(kind).await?;
    let url = socket.listen(&role.address).await.context("listening")?;
    role::say_url(&url)?;
    Ok(socket)
}

/// A socket that has dialed.
pub(super) async fn dial<L: Library>(library: &L, kind: Kind, role: &Role) -> Result<L::Socket> {
    let mut socket = library.open(kind).await?;
    socket.dial(&role.address).await.context("dialing")?;
    Ok(socket)
}

pub(super) async fn answer_job(socket: &mut impl Socket, job: Job, bytes: usize) -> Result<Measure> {
    let mut arrivals = Arrivals::new(job.count);
    while arrivals.missing() > 0 {
        body::check(socket.echo().await.context("answering")?, bytes)?;
        arrivals.note(1);
    }
    Ok(arrivals.finish())
}

pub(super) async fn ask_job(socket: &mut impl Socket, job: Job, body: &Bytes) -> Result<Measure> {
    let mut watch = Stopwatch::start(job.count, job.group(1));
    for _ in 0..job.count {
        let answer = socket.ask(body.clone()).await.context("asking")?;
        body::check(answer.len(), body.len())?;
        watch.lap();
    }
    Ok(watch.finish())
}

pub(super) async fn send_job(socket: &mut impl Socket, job: Job, body: &Bytes) -> Result<Measure> {
    for _ in 0..job.count {
        socket.send(body.clone()).await.context("sending")?;
    }
    Ok(Measure::moved(job.count))
}

/// Receives until nothing is missing, or nothing more comes.
pub(super) async fn arrive(socket: &mut impl Socket, mut tally: Tally) -> Result<Tally> {
    // A timer for each message would be the most expensive thing here; so only every few milliseconds in
    // which we have to wait, see whether something has come.
    let mut watch = tokio::time::interval(WATCH_EVERY);
    let (mut missing, mut since) = (tally.arrivals.missing(), Instant::now());
    while tally.arrivals.missing() > 0 {
        let patience = tally.patience();
        tokio::select! {
            biased;
            body = socket.recv() => {
                let body = body.context("receiving")?;
                tally.note(Seen::new(body.len(), &body))?;
            }
            _ = watch.tick(), if patience.is_some() => {
                let now = Instant::now();
                if tally.arrivals.missing() != missing {
                    (missing, since) = (tally.arrivals.missing(), now);
                } else if patience.is_some_and(|patience| now - since >= patience) {
                    tally.arrivals.quiet();
                    return Ok(tally);
                }
            }
        }
    }
    tally.arrivals.stop();
    Ok(tally)
}

const WATCH_EVERY: Duration = Duration::from_millis(2);
