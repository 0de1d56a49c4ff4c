//! [`SubSocket`] and its contexts.

use super::{Handle, Messages};
use crate::{Message, NotSubscribed, RecvError};
use spanwire_core::pattern::{CtxId, Pattern, Rules, Sub};
use std::time::Duration;

socket! {
    /// SUB: gets what publishers send, as far as it begins with a subscribed topic.
    ///
    /// Without a subscription nothing is delivered; the empty topic is everything. A full queue
    /// drops its oldest message, or by [`Options::prefer`](crate::Options) the newest; both are
    /// counted.
    SubSocket, Sub, |options: &_| Rules::from(Sub::new(options))
}

receiving_methods!(SubSocket);

impl SubSocket {
    /// Delivers messages that begin with `topic` from now on. Subscribing twice is the same as once.
    pub fn subscribe(&self, topic: impl AsRef<[u8]>) {
        self.handle.subscribe(CtxId::DEFAULT, topic.as_ref());
    }

    /// Ends a subscription. Waiting messages that no other subscription matches are discarded.
    ///
    /// # Errors
    /// There is no such subscription.
    pub fn unsubscribe(&self, topic: impl AsRef<[u8]>) -> Result<(), NotSubscribed> {
        self.handle.unsubscribe(CtxId::DEFAULT, topic.as_ref())
    }

    /// Opens another view of the same publishers, with subscriptions and a queue of its own.
    pub fn context(&self) -> SubContext {
        let ctx = self.handle.core.ask(|rule: &mut Sub, _, _| rule.open());
        SubContext { handle: self.handle.clone(), ctx }
    }
}

impl Handle {
    fn subscribe(&self, ctx: CtxId, topic: &[u8]) {
        self.core.ask(|rule: &mut Sub, _, _| rule.subscribe(ctx, topic));
    }

    fn unsubscribe(&self, ctx: CtxId, topic: &[u8]) -> Result<(), NotSubscribed> {
        self.core.ask(|rule: &mut Sub, _, fx| rule.unsubscribe(ctx, topic, fx))
    }
}

/// A view of the publishers of a [`SubSocket`], with subscriptions and a queue of its own.
#[derive(Debug)]
pub struct SubContext {
    pub(crate) handle: Handle,
    pub(crate) ctx: CtxId,
}

impl SubContext {
    /// Delivers messages that begin with `topic` to this context from now on.
    pub fn subscribe(&self, topic: impl AsRef<[u8]>) {
        self.handle.subscribe(self.ctx, topic.as_ref());
    }

    /// Ends a subscription of this context.
    ///
    /// # Errors
    /// There is no such subscription.
    pub fn unsubscribe(&self, topic: impl AsRef<[u8]>) -> Result<(), NotSubscribed> {
        self.handle.unsubscribe(self.ctx, topic.as_ref())
    }

    /// Receives the next message of this context. Cancel-safe.
    ///
    /// # Errors
    /// The socket is closed, or the option `recv_timeout` passed.
    pub async fn recv(&self) -> Result<Message, RecvError> {
        self.handle.recv(self.ctx, self.handle.options().recv_timeout).await
    }

    /// Receives a message if one is there.
    ///
    /// # Errors
    /// `Empty` where `recv` would wait.
    pub fn try_recv(&self) -> Result<Message, RecvError> {
        self.handle.try_recv(self.ctx)
    }

    /// [`recv`](Self::recv), waiting no longer than `timeout`.
    ///
    /// # Errors
    /// As `recv`.
    pub async fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError> {
        self.handle.recv(self.ctx, Some(timeout)).await
    }

    /// The messages of this context as a stream that ends when the socket is closed. The
    /// subscriptions are those it has now.
    pub fn into_messages(self) -> Messages {
        Messages::of_context(self)
    }

    /// A descriptor that is readable while `recv` of this context would not wait, for foreign event loops.
    /// Dropping the context ends it.
    ///
    /// # Errors
    /// The process has no descriptor left.
    #[cfg(unix)]
    pub fn readable_fd(&self) -> std::io::Result<crate::PollFd> {
        self.handle.poll_fd(super::Ready::ToRecv(self.ctx))
    }
}

impl Drop for SubContext {
    fn drop(&mut self) {
        #[cfg(unix)]
        self.handle.core.unwatch_context(self.ctx);
        self.handle.core.ask(|rule: &mut Sub, now, fx| rule.close(now, self.ctx, fx));
    }
}
