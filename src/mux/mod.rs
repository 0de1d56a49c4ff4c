//! Multiplexed, pooled connections: many logical connections over few physical ones.
//!
//! ```
//! use spanwire::mux::{Connection, MuxOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (ours, theirs) = tokio::io::duplex(64 * 1024);
//! let here = Connection::wrap(ours, MuxOptions::default());
//! let there = Connection::wrap(theirs, MuxOptions::default());
//!
//! let user = here.open("user-session").await?;
//! user.send("hello").await?;
//! let accepted = there.accept("").await?;
//! assert_eq!(accepted.id().as_str(), "user-session");
//! assert_eq!(&accepted.recv().await?[..], b"hello");
//! # Ok(()) }
//! ```
//!
//! | type | what it is |
//! | --- | --- |
//! | [`Channel`] | a logical connection: messages both ways; [`Sender`] and [`Receiver`] are its halves |
//! | [`Connection`] | what carries channels: one connection of a transport, or anything that is wrapped |
//! | [`SendStream`] [`RecvStream`] | a message of any length, in bounded memory |
//! | [`MuxOptions`] | every bound and timer, with its default |
//!
//! Each channel has credit of its own, in bytes, so a slow reader stops its own sender and nobody else.
//! Four priorities share the connection, and long messages are cut, so that a short one passes them.
//! `docs/mux-wire.md` tells the bytes.
//!
//! | file | what it does |
//! | --- | --- |
//! | `wire` | one connection between its machine in the core, its driver, and programs |
//! | `connection` `channel` `stream` | what programs do with one |
//! | [`tagged`] | another layout, for peers that speak only that |
//! | `transport/` | sockets and plain connections over channels: the addresses that begin with `mux+` |
//! | `error` | what can go wrong, and what is told |

mod channel;
mod connection;
mod error;
mod stream;
pub mod tagged;
pub(crate) mod transport;
mod wire;

pub use channel::{Channel, Receiver, Sender};
pub use connection::Connection;
pub use error::{AcceptError, CloseReport, Event, FlushError, OpenError, RecvError, SendError, StreamError};
pub use spanwire_core::Priority;
pub use spanwire_core::mux::{
    Account, ChannelEnd, ChannelId, ChannelStats, Code, End, IdTooLong, MuxError, MuxOptions, MuxStats,
    SameId,
};
pub use stream::{RecvStream, SendStream};
