//! Many logical connections over one: channels, credit, turns.
//!
//! ```text
//!            send                                          frame (cut by the inbox)
//!  program ────────▶ Sending ─ credit ─▶ Turns ─▶ next_frame ═▶ wire ═▶ ────────┐
//!          ◀──────── Receiving ◀── Window, Shared ◀─────────────────────────────┘ Mux
//!            take                                          deadline, expire
//! ```
//!
//! | file | what it decides |
//! | --- | --- |
//! | [`connection`] | the life of a connection and its channels: what the program does, what each frame means, what is written |
//! | [`stream`] | the two directions of one channel: sending, receiving |
//! | [`credit`] | how much may be on its way, and who gets how much of the memory that all share |
//! | [`turns`] | whose frame is next |
//! | [`pool`] | which connection a channel goes to, and how many there are |
//! | [`frame`] | the bytes |
//! | [`tagged`] | another layout, for peers that speak only that |
//! | [`id`] | what a channel is called, and why one ends |
//! | `lives` | two machines and their programs, for tests and the fuzzer |
//! | `storms` | the same, where channels and connections end before their time |
//! | `hostile` | one machine and a peer that says anything |
//!
//! Every bound and timer is in [`options::mux`](crate::options::mux), on the ground, as dialers and listeners carry them.

pub mod connection;
pub mod credit;
pub mod frame;
#[cfg(test)]
mod frame_tests;
#[cfg(any(test, feature = "script"))]
pub mod hostile;
#[cfg(test)]
mod hostile_tests;
pub mod id;
#[cfg(any(test, feature = "script"))]
pub mod lives;
pub mod pool;
#[cfg(any(test, feature = "script"))]
pub mod storms;
pub mod stream;
pub mod tagged;
pub mod turns;

pub use crate::options::mux::{MuxOptions, SameId};
pub use connection::{Account, ChannelEnd, ChannelStats, End, Mux, MuxStats, Place};
pub use frame::MuxError;
pub use id::{ChannelId, Code, IdTooLong};
