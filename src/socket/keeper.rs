//! The keeper: one task per socket. It calls the rules when their time has come, and it is how a
//! socket notices that its runtime is going away.

use super::core::{Core, Phase};
use super::work::Out;
use crate::rt::{self, Sleep};
use spanwire_core::Time;
use spanwire_core::pattern::Pattern;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Starts the keeper of a socket that was just made.
pub(super) fn start(core: &Arc<Core>) {
    let pass = core.gate.enter().expect("a new socket is open");
    let keeper = Keeper { core: core.clone(), timer: None, done: false };
    core.home.spawn(pass.hold(keeper.run()));
}

struct Keeper {
    core: Arc<Core>,
    timer: Option<(Time, Sleep)>,
    done: bool,
}

impl Keeper {
    async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
        self.done = true;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut out = Out::default();
            let due = {
                let mut state = self.core.lock();
                let state = &mut *state;
                if state.phase != Phase::Open {
                    return Poll::Ready(());
                }
                let now = rt::now();
                if state.rule.deadline().is_some_and(|due| due <= now) {
                    state.visit(&self.core, &mut out, |rule, fx| rule.expire(now, fx));
                }
                let due = state.rule.deadline().unwrap_or(Time::MAX);
                state.armed = due;
                state.keeper = Some(cx.waker().clone());
                due
            };
            out.run();
            if due == Time::MAX {
                self.timer = None;
                return Poll::Pending;
            }
            if self.timer.as_ref().is_none_or(|(at, _)| *at != due) {
                self.timer = Some((due, self.core.home.sleep_until(due)));
            }
            let Some((_, sleep)) = &mut self.timer else { return Poll::Pending };
            if Pin::new(sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if !self.done {
            self.core.home.is_going();
            self.core.end(Phase::Orphaned);
        }
    }
}
