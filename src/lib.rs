//! Spanwire: Scalability Protocols in pure Rust.
//!
//! | layer | module | what it does |
//! | --- | --- | --- |
//! | 4 patterns | `socket` `device` | the sockets: PUSH, PULL, PAIR …; forwarders |
//! | | `blocking` | the same without `async` |
//! | 2 session | `session` | the life of one connection: handshake, reading, writing, the end |
//! | 1 transport | `transport` | bytes to and from one peer: tcp, ipc, descriptors |
//! | ground | `rt` | the only place that spawns, sleeps or looks for a runtime |
//!
//! Each layer uses those below it, and none above. Everything that *decides* is in `spanwire-core`.

#![deny(unsafe_code)]

pub mod blocking;
pub mod device;

mod endpoint;
mod error;
mod options;
mod rt;
#[cfg(not(spanwire_loom))]
mod session;
/// Opened for loom, which runs the shipped hand-off and gate.
#[cfg(spanwire_loom)]
#[doc(hidden)]
pub mod session;
mod socket;
mod transport;

pub use error::{AdoptError, DialError, ListenError, SendManyError};
pub use options::{DialOptions, ListenOptions, Start};
pub use session::Origin;
#[cfg(unix)]
pub use socket::PollFd;
pub use socket::{
    BusSocket, CloseReport, Dialer, EndpointState, EndpointStats, Event, Events, Listener, MessageSink,
    Messages, Pair0Socket, Pair1Socket, Peer, PeerStats, PolySocket, PubSocket, PullSocket, PushSocket,
    RawSocket, RepContext, RepSocket, ReqContext, ReqSocket, Request, Requests, RespondSocket, Stats,
    SubContext, SubSocket, Survey, SurveyContext, SurveySocket,
};
pub use spanwire_core::addr::{Addr, AddrError};
pub use spanwire_core::framing::sp::Protocol;
pub use spanwire_core::{
    DetachReason, Dropped, Header, Ledger, Message, NotSubscribed, Options, Overflow, PipeId, Prefer,
    RecvError, RequestError, SendError, Time, Topic,
};
pub use transport::{Credentials, Ends, Place};

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
