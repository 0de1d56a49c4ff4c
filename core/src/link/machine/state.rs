//! [`State`]: where a connection is in its life, and how it ends.

use crate::framing::link::{LinkError, Reason};
use crate::time::Time;
use alloc::string::String;
use core::fmt;

/// Which end of a connection this is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one that has dialled.
    Dialer,
    /// The one that has accepted.
    Acceptor,
}

impl Role {
    /// The other one.
    pub fn peer(self) -> Self {
        match self {
            Self::Dialer => Self::Acceptor,
            Self::Acceptor => Self::Dialer,
        }
    }
}

/// Where a connection is in its life.
///
/// ```text
///   dialer      Hello ▶        ◀ Hello          Ack ▶             ◀ Ack
///   acceptor          Hello ▶         ◀ Hello          Ack ▶             ◀ Ack
///
///              Hello             go_on               Ack            go_on
///   Greeting ────────▶ Judging ─────────▶ Confirming ────▶ Judging ─────────▶ Open ─────────────┐
///      │               (Hello)                │            (Ack)                │ close         │ Goodbye,
///      │ refuse, Refuse, deadline,            │              │                  ▼               │ violation,
///      │ violation, loss                      │              │               Draining ─────────▶│ loss, silence
///      ▼                                      ▼              ▼                  │ all is sent,  ▼
///    Over(end) ◀────────────────────────────────────────────────────────────────┴ or deadline ─▶
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The peer's Hello is awaited.
    Greeting,
    /// The peer's Hello (or, if set, its Ack) is here: hooks, limits and places are asked.
    Judging {
        /// Whether it is the Ack.
        ack: bool,
    },
    /// The peer's Ack is awaited.
    Confirming,
    /// Messages flow.
    Open,
    /// The program has closed it; what waits is still sent.
    Draining {
        /// Until then at the latest.
        until: Time,
    },
    /// Over. What is said about that is still written, if there is somebody to read it.
    Over(End),
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The program here has closed it.
    ClosedHere,
    /// The peer said goodbye.
    ClosedByPeer {
        /// Why: mostly [`Reason::Closing`].
        reason: Reason,
        /// In words; empty if none were given.
        text: String,
    },
    /// The peer refused the connection in its handshake.
    RefusedByPeer {
        /// Why.
        reason: Reason,
        /// In words; empty if none were given.
        text: String,
    },
    /// We refused or dismissed the peer.
    RefusedHere {
        /// Why.
        reason: Reason,
    },
    /// The peer broke the rules of the wire, or speaks something else.
    Violation(LinkError),
    /// The peer was silent for too long.
    Silent,
    /// The connection broke, or ended without a goodbye.
    Lost,
    /// The handshake took too long.
    HandshakeTimeout,
    /// The runtime that served the connection is gone.
    RuntimeGone,
}

impl End {
    /// Whether another connection may well be had soon without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::ClosedByPeer { .. } | Self::Silent | Self::Lost | Self::HandshakeTimeout => true,
            Self::RefusedByPeer { reason, .. } | Self::RefusedHere { reason } => reason.is_transient(),
            Self::ClosedHere | Self::Violation(_) | Self::RuntimeGone => false,
        }
    }

    /// Whether nothing can be said to the peer any more: the connection is cut.
    pub fn cuts(&self) -> bool {
        matches!(self, Self::Silent | Self::Lost | Self::RuntimeGone)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |f: &mut fmt::Formatter<'_>, what: &str, reason: &Reason, text: &str| match text {
            "" => write!(f, "{what}: {reason}"),
            text => write!(f, "{what}: {reason} ({text})"),
        };
        match self {
            Self::ClosedHere => f.write_str("closed here"),
            Self::ClosedByPeer { reason, text } => told(f, "closed by the peer", reason, text),
            Self::RefusedByPeer { reason, text } => told(f, "refused by the peer", reason, text),
            Self::RefusedHere { reason } => told(f, "refused here", reason, ""),
            Self::Violation(error) => write!(f, "the peer broke the rules of the wire: {error}"),
            Self::Silent => f.write_str("the peer was silent for too long"),
            Self::Lost => f.write_str("connection lost"),
            Self::HandshakeTimeout => f.write_str("handshake timed out"),
            Self::RuntimeGone => f.write_str("the runtime that served the connection was shut down"),
        }
    }
}
