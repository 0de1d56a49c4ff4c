//! [`Link`]: the life of one plain connection, as a state machine.

use super::bucket::Bucket;
use super::calls::{Answer, Arrival, Asked, Calls, Failure};
use super::credit::{Allowance, Room};
use super::gather::{Gather, Piece};
use super::lanes::Lanes;
use super::options::{LinkOptions, TooFast};
use super::parcel::{Parcel, Priority};

use crate::framing::link::{
    Control, Fault, Head, Hello, HelloError, Kind, Layer, LinkError, MAX_FRAME_BYTES, MAX_HANDSHAKE_BYTES,
    Metadata, Reason, STREAMED,
};
use crate::message::{Header, Message};
use crate::session::pulse::{Beat, Pulse};
use crate::time::Time;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::time::Duration;

/// Which end of a connection this is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one that has dialled.
    Dialer,
    /// The one that has accepted.
    Acceptor,
}

impl Role {
    /// The other one.
    pub fn peer(self) -> Self {
        match self {
            Self::Dialer => Self::Acceptor,
            Self::Acceptor => Self::Dialer,
        }
    }
}

/// Where a connection is in its life.
///
/// ```text
///   dialer      Hello ▶        ◀ Hello          Ack ▶             ◀ Ack
///   acceptor          Hello ▶         ◀ Hello          Ack ▶             ◀ Ack
///
///              Hello             go_on               Ack            go_on
///   Greeting ────────▶ Judging ─────────▶ Confirming ────▶ Judging ─────────▶ Open ─────────────┐
///      │               (Hello)                │            (Ack)                │ close         │ Goodbye,
///      │ refuse, Refuse, deadline,            │              │                  ▼               │ violation,
///      │ violation, loss                      │              │               Draining ─────────▶│ loss, silence
///      ▼                                      ▼              ▼                  │ all is sent,  ▼
///    Over(end) ◀────────────────────────────────────────────────────────────────┴ or deadline ─▶
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The peer's Hello is awaited.
    Greeting,
    /// The peer's Hello (or, if set, its Ack) is here: hooks, limits and places are asked.
    Judging {
        /// Whether it is the Ack.
        ack: bool,
    },
    /// The peer's Ack is awaited.
    Confirming,
    /// Messages flow.
    Open,
    /// The program has closed it; what waits is still sent.
    Draining {
        /// Until then at the latest.
        until: Time,
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
    /// The peer said goodbye.
    ClosedByPeer {
        /// Why: mostly [`Reason::Closing`].
        reason: Reason,
        /// In words; empty if none were given.
        text: String,
    },
    /// The peer refused the connection in its handshake.
    RefusedByPeer {
        /// Why.
        reason: Reason,
        /// In words; empty if none were given.
        text: String,
    },
    /// We refused or dismissed the peer.
    RefusedHere {
        /// Why.
        reason: Reason,
    },
    /// The peer broke the rules of the wire, or speaks something else.
    Violation(LinkError),
    /// The peer was silent for too long.
    Silent,
    /// The connection broke, or ended without a goodbye.
    Lost,
    /// The handshake took too long.
    HandshakeTimeout,
    /// The runtime that served the connection is gone.
    RuntimeGone,
}

impl End {
    /// Whether another connection may well be had soon without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::ClosedByPeer { .. } | Self::Silent | Self::Lost | Self::HandshakeTimeout => true,
            Self::RefusedByPeer { reason, .. } | Self::RefusedHere { reason } => reason.is_transient(),
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
        let told = |f: &mut fmt::Formatter<'_>, what: &str, reason: &Reason, text: &str| match text {
            "" => write!(f, "{what}: {reason}"),
            text => write!(f, "{what}: {reason} ({text})"),
        };
        match self {
            Self::ClosedHere => f.write_str("closed here"),
            Self::ClosedByPeer { reason, text } => told(f, "closed by the peer", reason, text),
            Self::RefusedByPeer { reason, text } => told(f, "refused by the peer", reason, text),
            Self::RefusedHere { reason } => told(f, "refused here", reason, ""),
            Self::Violation(error) => write!(f, "the peer broke the rules of the wire: {error}"),
            Self::Silent => f.write_str("the peer was silent for too long"),
            Self::Lost => f.write_str("connection lost"),
            Self::HandshakeTimeout => f.write_str("handshake timed out"),
            Self::RuntimeGone => f.write_str("the runtime that served the connection was shut down"),
        }
    }
}

/// A frame to write.
#[derive(Debug)]
pub struct Frame {
    /// Head and payload: all behind the length.
    pub message: Message,
    /// With it, a message of the application has left whole.
    pub ends: bool,
}

/// What has changed since it was asked last: who is to be woken.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// There are messages to take.
    pub messages: bool,
    /// There are requests to take.
    pub requests: bool,
    /// There are streams, or pieces of them, to take.
    pub streams: bool,
    /// There are answers to take.
    pub answers: bool,
    /// There is room to send.
    pub room: bool,
    /// The state is another one.
    pub state: bool,
    /// The peer's metadata are others.
    pub metadata: bool,
}

/// What a connection has counted.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStats {
    /// Messages, requests and answers that were accepted to be sent.
    pub sent_messages: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Messages, requests and answers that came whole.
    pub received_messages: u64,
    /// Their bytes, those of streams included.
    pub received_bytes: u64,
    /// Messages of the peer that were discarded: they came after the end, or nobody waited for them.
    pub discarded_messages: u64,
    /// Requests that were answered with `Busy`, since too many waited.
    pub busy_requests: u64,
    /// Times that the peer had to wait, since it was faster than it may be.
    pub slowed: u64,
    /// Pings sent.
    pub pings: u64,
    /// Messages that wait to be sent.
    pub send_waiting: u64,
    /// Messages, requests included, that wait to be taken.
    pub recv_waiting: u64,
}

