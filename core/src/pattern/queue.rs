//! [`FairQueue`]: messages that wait for the application, one lane per pipe, taken in turn.

use super::pipes::PipeTable;
use super::{Effects, Held, PipeId, Room};
use crate::event::Dropped;
use crate::message::Message;
use alloc::collections::VecDeque;

/// A bounded receive queue that is fair between pipes.
///
/// Every pipe has a lane; `pop` goes round the lanes that have something. A pipe may hold its share
/// of the whole, so that one that pours cannot keep the others out; beyond that, [`room`] says no,
/// its driver stops reading, and the peer feels it as back-pressure.
///
/// [`room`]: FairQueue::room
#[derive(Debug)]
pub(crate) struct FairQueue {
    lanes: PipeTable<Lane>,
    /// Pipes whose lanes are not empty, in the order of their turns.
    turns: VecDeque<PipeId>,
    /// What pipes that are gone left behind; it is older than all else, so it goes first.
    orphans: VecDeque<Message>,
    /// Pipes that were denied room and wait for `resume`.
    stalled: VecDeque<PipeId>,
    messages: usize,
    bytes: usize,
    max_messages: usize,
    max_bytes: usize,
    max_per_pipe: usize,
}

#[derive(Debug, Default)]
struct Lane {
    messages: VecDeque<Message>,
    bytes: usize,
    stalled: bool,
}

/// However many pipes share the queue, each may hold this many messages while there is room at all:
/// with less, every message of a crowded PULL would cost its driver a stop and a start.
const SMALLEST_SHARE: usize = 16;

/// What each of so many pipes may hold of `all` messages and bytes.
fn share(sharers: usize, all: (usize, usize), max_per_pipe: usize) -> (usize, usize) {
    match sharers {
        0 | 1 => (all.0.max(SMALLEST_SHARE).min(max_per_pipe), all.1.max(1)),
        _ => ((all.0 / sharers).max(SMALLEST_SHARE).min(max_per_pipe), (all.1 / sharers).max(1)),
    }
}

impl FairQueue {
    /// A queue for `max_messages` messages and `max_bytes` bytes in all, and `max_per_pipe`
    /// messages of any one pipe.
    pub(crate) fn new(max_messages: usize, max_bytes: usize, max_per_pipe: usize) -> Self {
        Self {
            lanes: PipeTable::new(),
            turns: VecDeque::new(),
            orphans: VecDeque::new(),
            stalled: VecDeque::new(),
            messages: 0,
            bytes: 0,
            max_messages,
            max_bytes,
            max_per_pipe,
        }
    }

    /// Opens a lane.
    pub(crate) fn attach(&mut self, pipe: PipeId) {
        self.lanes.insert(pipe, Lane::default());
    }

    /// Closes a lane but keeps its messages: they arrived whole and can still be taken.
    pub(crate) fn detach(&mut self, pipe: PipeId) {
        if let Some(lane) = self.remove_lane(pipe) {
            self.orphans.extend(lane.messages);
        }
    }

    /// Closes a lane and discards its messages, as where nobody is left to answer.
    pub(crate) fn detach_discarding(&mut self, pipe: PipeId, fx: &mut impl Effects) {
        let Some(lane) = self.remove_lane(pipe) else { return };
        self.messages -= lane.messages.len();
        self.bytes -= lane.bytes;
        for message in lane.messages {
            fx.discard(Dropped::PipeLost, Some(pipe), message.len());
        }
        self.resume_some(fx);
    }

    fn remove_lane(&mut self, pipe: PipeId) -> Option<Lane> {
        let lane = self.lanes.remove(pipe)?;
        self.turns.retain(|turn| *turn != pipe);
        self.stalled.retain(|stalled| *stalled != pipe);
        Some(lane)
    }

