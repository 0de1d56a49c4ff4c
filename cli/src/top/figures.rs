//! What is shown of two reports: everything between them as a rate, everything else as it is.

use super::muxes::{CARRIER_COLUMNS, CHANNEL_COLUMNS};
use crate::terminal::{bytes, grouped, span};
use spanwire::watch::{MuxSnapshot, PeerSnapshot, Report, Snapshot};
use spanwire::{Histogram, Latency};
use std::cmp::Ordering;
use std::iter::Sum;
use std::time::Duration;

/// What comes first.
#[derive(clap::ValueEnum, Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// By name
    #[default]
    Name,
    /// Most peers
    Peers,
    /// Most messages a second
    Messages,
    /// Most bytes a second
    Bytes,
    /// Longest queues
    Queued,
    /// Most dropped messages
    Dropped,
    /// Slowest p99
    Latency,
}

impl Sort {
    const ALL: [Self; 7] =
        [Self::Name, Self::Peers, Self::Messages, Self::Bytes, Self::Queued, Self::Dropped, Self::Latency];

    /// The next one, round and round.
    pub(super) fn next(self) -> Self {
        let at = Self::ALL.iter().position(|other| *other == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Peers => "peers",
            Self::Messages => "messages",
            Self::Bytes => "bytes",
            Self::Queued => "queued",
            Self::Dropped => "dropped",
            Self::Latency => "latency",
        }
    }
}

/// What is shown.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
}

/// A socket, or a pool, a server or a single one of multiplexed connections.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    /// Its protocol, or `mux`.
    pub(super) kind: &'static str,
    pub(super) peers: usize,
    pub(super) sent: Rate,
    pub(super) received: Rate,
    /// To be sent, and to be taken. Of channels: those that are told of.
    pub(super) queued: (usize, usize),
    pub(super) dropped: u64,
    /// What took how long; of connections, the round trip of each.
    pub(super) latency: Option<(&'static str, Duration, Duration)>,
    /// Every reason, with its count: why messages were dropped, peers went away, connections were refused and
    /// sends waited; and how long that took.
    pub(super) reasons: Vec<String>,
    /// Each with its peers, and how long things took over it.
    pub(super) transports: Vec<String>,
    /// Dialers and listeners.
    pub(super) endpoints: Vec<String>,
    pub(super) present: Vec<[String; PEER_COLUMNS.len()]>,
    /// Multiplexed connections.
    pub(super) carriers: Vec<[String; CARRIER_COLUMNS.len()]>,
    /// Of their channels, those that are told of.
    pub(super) channels: Vec<[String; CHANNEL_COLUMNS.len()]>,
}

/// In a second.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
pub(super) struct Rate {
    pub(super) messages: f64,
    pub(super) bytes: f64,
}

impl Sum for Rate {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            messages: sum.messages + one.messages,
            bytes: sum.bytes + one.bytes,
        })
    }
}

/// What stands above the cells of a [`Row`].
pub(super) const COLUMNS: [&str; 12] = [
    "SOCKET", "PROTOCOL", "PEERS", "OUT/S", "IN/S", "OUT B/S", "IN B/S", "QUEUED", "DROPPED", "LATENCY",
    "P50", "P99",
];

/// What stands above those of its peers.
pub(super) const PEER_COLUMNS: [&str; 12] = [
    "SOCKET", "PEER", "PIPE", "FOR", "OUT/S", "IN/S", "QUEUED", "DROPPED", "ANSWERS", "P50", "P99", "SLOWEST",
];

