//! WebSocket as peers on the wire see it: exact bytes, and everything that a peer can do wrong.
//!
//! | file | what it checks |
//! | --- | --- |
//! | `bytes` | what we send, byte by byte, beside captured bytes of the SP family |
//! | `frames` | good and bad frames, in any pieces |
//! | `upgrade` | good and bad opening handshakes, on both sides |
//! | `ports` | several listeners at one port |
//!
//! That messages travel as on all transports, `tests/conformance` checks; that others understand them,
//! `tests/interop`.

#![cfg(feature = "ws")]

mod bytes;
mod frames;
mod peer;
mod ports;
#[path = "../support/mod.rs"]
mod support;
mod upgrade;
