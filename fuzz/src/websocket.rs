//! Any bytes as frames of a WebSocket, in any cuts and into any room, against a decoder that sees them whole; and
//! any bytes as heads of its opening handshake.
//!
//! Input of frames: a byte for side and limit, a byte for the number of cuts, the cuts, the stream. Input of
//! heads: the head.

use spanwire_core::framing::sp::Protocol;
use spanwire_core::framing::ws::frame::MAX_CONTROL_BYTES;
use spanwire_core::framing::ws::upgrade::{
    Answer, MAX_ANSWER_BYTES, MAX_HEAD_BYTES, Request, WsError, sub_protocol,
};
use spanwire_core::framing::ws::{Control, Decoder, Fault, Header, Opcode, Side, mask};
use spanwire_core::options::Origins;

/// Frames.
///
/// # Panics
///
/// The decoder disagrees with the description of the format, or memory follows claims instead of data.
pub fn ws_frames(data: &[u8]) {
    let [first, count, data @ ..] = data else { return };
    let from = if first & 1 == 0 { Side::Client } else { Side::Server };
    let max_bytes = usize::from(first >> 1) * 16;
    let (cuts, stream) = data.split_at(data.len().min(usize::from(*count % 16)));
    assert_eq!(read(from, max_bytes, stream, cuts), read_whole(from, max_bytes, stream));
}

/// What a stream is: SP frames, what is to be answered, and how it goes on behind them.
#[derive(Debug, Default, PartialEq)]
struct Found {
    out: Vec<u8>,
    controls: Vec<Control>,
    fault: Option<Fault>,
}

/// The format, read off its description; headers by themselves are checked by their own properties.
fn read_whole(from: Side, max_bytes: usize, mut stream: &[u8]) -> Found {
    let mut found = Found::default();
    let mut parts: Option<Vec<u8>> = None;
    loop {
        let (header, count) = match Header::decode(stream, from) {
            Ok(Some(header)) => header,
            Ok(None) => return found,
            Err(fault) => return Found { fault: Some(fault), ..found },
        };
        stream = &stream[count..];
        if !header.opcode.is_control() {
            let fault = match (header.opcode, &parts) {
                (Opcode::Continuation, None) => Some(Fault::NothingToContinue),
                (Opcode::Binary, Some(_)) => Some(Fault::Interrupted),
                _ => None,
            };
            if fault.is_some() {
                return Found { fault, ..found };
            }
            let total = header.length.saturating_add(parts.as_ref().map_or(0, |parts| parts.len() as u64));
            if max_bytes > 0 && total > max_bytes as u64 {
                found.out.extend(total.to_be_bytes());
                found.controls.push(Control::TooLarge);
                return found;
            }
        }
        let there = stream.len().min(usize::try_from(header.length).unwrap_or(usize::MAX));
        let whole = there as u64 == header.length;
        let mut payload = stream[..there].to_vec();
        stream = &stream[there..];
        if let Some(key) = header.key {
            mask(&mut payload, key, 0);
        }
        match header.opcode {
            _ if !whole && (header.opcode.is_control() || parts.is_some() || !header.last) => return found,
            Opcode::Ping => {
                assert!(payload.len() <= MAX_CONTROL_BYTES);
                found.controls.push(Control::Ping(payload));
            }
            Opcode::Close => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                let valid = |code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
                match code {
                    None if payload.is_empty() => found.controls.push(Control::Close(None)),
                    Some(code) if valid(code) => match std::str::from_utf8(&payload[2..]) {
                        Ok(_) => found.controls.push(Control::Close(Some(code))),
                        Err(_) => found.fault = Some(Fault::BadReason),
                    },
                    _ => found.fault = Some(Fault::BadClose),
                }
                return found;
            }
            Opcode::Pong | Opcode::Text => {}
            Opcode::Binary | Opcode::Continuation if parts.is_none() && header.last => {
                // What there is of it is passed on at once.
                found.out.extend(header.length.to_be_bytes());
                found.out.extend(&payload);
                if !whole {
                    return found;
                }
            }
            Opcode::Binary | Opcode::Continuation => {
                let mut message = parts.take().unwrap_or_default();
                message.extend(payload);
                if header.last {
                    found.out.extend((message.len() as u64).to_be_bytes());
                    found.out.extend(message);
                } else {
                    parts = Some(message);
                }
            }
        }
    }
}

