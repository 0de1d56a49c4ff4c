//! Errors of multiplexed connections: one for each thing that may fail.

use crate::error::DialError;
use bytes::Bytes;
use spanwire_core::mux::{Account, ChannelEnd, Code, End, IdTooLong};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why there is no channel, or no connection.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The id is too long.
    #[error(transparent)]
    Id(#[from] IdTooLong),
    /// The address is no good, nobody is there, or the handshake below failed.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The peer takes no more channels for now (`try_open` only).
    #[error("the peer takes no more channels for now")]
    Full,
    /// The connection takes no new channels; another one would.
    #[error("the connection takes no new channels")]
    Leaving,
    /// It is over, or never came to be.
    #[error("no connection: {0}")]
    Closed(End),
    /// The peer has refused the channel.
    #[error("the channel was refused: {0}")]
    Refused(ChannelEnd),
    /// Too many wait for a connection already.
    #[error("too many wait for a connection")]
    Busy,
    /// It was closed here: the pool, or the server.
    #[error("closed here")]
    ClosedHere,
    /// It took too long.
    #[error("no channel in time")]
    TimedOut,
}

impl OpenError {
    /// Whether the same call may succeed later without anything being changed here.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Id(_) | Self::ClosedHere => false,
            Self::Dial(error) => error.is_transient(),
            Self::Full | Self::Leaving | Self::Busy | Self::TimedOut => true,
            Self::Refused(end) => end.is_transient(),
            Self::Closed(end) => end.is_transient(),
        }
    }
}

/// Why a message was not sent. It is inside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Too much waits already (`try_send` only).
    #[error("too much waits to be sent")]
    Full(Bytes),
    /// There was no room in time.
    #[error("no room in time")]
    TimedOut(Bytes),
    /// It is longer than the peer takes whole; a stream may be of any length.
    #[error("the peer takes messages of up to {limit} bytes")]
    TooLarge {
        /// The message.
        body: Bytes,
        /// What the peer takes, in bytes.
        limit: u64,
    },
    /// The program has finished sending on this channel.
    #[error("sending is finished")]
    Finished(Bytes),
    /// The peer takes nothing more on this channel.
    #[error("the peer takes nothing more: {code}")]
    Stopped {
        /// The message.
        body: Bytes,
        /// Why.
        code: Code,
    },
    /// The channel is over.
    #[error("the channel is over: {end}")]
    Closed {
        /// The message.
        body: Bytes,
        /// How it ended.
        end: ChannelEnd,
    },
}

impl SendError {
    /// The message.
    pub fn into_body(self) -> Bytes {
        match self {
            Self::Full(body) | Self::TimedOut(body) | Self::Finished(body) => body,
            Self::TooLarge { body, .. } | Self::Stopped { body, .. } | Self::Closed { body, .. } => body,
        }
    }

    /// Whether the same call may succeed later, on this channel or on another one, without anything being
    /// changed here.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Full(_) | Self::TimedOut(_) => true,
            Self::TooLarge { .. } | Self::Finished(_) | Self::Stopped { .. } => false,
            Self::Closed { end, .. } => end.is_transient(),
        }
    }
}

/// Why no message was received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// None is here (`try_recv` only).
    #[error("no message is here")]
    Empty,
    /// None came in time.
    #[error("no message in time")]
    TimedOut,
    /// The peer has finished sending, and all that came was taken.
    #[error("the peer has finished sending")]
    Finished,
    /// The next message is longer than what is taken whole; `recv_stream` takes it.
    #[error("the next message is longer than {limit} bytes")]
    TooLarge {
        /// What is taken whole, in bytes.
        limit: u64,
    },
    /// The channel is over, and all that came was taken.
    #[error("the channel is over: {0}")]
    Closed(ChannelEnd),
}

impl RecvError {
    /// Whether the same call may succeed later, on this channel or on another one, without anything being
    /// changed here.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Empty | Self::TimedOut => true,
            Self::Finished | Self::TooLarge { .. } => false,
            Self::Closed(end) => end.is_transient(),
        }
    }
}

/// Why no channel was accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// None is here (`try_accept` only).
    #[error("no channel is here")]
    Empty,
    /// None came in time.
    #[error("no channel in time")]
    TimedOut,
    /// No more will come.
    #[error("no more channels come: {0}")]
    Closed(End),
}

/// What is known of messages that were not all delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// It took too long; what is known so far.
    #[error("not all was delivered in time")]
    TimedOut(Account),
    /// They never will be, as far as is known.
    #[error("of {} messages {} were delivered: {}", .account.accepted, .account.delivered, .why)]
    Lost {
        /// What became of them.
        account: Account,
        /// How the channel ended.
        why: String,
    },
}

/// What became of a channel's messages, and how long closing took.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseReport {
    /// In the queue of the peer's program, or taken by it.
    pub delivered: u64,
    /// Never left whole.
    pub abandoned: u64,
    /// Left whole; it is not known whether they arrived.
    pub unknown: u64,
    /// How long it took.
    pub took: Duration,
}

/// Why a stream cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The sender has given it up.
    #[error("the sender has given the stream up")]
    Aborted,
    /// The receiver takes nothing more on this channel.
    #[error("the peer takes nothing more: {0}")]
    Stopped(Code),
    /// The channel is over.
    #[error("the channel is over: {0}")]
    Closed(ChannelEnd),
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> Self {
        let kind = match &error {
            StreamError::Aborted => io::ErrorKind::UnexpectedEof,
            StreamError::Stopped(_) => io::ErrorKind::BrokenPipe,
            StreamError::Closed(_) => io::ErrorKind::ConnectionReset,
        };
        Self::new(kind, error)
    }
}

/// What happens on the connections of a server or a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A connection is there.
    Connected {
        /// Its number.
        number: u64,
        /// The address of the dialer or listener.
        url: Arc<str>,
    },
    /// A connection is gone.
    Ended {
        /// Its number.
        number: u64,
        /// The address of the dialer or listener.
        url: Arc<str>,
        /// How.
        end: End,
    },
    /// An attempt to connect failed.
    DialFailed {
        /// Whom.
        url: Arc<str>,
        /// Why.
        error: Arc<str>,
    },
    /// A listener failed to accept; it tries again.
    ListenerFailed {
        /// Which.
        url: Arc<str>,
        /// Why.
        error: Arc<str>,
    },
    /// The application was too slow to take events; so many are missing here.
    Missed(u64),
}
