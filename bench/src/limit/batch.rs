//! Many small frames in one write, and out of one read.

use super::wire::{Format, Stream, read_some};
use anyhow::{Context, Result};
use std::io::{self, Write};

/// What is written and read at once when frames are small.
pub(super) const BATCH_BYTES: usize = 64 << 10;

/// Whether frames are so large that each travels by itself.
pub(super) fn is_large(format: &Format) -> bool {
    format.frame_bytes() > BATCH_BYTES / 2
}

/// Frames that wait to be written together.
#[derive(Debug)]
pub(super) struct Outgoing {
    stream: Stream,
    format: Format,
    bytes: Vec<u8>,
    most: usize,
}

impl Outgoing {
    /// Writes when `most` bytes have come together.
    pub(super) fn new(stream: Stream, format: Format, most: usize) -> Self {
        Self { stream, format, bytes: Vec::with_capacity(most), most }
    }

    /// Adds a frame, after writing the others if it has no room beside them.
    #[inline]
    pub(super) fn push(&mut self, body: &[u8]) -> Result<()> {
        if self.bytes.len() + self.format.frame_bytes() > self.most {
            self.flush()?;
        }
        self.format.encode(body, &mut self.bytes);
        Ok(())
    }

    /// Writes what is there.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.bytes).context("sending a batch")?;
        self.bytes.clear();
        Ok(())
    }
}

/// A read buffer, with the beginning of a frame that is not complete yet.
#[derive(Debug)]
pub(super) struct Incoming {
    buffer: Vec<u8>,
    filled: usize,
}

impl Incoming {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BATCH_BYTES], filled: 0 }
    }

    /// Reads once and counts the frames that are complete then.
    pub(super) fn read(&mut self, stream: &mut Stream, format: &Format) -> io::Result<u64> {
        self.read_each(stream, format, |_| {})
    }

    /// [`read`](Self::read), showing each frame.
    #[inline]
    pub(super) fn read_each(
        &mut self,
        stream: &mut Stream,
        format: &Format,
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<u64> {
        let (count, end) = self.fill(stream, format, &mut each)?;
        self.forget(end);
        Ok(count)
    }

    /// [`read`](Self::read), sending the frames back as they are.
    pub(super) fn read_and_echo(&mut self, stream: &mut Stream, format: &Format) -> io::Result<u64> {
        let (count, end) = self.fill(stream, format, &mut |_| {})?;
        stream.write_all(&self.buffer[..end])?;
        self.forget(end);
        Ok(count)
    }

    fn fill(
        &mut self,
        stream: &mut Stream,
        format: &Format,
        each: &mut impl FnMut(&[u8]),
    ) -> io::Result<(u64, usize)> {
        self.filled += read_some(stream, &mut self.buffer[self.filled..])?;
        let (mut count, mut at) = (0, 0);
        while let Some(length) = format.decode(&self.buffer[at..self.filled])? {
            if at + length > self.filled {
                break;
            }
            each(&self.buffer[at..at + length]);
            at += length;
            count += 1;
        }
        Ok((count, at))
    }

    fn forget(&mut self, end: usize) {
        self.buffer.copy_within(end..self.filled, 0);
        self.filled -= end;
    }
}
