//! Ping-pong: one write and one read at each end, both blocking.

use super::wire::{self, Format, Stream};
use anyhow::{Context, Result};
use spanwire_bench_ends::{Measure, Role, Side, Stopwatch, role};
use std::io::Write;

pub(super) fn run(role: &Role) -> Result<()> {
    let (stream, format) = (wire::join(role)?, Format::of(&role.cell));
    match role.side {
        Side::Server => answer(stream, format),
        Side::Client => ask(stream, format),
    }
}

/// Sends frames and waits for each to come back.
fn ask(mut stream: Stream, format: Format) -> Result<()> {
    let request = format.frame();
    let mut answer = vec![0; format.frame_bytes()];
    role::serve(|job| {
        let mut watch = Stopwatch::start(job.count, job.group(1));
        for _ in 0..job.count {
            stream.write_all(&request).context("sending a request")?;
            format.read_frame(&mut stream, &mut answer).context("waiting for an answer")?;
            watch.lap();
        }
        Ok(watch.finish())
    })
}

/// Sends back what comes.
fn answer(mut stream: Stream, format: Format) -> Result<()> {
    let mut frame = vec![0; format.frame_bytes()];
    role::serve(|job| {
        for _ in 0..job.count {
            format.read_frame(&mut stream, &mut frame).context("waiting for a request")?;
            stream.write_all(&frame).context("sending an answer")?;
        }
        Ok(Measure::moved(job.count))
    })
}
