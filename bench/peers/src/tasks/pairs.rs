//! One sender or asker, one receiver or answerer.

use super::{Jobs, Kind, Library, Socket};
use crate::body;
use anyhow::{Context, Result};
use bytes::Bytes;
use spanwire_bench_ends::{Arrivals, Job, Measure, QUIET, Role, Stopwatch, Work, role};
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

/// Also receives from many tasks and from many connections in turn: it cannot tell.
pub(super) async fn receive<L: Library>(library: &L, role: &Role) -> Result<()> {
    let mut socket = listen(library, Kind::Pull, role).await?;
    let loses = L::loses(Kind::Push) || role.cell.work == Work::Connect;
    let mut jobs = Jobs::ready()?;
    while let Some((job, begun)) = jobs.begin().await? {
        begun.finish(receive_job(&mut socket, job, role.cell.body_bytes, loses).await?)?;
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

pub(super) async fn receive_job(
    socket: &mut impl Socket,
    job: Job,
    bytes: usize,
    loses: bool,
) -> Result<Measure> {
    let arrivals = arrive(socket, job, loses, |body| body::check(body.len(), bytes).map(|()| true)).await?;
    Ok(Measure { lost: arrivals.missing(), ..arrivals.finish() })
}

pub(super) async fn send_job(socket: &mut impl Socket, job: Job, body: &Bytes) -> Result<Measure> {
    for _ in 0..job.count {
        socket.send(body.clone()).await.context("sending")?;
    }
    Ok(Measure::moved(job.count))
}

/// Receives what a job sends, as far as it comes and `counts`.
pub(super) async fn arrive(
    socket: &mut impl Socket,
    job: Job,
    loses: bool,
    mut counts: impl FnMut(&Bytes) -> Result<bool>,
) -> Result<Arrivals> {
    let mut arrivals = Arrivals::new(job.count);
    // A timer for each message would be the most expensive thing here; so only every few milliseconds in
    // which we have to wait, see whether something has come.
    let mut watch = tokio::time::interval(WATCH_EVERY);
    let (mut missing, mut since) = (arrivals.missing(), Instant::now());
    while arrivals.missing() > 0 {
        tokio::select! {
            biased;
            body = socket.recv() => arrivals.note(counts(&body.context("receiving")?)?.into()),
            _ = watch.tick(), if loses => {
                let now = Instant::now();
                if arrivals.missing() != missing {
                    (missing, since) = (arrivals.missing(), now);
                } else if now - since >= arrivals.patience() {
                    arrivals.quiet();
                    return Ok(arrivals);
                }
            }
        }
    }
    arrivals.stop();
    Ok(arrivals)
}

const WATCH_EVERY: Duration = Duration::from_millis(2);
const _: () = assert!(WATCH_EVERY.as_nanos() * 100 < QUIET.as_nanos());
