//! Requests at a rate, each counted from when it was due.

use super::{Flow, flight, options, roundtrip, serve};
use anyhow::{Context, Result, anyhow, bail};
use spanwire::{ReqSocket, blocking};
use spanwire_bench_ends::{
    Clock, IN_FLIGHT, Job, MOST_OUTSTANDING, Measure, Pace, Role, Samples, Side, pace, role,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;
use tokio::sync::Semaphore;

pub(super) async fn run(role: &Role, flow: &Flow) -> Result<()> {
    if role.side == Side::Server {
        let socket = roundtrip::listen(role).await?;
        return serve::on_runtime(async |job| flight::answer(&socket, job, flow).await).await;
    }
    let socket = ReqSocket::with(options(&role.cell));
    let _dialer = socket.dial(&role.address).await.context("dialing")?;
    serve::on_runtime(async |job| ask(&socket, job, flow).await).await
}

/// A task for each request, started when it is due; without a rate, when there is room. Capacity is
/// found by the same means, or it would be one that this cannot reach.
async fn ask(socket: &ReqSocket, job: Job, flow: &Flow) -> Result<Measure> {
    let most = if job.rate == 0 { IN_FLIGHT as usize } else { MOST_OUTSTANDING };
    let room = Arc::new(Semaphore::new(most));
    let samples = Arc::new(Mutex::new(Samples::start(job.count)));
    let clock = Clock::new()?;
    let pace = Pace::start(job.rate);
    for number in 0..job.count {
        let due = if job.rate == 0 { Instant::now() } else { clock.wait(&pace, number).await? };
        let room = room.clone().acquire_owned().await?;
        let (socket, flow, samples) = (socket.clone(), flow.clone(), samples.clone());
        tokio::spawn(async move {
            let reply = socket.request(flow.message()).await;
            // What fails here is missed below.
            if reply.is_ok_and(|reply| flow.check(&reply).is_ok()) {
                let took = due.elapsed();
                samples.lock().unwrap_or_else(PoisonError::into_inner).note(took);
            }
            // The socket and the samples first: who has all room again finds them unused.
            drop((socket, samples));
            drop(room);
        });
    }
    // All room is there again when all tasks have ended.
    let _ = room.acquire_many(most as u32).await?;
    let answered = Arc::into_inner(samples).and_then(|samples| samples.into_inner().ok());
    let answered = answered.context("a request has not ended")?;
    match answered.len() as u64 {
        count if count == job.count => Ok(answered.finish(count)),
        count => bail!("void: {count} of {} requests were answered", job.count),
    }
}

pub(super) fn run_blocking(role: &Role, flow: &Flow) -> Result<()> {
    if role.side == Side::Server {
        let socket = roundtrip::listen_blocking(role)?;
        return role::serve(|job| flight::answer_blocking(&socket, job, flow));
    }
    let socket = blocking::ReqSocket::with(options(&role.cell));
    let _dialer = socket.dial(&role.address).context("dialing")?;
    role::serve(|job| ask_blocking(&socket, job, flow))
}

/// Threads that each take the next request, wait until it is due, and ask. When all of them wait for
/// answers the next one is late, and counts from when it was due all the same. Without a rate none waits.
fn ask_blocking(socket: &blocking::ReqSocket, job: Job, flow: &Flow) -> Result<Measure> {
    let next = AtomicU64::new(0);
    let pace = Pace::start(job.rate);
    let work = || {
        pace::wake_exactly();
        let mut samples = Samples::start(job.count / u64::from(IN_FLIGHT));
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= job.count {
                return anyhow::Ok(samples);
            }
            let due = if job.rate == 0 { Instant::now() } else { pace.wait(number) };
            let reply = socket.request(flow.message()).context("asking")?;
            flow.check(&reply)?;
            samples.note(Instant::now().saturating_duration_since(due));
        }
    };
    let mut all = Samples::start(job.count);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..IN_FLIGHT).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            all.join(thread.join().map_err(|_| anyhow!("an asking thread panicked"))??);
        }
        anyhow::Ok(())
    })?;
    Ok(all.finish(job.count))
}
