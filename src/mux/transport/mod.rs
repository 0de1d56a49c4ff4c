//! Sockets and plain connections over channels: the addresses that begin with `mux+`.
//!
//! ```text
//!   dialer ─┐                                                            ┌─ Route a ─▶ listener of …#a
//!   dialer ─┼─▶ channel_to ─ Connection ═══════ one ═══════▶ Connection ─┤
//!   dialer ─┘                (of the Pool)                   (of a Port) └─ Route b ─▶ listener of …#b
//! ```
//!
//! What a channel carries is what a TCP connection would: the handshake of SP and its frames, or those of a plain
//! connection. Each way it is one message of unknown length, which ends when its sender does. So credit
//! of the channel is what stops the one who sends to a socket that does not read, and nobody else.
//!
//! | file | what it does |
//! | --- | --- |
//! | `dial` | a channel for all who dial an address, by the pool of the process |
//! | `port` | one listener for all who listen at an address |
//! | `halves` | a channel as a connection that sockets can use |
//! | `table` | what the process has at each address to listen at |

mod dial;
mod halves;
mod port;
mod table;

pub(crate) use dial::channel_to;
pub(crate) use port::listen;

use super::ChannelId;
use spanwire_core::addr;
use std::io;

fn id_of(addr: &addr::Mux) -> io::Result<ChannelId> {
    // An address has no longer one.
    ChannelId::new(addr.id()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}
