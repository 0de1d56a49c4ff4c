//! What the machine tells whoever drives it: frames, what has changed, what was counted, what was refused.

use crate::session::outbox::Outgoing;

/// A frame to write, and whether a message of the application has left whole with it.
pub type Frame = Outgoing<bool>;

/// What has changed since it was asked last: who is to be woken.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// There are messages to take.
    pub messages: bool,
    /// There are requests to take.
    pub requests: bool,
    /// There are streams, or pieces of them, to take.
    pub streams: bool,
    /// There are answers to take.
    pub answers: bool,
    /// There is room to send.
    pub room: bool,
    /// The state is another one.
    pub state: bool,
    /// The peer's metadata are others.
    pub metadata: bool,
}

/// What a connection has counted.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStats {
    /// Messages, requests and answers that were accepted to be sent.
    pub sent_messages: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Messages, requests and answers that came whole.
    pub received_messages: u64,
    /// Their bytes, those of streams included.
    pub received_bytes: u64,
    /// Messages of the peer that were discarded: they came after the end, or nobody waited for them.
    pub discarded_messages: u64,
    /// Requests that were answered with `Busy`, since too many waited.
    pub busy_requests: u64,
    /// Times that the peer had to wait, since it was faster than it may be.
    pub slowed: u64,
    /// Pings sent.
    pub pings: u64,
    /// Messages that wait to be sent.
    pub send_waiting: u64,
    /// Messages, requests included, that wait to be taken.
    pub recv_waiting: u64,
}

/// Why something was not accepted to be sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// There is no room for now.
    Full,
    /// It is larger than the peer takes in one piece.
    TooLarge {
        /// What it takes, in bytes.
        limit: u64,
    },
    /// The connection is not open.
    Over,
}
