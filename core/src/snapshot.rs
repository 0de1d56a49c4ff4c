//! [`Snapshot`]: everything that a socket counts and measures, at one moment.

use crate::event::{Latencies, Ledger};
use crate::framing::sp::Protocol;
use crate::pattern::Held;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// Everything that a socket counts and measures, at one moment. Counters are totals since the socket was
/// made; they never fall.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Under which name the socket is exposed; empty when it is not.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// How long ago it was made.
    pub age: Duration,
    /// Messages, bytes and pipes; drops, detaches and refusals by their reasons.
    pub ledger: Ledger,
    /// How long things took.
    pub latencies: Latencies,
    /// What waits, and who.
    pub queues: Queues,
    /// Sums over all peers by transport, those that are gone included.
    pub transports: Vec<TransportSnapshot>,
    /// Dialers and listeners that are not closed, in the order in which they were made.
    pub endpoints: Vec<EndpointSnapshot>,
    /// Peers that are attached.
    pub peers: Vec<PeerSnapshot>,
}

impl Snapshot {
    /// That of a socket that was just made.
    pub fn new(protocol: Protocol) -> Self {
        Self {
            name: String::new(),
            protocol,
            age: Duration::ZERO,
            ledger: Ledger::default(),
            latencies: Latencies::default(),
            queues: Queues::default(),
            transports: Vec::new(),
            endpoints: Vec::new(),
            peers: Vec::new(),
        }
    }
}

/// What waits in a socket, and who waits for it, now.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queues {
    /// Peers attached.
    pub peers: usize,
    /// Accepted from the application, and not yet handed to the kernel. Of what a writer is busy with, the
    /// messages are counted and the bytes are not.
    pub outgoing: Held,
    /// Come in, and not yet taken by the application.
    pub incoming: Held,
    /// Sends that wait for room.
    pub waiting_senders: usize,
    /// Receives that wait for a message.
    pub waiting_receivers: usize,
    /// Connections in their handshake.
    pub half_open: usize,
}

/// What has been exchanged with one peer.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStats {
    /// Messages handed to the kernel, or delivered in-process.
    pub sent_messages: u64,
    /// Their bytes, header included.
    pub sent_bytes: u64,
    /// Messages that came from the peer.
    pub received_messages: u64,
    /// Their bytes, header included.
    pub received_bytes: u64,
    /// Messages from the peer or for it that were discarded.
    pub dropped_messages: u64,
    /// REQ and SURVEYOR: replies and answers that came from the peer.
    pub answers: u64,
    /// How long they took, all together.
    pub answer_time: Duration,
    /// How long the slowest of them took.
    pub slowest_answer: Duration,
}

impl PeerStats {
    /// A reply or an answer came.
    pub fn answered(&mut self, span: Duration) {
        self.answers += 1;
        self.answer_time = self.answer_time.saturating_add(span);
        self.slowest_answer = self.slowest_answer.max(span);
    }

    /// Adds what was exchanged with another one.
    pub fn add(&mut self, other: &Self) {
        self.sent_messages += other.sent_messages;
        self.sent_bytes += other.sent_bytes;
        self.received_messages += other.received_messages;
        self.received_bytes += other.received_bytes;
        self.dropped_messages += other.dropped_messages;
        self.answers += other.answers;
        self.answer_time = self.answer_time.saturating_add(other.answer_time);
        self.slowest_answer = self.slowest_answer.max(other.slowest_answer);
    }
}

/// A peer, for whoever watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerSnapshot {
    /// The number of its pipe.
    pub pipe: u32,
    /// Where it is, as the transport knows it.
    pub remote: String,
    /// The dialer or listener it came from.
    pub url: String,
    /// Whether we dialled.
    pub dialed: bool,
    /// How long it has been attached.
    pub age: Duration,
    /// What waits to be sent to it.
    pub outgoing: Held,
    /// What was exchanged with it.
    pub stats: PeerStats,
}

/// The peers that came over one transport, taken together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportSnapshot {
    /// The scheme of its addresses: `tcp`, `ipc`, `inproc` …; `fd` for adopted descriptors.
    pub scheme: String,
    /// Peers attached now.
    pub peers: usize,
    /// Peers that were attached, those that are gone included.
    pub attached: u64,
    /// What was exchanged with all of these.
    pub stats: PeerStats,
}

/// A dialer or listener, for whoever watches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointSnapshot {
    /// Its address.
    pub url: String,
    /// Whether it dials.
    pub dials: bool,
    /// What it is doing.
    pub state: EndpointState,
    /// What it has counted.
    pub stats: EndpointStats,
    /// Connections in their handshake now.
    pub half_open: usize,
    /// The last thing that went wrong, if anything did.
    pub last_error: Option<String>,
}

