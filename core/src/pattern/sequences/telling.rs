//! Random sequences of operations against a rule: whatever happens, its books balance.
//!
//! Every copy of every message is afterwards in exactly one place: handed to the kernel, waiting in
//! an outbox or in the rule, taken by the application, or discarded and counted.

use crate::event::DetachReason;
use crate::message::{Message, PipeId};
use crate::options::Options;
use crate::pattern::script::Script;
use crate::pattern::{CtxId, Nothing, Pattern};
use crate::time::Time;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::mem;
use proptest::prelude::*;

/// The pipes that are attached at the moment.
pub(crate) type Attached = BTreeSet<PipeId>;

/// A rule, with what its own tests know of how many copies it owes.
pub(crate) trait Subject: Pattern {
    /// How many copies an accepted `send` makes of `message`.
    fn copies_of_sent(&self, message: &Message, attached: &Attached) -> usize {
        let _ = (message, attached);
        1
    }

    /// How many copies a `recv` makes of `message`.
    fn copies_of_received(&self, message: &Message) -> usize {
        let _ = message;
        1
    }

    /// An operation that only this rule has; returns how many copies it made of a message.
    fn special(&mut self, kind: u8, ctx: CtxId, bytes: &[u8], attached: &Attached, fx: &mut Script) -> usize {
        let _ = (kind, ctx, bytes, attached, fx);
        0
    }
}

/// Pipes are named by their slots and contexts by their numbers, so that both are used again.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Attach(u32),
    Detach(u32),
    Send {
        ctx: CtxId,
        to: Option<u32>,
        message: Message,
    },
    Recv {
        from: u32,
        message: Message,
    },
    Take(CtxId),
    /// A writer takes all that waits for a pipe; from then on it cannot be dropped.
    Write(u32),
    /// The kernel took at most so many messages of what is being written.
    Drained(u32, usize),
    Open,
    Close(CtxId),
    Special {
        kind: u8,
        ctx: CtxId,
        bytes: Vec<u8>,
    },
}

const SLOTS: u32 = 4;
const CONTEXTS: u32 = 4;

/// Any operation. Bytes are few, so that topics, tags and hop counts often mean something.
pub(crate) fn ops() -> impl Strategy<Value = Vec<Op>> {
    let slot = 0..SLOTS;
    let ctx = (0..CONTEXTS).prop_map(CtxId);
    let bytes = prop::collection::vec(prop::sample::select(vec![0, 0, 0, 1, 2, 9, 255]), 0..12);
    let header = prop_oneof![
        3 => Just(Vec::new()),
        3 => (0..12_u8).prop_map(|last| vec![0, 0, 0, last]),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    let message = (header, bytes.clone()).prop_map(|(h, b)| Message::with_header(&h[..], b));
    let op = prop_oneof![
        3 => slot.clone().prop_map(Op::Attach),
        1 => slot.clone().prop_map(Op::Detach),
        8 => (ctx.clone(), prop::option::of(slot.clone()), message.clone())
            .prop_map(|(ctx, to, message)| Op::Send { ctx, to, message }),
        8 => (slot.clone(), message).prop_map(|(from, message)| Op::Recv { from, message }),
        4 => ctx.clone().prop_map(Op::Take),
        2 => slot.clone().prop_map(Op::Write),
        4 => (slot, 1..4_usize).prop_map(|(slot, most)| Op::Drained(slot, most)),
        1 => Just(Op::Open),
        1 => ctx.clone().prop_map(Op::Close),
        3 => (any::<u8>(), ctx, bytes).prop_map(|(kind, ctx, bytes)| Op::Special { kind, ctx, bytes }),
    ];
    prop::collection::vec(op, 0..120)
}

/// Options with bounds that a short sequence reaches.
pub(crate) fn tight() -> Options {
    Options { outbox_messages: 3, outbox_bytes: 40, recv_messages: 4, recv_bytes: 40, ..Options::default() }
}

/// Runs `ops` against `rule`, made with `options`, and then everything down to its end.
pub(crate) fn run(rule: impl Subject, options: &Options, ops: Vec<Op>) {
    let mut world = World {
        rule,
        options,
        fx: Script::default(),
        attached: Attached::new(),
        latest: vec![None; SLOTS as usize],
        next_id: 1,
        writing: Vec::new(),
        stalled: BTreeSet::new(),
        owed: 0,
        written: 0,
        taken: 0,
    };
    for op in ops {
        world.step(op);
        world.check();
    }
    world.finish();
}

/// The hands of a test: outboxes, a kernel, an application, and the books.
struct World<'a, R> {
    rule: R,
    options: &'a Options,
    fx: Script,
    attached: Attached,
    /// By slot, the pipe that is or was there last.
    latest: Vec<Option<PipeId>>,
    next_id: u32,
    writing: Vec<(PipeId, Message)>,
    /// Pipes that `room` has denied and `resume` not yet named.
    stalled: BTreeSet<PipeId>,
    owed: usize,
    written: usize,
    taken: usize,
}

