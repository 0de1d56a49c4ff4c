//! Lives of the patterns that send without being asked, or only receive.
//!
//! Every copy of every message is afterwards in exactly one place: handed to the kernel, waiting in
//! an outbox or in the rule, taken by the application, or discarded and counted.

use super::Kind;
use crate::event::{DetachReason, Dropped};
use crate::message::{Message, PipeId};
use crate::options::Options;
use crate::pattern::script::Script;
use crate::pattern::{CtxId, Member, Nothing, Pattern, Pub, Refusal, Rules, Sub};
use crate::time::Time;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use core::mem;

/// Lives through `life`, and then down to the end of everything.
pub(super) fn live(kind: Kind, rule: Rules, life: &[u8]) {
    let mut world = World {
        kind,
        options: kind.options(),
        rule,
        fx: Script::default(),
        attached: BTreeSet::new(),
        latest: vec![None; SLOTS],
        next_id: 1,
        writing: Vec::new(),
        stalled: BTreeSet::new(),
        topics: BTreeMap::from([(CtxId::DEFAULT, BTreeSet::new())]),
        owed: 0,
        written: 0,
        taken: 0,
    };
    let mut life = Life(life);
    while !life.0.is_empty() {
        world.step(&mut life);
        world.check();
    }
    world.finish();
}

/// Pipes are named by their slots and contexts by their numbers, so that both are used again.
const SLOTS: usize = 4;
const CONTEXTS: u32 = 4;

/// What is left of it. At its end it goes on with zeros, so that the last operation is a whole one.
struct Life<'a>(&'a [u8]);

impl Life<'_> {
    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    fn slot(&mut self) -> usize {
        self.below(SLOTS)
    }

    fn ctx(&mut self) -> CtxId {
        CtxId(u32::from(self.byte()) % CONTEXTS)
    }

    /// Bytes are few, so that topics and tags often mean something.
    fn bytes(&mut self) -> Vec<u8> {
        const FEW: [u8; 7] = [0, 0, 0, 1, 2, 9, 255];
        (0..self.below(12)).map(|_| FEW[self.below(FEW.len())]).collect()
    }

    /// Headers are none, a tag that counts hops or names a pipe, or anything.
    fn message(&mut self) -> Message {
        let header = match self.below(7) {
            0..=2 => Vec::new(),
            3..=5 => vec![0, 0, 0, self.byte() % 12],
            _ => (0..self.below(6)).map(|_| self.byte()).collect(),
        };
        Message::with_header(&header[..], self.bytes())
    }
}

/// A rule and the world around it: outboxes, a kernel, an application, and the books.
struct World {
    kind: Kind,
    options: Options,
    rule: Rules,
    fx: Script,
    attached: BTreeSet<PipeId>,
    /// By slot, the pipe that is or was there last.
    latest: Vec<Option<PipeId>>,
    next_id: u32,
    /// What the writers of pipes have taken; it can no longer be dropped.
    writing: Vec<(PipeId, Message)>,
    /// Pipes that `room` has denied and `resume` not yet named.
    stalled: BTreeSet<PipeId>,
    /// What the open contexts of a SUB are subscribed to.
    topics: BTreeMap<CtxId, BTreeSet<Vec<u8>>>,
    /// Copies of messages that the rule has answered for.
    owed: usize,
    written: usize,
    taken: usize,
}

impl World {
    /// One thing happens.
    fn step(&mut self, life: &mut Life<'_>) {
        let contexts: Vec<CtxId> = self.topics.keys().copied().collect();
        let could_take: Vec<bool> = contexts.iter().map(|ctx| self.rule.readable(*ctx)).collect();
        let could_send = self.rule.writable(CtxId::DEFAULT);
        match life.below(36) {
            0..=3 => self.attach(life.slot()),
            4 => {
                if let Some(pipe) = self.pipe(life.slot()) {
                    self.detach(pipe, DetachReason::PeerClosed);
                }
            }
            5..=12 => self.send(life),
            13..=20 => self.recv(life),
            21..=24 => drop(self.take(life.ctx())),
            25 | 26 => {
                let Some(pipe) = self.pipe(life.slot()) else { return };
                self.writing.extend(extract(&mut self.fx.sent, pipe));
            }
            27..=30 => self.drain(life),
            31 => {
                let ctx = self.rule.open();
                self.topics.entry(ctx).or_default();
            }
            32 => {
                let ctx = life.ctx();
                self.rule.close(Time::ZERO, ctx, &mut self.fx);
                self.topics.remove(&ctx);
                if matches!(self.kind, Kind::SubNewest | Kind::SubOldest | Kind::RawSub) {
                    let nothing = if ctx == CtxId::DEFAULT { Nothing::Yet } else { Nothing::Asked };
                    assert_eq!(self.rule.take(Time::ZERO, ctx, &mut self.fx), Err(nothing), "it is closed");
                }
                self.topics.entry(CtxId::DEFAULT).or_default();
            }
            _ => self.special(life),
        }
        for (ctx, could) in contexts.into_iter().zip(could_take) {
            let told = self.fx.readable.iter().any(|(to, count)| *to == ctx && *count > 0);
            let can_take = self.topics.contains_key(&ctx) && self.rule.readable(ctx);
            assert!(could || !can_take || told, "nobody tells {ctx:?} to take");
        }
        let can_send = self.rule.writable(CtxId::DEFAULT);
        assert!(could_send || !can_send || !self.fx.writable.is_empty(), "nobody tells senders");
    }

