//! Lives of two machines joined by a pipe, for tests and the fuzzer: whatever the programs on both sides do, nothing is
//! lost, doubled or out of order, no bound is exceeded, and nobody waits for ever.

use super::connection::{Mux, NotOpened, Place, State};
use super::id::ChannelId;
use super::stream::{NotSent, Take};
use crate::message::Message;
use crate::options::mux::MuxOptions;
use crate::priority::Priority;
use crate::time::Time;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

/// One side: the machine, its program, and what is on its way to it.
#[derive(Debug)]
struct Side {
    mux: Mux,
    wire: VecDeque<Bytes>,
    channels: Vec<Held>,
    /// By the number of a channel: what its sender gave it.
    sent: Vec<(u32, VecDeque<u32>)>,
}

#[derive(Debug)]
struct Held {
    place: Place,
    /// Of the message that is being taken in pieces.
    pieces: Vec<u8>,
    stream: Option<(u32, usize)>,
    finished: bool,
    reads: bool,
}

/// Two sides and a clock.
#[derive(Debug)]
pub struct World {
    sides: [Side; 2],
    now: Time,
    counter: u32,
}

fn small() -> MuxOptions {
    MuxOptions {
        channels: 4,
        backlog: 4,
        window: 512,
        shared_window: 4_096,
        max_window: 4_096,
        max_message_bytes: 6_000,
        send_messages: 4,
        send_bytes: 4_096,
        chunk_bytes: 1_024,
        idle_timeout: None,
        keep_alive: None,
        ..MuxOptions::default()
    }
}

/// A message: its number, and so many bytes that depend on it.
fn body(number: u32, bytes: usize) -> Bytes {
    let mut body = Vec::from(number.to_be_bytes());
    body.extend((0..bytes).map(|at| (number as usize + at) as u8));
    body.into()
}

fn number_of(body: &[u8]) -> u32 {
    let number = u32::from_be_bytes(body[..4].try_into().expect("a number"));
    assert!(body == self::body(number, body.len() - 4), "the bytes of a message are its own");
    number
}

impl World {
    /// Both sides, before they have said hello.
    pub fn new() -> Self {
        let now = Time::from_nanos(1);
        let side = |nonce| Side {
            mux: Mux::new(&small(), [nonce; 16], now),
            wire: VecDeque::new(),
            channels: Vec::new(),
            sent: Vec::new(),
        };
        Self { sides: [side(1), side(2)], now, counter: 0 }
    }

    /// Lives as the bytes say, then lets both programs read all there is, and looks at the books.
    pub fn live(script: &[u8]) {
        let mut world = Self::new();
        for step in script.chunks_exact(3) {
            world.step(step[0], step[1], step[2]);
        }
        world.finish();
    }

    fn step(&mut self, what: u8, which: u8, how: u8) {
        let side = usize::from(what & 1);
        self.now = self.now + Duration::from_micros(u64::from(how) * 7);
        match what >> 1 & 15 {
            0 | 1 => self.deliver(side, usize::from(how % 8) + 1),
            2 => self.open(side, which),
            3 => self.accept(side),
            4..=6 => self.send(side, which, usize::from(how) * if which & 128 == 0 { 1 } else { 22 }),
            7 => self.begin_or_go_on(side, which, how),
            8..=10 => self.take(side, which, how & 1 == 0),
            11 => {
                self.with(side, which, |held, _| held.reads = how & 3 != 0);
            }
            12 if how > 200 => self.finish_channel(side, which),
            13 => {
                self.with(side, which, |held, mux| mux.flush(held.place));
            }
            14 => {
                self.now = self.now + Duration::from_millis(u64::from(how) * 10);
                let now = self.now;
                let mux = &mut self.sides[side].mux;
                if mux.deadline().is_some_and(|due| due <= now) && !matches!(mux.state(), State::Greeting) {
                    mux.expire(now);
                }
            }
            15 => self.sides[side].mux.ping(self.now),
            _ => {}
        }
        self.check();
    }

    fn check(&self) {
        for side in &self.sides {
            side.mux.check_invariants();
            assert!(side.mux.end().is_none(), "it goes on: {:?}", side.mux.end());
        }
    }

    /// Writes what one side has to say, and lets the other read some of it.
    fn deliver(&mut self, side: usize, frames: usize) {
        for _ in 0..frames {
            if let Some(frame) = self.sides[side].mux.next_frame() {
                self.sides[1 - side].wire.push_back(flat(&frame.message));
            }
            if let Some(frame) = self.sides[1 - side].wire.pop_front() {
                self.sides[1 - side].mux.frame(frame, self.now);
            }
        }
    }

    fn open(&mut self, side: usize, which: u8) {
        let id = ChannelId::new(["", "a", "b"][usize::from(which % 3)]).expect("short");
        let priority = Priority::ALL[usize::from(which % 4)];
        match self.sides[side].mux.open(id, priority) {
            Ok(place) => self.hold(side, place),
            Err(not) => assert_eq!(not, NotOpened::Full),
        }
    }

    fn hold(&mut self, side: usize, place: Place) {
        let held = Held { place, pieces: Vec::new(), stream: None, finished: false, reads: true };
        self.sides[side].channels.push(held);
        self.sides[side].sent.push((place.number(), VecDeque::new()));
    }

    fn accept(&mut self, side: usize) {
        if let Some((place, _)) = self.sides[side].mux.accept(|_| true) {
            self.hold(side, place);
        }
    }

    fn with<T>(&mut self, side: usize, which: u8, act: impl FnOnce(&mut Held, &mut Mux) -> T) -> Option<T> {
        let side = &mut self.sides[side];
        let count = side.channels.len();
        let held = side.channels.get_mut(usize::from(which & 127) % count.max(1))?;
        Some(act(held, &mut side.mux))
    }

