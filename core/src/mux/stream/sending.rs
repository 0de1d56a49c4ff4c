//! [`Sending`]: what we send on a channel.

use super::super::frame::{FRAME_COST, Frame, MuxError, UNKNOWN};
use super::super::id::Code;
use super::super::turns::Turn;
use super::spare::Spare;
use super::waiting::{Item, Waiting};
use alloc::boxed::Box;
use bytes::Bytes;

/// What we send on a channel.
///
/// ```text
///            finish              all is sent             the peer's Stop
///   Open ─────────────▶ Ending ───────────────▶ Ended ───────────────────▶ Over
///     │ the peer's Stop    │ the peer's Stop                                ▲
///     └────────────────────┴──▶ Stopped ──── Finish is sent ────────────────┘
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SendState {
    /// The program sends.
    Open,
    /// It has said that it sends nothing more; what waits is still sent.
    Ending,
    /// Finish was sent.
    Ended,
    /// The peer takes nothing more; Finish is still to be sent.
    Stopped,
    /// Both sides know.
    Over,
}

/// See [`SendState`].
#[derive(Debug)]
pub struct Sending {
    pub(in crate::mux) state: SendState,
    /// Why the peer takes nothing more.
    pub(in crate::mux) stopped: Option<Code>,
    /// There while something waits.
    waiting: Option<Box<Waiting>>,
    /// The program is in the middle of a message of unknown length.
    pub(in crate::mux) streaming: bool,
    sent: u64,
    allowed: u64,
    /// What the peer gives every channel.
    window: u32,
    /// Somebody waits for room.
    pub(in crate::mux) room_wanted: bool,
    /// Sent something since it was last asked.
    pub(in crate::mux) active: bool,
    /// Listed among those with much credit.
    pub(in crate::mux) rich: bool,
    pub(in crate::mux) turn: Turn,
    /// Messages that the program gave us.
    pub(in crate::mux) accepted: u64,
    /// Of these, handed to the connection whole.
    pub(in crate::mux) pushed: u64,
    /// Of these, never written whole.
    pub(in crate::mux) unsent: u32,
    /// Whole in the queue of the peer's program, or there before.
    pub(in crate::mux) delivered: u64,
    /// Somebody waits for so many to be delivered.
    flush_at: u64,
    /// It had something to send and no credit, so many times.
    pub(in crate::mux) stalls: u32,
    stalled: bool,
}

/// Why something was not accepted to be sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// There is no room for now.
    Full,
    /// It is longer than the peer takes whole.
    TooLarge {
        /// What it takes, in bytes.
        limit: u64,
    },
    /// The program has finished sending.
    Finished,
    /// The peer takes nothing more on this channel.
    Stopped(Code),
    /// The channel is over.
    Over,
}

/// What the channel gives to be sent.
pub(in crate::mux) struct Sent {
    pub(in crate::mux) frame: Frame,
    pub(in crate::mux) bytes: usize,
    /// With it, a message has left whole.
    pub(in crate::mux) ends: bool,
}

/// A piece is at least so long, if its message is: else a peer that gives credit in driblets gets driblets.
const LEAST_PIECE: u64 = 4 * 1024;

impl Sending {
    pub(in crate::mux) fn new(window: u32) -> Self {
        Self {
            state: SendState::Open,
            stopped: None,
            waiting: None,
            streaming: false,
            sent: 0,
            allowed: window.into(),
            window,
            room_wanted: false,
            active: false,
            rich: false,
            turn: Turn::default(),
            accepted: 0,
            pushed: 0,
            unsent: 0,
            delivered: 0,
            flush_at: 0,
            stalls: 0,
            stalled: false,
        }
    }

    /// Credit that is left.
    pub(in crate::mux) fn credit(&self) -> u64 {
        self.allowed - self.sent
    }

    /// Messages and bytes that wait.
    pub(in crate::mux) fn waiting(&self) -> (usize, usize) {
        self.waiting.as_ref().map_or((0, 0), |waiting| (waiting.messages, waiting.bytes))
    }

    pub(in crate::mux) fn has_room(&self, bytes: usize, max_messages: usize, max_bytes: usize) -> bool {
        self.waiting.as_ref().is_none_or(|waiting| {
            let few = waiting.queue.len() < max_messages;
            waiting.queue.is_empty() || (few && waiting.bytes.saturating_add(bytes) <= max_bytes)
        })
    }

    #[inline]
    fn waiting_mut(&mut self) -> &mut Waiting {
        self.waiting.get_or_insert_default()
    }

    fn enqueue(&mut self, item: Item) {
        self.waiting_mut().queue.push_back(item);
    }

