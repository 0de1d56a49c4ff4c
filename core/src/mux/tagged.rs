//! The tagged layout: the framing of multiplexers that know nothing but an id and a message.
//!
//! ```text
//! frame     id length u8 | id | data length u32 | data          one frame is one message
//!
//!  bytes ─▶ Cutter ─▶ Tagged: by id into queues ─▶ recv          Outgoing ─▶ bytes
//! ```
//!
//! | file | what it decides |
//! | --- | --- |
//! | `tagged` | [`Tagged`]: who receives what, and what happens to those who receive too slowly |
//! | [`cutter`] | frames out of bytes, however these were cut |
//! | [`outgoing`] | what waits to be written |
//! | `options` | every bound |
//! | `told` | what is told: effects, what receivers find, how it ended, what was counted |
//!
//! `docs/tagged-wire.md` tells the bytes, and what cannot be had with them.

pub mod cutter;
#[cfg(any(test, feature = "script"))]
pub mod life;
mod options;
pub mod outgoing;
#[cfg(test)]
mod tests;
mod told;

pub use cutter::{Cutter, Frame, MAX_ID_BYTES, TooLarge, encode_head};
pub use options::{Overflow, TaggedOptions};
pub use outgoing::{Outgoing, Refused};
pub use told::{Discarded, Effect, End, OpenError, Received, TaggedStats};

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use core::mem;

/// Who receives what of a tagged connection.
///
/// A message goes to whoever has opened its id, else to whoever has opened the empty id, else it is
/// discarded.
///
/// ```text
///  open ─▶ Open ── a message without room, Overflow::End ──▶ Overflowed ── close ──▶ forgotten
///           │  └──────────────────── close ─────────────────────────────────────────────▲
///           └── end of the connection: what waits is received, then its end
/// ```
///
/// Effects go into the `Vec` of each call.
#[derive(Debug)]
pub struct Tagged {
    options: TaggedOptions,
    cutter: Cutter,
    routes: BTreeMap<Route, Queue>,
    by_id: BTreeMap<Bytes, Route>,
    /// Of all queues, as on the wire.
    queued_bytes: usize,
    /// For this there is no room, and no more is read.
    stalled: Option<(Route, Frame)>,
    /// The peer sends no more.
    is_over: bool,
    end: Option<End>,
    last_route: u64,
    stats: TaggedStats,
}

/// The number of an id that is open; never used again.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route(u64);

#[derive(Debug)]
struct Queue {
    id: Bytes,
    state: QueueState,
    waiting: VecDeque<Frame>,
    /// As on the wire.
    bytes: usize,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum QueueState {
    Open,
    Overflowed { discarded: u64 },
}

impl Tagged {
    /// Of a connection that has just begun.
    pub fn new(options: TaggedOptions) -> Self {
        let options = options.clamped();
        Self {
            cutter: Cutter::new(options.max_message_bytes),
            options,
            routes: BTreeMap::new(),
            by_id: BTreeMap::new(),
            queued_bytes: 0,
            stalled: None,
            is_over: false,
            end: None,
            last_route: 0,
            stats: TaggedStats::default(),
        }
    }

    /// Messages with this id, or with any that nobody has opened if it is empty, are received here from now
    /// on.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&mut self, id: &[u8]) -> Result<Route, OpenError> {
        if let Some(end) = self.end {
            return Err(OpenError::Ended(end));
        }
        if id.len() > MAX_ID_BYTES {
            return Err(OpenError::TooLong);
        }
        if self.by_id.contains_key(id) {
            return Err(OpenError::InUse);
        }
        if self.routes.len() >= self.options.max_ids {
            return Err(OpenError::TooMany);
        }
        self.last_route += 1;
        let (route, id) = (Route(self.last_route), Bytes::copy_from_slice(id));
        self.by_id.insert(id.clone(), route);
        let queue = Queue { id, state: QueueState::Open, waiting: VecDeque::new(), bytes: 0 };
        self.routes.insert(route, queue);
        Ok(route)
    }

    /// Nobody receives here any more. What waits is discarded.
    pub fn close(&mut self, route: Route, fx: &mut Vec<Effect>) {
        let Some(queue) = self.routes.remove(&route) else { return };
        self.by_id.remove(&queue.id);
        self.queued_bytes -= queue.bytes;
        for frame in queue.waiting {
            self.discard(frame.id, Discarded::Closed, fx);
        }
        if let Some((_, frame)) = self.stalled.take_if(|(on, _)| *on == route) {
            self.discard(frame.id, Discarded::Closed, fx);
            self.resume(fx);
        } else {
            self.unstall(fx);
        }
    }

