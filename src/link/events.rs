//! [`Event`]s of a host: who came, who went and why.

use super::Peer;
use futures_core::Stream;
use spanwire_core::link::End;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

/// Something that happened at a [`Host`](super::Host).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A handshake is done: there is a connection.
    Connected(Peer),
    /// A connection is over.
    Ended(Peer, End),
    /// A connection came to nothing: its handshake failed, or one of the two did not want it.
    Refused {
        /// The address of the dialer or listener.
        url: Arc<str>,
        /// The address of the other end, once it was known.
        remote: Option<crate::Place>,
        /// Its logical host, if it had said.
        host: Option<String>,
        /// Why.
        end: End,
        /// What went wrong in the handshake of TLS, WebSocket or QUIC, if that is why.
        upgrade: Option<crate::UpgradeError>,
    },
    /// A peer has other metadata now; they are inside.
    Metadata(Peer),
    /// A dialer got no connection and will try again.
    DialFailed {
        /// Whom it dials.
        url: Arc<str>,
        /// What went wrong.
        error: Arc<str>,
        /// Whether it may work later without anybody changing anything.
        transient: bool,
    },
    /// A listener could not accept, or not listen, and will try again.
    ListenerFailed {
        /// Where it listens.
        url: Arc<str>,
        /// What went wrong.
        error: Arc<str>,
    },
    /// The application was too slow to take events; so many are missing here.
    Missed(u64),
}

/// Events that wait; more than these and the oldest are dropped, and counted in [`Event::Missed`].
const MAX_EVENTS: usize = 1_024;

/// The events of a host, from the call that made this on. Ends when the host and all of its connections are
/// gone.
///
/// A [`Stream`]; or call [`next`](Events::next). Cancel-safe.
#[derive(Debug)]
pub struct Events {
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Event>,
    missed: u64,
    ended: bool,
    waker: Option<Waker>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn take(&mut self) -> Option<Event> {
        match std::mem::take(&mut self.missed) {
            0 => self.events.pop_front(),
            missed => Some(Event::Missed(missed)),
        }
    }
}

impl Events {
    /// The next event; `None` once there will be none any more.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The next event if there is one.
    pub fn try_next(&mut self) -> Option<Event> {
        self.queue.lock().take()
    }
}

impl Stream for Events {
    type Item = Event;
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut waiting = self.queue.lock();
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

/// Hands events to everybody who listens. Never used under the lock of a connection.
#[derive(Debug, Default)]
pub(super) struct Hub(Mutex<Vec<Weak<Queue>>>);

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Queue>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscribe(&self) -> Events {
        let queue = Arc::new(Queue::default());
        let mut listeners = self.lock();
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(Arc::downgrade(&queue));
        Events { queue }
    }

    /// Makes the event only if somebody listens.
    pub(super) fn tell(&self, event: impl FnOnce() -> Event) {
        let listeners: Vec<_> = self.lock().iter().filter_map(Weak::upgrade).collect();
        if listeners.is_empty() {
            return;
        }
        let event = event();
        for listener in listeners {
            let mut waiting = listener.lock();
            if waiting.events.len() >= MAX_EVENTS {
                waiting.events.pop_front();
                waiting.missed += 1;
            }
            waiting.events.push_back(event.clone());
            let waker = waiting.waker.take();
            drop(waiting);
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        for listener in self.lock().iter().filter_map(Weak::upgrade) {
            let mut waiting = listener.lock();
            waiting.ended = true;
            let waker = waiting.waker.take();
            drop(waiting);
            waker.into_iter().for_each(Waker::wake);
        }
    }
}