    pub(in crate::mux) fn may_send(&self) -> Result<(), NotSent> {
        match self.state {
            SendState::Open => Ok(()),
            SendState::Ending | SendState::Ended => Err(NotSent::Finished),
            SendState::Stopped => Err(NotSent::Stopped(self.stopped.unwrap_or_default())),
            SendState::Over => Err(self.stopped.map_or(NotSent::Finished, NotSent::Stopped)),
        }
    }

    pub(in crate::mux) fn push(&mut self, body: Bytes) {
        self.accepted += 1;
        let waiting = self.waiting_mut();
        waiting.messages += 1;
        waiting.bytes += body.len();
        waiting.queue.push_back(Item::Whole(body));
    }

    pub(in crate::mux) fn begin(&mut self) {
        self.accepted += 1;
        self.streaming = true;
        self.waiting_mut().messages += 1;
        self.enqueue(Item::Begin);
    }

    pub(in crate::mux) fn piece(&mut self, body: Bytes) {
        self.waiting_mut().bytes += body.len();
        self.enqueue(Item::Piece(body));
    }

    pub(in crate::mux) fn end(&mut self, whole: bool) {
        self.streaming = false;
        self.enqueue(if whole { Item::End } else { Item::Abort });
    }

    /// Nothing more comes from the program.
    pub(in crate::mux) fn finish(&mut self) {
        if self.state == SendState::Open {
            if self.streaming {
                self.end(false);
            }
            self.state = SendState::Ending;
            self.enqueue(Item::Finish);
        }
    }

    /// Forgets what waits.
    pub(in crate::mux) fn discard(&mut self) {
        self.waiting = None;
    }

    /// The peer takes nothing more.
    pub(in crate::mux) fn stop(&mut self, code: Code, delivered: u64) -> Result<(), MuxError> {
        self.acknowledge(delivered)?;
        match self.state {
            SendState::Open | SendState::Ending => {
                self.discard();
                self.stopped = Some(code);
                self.state = SendState::Stopped;
                self.enqueue(Item::Finish);
                Ok(())
            }
            SendState::Ended => {
                self.state = SendState::Over;
                Ok(())
            }
            SendState::Stopped | SendState::Over => Err(MuxError::Unexpected("Stop")),
        }
    }

    fn acknowledge(&mut self, delivered: u64) -> Result<(), MuxError> {
        if delivered < self.delivered || delivered > self.pushed {
            return Err(MuxError::BadField("delivered"));
        }
        self.delivered = delivered;
        Ok(())
    }

    /// More room, and what has come. Whether it may send more than before.
    pub(in crate::mux) fn credited(&mut self, bytes: u64, delivered: u64) -> Result<bool, MuxError> {
        self.acknowledge(delivered)?;
        let more = bytes > self.allowed;
        self.allowed = self.allowed.max(bytes);
        Ok(more)
    }

    /// Credit beyond what it has at first, if it does not need it.
    pub(in crate::mux) fn surplus(&self) -> Option<u64> {
        let surplus = self.credit().checked_sub(self.window.into()).filter(|surplus| *surplus > 0)?;
        if self.has_items() { None } else { Some(surplus) }
    }

    /// Gives that back.
    pub(in crate::mux) fn give_back(&mut self) -> Option<u64> {
        let surplus = self.surplus()?;
        self.sent += surplus;
        Some(surplus)
    }

    /// Somebody waits until all that was accepted is delivered. Whether the peer has to be asked at once; else
    /// it is when the last of it is on its way.
    pub(in crate::mux) fn flush(&mut self) -> bool {
        self.flush_at = self.accepted;
        self.is_flush_due()
    }

    /// Whether the peer has to be asked, now that one more is on its way.
    pub(in crate::mux) fn is_flush_due(&mut self) -> bool {
        let due = self.flush_at > 0 && self.pushed >= self.flush_at;
        if due {
            self.flush_at = 0;
        }
        due
    }

