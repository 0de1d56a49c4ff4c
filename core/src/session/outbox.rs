//! [`Outbox`]: frames that wait to be written to one connection.

use crate::framing::sp::Framing;
use crate::message::Message;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use core::mem;

/// Frames that wait to be written, in order, and where each message ends.
///
/// Bodies up to 4 KiB are copied, many to a buffer, so that a burst leaves in one write; larger
/// ones are kept by reference. A writer takes everything as a [`Batch`], writes what the kernel
/// accepts *without holding any lock*, and settles the account; what was not written goes back to
/// the front. Until a frame is written whole, the whole frame is kept: if the connection is lost,
/// it is known to be undelivered and can go to somebody else.
///
/// The bound on what waits here is the pattern's business (its credit), not the outbox's.
///
/// ```text
///  push ─▶ segments ─ take ─▶ Batch ─ write(2) ─▶ settle(batch, written)
///              ▲                                        │ rest
///              └────────────────────────────────────────┘
/// ```
#[derive(Debug)]
pub struct Outbox {
    framing: Framing,
    segments: VecDeque<Segment>,
    /// Payload length of each message that is not written whole, oldest first.
    lengths: VecDeque<usize>,
    /// How many of `lengths` a writer has taken.
    taken: usize,
    /// Bytes of the oldest frame that are written already.
    head: usize,
    /// Bytes behind those that the last writer could not write and has to be given again, whatever happens.
    held: usize,
    /// Frame bytes in `segments`, less `head`.
    waiting: usize,
    /// There once something was written: many connections only ever receive.
    spare: Option<Box<Spare>>,
    /// Something was taken since the last [`trim`](Self::trim).
    used: bool,
}

/// A frame for an outbox.
#[derive(Debug)]
pub struct Outgoing<E> {
    /// All behind the length.
    pub message: Message,
    /// What ends with it.
    pub ends: E,
}

/// What is empty, and kept so that a stream of messages allocates nothing.
#[derive(Debug, Default)]
struct Spare {
    /// Two, since what a sender in a hurry piles up until it is written is a full buffer and a bit.
    buffers: [Vec<u8>; 2],
    list: VecDeque<Segment>,
}

#[derive(Debug)]
enum Segment {
    /// Small frames, and the prefixes and headers of large ones; `start` bytes are used up.
    Copied { bytes: Vec<u8>, start: usize },
    /// The body of a large message.
    Shared(Bytes),
}

/// Larger bodies are kept by reference. Copying 4 KiB costs about as much as one more entry in a
/// vectored write and the atomic counting of a reference.
pub const COPY_BYTES: usize = 4 * 1024;

/// A body of so much is written by itself, most likely.
const LARGE_BYTES: usize = 16 * 1024;

/// A buffer of small frames is not grown beyond this: one write's worth.
const SEGMENT_BYTES: usize = 64 * 1024;

/// A buffer no larger than this is kept while nothing happens, so that a quiet connection costs
/// little memory and a single message no allocation.
const QUIET_BYTES: usize = 512;

/// The same for the list of lengths.
const QUIET_LENGTHS: usize = 32;

/// Messages and payload bytes that were handed to the kernel.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Messages written whole.
    pub messages: usize,
    /// Their bytes, header included, without framing.
    pub bytes: usize,
}

/// Everything that waited, on its way to the kernel.
#[derive(Debug)]
pub struct Batch {
    segments: VecDeque<Segment>,
    /// Bytes at the front that are written already.
    skip: usize,
    /// Bytes behind those that have to come again.
    held: usize,
}

impl Segment {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Copied { bytes, start } => &bytes[*start..],
            Self::Shared(bytes) => bytes,
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Copied { start, .. } => *start += count,
            Self::Shared(bytes) => bytes.advance(count),
        }
    }
}

