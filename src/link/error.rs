//! Errors of plain connections: one for each thing that may fail.

use crate::error::DialError;
use spanwire_core::framing::link::Fault;
use spanwire_core::link::calls::Failure;
use spanwire_core::link::{End, Parcel};
use std::sync::Arc;
use std::time::Duration;

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is no good, nobody is there, or the handshake below failed.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// Somebody is there, but it came to no connection.
    #[error("no connection to {url}: {end}")]
    Ended {
        /// Whom we dialled.
        url: Arc<str>,
        /// How it ended.
        end: End,
    },
    /// The dialer or the host was closed.
    #[error("the dialer is closed")]
    Closed,
    /// No connection came in time (`next_timeout` only).
    #[error("no connection in time")]
    TimedOut,
}

impl ConnectError {
    /// Whether the same call may succeed later without anything being changed here.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Dial(error) => error.is_transient(),
            Self::Ended { end, .. } => end.is_transient(),
            Self::Closed => false,
            Self::TimedOut => true,
        }
    }
}

/// Why a message was not sent. It is inside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Too many wait already (`try_send` only).
    #[error("too much waits to be sent")]
    Full(Parcel),
    /// There was no room in time.
    #[error("no room in time")]
    TimedOut(Parcel),
    /// It is larger than the peer accepts in one piece; a stream may be of any length.
    #[error("the peer takes messages of up to {limit} bytes")]
    TooLarge {
        /// The message.
        parcel: Parcel,
        /// What the peer accepts, in bytes.
        limit: u64,
    },
    /// The connection is over.
    #[error("the connection is over: {end}")]
    Closed {
        /// The message.
        parcel: Parcel,
        /// How it ended.
        end: End,
    },
}

impl SendError {
    /// Whether the same call may succeed later without anything being changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Full(_) | Self::TimedOut(_))
    }

    /// The message.
    pub fn into_parcel(self) -> Parcel {
        match self {
            Self::Full(parcel) | Self::TimedOut(parcel) => parcel,
            Self::TooLarge { parcel, .. } | Self::Closed { parcel, .. } => parcel,
        }
    }
}

/// Why no message, request or stream was received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// None is here (`try_recv` only).
    #[error("nothing is here")]
    Empty,
    /// None came in time.
    #[error("nothing came in time")]
    TimedOut,
    /// The connection is over, and all that came was taken.
    #[error("the connection is over: {0}")]
    Closed(End),
}

impl RecvError {
    /// Whether the same call may succeed later without anything being changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Empty | Self::TimedOut)
    }
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// It was not sent.
    #[error("request not sent: {0}")]
    Send(#[from] SendError),
    /// It was sent, and no answer came in time. The peer is told that nobody waits any more.
    #[error("no answer in time")]
    TimedOut,
    /// The peer says why it does not answer.
    #[error("the peer does not answer: {code}{}{text}", if text.is_empty() { "" } else { ": " })]
    Failed {
        /// Why.
        code: Fault,
        /// In words; empty if none were given.
        text: String,
    },
    /// The connection ended before the answer came.
    #[error("the connection is over: {0}")]
    Closed(End),
}

impl CallError {
    /// Whether the same call may succeed later without anything being changed here.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Send(error) => error.is_transient(),
            Self::TimedOut => true,
            Self::Failed { code, .. } => code.is_transient(),
            Self::Closed(_) => false,
        }
    }
}

impl From<Failure> for CallError {
    fn from(Failure { code, text }: Failure) -> Self {
        Self::Failed { code, text }
    }
}

/// Why a stream cannot be written or read any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// Its sender gave it up.
    #[error("the sender gave the stream up")]
    Aborted,
    /// Its receiver wants no more of it.
    #[error("the receiver wants no more of the stream")]
    Stopped,
    /// The peer takes no streams.
    #[error("the peer takes no streams")]
    NotTaken,
    /// It took too long.
    #[error("no progress in time")]
    TimedOut,
    /// The connection is over.
    #[error("the connection is over: {0}")]
    Closed(End),
}

impl StreamError {
    /// Whether the same call may succeed later without anything being changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::TimedOut)
    }
}

/// What became of what was sent when a connection was closed.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseReport {
    /// Messages that the peer has received, if it has said so; else, that were handed to the kernel before
    /// what may be lost there.
    pub flushed: u64,
    /// Messages that did not leave whole, or that the peer says it has not had.
    pub abandoned: u64,
    /// Messages of which nobody knows whether they arrived: the peer said nothing at the end. An upper
    /// bound.
    pub unknown: u64,
    /// How long it took.
    pub took: Duration,
}
