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
            // Connections have ended with their drivers; those inside this process have none.
            for lane in self.lanes() {
                lane.close(Closing { abort: Some(DetachReason::RuntimeGone), deadline: None });
            }
        }
        first
    }

    /// Closes: see the sockets' `close`. Any number of callers may wait for the same end.
    pub(super) async fn close(self: &Arc<Self>, deadline: Duration) -> CloseReport {
        self.end(Phase::Closed);
        let until = rt::now() + deadline;
        for lane in self.lanes() {
            lane.close(Closing { abort: None, deadline: Some(until) });
        }
        let empty = || poll_fn(|cx| self.gate.poll_empty(cx));
        if self.home.within(Some(deadline), empty()).await.is_none() {
            for lane in self.lanes() {
                lane.close(Closing { abort: Some(DetachReason::ClosedHere), deadline: None });
            }
            self.home.within(Some(LAST_GRACE), empty()).await;
        }
        let mut out = Out::default();
        let report = {
            let mut state = self.lock();
            state.hub.end(|waker| out.wakers.push(waker));
            state.farewell
        };
        out.run();
        report
    }
}

/// What all clones of a socket share. When the last is dropped, the socket closes in the background.
#[derive(Debug)]
pub(crate) struct Life {
    pub(super) core: Arc<Core>,
}

impl Drop for Life {
    fn drop(&mut self) {
        let core = self.core.clone();
        if core.gate.is_shut() {
            return;
        }
        // Senders see it closed from here on, even if the runtime never runs the task below.
        core.end(Phase::Closed);
        let home = core.home.clone();
        home.spawn(async move {
            core.close(core.options.close_deadline).await;
        });
    }
}
