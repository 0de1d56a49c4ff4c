//! The series that a report has, as a table: exporters go through it, and so all tell the same.

use super::Report;
use crate::event::{Latencies, Ledger};
use crate::histogram::Histogram;
use crate::mux::snapshot::{MuxChannelSnapshot, MuxConnectionSnapshot, MuxSnapshot};
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
    /// One in each pool and server.
    Mux(fn(&MuxSnapshot) -> Value<'_>),
    /// One for each multiplexed connection, by `url`, `peer` and `connection`.
    Carrier(fn(&MuxConnectionSnapshot) -> Option<Value<'_>>),
    /// One for each channel that is told of, by `connection`, `id` and `channel`.
    Channel(fn(&MuxChannelSnapshot) -> u64),
    /// The same for each way, by `queue`.
    ChannelQueue(fn(&MuxChannelSnapshot) -> [u64; 2]),
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
    /// Each peer as well, each multiplexed connection and its channels, as far as they are told of: as many as there
    /// are, and new ones with each that comes.
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
    /// What it is of: `socket` and `protocol`; or `mux` and `role`, of a pool, a server or a single connection.
    pub of: [(&'static str, &'a str); 2],
    /// The others, name and value.
    pub others: &'a [(&'static str, &'a str)],
}

impl<'a> Labels<'a> {
    /// All, in one order.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &'a str)> {
        self.of.into_iter().chain(self.others.iter().copied())
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
            let of = [("socket", &*socket.name), ("protocol", socket.protocol.name())];
            self.read.each(socket, &mut |others, value| tell(Labels { of, others }, value));
        }
        for mux in &report.muxes {
            let of = [("mux", &*mux.name), ("role", mux.role.name())];
            self.read.each_of_mux(mux, &mut |others, value| tell(Labels { of, others }, value));
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
            Self::Mux(_) | Self::Carrier(_) | Self::Channel(_) | Self::ChannelQueue(_) => {}
        }
    }

    fn each_of_mux(&self, mux: &MuxSnapshot, tell: &mut Tell<'_>) {
        if let Self::Mux(read) = self {
            return tell(&[], read(mux));
        }
        for carrier in &mux.connections {
            let connection = carrier.number.to_string();
            if let Self::Carrier(read) = self {
                let labels = [("url", &*carrier.url), ("peer", &carrier.remote), ("connection", &connection)];
                read(carrier).into_iter().for_each(|value| tell(&labels, value));
            }
            for channel in &carrier.channels {
                let number = channel.number.to_string();
                let labels = [("connection", &*connection), ("id", &channel.id), ("channel", &number)];
                match self {
                    Self::Channel(read) => tell(&labels, Value::Count(read(channel))),
                    Self::ChannelQueue(read) => {
                        for (way, count) in ["outgoing", "incoming"].into_iter().zip(read(channel)) {
                            let [connection, id, number] = labels;
                            tell(&[connection, id, number, ("queue", way)], Value::Count(count));
                        }
                    }
                    _ => return,
                }
            }
        }
    }

    const fn detail(&self) -> Detail {
        match self {
            Self::Peer(_) | Self::PeerLatency(_) => Detail::Peers,
            Self::Carrier(_) | Self::Channel(_) | Self::ChannelQueue(_) => Detail::Peers,
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

use Read::{Carrier, Channel, ChannelQueue, Mux};
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
    Counter Count "mux_attempts" "Multiplexed connections that a pool began to dial, or that arrived at a server."
        Mux(|m| Count(m.attempts));
    Counter Count "mux_failures" "Failed attempts of a pool to dial, or of a server to accept."
        Mux(|m| Count(m.failures));
    Counter Count "mux_refused" "Logical connections that a pool refused, or connections that a server did not let in."
        Mux(|m| Count(m.refused));
    Counter Count "mux_evicted" "Connections that were idle, or dropped since there were too many."
        Mux(|m| Count(m.evicted));
    Gauge Count "mux_waiting" "Who waits for a connection of a pool; connections of a server in their handshake."
        Mux(|m| Count(m.waiting as u64));
    Gauge Count "mux_connections" "Multiplexed connections."
        Mux(|m| Count(m.connections.len() as u64));
    Gauge Count "mux_channels" "Channels on all of them."
        Mux(|m| Count(m.connections.iter().map(|c| c.stats.channels as u64).sum()));
    Gauge Bytes "mux_shared_bytes" "Memory beyond their own windows that channels hold or may need, on all connections."
        Mux(|m| Count(m.connections.iter().map(|c| c.stats.shared_used).sum()));
    Gauge Bytes "mux_waiting_bytes" "Bytes that wait to be handed to the kernel, on all connections."
        Mux(|m| Count(m.connections.iter().map(|c| c.waiting_bytes as u64).sum()));
    Gauge Count "mux_connection_channels" "Channels on a connection."
        Carrier(|c| Some(Count(c.stats.channels as u64)));
    Counter Count "mux_connection_opened" "Channels that we opened on a connection."
        Carrier(|c| Some(Count(c.stats.opened)));
    Counter Count "mux_connection_incoming" "Channels that the peer opened on a connection."
        Carrier(|c| Some(Count(c.stats.incoming)));
    Counter Messages "mux_connection_sent_messages" "Messages that left whole on a connection."
        Carrier(|c| Some(Count(c.stats.sent_messages)));
    Counter Bytes "mux_connection_sent_bytes" "Bytes of messages that left on a connection."
        Carrier(|c| Some(Count(c.stats.sent_bytes)));
    Counter Messages "mux_connection_received_messages" "Messages that came whole on a connection."
        Carrier(|c| Some(Count(c.stats.received_messages)));
    Counter Bytes "mux_connection_received_bytes" "Bytes of messages that came on a connection."
        Carrier(|c| Some(Count(c.stats.received_bytes)));
    Counter Bytes "mux_connection_discarded_bytes" "Bytes that came for channels that wanted nothing more."
        Carrier(|c| Some(Count(c.stats.discarded_bytes)));
    Gauge Bytes "mux_connection_shared_bytes" "Memory beyond their own windows that channels of a connection hold or may need."
        Carrier(|c| Some(Count(c.stats.shared_used)));
    Gauge Bytes "mux_connection_waiting_bytes" "Bytes that wait to be handed to the kernel on a connection."
        Carrier(|c| Some(Count(c.waiting_bytes as u64)));
    Counter Count "mux_connection_stalls" "Times that a channel had something to send, and no credit."
        Carrier(|c| Some(Count(c.stats.stalls)));
    Gauge Seconds "mux_connection_round_trip" "The shortest of the last round trips, once one was measured."
        Carrier(|c| c.round_trip.map(Span));
    Counter Count "mux_channel_stalls" "Times that there was something to send, and no credit: the peer's program was too slow."
        Channel(|c| c.stats.stalled_by_peer);
    Counter Messages "mux_channel_sent_messages" "Messages that were accepted to be sent on a channel."
        Channel(|c| c.stats.account.accepted);
    Counter Messages "mux_channel_received_messages" "Messages that came whole on a channel."
        Channel(|c| c.stats.received);
    Gauge Messages "mux_channel_queue_messages" "Messages that wait on a channel: to be sent, or to be taken."
        ChannelQueue(|c| [c.stats.send_waiting as u64, c.stats.recv_waiting as u64]);
    Gauge Bytes "mux_channel_queue_bytes" "Bytes that wait on a channel."
        ChannelQueue(|c| [c.stats.send_waiting_bytes as u64, c.stats.recv_waiting_bytes as u64]);
    Gauge Bytes "mux_channel_credit_bytes" "Credit that is left on a channel: ours to send, or the peer's."
        ChannelQueue(|c| [c.stats.send_credit, c.stats.recv_credit]);
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
        let mut mux = MuxSnapshot::new(crate::mux::snapshot::MuxRole::Server);
        let channels = alloc::vec![MuxChannelSnapshot::default()];
        mux.connections.push(MuxConnectionSnapshot {
            channels,
            round_trip: Some(ms),
            ..MuxConnectionSnapshot::default()
        });
        report.muxes.push(mux);
        for series in SERIES {
            let mut count = 0;
            series.read(&report, |labels, value| {
                let spans = matches!(value, Value::Spans(_));
                assert_eq!(spans, series.kind == Kind::Histogram, "{series:?}");
                let of_peer = labels.others.iter().any(|(key, _)| ["pipe", "connection"].contains(key));
                assert_eq!(labels.of[0].0 == "mux", series.name.starts_with("mux_"), "{series:?}");
                assert_eq!(of_peer, series.detail == Detail::Peers, "{series:?}");
                count += 1;
            });
            assert!(count > 0, "{series:?}");
        }
    }
}
