//! [`Held`]: the writing half, and what the kernel did not take.

use super::halves::{Secured, failed};
use super::incoming::Session;
use super::machine::{RECORD_BYTES, Sealing};
use crate::transport::WriteHalf;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};

/// Records that were sealed and have not left. What is in them is the caller's until they have: it comes again, and
/// is reported when the record that it is in has left whole.
#[derive(Default)]
pub(super) struct Held {
    sealed: Vec<u8>,
    /// How much of it has left.
    sent: usize,
    /// Where each lot of records ends in `sealed`, and how much of the caller's is in it; the oldest first.
    lots: VecDeque<Lot>,
    /// The peer was told that nothing more will come.
    closed: bool,
}

#[derive(Copy, Clone)]
struct Lot {
    end: usize,
    plain: usize,
}

/// So much of the caller's is sealed for one write: enough for a large message with its head, and not too much for the
/// cache of the processor, from which the kernel takes it.
const WRITE_BYTES: usize = 8 * RECORD_BYTES;

thread_local! {
    static BUFFERS: RefCell<Buffers> = const { RefCell::new(Buffers::new()) };
}

/// What this thread seals into.
struct Buffers {
    sealed: Vec<u8>,
    /// Pieces that are smaller than a record, joined.
    joined: Vec<u8>,
    lots: Vec<Lot>,
}

impl Buffers {
    const fn new() -> Self {
        Self { sealed: Vec::new(), joined: Vec::new(), lots: Vec::new() }
    }
}

impl Held {
    /// How much of the caller's is in records that have not left whole.
    pub(super) fn plain_bytes(&self) -> usize {
        self.lots.iter().map(|lot| lot.plain).sum()
    }

    fn is_empty(&self) -> bool {
        self.sent == self.sealed.len()
    }

    /// Puts what reading has to say behind what is held.
    pub(super) fn add_replies(&mut self, session: &mut Session) {
        if session.replies.is_empty() {
            return;
        }
        self.sealed.append(&mut session.replies);
        session.replies = Vec::new();
        self.lots.push_back(Lot { end: self.sealed.len(), plain: 0 });
    }

    /// Writes what is held, as far as the kernel takes it. How much of the caller's has left whole.
    pub(super) fn flush(&mut self, inner: &dyn WriteHalf) -> io::Result<usize> {
        let mut reported = 0;
        while !self.is_empty() {
            match inner.try_write(&[IoSlice::new(&self.sealed[self.sent..])]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        while let Some(lot) = self.lots.front().filter(|lot| lot.end <= self.sent) {
            reported += lot.plain;
            self.lots.pop_front();
        }
        if self.is_empty() {
            *self = Self { closed: self.closed, ..Self::default() };
        }
        Ok(reported)
    }

    /// What [`WriteHalf::try_write`] says.
    pub(super) fn write(&mut self, secured: &Secured, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.is_empty() {
            let reported = self.flush(&*secured.inner)?;
            return match reported {
                0 if !self.is_empty() => Err(ErrorKind::WouldBlock.into()),
                // It was no more than a reply: the caller's comes now.
                0 => self.write_new(secured, pieces),
                // What was held came again, and has left.
                reported => Ok(reported),
            };
        }
        self.write_new(secured, pieces)
    }

    fn write_new(&mut self, secured: &Secured, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut source = Source { pieces, at: 0 };
        let mut reported = 0;
        BUFFERS.with_borrow_mut(|buffers| {
            while !source.is_empty() {
                let (used, plain) = seal(secured, &mut source, buffers)?;
                let sealed = &buffers.sealed[..used];
                let mut sent = 0;
                while sent < used {
                    match secured.inner.try_write(&[IoSlice::new(&sealed[sent..])]) {
                        Ok(0) => return Err(ErrorKind::WriteZero.into()),
                        Ok(count) => sent += count,
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error),
                    }
                }
                if sent == used {
                    reported += plain;
                    continue;
                }
                let (gone, kept) = split(&buffers.lots, sent);
                reported += gone.iter().map(|lot| lot.plain).sum::<usize>();
                self.sealed.extend_from_slice(&sealed[sent..]);
                self.lots.extend(kept.iter().map(|lot| Lot { end: lot.end - sent, ..*lot }));
                break;
            }
            match reported {
                0 if !self.is_empty() => Err(ErrorKind::WouldBlock.into()),
                reported => Ok(reported),
            }
        })
    }

    /// Says that nothing more will come, once.
    pub(super) fn close(&mut self, secured: &Secured) -> io::Result<()> {
        if !std::mem::replace(&mut self.closed, true) {
            let session = &mut *secured.session();
            self.add_replies(session);
            let mut sealing = Sealing { used: self.sealed.len(), buffer: &mut self.sealed };
            let result = session.close(&mut sealing);
            let used = sealing.used;
            self.sealed.truncate(used);
            result.map_err(failed)?;
            self.lots.push_back(Lot { end: self.sealed.len(), plain: 0 });
        }
        self.flush(&*secured.inner).map(drop)
    }
}

/// The lots that have left whole, and the others.
fn split(lots: &[Lot], sent: usize) -> (&[Lot], &[Lot]) {
    lots.split_at(lots.partition_point(|lot| lot.end <= sent))
}

/// Seals the next [`WRITE_BYTES`] of `source` into the buffer of this thread. How many bytes that became, and how many of
/// the caller's are in them.
fn seal(secured: &Secured, source: &mut Source<'_>, buffers: &mut Buffers) -> io::Result<(usize, usize)> {
    let Buffers { sealed, joined, lots } = buffers;
    lots.clear();
    let mut sealing = Sealing { buffer: sealed, used: 0 };
    let mut plain = 0;
    let session = &mut *secured.session();
    if !session.replies.is_empty() {
        let replies = std::mem::take(&mut session.replies);
        sealing.add(&replies);
        lots.push(Lot { end: sealing.used, plain: 0 });
    }
    while plain < WRITE_BYTES {
        let record = source.next(joined);
        if record.is_empty() {
            break;
        }
        session.seal(record, &mut sealing).map_err(failed)?;
        plain += record.len();
        lots.push(Lot { end: sealing.used, plain: record.len() });
    }
    Ok((sealing.used, plain))
}

/// The caller's pieces, on their way into records.
struct Source<'a> {
    pieces: &'a [IoSlice<'a>],
    /// How much of the first is sealed.
    at: usize,
}

