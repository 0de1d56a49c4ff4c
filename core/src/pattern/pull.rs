//! PULL (0051): takes jobs fairly from every PUSH. Spec 5.6.

use super::queue::FairQueue;
use super::{CtxId, Effects, Held, Nothing, Pattern, Refusal, Room};
use crate::event::DetachReason;
use crate::message::{Message, PipeId};
use crate::options::Options;
use crate::time::Time;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// The receiving side of a pipeline.
#[derive(Debug)]
pub struct Pull {
    queue: FairQueue,
}

impl Pull {
    /// A PULL without pipes.
    pub fn new(options: &Options) -> Self {
        Self { queue: FairQueue::new(options.recv_messages, options.recv_bytes, usize::MAX) }
    }
}

impl Pattern for Pull {
    fn attach(&mut self, _: Time, pipe: PipeId, _: &mut impl Effects) -> Result<(), DetachReason> {
        self.queue.attach(pipe);
        Ok(())
    }

    fn detach(&mut self, _: Time, pipe: PipeId, _: DetachReason, _: Vec<Message>, _: &mut impl Effects) {
        self.queue.detach(pipe);
    }

    fn drained(&mut self, _: Time, _: PipeId, _: usize, _: usize, _: &mut impl Effects) {}

    fn room(&mut self, pipe: PipeId) -> Room {
        self.queue.room(pipe)
    }

    #[inline(always)]
    fn recv(&mut self, _: Time, pipe: PipeId, mut message: Message, fx: &mut impl Effects) {
        message.join();
        self.queue.push(pipe, message);
        fx.readable(CtxId::DEFAULT, 1);
    }

    fn recv_queue(
        &mut self,
        now: Time,
        pipe: PipeId,
        queue: &mut VecDeque<Message>,
        fx: &mut impl Effects,
    ) -> (usize, usize) {
        for message in queue.iter_mut() {
            message.join();
            message.note_received(pipe, now);
        }
        let taken = self.queue.push_queue(pipe, queue);
        if taken.0 > 0 {
            fx.readable(CtxId::DEFAULT, taken.0);
        }
        taken
    }

    fn put(&mut self, _: Time, _: CtxId, _: &mut Message, _: &mut impl Effects) -> Result<(), Refusal> {
        Err(Refusal::State)
    }

    fn take(&mut self, _: Time, _: CtxId, fx: &mut impl Effects) -> Result<Message, Nothing> {
        self.queue.pop(fx).ok_or(Nothing::Yet)
    }

    #[inline(always)]
    fn take_into(
        &mut self,
        _: Time,
        _: CtxId,
        message: &mut Option<Message>,
        fx: &mut impl Effects,
    ) -> Result<(), Nothing> {
        *message = self.queue.pop(fx);
        message.as_ref().map(|_| ()).ok_or(Nothing::Yet)
    }

    fn readable(&self, _: CtxId) -> bool {
        !self.queue.is_empty()
    }

    fn writable(&self, _: CtxId) -> bool {
        false
    }

    fn held(&self) -> Held {
        self.queue.held()
    }

    fn clear(&mut self, fx: &mut impl Effects) {
        self.queue.clear(fx);
    }

    fn check_invariants(&self) {
        self.queue.check_invariants();
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Script, pipe};
    use super::*;

    #[test]
    fn jobs_are_taken_in_turn_and_a_full_queue_stops_reading() {
        let mut fx = Script::default();
        let mut pull = Pull::new(&Options { recv_messages: 2, ..Options::default() });
        pull.attach(Time::ZERO, pipe(1), &mut fx).unwrap();
        for n in 0..2_u8 {
            assert!(!pull.room(pipe(1)).is_none());
            pull.recv(Time::ZERO, pipe(1), vec![n].into(), &mut fx);
        }
        assert!(pull.room(pipe(1)).is_none(), "back-pressure instead of loss");
        assert_eq!(pull.take(Time::ZERO, CtxId::DEFAULT, &mut fx).unwrap().body()[0], 0);
        assert_eq!(pull.take(Time::ZERO, CtxId::DEFAULT, &mut fx).unwrap().body()[0], 1);
        assert_eq!(pull.take(Time::ZERO, CtxId::DEFAULT, &mut fx), Err(Nothing::Yet));
        assert_eq!(fx.resumed, [pipe(1)]);
        assert_eq!(fx.readable.len(), 2);
        pull.check_invariants();
    }

    #[test]
    fn a_queue_is_taken_as_far_as_there_is_room() {
        let mut fx = Script::default();
        let mut pull = Pull::new(&Options { recv_messages: 4, recv_bytes: 10, ..Options::default() });
        pull.attach(Time::ZERO, pipe(1), &mut fx).unwrap();
        let mut take = |pull: &mut Pull, bodies: &[&'static str]| {
            let mut queue: VecDeque<Message> = bodies.iter().map(|body| Message::from(*body)).collect();
            let taken = pull.recv_queue(Time::from_nanos(9), pipe(1), &mut queue, &mut fx);
            pull.check_invariants();
            (taken, queue.len())
        };
        assert_eq!(take(&mut pull, &[]), ((0, 0), 0));
        assert_eq!(take(&mut pull, &["a", "bc"]), ((2, 3), 0), "whole");
        assert_eq!(take(&mut pull, &["d", "e", "f"]), ((2, 2), 1), "as many as there is room for");
        assert_eq!(take(&mut pull, &["g"]), ((0, 0), 1), "none, and the queue is left as it was");
        let mut fx = Script::default();
        let bodies: Vec<_> =
            (0..4).map(|_| pull.take(Time::ZERO, CtxId::DEFAULT, &mut fx).unwrap()).collect();
        assert!(bodies.iter().map(|message| &message[..]).eq([b"a", &b"bc"[..], b"d", b"e"]));
        assert!(bodies.iter().all(|m| m.pipe() == Some(pipe(1)) && m.arrived() == Some(Time::from_nanos(9))));
        assert_eq!(fx.resumed, [pipe(1)]);
        let mut queue = VecDeque::from(["123456".into(), "1234".into(), "x".into()]);
        assert_eq!(pull.recv_queue(Time::ZERO, pipe(1), &mut queue, &mut fx), (2, 10), "bytes count too");
        pull.check_invariants();
    }

    #[test]
    fn a_pull_cannot_send() {
        let mut pull = Pull::new(&Options::default());
        let refused = pull.send(Time::ZERO, CtxId::DEFAULT, "x".into(), &mut Script::default());
        assert_eq!(refused, Err((Refusal::State, "x".into())));
    }
}
