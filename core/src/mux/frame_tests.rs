//! The exact bytes of every frame, as `docs/mux-wire.md` tells them.

use super::frame::{Frame, HEAD_BYTES, Hello, Kind, MAX_TEXT_BYTES, MuxError, UNKNOWN};
use super::id::{ChannelId, Code};
use crate::priority::Priority;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

fn encoded(frame: Frame) -> Vec<u8> {
    let message = frame.encode();
    [message.header().as_slice(), message.body()].concat()
}

fn hello() -> Hello {
    Hello {
        newest: 1,
        oldest: 1,
        nonce: *b"0123456789abcdef",
        window: 0x4000,
        channels: 0x1000,
        max_message: 0x0100_0000,
    }
}

/// One of each kind, and its bytes.
fn all() -> Vec<(Frame, &'static [u8])> {
    let (channel, body, text) = (0x0102_0304, Bytes::from_static(b"hi"), String::from("no"));
    let code = Code(0x0506_0708);
    let id = ChannelId::new("user").unwrap();
    let count = 0x1112_1314_1516_1718;
    vec![
        (
            Frame::Hello(hello()),
            b"\x01\0\0\0\0SWMX\x01\x010123456789abcdef\0\0\x40\0\0\0\x10\0\0\0\0\0\x01\0\0\0",
        ),
        (Frame::Open { channel, priority: Priority::Normal, id }, b"\x02\x01\x02\x03\x04\x02user"),
        (Frame::Accept { channel }, b"\x03\x01\x02\x03\x04"),
        (Frame::Message { channel, body: body.clone() }, b"\x04\x01\x02\x03\x04hi"),
        (
            Frame::Begin { channel, length: count, body: body.clone() },
            b"\x05\x01\x02\x03\x04\x11\x12\x13\x14\x15\x16\x17\x18hi",
        ),
        (Frame::Piece { channel, body }, b"\x06\x01\x02\x03\x04hi"),
        (Frame::End { channel }, b"\x07\x01\x02\x03\x04"),
        (Frame::Abort { channel }, b"\x08\x01\x02\x03\x04"),
        (
            Frame::Credit { channel, bytes: count, delivered: 3 },
            b"\x09\x01\x02\x03\x04\x11\x12\x13\x14\x15\x16\x17\x18\0\0\0\0\0\0\0\x03",
        ),
        (Frame::Flush { channel }, b"\x0a\x01\x02\x03\x04"),
        (Frame::Finish { channel }, b"\x0b\x01\x02\x03\x04"),
        (Frame::Stop { channel, code }, b"\x0c\x01\x02\x03\x04\x05\x06\x07\x08"),
        (Frame::Reset { channel, code, text: text.clone() }, b"\x0d\x01\x02\x03\x04\x05\x06\x07\x08no"),
        (Frame::Return { channel, bytes: count }, b"\x0e\x01\x02\x03\x04\x11\x12\x13\x14\x15\x16\x17\x18"),
        (Frame::Openings { total: count }, b"\x0f\0\0\0\0\x11\x12\x13\x14\x15\x16\x17\x18"),
        (Frame::Ping { token: count }, b"\x10\0\0\0\0\x11\x12\x13\x14\x15\x16\x17\x18"),
        (Frame::Pong { token: count }, b"\x11\0\0\0\0\x11\x12\x13\x14\x15\x16\x17\x18"),
        (Frame::GoAway { last: channel, code, text }, b"\x12\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08no"),
    ]
}

#[test]
fn every_frame_has_these_bytes() {
    let all = all();
    let kinds: Vec<_> = all.iter().map(|(_, bytes)| Kind::from_number(bytes[0]).unwrap()).collect();
    assert_eq!(kinds, Kind::ALL, "one of each, in order");
    for (frame, bytes) in all {
        assert_eq!(Frame::decode(Bytes::from_static(bytes)), Ok(frame.clone()));
        assert_eq!(encoded(frame), bytes);
    }
}

#[test]
fn a_frame_ends_with_its_last_field() {
    for (frame, bytes) in all() {
        // What has a body, a text or an id goes on to the end.
        let open_ended = matches!(bytes[0], 2 | 4 | 5 | 6 | 13 | 18);
        let more = [bytes, b"x"].concat();
        let decoded = Frame::decode(more.into());
        assert_eq!(decoded.err(), (!open_ended).then_some(MuxError::TooMuch), "{frame:?}");
        let least = match Kind::from_number(bytes[0]).unwrap() {
            Kind::Hello => continue,
            Kind::Open => HEAD_BYTES + 1,
            Kind::Begin | Kind::GoAway => HEAD_BYTES + 8,
            Kind::Message | Kind::Piece => HEAD_BYTES,
            Kind::Reset => HEAD_BYTES + 4,
            _ => bytes.len(),
        };
        for length in 0..least {
            assert_eq!(
                Frame::decode(Bytes::from_static(&bytes[..length])),
                Err(MuxError::Short),
                "{frame:?}"
            );
        }
        assert!(Frame::decode(Bytes::from_static(&bytes[..least])).is_ok(), "{frame:?}");
    }
}

