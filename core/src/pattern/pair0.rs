//! PAIR v0 (0010): one peer, both ways, no header. Spec 5.3.

use super::duplex::{Duplex, Peers};
use super::{CtxId, Effects, Nothing, Pattern, Refused};
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

    fn room(&mut self, pipe: PipeId) -> bool {
        self.duplex.room(pipe)
    }

    fn recv(&mut self, _: Time, pipe: PipeId, mut message: Message, fx: &mut impl Effects) {
        message.join();
        self.duplex.deliver(pipe, message, fx);
    }

    fn send(&mut self, _: Time, _: CtxId, message: Message, fx: &mut impl Effects) -> Result<(), Refused> {
        match self.duplex.pick(None, message.len()) {
            Ok(pipe) => {
                fx.transmit(pipe, message);
                Ok(())
            }
            Err(why) => Err((why, message)),
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
    use super::super::sequences::telling::{self as sequences, Subject};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_peer_stays_and_the_second_is_refused() {
        let mut fx = Script::default();
        let mut pair = Pair0::new(&Options::default());
        assert_eq!(pair.attach(Time::ZERO, pipe(1), &mut fx), Ok(()));
        assert_eq!(pair.attach(Time::ZERO, pipe(2), &mut fx), Err(DetachReason::Busy));
        pair.detach(Time::ZERO, pipe(1), DetachReason::PeerClosed, vec![], &mut fx);
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

    impl Subject for Pair0 {}

    proptest! {
        #[test]
        fn no_copy_is_lost_uncounted(ops in sequences::ops()) {
            let options = sequences::tight();
            sequences::run(Pair0::new(&options), &options, ops);
        }
    }
}
