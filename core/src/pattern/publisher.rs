//! PUB (0020): every message to every subscriber. Spec 5.5.

use super::conflate::Conflation;
use super::credit::Credit;
use super::fanout::fan_out;
use super::pipes::PipeTable;
use super::{CtxId, Effects, Nothing, Pattern, Refusal, discard_unsent};
use crate::event::{DetachReason, Dropped};
use crate::message::{Message, PipeId};
use crate::options::{Options, Overflow};
use crate::time::Time;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The sending side of publish/subscribe.
///
/// Subscriptions never travel, so everybody attached gets everything and filters for himself. What
/// happens when a subscriber is slow says [`Options::overflow`]; only [`Overflow::Block`] ever
/// makes a send wait, and then [`Pub::publish_anyway`] ends the wait.
///
/// Raw PUB is the same (spec 5.5).
#[derive(Debug)]
pub struct Pub {
    peers: PipeTable<Peer>,
    overflow: Overflow,
    max_messages: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Peer {
    credit: Credit,
    /// What waits for room, where messages are conflated. Boxed, since few sockets do that, and the
    /// walk over all peers is the hot path.
    waiting: Option<Box<Conflation>>,
}

/// How many messages may be in a conflated subscriber's outbox. What is there can no longer be
/// replaced, so this many may be stale; with fewer, the connection would idle between one flush
/// and the next. 16 is also NNG's queue for a subscriber.
const CONFLATE_WINDOW: usize = 16;

impl Pub {
    /// A PUB without subscribers.
    pub fn new(options: &Options) -> Self {
        Self {
            peers: PipeTable::new(),
            overflow: options.overflow,
            max_messages: options.outbox_messages,
            max_bytes: options.outbox_bytes,
        }
    }

    /// Sends now, whoever has room or not: what a caller does whose wait for room is over
    /// ([`Overflow::Block`]). A subscriber without room loses its oldest messages.
    pub fn publish_anyway(&mut self, _: Time, message: &mut Message, fx: &mut impl Effects) {
        if self.peers.is_empty() {
            return fx.discard(Dropped::NoPeer, None, message.len());
        }
        message.join();
        let bytes = message.len();
        let max_messages = self.max_messages;
        fan_out(&mut self.peers, message, fx, |pipe, peer, message, fx| match &mut peer.waiting {
            None => peer.credit.take(bytes) || displace(pipe, &mut peer.credit, bytes, max_messages, fx),
            Some(waiting) if waiting.is_empty() && peer.credit.take(bytes) => true,
            Some(waiting) => {
                waiting.put(pipe, message.clone(), fx);
                false
            }
        });
    }

    fn blocks(&self) -> bool {
        matches!(self.overflow, Overflow::Block(_))
    }

    /// Tells those who wait under [`Overflow::Block`], once nobody lacks room altogether.
    fn tell_writable(&self, count: usize, fx: &mut impl Effects) {
        if self.blocks() && self.writable(CtxId::DEFAULT) {
            fx.writable(count);
        }
    }
}

/// Drops the oldest messages of `pipe` until there is room for `bytes` bytes, and uses it.
///
/// `false` when the writer has all that waits: then it is the new message that is lost. It ends
/// because each turn gives a message back, and an empty outbox takes any message.
#[cold]
fn displace(
    pipe: PipeId,
    credit: &mut Credit,
    bytes: usize,
    max_messages: usize,
    fx: &mut impl Effects,
) -> bool {
    loop {
        let Some(dropped_bytes) = fx.drop_oldest(pipe) else {
            fx.discard(Dropped::SlowSubscriber, Some(pipe), bytes);
            return false;
        };
        fx.discard(Dropped::SlowSubscriber, Some(pipe), dropped_bytes);
        credit.give_back(1, dropped_bytes, max_messages);
        if credit.take(bytes) {
            return true;
        }
    }
}

impl Pattern for Pub {
    fn attach(&mut self, _: Time, pipe: PipeId, _: &mut impl Effects) -> Result<(), DetachReason> {
        let peer = match self.overflow {
            Overflow::Conflate(topic) => {
                // Half the bytes may be in the outbox and half may wait: no more than without.
                let max_bytes = self.max_bytes / 2;
                let window = CONFLATE_WINDOW.min(self.max_messages);
                let waiting = Box::new(Conflation::new(topic, self.max_messages, max_bytes));
                Peer { credit: Credit::new(window, max_bytes), waiting: Some(waiting) }
            }
            Overflow::DropOldest | Overflow::Block(_) => {
                Peer { credit: Credit::new(self.max_messages, self.max_bytes), waiting: None }
            }
        };
        self.peers.insert(pipe, peer);
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
        let Some(peer) = self.peers.remove(pipe) else { return };
        discard_unsent(pipe, unsent, fx);
        if let Some(mut waiting) = peer.waiting {
            waiting.discard(Dropped::PipeLost, pipe, fx);
        }
        self.tell_writable(self.max_messages, fx);
    }

