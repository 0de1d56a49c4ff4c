//! The series that a report has, as a table: exporters go through it, and so all tell the same.

use super::Report;
use crate::histogram::Histogram;
use crate::pattern::Held;
use crate::snapshot::{EndpointSnapshot, Snapshot};
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
    read: fn(&Snapshot, &mut Tell<'_>),
}

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
            (self.read)(socket, &mut |others, value| {
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

const fn series(
    kind: Kind,
    unit: Unit,
    name: &'static str,
    help: &'static str,
    read: fn(&Snapshot, &mut Tell<'_>),
) -> Series {
    Series { name, help, unit, kind, detail: Detail::Sockets, read }
}

const fn counter(unit: Unit, name: &'static str, help: &'static str, read: Read) -> Series {
    series(Kind::Counter, unit, name, help, read)
}

const fn gauge(unit: Unit, name: &'static str, help: &'static str, read: Read) -> Series {
    series(Kind::Gauge, unit, name, help, read)
}

/// One of which there is a value for each peer.
const fn of_peer(kind: Kind, unit: Unit, name: &'static str, help: &'static str, read: Read) -> Series {
    Series { name, help, unit, kind, detail: Detail::Peers, read }
}

type Read = fn(&Snapshot, &mut Tell<'_>);

/// A field of each transport.
macro_rules! transports {
    ($transport:ident => $count:expr) => {
        |s, tell| {
            for $transport in &s.transports {
                tell(&[("transport", &$transport.scheme)], Value::Count($count));
            }
        }
    };
}

/// A field of each dialer and listener. A socket may dial an address twice; no series may come twice.
macro_rules! endpoints {
    ($endpoint:ident => $count:expr) => {
        |s, tell| {
            for (place, first) in s.endpoints.iter().enumerate() {
                let alike = |other: &&EndpointSnapshot| other.url == first.url && other.dials == first.dials;
                if s.endpoints[..place].iter().any(|other| alike(&other)) {
                    continue;
                }
                let sum = s.endpoints[place..].iter().filter(alike).map(|$endpoint| $count).sum();
                let role = if first.dials { "dialer" } else { "listener" };
                tell(&[("url", &first.url), ("role", role)], Value::Count(sum));
            }
        }
    };
}

/// A field of each peer.
macro_rules! peers {
    ($peer:ident => $value:expr) => {
        |s, tell| {
            for $peer in &s.peers {
                let pipe = alloc::string::ToString::to_string(&$peer.pipe);
                tell(&[("peer", &$peer.remote), ("pipe", &pipe)], $value);
            }
        }
    };
}

fn both(tell: &mut Tell<'_>, outgoing: usize, incoming: usize) {
    tell(&[("queue", "outgoing")], Value::Count(outgoing as u64));
    tell(&[("queue", "incoming")], Value::Count(incoming as u64));
}

fn reasons(tell: &mut Tell<'_>, counts: impl Iterator<Item = (&'static str, u64)>) {
    for (why, count) in counts {
        tell(&[("reason", why)], Value::Count(count));
    }
}

/// All of them.
pub const SERIES: &[Series] = &[
    counter(Unit::Messages, "sent_messages", "Messages accepted from the application.", |s, tell| {
        tell(&[], Value::Count(s.ledger.sent_messages));
    }),
    counter(Unit::Bytes, "sent_bytes", "Bytes of messages accepted from the application.", |s, tell| {
        tell(&[], Value::Count(s.ledger.sent_bytes));
    }),
    counter(Unit::Messages, "received_messages", "Messages that came in from peers.", |s, tell| {
        tell(&[], Value::Count(s.ledger.received_messages));
    }),
    counter(Unit::Bytes, "received_bytes", "Bytes of messages that came in from peers.", |s, tell| {
        tell(&[], Value::Count(s.ledger.received_bytes));
    }),
    counter(Unit::Messages, "delivered_messages", "Messages handed to the application.", |s, tell| {
        tell(&[], Value::Count(s.ledger.delivered_messages));
    }),
    counter(Unit::Messages, "resent_messages", "Requests and jobs that were sent again.", |s, tell| {
        tell(&[], Value::Count(s.ledger.resent_messages));
    }),
    counter(
        Unit::Messages,
        "unknown_messages",
        "Messages that the kernel had when their connection was cut: at most so many were lost.",
        |s, tell| tell(&[], Value::Count(s.ledger.unknown_messages)),
    ),
    counter(Unit::Messages, "dropped_messages", "Messages that were discarded, by reason.", |s, tell| {
        reasons(tell, s.ledger.drops().map(|(why, count)| (why.name(), count)));
    }),
    counter(Unit::Count, "attached_pipes", "Connections that became peers.", |s, tell| {
        tell(&[], Value::Count(s.ledger.attached_pipes));
    }),
    counter(Unit::Count, "detached_pipes", "Peers that went away, by reason.", |s, tell| {
        reasons(tell, s.ledger.detaches().map(|(why, count)| (why.name(), count)));
    }),
    counter(Unit::Count, "refused_pipes", "Connections that did not become peers, by reason.", |s, tell| {
        reasons(tell, s.ledger.refusals().map(|(why, count)| (why.name(), count)))
    }),
    gauge(Unit::Seconds, "age", "Time since the socket was made.", |s, tell| {
        tell(&[], Value::Span(s.age));
    }),
    gauge(Unit::Count, "peers", "Peers attached.", |s, tell| {
        tell(&[], Value::Count(s.queues.peers as u64));
    }),
    gauge(
        Unit::Messages,
        "queue_messages",
        "Messages that wait: to be handed to the kernel, or to be taken.",
        |s, tell| both(tell, s.queues.outgoing.messages, s.queues.incoming.messages),
    ),
    gauge(Unit::Bytes, "queue_bytes", "Bytes of messages that wait.", |s, tell| {
        both(tell, s.queues.outgoing.bytes, s.queues.incoming.bytes);
    }),
    gauge(Unit::Count, "waiting_senders", "Sends that wait for room.", |s, tell| {
        tell(&[], Value::Count(s.queues.waiting_senders as u64));
    }),
    gauge(Unit::Count, "waiting_receivers", "Receives that wait for a message.", |s, tell| {
        tell(&[], Value::Count(s.queues.waiting_receivers as u64));
    }),
    gauge(Unit::Count, "half_open", "Connections in their handshake.", |s, tell| {
        tell(&[], Value::Count(s.queues.half_open as u64));
    }),
    series(
        Kind::Histogram,
        Unit::Seconds,
        "latency",
        "How long things took: Reply, Answer, Room, Connect, Handshake, Connection.",
        |s, tell| {
            for (what, spans) in s.latencies.measured() {
                tell(&[("what", what.name())], Value::Spans(spans));
            }
        },
    ),
    gauge(
        Unit::Count,
        "transport_peers",
        "Peers attached, by transport.",
        transports!(transport => transport.peers as u64),
    ),
    counter(
        Unit::Count,
        "transport_attached_pipes",
        "Connections that became peers, by transport.",
        transports!(transport => transport.attached),
    ),
    counter(
        Unit::Messages,
        "transport_sent_messages",
        "Messages that have left, by transport.",
        transports!(transport => transport.stats.sent_messages),
    ),
    counter(
        Unit::Bytes,
        "transport_sent_bytes",
        "Bytes of messages that have left, by transport.",
        transports!(transport => transport.stats.sent_bytes),
    ),
    counter(
        Unit::Messages,
        "transport_received_messages",
        "Messages that came in, by transport.",
        transports!(transport => transport.stats.received_messages),
    ),
    counter(
        Unit::Bytes,
        "transport_received_bytes",
        "Bytes of messages that came in, by transport.",
        transports!(transport => transport.stats.received_bytes),
    ),
    counter(
        Unit::Messages,
        "transport_dropped_messages",
        "Messages from or for known peers that were discarded, by transport.",
        transports!(transport => transport.stats.dropped_messages),
    ),
    counter(
        Unit::Count,
        "endpoint_connections",
        "Connections that a dialer made or a listener accepted.",
        endpoints!(endpoint => endpoint.stats.connections),
    ),
    counter(
        Unit::Count,
        "endpoint_failures",
        "Failed attempts of a dialer to connect, or of a listener to accept.",
        endpoints!(endpoint => endpoint.stats.failures),
    ),
    counter(
        Unit::Count,
        "endpoint_evicted",
        "Connections dropped in their handshake, since there were too many.",
        endpoints!(endpoint => endpoint.stats.evicted),
    ),
    of_peer(
        Kind::Counter,
        Unit::Messages,
        "peer_sent_messages",
        "Messages that have left for a peer.",
        peers!(peer => Value::Count(peer.stats.sent_messages)),
    ),
    of_peer(
        Kind::Counter,
        Unit::Bytes,
        "peer_sent_bytes",
        "Bytes of messages that have left for a peer.",
        peers!(peer => Value::Count(peer.stats.sent_bytes)),
    ),
    of_peer(
        Kind::Counter,
        Unit::Messages,
        "peer_received_messages",
        "Messages that came from a peer.",
        peers!(peer => Value::Count(peer.stats.received_messages)),
    ),
    of_peer(
        Kind::Counter,
        Unit::Bytes,
        "peer_received_bytes",
        "Bytes of messages that came from a peer.",
        peers!(peer => Value::Count(peer.stats.received_bytes)),
    ),
    of_peer(
        Kind::Counter,
        Unit::Messages,
        "peer_dropped_messages",
        "Messages from or for a peer that were discarded.",
        peers!(peer => Value::Count(peer.stats.dropped_messages)),
    ),
    of_peer(
        Kind::Gauge,
        Unit::Messages,
        "peer_queue_messages",
        "Messages that wait to be handed to the kernel for a peer.",
        peers!(peer => { let Held { messages, .. } = peer.outgoing; Value::Count(messages as u64) }),
    ),
    of_peer(
        Kind::Counter,
        Unit::Count,
        "peer_answers",
        "Replies and answers that came from a peer.",
        peers!(peer => Value::Count(peer.stats.answers)),
    ),
    of_peer(
        Kind::Counter,
        Unit::Seconds,
        "peer_answer",
        "How long the replies and answers of a peer took, all together.",
        peers!(peer => Value::Span(peer.stats.answer_time)),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
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
    fn only_a_histogram_has_spans_to_count() {
        let mut report = Report::default();
        let mut socket = Snapshot::new(crate::framing::sp::Protocol::Req);
        socket.latencies.record(crate::event::Latency::Reply, Duration::from_millis(1));
        report.sockets.push(socket);
        for series in SERIES {
            series.read(&report, |_, value| {
                assert_eq!(matches!(value, Value::Spans(_)), series.kind == Kind::Histogram, "{series:?}");
            });
        }
    }
}
