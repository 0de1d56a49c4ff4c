//! The Scalability Protocols over a stream: an 8-byte handshake each way, then length-prefixed frames.
//!
//! ```text
//! handshake   00 'S' 'P' 00 | protocol id u16 | 00 00        spec 2.1
//! tcp frame   length u64 | payload                           spec 2.2
//! ipc frame   01 | length u64 | payload                      spec 2.3
//! ```
//!
//! All integers are big-endian. The protocol header (ids, backtraces) counts as payload here.

use alloc::vec::Vec;
use core::fmt;

/// A side of a pattern, with the number that says so on the wire (spec 1).
///
/// Raw and cooked sockets of a protocol share its number.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Protocol {
    /// One peer, both ways.
    Pair0 = 0x0010,
    /// One peer (or, polyamorous, many) with a hop count.
    Pair1 = 0x0011,
    /// Publisher.
    Pub = 0x0020,
    /// Subscriber.
    Sub = 0x0021,
    /// Asks.
    Req = 0x0030,
    /// Replies.
    Rep = 0x0031,
    /// Gives out jobs.
    Push = 0x0050,
    /// Takes jobs.
    Pull = 0x0051,
    /// Asks everybody.
    Surveyor = 0x0062,
    /// Answers surveys.
    Respondent = 0x0063,
    /// Everybody to all neighbours.
    Bus = 0x0070,
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Self; 11] = [
        Self::Pair0,
        Self::Pair1,
        Self::Pub,
        Self::Sub,
        Self::Req,
        Self::Rep,
        Self::Push,
        Self::Pull,
        Self::Surveyor,
        Self::Respondent,
        Self::Bus,
    ];

    /// The number on the wire.
    pub const fn id(self) -> u16 {
        self as u16
    }

    /// The protocol with this number.
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.id() == id)
    }

    /// The only protocol that may be at the other end.
    pub const fn peer(self) -> Self {
        match self {
            Self::Pair0 => Self::Pair0,
            Self::Pair1 => Self::Pair1,
            Self::Pub => Self::Sub,
            Self::Sub => Self::Pub,
            Self::Req => Self::Rep,
            Self::Rep => Self::Req,
            Self::Push => Self::Pull,
            Self::Pull => Self::Push,
            Self::Surveyor => Self::Respondent,
            Self::Respondent => Self::Surveyor,
            Self::Bus => Self::Bus,
        }
    }

    /// The name that the SP family uses, in WebSocket sub-protocols among other places.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pair0 => "pair",
            Self::Pair1 => "pair1",
            Self::Pub => "pub",
            Self::Sub => "sub",
            Self::Req => "req",
            Self::Rep => "rep",
            Self::Push => "push",
            Self::Pull => "pull",
            Self::Surveyor => "surveyor",
            Self::Respondent => "respondent",
            Self::Bus => "bus",
        }
    }

    /// The handshake that a socket of this protocol sends.
    pub const fn handshake(self) -> [u8; HANDSHAKE_BYTES] {
        let [high, low] = self.id().to_be_bytes();
        [0, b'S', b'P', 0, high, low, 0, 0]
    }

    /// Whether `bytes` is the handshake of the peer that belongs to this protocol.
    ///
    /// Strict in the reserved bytes too, as NNG and mangos are (nanomsg does not look at them).
    pub fn check(self, bytes: &[u8; HANDSHAKE_BYTES]) -> Result<(), HandshakeError> {
        let [0, b'S', b'P', 0, high, low, reserved @ ..] = *bytes else {
            return Err(HandshakeError::NotSp);
        };
        if reserved != [0, 0] {
            return Err(HandshakeError::NotSp);
        }
        let id = u16::from_be_bytes([high, low]);
        if id != self.peer().id() {
            return Err(HandshakeError::WrongProtocol { id });
        }
        Ok(())
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The length of the handshake, the same on every stream transport.
pub const HANDSHAKE_BYTES: usize = 8;

/// Why a handshake was not accepted.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// The bytes are not an SP handshake of a version that exists.
    NotSp,
    /// The peer is an SP socket of a protocol that does not belong to ours.
    WrongProtocol {
        /// The number it gave.
        id: u16,
    },
}

/// How frames are marked on a stream.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Length and payload: tcp, and adopted descriptors.
    Tcp,
    /// A type byte in front: ipc, unix, abstract.
    Ipc,
    /// Four bytes of length: what speaks our own handshake instead of SP's ([`link`](super::link)).
    Link,
}

/// The only frame type on ipc. nanomsg aborts on any other, so we must never send one.
const IPC_IN_BAND: u8 = 1;

/// The longest prefix of a frame in either framing.
pub const MAX_PREFIX_BYTES: usize = 9;

impl Framing {
    /// Bytes in front of each payload.
    #[inline]
    pub const fn prefix_bytes(self) -> usize {
        match self {
            Self::Tcp => 8,
            Self::Ipc => 9,
            Self::Link => 4,
        }
    }

