//! Who listens to what happens on the connections of a server or a pool.

use super::Event;
use crate::hub;

impl hub::Event for Event {
    fn missed(count: u64) -> Self {
        Self::Missed(count)
    }
}

/// What happens on the connections of a [`Server`](super::Server) or a [`Pool`](super::Pool), from the call
/// that made this on. Ends when that is gone with all of its connections.
///
/// A [`Stream`](futures_core::Stream); or call `next`. Cancel-safe.
pub type Events = hub::Events<Event>;

/// Whom events are told. Never used under the lock of a connection.
pub(super) type Hub = hub::Shared<Event>;
