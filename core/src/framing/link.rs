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

mod hello;
mod metadata;

pub use hello::{Hello, HelloError, NEWEST_VERSION, OLDEST_VERSION, Versions};
pub use metadata::{MAX_METADATA_BYTES, MAX_METADATA_PAIRS, Metadata, MetadataError};

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use core::fmt;

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

/// What stands in front of a payload.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose message it is.
    pub layer: Layer,
    /// Of which protocol of that layer.
    pub protocol: u16,
    /// Which message of that protocol.
    pub message: u16,
}

/// Whose message it is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Layer {
    /// The application's.
    Application = 0,
    /// The session's: about the connection itself.
    Session = 1,
}

impl Layer {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Application),
            1 => Some(Self::Session),
            _ => None,
        }
    }
}

impl Head {
    /// The head of a message of the application.
    pub const fn application(protocol: u16, message: u16) -> Self {
        Self { layer: Layer::Application, protocol, message }
    }

    /// The head of a message of the session.
    pub const fn session(kind: Kind) -> Self {
        Self { layer: Layer::Session, protocol: 0, message: kind as u16 }
    }

    /// As on the wire.
    pub const fn encode(self) -> [u8; HEAD_BYTES] {
        let [a, b] = self.protocol.to_be_bytes();
        let [c, d] = self.message.to_be_bytes();
        [self.layer as u8, a, b, c, d]
    }

    /// Takes the head off a frame (without its length).
    ///
    /// # Errors
    /// The frame is too short for it, or of a layer that does not exist.
    pub fn decode(frame: &mut Bytes) -> Result<Self, LinkError> {
        if frame.len() < HEAD_BYTES {
            return Err(LinkError::Short);
        }
        let layer = frame.get_u8();
        let layer = Layer::from_byte(layer).ok_or(LinkError::UnknownLayer(layer))?;
        Ok(Self { layer, protocol: frame.get_u16(), message: frame.get_u16() })
    }
}

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

/// Declares the kinds of session messages with their numbers.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// The messages of the session, with their numbers.
        #[derive(Copy, Clone, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Kind { $($(#[$doc])* $name = $number,)* }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The one with this number.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// Who I am, what I speak, what I can take.
    Hello = 1,
    /// I take you.
    Ack = 2,
    /// I do not take you, and why.
    Refuse = 3,
    /// My metadata are these from now on.
    Metadata = 4,
    /// Are you there?
    Ping = 5,
    /// I am.
    Pong = 6,
    /// I send no more; what I have had of you.
    Goodbye = 7,
    /// You may send so much in all.
    Grant = 8,
    /// A message in pieces begins.
    Begin = 9,
    /// A piece of it.
    Chunk = 10,
    /// It is whole.
    End = 11,
    /// It will never be whole.
    Abort = 12,
    /// I want no more pieces of it.
    Stop = 13,
    /// You may send so much of it in all.
    Widen = 14,
    /// A request.
    Request = 15,
    /// The answer to one.
    Reply = 16,
    /// There will be no answer, and why.
    Failure = 17,
    /// I do not wait for the answer any more.
    Cancel = 18,
}

