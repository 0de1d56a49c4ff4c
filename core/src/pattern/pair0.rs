//! PAIR v0 (0010): one peer, both ways, no header. Spec 5.3.

use super::credit::Credit;
use super::queue::FairQueue;
use super::{CtxId, Effects, Nothing, Pattern, Refusal, Refused, discard_unsent};
use crate::event::DetachReason;
use crate::message::{Message, PipeId};
use crate::options::Options;
use crate::time::Time;
use alloc::vec::Vec;

/// One end of a pair. A second peer is refused while the first is attached.
#[derive(Debug)]
pub struct Pair0 {
    peer: Option<(PipeId, Credit)>,
    queue: FairQueue,
    max_messages: usize,
    max_bytes: usize,
}

impl Pair0 {
    /// A PAIR without a peer.
    pub fn new(options: &Options) -> Self {
        Self {
            peer: None,
            queue: FairQueue::new(options.recv_messages, options.recv_bytes, usize::MAX),
            max_messages: options.outbox_messages,
            max_bytes: options.outbox_bytes,
        }
    }
}

impl Pattern for Pair0 {
    fn attach(&mut self, _: Time, pipe: PipeId, fx: &mut impl Effects) -> Result<(), DetachReason> {
        if self.peer.is_some() {
            return Err(DetachReason::Busy);
        }
        self.peer = Some((pipe, Credit::new(self.max_messages, self.max_bytes)));
        self.queue.attach(pipe);
        fx.writable(self.max_messages);
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
        self.peer.take_if(|(peer, _)| *peer == pipe);
        self.queue.detach(pipe);
        discard_unsent(pipe, unsent, fx);
    }

    fn drained(&mut self, _: Time, pipe: PipeId, messages: usize, bytes: usize, fx: &mut impl Effects) {
        if let Some((peer, credit)) = &mut self.peer {
            if *peer == pipe {
                credit.give_back(messages, bytes, self.max_messages);
                fx.writable(messages);
            }
        }
    }

    fn room(&mut self, pipe: PipeId) -> bool {
        self.queue.room(pipe)
    }

    fn recv(&mut self, _: Time, pipe: PipeId, mut message: Message, fx: &mut impl Effects) {
        message.join();
        self.queue.push(pipe, message);
        fx.readable(CtxId::DEFAULT, 1);
    }

    fn send(&mut self, _: Time, _: CtxId, message: Message, fx: &mut impl Effects) -> Result<(), Refused> {
        let Some((pipe, credit)) = &mut self.peer else { return Err((Refusal::NoPeer, message)) };
        if !credit.take(message.len()) {
            return Err((Refusal::Full, message));
        }
        fx.transmit(*pipe, message);
        Ok(())
    }

    fn take(&mut self, _: Time, _: CtxId, fx: &mut impl Effects) -> Result<Message, Nothing> {
        self.queue.pop(fx).ok_or(Nothing::Yet)
    }

    fn readable(&self, _: CtxId) -> bool {
        !self.queue.is_empty()
    }

    fn writable(&self, _: CtxId) -> bool {
        self.peer.as_ref().is_some_and(|(_, credit)| credit.is_open())
    }

    fn clear(&mut self, fx: &mut impl Effects) {
        self.queue.clear(fx);
    }

    fn check_invariants(&self) {
        self.queue.check_invariants();
        if let Some((_, credit)) = &self.peer {
            credit.check_invariants();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Script, pipe};
    use super::*;

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
}