impl Outbox {
    /// An empty outbox for a stream in this framing.
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            segments: VecDeque::new(),
            lengths: VecDeque::new(),
            taken: 0,
            head: 0,
            held: 0,
            waiting: 0,
            spare: None,
            used: false,
        }
    }

    /// Appends a message. A large body is taken out of it, a small one is copied.
    #[inline]
    pub fn push(&mut self, message: &mut Message) {
        if self.push_head(message) {
            let body = mem::take(message.body_mut());
            self.segments.push_back(Segment::Shared(body));
        }
    }

    /// Appends a message that goes elsewhere as well. A large body is shared, a small one is copied.
    #[inline]
    pub fn push_copy(&mut self, message: &Message) {
        if self.push_head(message) {
            self.segments.push_back(Segment::Shared(message.body().clone()));
        }
    }

    /// Appends everything but a large body, and says whether that is still to come.
    #[inline]
    fn push_head(&mut self, message: &Message) -> bool {
        let length = message.len();
        let framing = self.framing;
        let prefix_bytes = framing.prefix_bytes();
        let large = message.body().len() > COPY_BYTES;
        let copied = prefix_bytes + message.header().len() + if large { 0 } else { message.body().len() };
        let buffer = self.buffer(copied);
        framing.append_prefix(length as u64, buffer);
        if !message.header().is_empty() {
            buffer.extend_from_slice(message.header().as_slice());
        }
        if !large {
            buffer.extend_from_slice(message.body());
        }
        self.lengths.push_back(length);
        self.waiting += prefix_bytes + length;
        large
    }

    /// The buffer that small frames are appended to, with room for `count` bytes.
    #[inline]
    fn buffer(&mut self, count: usize) -> &mut Vec<u8> {
        let fits = match self.segments.back() {
            Some(Segment::Copied { bytes, .. }) => bytes.len() + count <= SEGMENT_BYTES || bytes.is_empty(),
            _ => false,
        };
        if !fits {
            let bytes = self.spare.as_mut().map_or_else(Vec::new, |spare| {
                let [a, b] = &mut spare.buffers;
                mem::take(if a.capacity() < b.capacity() { b } else { a })
            });
            self.segments.push_back(Segment::Copied { bytes, start: 0 });
        }
        match self.segments.back_mut() {
            Some(Segment::Copied { bytes, .. }) => bytes,
            _ => unreachable!("pushed above"),
        }
    }

    /// Whether nothing waits and nothing is being written.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Messages not written whole, those being written included.
    #[inline]
    pub fn messages(&self) -> usize {
        self.lengths.len()
    }

    /// Bytes that a writer could take now.
    #[inline]
    pub fn waiting_bytes(&self) -> usize {
        self.waiting
    }

    /// Takes away the oldest message of which nothing is written or held, and returns its length. `None`
    /// when there is none, or a writer has it.
    pub fn drop_oldest(&mut self) -> Option<usize> {
        if self.taken > 0 {
            return None;
        }
        let prefix_bytes = self.framing.prefix_bytes();
        let (mut started, mut bytes) = (0, 0);
        while bytes < self.head + self.held {
            bytes += prefix_bytes + self.lengths.get(started)?;
            started += 1;
        }
        let length = *self.lengths.get(started)?;
        // Frames that are written in part have to stay: they are kept apart, in front.
        let kept = split_front(&mut self.segments, bytes);
        let spare = self.spare.get_or_insert_default();
        discard_front(&mut self.segments, prefix_bytes + length, spare);
        for segment in kept.into_iter().rev() {
            self.segments.push_front(segment);
        }
        self.lengths.remove(started);
        self.waiting -= prefix_bytes + length;
        Some(length)
    }

    /// Hands everything that waits to a writer. Nobody else may take until it is settled.
    pub fn take(&mut self) -> Batch {
        debug_assert_eq!(self.taken, 0, "one writer at a time");
        self.taken = self.lengths.len();
        self.waiting = 0;
        self.used = true;
        let list = self.spare.as_mut().map_or_else(VecDeque::new, |spare| mem::take(&mut spare.list));
        let segments = mem::replace(&mut self.segments, list);
        Batch { segments, skip: self.head, held: 0 }
    }

    /// The writer is back: `written` bytes of its batch went to the kernel.
    pub fn settle(&mut self, mut batch: Batch, written: usize) -> Flushed {
        let prefix_bytes = self.framing.prefix_bytes();
        let mut done = self.head + written;
        let mut whole = 0;
        let mut flushed = Flushed::default();
        while let Some(length) = self.lengths.front() {
            let frame = prefix_bytes + length;
            if flushed.messages == self.taken || done < frame {
                break;
            }
            done -= frame;
            whole += frame;
            flushed.messages += 1;
            flushed.bytes += length;
            self.lengths.pop_front();
        }
        let rest = self.taken - flushed.messages;
        self.taken = 0;
        self.head = done;
        self.held = batch.held;
        let spare = self.spare.get_or_insert_default();
        discard_front(&mut batch.segments, whole, spare);
        if rest == 0 {
            debug_assert!(batch.segments.is_empty() && self.head == 0);
            self.held = 0;
        } else {
            self.waiting += batch.segments.iter().map(|s| s.as_slice().len()).sum::<usize>() - self.head;
            batch.segments.append(&mut self.segments);
            mem::swap(&mut self.segments, &mut batch.segments);
        }
        spare.list = batch.segments;
        flushed
    }

    /// Gives back what a quiet connection does not need, unless it was used since the last call: growing
    /// anew costs a stream that only pauses some twenty allocations. Whether there is something to give
    /// back next time.
    pub fn trim(&mut self) -> bool {
        let is_large = |buffer: &Vec<u8>| buffer.capacity() > QUIET_BYTES;
        let buffers = self.spare.as_mut().map_or(&mut [][..], |spare| &mut spare.buffers);
        let large = buffers.iter().any(is_large) || self.lengths.capacity() > QUIET_LENGTHS;
        if !large || mem::take(&mut self.used) {
            return large;
        }
        for buffer in buffers.iter_mut().filter(|buffer| is_large(buffer)) {
            *buffer = Vec::new();
        }
        if self.lengths.is_empty() {
            self.lengths = VecDeque::new();
        }
        !self.lengths.is_empty()
    }

    /// The connection is lost: every message that was not written whole, oldest first. A batch that
    /// is still out has to be settled before.
    pub fn unsent(&mut self) -> Vec<Message> {
        debug_assert_eq!(self.taken, 0, "settle first");
        let mut messages = Vec::with_capacity(self.lengths.len());
        for length in mem::take(&mut self.lengths) {
            let mut frame = split_front(&mut self.segments, self.framing.prefix_bytes() + length);
            let body = match frame.pop_back() {
                Some(Segment::Shared(body)) if body.len() == length => body,
                last => {
                    // Small frames are one segment; a header in front of a large body is joined.
                    let mut bytes = Vec::with_capacity(self.framing.prefix_bytes() + length);
                    for segment in frame.iter().chain(&last) {
                        bytes.extend_from_slice(segment.as_slice());
                    }
                    Bytes::from(bytes).split_off(self.framing.prefix_bytes())
                }
            };
            messages.push(Message::new(body));
        }
        self.segments.clear();
        (self.head, self.held, self.waiting) = (0, 0, 0);
        messages
    }

    /// Panics when the account does not add up.
    pub fn check_invariants(&self) {
        assert!(self.taken <= self.lengths.len(), "taken messages are known");
        let held: usize = self.segments.iter().map(|s| s.as_slice().len()).sum();
        let frames: usize =
            self.lengths.iter().skip(self.taken).map(|l| l + self.framing.prefix_bytes()).sum();
        assert_eq!(held, frames, "every byte belongs to a frame");
        let head = if self.taken == 0 { self.head } else { 0 };
        assert_eq!(self.waiting + head, held, "waiting bytes");
        assert!(self.head == 0 || !self.lengths.is_empty(), "a head without a frame");
    }
}

