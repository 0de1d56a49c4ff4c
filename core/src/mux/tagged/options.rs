//! The bounds of a tagged connection.

use super::cutter::MAX_HEAD_BYTES;
use core::time::Duration;

/// The bounds of a tagged connection.
///
/// Values outside a field's range are moved to the nearest end of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaggedOptions {
    /// The largest message that is sent or accepted. Default 16 MiB; 1 byte to 4 GiB less one. A peer that
    /// claims a larger one ends the connection: there is no way to go on behind it but to read it.
    pub max_message_bytes: usize,
    /// Messages that may wait for the receiver of an id. Default 1,024; at least 1.
    pub recv_messages: usize,
    /// Bytes of them, ids and lengths included. Default 16 MiB; a single message may always wait.
    pub recv_bytes: usize,
    /// Bytes that may wait for all receivers together. Default 256 MiB; at least one message. Each id may
    /// have its share of as much again, `total_bytes / max_ids`, whatever others have: so those who receive
    /// small messages in time are not hurt by those who do not, and twice this is the most that ever waits.
    pub total_bytes: usize,
    /// Ids that may be open at once. Default 4,096; at least 1.
    pub max_ids: usize,
    /// What happens when there is no room for a message. Default: its id ends.
    pub overflow: Overflow,
    /// Messages that may wait to be written. Default 1,024; at least 1. With more, `send` waits.
    pub send_messages: usize,
    /// Bytes of them. Default 1 MiB; a single message may always wait.
    pub send_bytes: usize,
    /// How long a connection of which all handles are dropped goes on in the background to write what waits.
    /// Default 1 s.
    pub close_deadline: Duration,
}

/// What happens when there is no room for a message that has come. There is no credit in this layout, so its
/// sender cannot be told to wait: one of these it must be.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Its id ends with an error, behind the messages that wait already. Later ones of this id are discarded
    /// and counted. Nobody else is held up.
    #[default]
    End,
    /// Nothing more is read from the peer until there is room: no message is lost, and **all ids wait for the
    /// slowest one**. Two sides that both do so and both send without receiving wait for ever.
    Stall,
    /// This message is discarded and counted. Nobody else is held up.
    Discard,
}

impl Default for TaggedOptions {
    fn default() -> Self {
        Self {
            max_message_bytes: 16 * 1024 * 1024,
            recv_messages: 1_024,
            recv_bytes: 16 * 1024 * 1024,
            total_bytes: 256 * 1024 * 1024,
            max_ids: 4_096,
            overflow: Overflow::End,
            send_messages: 1_024,
            send_bytes: 1024 * 1024,
            close_deadline: Duration::from_secs(1),
        }
    }
}

impl TaggedOptions {
    /// The same with every value inside its range; connections apply this themselves.
    #[must_use]
    pub fn clamped(mut self) -> Self {
        self.max_message_bytes = self.max_message_bytes.clamp(1, u32::MAX as usize);
        self.recv_messages = self.recv_messages.max(1);
        let largest = self.max_message_bytes.saturating_add(MAX_HEAD_BYTES);
        self.total_bytes = self.total_bytes.max(largest);
        self.max_ids = self.max_ids.max(1);
        self.send_messages = self.send_messages.max(1);
        self
    }
}
