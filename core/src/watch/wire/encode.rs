//! A report as bytes.

use super::{HEAD, MAX_BYTES, MAX_MUXES, MAX_PEERS, MAX_SOCKETS, MAX_TEXT, MAX_TRANSPORTS, VERSION};
use super::{carried, connections, exchanged, mux_totals, on_channel, totals};
use crate::event::{DetachReason, Latencies};
use crate::histogram::Histogram;
use crate::mux::snapshot::MuxSnapshot;
use crate::pattern::Held;
use crate::snapshot::{PeerStats, Queues, Snapshot, TransportSnapshot};
use crate::watch::Report;
use alloc::string::String;
use core::fmt::Write;
use core::time::Duration;

/// A report as bytes, of at most 16 MiB: what does not fit is left out, and counted in `omitted`.
pub fn encode(report: &Report) -> String {
    let mut out = String::with_capacity(256 + 2_048 * report.sockets.len().min(MAX_SOCKETS));
    let _ = writeln!(out, "{HEAD}{VERSION}");
    Line::begin(&mut out, "program")
        .text("name", &report.program)
        .number("process", report.process.into())
        .text("version", &report.version)
        .span("at", report.at)
        .end();
    let mut omitted = report.omitted;
    omitted += list(&mut out, &report.sockets, MAX_SOCKETS, encode_socket);
    omitted += list(&mut out, &report.muxes, MAX_MUXES, encode_mux);
    Line::begin(&mut out, "end").number("omitted", omitted).end();
    out
}

/// Those that have room, and no more than that. Returns how much was left out.
fn list<T>(out: &mut String, all: &[T], most: usize, encode: impl Fn(&mut String, &T) -> u64) -> u64 {
    let mut omitted = all.len().saturating_sub(most) as u64;
    for one in all.iter().take(most) {
        let before = out.len();
        let left_out = encode(out, one);
        // The last line has to fit, too.
        if out.len() > MAX_BYTES - 64 {
            out.truncate(before);
            omitted += 1;
        } else {
            omitted += left_out;
        }
    }
    omitted
}

/// Returns how much was left out.
fn encode_socket(out: &mut String, socket: &Snapshot) -> u64 {
    Line::begin(out, "socket")
        .text("name", &socket.name)
        .number("protocol", socket.protocol.id().into())
        .span("age", socket.age)
        .end();
    let mut ledger = socket.ledger.clone();
    Line::begin(out, "totals").numbers(&totals(&mut ledger).map(|(name, value)| (name, *value))).end();
    reasons(out, "dropped", ledger.drops().map(|(why, count)| (why.name(), count)));
    reasons(out, "detached", ledger.detaches().map(|(why, count)| (why.name(), count)));
    reasons(out, "refused", ledger.refusals().map(|(why, count)| (why.name(), count)));
    let Queues { peers, outgoing, incoming, waiting_senders, waiting_receivers, half_open } = socket.queues;
    Line::begin(out, "queues")
        .size("peers", peers)
        .held("outgoing", outgoing)
        .held("incoming", incoming)
        .size("waiting_senders", waiting_senders)
        .size("waiting_receivers", waiting_receivers)
        .size("half_open", half_open)
        .end();
    latencies(out, "latency", &socket.latencies);
    let name = |(why, spans): (DetachReason, _)| (why.name(), spans);
    took(out, "detached_after", "reason", socket.lives.measured().map(name));
    took(out, "refused_after", "reason", socket.refusals.measured().map(name));
    took(out, "room_wait", "reason", socket.waits.measured().map(|(lack, spans)| (lack.name(), spans)));
    for transport in socket.transports.iter().take(MAX_TRANSPORTS) {
        let TransportSnapshot { scheme, peers, attached, stats, latencies: spans } = transport;
        Line::begin(out, "transport")
            .text("scheme", scheme)
            .size("peers", *peers)
            .number("attached", *attached)
            .exchanged(stats)
            .end();
        latencies(out, "transport_latency", spans);
    }
    for endpoint in socket.endpoints.iter().take(MAX_PEERS) {
        let mut stats = endpoint.stats;
        let mut line = Line::begin(out, "endpoint")
            .text("url", &endpoint.url)
            .number("dials", endpoint.dials.into())
            .text("state", endpoint.state.name())
            .size("half_open", endpoint.half_open)
            .numbers(&connections(&mut stats).map(|(name, value)| (name, *value)));
        if let Some(error) = &endpoint.last_error {
            line = line.text("last_error", error);
        }
        line.end();
    }
    for peer in socket.peers.iter().take(MAX_PEERS) {
        Line::begin(out, "peer")
            .number("pipe", peer.pipe.into())
            .text("remote", &peer.remote)
            .text("url", &peer.url)
            .number("dialed", peer.dialed.into())
            .span("age", peer.age)
            .held("outgoing", peer.outgoing)
            .exchanged(&peer.stats)
            .end();
        latencies(out, "peer_latency", &peer.latencies);
    }
    let left_out = |count: usize| count.saturating_sub(MAX_PEERS) as u64;
    left_out(socket.peers.len()) + left_out(socket.endpoints.len())
}

