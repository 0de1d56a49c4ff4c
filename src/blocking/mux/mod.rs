//! Multiplexed connections without `async`: see [`mux`](crate::mux) for what they are.
//!
//! ```
//! use spanwire::blocking::mux::{self, Server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::bind("tcp://127.0.0.1:0")?;
//! let here = mux::connect(&server.url(), "user-session")?;
//! here.send("hello")?;
//! let there = server.accept("user-session")?;
//! assert_eq!(&there.recv()?[..], b"hello");
//! # Ok(()) }
//! ```
//!
//! Each type wraps the one of the same name, whose tasks run on the library's thread; a call blocks the
//! thread that makes it.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `connection` `channel` `stream` | one connection and what it carries |
//! | `server` `pool` `logical` | who comes in; who is shared, and by whom |
//! | [`tagged`] | the other layout, for peers that speak only that |

mod channel;
mod connection;
mod logical;
mod pool;
mod server;
mod stream;
pub mod tagged;

pub use channel::{Channel, Receiver, Sender};
pub use connection::Connection;
pub use logical::Logical;
pub use pool::Pool;
pub use server::{Events, Server};
pub use stream::{RecvStream, SendStream};

use crate::mux as hands;
use crate::mux::{LogicalOptions, OpenError};

/// A logical connection through the [pool of the process](crate::mux::Pool::global). See
/// [`mux::connect`](crate::mux::connect).
///
/// # Errors
/// As there.
pub fn connect(url: &str, id: &str) -> Result<Logical, OpenError> {
    connect_with(url, id, LogicalOptions::default())
}

/// [`connect`] with options.
///
/// # Errors
/// As there.
pub fn connect_with(url: &str, id: &str, options: LogicalOptions) -> Result<Logical, OpenError> {
    hands::connect_with(url, id, options).map(Logical::new)
}
