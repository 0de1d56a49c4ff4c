//! Requests at a rate: one thread sends what is due, and takes answers until the next is due.

use super::batch::Incoming;
use super::flight;
use super::wire::{self, Format, Stream};
use anyhow::{Context, Result};
use spanwire_bench_ends::{IN_FLIGHT, Job, MOST_OUTSTANDING, Measure, Pace, Role, Samples, Side, pace, role};
use std::io::Write;
use std::time::{Duration, Instant};

pub(super) fn run(role: &Role) -> Result<()> {
    let (mut stream, format) = (wire::join(role)?, Format::of(&role.cell));
    if role.side == Side::Server {
        return flight::answer(stream, format);
    }
    pace::wake_exactly();
    let mut incoming = Incoming::new();
    role::serve(|job| match job.rate {
        0 => flight::ask(&mut stream, &mut incoming, format, job, IN_FLIGHT.into()),
        rate => ask(&mut stream, &mut incoming, format, job, rate),
    })
}

fn ask(stream: &mut Stream, incoming: &mut Incoming, format: Format, job: Job, rate: u64) -> Result<Measure> {
    let frame = format.frame();
    let mut samples = Samples::start(job.count);
    let pace = Pace::start(rate);
    let (mut asked, mut answered) = (0, 0);
    while answered < job.count {
        let now = Instant::now();
        let most = (answered + MOST_OUTSTANDING as u64).min(job.count);
        // What is late goes out in one write.
        let more = (asked..most).take_while(|number| pace.due(*number) <= now).count();
        if more > 0 {
            stream.write_all(&frame.repeat(more)).context("sending requests")?;
            asked += more as u64;
        }
        let next = (asked < most).then(|| pace.due(asked).saturating_duration_since(Instant::now()));
        if wait(stream, next)? {
            let count = incoming.read(stream, &format).context("waiting for answers")?;
            let now = Instant::now();
            // One connection keeps the order.
            let due = (answered..answered + count).map(|number| pace.due(number));
            due.for_each(|due| samples.note(now.saturating_duration_since(due)));
            answered += count;
        }
    }
    Ok(samples.finish(answered))
}

/// Waits until there is something to read; `false` when `timeout` passes first.
#[cfg(unix)]
fn wait(stream: &Stream, timeout: Option<Duration>) -> Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let timeout = timeout.map(Timespec::try_from).transpose()?;
    Ok(poll(&mut [PollFd::new(stream, PollFlags::IN)], timeout.as_ref()).context("waiting")? > 0)
}

/// Unix only.
#[cfg(not(unix))]
fn wait(_: &Stream, _: Option<Duration>) -> Result<bool> {
    anyhow::bail!("one thread sends and receives at a time on unix only")
}