impl Look {
    /// What has happened between `before` and `now`; since each socket was made, where `before` does not
    /// know it.
    pub(super) fn new(before: Option<&Report>, now: &Report, sort: Sort, turned: bool) -> Self {
        // Another process starts anew.
        let before = before.filter(|before| before.process == now.process && before.at < now.at);
        let mut rows: Vec<Row> = now
            .sockets
            .iter()
            .map(|socket| {
                let earlier = before.and_then(|report| {
                    let same = report.sockets.iter().find(|other| same_socket(other, socket))?;
                    Some((same, now.at - report.at))
                });
                Row::new(socket, earlier)
            })
            .collect();
        rows.extend(now.muxes.iter().map(|mux| {
            let earlier = before.and_then(|report| {
                let same = report.muxes.iter().find(|other| same_mux(other, mux))?;
                Some((same, now.at - report.at))
            });
            Row::of_mux(mux, earlier)
        }));
        rows.sort_by(|a, b| {
            let order = a.compare(b, sort);
            if turned { order.reverse() } else { order }
        });
        let omitted = match now.omitted {
            0 => String::new(),
            count => format!(", {} more sockets, peers or connections not listed", grouped(count)),
        };
        let muxes = match now.muxes.len() {
            0 => String::new(),
            1 => ", 1 mux".to_owned(),
            count => format!(", {count} muxes"),
        };
        let title = format!(
            "{} (process {}, Spanwire {}): {} sockets{muxes}{omitted}",
            printable(&now.program),
            now.process,
            printable(&now.version),
            now.sockets.len()
        );
        Self { title, rows }
    }
}

/// Not another one that was given its name meanwhile.
fn same_socket(before: &Snapshot, now: &Snapshot) -> bool {
    before.name == now.name && before.protocol == now.protocol && before.age <= now.age
}

/// The same for what carries channels: counters never fall.
fn same_mux(before: &MuxSnapshot, now: &MuxSnapshot) -> bool {
    before.name == now.name && before.role == now.role && before.attempts <= now.attempts
}

impl Row {
    fn new(socket: &Snapshot, earlier: Option<(&Snapshot, Duration)>) -> Self {
        let ledger = &socket.ledger;
        let seconds = earlier.map_or(socket.age, |(_, span)| span).as_secs_f64();
        let rate = |now: u64, before: u64| match seconds > 0.0 {
            true => now.saturating_sub(before) as f64 / seconds,
            false => 0.0,
        };
        let old = earlier.map(|(socket, _)| &socket.ledger);
        let of = |count: fn(&spanwire::Ledger) -> u64| rate(count(ledger), old.map_or(0, count));
        let mut reasons: Vec<_> =
            ledger.drops().map(|(why, count)| format!("{} dropped: {why}", grouped(count))).collect();
        reasons.extend(
            ledger
                .detaches()
                .map(|(why, count)| format!("{} gone: {why}{}", grouped(count), after(socket.lives.of(why)))),
        );
        reasons.extend(ledger.refusals().map(|(why, count)| {
            format!("{} refused: {why}{}", grouped(count), after(socket.refusals.of(why)))
        }));
        reasons.extend(socket.waits.measured().map(|(lack, spans)| {
            format!("{} sends waited: {lack}, {}", grouped(spans.count()), quantiles(spans))
        }));
        let transports = socket.transports.iter().map(|transport| {
            let took: String = transport
                .latencies
                .measured()
                .map(|(what, spans)| format!("; {} {}", what.name().to_lowercase(), quantiles(spans)))
                .collect();
            let (peers, ever) = (grouped(transport.peers as u64), grouped(transport.attached));
            printable(&format!("{}: peers {peers} now, {ever} in all{took}", transport.scheme))
        });
        let endpoints = socket.endpoints.iter().map(|endpoint| {
            let error = endpoint.last_error.as_deref().map(|error| format!("; last error: {error}"));
            let line = format!("{} {}{}", endpoint.state, endpoint.url, error.unwrap_or_default());
            printable(&line)
        });
        let present = socket.peers.iter().map(|peer| {
            let before = earlier.and_then(|(socket, _)| socket.peers.iter().find(|o| o.pipe == peer.pipe));
            let seconds = if before.is_some() { seconds } else { peer.age.as_secs_f64() };
            peer_cells(&socket.name, peer, before, seconds)
        });
        Self {
            name: printable(&socket.name),
            kind: socket.protocol.name(),
            peers: socket.queues.peers,
            sent: Rate { messages: of(|l| l.sent_messages), bytes: of(|l| l.sent_bytes) },
            received: Rate { messages: of(|l| l.received_messages), bytes: of(|l| l.received_bytes) },
            queued: (socket.queues.outgoing.messages, socket.queues.incoming.messages),
            dropped: ledger.dropped_total(),
            latency: latency(socket, earlier.map(|(socket, _)| socket)),
            reasons,
            transports: transports.collect(),
            endpoints: endpoints.collect(),
            present: present.collect(),
            carriers: Vec::new(),
            channels: Vec::new(),
        }
    }

