//! The series that a report has, as a table: exporters go through it, and so all tell the same.

use super::Report;
use crate::event::{Latencies, Ledger};
use crate::histogram::Histogram;
use crate::pattern::Held;
use crate::snapshot::{EndpointSnapshot, PeerSnapshot, Snapshot, TransportSnapshot};
use alloc::string::ToString;
use core::fmt;
use core::time::Duration;

/// One series, or with labels a family of them.
pub struct Series {
    /// Its name without the unit and `_total`: see [`Series::full_name`].
    name: &'static str,
    /// What it tells, in a sentence.
    pub help: &'static str,
    /// In what it is counted.
    pub unit: Unit,
    /// How its values change.
    pub kind: Kind,
    /// Whether there is one for each peer.
    pub detail: Detail,
    read: Read,
}

/// Where the values of a series are, and by which labels they are told apart.
enum Read {
    /// One in each socket.
    Socket(fn(&Snapshot) -> Value<'_>),
    /// One for each way, by `queue`.
    Queue(fn(&Held) -> usize),
    /// One for each reason that has occurred, by `reason`.
    Reason(fn(&Ledger, &mut dyn FnMut(&'static str, u64))),
    /// One for each kind of span that was measured, by `what`.
    Latency(fn(&Snapshot) -> &Latencies),
    /// One for each reason for which something took its time, by `reason`.
    Took(fn(&Snapshot, &mut EachReason<'_>)),
    /// One for each scheme, by `transport`.
    Transport(fn(&TransportSnapshot) -> Value<'_>),
    /// One for each kind of span by each scheme, by `transport` and `what`.
    TransportLatency(fn(&TransportSnapshot) -> &Latencies),
    /// One for each dialer and listener, by `url` and `role`.
    Endpoint(fn(&EndpointSnapshot) -> u64),
    /// One for each peer, by `peer` and `pipe`.
    Peer(fn(&PeerSnapshot) -> Value<'_>),
    /// One for each kind of span of each peer, by `peer`, `pipe` and `what`.
    PeerLatency(fn(&PeerSnapshot) -> &Latencies),
}

/// Is told what took so long for a reason.
type EachReason<'a> = dyn FnMut(&'static str, &Histogram) + 'a;

type Tell<'a> = dyn FnMut(&[(&'static str, &str)], Value<'_>) + 'a;

/// How values of a series change.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only rise.
    Counter,
    /// They rise and fall.
    Gauge,
    /// They are spans of time, each counted.
    Histogram,
}

/// In what a series is counted.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Messages.
    Messages,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Peers, connections, calls: as the name says.
    Count,
}

/// How much is told.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Sockets, their transports, dialers and listeners: as many series as the program has made.
    #[default]
    Sockets,
    /// Each peer as well: as many as there are peers, and new ones with each that comes.
    Peers,
}

/// A value of a series.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A count.
    Count(u64),
    /// A span of time, to be told in seconds.
    Span(Duration),
    /// Many of them.
    Spans(&'a Histogram),
}

/// What tells a value from others of its series.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Labels<'a> {
    /// Name of the socket; the label is `socket`.
    pub socket: &'a str,
    /// Its protocol; the label is `protocol`.
    pub protocol: &'static str,
    /// The others, name and value.
    pub others: &'a [(&'static str, &'a str)],
}

impl<'a> Labels<'a> {
    /// All, in one order.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &'a str)> {
        [("socket", self.socket), ("protocol", self.protocol)].into_iter().chain(self.others.iter().copied())
    }
}

