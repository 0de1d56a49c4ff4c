//! [`RepSocket`], [`RespondSocket`], the [`Request`]s they receive, and their contexts.

use super::Requests;
use crate::{Message, RecvError, SendError};
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

twin! {
    /// REP: receives requests, and replies to each of them. The blocking twin of
    /// [`crate::RepSocket`].
    ///
    /// Any number of threads may receive and reply at once.
    RepSocket
}

twin! {
    /// RESPONDENT: receives surveys, and may answer each of them. The blocking twin of
    /// [`crate::RespondSocket`].
    RespondSocket
}

macro_rules! replying_twin {
    ($name:ident) => {
        impl $name {
            /// Receives the next request.
            ///
            /// # Errors
            /// The socket is closed, or the option `recv_timeout` passed.
            pub fn recv(&self) -> Result<Request, RecvError> {
                let handle = &self.inner.handle;
                handle.recv_request_blocking(handle.options().recv_timeout).map(Request::new)
            }

            /// Receives a request if one is there.
            ///
            /// # Errors
            /// `Empty` where `recv` would wait.
            pub fn try_recv(&self) -> Result<Request, RecvError> {
                self.inner.try_recv().map(Request::new)
            }

            /// [`recv`](Self::recv), waiting no longer than `timeout`.
            ///
            /// # Errors
            /// As `recv`.
            pub fn recv_timeout(&self, timeout: Duration) -> Result<Request, RecvError> {
                self.inner.handle.recv_request_blocking(Some(timeout)).map(Request::new)
            }

            /// The requests as an iterator that waits for each, for as long as it takes, and ends when
            /// the socket is closed. It is a clone of the socket.
            pub fn requests(&self) -> Requests {
                Requests::new(self.inner.requests())
            }

            /// Opens a conversation that remembers the request it received last, and replies to it.
            pub fn context(&self) -> RepContext {
                RepContext { inner: self.inner.context() }
            }

            /// A descriptor that is readable while `recv` would not wait, for foreign event loops.
            ///
            /// # Errors
            /// The process has no descriptor left.
            #[cfg(unix)]
            pub fn readable_fd(&self) -> std::io::Result<crate::PollFd> {
                self.inner.readable_fd()
            }
        }
    };
}

replying_twin!(RepSocket);
replying_twin!(RespondSocket);

/// A request, or a survey, that wants a reply. The blocking twin of [`crate::Request`].
///
/// Reads like its body. Dropped without a reply, it is counted as `Unanswered`.
pub struct Request {
    inner: crate::Request,
}

impl Request {
    pub(super) fn new(inner: crate::Request) -> Self {
        Self { inner }
    }

    /// The request as a message; its `pipe` is the peer that the reply will go to.
    pub fn message(&self) -> &Message {
        self.inner.message()
    }

    /// Replies.
    ///
    /// Waits while the peer's outbox is full, no longer than the option `send_timeout`.
    ///
    /// # Errors
    /// `NoSuchPeer` when the peer is gone; the message comes back.
    pub fn reply(self, message: impl Into<Message>) -> Result<(), SendError> {
        let timeout = self.inner.send_timeout();
        self.inner.reply_blocking(message.into(), timeout)
    }

    /// [`reply`](Self::reply), waiting no longer than `timeout`.
    ///
    /// # Errors
    /// As `reply`.
    pub fn reply_timeout(self, message: impl Into<Message>, timeout: Duration) -> Result<(), SendError> {
        self.inner.reply_blocking(message.into(), Some(timeout))
    }

    /// Replies if that needs no waiting.
    ///
    /// # Errors
    /// `Full` where `reply` would wait; the request counts as unanswered then.
    pub fn try_reply(self, message: impl Into<Message>) -> Result<(), SendError> {
        self.inner.try_reply(message)
    }
}

impl Deref for Request {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.inner
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// A conversation of a [`RepSocket`] or [`RespondSocket`]: receive a request, then send its reply.
#[derive(Debug)]
pub struct RepContext {
    inner: crate::RepContext,
}

impl RepContext {
    /// Receives the next request. A former one that has no reply yet is dropped as unanswered.
    ///
    /// # Errors
    /// The socket is closed, or the option `recv_timeout` passed.
    pub fn recv(&self) -> Result<Message, RecvError> {
        self.inner.recv_blocking(self.inner.handle.options().recv_timeout)
    }

    /// Receives a request if one is there.
    ///
    /// # Errors
    /// `Empty` where `recv` would wait.
    pub fn try_recv(&self) -> Result<Message, RecvError> {
        self.inner.try_recv()
    }

    /// [`recv`](Self::recv), waiting no longer than `timeout`.
    ///
    /// # Errors
    /// As `recv`.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError> {
        self.inner.recv_blocking(Some(timeout))
    }

    /// Replies to the request received last. Waits while the peer's outbox is full, no longer than
    /// the option `send_timeout`.
    ///
    /// # Errors
    /// `State` when there is no request to reply to, `NoSuchPeer` when its peer is gone.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let handle = &self.inner.handle;
        handle.send_blocking(self.inner.ctx, message.into(), handle.options().send_timeout)
    }

    /// Replies if that needs no waiting.
    ///
    /// # Errors
    /// `Full` where `send` would wait; the request can still be replied to.
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
}
