//! Fan-out: the same batch is written to each subscriber. It is encoded once.

use super::batch::{BATCH_BYTES, Incoming, is_large};
use super::ready::Ready;
use super::wire::{self, Format, Stream};
use anyhow::{Context, Result, bail};
use spanwire_bench_ends::{Arrivals, Measure, Role, Side, Work, role};
use std::io::{ErrorKind, Write};
use std::time::Duration;

pub(super) fn run(role: &Role) -> Result<()> {
    let format = Format::of(&role.cell);
    match (role.side, role.cell.work) {
        (Side::Client, _) => receive(role, format),
        (Side::Server, Work::Stall) => {
            let mut streams = wire::join_many(role, role.cell.many + 1)?;
            // The last to come is the one that will not read.
            let last = streams.pop().context("no subscriber came")?;
            publish(streams, Some(Droppable::new(last)?), format)
        }
        (Side::Server, _) => publish(wire::join_many(role, role.cell.many)?, None, format),
    }
}

fn publish(mut streams: Vec<Stream>, mut extra: Option<Droppable>, format: Format) -> Result<()> {
    let frame = format.frame();
    let per_batch = (BATCH_BYTES / frame.len()).max(1);
    let batch = frame.repeat(per_batch);
    role::serve(|job| {
        let mut left = job.count as usize;
        let mut lost = 0;
        while left > 0 {
            let part = left.min(per_batch);
            let bytes = &batch[..part * frame.len()];
            for stream in &mut streams {
                stream.write_all(bytes).context("sending a batch")?;
            }
            if let Some(extra) = &mut extra {
                lost += if extra.write(bytes)? { 0 } else { part as u64 };
            }
            left -= part;
        }
        Ok(Measure { lost, ..Measure::moved(job.count) })
    })
}

/// A subscriber that loses whole batches while it has not taken an earlier one.
struct Droppable {
    stream: Stream,
    rest: Vec<u8>,
}

impl Droppable {
    fn new(stream: Stream) -> Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, rest: Vec::new() })
    }

    /// `false` if these bytes are dropped.
    fn write(&mut self, bytes: &[u8]) -> Result<bool> {
        let rest = std::mem::take(&mut self.rest);
        self.rest = self.write_some(&rest)?;
        if !self.rest.is_empty() {
            return Ok(false);
        }
        let rest = self.write_some(bytes)?;
        let begun = rest.len() < bytes.len();
        // A batch that was refused whole is dropped; one that has begun has to be ended.
        self.rest = if begun { rest } else { Vec::new() };
        Ok(begun)
    }

    /// Returns what was not written.
    fn write_some(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut written = 0;
        while written < bytes.len() {
            match self.stream.write(&bytes[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("sending to the one that may stall"),
            }
        }
        Ok(bytes[written..].to_vec())
    }
}

fn receive(role: &Role, format: Format) -> Result<()> {
    let mut streams = wire::join_many(role, role.cell.many)?;
    let mut incoming: Vec<Incoming> = streams.iter().map(|_| Incoming::new()).collect();
    let mut ready = Ready::new(&streams)?;
    let mut frame = vec![0; format.frame_bytes()];
    role::serve(|job| {
        let wanted = job.count * u64::from(role.cell.many);
        let mut arrivals = Arrivals::new(wanted);
        while arrivals.missing() > 0 {
            let mut came = false;
            for place in ready.wait(PATIENCE)? {
                came = true;
                let count = if is_large(&format) {
                    format.read_frame(&mut streams[place], &mut frame).map(|()| 1)
                } else {
                    incoming[place].read(&mut streams[place], &format)
                };
                arrivals.note(count.context("waiting for a batch")?);
            }
            if !came {
                bail!("{} deliveries are missing", arrivals.missing());
            }
        }
        Ok(arrivals.finish())
    })
}

/// Those who read lose nothing. Shorter than the parent's patience, so that the one who knows what is
/// missing says so.
const PATIENCE: Duration = Duration::from_secs(8);
