//! The same waits for threads instead of tasks: what the blocking twin is made of.
//!
//! Each asks the rules first, in the caller's thread, and only parks it when they have to be asked
//! again later; nothing is allocated and no runtime is entered for a call that is done at once.

use super::Handle;
use super::core::{Core, NoMessage, Why};
use super::ops::{Get, Put, SendOp, recv_error, send_error};
use super::receiver::Receiver;
use crate::rt;
use crate::{Message, RecvError, SendError, SendManyError};
use spanwire_core::pattern::{CtxId, Nothing, Pattern, Refusal};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// When a wait of this length is over; `None` when it never is.
fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(timeout?)
}

impl Core {
    /// Sends, waiting for room no longer than `timeout`.
    pub(super) fn send_blocking<P: Put>(
        self: &Arc<Self>,
        message: Message,
        timeout: Option<Duration>,
        put: P,
    ) -> Result<(), SendError> {
        let message = match put(self, message) {
            Ok(()) => return Ok(()),
            Err((Why::Refused(Refusal::Full | Refusal::NoPeer), message)) => message,
            Err((why, message)) => return Err(send_error(why, message)),
        };
        // A turn that is owed to other tasks is no concern of a thread of its own.
        self.owes_turn.store(false, Ordering::Relaxed);
        let mut op = SendOp::new(self, message, put);
        match rt::block_until(&mut op, deadline(timeout)) {
            Some(result) => result,
            None => Err(SendError::TimedOut(op.give_up().unwrap_or_default())),
        }
    }

    /// Receives, waiting no longer than `timeout`.
    pub(super) fn recv_blocking<G: Get>(
        self: &Arc<Self>,
        ctx: CtxId,
        timeout: Option<Duration>,
        mut get: G,
    ) -> Result<Message, RecvError> {
        match get(self, None) {
            Ok(message) => Ok(message),
            Err(NoMessage::Nothing(Nothing::Yet)) => {
                let taken = Receiver::block(self, ctx, deadline(timeout), &mut get);
                taken.map_or(Err(RecvError::TimedOut), |taken| taken.map_err(recv_error))
            }
            Err(why) => Err(recv_error(why)),
        }
    }
}

impl Handle {
    pub(crate) fn send_blocking(
        &self,
        ctx: CtxId,
        message: Message,
        timeout: Option<Duration>,
    ) -> Result<(), SendError> {
        self.core.send_blocking(message, timeout, |core, message| core.send(ctx, message))
    }

    pub(crate) fn send_many_blocking<M: Into<Message>>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<usize, SendManyError> {
        let mut sent = 0;
        for message in messages {
            match self.send_blocking(CtxId::DEFAULT, message.into(), self.options().send_timeout) {
                Ok(()) => sent += 1,
                Err(error) => return Err(SendManyError { sent, error }),
            }
        }
        Ok(sent)
    }

    pub(crate) fn recv_blocking(&self, ctx: CtxId, timeout: Option<Duration>) -> Result<Message, RecvError> {
        self.core.recv_blocking(ctx, timeout, |core, wait| {
            core.take(ctx, wait, |rule, now, fx| rule.take(now, ctx, fx))
        })
    }

    pub(crate) fn recv_many_blocking(&self, into: &mut Vec<Message>, max: usize) -> Result<usize, RecvError> {
        if max == 0 {
            return Ok(0);
        }
        into.push(self.recv_blocking(CtxId::DEFAULT, self.options().recv_timeout)?);
        Ok(1 + self.core.take_many(CtxId::DEFAULT, into, max - 1))
    }
}
