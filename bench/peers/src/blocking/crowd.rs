//! Many pushers, many threads, many connections.

use super::{Library, Socket, pairs};
use crate::body;
use crate::descriptors;
use crate::kind::Kind;
use anyhow::{Context, Result, anyhow};
use spanwire_bench_ends::{Budget, Fairness, Job, Measure, Role, role, usage};
use std::thread;

pub(super) fn push<L: Library>(library: &L, role: &Role) -> Result<()> {
    usage::raise_file_limit();
    let mut pushers = Vec::new();
    for number in 0..role.cell.many {
        let body = L::Socket::body(Fairness::body(number, role.cell.body_bytes))?;
        pushers.push((pairs::dial(library, Kind::Push, role)?, body));
    }
    role::serve(|job| send_all(job, pushers.iter_mut().map(|(socket, body)| (socket, &*body)).collect()))
}

pub(super) fn share<L: Library>(library: &L, role: &Role) -> Result<()> {
    let first = pairs::dial(library, Kind::Push, role)?;
    let mut sockets = (0..role.cell.many)
        .map(|_| Ok((first.share().context("no thread may use another's socket")?, ())))
        .collect::<Result<Vec<_>>>()?;
    let bodies = (0..role.cell.many)
        .map(|_| L::Socket::body(body::filling(role.cell.body_bytes)))
        .collect::<Result<Vec<_>>>()?;
    role::serve(|job| send_all(job, sockets.iter_mut().map(|(socket, ())| socket).zip(&bodies).collect()))
}

/// Sends `job.count` messages between them, each socket on a thread of its own.
fn send_all<S: Socket>(job: Job, senders: Vec<(&mut S, &S::Body)>) -> Result<Measure> {
    let budget = Budget::new(job.count);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (socket, body) in senders {
            let budget = &budget;
            let send = move || {
                while budget.take() {
                    socket.send(body).context("sending")?;
                }
                anyhow::Ok(())
            };
            threads.push(thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, send)?);
        }
        threads.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow!("a sender panicked"))?)
    })?;
    Ok(Measure::moved(job.count))
}

pub(super) fn watch<L: Library>(library: &L, role: &Role) -> Result<()> {
    usage::raise_file_limit();
    let socket = pairs::listen(library, Kind::Pull, role)?;
    descriptors::watch(role.cell.many)?;
    drop(socket);
    Ok(())
}

/// One socket dials as often as connections are wanted.
pub(super) fn idle<L: Library>(library: &L, role: &Role) -> Result<()> {
    usage::raise_file_limit();
    let mut socket = library.open(Kind::Push, role.cell.body_bytes)?;
    (0..role.cell.many).try_for_each(|_| socket.dial(&role.address)).context("dialing")?;
    role::serve(|job| Ok(Measure::moved(job.count)))
}

/// Makes a connection for each message.
pub(super) fn reconnect<L: Library>(library: &L, role: &Role) -> Result<()> {
    let body = L::Socket::body(body::filling(role.cell.body_bytes))?;
    let kind = if L::CLOSE_DELIVERS { Kind::Push } else { Kind::Req };
    role::serve(|job| {
        for _ in 0..job.count {
            let mut socket = pairs::dial(library, kind, role)?;
            socket.send(&body).context("sending")?;
            if !L::CLOSE_DELIVERS {
                socket.recv(None).context("waiting for an answer")?;
            }
        }
        Ok(Measure::moved(job.count))
    })
}

/// A thousand of them should not need more memory than what they do.
const STACK_BYTES: usize = 256 << 10;
