//! [`WireState`]: what of a connection is under its lock, and what follows from a visit.

use super::Machine;
use crate::error::UpgradeError;
use crate::rt;
use crate::session::handoff::{Kick, Wrote};
use crate::session::pipe::{After, Closing, PipeState, StreamPipe};
use spanwire_core::session::outbox::{Batch, Outgoing};
use spanwire_core::{DetachReason, Time};
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

/// What of a connection is under its lock.
pub(crate) struct WireState<M: Machine> {
    machine: M,
    /// So much may wait in the outbox before the machine is asked for no more.
    write_buffer_bytes: usize,
    pub(super) pipe: Option<PipeState>,
    /// Goes with the connection, since it keeps the descriptor.
    pub(super) stream: Option<Arc<StreamPipe>>,
    /// One for each frame in the outbox.
    marks: VecDeque<M::Mark>,
    /// The driver knows that it is to end.
    parting: bool,
    /// Until when the peer's end is awaited.
    part_until: Option<Time>,
    /// The driver's task was woken to say what a visitor has left to be said.
    pub(super) left: bool,
    /// The connection is gone, and its task is about to be.
    pub(crate) gone: bool,
    /// Why the connection below failed.
    pub(crate) upgrade: Option<UpgradeError>,
    /// Who waits until it is gone.
    pub(super) waits: Vec<Waker>,
    pub(super) timer: Option<Waker>,
    pub(super) armed: Time,
}

/// Left to do once the lock is released.
#[derive(Default)]
pub(crate) struct Out<N> {
    pub(super) batch: Option<(Arc<StreamPipe>, Batch)>,
    pub(crate) wakers: Vec<Waker>,
    pub(crate) news: N,
}

/// So long the peer has to end its side of a connection that is over.
const FAREWELL: Duration = Duration::from_secs(1);
/// At least so long where the program's own deadline is over by then.
const LEAST_FAREWELL: Duration = Duration::from_millis(100);

/// Somebody waits in this list, once.
pub(crate) fn wait_in(waits: &mut Vec<Waker>, cx: &Context<'_>) {
    if !waits.iter().any(|waker| waker.will_wake(cx.waker())) {
        waits.push(cx.waker().clone());
    }
}

impl<M: Machine> WireState<M> {
    pub(super) fn new(machine: M, write_buffer_bytes: usize) -> Self {
        Self {
            machine,
            write_buffer_bytes,
            pipe: None,
            stream: None,
            marks: VecDeque::new(),
            parting: false,
            part_until: None,
            left: false,
            gone: false,
            upgrade: None,
            waits: Vec::new(),
            timer: None,
            armed: Time::MAX,
        }
    }

    /// The program's deadline for the end.
    pub(crate) fn part_until(&mut self, until: Time) {
        self.part_until = Some(self.part_until.map_or(until, |other| other.min(until)));
    }

    /// Bytes that wait to be handed to the kernel.
    pub(crate) fn waiting_bytes(&mut self) -> usize {
        self.pipe.as_mut().map_or(0, PipeState::waiting_bytes)
    }

    /// What is to be said is left to who writes next, at the latest to the driver, whose turn comes after this
    /// task's.
    pub(crate) fn leave(&mut self, out: &mut Out<M::News>) {
        if !std::mem::replace(&mut self.left, true) {
            out.wakers.extend(self.timer.clone());
        }
    }

    /// All that follows from a visit.
    #[inline]
    pub(super) fn follow(&mut self, out: &mut Out<M::News>) {
        self.left = false;
        self.machine.prepare();
        if self.fill(out) || self.writes() {
            self.take(out);
        }
        self.settle(out);
    }

    /// Moves what may be sent into the outbox. Whether this made the caller the writer.
    fn fill(&mut self, out: &mut Out<M::News>) -> bool {
        let Some(pipe) = &mut self.pipe else { return false };
        let mut writes = false;
        let mut dry = false;
        while !dry && pipe.waiting_bytes() < self.write_buffer_bytes {
            dry = match self.machine.next_frame() {
                Some(frame) => {
                    writes |= push(pipe, &mut self.marks, frame, &mut out.wakers);
                    false
                }
                None => true,
            };
        }
        if let (true, false, Some(cuts)) = (dry, self.parting, self.machine.cuts()) {
            self.parting = true;
            let least = rt::now() + LEAST_FAREWELL;
            let closing = match cuts {
                true => Closing { abort: Some(DetachReason::ConnectionLost), deadline: None },
                false => {
                    let until = self.part_until.unwrap_or_else(|| rt::now() + FAREWELL);
                    Closing { abort: None, deadline: Some(until.max(least)) }
                }
            };
            out.wakers.extend(pipe.close(closing));
        }
        writes
    }

