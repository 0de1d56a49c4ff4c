//! Pipes come and go: who is let in, and what becomes of what a pipe leaves behind.

use super::Peer;
use super::core::{Core, Entry, Filter, Phase};
use super::events::Event;
use super::lane::Lane;
use super::waits::For;
use super::work::Out;
use crate::rt;
use crate::session::pipe::Closing;
use crate::trace::Span;
use spanwire_core::pattern::{Effects, Pattern};
use spanwire_core::snapshot::Tally;
use spanwire_core::{DetachReason, Dropped, Message, PipeId};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// The number of the last pipe of this process.
static LAST_PIPE: AtomicU32 = AtomicU32::new(0);

impl Core {
    /// Takes the number and the place for a new pipe.
    fn reserve(
        &self,
        peer: impl FnOnce(PipeId) -> Peer,
    ) -> Result<(PipeId, Arc<Peer>, Option<Filter>), DetachReason> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(DetachReason::ClosedHere);
        }
        let slot = match state.pipes.iter().position(Option::is_none) {
            Some(slot) => slot,
            None => {
                state.pipes.push(None);
                state.pipes.len() - 1
            }
        };
        let slot_number = u32::try_from(slot).expect("fewer connections than 2^32");
        let id = loop {
            let number = next_pipe_number();
            if let Some(id) = PipeId::new(number, slot_number) {
                break id;
            }
        };
        let peer = Arc::new(peer(id));
        let tally = Tally::default();
        state.pipes[slot] =
            Some(Entry { id, lane: None, peer: peer.clone(), tally, since: None, span: None });
        let filter = state.filter.clone();
        let mut out = Out::default();
        state.hub.tell(|| Event::Attaching(peer.clone()), |waker| out.wakers.push(waker));
        drop(state);
        out.run();
        Ok((id, peer, filter))
    }

    /// Asks filter and pattern; on consent the pipe exists. `lane` is made before the lock is taken.
    pub(super) fn admit(
        self: &Arc<Self>,
        peer: impl FnOnce(PipeId) -> Peer,
        lane: impl FnOnce(PipeId) -> Lane,
    ) -> Result<PipeId, DetachReason> {
        let (id, peer, filter) = self.reserve(peer)?;
        let pleasant = filter.is_none_or(|filter| filter(&peer));
        let lane = lane(id);
        let origin = &peer.origin;
        let span =
            Span::connection(&origin.url, self.protocol, origin.dialed, &peer.ends.remote, peer.pipe.get());
        let mut out = Out::default();
        let now = rt::now();
        let result = {
            let mut state = self.lock();
            let state = &mut *state;
            let result = match (pleasant, state.phase) {
                (false, _) => Err(DetachReason::Filtered),
                (true, Phase::Open) => {
                    // In its place before the rules hear of it: they may send at once.
                    if let Some(entry) = &mut state.pipes[id.slot()] {
                        entry.lane = Some(lane);
                    }
                    let result = state.visit(self, &mut out, |rule, fx| rule.attach(now, id, fx));
                    state.arm(&mut out);
                    result
                }
                (true, _) => Err(DetachReason::ClosedHere),
            };
            let wake = |waker| out.wakers.push(waker);
            match result {
                Ok(()) => {
                    state.attached += 1;
                    state.ledger.attached_pipes += 1;
                    state.took.transports.attached(&peer.origin.url);
                    if let Some(entry) = &mut state.pipes[id.slot()] {
                        (entry.since, entry.span) = (Some(now), Some(span.clone()));
                    }
                    state.hub.tell(|| Event::Attached(peer), wake);
                    state.waits.wake(For::Peers, usize::MAX, |waker| out.wakers.push(waker));
                }
                Err(why) => {
                    state.pipes[id.slot()] = None;
                    state.ledger.count_refused(why);
                    state.hub.tell(|| Event::Refused(Some(peer), why), wake);
                }
            }
            result
        };
        if result.is_ok() {
            span.attached();
        }
        out.run();
        self.relend();
        result.map(|()| id)
    }

    /// A connection ended in its handshake.
    pub(super) fn refused(&self, why: DetachReason) {
        let mut out = Out::default();
        {
            let mut state = self.lock();
            state.ledger.count_refused(why);
            state.hub.tell(|| Event::Refused(None, why), |waker| out.wakers.push(waker));
        }
        out.run();
    }

    /// A pipe is gone. `rest` says which messages never left whole, and how many nobody knows of.
    pub(super) fn detach_with(
        self: &Arc<Self>,
        pipe: PipeId,
        why: DetachReason,
        rest: impl FnOnce(&mut Option<Lane>) -> (Vec<Message>, usize),
    ) {
        let mut out = Out::default();
        // Dropped after the lock: it holds a waker.
        let mut gone;
        {
            let mut state = self.lock();
            let state = &mut *state;
            gone = state.pipes.get_mut(pipe.slot()).and_then(|entry| entry.take_if(|e| e.id == pipe));
            let Some(entry) = &mut gone else { return };
            state.attached -= 1;
            // Asked for under the lock: before, the rules may have sent to a pipe that had ended.
            let (mut unsent, unknown) = rest(&mut entry.lane);
            state.ledger.unknown_messages += unknown as u64;
            let dropped_before = state.ledger.dropped_total();
            if state.phase != Phase::Open {
                state.farewell.abandoned += unsent.len() as u64;
                state.farewell.unknown += unknown as u64;
                // Nobody else gets them any more.
                for message in unsent.drain(..) {
                    state.visit(self, &mut out, |_, fx| {
                        fx.discard(Dropped::Closed, Some(pipe), message.len());
                    });
                }
            }
            let now = rt::now();
            state.visit(self, &mut out, |rule, fx| rule.detach(now, pipe, why, unsent, fx));
            state.arm(&mut out);
            // What is dropped because it goes was its own.
            entry.tally.dropped_messages += state.ledger.dropped_total() - dropped_before;
            state.ledger.count_detached(why);
            // It is attached, so this was noted.
            let life = now - entry.since.unwrap_or(now);
            state.took.transports.detached(&entry.peer.origin.url, &entry.tally, life);
            state.took.lives.record(why, life);
            let peer = || Arc::new(Peer { stats: entry.tally.stats(), ..(*entry.peer).clone() });
            state.hub.tell(|| Event::Detached(peer(), why), |waker| out.wakers.push(waker));
            state.waits.wake(For::Peers, usize::MAX, |waker| out.wakers.push(waker));
        }
        if let Some(span) = gone.as_ref().and_then(|entry| entry.span.as_ref()) {
            span.lost(why);
        }
        out.run();
        self.relend();
    }

    /// Ends one pipe at once.
    pub(super) fn disconnect(&self, pipe: PipeId, why: DetachReason) -> bool {
        self.close_pipes(|entry| entry.id == pipe, Closing { abort: Some(why), deadline: None }) > 0
    }

    /// Ends some pipes, and says how many.
    pub(super) fn close_pipes(&self, which: impl Fn(&Entry) -> bool, closing: Closing) -> usize {
        let mut out = Out::default();
        let mut count = 0;
        for entry in self.lock().pipes.iter_mut().flatten().filter(|entry| which(entry)) {
            if let Some(lane) = &mut entry.lane {
                lane.close(closing, &mut out);
                count += 1;
            }
        }
        out.run();
        count
    }

    /// The pipe of an endpoint that has just one.
    #[cfg(all(unix, feature = "ipc"))]
    pub(super) fn pipe_of(&self, origin: &crate::session::Origin) -> Option<PipeId> {
        let state = self.lock();
        let mut entries = state.pipes.iter().flatten();
        let ours = entries.find(|entry| Arc::ptr_eq(&entry.peer.origin.url, &origin.url));
        ours.map(|entry| entry.id)
    }
}

/// Sequential from a random start, as the spec suggests: two processes that were restarted should
/// not give their pipes the same numbers.
fn next_pipe_number() -> u32 {
    static START: OnceLock<()> = OnceLock::new();
    START.get_or_init(|| LAST_PIPE.store(super::random_seed(), Ordering::Relaxed));
    LAST_PIPE.fetch_add(1, Ordering::Relaxed)
}
