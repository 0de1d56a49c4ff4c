//! [`Hello`]: who I am, what I speak, what I can take.

use super::fields::{Fields, put_text, put_u16, put_u32, put_u64};
use super::{LinkError, Metadata};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// The newest version that we speak.
pub const NEWEST_VERSION: u8 = 1;
/// The oldest version that we speak.
pub const OLDEST_VERSION: u8 = 1;

/// How every Hello of every version begins.
const MAGIC: &[u8; 4] = b"SWLK";

/// The versions that somebody speaks: all from the oldest to the newest.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The newest.
    pub newest: u8,
    /// The oldest.
    pub oldest: u8,
}

impl Versions {
    /// Ours.
    pub const OURS: Self = Self { newest: NEWEST_VERSION, oldest: OLDEST_VERSION };

    /// The newest that both speak.
    pub fn common(self, other: Self) -> Option<u8> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.newest == self.oldest {
            true => write!(f, "version {}", self.newest),
            false => write!(f, "versions {} to {}", self.oldest, self.newest),
        }
    }
}

/// The first message of each side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What it speaks.
    pub versions: Versions,
    /// What it can and wants: see the constants of this type. Unknown bits mean nothing.
    pub capabilities: u32,
    /// Different each time the host starts.
    pub instance: [u8; 16],
    /// Different for each connection: what proofs are made of.
    pub nonce: [u8; 32],
    /// Messages that may be on their way to it, not yet taken by its program. At least 1.
    pub window_messages: u32,
    /// Bytes of them; a single message may always be.
    pub window_bytes: u32,
    /// The largest message it accepts.
    pub max_message_bytes: u64,
    /// Streamed messages that may be on their way to it at once.
    pub streams: u16,
    /// Bytes of each of them that may be on their way, not yet taken by its program.
    pub stream_window_bytes: u32,
    /// Its logical host: 1 to 255 bytes.
    pub host: String,
    /// What it says about itself.
    pub metadata: Metadata,
}

/// Why a Hello is none that we understand.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum HelloError {
    /// The peer speaks something else.
    NotALink,
    /// It speaks no version that we do.
    Version {
        /// Those it speaks.
        theirs: Versions,
    },
}

impl fmt::Display for HelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotALink => f.write_str("the peer does not speak the link protocol"),
            Self::Version { theirs } => {
                write!(f, "the peer speaks {theirs} of the link protocol, this side {}", Versions::OURS)
            }
        }
    }
}

impl Hello {
    /// It wants no more than one connection between the two hosts. In force if both want it.
    pub const ONE: u32 = 1;