    fn note_sent(&mut self, side: usize, channel: u32, number: u32) {
        let sent = self.sides[side].sent.iter_mut().find(|(other, _)| *other == channel);
        sent.expect("it is held").1.push_back(number);
    }

    fn send(&mut self, side: usize, which: u8, bytes: usize) {
        self.counter += 1;
        let number = self.counter;
        let sent =
            self.with(side, which, |held, mux| match mux.send(held.place, body(number, bytes.min(5_900))) {
                Ok(()) => Some(held.place.number()),
                Err((NotSent::Full | NotSent::Finished, _)) => None,
                Err((not, _)) => panic!("nobody stops: {not:?}"),
            });
        if let Some(Some(channel)) = sent {
            self.note_sent(side, channel, number);
        }
    }

    fn begin_or_go_on(&mut self, side: usize, which: u8, how: u8) {
        self.counter += 1;
        let number = self.counter;
        let whole = self.with(side, which, |held, mux| match held.stream {
            None => {
                if !held.finished && mux.begin_stream(held.place).is_ok() {
                    held.stream = Some((number, 0));
                }
                None
            }
            Some((number, sent)) => {
                let all = body(number, 3_000);
                let end = (sent + usize::from(how) * 8).min(all.len());
                if mux.send_piece(held.place, all.slice(sent..end)).is_ok() {
                    held.stream = Some((number, end));
                }
                if how > 180 && held.stream == Some((number, all.len())) {
                    held.stream = None;
                    mux.end_stream(held.place, true);
                    return Some((held.place.number(), number));
                }
                if how < 5 {
                    held.stream = None;
                    mux.end_stream(held.place, false);
                }
                None
            }
        });
        if let Some(Some((channel, number))) = whole {
            self.note_sent(side, channel, number);
        }
    }

    fn take(&mut self, side: usize, which: u8, whole: bool) {
        let got = self.with(side, which, |held, mux| {
            if !held.reads {
                return None;
            }
            let taken = match whole && held.pieces.is_empty() {
                true => mux.take_message(held.place),
                false => mux.take_piece(held.place),
            };
            let number = match taken {
                Take::Message(body) => number_of(&body),
                Take::Piece(body) => {
                    held.pieces.extend_from_slice(&body);
                    return None;
                }
                Take::End => number_of(&core::mem::take(&mut held.pieces)),
                Take::Aborted => {
                    held.pieces.clear();
                    return None;
                }
                Take::Nothing | Take::Finished => return None,
                Take::TooLarge => panic!("nothing is too large here"),
            };
            Some((held.place.number(), number))
        });
        if let Some(Some((channel, number))) = got {
            let sent = self.sides[1 - side].sent.iter_mut().find(|(other, _)| *other == channel);
            let expected = sent.and_then(|(_, numbers)| numbers.pop_front());
            assert_eq!(expected, Some(number), "in order, each once");
        }
    }

    fn finish_channel(&mut self, side: usize, which: u8) {
        self.with(side, which, |held, mux| {
            if held.stream.is_none() {
                held.finished = true;
                mux.finish(held.place);
            }
        });
    }

    /// Everybody reads, and all streams end: then nothing may be left anywhere.
    fn finish(&mut self) {
        for side in 0..2 {
            for which in 0..self.sides[side].channels.len() {
                let ended = self.with(side, which as u8, |held, mux| {
                    held.reads = true;
                    held.stream.take().map(|_| mux.end_stream(held.place, false))
                });
                let _stream_or_none = ended;
            }
        }
        for _ in 0..1_000 {
            self.now = self.now + Duration::from_micros(50);
            for side in 0..2 {
                self.deliver(side, 8);
                self.accept(side);
                for which in 0..self.sides[side].channels.len() {
                    self.take(side, which as u8, true);
                }
            }
        }
        self.check();
        for side in &self.sides {
            for (channel, numbers) in &side.sent {
                assert!(
                    numbers.is_empty(),
                    "{numbers:?} of channel {channel} never arrived\n{}",
                    self.picture()
                );
            }
            for held in &side.channels {
                let account = side.mux.account(held.place);
                assert_eq!(account.abandoned, 0, "nothing is given up");
            }
        }
        // All is read, so what is held of the memory that all share can be no more than was promised.
        for side in 0..2 {
            for which in 0..self.sides[side].channels.len() {
                self.with(side, which as u8, |held, mux| {
                    mux.finish(held.place);
                    mux.flush(held.place);
                });
            }
        }
        for _ in 0..1_000 {
            (0..2).for_each(|side| self.deliver(side, 8));
        }
        self.check();
        for side in &self.sides {
            assert_eq!((side.mux.live(), side.mux.stats().shared_used), (0, 0), "{}", self.picture());
            for held in &side.channels {
                let account = side.mux.account(held.place);
                assert_eq!((account.delivered, account.unknown), (account.accepted, 0), "all is known");
            }
        }
    }
}

impl World {
    /// Where everything is, for who has to find out why it is stuck.
    fn picture(&self) -> alloc::string::String {
        let side = |side: &Side| {
            let channels = side.channels.iter().map(|held| {
                let stats = side.mux.channel_stats(held.place);
                alloc::format!("  {} {:?} {:?}", held.place.number(), held.pieces.len(), stats)
            });
            alloc::format!("{:?}\n{}", side.mux.memory(), channels.collect::<Vec<_>>().join("\n"))
        };
        self.sides.iter().map(side).collect::<Vec<_>>().join("\n")
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// A frame as the peer gets it.
fn flat(message: &Message) -> Bytes {
    [message.header().as_slice(), &message.body()[..]].concat().into()
}
