//! One machine and a peer that says anything, for tests and the fuzzer: nothing panics, the account is right after each
//! frame, and no bound is exceeded.

use super::connection::{Mux, Place};
use super::frame::{Frame, Hello, Kind};
use super::id::{ChannelId, Code};
use super::stream::Take;
use crate::options::mux::{MuxOptions, SameId};
use crate::priority::Priority;
use crate::time::Time;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

fn options() -> MuxOptions {
    MuxOptions {
        channels: 3,
        backlog: 2,
        window: 256,
        shared_window: 2_000,
        max_window: 1_500,
        max_message_bytes: 1_000,
        send_messages: 4,
        send_bytes: 1_000,
        same_id: SameId::Refuse,
        ..MuxOptions::default()
    }
}

/// The program opens channels while it has fewer than so many.
const OURS: usize = 4;

/// The longest body of a frame that is made from few bytes.
const LONGEST: usize = 300;

/// Each byte of the script says what happens next: a frame of the peer, any bytes of it, or something that the program
/// does. Some of what the machine has to say is written, as the script says; the rest waits.
///
/// # Panics
/// A rule is broken.
pub fn feed(script: &[u8]) {
    let mut now = Time::from_nanos(1);
    let mut mux = Mux::new(&options(), [2; 16], now);
    let mut held: Vec<Place> = Vec::new();
    let mut script = Script(script);
    // Mostly it begins as it should.
    if script.byte() != 0 {
        let hello =
            Hello { newest: 1, oldest: 1, nonce: [1; 16], window: 700, channels: 2, max_message: 900 };
        mux.frame(flat(Frame::Hello(hello)), now);
    }
    while !script.0.is_empty() {
        now = now + Duration::from_micros(3);
        match script.byte() {
            // Any bytes.
            what @ 0..=31 => {
                let length = usize::from(what);
                let bytes = script.bytes(length);
                if let Ok(frame) = Frame::decode(Bytes::copy_from_slice(bytes)) {
                    assert_eq!(flat(frame), bytes, "what is decoded is encoded to the same");
                }
                mux.frame(Bytes::copy_from_slice(bytes), now);
            }
            // Frames that mostly may be.
            what @ 32..=170 => mux.frame(flat(script.frame(what)), now),
            what => program(&mut mux, &mut held, what, &mut script, &mut now),
        }
        mux.check_invariants();
        let waiting: u64 = held.iter().map(|place| mux.channel_stats(*place).recv_waiting as u64).sum();
        assert!(waiting * 16 <= options().memory_bound(), "{waiting} messages wait");
        assert!(held.len() <= OURS + 3, "more channels than may be");
    }
    // What is said is what may be said.
    while let Some(frame) = mux.next_frame() {
        let bytes = [frame.message.header().as_slice(), frame.message.body()].concat();
        assert!(Frame::decode(bytes.into()).is_ok());
    }
    for place in held {
        mux.release(place);
        mux.check_invariants();
    }
}

fn program(mux: &mut Mux, held: &mut Vec<Place>, what: u8, script: &mut Script<'_>, now: &mut Time) {
    let which = usize::from(script.byte());
    let place = held.get(which % held.len().max(1)).copied();
    match (what % 16, place) {
        (0 | 1, _) => {
            if let Some((place, _)) = mux.accept(|_| true) {
                held.push(place);
            }
        }
        // The peer may let us open any number.
        (2, _) if held.len() < OURS => held.extend(mux.open(ChannelId::EMPTY, Priority::High).ok()),
        (3..=5, _) => {
            for _ in 0..which % 8 {
                mux.next_frame();
            }
        }
        (6, _) => {
            *now = *now + Duration::from_millis(which as u64 * 10);
            mux.expire(*now);
        }
        (7 | 8, Some(place)) => while matches!(mux.take_message(place), Take::Message(_)) {},
        (9, Some(place)) => drop(mux.take_piece(place)),
        (10, Some(place)) => drop(mux.send(place, Bytes::from(alloc::vec![7; which * 3]))),
        (11, Some(place)) => {
            mux.flush(place);
        }
        (12, Some(place)) => mux.finish(place),
        (13, Some(place)) => match which % 2 {
            0 => mux.stop(place, Code::NONE),
            _ => mux.reset(place, Code::NONE, "why"),
        },
        (14, Some(place)) => {
            held.retain(|other| *other != place);
            mux.release(place);
        }
        (15, Some(place)) => {
            if mux.begin_stream(place).is_ok() {
                drop(mux.send_piece(place, Bytes::from_static(b"piece")));
                mux.end_stream(place, which % 2 == 0);
            }
        }
        _ => while mux.next_change().is_some() {},
    }
}

/// What is left of it.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    /// One that may be small, the next one that fits, or much too large.
    fn number(&mut self) -> u64 {
        match self.byte() {
            255 => u64::MAX,
            254 => u64::MAX - 1,
            small @ 0..=15 => small.into(),
            other => u64::from(other) << (other % 14),
        }
    }

    fn frame(&mut self, what: u8) -> Frame {
        let channel = u32::from(self.byte() % 16);
        let body = |script: &mut Self| {
            let length = usize::from(script.byte()) * 2;
            Bytes::from(alloc::vec![7; length.min(LONGEST)])
        };
        let code = Code(what.into());
        match Kind::from_number(what % 20).unwrap_or(Kind::Message) {
            Kind::Hello | Kind::Message => Frame::Message { channel, body: body(self) },
            Kind::Open => {
                let id = ChannelId::new(["", "a", "b"][usize::from(what % 3)]).expect("short");
                Frame::Open { channel, priority: Priority::Normal, id }
            }
            Kind::Accept => Frame::Accept { channel },
            Kind::Begin => Frame::Begin { channel, length: self.number(), body: body(self) },
            Kind::Piece => Frame::Piece { channel, body: body(self) },
            Kind::End => Frame::End { channel },
            Kind::Abort => Frame::Abort { channel },
            Kind::Credit => {
                Frame::Credit { channel, bytes: self.number(), delivered: u64::from(self.byte() % 4) }
            }
            Kind::Flush => Frame::Flush { channel },
            Kind::Finish => Frame::Finish { channel },
            Kind::Stop => Frame::Stop { channel, code },
            Kind::Reset => Frame::Reset { channel, code, text: "why".into() },
            Kind::Return => Frame::Return { channel, bytes: self.number() },
            Kind::Openings => Frame::Openings { total: self.number() },
            Kind::Ping => Frame::Ping { token: self.number() },
            Kind::Pong => Frame::Pong { token: self.number() },
            Kind::GoAway => Frame::GoAway { last: channel, code, text: "bye".into() },
        }
    }
}

fn flat(frame: Frame) -> Bytes {
    let message = frame.encode();
    [message.header().as_slice(), &message.body()[..]].concat().into()
}
