//! Plain connections: messages between two hosts, and no pattern.
//!
//! ```text
//!            send, call, stream                            frame (cut by the inbox)
//!  program ──────────────────▶ Lanes ─ credit ─▶ next_frame ═▶ wire ═▶ ─────────┐
//!          ◀────────────────── queues ◀─ Gather, Room ◀─────────────────────────┘ Link
//!            recv, answers, events                          deadline, expire
//! ```
//!
//! | file | what it decides |
//! | --- | --- |
//! | [`machine`] | the life of one connection, and what each frame means: a folder |
//! | [`lanes`] | four priorities: what is sent next |
//! | [`credit`] | how much may be on its way |
//! | [`gather`] | messages that come in pieces, whole or as streams |
//! | [`calls`] | requests and their answers, both ways |
//! | [`pulse`](crate::session::pulse) | whether the peer is still there |
//! | [`rates`] | how much each peer may send, over all of its connections |
//! | [`bucket`] | one rate that may not be exceeded |
//! | [`hosts`] | which transport host is which logical host, and which of two connections stays |
//! | [`parcel`] | a message of the application |
//! | [`options`] | every bound and timer |
//! | `script` | for tests and fuzzers: one end of a connection, that reads and writes as a driver does |
//!
//! The bytes are [`framing::link`](crate::framing::link)'s. Which is the *logical* host of a peer is first
//! known when the handshake is done ([`machine::State::Open`]); until then, and in the layers below, there
//! is only its *transport* host: the address at the other end of the connection.

pub mod bucket;
pub mod calls;
pub mod credit;
pub mod gather;
pub mod hosts;
pub mod lanes;
pub mod machine;
pub mod options;
pub mod parcel;
pub mod rates;
#[cfg(any(test, feature = "script"))]
pub mod script;

pub use machine::{End, Link, Role};
pub use options::{LinkOptions, TooFast};
pub use parcel::{Parcel, Priority};
