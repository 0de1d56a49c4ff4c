//! Singles at a rate through one socket, beside another one that sends as fast as it may, each in a task of
//! its own.

use super::{Jobs, Library, Socket, joined};
use crate::body;
use crate::kind::Kind;
use anyhow::{Context, Result};
use bytes::Bytes;
use spanwire_bench_ends::{BULK_BYTES, Bulk, Clock, Job, Measure, Pace, Role, Samples, bulk, role};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) async fn receive<L: Library>(library: &L, role: &Role) -> Result<()> {
    let (one, other) = role.address.split_once(',').context("two addresses are needed")?;
    let (mut singles, mut bulk) = (library.open(Kind::Pull).await?, library.open(Kind::Pull).await?);
    let one = singles.listen(one).await.context("listening")?;
    let other = bulk.listen(other).await.context("listening")?;
    role::say_url(&format!("{one},{other}"))?;
    // The bulk's task has it during a job, and gives it back.
    let mut bulk = Some(bulk);
    let mut jobs = Jobs::ready()?;
    while let Some((job, begun)) = jobs.begin().await? {
        let counting = bulk.take_if(|_| role.cell.many > 0).map(|bulk| tokio::spawn(receive_bulk(bulk)));
        let mut measure = receive_singles(&mut singles, job, role.cell.body_bytes).await?;
        if let Some(task) = counting {
            let (socket, count) = joined(task).await?;
            (bulk, measure.other) = (Some(socket), count);
        }
        begun.finish(measure)?;
    }
    Ok(())
}

pub(super) async fn send<L: Library>(library: &L, role: &Role) -> Result<()> {
    let (one, other) = role.address.split_once(',').context("two addresses are needed")?;
    let (mut singles, mut bulk) = (library.open(Kind::Push).await?, library.open(Kind::Push).await?);
    singles.dial(one).await.context("dialing")?;
    bulk.dial(other).await.context("dialing")?;
    let mut bulk = Some(bulk);
    let mut jobs = Jobs::ready()?;
    while let Some((job, begun)) = jobs.begin().await? {
        let over = Arc::new(AtomicBool::new(false));
        let sending =
            bulk.take_if(|_| role.cell.many > 0).map(|bulk| tokio::spawn(send_bulk(bulk, over.clone())));
        let sent = send_singles(&mut singles, job, role.cell.body_bytes).await;
        over.store(true, Ordering::Relaxed);
        if let Some(task) = sending {
            bulk = Some(joined(task).await?);
        }
        begun.finish(sent?)?;
    }
    Ok(())
}

async fn send_singles(socket: &mut impl Socket, job: Job, bytes: usize) -> Result<Measure> {
    let clock = Clock::new()?;
    let pace = Pace::start(job.rate);
    for number in 0..job.count {
        let due = clock.wait(&pace, number).await?;
        socket.send(bulk::single(bytes, due).into()).await.context("sending a single")?;
    }
    Ok(Measure::moved(job.count))
}

async fn receive_singles(socket: &mut impl Socket, job: Job, bytes: usize) -> Result<Measure> {
    let mut samples = Samples::start(job.count);
    for _ in 0..job.count {
        let body = socket.recv().await.context("waiting for a single")?;
        body::check(body.len(), bytes)?;
        samples.note(bulk::age(&body));
    }
    Ok(samples.finish(job.count))
}

async fn send_bulk<S: Socket>(mut socket: S, over: Arc<AtomicBool>) -> Result<S> {
    let body = Bytes::from(body::filling(BULK_BYTES));
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        socket.send(body.clone()).await.context("sending bulk")?;
        count += 1;
    }
    socket.send(bulk::end(count).into()).await.context("sending the end of the bulk")?;
    Ok(socket)
}

async fn receive_bulk<S: Socket>(mut socket: S) -> Result<(S, u64)> {
    let mut bulk = Bulk::default();
    loop {
        let body = socket.recv().await.context("waiting for bulk")?;
        if let ControlFlow::Break(count) = bulk.note(body.len(), &body) {
            return Ok((socket, count?));
        }
    }
}
