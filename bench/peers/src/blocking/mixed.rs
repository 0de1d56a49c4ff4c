//! Singles at a rate through one socket, beside another one that sends as fast as it may, each with a thread
//! of its own.

use super::{Library, Socket};
use crate::body;
use crate::kind::Kind;
use anyhow::{Context, Result, anyhow};
use spanwire_bench_ends::{BULK_BYTES, Bulk, Job, Measure, Pace, Role, Samples, bulk, pace, role};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

pub(super) fn receive<L: Library>(library: &L, role: &Role) -> Result<()> {
    let (one, other) = role.address.split_once(',').context("two addresses are needed")?;
    let mut singles = library.open(Kind::Pull, role.cell.body_bytes)?;
    let mut bulk = library.open(Kind::Pull, BULK_BYTES)?;
    let one = singles.listen(one).context("listening")?;
    let other = bulk.listen(other).context("listening")?;
    role::say_url(&format!("{one},{other}"))?;
    role::serve(|job| {
        let bulk = (role.cell.many > 0).then_some(&mut bulk);
        let receive = || receive_singles(&mut singles, job, role.cell.body_bytes);
        let (other, measure) = beside(bulk.map(|bulk| || receive_bulk(bulk)), receive)?;
        Ok(Measure { other: other.unwrap_or(0), ..measure })
    })
}

pub(super) fn send<L: Library>(library: &L, role: &Role) -> Result<()> {
    let (one, other) = role.address.split_once(',').context("two addresses are needed")?;
    let mut singles = library.open(Kind::Push, role.cell.body_bytes)?;
    let mut bulk = library.open(Kind::Push, BULK_BYTES)?;
    singles.dial(one).context("dialing")?;
    bulk.dial(other).context("dialing")?;
    role::serve(|job| {
        let over = AtomicBool::new(false);
        let bulk = (role.cell.many > 0).then_some(&mut bulk);
        let send = || {
            let sent = send_singles(&mut singles, job, role.cell.body_bytes);
            over.store(true, Ordering::Relaxed);
            sent
        };
        Ok(beside(bulk.map(|bulk| || send_bulk(bulk, &over)), send)?.1)
    })
}

/// Does one thing in another thread, if there is one, and the other in this one.
fn beside<T: Send>(
    other: Option<impl FnOnce() -> Result<T> + Send>,
    this: impl FnOnce() -> Result<Measure>,
) -> Result<(Option<T>, Measure)> {
    thread::scope(|scope| {
        let other = other.map(|other| scope.spawn(other));
        let measure = this()?;
        let other = other.map(|thread| thread.join().map_err(|_| anyhow!("the bulk thread panicked"))?);
        Ok((other.transpose()?, measure))
    })
}

fn send_singles<S: Socket>(socket: &mut S, job: Job, bytes: usize) -> Result<Measure> {
    pace::wake_exactly();
    let pace = Pace::start(job.rate);
    for number in 0..job.count {
        let body = S::body(bulk::single(bytes, pace.wait(number)))?;
        socket.send(&body).context("sending a single")?;
    }
    Ok(Measure::moved(job.count))
}

fn receive_singles(socket: &mut impl Socket, job: Job, bytes: usize) -> Result<Measure> {
    let mut samples = Samples::start(job.count);
    for _ in 0..job.count {
        let seen = socket.recv(None).context("receiving")?.context("a single did not come")?;
        body::check(seen.length, bytes)?;
        samples.note(bulk::age(&seen.start));
    }
    Ok(samples.finish(job.count))
}

fn send_bulk<S: Socket>(socket: &mut S, over: &AtomicBool) -> Result<()> {
    let body = S::body(body::filling(BULK_BYTES))?;
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        socket.send(&body).context("sending bulk")?;
        count += 1;
    }
    socket.send(&S::body(bulk::end(count))?).context("sending the end of the bulk")
}

fn receive_bulk(socket: &mut impl Socket) -> Result<u64> {
    let mut bulk = Bulk::default();
    loop {
        let seen = socket.recv(None).context("receiving")?.context("bulk did not come")?;
        if let ControlFlow::Break(count) = bulk.note(seen.length, &seen.start) {
            return count;
        }
    }
}
