//! What the two ends of `mixed` have to agree on: singles that say when they were due, and a bulk that says
//! at its end how much it was.

use crate::{BULK_BYTES, pace};
use anyhow::{Result, anyhow};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// A single of so many bytes that was due then; at least 8.
pub fn single(bytes: usize, due: Instant) -> Vec<u8> {
    let mut body = pace::stamp(due).to_be_bytes().to_vec();
    body.resize(bytes.max(8), b'x');
    body
}

/// How long ago the single that starts with this was due.
#[inline]
pub fn age(start: &[u8]) -> Duration {
    pace::since(number(start))
}

/// The end of a bulk of `count` messages.
pub fn end(count: u64) -> Vec<u8> {
    count.to_be_bytes().to_vec()
}

/// Counts a bulk.
#[derive(Debug, Default)]
pub struct Bulk(u64);

impl Bulk {
    /// A message of `length` bytes came, which starts with this. Breaks with how many there were; that is an
    /// error if the end says otherwise.
    #[inline]
    pub fn note(&mut self, length: usize, start: &[u8]) -> ControlFlow<Result<u64>> {
        if length == BULK_BYTES {
            self.0 += 1;
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(match (number(start), self.0) {
            (told, count) if told == count => Ok(count),
            (told, count) => Err(anyhow!("void: {count} of {told} bulk messages came")),
        })
    }
}

fn number(start: &[u8]) -> u64 {
    start.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_tells_its_age() {
        let ago = Duration::from_secs(5);
        let Some(due) = Instant::now().checked_sub(ago) else { return };
        let single = single(64, due);
        assert_eq!(single.len(), 64);
        assert!(!cfg!(unix) || age(&single) >= ago);
    }

    #[test]
    fn a_bulk_is_whole_or_an_error() {
        for (told, is_whole) in [(2, true), (3, false)] {
            let mut bulk = Bulk::default();
            assert!((0..2).all(|_| bulk.note(BULK_BYTES, b"xxxxxxxx").is_continue()));
            let ControlFlow::Break(count) = bulk.note(8, &end(told)) else { panic!("it has an end") };
            assert_eq!(count.is_ok(), is_whole);
        }
    }
}