#[test]
fn what_is_of_the_connection_has_channel_0_and_nothing_else_has() {
    for (frame, bytes) in all() {
        let of_connection = matches!(bytes[0], 1 | 15..=18);
        let other = if of_connection { [0, 0, 0, 1] } else { [0; 4] };
        let mut bytes = bytes.to_vec();
        bytes[1..HEAD_BYTES].copy_from_slice(&other);
        assert_eq!(Frame::decode(bytes.into()), Err(MuxError::BadField("channel")), "{frame:?}");
    }
}

#[test]
fn there_are_no_other_kinds() {
    for kind in [0, 19, 20, 127, 255] {
        assert_eq!(Frame::decode(vec![kind, 0, 0, 0, 1].into()), Err(MuxError::UnknownKind(kind)));
    }
}

#[test]
fn a_hello_of_a_later_version_may_say_more() {
    let bytes = |newest: u8, oldest: u8, more: &[u8]| {
        let mut bytes = encoded(Frame::Hello(hello()));
        (bytes[9], bytes[10]) = (newest, oldest);
        bytes.extend_from_slice(more);
        Frame::decode(bytes.into())
    };
    assert_eq!(bytes(1, 1, b"more"), Err(MuxError::TooMuch));
    assert!(matches!(bytes(3, 1, b"more"), Ok(Frame::Hello(Hello { newest: 3, .. }))));
    assert_eq!(bytes(3, 2, b"more"), Err(MuxError::Version { newest: 3, oldest: 2 }));
    assert_eq!(bytes(0, 0, b""), Err(MuxError::Version { newest: 0, oldest: 0 }));
    // A version that we do not speak may end there.
    let cut = |bytes: &'static [u8]| Frame::decode(Bytes::from_static(bytes));
    assert_eq!(cut(b"\x01\0\0\0\0SWMX\x09\x08"), Err(MuxError::Version { newest: 9, oldest: 8 }));
    assert_eq!(cut(b"\x01\0\0\0\0SWMX\x01"), Err(MuxError::Short));
    assert_eq!(cut(b"\x01\0\0\0\0SWMX\x01\x010123456789"), Err(MuxError::Short));
    assert_eq!(cut(b"\x01\0\0\0\0SWLK\x01\x01"), Err(MuxError::NoMux));
}

#[test]
fn ids_texts_and_priorities_are_checked() {
    let decode = |head: &[u8], rest: Vec<u8>| Frame::decode([head, &rest].concat().into());
    let open = |rest: Vec<u8>| decode(b"\x02\0\0\0\x02", rest).map(drop);
    assert_eq!(open([&[0][..], &[b'x'; 255]].concat()), Ok(()));
    assert_eq!(open([&[0][..], &[b'x'; 256]].concat()), Err(MuxError::BadField("id")));
    assert_eq!(open(vec![0, 0xff]), Err(MuxError::BadField("id")));
    assert_eq!(open(vec![3]), Ok(()), "no id");
    assert_eq!(open(vec![4]), Err(MuxError::BadField("priority")));
    let reset = |rest: Vec<u8>| decode(b"\x0d\0\0\0\x02\0\0\0\0", rest).map(drop);
    assert_eq!(reset(vec![b'x'; 255]), Ok(()));
    assert_eq!(reset(vec![b'x'; 256]), Err(MuxError::BadField("text")));
    assert_eq!(reset(vec![0xc3]), Err(MuxError::BadField("text")));
}

#[test]
fn a_text_that_is_too_long_is_cut_between_letters() {
    let text = String::from_iter(core::iter::once('x').chain(core::iter::repeat_n('ä', 200)));
    let bytes = encoded(Frame::Reset { channel: 1, code: Code::NONE, text });
    assert_eq!(bytes.len(), HEAD_BYTES + 4 + MAX_TEXT_BYTES);
    let bytes = encoded(Frame::GoAway { last: 0, code: Code::NONE, text: "ä".repeat(200) });
    assert_eq!(bytes.len(), HEAD_BYTES + 8 + MAX_TEXT_BYTES - 1);
    assert!(Frame::decode(bytes.into()).is_ok());
}

#[test]
fn an_unknown_length_is_all_ones() {
    let begin = Frame::Begin { channel: 1, length: UNKNOWN, body: Bytes::new() };
    assert_eq!(encoded(begin), [5, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255]);
}
