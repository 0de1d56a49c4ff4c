//! Plain connections: messages between two programs, and no pattern.
//!
//! ```
//! use spanwire::link::{self, Parcel, Priority};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = link::serve("tcp://127.0.0.1:0").await?;
//! let here = link::connect(&server.url()).await?;
//! let there = server.accept().await?;
//!
//! here.send(Parcel::new(7, 1, "a message").at(Priority::High)).await?;
//! let parcel = there.recv().await?;
//! assert_eq!((parcel.protocol, parcel.message, &parcel.body[..]), (7, 1, &b"a message"[..]));
//!
//! let report = here.close(std::time::Duration::from_secs(1)).await;
//! assert_eq!((report.flushed, report.abandoned, report.unknown), (1, 0, 0));
//! # Ok(()) }
//! ```
//!
//! | type | what it is |
//! | --- | --- |
//! | [`Host`] | who we are: a name, metadata, options, a hook that proves and verifies; all connections |
//! | [`Conn`] | one connection: `send`, `recv`, requests, streams, metadata; [`Sender`] and [`Receiver`] are its halves |
//! | [`Dialer`] | keeps a connection: hands out the next one after a loss |
//! | [`Server`] | takes connections from any number of listeners, within limits and a filter |
//! | [`Handlers`] | answer requests, by protocol and message |
//! | [`SendStream`] [`RecvStream`] | a message of any length, in bounded memory |
//! | [`LinkOptions`] [`HostOptions`] [`ServerOptions`] | every bound and timer, with its default |
//!
//! They run over every transport that yields a stream. Both sides speak the link protocol, which is not
//! SP's: `docs/link-wire.md` tells its bytes.
//!
//! | file | what it does |
//! | --- | --- |
//! | `wire` | one connection between its machine in the core, its driver, and programs |
//! | `host` | identity, the table of connections, connecting |
//! | `conn` `stream` `call` | what programs do with a connection |
//! | `dialer` `server` | the supervised ends |
//! | `guest` | a connection that a server has taken |
//! | `peer` `events` `error` | what they tell |
//! | `rates` | what each peer may send |
//! | `secret` `service` | features: a shared secret as a hook, `tower` services as handlers |

mod call;
mod conn;
mod dialer;
mod error;
mod events;
mod guest;
mod host;
mod peer;
mod rates;
#[cfg(feature = "secret")]
mod secret;
mod server;
#[cfg(feature = "tower")]
mod service;
mod stream;
mod wire;

pub use call::{HandlerError, Handlers, Request};
pub use conn::{Conn, Receiver, Sender};
pub use dialer::{Dialer, DialerStats};
pub use error::{CallError, CloseReport, ConnectError, RecvError, SendError, StreamError};
pub use events::{Event, Events};
pub use host::{Hook, Host, HostOptions};
pub use peer::Peer;
#[cfg(feature = "secret")]
pub use secret::Secret;
pub use server::{Filter, Server, ServerOptions, ServerStats};
pub use spanwire_core::framing::link::{
    Fault, HelloError, LinkError, MAX_METADATA_BYTES, MAX_METADATA_PAIRS, MAX_PROOF_BYTES, Metadata,
    MetadataError, Reason, Versions,
};
pub use spanwire_core::link::machine::LinkStats;
pub use spanwire_core::link::{End, LinkOptions, Parcel, Priority, TooFast};
pub use stream::{RecvStream, SendStream};

/// Connects as a host of its own. See [`Host::connect`].
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(url: &str) -> Result<Conn, ConnectError> {
    Host::with(HostOptions::default()).connect(url).await
}

/// Listens as a host of its own. See [`Host::serve`].
///
/// # Errors
/// See [`ListenError`](crate::ListenError).
pub async fn serve(url: &str) -> Result<Server, crate::ListenError> {
    Host::with(HostOptions::default()).serve(url).await
}
