//! Many requests in flight on one DEALER. Answers come in the order of requests, since one thread gives
//! them on one connection.

use super::{Message, Socket, ZMQ_DEALER, ZMQ_ROUTER, ZMQ_SNDMORE, Zmq};
use crate::blocking::Socket as _;
use crate::body;
use anyhow::{Context, Result};
use spanwire_bench_ends::{Job, Measure, Role, Samples, role};
use std::collections::VecDeque;
use std::time::Instant;

pub(super) fn answer(library: &Zmq, role: &Role) -> Result<()> {
    let mut socket = library.socket(ZMQ_ROUTER)?;
    role::say_url(&socket.listen(&role.address).context("listening")?)?;
    let (mut asker, mut request) = (Message::new(&library.context)?, Message::new(&library.context)?);
    role::serve(|job| {
        for _ in 0..job.count {
            socket.recv_message(&mut asker)?;
            socket.recv_message(&mut request)?;
            body::check(request.body().len(), role.cell.body_bytes)?;
            socket.send_message(&mut asker, ZMQ_SNDMORE)?;
            socket.send_message(&mut request, 0)?;
        }
        Ok(Measure::moved(job.count))
    })
}

pub(super) fn ask(library: &Zmq, role: &Role) -> Result<()> {
    let mut socket = library.socket(ZMQ_DEALER)?;
    socket.dial(&role.address).context("dialing")?;
    let body = Socket::body(body::filling(role.cell.body_bytes))?;
    role::serve(|job| {
        let mut flight = Flight { job, asked: 0, since: VecDeque::new() };
        let mut samples = Samples::start(if job.timed { job.count } else { 0 });
        for _ in 0..role.cell.many {
            flight.ask(|| socket.send(&body))?;
        }
        while let Some(since) = flight.since.pop_front() {
            let length = socket.recv(None, <[u8]>::len)?.context("no answer came")?;
            body::check(length, role.cell.body_bytes)?;
            if job.timed {
                samples.note(since.elapsed());
            }
            flight.ask(|| socket.send(&body))?;
        }
        Ok(samples.finish(job.count))
    })
}

/// The requests that are under way.
struct Flight {
    job: Job,
    asked: u64,
    since: VecDeque<Instant>,
}

impl Flight {
    /// Asks once more, if there is something left to ask.
    fn ask(&mut self, send: impl FnOnce() -> Result<()>) -> Result<()> {
        if self.asked < self.job.count {
            self.asked += 1;
            self.since.push_back(Instant::now());
            send().context("asking")?;
        }
        Ok(())
    }
}
