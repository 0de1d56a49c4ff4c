//! Errors of operations that touch the world; those of messages are in the core.

use spanwire_core::DetachReason;
use spanwire_core::addr::AddrError;
#[cfg(feature = "ws")]
use spanwire_core::framing::ws::upgrade::WsError;
use std::io;
use std::sync::Arc;

/// Why a dialer got no connection.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The address cannot be dialled.
    #[error("cannot dial {url:?}: {error}")]
    Address {
        /// The address as it was given.
        url: Arc<str>,
        /// What is wrong with it.
        #[source]
        error: AddrError,
    },
    /// The network said no, or nobody is there.
    #[error("cannot connect to {url}: {error}")]
    Connect {
        /// Whom we dialled.
        url: Arc<str>,
        /// What the system said.
        #[source]
        error: Arc<io::Error>,
    },
    /// Somebody is there, but the handshake of TLS, WebSocket or QUIC failed.
    #[error("cannot connect to {url}: {error}")]
    Upgrade {
        /// Whom we dialled.
        url: Arc<str>,
        /// What went wrong.
        #[source]
        error: UpgradeError,
    },
    /// The connection took longer than `connect_timeout`.
    #[error("cannot connect to {url}: timed out")]
    TimedOut {
        /// Whom we dialled.
        url: Arc<str>,
    },
    /// Somebody is there, but it came to no pipe.
    #[error("{url} is not a peer of this socket: {why}")]
    Refused {
        /// Whom we dialled.
        url: Arc<str>,
        /// Why not.
        why: DetachReason,
    },
    /// The socket or the dialer was closed.
    #[error("the socket is closed")]
    Closed,
    /// The runtime that serves the socket was shut down.
    #[error("the runtime that serves the socket was shut down")]
    RuntimeGone,
}

impl DialError {
    /// Whether the same call may succeed later without anything being changed here.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Address { .. } | Self::Closed | Self::RuntimeGone => false,
            Self::Connect { error, .. } => is_transient(error),
            Self::Upgrade { error, .. } => error.is_transient(),
            Self::TimedOut { .. } => true,
            Self::Refused { why, .. } => why.is_transient(),
        }
    }
}

/// Why a connection could not be made: no connection, or one that could not be used.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// What the system said.
    Io(io::Error),
    /// The handshake below SP.
    Upgrade(UpgradeError),
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<UpgradeError> for ConnectError {
    fn from(error: UpgradeError) -> Self {
        Self::Upgrade(error)
    }
}

#[cfg(feature = "quic")]
impl From<crate::transport::QuicError> for ConnectError {
    fn from(error: crate::transport::QuicError) -> Self {
        Self::Upgrade(error.into())
    }
}

#[cfg(feature = "tls")]
impl From<crate::tls::TlsError> for ConnectError {
    fn from(error: crate::tls::TlsError) -> Self {
        Self::Upgrade(error.into())
    }
}

/// Why the handshake of TLS, WebSocket or QUIC failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The connection ended before the handshake was over.
    #[error("the connection ended in its handshake")]
    Ended,
    /// It took too long.
    #[error("the handshake timed out")]
    TimedOut,
    /// TLS: the peer's certificate, ours, or what it sent.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
    /// The opening handshake of WebSocket.
    #[cfg(feature = "ws")]
    #[error("WebSocket: {0}")]
    WebSocket(#[source] WsError),
    /// QUIC.
    #[cfg(feature = "quic")]
    #[error(transparent)]
    Quic(#[from] crate::transport::QuicError),
    /// A transport of the application says so.
    #[error("{text}")]
    Foreign {
        /// Of which kind its error is.
        kind: io::ErrorKind,
        /// What it says.
        text: Arc<str>,
    },
}

impl From<io::Error> for UpgradeError {
    fn from(error: io::Error) -> Self {
        Self::Foreign { kind: error.kind(), text: error.to_string().into() }
    }
}

impl UpgradeError {
    /// What a connection that runs over another one has to say of its failure, if it is that.
    pub(crate) fn inside(error: &io::Error) -> Option<Self> {
        #[cfg(feature = "tls")]
        if let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<crate::tls::TlsError>()) {
            return Some(error.clone().into());
        }
        error.get_ref()?.downcast_ref::<Self>().cloned()
    }

    /// Whether trying again soon may well succeed without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Ended | Self::TimedOut => true,
            #[cfg(feature = "quic")]
            Self::Quic(error) => error.is_transient(),
            Self::Foreign { kind, .. } => is_transient_kind(*kind),
            #[cfg(feature = "tls")]
            Self::Tls(error) => error.is_transient(),
            #[cfg(feature = "ws")]
            Self::WebSocket(error) => error.is_transient(),
        }
    }
}

#[cfg(feature = "ws")]
impl From<WsError> for ConnectError {
    fn from(error: WsError) -> Self {
        Self::Upgrade(UpgradeError::WebSocket(error))
    }
}

/// Why a listener could not be made.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The address cannot be listened on.
    #[error("cannot listen on {url:?}: {error}")]
    Address {
        /// The address as it was given.
        url: Arc<str>,
        /// What is wrong with it.
        #[source]
        error: AddrError,
    },
    /// The system said no.
    #[error("cannot listen on {url}: {error}")]
    Bind {
        /// Where we wanted to listen.
        url: Arc<str>,
        /// What the system said.
        #[source]
        error: Arc<io::Error>,
    },
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
    /// The runtime that serves the socket was shut down.
    #[error("the runtime that serves the socket was shut down")]
    RuntimeGone,
}

impl ListenError {
    /// Whether the same call may succeed later without anything being changed here.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Bind { error, .. } => error.kind() == io::ErrorKind::AddrInUse,
            Self::Address { .. } | Self::Closed | Self::RuntimeGone => false,
        }
    }
}

/// Why a descriptor was not adopted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// It is no connected stream socket.
    #[error("cannot adopt the descriptor: {0}")]
    Descriptor(#[from] io::Error),
    /// Its peer did not become a pipe of this socket.
    #[error("the peer is refused: {0}")]
    Refused(DetachReason),
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
    /// The runtime that serves the socket was shut down.
    #[error("the runtime that serves the socket was shut down")]
    RuntimeGone,
}

#[cfg(unix)]
impl AdoptError {
    /// Whether another descriptor like this one may be adopted later without anything being changed
    /// here.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Descriptor(_) | Self::Closed | Self::RuntimeGone => false,
            Self::Refused(why) => why.is_transient(),
        }
    }
}

/// Why a batch was sent only in part. The messages before the failure are on their way.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{sent} messages were sent, then: {error}")]
pub struct SendManyError {
    /// How many were sent.
    pub sent: usize,
    /// What happened to the next; it is inside.
    #[source]
    pub error: spanwire_core::SendError,
    /// Those behind it that had been taken from the iterator already.
    pub rest: Vec<crate::Message>,
}

/// Errors after which trying again soon makes sense.
fn is_transient(error: &io::Error) -> bool {
    is_transient_kind(error.kind())
}

fn is_transient_kind(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Kind;
    !matches!(
        kind,
        Kind::PermissionDenied
            | Kind::Unsupported
            | Kind::InvalidInput
            | Kind::AddrNotAvailable
            | Kind::InvalidData
    )
}
