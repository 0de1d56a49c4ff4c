//! What went through a device.

use super::arrow;
use super::sides::Side;
use crate::terminal::{bytes, grouped};
use spanwire::device::Direction;
use spanwire::{CloseReport, RawSocket};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Messages and bytes, each way.
#[derive(Debug, Default)]
pub(super) struct Counts {
    forth: [AtomicU64; 2],
    back: [AtomicU64; 2],
}

impl Counts {
    pub(super) fn passed(&self, direction: Direction, length: usize) {
        let [messages, bytes] = self.of(direction);
        messages.fetch_add(1, Relaxed);
        bytes.fetch_add(length as u64, Relaxed);
    }

    fn of(&self, direction: Direction) -> &[AtomicU64; 2] {
        match direction {
            Direction::Forth => &self.forth,
            Direction::Back => &self.back,
        }
    }

    /// Tells on standard error.
    pub(super) fn report(&self, sides: &[Side], sockets: &[RawSocket], closed: &[CloseReport]) {
        let name = |index: usize| sides[index.min(sides.len() - 1)].protocol.name();
        for direction in [Direction::Forth, Direction::Back] {
            let [messages, length] = self.of(direction).each_ref().map(|count| count.load(Relaxed));
            // A reflector knows one way only.
            if sides.len() == 2 || direction == Direction::Forth {
                let (messages, length) = (grouped(messages), bytes(length));
                eprintln!("{} {} {}: {messages} messages, {length}", name(0), arrow(direction), name(1));
            }
        }
        for (socket, closed) in sockets.iter().zip(closed) {
            let name = socket.protocol().name();
            for (why, count) in socket.stats().ledger.drops() {
                eprintln!("{name}: dropped {}: {why}", grouped(count));
            }
            if closed.abandoned > 0 {
                eprintln!("{name}: not sent before the end: {}", grouped(closed.abandoned));
            }
            if closed.unknown > 0 {
                let count = grouped(closed.unknown);
                eprintln!("{name}: perhaps not received by peers that left at the end: at most {count}");
            }
        }
    }
}
