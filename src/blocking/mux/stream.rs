//! Messages of any length, in bounded memory: [`SendStream`] and [`RecvStream`].

use crate::mux as hands;
use crate::mux::StreamError;
use crate::rt::block_on;
use bytes::{Buf, Bytes};
use std::io;

/// See [`mux::SendStream`](crate::mux::SendStream). As [`Write`](io::Write): `flush` has nothing to do, as
/// nothing is kept back.
#[derive(Debug)]
pub struct SendStream {
    inner: hands::SendStream,
}

/// What one call of `Write::write` takes.
const PIECE_BYTES: usize = 64 * 1024;

impl SendStream {
    pub(super) fn new(inner: hands::SendStream) -> Self {
        Self { inner }
    }

    /// Sends more of it, without a copy; waits for room.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub fn write_chunk(&mut self, bytes: impl Into<Bytes>) -> Result<(), StreamError> {
        block_on(self.inner.write_chunk(bytes))
    }

    /// It is whole. Returns at once.
    pub fn finish(self) {
        self.inner.finish();
    }
}

impl io::Write for SendStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let piece = &buffer[..buffer.len().min(PIECE_BYTES)];
        block_on(self.inner.write_chunk(Bytes::copy_from_slice(piece)))?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// See [`mux::RecvStream`](crate::mux::RecvStream). An iterator over its pieces, or a [`Read`](io::Read).
#[derive(Debug)]
pub struct RecvStream {
    inner: hands::RecvStream,
    /// Of a piece that was read in part.
    rest: Bytes,
}

impl RecvStream {
    pub(super) fn new(inner: hands::RecvStream) -> Self {
        Self { inner, rest: Bytes::new() }
    }

    /// The next piece, `None` at the end.
    ///
    /// # Errors
    /// The sender gave it up, or the channel ended.
    pub fn read_chunk(&mut self) -> Result<Option<Bytes>, StreamError> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        block_on(self.inner.read_chunk())
    }
}

impl Iterator for RecvStream {
    type Item = Result<Bytes, StreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_chunk().transpose()
    }
}

impl io::Read for RecvStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.rest.is_empty() {
            match block_on(self.inner.read_chunk())? {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
