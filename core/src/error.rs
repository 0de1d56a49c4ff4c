//! Errors: one enum per operation, its variants named by who must act.

use crate::message::Message;
use core::error::Error;
use core::fmt;

/// Why a message could not be sent. Every variant gives the message back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The socket is closed or closing.
    Closed(Message),
    /// Nobody had room for it until the timeout.
    TimedOut(Message),
    /// Peers are attached, but their outboxes are full (`try_send` only).
    Full(Message),
    /// No peer is attached (`try_send` only; `send` waits for one).
    NoPeer(Message),
    /// The pipe it is addressed to is not attached, or the header names none.
    NoSuchPeer(Message),
    /// A reply without a request to answer.
    State(Message),
    /// The header of a raw message is not what the protocol demands.
    BadHeader(Message),
    /// The runtime that serves this socket was shut down.
    RuntimeGone(Message),
}

impl SendError {
    /// The message that was not sent.
    pub fn into_message(self) -> Message {
        match self {
            Self::Closed(m)
            | Self::TimedOut(m)
            | Self::Full(m)
            | Self::NoPeer(m)
            | Self::NoSuchPeer(m)
            | Self::State(m)
            | Self::BadHeader(m)
            | Self::RuntimeGone(m) => m,
        }
    }

    /// Whether the same call may succeed later without anything being changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::Full(_) | Self::NoPeer(_))
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed(_) => "socket is closed",
            Self::TimedOut(_) => "no peer took the message in time",
            Self::Full(_) => "every peer's outbox is full",
            Self::NoPeer(_) => "no peer is connected",
            Self::NoSuchPeer(_) => "the addressed peer is not connected",
            Self::State(_) => "there is no request to reply to",
            Self::BadHeader(_) => "the header does not fit the protocol",
            Self::RuntimeGone(_) => "the runtime that serves the socket was shut down",
        })
    }
}

impl Error for SendError {}

/// Why no message was received.
// A word, not a byte: see `Nothing`.
#[repr(usize)]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// The socket is closed or closing.
    Closed,
    /// No message came until the timeout, or the survey is over.
    TimedOut,
    /// No message is waiting (`try_recv` only).
    Empty,
    /// Nothing was asked, so there is nothing to wait for: a REQ without a request, a SURVEYOR
    /// without a survey.
    State,
    /// A new request on the same context took the place of the one waited for.
    Cancelled,
    /// The connection that carried the request is gone, and resending is switched off.
    ConnectionLost,
    /// The connection died each time this request was sent; sending it for ever would not help.
    Rejected,
    /// The runtime that serves this socket was shut down.
    RuntimeGone,
}

impl RecvError {
    /// Whether the same call may succeed later without anything being changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::TimedOut | Self::Empty)
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "socket is closed",
            Self::TimedOut => "no message came in time",
            Self::Empty => "no message is waiting",
            Self::State => "nothing was asked that could be answered",
            Self::Cancelled => "a newer request took the place of this one",
            Self::ConnectionLost => "the connection that carried the request is lost",
            Self::Rejected => "the peer ended the connection each time it got this request",
            Self::RuntimeGone => "the runtime that serves the socket was shut down",
        })
    }
}

impl Error for RecvError {}

/// Why a request got no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// It was never given to a peer; the message is inside.
    Send(SendError),
    /// It was sent, and no reply came.
    Recv(RecvError),
}

impl RequestError {
    /// Whether the same call may succeed later without anything being changed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Send(e) => e.is_transient(),
            Self::Recv(e) => e.is_transient(),
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(e) => write!(f, "request not sent: {e}"),
            Self::Recv(e) => write!(f, "request not answered: {e}"),
        }
    }
}

impl Error for RequestError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Send(e) => Some(e),
            Self::Recv(e) => Some(e),
        }
    }
}

impl From<SendError> for RequestError {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

impl From<RecvError> for RequestError {
    fn from(error: RecvError) -> Self {
        Self::Recv(error)
    }
}

/// An unsubscribe of what was never subscribed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct NotSubscribed;

impl fmt::Display for NotSubscribed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such subscription")
    }
}

impl Error for NotSubscribed {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_send_gives_the_message_back() {
        assert_eq!(SendError::Full("x".into()).into_message(), "x".into());
    }

    #[test]
    fn only_waiting_helps_against_transient_errors() {
        assert!(SendError::NoPeer("x".into()).is_transient());
        assert!(!SendError::Closed("x".into()).is_transient());
        assert!(RequestError::from(RecvError::TimedOut).is_transient());
        assert!(!RecvError::Rejected.is_transient());
    }
}
