//! Rows of pools, servers and connections that carry channels.

use super::figures::{Rate, Row, printable};
use crate::terminal::{bytes, grouped, span};
use spanwire::Histogram;
use spanwire::watch::{MuxChannelSnapshot, MuxConnectionSnapshot, MuxSnapshot};
use std::time::Duration;

/// What stands above the cells of a connection.
pub(super) const CARRIER_COLUMNS: [&str; 12] = [
    "MUX",
    "PEER",
    "CONNECTION",
    "CHANNELS",
    "OUT/S",
    "IN/S",
    "OUT B/S",
    "IN B/S",
    "WAITING",
    "SHARED",
    "STALLS",
    "ROUND TRIP",
];

/// What stands above those of a channel.
pub(super) const CHANNEL_COLUMNS: [&str; 12] = [
    "MUX",
    "ID",
    "CHANNEL",
    "CONNECTION",
    "STALLS",
    "TO SEND",
    "BYTES",
    "CREDIT",
    "TO TAKE",
    "BYTES",
    "ITS CREDIT",
    "WINDOW",
];

/// So many of those that stalled most are named.
const WORST: usize = 3;

impl Row {
    /// What has happened since `earlier`, and how long ago that was.
    pub(super) fn of_mux(mux: &MuxSnapshot, earlier: Option<(&MuxSnapshot, Duration)>) -> Self {
        let seconds = earlier.map_or(0.0, |(_, span)| span.as_secs_f64());
        // One that is new has done all that it did since then.
        let before = |now: &MuxConnectionSnapshot| {
            earlier.and_then(|(mux, _)| mux.connections.iter().find(|other| other.number == now.number))
        };
        let rates: Vec<_> = mux.connections.iter().map(|now| Rates::new(now, before(now), seconds)).collect();
        let mut round_trips = Histogram::new();
        mux.connections.iter().filter_map(|one| one.round_trip).for_each(|span| round_trips.record(span));
        let channels =
            || mux.connections.iter().flat_map(|one| one.channels.iter().map(move |two| (one, two)));
        let mut worst: Vec<_> = channels().filter(|(_, channel)| channel.stats.stalled_by_peer > 0).collect();
        worst.sort_by_key(|(_, channel)| std::cmp::Reverse(channel.stats.stalled_by_peer));
        let carriers = mux.connections.iter().zip(&rates);
        Self {
            name: printable(&mux.name),
            kind: "mux",
            peers: mux.connections.len(),
            sent: rates.iter().map(|one| one.sent).sum(),
            received: rates.iter().map(|one| one.received).sum(),
            queued: (
                channels().map(|(_, channel)| channel.stats.send_waiting).sum(),
                channels().map(|(_, channel)| channel.stats.recv_waiting).sum(),
            ),
            dropped: 0,
            latency: (!round_trips.is_empty())
                .then(|| ("ping", round_trips.quantile(0.5), round_trips.quantile(0.99))),
            reasons: worst.iter().take(WORST).map(|(one, channel)| stalls(one, channel)).collect(),
            transports: vec![totals(mux)],
            endpoints: Vec::new(),
            present: Vec::new(),
            carriers: carriers.map(|(one, rates)| carrier_cells(&mux.name, one, rates)).collect(),
            channels: channels().map(|(one, channel)| channel_cells(&mux.name, one, channel)).collect(),
        }
    }
}

struct Rates {
    sent: Rate,
    received: Rate,
}

impl Rates {
    fn new(now: &MuxConnectionSnapshot, before: Option<&MuxConnectionSnapshot>, seconds: f64) -> Self {
        let of = |count: fn(&MuxConnectionSnapshot) -> u64| match seconds > 0.0 {
            true => count(now).saturating_sub(before.map_or(0, count)) as f64 / seconds,
            false => 0.0,
        };
        Self {
            sent: Rate { messages: of(|one| one.stats.sent_messages), bytes: of(|one| one.stats.sent_bytes) },
            received: Rate {
                messages: of(|one| one.stats.received_messages),
                bytes: of(|one| one.stats.received_bytes),
            },
        }
    }
}

/// What a pool or server has counted.
fn totals(mux: &MuxSnapshot) -> String {
    let counts = [(mux.failures, "failed"), (mux.refused, "refused"), (mux.evicted, "evicted")];
    let more: String = counts
        .into_iter()
        .chain([(mux.waiting as u64, "wait now")])
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!(", {} {what}", grouped(count)))
        .collect();
    let (now, ever) = (grouped(mux.connections.len() as u64), grouped(mux.attempts));
    format!("{}: connections {now} now, {ever} in all{more}", mux.role.name())
}

/// Who stalls, and what waits for that.
fn stalls(connection: &MuxConnectionSnapshot, channel: &MuxChannelSnapshot) -> String {
    let (number, stats) = (channel.number, &channel.stats);
    let id = if channel.id.is_empty() { String::new() } else { format!(" ({:?})", channel.id) };
    let (count, waits) = (grouped(stats.stalled_by_peer), bytes(stats.send_waiting_bytes as u64));
    let on = connection.number;
    printable(&format!(
        "{count} stalls: the reader of channel {number}{id} of connection {on} is slow, {waits} wait"
    ))
}

