//! [`Outgoing`]: what waits to be written in the tagged layout.

use super::TaggedOptions;
use super::cutter::{MAX_ID_BYTES, encode_head};
use alloc::collections::VecDeque;
use bytes::{Buf, Bytes, BytesMut};
use core::mem;

/// Messages that wait to be written, one behind the other: none is ever begun before the last one is written
/// whole.
///
/// Small messages are copied next to each other, large ones are kept by reference.
///
/// ```text
///  push ─▶ waiting ── written, in part ──▶ … ── written whole ─▶ gone: room for another one
///            └──────── the connection ends ─▶ abandoned
/// ```
#[derive(Debug)]
pub struct Outgoing {
    max_messages: usize,
    max_bytes: usize,
    max_message_bytes: usize,
    pieces: VecDeque<Bytes>,
    /// Behind the last piece.
    tail: BytesMut,
    /// What each message lacks, as on the wire.
    lacking: VecDeque<usize>,
    bytes: usize,
}

/// Why a message is not taken.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no room now.
    Full,
    /// It is larger than [`TaggedOptions::max_message_bytes`].
    TooLarge,
    /// The id has more than [`MAX_ID_BYTES`].
    IdTooLong,
}

/// Larger messages are not copied.
const SMALL_BYTES: usize = 4 * 1024;

/// As much is copied next to each other at most.
const TAIL_BYTES: usize = 64 * 1024;

impl Outgoing {
    /// Empty.
    pub fn new(options: &TaggedOptions) -> Self {
        let options = options.clone().clamped();
        Self {
            max_messages: options.send_messages,
            max_bytes: options.send_bytes,
            max_message_bytes: options.max_message_bytes,
            pieces: VecDeque::new(),
            tail: BytesMut::new(),
            lacking: VecDeque::new(),
            bytes: 0,
        }
    }

    /// A message joins those that wait.
    ///
    /// # Errors
    /// Why not; nothing has changed.
    pub fn push(&mut self, id: &[u8], data: &Bytes) -> Result<(), Refused> {
        if id.len() > MAX_ID_BYTES {
            return Err(Refused::IdTooLong);
        }
        if data.len() > self.max_message_bytes {
            return Err(Refused::TooLarge);
        }
        let before = self.tail.len();
        let wire_bytes = 1 + id.len() + 4 + data.len();
        let has_room = self.lacking.len() < self.max_messages && self.bytes + wire_bytes <= self.max_bytes;
        if !has_room && !self.lacking.is_empty() {
            return Err(Refused::Full);
        }
        if !encode_head(id, data.len(), &mut self.tail) {
            return Err(Refused::TooLarge);
        }
        debug_assert_eq!(self.tail.len() - before + data.len(), wire_bytes);
        if data.len() <= SMALL_BYTES {
            self.tail.extend_from_slice(data);
            if self.tail.len() >= TAIL_BYTES {
                self.seal();
            }
        } else {
            self.seal();
            self.pieces.push_back(data.clone());
        }
        self.lacking.push_back(wire_bytes);
        self.bytes += wire_bytes;
        Ok(())
    }

    /// What is to be written next, in order.
    pub fn pieces(&mut self) -> impl Iterator<Item = &Bytes> {
        self.seal();
        self.pieces.iter()
    }

    /// So many bytes of that were written. How many messages are written whole with them.
    pub fn written(&mut self, mut bytes: usize) -> usize {
        debug_assert!(bytes <= self.bytes, "no more than there was");
        self.seal();
        self.bytes -= bytes;
        let mut left = bytes;
        while let Some(piece) = self.pieces.front_mut().filter(|_| left > 0) {
            let part = left.min(piece.len());
            piece.advance(part);
            left -= part;
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        let mut messages = 0;
        while let Some(lacking) = self.lacking.front_mut() {
            if *lacking > bytes {
                *lacking -= bytes;
                break;
            }
            bytes -= *lacking;
            self.lacking.pop_front();
            messages += 1;
        }
        messages
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(mem::take(&mut self.tail).freeze());
        }
    }

