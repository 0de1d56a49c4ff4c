//! [`Header`]: the bytes in front of a payload; [`mask`]: what lies over those of a client.
//!
//! ```text
//!  0 1 2 3  4..7     8  9..15    16..
//!  F R R R  opcode   M  length   16 or 64 more bits of length, if it is 126 or 127 | 4 bytes of key, if M
//! ```

use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

/// Which side of a connection: the one that dialled, or the one that listened. Clients mask what they
/// send, servers must not (RFC 6455 5.1).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// It dialled.
    Client,
    /// It listened.
    Server,
}

impl Side {
    /// The other one.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What a frame is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// More of a message whose first part came before.
    Continuation,
    /// A message of text, or its first part. SP has none.
    Text,
    /// A message of bytes, or its first part.
    Binary,
    /// The sender says nothing more.
    Close,
    /// To be answered.
    Ping,
    /// An answer.
    Pong,
}

impl Opcode {
    const fn number(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Continuation),
            1 => Some(Self::Text),
            2 => Some(Self::Binary),
            8 => Some(Self::Close),
            9 => Some(Self::Ping),
            10 => Some(Self::Pong),
            _ => None,
        }
    }

    /// Whether it is about the connection, and may stand between the parts of a message.
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The longest header.
pub const MAX_HEADER_BYTES: usize = 14;
/// The longest payload of a control frame.
pub const MAX_CONTROL_BYTES: usize = 125;

/// What stands in front of a payload.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// It is the last frame of its message.
    pub last: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The mask over the payload, if there is one.
    pub key: Option<[u8; 4]>,
    /// Bytes of payload.
    pub length: u64,
}

impl Header {
    /// A whole frame of its own.
    pub const fn whole(opcode: Opcode, key: Option<[u8; 4]>, length: usize) -> Self {
        Self { last: true, opcode, key, length: length as u64 }
    }

    /// Appends it, its length in as few bytes as there can be: NNG takes nothing else.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut bytes = [0; MAX_HEADER_BYTES];
        bytes[0] = u8::from(self.last) << 7 | self.opcode.number();
        let masked = u8::from(self.key.is_some()) << 7;
        let mut count = match self.length {
            length @ 0..=125 => {
                bytes[1] = masked | length as u8;
                2
            }
            length @ 126..=0xffff => {
                bytes[1] = masked | 126;
                bytes[2..4].copy_from_slice(&(length as u16).to_be_bytes());
                4
            }
            length => {
                bytes[1] = masked | 127;
                bytes[2..10].copy_from_slice(&length.to_be_bytes());
                10
            }
        };
        if let Some(key) = self.key {
            bytes[count..count + 4].copy_from_slice(&key);
            count += 4;
        }
        out.extend_from_slice(&bytes[..count]);
    }

    /// Reads a header that `from` has sent from the front of `bytes`, and how long it is. `Ok(None)` when
    /// more bytes are needed; what is wrong is said at the first byte that shows it.
    #[inline]
    pub fn decode(bytes: &[u8], from: Side) -> Result<Option<(Self, usize)>, Fault> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Fault::Reserved);
        }
        let last = first & 0x80 != 0;
        let number = first & 0x0f;
        let opcode = Opcode::from_number(number).ok_or(Fault::UnknownOpcode { number })?;
        if opcode == Opcode::Text {
            return Err(Fault::Text);
        }
        if opcode.is_control() && !last {
            return Err(Fault::BadControl);
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        let masked = second & 0x80 != 0;
        match from {
            Side::Client if !masked => return Err(Fault::Unmasked),
            Side::Server if masked => return Err(Fault::Masked),
            Side::Client | Side::Server => {}
        }
        let short = second & 0x7f;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL_BYTES {
            return Err(Fault::BadControl);
        }
        let rest = &bytes[2..];
        let (length, long_bytes) = match short {
            126 => match rest.first_chunk::<2>() {
                Some(long) => (u64::from(u16::from_be_bytes(*long)), 2),
                None => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(long) => (u64::from_be_bytes(*long), 8),
                None => return Ok(None),
            },
            short => (u64::from(short), 0),
        };
        let least = match short {
            126 => 126,
            127 => 0x1_0000,
            _ => 0,
        };
        if length < least || length > i64::MAX as u64 {
            return Err(Fault::BadLength);
        }
        let key = match masked {
            false => None,
            true => match rest[long_bytes..].first_chunk::<4>() {
                Some(key) => Some(*key),
                None => return Ok(None),
            },
        };
        let count = 2 + long_bytes + if masked { 4 } else { 0 };
        Ok(Some((Self { last, opcode, key, length }, count)))
    }
}