impl Batch {
    /// The bytes to write, at most `max_bytes` of them in at most `out.len()` pieces. Fills `out`
    /// from the front by way of `make` and returns how many pieces and bytes there are.
    pub fn slices<'a, T>(
        &'a self,
        out: &mut [T],
        max_bytes: usize,
        make: impl Fn(&'a [u8]) -> T,
    ) -> (usize, usize) {
        let (mut count, mut total, mut skip) = (0, 0, self.skip);
        for segment in &self.segments {
            let mut bytes = segment.as_slice();
            let skipped = skip.min(bytes.len());
            skip -= skipped;
            bytes = &bytes[skipped..];
            bytes = &bytes[..bytes.len().min(max_bytes - total)];
            if bytes.is_empty() {
                continue;
            }
            let Some(place) = out.get_mut(count) else { break };
            *place = make(bytes);
            count += 1;
            total += bytes.len();
        }
        (count, total)
    }

    /// Whether the next byte to write belongs to the body of a large message: it is not one of many that
    /// travel together.
    pub fn is_in_large(&self) -> bool {
        let mut skip = self.skip;
        for segment in &self.segments {
            let length = segment.as_slice().len();
            if skip < length {
                return matches!(segment, Segment::Shared(body) if body.len() >= LARGE_BYTES);
            }
            skip -= length;
        }
        false
    }

