//! Sockets and multiplexed connections seen from outside: what a program shows of them, and how others look at it.
//!
//! ```text
//!  expose("jobs", &socket) ─▶ registry ─ report() ─┬─ serve(url) ◀──── Viewer, spanwire top, spanwire metrics
//!                              weak handles        ├─ prometheus(&report, …)
//!                                                  └─ Bridge::publish ─▶ the facade `metrics`
//! ```
//!
//! Nothing is exposed that was not named, and nothing of this is on the way of a message: sockets count in
//! any case, and whoever looks takes a [`Snapshot`]. A socket that is closed or dropped is exposed no more.
//! A [pool](crate::mux::Pool) or [server](crate::mux::Server) shows each of its connections, and of their
//! channels those that stalled most, then those on which most waits or moves: 32 a connection, and about 1,024 in all.
//!
//! ```
//! use spanwire::{PushSocket, watch};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let jobs = PushSocket::new();
//! watch::expose("jobs", &jobs)?;
//! let service = watch::serve("tcp://127.0.0.1:0").await?; // or ipc:///run/worker.stats
//!
//! // Elsewhere: `spanwire top URL`, or by a program.
//! let viewer = watch::Viewer::connect(service.url()).await?;
//! let report = viewer.report(Duration::from_secs(5)).await?;
//! assert_eq!(report.sockets[0].name, "jobs");
//! assert_eq!(report.sockets[0].queues.peers, 0);
//! # Ok(()) }
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | `registry` | what is exposed, and under which names |
//! | `service` | answers those who look |
//! | `viewer` | looks at another program |
//! | `bridge` | to the facade `metrics` (feature `metrics`) |
//!
//! The bytes between service and viewer are told in `docs/watch-wire.md`.

#[cfg(feature = "metrics")]
mod bridge;
mod registry;
mod service;
mod viewer;

#[cfg(feature = "metrics")]
pub use bridge::Bridge;
pub use registry::{NameTaken, expose, hide, report};
pub use service::{Service, serve, serve_blocking, serve_with};
pub use viewer::{ViewError, Viewer};

pub use crate::socket::Watchable;
pub use spanwire_core::mux::snapshot::{
    MuxChannelSnapshot, MuxConnectionSnapshot, MuxRole, MuxSnapshot, TOLD_CHANNELS,
};
pub use spanwire_core::pattern::Held;
pub use spanwire_core::snapshot::{EndpointSnapshot, PeerSnapshot, Queues, Snapshot, TransportSnapshot};
pub use spanwire_core::watch::{
    CONTENT_TYPE, Detail, Kind, Labels, Report, ReportError, SERIES, Series, Unit, Value, decode, encode,
    prometheus,
};
