//! Lives of the patterns that ask and answer.
//!
//! No outbox gets more than its room, whoever waits is told, and every message is accounted for.

use super::Kind;
use crate::event::{DetachReason, Dropped};
use crate::message::{Header, Message, PipeId};
use crate::options::Options;
use crate::pattern::script::Script;
use crate::pattern::{CtxId, Member, Nothing, Pattern, Refusal, Rep, Req, Rules, Surveyor, Tickets};
use crate::time::Time;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

/// Lives through `life`, three bytes a step, and then down to the end of everything.
pub(super) fn live(kind: Kind, rule: Rules, life: &[u8]) {
    let mut world = World {
        kind,
        rule,
        options: kind.options(),
        fx: Script::default(),
        now: Time::from_nanos(1),
        pipes: 0,
        contexts: vec![CtxId::DEFAULT],
        outboxes: BTreeMap::new(),
        headers: Vec::new(),
        requests: Vec::new(),
        received: 0,
        delivered: 0,
        transmitted: 0,
        resent: 0,
        expected: 0,
        unsent: 0,
        dropped: BTreeMap::new(),
    };
    life.chunks_exact(3).for_each(|step| world.step([step[0], step[1], step[2]]));
    world.settle();
}

/// A rule and the world around it.
struct World {
    kind: Kind,
    rule: Rules,
    options: Options,
    fx: Script,
    now: Time,
    pipes: u32,
    contexts: Vec<CtxId>,
    /// What each attached pipe has waiting to be written.
    outboxes: BTreeMap<PipeId, VecDeque<Message>>,
    /// Headers that were sent, for replies, or received, for raw replies; the latest at the end.
    headers: Vec<Header>,
    /// Requests that were taken without a context, and wait for their reply.
    requests: Vec<Message>,
    received: usize,
    delivered: usize,
    transmitted: usize,
    resent: usize,
    /// Copies that accepted messages should have become.
    expected: usize,
    unsent: usize,
    dropped: BTreeMap<(Dropped, bool), usize>,
}

impl World {
    /// One thing happens, chosen by three numbers.
    fn step(&mut self, [what, a, b]: [u8; 3]) {
        self.now = self.now + Duration::from_nanos(u64::from(b % 4));
        let could_take: Vec<bool> = self.contexts.iter().map(|ctx| self.rule.readable(*ctx)).collect();
        let could_send = self.rule.writable(CtxId::DEFAULT);
        let ctx = self.contexts[usize::from(a) % self.contexts.len()];
        match what % 18 {
            0 | 1 => self.attach(),
            2 => self.detach_some(a, b),
            3..=5 => self.send(ctx, b),
            6 | 7 => self.take(ctx, b),
            8..=10 => self.recv(a, b),
            11 => self.recv_garbage(a, b),
            12 | 13 => self.drain(a, b),
            14 => self.expire(b),
            15 | 16 => self.special(ctx, a, b),
            _ if b % 2 == 0 => self.contexts.push(self.rule.open()),
            _ => {
                self.rule.close(self.now, ctx, &mut self.fx);
                if ctx != CtxId::DEFAULT {
                    assert_eq!(
                        self.rule.take(self.now, ctx, &mut self.fx),
                        Err(Nothing::Asked),
                        "it is closed"
                    );
                }
                self.contexts.retain(|open| *open != ctx || ctx == CtxId::DEFAULT);
            }
        }
        // Who takes and who gives up needs no telling.
        for (ctx, could) in self.contexts.iter().zip(could_take).filter(|_| what % 18 != 17) {
            let told = self.fx.readable.iter().any(|(to, _)| to == ctx || *to == CtxId::DEFAULT);
            assert!(could || !self.rule.readable(*ctx) || told, "nobody tells {ctx:?} to take");
        }
        let can_send = self.kind != Kind::Rep && self.rule.writable(CtxId::DEFAULT);
        assert!(could_send || !can_send || !self.fx.writable.is_empty(), "nobody tells senders");
        self.carry_out();
    }

    /// The latest request or survey of a context, as the rule names it.
    fn ticket(&mut self, ctx: CtxId) -> Option<u32> {
        let request = Req::of(&mut self.rule).map(|rule| rule.ticket(ctx));
        request.or_else(|| Surveyor::of(&mut self.rule).map(|rule| rule.ticket(ctx)))
    }

    fn sends_to_all(&self) -> bool {
        matches!(self.kind, Kind::Surveyor | Kind::RawSurveyor)
    }

