//! The two directions of one channel: [`Sending`] and [`Receiving`].

use super::credit::{Missing, Window};
use super::frame::{FRAME_COST, Frame, MuxError, UNKNOWN};
use super::id::Code;
use super::turns::Turn;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
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
    pub(super) state: SendState,
    /// Why the peer takes nothing more.
    pub(super) stopped: Option<Code>,
    queue: VecDeque<Item>,
    queued_messages: usize,
    queued_bytes: usize,
    /// The message at the front is sent in part.
    begun: bool,
    /// The program is in the middle of a message of unknown length.
    pub(super) streaming: bool,
    sent: u64,
    allowed: u64,
    /// What the peer gives every channel.
    window: u64,
    /// Somebody waits for room.
    pub(super) room_wanted: bool,
    /// Sent something since it was last asked.
    pub(super) active: bool,
    /// Listed among those with much credit.
    pub(super) rich: bool,
    pub(super) turn: Turn,
    /// Messages that the program gave us.
    pub(super) accepted: u64,
    /// Of these, handed to the connection whole.
    pub(super) pushed: u64,
    /// Of these, never written whole.
    pub(super) unsent: u64,
    /// Whole in the queue of the peer's program, or there before.
    pub(super) delivered: u64,
    /// Somebody waits for so many to be delivered.
    flush_at: u64,
    /// It had something to send and no credit, so many times.
    pub(super) stalls: u64,
    stalled: bool,
}

