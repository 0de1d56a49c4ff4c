//! Links: connections that speak our own handshake. `docs/link-wire.md` tells every byte.
//!
//! ```text
//! frame     length u32 | layer u8 | protocol u16 | message u16 | payload
//! layer 0   a message of the application; protocol and message are its own numbers
//! layer 1   a message of the session; protocol 0, message is a Kind
//! ```
//!
//! The length counts what is behind it. All integers are big-endian. What the session says is one
//! [`Control`] a message; what a program says may travel in one frame, or in pieces ([`Control::Begin`]).
//!
//! | file | what it holds |
//! | --- | --- |
//! | `head` | what stands in front of every payload |
//! | `kind` | the messages of the session by number |
//! | `control` | each of them, as bytes and back |
//! | `hello` | the first of them, which has a layout of its own |
//! | `metadata` | what a host says about itself |
//! | `reason` | why a connection is refused or ended, and why a request has no answer |
//! | `error` | what is wrong with a frame |
//! | `fields` | integers, texts and bytes in a payload |

mod control;
mod error;
mod fields;
mod head;
mod hello;
mod kind;
mod metadata;
mod reason;

pub use control::Control;
pub use error::LinkError;
pub use head::{Head, Layer};
pub use hello::{Hello, HelloError, NEWEST_VERSION, OLDEST_VERSION, Versions};
pub use kind::Kind;
pub use metadata::{MAX_METADATA_BYTES, MAX_METADATA_PAIRS, Metadata, MetadataError};
pub use reason::{Fault, Reason};

/// Layer, protocol, message: in front of every payload.
pub const HEAD_BYTES: usize = 5;

/// The largest frame, head included: nothing larger is ever sent or accepted.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;

/// The largest frame before the handshake is over, head included.
pub const MAX_HANDSHAKE_BYTES: usize = 32 * 1024;

/// The most that a message of the application may have in one frame; larger ones go in pieces.
pub const MAX_WHOLE_BYTES: usize = MAX_FRAME_BYTES - 64;

/// The longest text in a refusal, a goodbye or a failure.
pub const MAX_TEXT_BYTES: usize = 255;

/// The longest proof in an Ack.
pub const MAX_PROOF_BYTES: usize = 1024;

/// The `length` of a message whose length is not known when it begins.
pub const STREAMED: u64 = u64::MAX;
