//! [`Gather`]: messages that come in pieces.

use crate::framing::link::{Head, LinkError, STREAMED};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;

/// Messages of which not all pieces are here.
///
/// One that is kept whole grows as its pieces come, never by its sender's claim. A streamed one holds no
/// more than its window; the window is widened as the program takes.
///
/// ```text
///   begin ─▶ Whole ── chunk* ── end ─▶ handed on             abort ─▶ forgotten
///   begin ─▶ Stream ── chunk* ── end, abort ─▶ ended ─ taken ─▶ done (Stop is told)
///              └─ dropped by the program (Stop is told) ── chunk* ── end, abort ─▶ forgotten
/// ```
#[derive(Debug, Default)]
pub struct Gather {
    parts: BTreeMap<u32, Part>,
    wholes: usize,
    streams: usize,
}

#[derive(Debug)]
enum Part {
    Whole {
        head: Head,
        length: u64,
        bytes: Vec<u8>,
    },
    Stream(Stream),
    /// The program does not want it; the peer does not know yet.
    Unwanted,
}

#[derive(Debug)]
struct Stream {
    pieces: VecDeque<Bytes>,
    window: u64,
    received: u64,
    taken: u64,
    told: u64,
    ended: Option<Ending>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Ending {
    Whole,
    Aborted,
}

/// What the program gets of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The next bytes.
    Data(Bytes),
    /// Nothing yet.
    Nothing,
    /// That was all.
    End,
    /// The rest will not come.
    Aborted,
}

/// Messages kept whole that may come at once: one of each priority.
pub const MAX_WHOLES: usize = 4;

/// What is allocated ahead for the first piece.
const FIRST_BYTES: u64 = 64 * 1024;

impl Gather {
    /// A message begins, kept whole or (with [`STREAMED`]) as a stream with this window.
    pub fn begin(
        &mut self,
        transfer: u32,
        head: Head,
        length: u64,
        max_streams: u16,
        window: u32,
    ) -> Result<(), LinkError> {
        if self.parts.contains_key(&transfer) {
            return Err(LinkError::BadField("transfer"));
        }
        let part = if length == STREAMED {
            if self.streams >= usize::from(max_streams) {
                return Err(LinkError::Unexpected("stream"));
            }
            self.streams += 1;
            let window = window.into();
            let pieces = VecDeque::new();
            Part::Stream(Stream { pieces, window, received: 0, taken: 0, told: window, ended: None })
        } else {
            if self.wholes >= MAX_WHOLES {
                return Err(LinkError::Unexpected("message in pieces"));
            }
            self.wholes += 1;
            Part::Whole { head, length, bytes: Vec::with_capacity(length.min(FIRST_BYTES) as usize) }
        };
        self.parts.insert(transfer, part);
        Ok(())
    }

    /// A piece. Whether it is for the program to take now.
    pub fn chunk(&mut self, transfer: u32, data: Bytes) -> Result<bool, LinkError> {
        match self.parts.get_mut(&transfer) {
            None => Err(LinkError::BadField("transfer")),
            Some(Part::Unwanted) => Ok(false),
            Some(Part::Whole { length, bytes, .. }) => {
                if data.len() as u64 > *length - bytes.len() as u64 {
                    return Err(LinkError::BadField("length"));
                }
                bytes.extend_from_slice(&data);
                Ok(false)
            }
            Some(Part::Stream(stream)) => {
                stream.received = stream.received.saturating_add(data.len() as u64);
                if stream.ended.is_some() || stream.received > stream.told {
                    return Err(LinkError::Unexpected("chunk"));
                }
                // Small pieces must not pin much larger buffers while nobody takes them.
                let small = data.len() <= SMALL_BYTES;
                stream.pieces.push_back(if small { Bytes::copy_from_slice(&data) } else { data });
                Ok(true)
            }
        }
    }

