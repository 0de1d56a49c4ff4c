//! [`Receiving`]: what we get on a channel.

use super::super::credit::{Missing, Window};
use super::super::frame::{MuxError, UNKNOWN};
use super::spare::{Spare, keep_room, make_room};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;

/// What we get on a channel.
///
/// ```text
///            the peer's Finish                  Stop is sent
///   Open ─────────────────────────▶ Finished ────────────────▶ Over
///     │ the program wants no more                               ▲
///     └──────▶ Unwanted ── Stop is sent, the peer's Finish ─────┘
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum RecvState {
    /// The peer sends.
    Open,
    /// It has said that it sends nothing more; it is to hear that we know.
    Finished,
    /// The program wants nothing more; the peer may not know yet.
    Unwanted {
        /// Stop was sent.
        told: bool,
        /// Finish has come.
        finished: bool,
    },
    /// Both sides know.
    Over,
}

/// See [`RecvState`].
#[derive(Debug)]
pub struct Receiving {
    pub(in crate::mux) state: RecvState,
    queue: VecDeque<Segment>,
    /// Messages that are whole in the queue, or were given up by the peer.
    ended: usize,
    /// The message that is coming.
    part: Option<Part>,
    pub(in crate::mux) window: Window,
    pub(in crate::mux) delivered: u64,
    /// A program waits for a whole message, or for anything.
    pub(in crate::mux) wanted: Wanted,
    /// The message at the front has been taken in part.
    streaming: bool,
    /// It waits for memory that only one may have.
    pub(in crate::mux) short: bool,
}

/// What a program waits for.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing.
    #[default]
    Nothing,
    /// A whole message.
    Whole,
    /// Bytes of one.
    Pieces,
}

#[derive(Debug)]
pub(super) struct Segment {
    bytes: Bytes,
    cost: u32,
    ends: Ends,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Ends {
    No,
    Whole,
    Aborted,
}

#[derive(Debug)]
struct Part {
    /// Bytes that are missing, if that is known.
    missing: Option<u64>,
    /// Bytes that came.
    came: u64,
}

/// What the program gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Take {
    /// A message.
    Message(Bytes),
    /// Bytes of the message at the front.
    Piece(Bytes),
    /// The message at the front is over; it was whole.
    End,
    /// The peer has given the message at the front up.
    Aborted,
    /// Nothing for now.
    Nothing,
    /// The message at the front is longer than what is taken whole; it can be taken in pieces.
    TooLarge,
    /// Nothing more will come.
    Finished,
}

/// Shorter bodies are copied while nobody waits for them: they would keep a much larger buffer.
const COPY_BYTES: usize = 8 * 1024;

impl Receiving {
    pub(in crate::mux) fn new(window: Window) -> Self {
        Self {
            state: RecvState::Open,
            queue: VecDeque::new(),
            ended: 0,
            part: None,
            window,
            delivered: 0,
            wanted: Wanted::Nothing,
            streaming: false,
            short: false,
        }
    }

    /// Whether what comes is kept.
    pub(in crate::mux) fn is_wanted(&self) -> bool {
        self.state == RecvState::Open
    }

    /// Messages that wait to be taken.
    pub(in crate::mux) fn messages(&self) -> usize {
        self.ended
    }

    /// Bytes that wait to be taken. Looks at each piece that does.
    pub(in crate::mux) fn bytes(&self) -> usize {
        self.queue.iter().map(|segment| segment.bytes.len()).sum()
    }