    /// Whether bytes may be fed.
    pub fn wants_bytes(&self) -> bool {
        self.end.is_none() && !self.is_over && self.stalled.is_none()
    }

    /// Bytes that were read, when it [`wants_bytes`](Self::wants_bytes).
    pub fn feed(&mut self, bytes: Bytes, fx: &mut Vec<Effect>) {
        debug_assert!(self.wants_bytes(), "fed while nothing was wanted");
        self.cutter.feed(bytes);
        self.pump(fx);
    }

    /// The buffer of a large message and how many bytes it lacks: read at most so many into it instead of
    /// feeding, and [give it back](Self::give_direct) in any case. It may be read into without holding a
    /// lock: meanwhile nothing else is to be fed.
    pub fn take_direct(&mut self) -> Option<(Vec<u8>, usize)> {
        if !self.wants_bytes() {
            return None;
        }
        self.cutter.direct().map(|(data, missing)| (mem::take(data), missing))
    }

    /// Gives the buffer back, with what was read.
    pub fn give_direct(&mut self, data: Vec<u8>, fx: &mut Vec<Effect>) {
        // In the meantime the connection may have ended.
        if self.end.is_none() {
            self.cutter.restore(data);
            self.pump(fx);
        }
    }

    /// The peer sends no more.
    pub fn over(&mut self, fx: &mut Vec<Effect>) {
        self.is_over = true;
        self.pump(fx);
    }