    /// The last piece has come: the message, if it is one that is kept whole.
    pub fn end(&mut self, transfer: u32) -> Result<Option<(Head, Bytes)>, LinkError> {
        match self.parts.remove(&transfer) {
            None => Err(LinkError::BadField("transfer")),
            Some(Part::Unwanted) => Ok(None),
            Some(Part::Whole { head, length, bytes }) => {
                self.wholes -= 1;
                match bytes.len() as u64 == length {
                    true => Ok(Some((head, bytes.into()))),
                    false => Err(LinkError::BadField("length")),
                }
            }
            Some(Part::Stream(stream)) => self.end_stream(transfer, stream, Ending::Whole),
        }
    }

    /// The rest will not come. The length of the message, if it was to be kept whole: it took credit.
    pub fn abort(&mut self, transfer: u32) -> Result<Option<u64>, LinkError> {
        match self.parts.remove(&transfer) {
            None => Err(LinkError::BadField("transfer")),
            Some(Part::Unwanted) => Ok(None),
            Some(Part::Whole { length, .. }) => {
                self.wholes -= 1;
                Ok(Some(length))
            }
            Some(Part::Stream(stream)) => self.end_stream(transfer, stream, Ending::Aborted),
        }
    }

    fn end_stream<T>(
        &mut self,
        transfer: u32,
        mut stream: Stream,
        how: Ending,
    ) -> Result<Option<T>, LinkError> {
        let twice = stream.ended.replace(how).is_some();
        self.parts.insert(transfer, Part::Stream(stream));
        match twice {
            true => Err(LinkError::BadField("transfer")),
            false => Ok(None),
        }
    }

    /// Takes a piece of a stream, whose end it forgets with the last one. The second is what the peer is to
    /// be told of its window.
    pub fn take(&mut self, transfer: u32) -> (Piece, Option<u64>) {
        let Some(Part::Stream(stream)) = self.parts.get_mut(&transfer) else { return (Piece::End, None) };
        let Some(piece) = stream.pieces.pop_front() else {
            return match stream.ended {
                None => (Piece::Nothing, None),
                Some(Ending::Whole) => (Piece::End, None),
                Some(Ending::Aborted) => (Piece::Aborted, None),
            };
        };
        stream.taken += piece.len() as u64;
        let free = stream.taken + stream.window;
        let worth = stream.ended.is_none() && free - stream.told >= stream.window.div_ceil(2);
        if worth {
            stream.told = free;
        }
        (Piece::Data(piece), worth.then_some(free))
    }

    /// The program wants no more of a stream, or has had all. Whether the peer is to be told.
    pub fn drop_stream(&mut self, transfer: u32) -> bool {
        match self.parts.remove(&transfer) {
            Some(Part::Stream(stream)) => {
                self.streams -= 1;
                if stream.ended.is_none() {
                    self.parts.insert(transfer, Part::Unwanted);
                }
                true
            }
            Some(other) => {
                self.parts.insert(transfer, other);
                false
            }
            None => false,
        }
    }

    /// Streams that have ended, or not, as the program sees them: nothing more will come of any.
    pub fn cut(&mut self) {
        for part in self.parts.values_mut() {
            if let Part::Stream(stream) = part {
                stream.ended.get_or_insert(Ending::Aborted);
            }
        }
        self.parts.retain(|_, part| matches!(part, Part::Stream(_)));
        self.wholes = 0;
    }

    /// Bytes that are held.
    pub fn held_bytes(&self) -> usize {
        self.parts.values().fold(0, |sum, part| {
            sum + match part {
                Part::Whole { bytes, .. } => bytes.capacity(),
                Part::Stream(stream) => stream.pieces.iter().map(Bytes::len).sum(),
                Part::Unwanted => 0,
            }
        })
    }

    /// Panics when the account does not add up.
    pub fn check_invariants(&self) {
        let wholes = self.parts.values().filter(|part| matches!(part, Part::Whole { .. })).count();
        let streams = self.parts.values().filter(|part| matches!(part, Part::Stream(_))).count();
        assert_eq!((self.wholes, self.streams), (wholes, streams));
        assert!(wholes <= MAX_WHOLES);
        for part in self.parts.values() {
            match part {
                Part::Whole { length, bytes, .. } => assert!(bytes.len() as u64 <= *length),
                Part::Stream(stream) => {
                    let held: usize = stream.pieces.iter().map(Bytes::len).sum();
                    assert!(held as u64 <= stream.window, "no more than its window");
                }
                Part::Unwanted => {}
            }
        }
    }
}

