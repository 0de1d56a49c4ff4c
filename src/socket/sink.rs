//! [`MessageSink`]: a socket that sends, as a sink.

use super::Handle;
use super::ops::{AtLast, In, Put, poll_put, send_error};
use super::passing::Why;
use super::waits::{For, Ticket};
use crate::rt::Patience;
use crate::{Dropped, Message, SendError};
use futures_sink::Sink;
use spanwire_core::pattern::{CtxId, Refusal};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A [`Sink`] that sends what it is given. Flushed means what a returned `send` means: the message
/// is with a peer's outbox.
///
/// At most one message waits in the sink itself, for room; while it does, the sink is not
/// ready. It waits as `send` does, no longer than the option `send_timeout`; then, and whenever else
/// sending fails, the error gives that message back and the sink can go on with the next.
/// Closing the sink flushes it, and leaves the socket open. It is a clone of its socket, so the
/// socket stays open as long as it exists.
///
/// Cancel-safe: dropping a future that feeds or flushes loses nothing; a message that the sink has
/// taken is sent by whatever is done with the sink next. Dropping the sink itself discards it, which is
/// counted as `Cancelled`.
#[derive(Debug)]
pub struct MessageSink {
    handle: Handle,
    put: In,
    /// Longest wait for room.
    timeout: Option<Duration>,
    waiting: Option<Message>,
    ticket: Option<Ticket>,
    patience: Patience,
}

impl MessageSink {
    pub(crate) fn of(handle: &Handle) -> Self {
        Self::new(handle, handle.options().send_timeout, In::context(CtxId::DEFAULT))
    }

    /// One that does something else than fail when it has waited for so long.
    pub(super) fn patient(handle: &Handle, timeout: Option<Duration>, at_last: AtLast) -> Self {
        Self::new(handle, timeout, In::at_last(at_last))
    }

    fn new(handle: &Handle, timeout: Option<Duration>, put: In) -> Self {
        let patience = Patience::new(timeout);
        Self { handle: handle.clone(), put, timeout, waiting: None, ticket: None, patience }
    }

    /// Ready when nothing waits here any more.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let Some(message) = &mut self.waiting else { return Poll::Ready(Ok(())) };
        let core = &self.handle.core;
        let sent = match poll_put(core, message, &mut self.ticket, cx, &mut self.put) {
            Poll::Ready(sent) => sent,
            Poll::Pending => {
                ready!(self.patience.poll(&core.home, cx));
                self.put.late(core, std::mem::take(message))
            }
        };
        self.waiting = None;
        self.patience = Patience::new(self.timeout);
        self.leave();
        Poll::Ready(sent)
    }

    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.handle.core.leave(For::Room, ticket);
        }
    }
}

impl Sink<Message> for MessageSink {
    type Error = SendError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_out(cx)
    }

    /// # Errors
    /// Those of `try_send` for which waiting would not help; and `Full`, if the sink was not ready.
    fn start_send(mut self: Pin<&mut Self>, mut message: Message) -> Result<(), SendError> {
        if self.waiting.is_some() {
            return Err(SendError::Full(message));
        }
        if self.handle.core.owes_turn.load(Ordering::Relaxed) {
            self.waiting = Some(message);
            return Ok(());
        }
        match self.handle.core.send(CtxId::DEFAULT, &mut message) {
            Ok(()) => Ok(()),
            Err(Why::Refused(Refusal::Full | Refusal::NoPeer)) => {
                self.waiting = Some(message);
                Ok(())
            }
            Err(why) => Err(send_error(why, message)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_out(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_out(cx)
    }
}

impl Drop for MessageSink {
    fn drop(&mut self) {
        self.leave();
        if let Some(message) = self.waiting.take() {
            self.handle.core.discard(Dropped::Cancelled, None, message.len());
        }
    }
}
