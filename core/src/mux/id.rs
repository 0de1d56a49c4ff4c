//! [`ChannelId`]: what a channel is called; [`Code`]: why one ends.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;

/// The longest id, in bytes.
pub const MAX_ID_BYTES: usize = 255;

/// What a logical connection is called: up to 255 bytes of text, or nothing.
///
/// ```
/// use spanwire_core::mux::ChannelId;
/// let id = ChannelId::new("user-session").unwrap();
/// assert_eq!(id.as_str(), "user-session");
/// let id = ChannelId::uuid(0x67e55044_10b1_426f_9247_bb680e5fe0c8);
/// assert_eq!(id.as_str(), "67e55044-10b1-426f-9247-bb680e5fe0c8");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(
    // Most channels of a busy connection have none, and who has one shares it: this way it takes one word.
    Option<Arc<Box<str>>>,
);

/// An id of more than 255 bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct IdTooLong;

impl fmt::Display for IdTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the id of a channel has at most {MAX_ID_BYTES} bytes")
    }
}

impl core::error::Error for IdTooLong {}

impl ChannelId {
    /// No name. Whoever accepts with it accepts all.
    pub const EMPTY: Self = Self(None);

    /// By text.
    ///
    /// # Errors
    /// It has more than 255 bytes.
    pub fn new(text: impl AsRef<str>) -> Result<Self, IdTooLong> {
        match text.as_ref() {
            "" => Ok(Self::EMPTY),
            text if text.len() <= MAX_ID_BYTES => Ok(Self(Some(Arc::new(text.into())))),
            _ => Err(IdTooLong),
        }
    }

    /// By a UUID (RFC 9562), as its text with hyphens and small letters.
    pub fn uuid(uuid: u128) -> Self {
        let [a, b, c, d, e] = [(96, 8), (80, 4), (64, 4), (48, 4), (0, 12)].map(|(shift, digits)| {
            let digit_mask = (1_u128 << (digits * 4)) - 1;
            (uuid >> shift & digit_mask, digits)
        });
        let mut text = String::with_capacity(36);
        for (at, (value, digits)) in [a, b, c, d, e].into_iter().enumerate() {
            if at > 0 {
                text.push('-');
            }
            // Writing to a string does not fail.
            let _ = fmt::Write::write_fmt(&mut text, format_args!("{value:0digits$x}"));
        }
        Self(Some(Arc::new(text.into())))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or("", |text| text)
    }

    /// Whether it is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        Self::new(core::str::from_utf8(bytes).ok()?).ok()
    }
}

impl Default for ChannelId {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<&str> for ChannelId {
    type Error = IdTooLong;
    fn try_from(text: &str) -> Result<Self, IdTooLong> {
        Self::new(text)
    }
}

/// Why a channel or a connection ends, as a number on the wire. From 256 on they are the application's.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u32);

impl Code {
    /// Nothing special: it is done.
    pub const NONE: Self = Self(0);
    /// The rules of the wire were broken.
    pub const VIOLATION: Self = Self(1);
    /// There is one of this id, and the acceptor wants no other.
    pub const SAME_ID: Self = Self(2);
    /// As many channels wait to be accepted as may.
    pub const BUSY: Self = Self(3);
    /// The side takes no new channels: it is about to end. It was never looked at, and can be opened elsewhere.
    pub const LEAVING: Self = Self(4);
    /// The program has dropped it.
    pub const DROPPED: Self = Self(5);
    /// Nothing has happened for too long.
    pub const IDLE: Self = Self(6);
    /// A message is longer than the receiver takes.
    pub const TOO_LARGE: Self = Self(7);
    /// Nobody accepts channels of this id.
    pub const NOBODY: Self = Self(8);
    /// The first of the application's own.
    pub const APPLICATION: u32 = 256;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::NONE => "done",
            Self::VIOLATION => "the rules of the wire were broken",
            Self::SAME_ID => "there is another channel of this id",
            Self::BUSY => "too many channels wait to be accepted",
            Self::LEAVING => "no new channels are taken",
            Self::DROPPED => "dropped by the program",
            Self::IDLE => "idle for too long",
            Self::TOO_LARGE => "a message was longer than the receiver takes",
            Self::NOBODY => "nobody accepts channels of this id",
            Self(code) => return f.write_str(&code.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_at_most_255_bytes() {
        assert!(ChannelId::new("x".repeat(255)).is_ok());
        assert_eq!(ChannelId::new("x".repeat(256)), Err(IdTooLong));
        assert!(ChannelId::new("").unwrap().is_empty());
    }
}
