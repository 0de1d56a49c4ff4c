//! The bytes of the multiplexer. `docs/mux-wire.md` tells every one of them.
//!
//! ```text
//! frame     length u32 | kind u8 | channel u32 | payload
//! ```
//!
//! The length counts what is behind it. All integers are big-endian. Channel 0 is the connection itself.

use super::id::{ChannelId, Code};
use crate::message::{Header, Message};
use crate::options::mux::MAX_CHUNK_BYTES;
use crate::priority::Priority;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use core::fmt;

/// Kind and channel: in front of every payload.
pub const HEAD_BYTES: usize = 5;

/// The largest frame behind its length. A sender that is alone may use all of it.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024 + 64;

const _: () =
    assert!(MAX_CHUNK_BYTES + 64 <= MAX_FRAME_BYTES, "the longest piece fits, with what is said of it");

/// The largest frame before the peer's Hello is here.
pub const MAX_HELLO_BYTES: usize = 4 * 1024;

/// What every frame with data costs beside them, in credit: what it takes to remember it.
pub const FRAME_COST: u64 = 64;

/// The length of a message that is not known when it begins.
pub const UNKNOWN: u64 = u64::MAX;

/// The newest version of this protocol that we speak.
pub const NEWEST_VERSION: u8 = 1;
/// The oldest.
pub const OLDEST_VERSION: u8 = 1;

/// The longest text that says why.
pub const MAX_TEXT_BYTES: usize = 255;

const MAGIC: &[u8; 4] = b"SWMX";

/// What one side can take. The first thing that it says, before it knows anything of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The newest version that it speaks.
    pub newest: u8,
    /// The oldest.
    pub oldest: u8,
    /// Random, and new for each connection. The side whose nonce is larger (as bytes) opens odd channels.
    pub nonce: [u8; 16],
    /// Credit that each channel has from its beginning, in bytes.
    pub window: u32,
    /// Channels that the other side may open before it hears more.
    pub channels: u32,
    /// The longest message that is taken whole, in bytes.
    pub max_message: u64,
}

impl Hello {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(38);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[self.newest, self.oldest]);
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&self.window.to_be_bytes());
        out.extend_from_slice(&self.channels.to_be_bytes());
        out.extend_from_slice(&self.max_message.to_be_bytes());
        out
    }

    fn decode(mut bytes: Bytes) -> Result<Self, MuxError> {
        if !bytes.starts_with(MAGIC) {
            return Err(MuxError::NoMux);
        }
        bytes.advance(MAGIC.len());
        if bytes.len() < 2 {
            return Err(MuxError::Short);
        }
        let (newest, oldest) = (bytes.get_u8(), bytes.get_u8());
        if oldest > NEWEST_VERSION || newest < OLDEST_VERSION {
            return Err(MuxError::Version { newest, oldest });
        }
        if bytes.len() < 32 {
            return Err(MuxError::Short);
        }
        let mut nonce = [0; 16];
        bytes.copy_to_slice(&mut nonce);
        let (window, channels, max_message) = (bytes.get_u32(), bytes.get_u32(), bytes.get_u64());
        // A later version may have more behind that.
        match newest > NEWEST_VERSION || bytes.is_empty() {
            true => Ok(Self { newest, oldest, nonce, window, channels, max_message }),
            false => Err(MuxError::TooMuch),
        }
    }
}

