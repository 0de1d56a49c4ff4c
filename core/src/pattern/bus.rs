//! BUS (0070): every message to every neighbour, best effort. Spec 5.7.

use super::credit::Credit;
use super::fanout::fan_out;
use super::pipes::PipeTable;
use super::queue::FairQueue;
use super::{CtxId, Effects, Held, Nothing, Pattern, Refusal, discard_unsent};
use crate::event::{DetachReason, Dropped};
use crate::message::{Header, Message, PipeId};
use crate::options::Options;
use crate::time::Time;
use alloc::vec::Vec;

/// A node of a bus: hears its direct neighbours and is heard by them.
///
/// Nobody waits for anybody: whoever has no room loses the new message, on the way out as on the
/// way in. There, one neighbour that pours cannot take the others' share of the queue.
#[derive(Debug)]
pub struct Bus {
    peers: PipeTable<Credit>,
    queue: FairQueue,
    /// Whether headers say where messages came from, and so whom they do not go back to.
    raw: bool,
    max_messages: usize,
    max_bytes: usize,
}

impl Bus {
    /// A node without neighbours.
    pub fn new(options: &Options) -> Self {
        Self::with_form(options, false)
    }

    /// A raw node, for devices. The header of what it receives is the id of the pipe, four bytes;
    /// what it sends with such a header goes to all but that pipe. The header never travels.
    pub fn raw(options: &Options) -> Self {
        Self::with_form(options, true)
    }

    fn with_form(options: &Options, raw: bool) -> Self {
        Self {
            peers: PipeTable::new(),
            queue: FairQueue::new(options.recv_messages, options.recv_bytes, usize::MAX),
            raw,
            max_messages: options.outbox_messages,
            max_bytes: options.outbox_bytes,
        }
    }
}

impl Pattern for Bus {
    fn attach(&mut self, _: Time, pipe: PipeId, _: &mut impl Effects) -> Result<(), DetachReason> {
        self.peers.insert(pipe, Credit::new(self.max_messages, self.max_bytes));
        self.queue.attach(pipe);
        Ok(())
    }

    fn detach(
        &mut self,
        _: Time,
        pipe: PipeId,
        _: DetachReason,
        unsent: Vec<Message>,
        fx: &mut impl Effects,
    ) {
        self.peers.remove(pipe);
        self.queue.detach(pipe);
        discard_unsent(pipe, unsent, fx);
    }

    fn drained(&mut self, _: Time, pipe: PipeId, messages: usize, bytes: usize, _: &mut impl Effects) {
        if let Some(credit) = self.peers.get_mut(pipe) {
            credit.give_back(messages, bytes, self.max_messages);
        }
    }

    fn recv(&mut self, _: Time, pipe: PipeId, mut message: Message, fx: &mut impl Effects) {
        message.join();
        if self.queue.offer(pipe, message, fx) {
            fx.readable(CtxId::DEFAULT, 1);
        }
    }

    fn put(
        &mut self,
        _: Time,
        _: CtxId,
        message: &mut Message,
        fx: &mut impl Effects,
    ) -> Result<(), Refusal> {
        let source = match self.raw {
            true => message.header_mut().take_tag(),
            false => {
                *message.header_mut() = Header::EMPTY;
                None
            }
        };
        let bytes = message.len();
        let mut heard = false;
        fan_out(&mut self.peers, message, fx, |pipe, credit, _, fx| {
            if source == Some(pipe.get()) {
                return false;
            }
            heard = true;
            let room = credit.take(bytes);
            if !room {
                fx.discard(Dropped::OutboxFull, Some(pipe), bytes);
            }
            room
        });
        if !heard {
            fx.discard(Dropped::NoPeer, None, bytes);
        }
        Ok(())
    }

    fn take(&mut self, _: Time, _: CtxId, fx: &mut impl Effects) -> Result<Message, Nothing> {
        let message = self.queue.pop(fx).ok_or(Nothing::Yet)?;
        // Only now, so that a queue counts what came over the wire.
        Ok(match message.pipe() {
            Some(pipe) if self.raw => message.header_set(Header::tag(pipe.get())),
            _ => message,
        })
    }

    fn readable(&self, _: CtxId) -> bool {
        !self.queue.is_empty()
    }

    fn writable(&self, _: CtxId) -> bool {
        true
    }

    fn held(&self) -> Held {
        self.queue.held()
    }

    fn clear(&mut self, fx: &mut impl Effects) {
        self.queue.clear(fx);
    }

    fn check_invariants(&self) {
        self.queue.check_invariants();
        self.peers.iter().for_each(|(_, credit)| credit.check_invariants());
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Script, pipe};
    use super::*;

    fn attached(mut bus: Bus, peers: u32) -> (Bus, Script) {
        let mut fx = Script::default();
        for n in 1..=peers {
            bus.attach(Time::ZERO, pipe(n), &mut fx).unwrap();
        }
        (bus, fx)
    }

    fn send(bus: &mut Bus, fx: &mut Script, message: impl Into<Message>) {
        assert_eq!(bus.send(Time::ZERO, CtxId::DEFAULT, message.into(), fx), Ok(()));
        bus.check_invariants();
    }

    fn recv(bus: &mut Bus, fx: &mut Script, from: u32, body: &'static str) {
        assert!(!bus.room(pipe(from)).is_none(), "there is no back-pressure");
        bus.recv(Time::ZERO, pipe(from), Message::from(body).received(pipe(from), Time::ZERO), fx);
        bus.check_invariants();
    }

