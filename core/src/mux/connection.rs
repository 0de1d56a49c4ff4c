//! [`Mux`]: one multiplexed connection, as a state machine.

use super::credit::{Asked, News, Shared, Window};
use super::frame::{
    FRAME_COST, Frame, HEAD_BYTES, Hello, MAX_FRAME_BYTES, MAX_HELLO_BYTES, MuxError, NEWEST_VERSION,
    OLDEST_VERSION,
};
use super::id::{ChannelId, Code};
use super::options::{MuxOptions, SameId};
use super::stream::{NotSent, Receiving, RecvState, SendState, Sending, Spare, Take, Wanted};
use super::turns::Turns;
use crate::message::Message;
use crate::priority::Priority;
use crate::session::pulse::{Beat, Pulse};
use crate::time::Time;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use core::fmt;
use core::time::Duration;

/// Where a connection is in its life.
///
/// ```text
///              the peer's Hello           leave, or the peer's GoAway
///   Greeting ────────────────────▶ Open ───────────────────────────────▶ Leaving ── the last channel ends,
///      │ deadline, violation, loss   │ violation, loss, silence             │        deadline, violation …
///      ▼                             ▼                                      ▼
///    Over(end) ◀────────────────────────────────────────────────────────────┘
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The peer's Hello is awaited.
    Greeting,
    /// Channels come and go.
    Open,
    /// No new ones come, and the rest end.
    Leaving {
        /// What is still there then is reset.
        until: Option<Time>,
    },
    /// Over. What is said about that is still written, if there is somebody to read it.
    Over(End),
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The program here has closed it.
    ClosedHere,
    /// The peer said that it goes away.
    ClosedByPeer {
        /// Why.
        code: Code,
        /// In words; empty if none were given.
        text: String,
    },
    /// There was no channel for too long.
    Idle,
    /// The peer broke the rules of the wire, or speaks something else.
    Violation(MuxError),
    /// The peer was silent for too long.
    Silent,
    /// The connection broke, or ended without a word.
    Lost,
    /// The peer's Hello did not come in time.
    HandshakeTimeout,
    /// The runtime that served the connection is gone.
    RuntimeGone,
}

impl End {
    /// Whether another connection may well be had soon without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::ClosedByPeer { code, .. } => *code != Code::VIOLATION,
            Self::Idle | Self::Silent | Self::Lost | Self::HandshakeTimeout => true,
            Self::ClosedHere | Self::Violation(_) | Self::RuntimeGone => false,
        }
    }

    /// Whether nothing can be said to the peer any more: the connection is cut.
    pub fn cuts(&self) -> bool {
        matches!(self, Self::Silent | Self::Lost | Self::RuntimeGone)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClosedHere => f.write_str("closed here"),
            Self::ClosedByPeer { code, text } if text.is_empty() => write!(f, "closed by the peer: {code}"),
            Self::ClosedByPeer { code, text } => write!(f, "closed by the peer: {code} ({text})"),
            Self::Idle => f.write_str("no channels for too long"),
            Self::Violation(error) => write!(f, "the peer broke the rules of the wire: {error}"),
            Self::Silent => f.write_str("the peer was silent for too long"),
            Self::Lost => f.write_str("connection lost"),
            Self::HandshakeTimeout => f.write_str("the peer did not say hello in time"),
            Self::RuntimeGone => f.write_str("the runtime that served the connection was shut down"),
        }
    }
}

/// How a channel ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelEnd {
    /// The peer has reset it, or refused it.
    ResetByPeer {
        /// Why.
        code: Code,
        /// In words; empty if none were given.
        text: String,
    },
    /// It was reset here.
    ResetHere {
        /// Why.
        code: Code,
    },
    /// The peer went away before it looked at the channel: nothing of it was ever seen there.
    NeverSeen,
    /// The connection ended.
    Connection(End),
}

impl ChannelEnd {
    /// Whether the same may well work soon without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::ResetByPeer { code, .. } | Self::ResetHere { code } => {
                matches!(*code, Code::BUSY | Code::LEAVING | Code::IDLE)
            }
            Self::NeverSeen => true,
            Self::Connection(end) => end.is_transient(),
        }
    }
}

impl fmt::Display for ChannelEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ResetByPeer { code, text } if text.is_empty() => write!(f, "reset by the peer: {code}"),
            Self::ResetByPeer { code, text } => write!(f, "reset by the peer: {code} ({text})"),
            Self::ResetHere { code } => write!(f, "reset here: {code}"),
            Self::NeverSeen => f.write_str("the peer went away before it saw the channel"),
            Self::Connection(end) => end.fmt(f),
        }
    }
}

/// Which channel. It stays the same one's until that is [released](Mux::release).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    slot: u32,
    number: u32,
}

impl Place {
    /// Its number on the wire.
    pub fn number(self) -> u32 {
        self.number
    }

    /// The index under which what belongs to it can be kept; another channel gets it later.
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

/// A frame to write.
#[derive(Debug)]
pub struct Outgoing {
    /// All behind the length.
    pub message: Message,
    /// The channel of which a message has left whole with it.
    pub ends: Option<Place>,
}

/// What has changed on a channel.
#[derive(Copy, Clone, Default, PartialEq, Eq)]
pub struct Changes(u8);

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("read", &self.read())
            .field("room", &self.room())
            .field("state", &self.state())
            .finish()
    }
}

impl Changes {
    const READ: u8 = 1;
    const ROOM: u8 = 2;
    const STATE: u8 = 4;

    /// There may be something to take.
    pub fn read(self) -> bool {
        self.0 & Self::READ != 0
    }

    /// There may be room to send.
    pub fn room(self) -> bool {
        self.0 & Self::ROOM != 0
    }

    /// Something was delivered, or accepted, or has ended.
    pub fn state(self) -> bool {
        self.0 & Self::STATE != 0
    }
}

/// What has changed on the connection.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionChanges {
    /// Channels came that nobody has accepted.
    pub incoming: bool,
    /// Channels may be opened, or never more.
    pub openings: bool,
    /// The state is another one.
    pub state: bool,
    /// Another round trip was measured.
    pub round_trip: bool,
    /// A channel has ended, held by anybody or not.
    pub ended: bool,
}

/// What became of the messages that were sent on a channel.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Accepted to be sent.
    pub accepted: u64,
    /// Of these: in the queue of the peer's program, or were.
    pub delivered: u64,
    /// Never left whole, and never will.
    pub abandoned: u64,
    /// Left whole, and it is not known whether they arrived. On a channel that goes on: on their way.
    pub unknown: u64,
}

/// What a channel has counted.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelStats {
    /// What became of what was sent.
    pub account: Account,
    /// Messages that came whole.
    pub received: u64,
    /// Messages that wait to be sent.
    pub send_waiting: usize,
    /// Bytes that wait to be sent.
    pub send_waiting_bytes: usize,
    /// Messages that wait to be taken.
    pub recv_waiting: usize,
    /// Bytes of credit that we have.
    pub send_credit: u64,
    /// Bytes of credit that the peer has.
    pub recv_credit: u64,
    /// Bytes that may be on their way to us, at the moment.
    pub window: u64,
    /// Times that there was something to send, and no credit: the peer's program was too slow.
    pub stalled_by_peer: u64,
}

/// What a connection has counted.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MuxStats {
    /// Channels now.
    pub channels: usize,
    /// Channels that we opened.
    pub opened: u64,
    /// Channels that the peer opened.
    pub incoming: u64,
    /// Of these, refused.
    pub refused: u64,
    /// Messages that left whole.
    pub sent_messages: u64,
    /// Bytes of messages that left.
    pub sent_bytes: u64,
    /// Messages that came whole.
    pub received_messages: u64,
    /// Bytes of messages that came.
    pub received_bytes: u64,
    /// Bytes that came for channels that wanted nothing more.
    pub discarded_bytes: u64,
    /// Memory beyond their own windows that channels hold or may need.
    pub shared_used: u64,
    /// Pings sent.
    pub pings: u64,
}

