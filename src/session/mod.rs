//! Layer 2: the life of one connection, with hands.
//!
//! ```text
//!  listener ─┐                       ┌─ handshake ─ attach ─ deliver, drained ─ detach ─▶ Owner
//!            ├─▶ Stream ─▶ driver ───┤
//!  dialer ───┘                       └─ hand-off ◀── push ── senders, in their own threads
//! ```
//!
//! | file | what it does |
//! | --- | --- |
//! | `driver` | one task per connection: handshake, what reading and writing is left to it, the end |
//! | `pipe` | what senders, receivers and the driver share of a connection |
//! | `handoff` | who may write at this moment |
//! | `loan` | who may read at this moment |
//! | `reading` | reading, whoever does it |
//! | `spin` | a busy wait before a real one |
//! | `gate` | who is still inside a socket that closes |
//! | `lookout` | a busy wait of a whole thread |
//! | `wire` | connections with a handshake of our own: what those of `mux` and `link` have in common |
//!
//! Whoever the connections belong to (a socket) is an [`Owner`] here: this layer knows no patterns.

pub mod gate;
pub mod handoff;
pub mod loan;

pub(crate) mod driver;
pub(crate) mod lookout;
pub(crate) mod pipe;
pub(crate) mod reading;
pub(crate) mod spin;
pub(crate) mod wire;

use crate::error::UpgradeError;
use crate::rt::Home;
use crate::transport::Ends;
use handoff::Wrote;
use pipe::{After, PipeState, StreamPipe};
use spanwire_core::framing::sp::{FrameError, Protocol};
use spanwire_core::session::inbox::Inbox;
use spanwire_core::session::outbox::Batch;
use spanwire_core::{DetachReason, PipeId, Time};
use std::sync::Arc;
use std::time::Duration;

/// What transports start for a socket is waited for as if the socket had started it.
#[cfg(feature = "quic")]
impl crate::rt::quic::Shelter for gate::Gate {
    fn enter(self: Arc<Self>) -> Option<Box<dyn Send>> {
        Some(Box::new(gate::Gate::enter(&self)?))
    }
}

/// Whoever the connections belong to.
pub(crate) trait Owner: Send + Sync + 'static {
    /// The handshake is done: makes the connection a pipe, or refuses it.
    fn attach(&self, pipe: &Arc<StreamPipe>, ends: Ends, origin: Origin) -> Result<PipeId, DetachReason>;

    /// Takes as many messages out of the inbox as there is room for.
    fn deliver(&self, pipe: PipeId, inbox: &mut Inbox, now: Time) -> Delivery;

    /// Looks at what the owner keeps of an attached pipe, under his lock. Without the pipe it does
    /// nothing.
    fn look(&self, pipe: PipeId, look: &mut dyn FnMut(&mut PipeState));

    /// The writer of `batch` is back: so many bytes of it were handed to the kernel. `last` says
    /// that it has done its share.
    fn settle(&self, pipe: PipeId, batch: Batch, wrote: Wrote, written: usize, last: bool) -> After;

    /// The connection below has said why it failed; the pipe will be gone next. Of use where there is no handshake
    /// of SP, in which it would have been seen.
    fn judged(&self, _error: UpgradeError) {}

    /// The pipe is gone, writing was shut. The kernels may still have had the last `unknown_bytes`
    /// bytes that were written.
    fn detach(&self, pipe: PipeId, why: DetachReason, unknown_bytes: usize);

    /// Whether somebody waits for a message at this moment.
    fn is_waited_for(&self) -> bool;

    /// Where the connections' tasks run.
    fn home(&self) -> &Home;
}

/// How a delivery ended.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// All that was whole is delivered: read on.
    Hungry,
    /// There is no room for more; the owner will say when there is.
    Stalled,
    /// The stream cannot be read any further.
    Broken(FrameError),
}

/// What a driver has to know besides the connection.
#[derive(Clone, Debug)]
pub(crate) struct SessionOptions {
    pub(crate) protocol: Protocol,
    pub(crate) handshake_timeout: Duration,
    pub(crate) max_message_bytes: usize,
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) why: DetachReason,
    /// Whether it ever was a pipe.
    pub(crate) attached: bool,
    /// With [`DetachReason::UpgradeFailed`], what it was.
    pub(crate) upgrade: Option<UpgradeError>,
    /// With [`DetachReason::ProtocolViolation`] below SP, what it was.
    pub(crate) fault: Option<Arc<str>>,
    /// It was for another listener at the same port, which has it now.
    pub(crate) moved: bool,
}

impl Ended {
    /// An end of which there is nothing more to say.
    pub(crate) fn plain(why: DetachReason) -> Self {
        Self { why, attached: false, upgrade: None, fault: None, moved: false }
    }
}

/// Where a connection came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The address of the dialer or listener; `fd` for an adopted descriptor.
    pub url: Arc<str>,
    /// Whether we dialled.
    pub dialed: bool,
}
