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
//! | [`Pool`] | the connections of a program to others: channels to one address share one |
//! | [`Logical`] | a channel by address and id, which is opened on use and again after a loss |
//! | [`Server`] | takes connections and hands out their channels |
//! | [`SendStream`] [`RecvStream`] | a message of any length, in bounded memory |
//! | [`MuxOptions`] | every bound and timer, with its default |
//!
//! Each channel has credit of its own, in bytes, so a slow reader stops its own sender and nobody else.
//! Four priorities share the connection, and long messages are cut, so that a short one passes them.
//! `docs/mux-wire.md` tells the bytes.
//!
//! | file | what it does |
//! | --- | --- |
//! | `wire` `waiters` | one connection between its machine in the core, its driver, and programs; who waits there |
//! | `connection` `channel` `stream` | what programs do with one |
//! | `server` `acceptors` | who comes in, and who gets which channel |
//! | `pool` `pool_state` `pool_stats` | the rules of the pool beside the connections that they speak of |
//! | `pool_key` | who shares one of them, and where it lives |
//! | `logical` `logical_state` | what outlives channels: opens them, tells of losses, ends idle ones |
//! | `events` `kept` | who is told of connections; who notices the end of a runtime |
//! | `watched` | what is shown of them to [`watch`](crate::watch) |
//! | [`tagged`] | another layout, for peers that speak only that |
//! | `transport/` | sockets and plain connections over channels: the addresses that begin with `mux+` |
//! | `error` | what can go wrong, and what is told |

mod acceptors;
mod channel;
mod connection;
mod error;
mod events;
mod logical;
mod logical_state;
mod pool;
mod pool_key;
mod pool_state;
mod pool_stats;
mod server;
mod stream;
pub mod tagged;
pub(crate) mod transport;
mod waiters;
mod watched;
mod wire;

pub use channel::{Channel, Receiver, Sender};
pub use connection::Connection;
pub use error::{AcceptError, CloseReport, Event, FlushError, OpenError, RecvError, SendError, StreamError};
pub use events::Events;
pub use logical::{
    Logical, LogicalOptions, LogicalRecvError, LogicalSendError, LogicalStats, Loss, LossCause, connect,
    connect_with,
};
pub use pool::{Pool, PoolOptions};
pub use pool_stats::{PhysicalStats, PoolReport, Stalled};
pub use server::{Filter, Server, ServerOptions, ServerStats};
pub use spanwire_core::Priority;
pub use spanwire_core::mux::pool::{Idle, PoolOptions as PoolBounds, PoolStats, State as PhysicalState};
pub use spanwire_core::mux::{
    Account, ChannelEnd, ChannelId, ChannelStats, Code, End, IdTooLong, MuxError, MuxOptions, MuxStats,
    SameId,
};
pub use stream::{RecvStream, SendStream};
pub(crate) use watched::Watched;

/// Puts channels on a connection that the program already has: [`Connection::wrap`]. With an id, `open` or
/// `accept` is the next call; the empty id accepts all, and each [`Channel`] knows its own.
///
/// ```
/// use spanwire::mux::{self, MuxOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (ours, theirs) = tokio::io::duplex(64 * 1024);
/// let (client, server) = (mux::wrap(ours, MuxOptions::default()), mux::wrap(theirs, MuxOptions::default()));
/// let (session, accepted) = tokio::join!(client.open("session-1"), server.accept("session-1"));
/// session?.send("hello").await?;
/// assert_eq!(&accepted?.recv().await?[..], b"hello");
/// # Ok(()) }
/// ```
pub fn wrap(
    io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    options: MuxOptions,
) -> Connection {
    Connection::wrap(io, options)
}