impl<'a> Source<'a> {
    fn is_empty(&mut self) -> bool {
        self.front().is_empty()
    }

    /// What is left of the first piece that is not used up.
    fn front(&mut self) -> &'a [u8] {
        while let Some(piece) = self.pieces.first() {
            if self.at < piece.len() {
                return &piece[self.at..];
            }
            self.pieces = &self.pieces[1..];
            self.at = 0;
        }
        &[]
    }

    /// What the next record holds. A large piece ends with a record, so that a peer that has read as far as that has
    /// the whole of it; and only what is before its last full records is copied, together with the small pieces.
    fn next<'b>(&mut self, joined: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        let front = self.front();
        if front.len() >= RECORD_BYTES || self.pieces.len() <= 1 {
            let odd = front.len() % RECORD_BYTES;
            let record = &front[..if odd == 0 { front.len().min(RECORD_BYTES) } else { odd }];
            self.at += record.len();
            return record;
        }
        joined.clear();
        while joined.len() < RECORD_BYTES {
            let (front, room) = (self.front(), RECORD_BYTES - joined.len());
            let large = front.len() >= RECORD_BYTES;
            let count = if large { front.len() % RECORD_BYTES } else { front.len().min(room) };
            if count <= room {
                joined.extend_from_slice(&front[..count]);
                self.at += count;
            }
            if large || front.is_empty() {
                break;
            }
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_large_piece_ends_with_a_record_and_is_copied_little() {
        let (head, body) = ([1; 8], [vec![2; 65_536], vec![3; 40_000], vec![4; 10]]);
        let pieces: Vec<IoSlice<'_>> =
            body.iter().flat_map(|body| [IoSlice::new(&head), IoSlice::new(body)]).collect();
        let (mut source, mut joined) = (Source { pieces: &pieces, at: 0 }, Vec::new());
        let mut sizes = Vec::new();
        while !source.is_empty() {
            sizes.push(source.next(&mut joined).len());
        }
        let odd = 40_000 - 2 * RECORD_BYTES;
        assert_eq!(sizes[..5], [8, RECORD_BYTES, RECORD_BYTES, RECORD_BYTES, RECORD_BYTES]);
        assert_eq!(sizes[5..], [8 + odd, RECORD_BYTES, RECORD_BYTES, 18]);
    }

    proptest! {
        #[test]
        fn records_hold_all_pieces_in_order(
            sizes in prop::collection::vec(prop_oneof![0_usize..50, 10_000_usize..20_000, Just(16_384), Just(50_000)], 0..12),
        ) {
            let bytes: Vec<Vec<u8>> = sizes.iter().zip(1_u8..).map(|(size, mark)| vec![mark; *size]).collect();
            let pieces: Vec<IoSlice<'_>> = bytes.iter().map(|bytes| IoSlice::new(bytes)).collect();
            let (mut source, mut joined) = (Source { pieces: &pieces, at: 0 }, Vec::new());
            let mut all = Vec::new();
            while !source.is_empty() {
                let record = source.next(&mut joined);
                prop_assert!((1..=RECORD_BYTES).contains(&record.len()));
                all.extend_from_slice(record);
            }
            prop_assert_eq!(all, bytes.concat());
        }
    }
}