    #[inline]
    fn writes(&mut self) -> bool {
        self.pipe.as_mut().is_some_and(|pipe| self.machine.writes(pipe))
    }

    /// The caller is the writer: what waits is his.
    #[inline]
    fn take(&mut self, out: &mut Out<M::News>) {
        let stream = self.stream.clone();
        out.batch = stream.zip(self.pipe.as_mut().map(PipeState::take));
    }

    /// Passes by all queues with what is to be said next, if what waits to be written leaves room for it. `false`:
    /// nothing has happened.
    #[inline]
    pub(crate) fn say_at_once(
        &mut self,
        next: impl FnOnce(&mut M) -> Option<Outgoing<M::Mark>>,
        out: &mut Out<M::News>,
    ) -> bool {
        let Some(pipe) = &mut self.pipe else { return false };
        if pipe.waiting_bytes() >= self.write_buffer_bytes {
            return false;
        }
        let Some(frame) = next(&mut self.machine) else { return false };
        if push(pipe, &mut self.marks, frame, &mut out.wakers) || self.writes() {
            self.take(out);
        }
        true
    }

    /// After whatever was done to the machine: who is to know.
    pub(crate) fn settle(&mut self, out: &mut Out<M::News>) {
        self.machine.wake(out);
        if self.machine.nearer_deadline().is_some_and(|due| due < self.armed) {
            // Until it has run, nobody need wake it again.
            self.armed = Time::ZERO;
            out.wakers.extend(self.timer.take());
        }
    }

    /// The writer of `batch` is back.
    pub(super) fn written(
        &mut self,
        (batch, wrote, bytes, last): (Batch, Wrote, usize, bool),
        out: &mut Out<M::News>,
    ) -> After {
        // Before the account is settled: whoever writes at this moment takes it along.
        self.fill(out);
        let Some(pipe) = &mut self.pipe else { return After::Done };
        let (flushed, after) = pipe.settle(batch, wrote, bytes, last);
        self.machine.flushed(self.marks.drain(..flushed.messages), bytes);
        self.settle(out);
        after
    }

    /// The pipe is gone, which the machine does not know yet.
    pub(super) fn detach(&mut self, unknown_bytes: usize) {
        self.machine.unsent(self.marks.drain(..), unknown_bytes);
        self.pipe = None;
    }

    /// Nothing of it is left. Whether that is new.
    pub(super) fn gone(
        &mut self,
        why: DetachReason,
        upgrade: Option<UpgradeError>,
        out: &mut Out<M::News>,
    ) -> bool {
        self.machine.lost(why);
        self.upgrade = self.upgrade.take().or(upgrade);
        (self.pipe, self.stream, self.timer) = (None, None, None);
        self.settle(out);
        self.machine.wake_all(&mut out.wakers);
        out.wakers.append(&mut self.waits);
        !std::mem::replace(&mut self.gone, true)
    }
}

/// Adds a frame to the outbox. Whether the caller became the writer.
fn push<E>(
    pipe: &mut PipeState,
    marks: &mut VecDeque<E>,
    mut frame: Outgoing<E>,
    wakers: &mut Vec<Waker>,
) -> bool {
    marks.push_back(frame.ends);
    match pipe.push(|| false, |outbox| outbox.push(&mut frame.message)) {
        Kick::Write => true,
        Kick::Wake(waker) => {
            wakers.push(waker);
            false
        }
        Kick::Nothing => false,
    }
}

/// What is asked and done mostly concerns the machine.
impl<M: Machine> Deref for WireState<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.machine
    }
}

impl<M: Machine> DerefMut for WireState<M> {
    fn deref_mut(&mut self) -> &mut M {
        &mut self.machine
    }
}
