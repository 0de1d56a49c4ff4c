//! Bytes as a report.

use super::{HEAD, MAX_BYTES, MAX_MUXES, MAX_PEERS, MAX_SOCKETS, MAX_TRANSPORTS, ReportError, VERSION};
use super::{carried, connections, exchanged, mux_totals, on_channel, totals};
use crate::event::{ByReason, DetachReason, Dropped, Lack, Latencies, Latency};
use crate::framing::sp::Protocol;
use crate::histogram::Histogram;
use crate::mux::snapshot::{MuxChannelSnapshot, MuxConnectionSnapshot, MuxRole, MuxSnapshot};
use crate::mux::{ChannelStats, MuxStats};
use crate::pattern::Held;
use crate::snapshot::{
    EndpointSnapshot, EndpointState, PeerSnapshot, PeerStats, Snapshot, TransportSnapshot,
};
use crate::watch::Report;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// The report that `bytes` are.
///
/// Takes memory in proportion to what it is given, and no more than its bounds allow.
///
/// # Errors
/// It is none, or none that this reader knows.
pub fn decode(bytes: &[u8]) -> Result<Report, ReportError> {
    if bytes.len() > MAX_BYTES {
        return Err(ReportError::TooLarge);
    }
    let text = core::str::from_utf8(bytes).map_err(|_| ReportError::NotAReport)?;
    let mut lines = text.lines().zip(1..);
    let (head, _) = lines.next().ok_or(ReportError::NotAReport)?;
    match head.strip_prefix(HEAD) {
        Some(VERSION) => {}
        Some(_) => return Err(ReportError::Version),
        None => return Err(ReportError::NotAReport),
    }
    let mut report = Report::default();
    for (line, number) in lines {
        match decode_line(&mut report, line) {
            Ok(Told::Something) => {}
            Ok(Told::All) => return Ok(report),
            Err(Wrong::Line) => return Err(ReportError::Line { number }),
            Err(Wrong::TooMany) => return Err(ReportError::TooLarge),
        }
    }
    Err(ReportError::CutShort)
}

/// Whether there is more to come.
enum Told {
    Something,
    All,
}

enum Wrong {
    Line,
    TooMany,
}

fn decode_line(report: &mut Report, line: &str) -> Result<Told, Wrong> {
    let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
    let words = Words(rest);
    match kind {
        "program" => {
            report.program = words.text("name")?;
            report.process = u32::try_from(words.number("process")?).map_err(|_| Wrong::Line)?;
            report.version = words.text("version")?;
            report.at = words.span("at")?;
        }
        "socket" => {
            let protocol = u16::try_from(words.number("protocol")?).ok().and_then(Protocol::from_id);
            let mut socket = Snapshot::new(protocol.ok_or(Wrong::Line)?);
            socket.name = words.text("name")?;
            socket.age = words.span("age")?;
            push(&mut report.sockets, socket, MAX_SOCKETS)?;
        }
        "end" => {
            report.omitted = words.number("omitted")?;
            return Ok(Told::All);
        }
        "mux" => {
            let role = MuxRole::from_name(&words.text("role")?).ok_or(Wrong::Line)?;
            let mut mux = MuxSnapshot::new(role);
            mux.name = words.text("name")?;
            words.read(&mut mux_totals(&mut mux))?;
            mux.waiting = words.size("waiting")?;
            push(&mut report.muxes, mux, MAX_MUXES)?;
        }
        "mux_connection" => {
            let mux = report.muxes.last_mut().ok_or(Wrong::Line)?;
            push(&mut mux.connections, decode_connection(words)?, MAX_PEERS)?;
        }
        "mux_channel" => {
            let connection = report.muxes.last_mut().and_then(|mux| mux.connections.last_mut());
            push(&mut connection.ok_or(Wrong::Line)?.channels, decode_channel(words)?, MAX_PEERS)?;
        }
        // What belongs to a socket stands behind it.
        _ => match report.sockets.last_mut() {
            Some(socket) => decode_of_socket(socket, kind, words)?,
            None if OF_SOCKETS.contains(&kind) => return Err(Wrong::Line),
            None => {}
        },
    }
    Ok(Told::Something)
}

