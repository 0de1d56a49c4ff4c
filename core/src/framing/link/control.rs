//! [`Control`]: what the session says, as bytes and back.

use super::fields::{Fields, put_bytes, put_text, put_u16, put_u32, put_u64};
use super::{Fault, HEAD_BYTES, Head, Kind, Layer, LinkError, MAX_PROOF_BYTES, Metadata, Reason};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// A message of the session, but for Hello (see [`Hello`](super::Hello)).
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
        /// Its length in bytes, or [`STREAMED`](super::STREAMED).
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