    /// The connection has ended. What waits may still be received; what was not yet in a queue is discarded.
    pub fn finish(&mut self, end: End, fx: &mut Vec<Effect>) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(end);
        if let Some((_, frame)) = self.stalled.take() {
            self.discard(frame.id, Discarded::Closed, fx);
        }
        while let Ok(Some(frame)) = self.cutter.next() {
            self.count(&frame);
            self.discard(frame.id, Discarded::Closed, fx);
        }
        self.cutter = Cutter::new(self.options.max_message_bytes);
        fx.push(Effect::Ended(end));
    }

    /// Takes what a receiver finds.
    pub fn recv(&mut self, route: Route, fx: &mut Vec<Effect>) -> Received {
        let Some(queue) = self.routes.get_mut(&route) else { return Received::Ended(End::Closed) };
        if let Some(frame) = queue.waiting.pop_front() {
            queue.bytes -= frame.wire_bytes();
            self.queued_bytes -= frame.wire_bytes();
            self.stats.received += 1;
            self.unstall(fx);
            return Received::Message(frame);
        }
        match (queue.state, self.end) {
            (QueueState::Overflowed { discarded }, _) => Received::Overflowed { discarded },
            (QueueState::Open, Some(end)) => Received::Ended(end),
            (QueueState::Open, None) => Received::Nothing,
        }
    }

    /// Puts into the queues what has come and finds room.
    pub fn pump(&mut self, fx: &mut Vec<Effect>) {
        while self.end.is_none() && self.stalled.is_none() {
            match self.cutter.next() {
                Ok(Some(frame)) => {
                    self.count(&frame);
                    self.route(frame, fx);
                }
                Ok(None) if !self.is_over => return,
                Ok(None) if self.cutter.at_boundary() => self.finish(End::Peer, fx),
                Ok(None) => self.finish(End::Cut, fx),
                Err(error) => self.finish(End::TooLarge(error), fx),
            }
        }
    }

    /// How it ended.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Ids that are open.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Messages that wait for a receiver.
    pub fn waiting(&self, route: Route) -> usize {
        self.routes.get(&route).map_or(0, |queue| queue.waiting.len())
    }

    /// Bytes that are held: for receivers, and of a message that has come in part.
    pub fn held_bytes(&self) -> usize {
        let stalled = self.stalled.as_ref().map_or(0, |(_, frame)| frame.wire_bytes());
        self.queued_bytes + stalled + self.cutter.held_bytes()
    }

    /// What was counted.
    pub fn stats(&self) -> TaggedStats {
        self.stats
    }

    fn count(&mut self, frame: &Frame) {
        self.stats.messages += 1;
        self.stats.bytes += frame.wire_bytes() as u64;
    }

    /// To whom a message goes.
    fn route(&mut self, frame: Frame, fx: &mut Vec<Effect>) {
        let by_id = |id: &[u8]| self.by_id.get(id).copied();
        let Some(route) = by_id(&frame.id).or_else(|| by_id(b"")) else {
            return self.discard(Bytes::copy_from_slice(&frame.id), Discarded::NobodyReceives, fx);
        };
        let queue = self.routes.get_mut(&route).expect("an id leads to its queue");
        // The id that is kept here, or a copy: a few bytes must not pin the buffer that they were read into.
        let is_own = queue.id == frame.id;
        let id = if is_own { queue.id.clone() } else { Bytes::copy_from_slice(&frame.id) };
        let frame = Frame { id, data: frame.data };
        if let QueueState::Overflowed { discarded } = &mut queue.state {
            *discarded += 1;
            return self.discard(frame.id, Discarded::Overflowed, fx);
        }
        if self.has_room(route, frame.wire_bytes()) {
            return self.queue(route, frame, fx);
        }
        match self.options.overflow {
            Overflow::End => {
                let queue = self.routes.get_mut(&route).expect("it was there above");
                queue.state = QueueState::Overflowed { discarded: 1 };
                fx.push(Effect::Overflowed(route));
                self.discard(frame.id, Discarded::Overflowed, fx);
            }
            Overflow::Stall => {
                self.stats.stalls += 1;
                self.stalled = Some((route, frame.unpinned()));
                fx.push(Effect::Stalled(route));
            }
            Overflow::Discard => self.discard(frame.id, Discarded::NoRoom, fx),
        }
    }

    fn has_room(&self, route: Route, wire_bytes: usize) -> bool {
        let queue = &self.routes[&route];
        let own = queue.bytes + wire_bytes;
        let fits = queue.waiting.is_empty()
            || (queue.waiting.len() < self.options.recv_messages && own <= self.options.recv_bytes);
        let share = self.options.total_bytes / self.options.max_ids;
        fits && (self.queued_bytes + wire_bytes <= self.options.total_bytes || own <= share)
    }

    fn queue(&mut self, route: Route, frame: Frame, fx: &mut Vec<Effect>) {
        let queue = self.routes.get_mut(&route).expect("callers have looked it up");
        queue.bytes += frame.wire_bytes();
        self.queued_bytes += frame.wire_bytes();
        queue.waiting.push_back(frame.unpinned());
        fx.push(Effect::Ready(route));
    }

    /// There may be room for what reading waits for.
    fn unstall(&mut self, fx: &mut Vec<Effect>) {
        let fits = |(route, frame): &(Route, Frame)| self.has_room(*route, frame.wire_bytes());
        if self.stalled.as_ref().is_some_and(fits) {
            let (route, frame) = self.stalled.take().expect("it fits");
            self.queue(route, frame, fx);
            self.resume(fx);
        }
    }

    fn resume(&mut self, fx: &mut Vec<Effect>) {
        self.pump(fx);
        if self.stalled.is_none() {
            fx.push(Effect::Resumed);
        }
    }

    /// The one place where a message is discarded.
    fn discard(&mut self, id: Bytes, why: Discarded, fx: &mut Vec<Effect>) {
        let stats = &mut self.stats;
        *match why {
            Discarded::NobodyReceives => &mut stats.nobody_receives,
            Discarded::NoRoom => &mut stats.no_room,
            Discarded::Overflowed => &mut stats.overflowed,
            Discarded::Closed => &mut stats.closed,
        } += 1;
        match fx.last_mut() {
            Some(Effect::Discarded { id: last, why: same, messages }) if *last == id && *same == why => {
                *messages += 1;
            }
            _ => fx.push(Effect::Discarded { id, why, messages: 1 }),
        }
    }

    /// Panics when the account does not add up. For tests and fuzzers.
    pub fn check_invariants(&self) {
        assert!(self.routes.len() <= self.options.max_ids);
        assert_eq!(self.routes.len(), self.by_id.len());
        let (mut bytes, mut waiting) = (0, 0);
        let share = self.options.total_bytes / self.options.max_ids;
        for (route, queue) in &self.routes {
            assert_eq!(self.by_id.get(&queue.id), Some(route));
            assert_eq!(queue.bytes, queue.waiting.iter().map(Frame::wire_bytes).sum::<usize>());
            assert!(queue.waiting.len() <= self.options.recv_messages, "no more messages than may wait");
            assert!(queue.bytes <= self.options.recv_bytes || queue.waiting.len() == 1);
            bytes += queue.bytes;
            waiting += queue.waiting.len() as u64;
        }
        assert_eq!(bytes, self.queued_bytes);
        assert!(bytes <= self.options.total_bytes + share * self.options.max_ids, "no more bytes in all");
        if let Some((route, frame)) = &self.stalled {
            waiting += 1;
            assert!(self.options.overflow == Overflow::Stall && self.end.is_none());
            assert!(!self.has_room(*route, frame.wire_bytes()), "nobody waits while there is room");
        }
        assert!(!self.is_over || self.end.is_some() || self.stalled.is_some());
        let known = self.stats.received + self.stats.discarded() + waiting;
        assert_eq!(self.stats.messages, known, "no message is lost");
        self.cutter.check_invariants();
    }
}