    /// Its cells, under [`COLUMNS`].
    pub(super) fn cells(&self) -> [String; COLUMNS.len()] {
        let per_second = |rate: f64| grouped(rate.round() as u64);
        let data = |rate: f64| bytes(rate.round() as u64);
        let [what, p50, p99] = match self.latency {
            Some((what, p50, p99)) => [what.to_lowercase(), span(p50), span(p99)],
            None => ["-"; 3].map(str::to_owned),
        };
        [
            self.name.clone(),
            self.kind.to_owned(),
            grouped(self.peers as u64),
            per_second(self.sent.messages),
            per_second(self.received.messages),
            data(self.sent.bytes),
            data(self.received.bytes),
            format!("{}+{}", self.queued.0, self.queued.1),
            grouped(self.dropped),
            what,
            p50,
            p99,
        ]
    }

    fn compare(&self, other: &Self, sort: Sort) -> Ordering {
        let messages = |row: &Self| row.sent.messages + row.received.messages;
        let data = |row: &Self| row.sent.bytes + row.received.bytes;
        let queued = |row: &Self| row.queued.0 + row.queued.1;
        let slowest = |row: &Self| row.latency.map(|(_, _, p99)| p99);
        let most_first = match sort {
            Sort::Name => Ordering::Equal,
            Sort::Peers => other.peers.cmp(&self.peers),
            Sort::Messages => messages(other).total_cmp(&messages(self)),
            Sort::Bytes => data(other).total_cmp(&data(self)),
            Sort::Queued => queued(other).cmp(&queued(self)),
            Sort::Dropped => other.dropped.cmp(&self.dropped),
            Sort::Latency => slowest(other).cmp(&slowest(self)),
        };
        most_first.then_with(|| self.name.cmp(&other.name))
    }
}

/// Of replies, else of answers, else of waits for room: those since `before`, if there were any.
fn latency(now: &Snapshot, before: Option<&Snapshot>) -> Option<(&'static str, Duration, Duration)> {
    let what = [Latency::Reply, Latency::Answer, Latency::Room]
        .into_iter()
        .find(|what| !now.latencies.of(*what).is_empty())?;
    let all = now.latencies.of(what);
    let new = before.map(|before| all.since(before.latencies.of(what))).filter(|new| !new.is_empty());
    let spans = new.as_ref().unwrap_or(all);
    Some((what.name(), spans.quantile(0.5), spans.quantile(0.99)))
}

fn peer_cells(
    socket: &str,
    peer: &PeerSnapshot,
    before: Option<&PeerSnapshot>,
    seconds: f64,
) -> [String; PEER_COLUMNS.len()] {
    let rate = |count: fn(&PeerSnapshot) -> u64| {
        let new = count(peer).saturating_sub(before.map_or(0, count));
        grouped(if seconds > 0.0 { (new as f64 / seconds).round() as u64 } else { 0 })
    };
    let slowest = match peer.stats.answers {
        0 => "-".to_owned(),
        _ => span(peer.stats.slowest_answer),
    };
    // A socket has one of the two; a program of an earlier version tells neither.
    let [p50, p99] = match peer.latencies.measured().next() {
        Some((what, all)) => {
            let new = before.map(|before| all.since(before.latencies.of(what))).filter(|new| !new.is_empty());
            let spans = new.as_ref().unwrap_or(all);
            [0.5, 0.99].map(|q| span(spans.quantile(q)))
        }
        None => ["-"; 2].map(str::to_owned),
    };
    [
        printable(socket),
        printable(&peer.remote),
        peer.pipe.to_string(),
        span(peer.age),
        rate(|peer| peer.stats.sent_messages),
        rate(|peer| peer.stats.received_messages),
        grouped(peer.outgoing.messages as u64),
        grouped(peer.stats.dropped_messages),
        grouped(peer.stats.answers),
        p50,
        p99,
        slowest,
    ]
}

/// How long it took, if that is known.
fn after(spans: &Histogram) -> String {
    if spans.is_empty() { String::new() } else { format!(", after {}", quantiles(spans)) }
}

fn quantiles(spans: &Histogram) -> String {
    format!("p50 {}, p99 {}", span(spans.quantile(0.5)), span(spans.quantile(0.99)))
}

