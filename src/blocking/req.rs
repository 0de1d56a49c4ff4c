//! [`ReqSocket`] and [`ReqContext`].

use crate::{Message, RecvError, RequestError, SendError};
use std::time::Duration;

twin! {
    /// REQ: sends requests and gets their replies. The blocking twin of [`crate::ReqSocket`].
    ///
    /// Each thread that calls [`request`](Self::request) has a conversation of its own, so any number
    /// of requests may be in flight at once. A request goes to the next peer that has room; when
    /// that peer is lost, or has not replied in the `resend_time`, it goes to another one.
    ReqSocket
}

impl ReqSocket {
    /// Sends a request and waits for its reply.
    ///
    /// Waits for a peer with room and then for the reply, by default for ever; the options
    /// `send_timeout` and `recv_timeout` bound the one and the other.
    ///
    /// # Errors
    /// It could not be sent, and the message comes back; or no reply came.
    pub fn request(&self, message: impl Into<Message>) -> Result<Message, RequestError> {
        let handle = &self.inner.handle;
        let options = handle.options();
        handle.request_blocking(message.into(), options.send_timeout, options.recv_timeout)
    }

    /// [`request`](Self::request), waiting no longer than `timeout` altogether.
    ///
    /// # Errors
    /// As `request`.
    pub fn request_timeout(
        &self,
        message: impl Into<Message>,
        timeout: Duration,
    ) -> Result<Message, RequestError> {
        self.inner.handle.request_blocking_within(message.into(), timeout)
    }

    /// Opens a conversation whose requests and replies are sent and received by separate calls.
    pub fn context(&self) -> ReqContext {
        ReqContext { inner: self.inner.context() }
    }

    /// A descriptor that is readable while a request could be sent at once, for foreign event loops. A
    /// large request may have to wait where a small one has not.
    ///
    /// # Errors
    /// The process has no descriptor left.
    #[cfg(unix)]
    pub fn writable_fd(&self) -> std::io::Result<crate::PollFd> {
        self.inner.writable_fd()
    }
}

/// A conversation of a [`ReqSocket`]: one request at a time, sent and answered by separate calls.
///
/// Dropping it forgets its request.
#[derive(Debug)]
pub struct ReqContext {
    inner: crate::ReqContext,
}

impl ReqContext {
    /// Sends a request. One that was still waiting for its reply is cancelled: whoever waits for it
    /// in [`recv`](Self::recv) gets `Cancelled`, and nothing tells the peer (as in NNG).
    ///
    /// Waits while no peer has room, no longer than the option `send_timeout`.
    ///
    /// # Errors
    /// Every error gives the message back.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let handle = &self.inner.handle;
        handle.send_blocking(self.inner.ctx, message.into(), handle.options().send_timeout)
    }

    /// Sends a request if that needs no waiting.
    ///
    /// # Errors
    /// `Full` or `NoPeer` where `send` would wait.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.inner.try_send(message)
    }

    /// [`send`](Self::send), waiting no longer than `timeout`.
    ///
    /// # Errors
    /// As `send`.
    pub fn send_timeout(&self, message: impl Into<Message>, timeout: Duration) -> Result<(), SendError> {
        self.inner.handle.send_blocking(self.inner.ctx, message.into(), Some(timeout))
    }

    /// Receives the reply to the latest request.
    ///
    /// # Errors
    /// `State` when nothing was asked, `Cancelled` when a newer request took its place, and those
    /// of a request that got no reply.
    pub fn recv(&self) -> Result<Message, RecvError> {
        self.inner.recv_blocking(self.inner.handle.options().recv_timeout)
    }

    /// Receives the reply if it is there.
    ///
    /// # Errors
    /// `Empty` where `recv` would wait.
    pub fn try_recv(&self) -> Result<Message, RecvError> {
        self.inner.try_recv()
    }

    /// [`recv`](Self::recv), waiting no longer than `timeout`. The request goes on after that.
    ///
    /// # Errors
    /// As `recv`.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError> {
        self.inner.recv_blocking(Some(timeout))
    }

    /// A descriptor that is readable while the reply to the latest request, or why there is none, can be
    /// received, for foreign event loops. Dropping the context ends it.
    ///
    /// # Errors
    /// The process has no descriptor left.
    #[cfg(unix)]
    pub fn readable_fd(&self) -> std::io::Result<crate::PollFd> {
        self.inner.readable_fd()
    }
}
