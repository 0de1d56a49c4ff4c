//! Who listens to what happens on the connections of a server or a pool.

use super::Event;
use crate::hub;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

impl hub::Event for Event {
    fn missed(count: u64) -> Self {
        Self::Missed(count)
    }
}

/// What happens on the connections of a [`Server`](super::Server) or a [`Pool`](super::Pool), from the call
/// that made this on. Ends when that is gone with all of its connections.
///
/// A [`Stream`](futures_core::Stream); or call `next`. Cancel-safe.
pub type Events = hub::Events<Event>;

/// Whom events are told. Never used under the lock of a connection.
#[derive(Debug, Default)]
pub(super) struct Hub(Mutex<hub::Hub<Event>>);

impl Hub {
    fn lock(&self) -> MutexGuard<'_, hub::Hub<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscribe(&self) -> Events {
        self.lock().subscribe()
    }

    /// Makes the event only if somebody listens, and then with no lock held.
    pub(super) fn tell(&self, event: impl FnOnce() -> Event) {
        if !self.lock().is_heard() {
            return;
        }
        let (event, mut wakers) = (event(), Vec::new());
        self.lock().tell(|| event, |waker| wakers.push(waker));
        wakers.into_iter().for_each(Waker::wake);
    }
}