/// What another program says must not steer this terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use spanwire::watch::TransportSnapshot;
    use spanwire::{DetachReason, Dropped, Protocol};

    fn report(seconds: u64, sent: u64) -> Report {
        let mut jobs = Snapshot::new(Protocol::Push);
        jobs.name = "jobs".into();
        jobs.age = Duration::from_secs(seconds);
        jobs.ledger.sent_messages = sent;
        jobs.ledger.sent_bytes = sent * 1_024;
        let mut calls = Snapshot::new(Protocol::Req);
        calls.name = "calls\x1b[2J".into();
        calls.age = Duration::from_secs(seconds);
        calls.queues.peers = 3;
        calls.ledger.count_dropped(Dropped::NoRequest);
        for _ in 0..sent {
            calls.latencies.record(Latency::Reply, Duration::from_millis(seconds));
        }
        calls.ledger.count_detached(DetachReason::PeerClosed);
        calls.lives.record(DetachReason::PeerClosed, Duration::from_secs(60));
        let mut tcp = TransportSnapshot::default();
        (tcp.scheme, tcp.peers, tcp.attached) = ("tcp".into(), 1, 2);
        tcp.latencies.record(Latency::Connect, Duration::from_micros(100));
        calls.transports.push(tcp);
        let mut peer = PeerSnapshot::default();
        peer.stats.answers = sent;
        peer.latencies = calls.latencies.clone();
        calls.peers.push(peer);
        let mut report = Report::default();
        report.process = 1;
        report.at = Duration::from_secs(seconds);
        report.sockets = vec![calls, jobs];
        report
    }

    #[test]
    fn rates_are_those_between_two_reports() {
        let look = Look::new(Some(&report(10, 100)), &report(12, 300), Sort::Name, false);
        let jobs = look.rows[1].cells();
        assert_eq!((&*jobs[0], &*jobs[1], &*jobs[3], &*jobs[5]), ("jobs", "push", "100", "100 KiB"));
        let calls = look.rows[0].cells();
        assert_eq!(calls[9], "reply");
        assert!(calls[10].starts_with("12.0"), "those of the last two seconds: {}", calls[10]);
        let peer = &look.rows[0].present[0];
        assert_eq!((&*peer[8], &peer[9], &peer[10]), ("300", &calls[10], &calls[11]));
    }

    #[test]
    fn without_an_earlier_report_rates_are_those_of_a_life() {
        let mut restarted = report(1, 1);
        restarted.process = 2;
        for before in [None, Some(report(13, 1)), Some(restarted)] {
            let look = Look::new(before.as_ref(), &report(12, 300), Sort::Name, false);
            assert_eq!(look.rows[1].cells()[3], "25");
        }
    }

    #[test]
    fn rows_are_sorted_the_most_first_or_the_other_way_round() {
        let first = |sort, turned| Look::new(None, &report(12, 300), sort, turned).rows[0].kind;
        assert_eq!(first(Sort::Name, false), "req");
        assert_eq!(first(Sort::Name, true), "push");
        for sort in [Sort::Peers, Sort::Dropped, Sort::Latency] {
            assert_eq!(first(sort, false), "req", "{sort:?}");
            assert_eq!(first(sort, true), "push", "{sort:?}");
        }
        for sort in [Sort::Messages, Sort::Bytes] {
            assert_eq!(first(sort, false), "push", "{sort:?}");
        }
        let all: Vec<_> = std::iter::successors(Some(Sort::Name), |sort| Some(sort.next())).take(8).collect();
        assert_eq!((all[7], Sort::ALL.to_vec()), (Sort::Name, all[..7].to_vec()));
    }

    #[test]
    fn names_cannot_steer_the_terminal() {
        let look = Look::new(None, &report(1, 1), Sort::Name, false);
        assert_eq!(look.rows[0].name, "calls\u{fffd}[2J");
        let [dropped, gone] = &look.rows[0].reasons[..] else { panic!("{:?}", look.rows[0].reasons) };
        assert_eq!(dropped, "1 dropped: no such request");
        assert!(gone.starts_with("1 gone: closed by the peer, after p50 60.0"), "{gone}");
        let [tcp] = &look.rows[0].transports[..] else { panic!("one is used") };
        assert!(tcp.starts_with("tcp: peers 1 now, 2 in all; connect p50 100"), "{tcp}");
    }
}