/// What is wrong with what the peer has sent. The connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MuxError {
    /// It speaks something else.
    NoMux,
    /// It speaks other versions than we do.
    Version {
        /// The newest of them.
        newest: u8,
        /// The oldest.
        oldest: u8,
    },
    /// A frame is shorter than its fields.
    Short,
    /// A frame has bytes behind its last field.
    TooMuch,
    /// There is no such frame.
    UnknownKind(u8),
    /// A field has a value that it may not have.
    BadField(&'static str),
    /// A frame larger than allowed.
    TooLarge {
        /// What it claims, in bytes.
        claimed: u64,
    },
    /// A frame that is not allowed at this point.
    Unexpected(&'static str),
    /// A channel got more than it had credit for.
    NoCredit {
        /// Which.
        channel: u32,
    },
    /// More channels than it may open.
    TooManyChannels,
    /// The other end is this very one.
    Myself,
}

impl fmt::Display for MuxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMux => f.write_str("the peer does not speak the multiplexer's protocol"),
            Self::Version { newest, oldest } => write!(
                f,
                "the peer speaks versions {oldest} to {newest}, and we {OLDEST_VERSION} to {NEWEST_VERSION}"
            ),
            Self::Short => f.write_str("a frame ends too early"),
            Self::TooMuch => f.write_str("a frame is longer than its fields"),
            Self::UnknownKind(kind) => write!(f, "there is no frame of kind {kind}"),
            Self::BadField(field) => write!(f, "bad value of {field}"),
            Self::TooLarge { claimed } => write!(f, "a frame of {claimed} bytes is larger than allowed"),
            Self::Unexpected(what) => write!(f, "unexpected {what}"),
            Self::NoCredit { channel } => write!(f, "channel {channel} got more than it had credit for"),
            Self::TooManyChannels => f.write_str("more channels than it may open"),
            Self::Myself => f.write_str("both ends are the same"),
        }
    }
}

impl core::error::Error for MuxError {}

/// Declares the kinds of frames with their numbers.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// The kinds of frames, with their numbers.
        #[derive(Copy, Clone, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $name = $number,)* }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The one with this number.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// What I can take.
    Hello = 1,
    /// A new channel.
    Open = 2,
    /// The program has taken the channel.
    Accept = 3,
    /// A whole message.
    Message = 4,
    /// A message begins, and its first piece.
    Begin = 5,
    /// A piece of it.
    Piece = 6,
    /// The message is whole.
    End = 7,
    /// It will never be whole.
    Abort = 8,
    /// You may send so much in all; I have had so many messages.
    Credit = 9,
    /// Tell me at once what you have had.
    Flush = 10,
    /// I send nothing more.
    Finish = 11,
    /// I take nothing more.
    Stop = 12,
    /// The channel is gone.
    Reset = 13,
    /// So much of my credit I do not use.
    Return = 14,
    /// You may open so many channels in all.
    Openings = 15,
    /// Are you there?
    Ping = 16,
    /// I am.
    Pong = 17,
    /// I take no new channels.
    GoAway = 18,
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// See [`Hello`].
    Hello(Hello),
    /// A new channel. The numbers of those that one side opens follow each other: 1, 3, 5 or 2, 4, 6.
    Open {
        /// Its number.
        channel: u32,
        /// How urgent what it carries is, for the side that opens it; for people who read the wire.
        priority: Priority,
        /// What it is called.
        id: ChannelId,
    },
    /// The program on the other side has taken the channel.
    Accept {
        /// Which.
        channel: u32,
    },
    /// A whole message.
    Message {
        /// On which channel.
        channel: u32,
        /// All of it.
        body: Bytes,
    },
    /// A message begins.
    Begin {
        /// On which channel.
        channel: u32,
        /// Its length, or [`UNKNOWN`].
        length: u64,
        /// Its first bytes; there may be none.
        body: Bytes,
    },
    /// More of a message.
    Piece {
        /// On which channel.
        channel: u32,
        /// The next bytes.
        body: Bytes,
    },
    /// A message of unknown length is whole.
    End {
        /// On which channel.
        channel: u32,
    },
    /// The message that has begun will not be whole.
    Abort {
        /// On which channel.
        channel: u32,
    },
    /// Room, and what has come: sums since the channel was opened.
    Credit {
        /// On which channel.
        channel: u32,
        /// So many bytes (and [`FRAME_COST`] for each frame with data) may have been sent.
        bytes: u64,
        /// So many messages are whole in the queue of the program, or have been there.
        delivered: u64,
    },
    /// Asks for a [`Frame::Credit`] at once.
    Flush {
        /// On which channel.
        channel: u32,
    },
    /// The sender sends nothing more on this channel.
    Finish {
        /// Which.
        channel: u32,
    },
    /// The sender takes nothing more on this channel.
    Stop {
        /// Which.
        channel: u32,
        /// Why.
        code: Code,
    },
    /// Both directions of a channel end at once.
    Reset {
        /// Which.
        channel: u32,
        /// Why.
        code: Code,
        /// In words; for people.
        text: String,
    },
    /// The sender gives credit back: as if it had sent so much, and all were taken.
    Return {
        /// On which channel.
        channel: u32,
        /// How much.
        bytes: u64,
    },
    /// Room for channels.
    Openings {
        /// So many may have been opened since the connection began.
        total: u64,
    },
    /// Asks for a [`Frame::Pong`] with the same token.
    Ping {
        /// Anything.
        token: u64,
    },
    /// The answer to a ping.
    Pong {
        /// The ping's.
        token: u64,
    },
    /// The sender takes no new channels, and ends the connection when those that there are have ended.
    GoAway {
        /// The last channel of the other side that it has taken; 0 if none.
        last: u32,
        /// Why.
        code: Code,
        /// In words; for people.
        text: String,
    },
}

