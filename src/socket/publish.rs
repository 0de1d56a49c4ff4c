//! [`PubSocket`].

use super::MessageSink;
use super::core::{Core, own};
use super::ops::{Sending, send_error};
use crate::{Message, Overflow, SendError, SendManyError};
use spanwire_core::pattern::{CtxId, Pub, Rules};
use std::sync::Arc;
use std::time::Duration;

socket! {
    /// PUB: sends every message to every subscriber that is connected; they filter.
    ///
    /// Never waits for a slow subscriber by default: that one loses its oldest message, which is
    /// counted. [`Options::overflow`](crate::Options) chooses otherwise. Subscribers that connect
    /// later miss what was sent before; `wait_peers` helps at the start.
    PubSocket, Pub, |options: &_| Rules::from(Pub::new(options))
}

impl PubSocket {
    /// Publishes a message.
    ///
    /// Done at once, except with [`Overflow::Block`]: then it waits until every subscriber has
    /// room, for no longer than that says. Cancel-safe: dropped before it is done, nothing is sent.
    ///
    /// # Errors
    /// The socket is closed. The message comes back.
    #[inline]
    pub fn send(&self, message: impl Into<Message>) -> Sending<'_> {
        self.publish(message.into(), None)
    }

    /// Publishes a message if that needs no waiting.
    ///
    /// # Errors
    /// `Full`, only with [`Overflow::Block`], where `send` would wait.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.handle.try_send(CtxId::DEFAULT, message.into())
    }

    /// [`send`](Self::send), waiting no longer than `timeout` even with [`Overflow::Block`].
    ///
    /// # Errors
    /// As `send`.
    pub fn send_timeout(&self, message: impl Into<Message>, timeout: Duration) -> Sending<'_> {
        self.publish(message.into(), Some(timeout))
    }

    /// Publishes messages one after the other; returns how many.
    ///
    /// # Errors
    /// The first failure, with its message, how many were sent before it, and those that were taken
    /// from the iterator after it.
    pub async fn send_many<M: Into<Message>>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<usize, SendManyError> {
        self.handle.send_many(messages, |message| self.send(message)).await
    }

    /// The socket as a [`Sink`](futures_sink::Sink); it waits as [`send`](Self::send) does.
    pub fn sink(&self) -> MessageSink {
        MessageSink::patient(&self.handle, patience(&self.handle.core, None), publish_anyway)
    }

    /// A descriptor that is readable while `send` would not wait, for foreign event loops.
    ///
    /// # Errors
    /// The process has no descriptor left.
    #[cfg(unix)]
    pub fn writable_fd(&self) -> std::io::Result<crate::PollFd> {
        self.handle.poll_fd(super::Ready::ToSend(CtxId::DEFAULT))
    }

    #[inline]
    fn publish(&self, message: Message, timeout: Option<Duration>) -> Sending<'_> {
        let core = &self.handle.core;
        Sending::patient(core, message, patience(core, timeout), publish_anyway)
    }

    /// `publish` for a thread.
    pub(crate) fn publish_blocking(
        &self,
        message: Message,
        timeout: Option<Duration>,
    ) -> Result<(), SendError> {
        let patience = patience(&self.handle.core, timeout);
        match self.handle.send_blocking(CtxId::DEFAULT, message, patience) {
            Err(SendError::TimedOut(message)) => publish_anyway(&self.handle.core, message),
            done => done,
        }
    }
}

/// How long a publisher waits for room. Without [`Overflow::Block`] only a closed socket refuses.
#[inline]
fn patience(core: &Core, timeout: Option<Duration>) -> Option<Duration> {
    match core.options.overflow {
        Overflow::Block(patience) => Some(timeout.map_or(patience, |timeout| timeout.min(patience))),
        _ => None,
    }
}

/// Publishes over the heads of subscribers without room.
fn publish_anyway(core: &Arc<Core>, mut message: Message) -> Result<(), SendError> {
    let sent = core.send_by(&mut message, |rule, now, message, fx| {
        own::<Pub>(rule).publish_anyway(now, message, fx);
        Ok(())
    });
    sent.map_err(|why| send_error(why, message))
}
