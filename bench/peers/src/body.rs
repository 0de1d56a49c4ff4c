//! What bodies are made of, and telling messages from probes.

use anyhow::{Result, bail};

/// A body to send.
pub(crate) fn filling(bytes: usize) -> Vec<u8> {
    vec![b'x'; bytes]
}

/// What is looked at of a body that came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) length: usize,
    /// The number of a pusher, or when a single was due, if it is one.
    pub(crate) start: [u8; 8],
}

impl Seen {
    /// Looks at a body of `length` bytes, of which `start` is the beginning or all.
    #[inline]
    pub(crate) fn new(length: usize, start: &[u8]) -> Self {
        Self { length, start: start.first_chunk().copied().unwrap_or_default() }
    }
}

/// Fails unless a body of `length` bytes is as long as what was sent.
#[inline]
pub(crate) fn check(length: usize, bytes: usize) -> Result<()> {
    if length != bytes {
        bail!("a body of {length} bytes arrived, not of {bytes}");
    }
    Ok(())
}

/// What a publisher sends until its first job. Few libraries can tell a publisher that everybody has
/// subscribed, so subscribers are ready when each of them got a probe. It differs from messages in length.
pub(crate) fn probe(bytes: usize) -> Vec<u8> {
    vec![b'?'; if bytes == 1 { 2 } else { 1 }]
}

/// Whether a body of `length` bytes is a message. `false` for a probe; fails for anything else.
#[inline]
pub(crate) fn is_message(length: usize, bytes: usize) -> Result<bool> {
    if length != bytes && length == probe(bytes).len() {
        return Ok(false);
    }
    check(length, bytes).map(|()| true)
}
