//! PUSH (0050): gives each job to exactly one peer that has room. Spec 5.6.

use super::peers::Peers;
use super::{CtxId, Effects, Nothing, Pattern, Refusal};
use crate::event::{DetachReason, Dropped};
use crate::message::{Message, PipeId};
use crate::options::Options;
use crate::time::Time;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// The sending side of a pipeline.
///
/// Jobs go round the peers that have room. What a lost peer had not been sent goes to the others:
/// a frame that did not leave whole cannot have been delivered, so nothing is done twice for it.
#[derive(Debug)]
pub struct Push {
    peers: Peers,
    /// Unsent jobs of peers that are gone; they go out before anything new.
    orphans: VecDeque<Message>,
}

impl Push {
    /// A PUSH without peers.
    pub fn new(options: &Options) -> Self {
        let peers = Peers::growing(options.push_window_messages, options);
        Self { peers, orphans: VecDeque::new() }
    }

    /// Gives orphans to whoever has room; returns whether none is left.
    fn place_orphans(&mut self, fx: &mut impl Effects) -> bool {
        while let Some(bytes) = self.orphans.front().map(Message::len) {
            let Some(pipe) = self.peers.pick(bytes) else { return false };
            let mut job = self.orphans.pop_front().expect("looked at above");
            fx.resent();
            fx.transmit(pipe, &mut job);
        }
        true
    }
}

impl Pattern for Push {
    fn attach(&mut self, _: Time, pipe: PipeId, fx: &mut impl Effects) -> Result<(), DetachReason> {
        self.peers.attach(pipe);
        if self.place_orphans(fx) {
            fx.writable(self.peers.window());
        }
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
        if self.peers.detach(pipe).is_none() {
            return;
        }
        self.orphans.extend(unsent);
        self.place_orphans(fx);
    }

    fn drained(&mut self, _: Time, pipe: PipeId, messages: usize, bytes: usize, fx: &mut impl Effects) {
        self.peers.drained(pipe, messages, bytes);
        if self.place_orphans(fx) && self.peers.has_room() {
            fx.writable(messages);
        }
    }

    /// Data that arrives at a PUSH is read and dropped; the connection stays (spec 5.6).
    fn recv(&mut self, _: Time, pipe: PipeId, message: Message, fx: &mut impl Effects) {
        fx.discard(Dropped::Unexpected, Some(pipe), message.len());
    }

    #[inline]
    fn put(
        &mut self,
        _: Time,
        _: CtxId,
        message: &mut Message,
        fx: &mut impl Effects,
    ) -> Result<(), Refusal> {
        if !self.orphans.is_empty() {
            return Err(self.peers.refusal());
        }
        match self.peers.pick(message.len()) {
            Some(pipe) => {
                fx.transmit(pipe, message);
                Ok(())
            }
            None => Err(self.peers.refusal()),
        }
    }

    fn take(&mut self, _: Time, _: CtxId, _: &mut impl Effects) -> Result<Message, Nothing> {
        Err(Nothing::Asked)
    }

    fn readable(&self, _: CtxId) -> bool {
        false
    }

    fn writable(&self, _: CtxId) -> bool {
        self.orphans.is_empty() && self.peers.has_room()
    }

    fn waiting(&self) -> usize {
        self.orphans.len()
    }

    fn clear(&mut self, fx: &mut impl Effects) {
        for job in self.orphans.drain(..) {
            fx.discard(Dropped::Closed, None, job.len());
        }
    }

    fn check_invariants(&self) {
        self.peers.check_invariants();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Refusal;
    use super::super::script::{Script, pipe};
    use super::*;

    fn push(window: usize, peers: u32) -> (Push, Script) {
        let options = Options { push_window_messages: window, outbox_messages: 4, ..Options::default() };
        let mut push = Push::new(&options);
        let mut fx = Script::default();
        for n in 1..=peers {
            push.attach(Time::ZERO, pipe(n), &mut fx).unwrap();
        }
        (push, fx)
    }

    fn send(push: &mut Push, fx: &mut Script, body: &'static str) -> Result<(), Refusal> {
        let sent = push.send(Time::ZERO, CtxId::DEFAULT, body.into(), fx).map_err(|(why, _)| why);
        push.check_invariants();
        sent
    }

    #[test]
    fn jobs_go_round_the_peers_with_room() {
        let (mut push, mut fx) = push(2, 2);
        for body in ["a", "b", "c", "d"] {
            assert_eq!(send(&mut push, &mut fx, body), Ok(()));
        }
        assert_eq!(fx.sent.iter().map(|(p, _)| p.get()).collect::<Vec<_>>(), [1, 2, 1, 2]);
        assert_eq!(send(&mut push, &mut fx, "e"), Err(Refusal::Full));
        push.drained(Time::ZERO, pipe(2), 1, 1, &mut fx);
        assert_eq!(send(&mut push, &mut fx, "e"), Ok(()));
        assert_eq!(fx.sent.last().unwrap().0, pipe(2), "only the one with room");
    }

    #[test]
    fn without_a_peer_nothing_moves() {
        let (mut push, mut fx) = push(2, 0);
        assert_eq!(send(&mut push, &mut fx, "a"), Err(Refusal::NoPeer));
        push.attach(Time::ZERO, pipe(1), &mut fx).unwrap();
        assert_eq!(fx.writable, [2]);
    }

    #[test]
    fn unsent_jobs_of_a_lost_peer_go_to_another() {
        let (mut push, mut fx) = push(2, 1);
        send(&mut push, &mut fx, "a").unwrap();
        send(&mut push, &mut fx, "b").unwrap();
        fx.sent.clear();
        push.detach(Time::ZERO, pipe(1), DetachReason::ConnectionLost, vec!["a".into(), "b".into()], &mut fx);
        assert_eq!((push.waiting(), fx.sent.len()), (2, 0));
        assert_eq!(send(&mut push, &mut fx, "c"), Err(Refusal::NoPeer));
        push.attach(Time::ZERO, pipe(2), &mut fx).unwrap();
        assert_eq!(fx.take_sent(), [(2, b"a".to_vec()), (2, b"b".to_vec())]);
        assert_eq!((push.waiting(), fx.resent, fx.dropped.len()), (0, 2, 0));
        push.check_invariants();
    }

    #[test]
    fn data_from_a_pull_is_counted_and_the_pipe_stays() {
        let (mut push, mut fx) = push(2, 1);
        push.recv(Time::ZERO, pipe(1), "what?".into(), &mut fx);
        assert_eq!(fx.take_dropped(), [Dropped::Unexpected]);
        assert!(fx.closed.is_empty());
    }
}
