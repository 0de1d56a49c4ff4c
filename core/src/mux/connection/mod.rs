//! [`Mux`]: one multiplexed connection, as a state machine.
//!
//! | file | what is in it |
//! | --- | --- |
//! | here | what a connection and a channel remember, and [`State`] |
//! | `told` | what is told of them: how they ended, what has changed, what was counted |
//! | `questions` | what can be asked of them; nothing changes |
//! | `life` | leaving, loss, the end, and what is due when |
//! | `program` | what the program does |
//! | `peer` | what the peer does: what each frame means |
//! | `ends` | how channels begin, end and are forgotten; how many more the peer may open |
//! | `credit` | when the peer is told of room, and who may have more than its share |
//! | `writing` | what is to be written next, and what the program is told next |
//! | `invariants` | what holds at any time |

mod credit;
mod ends;
mod invariants;
mod life;
mod peer;
mod program;
mod questions;
#[cfg(test)]
pub(super) mod tests;
mod told;
mod writing;

pub use told::{
    Account, Changes, ChannelEnd, ChannelStats, ConnectionChanges, End, MuxStats, NotOpened, Outgoing, Place,
};

use super::credit::Shared;
use super::frame::{Hello, NEWEST_VERSION, OLDEST_VERSION};
use super::id::{ChannelId, Code};
use super::stream::{Receiving, Sending, Spare};
use super::turns::Turns;
use crate::options::mux::MuxOptions;
use crate::priority::Priority;
use crate::session::pulse::Pulse;
use crate::time::Time;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use life::IDLE_LOOKS;

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
    /// Channels were open when the time for them was over, or the connection lost.
    cut_short: bool,
    pulse: Pulse,
    pong_due: Option<u64>,
    ping_due: Option<u64>,
    round_trips: [Option<Duration>; 8],
    pongs: u64,
    stats: MuxStats,
}

/// After so many bytes of one channel alone its frames may be as long as they like.
const SOLO_BYTES: u64 = 8 * 1024 * 1024;

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
            cut_short: false,
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

    /// As if the peer had opened all channels up to this one.
    #[cfg(test)]
    pub(super) fn skip_to(&mut self, last: u32) {
        (self.last_number, self.they_opened, self.they_closed) = (last, 1, 1);
    }
}