    /// Whether there is something to send, credit or not.
    pub(in crate::mux) fn has_items(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| !waiting.queue.is_empty())
    }

    /// Whether a message of this cost may go at once, past the queue.
    #[inline]
    pub(in crate::mux) fn may_pass(&self, cost: u64) -> bool {
        self.state == SendState::Open && !self.has_items() && !self.streaming && cost <= self.credit()
    }

    /// It does.
    #[inline]
    pub(in crate::mux) fn pass(&mut self, cost: u64) {
        self.accepted += 1;
        self.pushed += 1;
        self.sent += cost;
        self.active = true;
        self.stalled = false;
    }

    /// The next frame, with at most `max` bytes of data.
    #[inline]
    pub(in crate::mux) fn next(&mut self, channel: u32, max: usize) -> Option<Sent> {
        let credit = self.credit();
        let waiting = self.waiting.as_deref_mut()?;
        if let (Some(Item::Whole(body)), false) = (waiting.queue.front_mut(), waiting.begun) {
            let cost = body.len() as u64 + FRAME_COST;
            if body.len() <= max && cost <= credit {
                let body = core::mem::take(body);
                let bytes = body.len();
                self.pop(bytes, cost);
                return Some(self.whole(Frame::Message { channel, body }, bytes));
            }
        }
        self.next_piece(channel, max, credit)
    }

    fn next_piece(&mut self, channel: u32, max: usize, credit: u64) -> Option<Sent> {
        let least = LEAST_PIECE.min(u64::from(self.window) / 4).min(max as u64);
        let room = credit.saturating_sub(FRAME_COST).min(max as u64) as usize;
        let fits = |length: usize| credit >= FRAME_COST && room as u64 >= least.min(length as u64);
        let waiting = self.waiting.as_deref_mut()?;
        let item = waiting.queue.front_mut()?;
        match item {
            Item::Whole(body) | Item::Piece(body) if !fits(body.len()) => {
                self.stall();
                None
            }
            Item::Whole(body) => {
                let length = body.len() as u64;
                let piece = body.split_to(room.min(body.len()));
                let (bytes, last) = (piece.len(), body.is_empty());
                let frame = match waiting.begun {
                    false => Frame::Begin { channel, length, body: piece },
                    true => Frame::Piece { channel, body: piece },
                };
                waiting.begun = !last;
                if last {
                    self.pop(bytes, bytes as u64 + FRAME_COST);
                    return Some(self.whole(frame, bytes));
                }
                self.use_up(bytes, bytes as u64 + FRAME_COST);
                Some(Sent { frame, bytes, ends: false })
            }
            Item::Piece(body) => {
                let piece = body.split_to(room.min(body.len()));
                let bytes = piece.len();
                match body.is_empty() {
                    true => self.pop(bytes, bytes as u64 + FRAME_COST),
                    false => self.use_up(bytes, bytes as u64 + FRAME_COST),
                }
                Some(Sent { frame: Frame::Piece { channel, body: piece }, bytes, ends: false })
            }
            Item::Begin if credit < FRAME_COST => {
                self.stall();
                None
            }
            Item::Begin => {
                waiting.begun = true;
                self.pop(0, FRAME_COST);
                let frame = Frame::Begin { channel, length: UNKNOWN, body: Bytes::new() };
                Some(Sent { frame, bytes: 0, ends: false })
            }
            Item::End | Item::Abort => {
                let whole = matches!(item, Item::End);
                waiting.begun = false;
                self.pop(0, 0);
                Some(match whole {
                    true => self.whole(Frame::End { channel }, 0),
                    false => {
                        self.waiting_mut().messages -= 1;
                        self.accepted -= 1;
                        self.flush_at = self.flush_at.min(self.accepted);
                        Sent { frame: Frame::Abort { channel }, bytes: 0, ends: false }
                    }
                })
            }
            Item::Finish => {
                self.pop(0, 0);
                self.state = match self.state {
                    SendState::Stopped => SendState::Over,
                    _ => SendState::Ended,
                };
                Some(Sent { frame: Frame::Finish { channel }, bytes: 0, ends: false })
            }
        }
    }

    fn stall(&mut self) {
        self.stalls = self.stalls.saturating_add(u32::from(!self.stalled));
        self.stalled = true;
    }

    fn use_up(&mut self, bytes: usize, cost: u64) {
        self.waiting_mut().bytes -= bytes;
        self.sent += cost;
        self.active = true;
        self.stalled = false;
    }

    fn pop(&mut self, bytes: usize, cost: u64) {
        self.waiting_mut().queue.pop_front();
        self.use_up(bytes, cost);
    }

    fn whole(&mut self, frame: Frame, bytes: usize) -> Sent {
        self.waiting_mut().messages -= 1;
        self.pushed += 1;
        Sent { frame, bytes, ends: true }
    }

    pub(in crate::mux) fn keep_room(&mut self, spare: &mut Spare) {
        spare.waiting.take_back(&mut self.waiting);
    }

    pub(in crate::mux) fn make_room(&mut self, spare: &mut Spare) {
        spare.waiting.lend(&mut self.waiting);
    }

    /// Panics when the account does not add up.
    pub(in crate::mux) fn check_invariants(&self) {
        assert!(self.sent <= self.allowed, "sent without credit");
        assert!(
            self.delivered <= self.pushed && self.pushed <= self.accepted,
            "delivered before it was sent"
        );
        if let Some(waiting) = &self.waiting {
            waiting.check_invariants();
        }
    }
}