    /// The writer cannot take back the next `count` bytes, though it has not written them: they come again first,
    /// as they are.
    pub fn hold(&mut self, count: usize) {
        self.held = count;
    }

    /// `count` more bytes went to the kernel; the next [`slices`](Self::slices) starts behind them.
    pub fn advance(&mut self, count: usize) {
        self.skip += count;
    }
}

/// Takes `count` bytes off the front; the largest buffers that become empty are kept as spare ones.
fn discard_front(segments: &mut VecDeque<Segment>, mut count: usize, spare: &mut Spare) {
    while count > 0 {
        let Some(front) = segments.front_mut() else { return };
        let length = front.as_slice().len();
        if length > count {
            return front.advance(count);
        }
        count -= length;
        if let Some(Segment::Copied { mut bytes, .. }) = segments.pop_front() {
            let [a, b] = &mut spare.buffers;
            let smaller = if a.capacity() < b.capacity() { a } else { b };
            if bytes.capacity() > smaller.capacity() {
                bytes.clear();
                *smaller = bytes;
            }
        }
    }
}

/// Takes the first `count` bytes away, as segments of their own.
fn split_front(segments: &mut VecDeque<Segment>, mut count: usize) -> VecDeque<Segment> {
    let mut front = VecDeque::new();
    while count > 0 {
        let Some(mut segment) = segments.pop_front() else { break };
        let length = segment.as_slice().len();
        if length > count {
            let part = segment.as_slice()[..count].to_vec();
            segment.advance(count);
            segments.push_front(segment);
            segment = Segment::Copied { bytes: part, start: 0 };
        }
        count -= length.min(count);
        front.push_back(segment);
    }
    front
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes_of(batch: &Batch) -> Vec<u8> {
        let mut out = vec![&b""[..]; 1_000];
        let (count, total) = batch.slices(&mut out, usize::MAX, |bytes| bytes);
        let bytes = out[..count].concat();
        assert_eq!(bytes.len(), total);
        bytes
    }

    fn frame(framing: Framing, payload: &[u8]) -> Vec<u8> {
        let prefix = framing.encode_prefix(payload.len() as u64);
        [&prefix[..framing.prefix_bytes()], payload].concat()
    }

    #[test]
    fn small_bodies_are_copied_and_large_ones_are_not() {
        let mut outbox = Outbox::new(Framing::Tcp);
        let large = Bytes::from(vec![1; COPY_BYTES + 1]);
        let place = large.as_ptr();
        outbox.push(&mut Message::from("small"));
        outbox.push(&mut Message::new(large));
        let batch = outbox.take();
        let mut out = [&b""[..]; 4];
        let (count, _) = batch.slices(&mut out, usize::MAX, |bytes| bytes);
        assert_eq!(count, 2, "prefixes join the bytes before them");
        assert_eq!(out[1].as_ptr(), place);
    }

    #[test]
    fn what_was_not_written_whole_is_unsent() {
        let mut outbox = Outbox::new(Framing::Ipc);
        let large = vec![7; 9_000];
        outbox.push(&mut "first".into());
        outbox.push(&mut Message::with_header(&[1, 2, 3, 4][..], large.clone()));
        outbox.push(&mut "third".into());
        let batch = outbox.take();
        assert_eq!(outbox.settle(batch, 9 + 5 + 100), Flushed { messages: 1, bytes: 5 });
        outbox.check_invariants();
        let unsent: Vec<Vec<u8>> = outbox.unsent().into_iter().map(|m| m.body().to_vec()).collect();
        assert_eq!(unsent, [[&[1, 2, 3, 4][..], &large].concat(), b"third".to_vec()]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_message_on_the_wire_is_never_dropped() {
        let mut outbox = Outbox::new(Framing::Tcp);
        for body in ["aa", "bb", "cc"] {
            outbox.push(&mut body.into());
        }
        let batch = outbox.take();
        assert_eq!(outbox.drop_oldest(), None, "a writer has them");
        outbox.settle(batch, 3);
        assert_eq!(outbox.drop_oldest(), Some(2));
        outbox.check_invariants();
        let rest = bytes_of(&outbox.take());
        let whole = [frame(Framing::Tcp, b"aa"), frame(Framing::Tcp, b"cc")].concat();
        assert_eq!(rest, whole[3..]);
    }

    #[test]
    fn a_message_that_a_writer_holds_is_never_dropped() {
        let mut outbox = Outbox::new(Framing::Tcp);
        for body in ["aa", "bb", "cc", "dd"] {
            outbox.push(&mut body.into());
        }
        let [aa, bb, dd] = ["aa", "bb", "dd"].map(|body| frame(Framing::Tcp, body.as_bytes()));
        let mut batch = outbox.take();
        // 3 bytes have left; the next 8 are sealed, and end within the second frame.
        batch.hold(8);
        outbox.settle(batch, 3);
        assert_eq!(outbox.drop_oldest(), Some(2));
        outbox.check_invariants();
        let batch = outbox.take();
        assert_eq!(bytes_of(&batch), [aa, bb, dd.clone()].concat()[3..]);
        // What was held has left: nothing is held any more.
        outbox.settle(batch, 17);
        assert_eq!((outbox.drop_oldest(), outbox.drop_oldest()), (Some(2), None));
        outbox.check_invariants();
        outbox.push(&mut "dd".into());
        assert_eq!(bytes_of(&outbox.take()), dd);
    }

    #[test]
    fn a_steady_stream_reuses_its_buffers() {
        let mut outbox = Outbox::new(Framing::Tcp);
        outbox.push(&mut "x".into());
        let batch = outbox.take();
        outbox.settle(batch, 9);
        let places = |outbox: &Outbox| outbox.spare.as_ref().unwrap().buffers.each_ref().map(Vec::as_ptr);
        let before = places(&outbox);
        for _ in 0..10 {
            outbox.push(&mut "x".into());
            let batch = outbox.take();
            outbox.settle(batch, 9);
            assert_eq!(places(&outbox), before);
        }
    }

    #[test]
    fn bodies_up_to_four_kib_share_buffers_of_sixty_four() {
        let pieces = |bodies: &[usize]| {
            let mut outbox = Outbox::new(Framing::Tcp);
            for body in bodies {
                outbox.push(&mut Message::with_header(&[7; 8][..], vec![7; *body]));
            }
            let batch = outbox.take();
            batch.slices(&mut [&b""[..]; 40], usize::MAX, |bytes| bytes).0
        };
        assert_eq!((pieces(&[4_096]), pieces(&[4_097])), (1, 2), "one is kept by reference");
        // With its prefix and its header, each is a sixteenth of a buffer.
        assert_eq!((pieces(&[4_080; 16]), pieces(&[4_080; 17])), (1, 2));
    }

    #[test]
    fn a_writer_may_take_several_turns_with_a_batch() {
        let mut outbox = Outbox::new(Framing::Tcp);
        outbox.push(&mut "abc".into());
        let mut batch = outbox.take();
        batch.advance(8);
        assert_eq!(bytes_of(&batch), b"abc");
        batch.advance(1);
        assert_eq!(bytes_of(&batch), b"bc");
        assert_eq!(outbox.settle(batch, 9), Flushed::default());
        assert_eq!(bytes_of(&outbox.take()), b"bc");
    }

    #[test]
    fn a_batch_knows_when_it_is_within_a_large_body() {
        let batch_of = |size: usize| {
            let mut outbox = Outbox::new(Framing::Tcp);
            outbox.push(&mut "small".into());
            outbox.push(&mut Message::new(vec![1; size]));
            outbox.push(&mut "small".into());
            outbox.take()
        };
        // What stands before the body: a frame of 13 bytes, and a prefix of 8.
        let is_in_large = |size: usize, written: usize| {
            let mut batch = batch_of(size);
            batch.advance(written);
            batch.is_in_large()
        };
        let written = [0, 20, 21, 21 + LARGE_BYTES - 1, 21 + LARGE_BYTES, 34 + LARGE_BYTES];
        assert_eq!(written.map(|at| is_in_large(LARGE_BYTES, at)), [false, false, true, true, false, false]);
        assert!(!is_in_large(LARGE_BYTES - 1, 21));
    }

    #[test]
    fn a_large_unsent_body_is_given_back_without_a_copy() {
        let mut outbox = Outbox::new(Framing::Tcp);
        let large = Bytes::from(vec![1; 5_000]);
        let place = large.as_ptr();
        outbox.push(&mut Message::new(large));
        outbox.push(&mut "behind it".into());
        assert_eq!(outbox.unsent()[0].body().as_ptr(), place);
    }

    #[test]
    fn a_quiet_outbox_keeps_little() {
        let mut outbox = Outbox::new(Framing::Tcp);
        for (before, after) in [(512, 512), (513, 0)] {
            outbox.spare.get_or_insert_default().buffers[0] = Vec::with_capacity(before);
            assert!(!outbox.trim());
            assert_eq!(outbox.spare.as_ref().unwrap().buffers[0].capacity(), after);
        }
        for (before, after) in [(32, 32), (33, 0)] {
            outbox.lengths = VecDeque::with_capacity(before);
            assert!(!outbox.trim());
            assert_eq!(outbox.lengths.capacity(), after);
        }
        outbox.lengths = VecDeque::with_capacity(33);
        outbox.push(&mut "x".into());
        assert!(outbox.trim());
        assert_eq!((outbox.messages(), outbox.lengths.capacity()), (1, 33));
    }

    #[test]
    fn a_stream_that_pauses_keeps_its_buffers() {
        let mut outbox = Outbox::new(Framing::Tcp);
        let spare_bytes = |outbox: &Outbox| {
            outbox.spare.iter().flat_map(|spare| &spare.buffers).map(Vec::capacity).sum::<usize>()
        };
        for _ in 0..2 {
            outbox.push(&mut Message::new(vec![0; 1_000]));
            let batch = outbox.take();
            outbox.settle(batch, 1_008);
            assert!(outbox.trim());
            assert!(spare_bytes(&outbox) > QUIET_BYTES);
        }
        assert!(!outbox.trim(), "nothing was sent since the last look");
        assert_eq!(spare_bytes(&outbox), 0);
    }

    #[test]
    fn the_largest_buffers_become_the_spare_ones() {
        for capacities in [[100, 50, 70], [50, 70, 100]] {
            let buffer = |capacity| {
                let mut bytes = Vec::with_capacity(capacity);
                bytes.push(7);
                Segment::Copied { bytes, start: 0 }
            };
            let mut spare = Spare::default();
            discard_front(&mut capacities.map(buffer).into(), 3, &mut spare);
            assert!(spare.buffers.iter().all(Vec::is_empty));
            assert_eq!(spare.buffers.iter().map(Vec::capacity).sum::<usize>(), 170);
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Push(usize, bool),
        Drop,
        Write(usize),
        PushWhileWriting(usize),
        Trim,
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let sizes = || prop_oneof![0_usize..50, 4_000_usize..9_000];
        let op = prop_oneof![
            4 => (sizes(), any::<bool>()).prop_map(|(n, h)| Op::Push(n, h)),
            1 => Just(Op::Drop),
            3 => (0_usize..20_000).prop_map(Op::Write),
            1 => sizes().prop_map(Op::PushWhileWriting),
            1 => Just(Op::Trim),
        ];
        prop::collection::vec(op, 0..60)
    }

    proptest! {
        /// Against a list of frames: the same bytes leave in the same order, whatever happens.
        #[test]
        fn the_wire_sees_exactly_the_frames_that_were_not_dropped(ops in ops(), ipc: bool) {
            let framing = if ipc { Framing::Ipc } else { Framing::Tcp };
            let mut outbox = Outbox::new(framing);
            let mut frames: Vec<Vec<u8>> = Vec::new();
            let mut head = 0;
            let mut held = 0;
            let mut next = 0_u8;
            let mut message = |size: usize, header: bool| {
                next = next.wrapping_add(1);
                let body = vec![next; size];
                let header = if header { vec![0x80, 0, 0, next] } else { vec![] };
                let payload = [header.clone(), body.clone()].concat();
                (Message::with_header(&header[..], body), frame(framing, &payload))
            };
            for op in ops {
                match op {
                    Op::Push(size, header) => {
                        let (mut m, f) = message(size, header);
                        outbox.push(&mut m);
                        frames.push(f);
                    }
                    Op::Drop => {
                        let (mut at, mut bytes) = (0, 0);
                        while bytes < head + held {
                            bytes += frames[at].len();
                            at += 1;
                        }
                        let dropped = outbox.drop_oldest();
                        prop_assert_eq!(dropped.is_some(), at < frames.len());
                        if dropped.is_some() {
                            frames.remove(at);
                        }
                    }
                    Op::Write(count) | Op::PushWhileWriting(count) => {
                        let mut batch = outbox.take();
                        let expected = frames.concat()[head..].to_vec();
                        prop_assert_eq!(&bytes_of(&batch), &expected);
                        if matches!(op, Op::PushWhileWriting(_)) {
                            let (mut m, f) = message(count, false);
                            outbox.push(&mut m);
                            frames.push(f);
                        }
                        let written = count.min(expected.len());
                        held = (expected.len() - written).min(count / 2);
                        batch.hold(held);
                        let flushed = outbox.settle(batch, written);
                        head += written;
                        let mut whole = 0;
                        while frames.first().is_some_and(|f| f.len() <= head) && whole < flushed.messages {
                            head -= frames.remove(0).len();
                            whole += 1;
                        }
                        prop_assert_eq!(whole, flushed.messages);
                        prop_assert!(frames.first().is_none_or(|f| f.len() > head));
                    }
                    Op::Trim => _ = outbox.trim(),
                }
                outbox.check_invariants();
                prop_assert_eq!(outbox.messages(), frames.len());
            }
            let payloads: Vec<Vec<u8>> = frames.iter().map(|f| f[framing.prefix_bytes()..].to_vec()).collect();
            let unsent: Vec<Vec<u8>> = outbox.unsent().into_iter().map(|m| m.body().to_vec()).collect();
            prop_assert_eq!(unsent, payloads);
        }
    }
}