/// Why no channel was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// The peer takes no more for now.
    Full,
    /// The connection takes no new ones.
    Leaving,
    /// The connection is over.
    Over(End),
}

/// What a channel still owes the peer, beside data.
mod due {
    pub(super) const OPEN: u8 = 1;
    pub(super) const ACCEPT: u8 = 2;
    pub(super) const CREDIT: u8 = 4;
    pub(super) const FLUSH: u8 = 8;
    pub(super) const STOP: u8 = 16;
    pub(super) const RESET: u8 = 32;
    pub(super) const RETURN: u8 = 64;
}

#[derive(Debug)]
struct Channel {
    number: u32,
    id: ChannelId,
    priority: Priority,
    /// The peer has opened it.
    incoming: bool,
    /// The program that accepts has it.
    accepted: bool,
    /// The program has given it up.
    released: bool,
    /// Neither side may say anything of it any more.
    over: bool,
    end: Option<Box<ChannelEnd>>,
    stop_code: Code,
    reset: Option<Box<(Code, String)>>,
    returns: u64,
    promise: u64,
    due: u8,
    /// Listed among those that owe something.
    in_debt: bool,
    changes: u8,
    /// How many looks it was idle for.
    idle_looks: u8,
    tx: Sending,
    rx: Receiving,
}

/// One multiplexed connection.
///
/// **Inputs** are [`frame`](Self::frame), [`expire`](Self::expire), [`lost`](Self::lost) and the calls of
/// the program. After each: write what [`next_frame`](Self::next_frame) gives, wake whom
/// [`next_change`](Self::next_change) and [`news`](Self::news) name, and come back at
/// [`deadline`](Self::deadline).
#[derive(Debug)]
pub struct Mux {
    options: MuxOptions,
    state: State,
    now: Time,
    ours: Hello,
    theirs: Option<Hello>,
    hello_due: bool,
    handshake_until: Time,
    /// GoAway was sent, or is to be.
    go_away: Option<(Code, String)>,
    go_away_due: bool,
    /// The peer's: the last of ours that it has taken, and why.
    peer_away: Option<(u32, Code, String)>,
    channels: Vec<Option<Box<Channel>>>,
    free: Vec<u32>,
    spare: Spare,
    live: usize,
    numbers: BTreeMap<u32, u32>,
    /// The channel of the last frame.
    recent: (u32, u32),
    /// The next number of ours.
    next_number: u32,
    /// The last number of the peer's.
    last_number: u32,
    may_open: u64,
    have_opened: u64,
    let_open: u64,
    they_opened: u64,
    they_closed: u64,
    openings_due: bool,
    incoming: VecDeque<u32>,
    ids: BTreeSet<ChannelId>,
    turns: Turns,
    /// Whose frame was last, and how many bytes of it followed each other.
    solo: (u32, u64),
    /// The same of frames that came.
    came: (u32, u64),
    debtors: VecDeque<u32>,
    changed: VecDeque<u32>,
    news: ConnectionChanges,
    shared: Shared,
    /// Who may have more than his share, until he has taken so much; and who waits for that.
    overdraws: Option<(u32, u64)>,
    short: VecDeque<u32>,
    rich: VecDeque<u32>,
    look_at: Option<Time>,
    idle_look_at: Option<Time>,
    no_channels_since: Time,
    /// The deadline may be an earlier one than when it was asked last.
    sooner: bool,
    pulse: Pulse,
    pong_due: Option<u64>,
    ping_due: Option<u64>,
    round_trips: [Option<Duration>; 8],
    pongs: u64,
    stats: MuxStats,
}

/// A channel that sent nothing for so long, or twice that, gives back what credit it has beyond the first.
const RETURN_AFTER: Duration = Duration::from_secs(1);

/// Idle channels are looked for so many times in the time that they may be idle.
const IDLE_LOOKS: u8 = 4;

/// After so many bytes of one channel alone its frames may be as long as they like.
const SOLO_BYTES: u64 = 8 * 1024 * 1024;

/// Round trips that are measured before the first message, and then after each so many bytes.
const FIRST_PINGS: u64 = 3;

impl Mux {
    /// A connection that was just made. `nonce` is random.
    pub fn new(options: &MuxOptions, nonce: [u8; 16], now: Time) -> Self {
        let options = options.clamped();
        let ours = Hello {
            newest: NEWEST_VERSION,
            oldest: OLDEST_VERSION,
            nonce,
            window: options.window,
            channels: options.channels,
            max_message: options.max_message_bytes,
        };
        Self {
            state: State::Greeting,
            now,
            theirs: None,
            hello_due: true,
            handshake_until: now + options.handshake_timeout,
            go_away: None,
            go_away_due: false,
            peer_away: None,
            channels: Vec::new(),
            free: Vec::new(),
            spare: Spare::default(),
            live: 0,
            numbers: BTreeMap::new(),
            recent: (0, 0),
            next_number: 0,
            last_number: 0,
            may_open: 0,
            have_opened: 0,
            let_open: options.channels.into(),
            they_opened: 0,
            they_closed: 0,
            openings_due: false,
            incoming: VecDeque::new(),
            ids: BTreeSet::new(),
            turns: Turns::default(),
            solo: (u32::MAX, SOLO_BYTES),
            came: (u32::MAX, SOLO_BYTES),
            debtors: VecDeque::new(),
            changed: VecDeque::new(),
            news: ConnectionChanges { state: true, ..ConnectionChanges::default() },
            shared: Shared::new(options.window, options.max_window, options.shared_window),
            overdraws: None,
            short: VecDeque::new(),
            rich: VecDeque::new(),
            look_at: None,
            idle_look_at: options.channel_idle_timeout.map(|timeout| now + timeout / IDLE_LOOKS.into()),
            no_channels_since: now,
            sooner: true,
            pulse: Pulse::new(options.keep_alive, options.dead_after, now),
            pong_due: None,
            ping_due: None,
            round_trips: [None; 8],
            pongs: 0,
            stats: MuxStats::default(),
            ours,
            options,
        }
    }

