//! [`PubSocket`], [`SubSocket`] and [`SubContext`].

use super::Messages;
use crate::{Message, NotSubscribed, RecvError, SendError, SendManyError};
use std::time::Duration;

twin! {
    /// PUB: sends every message to every subscriber that is connected; they filter. The blocking
    /// twin of [`crate::PubSocket`].
    ///
    /// Never waits for a slow subscriber by default: that one loses its oldest message, which is
    /// counted. [`Options::overflow`](crate::Options) chooses otherwise.
    PubSocket
}

impl PubSocket {
    /// Publishes a message.
    ///
    /// Done at once, except with [`Overflow::Block`](crate::Overflow::Block): then it waits until
    /// every subscriber has room, for no longer than that says.
    ///
    /// # Errors
    /// The socket is closed. The message comes back.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.inner.publish_blocking(message.into(), None)
    }

    /// Publishes a message if that needs no waiting.
    ///
    /// # Errors
    /// `Full`, only with [`Overflow::Block`](crate::Overflow::Block), where `send` would wait.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.inner.try_send(message)
    }

    /// [`send`](Self::send), waiting no longer than `timeout` even with
    /// [`Overflow::Block`](crate::Overflow::Block).
    ///
    /// # Errors
    /// As `send`.
    pub fn send_timeout(&self, message: impl Into<Message>, timeout: Duration) -> Result<(), SendError> {
        self.inner.publish_blocking(message.into(), Some(timeout))
    }

    /// Publishes messages one after the other; returns how many.
    ///
    /// # Errors
    /// The first failure, with its message, how many were sent before it, and those that were taken
    /// from the iterator after it.
    pub fn send_many<M: Into<Message>>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<usize, SendManyError> {
        self.inner.handle.send_many_blocking(messages, |message| self.send(message))
    }

    /// A descriptor that is readable while `send` would not wait, for foreign event loops.
    ///
    /// # Errors
    /// The process has no descriptor left.
    #[cfg(unix)]
    pub fn writable_fd(&self) -> std::io::Result<crate::PollFd> {
        self.inner.writable_fd()
    }
}

twin! {
    /// SUB: gets what publishers send, as far as it begins with a subscribed topic. The blocking
    /// twin of [`crate::SubSocket`].
    ///
    /// Without a subscription nothing is delivered; the empty topic is everything.
    SubSocket
}

receiving_twin!(SubSocket);

impl SubSocket {
    /// Delivers messages that begin with `topic` from now on. Subscribing twice is the same as once.
    pub fn subscribe(&self, topic: impl AsRef<[u8]>) {
        self.inner.subscribe(topic);
    }

    /// Ends a subscription. Waiting messages that no other subscription matches are discarded.
    ///
    /// # Errors
    /// There is no such subscription.
    pub fn unsubscribe(&self, topic: impl AsRef<[u8]>) -> Result<(), NotSubscribed> {
        self.inner.unsubscribe(topic)
    }

    /// Opens another view of the same publishers, with subscriptions and a queue of its own.
    pub fn context(&self) -> SubContext {
        SubContext { inner: self.inner.context() }
    }
}

/// A view of the publishers of a [`SubSocket`], with subscriptions and a queue of its own.
#[derive(Debug)]
pub struct SubContext {
    inner: crate::SubContext,
}

impl SubContext {
    /// Delivers messages that begin with `topic` to this context from now on.
    pub fn subscribe(&self, topic: impl AsRef<[u8]>) {
        self.inner.subscribe(topic);
    }

    /// Ends a subscription of this context.
    ///
    /// # Errors
    /// There is no such subscription.
    pub fn unsubscribe(&self, topic: impl AsRef<[u8]>) -> Result<(), NotSubscribed> {
        self.inner.unsubscribe(topic)
    }

    /// Receives the next message of this context.
    ///
    /// # Errors
    /// The socket is closed, or the option `recv_timeout` passed.
    pub fn recv(&self) -> Result<Message, RecvError> {
        let handle = &self.inner.handle;
        handle.recv_blocking(self.inner.ctx, handle.options().recv_timeout)
    }

    /// Receives a message if one is there.
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
        self.inner.handle.recv_blocking(self.inner.ctx, Some(timeout))
    }

    /// The messages of this context as an iterator that waits for each, and ends when the socket is
    /// closed. The subscriptions are those it has now.
    pub fn into_messages(self) -> Messages {
        Messages::new(self.inner.into_messages())
    }

    /// A descriptor that is readable while `recv` of this context would not wait, for foreign event loops.
    /// Dropping the context ends it.
    ///
    /// # Errors
    /// The process has no descriptor left.
    #[cfg(unix)]
    pub fn readable_fd(&self) -> std::io::Result<crate::PollFd> {
        self.inner.readable_fd()
    }
}
