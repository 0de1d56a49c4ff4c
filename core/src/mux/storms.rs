//! Lives of two machines where much ends before its time: channels are finished, stopped, reset and dropped, connections
//! leave or are cut in the middle of a frame. Whatever happens, nothing is doubled or out of order, nobody is blamed, and
//! what is said of each message is true.

use super::connection::{End, Mux, Outgoing, Place};
use super::id::{ChannelId, Code};
use super::stream::Take;
use crate::options::mux::{MuxOptions, SameId};
use crate::priority::Priority;
use crate::time::Time;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

/// One side: the machine, its program, its outbox, and what is on its way to it.
#[derive(Debug)]
struct Side {
    mux: Mux,
    outbox: VecDeque<Outgoing>,
    wire: VecDeque<Bytes>,
    held: Vec<Held>,
    /// By the number of a channel: the messages that were accepted from the program, and those that it got.
    sent: BTreeMap<u32, Vec<u32>>,
    got: BTreeMap<u32, Vec<u32>>,
}

#[derive(Debug)]
struct Held {
    place: Place,
    /// The program takes nothing more.
    deaf: bool,
}

/// Two sides and a clock.
#[derive(Debug)]
pub struct Storm {
    sides: [Side; 2],
    now: Time,
    counter: u32,
}

fn options(side: usize) -> MuxOptions {
    MuxOptions {
        channels: 4,
        backlog: 2 + side,
        window: 400 + side as u32 * 300,
        shared_window: 3_000,
        max_window: 3_000,
        max_message_bytes: 4_000,
        send_messages: 4,
        send_bytes: 5_000,
        chunk_bytes: 1_024,
        same_id: if side == 0 { SameId::Share } else { SameId::Refuse },
        channel_idle_timeout: (side == 0).then_some(Duration::from_secs(20)),
        keep_alive: None,
        idle_timeout: None,
        ..MuxOptions::default()
    }
}

/// Its number, and bytes that depend on it.
fn body(number: u32, bytes: usize) -> Bytes {
    let filling = (0..bytes).map(|at| (number as usize + at) as u8);
    number.to_be_bytes().into_iter().chain(filling).collect()
}

impl Storm {
    /// Lives as the bytes say: the first tells how it ends.
    ///
    /// # Panics
    /// A rule is broken.
    pub fn live(script: &[u8]) {
        let now = Time::from_nanos(1);
        let side = |side: usize| Side {
            mux: Mux::new(&options(side), [side as u8 + 1; 16], now),
            outbox: VecDeque::new(),
            wire: VecDeque::new(),
            held: Vec::new(),
            sent: BTreeMap::new(),
            got: BTreeMap::new(),
        };
        let mut storm = Self { sides: [side(0), side(1)], now, counter: 0 };
        let Some((&ending, steps)) = script.split_first() else { return };
        for step in steps.chunks_exact(3) {
            storm.step(step[0], step[1], step[2]);
            storm.check();
        }
        match ending % 2 {
            0 => storm.cut(ending),
            _ => storm.calm(),
        }
    }

    fn check(&self) {
        for side in &self.sides {
            side.mux.check_invariants();
            let end = side.mux.end();
            assert!(!matches!(end, Some(End::Violation(_))), "{end:?}");
            for held in &side.held {
                let account = side.mux.account(held.place);
                let known = account.delivered + account.abandoned + account.unknown;
                assert!(known <= account.accepted, "{account:?}");
            }
        }
    }

    fn step(&mut self, what: u8, which: u8, how: u8) {
        let side = usize::from(what & 1);
        self.now = self.now + Duration::from_micros(u64::from(how) * 7);
        match what >> 1 & 31 {
            0..=2 => self.pull(side, how % 8 + 1),
            3..=5 => self.write(side, how % 8 + 1),
            6..=9 => self.arrive(side, how % 8 + 1),
            10 | 11 => self.open(side, which),
            12 | 13 => self.accept(side),
            14..=16 => self.send(side, which, usize::from(how)),
            17 => self.send(side, which, usize::from(how) * 15),
            18..=20 => self.take(side, which),
            21 => self.with(side, which, |held, mux| {
                mux.flush(held.place);
            }),
            22 | 23 => self.with(side, which, |held, mux| mux.finish(held.place)),
            24 => self.with(side, which, |held, mux| {
                held.deaf = true;
                mux.stop(held.place, Code(300));
            }),
            25 if how < 128 => self.with(side, which, |held, mux| mux.reset(held.place, Code(300), "why")),
            26 | 27 => self.release(side, which),
            28 => {
                // So long that credit is given back.
                self.now = self.now + Duration::from_millis(u64::from(how) * 20);
                let now = self.now;
                let mux = &mut self.sides[side].mux;
                if mux.theirs().is_some() {
                    mux.expire(now);
                }
            }
            29 if how > 250 => {
                let until = (which & 1 == 0).then_some(self.now + Duration::from_secs(1));
                self.sides[side].mux.leave(Code::NONE, "bye", until);
            }
            30 => self.sides[side].mux.ping(self.now),
            _ => {}
        }
    }

    fn with(&mut self, side: usize, which: u8, act: impl FnOnce(&mut Held, &mut Mux)) {
        let side = &mut self.sides[side];
        let count = side.held.len().max(1);
        if let Some(held) = side.held.get_mut(usize::from(which) % count) {
            act(held, &mut side.mux);
        }
    }

