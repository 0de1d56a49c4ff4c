//! [`Event`]s of a socket: who came, who went and why, and what was dropped.

use super::Peer;
use crate::error::UpgradeError;
use crate::hub;
use spanwire_core::{DetachReason, Dropped, PipeId};
use std::sync::Arc;

/// Something that happened on a socket.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A peer passed its handshake; the filter and the pattern are asked next.
    Attaching(Arc<Peer>),
    /// A peer is attached: messages flow.
    Attached(Arc<Peer>),
    /// A peer that was attached is gone; its `stats` are final.
    Detached(Arc<Peer>, DetachReason),
    /// A connection was refused, by the filter, the pattern or its own handshake. The peer is known
    /// only if the handshake was good.
    Refused(Option<Arc<Peer>>, DetachReason),
    /// A message was discarded.
    Dropped {
        /// Why.
        why: Dropped,
        /// Whom it came from, or was for.
        pipe: Option<PipeId>,
        /// How large it was, in bytes.
        bytes: usize,
    },
    /// A dialer did not get its connection and will try again.
    DialFailed {
        /// Whom it dials.
        url: Arc<str>,
        /// What went wrong.
        error: Arc<str>,
    },
    /// A listener could not accept and will try again.
    AcceptFailed {
        /// Where it listens.
        url: Arc<str>,
        /// What went wrong.
        error: Arc<str>,
    },
    /// A connection that came in is gone, since the handshake of TLS, WebSocket or QUIC failed. It is
    /// counted as [`DetachReason::UpgradeFailed`], too.
    UpgradeFailed {
        /// Where it came in.
        url: Arc<str>,
        /// What went wrong.
        error: UpgradeError,
    },
    /// A peer that was attached has broken the protocol below SP, as with a text frame on a WebSocket. It is
    /// told before [`Detached`](Self::Detached) or after it, which says
    /// [`DetachReason::ProtocolViolation`].
    PeerBroke {
        /// Whom we dialled, or where it came in.
        url: Arc<str>,
        /// What it did.
        error: Arc<str>,
    },
    /// The application was too slow to take events; so many are missing here.
    Missed(u64),
}

impl hub::Event for Event {
    fn missed(count: u64) -> Self {
        Self::Missed(count)
    }
}

/// Whom a socket tells its events.
pub(crate) type Hub = hub::Hub<Event>;

/// The events of a socket, from the call that made this on. Ends when the socket is closed.
///
/// A [`Stream`](futures_core::Stream); or call `next`. Cancel-safe.
pub type Events = hub::Events<Event>;
