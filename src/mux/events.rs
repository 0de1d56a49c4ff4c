//! Who listens to what happens on the connections of a server or a pool.

use super::Event;
use crate::hub::{self, Listening};
use futures_core::Stream;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

impl hub::Event for Event {
    fn missed(count: u64) -> Self {
        Self::Missed(count)
    }
}

/// What happens on the connections of a [`Server`](super::Server) or a [`Pool`](super::Pool), from the call
/// that made this on. Ends when that is gone with all of its connections.
///
/// A [`Stream`]; or call [`next`](Events::next). Cancel-safe. One who does not take them misses the oldest, and
/// is told how many.
#[derive(Debug)]
pub struct Events {
    listening: Listening<Event>,
}

impl Events {
    /// The next event; `None` once there will be none any more.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.listening.poll_next(cx)).await
    }

    /// The next event if there is one.
    pub fn try_next(&mut self) -> Option<Event> {
        self.listening.try_next()
    }
}

impl Stream for Events {
    type Item = Event;
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.listening.poll_next(cx)
    }
}

/// Whom events are told. Never used under the lock of a connection.
#[derive(Debug, Default)]
pub(super) struct Hub(Mutex<hub::Hub<Event>>);

impl Hub {
    fn lock(&self) -> MutexGuard<'_, hub::Hub<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscribe(&self) -> Events {
        Events { listening: self.lock().subscribe() }
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