    fn drained(&mut self, _: Time, pipe: PipeId, messages: usize, bytes: usize, fx: &mut impl Effects) {
        let Some(Peer { credit, waiting }) = self.peers.get_mut(pipe) else { return };
        credit.give_back(messages, bytes, self.max_messages);
        if let Some(waiting) = waiting {
            while let Some(mut message) = waiting.pop_if(|bytes| credit.take(bytes)) {
                fx.transmit(pipe, &mut message);
            }
        }
        self.tell_writable(messages, fx);
    }

    /// A subscriber has nothing to say: NNG ends such a connection, nanomsg even its process
    /// (spec 5.5, trap 3).
    fn recv(&mut self, _: Time, pipe: PipeId, message: Message, fx: &mut impl Effects) {
        fx.discard(Dropped::Unexpected, Some(pipe), message.len());
        fx.close(pipe, DetachReason::ProtocolViolation);
    }

    fn put(
        &mut self,
        now: Time,
        _: CtxId,
        message: &mut Message,
        fx: &mut impl Effects,
    ) -> Result<(), Refusal> {
        if self.blocks() {
            let bytes = message.len();
            if !self.peers.iter().all(|(_, peer)| peer.credit.allows(bytes)) {
                return Err(Refusal::Full);
            }
        }
        self.publish_anyway(now, message, fx);
        Ok(())
    }

    fn take(&mut self, _: Time, _: CtxId, _: &mut impl Effects) -> Result<Message, Nothing> {
        Err(Nothing::Asked)
    }

    fn readable(&self, _: CtxId) -> bool {
        false
    }

    fn writable(&self, _: CtxId) -> bool {
        !self.blocks() || self.peers.iter().all(|(_, peer)| peer.credit.is_open())
    }

    fn waiting(&self) -> usize {
        self.peers.iter().filter_map(|(_, peer)| peer.waiting.as_ref()).map(|waiting| waiting.len()).sum()
    }

    fn clear(&mut self, fx: &mut impl Effects) {
        for (pipe, peer) in self.peers.iter_mut() {
            if let Some(waiting) = &mut peer.waiting {
                waiting.discard(Dropped::Closed, pipe, fx);
            }
        }
    }

