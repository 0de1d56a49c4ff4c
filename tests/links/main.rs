//! Plain connections, as programs see them: one file per thing.

mod blocking;
mod cancel;
mod closing;
mod dialers;
mod faults;
mod handshakes;
mod messages;
mod requests;
mod servers;
#[cfg(feature = "tower")]
mod service;
mod single;
mod streams;
mod support;
