//! The same waits for threads instead of tasks: what the blocking twin is made of.
//!
//! Each asks the rules first, in the caller's thread, and only parks it when they have to be asked
//! again later; nothing is allocated and no runtime is entered for a call that is done at once.

use super::Handle;
use super::core::{CloseReport, Core};
use super::ops::{Get, In, Put, SendOp, recv_error, send_error};
use super::passing::{NoMessage, Why};
use super::receiver::Receiver;
use crate::rt;
use crate::{Message, RecvError, SendError};
use spanwire_core::pattern::{CtxId, Nothing, Refusal};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// When a wait of this length is over; `None` when it never is.
fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(timeout?)
}

impl Core {
    /// Sends, waiting for room no longer than `timeout`.
    pub(super) fn send_blocking<P: Put>(
        self: &Arc<Self>,
        mut message: Message,
        timeout: Option<Duration>,
        mut put: P,
    ) -> Result<(), SendError> {
        match put.put(self, &mut message) {
            Ok(()) => return Ok(()),
            Err(Why::Refused(Refusal::Full | Refusal::NoPeer)) => {}
            Err(why) => return Err(send_error(why, message)),
        }
        // A turn that is owed to other tasks is no concern of a thread of its own.
        self.owes_turn.store(false, Ordering::Relaxed);
        let mut op = SendOp::new(self, message, None, put);
        rt::block_until(&mut op, deadline(timeout)).unwrap_or_else(|| op.give_up())
    }

    /// Receives, waiting no longer than `timeout`.
    pub(super) fn recv_blocking<G: Get>(
        self: &Arc<Self>,
        ctx: CtxId,
        timeout: Option<Duration>,
        mut get: G,
    ) -> Result<Message, RecvError> {
        match get.get(self, None) {
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
        self.core.send_blocking(message, timeout, In::context(ctx))
    }

    pub(crate) fn recv_blocking(&self, ctx: CtxId, timeout: Option<Duration>) -> Result<Message, RecvError> {
        self.core.recv_blocking(ctx, timeout, In::context(ctx))
    }

    /// Closes on the library's thread: to wake its tasks from here is a system call for each.
    pub(crate) fn close_blocking(&self, deadline: Duration) -> CloseReport {
        let (core, (tell, closed)) = (self.core.clone(), oneshot::channel());
        self.core.home.spawn(async move {
            // Whoever asked waits for it.
            let _ = tell.send(core.close(deadline).await);
        });
        rt::block_on(closed).unwrap_or_else(|_| rt::block_on(self.core.close(deadline)))
    }
}