    /// What may come in from `pipe`. That nothing may is remembered and answered by
    /// [`Effects::resume`] later.
    #[inline]
    pub(crate) fn room(&mut self, pipe: PipeId) -> Room {
        let Some(lane) = self.lanes.get_mut(pipe) else { return Room::PLENTY };
        let sharers = self.turns.len() + usize::from(lane.messages.is_empty());
        let share = share(sharers, (self.max_messages, self.max_bytes), self.max_per_pipe);
        let messages = (self.max_messages.saturating_sub(self.messages))
            .min(share.0.saturating_sub(lane.messages.len()));
        let mut bytes = (self.max_bytes.saturating_sub(self.bytes)).min(share.1.saturating_sub(lane.bytes));
        if self.messages == 0 {
            // However large it is, one message has room.
            bytes = bytes.max(1);
        }
        let room = Room::new(messages, bytes);
        if room.is_none() && !lane.stalled {
            lane.stalled = true;
            self.stalled.push_back(pipe);
        }
        room
    }

    /// Adds a message from `pipe`, within its `room`.
    #[inline(always)]
    pub(crate) fn push(&mut self, pipe: PipeId, message: Message) {
        let Some(lane) = self.lanes.get_mut(pipe) else { return };
        if lane.messages.is_empty() {
            self.turns.push_back(pipe);
        }
        self.messages += 1;
        self.bytes += message.len();
        lane.bytes += message.len();
        lane.messages.push_back(message);
    }

    /// Adds from the front of a queue as many as there is room for. How many, of how many bytes. When all
    /// fit into an empty lane, the queue becomes the lane, and gets what had been it: nothing is moved.
    pub(crate) fn push_queue(&mut self, pipe: PipeId, queue: &mut VecDeque<Message>) -> (usize, usize) {
        let mut taken = (0, 0);
        let mut room = self.room(pipe);
        let bytes = queue.iter().map(Message::len).sum::<usize>();
        let last = queue.back().map_or(0, Message::len);
        match self.lanes.get_mut(pipe) {
            Some(lane)
                if lane.messages.is_empty() && !queue.is_empty() && room.holds(queue.len(), bytes - last) =>
            {
                taken = (queue.len(), bytes);
                core::mem::swap(&mut lane.messages, queue);
                lane.bytes = bytes;
                self.turns.push_back(pipe);
                self.messages += taken.0;
                self.bytes += bytes;
                return taken;
            }
            _ => {}
        }
        while !room.is_none() {
            while !room.is_none() {
                let Some(message) = queue.pop_front() else { return taken };
                taken = (taken.0 + 1, taken.1 + message.len());
                room.use_up(message.len());
                self.push(pipe, message);
            }
            room = self.room(pipe);
        }
        taken
    }

    /// Adds a message where nobody can be told to wait: when it does not fit, something is lost.
    ///
    /// That is this message, if its pipe holds its share already. Else the newest message of the
    /// pipe furthest over its share makes room: one that pours may fill an idle queue, and still
    /// not keep the others out. The only message of a pipe is never taken away, so that a large
    /// one is not at the mercy of a small one. Returns whether there is more to take than before.
    pub(crate) fn offer(&mut self, pipe: PipeId, message: Message, fx: &mut impl Effects) -> bool {
        let Some(lane) = self.lanes.get(pipe) else { return false };
        let with_it = (lane.messages.len() + 1, lane.bytes + message.len());
        let sharers = self.turns.len() + usize::from(lane.messages.is_empty());
        let share = ((self.max_messages / sharers).max(1), (self.max_bytes / sharers).max(1));
        let before = self.messages;
        while !self.fits(message.len()) {
            let modest = with_it.0 <= share.0 && with_it.1 <= share.1;
            let victim = if modest { self.furthest_over(share) } else { None };
            let Some(victim) = victim else {
                fx.discard(Dropped::QueueFull, Some(pipe), message.len());
                return false;
            };
            self.displace_newest(victim, fx);
        }
        self.push(pipe, message);
        self.messages > before
    }

    /// Whether `bytes` bytes more are within the bounds.
    fn fits(&self, bytes: usize) -> bool {
        self.messages == 0
            || (self.messages < self.max_messages && self.bytes.saturating_add(bytes) <= self.max_bytes)
    }