#[derive(Debug)]
enum Item {
    /// The rest of a message of known length.
    Whole(Bytes),
    /// A message of unknown length.
    Begin,
    Piece(Bytes),
    End,
    Abort,
    Finish,
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
pub(super) struct Sent {
    pub(super) frame: Frame,
    pub(super) bytes: usize,
    /// With it, a message has left whole.
    pub(super) ends: bool,
}

/// A piece is at least so long, if its message is: else a peer that gives credit in driblets gets driblets.
const LEAST_PIECE: u64 = 4 * 1024;

impl Sending {
    pub(super) fn new(window: u32) -> Self {
        Self {
            state: SendState::Open,
            stopped: None,
            queue: VecDeque::new(),
            queued_messages: 0,
            queued_bytes: 0,
            begun: false,
            streaming: false,
            sent: 0,
            allowed: window.into(),
            window: window.into(),
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
    pub(super) fn credit(&self) -> u64 {
        self.allowed - self.sent
    }

    /// Messages and bytes that wait.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.queued_messages, self.queued_bytes)
    }

    pub(super) fn has_room(&self, bytes: usize, max_messages: usize, max_bytes: usize) -> bool {
        self.queue.is_empty()
            || (self.queue.len() < max_messages && self.queued_bytes.saturating_add(bytes) <= max_bytes)
    }

    pub(super) fn may_send(&self) -> Result<(), NotSent> {
        match self.state {
            SendState::Open => Ok(()),
            SendState::Ending | SendState::Ended => Err(NotSent::Finished),
            SendState::Stopped => Err(NotSent::Stopped(self.stopped.unwrap_or_default())),
            SendState::Over => Err(self.stopped.map_or(NotSent::Finished, NotSent::Stopped)),
        }
    }

    pub(super) fn push(&mut self, body: Bytes) {
        self.accepted += 1;
        self.queued_messages += 1;
        self.queued_bytes += body.len();
        self.queue.push_back(Item::Whole(body));
    }

    pub(super) fn begin(&mut self) {
        self.accepted += 1;
        self.queued_messages += 1;
        self.streaming = true;
        self.queue.push_back(Item::Begin);
    }

    pub(super) fn piece(&mut self, body: Bytes) {
        self.queued_bytes += body.len();
        self.queue.push_back(Item::Piece(body));
    }

    pub(super) fn end(&mut self, whole: bool) {
        self.streaming = false;
        self.queue.push_back(if whole { Item::End } else { Item::Abort });
    }

    /// Nothing more comes from the program.
    pub(super) fn finish(&mut self) {
        if self.state == SendState::Open {
            if self.streaming {
                self.end(false);
            }
            self.state = SendState::Ending;
            self.queue.push_back(Item::Finish);
        }
    }

    /// Forgets what waits.
    pub(super) fn discard(&mut self) {
        self.queue = VecDeque::new();
        self.begun = false;
        (self.queued_messages, self.queued_bytes) = (0, 0);
    }

    /// The peer takes nothing more.
    pub(super) fn stop(&mut self, code: Code, delivered: u64) -> Result<(), MuxError> {
        self.acknowledge(delivered)?;
        match self.state {
            SendState::Open | SendState::Ending => {
                self.discard();
                self.stopped = Some(code);
                self.state = SendState::Stopped;
                self.queue.push_back(Item::Finish);
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
    pub(super) fn credited(&mut self, bytes: u64, delivered: u64) -> Result<bool, MuxError> {
        self.acknowledge(delivered)?;
        let more = bytes > self.allowed;
        self.allowed = self.allowed.max(bytes);
        Ok(more)
    }

    /// Gives back what is more than it needs at first.
    pub(super) fn give_back(&mut self) -> Option<u64> {
        let spare = self.credit().checked_sub(self.window).filter(|spare| *spare > 0)?;
        if !self.queue.is_empty() {
            return None;
        }
        self.sent += spare;
        Some(spare)
    }

    /// Somebody waits until all that was accepted is delivered. Whether the peer has to be asked at once; else
    /// it is when the last of it is on its way.
    pub(super) fn flush(&mut self) -> bool {
        self.flush_at = self.accepted;
        self.is_flush_due()
    }

    /// Whether the peer has to be asked, now that one more is on its way.
    pub(super) fn is_flush_due(&mut self) -> bool {
        let due = self.flush_at > 0 && self.pushed >= self.flush_at;
        if due {
            self.flush_at = 0;
        }
        due
    }

    /// Whether there is something to send, credit or not.
    pub(super) fn has_items(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether a message of this cost may go at once, past the queue.
    #[inline]
    pub(super) fn may_pass(&self, cost: u64) -> bool {
        self.state == SendState::Open && self.queue.is_empty() && !self.streaming && cost <= self.credit()
    }

    /// It does.
    #[inline]
    pub(super) fn pass(&mut self, cost: u64) {
        self.accepted += 1;
        self.pushed += 1;
        self.sent += cost;
        self.active = true;
        self.stalled = false;
    }

    /// The next frame, with at most `max` bytes of data.
    #[inline]
    pub(super) fn next(&mut self, channel: u32, max: usize) -> Option<Sent> {
        let credit = self.credit();
        let item = self.queue.front_mut()?;
        if let (Item::Whole(body), false) = (&mut *item, self.begun) {
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
        let least = LEAST_PIECE.min(self.window / 4).min(max as u64);
        let room = credit.saturating_sub(FRAME_COST).min(max as u64) as usize;
        let fits = |length: usize| credit >= FRAME_COST && room as u64 >= least.min(length as u64);
        let item = self.queue.front_mut()?;
        match item {
            Item::Whole(body) | Item::Piece(body) if !fits(body.len()) => {
                self.stall();
                None
            }
            Item::Whole(body) => {
                let (length, begun) = (body.len() as u64, self.begun);
                let piece = body.split_to(room.min(body.len()));
                let (bytes, last) = (piece.len(), body.is_empty());
                let frame = match begun {
                    false => Frame::Begin { channel, length, body: piece },
                    true => Frame::Piece { channel, body: piece },
                };
                self.begun = true;
                if last {
                    self.begun = false;
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
                self.begun = true;
                self.pop(0, FRAME_COST);
                let frame = Frame::Begin { channel, length: UNKNOWN, body: Bytes::new() };
                Some(Sent { frame, bytes: 0, ends: false })
            }
            Item::End | Item::Abort => {
                let whole = matches!(item, Item::End);
                self.begun = false;
                self.pop(0, 0);
                Some(match whole {
                    true => self.whole(Frame::End { channel }, 0),
                    false => {
                        self.queued_messages -= 1;
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
        self.stalls += u64::from(!self.stalled);
        self.stalled = true;
    }

    fn use_up(&mut self, bytes: usize, cost: u64) {
        self.queued_bytes -= bytes;
        self.sent += cost;
        self.active = true;
        self.stalled = false;
    }

    fn pop(&mut self, bytes: usize, cost: u64) {
        self.queue.pop_front();
        self.use_up(bytes, cost);
    }

    fn whole(&mut self, frame: Frame, bytes: usize) -> Sent {
        self.queued_messages -= 1;
        self.pushed += 1;
        Sent { frame, bytes, ends: true }
    }

    /// Panics when the account does not add up.
    pub(super) fn check_invariants(&self) {
        assert!(self.sent <= self.allowed, "sent without credit");
        assert!(
            self.delivered <= self.pushed && self.pushed <= self.accepted,
            "delivered before it was sent"
        );
        let bytes: usize = self.queue.iter().map(|item| item.body().map_or(0, Bytes::len)).sum();
        assert_eq!(self.queued_bytes, bytes, "bytes that wait");
    }
}

/// Lists that channels do not need while nothing waits on them: of ten thousand channels few are busy at once.
#[derive(Debug, Default)]
pub(super) struct Spare {
    items: Vec<VecDeque<Item>>,
    segments: Vec<VecDeque<Segment>>,
}

/// So many are kept for who is next, with room for so much each.
const SPARE_LISTS: usize = 16;
const SPARE_ROOM: usize = 64;

/// An empty list is for others; the memory of one that was long is given back.
fn keep_room<T>(list: &mut VecDeque<T>, spare: &mut Vec<VecDeque<T>>) {
    if list.is_empty() && list.capacity() > 0 {
        let list = core::mem::take(list);
        if list.capacity() <= SPARE_ROOM && spare.len() < SPARE_LISTS {
            spare.push(list);
        }
    }
}

fn make_room<T>(list: &mut VecDeque<T>, spare: &mut Vec<VecDeque<T>>) {
    if list.capacity() == 0 {
        *list = spare.pop().unwrap_or_default();
    }
}

impl Sending {
    pub(super) fn keep_room(&mut self, spare: &mut Spare) {
        keep_room(&mut self.queue, &mut spare.items);
    }

    pub(super) fn make_room(&mut self, spare: &mut Spare) {
        make_room(&mut self.queue, &mut spare.items);
    }
}

impl Receiving {
    pub(super) fn keep_room(&mut self, spare: &mut Spare) {
        keep_room(&mut self.queue, &mut spare.segments);
    }

    pub(super) fn make_room(&mut self, spare: &mut Spare) {
        make_room(&mut self.queue, &mut spare.segments);
    }
}

impl Item {
    fn body(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(body) | Self::Piece(body) => Some(body),
            Self::Begin | Self::End | Self::Abort | Self::Finish => None,
        }
    }
}

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
    pub(super) state: RecvState,
    queue: VecDeque<Segment>,
    /// Messages that are whole in the queue, or were given up by the peer.
    ended: usize,
    /// The message that is coming.
    part: Option<Part>,
    pub(super) window: Window,
    pub(super) delivered: u64,
    /// A program waits for a whole message, or for anything.
    pub(super) wanted: Wanted,
    /// The message at the front has been taken in part.
    streaming: bool,
    /// It waits for memory that only one may have.
    pub(super) short: bool,
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
struct Segment {
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
    pub(super) fn new(window: Window) -> Self {
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
    pub(super) fn is_wanted(&self) -> bool {
        self.state == RecvState::Open
    }

    /// Messages that wait to be taken.
    pub(super) fn messages(&self) -> usize {
        self.ended
    }

    /// Whether all that came is taken, and it was no part of a message.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.part.is_none()
    }

    /// Whether there is anything to take.
    pub(super) fn has_any(&self) -> bool {
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
    pub(super) fn message(&mut self, body: Bytes, cost: u64) -> Result<bool, MuxError> {
        if self.part.is_some() {
            return Err(MuxError::Unexpected("Message"));
        }
        self.push(body, cost, Ends::Whole);
        Ok(true)
    }

    pub(super) fn begin(&mut self, length: u64, body: Bytes, cost: u64) -> Result<bool, MuxError> {
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

    pub(super) fn piece(&mut self, body: Bytes, cost: u64, first: bool) -> Result<bool, MuxError> {
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
    pub(super) fn end(&mut self, whole: bool) -> Result<(), MuxError> {
        match self.part.take() {
            Some(part) if part.missing.is_none() => {
                self.push(Bytes::new(), 0, if whole { Ends::Whole } else { Ends::Aborted });
                Ok(())
            }
            _ => Err(MuxError::Unexpected("End")),
        }
    }

    /// The peer sends nothing more.
    pub(super) fn finish(&mut self) -> Result<(), MuxError> {
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
    pub(super) fn refuse(&mut self) -> bool {
        self.discard();
        let open = self.state == RecvState::Open;
        if open {
            self.state = RecvState::Unwanted { told: false, finished: false };
        }
        open
    }

    /// Stop was sent.
    pub(super) fn told_stop(&mut self) {
        self.state = match self.state {
            RecvState::Finished | RecvState::Unwanted { finished: true, .. } => RecvState::Over,
            RecvState::Unwanted { finished: false, .. } => {
                RecvState::Unwanted { told: true, finished: false }
            }
            state => state,
        };
    }

    pub(super) fn discard(&mut self) {
        self.queue = VecDeque::new();
        (self.ended, self.part, self.streaming) = (0, None, false);
    }

    /// Nothing more comes: what is not whole is forgotten, unless the program has had pieces of it. What it has cost.
    pub(super) fn cut(&mut self) -> u64 {
        self.part = None;
        if self.streaming && self.ended == 0 {
            return 0;
        }
        let whole =
            self.queue.iter().rposition(|segment| segment.ends != Ends::No).map_or(0, |last| last + 1);
        self.queue.drain(whole..).map(|segment| u64::from(segment.cost)).sum()
    }

    /// Whether a program waits for a message that it cannot have whole: it has to be told.
    pub(super) fn refuses(&self, max: u64) -> bool {
        self.wanted == Wanted::Whole && self.is_too_large(max)
    }

    /// Whether the message at the front is longer than what is taken whole.
    fn is_too_large(&self, max: u64) -> bool {
        let Some(part) = self.part.as_ref().filter(|_| self.ended == 0) else { return false };
        part.missing.map_or(part.came, |missing| part.came.saturating_add(missing)) > max
    }

    /// What the message at the front still lacks, if somebody waits for all of it and can have it.
    pub(super) fn lacks(&self, max: u64) -> Option<Missing> {
        if self.wanted != Wanted::Whole || self.ended > 0 || self.is_too_large(max) {
            return None;
        }
        let part = self.part.as_ref()?;
        Some(part.missing.map_or(Missing::Unknown { came: part.came }, Missing::Bytes))
    }

    /// The next message, whole; and what it has cost.
    #[inline]
    pub(super) fn take_message(&mut self, max: u64) -> (Take, u64) {
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
    pub(super) fn take_piece(&mut self) -> (Take, u64) {
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

    /// Panics when the account does not add up.
    pub(super) fn check_invariants(&self) {
        let cost: u64 = self.queue.iter().map(|segment| u64::from(segment.cost)).sum();
        assert_eq!(cost, self.window.waiting(), "what waits was paid for");
        let ended = self.queue.iter().filter(|segment| segment.ends != Ends::No).count();
        assert_eq!(self.ended, ended, "messages that are over");
    }
}
