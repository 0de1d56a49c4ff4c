//! [`Events`].

use crate::rt;
use crate::{Event, RecvError};
use std::time::{Duration, Instant};

/// The events of a socket, from the call that made this on: an iterator that waits for each, and
/// ends when the socket is closed and all were taken.
#[derive(Debug)]
pub struct Events {
    inner: crate::Events,
}

impl Events {
    pub(super) fn new(inner: crate::Events) -> Self {
        Self { inner }
    }

    /// The next event if there is one.
    pub fn try_next(&mut self) -> Option<Event> {
        self.inner.try_next()
    }

    /// The next event, waiting no longer than `timeout`.
    ///
    /// # Errors
    /// `TimedOut`, or `Closed` once the socket is closed and all events were taken.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Event, RecvError> {
        let deadline = Instant::now().checked_add(timeout);
        match rt::block_until(self.inner.next(), deadline) {
            Some(Some(event)) => Ok(event),
            Some(None) => Err(RecvError::Closed),
            None => Err(RecvError::TimedOut),
        }
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        rt::block_on(self.inner.next())
    }
}
