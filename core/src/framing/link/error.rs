//! [`LinkError`]: what is wrong with a frame.

use super::HelloError;
use core::fmt;

/// What is wrong with a frame. The connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkError {
    /// It is shorter than what it says it is.
    Short,
    /// It has bytes behind its last field.
    TooMuch,
    /// There is no such layer.
    UnknownLayer(u8),
    /// The session has no such message.
    UnknownKind {
        /// The protocol it names; only 0 exists.
        protocol: u16,
        /// The message it names.
        message: u16,
    },
    /// A field has a value that it may not have.
    BadField(&'static str),
    /// What should be a Hello is none.
    Hello(HelloError),
    /// Larger than allowed.
    TooLarge {
        /// What the peer claimed, in bytes.
        claimed: u64,
    },
    /// A message that is not allowed at this point.
    Unexpected(&'static str),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("a frame ends too early"),
            Self::TooMuch => f.write_str("a frame is longer than its fields"),
            Self::UnknownLayer(layer) => write!(f, "there is no layer {layer}"),
            Self::UnknownKind { protocol, message } => {
                write!(f, "the session has no message {protocol}.{message}")
            }
            Self::BadField(field) => write!(f, "bad value of {field}"),
            Self::Hello(error) => error.fmt(f),
            Self::TooLarge { claimed } => write!(f, "{claimed} bytes are more than allowed"),
            Self::Unexpected(what) => write!(f, "unexpected {what}"),
        }
    }
}

impl core::error::Error for LinkError {}
