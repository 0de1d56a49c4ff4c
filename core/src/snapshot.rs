//! [`Snapshot`]: everything that a socket counts and measures, at one moment.

use crate::event::{ByReason, DetachReason, Lack, Latencies, Latency, Ledger};
use crate::framing::sp::Protocol;
use crate::histogram::Histogram;
use crate::pattern::Held;
use alloc::boxed::Box;
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
    /// How long peers that are gone had been attached, by the reason why they went.
    pub lives: ByReason<DetachReason>,
    /// How long connections were there that did not become peers, by the reason why not. Those that were
    /// dropped because there were too many are not measured, nor are those in-process, which take no time.
    pub refusals: ByReason<DetachReason>,
    /// How long sends waited, by what they found lacking first; see [`Latency::Room`].
    pub waits: ByReason<Lack>,
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
            lives: ByReason::default(),
            refusals: ByReason::default(),
            waits: ByReason::default(),
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

/// What is counted for one peer while it is attached. Small while the peer answers nothing: there may be
/// many that are idle.
#[derive(Debug, Default)]
pub struct Tally {
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
    answers: Option<Box<Answers>>,
}

/// Made with the first of them.
#[derive(Clone, Debug)]
struct Answers {
    /// Replies of REQ, answers of SURVEYOR: a socket has one kind.
    what: Latency,
    spans: Histogram,
}

impl Tally {
    /// A reply or an answer came.
    pub fn answered(&mut self, what: Latency, span: Duration) {
        let answers = self.answers.get_or_insert_with(|| Box::new(Answers { what, spans: Histogram::new() }));
        answers.spans.record(span);
    }

    /// How long its answers took, and what that is called; nothing while there was none.
    pub fn answers(&self) -> Option<(Latency, &Histogram)> {
        self.answers.as_ref().map(|answers| (answers.what, &answers.spans))
    }

    /// The sums.
    pub fn stats(&self) -> PeerStats {
        let none = Histogram::new();
        let answers = self.answers().map_or(&none, |(_, spans)| spans);
        PeerStats {
            sent_messages: self.sent_messages,
            sent_bytes: self.sent_bytes,
            received_messages: self.received_messages,
            received_bytes: self.received_bytes,
            dropped_messages: self.dropped_messages,
            answers: answers.count(),
            answer_time: answers.sum(),
            slowest_answer: answers.max(),
        }
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
    /// How long its replies and answers took.
    pub latencies: Latencies,
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
    /// How long connecting, handshakes, lives, replies and answers took over it.
    pub latencies: Latencies,
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

    /// It is gone after such a life; its tally is final.
    pub fn detached(&mut self, url: &str, tally: &Tally, life: Duration) {
        let transport = self.of(url);
        transport.peers -= 1;
        transport.add(&tally.stats(), tally.answers());
        transport.latencies.record(Latency::Connection, life);
    }

    /// Something took so long that has to do with a connection from `url`.
    pub fn took(&mut self, url: &str, what: Latency, span: Duration) {
        self.of(url).latencies.record(what, span);
    }

    /// Adds what was exchanged with one who is there: then these are its sums, too.
    pub fn add(&mut self, url: &str, stats: &PeerStats, answers: Option<(Latency, &Histogram)>) {
        self.of(url).add(stats, answers);
    }

    /// The sums, as far as they were added.
    pub fn into_sums(self) -> Vec<TransportSnapshot> {
        self.0
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

impl TransportSnapshot {
    fn add(&mut self, stats: &PeerStats, answers: Option<(Latency, &Histogram)>) {
        self.stats.add(stats);
        if let Some((what, spans)) = answers {
            self.latencies.of_mut(what).merge(spans);
        }
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
        let sent = |sent_messages| Tally { sent_messages, ..Tally::default() };
        let mut transports = Transports::default();
        for url in ["tcp://a:1", "ipc:///b", "tcp://c:2", "fd"] {
            transports.attached(url);
        }
        transports.took("tcp://c:2", Latency::Connect, Duration::from_millis(7));
        let mut gone = sent(5);
        gone.answered(Latency::Answer, Duration::from_millis(3));
        transports.detached("tcp://c:2", &gone, Duration::from_secs(9));
        let mut here = sent(1);
        here.answered(Latency::Answer, Duration::from_millis(4));
        for (url, tally) in [("tcp://a:1", here), ("ipc:///b", sent(2)), ("fd", sent(0))] {
            transports.add(url, &tally.stats(), tally.answers());
        }
        let sums = transports.into_sums();
        let told: Vec<_> =
            sums.iter().map(|t| (&*t.scheme, t.peers, t.attached, t.stats.sent_messages)).collect();
        assert_eq!(told, [("tcp", 1, 2, 6), ("ipc", 1, 1, 2), ("fd", 1, 1, 0)]);
        let tcp = &sums[0].latencies;
        assert_eq!((tcp.of(Latency::Answer).count(), tcp.of(Latency::Reply).count()), (2, 0));
        assert_eq!(tcp.of(Latency::Connect).max(), Duration::from_millis(7));
        assert_eq!(tcp.of(Latency::Connection).max(), Duration::from_secs(9));
        assert!(sums[1].latencies.measured().next().is_none());
    }

    #[test]
    fn answers_of_peers_are_summed_up() {
        let mut tally = Tally::default();
        assert!(tally.answers().is_none());
        tally.answered(Latency::Reply, Duration::from_millis(2));
        tally.answered(Latency::Reply, Duration::from_millis(1));
        let mut sum = tally.stats();
        sum.add(&tally.stats());
        assert_eq!((sum.answers, sum.answer_time), (4, Duration::from_millis(6)));
        assert_eq!(sum.slowest_answer, Duration::from_millis(2));
    }

    #[test]
    fn the_tally_of_an_idle_peer_is_six_words() {
        assert_eq!(size_of::<Tally>(), 48);
    }

    #[test]
    fn a_state_is_found_by_its_name() {
        for state in EndpointState::ALL {
            assert_eq!(EndpointState::from_name(state.name()), Some(state));
        }
    }
}
