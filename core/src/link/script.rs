//! One end of a plain connection in a test: a machine that reads bytes as a driver does.

use super::machine::{Frame, Link, Role, State};
use super::options::LinkOptions;
use super::rates::Rates;
use crate::framing::link::{Hello, LinkError, MAX_HANDSHAKE_BYTES, Metadata, Versions};
use crate::framing::sp::{FrameError, Framing};
use crate::session::inbox::Inbox;
use crate::session::outbox::Outbox;
use crate::time::Time;
use alloc::rc::Rc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::cell::RefCell;
use core::hash::{BuildHasherDefault, Hasher};

/// What a host of this name says of itself, with these options. Its instance follows from the name.
pub fn hello(host: &str, options: &LinkOptions) -> Hello {
    let number = host.bytes().fold(0, |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(byte));
    Hello {
        versions: Versions::OURS,
        capabilities: 0,
        instance: [number; 16],
        nonce: [number; 32],
        window_messages: options.recv_messages,
        window_bytes: options.recv_bytes,
        max_message_bytes: options.max_message_bytes,
        streams: options.streams,
        stream_window_bytes: options.stream_bytes,
        host: host.into(),
        metadata: Metadata::default(),
    }
}

/// A message of the session on the wire, written by hand: length, head, payload.
pub fn session_frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32 + 5).to_be_bytes()[..], &[1, 0, 0, 0, kind], payload].concat()
}

/// A hasher for tests: the same everywhere, and collisions are common.
#[derive(Clone, Debug, Default)]
pub struct Sums(u64);

impl Hasher for Sums {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, byte| sum + u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The rates of peers in tests.
pub type Table = Rates<(), BuildHasherDefault<Sums>>;

/// One end: the machine, its inbox, and what it has written. It takes every peer.
#[derive(Debug)]
pub struct Side {
    /// The machine.
    pub link: Link,
    /// What cuts the frames.
    pub inbox: Inbox,
    /// Bytes that wait to be carried to the other end.
    pub written: Vec<u8>,
    /// Messages that have left whole.
    pub left: u64,
    /// What the peer may send: all connections that share it are those of one peer.
    pub rates: Option<Rc<RefCell<Table>>>,
}

impl Side {
    /// A connection of a host of this name that was just made. What it says first is written.
    pub fn new(role: Role, host: &str, options: LinkOptions, now: Time) -> Self {
        let rates = Table::new(&options).map(|mut rates| {
            rates.join((), now);
            Rc::new(RefCell::new(rates))
        });
        let link = Link::new(role, hello(host, &options), options, now);
        let inbox = Inbox::new(Framing::Link, MAX_HANDSHAKE_BYTES);
        let mut side = Self { link, inbox, written: Vec::new(), left: 0, rates };
        side.flush();
        side
    }

    /// Writes a frame.
    pub fn write(&mut self, mut frame: Frame) {
        let mut outbox = Outbox::new(Framing::Link);
        outbox.push(&mut frame.message);
        let batch = outbox.take();
        let mut slices = [&[][..]; 8];
        let (count, _) = batch.slices(&mut slices, usize::MAX, |slice| slice);
        slices[..count].iter().for_each(|slice| self.written.extend_from_slice(slice));
        self.left += u64::from(frame.ends);
    }

    /// Writes all frames that may go.
    pub fn flush(&mut self) {
        while let Some(frame) = self.link.next_frame() {
            self.write(frame);
        }
    }

    /// Everybody is fine.
    pub fn judge(&mut self, now: Time) {
        while matches!(self.link.state(), State::Judging { .. }) {
            self.link.go_on(Bytes::new(), now);
        }
    }

    /// What has come is charged to the peer. After whatever was done to the machine.
    pub fn pace(&mut self, now: Time) {
        if let (Some(rates), Some(came)) = (&self.rates, self.link.charge()) {
            let verdict = rates.borrow_mut().charge(&(), came, now);
            self.link.paced(verdict, now);
        }
    }

    /// Reads bytes as they come from the wire.
    pub fn read(&mut self, bytes: &[u8], now: Time) {
        if bytes.is_empty() {
            return;
        }
        self.inbox.feed(Bytes::copy_from_slice(bytes));
        loop {
            self.inbox.allow(self.link.max_frame_bytes());
            match self.inbox.next() {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    self.link.frame(frame, now);
                    self.judge(now);
                    self.pace(now);
                }
                Err(FrameError::TooLarge { claimed }) => {
                    self.link.violated(LinkError::TooLarge { claimed });
                    // What follows is no frame.
                    self.inbox = Inbox::new(Framing::Link, MAX_HANDSHAKE_BYTES);
                    break;
                }
                Err(error) => unreachable!("frames of links have no types: {error:?}"),
            }
        }
        self.link.check_invariants();
    }
}