    /// The pipe that holds most of what there is too much of, if it holds more than `share` and
    /// more than one message.
    fn furthest_over(&self, share: (usize, usize)) -> Option<PipeId> {
        let lanes = self.lanes.iter().filter(|(_, lane)| lane.messages.len() > 1);
        let most = if self.messages >= self.max_messages {
            lanes
                .filter(|(_, lane)| lane.messages.len() > share.0)
                .max_by_key(|(_, lane)| lane.messages.len())
        } else {
            lanes.filter(|(_, lane)| lane.bytes > share.1).max_by_key(|(_, lane)| lane.bytes)
        };
        most.map(|(pipe, _)| pipe)
    }

    /// Discards the newest message of `pipe`, which holds others.
    fn displace_newest(&mut self, pipe: PipeId, fx: &mut impl Effects) {
        let lane = self.lanes.get_mut(pipe).expect("who holds messages has a lane");
        let message = lane.messages.pop_back().expect("who holds most holds some");
        lane.bytes -= message.len();
        self.messages -= 1;
        self.bytes -= message.len();
        fx.discard(Dropped::QueueFull, Some(pipe), message.len());
    }

    /// Takes the next message: of the pipe whose turn it is. (Inlined, as `push` is: each call between
    /// the queue and the application is one more move of the message.)
    #[inline(always)]
    pub(crate) fn pop(&mut self, fx: &mut impl Effects) -> Option<Message> {
        let message = if self.orphans.is_empty() {
            let pipe = *self.turns.front()?;
            let lane = self.lanes.get_mut(pipe).expect("a pipe with a turn has a lane");
            let message = lane.messages.pop_front().expect("a lane with a turn is not empty");
            lane.bytes -= message.len();
            if lane.messages.is_empty() {
                self.turns.pop_front();
            } else if self.turns.len() > 1 {
                self.turns.rotate_left(1);
            }
            message
        } else {
            self.orphans.pop_front()?
        };
        self.messages -= 1;
        self.bytes -= message.len();
        if !self.stalled.is_empty() && self.messages <= self.max_messages / 2 {
            self.resume_some(fx);
        }
        Some(message)
    }

