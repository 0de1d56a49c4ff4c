//! What a program shows of its sockets and multiplexed connections, for people and machines that look at it
//! from outside.
//!
//! ```text
//!                              ┌─ wire ───────▶ text for `spanwire top`, and back
//!  sockets, ─ snapshots ▶ Report ─ series ─┬──▶ Prometheus text
//!  muxes                                   └──▶ the facade `metrics` (in the hands)
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | `wire` | a report as bytes, and bytes as a report: `docs/watch-wire.md` |
//! | `series` | which series there are: names, help, units, labels, and where their values are |
//! | `prometheus` | the text that Prometheus reads |

mod prometheus;
mod series;
mod wire;

pub use prometheus::{CONTENT_TYPE, prometheus};
pub use series::{Detail, Kind, Labels, SERIES, Series, Unit, Value};
pub use wire::{Question, ReportError, decode, encode};

use crate::mux::snapshot::MuxSnapshot;
use crate::snapshot::Snapshot;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// The sockets and multiplexed connections that a program exposes, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// What the program is called.
    pub program: String,
    /// The number of its process.
    pub process: u32,
    /// The version of Spanwire that it runs.
    pub version: String,
    /// When this was, on a clock of the program that never goes back: two reports of one process tell how
    /// much time has passed between them.
    pub at: Duration,
    /// Its sockets, by name.
    pub sockets: Vec<Snapshot>,
    /// Its pools and servers of multiplexed connections, and single ones, by name.
    pub muxes: Vec<MuxSnapshot>,
    /// Sockets, peers and connections that are missing here, since there are too many to list.
    pub omitted: u64,
}
