//! [`Event`]s of a socket: who came, who went and why, and what was dropped.

use super::Peer;
use crate::error::UpgradeError;
use futures_core::Stream;
use spanwire_core::{DetachReason, Dropped, PipeId};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

/// Something that happened on a socket.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A peer passed its handshake; the filter and the pattern are asked next.
    Attaching(Arc<Peer>),
    /// A peer is attached: messages flow.
    Attached(Arc<Peer>),
    /// A peer that was attached is gone; its `stats` are final.
    Detached(Arc<Peer>, DetachReason),
    /// A connection was refused, by the filter, the pattern or its own handshake. The peer is known
    /// only if the handshake was good.
    Refused(Option<Arc<Peer>>, DetachReason),
    /// A message was discarded.
    Dropped {
        /// Why.
        why: Dropped,
        /// Whom it came from, or was for.
        pipe: Option<PipeId>,
        /// How large it was, in bytes.
        bytes: usize,
    },
    /// A dialer did not get its connection and will try again.
    DialFailed {
        /// Whom it dials.
        url: Arc<str>,
        /// What went wrong.
        error: Arc<str>,
    },
    /// A listener could not accept and will try again.
    AcceptFailed {
        /// Where it listens.
        url: Arc<str>,
        /// What went wrong.
        error: Arc<str>,
    },
    /// A connection that came in is gone, since the handshake of TLS, WebSocket or QUIC failed. It is
    /// counted as [`DetachReason::UpgradeFailed`], too.
    UpgradeFailed {
        /// Where it came in.
        url: Arc<str>,
        /// What went wrong.
        error: UpgradeError,
    },
    /// A peer that was attached has broken the protocol below SP, as with a text frame on a WebSocket. It is
    /// told before [`Detached`](Self::Detached) or after it, which says
    /// [`DetachReason::ProtocolViolation`].
    PeerBroke {
        /// Whom we dialled, or where it came in.
        url: Arc<str>,
        /// What it did.
        error: Arc<str>,
    },
    /// The application was too slow to take events; so many are missing here.
    Missed(u64),
}

/// Events that wait; more than these and the oldest are dropped, and counted in [`Event::Missed`].
const MAX_EVENTS: usize = 1_024;

/// The events of a socket, from the call that made this on. Ends when the socket is closed.
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

impl Events {
    /// The next event; `None` once the socket is closed and all was taken.
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

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
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

/// Hands events to everybody who listens.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    listeners: Vec<Weak<Queue>>,
    ended: bool,
}

impl Hub {
    pub(crate) fn subscribe(&mut self) -> Events {
        let queue = Arc::new(Queue::default());
        queue.lock().ended = self.ended;
        self.listeners.retain(|listener| listener.strong_count() > 0);
        self.listeners.push(Arc::downgrade(&queue));
        Events { queue }
    }

    /// Tells everybody; `wake` gets the wakers of those who wait.
    pub(crate) fn tell(&mut self, event: impl FnOnce() -> Event, mut wake: impl FnMut(Waker)) {
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

    /// The socket is closed: nothing more will come.
    pub(crate) fn end(&mut self, mut wake: impl FnMut(Waker)) {
        self.ended = true;
        for queue in self.listeners.drain(..).filter_map(|listener| listener.upgrade()) {
            let mut waiting = queue.lock();
            waiting.ended = true;
            waiting.waker.take().map(&mut wake);
        }
    }
}

/// Whoever still listens when the socket is gone, however it went, must not wait for ever.
impl Drop for Hub {
    fn drop(&mut self) {
        let mut wakers = Vec::new();
        self.end(|waker| wakers.push(waker));
        wakers.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_listener_is_told_how_much_it_missed() {
        let mut hub = Hub::default();
        let mut events = hub.subscribe();
        for bytes in 0..MAX_EVENTS + 3 {
            hub.tell(|| Event::Dropped { why: Dropped::NoPeer, pipe: None, bytes }, drop);
        }
        assert!(matches!(events.try_next(), Some(Event::Missed(3))));
        assert!(matches!(events.try_next(), Some(Event::Dropped { bytes: 3, .. })));
    }

    #[test]
    fn whoever_listens_hears_of_the_end() {
        let mut hub = Hub::default();
        let mut events = hub.subscribe();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut events).poll_next(&mut cx).is_pending());
        drop(hub);
        assert!(Pin::new(&mut events).poll_next(&mut cx).is_ready());
    }

    #[test]
    fn nobody_listening_costs_nothing() {
        Hub::default().tell(|| unreachable!(), drop);
    }
}