/// A message of the session, but for Hello (see [`Hello`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// The other side is accepted; `proof` is whatever the hooks of both sides agree on.
    Ack {
        /// Empty without a hook.
        proof: Bytes,
    },
    /// The other side is not accepted. The layout is the same in every version.
    Refuse {
        /// Why.
        reason: Reason,
        /// In words; for people.
        text: String,
    },
    /// All metadata of the sender from now on.
    Metadata(Metadata),
    /// Asks for a [`Control::Pong`] with the same token.
    Ping {
        /// Anything.
        token: u64,
    },
    /// The answer to a ping.
    Pong {
        /// The ping's.
        token: u64,
    },
    /// The sender sends nothing more on this connection.
    Goodbye {
        /// Why.
        reason: Reason,
        /// Messages (whole ones, requests, replies) that it has had from the other side.
        received: u64,
        /// In words; for people.
        text: String,
    },
    /// What the receiver has made room for, since the connection began.
    Grant {
        /// Messages, those of its Hello included.
        messages: u64,
        /// Bytes, those of its Hello included.
        bytes: u64,
    },
    /// A message follows in pieces.
    Begin {
        /// Its number; no other transfer of this direction has it at this time.
        transfer: u32,
        /// What it will be when it is whole.
        head: Head,
        /// How urgent it is for its sender.
        priority: u8,
        /// Its length in bytes, or [`STREAMED`].
        length: u64,
    },
    /// A piece, at least a byte.
    Chunk {
        /// Of which.
        transfer: u32,
        /// The next bytes.
        data: Bytes,
    },
    /// No piece is missing.
    End {
        /// Of which.
        transfer: u32,
    },
    /// The rest will not come.
    Abort {
        /// Of which.
        transfer: u32,
    },
    /// The receiver does not want the rest.
    Stop {
        /// Of which.
        transfer: u32,
    },
    /// What the receiver of a streamed message has made room for, since it began.
    Widen {
        /// Of which.
        transfer: u32,
        /// Bytes, those of its Hello included.
        bytes: u64,
    },
    /// A request.
    Request {
        /// Its number; no other request of this direction that waits has it.
        id: u64,
        /// The protocol of the application that it belongs to.
        protocol: u16,
        /// Which message of it.
        message: u16,
        /// What is asked.
        body: Bytes,
    },
    /// The answer to a request.
    Reply {
        /// The request's number.
        id: u64,
        /// The answer.
        body: Bytes,
    },
    /// A request has no answer.
    Failure {
        /// The request's number.
        id: u64,
        /// Why.
        code: Fault,
        /// In words; for people.
        text: String,
    },
    /// Nobody waits for the answer to a request any more.
    Cancel {
        /// The request's number.
        id: u64,
    },
}

/// Why a connection is refused, or ended.
///
/// Numbers that this version does not know are kept as they are.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// 0: none is given.
    Unspecified,
    /// 1: no version that both speak.
    Version,
    /// 2: the verify hook said no.
    Denied,
    /// 3: the filter said no.
    Filtered,
    /// 4: as many connections as allowed.
    Full,
    /// 5: there is another connection between the two, and both wanted no more than one.
    Duplicate,
    /// 6: the other side broke the rules of the wire.
    Malformed,
    /// 7: a message or frame larger than allowed.
    TooLarge,
    /// 8: more messages or bytes than the rate allowed to a peer.
    TooFast,
    /// 9: the program has closed the connection.
    Closing,
    /// 10: the other side took too long.
    TooSlow,
    /// 11: the two ends are the same host.
    Myself,
    /// 12: a newer connection took the place of this one.
    Replaced,
    /// Any other number.
    Other(u16),
}

const REASONS: [Reason; 13] = [
    Reason::Unspecified,
    Reason::Version,
    Reason::Denied,
    Reason::Filtered,
    Reason::Full,
    Reason::Duplicate,
    Reason::Malformed,
    Reason::TooLarge,
    Reason::TooFast,
    Reason::Closing,
    Reason::TooSlow,
    Reason::Myself,
    Reason::Replaced,
];

impl Reason {
    /// Its number on the wire.
    pub fn number(self) -> u16 {
        match self {
            Self::Other(number) => number,
            _ => REASONS.iter().position(|reason| *reason == self).unwrap_or(0) as u16,
        }
    }

    /// The reason with this number.
    pub fn from_number(number: u16) -> Self {
        REASONS.get(usize::from(number)).copied().unwrap_or(Self::Other(number))
    }