    /// The pipe that is attached in `slot`.
    fn pipe(&self, slot: usize) -> Option<PipeId> {
        self.latest[slot].filter(|pipe| self.attached.contains(pipe))
    }

    fn attach(&mut self, slot: usize) {
        if self.pipe(slot).is_some() {
            return;
        }
        let pipe = PipeId::new(self.next_id, slot as u32).expect("ids start at one");
        self.next_id += 1;
        let alone = matches!(self.kind, Kind::Pair0 | Kind::Pair1 | Kind::RawPair1);
        match self.rule.attach(Time::ZERO, pipe, &mut self.fx) {
            Ok(()) => {
                assert!(!alone || self.attached.is_empty(), "two peers of a pair");
                self.latest[slot] = Some(pipe);
                self.attached.insert(pipe);
            }
            Err(why) => assert!(alone && why == DetachReason::Busy && !self.attached.is_empty()),
        }
    }

    fn detach(&mut self, pipe: PipeId, why: DetachReason) {
        self.attached.remove(&pipe);
        self.stalled.remove(&pipe);
        let mut unsent = extract(&mut self.writing, pipe);
        unsent.extend(extract(&mut self.fx.sent, pipe));
        let unsent = unsent.into_iter().map(|(_, message)| message).collect();
        self.rule.detach(Time::ZERO, pipe, why, unsent, &mut self.fx);
    }

    fn send(&mut self, life: &mut Life<'_>) {
        let ctx = life.ctx();
        // Half of them name a pipe, which may be gone.
        let to = life.below(2 * SLOTS);
        let mut message = life.message();
        message.set_pipe(self.latest.get(to).copied().flatten());
        let copies = self.copies_of_sent(&message);
        let moved = |fx: &Script| fx.sent.len() + fx.dropped.len();
        let before = moved(&self.fx);
        // Of many peers, only the one that is meant when none is named says whether it is writable.
        let writable = self.rule.writable(ctx) || (self.kind == Kind::Poly && message.pipe().is_some());
        match self.rule.send(Time::ZERO, ctx, message.clone(), &mut self.fx) {
            Ok(()) => {
                assert!(writable, "sent what was not writable");
                self.owed += copies;
            }
            Err((why, refused)) => {
                let hopeless = matches!(why, Refusal::NoPeer | Refusal::State);
                assert!(!(self.rule.writable(ctx) && hopeless), "{why:?}, and yet writable");
                assert_eq!(refused, message, "a refused message comes back as it was");
                assert_eq!(moved(&self.fx), before, "nothing has moved");
                assert!(why != Refusal::NoPeer || self.attached.is_empty(), "somebody is there");
            }
        }
    }

    /// What an accepted `send` makes of `message`.
    fn copies_of_sent(&self, message: &Message) -> usize {
        match self.kind {
            Kind::PubDropping | Kind::PubBlocking | Kind::PubConflating | Kind::Bus => {
                self.attached.len().max(1)
            }
            Kind::RawBus => {
                let source = message.header().clone().take_tag();
                self.attached.iter().filter(|pipe| Some(pipe.get()) != source).count().max(1)
            }
            _ => 1,
        }
    }

    fn recv(&mut self, life: &mut Life<'_>) {
        let from = life.slot();
        let message = life.message();
        let Some(pipe) = self.pipe(from) else { return };
        if !self.rule.room(pipe).is_none() {
            self.owed += self.copies_of_received(&message);
            self.rule.recv(Time::ZERO, pipe, message.received(pipe, Time::ZERO), &mut self.fx);
        } else {
            self.stalled.insert(pipe);
        }
    }

    /// What a `recv` makes of `message`.
    fn copies_of_received(&self, message: &Message) -> usize {
        match self.kind {
            Kind::SubNewest | Kind::SubOldest => {
                let mut message = message.clone();
                message.join();
                let wants = |topics: &&BTreeSet<Vec<u8>>| topics.iter().any(|t| message.starts_with(t));
                self.topics.values().filter(wants).count().max(1)
            }
            _ => 1,
        }
    }