/// Lays the mask of a client over `bytes`, or takes it off again, where `at` bytes of the payload came before
/// these.
#[inline]
pub fn mask(bytes: &mut [u8], key: [u8; 4], at: usize) {
    let mut turned = key;
    turned.rotate_left(at % 4);
    let [a, b, c, d] = turned;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        // Of a length that the compiler knows, so that it takes several at once.
        if let Some(chunk) = chunk.first_chunk_mut::<8>() {
            *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
        }
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(turned.iter().cycle()) {
        *byte ^= key;
    }
}

/// Appends `bytes` under a mask, where `at` bytes of the payload came before these.
#[inline]
pub fn append_masked(out: &mut Vec<u8>, bytes: &[u8], key: [u8; 4], at: usize) {
    let mut at = at;
    // Each piece is still in the nearest cache when it is looked at for the second time.
    for piece in bytes.chunks(PIECE_BYTES) {
        let start = out.len();
        out.extend_from_slice(piece);
        mask(&mut out[start..], key, at);
        at += piece.len();
    }
}

const PIECE_BYTES: usize = 8 * 1024;

/// How a peer has broken the protocol. Its connection ends.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It sent text; SP messages are binary. Browsers send text when they are given a string.
    Text,
    /// A client has to mask its frames.
    Unmasked,
    /// A server must not mask its frames.
    Masked,
    /// Bits that only extensions use, and none was agreed on; compressed frames have them.
    Reserved,
    /// There is no such kind of frame.
    UnknownOpcode {
        /// What it was.
        number: u8,
    },
    /// A control frame in parts, or longer than [`MAX_CONTROL_BYTES`].
    BadControl,
    /// A length in more bytes than it needs, or of 2^63 and more.
    BadLength,
    /// A part of a message of which there was no first part.
    NothingToContinue,
    /// A message began before the last one was whole.
    Interrupted,
    /// A farewell with half a code, or a code that is never sent.
    BadClose,
    /// The text of a farewell is no UTF-8.
    BadReason,
}

impl Fault {
    /// The code of the farewell that says so (RFC 6455 7.4.1).
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Text => close::UNACCEPTABLE,
            Self::BadReason => close::NOT_UTF8,
            _ => close::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "the peer sent a text frame; messages are binary",
            Self::Unmasked => "the peer sent a frame without a mask, which a client must not",
            Self::Masked => "the peer sent a frame with a mask, which a server must not",
            Self::Reserved => "the peer used an extension, as for compression, that was not agreed on",
            Self::UnknownOpcode { number } => {
                return write!(f, "the peer sent a frame of the unknown kind {number}");
            }
            Self::BadControl => "the peer sent a control frame in parts or of more than 125 bytes",
            Self::BadLength => "the peer sent a frame whose length is not written as it has to be",
            Self::NothingToContinue => "the peer went on with a message that it had not begun",
            Self::Interrupted => "the peer began a message inside another one",
            Self::BadClose => "the peer sent a close frame with a code that there is not",
            Self::BadReason => "the peer sent a close frame whose text is not UTF-8",
        })
    }
}

impl Error for Fault {}

/// Codes of farewells (RFC 6455 7.4.1).
pub mod close {
    /// All is said.
    pub const NORMAL: u16 = 1000;
    /// The sender goes away.
    pub const GOING_AWAY: u16 = 1001;
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// The peer sent a kind of message that is not taken.
    pub const UNACCEPTABLE: u16 = 1003;
    /// The peer sent text that is none.
    pub const NOT_UTF8: u16 = 1007;
    /// The peer sent too large a message.
    pub const TOO_BIG: u16 = 1009;