/// A frame without fields behind its head.
#[inline]
fn bare(kind: Kind, channel: u32) -> Header {
    let [a, b, c, d] = channel.to_be_bytes();
    Header::new(&[kind as u8, a, b, c, d])
}

/// The head of a [`Frame::Begin`].
fn begin(channel: u32, length: u64) -> Header {
    let mut head = [0; HEAD_BYTES + 8];
    head[0] = Kind::Begin as u8;
    head[1..HEAD_BYTES].copy_from_slice(&channel.to_be_bytes());
    head[HEAD_BYTES..].copy_from_slice(&length.to_be_bytes());
    Header::new(&head)
}

/// The beginning of a text that fits.
fn text_bytes(text: &str) -> &[u8] {
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text.as_bytes()[..end]
}

impl Frame {
    /// A [`Frame::Message`], encoded.
    #[inline]
    pub fn message(channel: u32, body: Bytes) -> Message {
        Message::with_header(bare(Kind::Message, channel), body)
    }

    /// The channel, if this (without its length) is a [`Frame::Message`].
    #[inline]
    pub fn is_message(frame: &[u8]) -> Option<u32> {
        let (head, _) = frame.split_first_chunk::<HEAD_BYTES>()?;
        let [kind, a, b, c, d] = *head;
        let channel = u32::from_be_bytes([a, b, c, d]);
        (kind == Kind::Message as u8 && channel != 0).then_some(channel)
    }

    /// What goes behind the length: head and payload, the body by reference.
    pub fn encode(self) -> Message {
        let with = |kind, channel, fields: &[&[u8]]| {
            Message::with_header(bare(kind, channel), Bytes::from(fields.concat()))
        };
        let plain = |kind, channel| Message::with_header(bare(kind, channel), Bytes::new());
        match self {
            Self::Hello(hello) => with(Kind::Hello, 0, &[&hello.encode()]),
            Self::Open { channel, priority, id } => {
                with(Kind::Open, channel, &[&[priority as u8], id.as_str().as_bytes()])
            }
            Self::Accept { channel } => plain(Kind::Accept, channel),
            Self::Message { channel, body } => Self::message(channel, body),
            Self::Begin { channel, length, body } => Message::with_header(begin(channel, length), body),
            Self::Piece { channel, body } => Message::with_header(bare(Kind::Piece, channel), body),
            Self::End { channel } => plain(Kind::End, channel),
            Self::Abort { channel } => plain(Kind::Abort, channel),
            Self::Credit { channel, bytes, delivered } => {
                with(Kind::Credit, channel, &[&bytes.to_be_bytes(), &delivered.to_be_bytes()])
            }
            Self::Flush { channel } => plain(Kind::Flush, channel),
            Self::Finish { channel } => plain(Kind::Finish, channel),
            Self::Stop { channel, code } => with(Kind::Stop, channel, &[&code.0.to_be_bytes()]),
            Self::Reset { channel, code, text } => {
                with(Kind::Reset, channel, &[&code.0.to_be_bytes(), text_bytes(&text)])
            }
            Self::Return { channel, bytes } => with(Kind::Return, channel, &[&bytes.to_be_bytes()]),
            Self::Openings { total } => with(Kind::Openings, 0, &[&total.to_be_bytes()]),
            Self::Ping { token } => with(Kind::Ping, 0, &[&token.to_be_bytes()]),
            Self::Pong { token } => with(Kind::Pong, 0, &[&token.to_be_bytes()]),
            Self::GoAway { last, code, text } => {
                with(Kind::GoAway, 0, &[&last.to_be_bytes(), &code.0.to_be_bytes(), text_bytes(&text)])
            }
        }
    }

