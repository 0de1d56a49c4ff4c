//! A [`Report`] as bytes: `docs/watch-wire.md`.
//!
//! ```text
//! spanwire-report 1
//! program name=worker process=4711 version=0.1.0 at=60000000000
//! socket name=jobs protocol=80 age=59000000000
//! totals sent_messages=7 sent_bytes=448 …
//! dropped PipeLost=2
//! latency what=Connect sum=81000 min=81000 max=81000 113=1
//! peer pipe=17 remote=127.0.0.1:40112 …
//! end omitted=0
//! ```
//!
//! Lines of words, so that a person can read them, too. What a reader does not know it passes over: new
//! kinds of lines and new words need no new version.

use super::Report;
use crate::event::{DetachReason, Dropped, Latency, Ledger};
use crate::framing::sp::Protocol;
use crate::histogram::Histogram;
use crate::pattern::Held;
use crate::snapshot::{
    EndpointSnapshot, EndpointState, EndpointStats, PeerSnapshot, PeerStats, Queues, Snapshot,
    TransportSnapshot,
};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::time::Duration;

/// What a program that exposes its sockets can be asked, as the body of a request.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A report: what [`encode`] makes.
    Report,
    /// The same as Prometheus text, without peers or with a series for each of them.
    Prometheus(super::Detail),
}

impl Question {
    const ALL: [Self; 3] =
        [Self::Report, Self::Prometheus(super::Detail::Sockets), Self::Prometheus(super::Detail::Peers)];

    /// The body of the request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report 1",
            Self::Prometheus(super::Detail::Sockets) => "prometheus",
            Self::Prometheus(super::Detail::Peers) => "prometheus peers",
        }
    }

    /// The question that a request asks. A line end behind it is allowed, as shells add one.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body = body.strip_suffix(b"\n").unwrap_or(body);
        Self::ALL.into_iter().find(|question| question.as_str().as_bytes() == body)
    }
}

/// Why bytes are no report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReportError {
    /// They do not begin like one.
    NotAReport,
    /// It is one of a version that this reader does not know.
    Version,
    /// It is larger than a report may be, or lists more than it may.
    TooLarge,
    /// It has no last line.
    CutShort,
    /// A line makes no sense.
    Line {
        /// Its number, from 1.
        number: usize,
    },
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAReport => f.write_str("not a report of sockets"),
            Self::Version => f.write_str("a report of a version that is not known here"),
            Self::TooLarge => f.write_str("a report that is too large"),
            Self::CutShort => f.write_str("a report without its end"),
            Self::Line { number } => write!(f, "line {number} of the report makes no sense"),
        }
    }
}

impl core::error::Error for ReportError {}

const HEAD: &str = "spanwire-report ";
const VERSION: &str = "1";

/// No report is larger. A socket takes about 2 KiB, and 300 bytes for each peer.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// As many sockets, and peers and endpoints of a socket, are listed.
const MAX_SOCKETS: usize = 4_096;
const MAX_PEERS: usize = 1_000;
/// There are fewer schemes than that.
const MAX_TRANSPORTS: usize = 64;
/// Of a text so many bytes are told.
const MAX_TEXT: usize = 512;

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
    for (place, socket) in report.sockets.iter().enumerate() {
        let before = out.len();
        let left_out = if place < MAX_SOCKETS { encode_socket(&mut out, socket) } else { 1 };
        // The last line has to fit, too.
        if place >= MAX_SOCKETS || out.len() > MAX_BYTES - 64 {
            out.truncate(before);
            omitted += 1;
        } else {
            omitted += left_out;
        }
    }
    Line::begin(&mut out, "end").number("omitted", omitted).end();
    out
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
    for (what, spans) in socket.latencies.measured() {
        let line = Line::begin(out, "latency")
            .text("what", what.name())
            .span("sum", spans.sum())
            .span("min", spans.min())
            .span("max", spans.max());
        for (bucket, count) in spans.filled() {
            let _ = write!(line.0, " {bucket}={count}");
        }
        line.end();
    }
    for transport in socket.transports.iter().take(MAX_TRANSPORTS) {
        let TransportSnapshot { scheme, peers, attached, stats } = transport;
        Line::begin(out, "transport")
            .text("scheme", scheme)
            .size("peers", *peers)
            .number("attached", *attached)
            .exchanged(stats)
            .end();
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
    }
    let left_out = |count: usize| count.saturating_sub(MAX_PEERS) as u64;
    left_out(socket.peers.len()) + left_out(socket.endpoints.len())
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

/// The counters of a ledger that have no reason, by name.
pub(super) fn totals(ledger: &mut Ledger) -> [(&'static str, &mut u64); 9] {
    [
        ("sent_messages", &mut ledger.sent_messages),
        ("sent_bytes", &mut ledger.sent_bytes),
        ("received_messages", &mut ledger.received_messages),
        ("received_bytes", &mut ledger.received_bytes),
        ("delivered_messages", &mut ledger.delivered_messages),
        ("resent_messages", &mut ledger.resent_messages),
        ("unknown_messages", &mut ledger.unknown_messages),
        ("attached_pipes", &mut ledger.attached_pipes),
        ("refused_pipes", &mut ledger.refused_pipes),
    ]
}

fn exchanged(stats: &mut PeerStats) -> [(&'static str, &mut u64); 6] {
    [
        ("sent_messages", &mut stats.sent_messages),
        ("sent_bytes", &mut stats.sent_bytes),
        ("received_messages", &mut stats.received_messages),
        ("received_bytes", &mut stats.received_bytes),
        ("dropped_messages", &mut stats.dropped_messages),
        ("answers", &mut stats.answers),
    ]
}

fn connections(stats: &mut EndpointStats) -> [(&'static str, &mut u64); 5] {
    [
        ("connections", &mut stats.connections),
        ("attached", &mut stats.attached),
        ("refused", &mut stats.refused),
        ("evicted", &mut stats.evicted),
        ("failures", &mut stats.failures),
    ]
}

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
        // What belongs to a socket stands behind it.
        _ => match report.sockets.last_mut() {
            Some(socket) => decode_of_socket(socket, kind, words)?,
            None if OF_SOCKETS.contains(&kind) => return Err(Wrong::Line),
            None => {}
        },
    }
    Ok(Told::Something)
}

const OF_SOCKETS: [&str; 9] =
    ["totals", "dropped", "detached", "refused", "queues", "latency", "transport", "endpoint", "peer"];

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
        "latency" => {
            if let Some(what) = Latency::from_name(&words.text("what")?) {
                *socket.latencies.of_mut(what) = words.histogram()?;
            }
        }
        "transport" => {
            let transport = TransportSnapshot {
                scheme: words.text("scheme")?,
                peers: words.size("peers")?,
                attached: words.number("attached")?,
                stats: words.exchanged()?,
            };
            push(&mut socket.transports, transport, MAX_TRANSPORTS)?;
        }
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
            };
            push(&mut socket.peers, peer, MAX_PEERS)?;
        }
        // From a later writer.
        _ => {}
    }
    Ok(())
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

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
