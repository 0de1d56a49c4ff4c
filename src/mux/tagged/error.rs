//! What can go wrong on a tagged connection.

use bytes::Bytes;
use spanwire_core::mux::tagged::{End, MAX_ID_BYTES};
use std::io;
use std::sync::Arc;

/// Why a message was not sent. It is inside.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Too many wait already (`try_send` only).
    #[error("too much waits to be sent")]
    Full(Bytes),
    /// There was no room in time (`send_timeout` only).
    #[error("no room in time")]
    TimedOut(Bytes),
    /// It is larger than [`max_message_bytes`](super::TaggedOptions::max_message_bytes).
    #[error("messages of up to {max_bytes} bytes are allowed")]
    TooLarge {
        /// The message.
        data: Bytes,
        /// What is allowed.
        max_bytes: usize,
    },
    /// The layout has no longer ids.
    #[error("the id has more than {} bytes", MAX_ID_BYTES)]
    IdTooLong(Bytes),
    /// Nothing can be sent any more.
    #[error("not sent: {end}")]
    Ended {
        /// The message.
        data: Bytes,
        /// How the connection ended.
        end: End,
        /// What the system said, if it was the network.
        #[source]
        cause: Option<Arc<io::Error>>,
    },
}

impl SendError {
    /// Whether the same call may succeed later without anything being changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Full(_) | Self::TimedOut(_))
    }

    /// The message.
    pub fn into_data(self) -> Bytes {
        match self {
            Self::Full(data) | Self::TimedOut(data) | Self::IdTooLong(data) => data,
            Self::TooLarge { data, .. } | Self::Ended { data, .. } => data,
        }
    }
}

/// Why no message was received.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// None is here (`try_recv` only).
    #[error("nothing is here")]
    Empty,
    /// None came in time (`recv_timeout` only).
    #[error("nothing came in time")]
    TimedOut,
    /// Messages came faster than they were received: these, and all later ones of this id, were discarded.
    /// See
    /// [`Overflow::End`](super::Overflow::End).
    #[error("messages came faster than they were received, {discarded} were discarded")]
    Overflowed {
        /// How many, up to now.
        discarded: u64,
    },
    /// The connection has ended, and all that came was taken.
    #[error("nothing more comes: {end}")]
    Ended {
        /// How.
        end: End,
        /// What the system said, if it was the network.
        #[source]
        cause: Option<Arc<io::Error>>,
    },
}

impl RecvError {
    /// Whether the same call may succeed later without anything being changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Empty | Self::TimedOut)
    }
}

/// Messages were taken, and not all of them were handed to the kernel.
#[derive(Clone, Debug, thiserror::Error)]
#[error("not all was written: {end}")]
pub struct FlushError {
    /// How the connection ended.
    pub end: End,
    /// What the system said, if it was the network.
    #[source]
    pub cause: Option<Arc<io::Error>>,
}

/// What [`Connection::close`](super::Connection::close) tells.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseReport {
    /// Messages that were handed to the kernel whole, since the connection began.
    pub flushed: u64,
    /// Messages that were taken and not handed to the kernel whole.
    pub abandoned: u64,
}

/// What happens on a tagged connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaggedEvent {
    /// Messages were discarded.
    Discarded {
        /// Their id.
        id: Bytes,
        /// Why.
        why: super::Discarded,
        /// How many.
        messages: u64,
    },
    /// The receiver of this id was too slow, and has ended.
    Overflowed {
        /// Its id.
        id: Bytes,
    },
    /// Nothing is read until the receiver of this id takes a message.
    Stalled {
        /// Its id.
        id: Bytes,
    },
    /// Reading goes on.
    Resumed,
    /// Nothing more is received.
    Ended(End),
    /// So many events were dropped here, as they were not taken in time.
    Missed(u64),
}

impl crate::hub::Event for TaggedEvent {
    fn missed(count: u64) -> Self {
        Self::Missed(count)
    }
}