/// Why something was not accepted to be sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// There is no room for now.
    Full,
    /// It is larger than the peer takes in one piece.
    TooLarge {
        /// What it takes, in bytes.
        limit: u64,
    },
    /// The connection is not open.
    Over,
}

/// What waits in a lane.
#[derive(Debug)]
enum Item {
    /// Goes in one frame.
    Whole { head: Head, fields: Vec<u8>, body: Bytes, call: Option<u64> },
    /// Goes in pieces.
    Parts { head: Head, fields: Vec<u8>, body: Bytes, transfer: Option<u32>, call: Option<u64> },
    /// Of a stream.
    Stream(Control),
}

impl Item {
    /// The bytes for which it needs credit before it goes on.
    fn needs(&self) -> Option<u64> {
        match self {
            Self::Whole { fields, body, .. } | Self::Parts { fields, body, transfer: None, .. } => {
                Some((fields.len() + body.len()) as u64)
            }
            Self::Parts { .. } | Self::Stream(_) => None,
        }
    }
}

/// A stream that we send.
#[derive(Debug)]
struct Outgoing {
    priority: Priority,
    sent: u64,
    granted: u64,
    /// End or Abort was queued.
    ended: bool,
    /// The peer wants no more of it, or has had all.
    stopped: bool,
}

/// One plain connection.
///
/// **Inputs** are [`frame`](Self::frame), [`expire`](Self::expire), [`lost`](Self::lost) and the calls of
/// the program. After each: write what [`next_frame`](Self::next_frame) gives, wake whom
/// [`changes`](Self::changes) names, and come back at [`deadline`](Self::deadline).
///
/// **Judging.** When [`State::Judging`] is entered, no frame is taken before the caller has said
/// [`go_on`](Self::go_on) or [`refuse`](Self::refuse).
#[derive(Debug)]
pub struct Link {
    role: Role,
    options: LinkOptions,
    state: State,
    ours: Hello,
    theirs: Option<Hello>,
    /// The payloads of both Hellos, until the handshake is done.
    said: (Bytes, Bytes),
    proof: Bytes,
    /// Our Hello is to be sent.
    hello_due: bool,
    handshake_until: Time,
    control: VecDeque<Control>,
    lanes: Lanes<Item>,
    /// With `linger`: until when small messages wait for others.
    held_until: Option<Time>,
    allowance: Allowance,
    room: Room,
    next_transfer: u32,
    outgoing: BTreeMap<u32, Outgoing>,
    gather: Gather,
    streams: VecDeque<(u32, Head)>,
    received: VecDeque<Parcel>,
    calls: Calls,
    asked: Asked,
    pulse: Pulse,
    messages_rate: Option<Bucket>,
    bytes_rate: Option<Bucket>,
    controls_rate: Bucket,
    /// New credit is held back until then.
    slowed_until: Option<Time>,
    /// Messages that the peer has had, by its Goodbye.
    confirmed: Option<u64>,
    /// Messages of ours that will never be sent whole.
    abandoned: u64,
    changes: Changes,
    stats: LinkStats,
}

/// Answers to the peer that may wait to be written; with more, it is asking without listening.
const MAX_CONTROLS: usize = 4_096;

impl Link {
    /// A connection that was just made. `ours` is what we say; a dialer says it at once.
    pub fn new(role: Role, ours: Hello, options: LinkOptions, now: Time) -> Self {
        let options = options.clamped();
        let hello = Bytes::from(ours.encode());
        let bucket = |rate: u64| Bucket::new(rate, rate, now);
        Self {
            role,
            state: State::Greeting,
            theirs: None,
            said: (hello, Bytes::new()),
            proof: Bytes::new(),
            // Who has accepted says nothing before he has heard who is there.
            hello_due: role == Role::Dialer,
            handshake_until: now + options.handshake_timeout,
            control: VecDeque::new(),
            lanes: Lanes::default(),
            held_until: None,
            allowance: Allowance::new(0, 0),
            room: Room::new(ours.window_messages, ours.window_bytes),
            next_transfer: 1,
            outgoing: BTreeMap::new(),
            gather: Gather::default(),
            streams: VecDeque::new(),
            received: VecDeque::new(),
            calls: Calls::default(),
            asked: Asked::default(),
            pulse: Pulse::new(options.keep_alive, options.dead_after, now),
            messages_rate: options.messages_per_second.map(|rate| bucket(rate.into())),
            bytes_rate: options.bytes_per_second.map(bucket),
            controls_rate: bucket(options.controls_per_second.into()),
            slowed_until: None,
            confirmed: None,
            abandoned: 0,
            changes: Changes { state: true, ..Changes::default() },
            stats: LinkStats::default(),
            ours,
            options,
        }
    }

