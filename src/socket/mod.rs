//! Layer 4: the sockets. One file per kind of socket that a user says, over one core.
//!
//! ```text
//!   PushSocket, ReqSocket … ── ops ──▶ core ── lock ──▶ rules (spanwire-core)
//!                                        │                 │ effects
//!        wakers, writes, deliveries ◀── out ◀───────────── fx
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | `core` | the rules under their lock |
//! | `attaching` | pipes come and go |
//! | `passing` | messages to and from the rules, and who waits for that |
//! | `flushing` | what leaves and comes over connections |
//! | `fx` `work` | effects, and what of them is done after the lock |
//! | `ops` `waits` | the futures behind send and receive |
//! | `receiver` | waiting for a message, and reading the connection meanwhile |
//! | `batch` | many messages in one visit to the rules |
//! | `block` `poll_fd` | the same for threads; descriptors for foreign event loops |
//! | `stream` `sink` | sockets as a `Stream` and as a `Sink` |
//! | `lane` `inproc` `outgoing` | the way to a peer: a stream, or straight into another socket |
//! | `endpoints` | dialers and listeners |
//! | `keeper` `close` | timers, and the end |
//! | `events` | who came and went, what was dropped |
//! | `watched` | what a socket shows of itself |
//! | `common` | the methods that all sockets have |

#[macro_use]
mod common;
mod attaching;
mod batch;
mod block;
mod close;
mod core;
mod endpoints;
mod events;
mod flushing;
mod fx;
#[cfg(feature = "inproc")]
mod inproc;
mod keeper;
mod lane;
mod ops;
#[cfg(feature = "inproc")]
mod outgoing;
mod passing;
#[cfg(unix)]
mod poll_fd;
mod sink;
mod stream;
mod waits;
mod watched;
mod work;

mod bus;
mod pair0;
mod pair1;
mod publish;
mod pull;
mod push;
mod raw;
mod receiver;
mod rep;
mod req;
mod subscribe;
mod survey;

pub use self::core::CloseReport;
pub use bus::BusSocket;
pub(crate) use common::Handle;
pub use endpoints::{Dialer, Listener};
pub use events::{Event, Events};
pub use ops::{Receiving, Sending};
pub use pair0::Pair0Socket;
pub use pair1::{Pair1Socket, PolySocket};
#[cfg(unix)]
pub use poll_fd::PollFd;
#[cfg(unix)]
pub(crate) use poll_fd::Ready;
pub use publish::PubSocket;
pub use pull::PullSocket;
pub use push::PushSocket;
pub use raw::RawSocket;
pub use rep::{RepContext, RepSocket, Request, RespondSocket};
pub use req::{ReqContext, ReqSocket};
pub use sink::MessageSink;
pub use stream::{Messages, Requests};
pub use subscribe::{SubContext, SubSocket};
pub use survey::{Survey, SurveyContext, SurveySocket};
pub use watched::Watchable;
pub(crate) use watched::sealed::Sealed;
pub(crate) use watched::{Shown, Watched};

use crate::session::Origin;
use crate::transport::Ends;
use spanwire_core::snapshot::PeerStats;
use spanwire_core::{Ledger, PipeId};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// A peer of a socket: one attached connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Peer {
    /// Its identity on this socket.
    pub pipe: PipeId,
    /// The two ends of the connection: addresses, and on unix sockets the peer's user and process.
    pub ends: Ends,
    /// The dialer or listener it came from.
    pub origin: Origin,
    /// What has been exchanged with it so far.
    pub stats: PeerStats,
}

impl Peer {
    fn new(pipe: PipeId, ends: Ends, origin: &Origin) -> Self {
        Self { pipe, ends, origin: origin.clone(), stats: PeerStats::default() }
    }
}

/// What a socket counts, in short. All of it is in a [`Snapshot`](crate::watch::Snapshot).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Totals since the socket was made, drops by reason among them.
    pub ledger: Ledger,
    /// Peers attached now.
    pub peers: usize,
    /// Messages accepted and not yet handed to the kernel, now.
    pub waiting_messages: usize,
}

/// Randomness for backoffs and first ids: the standard library's hasher keys, which the system's
/// source of randomness has seeded. Nothing here needs to be secret.
fn random_seed() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}