fn carrier_cells(mux: &str, one: &MuxConnectionSnapshot, rates: &Rates) -> [String; CARRIER_COLUMNS.len()] {
    let peer = if one.remote.is_empty() { &one.url } else { &one.remote };
    let (per_second, data) =
        (|rate: f64| grouped(rate.round() as u64), |rate: f64| bytes(rate.round() as u64));
    [
        printable(mux),
        printable(peer),
        one.number.to_string(),
        grouped(one.stats.channels as u64),
        per_second(rates.sent.messages),
        per_second(rates.received.messages),
        data(rates.sent.bytes),
        data(rates.received.bytes),
        bytes(one.waiting_bytes as u64),
        bytes(one.stats.shared_used),
        grouped(one.stats.stalls),
        one.round_trip.map_or_else(|| "-".to_owned(), span),
    ]
}

fn channel_cells(
    mux: &str,
    one: &MuxConnectionSnapshot,
    channel: &MuxChannelSnapshot,
) -> [String; CHANNEL_COLUMNS.len()] {
    let stats = &channel.stats;
    // A reader of the plain table counts words.
    let id = if channel.id.is_empty() { "-" } else { &channel.id };
    [
        printable(mux),
        printable(id),
        channel.number.to_string(),
        one.number.to_string(),
        grouped(stats.stalled_by_peer),
        grouped(stats.send_waiting as u64),
        bytes(stats.send_waiting_bytes as u64),
        bytes(stats.send_credit),
        grouped(stats.recv_waiting as u64),
        bytes(stats.recv_waiting_bytes as u64),
        bytes(stats.recv_credit),
        bytes(stats.window),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::figures::{Look, Sort};
    use super::*;
    use spanwire::watch::{MuxRole, Report};

    fn report(seconds: u64, sent: u64) -> Report {
        let mut channel = MuxChannelSnapshot::default();
        (channel.number, channel.id) = (5, "db\x1b[2J".into());
        (channel.stats.stalled_by_peer, channel.stats.send_waiting_bytes) = (2, 2_048);
        (channel.stats.send_waiting, channel.stats.recv_waiting) = (4, 1);
        let mut quick = MuxChannelSnapshot::default();
        quick.number = 7;
        let mut connection = MuxConnectionSnapshot::default();
        (connection.number, connection.remote) = (3, "10.0.0.1:7000".into());
        (connection.stats.sent_messages, connection.stats.sent_bytes) = (sent, sent * 1_024);
        (connection.stats.channels, connection.stats.stalls) = (40, 9);
        connection.round_trip = Some(Duration::from_millis(2));
        connection.channels = vec![channel, quick];
        let mut tunnel = MuxSnapshot::new(MuxRole::Pool);
        (tunnel.name, tunnel.attempts, tunnel.failures) = ("tunnel".into(), 3, 1);
        tunnel.connections = vec![connection];
        let mut report = Report::default();
        (report.process, report.at) = (1, Duration::from_secs(seconds));
        report.muxes = vec![tunnel];
        report
    }

    #[test]
    fn a_pool_is_a_row_with_its_connections_and_channels() {
        let look = Look::new(Some(&report(10, 100)), &report(12, 300), Sort::Name, false);
        assert!(look.title.ends_with("0 sockets, 1 mux"), "{}", look.title);
        let [row] = &look.rows[..] else { panic!("{look:?}") };
        let cells = row.cells();
        assert_eq!(cells[..8].join(" "), "tunnel mux 1 100 0 100 KiB 0 B 4+1");
        assert!(cells[9] == "ping" && cells[10].starts_with("2.0"), "{cells:?}");
        let [carrier] = &row.carriers[..] else { panic!("{row:?}") };
        assert_eq!(carrier.join(" "), "tunnel 10.0.0.1:7000 3 40 100 0 100 KiB 0 B 0 B 0 B 9 2.00 ms");
        let [slow, quick] = &row.channels[..] else { panic!("{row:?}") };
        assert_eq!(slow[..8].join(" "), "tunnel db\u{fffd}[2J 5 3 2 4 2 KiB 0 B");
        assert_eq!(quick[..5].join(" "), "tunnel - 7 3 0");
        assert_eq!(row.transports, ["pool: connections 1 now, 3 in all, 1 failed"]);
        let [stalls] = &row.reasons[..] else { panic!("one stalls: {row:?}") };
        assert!(stalls.starts_with("2 stalls: ") && stalls.ends_with("2 KiB wait"), "{stalls}");
        assert!(!stalls.contains('\x1b'), "{stalls}");
    }

    #[test]
    fn rates_of_connections_begin_with_the_second_look() {
        let first = Look::new(None, &report(12, 300), Sort::Name, false);
        assert_eq!(first.rows[0].cells()[3], "0");
        let mut before = report(10, 0);
        before.muxes[0].connections.clear();
        let second = Look::new(Some(&before), &report(12, 300), Sort::Name, false);
        assert_eq!(second.rows[0].cells()[3], "150", "a connection that is new since then");
    }
}