    /// Reads a frame (without its length).
    ///
    /// # Errors
    /// See [`MuxError`].
    #[inline]
    pub fn decode(mut frame: Bytes) -> Result<Self, MuxError> {
        if frame.len() < HEAD_BYTES {
            return Err(MuxError::Short);
        }
        let kind = frame[0];
        let kind = Kind::from_number(kind).ok_or(MuxError::UnknownKind(kind))?;
        let channel = u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]]);
        frame.advance(HEAD_BYTES);
        if kind == Kind::Message && channel != 0 {
            return Ok(Self::Message { channel, body: frame });
        }
        Self::decode_fields(kind, channel, frame)
    }

    fn decode_fields(kind: Kind, channel: u32, frame: Bytes) -> Result<Self, MuxError> {
        let of_connection =
            matches!(kind, Kind::Hello | Kind::Openings | Kind::Ping | Kind::Pong | Kind::GoAway);
        if of_connection != (channel == 0) {
            return Err(MuxError::BadField("channel"));
        }
        let mut fields = Fields(frame);
        let decoded = match kind {
            Kind::Hello => Self::Hello(Hello::decode(fields.rest())?),
            Kind::Open => {
                let priority = Priority::from_byte(fields.u8()?).ok_or(MuxError::BadField("priority"))?;
                let id = ChannelId::decode(&fields.rest()).ok_or(MuxError::BadField("id"))?;
                Self::Open { channel, priority, id }
            }
            Kind::Accept => Self::Accept { channel },
            Kind::Message => Self::Message { channel, body: fields.rest() },
            Kind::Begin => Self::Begin { channel, length: fields.u64()?, body: fields.rest() },
            Kind::Piece => Self::Piece { channel, body: fields.rest() },
            Kind::End => Self::End { channel },
            Kind::Abort => Self::Abort { channel },
            Kind::Credit => Self::Credit { channel, bytes: fields.u64()?, delivered: fields.u64()? },
            Kind::Flush => Self::Flush { channel },
            Kind::Finish => Self::Finish { channel },
            Kind::Stop => Self::Stop { channel, code: Code(fields.u32()?) },
            Kind::Reset => Self::Reset { channel, code: Code(fields.u32()?), text: fields.text()? },
            Kind::Return => Self::Return { channel, bytes: fields.u64()? },
            Kind::Openings => Self::Openings { total: fields.u64()? },
            Kind::Ping => Self::Ping { token: fields.u64()? },
            Kind::Pong => Self::Pong { token: fields.u64()? },
            Kind::GoAway => {
                Self::GoAway { last: fields.u32()?, code: Code(fields.u32()?), text: fields.text()? }
            }
        };
        match fields.0.is_empty() {
            true => Ok(decoded),
            false => Err(MuxError::TooMuch),
        }
    }
}

/// What is left of a frame.
struct Fields(Bytes);

impl Fields {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], MuxError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.0.get(..N).ok_or(MuxError::Short)?);
        self.0.advance(N);
        Ok(bytes)
    }

    fn u8(&mut self) -> Result<u8, MuxError> {
        self.take().map(u8::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, MuxError> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, MuxError> {
        self.take().map(u64::from_be_bytes)
    }

    fn rest(&mut self) -> Bytes {
        core::mem::take(&mut self.0)
    }

    fn text(&mut self) -> Result<String, MuxError> {
        let bytes = self.rest();
        if bytes.len() > MAX_TEXT_BYTES {
            return Err(MuxError::BadField("text"));
        }
        core::str::from_utf8(&bytes).map(ToString::to_string).map_err(|_| MuxError::BadField("text"))
    }
}