impl EndpointSnapshot {
    /// That of one that was just made.
    pub fn new(url: String, state: EndpointState) -> Self {
        let stats = EndpointStats::default();
        Self { url, dials: false, state, stats, half_open: 0, last_error: None }
    }
}

/// What a dialer or listener is doing.
///
/// ```text
///   Listening ─────────────────────────────── close ──▶ Closed
///
///   Connecting ── attached ──▶ Connected ──── close ──▶ Closed
///     ▲  │ failed                 │ connection lost
///     │  ▼                        ▼
///     └ Waiting (backoff) ◀───────┘
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointState {
    /// A listener takes connections.
    Listening,
    /// A dialer is connecting or shaking hands.
    Connecting,
    /// A dialer has its connection.
    Connected,
    /// A dialer waits before it tries again.
    Waiting,
    /// Over.
    Closed,
}

impl EndpointState {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Listening, Self::Connecting, Self::Connected, Self::Waiting, Self::Closed];

    /// In one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listening => "listening",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Waiting => "waiting",
            Self::Closed => "closed",
        }
    }

    /// The one with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for EndpointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a dialer or listener counts.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointStats {
    /// Connections made or accepted, whatever became of them.
    pub connections: u64,
    /// Those that became pipes, those that have ended since included.
    pub attached: u64,
    /// Those that did not.
    pub refused: u64,
    /// Half-open connections that were dropped because there were too many.
    pub evicted: u64,
    /// Failed attempts to connect or accept.
    pub failures: u64,
}

/// The sums of a socket's transports while it lives: what is gone, to which what is there is added.
#[derive(Clone, Debug, Default)]
pub struct Transports(Vec<TransportSnapshot>);

impl Transports {
    /// A peer that came from `url` was attached.
    pub fn attached(&mut self, url: &str) {
        let transport = self.of(url);
        transport.peers += 1;
        transport.attached += 1;
    }

    /// It is gone; `stats` are final.
    pub fn detached(&mut self, url: &str, stats: &PeerStats) {
        let transport = self.of(url);
        transport.peers -= 1;
        transport.stats.add(stats);
    }

    /// The sums, with those who are there.
    pub fn sums<'a>(&self, there: impl Iterator<Item = (&'a str, &'a PeerStats)>) -> Vec<TransportSnapshot> {
        let mut sums = self.clone();
        for (url, stats) in there {
            sums.of(url).stats.add(stats);
        }
        sums.0
    }

    /// There are as many as schemes: addresses are ours, no peer can add one.
    fn of(&mut self, url: &str) -> &mut TransportSnapshot {
        let scheme = scheme(url);
        let at = self.0.iter().position(|transport| transport.scheme == scheme).unwrap_or_else(|| {
            self.0.push(TransportSnapshot { scheme: scheme.into(), ..TransportSnapshot::default() });
            self.0.len() - 1
        });
        &mut self.0[at]
    }
}

/// The scheme of an address; what has none is its own.
fn scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(scheme, _)| scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_by_transport_keep_those_who_are_gone() {
        let sent = |sent_messages| PeerStats { sent_messages, ..PeerStats::default() };
        let mut transports = Transports::default();
        for url in ["tcp://a:1", "ipc:///b", "tcp://c:2", "fd"] {
            transports.attached(url);
        }
        transports.detached("tcp://c:2", &sent(5));
        let there = [("tcp://a:1", sent(1)), ("ipc:///b", sent(2)), ("fd", sent(0))];
        let sums = transports.sums(there.iter().map(|(url, stats)| (*url, stats)));
        let sums: Vec<_> =
            sums.iter().map(|t| (&*t.scheme, t.peers, t.attached, t.stats.sent_messages)).collect();
        assert_eq!(sums, [("tcp", 1, 2, 6), ("ipc", 1, 1, 2), ("fd", 1, 1, 0)]);
    }

    #[test]
    fn answers_of_peers_are_summed_up() {
        let mut stats = PeerStats::default();
        stats.answered(Duration::from_millis(2));
        stats.answered(Duration::from_millis(1));
        let mut sum = stats;
        sum.add(&stats);
        assert_eq!((sum.answers, sum.answer_time), (4, Duration::from_millis(6)));
        assert_eq!(sum.slowest_answer, Duration::from_millis(2));
    }

    #[test]
    fn a_state_is_found_by_its_name() {
        for state in EndpointState::ALL {
            assert_eq!(EndpointState::from_name(state.name()), Some(state));
        }
    }
}