    /// Whether all of these bits are set.
    pub fn has(&self, capabilities: u32) -> bool {
        self.capabilities & capabilities == capabilities
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[self.versions.newest, self.versions.oldest]);
        put_u32(&mut out, self.capabilities);
        out.extend_from_slice(&self.instance);
        out.extend_from_slice(&self.nonce);
        put_u32(&mut out, self.window_messages);
        put_u32(&mut out, self.window_bytes);
        put_u64(&mut out, self.max_message_bytes);
        put_u16(&mut out, self.streams);
        put_u32(&mut out, self.stream_window_bytes);
        put_text(&mut out, &self.host);
        self.metadata.encode(&mut out);
        out
    }

    /// Reads a payload. What a newer version may have put behind the last field is not looked at.
    ///
    /// # Errors
    /// It is no Hello, or of no version that we speak, or not what its fields say.
    pub fn decode(payload: Bytes) -> Result<Self, LinkError> {
        let mut from = Fields(payload);
        let not_a_link = |_| LinkError::Hello(HelloError::NotALink);
        if from.take(4).map_err(not_a_link)? != MAGIC[..] {
            return Err(LinkError::Hello(HelloError::NotALink));
        }
        let theirs = Versions { newest: from.u8()?, oldest: from.u8()? };
        if theirs.oldest > theirs.newest {
            return Err(LinkError::BadField("version"));
        }
        if Versions::OURS.common(theirs).is_none() {
            return Err(LinkError::Hello(HelloError::Version { theirs }));
        }
        let capabilities = from.u32()?;
        let short = |_| LinkError::Short;
        let instance = from.take(16)?[..].try_into().map_err(short)?;
        let nonce = from.take(32)?[..].try_into().map_err(short)?;
        let hello = Self {
            versions: theirs,
            capabilities,
            instance,
            nonce,
            window_messages: from.u32()?,
            window_bytes: from.u32()?,
            max_message_bytes: from.u64()?,
            streams: from.u16()?,
            stream_window_bytes: from.u32()?,
            host: from.text()?,
            metadata: Metadata::decode(&mut from)?,
        };
        match (hello.host.is_empty(), hello.window_messages) {
            (true, _) => Err(LinkError::BadField("host")),
            (_, 0) => Err(LinkError::BadField("window")),
            _ => Ok(hello),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn hello() -> Hello {
        let mut metadata = Metadata::default();
        metadata.set("os", "plan9").unwrap();
        Hello {
            versions: Versions::OURS,
            capabilities: Hello::ONE,
            instance: *b"0123456789abcdef",
            nonce: *b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345",
            window_messages: 1_024,
            window_bytes: 4 << 20,
            max_message_bytes: 64 << 20,
            streams: 16,
            stream_window_bytes: 256 << 10,
            host: "ann".into(),
            metadata,
        }
    }

    #[test]
    fn a_hello_has_its_exact_bytes() {
        let bytes = [
            &b"SWLK\x01\x01\0\0\0\x01"[..],
            b"0123456789abcdef",
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345",
            b"\0\0\x04\0\0\x40\0\0\0\0\0\0\x04\0\0\0\0\x10\0\x04\0\0",
            b"\x03ann",
            b"\0\x01\x02os\0\x05plan9",
        ]
        .concat();
        assert_eq!(hello().encode(), bytes);
        assert_eq!(Hello::decode(bytes.clone().into()), Ok(hello()));
        // Every cut is an error by name, and what is behind the last field does not matter.
        for cut in 0..bytes.len() {
            assert!(Hello::decode(bytes[..cut].to_vec().into()).is_err(), "cut at {cut}");
        }
        let longer = [&bytes[..], b"of a later version"].concat();
        assert_eq!(Hello::decode(longer.into()), Ok(hello()));
    }

    #[test]
    fn another_version_is_named_whatever_follows() {
        let theirs = Versions { newest: 9, oldest: 7 };
        let decoded = Hello::decode(Bytes::from_static(b"SWLK\x09\x07 anything at all"));
        assert_eq!(decoded, Err(LinkError::Hello(HelloError::Version { theirs })));
        let text = std::string::ToString::to_string(&decoded.unwrap_err());
        assert_eq!(text, "the peer speaks versions 7 to 9 of the link protocol, this side version 1");
        let decoded = Hello::decode(Bytes::from_static(b"SWLK\x01\x02"));
        assert_eq!(decoded, Err(LinkError::BadField("version")));
    }

    #[test]
    fn the_newest_common_version_counts() {
        let v = |oldest, newest| Versions { newest, oldest };
        assert_eq!(v(1, 3).common(v(2, 5)), Some(3));
        assert_eq!(v(2, 5).common(v(1, 3)), Some(3));
        assert_eq!(v(1, 2).common(v(3, 5)), None);
    }

    #[test]
    fn what_is_no_hello_is_told_apart_from_a_bad_one() {
        for bytes in [&b""[..], b"SW", b"\0SP\0\0\x30\0\0", b"GET / HTTP/1.1"] {
            let decoded = Hello::decode(Bytes::copy_from_slice(bytes));
            assert_eq!(decoded, Err(LinkError::Hello(HelloError::NotALink)), "{bytes:?}");
        }
        let nameless = Hello { host: String::new(), ..hello() };
        assert_eq!(Hello::decode(nameless.encode().into()), Err(LinkError::BadField("host")));
        let narrow = Hello { window_messages: 0, ..hello() };
        assert_eq!(Hello::decode(narrow.encode().into()), Err(LinkError::BadField("window")));
    }
}
