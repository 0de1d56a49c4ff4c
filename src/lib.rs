//! Messages between programs, by the Scalability Protocols: request and reply, publish and subscribe,
//! pipelines, surveys, buses and pairs, over TCP, unix sockets and inside one process. The bytes on
//! the wire are those of NNG, nanomsg and mangos.
//!
//! ```
//! use spanwire::{RepSocket, ReqSocket};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = RepSocket::new();
//! let listener = server.listen("tcp://127.0.0.1:0").await?;
//! tokio::spawn(async move {
//!     while let Ok(request) = server.recv().await {
//!         request.reply("pong").await.ok();
//!     }
//! });
//!
//! let client = ReqSocket::new();
//! client.dial(listener.url()).await?;
//! assert_eq!(&client.request("ping").await?[..], b"pong");
//! # Ok(()) }
//! ```
//!
//! # Sockets
//!
//! | socket | talks to | a message goes to | when there is no room |
//! | --- | --- | --- | --- |
//! | [`ReqSocket`] | [`RepSocket`] | one peer in turn; another one if that is lost | `request` waits |
//! | [`RepSocket`] | [`ReqSocket`] | the peer that asked | `reply` waits |
//! | [`PubSocket`] | [`SubSocket`] | every subscriber | its oldest message is dropped, or as [`Overflow`] says |
//! | [`SubSocket`] | [`PubSocket`] | | the oldest received is dropped, or as [`Prefer`] says |
//! | [`PushSocket`] | [`PullSocket`] | one peer in turn | `send` waits |
//! | [`PullSocket`] | [`PushSocket`] | | it stops reading |
//! | [`SurveySocket`] | [`RespondSocket`] | every respondent | it misses the survey |
//! | [`RespondSocket`] | [`SurveySocket`] | the peer that asked | `reply` waits |
//! | [`BusSocket`] | [`BusSocket`] | every neighbour | it is dropped |
//! | [`Pair0Socket`] | [`Pair0Socket`] | the one peer | `send` waits |
//! | [`Pair1Socket`] | [`Pair1Socket`], [`PolySocket`] | the one peer | `send` waits |
//! | [`PolySocket`] | [`Pair1Socket`] | the peer that the message names | `send` waits |
//! | [`RawSocket`] | as its protocol | as its header says | as its protocol |
//!
//! All of them are handles: `Clone + Send + Sync`, and clones are the same socket. All have `listen`,
//! `dial`, `wait_peers`, `peers`, `events`, `stats` and `close`. What they exchange are [`Message`]s.
//! [`Options`] has every bound and every timer, with its default.
//!
//! # Around them
//!
//! * [`link`] has plain connections, for programs that want messages but no pattern.
//! * [`mux`] has many logical connections over few physical ones, with credit for each.
//! * With the feature `tls` there is `tls+tcp://`, and the module `tls` says who is who.
//! * [`watch`] shows the sockets of a program from outside: to `spanwire top`, to Prometheus, to `metrics`.
//! * [`blocking`] has the same sockets without `async`, for programs without a runtime.
//! * [`device`] joins two raw sockets, so that those on one side need not know the other.
//! * An async socket lives in the tokio runtime in which it was made; outside of one, on a thread of
//!   the library. Its futures may be awaited under any executor.
//! * A future that is dropped before it is done has sent nothing and taken nothing. Where there is
//!   more to it, its method says so.
//! * A message that a socket discards is counted by its reason: [`Dropped`], [`Ledger`]. A message that
//!   cannot be sent comes back in the [`SendError`].
//!
//! The guide (`GUIDE.md` in the repository) has a chapter for each pattern, and others on reliability,
//! back-pressure, closing, runtimes and fork.
//!
//! # Layers
//!
//! | layer | module | what it does |
//! | --- | --- | --- |
//! | 5 systems | `watch` | what a program shows of its sockets |
//! | 4 patterns | `socket` `device` | the sockets: PUSH, PULL, PAIR …; forwarders |
//! | | `link` | plain connections: messages without a pattern |
//! | | `blocking` | the same without `async` |
//! | 3 mux | `mux` | many logical connections over one, pools |
//! | 2 session | `session` | the life of one connection: handshake, reading, writing, the end |
//! | 1 transport | `transport` | bytes to and from one peer: tcp, ipc, TLS, WebSocket, QUIC, descriptors, your own |
//! | ground | `rt` | the only place that spawns, sleeps or looks for a runtime |
//!
//! Each layer uses those below it, and none above. Everything that *decides* is in `spanwire-core`.
//! `ARCHITECTURE.md` tells the rest.

#![deny(unsafe_code)]

pub mod blocking;
pub mod device;
pub mod link;
pub mod mux;
#[cfg(feature = "tls")]
pub mod tls;

mod endpoint;
mod error;
mod hub;
mod options;
mod rt;
#[cfg(not(spanwire_loom))]
mod session;
/// Opened for loom, which runs the shipped hand-off and gate.
#[cfg(spanwire_loom)]
#[doc(hidden)]
pub mod session;
mod socket;
mod trace;
pub mod transport;
pub mod watch;

pub use error::{AdoptError, DialError, ListenError, SendManyError, UpgradeError};
#[cfg(feature = "quic")]
pub use options::QuicOptions;
pub use options::{DialOptions, ListenOptions, Start};
#[cfg(feature = "ws")]
pub use options::{WsDialOptions, WsListenOptions};
pub use session::Origin;
#[cfg(unix)]
pub use socket::PollFd;
pub use socket::{
    BusSocket, CloseReport, Dialer, Event, Events, Listener, MessageSink, Messages, Pair0Socket, Pair1Socket,
    Peer, PolySocket, PubSocket, PullSocket, PushSocket, RawSocket, Receiving, RepContext, RepSocket,
    ReqContext, ReqSocket, Request, Requests, RespondSocket, Sending, Stats, SubContext, SubSocket, Survey,
    SurveyContext, SurveySocket,
};
pub use spanwire_core::addr::{self, Addr, AddrError};
pub use spanwire_core::framing::sp::Protocol;
#[cfg(feature = "ws")]
pub use spanwire_core::framing::ws::upgrade::WsError;
#[cfg(feature = "ws")]
pub use spanwire_core::options::Origins;
pub use spanwire_core::snapshot::{EndpointState, EndpointStats, PeerStats};
pub use spanwire_core::{
    ByReason, DetachReason, Dropped, Header, Histogram, Lack, Latencies, Latency, Ledger, Message,
    NotSubscribed, Options, Overflow, PipeId, Prefer, RecvError, RequestError, SendError, Time, Topic,
};
#[cfg(feature = "quic")]
pub use transport::QuicError;
pub use transport::{Credentials, Ends, Place, TlsPeer};

/// The time on the clock that [`Message::arrived`] is read from.
///
/// ```
/// let before = spanwire::now();
/// assert!(spanwire::now() >= before);
/// ```
pub fn now() -> Time {
    rt::now()
}

/// The programs of the documents, so that they cannot rot.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;

    #[doc = include_str!("../GUIDE.md")]
    struct Guide;
}
