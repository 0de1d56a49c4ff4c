//! Many messages at once: `send_many` and `recv_many`, which visit the rules once for many.

use super::Handle;
use super::core::Core;
use super::ops::Sending;
use crate::{Message, RecvError, SendError, SendManyError};
use spanwire_core::pattern::{CtxId, Pattern};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// So many are taken from the caller's iterator before the rules are asked. The iterator may do
/// anything, so it is never asked under the socket's lock.
const CHUNK: usize = 256;

/// What is to be sent, on its way from an iterator.
struct Batch<I> {
    source: I,
    chunk: VecDeque<Message>,
    sent: usize,
}

impl<M: Into<Message>, I: Iterator<Item = M>> Batch<I> {
    fn new(messages: impl IntoIterator<Item = M, IntoIter = I>) -> Self {
        let source = messages.into_iter();
        let most = source.size_hint().1.unwrap_or(CHUNK).min(CHUNK);
        Self { source, chunk: VecDeque::with_capacity(most), sent: 0 }
    }

    /// Sends what needs no waiting, and returns the first message for which somebody has to wait.
    /// A task takes its turn there, if it owes one; with a thread of its own nobody has to.
    fn go_on(&mut self, core: &Arc<Core>, turns: bool) -> Option<Message> {
        loop {
            let room = CHUNK - self.chunk.len();
            self.chunk.extend(self.source.by_ref().take(room).map(Into::into));
            if self.chunk.is_empty() {
                return None;
            }
            if turns && core.owes_turn.load(Ordering::Relaxed) {
                return self.chunk.pop_front();
            }
            let sent = core.send_some(&mut self.chunk);
            self.sent += sent;
            if sent == 0 {
                return self.chunk.pop_front();
            }
        }
    }

    fn failed(self, error: SendError) -> SendManyError {
        SendManyError { sent: self.sent, error, rest: self.chunk.into() }
    }
}

impl Handle {
    /// Sends many; `one` sends a message for which there is no room yet.
    pub(crate) async fn send_many<'a, M: Into<Message>>(
        &'a self,
        messages: impl IntoIterator<Item = M>,
        one: impl Fn(Message) -> Sending<'a>,
    ) -> Result<usize, SendManyError> {
        let mut batch = Batch::new(messages);
        while let Some(message) = batch.go_on(&self.core, true) {
            match one(message).await {
                Ok(()) => batch.sent += 1,
                Err(error) => return Err(batch.failed(error)),
            }
        }
        Ok(batch.sent)
    }

    pub(crate) fn send_many_blocking<M: Into<Message>>(
        &self,
        messages: impl IntoIterator<Item = M>,
        one: impl Fn(Message) -> Result<(), SendError>,
    ) -> Result<usize, SendManyError> {
        let mut batch = Batch::new(messages);
        while let Some(message) = batch.go_on(&self.core, false) {
            match one(message) {
                Ok(()) => batch.sent += 1,
                Err(error) => return Err(batch.failed(error)),
            }
        }
        Ok(batch.sent)
    }

    pub(crate) async fn recv_many(&self, into: &mut Vec<Message>, max: usize) -> Result<usize, RecvError> {
        let ctx = CtxId::DEFAULT;
        let taken = self.core.take_many(ctx, into, max);
        if taken > 0 || max == 0 {
            return Ok(taken);
        }
        into.push(self.recv(ctx, self.options().recv_timeout).await?);
        Ok(1 + self.core.take_many(ctx, into, max - 1))
    }

    pub(crate) fn recv_many_blocking(&self, into: &mut Vec<Message>, max: usize) -> Result<usize, RecvError> {
        let ctx = CtxId::DEFAULT;
        let taken = self.core.take_many(ctx, into, max);
        if taken > 0 || max == 0 {
            return Ok(taken);
        }
        into.push(self.recv_blocking(ctx, self.options().recv_timeout)?);
        Ok(1 + self.core.take_many(ctx, into, max - 1))
    }
}

impl Core {
    /// Takes what is there, up to `max` messages, in one visit.
    fn take_many(self: &Arc<Self>, ctx: CtxId, into: &mut Vec<Message>, max: usize) -> usize {
        loop {
            let taken = self.visit_open(|rule, now, fx| rule.take_many(now, ctx, into, max, fx));
            if taken > 0 || max == 0 || !self.fetch() {
                return taken;
            }
        }
    }
}
