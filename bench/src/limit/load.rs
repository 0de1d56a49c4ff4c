//! Requests at a rate: one thread sends what is due, another one takes the answers.

use super::batch::Incoming;
use super::flight;
use super::wire::{self, Format, Stream};
use anyhow::{Context, Result, anyhow};
use spanwire_bench_ends::{IN_FLIGHT, Job, Measure, Pace, Role, Samples, Side, pace, role};
use std::io::Write;
use std::thread;
use std::time::Instant;

pub(super) fn run(role: &Role) -> Result<()> {
    let (mut stream, format) = (wire::join(role)?, Format::of(&role.cell));
    if role.side == Side::Server {
        return flight::answer(stream, format);
    }
    let mut incoming = Incoming::new();
    role::serve(|job| match job.rate {
        0 => flight::ask(&mut stream, &mut incoming, format, job, IN_FLIGHT.into()),
        rate => ask(&mut stream, &mut incoming, format, job, rate),
    })
}

fn ask(stream: &mut Stream, incoming: &mut Incoming, format: Format, job: Job, rate: u64) -> Result<Measure> {
    let mut answers = stream.try_clone().context("cannot share the connection")?;
    let pace = Pace::start(rate);
    thread::scope(|scope| {
        let receiving = scope.spawn(move || {
            let mut samples = Samples::start(job.count);
            let mut answered = 0;
            while answered < job.count {
                let count = incoming.read(&mut answers, &format).context("waiting for answers")?;
                let now = Instant::now();
                // One connection keeps the order.
                let due = (answered..answered + count).map(|number| pace.due(number));
                due.for_each(|due| samples.note(now.saturating_duration_since(due)));
                answered += count;
            }
            anyhow::Ok(samples.finish(answered))
        });
        send(stream, format, job, pace)?;
        receiving.join().map_err(|_| anyhow!("the receiving thread panicked"))?
    })
}

/// What is late goes out in one write.
fn send(stream: &mut Stream, format: Format, job: Job, pace: Pace) -> Result<()> {
    pace::wake_exactly();
    let frame = format.frame();
    let mut number = 0;
    while number < job.count {
        pace.wait(number);
        let now = Instant::now();
        let more = (number + 1..job.count).take(MOST_AT_ONCE).take_while(|next| pace.due(*next) <= now);
        let count = 1 + more.count();
        stream.write_all(&frame.repeat(count)).context("sending requests")?;
        number += count as u64;
    }
    Ok(())
}

const MOST_AT_ONCE: usize = 63;
