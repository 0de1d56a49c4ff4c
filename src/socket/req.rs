//! [`ReqSocket`] and its contexts.

use super::Handle;
use super::core::{Core, own};
use super::ops::{Get, In, Put, Ticketed, Wait, recv_error};
use super::passing::{NoMessage, Why};
use crate::{Message, RecvError, RequestError, SendError};
use spanwire_core::pattern::{CtxId, Pattern, Req, Rules};
use std::sync::Arc;
use std::time::Duration;

socket! {
    /// REQ: sends requests and gets their replies.
    ///
    /// Any number of requests may be in flight at once, each a conversation of its own. A request
    /// goes to the next peer that has room; when that peer is lost, or has not replied in the
    /// `resend_time`, it goes to another one, with the same id: a request may reach more than one
    /// replier, but only one reply is returned.
    ReqSocket, Req, |options: &_| Rules::from(Req::new(options, super::random_seed()))
}

impl ReqSocket {
    /// Sends a request and waits for its reply.
    ///
    /// Waits for a peer with room and then for the reply, by default for ever; the options
    /// `send_timeout` and `recv_timeout` bound the one and the other. Cancel-safe: dropped before
    /// it is done, the request is forgotten here (the peer may have it already).
    ///
    /// # Errors
    /// It could not be sent, and the message comes back; or no reply came.
    pub async fn request(&self, message: impl Into<Message>) -> Result<Message, RequestError> {
        let core = &self.handle.core;
        let mut request = InFlight { core, ctx: CtxId::DEFAULT };
        let mut message = message.into();
        // Most often there is room, and the message goes from here.
        if !core.send_now(&mut message, &mut &mut request) {
            core.send_within(message, core.options.send_timeout, &mut request).await?;
        }
        Ok(core.recv_within(request.ctx, core.options.recv_timeout, &mut request).await?)
    }

    /// [`request`](Self::request), waiting no longer than `timeout` altogether.
    ///
    /// # Errors
    /// As `request`.
    pub async fn request_timeout(
        &self,
        message: impl Into<Message>,
        timeout: Duration,
    ) -> Result<Message, RequestError> {
        let until = crate::rt::now() + timeout;
        let core = &self.handle.core;
        let mut request = InFlight { core, ctx: CtxId::DEFAULT };
        core.send_within(message.into(), Some(timeout), &mut request).await?;
        let left = until - crate::rt::now();
        Ok(core.recv_within(request.ctx, Some(left), &mut request).await?)
    }

    /// Opens a conversation whose requests and replies are sent and received by separate calls.
    pub fn context(&self) -> ReqContext {
        let ctx = self.handle.core.ask(|rule: &mut Req, _, _| rule.open());
        ReqContext { handle: self.handle.clone(), ctx }
    }

    /// A descriptor that is readable while a request could be sent at once, for foreign event loops. A
    /// large request may have to wait where a small one has not.
    ///
    /// # Errors
    /// The process has no descriptor left.
    #[cfg(unix)]
    pub fn writable_fd(&self) -> std::io::Result<crate::PollFd> {
        self.handle.poll_fd(super::Ready::ToSend(CtxId::DEFAULT))
    }
}

impl Handle {
    pub(crate) fn request_blocking(
        &self,
        message: Message,
        send: Option<Duration>,
        recv: Option<Duration>,
    ) -> Result<Message, RequestError> {
        Ok(send_request_blocking(&self.core, message, send)?.reply_blocking(recv)?)
    }

    pub(crate) fn request_blocking_within(
        &self,
        message: Message,
        timeout: Duration,
    ) -> Result<Message, RequestError> {
        let until = crate::rt::now() + timeout;
        let request = send_request_blocking(&self.core, message, Some(timeout))?;
        Ok(request.reply_blocking(Some(until - crate::rt::now()))?)
    }
}

fn send_request_blocking(
    core: &Arc<Core>,
    message: Message,
    timeout: Option<Duration>,
) -> Result<InFlight<'_>, SendError> {
    let mut request = InFlight { core, ctx: CtxId::DEFAULT };
    core.send_blocking(message, timeout, &mut request)?;
    Ok(request)
}

/// A request that was sent. Dropping it forgets it.
struct InFlight<'a> {
    core: &'a Arc<Core>,
    /// The default one, which requests of this kind never use, while there is none.
    ctx: CtxId,
}

/// Opens a context and sends in it, in one visit to the rules.
impl Put for &mut InFlight<'_> {
    fn put(&mut self, core: &Arc<Core>, message: &mut Message) -> Result<(), Why> {
        core.send_by(message, |rule, now, message, fx| {
            let rule = own::<Req>(rule);
            let ctx = rule.open();
            match rule.put(now, ctx, message, fx) {
                Ok(()) => self.ctx = ctx,
                Err(refused) => {
                    rule.close(now, ctx, fx);
                    return Err(refused);
                }
            }
            Ok(())
        })
    }
}

