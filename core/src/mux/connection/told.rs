//! What a connection tells: how it and its channels ended, what has changed, what was counted.

use super::super::frame::MuxError;
use super::super::id::Code;
use crate::session::outbox;
use alloc::string::String;
use core::fmt;

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The program here has closed it.
    ClosedHere,
    /// The peer said that it goes away.
    ClosedByPeer {
        /// Why.
        code: Code,
        /// In words; empty if none were given.
        text: String,
    },
    /// There was no channel for too long.
    Idle,
    /// The peer broke the rules of the wire, or speaks something else.
    Violation(MuxError),
    /// The peer was silent for too long.
    Silent,
    /// The connection broke, or ended without a word.
    Lost,
    /// The peer's Hello did not come in time.
    HandshakeTimeout,
    /// The runtime that served the connection is gone.
    RuntimeGone,
}

impl End {
    /// Whether another connection may well be had soon without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::ClosedByPeer { code, .. } => *code != Code::VIOLATION,
            Self::Idle | Self::Silent | Self::Lost | Self::HandshakeTimeout => true,
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
        match self {
            Self::ClosedHere => f.write_str("closed here"),
            Self::ClosedByPeer { code, text } if text.is_empty() => write!(f, "closed by the peer: {code}"),
            Self::ClosedByPeer { code, text } => write!(f, "closed by the peer: {code} ({text})"),
            Self::Idle => f.write_str("no channels for too long"),
            Self::Violation(error) => write!(f, "the peer broke the rules of the wire: {error}"),
            Self::Silent => f.write_str("the peer was silent for too long"),
            Self::Lost => f.write_str("connection lost"),
            Self::HandshakeTimeout => f.write_str("the peer did not say hello in time"),
            Self::RuntimeGone => f.write_str("the runtime that served the connection was shut down"),
        }
    }
}

/// How a channel ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelEnd {
    /// The peer has reset it, or refused it.
    ResetByPeer {
        /// Why.
        code: Code,
        /// In words; empty if none were given.
        text: String,
    },
    /// It was reset here.
    ResetHere {
        /// Why.
        code: Code,
    },
    /// The peer went away before it looked at the channel: nothing of it was ever seen there.
    NeverSeen,
    /// The connection ended.
    Connection(End),
}

impl ChannelEnd {
    /// Whether the same may well work soon without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::ResetByPeer { code, .. } | Self::ResetHere { code } => {
                matches!(*code, Code::BUSY | Code::LEAVING | Code::IDLE)
            }
            Self::NeverSeen => true,
            Self::Connection(end) => end.is_transient(),
        }
    }
}

impl fmt::Display for ChannelEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ResetByPeer { code, text } if text.is_empty() => write!(f, "reset by the peer: {code}"),
            Self::ResetByPeer { code, text } => write!(f, "reset by the peer: {code} ({text})"),
            Self::ResetHere { code } => write!(f, "reset here: {code}"),
            Self::NeverSeen => f.write_str("the peer went away before it saw the channel"),
            Self::Connection(end) => end.fmt(f),
        }
    }
}

/// Which channel. It stays the same one's until that is [released](super::Mux::release).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub(super) slot: u32,
    pub(super) number: u32,
}

impl Place {
    /// Its number on the wire.
    pub fn number(self) -> u32 {
        self.number
    }

    /// The index under which what belongs to it can be kept; another channel gets it later.
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

/// A frame to write, and the channel of which a message has left whole with it.
pub type Outgoing = outbox::Outgoing<Option<Place>>;

/// What has changed on a channel.
#[derive(Copy, Clone, Default, PartialEq, Eq)]
pub struct Changes(pub(super) u8);

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("read", &self.read())
            .field("room", &self.room())
            .field("state", &self.state())
            .finish()
    }
}

impl Changes {
    pub(super) const READ: u8 = 1;
    pub(super) const ROOM: u8 = 2;
    pub(super) const STATE: u8 = 4;

    /// There may be something to take.
    pub fn read(self) -> bool {
        self.0 & Self::READ != 0
    }

    /// There may be room to send.
    pub fn room(self) -> bool {
        self.0 & Self::ROOM != 0
    }

    /// Something was delivered, or accepted, or has ended.
    pub fn state(self) -> bool {
        self.0 & Self::STATE != 0
    }
}

/// What has changed on the connection.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionChanges {
    /// Channels came that nobody has accepted.
    pub incoming: bool,
    /// Channels may be opened, or never more.
    pub openings: bool,
    /// The state is another one.
    pub state: bool,
    /// Another round trip was measured.
    pub round_trip: bool,
    /// A channel has ended, held by anybody or not.
    pub ended: bool,
}

/// What became of the messages that were sent on a channel.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Accepted to be sent.
    pub accepted: u64,
    /// Of these: in the queue of the peer's program, or were.
    pub delivered: u64,
    /// Never left whole, and never will.
    pub abandoned: u64,
    /// Left whole, and it is not known whether they arrived. On a channel that goes on: on their way.
    pub unknown: u64,
}

/// What a channel has counted.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelStats {
    /// What became of what was sent.
    pub account: Account,
    /// Messages that came whole.
    pub received: u64,
    /// Messages that wait to be sent.
    pub send_waiting: usize,
    /// Bytes that wait to be sent.
    pub send_waiting_bytes: usize,
    /// Messages that wait to be taken.
    pub recv_waiting: usize,
    /// Bytes that wait to be taken, those of a message that is not whole yet included.
    pub recv_waiting_bytes: usize,
    /// Bytes of credit that we have.
    pub send_credit: u64,
    /// Bytes of credit that the peer has.
    pub recv_credit: u64,
    /// Bytes that may be on their way to us, at the moment.
    pub window: u64,
    /// Times that there was something to send, and no credit: the peer's program was too slow.
    pub stalled_by_peer: u64,
}

/// What a connection has counted.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MuxStats {
    /// Channels now.
    pub channels: usize,
    /// Channels that we opened.
    pub opened: u64,
    /// Channels that the peer opened.
    pub incoming: u64,
    /// Of these, refused.
    pub refused: u64,
    /// Messages that left whole.
    pub sent_messages: u64,
    /// Bytes of messages that left.
    pub sent_bytes: u64,
    /// Messages that came whole.
    pub received_messages: u64,
    /// Bytes of messages that came.
    pub received_bytes: u64,
    /// Bytes that came for channels that wanted nothing more.
    pub discarded_bytes: u64,
    /// Memory beyond their own windows that channels hold or may need.
    pub shared_used: u64,
    /// Pings sent.
    pub pings: u64,
    /// Times that a channel had something to send, and no credit: those that are gone included.
    pub stalls: u64,
}

/// Why no channel was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// The peer takes no more for now.
    Full,
    /// The connection takes no new ones.
    Leaving,
    /// The connection is over.
    Over(End),
}
