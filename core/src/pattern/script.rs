//! The other end of a rule in a test: effects written down instead of carried out.

use super::{CtxId, Effects};
use crate::event::{DetachReason, Dropped, Latency};
use crate::message::{Message, PipeId};
use alloc::vec::Vec;
use core::time::Duration;

/// Everything a rule wanted done, in order, by kind.
#[derive(Debug, Default)]
pub struct Script {
    /// What was sent to whom, and has neither been drained nor dropped.
    pub sent: Vec<(PipeId, Message)>,
    /// How many messages became readable, per call.
    pub readable: Vec<(CtxId, usize)>,
    /// How much room senders were told of, per call.
    pub writable: Vec<usize>,
    /// What was discarded.
    pub dropped: Vec<(Dropped, Option<PipeId>, usize)>,
    /// Pipes that were to be closed.
    pub closed: Vec<(PipeId, DetachReason)>,
    /// Pipes that may be read again.
    pub resumed: Vec<PipeId>,
    /// How many messages were sent again.
    pub resent: usize,
    /// What was waited for, from whom it came, and how long that took.
    pub took: Vec<(Latency, PipeId, Duration)>,
}

impl Script {
    /// The bodies sent since the last call, with their pipes' numbers.
    pub fn take_sent(&mut self) -> Vec<(u32, Vec<u8>)> {
        self.sent.drain(..).map(|(pipe, m)| (pipe.get(), m.body().to_vec())).collect()
    }

    /// The reasons of the discards since the last call.
    pub fn take_dropped(&mut self) -> Vec<Dropped> {
        self.dropped.drain(..).map(|(why, _, _)| why).collect()
    }
}

impl Effects for Script {
    fn transmit(&mut self, pipe: PipeId, message: &mut Message) {
        self.sent.push((pipe, core::mem::take(message)));
    }
    fn drop_oldest(&mut self, pipe: PipeId) -> Option<usize> {
        let oldest = self.sent.iter().position(|(to, _)| *to == pipe)?;
        Some(self.sent.remove(oldest).1.len())
    }
    fn readable(&mut self, ctx: CtxId, count: usize) {
        self.readable.push((ctx, count));
    }
    fn writable(&mut self, count: usize) {
        self.writable.push(count);
    }
    fn discard(&mut self, why: Dropped, pipe: Option<PipeId>, bytes: usize) {
        self.dropped.push((why, pipe, bytes));
    }
    fn resent(&mut self) {
        self.resent += 1;
    }
    fn took(&mut self, what: Latency, pipe: PipeId, span: Duration) {
        self.took.push((what, pipe, span));
    }
    fn close(&mut self, pipe: PipeId, why: DetachReason) {
        self.closed.push((pipe, why));
    }
    fn resume(&mut self, pipe: PipeId) {
        self.resumed.push(pipe);
    }
}

/// The pipe with number `n`, in slot `n`.
pub fn pipe(n: u32) -> PipeId {
    PipeId::new(n, n).expect("tests use pipes from 1 up")
}