    /// Whether a peer may send this code.
    pub const fn is_valid(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(header: Header) -> Vec<u8> {
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        bytes
    }

    #[test]
    fn headers_are_as_short_as_they_can_be() {
        let whole = |length, key| encoded(Header::whole(Opcode::Binary, key, length));
        assert_eq!(whole(0, None), [0x82, 0]);
        assert_eq!(whole(0, Some([1, 2, 3, 4])), [0x82, 0x80, 1, 2, 3, 4]);
        assert_eq!(whole(125, None), [0x82, 125]);
        assert_eq!(whole(126, None), [0x82, 126, 0, 126]);
        assert_eq!(whole(0xffff, None), [0x82, 126, 0xff, 0xff]);
        assert_eq!(whole(0x1_0000, None), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        let first = Header { last: false, opcode: Opcode::Binary, key: None, length: 0x1_0000 };
        assert_eq!(encoded(first), [0x02, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        let rest = Header { last: true, opcode: Opcode::Continuation, key: None, length: 3 };
        assert_eq!(encoded(rest), [0x80, 3]);
    }

    #[test]
    fn what_is_wrong_with_a_header_is_seen_at_once_and_named() {
        for (bytes, from, fault) in [
            (&[0xc2][..], Side::Server, Fault::Reserved),
            (&[0x92], Side::Server, Fault::Reserved),
            (&[0x83], Side::Server, Fault::UnknownOpcode { number: 3 }),
            (&[0x8f], Side::Client, Fault::UnknownOpcode { number: 15 }),
            (&[0x81], Side::Client, Fault::Text),
            (&[0x01], Side::Client, Fault::Text),
            (&[0x09], Side::Server, Fault::BadControl),
            (&[0x89, 126], Side::Server, Fault::BadControl),
            (&[0x82, 5], Side::Client, Fault::Unmasked),
            (&[0x82, 0x85], Side::Server, Fault::Masked),
            (&[0x82, 126, 0, 125], Side::Server, Fault::BadLength),
            (&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Side::Server, Fault::BadLength),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], Side::Server, Fault::BadLength),
        ] {
            assert_eq!(Header::decode(bytes, from), Err(fault), "{bytes:x?}");
            assert_eq!(Header::decode(&bytes[..bytes.len() - 1], from), Ok(None), "{bytes:x?}");
        }
    }

    #[test]
    fn every_fault_has_its_code_and_its_sentence() {
        for (fault, code) in [
            (Fault::Text, 1003),
            (Fault::BadReason, 1007),
            (Fault::Unmasked, 1002),
            (Fault::Reserved, 1002),
            (Fault::UnknownOpcode { number: 7 }, 1002),
        ] {
            assert_eq!(fault.close_code(), code);
            assert!(format!("{fault}").starts_with("the peer "));
        }
        let valid = [1000, 1001, 1003, 1007, 1009, 1011, 3000, 4999];
        assert!(valid.into_iter().all(close::is_valid));
        assert!(![0, 999, 1004, 1005, 1006, 1015, 2999, 5000].into_iter().any(close::is_valid));
    }

    proptest! {
        #[test]
        fn a_header_is_read_as_it_was_written(
            last: bool,
            number in prop::sample::select(vec![0_u8, 2, 8, 9, 10]),
            key: Option<[u8; 4]>,
            length in prop_oneof![0_u64..300, 0xfff0_u64..0x1_0010, any::<u64>().prop_map(|n| n >> 1)],
        ) {
            let opcode = Opcode::from_number(number).unwrap();
            let control = opcode.is_control();
            let header = Header {
                last: last || control, opcode, key, length: if control { length % 126 } else { length },
            };
            let bytes = encoded(header);
            let from = if key.is_some() { Side::Client } else { Side::Server };
            prop_assert_eq!(Header::decode(&bytes, from), Ok(Some((header, bytes.len()))));
            for cut in 0..bytes.len() {
                prop_assert_eq!(Header::decode(&bytes[..cut], from), Ok(None));
            }
        }

        #[test]
        fn a_mask_is_the_same_however_the_payload_is_cut(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            key: [u8; 4],
            cut: prop::sample::Index,
        ) {
            let expected: Vec<u8> = bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            let cut = cut.index(bytes.len() + 1);
            let mut masked = bytes.clone();
            let (front, back) = masked.split_at_mut(cut);
            mask(front, key, 0);
            mask(back, key, cut);
            prop_assert_eq!(&masked, &expected);
            let mut appended = vec![7];
            append_masked(&mut appended, &bytes[..cut], key, 0);
            append_masked(&mut appended, &bytes[cut..], key, cut);
            prop_assert_eq!(&appended[1..], &expected[..]);
        }
    }
}