impl Series {
    /// Its name as Prometheus has it: with the unit, if it is seconds, and `_total` for a counter.
    pub fn full_name(&self) -> impl fmt::Display {
        struct Name(&'static str, bool, bool);
        impl fmt::Display for Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let seconds = if self.1 { "_seconds" } else { "" };
                let total = if self.2 { "_total" } else { "" };
                write!(f, "spanwire_{}{seconds}{total}", self.0)
            }
        }
        Name(self.name, self.unit == Unit::Seconds, self.kind == Kind::Counter)
    }

    /// Its values in a report, one after the other.
    pub fn read(&self, report: &Report, mut tell: impl FnMut(Labels<'_>, Value<'_>)) {
        for socket in &report.sockets {
            self.read.each(socket, &mut |others, value| {
                tell(Labels { socket: &socket.name, protocol: socket.protocol.name(), others }, value);
            });
        }
    }
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Series").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Read {
    fn each(&self, socket: &Snapshot, tell: &mut Tell<'_>) {
        match self {
            Self::Socket(read) => tell(&[], read(socket)),
            Self::Queue(read) => {
                let queues = &socket.queues;
                for (way, held) in [("outgoing", &queues.outgoing), ("incoming", &queues.incoming)] {
                    tell(&[("queue", way)], Value::Count(read(held) as u64));
                }
            }
            Self::Reason(read) => {
                read(&socket.ledger, &mut |why, count| tell(&[("reason", why)], Value::Count(count)));
            }
            Self::Latency(read) => {
                for (what, spans) in read(socket).measured() {
                    tell(&[("what", what.name())], Value::Spans(spans));
                }
            }
            Self::Took(read) => {
                read(socket, &mut |why, spans| tell(&[("reason", why)], Value::Spans(spans)));
            }
            Self::Transport(read) => {
                for transport in &socket.transports {
                    tell(&[("transport", &transport.scheme)], read(transport));
                }
            }
            Self::TransportLatency(read) => {
                for transport in &socket.transports {
                    for (what, spans) in read(transport).measured() {
                        let labels = [("transport", &*transport.scheme), ("what", what.name())];
                        tell(&labels, Value::Spans(spans));
                    }
                }
            }
            Self::Endpoint(read) => endpoints(&socket.endpoints, *read, tell),
            Self::Peer(read) => {
                for peer in &socket.peers {
                    let pipe = peer.pipe.to_string();
                    tell(&[("peer", &peer.remote), ("pipe", &pipe)], read(peer));
                }
            }
            Self::PeerLatency(read) => {
                for peer in &socket.peers {
                    let pipe = peer.pipe.to_string();
                    for (what, spans) in read(peer).measured() {
                        let labels = [("peer", &*peer.remote), ("pipe", &pipe), ("what", what.name())];
                        tell(&labels, Value::Spans(spans));
                    }
                }
            }
        }
    }

    const fn detail(&self) -> Detail {
        match self {
            Self::Peer(_) | Self::PeerLatency(_) => Detail::Peers,
            _ => Detail::Sockets,
        }
    }
}

/// A socket may dial an address twice; no series may come twice.
fn endpoints(all: &[EndpointSnapshot], read: fn(&EndpointSnapshot) -> u64, tell: &mut Tell<'_>) {
    for (place, first) in all.iter().enumerate() {
        let alike = |other: &&EndpointSnapshot| other.url == first.url && other.dials == first.dials;
        if all[..place].iter().any(|other| alike(&other)) {
            continue;
        }
        let sum = all[place..].iter().filter(alike).map(read).sum();
        let role = if first.dials { "dialer" } else { "listener" };
        tell(&[("url", &first.url), ("role", role)], Value::Count(sum));
    }
}

use Read::{Endpoint, Latency, Peer, PeerLatency, Queue, Reason, Socket, Took, Transport, TransportLatency};
use Value::{Count, Span};

macro_rules! table {
    ($($kind:ident $unit:ident $name:literal $help:literal $read:expr;)*) => {
        /// All of them.
        pub const SERIES: &[Series] = &[$({
            let read = $read;
            let detail = read.detail();
            Series { name: $name, help: $help, unit: Unit::$unit, kind: Kind::$kind, detail, read }
        },)*];
    };
}