const OF_SOCKETS: [&str; 14] = [
    "totals",
    "dropped",
    "detached",
    "refused",
    "queues",
    "latency",
    "detached_after",
    "refused_after",
    "room_wait",
    "transport",
    "transport_latency",
    "endpoint",
    "peer",
    "peer_latency",
];

fn decode_of_socket(socket: &mut Snapshot, kind: &str, words: Words<'_>) -> Result<(), Wrong> {
    match kind {
        "totals" => words.read(&mut totals(&mut socket.ledger))?,
        "dropped" => words.reasons(Dropped::from_name, |why, n| socket.ledger.set_dropped(why, n))?,
        "detached" => words.reasons(DetachReason::from_name, |why, n| socket.ledger.set_detached(why, n))?,
        "refused" => words.reasons(DetachReason::from_name, |why, n| socket.ledger.set_refused(why, n))?,
        "queues" => {
            let queues = &mut socket.queues;
            queues.peers = words.size("peers")?;
            queues.outgoing = words.held("outgoing_messages", "outgoing_bytes")?;
            queues.incoming = words.held("incoming_messages", "incoming_bytes")?;
            queues.waiting_senders = words.size("waiting_senders")?;
            queues.waiting_receivers = words.size("waiting_receivers")?;
            queues.half_open = words.size("half_open")?;
        }
        "latency" => words.latency(&mut socket.latencies)?,
        "detached_after" => words.by_reason(DetachReason::from_name, &mut socket.lives)?,
        "refused_after" => words.by_reason(DetachReason::from_name, &mut socket.refusals)?,
        "room_wait" => words.by_reason(Lack::from_name, &mut socket.waits)?,
        "transport" => {
            let transport = TransportSnapshot {
                scheme: words.text("scheme")?,
                peers: words.size("peers")?,
                attached: words.number("attached")?,
                stats: words.exchanged()?,
                latencies: Latencies::default(),
            };
            push(&mut socket.transports, transport, MAX_TRANSPORTS)?;
        }
        // What belongs to a transport or a peer stands behind it.
        "transport_latency" => {
            words.latency(&mut socket.transports.last_mut().ok_or(Wrong::Line)?.latencies)?;
        }
        "peer_latency" => words.latency(&mut socket.peers.last_mut().ok_or(Wrong::Line)?.latencies)?,
        "endpoint" => {
            let state = EndpointState::from_name(&words.text("state")?).ok_or(Wrong::Line)?;
            let mut endpoint = EndpointSnapshot::new(words.text("url")?, state);
            endpoint.dials = words.number("dials")? != 0;
            endpoint.half_open = words.size("half_open")?;
            words.read(&mut connections(&mut endpoint.stats))?;
            endpoint.last_error = words.find("last_error").map(unescape).transpose()?;
            push(&mut socket.endpoints, endpoint, MAX_PEERS)?;
        }
        "peer" => {
            let peer = PeerSnapshot {
                pipe: u32::try_from(words.number("pipe")?).map_err(|_| Wrong::Line)?,
                remote: words.text("remote")?,
                url: words.text("url")?,
                dialed: words.number("dialed")? != 0,
                age: words.span("age")?,
                outgoing: words.held("outgoing_messages", "outgoing_bytes")?,
                stats: words.exchanged()?,
                latencies: Latencies::default(),
            };
            push(&mut socket.peers, peer, MAX_PEERS)?;
        }
        // From a later writer.
        _ => {}
    }
    Ok(())
}

fn decode_connection(words: Words<'_>) -> Result<MuxConnectionSnapshot, Wrong> {
    let mut stats = MuxStats { channels: words.size("channels")?, ..MuxStats::default() };
    words.read(&mut carried(&mut stats))?;
    Ok(MuxConnectionSnapshot {
        number: words.number("number")?,
        url: words.text("url")?,
        remote: words.text("remote")?,
        dialed: words.number("dialed")? != 0,
        round_trip: words.find("round_trip").map(|_| words.span("round_trip")).transpose()?,
        stats,
        waiting_bytes: words.size("waiting_bytes")?,
        channels: Vec::new(),
    })
}

