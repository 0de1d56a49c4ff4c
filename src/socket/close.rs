//! Closing a socket: stop accepting, drain, half-close, wait for the peers' ends, report.

use super::core::{CloseReport, Core, Phase};
use super::work::Out;
use crate::rt::{self, Home, Rings};
use crate::session::pipe::Closing;
use spanwire_core::DetachReason;
use spanwire_core::pattern::Pattern;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
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
        self.relend();
        self.stop_endpoints();
        if phase == Phase::Orphaned {
            // Streams end with their drivers; what has none would stay for ever.
            self.cut(DetachReason::RuntimeGone);
            self.end_events();
        }
        first
    }

    /// Closes: see the sockets' `close`. Any number of callers may wait for the same end.
    pub(super) async fn close(self: &Arc<Self>, deadline: Duration) -> CloseReport {
        let given_up = GivenUp(Some(self.clone()));
        let report = self.close_within(deadline).await;
        given_up.not();
        report
    }

    async fn close_within(self: &Arc<Self>, deadline: Duration) -> CloseReport {
        self.end(Phase::Closed);
        let until = rt::now() + deadline;
        self.close_pipes(|_| true, Closing { abort: None, deadline: Some(until) });
        if let Err(rings) = self.is_empty_within(&self.home, deadline).await {
            self.cut(DetachReason::ClosedHere);
            let home = match rings {
                Rings::Timely => self.home.clone(),
                // It drops our tasks at this moment, maybe in another thread, and has no timers left.
                Rings::RuntimeGone => Home::background(),
            };
            // If they do not end now, nothing that we could still do would make them.
            let _ = self.is_empty_within(&home, LAST_GRACE).await;
        }
        self.end_events();
        self.lock().farewell
    }

    /// Closes in the background, within the deadline of the socket's options.
    fn close_behind(self: &Arc<Self>) {
        let cut = CutAtLast(self.clone());
        self.home.spawn(async move {
            cut.0.close_within(cut.0.options.close_deadline).await;
        });
    }

    /// Waits until everything that ran for this socket has ended, unless an alarm rings before.
    async fn is_empty_within(&self, home: &Home, span: Duration) -> Result<(), Rings> {
        let mut alarm = None;
        poll_fn(|cx| {
            if self.gate.poll_empty(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            // Made only now: closing an idle socket is done at once.
            let alarm = alarm.get_or_insert_with(|| home.alarm(span));
            Pin::new(alarm).poll(cx).map(Err)
        })
        .await
    }

    /// Ends all connections at once.
    fn cut(&self, why: DetachReason) {
        self.close_pipes(|_| true, Closing { abort: Some(why), deadline: None });
    }

    fn end_events(&self) {
        let mut out = Out::default();
        self.lock().hub.end(|waker| out.wakers.push(waker));
        out.run();
    }
}

/// Closing goes on in the background when whoever waited for it gave up.
struct GivenUp(Option<Arc<Core>>);

impl GivenUp {
    fn not(mut self) {
        self.0 = None;
    }
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        if let Some(core) = self.0.take() {
            core.close_behind();
        }
    }
}

/// Held by the task that closes in the background: should its runtime go away under it, or be gone
/// already, what needs no runtime is ended all the same.
struct CutAtLast(Arc<Core>);

impl Drop for CutAtLast {
    fn drop(&mut self) {
        self.0.cut(DetachReason::RuntimeGone);
        self.0.end_events();
    }
}

/// What all clones of a socket share. When the last is dropped, the socket closes in the background.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) core: Arc<Core>,
}

impl Drop for Life {
    fn drop(&mut self) {
        if self.core.gate.is_shut() {
            return;
        }
        // Senders see it closed from here on, even if the runtime never runs the task below.
        self.core.end(Phase::Closed);
        self.core.close_behind();
    }
}