    /// Whether trying again soon may well succeed without anybody changing anything.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Full | Self::Duplicate | Self::TooFast | Self::Closing | Self::TooSlow | Self::Replaced => {
                true
            }
            Self::Unspecified
            | Self::Version
            | Self::Denied
            | Self::Filtered
            | Self::Malformed
            | Self::TooLarge
            | Self::Myself
            | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "no reason given",
            Self::Version => "no common version of the link protocol",
            Self::Denied => "proof not accepted",
            Self::Filtered => "refused by the filter",
            Self::Full => "as many connections as allowed",
            Self::Duplicate => "connected already",
            Self::Malformed => "the rules of the wire were broken",
            Self::TooLarge => "message over the size limit",
            Self::TooFast => "more than the allowed rate",
            Self::Closing => "closed",
            Self::TooSlow => "took too long",
            Self::Myself => "connected to itself",
            Self::Replaced => "replaced by a newer connection",
            Self::Other(number) => return write!(f, "reason {number}"),
        })
    }
}

/// Why a request has no answer. Numbers from 256 on are the application's.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// 1: nobody handles requests of this protocol and message.
    NoHandler,
    /// 2: as many requests wait as allowed.
    Busy,
    /// 3: the handler failed.
    Failed,
    /// 4: the handler dropped the request without an answer.
    Unanswered,
    /// 5: the answer would be larger than the asking side accepts.
    TooLarge,
    /// Any other number; those from 256 on belong to applications.
    Other(u16),
}

impl Fault {
    /// The first number that applications may use for their own.
    pub const APPLICATION: u16 = 256;

    /// Its number on the wire.
    pub fn number(self) -> u16 {
        match self {
            Self::NoHandler => 1,
            Self::Busy => 2,
            Self::Failed => 3,
            Self::Unanswered => 4,
            Self::TooLarge => 5,
            Self::Other(number) => number,
        }
    }

    /// The fault with this number.
    pub fn from_number(number: u16) -> Self {
        match number {
            1 => Self::NoHandler,
            2 => Self::Busy,
            3 => Self::Failed,
            4 => Self::Unanswered,
            5 => Self::TooLarge,
            other => Self::Other(other),
        }
    }

    /// Whether the same request may be answered later without anybody changing anything.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Busy)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHandler => "nobody handles this request",
            Self::Busy => "too many requests wait",
            Self::Failed => "the handler failed",
            Self::Unanswered => "the handler gave no answer",
            Self::TooLarge => "the answer is too large",
            Self::Other(number) => return write!(f, "fault {number}"),
        })
    }
}

