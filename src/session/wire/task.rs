//! The task of a connection: what the driver asks the machine for, the timer, and the end.

use super::{Machine, Out, Side, Wire};
use crate::error::UpgradeError;
use crate::rt::{self, Home, Sleep};
use crate::session::handoff::Wrote;
use crate::session::lookout::Lookout;
use crate::session::pipe::{After, PipeState, StreamPipe};
use crate::session::{Delivery, Ended, Origin, Owner, SessionOptions, driver};
use crate::transport::{Ends, Incoming};
use spanwire_core::framing::sp::{Framing, Protocol};
use spanwire_core::session::inbox::Inbox;
use spanwire_core::session::outbox::Batch;
use spanwire_core::{DetachReason, PipeId, Time};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

impl<S: Side> Wire<S> {
    /// Serves the connection until it ends. When it [has read](Machine::has_read), its thread looks for more for so long
    /// before it sleeps.
    pub(crate) fn serve(
        self: Arc<Self>,
        incoming: Incoming,
        handshake_timeout: Duration,
        spin: Duration,
    ) -> impl Future<Output = ()> + Send {
        // Made here, so that it is dropped even where the task never runs.
        let over = TaskOver(self.clone());
        let options = SessionOptions {
            // There is no SP handshake, so none that anybody sees.
            protocol: Protocol::Pair0,
            handshake_timeout,
            max_message_bytes: S::Machine::MAX_HANDSHAKE_BYTES,
        };
        async move {
            let handshake = driver::shake_hands(
                incoming.framed_by_link(),
                self.origin.clone(),
                Arc::new(self.clone()),
                options,
                || true,
                drop::<Option<PipeId>>,
            );
            let session = driver::serve(Box::pin(handshake), move |ended| over.with(ended));
            let mut session = std::pin::pin!(session);
            let (mut timer, mut lookout) = (None, Lookout::new(spin));
            poll_fn(|cx| {
                lookout.begin();
                let over = session.as_mut().poll(cx);
                if over.is_pending() {
                    lookout.turn(self.poll_timer(cx, &mut timer), cx);
                }
                over
            })
            .await;
        }
    }

    /// Lets the machine do what is due, and comes back when more is. Whether it has read.
    fn poll_timer(self: &Arc<Self>, cx: &mut Context<'_>, timer: &mut Option<(Time, Sleep)>) -> bool {
        let mut state = self.lock();
        let has_read = state.has_read();
        // The driver is polled for each read: nothing has changed, mostly.
        let known = state.timer.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        let same = timer.as_ref().is_some_and(|(at, _)| *at == state.armed);
        if known && same && !state.left && state.armed > rt::now() {
            return has_read;
        }
        drop(state);
        loop {
            let now = rt::now();
            let due = self.visit(|state| {
                // Before it is attached, the driver looks after the deadline.
                state.pipe.as_ref()?;
                if state.deadline().is_some_and(|due| due <= now) {
                    state.expire(now);
                }
                let due = state.deadline();
                state.armed = due.unwrap_or(Time::MAX);
                state.timer = Some(cx.waker().clone());
                due
            });
            let Some(due) = due else {
                *timer = None;
                return has_read;
            };
            if timer.as_ref().is_none_or(|(at, _)| *at != due) {
                *timer = Some((due, self.home.sleep_until(due)));
            }
            let Some((_, sleep)) = timer else { return has_read };
            if Pin::new(sleep).poll(cx).is_pending() {
                return has_read;
            }
            *timer = None;
        }
    }

    /// It is gone, with or without ever having been a pipe.
    fn gone(self: &Arc<Self>, why: DetachReason, upgrade: Option<UpgradeError>) {
        let mut out = Out::default();
        let first = self.lock().gone(why, upgrade, &mut out);
        if first {
            S::gone(self);
        }
        self.run(out);
    }
}

impl<S: Side> Owner for Arc<Wire<S>> {
    fn attach(&self, pipe: &Arc<StreamPipe>, ends: Ends, _: Origin) -> Result<PipeId, DetachReason> {
        let id = PipeId::new(1, 0).ok_or(DetachReason::ConnectionLost)?;
        S::connected(self, &ends)?;
        pipe.set_id(id);
        // Attached once.
        let _ = self.ends.set(ends);
        self.visit(|state| {
            state.pipe = Some(pipe.new_state());
            state.stream = Some(pipe.clone());
        });
        Ok(id)
    }

    fn home(&self) -> &Home {
        &self.home
    }

    fn deliver(&self, _: PipeId, inbox: &mut Inbox, now: Time) -> Delivery {
        loop {
            let judging = self.visit_with(|state, out| {
                if let Some(pipe) = &mut state.pipe {
                    pipe.received();
                }
                let judging = read(&mut **state, inbox, now);
                state.follow(out);
                state.delivered(out.wakers.len());
                judging
            });
            if !judging {
                return Delivery::Hungry;
            }
            if !S::judge(self) {
                return Delivery::Stalled;
            }
        }
    }

    fn look(&self, _: PipeId, look: &mut dyn FnMut(&mut PipeState)) {
        self.lock().pipe.as_mut().map(look);
    }

    fn settle(&self, _: PipeId, batch: Batch, wrote: Wrote, written: usize, last: bool) -> After {
        let wrote = (batch, wrote, written, last);
        self.visit_with(|state, out| state.written(wrote, out))
    }

    fn judged(&self, error: UpgradeError) {
        self.lock().upgrade = Some(error);
    }

    fn detach(&self, _: PipeId, why: DetachReason, unknown_bytes: usize) {
        self.lock().detach(unknown_bytes);
        self.gone(why, None);
    }

    fn is_waited_for(&self) -> bool {
        S::is_waited_for(self)
    }
}

/// Reads what there is. Whether it stopped since something has to be judged.
#[inline]
fn read<M: Machine>(machine: &mut M, inbox: &mut Inbox, now: Time) -> bool {
    loop {
        if machine.is_judging() {
            return true;
        }
        inbox.allow(machine.max_frame_bytes());
        match inbox.next() {
            Ok(Some(frame)) => machine.frame(frame, now),
            Ok(None) => return false,
            Err(error) => {
                machine.violated(error);
                // What follows is no frame. It is read all the same: that is how the peer's end is seen, and how it
                // gets to read why.
                *inbox = Inbox::new(Framing::Link, M::MAX_HANDSHAKE_BYTES);
                return false;
            }
        }
    }
}

/// Held by the task of a connection: however it ends, nobody waits for the connection any longer.
struct TaskOver<S: Side>(Arc<Wire<S>>);

impl<S: Side> TaskOver<S> {
    fn with(self, ended: Ended) {
        if !ended.attached {
            self.0.gone(DetachReason::ConnectionLost, ended.upgrade);
        }
    }
}

impl<S: Side> Drop for TaskOver<S> {
    fn drop(&mut self) {
        self.0.gone(DetachReason::RuntimeGone, None);
    }
}