    fn take(bus: &mut Bus, fx: &mut Script) -> Option<Message> {
        bus.take(Time::ZERO, CtxId::DEFAULT, fx).ok()
    }

    #[test]
    fn every_neighbour_hears_it() {
        let (mut bus, mut fx) = attached(Bus::new(&Options::default()), 2);
        send(&mut bus, &mut fx, Message::with_header(&b"old header"[..], "a"));
        assert_eq!(fx.sent, [(pipe(1), "a".into()), (pipe(2), "a".into())]);
    }

    #[test]
    fn without_neighbours_a_send_succeeds_and_is_counted() {
        let (mut bus, mut fx) = attached(Bus::new(&Options::default()), 0);
        send(&mut bus, &mut fx, "abc");
        assert_eq!(fx.dropped, [(Dropped::NoPeer, None, 3)]);
    }

    #[test]
    fn a_neighbour_without_room_loses_the_new_message() {
        let options = Options { outbox_messages: 1, ..Options::default() };
        let (mut bus, mut fx) = attached(Bus::new(&options), 2);
        send(&mut bus, &mut fx, "a");
        bus.drained(Time::ZERO, pipe(2), 1, 1, &mut fx);
        send(&mut bus, &mut fx, "b");
        assert_eq!(fx.take_sent(), [(1, b"a".to_vec()), (2, b"a".to_vec()), (2, b"b".to_vec())]);
        assert_eq!(fx.dropped, [(Dropped::OutboxFull, Some(pipe(1)), 1)]);
    }

    #[test]
    fn what_a_neighbour_drained_it_may_be_sent_again() {
        let options = Options { outbox_messages: 4, ..Options::default() };
        let (mut bus, mut fx) = attached(Bus::new(&options), 1);
        (0..4).for_each(|_| send(&mut bus, &mut fx, "a"));
        bus.drained(Time::ZERO, pipe(1), 2, 2, &mut fx);
        (0..3).for_each(|_| send(&mut bus, &mut fx, "a"));
        assert_eq!((fx.sent.len(), fx.take_dropped()), (6, vec![Dropped::OutboxFull]));
    }

    #[test]
    fn raw_says_whence_it_came_and_does_not_send_it_back() {
        let (mut bus, mut fx) = attached(Bus::raw(&Options::default()), 3);
        recv(&mut bus, &mut fx, 2, "a");
        let message = take(&mut bus, &mut fx).unwrap();
        assert_eq!(message.header(), &Header::tag(2));
        send(&mut bus, &mut fx, message);
        assert!(fx.sent.iter().all(|(_, m)| m.header().is_empty()), "the tag stays here");
        assert_eq!(fx.take_sent(), [(1, b"a".to_vec()), (3, b"a".to_vec())]);
        send(&mut bus, &mut fx, "to all");
        assert_eq!(fx.take_sent().len(), 3);
    }

    #[test]
    fn a_body_is_not_taken_for_a_tag() {
        let (mut bus, mut fx) = attached(Bus::raw(&Options::default()), 1);
        send(&mut bus, &mut fx, &[0, 0, 0, 1]);
        assert_eq!(fx.take_sent(), [(1, vec![0, 0, 0, 1])]);
    }

    #[test]
    fn a_lone_neighbour_does_not_get_its_own_message_back() {
        let (mut bus, mut fx) = attached(Bus::raw(&Options::default()), 1);
        send(&mut bus, &mut fx, Message::with_header(Header::tag(1), "a"));
        assert_eq!((fx.sent.len(), fx.take_dropped()), (0, vec![Dropped::NoPeer]));
    }

    #[test]
    fn one_that_pours_does_not_keep_the_others_out() {
        let options = Options { recv_messages: 4, ..Options::default() };
        let (mut bus, mut fx) = attached(Bus::new(&options), 2);
        for body in ["a", "b", "c", "d", "e"] {
            recv(&mut bus, &mut fx, 1, body);
        }
        assert_eq!(fx.dropped, [(Dropped::QueueFull, Some(pipe(1)), 1)], "the queue is full");
        for body in ["x", "y", "z"] {
            recv(&mut bus, &mut fx, 2, body);
        }
        let lost: Vec<_> = fx.dropped.iter().skip(1).map(|(_, from, _)| from.unwrap().get()).collect();
        assert_eq!(lost, [1, 1, 2], "half of it belongs to the other");
        let heard: Vec<_> = std::iter::from_fn(|| take(&mut bus, &mut fx)).map(|m| m.to_vec()).collect();
        assert_eq!(heard, [b"a", b"x", b"b", b"y"], "in turn, and each in its order");
        assert_eq!(fx.readable.len(), 4, "told once per message that can be taken");
    }

    #[test]
    fn a_header_that_came_in_process_is_part_of_the_payload() {
        let (mut bus, mut fx) = attached(Bus::new(&Options::default()), 1);
        bus.recv(Time::ZERO, pipe(1), Message::with_header(&b"ab"[..], "cd"), &mut fx);
        assert_eq!(take(&mut bus, &mut fx).unwrap().body(), &b"abcd"[..]);
    }

    #[test]
    fn cooked_shows_no_header() {
        let (mut bus, mut fx) = attached(Bus::new(&Options::default()), 1);
        recv(&mut bus, &mut fx, 1, "a");
        let message = take(&mut bus, &mut fx).unwrap();
        assert_eq!((message.header(), message.pipe()), (&Header::EMPTY, Some(pipe(1))));
    }
}
