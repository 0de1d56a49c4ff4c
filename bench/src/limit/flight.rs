//! Pipelining on one connection: what has come is answered in one write, and the next requests go out
//! in one write as well.

use super::batch::Incoming;
use super::wire::{self, Format, Stream};
use anyhow::{Context, Result};
use spanwire_bench_ends::{Job, Measure, Role, Samples, Side, role};
use std::collections::VecDeque;
use std::io::Write;
use std::time::Instant;

pub(super) fn run(role: &Role) -> Result<()> {
    let (mut stream, format) = (wire::join(role)?, Format::of(&role.cell));
    match role.side {
        Side::Server => answer(stream, format),
        Side::Client => {
            let mut incoming = Incoming::new();
            role::serve(|job| ask(&mut stream, &mut incoming, format, job, u64::from(role.cell.many)))
        }
    }
}

/// Keeps `most` requests in flight.
pub(super) fn ask(
    stream: &mut Stream,
    incoming: &mut Incoming,
    format: Format,
    job: Job,
    most: u64,
) -> Result<Measure> {
    let frame = format.frame();
    let mut samples = Samples::start(job.count);
    let mut asked_at = VecDeque::with_capacity(most as usize);
    let (mut asked, mut answered) = (0, 0);
    while answered < job.count {
        let more = (most - (asked - answered)).min(job.count - asked);
        if more > 0 {
            let now = Instant::now();
            stream.write_all(&frame.repeat(more as usize)).context("sending requests")?;
            asked_at.extend((0..more).map(|_| now));
            asked += more;
        }
        let count = incoming.read(stream, &format).context("waiting for answers")?;
        let now = Instant::now();
        asked_at.drain(..count as usize).for_each(|then| samples.note(now - then));
        answered += count;
    }
    Ok(samples.finish(answered))
}

/// Sends back what comes.
pub(super) fn answer(mut stream: Stream, format: Format) -> Result<()> {
    let mut incoming = Incoming::new();
    role::serve(|job| {
        let mut left = job.count;
        while left > 0 {
            left -= incoming.read_and_echo(&mut stream, &format).context("waiting for requests")?;
        }
        Ok(Measure::moved(job.count))
    })
}