    /// Messages that are not written whole.
    pub fn len(&self) -> usize {
        self.lacking.len()
    }

    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.lacking.is_empty()
    }

    /// Bytes that are not written.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes
    }

    /// Panics when the account does not add up. For tests and fuzzers.
    pub fn check_invariants(&self) {
        let bytes = self.pieces.iter().map(Bytes::len).sum::<usize>() + self.tail.len();
        assert_eq!((bytes, self.lacking.iter().sum::<usize>()), (self.bytes, self.bytes));
        assert!(self.lacking.len() <= self.max_messages, "no more than may wait");
        assert!(self.bytes <= self.max_bytes || self.lacking.len() == 1);
        assert!(!self.lacking.contains(&0) && !self.pieces.contains(&Bytes::new()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn outgoing(send_messages: usize, send_bytes: usize) -> Outgoing {
        let max_message_bytes = 100_000;
        let options =
            TaggedOptions { send_messages, send_bytes, max_message_bytes, ..TaggedOptions::default() };
        Outgoing::new(&options)
    }

    fn all(outgoing: &mut Outgoing) -> Vec<u8> {
        outgoing.pieces().flatten().copied().collect()
    }

    #[test]
    fn messages_stand_one_behind_the_other() {
        let mut outgoing = outgoing(10, 1_000);
        assert_eq!(outgoing.push(b"a", &"one".into()), Ok(()));
        assert_eq!(outgoing.push(b"", &"".into()), Ok(()));
        assert_eq!(all(&mut outgoing), b"\x01a\0\0\0\x03one\0\0\0\0\0");
        assert_eq!((outgoing.len(), outgoing.waiting_bytes()), (2, 14));
        assert_eq!(outgoing.written(8), 0);
        assert_eq!(all(&mut outgoing), b"e\0\0\0\0\0");
        assert_eq!((outgoing.written(1), outgoing.written(4), outgoing.written(1)), (1, 0, 1));
        assert!(outgoing.is_empty());
    }

    #[test]
    fn no_more_wait_than_may_but_one_always_may() {
        let mut outgoing = outgoing(2, 20);
        let large = Bytes::from(vec![7; 30]);
        assert_eq!(outgoing.push(b"a", &large), Ok(()));
        assert_eq!(outgoing.push(b"a", &"".into()), Err(Refused::Full));
        assert_eq!(outgoing.written(36), 1);
        assert_eq!(outgoing.push(b"a", &"".into()), Ok(()));
        assert_eq!(outgoing.push(b"a", &large), Err(Refused::Full));
        assert_eq!(outgoing.push(b"a", &"".into()), Ok(()));
        assert_eq!(outgoing.push(b"a", &"".into()), Err(Refused::Full), "there are two");
        outgoing.check_invariants();
    }

    #[test]
    fn what_the_layout_cannot_say_is_refused() {
        let mut outgoing = outgoing(2, 20);
        assert_eq!(outgoing.push(&[7; 256], &"".into()), Err(Refused::IdTooLong));
        assert_eq!(outgoing.push(b"", &vec![7; 100_001].into()), Err(Refused::TooLarge));
        assert!(outgoing.is_empty());
        assert_eq!(all(&mut outgoing), b"");
    }

    #[test]
    fn large_messages_are_not_copied() {
        let mut outgoing = outgoing(10, 100_000);
        let large = Bytes::from(vec![7; 5_000]);
        outgoing.push(b"a", &"x".into()).unwrap();
        outgoing.push(b"a", &large).unwrap();
        outgoing.push(b"a", &"y".into()).unwrap();
        let pieces: Vec<_> = outgoing.pieces().map(|piece| piece.as_ptr()).collect();
        assert_eq!((pieces.len(), pieces[1]), (3, large.as_ptr()));
    }

    proptest! {
        #[test]
        fn however_it_is_written_the_wire_sees_the_frames(
            messages in prop::collection::vec((0_usize..300, 0_usize..10_000, 1_usize..20_000), 1..30),
        ) {
            let mut outgoing = outgoing(5, 30_000);
            let (mut wire, mut expected) = (Vec::new(), Vec::new());
            let (mut taken, mut whole) = (0, 0);
            for (id, data, write) in messages {
                let (id, data) = (vec![1; id], Bytes::from(vec![2; data]));
                if outgoing.push(&id, &data).is_ok() {
                    taken += 1;
                    encode_head(&id, data.len(), &mut expected);
                    expected.extend_from_slice(&data);
                }
                outgoing.check_invariants();
                let bytes: Vec<u8> = outgoing.pieces().flatten().copied().take(write).collect();
                whole += outgoing.written(bytes.len());
                wire.extend(bytes);
                outgoing.check_invariants();
                prop_assert_eq!(whole + outgoing.len(), taken);
            }
            wire.extend(all(&mut outgoing));
            prop_assert_eq!(wire, expected);
        }
    }
}