/// Takes the reply, and closes the context with it.
impl Get for &mut InFlight<'_> {
    fn get_into(
        &mut self,
        core: &Arc<Core>,
        message: &mut Option<Message>,
        wait: Wait<'_>,
    ) -> Result<(), NoMessage> {
        let ctx = self.ctx;
        core.take(ctx, message, wait, |rule, now, message, fx| {
            let rule = own::<Req>(rule);
            rule.take_into(now, ctx, message, fx)?;
            rule.close(now, ctx, fx);
            Ok(())
        })?;
        self.ctx = CtxId::DEFAULT;
        Ok(())
    }
}

impl InFlight<'_> {
    fn reply_blocking(mut self, timeout: Option<Duration>) -> Result<Message, RecvError> {
        self.core.recv_blocking(self.ctx, timeout, &mut self)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.ctx != CtxId::DEFAULT {
            self.core.ask(|rule: &mut Req, now, fx| rule.close(now, self.ctx, fx));
        }
    }
}

/// A conversation of a [`ReqSocket`]: one request at a time, sent and answered by separate calls.
///
/// Dropping it forgets its request.
#[derive(Debug)]
pub struct ReqContext {
    pub(crate) handle: Handle,
    pub(crate) ctx: CtxId,
}

impl ReqContext {
    /// Sends a request. One that was still waiting for its reply is cancelled: whoever waits for it
    /// in [`recv`](Self::recv) gets `Cancelled`, and nothing tells the peer (as in NNG).
    ///
    /// Waits while no peer has room. Cancel-safe: dropped before it is done, nothing is sent, and
    /// the former request goes on.
    ///
    /// # Errors
    /// Every error gives the message back.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.handle.send(self.ctx, message.into()).await
    }

    /// Sends a request if that needs no waiting.
    ///
    /// # Errors
    /// `Full` or `NoPeer` where `send` would wait.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.handle.try_send(self.ctx, message.into())
    }

    /// [`send`](Self::send), waiting no longer than `timeout`.
    ///
    /// # Errors
    /// As `send`.
    pub async fn send_timeout(
        &self,
        message: impl Into<Message>,
        timeout: Duration,
    ) -> Result<(), SendError> {
        self.handle.send_timeout(self.ctx, message.into(), Some(timeout)).await
    }

    /// Receives the reply to the latest request. Cancel-safe: dropped before it is done, the
    /// request goes on.
    ///
    /// # Errors
    /// `State` when nothing was asked, `Cancelled` when a newer request took its place, and those
    /// of a request that got no reply.
    pub async fn recv(&self) -> Result<Message, RecvError> {
        self.recv_within(self.handle.options().recv_timeout).await
    }

    /// [`recv`](Self::recv), waiting no longer than `timeout`. The request goes on after that.
    ///
    /// # Errors
    /// As `recv`.
    pub async fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError> {
        self.recv_within(Some(timeout)).await
    }

    /// Receives the reply if it is there.
    ///
    /// # Errors
    /// `Empty` where `recv` would wait.
    pub fn try_recv(&self) -> Result<Message, RecvError> {
        let core = &self.handle.core;
        In::context(self.ctx).get(core, None).map_err(recv_error)
    }

    /// A descriptor that is readable while the reply to the latest request, or why there is none, can be
    /// received, for foreign event loops. Dropping the context ends it.
    ///
    /// # Errors
    /// The process has no descriptor left.
    #[cfg(unix)]
    pub fn readable_fd(&self) -> std::io::Result<crate::PollFd> {
        self.handle.poll_fd(super::Ready::ToRecv(self.ctx))
    }

    async fn recv_within(&self, timeout: Option<Duration>) -> Result<Message, RecvError> {
        self.handle.core.recv_within(self.ctx, timeout, self.reply()).await
    }

    pub(crate) fn recv_blocking(&self, timeout: Option<Duration>) -> Result<Message, RecvError> {
        self.handle.core.recv_blocking(self.ctx, timeout, self.reply())
    }

    fn reply(&self) -> Ticketed<Req> {
        Ticketed::latest(&self.handle.core, self.ctx)
    }
}

impl Drop for ReqContext {
    fn drop(&mut self) {
        #[cfg(unix)]
        self.handle.core.unwatch_context(self.ctx);
        self.handle.core.ask(|rule: &mut Req, now, fx| rule.close(now, self.ctx, fx));
    }
}
