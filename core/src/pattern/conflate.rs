//! [`Conflation`]: for a subscriber that is behind, only the newest message of each topic.

use super::{Effects, PipeId};
use crate::event::Dropped;
use crate::message::Message;
use crate::options::Topic;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use core::mem;

/// What waits for one subscriber that has no room: one message per topic.
///
/// A newer message takes the *place* of the older one, and does not move to the back: a topic that
/// changes faster than the subscriber reads would otherwise never come to its turn. So each waiting
/// topic goes out once per round, with the value it has by then.
#[derive(Debug)]
pub(crate) struct Conflation {
    topic: Topic,
    /// The turn of each waiting topic. Topics are copied: a slice of the replaced body would keep
    /// that whole body alive.
    turns: BTreeMap<Box<[u8]>, u64>,
    /// One message per topic, by turn without a gap.
    waiting: VecDeque<Message>,
    /// The turn of the front of `waiting`.
    first: u64,
    /// Bytes of the messages and of the copied topics.
    bytes: usize,
    max_topics: usize,
    max_bytes: usize,
}

impl Conflation {
    /// Room for `max_topics` topics, and for `max_bytes` bytes or one message.
    pub(crate) fn new(topic: Topic, max_topics: usize, max_bytes: usize) -> Self {
        Self {
            topic,
            turns: BTreeMap::new(),
            waiting: VecDeque::new(),
            first: 0,
            bytes: 0,
            max_topics,
            max_bytes,
        }
    }

    /// Keeps `message` for `pipe`, in the place of an older one on its topic if there is one. When
    /// it becomes too much, the topic that has waited longest goes.
    pub(crate) fn put(&mut self, pipe: PipeId, message: Message, fx: &mut impl Effects) {
        let topic = self.topic.of(message.body());
        self.bytes += message.len() + topic.len();
        if let Some(turn) = self.turns.get(topic) {
            let place = &mut self.waiting[(turn - self.first) as usize];
            self.bytes -= place.len() + topic.len();
            let older = mem::replace(place, message);
            fx.discard(Dropped::Conflated, Some(pipe), older.len());
        } else {
            self.turns.insert(topic.into(), self.first + self.waiting.len() as u64);
            self.waiting.push_back(message);
        }
        while self.waiting.len() > self.max_topics || (self.bytes > self.max_bytes && self.waiting.len() > 1)
        {
            let Some(oldest) = self.pop_if(|_| true) else { break };
            fx.discard(Dropped::SlowSubscriber, Some(pipe), oldest.len());
        }
    }

    /// Takes the next message, if `admit` has room for its bytes.
    pub(crate) fn pop_if(&mut self, admit: impl FnOnce(usize) -> bool) -> Option<Message> {
        if !admit(self.waiting.front()?.len()) {
            return None;
        }
        let message = self.waiting.pop_front()?;
        let topic = self.topic.of(message.body());
        self.turns.remove(topic);
        self.first += 1;
        self.bytes -= message.len() + topic.len();
        Some(message)
    }

    /// How many topics wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Discards all of it.
    pub(crate) fn discard(&mut self, why: Dropped, pipe: PipeId, fx: &mut impl Effects) {
        while let Some(message) = self.pop_if(|_| true) {
            fx.discard(why, Some(pipe), message.len());
        }
    }

    pub(crate) fn check_invariants(&self) {
        assert_eq!(self.turns.len(), self.waiting.len(), "one message per topic");
        let mut bytes = 0;
        for (message, turn) in self.waiting.iter().zip(self.first..) {
            let topic = self.topic.of(message.body());
            assert_eq!(self.turns.get(topic), Some(&turn), "a topic knows its turn");
            bytes += message.len() + topic.len();
        }
        assert_eq!(bytes, self.bytes, "byte count");
        assert!(self.len() <= self.max_topics, "too many topics");
        assert!(self.len() <= 1 || self.bytes <= self.max_bytes, "too many bytes");
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Script, pipe};
    use super::*;
    use alloc::vec::Vec;

    fn put(waiting: &mut Conflation, fx: &mut Script, bodies: &[&'static str]) {
        for body in bodies {
            waiting.put(pipe(1), Message::from(*body), fx);
            waiting.check_invariants();
        }
    }

    fn rest(waiting: &mut Conflation) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| waiting.pop_if(|_| true)).map(|m| m.to_vec()).collect()
    }

    #[test]
    fn a_newer_message_takes_the_place_of_the_older_one() {
        let mut fx = Script::default();
        let mut waiting = Conflation::new(Topic::Bytes(1), 8, 1_000);
        put(&mut waiting, &mut fx, &["a1", "b1", "a2", "c1", "a3"]);
        assert_eq!(fx.take_dropped(), [Dropped::Conflated, Dropped::Conflated]);
        assert_eq!(rest(&mut waiting), [b"a3", b"b1", b"c1"]);
    }

    #[test]
    fn too_many_topics_cost_the_one_that_waited_longest() {
        let mut fx = Script::default();
        let mut waiting = Conflation::new(Topic::Bytes(1), 2, 1_000);
        put(&mut waiting, &mut fx, &["a1", "b1", "c1"]);
        assert_eq!(fx.take_dropped(), [Dropped::SlowSubscriber]);
        assert_eq!(rest(&mut waiting), [b"b1", b"c1"]);
    }

    #[test]
    fn bytes_are_bounded_but_a_large_message_waits_alone() {
        let mut fx = Script::default();
        let mut waiting = Conflation::new(Topic::Bytes(1), 8, 6);
        put(&mut waiting, &mut fx, &["a1", "b1", "c0123456789"]);
        assert_eq!(fx.take_dropped(), [Dropped::SlowSubscriber, Dropped::SlowSubscriber]);
        assert_eq!(rest(&mut waiting), [b"c0123456789"]);
    }

    #[test]
    fn turns_stay_right_after_some_have_gone_out() {
        let mut fx = Script::default();
        let mut waiting = Conflation::new(Topic::Bytes(1), 8, 1_000);
        put(&mut waiting, &mut fx, &["a1", "b1", "c1"]);
        assert_eq!(waiting.pop_if(|bytes| bytes > 2), None, "no room, nothing taken");
        assert!(waiting.pop_if(|bytes| bytes == 2).is_some());
        put(&mut waiting, &mut fx, &["c2", "a2"]);
        assert_eq!(rest(&mut waiting), [b"b1", b"c2", b"a2"]);
    }
}