impl<R: Subject> World<'_, R> {
    fn step(&mut self, op: Op) {
        match op {
            Op::Attach(slot) => self.attach(slot),
            Op::Detach(slot) => {
                if let Some(pipe) = self.pipe(slot) {
                    self.detach(pipe, DetachReason::PeerClosed);
                }
            }
            Op::Send { ctx, to, mut message } => {
                message.set_pipe(to.and_then(|slot| self.latest[slot as usize]));
                let copies = self.rule.copies_of_sent(&message, &self.attached);
                match self.rule.send(Time::ZERO, ctx, message.clone(), &mut self.fx) {
                    Ok(()) => self.owed += copies,
                    Err((_, refused)) => assert_eq!(refused, message, "a refusal gives the message back"),
                }
            }
            Op::Recv { from, message } => {
                let Some(pipe) = self.pipe(from) else { return };
                if !self.rule.room(pipe) {
                    self.stalled.insert(pipe);
                    return;
                }
                self.owed += self.rule.copies_of_received(&message);
                self.rule.recv(Time::ZERO, pipe, message.received(pipe, Time::ZERO), &mut self.fx);
            }
            Op::Take(ctx) => drop(self.take(ctx)),
            Op::Write(slot) => {
                let Some(pipe) = self.pipe(slot) else { return };
                self.writing.extend(extract(&mut self.fx.sent, pipe));
            }
            Op::Drained(slot, most) => {
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
                let bytes = lengths.iter().sum();
                self.rule.drained(Time::ZERO, pipe, lengths.len(), bytes, &mut self.fx);
            }
            Op::Open => drop(self.rule.open()),
            Op::Close(ctx) => self.rule.close(Time::ZERO, ctx, &mut self.fx),
            Op::Special { kind, ctx, bytes } => {
                self.owed += self.rule.special(kind, ctx, &bytes, &self.attached, &mut self.fx);
            }
        }
    }

    /// The pipe that is attached in `slot`.
    fn pipe(&self, slot: u32) -> Option<PipeId> {
        self.latest[slot as usize].filter(|pipe| self.attached.contains(pipe))
    }

    fn attach(&mut self, slot: u32) {
        if self.pipe(slot).is_some() {
            return;
        }
        let pipe = PipeId::new(self.next_id, slot).expect("ids start at one");
        self.next_id += 1;
        if self.rule.attach(Time::ZERO, pipe, &mut self.fx).is_ok() {
            self.latest[slot as usize] = Some(pipe);
            self.attached.insert(pipe);
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
        assert_eq!(self.rule.waiting(), 0, "something waits after the end");
        assert_eq!(self.accounted(), self.owed, "every copy is in one place");
    }
}

/// Takes what is for `pipe` out of `outbox`.
fn extract(outbox: &mut Vec<(PipeId, Message)>, pipe: PipeId) -> Vec<(PipeId, Message)> {
    let (taken, rest) = mem::take(outbox).into_iter().partition(|(to, _)| *to == pipe);
    *outbox = rest;
    taken
}
