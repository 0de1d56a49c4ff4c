//! The rules of Spanwire: everything that decides, nothing that touches the world.
//!
//! This crate knows no socket, task, thread, lock, clock or randomness. Bytes, the time and seeds
//! come in; effects go out. So the same rules run over sockets, in a simulator and on a
//! microcontroller, and a test of an hour takes a millisecond. Programs use the `spanwire` crate,
//! which adds the hands and re-exports what they need of this one.
//!
//! ```
//! use spanwire_core::framing::sp::{Framing, Protocol};
//! use spanwire_core::session::inbox::Inbox;
//! use spanwire_core::session::outbox::Outbox;
//!
//! // What a PUSH says to a PULL on TCP: eight bytes that name the protocol, then frames.
//! assert_eq!(&Protocol::Push.handshake(), b"\0SP\0\0\x50\0\0");
//! let mut outbox = Outbox::new(Framing::Tcp);
//! outbox.push(&mut "job".into());
//! let batch = outbox.take();
//! let mut slices = [&[][..]; 4];
//! let (count, _) = batch.slices(&mut slices, usize::MAX, |slice| slice);
//! let bytes = slices[..count].concat();
//! assert_eq!(bytes, b"\0\0\0\0\0\0\0\x03job");
//!
//! // And what the PULL makes of it.
//! let mut inbox = Inbox::new(Framing::Tcp, 64 << 20);
//! inbox.feed(bytes.into());
//! assert_eq!(inbox.next()?.as_deref(), Some(&b"job"[..]));
//! # Ok::<(), spanwire_core::framing::sp::FrameError>(())
//! ```
//!
//! | module | what it decides |
//! | --- | --- |
//! | [`watch`] [`snapshot`] | what a socket shows of itself: as bytes, as series, as Prometheus text |
//! | [`pattern`] | who gets a message, who waits, what is dropped: one side of one protocol a file |
//! | [`link`] | one plain connection: handshake, priorities, pieces, credit, keep-alive |
//! | [`mux`] | many logical connections over one: channels, credit, turns, pool |
//! | [`session`] | one connection: handshake, state, backoff, what waits to be written and read |
//! | [`framing`] | what the bytes on a wire mean: one format a file |
//! | [`addr`] | what an address says |
//! | [`message`] [`time`] [`error`] [`options`] [`event`] [`histogram`] [`priority`] | the ground they stand on |
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
pub mod histogram;
pub mod link;
pub mod message;
pub mod mux;
pub mod options;
pub mod pattern;
pub mod priority;
pub mod session;
pub mod snapshot;
pub mod time;
pub mod watch;

pub use addr::{Addr, AddrError};
pub use error::{NotSubscribed, RecvError, RequestError, SendError};
pub use event::{ByReason, DetachReason, Dropped, Lack, Latencies, Latency, Ledger};
pub use histogram::Histogram;
pub use message::{Header, Message, PipeId};
pub use options::{Options, Overflow, Prefer, Topic};
pub use priority::Priority;
pub use time::Time;
