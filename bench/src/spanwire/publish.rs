//! PUB, and SUBs with a connection each.

use super::{Flow, dropped, options, serve};
use anyhow::{Context, Result, anyhow};
use spanwire::{Options, Overflow, PubSocket, RecvError, Stats, SubSocket, blocking};
use spanwire_bench_ends::{Arrivals, Job, Measure, Role, Side, Work, role};
use std::time::Duration;

pub(super) async fn run(role: &Role, flow: &Flow) -> Result<()> {
    match role.side {
        Side::Server => {
            let socket = PubSocket::with(publisher_options(role));
            let listener = socket.listen(&role.address).await.context("listening")?;
            role::say_url(listener.url())?;
            socket.wait_peers(subscribers(role)).await.context("waiting for the subscribers")?;
            serve::on_runtime(async |job| {
                let before = dropped(&socket.stats());
                for _ in 0..job.count {
                    socket.send(flow.message()).await.context("publishing")?;
                }
                Ok(Measure { lost: dropped(&socket.stats()) - before, ..Measure::moved(job.count) })
            })
            .await
        }
        Side::Client => {
            let mut sockets = Vec::new();
            for _ in 0..role.cell.many {
                let socket = SubSocket::with(subscriber_options(role));
                socket.subscribe("");
                socket.dial(&role.address).await.context("dialing")?;
                sockets.push(socket);
            }
            let work = role.cell.work;
            serve::on_runtime(async |job| receive_all(&sockets, work, job, flow).await).await
        }
    }
}

async fn receive_all(sockets: &[SubSocket], work: Work, job: Job, flow: &Flow) -> Result<Measure> {
    let lost = || sockets.iter().map(|socket| dropped(&socket.stats())).sum::<u64>();
    let before = lost();
    let start = |socket: &SubSocket| tokio::spawn(receive(socket.clone(), work, job, flow.clone()));
    let tasks: Vec<_> = sockets.iter().map(start).collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await??);
    }
    Ok(Measure { lost: lost() - before, ..Arrivals::finish_all(&all) })
}

async fn receive(socket: SubSocket, work: Work, job: Job, flow: Flow) -> Result<Arrivals> {
    let mut arrivals = Arrivals::new(job.count);
    let mut silence = Silence::begin(work, &socket.stats());
    while arrivals.missing() > 0 {
        match socket.recv_timeout(arrivals.patience()).await {
            Ok(message) => flow.check(&message)?,
            Err(RecvError::TimedOut) if silence.is_the_end(&arrivals, &socket.stats()) => {
                arrivals.quiet();
                return Ok(arrivals);
            }
            Err(RecvError::TimedOut) => continue,
            Err(error) => return Err(error).context("receiving"),
        }
        arrivals.note(1);
    }
    arrivals.stop();
    Ok(arrivals)
}

pub(super) fn run_blocking(role: &Role, flow: &Flow) -> Result<()> {
    match role.side {
        Side::Server => {
            let socket = blocking::PubSocket::with(publisher_options(role));
            let listener = socket.listen(&role.address).context("listening")?;
            role::say_url(listener.url())?;
            socket.wait_peers(subscribers(role)).context("waiting for the subscribers")?;
            role::serve(|job| {
                let before = dropped(&socket.stats());
                (0..job.count).try_for_each(|_| socket.send(flow.message())).context("publishing")?;
                Ok(Measure { lost: dropped(&socket.stats()) - before, ..Measure::moved(job.count) })
            })
        }
        Side::Client => {
            let mut sockets = Vec::new();
            for _ in 0..role.cell.many {
                let socket = blocking::SubSocket::with(subscriber_options(role));
                socket.subscribe("");
                socket.dial(&role.address).context("dialing")?;
                sockets.push(socket);
            }
            let work = role.cell.work;
            role::serve(|job| receive_all_blocking(&sockets, work, job, flow))
        }
    }
}

/// A thread for each, as calls that block want it.
fn receive_all_blocking(
    sockets: &[blocking::SubSocket],
    work: Work,
    job: Job,
    flow: &Flow,
) -> Result<Measure> {
    let lost = || sockets.iter().map(|socket| dropped(&socket.stats())).sum::<u64>();
    let before = lost();
    let all = std::thread::scope(|scope| {
        let start = |socket| scope.spawn(move || receive_blocking(socket, work, job, flow));
        let threads: Vec<_> = sockets.iter().map(start).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Arrivals>>| {
            thread.join().map_err(|_| anyhow!("a subscriber's thread panicked"))?
        };
        threads.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    Ok(Measure { lost: lost() - before, ..Arrivals::finish_all(&all) })
}

fn receive_blocking(socket: &blocking::SubSocket, work: Work, job: Job, flow: &Flow) -> Result<Arrivals> {
    let mut arrivals = Arrivals::new(job.count);
    let mut silence = Silence::begin(work, &socket.stats());
    while arrivals.missing() > 0 {
        match socket.recv_timeout(arrivals.patience()) {
            Ok(message) => flow.check(&message)?,
            Err(RecvError::TimedOut) if silence.is_the_end(&arrivals, &socket.stats()) => {
                arrivals.quiet();
                return Ok(arrivals);
            }
            Err(RecvError::TimedOut) => continue,
            Err(error) => return Err(error).context("receiving"),
        }
        arrivals.note(1);
    }
    arrivals.stop();
    Ok(arrivals)
}

/// What it means when nothing comes.
struct Silence {
    publisher_drops: bool,
    dropped_before: u64,
    times: u32,
}

impl Silence {
    fn begin(work: Work, stats: &Stats) -> Self {
        Self { publisher_drops: work == Work::Stall, dropped_before: dropped(stats), times: 0 }
    }

    /// Whether nothing more will come. A publisher that waits sends everything, so all that is missing
    /// must have been dropped here; on a loaded machine it may only be slow.
    fn is_the_end(&mut self, arrivals: &Arrivals, stats: &Stats) -> bool {
        self.times += 1;
        let all_known = dropped(stats) - self.dropped_before >= arrivals.missing();
        all_known || self.publisher_drops || self.times > 20
    }
}

/// How many the publisher waits for.
fn subscribers(role: &Role) -> usize {
    let stalling = usize::from(role.cell.work == Work::Stall);
    role.cell.many as usize + stalling
}

/// All is to be delivered, so the publisher waits; except where one subscriber does not read and the
/// others must not wait for it.
fn publisher_options(role: &Role) -> Options {
    let overflow = match role.cell.work {
        Work::Stall => Overflow::DropOldest,
        _ => Overflow::Block(PATIENCE),
    };
    Options { overflow, ..options(&role.cell) }
}

/// A subscriber never stops reading and drops what it has no room for. Room for a burst of the one
/// thread that all subscribers share here.
fn subscriber_options(role: &Role) -> Options {
    Options { recv_messages: 64 << 10, recv_bytes: 64 << 20, ..options(&role.cell) }
}

const PATIENCE: Duration = Duration::from_secs(10);