    /// Lets stalled pipes go on, once there is room worth the while: half a share, so that a driver
    /// is not started for each single message. An empty queue resumes everybody.
    fn resume_some(&mut self, fx: &mut impl Effects) {
        let share = share(self.turns.len(), (self.max_messages, self.max_bytes), self.max_per_pipe);
        let empty = self.messages == 0;
        let spacious = self.messages <= self.max_messages / 2 && self.bytes <= self.max_bytes / 2;
        let looks = if empty { self.stalled.len() } else { 2.min(self.stalled.len()) };
        for _ in 0..looks {
            let Some(pipe) = self.stalled.pop_front() else { return };
            let Some(lane) = self.lanes.get_mut(pipe) else { continue };
            let light = lane.messages.len() <= share.0 / 2 && lane.bytes <= share.1 / 2;
            if empty || (spacious && light) {
                lane.stalled = false;
                fx.resume(pipe);
            } else {
                self.stalled.push_back(pipe);
            }
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// What waits.
    pub(crate) fn held(&self) -> Held {
        Held { messages: self.messages, bytes: self.bytes }
    }

    pub(crate) fn clear(&mut self, fx: &mut impl Effects) {
        while let Some(message) = self.pop(fx) {
            fx.discard(Dropped::Closed, message.pipe(), message.len());
        }
    }

    pub(crate) fn check_invariants(&self) {
        let lanes = self.lanes.iter().map(|(_, lane)| lane);
        let held: usize = lanes.clone().map(|lane| lane.messages.len()).sum();
        assert_eq!(held + self.orphans.len(), self.messages, "message count");
        let orphaned: usize = self.orphans.iter().map(|m| m.len()).sum();
        let bytes: usize = lanes.clone().map(|lane| lane.bytes).sum();
        assert_eq!(bytes + orphaned, self.bytes, "byte count");
        assert!(self.messages <= self.max_messages, "over the limit");
        let busy = lanes.clone().filter(|lane| !lane.messages.is_empty()).count();
        assert_eq!(busy, self.turns.len(), "every lane with something has one turn");
        let stalled = lanes.filter(|lane| lane.stalled).count();
        assert_eq!(stalled, self.stalled.len(), "every stalled lane waits once");
        assert!(!self.is_empty() || self.stalled.is_empty(), "stalled with nothing to wait for");
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Script, pipe};
    use super::*;
    use alloc::vec::Vec;

    fn fill(queue: &mut FairQueue, from: PipeId) -> usize {
        let mut count = 0;
        while !queue.room(from).is_none() {
            queue.push(from, Message::from("x").received(from, crate::Time::ZERO));
            count += 1;
        }
        count
    }

    #[test]
    fn pipes_are_served_in_turn() {
        let mut fx = Script::default();
        let mut queue = FairQueue::new(100, 1_000, 100);
        queue.attach(pipe(1));
        queue.attach(pipe(2));
        for from in [1, 1, 1, 2, 2] {
            queue.push(pipe(from), Message::from("x").received(pipe(from), crate::Time::ZERO));
        }
        let order: Vec<u32> =
            std::iter::from_fn(|| queue.pop(&mut fx)).map(|m| m.pipe().unwrap().get()).collect();
        assert_eq!(order, [1, 2, 1, 2, 1]);
        queue.check_invariants();
    }

    #[test]
    fn one_pipe_may_fill_an_idle_queue_but_only_its_share_of_a_busy_one() {
        let mut queue = FairQueue::new(100, 1_000_000, usize::MAX);
        queue.attach(pipe(1));
        queue.attach(pipe(2));
        assert_eq!(fill(&mut queue, pipe(1)), 100);
        assert_eq!(fill(&mut queue, pipe(2)), 0);
        let mut fx = Script::default();
        for _ in 0..60 {
            queue.pop(&mut fx);
        }
        assert!(fx.resumed.contains(&pipe(2)), "the one that got nothing goes on");
        assert_eq!(fill(&mut queue, pipe(2)), 50, "two sharers now");
        queue.check_invariants();
    }

    #[test]
    fn an_empty_queue_leaves_nobody_stalled() {
        let mut fx = Script::default();
        let mut queue = FairQueue::new(4, 1_000, 4);
        for n in 1..=50 {
            queue.attach(pipe(n));
            fill(&mut queue, pipe(n));
        }
        while queue.pop(&mut fx).is_some() {}
        assert_eq!(fx.resumed.len(), 50);
        queue.check_invariants();
    }

    #[test]
    fn bytes_are_bounded_but_a_large_message_passes_alone() {
        let mut queue = FairQueue::new(100, 10, 100);
        queue.attach(pipe(1));
        assert!(!queue.room(pipe(1)).is_none());
        queue.push(pipe(1), Message::from(vec![0; 50]));
        assert!(queue.room(pipe(1)).is_none());
        let mut fx = Script::default();
        assert!(queue.pop(&mut fx).is_some());
        assert_eq!(fx.resumed, [pipe(1)]);
    }

    #[test]
    fn a_queue_is_full_at_its_bounds_and_not_before() {
        let mut fx = Script::default();
        let mut queue = FairQueue::new(100, 10, usize::MAX);
        (1..=2).for_each(|n| queue.attach(pipe(n)));
        queue.push(pipe(1), Message::from(vec![0; 9]));
        assert!(!queue.room(pipe(2)).is_none());
        queue.push(pipe(1), Message::from(vec![0; 1]));
        assert!(queue.room(pipe(2)).is_none());
        assert!(queue.pop(&mut fx).is_some() && !queue.room(pipe(2)).is_none());
        let mut queue = FairQueue::new(2, 100, usize::MAX);
        (1..=2).for_each(|n| queue.attach(pipe(n)));
        queue.push(pipe(1), "x".into());
        assert!(!queue.room(pipe(2)).is_none());
        queue.push(pipe(1), "x".into());
        assert!(queue.room(pipe(2)).is_none());
    }

    #[test]
    fn bytes_are_shared_as_messages_are() {
        let mut queue = FairQueue::new(100, 100, usize::MAX);
        (1..=2).for_each(|n| queue.attach(pipe(n)));
        queue.push(pipe(1), Message::from(vec![0; 49]));
        queue.push(pipe(2), "x".into());
        assert!(!queue.room(pipe(1)).is_none());
        queue.push(pipe(1), "x".into());
        assert!(queue.room(pipe(1)).is_none(), "it holds half of the bytes");
        assert!(!queue.room(pipe(2)).is_none());
    }

    #[test]
    fn messages_outlive_their_pipe_unless_they_want_an_answer() {
        let mut fx = Script::default();
        let mut queue = FairQueue::new(10, 1_000, 10);
        for n in [1, 2] {
            queue.attach(pipe(n));
            queue.push(pipe(n), "x".into());
        }
        queue.detach(pipe(1));
        queue.detach_discarding(pipe(2), &mut fx);
        assert_eq!(fx.dropped, [(Dropped::PipeLost, Some(pipe(2)), 1)]);
        assert!(queue.pop(&mut fx).is_some() && queue.pop(&mut fx).is_none());
        queue.check_invariants();
    }

    #[test]
    fn a_full_queue_takes_from_whoever_has_more_than_his_share() {
        let mut fx = Script::default();
        let mut queue = FairQueue::new(6, 1_000, usize::MAX);
        (1..=3).for_each(|n| queue.attach(pipe(n)));
        for from in [1, 1, 1, 1, 2, 2] {
            assert!(queue.offer(pipe(from), "x".into(), &mut fx));
        }
        assert!(!queue.offer(pipe(3), "x".into(), &mut fx), "one more and one less");
        assert!(!queue.offer(pipe(2), "x".into(), &mut fx), "has its share");
        assert!(!queue.offer(pipe(3), "x".into(), &mut fx), "now all have the same");
        assert!(!queue.offer(pipe(3), "x".into(), &mut fx));
        let lost: Vec<u32> = fx.dropped.iter().map(|(_, from, _)| from.unwrap().get()).collect();
        assert_eq!(lost, [1, 2, 1, 3]);
        queue.check_invariants();
    }

    #[test]
    fn whoever_is_furthest_over_his_share_pays() {
        let mut fx = Script::default();
        let mut queue = FairQueue::new(10, 100, usize::MAX);
        (1..=4).for_each(|n| queue.attach(pipe(n)));
        for from in [1, 1, 1, 2, 2, 2, 2, 3, 3, 3] {
            queue.offer(pipe(from), "x".into(), &mut fx);
        }
        queue.offer(pipe(4), "x".into(), &mut fx);
        assert_eq!(fx.dropped, [(Dropped::QueueFull, Some(pipe(2)), 1)], "by messages");

        let mut fx = Script::default();
        let mut queue = FairQueue::new(100, 10, usize::MAX);
        (1..=4).for_each(|n| queue.attach(pipe(n)));
        for (from, body) in [(1, "xx"), (1, "x"), (2, "xx"), (2, "xx"), (3, "xx"), (3, "x")] {
            queue.offer(pipe(from), body.into(), &mut fx);
        }
        queue.offer(pipe(4), "yyy".into(), &mut fx);
        assert_eq!(fx.take_dropped().len(), 1);
        assert!(queue.lanes.get(pipe(4)).unwrap().messages.is_empty(), "asks for more than its share");
        queue.offer(pipe(4), "yy".into(), &mut fx);
        assert_eq!(fx.dropped, [(Dropped::QueueFull, Some(pipe(2)), 2)], "by bytes");
        queue.check_invariants();
    }

    #[test]
    fn an_offer_counts_bytes_and_spares_the_only_message_of_a_pipe() {
        let mut fx = Script::default();
        let mut queue = FairQueue::new(100, 10, usize::MAX);
        (1..=2).for_each(|n| queue.attach(pipe(n)));
        assert!(queue.offer(pipe(1), Message::from(vec![0; 50]), &mut fx), "large, but alone");
        assert!(!queue.offer(pipe(2), "x".into(), &mut fx));
        assert_eq!(fx.dropped, [(Dropped::QueueFull, Some(pipe(2)), 1)]);
        queue.pop(&mut fx);
        for _ in 0..3 {
            assert!(queue.offer(pipe(1), "xxx".into(), &mut fx));
        }
        assert!(!queue.offer(pipe(2), "yyyyy".into(), &mut fx), "two go for one");
        assert_eq!(fx.dropped[1..], [(Dropped::QueueFull, Some(pipe(1)), 3); 2]);
        queue.check_invariants();
    }
}
