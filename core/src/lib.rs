//! The rules of Spanwire: everything that decides, nothing that touches the world.
//!
//! This crate knows no socket, task, thread, lock, clock or randomness. Bytes, the time and seeds
//! come in; effects go out. The same rules run over sockets, in a simulator and on a
//! microcontroller. Programs use the `spanwire` crate, which adds the hands.
//!
//! | module | what it decides |
//! | --- | --- |
//! | [`pattern`] | who gets a message, who waits, what is dropped: one side of one protocol a file |
//! | [`session`] | one connection: handshake, state, backoff, what waits to be written and read |
//! | [`framing`] | what the bytes on a wire mean: one format a file |
//! | [`addr`] | what an address says |
//! | [`message`] [`time`] [`error`] [`options`] [`event`] | the ground they stand on |
//!
//! Each may use those below it in this table, and none above.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
#[macro_use]
extern crate std;

pub mod addr;
pub mod error;
pub mod event;
pub mod framing;
pub mod message;
pub mod options;
pub mod pattern;
pub mod session;
pub mod time;

pub use addr::{Addr, AddrError};
pub use error::{NotSubscribed, RecvError, RequestError, SendError};
pub use event::{DetachReason, Dropped, Ledger};
pub use message::{Header, Message, PipeId};
pub use options::{Options, Overflow, Prefer, Topic};
pub use time::Time;