    fn check_invariants(&self) {
        for (_, peer) in self.peers.iter() {
            peer.credit.check_invariants();
            if let Some(waiting) = &peer.waiting {
                waiting.check_invariants();
                assert!(waiting.is_empty() || peer.credit.is_used(), "waits with nothing to wait for");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Script, pipe};
    use super::*;
    use crate::options::Topic;
    use core::time::Duration;

    fn publisher(overflow: Overflow, peers: u32) -> (Pub, Script) {
        let options = Options { outbox_messages: 2, outbox_bytes: 40, overflow, ..Options::default() };
        let mut publisher = Pub::new(&options);
        let mut fx = Script::default();
        for n in 1..=peers {
            publisher.attach(Time::ZERO, pipe(n), &mut fx).unwrap();
        }
        (publisher, fx)
    }

    fn send(publisher: &mut Pub, fx: &mut Script, body: &'static str) -> Result<(), Refusal> {
        let sent = publisher.send(Time::ZERO, CtxId::DEFAULT, body.into(), fx).map_err(|(why, _)| why);
        publisher.check_invariants();
        sent
    }

    fn sent(fx: &mut Script) -> Vec<(u32, std::string::String)> {
        fx.take_sent()
            .into_iter()
            .map(|(n, body)| (n, std::string::String::from_utf8(body).unwrap()))
            .collect()
    }

    #[test]
    fn everybody_gets_everything() {
        let (mut publisher, mut fx) = publisher(Overflow::DropOldest, 3);
        send(&mut publisher, &mut fx, "a").unwrap();
        assert_eq!(sent(&mut fx), [(1, "a".into()), (2, "a".into()), (3, "a".into())]);
    }

    #[test]
    fn without_subscribers_a_message_is_counted_once_and_gone() {
        for overflow in [Overflow::DropOldest, Overflow::Block(Duration::MAX)] {
            let (mut publisher, mut fx) = publisher(overflow, 0);
            assert_eq!(send(&mut publisher, &mut fx, "abc"), Ok(()));
            assert_eq!(fx.dropped, [(Dropped::NoPeer, None, 3)]);
        }
    }

    #[test]
    fn a_slow_subscriber_loses_its_oldest_and_the_others_nothing() {
        let (mut publisher, mut fx) = publisher(Overflow::DropOldest, 2);
        for body in ["a", "b"] {
            send(&mut publisher, &mut fx, body).unwrap();
        }
        fx.sent.retain(|(to, _)| *to == pipe(1));
        publisher.drained(Time::ZERO, pipe(2), 2, 2, &mut fx);
        send(&mut publisher, &mut fx, "c").unwrap();
        assert_eq!(fx.dropped, [(Dropped::SlowSubscriber, Some(pipe(1)), 1)]);
        assert_eq!(sent(&mut fx), [(1, "b".into()), (1, "c".into()), (2, "c".into())]);
        assert!(fx.writable.is_empty(), "nobody ever waits");
    }

    #[test]
    fn a_large_message_may_cost_several_small_ones() {
        let (mut publisher, mut fx) = publisher(Overflow::DropOldest, 1);
        send(&mut publisher, &mut fx, "0123456789").unwrap();
        send(&mut publisher, &mut fx, "0123456789").unwrap();
        send(&mut publisher, &mut fx, "0123456789012345678901234567890123456789").unwrap();
        assert_eq!(fx.take_dropped(), [Dropped::SlowSubscriber, Dropped::SlowSubscriber]);
        assert_eq!(fx.sent.len(), 1);
    }

    #[test]
    fn while_the_writer_has_it_all_the_new_message_is_lost() {
        let (mut publisher, mut fx) = publisher(Overflow::DropOldest, 1);
        send(&mut publisher, &mut fx, "a").unwrap();
        send(&mut publisher, &mut fx, "b").unwrap();
        fx.sent.clear(); // being written
        assert_eq!(send(&mut publisher, &mut fx, "new"), Ok(()));
        assert_eq!(fx.dropped, [(Dropped::SlowSubscriber, Some(pipe(1)), 3)]);
        publisher.drained(Time::ZERO, pipe(1), 2, 2, &mut fx);
        send(&mut publisher, &mut fx, "d").unwrap();
        assert_eq!(sent(&mut fx), [(1, "d".into())]);
    }

    #[test]
    fn blocking_waits_for_the_slowest_and_then_publishes_anyway() {
        let (mut publisher, mut fx) = publisher(Overflow::Block(Duration::from_secs(1)), 2);
        send(&mut publisher, &mut fx, "a").unwrap();
        send(&mut publisher, &mut fx, "b").unwrap();
        assert_eq!(send(&mut publisher, &mut fx, "c"), Err(Refusal::Full));
        assert!(!publisher.writable(CtxId::DEFAULT));
        publisher.drained(Time::ZERO, pipe(1), 1, 1, &mut fx);
        assert!(fx.writable.is_empty(), "the other one still lacks room");
        publisher.drained(Time::ZERO, pipe(2), 1, 1, &mut fx);
        assert_eq!(fx.writable, [1]);
        assert_eq!(send(&mut publisher, &mut fx, "c"), Ok(()));
        publisher.publish_anyway(Time::ZERO, &mut "d".into(), &mut fx);
        assert_eq!(fx.take_dropped(), [Dropped::SlowSubscriber, Dropped::SlowSubscriber]);
        publisher.check_invariants();
    }

    #[test]
    fn a_blocked_sender_hears_when_the_slow_subscriber_leaves() {
        let (mut publisher, mut fx) = publisher(Overflow::Block(Duration::from_secs(1)), 1);
        send(&mut publisher, &mut fx, "a").unwrap();
        send(&mut publisher, &mut fx, "b").unwrap();
        assert_eq!(send(&mut publisher, &mut fx, "c"), Err(Refusal::Full));
        publisher.detach(Time::ZERO, pipe(1), DetachReason::PeerClosed, vec!["b".into()], &mut fx);
        assert_eq!(fx.writable, [2]);
        assert_eq!(fx.take_dropped(), [Dropped::PipeLost]);
    }

    #[test]
    fn conflated_topics_wait_in_their_order_with_their_newest_message() {
        let (mut publisher, mut fx) = publisher(Overflow::Conflate(Topic::Bytes(1)), 1);
        for body in ["x1", "x2", "a1", "b1", "a2"] {
            send(&mut publisher, &mut fx, body).unwrap();
        }
        assert_eq!(sent(&mut fx), [(1, "x1".into()), (1, "x2".into())]);
        assert_eq!(fx.take_dropped(), [Dropped::Conflated]);
        assert_eq!(publisher.waiting(), 2);
        send(&mut publisher, &mut fx, "c1").unwrap();
        assert_eq!(fx.take_dropped(), [Dropped::SlowSubscriber], "two topics may wait");
        publisher.drained(Time::ZERO, pipe(1), 2, 4, &mut fx);
        assert_eq!(sent(&mut fx), [(1, "b1".into()), (1, "c1".into())]);
        assert_eq!(publisher.waiting(), 0);
    }

    #[test]
    fn nothing_overtakes_what_waits_conflated() {
        let (mut publisher, mut fx) = publisher(Overflow::Conflate(Topic::Bytes(1)), 1);
        send(&mut publisher, &mut fx, "x23456789012345").unwrap();
        send(&mut publisher, &mut fx, "a23456").unwrap();
        assert_eq!(publisher.waiting(), 1, "half of the forty bytes are for the outbox");
        send(&mut publisher, &mut fx, "b").unwrap();
        assert_eq!((fx.sent.len(), publisher.waiting()), (1, 2), "though there is room for a short one");
        publisher.drained(Time::ZERO, pipe(1), 1, 15, &mut fx);
        assert_eq!(sent(&mut fx)[1..], [(1, "a23456".into()), (1, "b".into())]);
    }

    #[test]
    fn a_conflated_outbox_is_short_since_it_goes_stale() {
        let overflow = Overflow::Conflate(Topic::Bytes(0));
        let mut publisher = Pub::new(&Options { overflow, ..Options::default() });
        let mut fx = Script::default();
        publisher.attach(Time::ZERO, pipe(1), &mut fx).unwrap();
        for _ in 0..20 {
            send(&mut publisher, &mut fx, "now").unwrap();
        }
        assert_eq!((fx.sent.len(), publisher.waiting(), fx.dropped.len()), (CONFLATE_WINDOW, 1, 3));
    }

    #[test]
    fn a_topic_may_begin_in_the_header() {
        let (mut publisher, mut fx) = publisher(Overflow::Conflate(Topic::Bytes(1)), 1);
        for header in [b"x", b"x", b"a", b"b"] {
            let message = Message::with_header(&header[..], "=1");
            publisher.send(Time::ZERO, CtxId::DEFAULT, message, &mut fx).unwrap();
        }
        assert_eq!((publisher.waiting(), fx.dropped.len()), (2, 0));
    }

    #[test]
    fn what_waits_conflated_is_counted_when_the_subscriber_or_the_socket_goes() {
        let (mut publisher, mut fx) = publisher(Overflow::Conflate(Topic::Until(b' ')), 2);
        for body in ["x 1", "y 1", "z 1"] {
            send(&mut publisher, &mut fx, body).unwrap();
        }
        assert_eq!(publisher.waiting(), 2);
        let unsent = vec!["y 1".into()];
        publisher.detach(Time::ZERO, pipe(1), DetachReason::ConnectionLost, unsent, &mut fx);
        assert_eq!(fx.take_dropped(), [Dropped::PipeLost, Dropped::PipeLost]);
        publisher.clear(&mut fx);
        assert_eq!(fx.dropped, [(Dropped::Closed, Some(pipe(2)), 3)]);
    }

    #[test]
    fn a_subscriber_that_sends_is_closed() {
        let (mut publisher, mut fx) = publisher(Overflow::DropOldest, 2);
        publisher.recv(Time::ZERO, pipe(2), "hello?".into(), &mut fx);
        assert_eq!(fx.dropped, [(Dropped::Unexpected, Some(pipe(2)), 6)]);
        assert_eq!(fx.closed, [(pipe(2), DetachReason::ProtocolViolation)]);
        assert_eq!(publisher.take(Time::ZERO, CtxId::DEFAULT, &mut fx), Err(Nothing::Asked));
    }
}