/// Returns how much was left out, channels not counted: a connection says how many it has.
fn encode_mux(out: &mut String, mux: &MuxSnapshot) -> u64 {
    let mut counted = MuxSnapshot::new(mux.role);
    (counted.attempts, counted.failures) = (mux.attempts, mux.failures);
    (counted.refused, counted.evicted) = (mux.refused, mux.evicted);
    Line::begin(out, "mux")
        .text("name", &mux.name)
        .text("role", mux.role.name())
        .numbers(&mux_totals(&mut counted).map(|(name, value)| (name, *value)))
        .size("waiting", mux.waiting)
        .end();
    for connection in mux.connections.iter().take(MAX_PEERS) {
        let mut stats = connection.stats;
        let mut line = Line::begin(out, "mux_connection")
            .number("number", connection.number)
            .text("url", &connection.url)
            .text("remote", &connection.remote)
            .number("dialed", connection.dialed.into())
            .size("channels", stats.channels)
            .numbers(&carried(&mut stats).map(|(name, value)| (name, *value)))
            .size("waiting_bytes", connection.waiting_bytes);
        if let Some(round_trip) = connection.round_trip {
            line = line.span("round_trip", round_trip);
        }
        line.end();
        for channel in connection.channels.iter().take(MAX_PEERS) {
            let mut stats = channel.stats;
            Line::begin(out, "mux_channel")
                .number("number", channel.number.into())
                .text("id", &channel.id)
                .held("send_waiting", Held { messages: stats.send_waiting, bytes: stats.send_waiting_bytes })
                .held("recv_waiting", Held { messages: stats.recv_waiting, bytes: stats.recv_waiting_bytes })
                .numbers(&on_channel(&mut stats).map(|(name, value)| (name, *value)))
                .end();
        }
    }
    mux.connections.len().saturating_sub(MAX_PEERS) as u64
}

fn latencies(out: &mut String, kind: &str, all: &Latencies) {
    took(out, kind, "what", all.measured().map(|(what, spans)| (what.name(), spans)));
}

/// A line for each histogram, which `key` tells apart.
fn took<'a>(
    out: &mut String,
    kind: &str,
    key: &str,
    all: impl Iterator<Item = (&'static str, &'a Histogram)>,
) {
    for (name, spans) in all {
        let line = Line::begin(out, kind)
            .text(key, name)
            .span("sum", spans.sum())
            .span("min", spans.min())
            .span("max", spans.max());
        for (bucket, count) in spans.filled() {
            let _ = write!(line.0, " {bucket}={count}");
        }
        line.end();
    }
}

fn reasons<'a>(out: &mut String, kind: &str, counts: impl Iterator<Item = (&'a str, u64)>) {
    let mut counts = counts.peekable();
    if counts.peek().is_some() {
        let mut line = Line::begin(out, kind);
        for (why, count) in counts {
            line = line.number(why, count);
        }
        line.end();
    }
}

/// A line that is being written.
struct Line<'a>(&'a mut String);

impl<'a> Line<'a> {
    fn begin(out: &'a mut String, kind: &str) -> Self {
        out.push_str(kind);
        Self(out)
    }

    fn number(self, key: &str, value: u64) -> Self {
        let _ = write!(self.0, " {key}={value}");
        self
    }

    fn numbers(mut self, all: &[(&str, u64)]) -> Self {
        for (key, value) in all {
            self = self.number(key, *value);
        }
        self
    }

    fn size(self, key: &str, value: usize) -> Self {
        self.number(key, value as u64)
    }

    fn span(self, key: &str, value: Duration) -> Self {
        self.number(key, u64::try_from(value.as_nanos()).unwrap_or(u64::MAX))
    }

    fn held(self, key: &str, held: Held) -> Self {
        let _ = write!(self.0, " {key}_messages={} {key}_bytes={}", held.messages, held.bytes);
        self
    }

    fn exchanged(self, stats: &PeerStats) -> Self {
        let mut stats = *stats;
        self.numbers(&exchanged(&mut stats).map(|(name, value)| (name, *value)))
            .span("answer_time", stats.answer_time)
            .span("slowest_answer", stats.slowest_answer)
    }

    /// Blanks, controls and `%` are written as `%` with two digits; the rest as it is.
    fn text(self, key: &str, value: &str) -> Self {
        let _ = write!(self.0, " {key}=");
        let mut end = value.len().min(MAX_TEXT);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        for char in value[..end].chars() {
            let mut bytes = [0; 4];
            match char {
                '%' | ' ' => drop(write!(self.0, "%{:02x}", char as u32)),
                _ if char.is_control() || char.is_whitespace() => {
                    for byte in char.encode_utf8(&mut bytes).bytes() {
                        let _ = write!(self.0, "%{byte:02x}");
                    }
                }
                _ => self.0.push(char),
            }
        }
        self
    }

    fn end(self) {
        self.0.push('\n');
    }
}