    /// From the machine into its outbox.
    fn pull(&mut self, side: usize, frames: u8) {
        let side = &mut self.sides[side];
        for _ in 0..frames {
            side.outbox.extend(side.mux.next_frame());
        }
    }

    /// From the outbox to the wire.
    fn write(&mut self, side: usize, frames: u8) {
        for _ in 0..frames {
            if let Some(frame) = self.sides[side].outbox.pop_front() {
                let bytes = [frame.message.header().as_slice(), frame.message.body()].concat();
                self.sides[1 - side].wire.push_back(bytes.into());
            }
        }
    }

    /// From the wire to the machine.
    fn arrive(&mut self, side: usize, frames: u8) {
        let now = self.now;
        let side = &mut self.sides[side];
        for _ in 0..frames {
            if let Some(frame) = side.wire.pop_front() {
                side.mux.frame(frame, now);
            }
        }
        while side.mux.next_change().is_some() {}
    }

    fn open(&mut self, side: usize, which: u8) {
        let id = ChannelId::new(["", "a", "b"][usize::from(which % 3)]).expect("short");
        let priority = Priority::ALL[usize::from(which % 4)];
        if let Ok(place) = self.sides[side].mux.open(id, priority) {
            self.sides[side].held.push(Held { place, deaf: false });
        }
    }

    fn accept(&mut self, side: usize) {
        if let Some((place, _)) = self.sides[side].mux.accept(|_| true) {
            self.sides[side].held.push(Held { place, deaf: false });
        }
    }

    fn send(&mut self, side: usize, which: u8, bytes: usize) {
        self.counter += 1;
        let number = self.counter;
        let mut accepted = None;
        self.with(side, which, |held, mux| {
            let sent = mux.send(held.place, body(number, bytes));
            accepted = sent.is_ok().then_some(held.place.number());
        });
        if let Some(channel) = accepted {
            self.sides[side].sent.entry(channel).or_default().push(number);
        }
    }

    fn take(&mut self, side: usize, which: u8) {
        let mut taken = None;
        self.with(side, which, |held, mux| {
            if let Take::Message(message) = mux.take_message(held.place) {
                assert!(!held.deaf, "it takes nothing more");
                taken = Some((held.place.number(), message));
            }
        });
        let Some((channel, message)) = taken else { return };
        let number = u32::from_be_bytes(message[..4].try_into().expect("a number"));
        assert_eq!(message, body(number, message.len() - 4), "the bytes of a message are its own");
        let got = self.sides[side].got.entry(channel).or_default();
        let sent = self.sides[1 - side].sent.get(&channel).and_then(|sent| sent.get(got.len()));
        assert_eq!(sent, Some(&number), "in order, each once");
        got.push(number);
    }

    fn release(&mut self, side: usize, which: u8) {
        let held = &mut self.sides[side].held;
        if !held.is_empty() {
            let held = held.swap_remove(usize::from(which) % held.len());
            self.sides[side].mux.release(held.place);
        }
    }

    fn take_all(&mut self) {
        for side in 0..2 {
            while let Some((place, _)) = self.sides[side].mux.accept(|_| true) {
                self.sides[side].held.push(Held { place, deaf: false });
            }
            for which in 0..self.sides[side].held.len() {
                let waiting =
                    self.sides[side].mux.channel_stats(self.sides[side].held[which].place).recv_waiting;
                (0..=waiting).for_each(|_| self.take(side, which as u8));
            }
        }
    }

    /// The connection breaks in the middle of a frame. Some of what was written before arrives.
    fn cut(&mut self, how: u8) {
        for side in 0..2 {
            self.arrive(side, how >> (side * 3) & 7);
            let Side { mux, outbox, .. } = &mut self.sides[side];
            for place in outbox.drain(..).filter_map(|frame| frame.ends) {
                mux.unsent(place);
            }
        }
        for side in &mut self.sides {
            side.wire.clear();
            side.mux.lost(End::Lost);
        }
        self.check();
        self.take_all();
        self.check();
        for (side, other) in [(0, 1), (1, 0)] {
            let (here, there) = (&self.sides[side], &self.sides[other]);
            for held in &here.held {
                let (account, channel) = (here.mux.account(held.place), held.place.number());
                let sum = account.delivered + account.abandoned + account.unknown;
                assert_eq!(sum, account.accepted, "{account:?}");
                let listens = |held: &&Held| held.place.number() == channel && !held.deaf;
                if there.held.iter().any(|held| listens(&held)) {
                    let got = there.got.get(&channel).map_or(0, Vec::len) as u64;
                    assert!(account.delivered <= got, "{account:?}, and {got} were there");
                    assert!(got <= account.delivered + account.unknown, "{account:?}, and {got} were there");
                }
            }
        }
    }

    /// All that is on its way arrives, everybody lets go, and nothing is left.
    fn calm(&mut self) {
        self.settle();
        for side in 0..2 {
            while !self.sides[side].held.is_empty() {
                self.release(side, 0);
            }
        }
        self.settle();
        for side in &mut self.sides {
            assert_eq!((side.mux.live(), side.mux.stats().shared_used), (0, 0), "{:?}", side.mux);
        }
    }

    fn settle(&mut self) {
        for _ in 0..200 {
            for side in 0..2 {
                self.pull(side, 8);
                self.write(side, 8);
                self.arrive(side, 8);
            }
            self.take_all();
            self.check();
        }
    }
}
