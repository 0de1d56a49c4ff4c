//! Plain connections, as programs see them: one file per thing.

mod closing;
mod dialers;
mod faults;
mod handshakes;
mod messages;
mod requests;
mod servers;
mod single;
mod streams;
mod support;
