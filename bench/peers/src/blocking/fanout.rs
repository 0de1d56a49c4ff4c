//! One publisher and many subscribers, each with a thread of its own.

use super::{Library, Socket, pairs};
use crate::kind::Kind;
use crate::tally::Tally;
use crate::{body, jobs};
use anyhow::{Context, Result, anyhow};
use spanwire_bench_ends::role::{self, Begun};
use spanwire_bench_ends::{Arrivals, Measure, Role, Work};
use std::sync::mpsc::{RecvTimeoutError, channel};

pub(super) fn publish<L: Library>(library: &L, role: &Role) -> Result<()> {
    // A publisher that waits would wait for the subscriber that does not read.
    let kind = if role.cell.work == Work::Stall { Kind::LossyPub } else { Kind::Pub };
    let mut socket = pairs::listen(library, kind, role)?;
    let probe = L::Socket::body(body::probe(role.cell.body_bytes))?;
    let body = L::Socket::body(body::filling(role.cell.body_bytes))?;
    let (sender, jobs) = channel();
    jobs::hear(move |job| sender.send(job).is_ok());
    role::say_ready()?;
    let mut next = loop {
        match jobs.recv_timeout(jobs::PROBE_EVERY) {
            Ok(job) => break Some(job?),
            Err(RecvTimeoutError::Timeout) => socket.send(&probe).context("publishing a probe")?,
            Err(RecvTimeoutError::Disconnected) => break None,
        }
    };
    while let Some(job) = next {
        let begun = Begun::now()?;
        for _ in 0..job.count {
            socket.send(&body).context("publishing")?;
        }
        begun.finish(Measure::moved(job.count))?;
        next = jobs.recv().ok().transpose()?;
    }
    Ok(())
}

pub(super) fn subscribe<L: Library>(library: &L, role: &Role) -> Result<()> {
    let loses = L::PUB_LOSES || role.cell.work == Work::Stall;
    let mut sockets: Vec<_> =
        (0..role.cell.many).map(|_| pairs::dial(library, Kind::Sub, role)).collect::<Result<_>>()?;
    for socket in &mut sockets {
        socket.recv(None).context("waiting for a probe")?;
    }
    role::serve(|job| {
        let all = std::thread::scope(|scope| {
            let receiving: Vec<_> = sockets
                .iter_mut()
                .map(|socket| scope.spawn(move || socket.receive(Tally::new(role, job, loses))))
                .collect();
            let ended = receiving.into_iter().map(|thread| thread.join());
            ended.map(|all| all.map_err(|_| anyhow!("a subscriber panicked"))?).collect::<Result<Vec<_>>>()
        })?;
        let all: Vec<_> = all.into_iter().map(|tally| tally.arrivals).collect();
        let lost = all.iter().map(Arrivals::missing).sum();
        Ok(Measure { lost, ..Arrivals::finish_all(&all) })
    })
}