    /// Does what the rule wanted, and holds it against what it may want.
    fn carry_out(&mut self) {
        self.rule.check_invariants();
        for (pipe, message) in self.fx.sent.drain(..) {
            self.transmitted += 1;
            self.headers.push(message.header().clone());
            let outbox = self.outboxes.get_mut(&pipe).expect("sends to pipes that are there");
            outbox.push_back(message);
            let bytes: usize = outbox.iter().map(Message::len).sum();
            assert!(outbox.len() <= self.options.outbox_messages, "more messages than there is room");
            assert!(outbox.len() == 1 || bytes <= self.options.outbox_bytes, "more bytes");
        }
        for (why, pipe, _) in self.fx.dropped.drain(..) {
            *self.dropped.entry((why, pipe.is_some())).or_default() += 1;
        }
        assert!(self.fx.resumed.drain(..).all(|pipe| self.outboxes.contains_key(&pipe)));
        self.resent += core::mem::take(&mut self.fx.resent);
        self.fx.readable.clear();
        self.fx.writable.clear();
        for (pipe, why) in core::mem::take(&mut self.fx.closed) {
            self.detach(pipe, why);
            self.carry_out();
        }
    }

    fn attach(&mut self) {
        if self.outboxes.len() < 4 {
            let taken = |slot| self.outboxes.keys().any(|pipe| pipe.slot() == slot as usize);
            let slot = (0..).find(|slot| !taken(*slot)).expect("slots never run out");
            self.pipes += 1;
            let pipe = PipeId::new(self.pipes, slot).expect("counted from 1");
            self.outboxes.insert(pipe, VecDeque::new());
            self.rule.attach(self.now, pipe, &mut self.fx).expect("nobody is refused");
        }
    }

    fn detach_some(&mut self, a: u8, b: u8) {
        if let Some(pipe) = self.pipe(a) {
            let reasons = [DetachReason::ConnectionLost, DetachReason::MessageTooLarge];
            self.detach(pipe, reasons[usize::from(b) % 2]);
        }
    }

    fn detach(&mut self, pipe: PipeId, why: DetachReason) {
        let Some(unsent) = self.outboxes.remove(&pipe) else { return };
        self.unsent += unsent.len();
        self.rule.detach(self.now, pipe, why, unsent.into(), &mut self.fx);
    }

    fn pipe(&self, a: u8) -> Option<PipeId> {
        self.outboxes.keys().nth(usize::from(a) % self.outboxes.len().max(1)).copied()
    }

    fn header(&self, b: u8) -> Option<&Header> {
        self.headers.iter().rev().nth(usize::from(b) % 8)
    }

    fn send(&mut self, ctx: CtxId, b: u8) {
        let body = vec![b; usize::from(b % 32)];
        let mut message = match self.kind {
            Kind::RawReq | Kind::RawSurveyor => {
                Message::with_header([0, 0, 0, 9, 0x80, 0, 0, b].as_slice(), body)
            }
            Kind::RawRep => match self.header(b) {
                Some(header) => Message::with_header(header.as_slice(), body),
                None => Message::from(body),
            },
            _ => Message::from(body),
        };
        if b % 5 == 0 {
            message.set_pipe(self.pipe(b));
        }
        let copies = if self.sends_to_all() { self.outboxes.len().max(1) } else { 1 };
        let moved = |fx: &Script| fx.sent.len() + fx.dropped.len();
        let before = moved(&self.fx);
        let writable = self.rule.writable(ctx);
        match self.rule.send(self.now, ctx, message.clone(), &mut self.fx) {
            Ok(()) => {
                assert!(writable, "sent what was not writable");
                self.expected += copies;
            }
            Err((why, refused)) => {
                let hopeless = matches!(why, Refusal::NoPeer | Refusal::State);
                assert!(!(writable && hopeless), "{why:?}, and yet writable");
                assert_eq!(refused, message, "a refused message comes back as it was");
                assert_eq!(moved(&self.fx), before, "nothing has moved");
            }
        }
    }

    fn take(&mut self, ctx: CtxId, b: u8) {
        let readable = self.rule.readable(ctx);
        match self.rule.take(self.now, ctx, &mut self.fx) {
            Ok(message) => {
                assert!(readable, "took what was not readable");
                self.delivered += 1;
                if let Some(ticket) = self.ticket(ctx) {
                    assert_eq!(message[..4], ticket.to_be_bytes(), "an answer to another question");
                    assert!(message.header().is_empty());
                } else {
                    self.headers.push(message.header().clone());
                }
                // Sometimes an answer follows at once.
                if b % 2 == 0 && !self.kind.asks() {
                    self.send(ctx, b);
                }
            }
            Err(Nothing::Yet | Nothing::Asked) => assert!(!readable, "it said there was something"),
            Err(_) => assert!(self.kind.asks()),
        }
    }

