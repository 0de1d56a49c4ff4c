//! [`Logical`]: a channel by address and id, which is opened on use and again after a loss.

use crate::mux as hands;
use crate::mux::{
    Account, ChannelId, CloseReport, FlushError, LogicalRecvError, LogicalSendError, LogicalStats,
};
use crate::rt::block_on;
use bytes::Bytes;
use std::time::Duration;

/// See [`mux::Logical`](crate::mux::Logical).
#[derive(Clone, Debug)]
pub struct Logical {
    inner: hands::Logical,
}

impl Logical {
    pub(super) fn new(inner: hands::Logical) -> Self {
        Self { inner }
    }

    /// What it is called.
    pub fn id(&self) -> &ChannelId {
        self.inner.id()
    }

    /// The address.
    pub fn url(&self) -> &str {
        self.inner.url()
    }

    /// The same for `async` code.
    pub fn as_async(&self) -> &hands::Logical {
        &self.inner
    }

    /// Sends a message; opens a channel if there is none, and waits for room.
    ///
    /// # Errors
    /// See [`LogicalSendError`].
    pub fn send(&self, body: impl Into<Bytes>) -> Result<(), LogicalSendError> {
        block_on(self.inner.send(body))
    }

    /// [`send`](Self::send), no longer than this.
    ///
    /// # Errors
    /// [`LogicalSendError::TimedOut`], too.
    pub fn send_timeout(&self, body: impl Into<Bytes>, timeout: Duration) -> Result<(), LogicalSendError> {
        block_on(self.inner.send_timeout(body, timeout))
    }

    /// Sends a message if there is a channel and room.
    ///
    /// # Errors
    /// [`LogicalSendError::Full`], too.
    pub fn try_send(&self, body: impl Into<Bytes>) -> Result<(), LogicalSendError> {
        self.inner.try_send(body)
    }

    /// Receives the next message; opens a channel if there is none, and waits.
    ///
    /// # Errors
    /// See [`LogicalRecvError`].
    pub fn recv(&self) -> Result<Bytes, LogicalRecvError> {
        block_on(self.inner.recv())
    }

    /// [`recv`](Self::recv), no longer than this.
    ///
    /// # Errors
    /// [`LogicalRecvError::TimedOut`], too.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Bytes, LogicalRecvError> {
        block_on(self.inner.recv_timeout(timeout))
    }

    /// Receives a message if one is here.
    ///
    /// # Errors
    /// [`LogicalRecvError::Empty`], too.
    pub fn try_recv(&self) -> Result<Bytes, LogicalRecvError> {
        self.inner.try_recv()
    }

    /// Waits until the peer's program has everything that was sent so far in its queue.
    ///
    /// # Errors
    /// [`FlushError::Lost`].
    pub fn flush(&self) -> Result<(), FlushError> {
        block_on(self.inner.flush())
    }

    /// [`flush`](Self::flush), no longer than this.
    ///
    /// # Errors
    /// [`FlushError::TimedOut`], too.
    pub fn flush_timeout(&self, timeout: Duration) -> Result<(), FlushError> {
        block_on(self.inner.flush_timeout(timeout))
    }

    /// What became of what was sent, on all of its channels.
    pub fn account(&self) -> Account {
        self.inner.account()
    }

    /// What it has counted.
    pub fn stats(&self) -> LogicalStats {
        self.inner.stats()
    }

    /// Closes: see [`mux::Logical::close`](crate::mux::Logical::close).
    pub fn close(&self, timeout: Duration) -> CloseReport {
        block_on(self.inner.close(timeout))
    }
}