    /// Whether all that came is taken, and it was no part of a message.
    pub(in crate::mux) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.part.is_none()
    }

    /// Whether there is anything to take.
    pub(in crate::mux) fn has_any(&self) -> bool {
        !self.queue.is_empty()
    }

    fn push(&mut self, bytes: Bytes, cost: u64, ends: Ends) {
        let at_once = self.wanted != Wanted::Nothing && self.queue.is_empty();
        let bytes = match bytes.len() < COPY_BYTES && !at_once {
            true => Bytes::copy_from_slice(&bytes),
            false => bytes,
        };
        self.ended += usize::from(ends != Ends::No);
        self.delivered += u64::from(ends == Ends::Whole);
        self.queue.push_back(Segment { bytes, cost: cost as u32, ends });
    }

    /// A whole message. Whether somebody who waits is to be woken.
    pub(in crate::mux) fn message(&mut self, body: Bytes, cost: u64) -> Result<bool, MuxError> {
        if self.part.is_some() {
            return Err(MuxError::Unexpected("Message"));
        }
        self.push(body, cost, Ends::Whole);
        Ok(true)
    }

    pub(in crate::mux) fn begin(&mut self, length: u64, body: Bytes, cost: u64) -> Result<bool, MuxError> {
        if self.part.is_some() {
            return Err(MuxError::Unexpected("Begin"));
        }
        self.part = Some(Part { missing: (length != UNKNOWN).then_some(length), came: 0 });
        if length != UNKNOWN && length == body.len() as u64 {
            // It would have been a message.
            return Err(MuxError::BadField("length"));
        }
        self.piece(body, cost, true)
    }

    pub(in crate::mux) fn piece(&mut self, body: Bytes, cost: u64, first: bool) -> Result<bool, MuxError> {
        let Some(part) = &mut self.part else { return Err(MuxError::Unexpected("Piece")) };
        let bytes = body.len() as u64;
        if bytes == 0 && !first {
            return Err(MuxError::BadField("piece"));
        }
        part.came = part.came.saturating_add(bytes);
        let mut ends = Ends::No;
        if let Some(missing) = &mut part.missing {
            *missing = missing.checked_sub(bytes).ok_or(MuxError::BadField("length"))?;
            if *missing == 0 {
                ends = Ends::Whole;
                self.part = None;
            }
        }
        self.push(body, cost, ends);
        Ok(ends != Ends::No || self.wanted == Wanted::Pieces)
    }

    /// The end of a message of unknown length.
    pub(in crate::mux) fn end(&mut self, whole: bool) -> Result<(), MuxError> {
        match self.part.take() {
            Some(part) if part.missing.is_none() => {
                self.push(Bytes::new(), 0, if whole { Ends::Whole } else { Ends::Aborted });
                Ok(())
            }
            _ => Err(MuxError::Unexpected("End")),
        }
    }

    /// The peer sends nothing more.
    pub(in crate::mux) fn finish(&mut self) -> Result<(), MuxError> {
        match &mut self.state {
            RecvState::Open if self.part.is_some() => Err(MuxError::Unexpected("Finish")),
            RecvState::Open => {
                self.state = RecvState::Finished;
                Ok(())
            }
            RecvState::Unwanted { told: true, finished: false } => {
                self.state = RecvState::Over;
                Ok(())
            }
            RecvState::Unwanted { finished, .. } if !*finished => {
                *finished = true;
                Ok(())
            }
            _ => Err(MuxError::Unexpected("Finish")),
        }
    }

    /// The program wants nothing more; what waits is discarded. Whether the peer is to be told.
    pub(in crate::mux) fn refuse(&mut self) -> bool {
        self.discard();
        let open = self.state == RecvState::Open;
        if open {
            self.state = RecvState::Unwanted { told: false, finished: false };
        }
        open
    }

    /// Stop was sent.
    pub(in crate::mux) fn told_stop(&mut self) {
        self.state = match self.state {
            RecvState::Finished | RecvState::Unwanted { finished: true, .. } => RecvState::Over,
            RecvState::Unwanted { finished: false, .. } => {
                RecvState::Unwanted { told: true, finished: false }
            }
            state => state,
        };
    }

    pub(in crate::mux) fn discard(&mut self) {
        self.queue = VecDeque::new();
        (self.ended, self.part, self.streaming) = (0, None, false);
    }

    /// Nothing more comes: what is not whole is forgotten, unless the program has had pieces of it. What it has cost.
    pub(in crate::mux) fn cut(&mut self) -> u64 {
        self.part = None;
        if self.streaming && self.ended == 0 {
            return 0;
        }
        let whole =
            self.queue.iter().rposition(|segment| segment.ends != Ends::No).map_or(0, |last| last + 1);
        self.queue.drain(whole..).map(|segment| u64::from(segment.cost)).sum()
    }

    /// Whether a program waits for a message that it cannot have whole: it has to be told.
    pub(in crate::mux) fn refuses(&self, max: u64) -> bool {
        self.wanted == Wanted::Whole && self.is_too_large(max)
    }

    /// Whether the message at the front is longer than what is taken whole.
    fn is_too_large(&self, max: u64) -> bool {
        let Some(part) = self.part.as_ref().filter(|_| self.ended == 0) else { return false };
        part.missing.map_or(part.came, |missing| part.came.saturating_add(missing)) > max
    }

    /// What the message at the front still lacks, if somebody waits for all of it and can have it.
    pub(in crate::mux) fn lacks(&self, max: u64) -> Option<Missing> {
        if self.wanted != Wanted::Whole || self.ended > 0 || self.is_too_large(max) {
            return None;
        }
        let part = self.part.as_ref()?;
        Some(part.missing.map_or(Missing::Unknown { came: part.came }, Missing::Bytes))
    }

    /// The next message, whole; and what it has cost.
    #[inline]
    pub(in crate::mux) fn take_message(&mut self, max: u64) -> (Take, u64) {
        let mut cost = 0;
        while self.ended > 0 {
            let Some(segment) = self.queue.pop_front() else { break };
            if segment.ends == Ends::No && !self.streaming {
                match self.join(segment, max) {
                    // In a loop, since a peer may give up as many as it likes.
                    (Take::Aborted, more) => cost += more,
                    (take, more) => {
                        return (take, cost + more);
                    }
                }
                continue;
            }
            cost += u64::from(segment.cost);
            match segment.ends {
                Ends::Whole if !self.streaming => {
                    self.ended -= 1;
                    return (Take::Message(segment.bytes), cost);
                }
                // The rest of one of which the program has had pieces, and wants no more.
                Ends::No => {}
                Ends::Whole | Ends::Aborted => {
                    self.ended -= 1;
                    self.streaming = false;
                }
            }
        }
        if self.streaming {
            // The rest of it is not wanted, but has not come yet.
            for segment in self.queue.drain(..) {
                cost += u64::from(segment.cost);
            }
        }
        let take = match self.is_too_large(max) && !self.streaming {
            true => Take::TooLarge,
            false => self.nothing(),
        };
        (take, cost)
    }

    /// A message that came in pieces, and is whole or was given up; and what it has cost.
    fn join(&mut self, first: Segment, max: u64) -> (Take, u64) {
        let last = self.queue.iter().position(|segment| segment.ends != Ends::No).unwrap_or(0);
        let bytes =
            first.bytes.len() + self.queue.iter().take(last + 1).map(|s| s.bytes.len()).sum::<usize>();
        let is_whole = self.queue[last].ends == Ends::Whole;
        if is_whole && bytes as u64 > max {
            self.queue.push_front(first);
            return (Take::TooLarge, 0);
        }
        let mut cost = 0;
        let mut whole = Vec::with_capacity(if is_whole { bytes } else { 0 });
        let rest = self.queue.drain(..=last);
        for segment in core::iter::once(first).chain(rest) {
            cost += u64::from(segment.cost);
            if is_whole {
                whole.extend_from_slice(&segment.bytes);
            }
        }
        self.ended -= 1;
        (if is_whole { Take::Message(whole.into()) } else { Take::Aborted }, cost)
    }

    /// The next bytes of the message at the front.
    pub(in crate::mux) fn take_piece(&mut self) -> (Take, u64) {
        let Some(segment) = self.queue.front_mut() else { return (self.nothing(), 0) };
        let cost = u64::from(core::mem::take(&mut segment.cost));
        if !segment.bytes.is_empty() {
            let bytes = core::mem::take(&mut segment.bytes);
            if segment.ends == Ends::No {
                self.queue.pop_front();
            }
            self.streaming = true;
            return (Take::Piece(bytes), cost);
        }
        let ends = segment.ends;
        self.queue.pop_front();
        match ends {
            Ends::No => {
                // The beginning of a message without its first bytes: the program has nothing of it yet.
                let (take, more) = self.take_piece();
                (take, cost + more)
            }
            Ends::Whole | Ends::Aborted => {
                self.ended -= 1;
                self.streaming = false;
                (if ends == Ends::Whole { Take::End } else { Take::Aborted }, cost)
            }
        }
    }

    fn nothing(&self) -> Take {
        match self.state {
            RecvState::Open => Take::Nothing,
            RecvState::Finished | RecvState::Unwanted { .. } | RecvState::Over => Take::Finished,
        }
    }

    pub(in crate::mux) fn keep_room(&mut self, spare: &mut Spare) {
        keep_room(&mut self.queue, &mut spare.segments);
    }

    pub(in crate::mux) fn make_room(&mut self, spare: &mut Spare) {
        make_room(&mut self.queue, &mut spare.segments);
    }

    /// Panics when the account does not add up.
    pub(in crate::mux) fn check_invariants(&self) {
        let cost: u64 = self.queue.iter().map(|segment| u64::from(segment.cost)).sum();
        assert_eq!(cost, self.window.waiting(), "what waits was paid for");
        let ended = self.queue.iter().filter(|segment| segment.ends != Ends::No).count();
        assert_eq!(self.ended, ended, "messages that are over");
    }
}
