//! Two machines, joined by a pipe that cuts as it likes.
//!
//! | file | what it tests |
//! | --- | --- |
//! | `handshakes` | Hello, Ack, and what comes instead of them |
//! | `messages` | their order, their room, their limits |
//! | `requests` | and their answers |
//! | `streams` | messages of any length |
//! | `pace` | peers that are too fast |
//! | `ends` | every way to end |
//! | `random` | whatever programs and peers do |

mod ends;
mod handshakes;
mod messages;
mod pace;
mod random;
mod requests;
mod streams;

use super::*;
use crate::framing::link::{Fault, HelloError, Kind, Layer, LinkError, Metadata, Reason, Versions};
use crate::link::calls::Failure;
use crate::link::gather::Piece;
use crate::link::options::TooFast;
use crate::link::parcel::Priority;
use crate::link::script::{Side, hello, session_frame};
use proptest::prelude::*;

const START: Time = Time::from_nanos(1);

fn at(millis: u64) -> Time {
    START + Duration::from_millis(millis)
}

/// An end that was just made.
fn side(role: Role, host: &str, options: LinkOptions) -> Side {
    Side::new(role, host, options, START)
}

impl Side {
    /// The exact bytes of a frame, as a stranger would write it.
    fn inject(&mut self, control: &Control, now: Time) {
        let (fields, data) = control.encode();
        let head = Head::session(control.kind()).encode();
        self.link.frame([&head[..], &fields, &data].concat().into(), now);
    }

    fn received(&mut self) -> Vec<Parcel> {
        let received = core::iter::from_fn(|| self.link.recv()).collect();
        self.pace(START);
        received
    }

    fn received_at(&mut self, now: Time) -> usize {
        let count = core::iter::from_fn(|| self.link.recv()).count();
        self.pace(now);
        count
    }

    fn send(&mut self, parcel: impl Into<Parcel>) -> Result<(), NotSent> {
        self.link.send(&mut parcel.into(), START)
    }
}

struct Pair {
    ann: Side,
    bob: Side,
    cuts: Vec<usize>,
    turn: usize,
    now: Time,
}

impl Pair {
    fn with(options: LinkOptions, cuts: &[usize]) -> Self {
        let mut pair = Self {
            ann: side(Role::Dialer, "ann", options.clone()),
            bob: side(Role::Acceptor, "bob", options),
            cuts: cuts.to_vec(),
            turn: 0,
            now: START,
        };
        pair.run();
        pair
    }

    fn new() -> Self {
        Self::with(LinkOptions::default(), &[usize::MAX])
    }

    /// Hands over a piece in each direction. Whether there was one.
    fn step(&mut self) -> bool {
        let cut = self.cuts[self.turn % self.cuts.len()];
        self.turn += 1;
        let mut moved = false;
        for turn in 0..2 {
            let (from, to) = match turn {
                0 => (&mut self.ann, &mut self.bob),
                _ => (&mut self.bob, &mut self.ann),
            };
            from.flush();
            let count = from.written.len().min(cut);
            let bytes: Vec<u8> = from.written.drain(..count).collect();
            if count > 0 {
                to.read(&bytes, self.now);
                moved = true;
            }
        }
        moved
    }

    fn run(&mut self) {
        while self.step() {}
    }
}