impl Control {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Ack { .. } => Kind::Ack,
            Self::Refuse { .. } => Kind::Refuse,
            Self::Metadata(_) => Kind::Metadata,
            Self::Ping { .. } => Kind::Ping,
            Self::Pong { .. } => Kind::Pong,
            Self::Goodbye { .. } => Kind::Goodbye,
            Self::Grant { .. } => Kind::Grant,
            Self::Begin { .. } => Kind::Begin,
            Self::Chunk { .. } => Kind::Chunk,
            Self::End { .. } => Kind::End,
            Self::Abort { .. } => Kind::Abort,
            Self::Stop { .. } => Kind::Stop,
            Self::Widen { .. } => Kind::Widen,
            Self::Request { .. } => Kind::Request,
            Self::Reply { .. } => Kind::Reply,
            Self::Failure { .. } => Kind::Failure,
            Self::Cancel { .. } => Kind::Cancel,
        }
    }

    /// Its fields in front of the data that it may carry, and that data.
    pub fn encode(&self) -> (Vec<u8>, Bytes) {
        let mut out = Vec::with_capacity(16);
        let mut data = Bytes::new();
        match self {
            Self::Ack { proof } => put_bytes(&mut out, proof),
            Self::Refuse { reason, text } => {
                put_u16(&mut out, reason.number());
                put_text(&mut out, text);
            }
            Self::Metadata(metadata) => metadata.encode(&mut out),
            Self::Ping { token } | Self::Pong { token } => put_u64(&mut out, *token),
            Self::Goodbye { reason, received, text } => {
                put_u16(&mut out, reason.number());
                put_u64(&mut out, *received);
                put_text(&mut out, text);
            }
            Self::Grant { messages, bytes } => {
                put_u64(&mut out, *messages);
                put_u64(&mut out, *bytes);
            }
            Self::Begin { transfer, head, priority, length } => {
                put_u32(&mut out, *transfer);
                out.extend_from_slice(&head.encode());
                out.push(*priority);
                put_u64(&mut out, *length);
            }
            Self::Chunk { transfer, data: piece } => {
                put_u32(&mut out, *transfer);
                data = piece.clone();
            }
            Self::End { transfer } | Self::Abort { transfer } | Self::Stop { transfer } => {
                put_u32(&mut out, *transfer);
            }
            Self::Widen { transfer, bytes } => {
                put_u32(&mut out, *transfer);
                put_u64(&mut out, *bytes);
            }
            Self::Request { id, protocol, message, body } => {
                put_u64(&mut out, *id);
                put_u16(&mut out, *protocol);
                put_u16(&mut out, *message);
                data = body.clone();
            }
            Self::Reply { id, body } => {
                put_u64(&mut out, *id);
                data = body.clone();
            }
            Self::Failure { id, code, text } => {
                put_u64(&mut out, *id);
                put_u16(&mut out, code.number());
                put_text(&mut out, text);
            }
            Self::Cancel { id } => put_u64(&mut out, *id),
        }
        (out, data)
    }

    /// Reads the payload of a session message other than Hello.
    ///
    /// # Errors
    /// See [`LinkError`]: there is no such message, or it is not what its fields say.
    pub fn decode(head: Head, payload: Bytes) -> Result<Self, LinkError> {
        let unknown = LinkError::UnknownKind { protocol: head.protocol, message: head.message };
        let kind = match (head.layer, head.protocol) {
            (Layer::Session, 0) => Kind::from_number(head.message).ok_or(unknown)?,
            _ => return Err(unknown),
        };
        let mut from = Fields(payload);
        let control = match kind {
            Kind::Hello => return Err(LinkError::Unexpected("Hello")),
            Kind::Ack => {
                let proof = from.bytes()?;
                if proof.len() > MAX_PROOF_BYTES {
                    return Err(LinkError::BadField("proof"));
                }
                Self::Ack { proof }
            }
            Kind::Refuse => Self::Refuse { reason: Reason::from_number(from.u16()?), text: from.text()? },
            Kind::Metadata => Self::Metadata(Metadata::decode(&mut from)?),
            Kind::Ping => Self::Ping { token: from.u64()? },
            Kind::Pong => Self::Pong { token: from.u64()? },
            Kind::Goodbye => Self::Goodbye {
                reason: Reason::from_number(from.u16()?),
                received: from.u64()?,
                text: from.text()?,
            },
            Kind::Grant => Self::Grant { messages: from.u64()?, bytes: from.u64()? },
            Kind::Begin => {
                let transfer = from.u32()?;
                let head = Head::decode(&mut from.take(HEAD_BYTES)?)?;
                Self::Begin { transfer, head, priority: from.u8()?, length: from.u64()? }
            }
            Kind::Chunk => {
                let transfer = from.u32()?;
                let data = from.rest();
                if data.is_empty() {
                    return Err(LinkError::BadField("chunk"));
                }
                Self::Chunk { transfer, data }
            }
            Kind::End => Self::End { transfer: from.u32()? },
            Kind::Abort => Self::Abort { transfer: from.u32()? },
            Kind::Stop => Self::Stop { transfer: from.u32()? },
            Kind::Widen => Self::Widen { transfer: from.u32()?, bytes: from.u64()? },
            Kind::Request => Self::Request {
                id: from.u64()?,
                protocol: from.u16()?,
                message: from.u16()?,
                body: from.rest(),
            },
            Kind::Reply => Self::Reply { id: from.u64()?, body: from.rest() },
            Kind::Failure => {
                Self::Failure { id: from.u64()?, code: Fault::from_number(from.u16()?), text: from.text()? }
            }
            Kind::Cancel => Self::Cancel { id: from.u64()? },
        };
        from.end()?;
        Ok(control)
    }
}

/// The fields of a payload, from the front.
pub(crate) struct Fields(pub(crate) Bytes);

