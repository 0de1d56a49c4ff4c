//! Single messages at a rate through one PUSH, beside another one that sends as fast as it may.

use super::{Flow, options, serve};
use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use spanwire::{Message, PullSocket, PushSocket, blocking};
use spanwire_bench_ends::{
    BULK_BYTES, Bulk, Clock, Job, Measure, Pace, Role, Samples, Side, bulk, pace, role,
};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

pub(super) async fn run(role: &Role, flow: &Flow) -> Result<()> {
    let (one, other) = role.address.split_once(',').context("two addresses are needed")?;
    let with_bulk = role.cell.many > 0;
    if role.side == Side::Server {
        let (singles, bulk) = (PullSocket::with(options(&role.cell)), PullSocket::with(options(&role.cell)));
        let one = singles.listen(one).await.context("listening")?;
        let other = bulk.listen(other).await.context("listening")?;
        role::say_url(&format!("{},{}", one.url(), other.url()))?;
        singles.wait_peers(1).await.context("waiting for the client")?;
        bulk.wait_peers(1).await.context("waiting for the client")?;
        return serve::on_runtime(async |job| {
            let counting = with_bulk.then(|| tokio::spawn(receive_bulk(bulk.clone())));
            let measure = receive(&singles, job, flow).await?;
            let other = match counting {
                Some(task) => task.await??,
                None => 0,
            };
            Ok(Measure { other, ..measure })
        })
        .await;
    }
    let (singles, bulk) = (PushSocket::with(options(&role.cell)), PushSocket::with(options(&role.cell)));
    singles.dial(one).await.context("dialing")?;
    bulk.dial(other).await.context("dialing")?;
    serve::on_runtime(async |job| {
        let over = Arc::new(AtomicBool::new(false));
        let sending = with_bulk.then(|| tokio::spawn(send_bulk(bulk.clone(), over.clone())));
        let sent = send(&singles, job, flow).await;
        over.store(true, Ordering::Relaxed);
        if let Some(task) = sending {
            task.await??;
        }
        sent
    })
    .await
}

async fn send(socket: &PushSocket, job: Job, flow: &Flow) -> Result<Measure> {
    let clock = Clock::new()?;
    let pace = Pace::start(job.rate);
    for number in 0..job.count {
        let due = clock.wait(&pace, number).await?;
        socket.send(bulk::single(flow.body.len(), due)).await.context("sending a single")?;
    }
    Ok(Measure::moved(job.count))
}

async fn receive(socket: &PullSocket, job: Job, flow: &Flow) -> Result<Measure> {
    let mut samples = Samples::start(job.count);
    for _ in 0..job.count {
        let message = socket.recv().await.context("waiting for a single")?;
        flow.check(&message)?;
        samples.note(bulk::age(message.body()));
    }
    Ok(samples.finish(job.count))
}

async fn send_bulk(socket: PushSocket, over: Arc<AtomicBool>) -> Result<()> {
    let body = Bytes::from(vec![b'x'; BULK_BYTES]);
    let mut count = 0_u64;
    while !over.load(Ordering::Relaxed) {
        socket.send(Message::new(body.clone())).await.context("sending bulk")?;
        count += 1;
    }
    socket.send(bulk::end(count)).await.context("sending the end of the bulk")?;
    Ok(())
}

async fn receive_bulk(socket: PullSocket) -> Result<u64> {
    let mut bulk = Bulk::default();
    loop {
        let message = socket.recv().await.context("waiting for bulk")?;
        if let ControlFlow::Break(done) = bulk.note(message.body().len(), message.body()) {
            return done;
        }
    }
}

pub(super) fn run_blocking(role: &Role, flow: &Flow) -> Result<()> {
    let (one, other) = role.address.split_once(',').context("two addresses are needed")?;
    let with_bulk = role.cell.many > 0;
    if role.side == Side::Server {
        let singles = blocking::PullSocket::with(options(&role.cell));
        let bulk = blocking::PullSocket::with(options(&role.cell));
        let one = singles.listen(one).context("listening")?;
        let other = bulk.listen(other).context("listening")?;
        role::say_url(&format!("{},{}", one.url(), other.url()))?;
        singles.wait_peers(1).context("waiting for the client")?;
        bulk.wait_peers(1).context("waiting for the client")?;
        return role::serve(|job| {
            beside(with_bulk, || receive_bulk_blocking(&bulk), || receive_blocking(&singles, job, flow))
                .map(|(other, measure)| Measure { other: other.unwrap_or(0), ..measure })
        });
    }
    let singles = blocking::PushSocket::with(options(&role.cell));
    let bulk = blocking::PushSocket::with(options(&role.cell));
    singles.dial(one).context("dialing")?;
    bulk.dial(other).context("dialing")?;
    role::serve(|job| {
        let over = AtomicBool::new(false);
        let send = || {
            let sent = send_blocking(&singles, job, flow);
            over.store(true, Ordering::Relaxed);
            sent
        };
        beside(with_bulk, || send_bulk_blocking(&bulk, &over), send).map(|(_, measure)| measure)
    })
}

/// Does one thing in another thread, if it is wanted, and the other in this one.
fn beside<T: Send>(
    wanted: bool,
    other: impl FnOnce() -> Result<T> + Send,
    this: impl FnOnce() -> Result<Measure>,
) -> Result<(Option<T>, Measure)> {
    thread::scope(|scope| {
        let other = wanted.then(|| scope.spawn(other));
        let measure = this()?;
        let other = match other {
            Some(thread) => Some(thread.join().map_err(|_| anyhow!("the bulk thread panicked"))??),
            None => None,
        };
        Ok((other, measure))
    })
}

fn send_blocking(socket: &blocking::PushSocket, job: Job, flow: &Flow) -> Result<Measure> {
    pace::wake_exactly();
    let pace = Pace::start(job.rate);
    for number in 0..job.count {
        let due = pace.wait(number);
        socket.send(bulk::single(flow.body.len(), due)).context("sending a single")?;
    }
    Ok(Measure::moved(job.count))
}

fn receive_blocking(socket: &blocking::PullSocket, job: Job, flow: &Flow) -> Result<Measure> {
    let mut samples = Samples::start(job.count);
    for _ in 0..job.count {
        let message = socket.recv().context("waiting for a single")?;
        flow.check(&message)?;
        samples.note(bulk::age(message.body()));
    }
    Ok(samples.finish(job.count))
}

fn send_bulk_blocking(socket: &blocking::PushSocket, over: &AtomicBool) -> Result<()> {
    let body = Bytes::from(vec![b'x'; BULK_BYTES]);
    let mut count = 0_u64;
    while !over.load(Ordering::Relaxed) {
        socket.send(Message::new(body.clone())).context("sending bulk")?;
        count += 1;
    }
    socket.send(bulk::end(count)).context("sending the end of the bulk")
}

fn receive_bulk_blocking(socket: &blocking::PullSocket) -> Result<u64> {
    let mut bulk = Bulk::default();
    loop {
        let message = socket.recv().context("waiting for bulk")?;
        if let ControlFlow::Break(done) = bulk.note(message.body().len(), message.body()) {
            return done;
        }
    }
}
