//! One writer, one reader. Small frames travel in batches of 64 KiB, large ones each by itself.

use super::batch::{BATCH_BYTES, Incoming, Outgoing, is_large};
use super::wire::{self, Format, Stream};
use anyhow::{Context, Result};
use spanwire_bench_ends::{Arrivals, Measure, Role, Side, role};
use std::io::Write;

pub(super) fn run(role: &Role) -> Result<()> {
    let (stream, format) = (wire::join(role)?, Format::of(&role.cell));
    match (role.side, is_large(&format)) {
        (Side::Server, false) => receive(stream, format),
        (Side::Server, true) => receive_large(stream, format),
        (Side::Client, false) => send(stream, format),
        (Side::Client, true) => send_large(stream, format),
    }
}

fn send(stream: Stream, format: Format) -> Result<()> {
    let body = vec![b'x'; format.body_bytes];
    let mut outgoing = Outgoing::new(stream, format, BATCH_BYTES);
    role::serve(|job| {
        (0..job.count).try_for_each(|_| outgoing.push(&body))?;
        outgoing.flush()?;
        Ok(Measure::moved(job.count))
    })
}

fn send_large(mut stream: Stream, format: Format) -> Result<()> {
    let frame = format.frame();
    role::serve(|job| {
        for _ in 0..job.count {
            stream.write_all(&frame).context("sending a large frame")?;
        }
        Ok(Measure::moved(job.count))
    })
}

/// Counts what comes.
pub(super) fn receive(mut stream: Stream, format: Format) -> Result<()> {
    let mut incoming = Incoming::new();
    role::serve(|job| {
        let mut arrivals = Arrivals::new(job.count);
        while arrivals.missing() > 0 {
            let count = incoming.read(&mut stream, &format);
            arrivals.note(count.with_context(|| format!("{} frames are missing", arrivals.missing()))?);
        }
        Ok(arrivals.finish())
    })
}

fn receive_large(mut stream: Stream, format: Format) -> Result<()> {
    let mut frame = vec![0; format.frame_bytes()];
    role::serve(|job| {
        let mut arrivals = Arrivals::new(job.count);
        while arrivals.missing() > 0 {
            let read = format.read_frame(&mut stream, &mut frame);
            read.with_context(|| format!("{} frames are missing", arrivals.missing()))?;
            arrivals.note(1);
        }
        Ok(arrivals.finish())
    })
}
