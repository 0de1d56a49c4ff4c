//! [`Rules`]: any one of the patterns, so that one socket core serves them all.

use super::{
    Bus, CtxId, Effects, Nothing, Pair0, Pair1, Pattern, Pub, Pull, Push, RawRep, RawReq, RawSurveyor,
    Refused, Rep, Req, Sub, Surveyor,
};
use crate::event::DetachReason;
use crate::message::{Message, PipeId};
use crate::time::Time;
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
        })*

        /// Calls `$call` on whichever it is.
        macro_rules! each {
            ($self:expr, $rule:ident => $call:expr) => {
                match $self { $(Rules::$pattern($rule) => $call,)* }
            };
        }
    };
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
    fn drained(&mut self, now: Time, pipe: PipeId, messages: usize, bytes: usize, fx: &mut impl Effects) {
        each!(self, rule => rule.drained(now, pipe, messages, bytes, fx))
    }
    fn room(&mut self, pipe: PipeId) -> bool {
        each!(self, rule => rule.room(pipe))
    }
    fn recv(&mut self, now: Time, pipe: PipeId, message: Message, fx: &mut impl Effects) {
        each!(self, rule => rule.recv(now, pipe, message, fx))
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
    fn send(
        &mut self,
        now: Time,
        ctx: CtxId,
        message: Message,
        fx: &mut impl Effects,
    ) -> Result<(), Refused> {
        each!(self, rule => rule.send(now, ctx, message, fx))
    }
    fn take(&mut self, now: Time, ctx: CtxId, fx: &mut impl Effects) -> Result<Message, Nothing> {
        each!(self, rule => rule.take(now, ctx, fx))
    }
    fn readable(&self, ctx: CtxId) -> bool {
        each!(self, rule => rule.readable(ctx))
    }
    fn writable(&self, ctx: CtxId) -> bool {
        each!(self, rule => rule.writable(ctx))
    }
    fn deadline(&self) -> Option<Time> {
        each!(self, rule => rule.deadline())
    }
    fn waiting(&self) -> usize {
        each!(self, rule => rule.waiting())
    }
    fn clear(&mut self, fx: &mut impl Effects) {
        each!(self, rule => rule.clear(fx))
    }
    fn check_invariants(&self) {
        each!(self, rule => rule.check_invariants())
    }
}