impl Fields {
    pub(crate) fn take(&mut self, count: usize) -> Result<Bytes, LinkError> {
        if self.0.len() < count {
            return Err(LinkError::Short);
        }
        Ok(self.0.split_to(count))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, LinkError> {
        Ok(self.take(1)?.get_u8())
    }

    pub(crate) fn u16(&mut self) -> Result<u16, LinkError> {
        Ok(self.take(2)?.get_u16())
    }

    pub(crate) fn u32(&mut self) -> Result<u32, LinkError> {
        Ok(self.take(4)?.get_u32())
    }

    pub(crate) fn u64(&mut self) -> Result<u64, LinkError> {
        Ok(self.take(8)?.get_u64())
    }

    /// Two bytes of length, and so many bytes.
    pub(crate) fn bytes(&mut self) -> Result<Bytes, LinkError> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// A byte of length, and so many bytes of UTF-8.
    pub(crate) fn text(&mut self) -> Result<String, LinkError> {
        let length = self.u8()?;
        let bytes = self.take(length.into())?;
        let text = core::str::from_utf8(&bytes).map_err(|_| LinkError::BadField("text"))?;
        Ok(text.to_string())
    }

    pub(crate) fn rest(&mut self) -> Bytes {
        core::mem::take(&mut self.0)
    }

    /// There is nothing behind the last field.
    pub(crate) fn end(&self) -> Result<(), LinkError> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(LinkError::TooMuch),
        }
    }
}

pub(crate) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Two bytes of length, and the bytes; those that the length cannot say are cut off.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = bytes.len().min(usize::from(u16::MAX));
    put_u16(out, length as u16);
    out.extend_from_slice(&bytes[..length]);
}

