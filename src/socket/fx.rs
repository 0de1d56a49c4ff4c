//! [`Fx`]: the effects of the rules, carried out as far as the lock allows and noted down for later
//! as far as it does not.

use super::core::{Core, Entry};
use super::events::{Event, Hub};
use super::lane::Lane;
#[cfg(feature = "inproc")]
use super::outgoing::Pushed;
use super::waits::{For, Waits};
use super::work::{Out, Work};
use crate::session::handoff::Kick;
use crate::session::pipe::{Closing, StreamPipe};
use spanwire_core::pattern::{CtxId, Effects};
use spanwire_core::{DetachReason, Dropped, Latencies, Latency, Ledger, Message, PipeId};
use std::sync::Arc;
use std::time::Duration;

/// Everything of a socket's state but its rules.
pub(super) struct Fx<'a> {
    pub(super) core: &'a Arc<Core>,
    pub(super) pipes: &'a mut Vec<Option<Entry>>,
    pub(super) waits: &'a mut Waits,
    pub(super) ledger: &'a mut Ledger,
    pub(super) late: &'a mut Latencies,
    pub(super) hub: &'a mut Hub,
    pub(super) out: &'a mut Out,
    /// Something was left for another socket of this process to fetch.
    #[cfg(feature = "inproc")]
    pub(super) left: &'a mut bool,
}

#[inline]
fn entry(pipes: &mut [Option<Entry>], pipe: PipeId) -> Option<&mut Entry> {
    pipes.get_mut(pipe.slot())?.as_mut().filter(|entry| entry.id == pipe)
}

#[inline]
fn lane(pipes: &mut [Option<Entry>], pipe: PipeId) -> Option<&mut Lane> {
    entry(pipes, pipe)?.lane.as_mut()
}

/// Notes what has to be done after a push, when no lock is held.
#[inline]
fn kicked(kick: Kick, core: &Arc<Core>, pipe: &Arc<StreamPipe>, out: &mut Out) {
    match kick {
        Kick::Nothing => {}
        Kick::Wake(waker) => out.wakers.push(waker),
        Kick::Write => {
            out.work.push(Work::Write { core: core.clone(), pipe: pipe.clone(), batch: None });
        }
    }
}

impl Effects for Fx<'_> {
    #[inline]
    fn transmit(&mut self, pipe: PipeId, message: &mut Message) {
        match lane(self.pipes, pipe) {
            Some(Lane::Stream(stream, state)) => {
                let kick = state.push(|| self.core.is_hurried(), |outbox| outbox.push(message));
                kicked(kick, self.core, stream, self.out);
            }
            #[cfg(feature = "inproc")]
            Some(Lane::Inproc(pipe, outgoing)) => match outgoing.push(std::mem::take(message), pipe) {
                Pushed::Deliver => {
                    let (pipe, now) = (pipe.clone(), self.out.now);
                    self.out.work.push(Work::Deliver { pipe, batch: None, now });
                }
                Pushed::Left => *self.left = true,
                Pushed::Waits => {}
            },
            // Rules send to attached pipes only.
            None => self.discard(Dropped::PipeLost, Some(pipe), message.len()),
        }
    }

    #[inline]
    fn transmit_copy(&mut self, pipe: PipeId, message: &Message) {
        match lane(self.pipes, pipe) {
            Some(Lane::Stream(stream, state)) => {
                let kick = state.push(|| self.core.is_hurried(), |outbox| outbox.push_copy(message));
                kicked(kick, self.core, stream, self.out);
            }
            _ => self.transmit(pipe, &mut message.clone()),
        }
    }

    fn drop_oldest(&mut self, pipe: PipeId) -> Option<usize> {
        lane(self.pipes, pipe)?.drop_oldest()
    }

    #[inline]
    fn readable(&mut self, ctx: CtxId, count: usize) {
        let wakers = &mut self.out.wakers;
        // What a context of its own tells, such as the end of a survey, it tells once: all who wait
        // there look. On the default one, messages are taken by one receiver each.
        let count = if ctx == CtxId::DEFAULT { count } else { usize::MAX };
        self.waits.wake(For::Message(ctx), count, |waker| wakers.push(waker));
    }

    #[inline]
    fn writable(&mut self, count: usize) {
        let wakers = &mut self.out.wakers;
        self.waits.wake(For::Room, count, |waker| wakers.push(waker));
    }

    fn discard(&mut self, why: Dropped, pipe: Option<PipeId>, bytes: usize) {
        self.ledger.count_dropped(why);
        if let Some(entry) = pipe.and_then(|pipe| entry(self.pipes, pipe)) {
            entry.tally.dropped_messages += 1;
        }
        let wakers = &mut self.out.wakers;
        self.hub.tell(|| Event::Dropped { why, pipe, bytes }, |waker| wakers.push(waker));
    }

    fn resent(&mut self) {
        self.ledger.resent_messages += 1;
    }

    fn took(&mut self, what: Latency, pipe: PipeId, span: Duration) {
        match entry(self.pipes, pipe) {
            Some(entry) => entry.tally.answered(what, span),
            None => self.late.record(what, span),
        }
    }

    fn close(&mut self, pipe: PipeId, why: DetachReason) {
        if let Some(lane) = lane(self.pipes, pipe) {
            lane.close(Closing { abort: Some(why), deadline: None }, self.out);
        }
    }

    fn resume(&mut self, pipe: PipeId) {
        match lane(self.pipes, pipe) {
            Some(Lane::Stream(pipe, state)) => {
                let wakers = &mut self.out.wakers;
                pipe.resume(state).into_iter().for_each(|waker| wakers.push(waker));
            }
            #[cfg(feature = "inproc")]
            Some(Lane::Inproc(inproc, _)) => {
                if let Some(sender) = inproc.sender() {
                    self.out.work.push(Work::Pump(sender));
                }
            }
            None => {}
        }
    }
}