table! {
    Counter Messages "sent_messages" "Messages accepted from the application."
        Socket(|s| Count(s.ledger.sent_messages));
    Counter Bytes "sent_bytes" "Bytes of messages accepted from the application."
        Socket(|s| Count(s.ledger.sent_bytes));
    Counter Messages "received_messages" "Messages that came in from peers."
        Socket(|s| Count(s.ledger.received_messages));
    Counter Bytes "received_bytes" "Bytes of messages that came in from peers."
        Socket(|s| Count(s.ledger.received_bytes));
    Counter Messages "delivered_messages" "Messages handed to the application."
        Socket(|s| Count(s.ledger.delivered_messages));
    Counter Messages "resent_messages" "Requests and jobs that were sent again."
        Socket(|s| Count(s.ledger.resent_messages));
    Counter Messages "unknown_messages" "Messages that the kernel had when their connection was cut: at most so many were lost."
        Socket(|s| Count(s.ledger.unknown_messages));
    Counter Messages "dropped_messages" "Messages that were discarded, by reason."
        Reason(|l, tell| l.drops().for_each(|(why, count)| tell(why.name(), count)));
    Counter Count "attached_pipes" "Connections that became peers."
        Socket(|s| Count(s.ledger.attached_pipes));
    Counter Count "detached_pipes" "Peers that went away, by reason."
        Reason(|l, tell| l.detaches().for_each(|(why, count)| tell(why.name(), count)));
    Counter Count "refused_pipes" "Connections that did not become peers, by reason."
        Reason(|l, tell| l.refusals().for_each(|(why, count)| tell(why.name(), count)));
    Gauge Seconds "age" "Time since the socket was made."
        Socket(|s| Span(s.age));
    Gauge Count "peers" "Peers attached."
        Socket(|s| Count(s.queues.peers as u64));
    Gauge Messages "queue_messages" "Messages that wait: to be handed to the kernel, or to be taken."
        Queue(|held| held.messages);
    Gauge Bytes "queue_bytes" "Bytes of messages that wait."
        Queue(|held| held.bytes);
    Gauge Count "waiting_senders" "Sends that wait for room."
        Socket(|s| Count(s.queues.waiting_senders as u64));
    Gauge Count "waiting_receivers" "Receives that wait for a message."
        Socket(|s| Count(s.queues.waiting_receivers as u64));
    Gauge Count "half_open" "Connections in their handshake."
        Socket(|s| Count(s.queues.half_open as u64));
    Histogram Seconds "latency" "How long things took: Reply, Answer, Room, Connect, Handshake, Connection."
        Latency(|s| &s.latencies);
    Histogram Seconds "detached_after" "How long peers that are gone had been attached, by reason."
        Took(|s, tell| s.lives.measured().for_each(|(why, spans)| tell(why.name(), spans)));
    Histogram Seconds "refused_after" "How long connections were there that did not become peers, by reason."
        Took(|s, tell| s.refusals.measured().for_each(|(why, spans)| tell(why.name(), spans)));
    Histogram Seconds "room_wait" "How long sends waited, by what they found lacking."
        Took(|s, tell| s.waits.measured().for_each(|(why, spans)| tell(why.name(), spans)));
    Gauge Count "transport_peers" "Peers attached, by transport."
        Transport(|t| Count(t.peers as u64));
    Counter Count "transport_attached_pipes" "Connections that became peers, by transport."
        Transport(|t| Count(t.attached));
    Counter Messages "transport_sent_messages" "Messages that have left, by transport."
        Transport(|t| Count(t.stats.sent_messages));
    Counter Bytes "transport_sent_bytes" "Bytes of messages that have left, by transport."
        Transport(|t| Count(t.stats.sent_bytes));
    Counter Messages "transport_received_messages" "Messages that came in, by transport."
        Transport(|t| Count(t.stats.received_messages));
    Counter Bytes "transport_received_bytes" "Bytes of messages that came in, by transport."
        Transport(|t| Count(t.stats.received_bytes));
    Counter Messages "transport_dropped_messages" "Messages from or for known peers that were discarded, by transport."
        Transport(|t| Count(t.stats.dropped_messages));
    Histogram Seconds "transport_latency" "How long things took, by transport."
        TransportLatency(|t| &t.latencies);
    Counter Count "endpoint_connections" "Connections that a dialer made or a listener accepted."
        Endpoint(|e| e.stats.connections);
    Counter Count "endpoint_failures" "Failed attempts of a dialer to connect, or of a listener to accept."
        Endpoint(|e| e.stats.failures);
    Counter Count "endpoint_evicted" "Connections dropped in their handshake, since there were too many."
        Endpoint(|e| e.stats.evicted);
    Counter Messages "peer_sent_messages" "Messages that have left for a peer."
        Peer(|p| Count(p.stats.sent_messages));
    Counter Bytes "peer_sent_bytes" "Bytes of messages that have left for a peer."
        Peer(|p| Count(p.stats.sent_bytes));
    Counter Messages "peer_received_messages" "Messages that came from a peer."
        Peer(|p| Count(p.stats.received_messages));
    Counter Bytes "peer_received_bytes" "Bytes of messages that came from a peer."
        Peer(|p| Count(p.stats.received_bytes));
    Counter Messages "peer_dropped_messages" "Messages from or for a peer that were discarded."
        Peer(|p| Count(p.stats.dropped_messages));
    Gauge Messages "peer_queue_messages" "Messages that wait to be handed to the kernel for a peer."
        Peer(|p| Count(p.outgoing.messages as u64));
    Counter Count "peer_answers" "Replies and answers that came from a peer."
        Peer(|p| Count(p.stats.answers));
    Counter Seconds "peer_answer" "How long the replies and answers of a peer took, all together."
        Peer(|p| Span(p.stats.answer_time));
    Histogram Seconds "peer_latency" "How long the replies and answers of a peer took."
        PeerLatency(|p| &p.latencies);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{DetachReason, Latency as What};
    use crate::snapshot::EndpointState;
    use alloc::collections::BTreeSet;
    use alloc::string::ToString;

    #[test]
    fn names_are_unique_and_such_as_prometheus_takes() {
        let names: BTreeSet<_> = SERIES.iter().map(|series| series.full_name().to_string()).collect();
        assert_eq!(names.len(), SERIES.len());
        for name in names {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        }
    }

    #[test]
    fn an_address_that_is_dialled_twice_is_told_once() {
        let mut report = Report::default();
        let mut socket = Snapshot::new(crate::framing::sp::Protocol::Push);
        for _ in 0..3 {
            let mut dialer = EndpointSnapshot::new("tcp://a:1".into(), EndpointState::Connected);
            dialer.stats.failures = 2;
            socket.endpoints.push(dialer);
        }
        socket.endpoints[2].dials = true;
        report.sockets.push(socket);
        let failures = SERIES.iter().find(|series| series.name == "endpoint_failures").expect("it is there");
        let mut told = alloc::vec::Vec::new();
        failures.read(&report, |labels, value| {
            let Value::Count(count) = value else { unreachable!("failures are counted") };
            told.push((labels.others[1].1 == "dialer", count));
        });
        assert_eq!(told, [(false, 4), (true, 2)]);
    }

    #[test]
    fn every_series_has_values_of_its_kind() {
        let ms = Duration::from_millis(1);
        let mut socket = Snapshot::new(crate::framing::sp::Protocol::Req);
        socket.ledger.count_dropped(crate::event::Dropped::NoPeer);
        socket.ledger.count_detached(DetachReason::PeerClosed);
        socket.ledger.count_refused(DetachReason::Filtered);
        socket.latencies.record(What::Reply, ms);
        socket.lives.record(DetachReason::PeerClosed, ms);
        socket.refusals.record(DetachReason::Filtered, ms);
        socket.waits.record(crate::event::Lack::NoPeer, ms);
        socket.endpoints.push(EndpointSnapshot::new("tcp://a:1".into(), EndpointState::Connected));
        let mut transport = TransportSnapshot { scheme: "tcp".into(), ..TransportSnapshot::default() };
        transport.latencies.record(What::Connect, ms);
        socket.transports.push(transport);
        let mut peer = PeerSnapshot { pipe: 7, ..PeerSnapshot::default() };
        peer.latencies.record(What::Reply, ms);
        socket.peers.push(peer);
        let mut report = Report::default();
        report.sockets.push(socket);
        for series in SERIES {
            let mut count = 0;
            series.read(&report, |labels, value| {
                let spans = matches!(value, Value::Spans(_));
                assert_eq!(spans, series.kind == Kind::Histogram, "{series:?}");
                let of_peer = labels.others.iter().any(|(key, _)| *key == "pipe");
                assert_eq!(of_peer, series.detail == Detail::Peers, "{series:?}");
                count += 1;
            });
            assert!(count > 0, "{series:?}");
        }
    }
}
