//! What leaves and what comes over connections: writing what is owed, and [`Owner`], as which a connection sees its
//! socket.

use super::Peer;
use super::core::{Core, Entry, Phase, State};
use super::fx::Fx;
use super::lane::Lane;
use super::work::{Out, Work};
use crate::rt::{self, Home};
use crate::session::handoff::Wrote;
use crate::session::pipe::{After, PipeState, StreamPipe};
use crate::session::{Delivery, Origin, Owner};
use crate::transport::Ends;
use spanwire_core::framing::sp::FrameError;
use spanwire_core::pattern::{Effects, Pattern};
use spanwire_core::session::inbox::Inbox;
use spanwire_core::session::outbox::{Batch, Flushed};
use spanwire_core::{DetachReason, Dropped, Message, PipeId, Time};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A sender that has written so much at once lets others run. The first window of a PUSH, full of
/// small messages, is about as much.
const BATCH_BYTES: usize = 8 * 1024;

/// A sender that writes again so soon is in a hurry. Less than the fastest answer takes to come.
const HURRY_NANOS: u64 = 2_000;

impl Core {
    /// Writes what senders left to the drivers; for one that found no room. Whether any was owed.
    pub(super) fn flush_owed(self: &Arc<Self>) -> bool {
        let mut out = Out::default();
        for entry in self.lock().pipes.iter_mut().flatten() {
            if let Some(Lane::Stream(pipe, state)) = &mut entry.lane {
                if state.claim() {
                    let (core, pipe) = (self.clone(), pipe.clone());
                    out.work.push(Work::Write { core, pipe, batch: Some(state.take()) });
                }
            }
        }
        let owed = !out.work.is_empty();
        out.run();
        #[cfg(feature = "inproc")]
        return self.deliver_left() || owed;
        #[cfg(not(feature = "inproc"))]
        owed
    }

    /// Counts what has left, and tells the rules.
    pub(super) fn note_flushed(
        self: &Arc<Self>,
        state: &mut State,
        pipe: PipeId,
        flushed: Flushed,
        out: &mut Out,
    ) {
        if let Some(entry) = state.entry(pipe) {
            entry.tally.sent_messages += flushed.messages as u64;
            entry.tally.sent_bytes += flushed.bytes as u64;
        }
        if state.phase != Phase::Open {
            state.farewell.flushed += flushed.messages as u64;
        }
        // Only who waited for this room goes out now.
        let now = if self.timed && state.rule.waiting() > 0 { rt::now() } else { Time::ZERO };
        state.visit(self, out, |rule, fx| {
            rule.drained(now, pipe, flushed.messages, flushed.bytes, fx);
        });
        if self.timed {
            // A request that had waited for this room is in flight from now on.
            state.arm(out);
        }
    }

    /// A sender wrote so much by itself. After a batch, its next send lets other tasks run first: a
    /// loop of sends would otherwise never give this thread back.
    pub(super) fn note_written(&self, bytes: usize) {
        self.written_at.store(rt::now().as_nanos(), Ordering::Relaxed);
        if bytes >= BATCH_BYTES {
            self.owes_turn.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a sender has come back from writing just now.
    #[cold]
    pub(super) fn is_hurried(&self) -> bool {
        // Another thread may come back from writing after this one has looked at the clock.
        rt::now().as_nanos().saturating_sub(self.written_at.load(Ordering::Relaxed)) < HURRY_NANOS
    }
}

/// The connections belong to a core through a wrapper, since their driver holds a plain reference.
impl Owner for Arc<Core> {
    fn attach(&self, pipe: &Arc<StreamPipe>, ends: Ends, origin: Origin) -> Result<PipeId, DetachReason> {
        let peer = |id| Peer::new(id, ends, &origin);
        self.admit(peer, |id| {
            pipe.set_id(id);
            Lane::Stream(pipe.clone(), pipe.new_state())
        })
    }

    fn deliver(&self, pipe: PipeId, inbox: &mut Inbox, now: Time) -> Delivery {
        let mut out = Out::default();
        let delivery = {
            let mut state = self.lock();
            let state = &mut *state;
            let (mut messages, mut bytes) = (0, 0);
            // A receiver may still read when the runtime, and with it the pipe, is gone.
            let stream = state.entry(pipe).and_then(Entry::stream);
            let attached = stream.map(PipeState::received).is_some();
            let open = attached && state.phase == Phase::Open;
            let delivery = state.visit(self, &mut out, |rule, fx| {
                let mut broken = None;
                let mut next = |fx: &mut Fx<'_>| match inbox.next() {
                    Ok(body) => {
                        let body = body?;
                        messages += 1;
                        bytes += body.len() as u64;
                        Some(Message::new(body).received(pipe, now))
                    }
                    Err(error) => {
                        if let FrameError::TooLarge { claimed } = error {
                            let bytes = usize::try_from(claimed).unwrap_or(usize::MAX);
                            fx.discard(Dropped::TooLarge, Some(pipe), bytes);
                        }
                        broken = Some(error);
                        None
                    }
                };
                let mut stalled = false;
                if open {
                    stalled = rule.recv_all(now, pipe, fx, next);
                } else {
                    // Read on all the same: that is how the peer's end is seen.
                    while let Some(message) = next(fx) {
                        fx.discard(Dropped::Closed, Some(pipe), message.len());
                    }
                }
                match broken {
                    Some(error) => Delivery::Broken(error),
                    None if stalled => Delivery::Stalled,
                    None => Delivery::Hungry,
                }
            });
            state.count_received(pipe, messages, bytes);
            state.arm(&mut out);
            delivery
        };
        out.run();
        delivery
    }

    fn look(&self, pipe: PipeId, look: &mut dyn FnMut(&mut PipeState)) {
        let mut state = self.lock();
        state.entry(pipe).and_then(Entry::stream).map(look);
    }

    fn settle(&self, pipe: PipeId, batch: Batch, wrote: Wrote, written: usize, last: bool) -> After {
        let mut out = Out::default();
        let after = {
            let mut state = self.lock();
            let state = &mut *state;
            let Some(stream) = state.entry(pipe).and_then(Entry::stream) else { return After::Done };
            let (flushed, after) = stream.settle(batch, wrote, written, last);
            if flushed.messages > 0 {
                self.note_flushed(state, pipe, flushed, &mut out);
            }
            after
        };
        out.run();
        after
    }

    fn detach(&self, pipe: PipeId, why: DetachReason, unknown_bytes: usize) {
        self.detach_with(pipe, why, |lane| match lane {
            Some(Lane::Stream(_, state)) => (state.unsent(), state.written_within(unknown_bytes)),
            _ => (Vec::new(), 0),
        });
    }

    fn is_waited_for(&self) -> bool {
        self.waiting_receivers() > 0
    }

    fn home(&self) -> &Home {
        &self.home
    }
}
