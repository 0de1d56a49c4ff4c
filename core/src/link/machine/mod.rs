//! [`Link`]: the life of one plain connection, as a state machine.
//!
//! ```text
//!             frame ─▶ receiving ─┬─▶ life: handshake, end             ┌─▶ changes: whom to wake
//!                                 ├─▶ pace: credit and rates ──▶ Link ─┤
//!  recv, call, open_stream, close ┴─▶ requests, streams                └─▶ next_frame ◀─ sending
//!                                               clock: deadline, expire
//! ```
//!
//! | file | what it is about |
//! | --- | --- |
//! | `state` | where a connection is in its life, and how it ends |
//! | `told` | what the machine tells whoever drives it |
//! | `life` | the handshake and the end |
//! | `clock` | what is due when |
//! | `sending` | what is accepted to be sent, and which frame goes next |
//! | `receiving` | what a frame means |
//! | `pace` | how much the peer may send |
//! | `requests` | questions and answers, both ways |
//! | `streams` | messages of any length, both ways |

mod clock;
mod life;
mod pace;
mod receiving;
mod requests;
mod sending;
mod state;
mod streams;
#[cfg(test)]
mod tests;
mod told;

pub use state::{End, Role, State};
pub use told::{Changes, Frame, LinkStats, NotSent};

use super::bucket::Bucket;
use super::calls::{Asked, Calls};
use super::credit::{Allowance, Room};
use super::gather::Gather;
use super::lanes::Lanes;
use super::options::LinkOptions;
use super::parcel::Parcel;
use super::rates::Came;
use crate::framing::link::{Control, Head, Hello, MAX_FRAME_BYTES, MAX_HANDSHAKE_BYTES};
use crate::session::pulse::Pulse;
use crate::time::Time;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use sending::{Item, MAX_CONTROLS};
use streams::Outgoing;

/// One plain connection.
///
/// **Inputs** are [`frame`](Self::frame), [`expire`](Self::expire), [`lost`](Self::lost) and the calls of
/// the program. After each: write what [`next_frame`](Self::next_frame) gives, wake whom
/// [`changes`](Self::changes) names, and come back at [`deadline`](Self::deadline).
///
/// **Rates.** Where the options have rates, what [`charge`](Self::charge) gives after an input is charged to
/// the peer ([`Rates`](super::rates::Rates)), and [`paced`](Self::paced) told what becomes of it. Until then
/// the peer gets no new credit.
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
    /// There are rates that the peer may not exceed.
    limited: bool,
    /// What has come and was not charged.
    came: Came,
    /// There is room to tell the peer of, if its rate allows that.
    asks: bool,
    /// The same of streams, of which there are no more than were let in: how far each may go.
    wider: BTreeMap<u32, u64>,
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
            limited: options.messages_per_second.is_some() || options.bytes_per_second.is_some(),
            came: Came::default(),
            asks: false,
            wider: BTreeMap::new(),
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

    /// Messages that will never be sent whole, and how many of ours the peer says it has had.
    pub fn account(&self) -> (u64, Option<u64>) {
        (self.abandoned, self.confirmed)
    }

    /// Bytes that the peer has made us hold.
    pub fn held_bytes(&self) -> usize {
        self.gather.held_bytes() + self.room.waiting().1 as usize
    }

    /// Panics when the account does not add up.
    pub fn check_invariants(&self) {
        self.gather.check_invariants();
        self.room.check_invariants();
        assert!(self.wider.len() <= usize::from(self.options.streams), "streams to be told of");
        assert!(self.control.len() <= MAX_CONTROLS + 2, "control messages");
        assert!(self.asked.open() <= self.options.requests && self.calls.len() <= self.options.calls);
        if self.end().is_none() {
            let (messages, _) = self.room.waiting();
            assert!(messages <= u64::from(self.ours.window_messages), "messages that wait");
        }
    }
}
