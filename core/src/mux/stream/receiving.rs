//! [`Receiving`]: what we get on a channel.

use super::super::credit::{Missing, Window};
use super::super::frame::{MuxError, UNKNOWN};
use super::super::id::Code;
use super::arrived::{Arrived, Ends, Part};
use super::spare::Spare;
use alloc::boxed::Box;
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
    /// What the peer is told when nothing more is wanted.
    pub(in crate::mux) stop_code: Code,
    /// There while something waits to be taken, or a message comes.
    arrived: Option<Box<Arrived>>,
    pub(in crate::mux) window: Window,
    pub(in crate::mux) delivered: u64,
    /// A program waits for a whole message, or for anything.
    pub(in crate::mux) wanted: Wanted,
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
            stop_code: Code::NONE,
            arrived: None,
            window,
            delivered: 0,
            wanted: Wanted::Nothing,
            short: false,
        }
    }

    /// Whether what comes is kept.
    pub(in crate::mux) fn is_wanted(&self) -> bool {
        self.state == RecvState::Open
    }

    /// Messages that wait to be taken.
    pub(in crate::mux) fn messages(&self) -> usize {
        self.arrived.as_ref().map_or(0, |arrived| arrived.ended)
    }

    /// Bytes that wait to be taken. Looks at each piece that does.
    pub(in crate::mux) fn bytes(&self) -> usize {
        self.arrived.as_ref().map_or(0, |arrived| arrived.bytes())
    }

    /// Whether all that came is taken, and it was no part of a message.
    pub(in crate::mux) fn is_idle(&self) -> bool {
        self.arrived.as_ref().is_none_or(|arrived| arrived.is_idle())
    }

    /// Whether there is anything to take.
    pub(in crate::mux) fn has_any(&self) -> bool {
        self.arrived.as_ref().is_some_and(|arrived| !arrived.is_empty())
    }

    fn part(&self) -> Option<&Part> {
        self.arrived.as_ref()?.part.as_ref()
    }

    fn push(&mut self, bytes: Bytes, cost: u64, ends: Ends) {
        let arrived = self.arrived.get_or_insert_default();
        let at_once = self.wanted != Wanted::Nothing && arrived.is_empty();
        let bytes = match bytes.len() < COPY_BYTES && !at_once {
            true => Bytes::copy_from_slice(&bytes),
            false => bytes,
        };
        self.delivered += u64::from(ends == Ends::Whole);
        arrived.push(bytes, cost, ends);
    }

    /// A whole message. Whether somebody who waits is to be woken.
    pub(in crate::mux) fn message(&mut self, body: Bytes, cost: u64) -> Result<bool, MuxError> {
        if self.part().is_some() {
            return Err(MuxError::Unexpected("Message"));
        }
        self.push(body, cost, Ends::Whole);
        Ok(true)
    }

    pub(in crate::mux) fn begin(&mut self, length: u64, body: Bytes, cost: u64) -> Result<bool, MuxError> {
        if self.part().is_some() {
            return Err(MuxError::Unexpected("Begin"));
        }
        let missing = (length != UNKNOWN).then_some(length);
        self.arrived.get_or_insert_default().part = Some(Part { missing, came: 0 });
        if length != UNKNOWN && length == body.len() as u64 {
            // It would have been a message.
            return Err(MuxError::BadField("length"));
        }
        self.piece(body, cost, true)
    }

    pub(in crate::mux) fn piece(&mut self, body: Bytes, cost: u64, first: bool) -> Result<bool, MuxError> {
        let Some(arrived) = &mut self.arrived else { return Err(MuxError::Unexpected("Piece")) };
        let Some(part) = &mut arrived.part else { return Err(MuxError::Unexpected("Piece")) };
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
                arrived.part = None;
            }
        }
        self.push(body, cost, ends);
        Ok(ends != Ends::No || self.wanted == Wanted::Pieces)
    }

    /// The end of a message of unknown length.
    pub(in crate::mux) fn end(&mut self, whole: bool) -> Result<(), MuxError> {
        match self.arrived.as_mut().and_then(|arrived| arrived.part.take()) {
            Some(part) if part.missing.is_none() => {
                self.push(Bytes::new(), 0, if whole { Ends::Whole } else { Ends::Aborted });
                Ok(())
            }
            _ => Err(MuxError::Unexpected("End")),
        }
    }

    /// The peer sends nothing more.
    pub(in crate::mux) fn finish(&mut self) -> Result<(), MuxError> {
        let is_coming = self.part().is_some();
        match &mut self.state {
            RecvState::Open if is_coming => Err(MuxError::Unexpected("Finish")),
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
        self.arrived = None;
    }

    /// Nothing more comes: what is not whole is forgotten, unless the program has had pieces of it. What it has cost.
    pub(in crate::mux) fn cut(&mut self) -> u64 {
        self.arrived.as_mut().map_or(0, |arrived| arrived.cut())
    }

    /// Whether a program waits for a message that it cannot have whole: it has to be told.
    pub(in crate::mux) fn refuses(&self, max: u64) -> bool {
        self.wanted == Wanted::Whole && self.arrived.as_ref().is_some_and(|arrived| arrived.is_too_large(max))
    }

    /// What the message at the front still lacks, if somebody waits for all of it and can have it.
    pub(in crate::mux) fn lacks(&self, max: u64) -> Option<Missing> {
        self.arrived.as_ref().filter(|_| self.wanted == Wanted::Whole)?.lacks(max)
    }

    /// The next message, whole; and what it has cost.
    #[inline]
    pub(in crate::mux) fn take_message(&mut self, max: u64) -> (Take, u64) {
        let taken = self.arrived.as_mut().map(|arrived| arrived.take_message(max));
        self.or_the_end(taken)
    }

    /// The next bytes of the message at the front.
    pub(in crate::mux) fn take_piece(&mut self) -> (Take, u64) {
        let taken = self.arrived.as_mut().map(|arrived| arrived.take_piece());
        self.or_the_end(taken)
    }

    /// Where there is nothing to take: whether that is all.
    #[inline]
    fn or_the_end(&self, taken: Option<(Take, u64)>) -> (Take, u64) {
        match taken {
            None => (self.nothing(), 0),
            Some((Take::Nothing, cost)) => (self.nothing(), cost),
            Some(taken) => taken,
        }
    }

    fn nothing(&self) -> Take {
        match self.state {
            RecvState::Open => Take::Nothing,
            RecvState::Finished | RecvState::Unwanted { .. } | RecvState::Over => Take::Finished,
        }
    }

    pub(in crate::mux) fn keep_room(&mut self, spare: &mut Spare) {
        spare.arrived.take_back(&mut self.arrived);
    }

    pub(in crate::mux) fn make_room(&mut self, spare: &mut Spare) {
        spare.arrived.lend(&mut self.arrived);
    }

    /// Panics when the account does not add up.
    pub(in crate::mux) fn check_invariants(&self) {
        let cost = self.arrived.as_ref().map_or(0, |arrived| arrived.check_invariants());
        assert_eq!(cost, self.window.waiting(), "what waits was paid for");
    }
}