    fn hello_frame(&self) -> Frame {
        let head = Header::new(&Head::session(Kind::Hello).encode());
        Frame { message: Message::with_header(head, self.said.0.clone()), ends: false }
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

    /// Whether messages may be sent.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Which end it is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// What we have said.
    pub fn ours(&self) -> &Hello {
        &self.ours
    }

    /// What the peer has said; its metadata are the latest.
    pub fn theirs(&self) -> Option<&Hello> {
        self.theirs.as_ref()
    }

    /// What the peer's Ack has as its proof.
    pub fn proof(&self) -> &Bytes {
        &self.proof
    }

    /// What a proof of one side is made of: the same bytes on both sides, and never the same twice.
    pub fn challenge(&self, prover: Role) -> Vec<u8> {
        let (dialer, acceptor) = match self.role {
            Role::Dialer => (&self.said.0, &self.said.1),
            Role::Acceptor => (&self.said.1, &self.said.0),
        };
        let side: &[u8] = if prover == Role::Dialer { b"\0" } else { b"\x01" };
        [b"spanwire link 1", side, &(dialer.len() as u32).to_be_bytes(), dialer, acceptor].concat()
    }

    /// The largest frame that may come, without its length.
    pub fn max_frame_bytes(&self) -> usize {
        match self.state {
            State::Greeting | State::Judging { .. } | State::Confirming => MAX_HANDSHAKE_BYTES,
            State::Open | State::Draining { .. } | State::Over(_) => MAX_FRAME_BYTES,
        }
    }

    /// The last round trip that was measured.
    pub fn round_trip(&self) -> Option<Duration> {
        self.pulse.round_trip()
    }

    /// What it has counted.
    pub fn stats(&self) -> LinkStats {
        let mut stats = self.stats;
        stats.send_waiting = self.lanes.waiting().0 as u64;
        stats.recv_waiting = (self.received.len() + self.asked.waiting()) as u64;
        stats
    }

    /// What has changed since the last call.
    pub fn changes(&mut self) -> Changes {
        core::mem::take(&mut self.changes)
    }

    // Handshake and end.

    /// The peer is fine so far. `proof` goes into our Ack.
    pub fn go_on(&mut self, proof: Bytes, now: Time) {
        match (&self.state, self.role) {
            (State::Judging { ack: false }, Role::Dialer) => {
                self.enter(State::Confirming);
                self.control.push_back(Control::Ack { proof });
            }
            (State::Judging { ack: false }, Role::Acceptor) => {
                self.enter(State::Confirming);
                self.hello_due = true;
            }
            (State::Judging { ack: true }, role) => {
                if role == Role::Acceptor {
                    self.control.push_back(Control::Ack { proof });
                }
                self.said = (Bytes::new(), Bytes::new());
                self.pulse.heard(now);
                self.changes.room = true;
                self.enter(State::Open);
            }
            _ => {}
        }
    }

    /// The peer is not wanted, or no longer.
    pub fn refuse(&mut self, reason: Reason, text: &str) {
        self.dismiss(End::RefusedHere { reason }, reason, text);
    }

    /// The program closes it. What waits is sent until the deadline.
    pub fn close(&mut self, until: Time) {
        match self.state {
            State::Open => {
                self.held_until = None;
                self.enter(State::Draining { until });
                self.part_if_drained();
            }
            State::Draining { until: other } => self.state = State::Draining { until: until.min(other) },
            State::Greeting | State::Judging { .. } | State::Confirming => {
                self.dismiss(End::ClosedHere, Reason::Closing, "");
            }
            State::Over(_) => {}
        }
    }

    /// The connection is gone.
    pub fn lost(&mut self, end: End) {
        if !matches!(self.state, State::Over(_)) {
            self.finish(end);
        }
        self.abandon();
    }

    /// Bytes that are no frame have come.
    pub fn violated(&mut self, error: LinkError) {
        // Who begins with a length like this has never heard of us.
        let error = match (&self.state, error) {
            (State::Greeting, LinkError::TooLarge { .. }) => LinkError::Hello(HelloError::NotALink),
            (_, error) => error,
        };
        let reason = match error {
            LinkError::Hello(HelloError::Version { .. }) => Reason::Version,
            LinkError::TooLarge { .. } => Reason::TooLarge,
            _ => Reason::Malformed,
        };
        let text = match &error {
            // Said so that both read it rightly.
            LinkError::Hello(HelloError::Version { theirs }) => {
                alloc::format!("spoken here: {}; asked for: {theirs}", crate::framing::link::Versions::OURS)
            }
            error => error.to_string(),
        };
        self.dismiss(End::Violation(error), reason, &text);
    }

    /// Says why, and is over.
    fn dismiss(&mut self, end: End, reason: Reason, text: &str) {
        let text = String::from(text);
        let last = match self.state {
            State::Over(_) => return,
            State::Greeting | State::Judging { .. } | State::Confirming => Control::Refuse { reason, text },
            State::Open | State::Draining { .. } => {
                // A program that closes takes no more of what waits for it.
                let untaken = match end {
                    End::ClosedHere => (self.received.len() + self.asked.waiting()) as u64,
                    _ => 0,
                };
                let received = self.stats.received_messages - untaken;
                self.stats.discarded_messages += untaken;
                Control::Goodbye { reason, received, text }
            }
        };
        self.control.push_back(last);
        self.finish(end);
    }

    fn finish(&mut self, end: End) {
        if end.cuts() {
            self.control.clear();
            self.hello_due = false;
        }
        if end == End::ClosedHere {
            self.received.clear();
            self.asked = Asked::default();
        }
        self.enter(State::Over(end));
        self.abandon();
        self.gather.cut();
        let everything = Changes {
            messages: true,
            requests: true,
            streams: true,
            answers: true,
            room: true,
            state: true,
            metadata: true,
        };
        self.changes = everything;
    }

    /// What waits will never be sent.
    fn abandon(&mut self) {
        let lanes = &mut self.lanes;
        self.abandoned += lanes.drain().filter(|item| !matches!(item, Item::Stream(_))).count() as u64;
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.changes.state = true;
    }

    /// Messages that will never be sent whole, and how many of ours the peer says it has had.
    pub fn account(&self) -> (u64, Option<u64>) {
        (self.abandoned, self.confirmed)
    }

    // Time.

    /// When [`expire`](Self::expire) is due.
    pub fn deadline(&self) -> Option<Time> {
        let mut due = match self.state {
            State::Greeting | State::Judging { .. } | State::Confirming => return Some(self.handshake_until),
            State::Draining { until } => Some(until),
            State::Open => None,
            State::Over(_) => return None,
        };
        for other in [self.pulse.deadline(), self.held_until, self.slowed_until].into_iter().flatten() {
            due = Some(due.map_or(other, |due| due.min(other)));
        }
        due
    }

    /// Does what is due.
    pub fn expire(&mut self, now: Time) {
        match self.state {
            State::Greeting | State::Judging { .. } | State::Confirming => {
                if self.handshake_until <= now {
                    self.dismiss(End::HandshakeTimeout, Reason::TooSlow, "");
                }
                return;
            }
            State::Draining { until } if until <= now => {
                self.abandon();
                self.part_if_drained();
                return;
            }
            State::Open | State::Draining { .. } => {}
            State::Over(_) => return,
        }
        if self.held_until.is_some_and(|until| until <= now) {
            self.held_until = None;
        }
        if self.slowed_until.is_some_and(|until| until <= now) {
            self.slowed_until = None;
            self.tell_room(now);
        }
        match self.pulse.expire(now) {
            Some(Beat::Ping(token)) => {
                self.stats.pings += 1;
                self.push_control(Control::Ping { token });
            }
            Some(Beat::Dead) => self.lost(End::Silent),
            None => {}
        }
    }

    /// Asks the peer whether it is there, now.
    pub fn ping(&mut self, now: Time) {
        if self.is_open() {
            self.stats.pings += 1;
            let token = self.pulse.ping(now);
            self.push_control(Control::Ping { token });
        }
    }

    // Sending.

    /// Accepts a message to be sent. It is left as it is if it is not accepted.
    pub fn send(&mut self, parcel: &mut Parcel, now: Time) -> Result<(), NotSent> {
        let head = Head::application(parcel.protocol, parcel.message);
        self.check_room(parcel.priority, parcel.body.len())?;
        let body = core::mem::take(&mut parcel.body);
        self.queue(parcel.priority, head, Vec::new(), body, None, now);
        Ok(())
    }

    fn check_room(&self, priority: Priority, bytes: usize) -> Result<(), NotSent> {
        let theirs = match (&self.state, &self.theirs) {
            (State::Open, Some(theirs)) => theirs,
            _ => return Err(NotSent::Over),
        };
        if bytes as u64 > theirs.max_message_bytes {
            return Err(NotSent::TooLarge { limit: theirs.max_message_bytes });
        }
        let LinkOptions { send_messages, send_bytes, .. } = self.options;
        match self.lanes.has_room(priority, bytes, send_messages, send_bytes) {
            true => Ok(()),
            false => Err(NotSent::Full),
        }
    }

    fn queue(
        &mut self,
        priority: Priority,
        head: Head,
        fields: Vec<u8>,
        body: Bytes,
        call: Option<u64>,
        now: Time,
    ) {
        let bytes = fields.len() + body.len();
        self.stats.sent_messages += 1;
        self.stats.sent_bytes += body.len() as u64;
        if self.options.linger > Duration::ZERO && self.lanes.is_empty() && priority != Priority::Urgent {
            self.held_until.get_or_insert(now + self.options.linger);
        }
        let item = match bytes <= self.options.chunk_bytes {
            true => Item::Whole { head, fields, body, call },
            false => Item::Parts { head, fields, body, transfer: None, call },
        };
        self.lanes.push(priority, item, bytes);
        if priority == Priority::Urgent || self.lanes.waiting().1 >= self.options.write_buffer_bytes {
            self.held_until = None;
        }
    }

    /// Accepts a request; its number is what its answer is taken by.
    pub fn call(&mut self, parcel: &mut Parcel, now: Time) -> Result<u64, NotSent> {
        self.check_room(parcel.priority, parcel.body.len())?;
        let id = self.calls.open(self.options.calls).ok_or(NotSent::Full)?;
        let body = core::mem::take(&mut parcel.body);
        let Parcel { protocol, message, priority, .. } = *parcel;
        let control = Control::Request { id, protocol, message, body };
        let (fields, body) = control.encode();
        self.queue(priority, Head::session(Kind::Request), fields, body, Some(id), now);
        Ok(id)
    }

    /// The answer to a request of ours, once it is here.
    pub fn answer(&mut self, id: u64, now: Time) -> Option<Answer> {
        let answer = self.calls.take(id)?;
        self.answer_taken(&answer, now);
        Some(answer)
    }

    fn answer_taken(&mut self, answer: &Answer, now: Time) {
        self.changes.room = true;
        if let Ok(body) = answer {
            self.taken(8 + body.len() as u64, now);
        }
    }

    /// Nobody waits for the answer any more.
    pub fn forget_call(&mut self, id: u64, now: Time) {
        let (tell, answer) = self.calls.forget(id);
        if let Some(answer) = answer {
            self.answer_taken(&answer, now);
        }
        if !tell {
            return;
        }
        self.changes.room = true;
        // What has not begun to leave need not.
        let mut here = 0;
        self.lanes.remove(|item| {
            let gone = matches!(item, Item::Whole { call, .. } | Item::Parts { call, transfer: None, .. }
                if *call == Some(id));
            here += u64::from(gone);
            gone
        });
        self.abandoned += here;
        if here == 0 && self.is_open() {
            self.push_control(Control::Cancel { id });
        }
    }

    /// Answers a request of the peer. `false`: it does not wait for it any more.
    pub fn reply(&mut self, id: u64, priority: Priority, answer: Answer, now: Time) -> bool {
        if !self.asked.close(id) || !self.is_open() {
            return false;
        }
        let limit = self.theirs.as_ref().map_or(0, |theirs| theirs.max_message_bytes);
        match answer {
            Ok(body) if body.len() as u64 <= limit => {
                let (fields, body) = Control::Reply { id, body }.encode();
                // No bound of its lane: there are no more answers than requests that were let in.
                self.queue(priority, Head::session(Kind::Reply), fields, body, None, now);
            }
            Ok(body) => {
                let text = alloc::format!("{} bytes", body.len());
                self.push_control(Control::Failure { id, code: Fault::TooLarge, text });
            }
            Err(Failure { code, text }) => self.push_control(Control::Failure { id, code, text }),
        }
        true
    }

    /// Tells the peer what our metadata are.
    pub fn update_metadata(&mut self, metadata: Metadata) -> Result<(), NotSent> {
        if !self.is_open() {
            return Err(NotSent::Over);
        }
        self.ours.metadata = metadata.clone();
        // Only the latest matters.
        self.control.retain(|control| !matches!(control, Control::Metadata(_)));
        self.push_control(Control::Metadata(metadata));
        Ok(())
    }

    /// Begins a message of any length.
    pub fn open_stream(&mut self, head: &Parcel) -> Result<u32, NotSent> {
        let (State::Open, Some(theirs)) = (&self.state, &self.theirs) else { return Err(NotSent::Over) };
        if theirs.streams == 0 {
            return Err(NotSent::TooLarge { limit: theirs.max_message_bytes });
        }
        if self.outgoing.len() >= usize::from(theirs.streams) {
            return Err(NotSent::Full);
        }
        let transfer = self.new_transfer();
        let (priority, granted) = (head.priority, self.peer_stream_window());
        self.outgoing.insert(transfer, Outgoing { priority, sent: 0, granted, ended: false, stopped: false });
        let head = Head::application(head.protocol, head.message);
        let begin = Control::Begin { transfer, head, priority: priority as u8, length: STREAMED };
        self.lanes.push(priority, Item::Stream(begin), 0);
        Ok(transfer)
    }

    fn peer_stream_window(&self) -> u64 {
        self.theirs.as_ref().map_or(0, |theirs| theirs.stream_window_bytes.into())
    }

    fn new_transfer(&mut self) -> u32 {
        loop {
            let transfer = self.next_transfer;
            self.next_transfer = self.next_transfer.wrapping_add(1);
            if !self.outgoing.contains_key(&transfer) {
                return transfer;
            }
        }
    }

    /// Takes as many bytes off the front of `data` as there is room for, at least one.
    pub fn write_stream(&mut self, transfer: u32, data: &mut Bytes) -> Result<(), NotSent> {
        let LinkOptions { send_messages, send_bytes, chunk_bytes, .. } = self.options;
        let (true, Some(stream)) = (self.is_open(), self.outgoing.get_mut(&transfer)) else {
            return Err(NotSent::Over);
        };
        if stream.stopped || stream.ended {
            return Err(NotSent::Over);
        }
        let credit = usize::try_from(stream.granted - stream.sent).unwrap_or(usize::MAX);
        let count = data.len().min(credit).min(chunk_bytes);
        if count == 0 || !self.lanes.has_room(stream.priority, count, send_messages, send_bytes) {
            return if data.is_empty() { Ok(()) } else { Err(NotSent::Full) };
        }
        stream.sent += count as u64;
        let data = data.split_to(count);
        self.lanes.push(stream.priority, Item::Stream(Control::Chunk { transfer, data }), count);
        Ok(())
    }

    /// All of it was written, or the rest will not come.
    pub fn end_stream(&mut self, transfer: u32, whole: bool) {
        let Some(stream) = self.outgoing.get_mut(&transfer) else { return };
        if core::mem::replace(&mut stream.ended, true) {
            return;
        }
        let last = match whole {
            true => Control::End { transfer },
            false => Control::Abort { transfer },
        };
        self.lanes.push(stream.priority, Item::Stream(last), 0);
        self.forget_stream(transfer);
    }

    /// Whether the peer has had all of a stream that was ended, or has stopped it; `None` as long as it
    /// has not.
    pub fn stream_stopped(&self, transfer: u32) -> bool {
        self.outgoing.get(&transfer).is_none_or(|stream| stream.stopped)
    }

    fn forget_stream(&mut self, transfer: u32) {
        if self.outgoing.get(&transfer).is_some_and(|stream| stream.ended && stream.stopped) {
            self.outgoing.remove(&transfer);
            self.changes.room = true;
        }
    }

    fn push_control(&mut self, control: Control) {
        if self.control.len() >= MAX_CONTROLS {
            self.refuse(Reason::TooFast, "asking without listening");
            return;
        }
        self.control.push_back(control);
    }

    /// The next frame to write, if any may be.
    pub fn next_frame(&mut self) -> Option<Frame> {
        if core::mem::take(&mut self.hello_due) {
            return Some(self.hello_frame());
        }
        if let Some(control) = self.control.pop_front() {
            return Some(session_frame(control.kind(), control.encode(), false));
        }
        if !matches!(self.state, State::Open | State::Draining { .. }) || self.held_until.is_some() {
            return None;
        }
        let frame = self.next_content();
        self.part_if_drained();
        // The goodbye that this may have caused.
        frame.or_else(|| {
            let control = self.control.pop_front()?;
            Some(session_frame(control.kind(), control.encode(), false))
        })
    }

    fn next_content(&mut self) -> Option<Frame> {
        let chunk_bytes = self.options.chunk_bytes;
        let mut begun = None;
        let allowance = &self.allowance;
        let (priority, item) =
            self.lanes.front(|item| item.needs().is_none_or(|bytes| allowance.has(bytes)))?;
        let (frame, cost, done) = match item {
            Item::Stream(control) => {
                let frame = session_frame(control.kind(), control.encode(), false);
                let cost = frame.message.len();
                (frame, cost, true)
            }
            Item::Whole { head, fields, body, .. } => {
                self.allowance.use_up((fields.len() + body.len()) as u64);
                let content = (core::mem::take(fields), core::mem::take(body));
                let frame = frame(*head, content, true);
                let cost = frame.message.len();
                (frame, cost, true)
            }
            Item::Parts { transfer: Some(transfer), fields, body, .. } => {
                let transfer = *transfer;
                let data = match fields.is_empty() {
                    true => body.split_to(chunk_bytes.min(body.len())),
                    false => core::mem::take(fields).into(),
                };
                let (control, done) = match data.is_empty() {
                    true => (Control::End { transfer }, true),
                    false => (Control::Chunk { transfer, data }, false),
                };
                let frame = session_frame(control.kind(), control.encode(), done);
                let cost = frame.message.len();
                (frame, cost, done)
            }
            Item::Parts { head, fields, body, transfer: place @ None, .. } => {
                let length = (fields.len() + body.len()) as u64;
                self.allowance.use_up(length);
                let mut transfer = self.next_transfer;
                while self.outgoing.contains_key(&transfer) {
                    transfer = transfer.wrapping_add(1);
                }
                *place = Some(transfer);
                begun = Some(transfer.wrapping_add(1));
                let begin = Control::Begin { transfer, head: *head, priority: priority as u8, length };
                (session_frame(Kind::Begin, begin.encode(), false), 0, false)
            }
        };
        if let Some(next) = begun {
            self.next_transfer = next;
        }
        self.lanes.served(priority, cost);
        if done {
            self.lanes.pop(priority);
            self.changes.room = true;
        }
        Some(frame)
    }

    /// Says goodbye once all that waited is on its way.
    fn part_if_drained(&mut self) {
        if matches!(self.state, State::Draining { .. }) && self.lanes.is_empty() {
            self.dismiss(End::ClosedHere, Reason::Closing, "");
        }
    }

    // Receiving.

    /// A frame has come, without its length.
    pub fn frame(&mut self, frame: Bytes, now: Time) {
        self.pulse.heard(now);
        if let Err(error) = self.try_frame(frame, now) {
            self.violated(error);
        }
    }

    fn try_frame(&mut self, mut frame: Bytes, now: Time) -> Result<(), LinkError> {
        let whole = frame.len();
        if whole > self.max_frame_bytes() {
            return Err(LinkError::TooLarge { claimed: whole as u64 });
        }
        if self.state == State::Greeting {
            return self.greeted(frame);
        }
        let head = Head::decode(&mut frame)?;
        match self.state {
            State::Open | State::Draining { .. } => match head.layer {
                Layer::Application => self.content(head, frame, now),
                Layer::Session => self.heard(Control::decode(head, frame)?, now),
            },
            State::Confirming | State::Judging { .. } | State::Greeting => {
                match Control::decode(head, frame)? {
                    Control::Ack { proof } if self.state == State::Confirming => {
                        self.proof = proof;
                        self.enter(State::Judging { ack: true });
                        Ok(())
                    }
                    Control::Refuse { reason, text } => {
                        self.finish(End::RefusedByPeer { reason, text });
                        Ok(())
                    }
                    Control::Goodbye { reason, text, .. } => {
                        self.finish(End::ClosedByPeer { reason, text });
                        Ok(())
                    }
                    _ => Err(LinkError::Unexpected("message in the handshake")),
                }
            }
            State::Over(_) => {
                match head.layer {
                    Layer::Application => self.stats.discarded_messages += 1,
                    // What we have said last crosses what the peer has: how much it had is news.
                    Layer::Session => {
                        if let Ok(Control::Goodbye { received, .. }) = Control::decode(head, frame) {
                            self.confirmed = Some(received);
                        }
                    }
                }
                Ok(())
            }
        }
    }

    fn greeted(&mut self, mut frame: Bytes) -> Result<(), LinkError> {
        let not_a_link = LinkError::Hello(HelloError::NotALink);
        let head = Head::decode(&mut frame).map_err(|_| not_a_link.clone())?;
        if head == Head::session(Kind::Refuse) && self.role == Role::Dialer {
            let Control::Refuse { reason, text } = Control::decode(head, frame)? else {
                return Err(not_a_link);
            };
            self.finish(End::RefusedByPeer { reason, text });
            return Ok(());
        }
        if head != Head::session(Kind::Hello) {
            return Err(not_a_link);
        }
        let hello = Hello::decode(frame.clone())?;
        if hello.instance == self.ours.instance {
            self.refuse(Reason::Myself, "");
            return Ok(());
        }
        self.said.1 = Bytes::copy_from_slice(&frame);
        self.allowance = Allowance::new(hello.window_messages, hello.window_bytes);
        self.theirs = Some(hello);
        self.enter(State::Judging { ack: false });
        Ok(())
    }

    /// A message of the session.
    fn heard(&mut self, control: Control, now: Time) -> Result<(), LinkError> {
        if matches!(
            control,
            Control::Ping { .. } | Control::Pong { .. } | Control::Metadata(_) | Control::Cancel { .. }
        ) && !self.controls_rate.take(1, now)
        {
            self.refuse(Reason::TooFast, "too many messages about the connection");
            return Ok(());
        }
        match control {
            Control::Ack { .. } => return Err(LinkError::Unexpected("Ack")),
            Control::Refuse { .. } => return Err(LinkError::Unexpected("Refuse")),
            Control::Metadata(metadata) => {
                if let Some(theirs) = &mut self.theirs {
                    theirs.metadata = metadata;
                    self.changes.metadata = true;
                }
            }
            Control::Ping { token } => self.push_control(Control::Pong { token }),
            Control::Pong { token } => {
                self.pulse.pong(token, now);
            }
            Control::Goodbye { reason, received, text } => self.parted(reason, received, text),
            Control::Grant { messages, bytes } => {
                if !self.allowance.granted(messages, bytes) {
                    return Err(LinkError::BadField("grant"));
                }
            }
            Control::Begin { transfer, head, length, .. } => self.begun(transfer, head, length, now)?,
            Control::Chunk { transfer, data } => {
                let count = data.len() as u64;
                if self.gather.chunk(transfer, data)? {
                    self.stats.received_bytes += count;
                    self.changes.streams = true;
                    self.paces(0, count, now);
                }
            }
            Control::End { transfer } => match self.gather.end(transfer)? {
                Some((head, payload)) => self.whole(head, payload, now)?,
                None => self.changes.streams = true,
            },
            Control::Abort { transfer } => match self.gather.abort(transfer)? {
                Some(length) => self.discard(length, now),
                None => self.changes.streams = true,
            },
            Control::Stop { transfer } => self.stopped(transfer)?,
            Control::Widen { transfer, bytes } => match self.outgoing.get_mut(&transfer) {
                // It may cross our end of the stream and the peer's word that it has had all.
                None => {}
                Some(stream) => {
                    let window = self.theirs.as_ref().map_or(0, |theirs| theirs.stream_window_bytes);
                    if bytes > stream.sent.saturating_add(window.into()) {
                        return Err(LinkError::BadField("widen"));
                    }
                    stream.granted = stream.granted.max(bytes);
                    self.changes.room = true;
                }
            },
            Control::Request { .. } | Control::Reply { .. } => {
                let (fields, body) = control.encode();
                self.credited((fields.len() + body.len()) as u64, now)?;
                self.asked_or_answered(control, now)?;
            }
            Control::Failure { id, code, text } => self.answered(id, Err(Failure { code, text }), now),
            Control::Cancel { id } => {
                if let Some(parcel) = self.asked.cancel(id) {
                    self.discard(12 + parcel.body.len() as u64, now);
                }
            }
        }
        Ok(())
    }

    /// The peer says goodbye.
    fn parted(&mut self, reason: Reason, received: u64, text: String) {
        self.confirmed = Some(received);
        match self.state {
            State::Draining { .. } => {
                self.abandon();
                self.part_if_drained();
            }
            _ => {
                let answer = Control::Goodbye {
                    reason: Reason::Closing,
                    received: self.stats.received_messages,
                    text: String::new(),
                };
                self.control.push_back(answer);
                self.finish(End::ClosedByPeer { reason, text });
            }
        }
    }

    fn stopped(&mut self, transfer: u32) -> Result<(), LinkError> {
        let stream = self.outgoing.get_mut(&transfer).ok_or(LinkError::BadField("transfer"))?;
        if core::mem::replace(&mut stream.stopped, true) {
            return Err(LinkError::BadField("transfer"));
        }
        self.changes.room = true;
        match stream.ended {
            true => self.forget_stream(transfer),
            false => self.end_stream(transfer, false),
        }
        Ok(())
    }

    fn begun(&mut self, transfer: u32, head: Head, length: u64, now: Time) -> Result<(), LinkError> {
        let is_content = head.layer == Layer::Application
            || head == Head::session(Kind::Request)
            || head == Head::session(Kind::Reply);
        if !is_content || (length == STREAMED && head.layer != Layer::Application) {
            return Err(LinkError::BadField("head"));
        }
        if length != STREAMED {
            // A request has twelve bytes of its own, which its sender does not count.
            let limit = self.options.max_message_bytes.saturating_add(12);
            if length > limit {
                return Err(LinkError::TooLarge { claimed: length });
            }
            self.credited(length, now)?;
        }
        let LinkOptions { streams, stream_bytes, .. } = self.options;
        self.gather.begin(transfer, head, length, streams, stream_bytes)?;
        if length == STREAMED {
            self.streams.push_back((transfer, head));
            self.changes.streams = true;
        }
        Ok(())
    }

    /// A message of the application, in one frame.
    fn content(&mut self, head: Head, body: Bytes, now: Time) -> Result<(), LinkError> {
        self.credited(body.len() as u64, now)?;
        self.whole(head, body, now)
    }

    /// Something that needs credit begins: whether there was some, and whether it is too fast.
    fn credited(&mut self, bytes: u64, now: Time) -> Result<(), LinkError> {
        if !self.room.receive(bytes) {
            return Err(LinkError::Unexpected("message without credit"));
        }
        self.paces(1, bytes, now);
        Ok(())
    }

    fn paces(&mut self, messages: u64, bytes: u64, now: Time) {
        let mut fine = true;
        for (rate, count) in [(&mut self.messages_rate, messages), (&mut self.bytes_rate, bytes)] {
            if let Some(rate) = rate {
                fine &= rate.take(count, now);
            }
        }
        if !fine && self.options.too_fast == TooFast::Dismiss {
            self.refuse(Reason::TooFast, "");
        }
    }

    /// A message is whole.
    fn whole(&mut self, head: Head, payload: Bytes, now: Time) -> Result<(), LinkError> {
        if head.layer == Layer::Session {
            return self.asked_or_answered(Control::decode(head, payload)?, now);
        }
        if !self.is_open() {
            self.discard(payload.len() as u64, now);
            return Ok(());
        }
        self.stats.received_messages += 1;
        self.stats.received_bytes += payload.len() as u64;
        self.received.push_back(Parcel::new(head.protocol, head.message, payload));
        self.changes.messages = true;
        Ok(())
    }

    fn asked_or_answered(&mut self, control: Control, now: Time) -> Result<(), LinkError> {
        self.stats.received_messages += 1;
        match control {
            // Nobody will answer it any more.
            Control::Request { body, .. } if !self.is_open() => {
                self.stats.received_messages -= 1;
                self.discard(12 + body.len() as u64, now);
            }
            Control::Request { id, protocol, message, body } => {
                let bytes = 12 + body.len() as u64;
                self.stats.received_bytes += body.len() as u64;
                match self.asked.push(id, Parcel::new(protocol, message, body), self.options.requests) {
                    Arrival::Twice => return Err(LinkError::BadField("request id")),
                    Arrival::Waits => self.changes.requests = true,
                    Arrival::Busy => {
                        self.stats.busy_requests += 1;
                        self.discard(bytes, now);
                        let text = String::new();
                        self.push_control(Control::Failure { id, code: Fault::Busy, text });
                    }
                }
            }
            Control::Reply { id, body } => {
                self.stats.received_bytes += body.len() as u64;
                self.answered(id, Ok(body), now);
            }
            _ => return Err(LinkError::BadField("head")),
        }
        Ok(())
    }

    fn answered(&mut self, id: u64, answer: Answer, now: Time) {
        let bytes = answer.as_ref().ok().map(|body| 8 + body.len() as u64);
        match (self.calls.answer(id, answer), bytes) {
            (true, _) => self.changes.answers = true,
            // Cancelled, and the news crossed.
            (false, Some(bytes)) => self.discard(bytes, now),
            (false, None) => {}
        }
    }

    fn discard(&mut self, bytes: u64, now: Time) {
        self.stats.discarded_messages += 1;
        self.taken(bytes, now);
    }

    /// Something that took credit is out of the way.
    fn taken(&mut self, bytes: u64, now: Time) {
        self.room.take(bytes);
        self.tell_room(now);
    }

    /// Tells the peer of new room, unless it has been too fast.
    fn tell_room(&mut self, now: Time) {
        if self.slowed_until.is_some() || !self.room.has_news() {
            return;
        }
        let paid = |rate: &mut Option<Bucket>| rate.as_mut().and_then(|rate| rate.paid_at(now));
        if let Some(until) = paid(&mut self.messages_rate).max(paid(&mut self.bytes_rate)) {
            self.stats.slowed += 1;
            self.slowed_until = Some(until);
            return;
        }
        if let (Some((messages, bytes)), true) = (self.room.news(), self.end().is_none()) {
            self.push_control(Control::Grant { messages, bytes });
        }
    }

    /// The oldest message that came.
    pub fn recv(&mut self, now: Time) -> Option<Parcel> {
        let parcel = self.received.pop_front()?;
        self.taken(parcel.body.len() as u64, now);
        Some(parcel)
    }

    /// Whether a message could be taken.
    pub fn has_message(&self) -> bool {
        !self.received.is_empty()
    }

    /// The oldest request that came.
    pub fn recv_request(&mut self, now: Time) -> Option<(u64, Parcel)> {
        let (id, parcel) = self.asked.take()?;
        self.taken(12 + parcel.body.len() as u64, now);
        Some((id, parcel))
    }

    /// The oldest stream that nobody has taken.
    pub fn recv_stream(&mut self) -> Option<(u32, Parcel)> {
        let (transfer, head) = self.streams.pop_front()?;
        Some((transfer, Parcel::new(head.protocol, head.message, Bytes::new())))
    }

    /// The next piece of a stream.
    pub fn read_stream(&mut self, transfer: u32) -> Piece {
        let (piece, news) = self.gather.take(transfer);
        if let (Some(bytes), None) = (news, self.end()) {
            self.push_control(Control::Widen { transfer, bytes });
        }
        piece
    }

    /// The program has had all of a stream, or wants no more.
    pub fn drop_stream(&mut self, transfer: u32) {
        if self.gather.drop_stream(transfer) && self.end().is_none() {
            self.push_control(Control::Stop { transfer });
        }
    }

    /// Bytes that the peer has made us hold.
    pub fn held_bytes(&self) -> usize {
        self.gather.held_bytes() + self.room.waiting().1 as usize
    }

    /// Panics when the account does not add up.
    pub fn check_invariants(&self) {
        self.gather.check_invariants();
        self.room.check_invariants();
        assert!(self.control.len() <= MAX_CONTROLS + 2, "control messages");
        assert!(self.asked.open() <= self.options.requests && self.calls.len() <= self.options.calls);
        if self.end().is_none() {
            let (messages, _) = self.room.waiting();
            assert!(messages <= u64::from(self.ours.window_messages), "messages that wait");
        }
    }
}

/// A frame of a session message with these fields and this data.
fn session_frame(kind: Kind, content: (Vec<u8>, Bytes), ends: bool) -> Frame {
    frame(Head::session(kind), content, ends)
}

/// Small ones are one piece of memory; a large body stays where it is.
fn frame(head: Head, (mut fields, body): (Vec<u8>, Bytes), ends: bool) -> Frame {
    let head = head.encode();
    let message = if fields.is_empty() {
        Message::with_header(Header::new(&head), body)
    } else if body.len() <= SMALL_BYTES {
        fields.extend_from_slice(&body);
        Message::with_header(Header::new(&head), fields)
    } else {
        Message::with_header(Header::new(&[&head[..], &fields].concat()), body)
    };
    debug_assert!(message.len() <= MAX_FRAME_BYTES, "larger ones go in pieces");
    Frame { message, ends }
}

/// As the outbox copies.
const SMALL_BYTES: usize = 4 * 1024;

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
