//! Many requests in flight on one REQ, and several workers on one REP.

use super::{Flow, options, roundtrip, serve};
use anyhow::{Context, Result, anyhow};
use spanwire::{RepSocket, ReqSocket, blocking};
use spanwire_bench_ends::{Budget, Job, Measure, Role, Samples, Side, WORKERS, role};
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

pub(super) async fn run(role: &Role, flow: &Flow) -> Result<()> {
    if role.side == Side::Server {
        let socket = roundtrip::listen(role).await?;
        return serve::on_runtime(async |job| answer(&socket, job, flow).await).await;
    }
    let socket = ReqSocket::with(options(&role.cell));
    let _dialer = socket.dial(&role.address).await.context("dialing")?;
    serve::on_runtime(async |job| ask(&socket, job, flow, role.cell.many).await).await
}

/// `many` tasks, each with one request at a time.
pub(super) async fn ask(socket: &ReqSocket, job: Job, flow: &Flow, many: u32) -> Result<Measure> {
    let budget = Arc::new(Budget::new(job.count));
    let mut all = Samples::start(job.count);
    let start = |_| {
        let (socket, flow, budget) = (socket.clone(), flow.clone(), budget.clone());
        tokio::spawn(async move {
            let mut samples = Samples::start(job.count / u64::from(many));
            while budget.take() {
                let asked = Instant::now();
                let reply = socket.request(flow.message()).await.context("asking")?;
                flow.check(&reply)?;
                samples.note(asked.elapsed());
            }
            anyhow::Ok(samples)
        })
    };
    let tasks: Vec<_> = (0..many).map(start).collect();
    for task in tasks {
        all.join(task.await??);
    }
    Ok(all.finish(job.count))
}

/// Several tasks, each with one request at a time.
pub(super) async fn answer(socket: &RepSocket, job: Job, flow: &Flow) -> Result<Measure> {
    let budget = Arc::new(Budget::new(job.count));
    let start = |_| {
        let (socket, flow, budget) = (socket.clone(), flow.clone(), budget.clone());
        tokio::spawn(async move {
            while budget.take() {
                roundtrip::answer(&socket, Job::timed(1), &flow).await?;
            }
            anyhow::Ok(())
        })
    };
    let tasks: Vec<_> = (0..WORKERS).map(start).collect();
    for task in tasks {
        task.await??;
    }
    Ok(Measure::moved(job.count))
}

pub(super) fn run_blocking(role: &Role, flow: &Flow) -> Result<()> {
    if role.side == Side::Server {
        let socket = roundtrip::listen_blocking(role)?;
        return role::serve(|job| answer_blocking(&socket, job, flow));
    }
    let socket = blocking::ReqSocket::with(options(&role.cell));
    let _dialer = socket.dial(&role.address).context("dialing")?;
    role::serve(|job| ask_blocking(&socket, job, flow, role.cell.many))
}

/// `many` contexts in turn, by one thread: each is asked again as soon as its answer was taken.
pub(super) fn ask_blocking(
    socket: &blocking::ReqSocket,
    job: Job,
    flow: &Flow,
    many: u32,
) -> Result<Measure> {
    let mut contexts: VecDeque<_> = (0..many).map(|_| (socket.context(), Instant::now())).collect();
    let mut samples = Samples::start(job.count);
    let most = u64::from(many);
    for number in 0..job.count + most {
        let Some((context, mut asked)) = contexts.pop_front() else { break };
        if number >= most {
            let reply = context.recv().context("waiting for an answer")?;
            flow.check(&reply)?;
            samples.note(asked.elapsed());
        }
        if number < job.count {
            asked = Instant::now();
            context.send(flow.message()).context("asking")?;
        }
        contexts.push_back((context, asked));
    }
    Ok(samples.finish(job.count))
}

/// Several threads, each with one request at a time.
pub(super) fn answer_blocking(socket: &blocking::RepSocket, job: Job, flow: &Flow) -> Result<Measure> {
    let budget = Budget::new(job.count);
    let work = || {
        while budget.take() {
            roundtrip::answer_blocking(socket, Job::timed(1), flow)?;
        }
        anyhow::Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a worker panicked"))?)
    })?;
    Ok(Measure::moved(job.count))
}
