//! [`Gate`]: who is still inside a socket that wants to close. Run by loom, like the hand-off.

// Public for loom alone.
#![cfg_attr(not(spanwire_loom), allow(unreachable_pub))]

#[cfg(spanwire_loom)]
use loom::sync::{Mutex, MutexGuard};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
#[cfg(not(spanwire_loom))]
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// Counts the tasks of a socket. Closing lets nobody in any more and tells when all are out.
///
/// ```text
///   Open ── shut ──▶ Closing ── the last pass is dropped ──▶ Closed
///    └ enter                      (wakes every closer)
/// ```
#[derive(Debug, Default)]
pub struct Gate {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    shut: bool,
    inside: usize,
    closers: Vec<Waker>,
}

/// The right to be inside. Leaving is dropping it.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
}

impl Pass {
    /// `work`, which gives the pass back when everything that it holds is gone: also when it is
    /// dropped before it ever ran, where an `async` block would drop what it holds in any order.
    pub fn hold<F: Future>(self, work: F) -> Inside<F> {
        Inside { work: Box::pin(work), _pass: self }
    }
}

/// A future that is inside a [`Gate`].
#[derive(Debug)]
pub struct Inside<F> {
    // The fields are dropped in this order.
    work: Pin<Box<F>>,
    _pass: Pass,
}

impl<F: Future> Future for Inside<F> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.work.as_mut().poll(cx)
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes in; `None` once the gate is shut.
    pub fn enter(self: &Arc<Self>) -> Option<Pass> {
        let mut inner = self.lock();
        if inner.shut {
            return None;
        }
        inner.inside += 1;
        drop(inner);
        Some(Pass { gate: self.clone() })
    }

    /// Lets nobody in any more. `true` for the one who did it.
    pub fn shut(&self) -> bool {
        !std::mem::replace(&mut self.lock().shut, true)
    }

    /// Whether it is shut.
    pub fn is_shut(&self) -> bool {
        self.lock().shut
    }

    /// Ready when it is shut and everybody is out.
    pub fn poll_empty(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if inner.shut && inner.inside == 0 {
            return Poll::Ready(());
        }
        if !inner.closers.iter().any(|closer| closer.will_wake(cx.waker())) {
            inner.closers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inner = self.gate.lock();
        inner.inside -= 1;
        let closers = match inner.shut && inner.inside == 0 {
            true => std::mem::take(&mut inner.closers),
            false => Vec::new(),
        };
        drop(inner);
        closers.into_iter().for_each(Waker::wake);
    }
}
