//! Closing a socket: stop accepting, drain, half-close, wait for the peers' ends, report.

use super::core::{CloseReport, Core, Phase};
use super::work::Out;
use crate::rt;
use crate::session::pipe::Closing;
use spanwire_core::DetachReason;
use spanwire_core::pattern::Pattern;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

/// What tasks may take to end after they were told to, on a busy machine. They need no input for
/// it, so this only matters where their runtime no longer runs them; waiting longer would hang.
const LAST_GRACE: Duration = Duration::from_secs(1);

impl Core {
    /// Nobody may use the socket any more: wakes all who wait, and discards what waits for them.
    /// Whether this call was the one to do it.
    pub(super) fn end(self: &Arc<Self>, phase: Phase) -> bool {
        let first = self.gate.shut();
        let mut out = Out::default();
        {
            let mut state = self.lock();
            let state = &mut *state;
            if state.phase == Phase::Open {
                state.phase = phase;
                state.farewell.abandoned += state.rule.waiting() as u64;
                state.visit(self, &mut out, |rule, fx| rule.clear(fx));
                state.waits.wake_all(|waker| out.wakers.push(waker));
                state.keeper.take().into_iter().for_each(|waker| out.wakers.push(waker));
            }
        }
        out.run();
        self.stop_endpoints();
        if phase == Phase::Orphaned {
            // Streams end with their drivers; a connection inside this process has none, and its
            // peer may well live on.
            self.abort(DetachReason::RuntimeGone);
            self.end_events();
        }
        first
    }

    fn abort(&self, why: DetachReason) {
        for lane in self.lanes() {
            lane.close(Closing { abort: Some(why), deadline: None });
        }
    }

    fn end_events(&self) {
        let mut out = Out::default();
        self.lock().hub.end(|waker| out.wakers.push(waker));
        out.run();
    }

    /// Closes: see the sockets' `close`. Any number of callers may wait for the same end.
    pub(super) async fn close(self: &Arc<Self>, deadline: Duration) -> CloseReport {
        let unfinished = Unfinished(Some(self));
        let report = self.finish(deadline).await;
        unfinished.done();
        report
    }

    fn finish_in_background(self: &Arc<Self>) {
        let core = self.clone();
        self.home.spawn(async move {
            core.finish(core.options.close_deadline).await;
        });
    }

    async fn finish(self: &Arc<Self>, deadline: Duration) -> CloseReport {
        self.end(Phase::Closed);
        let until = rt::now() + deadline;
        for lane in self.lanes() {
            lane.close(Closing { abort: None, deadline: Some(until) });
        }
        let empty = || poll_fn(|cx| self.gate.poll_empty(cx));
        if self.home.within(Some(deadline), empty()).await.is_none() {
            self.abort(DetachReason::ClosedHere);
            self.home.within(Some(LAST_GRACE), empty()).await;
        }
        self.end_events();
        self.lock().farewell
    }
}

/// A close that somebody waits for. If he gives up, it goes on without him.
struct Unfinished<'a>(Option<&'a Arc<Core>>);

impl Unfinished<'_> {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(core) = self.0 {
            core.finish_in_background();
        }
    }
}

/// What all clones of a socket share. When the last is dropped, the socket closes in the background.
#[derive(Debug)]
pub(crate) struct Life {
    pub(super) core: Arc<Core>,
}

impl Drop for Life {
    fn drop(&mut self) {
        if self.core.gate.is_shut() {
            return;
        }
        // Senders see it closed from here on, even if the runtime never runs what goes on in it.
        self.core.end(Phase::Closed);
        self.core.finish_in_background();
    }
}
