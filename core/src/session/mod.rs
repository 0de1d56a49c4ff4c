//! One connection: its life, what waits to be written, what has been read.
//!
//! | file | what it decides |
//! | --- | --- |
//! | [`state`] | handshake, attached, draining, closed: the life of a connection |
//! | [`outbox`] | bytes that wait to be written, and which messages they belong to |
//! | [`inbox`] | messages cut out of the bytes that were read |
//! | [`trail`] | what a cut may have swallowed |
//! | [`pulse`] | whether the peer is still there, and how far away it is |
//! | [`backoff`] | how long a dialer waits before it tries again |

pub mod backoff;
pub mod inbox;
pub mod outbox;
pub mod pulse;
pub mod state;
pub mod trail;
