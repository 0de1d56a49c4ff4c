//! [`Hub`]: tells events to everybody who listens, and keeps them for each, within bounds; and [`Events`], with
//! which one listens.

use futures_core::Stream;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

/// Events that wait for one who listens; more than these and the oldest are dropped, and counted.
pub(crate) const MAX_EVENTS: usize = 1_024;

/// What can be told.
pub trait Event: Clone {
    /// So many were dropped here, as they were not taken in time.
    fn missed(count: u64) -> Self;
}

/// Events, from the call that made this on. At most 1,024 wait to be taken; then the oldest are dropped, and
/// their number is told.
///
/// A [`Stream`]; or call [`next`](Self::next). Cancel-safe.
#[derive(Debug)]
pub struct Events<E>(Arc<Queue<E>>);

#[derive(Debug)]
struct Queue<E>(Mutex<Waiting<E>>);

#[derive(Debug)]
struct Waiting<E> {
    events: VecDeque<E>,
    missed: u64,
    ended: bool,
    waker: Option<Waker>,
}

impl<E: Event> Events<E> {
    /// The next event; `None` once there will be none any more, and all were taken.
    ///
    /// Cancel-safe: a future that is dropped has taken nothing.
    pub async fn next(&mut self) -> Option<E> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// The next event if there is one.
    pub fn try_next(&mut self) -> Option<E> {
        self.0.lock().take()
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<E>> {
        let mut waiting = self.0.lock();
        if let Some(event) = waiting.take() {
            return Poll::Ready(Some(event));
        }
        if waiting.ended {
            return Poll::Ready(None);
        }
        waiting.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<E: Event> Stream for Events<E> {
    type Item = E;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<E>> {
        self.poll(cx)
    }
}

impl<E> Queue<E> {
    fn lock(&self) -> MutexGuard<'_, Waiting<E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Event> Waiting<E> {
    fn take(&mut self) -> Option<E> {
        match std::mem::take(&mut self.missed) {
            0 => self.events.pop_front(),
            missed => Some(E::missed(missed)),
        }
    }
}

/// Hands events to everybody who listens.
#[derive(Debug)]
pub(crate) struct Hub<E> {
    listeners: Vec<Weak<Queue<E>>>,
    ended: bool,
}

impl<E> Default for Hub<E> {
    fn default() -> Self {
        Self { listeners: Vec::new(), ended: false }
    }
}

impl<E> Hub<E> {
    /// Somebody listens from now on.
    pub(crate) fn subscribe(&mut self) -> Events<E> {
        let waiting = Waiting { events: VecDeque::new(), missed: 0, ended: self.ended, waker: None };
        let queue = Arc::new(Queue(Mutex::new(waiting)));
        self.listeners.retain(|listener| listener.strong_count() > 0);
        self.listeners.push(Arc::downgrade(&queue));
        Events(queue)
    }

    /// Whether anybody may listen.
    pub(crate) fn is_heard(&self) -> bool {
        self.listeners.iter().any(|listener| listener.strong_count() > 0)
    }

    /// Nothing more will come; `wake` gets the wakers of those who wait.
    pub(crate) fn end(&mut self, mut wake: impl FnMut(Waker)) {
        self.ended = true;
        for queue in self.listeners.drain(..).filter_map(|listener| listener.upgrade()) {
            let mut waiting = queue.lock();
            waiting.ended = true;
            waiting.waker.take().map(&mut wake);
        }
    }
}

impl<E: Event> Hub<E> {
    /// Tells everybody; `wake` gets the wakers of those who wait. The event is made only if somebody may listen.
    pub(crate) fn tell(&mut self, event: impl FnOnce() -> E, mut wake: impl FnMut(Waker)) {
        if self.listeners.is_empty() {
            return;
        }
        let event = event();
        for queue in self.listeners.iter().filter_map(Weak::upgrade) {
            let mut waiting = queue.lock();
            if waiting.events.len() == MAX_EVENTS {
                waiting.events.pop_front();
                waiting.missed += 1;
            }
            waiting.events.push_back(event.clone());
            waiting.waker.take().map(&mut wake);
        }
    }
}

/// A hub with a lock of its own. Never used under any other lock.
#[derive(Debug)]
pub(crate) struct Shared<E>(Mutex<Hub<E>>);

impl<E> Default for Shared<E> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<E: Event> Shared<E> {
    fn lock(&self) -> MutexGuard<'_, Hub<E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody listens from now on.
    pub(crate) fn subscribe(&self) -> Events<E> {
        self.lock().subscribe()
    }

    /// Makes the event only if somebody listens, and then with no lock held.
    pub(crate) fn tell(&self, event: impl FnOnce() -> E) {
        if !self.lock().is_heard() {
            return;
        }
        let (event, mut wakers) = (event(), Vec::new());
        self.lock().tell(|| event, |waker| wakers.push(waker));
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Whoever still listens when this is gone, however it went, must not wait for ever.
impl<E> Drop for Hub<E> {
    fn drop(&mut self) {
        let mut wakers = Vec::new();
        self.end(|waker| wakers.push(waker));
        wakers.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq)]
    enum News {
        Number(usize),
        Missed(u64),
    }

    impl Event for News {
        fn missed(count: u64) -> Self {
            Self::Missed(count)
        }
    }

    #[test]
    fn a_slow_listener_is_told_how_much_it_missed() {
        let mut hub = Hub::default();
        let mut events = hub.subscribe();
        for number in 0..MAX_EVENTS + 3 {
            hub.tell(|| News::Number(number), drop);
        }
        assert_eq!(events.try_next(), Some(News::Missed(3)));
        assert_eq!(events.try_next(), Some(News::Number(3)));
    }

    #[test]
    fn whoever_listens_hears_of_the_end() {
        let mut hub = Hub::<News>::default();
        let events = hub.subscribe();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(events.poll(&mut cx).is_pending());
        drop(hub);
        assert!(events.poll(&mut cx).is_ready());
    }

    #[test]
    fn nobody_listening_costs_nothing() {
        Hub::<News>::default().tell(|| unreachable!(), drop);
    }
}
