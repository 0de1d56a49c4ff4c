//! Ping-pong: one write and one read at each end, both blocking.

use super::wire::{Format, Stream};
use crate::measure::{Measure, Stopwatch};
use crate::role;
use anyhow::{Context, Result};
use std::io::Write;

/// Sends frames and waits for each to come back.
pub(super) fn ask(mut stream: Stream, format: Format) -> Result<()> {
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
pub(super) fn answer(mut stream: Stream, format: Format) -> Result<()> {
    let mut frame = vec![0; format.frame_bytes()];
    role::serve(|job| {
        for _ in 0..job.count {
            format.read_frame(&mut stream, &mut frame).context("waiting for a request")?;
            stream.write_all(&frame).context("sending an answer")?;
        }
        Ok(Measure::moved(job.count))
    })
}
