//! [`Waits`]: the futures that wait for something of one socket.

use spanwire_core::pattern::CtxId;
use spanwire_core::{Lack, Time};
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::task::Waker;

/// What a future waits for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// A message, or news, in a context.
    Message(CtxId),
    /// Room for a message to send.
    Room,
    /// More or fewer peers.
    Peers,
}

/// Names a waiting future, so that it can be taken out when it is dropped.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Ticket {
    number: NonZeroU64,
    /// When its future began to wait for room, as [`pack`](Self::pack)ed; zero while it has not.
    since: u64,
}

impl Ticket {
    /// Notes when its future began to wait for room, and why, the first time that this is called.
    pub(crate) fn begun(&mut self, lack: Lack, now: impl FnOnce() -> Time) {
        if self.since == 0 {
            self.since = Self::pack(lack, now());
        }
    }

    /// The lowest bit of the time tells what was lacking: a ticket has no word to spare.
    fn pack(lack: Lack, now: Time) -> u64 {
        now.as_nanos() & !1 | u64::from(lack == Lack::NoPeer)
    }

    /// When its future began to wait, to two nanoseconds.
    pub(crate) fn since(&self) -> Time {
        Time::from_nanos(self.since & !1)
    }

    /// What it found lacking when it began to wait.
    pub(crate) fn lack(&self) -> Lack {
        if self.since & 1 == 0 { Lack::Full } else { Lack::NoPeer }
    }
}

/// Queues of wakers, first come first served.
///
/// A future that was woken has left its queue. If it is dropped before it took what it was woken
/// for, its owner wakes the next in line: nothing is lost by cancelling.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    next: u64,
    room: Line,
    peers: Line,
    messages: Vec<Line>,
}

type Line = VecDeque<(NonZeroU64, Waker)>;

impl Waits {
    fn line(&mut self, what: For) -> &mut Line {
        match what {
            For::Room => &mut self.room,
            For::Peers => &mut self.peers,
            For::Message(ctx) => {
                if self.messages.len() <= ctx.index() {
                    self.messages.resize_with(ctx.index() + 1, Line::new);
                }
                &mut self.messages[ctx.index()]
            }
        }
    }

    /// Waits, or goes on waiting with a new waker. A future that was woken in vain goes first again.
    pub(crate) fn wait(&mut self, what: For, ticket: &mut Option<Ticket>, waker: &Waker) {
        let was_woken = ticket.is_some();
        self.next += 1;
        let number = NonZeroU64::new(self.next).expect("2^64 waits take centuries");
        let line = self.line(what);
        if let Some(old) = ticket {
            if let Some((_, place)) = line.iter_mut().find(|(number, _)| *number == old.number) {
                place.clone_from(waker);
                return;
            }
        }
        *ticket = Some(Ticket { number, since: ticket.map_or(0, |old| old.since) });
        match was_woken {
            true => line.push_front((number, waker.clone())),
            false => line.push_back((number, waker.clone())),
        }
    }

    /// A future is dropped. `true` if it had been woken, so that another one should be.
    pub(crate) fn leave(&mut self, what: For, ticket: Ticket) -> bool {
        let line = self.line(what);
        match line.iter().position(|(other, _)| *other == ticket.number) {
            Some(at) => {
                line.remove(at);
                false
            }
            None => true,
        }
    }

    /// Takes up to `count` wakers from the front.
    #[inline]
    pub(crate) fn wake(&mut self, what: For, count: usize, mut wake: impl FnMut(Waker)) {
        let line = match what {
            For::Room => &mut self.room,
            For::Peers => &mut self.peers,
            For::Message(ctx) => match self.messages.get_mut(ctx.index()) {
                Some(line) => line,
                None => return,
            },
        };
        for _ in 0..count {
            let Some((_, waker)) = line.pop_front() else { return };
            wake(waker);
        }
    }

    /// Whether somebody waits for a message.
    #[cfg(feature = "inproc")]
    pub(crate) fn has_receivers(&self) -> bool {
        self.messages.iter().any(|line| !line.is_empty())
    }

    /// How many wait for room.
    pub(crate) fn senders(&self) -> usize {
        self.room.len()
    }

    /// Takes them all.
    pub(crate) fn wake_all(&mut self, mut wake: impl FnMut(Waker)) {
        let lines = self.messages.iter_mut().chain([&mut self.room, &mut self.peers]);
        for (_, waker) in lines.flat_map(std::mem::take) {
            wake(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn first_come_first_served_and_cancelling_passes_it_on() {
        let mut waits = Waits::default();
        let waker = Waker::noop();
        let what = For::Message(CtxId(3));
        let (mut a, mut b) = (None, None);
        waits.wait(what, &mut a, waker);
        waits.wait(what, &mut b, waker);
        waits.wake(what, 1, |_| ());
        assert!(waits.leave(what, a.unwrap()), "the first was woken: the second has to be");
        assert!(!waits.leave(what, b.unwrap()), "the second still waited");
    }

    #[test]
    fn one_who_was_woken_in_vain_goes_first_again() {
        let mut waits = Waits::default();
        let waker = Waker::noop();
        let (mut a, mut b) = (None, None);
        waits.wait(For::Room, &mut a, waker);
        waits.wait(For::Room, &mut b, waker);
        waits.wake(For::Room, 1, |_| ());
        waits.wait(For::Room, &mut a, waker);
        waits.wake(For::Room, 1, |_| ());
        assert!(waits.leave(For::Room, a.unwrap()), "the first again");
        assert!(!waits.leave(For::Room, b.unwrap()));
    }

    #[test]
    fn a_wait_begins_once_however_often_it_is_in_vain() {
        let mut waits = Waits::default();
        let mut ticket = None;
        for (nanos, lack) in [(2, Lack::NoPeer), (3, Lack::Full), (4, Lack::Full)] {
            waits.wait(For::Room, &mut ticket, Waker::noop());
            let waiting = ticket.as_mut().unwrap();
            waiting.begun(lack, || Time::from_nanos(nanos));
            assert_eq!((waiting.since(), waiting.lack()), (Time::from_nanos(2), Lack::NoPeer));
            assert_eq!(waits.senders(), 1);
            waits.wake(For::Room, 1, |_| ());
        }
        assert_eq!(waits.senders(), 0);
    }

    #[test]
    fn the_place_of_who_does_not_wait_takes_two_words() {
        assert_eq!(size_of::<Option<Ticket>>(), 16, "it is moved with every send");
    }
}
