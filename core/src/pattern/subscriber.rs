//! SUB (0021): takes what starts with a subscribed topic. Spec 5.5.

use super::topics::Topics;
use super::{CtxId, Effects, Held, Nothing, Pattern, Refusal};
use crate::error::NotSubscribed;
use crate::event::{DetachReason, Dropped};
use crate::message::{Message, PipeId};
use crate::options::{Options, Prefer};
use crate::time::Time;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// The receiving side of publish/subscribe.
///
/// Each context has subscriptions and a queue of its own, and gets its own copy of a message. A
/// full queue drops, by [`Options::prefer`]: holding a publisher up for one slow reader is not what
/// this pattern is for. How many topics there are is up to the application, which alone can add
/// one.
#[derive(Debug)]
pub struct Sub {
    contexts: Vec<Option<Context>>,
    /// Whether this is the raw form, which filters nothing.
    raw: bool,
    prefer: Prefer,
    max_messages: usize,
    max_bytes: usize,
    share: Share,
}

#[derive(Debug, Default)]
struct Context {
    topics: Topics,
    queue: VecDeque<Message>,
    bytes: usize,
}

impl Sub {
    /// A SUB without subscriptions.
    pub fn new(options: &Options) -> Self {
        Self::with_form(options, false)
    }

    /// A raw SUB: all that comes is delivered to the default context, whatever is subscribed.
    pub fn raw(options: &Options) -> Self {
        Self::with_form(options, true)
    }

    fn with_form(options: &Options, raw: bool) -> Self {
        Self {
            contexts: Vec::from([Some(Context::default())]),
            raw,
            prefer: options.prefer,
            max_messages: options.recv_messages,
            max_bytes: options.recv_bytes,
            share: Share::default(),
        }
    }

    /// Lets messages that start with `topic` into `ctx`; an empty topic lets in all. Subscribing
    /// again changes nothing.
    pub fn subscribe(&mut self, ctx: CtxId, topic: &[u8]) {
        if let Some(context) = self.context_mut(ctx) {
            context.topics.insert(topic);
        }
    }

    /// Takes a subscription back. What waits and no longer fits any other is discarded, as in NNG.
    ///
    /// # Errors
    ///
    /// The context has no such subscription.
    pub fn unsubscribe(
        &mut self,
        ctx: CtxId,
        topic: &[u8],
        fx: &mut impl Effects,
    ) -> Result<(), NotSubscribed> {
        let keep_all = self.raw;
        let context = self.context_mut(ctx).ok_or(NotSubscribed)?;
        if !context.topics.remove(topic) {
            return Err(NotSubscribed);
        }
        let Context { topics, queue, bytes } = context;
        queue.retain(|message| {
            let keep = keep_all || topics.matches(message);
            if !keep {
                *bytes -= message.len();
                fx.discard(Dropped::Cancelled, message.pipe(), message.len());
            }
            keep
        });
        Ok(())
    }

    fn context_mut(&mut self, ctx: CtxId) -> Option<&mut Context> {
        self.contexts.get_mut(ctx.index())?.as_mut()
    }

    /// Whether the context at `index` wants a message with this body.
    fn wants(&self, index: usize, body: &[u8]) -> bool {
        match &self.contexts[index] {
            Some(_) if self.raw => index == CtxId::DEFAULT.index(),
            Some(context) => context.topics.matches(body),
            None => false,
        }
    }

    /// Puts a message into the queue of the context at `index`, which is there.
    fn enqueue(&mut self, index: usize, message: Message, fx: &mut impl Effects) {
        let Some(context) = &mut self.contexts[index] else { return };
        let before = context.queue.len();
        while context.queue.len() >= self.max_messages
            || (context.bytes.saturating_add(message.len()) > self.max_bytes && !context.queue.is_empty())
        {
            let lost = match self.prefer {
                Prefer::Newest => context.pop().expect("a queue without room is not empty"),
                Prefer::Oldest => return fx.discard(Dropped::QueueFull, message.pipe(), message.len()),
            };
            fx.discard(Dropped::QueueFull, lost.pipe(), lost.len());
        }
        context.bytes += message.len();
        context.queue.push_back(message);
        if context.queue.len() > before {
            fx.readable(CtxId(index as u32), 1);
        }
    }
}

/// How much of what came lately was wanted.
///
/// Messages that were read together share a buffer. When most of them are filtered out, the few
/// that stay would each hold a whole buffer, far more than the queue is charged for; so they are
/// copied out of it.
#[derive(Debug, Default)]
struct Share {
    came: usize,
    wanted: usize,
}