/// A byte of length, and as many whole characters as fit.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    let mut length = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    out.push(length as u8);
    out.extend_from_slice(&text.as_bytes()[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Head and payload of a frame.
    fn frame(control: &Control) -> Vec<u8> {
        let (fields, data) = control.encode();
        [&Head::session(control.kind()).encode()[..], &fields, &data].concat()
    }

    fn parse(bytes: &[u8]) -> Result<Control, LinkError> {
        let mut bytes = Bytes::copy_from_slice(bytes);
        let head = Head::decode(&mut bytes)?;
        Control::decode(head, bytes)
    }

    #[test]
    fn every_session_message_has_its_exact_bytes() {
        let mut metadata = Metadata::default();
        metadata.set("k", "v").unwrap();
        let cases: [(Control, &[u8]); 17] = [
            (Control::Ack { proof: "ab".into() }, b"\x01\0\0\0\x02\0\x02ab"),
            (Control::Refuse { reason: Reason::Version, text: "no".into() }, b"\x01\0\0\0\x03\0\x01\x02no"),
            (Control::Metadata(metadata), b"\x01\0\0\0\x04\0\x01\x01k\0\x01v"),
            (Control::Ping { token: 7 }, b"\x01\0\0\0\x05\0\0\0\0\0\0\0\x07"),
            (Control::Pong { token: 7 }, b"\x01\0\0\0\x06\0\0\0\0\0\0\0\x07"),
            (
                Control::Goodbye { reason: Reason::Closing, received: 3, text: String::new() },
                b"\x01\0\0\0\x07\0\x09\0\0\0\0\0\0\0\x03\0",
            ),
            (Control::Grant { messages: 1, bytes: 2 }, b"\x01\0\0\0\x08\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02"),
            (
                Control::Begin { transfer: 4, head: Head::application(5, 6), priority: 2, length: 9 },
                b"\x01\0\0\0\x09\0\0\0\x04\0\0\x05\0\x06\x02\0\0\0\0\0\0\0\x09",
            ),
            (Control::Chunk { transfer: 4, data: "xy".into() }, b"\x01\0\0\0\x0a\0\0\0\x04xy"),
            (Control::End { transfer: 4 }, b"\x01\0\0\0\x0b\0\0\0\x04"),
            (Control::Abort { transfer: 4 }, b"\x01\0\0\0\x0c\0\0\0\x04"),
            (Control::Stop { transfer: 4 }, b"\x01\0\0\0\x0d\0\0\0\x04"),
            (Control::Widen { transfer: 4, bytes: 5 }, b"\x01\0\0\0\x0e\0\0\0\x04\0\0\0\0\0\0\0\x05"),
            (
                Control::Request { id: 1, protocol: 2, message: 3, body: "q".into() },
                b"\x01\0\0\0\x0f\0\0\0\0\0\0\0\x01\0\x02\0\x03q",
            ),
            (Control::Reply { id: 1, body: "a".into() }, b"\x01\0\0\0\x10\0\0\0\0\0\0\0\x01a"),
            (
                Control::Failure { id: 1, code: Fault::NoHandler, text: "?".into() },
                b"\x01\0\0\0\x11\0\0\0\0\0\0\0\x01\0\x01\x01?",
            ),
            (Control::Cancel { id: 1 }, b"\x01\0\0\0\x12\0\0\0\0\0\0\0\x01"),
        ];
        let kinds: Vec<_> = cases.iter().map(|(control, _)| control.kind()).collect();
        assert_eq!([&[Kind::Hello], &kinds[..]].concat(), Kind::ALL);
        for (control, bytes) in cases {
            assert_eq!(frame(&control), bytes, "{control:?}");
            assert_eq!(parse(bytes), Ok(control));
            // None of their fields may be missing, and nothing may follow.
            for cut in 0..bytes.len() {
                if let Ok(other) = parse(&bytes[..cut]) {
                    assert!(matches!(other.kind(), Kind::Chunk | Kind::Request | Kind::Reply));
                }
            }
        }
    }

    #[test]
    fn an_application_frame_has_its_exact_bytes() {
        let head = Head::application(0x0102, 0x0304);
        assert_eq!(head.encode(), [0, 1, 2, 3, 4]);
        let mut bytes = Bytes::from_static(b"\0\x01\x02\x03\x04payload");
        assert_eq!(Head::decode(&mut bytes), Ok(head));
        assert_eq!(bytes, b"payload".as_slice());
    }

    #[test]
    fn what_does_not_exist_is_named() {
        assert_eq!(parse(b"\x02\0\0\0\x01"), Err(LinkError::UnknownLayer(2)));
        assert_eq!(parse(b"\x01\0\0\0\x13"), Err(LinkError::UnknownKind { protocol: 0, message: 19 }));
        assert_eq!(
            parse(b"\x01\0\x01\0\x05\0\0\0\0\0\0\0\0"),
            Err(LinkError::UnknownKind { protocol: 1, message: 5 })
        );
        assert_eq!(parse(b"\x01\0\0\0\x0b\0\0\0\x04!"), Err(LinkError::TooMuch));
        assert_eq!(parse(b"\x01\0\0\0\x0a\0\0\0\x04"), Err(LinkError::BadField("chunk")));
        assert_eq!(parse(b"\x01\0\0\0\x03\0\x01\x01\xff"), Err(LinkError::BadField("text")));
        assert_eq!(parse(b"\x01\0"), Err(LinkError::Short));
    }

    #[test]
    fn numbers_that_nobody_knows_are_kept() {
        for number in 0..600 {
            assert_eq!(Reason::from_number(number).number(), number);
            assert_eq!(Fault::from_number(number).number(), number);
        }
        assert_eq!(Reason::from_number(13), Reason::Other(13));
        assert_eq!(Fault::from_number(0), Fault::Other(0));
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        let mut out = Vec::new();
        put_text(&mut out, &"é".repeat(200));
        assert_eq!((out[0], out.len()), (254, 255));
        assert!(Fields(out.into()).text().is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), kind in 0_u16..20) {
            let _ = parse(&bytes);
            let head = Head { layer: Layer::Session, protocol: 0, message: kind };
            if let Ok(control) = Control::decode(head, bytes.clone().into()) {
                // What is read is written the same.
                let (fields, data) = control.encode();
                let again = [fields, data.to_vec()].concat();
                if !matches!(control, Control::Metadata(_)) {
                    prop_assert_eq!(&again, &bytes);
                }
                prop_assert_eq!(Control::decode(head, again.into()), Ok(control));
            }
        }
    }
}