/// Reads as the hands do: straight into its place where the decoder allows that.
fn read(from: Side, max_bytes: usize, mut stream: &[u8], cuts: &[u8]) -> Found {
    let mut decoder = Decoder::new(from);
    decoder.limit(max_bytes);
    let mut found = Found::default();
    let mut cuts = cuts.iter().cycle();
    let mut fed = 0;
    while !stream.is_empty() {
        let cut = cuts.next().map_or(usize::MAX >> 1, |cut| usize::from(*cut));
        let size = cut.clamp(1, stream.len());
        let room = (cut % 31).max(1);
        let (mut input, rest) = stream.split_at(size);
        if decoder.passing() >= room {
            let count = size.min(room);
            let start = found.out.len();
            found.out.extend(&stream[..count]);
            decoder.passed(&mut found.out[start..]);
            stream = &stream[count..];
            continue;
        }
        if let Some((gathered, missing)) = decoder.part() {
            let count = size.min(missing);
            gathered.extend(&stream[..count]);
            decoder.parted(count);
            stream = &stream[count..];
            input = &[];
        } else {
            stream = rest;
        }
        fed += size;
        loop {
            decoder.check_invariants();
            match decoder.decode(&mut input, &mut found.out, room) {
                Ok(control) => found.controls.extend(control),
                Err(fault) => return Found { fault: Some(fault), ..found },
            }
            if input.is_empty() && !decoder.has_more() {
                break;
            }
        }
        // What is held follows what was sent, not what was claimed.
        assert!(decoder.held_bytes() <= 128 * 1024 + 4 * fed, "{} held, {fed} fed", decoder.held_bytes());
    }
    found
}

/// Heads of the opening handshake, on both sides.
///
/// # Panics
///
/// A head that is whole reads otherwise than in parts, something too large is taken, or what we answer is not
/// what a dialer of ours understands.
pub fn ws_upgrade(data: &[u8]) {
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let name = sub_protocol(Protocol::Rep);
    match Request::read(data) {
        Ok(Some((request, length))) => {
            assert!(length <= data.len() && length <= MAX_HEAD_BYTES);
            assert_eq!(
                Request::read(&data[..length]),
                Ok(Some((request.clone(), length))),
                "no more is needed"
            );
            assert!(!matches!(Request::read(&data[..length - 1]), Ok(Some(_))), "no less is enough");
            match request.judge(&name, &Origins::default()).and_then(|agreed| agreed.encode(&[])) {
                Ok(answer) => {
                    assert!(answer.len() <= MAX_ANSWER_BYTES);
                    assert!(matches!(
                        Answer::check(&answer, key, &name),
                        Ok(Some(_)) | Err(WsError::BadAccept)
                    ));
                }
                Err(error) => understood(&error),
            }
            understood(&request.no_such_path());
        }
        Ok(None) => assert!(data.len() < MAX_HEAD_BYTES),
        Err(error) => understood(&error),
    }
    match Answer::check(data, key, &name) {
        Ok(Some(length)) => assert!(length <= data.len() && length <= MAX_HEAD_BYTES),
        Ok(None) => assert!(data.len() < MAX_HEAD_BYTES),
        Err(error) => assert!(format!("{error}").len() < 2_000, "texts of peers are cut"),
    }
}

/// What a listener says to it is an answer of HTTP, whole, and refuses.
fn understood(error: &WsError) {
    let answer = error.encode();
    match Answer::check(&answer, "", "") {
        Err(WsError::Status { code: 400..=431, text }) => assert!(!text.is_empty()),
        other => panic!("{other:?} of {error:?}"),
    }
}