impl Share {
    /// "Lately" is the last buffer or two, which hold 64 KiB.
    const LATELY: usize = 64 * 1024;

    /// Counts a message; whether those that are wanted are fewer than one byte in eight.
    fn note(&mut self, bytes: usize, wanted: bool) -> bool {
        if self.came >= Self::LATELY {
            self.came /= 2;
            self.wanted /= 2;
        }
        self.came += bytes;
        self.wanted += if wanted { bytes } else { 0 };
        self.wanted.saturating_mul(8) < self.came
    }
}

impl Context {
    fn pop(&mut self) -> Option<Message> {
        let message = self.queue.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }

    fn discard(&mut self, why: Dropped, fx: &mut impl Effects) {
        while let Some(message) = self.pop() {
            fx.discard(why, message.pipe(), message.len());
        }
    }
}

impl Pattern for Sub {
    fn attach(&mut self, _: Time, _: PipeId, _: &mut impl Effects) -> Result<(), DetachReason> {
        Ok(())
    }

    fn detach(&mut self, _: Time, _: PipeId, _: DetachReason, _: Vec<Message>, _: &mut impl Effects) {}

    fn drained(&mut self, _: Time, _: PipeId, _: usize, _: usize, _: &mut impl Effects) {}

    fn recv(&mut self, _: Time, pipe: PipeId, mut message: Message, fx: &mut impl Effects) {
        message.join();
        // The last context that wants it gets the original; most sockets have but one.
        let mut last = None;
        for index in 0..self.contexts.len() {
            if self.wants(index, &message) {
                if let Some(earlier) = last.replace(index) {
                    self.enqueue(earlier, message.clone(), fx);
                }
            }
        }
        let sparse = self.share.note(message.len(), last.is_some());
        match last {
            Some(index) if sparse => self.enqueue(index, message.detached(), fx),
            Some(index) => self.enqueue(index, message, fx),
            None => fx.discard(Dropped::NotSubscribed, Some(pipe), message.len()),
        }
    }

    fn open(&mut self) -> CtxId {
        let free = self.contexts.iter().position(Option::is_none).unwrap_or_else(|| {
            self.contexts.push(None);
            self.contexts.len() - 1
        });
        self.contexts[free] = Some(Context::default());
        CtxId(free as u32)
    }

    fn close(&mut self, _: Time, ctx: CtxId, fx: &mut impl Effects) {
        let Some(context) = self.contexts.get_mut(ctx.index()) else { return };
        if let Some(mut closed) = context.take() {
            closed.discard(Dropped::Cancelled, fx);
        }
        if ctx == CtxId::DEFAULT {
            *context = Some(Context::default());
        }
    }

    /// A SUB never transmits: NNG publishers close the connection, nanomsg ones even abort.
    fn put(&mut self, _: Time, _: CtxId, _: &mut Message, _: &mut impl Effects) -> Result<(), Refusal> {
        Err(Refusal::State)
    }

    fn take(&mut self, _: Time, ctx: CtxId, _: &mut impl Effects) -> Result<Message, Nothing> {
        self.context_mut(ctx).ok_or(Nothing::Asked)?.pop().ok_or(Nothing::Yet)
    }

    fn readable(&self, ctx: CtxId) -> bool {
        match self.contexts.get(ctx.index()) {
            Some(Some(context)) => !context.queue.is_empty(),
            _ => true,
        }
    }

    fn writable(&self, _: CtxId) -> bool {
        false
    }

    fn held(&self) -> Held {
        self.contexts.iter().flatten().map(|c| Held { messages: c.queue.len(), bytes: c.bytes }).sum()
    }

    fn clear(&mut self, fx: &mut impl Effects) {
        for context in self.contexts.iter_mut().flatten() {
            context.discard(Dropped::Closed, fx);
        }
    }