    /// The prefix of a frame with a payload of `length` bytes; only the first
    /// [`prefix_bytes`](Self::prefix_bytes) of the result count.
    #[inline]
    pub const fn encode_prefix(self, length: u64) -> [u8; MAX_PREFIX_BYTES] {
        let [a, b, c, d, e, f, g, h] = length.to_be_bytes();
        match self {
            Self::Tcp => [a, b, c, d, e, f, g, h, 0],
            Self::Ipc => [IPC_IN_BAND, a, b, c, d, e, f, g, h],
            // Frames of links are small: larger messages go in pieces.
            Self::Link => [e, f, g, h, 0, 0, 0, 0, 0],
        }
    }

    /// Appends the prefix of a frame with a payload of `length` bytes.
    #[inline]
    pub fn append_prefix(self, length: u64, out: &mut Vec<u8>) {
        let prefix = self.encode_prefix(length);
        // Of a length that the compiler knows: no call for a copy so small.
        match self {
            Self::Tcp => out.extend_from_slice(&prefix[..8]),
            Self::Ipc => out.extend_from_slice(&prefix),
            Self::Link => out.extend_from_slice(&prefix[..4]),
        }
    }

    /// Reads a prefix from the front of `bytes`: the length of the payload behind it.
    ///
    /// `Ok(None)` when more bytes are needed. `limit` is the largest length allowed, 0 for any that
    /// fits in memory at all; lengths of 2^63 and more are never allowed (spec 2.4).
    #[inline]
    pub fn decode_prefix(self, bytes: &[u8], limit: usize) -> Result<Option<usize>, FrameError> {
        let length = match self {
            Self::Tcp => bytes,
            Self::Link => return decode_short(bytes, limit),
            Self::Ipc => match bytes.split_first() {
                None => return Ok(None),
                Some((&IPC_IN_BAND, rest)) => rest,
                Some((&kind, _)) => return Err(FrameError::UnknownType { kind }),
            },
        };
        let Some(length) = length.first_chunk::<8>() else { return Ok(None) };
        let claimed = u64::from_be_bytes(*length);
        let limit = if limit == 0 { isize::MAX as u64 } else { limit as u64 };
        match usize::try_from(claimed) {
            Ok(length) if claimed <= limit => Ok(Some(length)),
            _ => Err(FrameError::TooLarge { claimed }),
        }
    }
}

/// The length of a frame of a link.
fn decode_short(bytes: &[u8], limit: usize) -> Result<Option<usize>, FrameError> {
    let Some(length) = bytes.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length);
    match usize::try_from(length) {
        Ok(length) if limit == 0 || length <= limit => Ok(Some(length)),
        _ => Err(FrameError::TooLarge { claimed: length.into() }),
    }
}

/// Why a frame was not accepted. Its connection ends.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The ipc type byte is not 1.
    UnknownType {
        /// What it was.
        kind: u8,
    },
    /// The payload would be larger than allowed.
    TooLarge {
        /// What the peer claimed.
        claimed: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_printed_by_its_name() {
        for protocol in Protocol::ALL {
            assert!(!protocol.name().is_empty());
            assert_eq!(std::format!("{protocol}"), protocol.name());
        }
    }

    #[test]
    fn a_length_equal_to_the_limit_is_allowed_and_one_more_is_not() {
        let prefix = Framing::Tcp.encode_prefix(100);
        assert_eq!(Framing::Tcp.decode_prefix(&prefix, 100), Ok(Some(100)));
        assert_eq!(Framing::Tcp.decode_prefix(&prefix, 99), Err(FrameError::TooLarge { claimed: 100 }));
    }

    #[test]
    fn absurd_lengths_are_refused_even_without_a_limit() {
        for claimed in [1 << 63, u64::MAX, u64::MAX - 7] {
            let prefix = Framing::Ipc.encode_prefix(claimed);
            assert_eq!(Framing::Ipc.decode_prefix(&prefix, 0), Err(FrameError::TooLarge { claimed }));
        }
    }

    #[test]
    fn a_wrong_type_is_seen_at_its_first_byte() {
        assert_eq!(Framing::Ipc.decode_prefix(&[2], 0), Err(FrameError::UnknownType { kind: 2 }));
        assert_eq!(Framing::Ipc.decode_prefix(&[], 0), Ok(None));
        assert_eq!(Framing::Ipc.decode_prefix(&[1, 0, 0], 0), Ok(None));
    }

    #[test]
    fn every_protocol_accepts_its_peer_alone() {
        for ours in Protocol::ALL {
            for theirs in Protocol::ALL {
                assert_eq!(ours.check(&theirs.handshake()).is_ok(), theirs == ours.peer());
            }
            for (at, byte) in [(0, 1), (1, b'T'), (3, 1), (6, 1), (7, 1)] {
                let mut bytes = ours.peer().handshake();
                bytes[at] = byte;
                assert_eq!(ours.check(&bytes), Err(HandshakeError::NotSp));
            }
        }
    }
}
