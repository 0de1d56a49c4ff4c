//! One writer, one reader. Small frames travel in batches of 64 KiB, large ones each by itself.

use super::wire::{Format, Stream, read_some};
use crate::measure::{Arrivals, Measure};
use crate::role;
use anyhow::{Context, Result};
use std::io::{self, Write};

/// What is written and read at once when frames are small.
const BATCH_BYTES: usize = 64 << 10;

pub(super) fn send(mut stream: Stream, format: Format) -> Result<()> {
    let body = vec![b'x'; format.body_bytes];
    let frame = format.frame();
    let mut batch = Vec::with_capacity(BATCH_BYTES);
    role::serve(|job| {
        if is_large(&format) {
            for _ in 0..job.count {
                stream.write_all(&frame).context("sending a large frame")?;
            }
        } else {
            for _ in 0..job.count {
                if batch.len() + format.frame_bytes() > BATCH_BYTES {
                    stream.write_all(&batch).context("sending a batch")?;
                    batch.clear();
                }
                format.encode(&body, &mut batch);
            }
            stream.write_all(&batch).context("sending the last batch")?;
            batch.clear();
        }
        Ok(Measure::moved(job.count))
    })
}

pub(super) fn receive(mut stream: Stream, format: Format) -> Result<()> {
    let mut frame = vec![0; format.frame_bytes()];
    let mut batch = Batch { buffer: vec![0; BATCH_BYTES], filled: 0 };
    role::serve(|job| {
        let mut arrivals = Arrivals::new(job.count);
        while arrivals.missing() > 0 {
            let count = if is_large(&format) {
                format.read_frame(&mut stream, &mut frame).map(|()| 1)
            } else {
                batch.read(&mut stream, &format)
            };
            arrivals.note(count.with_context(|| format!("{} frames are missing", arrivals.missing()))?);
        }
        Ok(arrivals.finish())
    })
}

fn is_large(format: &Format) -> bool {
    format.frame_bytes() > BATCH_BYTES / 2
}

/// A read buffer, with the beginning of a frame that is not complete yet.
struct Batch {
    buffer: Vec<u8>,
    filled: usize,
}

impl Batch {
    /// Reads once and counts the frames that are complete then.
    fn read(&mut self, stream: &mut Stream, format: &Format) -> io::Result<u64> {
        self.filled += read_some(stream, &mut self.buffer[self.filled..])?;
        let (mut count, mut at) = (0, 0);
        while let Some(length) = format.decode(&self.buffer[at..self.filled])? {
            if at + length > self.filled {
                break;
            }
            at += length;
            count += 1;
        }
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(count)
    }
}