    fn check_invariants(&self) {
        assert!(matches!(self.contexts.first(), Some(Some(_))), "the default context is always there");
        for (index, context) in self.contexts.iter().enumerate() {
            let Some(context) = context else { continue };
            let bytes: usize = context.queue.iter().map(Message::len).sum();
            assert_eq!(bytes, context.bytes, "byte count");
            assert!(context.queue.len() <= self.max_messages, "too many messages wait");
            assert!(context.queue.len() <= 1 || bytes <= self.max_bytes, "too many bytes wait");
            assert!(context.queue.iter().all(|m| self.wants(index, m)), "something waits that nobody wants");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Script, pipe};
    use super::*;
    use crate::message::Header;

    const CTX: CtxId = CtxId::DEFAULT;

    fn sub(prefer: Prefer, topics: &[&str]) -> (Sub, Script) {
        let options = Options { recv_messages: 2, recv_bytes: 10, prefer, ..Options::default() };
        let mut sub = Sub::new(&options);
        topics.iter().for_each(|topic| sub.subscribe(CTX, topic.as_bytes()));
        (sub, Script::default())
    }

    fn recv(sub: &mut Sub, fx: &mut Script, body: &'static str) {
        assert!(!sub.room(pipe(1)).is_none(), "there is no back-pressure");
        sub.recv(Time::ZERO, pipe(1), Message::from(body).received(pipe(1), Time::ZERO), fx);
        sub.check_invariants();
    }

    fn rest(sub: &mut Sub, ctx: CtxId) -> Vec<Vec<u8>> {
        let mut fx = Script::default();
        std::iter::from_fn(|| sub.take(Time::ZERO, ctx, &mut fx).ok()).map(|m| m.to_vec()).collect()
    }

    #[test]
    fn what_little_passes_a_filter_does_not_hold_the_whole_read_buffer() {
        let mut fx = Script::default();
        let mut sub = Sub::new(&Options::default());
        sub.subscribe(CtxId::DEFAULT, b"rare");
        let buffer = bytes::Bytes::from([&b"rare"[..], &[b'x'; 60]].concat().repeat(100));
        let mut recv = |sub: &mut Sub, at: usize| {
            sub.recv(Time::ZERO, pipe(1), Message::new(buffer.slice(at..at + 64)), &mut fx);
        };
        recv(&mut sub, 0);
        for _ in 0..100 {
            recv(&mut sub, 4);
        }
        recv(&mut sub, 64);
        let shares_buffer: Vec<bool> = std::iter::from_fn(|| sub.contexts[0].as_mut()?.pop())
            .map(|message| buffer.as_ptr_range().contains(&message.as_ptr()))
            .collect();
        assert_eq!(shares_buffer, [true, false], "dense traffic is not copied, sparse traffic is");
    }

    #[test]
    fn without_a_subscription_nothing_arrives() {
        let (mut sub, mut fx) = sub(Prefer::Newest, &[]);
        recv(&mut sub, &mut fx, "abc");
        assert_eq!(fx.dropped, [(Dropped::NotSubscribed, Some(pipe(1)), 3)]);
        assert!(!sub.readable(CTX));
        assert_eq!(sub.take(Time::ZERO, CTX, &mut fx), Err(Nothing::Yet));
    }

    #[test]
    fn only_what_starts_with_a_topic_arrives() {
        let (mut sub, mut fx) = sub(Prefer::Newest, &["ab", "x"]);
        for body in ["abc", "a", "xy", "bab"] {
            recv(&mut sub, &mut fx, body);
        }
        assert_eq!(rest(&mut sub, CTX), [b"abc".to_vec(), b"xy".to_vec()]);
        assert_eq!(fx.readable, [(CTX, 1), (CTX, 1)]);
        assert_eq!(fx.take_dropped(), [Dropped::NotSubscribed, Dropped::NotSubscribed]);
    }

    #[test]
    fn a_header_that_came_in_process_is_part_of_what_is_matched() {
        let (mut sub, mut fx) = sub(Prefer::Newest, &["abc"]);
        sub.recv(Time::ZERO, pipe(1), Message::with_header(Header::new(b"ab"), "cd"), &mut fx);
        assert_eq!(rest(&mut sub, CTX), [b"abcd"]);
    }

    #[test]
    fn a_full_queue_loses_its_oldest_or_the_newcomer_as_asked() {
        for (prefer, left) in [(Prefer::Newest, [b"b", b"c"]), (Prefer::Oldest, [b"a", b"b"])] {
            let (mut sub, mut fx) = sub(prefer, &[""]);
            for body in ["a", "b", "c"] {
                recv(&mut sub, &mut fx, body);
            }
            assert_eq!(fx.dropped, [(Dropped::QueueFull, Some(pipe(1)), 1)]);
            assert_eq!(fx.readable.len(), 2, "no more can be taken than fit");
            assert_eq!(rest(&mut sub, CTX), left);
        }
    }

    #[test]
    fn bytes_are_bounded_but_a_large_message_waits_alone() {
        let (mut sub, mut fx) = sub(Prefer::Newest, &[""]);
        recv(&mut sub, &mut fx, "small");
        recv(&mut sub, &mut fx, "equal");
        assert!(fx.dropped.is_empty(), "ten bytes are ten bytes");
        recv(&mut sub, &mut fx, "larger than ten bytes");
        assert_eq!(fx.take_dropped(), [Dropped::QueueFull, Dropped::QueueFull]);
        assert_eq!(rest(&mut sub, CTX), [b"larger than ten bytes"]);
    }

    #[test]
    fn unsubscribing_discards_what_no_longer_fits() {
        let (mut sub, mut fx) = sub(Prefer::Newest, &["a", "ab"]);
        recv(&mut sub, &mut fx, "abc");
        recv(&mut sub, &mut fx, "a");
        assert_eq!(sub.unsubscribe(CTX, b"a", &mut fx), Ok(()));
        assert_eq!(fx.dropped, [(Dropped::Cancelled, Some(pipe(1)), 1)]);
        sub.check_invariants();
        assert_eq!(rest(&mut sub, CTX), [b"abc"]);
    }

    #[test]
    fn subscribing_twice_is_once_and_an_unknown_unsubscribe_is_an_error() {
        let (mut sub, mut fx) = sub(Prefer::Newest, &["a", "a"]);
        assert_eq!(sub.unsubscribe(CTX, b"b", &mut fx), Err(NotSubscribed));
        assert_eq!(sub.unsubscribe(CTX, b"a", &mut fx), Ok(()));
        assert_eq!(sub.unsubscribe(CTX, b"a", &mut fx), Err(NotSubscribed));
        assert_eq!(sub.unsubscribe(CtxId(9), b"a", &mut fx), Err(NotSubscribed));
    }

    #[test]
    fn each_context_gets_its_copy_of_what_it_wants() {
        let (mut sub, mut fx) = sub(Prefer::Newest, &["a"]);
        let other = sub.open();
        sub.subscribe(other, b"ab");
        recv(&mut sub, &mut fx, "abc");
        recv(&mut sub, &mut fx, "a");
        assert_eq!(fx.readable, [(CTX, 1), (other, 1), (CTX, 1)]);
        assert_eq!(rest(&mut sub, CTX), [b"abc".to_vec(), b"a".to_vec()]);
        assert_eq!(rest(&mut sub, other), [b"abc"]);
        assert!(fx.dropped.is_empty());
    }

    #[test]
    fn a_closed_context_gives_up_what_waits_and_the_default_one_can_be_used_again() {
        let (mut sub, mut fx) = sub(Prefer::Newest, &[""]);
        let other = sub.open();
        sub.subscribe(other, b"");
        recv(&mut sub, &mut fx, "a");
        sub.close(Time::ZERO, other, &mut fx);
        sub.close(Time::ZERO, CTX, &mut fx);
        assert_eq!(fx.take_dropped(), [Dropped::Cancelled, Dropped::Cancelled]);
        assert!(sub.readable(other), "there is something to learn: that nothing will come");
        assert_eq!(sub.take(Time::ZERO, other, &mut fx), Err(Nothing::Asked));
        assert_eq!(sub.take(Time::ZERO, CTX, &mut fx), Err(Nothing::Yet));
        recv(&mut sub, &mut fx, "b");
        assert_eq!(fx.take_dropped(), [Dropped::NotSubscribed]);
        assert_eq!(sub.open(), other, "its place is used again");
    }

    #[test]
    fn raw_takes_all_and_stays_that_way() {
        let mut fx = Script::default();
        let mut sub = Sub::raw(&Options::default());
        recv(&mut sub, &mut fx, "a");
        sub.subscribe(CTX, b"b");
        assert_eq!(sub.unsubscribe(CTX, b"b", &mut fx), Ok(()));
        sub.check_invariants();
        assert_eq!(rest(&mut sub, CTX), [b"a"]);
        sub.close(Time::ZERO, CTX, &mut fx);
        recv(&mut sub, &mut fx, "");
        assert_eq!(rest(&mut sub, CTX), [b""]);
        assert!(fx.dropped.is_empty());
    }

    #[test]
    fn a_sub_cannot_send() {
        let (mut sub, mut fx) = sub(Prefer::Newest, &[]);
        assert_eq!(sub.send(Time::ZERO, CTX, "x".into(), &mut fx), Err((Refusal::State, "x".into())));
    }
}