/// A piece of no more than this is copied.
const SMALL_BYTES: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head = Head::application(1, 2);

    #[test]
    fn pieces_become_the_message_they_were() {
        let mut gather = Gather::default();
        gather.begin(1, HEAD, 6, 0, 0).unwrap();
        assert_eq!(gather.chunk(1, "abc".into()), Ok(false));
        assert_eq!(gather.chunk(1, "def".into()), Ok(false));
        gather.check_invariants();
        assert_eq!(gather.end(1), Ok(Some((HEAD, "abcdef".into()))));
        assert_eq!(gather.end(1), Err(LinkError::BadField("transfer")));
        assert_eq!(gather.held_bytes(), 0);
    }

    #[test]
    fn a_length_is_a_promise_but_allocates_nothing() {
        let mut gather = Gather::default();
        gather.begin(1, HEAD, 1 << 60, 0, 0).unwrap();
        assert!(gather.held_bytes() <= 64 * 1024);
        gather.begin(2, HEAD, 2, 0, 0).unwrap();
        assert_eq!(gather.chunk(2, "abc".into()), Err(LinkError::BadField("length")));
        assert_eq!(gather.end(2), Err(LinkError::BadField("length")));
        assert_eq!(gather.abort(1), Ok(Some(1 << 60)));
    }

    #[test]
    fn no_more_come_at_once_than_may() {
        let mut gather = Gather::default();
        for transfer in 0..4 {
            gather.begin(transfer, HEAD, 10, 1, 8).unwrap();
        }
        assert!(gather.begin(4, HEAD, 10, 1, 8).is_err());
        assert_eq!(gather.begin(0, HEAD, STREAMED, 1, 8), Err(LinkError::BadField("transfer")));
        gather.begin(5, HEAD, STREAMED, 1, 8).unwrap();
        assert_eq!(gather.begin(6, HEAD, STREAMED, 1, 8), Err(LinkError::Unexpected("stream")));
        gather.check_invariants();
    }

    #[test]
    fn a_stream_never_holds_more_than_its_window() {
        let mut gather = Gather::default();
        gather.begin(1, HEAD, STREAMED, 1, 8).unwrap();
        assert_eq!(gather.take(1), (Piece::Nothing, None));
        for piece in ["abc", "defg", "h"] {
            assert_eq!(gather.chunk(1, piece.into()), Ok(true));
        }
        assert_eq!(gather.take(1), (Piece::Data("abc".into()), None));
        assert_eq!(gather.take(1), (Piece::Data("defg".into()), Some(15)));
        assert_eq!(gather.chunk(1, "ijklmno".into()), Ok(true), "seven were granted");
        gather.check_invariants();
        assert_eq!(gather.chunk(1, "p".into()), Err(LinkError::Unexpected("chunk")));
    }

    #[test]
    fn a_stream_that_is_dropped_is_read_over_until_its_sender_knows() {
        let mut gather = Gather::default();
        gather.begin(1, HEAD, STREAMED, 1, 8).unwrap();
        assert!(gather.drop_stream(1));
        gather.begin(2, HEAD, STREAMED, 1, 8).unwrap();
        assert_eq!(gather.chunk(1, "much more than its window".into()), Ok(false));
        assert!(!gather.drop_stream(1));
        assert_eq!(gather.abort(1), Ok(None));
        assert_eq!(gather.chunk(1, "x".into()), Err(LinkError::BadField("transfer")));
        // The other one ends by itself.
        gather.chunk(2, "y".into()).unwrap();
        assert_eq!(gather.end(2), Ok(None));
        assert!(gather.end(2).is_err());
        assert_eq!(gather.take(2).0, Piece::Data("y".into()));
        assert_eq!(gather.take(2).0, Piece::End);
        assert!(gather.drop_stream(2));
        assert!(!gather.drop_stream(2));
    }
}
