//! What a tagged connection tells: how it ended, what receivers find, what was counted.

use super::Route;
use super::cutter::{Frame, MAX_ID_BYTES, TooLarge};
use bytes::Bytes;
use core::fmt;

/// Why an id cannot be opened.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// It has more than [`MAX_ID_BYTES`].
    TooLong,
    /// It is open here already.
    InUse,
    /// [`TaggedOptions::max_ids`](super::TaggedOptions::max_ids) are open.
    TooMany,
    /// The connection has ended.
    Ended(End),
}

/// How a connection ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It was closed here.
    Closed,
    /// The peer has ended it, between two messages.
    Peer,
    /// It ended in the middle of a message.
    Cut,
    /// The peer sent a message that is larger than allowed, or not this layout at all.
    TooLarge(TooLarge),
    /// Reading or writing failed.
    Network,
    /// The runtime in which it lived is gone.
    RuntimeGone,
}

/// What a receiver finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// The oldest message that waits, and the id that it was sent with.
    Message(Frame),
    /// Nothing yet.
    Nothing,
    /// Messages came faster than they were received: this one and all later ones, so many up to now, were
    /// discarded.
    Overflowed {
        /// How many.
        discarded: u64,
    },
    /// The connection has ended.
    Ended(End),
}

/// What is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A message waits here.
    Ready(Route),
    /// This id has ended because of [`Overflow::End`](super::Overflow::End).
    Overflowed(Route),
    /// Messages with this id were discarded.
    Discarded {
        /// Theirs.
        id: Bytes,
        /// Why.
        why: Discarded,
        /// How many.
        messages: u64,
    },
    /// No more is read until this one receives.
    Stalled(Route),
    /// Reading goes on.
    Resumed,
    /// The connection has ended: whoever waits is to look.
    Ended(End),
}

/// Why messages were discarded.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Discarded {
    /// Nobody had opened their id, nor the empty one.
    NobodyReceives,
    /// There was no room, and [`Overflow::Discard`](super::Overflow::Discard).
    NoRoom,
    /// There was no room before, and [`Overflow::End`](super::Overflow::End).
    Overflowed,
    /// They had come, and their receiver or the connection was closed.
    Closed,
}

/// What a tagged connection has counted.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaggedStats {
    /// Messages that have come whole.
    pub messages: u64,
    /// Their bytes, ids and lengths included.
    pub bytes: u64,
    /// Messages that receivers took.
    pub received: u64,
    /// Those discarded as [`Discarded::NobodyReceives`].
    pub nobody_receives: u64,
    /// Those discarded as [`Discarded::NoRoom`].
    pub no_room: u64,
    /// Those discarded as [`Discarded::Overflowed`].
    pub overflowed: u64,
    /// Those discarded as [`Discarded::Closed`].
    pub closed: u64,
    /// How often reading stopped because there was no room.
    pub stalls: u64,
}

impl TaggedStats {
    /// Messages that were discarded, for whatever reason.
    pub fn discarded(&self) -> u64 {
        self.nobody_receives + self.no_room + self.overflowed + self.closed
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the id has more than {MAX_ID_BYTES} bytes"),
            Self::InUse => f.write_str("the id is open already"),
            Self::TooMany => f.write_str("too many ids are open"),
            Self::Ended(end) => end.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection was closed"),
            Self::Peer => f.write_str("the peer has ended the connection"),
            Self::Cut => f.write_str("the connection ended in the middle of a message"),
            Self::TooLarge(error) => error.fmt(f),
            Self::Network => f.write_str("the connection failed"),
            Self::RuntimeGone => f.write_str("the runtime of the connection is gone"),
        }
    }
}
