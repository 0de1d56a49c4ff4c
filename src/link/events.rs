//! [`Event`]s of a host: who came, who went and why.

use super::Peer;
use crate::hub;
use spanwire_core::link::End;
use std::sync::Arc;

/// Something that happened at a [`Host`](super::Host).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A handshake is done: there is a connection.
    Connected(Peer),
    /// A connection is over.
    Ended(Peer, End),
    /// A connection came to nothing: its handshake failed, or one of the two did not want it.
    Refused {
        /// The address of the dialer or listener.
        url: Arc<str>,
        /// The address of the other end, once it was known.
        remote: Option<crate::Place>,
        /// Its logical host, if it had said.
        host: Option<String>,
        /// Why.
        end: End,
        /// What went wrong in the handshake of TLS, WebSocket or QUIC, if that is why.
        upgrade: Option<crate::UpgradeError>,
    },
    /// A peer has other metadata now; they are inside.
    Metadata(Peer),
    /// A dialer got no connection and will try again.
    DialFailed {
        /// Whom it dials.
        url: Arc<str>,
        /// What went wrong.
        error: Arc<str>,
        /// Whether it may work later without anybody changing anything.
        transient: bool,
    },
    /// A listener could not accept, or not be bound, and will try again.
    ListenerFailed {
        /// Where it listens.
        url: Arc<str>,
        /// What went wrong.
        error: Arc<str>,
    },
    /// A listener that was broken, or could not be bound at first, listens.
    ListenerBound {
        /// Where, with its real port.
        url: Arc<str>,
    },
    /// The application was too slow to take events; so many are missing here.
    Missed(u64),
}

impl hub::Event for Event {
    fn missed(count: u64) -> Self {
        Self::Missed(count)
    }
}

/// The events of a host, from the call that made this on. Ends when the host and all of its connections are
/// gone.
///
/// A [`Stream`](futures_core::Stream); or call `next`. Cancel-safe.
pub type Events = hub::Events<Event>;

/// Whom a host tells its events. Never used under the lock of a connection.
pub(super) type Hub = hub::Shared<Event>;