    /// What only this rule can do.
    fn special(&mut self, ctx: CtxId, a: u8, b: u8) {
        let (now, fx) = (self.now, &mut self.fx);
        if let Some(rule) = Req::of(&mut self.rule) {
            let other = rule.ticket(ctx).wrapping_add(u32::from(b) + 1);
            assert_eq!(rule.take_ticket(now, ctx, other, fx), Err(Nothing::Cancelled));
        } else if let Some(rule) = Surveyor::of(&mut self.rule) {
            let other = rule.ticket(ctx).wrapping_add(u32::from(b) + 1);
            assert_eq!(rule.take_ticket(now, ctx, other, fx), Err(Nothing::Cancelled));
            match b % 3 {
                0 => rule.set_survey_time(ctx, Duration::from_nanos(u64::from(a % 40))),
                _ => rule.end_when_all_answered(ctx, fx),
            }
        } else if let Some(rule) = Rep::of(&mut self.rule) {
            if b % 2 == 0 {
                let Ok(request) = rule.take_request(now, fx) else { return };
                self.delivered += 1;
                self.requests.push(request);
                return;
            }
            let Some(request) = self.requests.pop() else { return };
            let to = request.pipe().expect("a request says where it came from");
            let reply = Message::from(vec![a; usize::from(a % 32)]);
            let mut sent = reply.clone();
            match rule.reply(to, request.header().clone(), &mut sent, fx) {
                Ok(()) => self.expected += 1,
                Err(_) => {
                    assert_eq!(sent, reply, "a refused reply stays as it was");
                    self.requests.push(request);
                }
            }
        }
    }

    fn recv(&mut self, a: u8, b: u8) {
        let message = if self.kind.asks() {
            // The id is the body, so that whoever takes it can tell whose answer it is.
            let Some(header) = self.header(b) else { return };
            let id = header.as_slice()[header.len() - 4..].to_vec();
            Message::with_header(header.clone(), id)
        } else {
            let mut header = Header::tag(0x8000_0000 | u32::from(b));
            (0..b % 5).for_each(|hop| header.prepend_tag(hop.into()));
            Message::with_header(header, vec![a; usize::from(a % 32)])
        };
        self.deliver(a, b, message);
    }

    fn recv_garbage(&mut self, a: u8, b: u8) {
        // Never an id that was given out: that would be an answer.
        let bytes = [a & 0x80, 0x7f, 0, b, b & 0x80, 1, 2, 3, b];
        self.deliver(a, b, Message::from(bytes[..usize::from(a) % 10].to_vec()));
    }

    fn deliver(&mut self, a: u8, b: u8, mut message: Message) {
        let Some(pipe) = self.pipe(a) else { return };
        if b % 3 > 0 {
            message.join();
        }
        if !self.rule.room(pipe).is_none() {
            self.received += 1;
            self.rule.recv(self.now, pipe, message.received(pipe, self.now), &mut self.fx);
        }
    }

    fn drain(&mut self, a: u8, b: u8) {
        let Some(pipe) = self.pipe(a) else { return };
        let outbox = self.outboxes.get_mut(&pipe).expect("chosen from them");
        let count = usize::from(b) % (outbox.len() + 1);
        let bytes = outbox.drain(..count).map(|m| m.len()).sum();
        self.rule.drained(self.now, pipe, count, bytes, &mut self.fx);
    }

    fn expire(&mut self, b: u8) {
        self.now = self.now + Duration::from_nanos(u64::from(b % 64));
        if self.rule.deadline().is_some_and(|deadline| deadline <= self.now) {
            self.rule.expire(self.now, &mut self.fx);
            assert!(self.rule.deadline().is_none_or(|deadline| deadline > self.now), "a busy loop");
        }
    }

    /// Closes everything and draws the balance.
    fn settle(&mut self) {
        self.rule.clear(&mut self.fx);
        self.carry_out();
        assert_eq!(self.rule.waiting(), 0);
        for ctx in &self.contexts {
            assert!(self.rule.take(self.now, *ctx, &mut self.fx).is_err(), "something is left to take");
        }
        while let Some(pipe) = self.pipe(0) {
            self.detach(pipe, DetachReason::ClosedHere);
            self.carry_out();
        }
        let dropped = |why| [false, true].map(|pipe| self.dropped.get(&(why, pipe)).copied().unwrap_or(0));
        let either = |why| dropped(why).iter().sum::<usize>();

        let copies = self.transmitted + either(Dropped::OutboxFull) + either(Dropped::NoPeer);
        assert_eq!(self.expected + self.resent, copies, "everything accepted was sent or counted");

        let mut incoming = self.delivered + dropped(Dropped::Cancelled)[1] + dropped(Dropped::Closed)[1];
        for why in [Dropped::Malformed, Dropped::HopLimit, Dropped::NoRequest, Dropped::Duplicate] {
            incoming += either(why);
        }
        incoming += either(Dropped::QueueFull);
        if matches!(self.kind, Kind::Req | Kind::ReqOnce) {
            assert!(either(Dropped::PipeLost) <= self.unsent, "each loss was once sent");
        } else {
            incoming += either(Dropped::PipeLost);
            self.received += self.unsent;
        }
        assert_eq!(self.received, incoming, "everything received was delivered or counted");
        assert!(either(Dropped::Unanswered) <= self.delivered);
    }
}