    /// Where it is in its life.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<&End> {
        match &self.state {
            State::Over(end) => Some(end),
            _ => None,
        }
    }

    /// What the peer can take, once it has said so.
    pub fn theirs(&self) -> Option<&Hello> {
        self.theirs.as_ref()
    }

    /// The largest frame that may come, without its length.
    pub fn max_frame_bytes(&self) -> usize {
        match self.state {
            State::Greeting => MAX_HELLO_BYTES,
            _ => MAX_FRAME_BYTES,
        }
    }

    /// The shortest of the last round trips.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trips.iter().flatten().min().copied()
    }

    /// The last round trip that was measured, and how many were.
    pub fn last_round_trip(&self) -> (Option<Duration>, u64) {
        (self.pulse.round_trip(), self.pongs)
    }

    /// What it has counted.
    pub fn stats(&self) -> MuxStats {
        MuxStats { channels: self.live, shared_used: self.shared.used(), ..self.stats }
    }

    /// Channels now, on which something may still happen.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Whether the peer lets us open another one now.
    pub fn may_open(&self) -> Result<(), NotOpened> {
        match &self.state {
            State::Greeting => Err(NotOpened::Full),
            State::Leaving { .. } => Err(NotOpened::Leaving),
            State::Over(end) => Err(NotOpened::Over(end.clone())),
            State::Open if self.next_number > u32::MAX - 2 => Err(NotOpened::Leaving),
            State::Open if self.have_opened >= self.may_open => Err(NotOpened::Full),
            State::Open => Ok(()),
        }
    }

    // ---- what the program does ----

    /// Opens a channel. What is sent on it travels at once: the peer need not have accepted it.
    ///
    /// # Errors
    /// See [`NotOpened`].
    pub fn open(&mut self, id: ChannelId, priority: Priority) -> Result<Place, NotOpened> {
        self.may_open()?;
        let number = self.next_number;
        self.next_number += 2;
        self.have_opened += 1;
        self.stats.opened += 1;
        let place = self.insert(number, id, priority, false);
        self.owe(place.slot, due::OPEN);
        Ok(place)
    }

    fn insert(&mut self, number: u32, id: ChannelId, priority: Priority, incoming: bool) -> Place {
        let window = self.theirs.as_ref().map_or(0, |theirs| theirs.window);
        let channel = Channel {
            number,
            id,
            priority,
            incoming,
            accepted: false,
            released: false,
            over: false,
            end: None,
            stop_code: Code::NONE,
            reset: None,
            returns: 0,
            promise: self.options.window.into(),
            due: 0,
            in_debt: false,
            changes: 0,
            idle_looks: 0,
            tx: Sending::new(window),
            rx: Receiving::new(Window::new(self.options.window, self.now)),
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.channels[slot as usize] = Some(Box::new(channel));
                slot
            }
            None => {
                self.channels.push(Some(Box::new(channel)));
                self.channels.len() as u32 - 1
            }
        };
        self.numbers.insert(number, slot);
        self.live += 1;
        // Idle ones are looked for again.
        self.sooner |= self.live == 1;
        Place { slot, number }
    }

    /// The next channel that the peer has opened and whose id is wanted.
    pub fn accept(&mut self, wanted: impl Fn(&ChannelId) -> bool) -> Option<(Place, ChannelId)> {
        let at = self.incoming.iter().position(|slot| {
            self.channels[*slot as usize].as_ref().is_some_and(|channel| wanted(&channel.id))
        })?;
        let slot = self.incoming.remove(at)?;
        let channel = self.channels[slot as usize].as_mut()?;
        channel.accepted = true;
        let taken = (Place { slot, number: channel.number }, channel.id.clone());
        if !channel.over {
            self.owe(slot, due::ACCEPT);
        }
        Some(taken)
    }

    /// Refuses the next channel that the peer has opened and whose id is unwanted; what came on it is
    /// discarded. Whether there was one.
    pub fn refuse(&mut self, unwanted: impl Fn(&ChannelId) -> bool, code: Code) -> bool {
        let at = self.incoming.iter().position(|slot| {
            self.channels[*slot as usize].as_ref().is_some_and(|channel| unwanted(&channel.id))
        });
        let Some(slot) = at.and_then(|at| self.incoming.remove(at)) else { return false };
        self.stats.refused += 1;
        let Some(Some(channel)) = self.channels.get_mut(slot as usize) else { return true };
        channel.rx.discard();
        channel.released = true;
        match channel.over {
            true => self.free_slot(slot),
            false => self.reset_slot(slot, code, String::new(), ChannelEnd::ResetHere { code }),
        }
        true
    }

    /// Channels that wait to be accepted.
    pub fn incoming(&self) -> impl Iterator<Item = &ChannelId> {
        self.incoming
            .iter()
            .filter_map(|slot| self.channels[*slot as usize].as_ref())
            .map(|channel| &channel.id)
    }

    fn channel(&self, place: Place) -> Option<&Channel> {
        self.channels.get(place.slot())?.as_deref().filter(|channel| channel.number == place.number)
    }

    fn channel_mut(&mut self, place: Place) -> Option<&mut Channel> {
        self.channels.get_mut(place.slot())?.as_deref_mut().filter(|channel| channel.number == place.number)
    }

    /// What the channel is called.
    pub fn id(&self, place: Place) -> Option<&ChannelId> {
        self.channel(place).map(|channel| &channel.id)
    }

    /// Whether the peer's program has accepted it, or ours has.
    pub fn is_accepted(&self, place: Place) -> bool {
        self.channel(place).is_some_and(|channel| channel.accepted)
    }

    /// How it ended before its time, if it has.
    pub fn channel_end(&self, place: Place) -> Option<&ChannelEnd> {
        self.channel(place)?.end.as_deref()
    }

    /// Whether both directions have ended, and both sides know.
    pub fn is_over(&self, place: Place) -> bool {
        self.channel(place).is_none_or(|channel| channel.over)
    }

    /// Whether the peer sends nothing more: all that came is in the queue.
    pub fn is_recv_finished(&self, place: Place) -> bool {
        self.channel(place).is_none_or(|channel| channel.over || channel.rx.state != RecvState::Open)
    }

    /// Whether a message of so many bytes may be sent now.
    ///
    /// # Errors
    /// Why not.
    pub fn may_send(&self, place: Place, bytes: usize) -> Result<(), NotSent> {
        let channel = self.channel(place).ok_or(NotSent::Over)?;
        if channel.end.is_some() {
            return Err(NotSent::Over);
        }
        channel.tx.may_send()?;
        if channel.tx.streaming {
            return Err(NotSent::Full);
        }
        let limit = self.theirs.as_ref().map_or(u64::MAX, |theirs| theirs.max_message);
        if bytes as u64 > limit {
            return Err(NotSent::TooLarge { limit });
        }
        match channel.tx.has_room(bytes, self.options.send_messages, self.options.send_bytes) {
            true => Ok(()),
            false => Err(NotSent::Full),
        }
    }

    /// Somebody waits for room on this channel.
    pub fn room_wanted(&mut self, place: Place) {
        if let Some(channel) = self.channel_mut(place) {
            channel.tx.room_wanted = true;
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// Why not, and the message.
    pub fn send(&mut self, place: Place, body: Bytes) -> Result<(), (NotSent, Bytes)> {
        match self.may_send(place, body.len()) {
            Err(not) => Err((not, body)),
            Ok(()) => {
                self.queue(place, |tx| tx.push(body));
                Ok(())
            }
        }
    }

    /// Sends a message as [`send`](Self::send) does, but past all queues: what is to be written next is this, with
    /// the body out of `body`. `None`, and nothing has happened, where anything else is to be said before, or
    /// it cannot go at once and in one piece.
    #[inline]
    pub fn send_at_once(&mut self, place: Place, body: &mut Bytes) -> Option<Outgoing> {
        let quiet = self.debtors.is_empty() && self.turns.is_empty() && !self.hello_due;
        let bytes = body.len();
        if !quiet || self.end().is_some() || bytes > self.options.chunk_bytes {
            return None;
        }
        let channel = self.channels.get_mut(place.slot())?.as_mut()?;
        if channel.number != place.number || !channel.tx.may_pass(bytes as u64 + FRAME_COST) {
            return None;
        }
        channel.tx.pass(bytes as u64 + FRAME_COST);
        channel.idle_looks = 0;
        let (last, run) = self.solo;
        self.solo = match place.slot == last || last == u32::MAX {
            true => (place.slot, run.saturating_add(bytes as u64)),
            false => (place.slot, bytes as u64),
        };
        self.stats.sent_bytes += bytes as u64;
        self.stats.sent_messages += 1;
        let message = Frame::message(place.number, core::mem::take(body));
        Some(Outgoing { message, ends: Some(place) })
    }

    fn queue(&mut self, place: Place, push: impl FnOnce(&mut Sending)) {
        let Some(Some(channel)) = self.channels.get_mut(place.slot()) else { return };
        channel.tx.make_room(&mut self.spare);
        push(&mut channel.tx);
        channel.idle_looks = 0;
        self.turns.add(channel.priority, place.slot, &mut channel.tx.turn);
    }

    /// A message of unknown length begins. Nobody else may send before it has [ended](Self::end_stream).
    ///
    /// # Errors
    /// Why not.
    pub fn begin_stream(&mut self, place: Place) -> Result<(), NotSent> {
        self.may_send(place, 0)?;
        self.queue(place, Sending::begin);
        Ok(())
    }

    /// The next bytes of it; `Full` if there is no room for any.
    ///
    /// # Errors
    /// Why not, and the bytes.
    pub fn send_piece(&mut self, place: Place, body: Bytes) -> Result<(), (NotSent, Bytes)> {
        if body.is_empty() {
            return Ok(());
        }
        match self.may_go_on(place) {
            Ok(()) if self.has_room_for(place, body.len()) => {
                self.queue(place, |tx| tx.piece(body));
                Ok(())
            }
            Ok(()) => Err((NotSent::Full, body)),
            Err(not) => Err((not, body)),
        }
    }

    fn may_go_on(&self, place: Place) -> Result<(), NotSent> {
        let channel = self.channel(place).filter(|channel| channel.end.is_none()).ok_or(NotSent::Over)?;
        channel.tx.may_send()
    }

    fn has_room_for(&self, place: Place, bytes: usize) -> bool {
        let has_room =
            |c: &Channel| c.tx.has_room(bytes, self.options.send_messages, self.options.send_bytes);
        self.channel(place).is_some_and(has_room)
    }

    /// The message of unknown length is whole, or will never be. Always possible.
    pub fn end_stream(&mut self, place: Place, whole: bool) {
        let open = |channel: &Channel| channel.end.is_none() && channel.tx.state == SendState::Open;
        if self.channel(place).is_some_and(open) {
            self.queue(place, |tx| tx.end(whole));
            // Others may send again.
            self.change(place.slot, Changes::ROOM);
        }
    }

    /// Nothing more will be sent on the channel; what waits still is.
    pub fn finish(&mut self, place: Place) {
        if self.channel(place).is_some_and(|channel| channel.end.is_none()) {
            self.queue(place, Sending::finish);
        }
    }

    /// Nothing more is taken from the channel; what came is discarded.
    pub fn stop(&mut self, place: Place, code: Code) {
        let Some(channel) = self.channel_mut(place) else { return };
        channel.stop_code = code;
        let tells = channel.end.is_none() && channel.rx.refuse();
        channel.rx.discard();
        self.forget_window(place.slot);
        if tells {
            self.owe(place.slot, due::CREDIT | due::STOP);
        }
    }

    /// What was kept for the peer on a channel is given to others.
    fn forget_window(&mut self, slot: u32) {
        if let Some(Some(channel)) = self.channels.get_mut(slot as usize) {
            let waiting = channel.rx.window.waiting();
            self.shared.take(&mut channel.rx.window, waiting);
            channel.rx.short = false;
        }
        self.settle_overdraft(slot);
    }

    /// Ends both directions at once.
    pub fn reset(&mut self, place: Place, code: Code, text: &str) {
        if self.channel(place).is_some_and(|channel| !channel.over && channel.end.is_none()) {
            self.reset_slot(place.slot, code, text.to_string(), ChannelEnd::ResetHere { code });
        }
    }

    fn reset_slot(&mut self, slot: u32, code: Code, text: String, end: ChannelEnd) {
        if let Some(Some(channel)) = self.channels.get_mut(slot as usize) {
            channel.reset = Some(Box::new((code, text)));
        }
        self.owe(slot, due::RESET);
        self.end_channel(slot, Some(end));
    }

    /// The program has no use for the channel any more: sends what waits, takes nothing more, and forgets it.
    pub fn release(&mut self, place: Place) {
        if self.channel(place).is_none() {
            return;
        }
        self.finish(place);
        self.stop(place, Code::DROPPED);
        if let Some(channel) = self.channel_mut(place) {
            channel.released = true;
            channel.rx.wanted = Wanted::Nothing;
        }
        self.free_slot(place.slot);
    }

    /// Takes the next message.
    #[inline]
    pub fn take_message(&mut self, place: Place) -> Take {
        let max = self.options.max_message_bytes;
        self.take(place, |rx| rx.take_message(max), Wanted::Whole)
    }

    /// Takes the next bytes of the message at the front, whole or not.
    pub fn take_piece(&mut self, place: Place) -> Take {
        self.take(place, Receiving::take_piece, Wanted::Pieces)
    }

    fn take(
        &mut self,
        place: Place,
        take: impl FnOnce(&mut Receiving) -> (Take, u64),
        wanted: Wanted,
    ) -> Take {
        let channel = self.channels.get_mut(place.slot()).and_then(Option::as_mut);
        let Some(channel) = channel.filter(|channel| channel.number == place.number) else {
            return Take::Finished;
        };
        let (taken, cost) = take(&mut channel.rx);
        channel.rx.keep_room(&mut self.spare);
        channel.idle_looks = 0;
        channel.rx.wanted = if taken == Take::Nothing { wanted } else { Wanted::Nothing };
        if cost > 0 {
            self.shared.take(&mut channel.rx.window, cost);
        }
        let max = self.options.max_message_bytes;
        let taken_until = channel.rx.window.taken();
        let idle = channel.rx.is_idle();
        let had_its_message =
            self.overdraws.is_some_and(|(slot, until)| slot == place.slot && (until <= taken_until || idle));
        if cost > 0 || channel.rx.lacks(max).is_some() {
            self.give_credit(place.slot);
        }
        if had_its_message {
            self.settle_overdraft(place.slot);
        }
        taken
    }

    /// Nobody waits on this channel any more.
    pub fn not_wanted(&mut self, place: Place) {
        if let Some(channel) = self.channel_mut(place) {
            channel.rx.wanted = Wanted::Nothing;
        }
    }

    /// Asks until when all that was accepted is delivered. `true`: it is.
    pub fn flush(&mut self, place: Place) -> bool {
        let Some(channel) = self.channel_mut(place) else { return true };
        if channel.tx.delivered >= channel.tx.accepted {
            return true;
        }
        if channel.tx.flush() {
            self.owe(place.slot, due::FLUSH);
        }
        false
    }

    /// What became of what was sent on a channel.
    pub fn account(&self, place: Place) -> Account {
        let Some(channel) = self.channel(place) else { return Account::default() };
        let tx = &channel.tx;
        let written = tx.pushed - tx.unsent.min(tx.pushed);
        let dead = channel.end.is_some() || !matches!(tx.state, SendState::Open | SendState::Ending);
        Account {
            accepted: tx.accepted,
            delivered: tx.delivered,
            abandoned: if dead { tx.accepted - written.max(tx.delivered) } else { 0 },
            unknown: written.saturating_sub(tx.delivered),
        }
    }

    /// What a channel has counted.
    pub fn channel_stats(&self, place: Place) -> ChannelStats {
        let Some(channel) = self.channel(place) else { return ChannelStats::default() };
        let (send_waiting, send_waiting_bytes) = channel.tx.waiting();
        ChannelStats {
            account: self.account(place),
            received: channel.rx.delivered,
            send_waiting,
            send_waiting_bytes,
            recv_waiting: channel.rx.messages(),
            send_credit: channel.tx.credit(),
            recv_credit: channel.rx.window.left(),
            window: channel.rx.window.size(),
            stalled_by_peer: channel.tx.stalls,
        }
    }

    /// All channels on which something may still happen.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.numbers.iter().map(|(number, slot)| Place { slot: *slot, number: *number })
    }

    /// Takes no new channels, and ends when those that there are have ended, or at `until`.
    pub fn leave(&mut self, code: Code, text: &str, until: Option<Time>) {
        match &mut self.state {
            State::Over(_) => return,
            State::Leaving { until: before } => {
                self.sooner = true;
                *before = match (*before, until) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
            State::Greeting | State::Open => {
                (self.state, self.sooner) = (State::Leaving { until }, true);
                (self.news.state, self.news.openings, self.news.incoming) = (true, true, true);
            }
        }
        self.say_go_away(code, text);
        // Those of which messages have come stay to be accepted: their sender knows that they are here.
        let (stay, go): (VecDeque<u32>, VecDeque<u32>) = core::mem::take(&mut self.incoming)
            .into_iter()
            .partition(|slot| self.channels[*slot as usize].as_ref().is_some_and(|c| c.rx.has_any()));
        self.incoming = stay;
        for slot in go {
            self.reset_slot(
                slot,
                Code::LEAVING,
                String::new(),
                ChannelEnd::ResetHere { code: Code::LEAVING },
            );
        }
        self.end_if_done();
    }

    fn say_go_away(&mut self, code: Code, text: &str) {
        if self.go_away.is_none() {
            self.go_away = Some((code, text.to_string()));
            self.go_away_due = true;
        }
    }

    /// Measures the round trip; [`last_round_trip`](Self::last_round_trip) has one more then.
    pub fn ping(&mut self, now: Time) {
        self.ping_due = Some(self.pulse.ping(now));
    }

    // ---- what the peer and the world do ----

    /// A frame came, without its length.
    #[inline]
    pub fn frame(&mut self, frame: Bytes, now: Time) {
        self.now = now;
        self.pulse.heard(now);
        if matches!(self.state, State::Over(_)) {
            return;
        }
        let done = match Frame::is_message(&frame) {
            Some(channel) if self.theirs.is_some() => self.message(channel, frame),
            _ => Frame::decode(frame).and_then(|frame| self.act(frame)),
        };
        if let Err(error) = done {
            self.violated(error);
        }
    }

    /// What came is no frame.
    pub fn violated(&mut self, error: MuxError) {
        if matches!(self.state, State::Over(_)) {
            return;
        }
        self.say_go_away(Code::VIOLATION, &error.to_string());
        self.over(End::Violation(error));
    }

    /// What most frames are.
    #[inline]
    fn message(&mut self, channel: u32, mut frame: Bytes) -> Result<(), MuxError> {
        let Some(slot) = self.find(channel)? else { return Ok(()) };
        frame.advance(HEAD_BYTES);
        self.data(slot, frame.len(), |rx, cost| rx.message(frame, cost))
    }

    fn act(&mut self, frame: Frame) -> Result<(), MuxError> {
        match (&frame, &self.theirs) {
            (Frame::Hello(_), Some(_)) => return Err(MuxError::Unexpected("Hello")),
            (Frame::Hello(_) | Frame::GoAway { .. }, _) | (_, Some(_)) => {}
            (_, None) => return Err(MuxError::NoMux),
        }
        match frame {
            Frame::Message { channel, body } => {
                let Some(slot) = self.find(channel)? else { return Ok(()) };
                self.data(slot, body.len(), |rx, cost| rx.message(body, cost))
            }
            Frame::Begin { channel, length, body } => {
                let Some(slot) = self.find(channel)? else { return Ok(()) };
                self.data(slot, body.len(), |rx, cost| rx.begin(length, body, cost))
            }
            Frame::Piece { channel, body } => {
                let Some(slot) = self.find(channel)? else { return Ok(()) };
                self.data(slot, body.len(), |rx, cost| rx.piece(body, cost, false))
            }
            Frame::End { channel } => self.end_of_message(channel, true),
            Frame::Abort { channel } => self.end_of_message(channel, false),
            Frame::Credit { channel, bytes, delivered } => self.credited(channel, bytes, delivered),
            Frame::Flush { channel } => {
                if let Some(slot) = self.find(channel)? {
                    self.owe(slot, due::CREDIT);
                }
                Ok(())
            }
            Frame::Open { channel, priority, id } => self.opened(channel, priority, id),
            Frame::Accept { channel } => {
                let Some(slot) = self.find(channel)? else { return Ok(()) };
                match &mut self.channels[slot as usize] {
                    Some(channel) if channel.incoming || channel.accepted => {
                        return Err(MuxError::Unexpected("Accept"));
                    }
                    Some(channel) => channel.accepted = true,
                    None => {}
                }
                self.change(slot, Changes::STATE);
                Ok(())
            }
            Frame::Finish { channel } => {
                let Some(slot) = self.find(channel)? else { return Ok(()) };
                let Some(channel) = &mut self.channels[slot as usize] else { return Ok(()) };
                channel.rx.finish()?;
                if channel.rx.state == RecvState::Finished {
                    // So that it knows what has come.
                    self.owe(slot, due::CREDIT | due::STOP);
                }
                self.change(slot, Changes::READ | Changes::STATE);
                self.close_if_done(slot);
                Ok(())
            }
            Frame::Stop { channel, code } => {
                let Some(slot) = self.find(channel)? else { return Ok(()) };
                let Some(channel) = &mut self.channels[slot as usize] else { return Ok(()) };
                let delivered = channel.tx.delivered;
                channel.tx.stop(code, delivered)?;
                if channel.tx.has_items() {
                    self.turns.add(channel.priority, slot, &mut channel.tx.turn);
                }
                self.change(slot, Changes::ROOM | Changes::STATE);
                self.close_if_done(slot);
                Ok(())
            }
            Frame::Reset { channel, code, text } => {
                if let Some(slot) = self.find(channel)? {
                    self.end_channel(slot, Some(ChannelEnd::ResetByPeer { code, text }));
                }
                Ok(())
            }
            Frame::Return { channel, bytes } => {
                let Some(slot) = self.find(channel)? else { return Ok(()) };
                let Some(held) = &mut self.channels[slot as usize] else { return Ok(()) };
                match self.shared.returned(&mut held.rx.window, bytes) {
                    true => Ok(()),
                    false => Err(MuxError::NoCredit { channel }),
                }
            }
            Frame::Openings { total } => {
                if total > self.may_open {
                    self.may_open = total;
                    self.news.openings = true;
                }
                Ok(())
            }
            Frame::Ping { token } => {
                // A peer that asks without end gets the answer to the latest.
                self.pong_due = Some(token);
                Ok(())
            }
            Frame::Pong { token } => {
                if let Some(round_trip) = self.pulse.pong(token, self.now) {
                    self.round_trips[self.pongs as usize % self.round_trips.len()] = Some(round_trip);
                    self.pongs += 1;
                    self.shared.set_round_trip(self.round_trip());
                    self.news.round_trip = true;
                    if self.pongs < FIRST_PINGS {
                        self.ping(self.now);
                    }
                }
                Ok(())
            }
            Frame::Hello(theirs) => self.greeted(theirs),
            Frame::GoAway { .. } if self.peer_away.is_some() => Err(MuxError::Unexpected("GoAway")),
            Frame::GoAway { last, code, text } => {
                self.left(last, code, text);
                Ok(())
            }
        }
    }

    fn greeted(&mut self, theirs: Hello) -> Result<(), MuxError> {
        let odd = match self.ours.nonce.cmp(&theirs.nonce) {
            core::cmp::Ordering::Equal => return Err(MuxError::Myself),
            order => order.is_gt(),
        };
        if theirs.window == 0 {
            return Err(MuxError::BadField("window"));
        }
        self.next_number = if odd { 1 } else { 2 };
        // The one before their first.
        self.last_number = if odd { 0 } else { u32::MAX };
        self.may_open = theirs.channels.into();
        self.theirs = Some(theirs);
        if self.state == State::Greeting {
            self.state = State::Open;
            (self.no_channels_since, self.sooner) = (self.now, true);
            self.ping(self.now);
        }
        (self.news.state, self.news.openings) = (true, true);
        self.end_if_done();
        Ok(())
    }

    fn is_theirs(&self, number: u32) -> bool {
        number % 2 != self.next_number % 2
    }

    /// The slot of a channel; `None` if it was there and is over.
    #[inline]
    fn find(&mut self, number: u32) -> Result<Option<u32>, MuxError> {
        if self.recent.0 == number {
            return Ok(Some(self.recent.1));
        }
        if let Some(slot) = self.numbers.get(&number) {
            self.recent = (number, *slot);
            return Ok(Some(*slot));
        }
        let was_there = match self.is_theirs(number) {
            true => self.they_opened > 0 && number <= self.last_number,
            false => number < self.next_number,
        };
        if was_there { Ok(None) } else { Err(MuxError::BadField("channel")) }
    }

    fn opened(&mut self, number: u32, priority: Priority, id: ChannelId) -> Result<(), MuxError> {
        let next = self.last_number.wrapping_add(2);
        // When all numbers are used up there is no first one again: it may still be there.
        let begins_anew = self.they_opened > 0 && next < self.last_number;
        if !self.is_theirs(number) || number != next || begins_anew {
            return Err(MuxError::BadField("channel"));
        }
        if self.they_opened >= self.let_open {
            return Err(MuxError::TooManyChannels);
        }
        self.last_number = number;
        self.they_opened += 1;
        self.stats.incoming += 1;
        self.offer_openings();
        let refuses = self.options.same_id == SameId::Refuse && !id.is_empty();
        let refused = if self.go_away.is_some() {
            Some(Code::LEAVING)
        } else if self.incoming.len() >= self.options.backlog {
            Some(Code::BUSY)
        } else if refuses && self.ids.contains(&id) {
            Some(Code::SAME_ID)
        } else {
            None
        };
        if refuses && refused.is_none() {
            self.ids.insert(id.clone());
        }
        let place = self.insert(number, id, priority, true);
        match refused {
            Some(code) => {
                self.stats.refused += 1;
                if let Some(channel) = self.channel_mut(place) {
                    // It must not free the id of the other one.
                    channel.id = ChannelId::EMPTY;
                }
                self.reset_slot(place.slot, code, String::new(), ChannelEnd::ResetHere { code });
            }
            None => {
                self.incoming.push_back(place.slot);
                self.news.incoming = true;
            }
        }
        Ok(())
    }

    #[inline]
    fn data(
        &mut self,
        slot: u32,
        bytes: usize,
        keep: impl FnOnce(&mut Receiving, u64) -> Result<bool, MuxError>,
    ) -> Result<(), MuxError> {
        let Some(channel) = &mut self.channels[slot as usize] else { return Ok(()) };
        let cost = bytes as u64 + FRAME_COST;
        if !self.shared.receive(&mut channel.rx.window, cost) {
            return Err(MuxError::NoCredit { channel: channel.number });
        }
        self.stats.received_bytes += bytes as u64;
        let (last, run) = self.came;
        self.came = match slot == last || last == u32::MAX {
            true => (slot, run.saturating_add(cost)),
            false => (slot, cost),
        };
        channel.idle_looks = 0;
        if !channel.rx.is_wanted() {
            self.stats.discarded_bytes += bytes as u64;
            self.shared.take(&mut channel.rx.window, cost);
            return match channel.rx.state {
                RecvState::Unwanted { finished: false, .. } => Ok(()),
                _ => Err(MuxError::Unexpected("data")),
            };
        }
        let before = channel.rx.delivered;
        channel.rx.make_room(&mut self.spare);
        let wakes = match keep(&mut channel.rx, cost) {
            Ok(wakes) => wakes,
            Err(error) => {
                self.shared.take(&mut channel.rx.window, cost);
                return Err(error);
            }
        };
        self.stats.received_messages += channel.rx.delivered - before;
        let max = self.options.max_message_bytes;
        let lacks = channel.rx.lacks(max).is_some();
        if wakes || channel.rx.refuses(max) {
            self.change(slot, Changes::READ);
        }
        if lacks {
            self.give_credit(slot);
        }
        Ok(())
    }

    fn end_of_message(&mut self, number: u32, whole: bool) -> Result<(), MuxError> {
        let Some(slot) = self.find(number)? else { return Ok(()) };
        let Some(channel) = &mut self.channels[slot as usize] else { return Ok(()) };
        if channel.rx.is_wanted() {
            channel.rx.end(whole)?;
            self.stats.received_messages += u64::from(whole);
            self.change(slot, Changes::READ);
        }
        Ok(())
    }

    fn credited(&mut self, number: u32, bytes: u64, delivered: u64) -> Result<(), MuxError> {
        let Some(slot) = self.find(number)? else { return Ok(()) };
        let Some(channel) = &mut self.channels[slot as usize] else { return Ok(()) };
        let before = channel.tx.delivered;
        let more = channel.tx.credited(bytes, delivered)?;
        if more && channel.tx.has_items() {
            self.turns.add(channel.priority, slot, &mut channel.tx.turn);
        }
        if more && !channel.tx.rich {
            channel.tx.rich = true;
            self.rich.push_back(slot);
            if self.look_at.is_none() {
                (self.look_at, self.sooner) = (Some(self.now + RETURN_AFTER), true);
            }
        }
        if delivered > before {
            self.change(slot, Changes::STATE);
        }
        Ok(())
    }

    fn left(&mut self, last: u32, code: Code, text: String) {
        let never_seen: Vec<_> = self
            .numbers
            .iter()
            .filter(|(number, _)| !self.is_theirs(**number) && **number > last)
            .map(|(_, slot)| *slot)
            .collect();
        for slot in never_seen {
            self.end_channel(slot, Some(ChannelEnd::NeverSeen));
        }
        self.peer_away = Some((last, code, text));
        if matches!(self.state, State::Greeting | State::Open) {
            (self.state, self.sooner) = (State::Leaving { until: None }, true);
            (self.news.state, self.news.openings) = (true, true);
        }
        self.end_if_done();
    }

    /// Frames in the outbox that will never be written, each with the end of a message.
    pub fn unsent(&mut self, place: Place) {
        if let Some(channel) = self.channel_mut(place) {
            channel.tx.unsent += 1;
        }
    }

    /// The connection is gone.
    pub fn lost(&mut self, end: End) {
        if !matches!(self.state, State::Over(_)) {
            let end = match (&self.peer_away, end) {
                (Some((_, code, text)), End::Lost) if *code == Code::VIOLATION => {
                    End::ClosedByPeer { code: *code, text: text.clone() }
                }
                (_, end) => end,
            };
            self.over(end);
        }
    }

    fn over(&mut self, end: End) {
        self.state = State::Over(end.clone());
        self.debtors.clear();
        self.news =
            ConnectionChanges { incoming: true, openings: true, state: true, round_trip: true, ended: true };
        let slots: Vec<u32> = self.numbers.values().copied().collect();
        for slot in slots {
            self.end_channel(slot, Some(ChannelEnd::Connection(end.clone())));
        }
    }

    /// Whether the [`deadline`](Self::deadline) may have come nearer since this was asked last.
    #[inline]
    pub fn is_due_sooner(&mut self) -> bool {
        core::mem::take(&mut self.sooner)
    }

    /// When [`expire`](Self::expire) is due.
    pub fn deadline(&self) -> Option<Time> {
        let state = match self.state {
            State::Greeting => return Some(self.handshake_until),
            State::Open => None,
            State::Leaving { until } => until,
            State::Over(_) => return None,
        };
        let idle = self.options.idle_timeout.filter(|_| self.live == 0);
        let idle = idle.map(|timeout| self.no_channels_since + timeout);
        let look = self.idle_look_at.filter(|_| self.live > 0);
        [state, idle, look, self.look_at, self.pulse.deadline()].into_iter().flatten().min()
    }

    /// It is so late.
    pub fn expire(&mut self, now: Time) {
        self.now = now;
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        match self.state {
            State::Over(_) => return,
            State::Greeting if due(Some(self.handshake_until)) => {
                return self.over(End::HandshakeTimeout);
            }
            State::Leaving { until } if due(until) => {
                let slots: Vec<u32> = self.numbers.values().copied().collect();
                for slot in slots {
                    let end = ChannelEnd::ResetHere { code: Code::LEAVING };
                    self.reset_slot(slot, Code::LEAVING, String::new(), end);
                }
                return self.end_if_done();
            }
            _ => {}
        }
        match self.pulse.expire(now) {
            Some(Beat::Ping(token)) => self.ping_due = Some(token),
            Some(Beat::Dead) => return self.over(End::Silent),
            None => {}
        }
        if due(self.look_at) {
            self.look_at = None;
            self.look_for_credit();
        }
        if due(self.idle_look_at) {
            self.look_for_idle();
        }
        let idle = self.options.idle_timeout.map(|timeout| self.no_channels_since + timeout);
        if self.live == 0 && self.state == State::Open && due(idle) {
            self.say_go_away(Code::IDLE, "");
            self.over(End::Idle);
        }
    }

    /// Channels that send nothing give back what credit they have beyond the first.
    fn look_for_credit(&mut self) {
        for slot in core::mem::take(&mut self.rich) {
            let Some(Some(channel)) = self.channels.get_mut(slot as usize) else { continue };
            if core::mem::take(&mut channel.tx.active) {
                self.rich.push_back(slot);
                continue;
            }
            channel.tx.rich = false;
            if channel.end.is_none() && channel.tx.state == SendState::Open {
                if let Some(bytes) = channel.tx.give_back() {
                    channel.returns += bytes;
                    self.owe(slot, due::RETURN);
                }
            }
        }
        if !self.rich.is_empty() {
            self.look_at = Some(self.now + RETURN_AFTER);
        }
    }

    fn look_for_idle(&mut self) {
        let Some(timeout) = self.options.channel_idle_timeout else { return };
        self.idle_look_at = Some(self.now + timeout / IDLE_LOOKS.into());
        let mut idle = Vec::new();
        for slot in self.numbers.values() {
            if let Some(Some(channel)) = self.channels.get_mut(*slot as usize) {
                channel.idle_looks += 1;
                if channel.idle_looks > IDLE_LOOKS {
                    idle.push(*slot);
                }
            }
        }
        for slot in idle {
            let end = ChannelEnd::ResetHere { code: Code::IDLE };
            self.reset_slot(slot, Code::IDLE, String::new(), end);
        }
    }

    // ---- what follows ----

    fn owe(&mut self, slot: u32, what: u8) {
        let Some(Some(channel)) = self.channels.get_mut(slot as usize) else { return };
        if channel.over && what != due::RESET {
            return;
        }
        channel.due |= what;
        if !core::mem::replace(&mut channel.in_debt, true) {
            self.debtors.push_back(slot);
        }
    }

    #[inline]
    fn change(&mut self, slot: u32, what: u8) {
        let Some(Some(channel)) = self.channels.get_mut(slot as usize) else { return };
        if channel.changes == 0 && !channel.released {
            self.changed.push_back(slot);
        }
        channel.changes |= what;
    }

    /// The next channel on which something has changed.
    #[inline]
    pub fn next_change(&mut self) -> Option<(Place, Changes)> {
        loop {
            let slot = self.changed.pop_front()?;
            let Some(channel) = &mut self.channels[slot as usize] else { continue };
            let changes = core::mem::take(&mut channel.changes);
            if changes != 0 && !channel.released {
                return Some((Place { slot, number: channel.number }, Changes(changes)));
            }
        }
    }

    /// What has changed on the connection since it was asked last.
    #[inline]
    pub fn news(&mut self) -> ConnectionChanges {
        core::mem::take(&mut self.news)
    }

    /// Tells the peer of room on a channel, if there is enough of it.
    fn give_credit(&mut self, slot: u32) {
        let Some(Some(channel)) = self.channels.get_mut(slot as usize) else { return };
        if channel.over || channel.end.is_some() || channel.rx.state != RecvState::Open {
            return;
        }
        let lacks = channel.rx.lacks(self.options.max_message_bytes);
        let lacks = lacks.map(|missing| self.shared.lack(missing));
        let overdraws = self.overdraws.is_none_or(|(other, _)| other == slot);
        let alone = self.came.0 == slot && self.came.1 >= SOLO_BYTES;
        match self.shared.news(&mut channel.rx.window, Asked { lacks, overdraws, alone }, self.now) {
            News::None => {}
            News::Promise(promise) => {
                channel.promise = promise;
                if let Some(lack) = lacks.filter(|_| self.shared.used() > self.options.shared_window) {
                    self.overdraws = Some((slot, channel.rx.window.received() + lack.least()));
                }
                self.owe(slot, due::CREDIT);
            }
            News::Short if !core::mem::replace(&mut channel.rx.short, true) => self.short.push_back(slot),
            News::Short => {}
        }
    }

    /// The message for which a channel had more than its share is taken, or will never be: the next one's turn.
    fn settle_overdraft(&mut self, slot: u32) {
        if self.overdraws.is_some_and(|(other, _)| other == slot) {
            self.overdraws = None;
        }
        while self.overdraws.is_none() {
            let Some(next) = self.short.pop_front() else { return };
            let Some(Some(channel)) = self.channels.get_mut(next as usize) else { continue };
            if core::mem::take(&mut channel.rx.short) {
                self.give_credit(next);
            }
        }
    }

    /// A channel is over, before its time or not.
    fn end_channel(&mut self, slot: u32, end: Option<ChannelEnd>) {
        let Some(Some(channel)) = self.channels.get_mut(slot as usize) else { return };
        if channel.over {
            return;
        }
        channel.over = true;
        // What the peer has not heard of cannot be reset, and the next number would be missing one.
        channel.due &= if channel.due & due::RESET != 0 { due::OPEN | due::RESET } else { 0 };
        if end.is_some() {
            channel.tx.discard();
            channel.tx.state = SendState::Over;
            // What came before is still there to be taken, unless it was cut in the middle.
            channel.rx.state = RecvState::Over;
            let cost = channel.rx.cut();
            self.shared.take(&mut channel.rx.window, cost);
        }
        channel.end = channel.end.take().or(end.map(Box::new));
        if core::mem::take(&mut channel.rx.short) {
            self.short.retain(|other| *other != slot);
        }
        self.shared.end(&mut channel.rx.window);
        // Who had more than its share for what is still to be taken has it until then.
        let has_its_message = !channel.rx.is_idle();
        self.numbers.remove(&channel.number);
        if self.recent.0 == channel.number {
            self.recent = (0, 0);
        }
        self.live -= 1;
        self.news.ended = true;
        if self.live == 0 {
            (self.no_channels_since, self.sooner) = (self.now, true);
        }
        if channel.incoming && self.options.same_id == SameId::Refuse {
            self.ids.remove(&channel.id);
        }
        if !has_its_message {
            self.settle_overdraft(slot);
        }
        self.change(slot, Changes::READ | Changes::ROOM | Changes::STATE);
        self.forget_unaccepted(slot);
        self.free_slot(slot);
        self.end_if_done();
    }

    /// A channel that nobody has accepted is over: there is no use in it, unless messages came.
    fn forget_unaccepted(&mut self, slot: u32) {
        let Some(Some(channel)) = self.channels.get_mut(slot as usize) else { return };
        if channel.incoming && !channel.accepted && !channel.rx.has_any() {
            channel.released = true;
            self.incoming.retain(|other| *other != slot);
        }
    }

    /// Both directions have ended in order: it is over.
    fn close_if_done(&mut self, slot: u32) {
        let Some(Some(channel)) = self.channels.get_mut(slot as usize) else { return };
        if channel.tx.state == SendState::Over && channel.rx.state == RecvState::Over && !channel.over {
            self.end_channel(slot, None);
        }
    }

    /// Forgets a channel that is over and that no program has.
    ///
    /// Only now the peer may open another one: else who opens and resets for ever, and reads nothing, makes us
    /// remember more and more of what is over, and keeps any number of programs busy.
    fn free_slot(&mut self, slot: u32) {
        let Some(Some(channel)) = self.channels.get(slot as usize) else { return };
        // When the connection is over, its last words may still be due.
        let owes = channel.in_debt && !self.debtors.is_empty();
        if !channel.over || !channel.released || owes {
            return;
        }
        let incoming = channel.incoming;
        self.channels[slot as usize] = None;
        self.free.push(slot);
        if !incoming {
            return;
        }
        self.they_closed += 1;
        self.offer_openings();
    }

    /// Tells the peer of room for channels when it is worth it: an eighth of them, or when it has none left.
    fn offer_openings(&mut self) {
        let total = self.they_closed + u64::from(self.options.channels);
        let step = u64::from(self.options.channels / 8).max(1);
        let more = total - self.let_open;
        if more >= step || (more > 0 && self.they_opened == self.let_open) {
            self.let_open = total;
            self.openings_due = true;
        }
    }

    fn end_if_done(&mut self) {
        if self.live > 0 || !matches!(self.state, State::Leaving { .. }) {
            return;
        }
        let end = match (&self.peer_away, &self.go_away) {
            (Some((_, code, text)), None) => End::ClosedByPeer { code: *code, text: text.clone() },
            _ => End::ClosedHere,
        };
        self.say_go_away(Code::NONE, "");
        self.over_after_debts(end);
    }

    /// Over, but what was said to end the last channels is still written.
    fn over_after_debts(&mut self, end: End) {
        let debtors = core::mem::take(&mut self.debtors);
        self.over(end);
        self.debtors = debtors;
    }

    /// Whether something is to be written beside data, such as room for the peer.
    #[inline]
    pub fn owes(&self) -> bool {
        !self.debtors.is_empty()
    }

    /// What is to be written next.
    #[inline]
    pub fn next_frame(&mut self) -> Option<Outgoing> {
        let urgent = self.hello_due
            || self.pong_due.is_some()
            || self.ping_due.is_some()
            || self.openings_due
            || self.go_away_due
            || !self.debtors.is_empty();
        if urgent {
            if let Some(frame) = self.next_control() {
                return Some(Outgoing { message: frame.encode(), ends: None });
            }
        }
        if !matches!(self.state, State::Open | State::Leaving { .. }) {
            return None;
        }
        self.next_data()
    }

    fn next_control(&mut self) -> Option<Frame> {
        if core::mem::take(&mut self.hello_due) {
            return Some(Frame::Hello(self.ours.clone()));
        }
        if self.theirs.is_some() && !matches!(self.state, State::Over(_)) {
            if let Some(token) = self.pong_due.take() {
                return Some(Frame::Pong { token });
            }
            if let Some(token) = self.ping_due.take() {
                self.stats.pings += 1;
                return Some(Frame::Ping { token });
            }
            if core::mem::take(&mut self.openings_due) {
                return Some(Frame::Openings { total: self.let_open });
            }
        }
        if let Some(frame) = self.next_debt() {
            return Some(frame);
        }
        if core::mem::take(&mut self.go_away_due) {
            let (code, text) = self.go_away.clone().unwrap_or_default();
            let last = if self.they_opened > 0 { self.last_number } else { 0 };
            return Some(Frame::GoAway { last, code, text });
        }
        None
    }

    /// What a channel owes the peer.
    fn next_debt(&mut self) -> Option<Frame> {
        while let Some(&slot) = self.debtors.front() {
            let Some(Some(held)) = self.channels.get_mut(slot as usize) else {
                self.debtors.pop_front();
                continue;
            };
            let channel = held.number;
            let lowest = held.due & held.due.wrapping_neg();
            held.due &= !lowest;
            return Some(match lowest {
                due::OPEN => Frame::Open { channel, priority: held.priority, id: held.id.clone() },
                due::ACCEPT => Frame::Accept { channel },
                due::CREDIT => Frame::Credit { channel, bytes: held.promise, delivered: held.rx.delivered },
                due::FLUSH => Frame::Flush { channel },
                due::STOP => {
                    // What has come is told before.
                    let code = held.stop_code;
                    held.rx.told_stop();
                    self.close_if_done(slot);
                    Frame::Stop { channel, code }
                }
                due::RESET => {
                    let (code, text) = held.reset.take().map(|reset| *reset).unwrap_or_default();
                    Frame::Reset { channel, code, text }
                }
                due::RETURN => Frame::Return { channel, bytes: core::mem::take(&mut held.returns) },
                _ => {
                    held.in_debt = false;
                    self.debtors.pop_front();
                    self.free_slot(slot);
                    continue;
                }
            });
        }
        None
    }

    #[inline]
    fn next_data(&mut self) -> Option<Outgoing> {
        if self.turns.is_empty() {
            return None;
        }
        let alone = self.turns.is_alone();
        let (last, run) = self.solo;
        let chunk = self.options.chunk_bytes;
        let max = move |slot: u32| match alone && slot == last && run >= SOLO_BYTES {
            true => MAX_FRAME_BYTES - HEAD_BYTES - 8,
            false => chunk,
        };
        let served = self.turns.serve(
            &mut self.channels,
            |channels, slot| channels.get_mut(slot as usize)?.as_mut().map(|channel| &mut channel.tx.turn),
            |channels, slot| {
                let channel = channels.get_mut(slot as usize)?.as_mut()?;
                let sent = channel.tx.next(channel.number, max(slot))?;
                let bytes = sent.bytes;
                Some(((slot, sent), bytes))
            },
        )?;
        let (slot, sent) = served;
        self.solo = match slot == last || last == u32::MAX {
            true => (slot, run.saturating_add(sent.bytes as u64)),
            false => (slot, sent.bytes as u64),
        };
        self.stats.sent_bytes += sent.bytes as u64;
        self.stats.sent_messages += u64::from(sent.ends);
        let max_messages = self.options.send_messages;
        let gave_up = matches!(sent.frame, Frame::Abort { .. });
        let (place, finished, flush, room) = {
            let channel = self.channels[slot as usize].as_mut()?;
            channel.tx.keep_room(&mut self.spare);
            let place = Place { slot, number: channel.number };
            let finished = matches!(sent.frame, Frame::Finish { .. });
            // Told when half of the room is there again, or all of it.
            let (messages, bytes) = channel.tx.waiting();
            let room = channel.tx.room_wanted
                && messages <= max_messages / 2
                && bytes <= self.options.send_bytes / 2;
            channel.tx.room_wanted &= !room;
            (place, finished, channel.tx.is_flush_due(), room)
        };
        if flush {
            self.owe(slot, due::FLUSH);
        }
        if room {
            self.change(slot, Changes::ROOM);
        }
        if gave_up {
            // There is one less to be delivered: perhaps that was the last.
            self.change(slot, Changes::STATE);
        }
        if finished {
            self.change(slot, Changes::STATE);
            self.close_if_done(slot);
        }
        Some(Outgoing { message: sent.frame.encode(), ends: sent.ends.then_some(place) })
    }

    /// As if the peer had opened all channels up to this one.
    #[cfg(test)]
    pub(super) fn skip_to(&mut self, last: u32) {
        (self.last_number, self.they_opened, self.they_closed) = (last, 1, 1);
    }

    /// Who has how much of the memory that all share, for people.
    pub fn memory(&self) -> impl fmt::Debug + '_ {
        (&self.shared, self.overdraws, &self.short)
    }

    /// Panics when the account does not add up.
    pub fn check_invariants(&self) {
        let channels = || self.channels.iter().flatten();
        let overdraft = 2 * u64::from(self.options.window) + self.options.max_message_bytes;
        self.shared.check_invariants(channels().map(|channel| &channel.rx.window), overdraft);
        for channel in channels() {
            channel.tx.check_invariants();
            channel.rx.check_invariants();
            if !channel.over {
                let slot = self.numbers.get(&channel.number).copied();
                let there = slot.and_then(|slot| self.channels[slot as usize].as_ref());
                assert_eq!(
                    there.map(|there| there.number),
                    Some(channel.number),
                    "it is found by its number"
                );
            }
        }
        assert_eq!(self.live, self.numbers.len(), "channels that live");
        assert_eq!(self.live, channels().filter(|channel| !channel.over).count(), "channels that live");
        let theirs = channels().filter(|channel| channel.incoming).count();
        assert!(theirs as u64 <= u64::from(self.options.channels), "more channels than may be");
        assert_eq!(self.they_opened - self.they_closed, theirs as u64, "channels of the peer");
        assert!(self.incoming.len() <= self.options.backlog, "more than may wait");
        assert_eq!(
            self.free.len() + channels().count(),
            self.channels.len(),
            "every slot is one or the other"
        );
    }
}
