//! [`Rules`]: any one of the patterns, so that one socket core serves them all.

use super::{
    Bus, CtxId, Effects, Held, Nothing, Pair0, Pair1, Pattern, Pub, Pull, Push, RawRep, RawReq, RawSurveyor,
    Refusal, Rep, Req, Room, Sub, Surveyor,
};
use crate::event::DetachReason;
use crate::message::{Message, PipeId};
use crate::time::Time;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

macro_rules! rules {
    ($($(#[$doc:meta])* $pattern:ident,)*) => {
        /// The rules of one socket, whichever pattern it speaks.
        #[derive(Debug)]
        #[allow(clippy::large_enum_variant)] // there is one per socket, behind its lock
        pub enum Rules { $($(#[$doc])* $pattern($pattern),)* }

        $(impl From<$pattern> for Rules {
            fn from(rule: $pattern) -> Self {
                Self::$pattern(rule)
            }
        }

        impl Member for $pattern {
            #[inline]
            fn of(rules: &mut Rules) -> Option<&mut Self> {
                match rules {
                    Rules::$pattern(rule) => Some(rule),
                    _ => None,
                }
            }
        })*

        /// Calls `$call` on whichever it is.
        macro_rules! each {
            ($self:expr, $rule:ident => $call:expr) => {
                match $self { $(Rules::$pattern($rule) => $call,)* }
            };
        }
    };
}

/// A pattern that [`Rules`] can be: for what only this pattern can do.
pub trait Member: Sized {
    /// These rules, if they are of this pattern.
    fn of(rules: &mut Rules) -> Option<&mut Self>;
}

rules! {
    /// PAIR v0.
    Pair0,
    /// PUSH.
    Push,
    /// PULL.
    Pull,
    /// REQ.
    Req,
    /// REP and RESPONDENT.
    Rep,
    /// SURVEYOR.
    Surveyor,
    /// PUB.
    Pub,
    /// SUB, cooked and raw.
    Sub,
    /// BUS, cooked and raw.
    Bus,
    /// PAIR v1: one peer, many, or raw.
    Pair1,
    /// Raw REQ.
    RawReq,
    /// Raw REP and RESPONDENT.
    RawRep,
    /// Raw SURVEYOR.
    RawSurveyor,
}

impl Pattern for Rules {
    fn attach(&mut self, now: Time, pipe: PipeId, fx: &mut impl Effects) -> Result<(), DetachReason> {
        each!(self, rule => rule.attach(now, pipe, fx))
    }
    fn detach(
        &mut self,
        now: Time,
        pipe: PipeId,
        why: DetachReason,
        unsent: Vec<Message>,
        fx: &mut impl Effects,
    ) {
        each!(self, rule => rule.detach(now, pipe, why, unsent, fx))
    }
    #[inline]
    fn drained(&mut self, now: Time, pipe: PipeId, messages: usize, bytes: usize, fx: &mut impl Effects) {
        each!(self, rule => rule.drained(now, pipe, messages, bytes, fx))
    }
    #[inline]
    fn room(&mut self, pipe: PipeId) -> Room {
        each!(self, rule => rule.room(pipe))
    }
    #[inline]
    fn recv(&mut self, now: Time, pipe: PipeId, message: Message, fx: &mut impl Effects) {
        each!(self, rule => rule.recv(now, pipe, message, fx))
    }
    fn recv_all<E: Effects>(
        &mut self,
        now: Time,
        pipe: PipeId,
        fx: &mut E,
        next: impl FnMut(&mut E) -> Option<Message>,
    ) -> bool {
        each!(self, rule => rule.recv_all(now, pipe, fx, next))
    }
    fn recv_queue(
        &mut self,
        now: Time,
        pipe: PipeId,
        queue: &mut VecDeque<Message>,
        fx: &mut impl Effects,
    ) -> (usize, usize) {
        each!(self, rule => rule.recv_queue(now, pipe, queue, fx))
    }
    fn expire(&mut self, now: Time, fx: &mut impl Effects) {
        each!(self, rule => rule.expire(now, fx))
    }
    fn open(&mut self) -> CtxId {
        each!(self, rule => rule.open())
    }
    fn close(&mut self, now: Time, ctx: CtxId, fx: &mut impl Effects) {
        each!(self, rule => rule.close(now, ctx, fx))
    }
    #[inline]
    fn put(
        &mut self,
        now: Time,
        ctx: CtxId,
        message: &mut Message,
        fx: &mut impl Effects,
    ) -> Result<(), Refusal> {
        each!(self, rule => rule.put(now, ctx, message, fx))
    }
    #[inline]
    fn take(&mut self, now: Time, ctx: CtxId, fx: &mut impl Effects) -> Result<Message, Nothing> {
        each!(self, rule => rule.take(now, ctx, fx))
    }
    #[inline]
    fn take_into(
        &mut self,
        now: Time,
        ctx: CtxId,
        message: &mut Option<Message>,
        fx: &mut impl Effects,
    ) -> Result<(), Nothing> {
        each!(self, rule => rule.take_into(now, ctx, message, fx))
    }
    fn take_many(
        &mut self,
        now: Time,
        ctx: CtxId,
        into: &mut Vec<Message>,
        max: usize,
        fx: &mut impl Effects,
    ) -> usize {
        each!(self, rule => rule.take_many(now, ctx, into, max, fx))
    }
    #[inline]
    fn readable(&self, ctx: CtxId) -> bool {
        each!(self, rule => rule.readable(ctx))
    }
    #[inline]
    fn writable(&self, ctx: CtxId) -> bool {
        each!(self, rule => rule.writable(ctx))
    }
    #[inline]
    fn deadline(&self) -> Option<Time> {
        each!(self, rule => rule.deadline())
    }
    fn waiting(&self) -> usize {
        each!(self, rule => rule.waiting())
    }
    fn held(&self) -> Held {
        each!(self, rule => rule.held())
    }
    fn clear(&mut self, fx: &mut impl Effects) {
        each!(self, rule => rule.clear(fx))
    }
    fn check_invariants(&self) {
        each!(self, rule => rule.check_invariants())
    }
}
