//! Any bytes, and any frames, to a plain connection in its handshake or beyond it.
//!
//! Input: a byte that says where it begins (bit 0: we have dialled, bit 1: the handshake is done before, bit 2:
//! the peer has a rate),
//! then steps: a byte that says what happens, and for frames a kind and a length of payload.

use bytes::Bytes;
use spanwire_core::Time;
use spanwire_core::link::gather::Piece;
use spanwire_core::link::script::{Side, hello, session_frame};
use spanwire_core::link::{LinkOptions, Parcel, Priority, Role};
use std::time::Duration;

/// A connection whose peer says whatever the input says.
///
/// # Panics
///
/// The machine panics, holds more than its bounds, or goes on after its end.
pub fn link(data: &[u8]) {
    let [start, steps @ ..] = data else { return };
    let role = if start & 1 == 0 { Role::Acceptor } else { Role::Dialer };
    let mut fed = Fed::new(role, start & 4 != 0);
    if start & 2 != 0 {
        fed.bytes(&session_frame(1, &hello("peer", &options()).encode()));
        fed.bytes(&session_frame(2, b"\0\0"));
        assert!(fed.side.link.is_open(), "{:?}", fed.side.link.state());
    }
    let mut steps = steps;
    while let [step, rest @ ..] = steps {
        steps = fed.step(*step, rest);
        fed.check();
    }
    fed.side.link.lost(spanwire_core::link::End::Lost);
    fed.check();
}

fn options() -> LinkOptions {
    LinkOptions {
        recv_messages: 4,
        recv_bytes: 2_000,
        send_messages: 3,
        streams: 2,
        stream_bytes: 1_000,
        requests: 2,
        calls: 2,
        max_message_bytes: 3_000,
        chunk_bytes: 1_024,
        ..LinkOptions::default()
    }
}

struct Fed {
    side: Side,
    now: Time,
    streams: Vec<u32>,
    written: usize,
    ended: bool,
}

impl Fed {
    fn new(role: Role, limited: bool) -> Self {
        let now = Time::from_nanos(1);
        let options = LinkOptions {
            messages_per_second: limited.then_some(3),
            bytes_per_second: limited.then_some(1_000),
            ..options()
        };
        let side = Side::new(role, "ours", options, now);
        Self { side, now, streams: Vec::new(), written: 0, ended: false }
    }

    fn step<'a>(&mut self, step: u8, rest: &'a [u8]) -> &'a [u8] {
        match step % 16 {
            // A frame of the session: its kind, and a payload of a length that is also given.
            0..=4 => {
                let [kind, length, rest @ ..] = rest else { return &[] };
                let (payload, rest) = rest.split_at(rest.len().min((*length).into()));
                self.bytes(&session_frame(*kind, payload));
                return rest;
            }
            5 => {
                let [length, rest @ ..] = rest else { return &[] };
                let (bytes, rest) = rest.split_at(rest.len().min((*length).into()));
                self.bytes(bytes);
                return rest;
            }
            6 => self.bytes(b"\0\0\0\x08\0\0\x01\0\x02abc"),
            7 => drop(self.side.link.recv()),
            8 => {
                if let Some((id, parcel)) = self.side.link.recv_request() {
                    self.side.link.reply(id, Priority::High, Ok(parcel.body), self.now);
                }
            }
            9 => self.streams.extend(self.side.link.recv_stream().map(|(transfer, _)| transfer)),
            10 => {
                if let Some(transfer) = self.streams.last().copied()
                    && matches!(self.side.link.read_stream(transfer), Piece::End | Piece::Aborted)
                {
                    self.side.link.drop_stream(transfer);
                    self.streams.pop();
                }
            }
            11 => {
                let mut parcel = Parcel::from(vec![0; 2_500]).at(Priority::Low);
                let _ = self.side.link.send(&mut parcel, self.now);
            }
            12 => {
                let _ = self.side.link.call(&mut Parcel::from("?"), self.now);
            }
            13 => {
                if let Ok(transfer) = self.side.link.open_stream(&Parcel::from("")) {
                    let _ = self.side.link.write_stream(transfer, &mut Bytes::from_static(b"some"));
                }
            }
            14 => {
                self.now = self.now + Duration::from_millis(700);
                while self.side.link.deadline().is_some_and(|due| due <= self.now) {
                    self.side.link.expire(self.now);
                }
            }
            _ => self.side.link.close(self.now + Duration::from_secs(1)),
        }
        rest
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.side.read(bytes, self.now);
    }

    fn check(&mut self) {
        self.side.pace(self.now);
        self.side.link.check_invariants();
        while let Some(frame) = self.side.link.next_frame() {
            self.written += frame.message.len();
            assert!(frame.message.len() <= 1024 * 1024);
        }
        // Messages that wait, streams, and four in pieces that may double as they grow.
        let most = 2_000 + 3_012 + 2 * 1_000 + 4 * 2 * 3_012;
        assert!(self.side.link.held_bytes() <= most, "{} held", self.side.link.held_bytes());
        let over = self.side.link.end().is_some();
        assert!(over || !self.ended, "it came back");
        if over && !self.ended {
            self.ended = true;
        }
    }
}
