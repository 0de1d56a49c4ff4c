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
//! mux name=tunnel role=pool attempts=1 …
//! mux_connection number=3 url=tcp://127.0.0.1:7000 …
//! mux_channel number=1 id=db stalled_by_peer=2 …
//! end omitted=0
//! ```
//!
//! Lines of words, so that a person can read them, too. What a reader does not know it passes over: new
//! kinds of lines and new words need no new version.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `encode` | a report as bytes |
//! | `decode` | bytes as a report |

mod decode;
mod encode;

pub use decode::decode;
pub use encode::encode;

use crate::event::Ledger;
use crate::mux::snapshot::MuxSnapshot;
use crate::mux::{ChannelStats, MuxStats};
use crate::snapshot::{EndpointStats, PeerStats};
use core::fmt;

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

/// No report is larger. A socket takes about 3 KiB, and 300 bytes for each peer, with answers
/// 800.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// As many sockets, and peers and endpoints of a socket, are listed; and as many connections of a pool or server,
/// and channels of a connection.
const MAX_SOCKETS: usize = 4_096;
/// As many pools and servers of multiplexed connections.
const MAX_MUXES: usize = 4_096;
const MAX_PEERS: usize = 1_000;
/// There are fewer schemes than that.
const MAX_TRANSPORTS: usize = 64;
/// Of a text so many bytes are told.
const MAX_TEXT: usize = 512;
/// The counters of a ledger that have no reason, by name.
fn totals(ledger: &mut Ledger) -> [(&'static str, &mut u64); 9] {
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

/// Those of a pool or server that are counters.
fn mux_totals(mux: &mut MuxSnapshot) -> [(&'static str, &mut u64); 4] {
    [
        ("attempts", &mut mux.attempts),
        ("failures", &mut mux.failures),
        ("refused", &mut mux.refused),
        ("evicted", &mut mux.evicted),
    ]
}

fn carried(stats: &mut MuxStats) -> [(&'static str, &mut u64); 11] {
    [
        ("opened", &mut stats.opened),
        ("incoming", &mut stats.incoming),
        ("refused", &mut stats.refused),
        ("sent_messages", &mut stats.sent_messages),
        ("sent_bytes", &mut stats.sent_bytes),
        ("received_messages", &mut stats.received_messages),
        ("received_bytes", &mut stats.received_bytes),
        ("discarded_bytes", &mut stats.discarded_bytes),
        ("shared_used", &mut stats.shared_used),
        ("pings", &mut stats.pings),
        ("stalls", &mut stats.stalls),
    ]
}

fn on_channel(stats: &mut ChannelStats) -> [(&'static str, &mut u64); 9] {
    [
        ("accepted", &mut stats.account.accepted),
        ("delivered", &mut stats.account.delivered),
        ("abandoned", &mut stats.account.abandoned),
        ("unknown", &mut stats.account.unknown),
        ("received", &mut stats.received),
        ("send_credit", &mut stats.send_credit),
        ("recv_credit", &mut stats.recv_credit),
        ("window", &mut stats.window),
        ("stalled_by_peer", &mut stats.stalled_by_peer),
    ]
}

#[cfg(test)]
mod tests;
