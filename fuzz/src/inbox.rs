//! Any bytes as frames, in any cuts, against a decoder that sees them whole.
//!
//! Input: a byte for the limit (0 is none), a byte for the number of cuts, the cuts, the stream.

use bytes::Bytes;
use spanwire_core::framing::sp::{FrameError, Framing};
use spanwire_core::session::inbox::Inbox;

/// Frames of TCP.
///
/// # Panics
///
/// The inbox and the decoder disagree, or memory follows claims instead of data.
pub fn inbox_tcp(data: &[u8]) {
    check(Framing::Tcp, data);
}

/// Frames of ipc.
///
/// # Panics
///
/// The inbox and the decoder disagree, or memory follows claims instead of data.
pub fn inbox_ipc(data: &[u8]) {
    check(Framing::Ipc, data);
}

fn check(framing: Framing, data: &[u8]) {
    let [limit, count, data @ ..] = data else { return };
    let max_bytes = usize::from(*limit) * 64;
    let (cuts, stream) = data.split_at(data.len().min(usize::from(*count % 16)));
    let expected = decode_whole(framing, stream, max_bytes);
    assert_eq!(read(framing, stream, max_bytes, cuts), expected);
}

/// What a stream is: its messages, and how it goes on behind them.
#[derive(Debug, PartialEq)]
struct Found {
    payloads: Vec<Vec<u8>>,
    end: Result<AtBoundary, FrameError>,
}

type AtBoundary = bool;

/// The format, read off its description.
fn decode_whole(framing: Framing, mut stream: &[u8], max_bytes: usize) -> Found {
    let mut payloads = Vec::new();
    let end = loop {
        if stream.is_empty() {
            break Ok(true);
        }
        if framing == Framing::Ipc {
            if stream[0] != 1 {
                break Err(FrameError::UnknownType { kind: stream[0] });
            }
            stream = &stream[1..];
        }
        let Some((length, rest)) = stream.split_first_chunk::<8>() else { break Ok(false) };
        let claimed = u64::from_be_bytes(*length);
        if claimed >= 1 << 63 || (max_bytes > 0 && claimed > max_bytes as u64) {
            break Err(FrameError::TooLarge { claimed });
        }
        let Some((payload, rest)) = rest.split_at_checked(claimed as usize) else { break Ok(false) };
        payloads.push(payload.to_vec());
        stream = rest;
    };
    Found { payloads, end }
}

/// Reads as a driver does: straight into a large message where the inbox asks for that.
fn read(framing: Framing, mut stream: &[u8], max_bytes: usize, cuts: &[u8]) -> Found {
    let mut inbox = Inbox::new(framing, max_bytes);
    let mut payloads = Vec::new();
    let mut cuts = cuts.iter().cycle();
    let mut fed = 0;
    while !stream.is_empty() {
        let cut = cuts.next().map_or(usize::MAX, |cut| usize::from(*cut));
        let mut size = cut.clamp(1, stream.len());
        match inbox.direct() {
            Some((body, missing)) => {
                size = size.min(missing);
                body.extend_from_slice(&stream[..size]);
            }
            None => inbox.feed(Bytes::copy_from_slice(&stream[..size])),
        }
        stream = &stream[size..];
        fed += size;
        loop {
            inbox.check_invariants();
            match inbox.next() {
                Ok(Some(payload)) => payloads.push(payload.to_vec()),
                Ok(None) => break,
                Err(error) => return Found { payloads, end: Err(error) },
            }
        }
        inbox.check_invariants();
        // What is held follows what was sent, not what was claimed.
        assert!(inbox.held_bytes() <= 128 * 1024 + 4 * fed, "{} held, {fed} fed", inbox.held_bytes());
    }
    Found { payloads, end: Ok(inbox.at_boundary()) }
}
