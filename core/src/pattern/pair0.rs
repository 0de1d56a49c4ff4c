//! PAIR v0 (0010): one peer, both ways, no header. Spec 5.3.

use super::duplex::{Duplex, Peers};
use super::{CtxId, Effects, Held, Nothing, Pattern, Refusal, Room};
use crate::event::DetachReason;
use crate::message::{Message, PipeId};
use crate::options::Options;
use crate::time::Time;
use alloc::vec::Vec;

/// One end of a pair. A second peer is refused while the first is attached.
#[derive(Debug)]
pub struct Pair0 {
    duplex: Duplex,
}

impl Pair0 {
    /// A PAIR without a peer.
    pub fn new(options: &Options) -> Self {
        Self { duplex: Duplex::new(options, Peers::One) }
    }
}

impl Pattern for Pair0 {
    fn attach(&mut self, _: Time, pipe: PipeId, fx: &mut impl Effects) -> Result<(), DetachReason> {
        self.duplex.attach(pipe, fx)
    }

    fn detach(
        &mut self,
        _: Time,
        pipe: PipeId,
        _: DetachReason,
        unsent: Vec<Message>,
        fx: &mut impl Effects,
    ) {
        self.duplex.detach(pipe, unsent, fx);
    }

    fn drained(&mut self, _: Time, pipe: PipeId, messages: usize, bytes: usize, fx: &mut impl Effects) {
        self.duplex.drained(pipe, messages, bytes, fx);
    }

    fn room(&mut self, pipe: PipeId) -> Room {
        self.duplex.room(pipe)
    }

    fn recv(&mut self, _: Time, pipe: PipeId, mut message: Message, fx: &mut impl Effects) {
        message.join();
        self.duplex.deliver(pipe, message, fx);
    }

    fn put(
        &mut self,
        _: Time,
        _: CtxId,
        message: &mut Message,
        fx: &mut impl Effects,
    ) -> Result<(), Refusal> {
        match self.duplex.pick(None, message.len()) {
            Ok(pipe) => {
                fx.transmit(pipe, message);
                Ok(())
            }
            Err(why) => Err(why),
        }
    }

    fn take(&mut self, _: Time, _: CtxId, fx: &mut impl Effects) -> Result<Message, Nothing> {
        self.duplex.take(fx)
    }

    fn readable(&self, _: CtxId) -> bool {
        self.duplex.readable()
    }

    fn writable(&self, _: CtxId) -> bool {
        self.duplex.writable()
    }

    fn held(&self) -> Held {
        self.duplex.held()
    }

    fn clear(&mut self, fx: &mut impl Effects) {
        self.duplex.clear(fx);
    }

    fn check_invariants(&self) {
        self.duplex.check_invariants();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Refusal;
    use super::super::script::{Script, pipe};
    use super::*;

    #[test]
    fn the_first_peer_stays_and_the_second_is_refused() {
        let mut fx = Script::default();
        let mut pair = Pair0::new(&Options::default());
        assert_eq!(pair.attach(Time::ZERO, pipe(1), &mut fx), Ok(()));
        assert_eq!(pair.attach(Time::ZERO, pipe(2), &mut fx), Err(DetachReason::Busy));
        fx.writable.clear();
        pair.detach(Time::ZERO, pipe(1), DetachReason::PeerClosed, vec![], &mut fx);
        assert!(fx.writable.is_empty(), "a sender has nothing to look for until the next comes");
        assert_eq!(pair.attach(Time::ZERO, pipe(2), &mut fx), Ok(()));
    }

    #[test]
    fn sending_waits_for_a_peer_and_for_room() {
        let mut fx = Script::default();
        let mut pair = Pair0::new(&Options { outbox_messages: 1, ..Options::default() });
        let send = |pair: &mut Pair0, fx: &mut Script| {
            pair.send(Time::ZERO, CtxId::DEFAULT, "x".into(), fx).map_err(|(why, _)| why)
        };
        assert_eq!(send(&mut pair, &mut fx), Err(Refusal::NoPeer));
        pair.attach(Time::ZERO, pipe(1), &mut fx).unwrap();
        assert_eq!(send(&mut pair, &mut fx), Ok(()));
        assert_eq!(send(&mut pair, &mut fx), Err(Refusal::Full));
        pair.drained(Time::ZERO, pipe(1), 1, 1, &mut fx);
        assert_eq!(send(&mut pair, &mut fx), Ok(()));
        assert_eq!(fx.writable, [1, 1]);
    }

    #[test]
    fn what_the_peer_drained_may_be_sent_again() {
        let mut fx = Script::default();
        let mut pair = Pair0::new(&Options { outbox_messages: 4, ..Options::default() });
        pair.attach(Time::ZERO, pipe(1), &mut fx).unwrap();
        let send = |pair: &mut Pair0, fx: &mut Script| {
            (0..9).take_while(|_| pair.send(Time::ZERO, CtxId::DEFAULT, "x".into(), fx).is_ok()).count()
        };
        assert_eq!(send(&mut pair, &mut fx), 4);
        pair.drained(Time::ZERO, pipe(1), 2, 2, &mut fx);
        assert_eq!(send(&mut pair, &mut fx), 2);
    }

    #[test]
    fn a_header_that_came_in_process_is_part_of_the_payload() {
        let mut fx = Script::default();
        let mut pair = Pair0::new(&Options::default());
        pair.attach(Time::ZERO, pipe(1), &mut fx).unwrap();
        pair.recv(Time::ZERO, pipe(1), Message::with_header(&b"ab"[..], "cd"), &mut fx);
        pair.recv(Time::ZERO, pipe(2), "from a stranger".into(), &mut fx);
        assert_eq!(fx.readable, [(CtxId::DEFAULT, 1)]);
        let message = pair.take(Time::ZERO, CtxId::DEFAULT, &mut fx).unwrap();
        assert_eq!((message.header().len(), &message[..]), (0, &b"abcd"[..]));
    }
}