    fn take(&mut self, ctx: CtxId) -> bool {
        let readable = self.rule.readable(ctx);
        let took = self.rule.take(Time::ZERO, ctx, &mut self.fx);
        match took {
            Ok(_) => assert!(readable, "took what was not readable"),
            Err(Nothing::Yet) => assert!(!readable, "readable, but there was nothing"),
            Err(_) => {}
        }
        self.taken += usize::from(took.is_ok());
        took.is_ok()
    }

    /// The kernel took some of what is being written.
    fn drain(&mut self, life: &mut Life<'_>) {
        let (slot, most) = (life.slot(), 1 + life.below(3));
        let Some(pipe) = self.pipe(slot) else { return };
        let mut lengths = Vec::new();
        self.writing.retain(|(to, message)| {
            let keep = *to != pipe || lengths.len() == most;
            if !keep {
                lengths.push(message.len());
            }
            keep
        });
        self.written += lengths.len();
        self.rule.drained(Time::ZERO, pipe, lengths.len(), lengths.iter().sum(), &mut self.fx);
    }

    /// What only this rule can do.
    fn special(&mut self, life: &mut Life<'_>) {
        let (what, ctx, bytes) = (life.below(3), life.ctx(), life.bytes());
        if let Some(publisher) = Pub::of(&mut self.rule) {
            publisher.publish_anyway(Time::ZERO, &mut bytes.into(), &mut self.fx);
            self.owed += self.attached.len().max(1);
        } else if let Some(subscriber) = Sub::of(&mut self.rule) {
            let topic = &bytes[..bytes.len().min(2)];
            if what == 0 {
                let had = self.topics.get_mut(&ctx).is_some_and(|topics| topics.remove(topic));
                let took_back = subscriber.unsubscribe(ctx, topic, &mut self.fx).is_ok();
                assert_eq!(took_back, had, "{ctx:?} and {topic:?}");
            } else {
                subscriber.subscribe(ctx, topic);
                if let Some(topics) = self.topics.get_mut(&ctx) {
                    topics.insert(topic.to_vec());
                }
            }
        }
    }

    /// Where copies are that left the rule.
    fn accounted(&self) -> usize {
        let outboxes = self.fx.sent.len() + self.writing.len();
        self.written + outboxes + self.taken + self.fx.dropped.len() + self.rule.waiting()
    }

    fn check(&mut self) {
        for (pipe, why) in mem::take(&mut self.fx.closed) {
            if self.attached.contains(&pipe) {
                self.detach(pipe, why);
            }
        }
        for pipe in self.fx.resumed.drain(..) {
            assert!(self.stalled.remove(&pipe), "resumed without having been denied room");
        }
        self.fx.readable.clear();
        self.fx.writable.clear();
        self.rule.check_invariants();
        assert!(self.accounted() <= self.owed, "more copies than were made");
        for pipe in &self.attached {
            let outbox = self.fx.sent.iter().chain(&self.writing).filter(|(to, _)| to == pipe);
            let lengths: Vec<usize> = outbox.map(|(_, message)| message.len()).collect();
            assert!(lengths.len() <= self.options.outbox_messages, "outbox over its messages");
            let bytes: usize = lengths.iter().sum();
            assert!(lengths.len() <= 1 || bytes <= self.options.outbox_bytes, "outbox over its bytes");
        }
        assert!(self.fx.sent.iter().all(|(to, _)| self.attached.contains(to)), "sent to nobody");
    }

    /// Takes what can be taken, ends every pipe, closes the socket, and balances the books.
    fn finish(mut self) {
        for ctx in (0..CONTEXTS).map(CtxId) {
            while self.take(ctx) {}
        }
        self.check();
        assert!(self.stalled.is_empty(), "nothing waits, and yet somebody may not be read");
        for pipe in mem::take(&mut self.attached) {
            self.detach(pipe, DetachReason::ClosedHere);
        }
        self.rule.clear(&mut self.fx);
        self.rule.check_invariants();
        assert!(!self.topics.keys().any(|ctx| self.rule.readable(*ctx)), "something is left to take");
        assert_eq!(self.rule.waiting(), 0, "something waits after the end");
        assert_eq!(self.accounted(), self.owed, "every copy is in one place");
        let lost = self.fx.dropped.iter().filter(|(why, _, _)| *why == Dropped::PipeLost).count();
        assert!(lost == 0 || self.kind != Kind::Push, "a job that never left is lost with its pipe");
    }
}

/// Takes what is for `pipe` out of `outbox`.
fn extract(outbox: &mut Vec<(PipeId, Message)>, pipe: PipeId) -> Vec<(PipeId, Message)> {
    let (taken, rest) = mem::take(outbox).into_iter().partition(|(to, _)| *to == pipe);
    *outbox = rest;
    taken
}
