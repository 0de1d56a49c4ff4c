//! Any bytes, and any frames, to a plain connection in its handshake or beyond it.
//!
//! Input: a byte that says where it begins (bit 0: we have dialled, bit 1: the handshake is done before),
//! then steps: a byte that says what happens, and for frames a kind and a length of payload.

use bytes::Bytes;
use spanwire_core::Time;
use spanwire_core::framing::link::{Hello, LinkError, MAX_HANDSHAKE_BYTES, Metadata, Versions};
use spanwire_core::framing::sp::{FrameError, Framing};
use spanwire_core::link::gather::Piece;
use spanwire_core::link::machine::State;
use spanwire_core::link::{Link, LinkOptions, Parcel, Priority, Role};
use spanwire_core::session::inbox::Inbox;
use std::time::Duration;

/// A connection whose peer says whatever the input says.
///
/// # Panics
///
/// The machine panics, holds more than its bounds, or goes on after its end.
pub fn link(data: &[u8]) {
    let [start, steps @ ..] = data else { return };
    let role = if start & 1 == 0 { Role::Acceptor } else { Role::Dialer };
    let mut fed = Fed::new(role);
    if start & 2 != 0 {
        fed.bytes(&frame(1, &hello("peer", 2).encode()));
        fed.bytes(&frame(2, b"\0\0"));
        assert!(fed.link.is_open(), "{:?}", fed.link.state());
    }
    let mut steps = steps;
    while let [step, rest @ ..] = steps {
        steps = fed.step(*step, rest);
        fed.check();
    }
    fed.link.lost(spanwire_core::link::End::Lost);
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

fn hello(host: &str, instance: u8) -> Hello {
    let options = options();
    Hello {
        versions: Versions::OURS,
        capabilities: 0,
        instance: [instance; 16],
        nonce: [instance; 32],
        window_messages: options.recv_messages,
        window_bytes: options.recv_bytes,
        max_message_bytes: options.max_message_bytes,
        streams: options.streams,
        stream_window_bytes: options.stream_bytes,
        host: host.into(),
        metadata: Metadata::default(),
    }
}

/// A message of the session, with its length.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32 + 5).to_be_bytes()[..], &[1, 0, 0, 0, kind], payload].concat()
}

struct Fed {
    link: Link,
    inbox: Inbox,
    now: Time,
    streams: Vec<u32>,
    written: usize,
    ended: bool,
}

impl Fed {
    fn new(role: Role) -> Self {
        let now = Time::from_nanos(1);
        let link = Link::new(role, hello("ours", 1), options(), now);
        let inbox = Inbox::new(Framing::Link, MAX_HANDSHAKE_BYTES);
        Self { link, inbox, now, streams: Vec::new(), written: 0, ended: false }
    }

    fn step<'a>(&mut self, step: u8, rest: &'a [u8]) -> &'a [u8] {
        match step % 16 {
            // A frame of the session: its kind, and a payload of a length that is also given.
            0..=4 => {
                let [kind, length, rest @ ..] = rest else { return &[] };
                let (payload, rest) = rest.split_at(rest.len().min((*length).into()));
                self.bytes(&frame(*kind, payload));
                return rest;
            }
            5 => {
                let [length, rest @ ..] = rest else { return &[] };
                let (bytes, rest) = rest.split_at(rest.len().min((*length).into()));
                self.bytes(bytes);
                return rest;
            }
            6 => self.bytes(b"\0\0\0\x08\0\0\x01\0\x02abc"),
            7 => drop(self.link.recv(self.now)),
            8 => {
                if let Some((id, parcel)) = self.link.recv_request(self.now) {
                    self.link.reply(id, Priority::High, Ok(parcel.body), self.now);
                }
            }
            9 => self.streams.extend(self.link.recv_stream().map(|(transfer, _)| transfer)),
            10 => {
                if let Some(transfer) = self.streams.last().copied()
                    && matches!(self.link.read_stream(transfer), Piece::End | Piece::Aborted)
                {
                    self.link.drop_stream(transfer);
                    self.streams.pop();
                }
            }
            11 => {
                let mut parcel = Parcel::from(vec![0; 2_500]).at(Priority::Low);
                let _ = self.link.send(&mut parcel, self.now);
            }
            12 => {
                let _ = self.link.call(&mut Parcel::from("?"), self.now);
            }
            13 => {
                if let Ok(transfer) = self.link.open_stream(&Parcel::from("")) {
                    let _ = self.link.write_stream(transfer, &mut Bytes::from_static(b"some"));
                }
            }
            14 => {
                self.now = self.now + Duration::from_millis(700);
                while self.link.deadline().is_some_and(|due| due <= self.now) {
                    self.link.expire(self.now);
                }
            }
            _ => self.link.close(self.now + Duration::from_secs(1)),
        }
        rest
    }

    /// Reads as a driver does.
    fn bytes(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.inbox.feed(Bytes::copy_from_slice(bytes));
        loop {
            self.inbox.allow(self.link.max_frame_bytes());
            match self.inbox.next() {
                Ok(None) => break,
                Ok(Some(frame)) => self.link.frame(frame, self.now),
                Err(error) => {
                    let FrameError::TooLarge { claimed } = error else { unreachable!("{error:?}") };
                    self.link.violated(LinkError::TooLarge { claimed });
                    self.inbox = Inbox::new(Framing::Link, MAX_HANDSHAKE_BYTES);
                    break;
                }
            }
            if matches!(self.link.state(), State::Judging { .. }) {
                self.link.go_on(Bytes::new(), self.now);
            }
        }
    }

    fn check(&mut self) {
        self.link.check_invariants();
        while let Some(frame) = self.link.next_frame() {
            self.written += frame.message.len();
            assert!(frame.message.len() <= 1024 * 1024);
        }
        // Messages that wait, streams, and four in pieces that may double as they grow.
        let most = 2_000 + 3_012 + 2 * 1_000 + 4 * 2 * 3_012;
        assert!(self.link.held_bytes() <= most, "{} held", self.link.held_bytes());
        let over = self.link.end().is_some();
        assert!(over || !self.ended, "it came back");
        if over && !self.ended {
            self.ended = true;
        }
    }
}