fn decode_channel(words: Words<'_>) -> Result<MuxChannelSnapshot, Wrong> {
    let sends = words.held("send_waiting_messages", "send_waiting_bytes")?;
    let receives = words.held("recv_waiting_messages", "recv_waiting_bytes")?;
    let mut stats = ChannelStats {
        send_waiting: sends.messages,
        send_waiting_bytes: sends.bytes,
        recv_waiting: receives.messages,
        recv_waiting_bytes: receives.bytes,
        ..ChannelStats::default()
    };
    words.read(&mut on_channel(&mut stats))?;
    let number = u32::try_from(words.number("number")?).map_err(|_| Wrong::Line)?;
    Ok(MuxChannelSnapshot { number, id: words.text("id")?, stats })
}

fn push<T>(all: &mut Vec<T>, one: T, most: usize) -> Result<(), Wrong> {
    if all.len() == most {
        return Err(Wrong::TooMany);
    }
    all.push(one);
    Ok(())
}

/// The words of a line, each `key=value`.
#[derive(Copy, Clone)]
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn pairs(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.split(' ').filter_map(|word| word.split_once('='))
    }

    fn find(self, key: &str) -> Option<&'a str> {
        self.pairs().find(|(other, _)| *other == key).map(|(_, value)| value)
    }

    fn number(self, key: &str) -> Result<u64, Wrong> {
        self.find(key).and_then(|value| value.parse().ok()).ok_or(Wrong::Line)
    }

    fn size(self, key: &str) -> Result<usize, Wrong> {
        usize::try_from(self.number(key)?).map_err(|_| Wrong::Line)
    }

    fn span(self, key: &str) -> Result<Duration, Wrong> {
        self.number(key).map(Duration::from_nanos)
    }

    fn held(self, messages: &str, bytes: &str) -> Result<Held, Wrong> {
        Ok(Held { messages: self.size(messages)?, bytes: self.size(bytes)? })
    }

    fn text(self, key: &str) -> Result<String, Wrong> {
        unescape(self.find(key).ok_or(Wrong::Line)?)
    }

    /// Those of `into` that are there. What an older writer did not have stays as it is.
    fn read(self, into: &mut [(&'static str, &mut u64)]) -> Result<(), Wrong> {
        for (key, value) in self.pairs() {
            if let Some((_, place)) = into.iter_mut().find(|(name, _)| *name == key) {
                **place = value.parse().map_err(|_| Wrong::Line)?;
            }
        }
        Ok(())
    }

    fn reasons<R>(self, find: impl Fn(&str) -> Option<R>, mut set: impl FnMut(R, u64)) -> Result<(), Wrong> {
        for (key, value) in self.pairs() {
            if let Some(why) = find(key) {
                set(why, value.parse().map_err(|_| Wrong::Line)?);
            }
        }
        Ok(())
    }

    fn exchanged(self) -> Result<PeerStats, Wrong> {
        let mut stats = PeerStats::default();
        self.read(&mut exchanged(&mut stats))?;
        stats.answer_time = self.span("answer_time")?;
        stats.slowest_answer = self.span("slowest_answer")?;
        Ok(stats)
    }

    /// One kind of span into its place. One that is not known is passed over.
    fn latency(self, into: &mut Latencies) -> Result<(), Wrong> {
        if let Some(what) = Latency::from_name(&self.text("what")?) {
            *into.of_mut(what) = self.histogram()?;
        }
        Ok(())
    }

    /// The same by reason.
    fn by_reason<R: Copy + Ord>(
        self,
        find: impl Fn(&str) -> Option<R>,
        into: &mut ByReason<R>,
    ) -> Result<(), Wrong> {
        if let Some(why) = find(&self.text("reason")?) {
            *into.of_mut(why) = self.histogram()?;
        }
        Ok(())
    }

    fn histogram(self) -> Result<Histogram, Wrong> {
        let mut filled = Vec::new();
        for (key, value) in self.pairs() {
            if let Ok(bucket) = key.parse::<usize>() {
                filled.push((bucket, value.parse().map_err(|_| Wrong::Line)?));
            }
        }
        Histogram::of_parts(filled, self.span("sum")?, self.span("min")?, self.span("max")?)
            .ok_or(Wrong::Line)
    }
}

fn unescape(word: &str) -> Result<String, Wrong> {
    if !word.contains('%') {
        return Ok(word.to_owned());
    }
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) =
                    (digit(rest.next()).ok_or(Wrong::Line)?, digit(rest.next()).ok_or(Wrong::Line)?);
                (high * 16 + low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| Wrong::Line)
}
