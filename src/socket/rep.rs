//! [`RepSocket`], [`RespondSocket`], the [`Request`]s they receive, and their contexts.

use super::core::{Core, own};
use super::ops::{Get, Put, Wait, recv_error, send_error};
use super::passing::{NoMessage, Why};
use super::{Handle, Requests};
use crate::{Dropped, Header, Message, PipeId, RecvError, SendError};
use spanwire_core::pattern::{CtxId, Pattern, Rep, Rules};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

socket! {
    /// REP: receives requests, and replies to each of them.
    ///
    /// Requests are taken fairly from all peers; any number may be worked on at once, since each
    /// [`Request`] knows where its reply has to go.
    RepSocket, Rep, |options: &_| Rules::from(Rep::new(options))
}

socket! {
    /// RESPONDENT: receives surveys, and may answer each of them.
    RespondSocket, Respondent, |options: &_| Rules::from(Rep::new(options))
}

macro_rules! replying_methods {
    ($name:ident) => {
        impl $name {
            /// Receives the next request.
            ///
            /// Cancel-safe: dropped before it is done, no request is taken.
            ///
            /// # Errors
            /// The socket is closed, or the option `recv_timeout` passed.
            pub async fn recv(&self) -> Result<Request, RecvError> {
                let (core, ctx) = (&self.handle.core, CtxId::DEFAULT);
                let message = core.recv_within(ctx, core.options.recv_timeout, TakeRequest).await?;
                Ok(Request::new(&self.handle, message))
            }

            /// Receives a request if one is there.
            ///
            /// # Errors
            /// `Empty` where `recv` would wait.
            pub fn try_recv(&self) -> Result<Request, RecvError> {
                self.handle.try_recv_request()
            }

            /// [`recv`](Self::recv), waiting no longer than `timeout`.
            ///
            /// # Errors
            /// As `recv`.
            pub async fn recv_timeout(&self, timeout: Duration) -> Result<Request, RecvError> {
                let (core, ctx) = (&self.handle.core, CtxId::DEFAULT);
                let message = core.recv_within(ctx, Some(timeout), TakeRequest).await?;
                Ok(Request::new(&self.handle, message))
            }

            /// The requests as a stream that ends when the socket is closed.
            pub fn requests(&self) -> Requests {
                Requests::of(&self.handle)
            }

            /// Opens a conversation that remembers the request it received last, and replies to it.
            pub fn context(&self) -> RepContext {
                let ctx = self.handle.core.ask(|rule: &mut Rep, _, _| rule.open());
                RepContext { handle: self.handle.clone(), ctx }
            }

            /// A descriptor that is readable while `recv` would not wait, for foreign event loops.
            ///
            /// # Errors
            /// The process has no descriptor left.
            #[cfg(unix)]
            pub fn readable_fd(&self) -> std::io::Result<crate::PollFd> {
                self.handle.poll_fd(super::Ready::ToRecv(CtxId::DEFAULT))
            }
        }
    };
}

replying_methods!(RepSocket);
replying_methods!(RespondSocket);

impl Handle {
    pub(crate) fn recv_request_blocking(&self, timeout: Option<Duration>) -> Result<Request, RecvError> {
        let taken = self.core.recv_blocking(CtxId::DEFAULT, timeout, TakeRequest);
        Ok(Request::new(self, taken?))
    }

    fn try_recv_request(&self) -> Result<Request, RecvError> {
        let taken = TakeRequest.get(&self.core, None);
        Ok(Request::new(self, taken.map_err(recv_error)?))
    }
}

/// Takes a request that no context remembers.
pub(super) struct TakeRequest;

impl Get for TakeRequest {
    #[inline]
    fn get_into(
        &mut self,
        core: &Arc<Core>,
        message: &mut Option<Message>,
        wait: Wait<'_>,
    ) -> Result<(), NoMessage> {
        core.take(CtxId::DEFAULT, message, wait, |rule, now, message, fx| {
            *message = Some(own::<Rep>(rule).take_request(now, fx)?);
            Ok(())
        })
    }
}

/// A request, or a survey, that wants a reply.
///
/// Reads like its body. Dropped without a reply, it is counted as `Unanswered`. As long as it
/// lives, its socket stays open.
pub struct Request {
    /// Keeps the socket open: a request that is worked on elsewhere can still be replied to.
    handle: Handle,
    pipe: Option<PipeId>,
    backtrace: Header,
    message: Message,
    open: bool,
}

impl Request {
    pub(super) fn new(handle: &Handle, mut message: Message) -> Self {
        let backtrace = std::mem::take(message.header_mut());
        Self { handle: handle.clone(), pipe: message.pipe(), backtrace, message, open: true }
    }

    /// The request as a message; its `pipe` is the peer that the reply will go to.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Replies.
    ///
    /// Waits while the peer's outbox is full, no longer than the option `send_timeout`.
    /// Cancel-safe: dropped before it is done, nothing is sent, and the request counts as
    /// unanswered.
    ///
    /// # Errors
    /// `NoSuchPeer` when the peer is gone; the message comes back.
    pub async fn reply(mut self, message: impl Into<Message>) -> Result<(), SendError> {
        let mut message = message.into();
        // Most often there is room, and the message goes from here.
        if self.handle.core.send_now(&mut message, &mut &self) {
            self.open = false;
            return Ok(());
        }
        let timeout = self.send_timeout();
        self.reply_within(message, timeout).await
    }

    /// [`reply`](Self::reply), waiting no longer than `timeout`.
    ///
    /// # Errors
    /// As `reply`.
    pub async fn reply_timeout(
        self,
        message: impl Into<Message>,
        timeout: Duration,
    ) -> Result<(), SendError> {
        self.reply_within(message.into(), Some(timeout)).await
    }

    /// Replies if that needs no waiting.
    ///
    /// # Errors
    /// `Full` where `reply` would wait; the request counts as unanswered then.
    pub fn try_reply(mut self, message: impl Into<Message>) -> Result<(), SendError> {
        let mut message = message.into();
        let sent = (&self).put(&self.handle.core, &mut message);
        self.open = sent.is_err();
        sent.map_err(|why| send_error(why, message))
    }

    async fn reply_within(mut self, message: Message, timeout: Option<Duration>) -> Result<(), SendError> {
        let sent = self.handle.core.send_within(message, timeout, &self).await;
        self.open = sent.is_err();
        sent
    }

    pub(crate) fn reply_blocking(
        mut self,
        message: Message,
        timeout: Option<Duration>,
    ) -> Result<(), SendError> {
        let sent = self.handle.core.send_blocking(message, timeout, &self);
        self.open = sent.is_err();
        sent
    }

    /// How long a reply waits for room, if nobody says otherwise.
    pub(crate) fn send_timeout(&self) -> Option<Duration> {
        self.handle.options().send_timeout
    }
}

/// Sends the reply.
impl Put for &Request {
    fn put(&mut self, core: &Arc<Core>, message: &mut Message) -> Result<(), Why> {
        core.send_by(message, |rule, _, message, fx| match self.pipe {
            Some(pipe) => own::<Rep>(rule).reply(pipe, self.backtrace.clone(), message, fx),
            None => Err(spanwire_core::pattern::Refusal::NoSuchPeer),
        })
    }
}

impl Deref for Request {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.message.body()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("message", &self.message).finish_non_exhaustive()
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.open {
            self.handle.core.discard(Dropped::Unanswered, self.pipe, self.message.len());
        }
    }
}

/// A conversation of a [`RepSocket`] or [`RespondSocket`]: receive a request, then send its reply.
#[derive(Debug)]
pub struct RepContext {
    pub(crate) handle: Handle,
    pub(crate) ctx: CtxId,
}

impl RepContext {
    /// Receives the next request. A former one that has no reply yet is dropped as unanswered.
    /// Cancel-safe.
    ///
    /// # Errors
    /// The socket is closed, or the option `recv_timeout` passed.
    pub async fn recv(&self) -> Result<Message, RecvError> {
        self.recv_within(self.handle.options().recv_timeout).await
    }

    /// Receives a request if one is there.
    ///
    /// # Errors
    /// `Empty` where `recv` would wait.
    pub fn try_recv(&self) -> Result<Message, RecvError> {
        let taken = { self }.get(&self.handle.core, None).map_err(recv_error)?;
        Ok(taken.header_set(Header::EMPTY))
    }

    /// [`recv`](Self::recv), waiting no longer than `timeout`.
    ///
    /// # Errors
    /// As `recv`.
    pub async fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError> {
        self.recv_within(Some(timeout)).await
    }

    async fn recv_within(&self, timeout: Option<Duration>) -> Result<Message, RecvError> {
        let core = &self.handle.core;
        let taken = core.recv_within(CtxId::DEFAULT, timeout, self).await?;
        Ok(taken.header_set(Header::EMPTY))
    }

    pub(crate) fn recv_blocking(&self, timeout: Option<Duration>) -> Result<Message, RecvError> {
        let core = &self.handle.core;
        let taken = core.recv_blocking(CtxId::DEFAULT, timeout, self)?;
        Ok(taken.header_set(Header::EMPTY))
    }

    /// Replies to the request received last. Waits while the peer's outbox is full. Cancel-safe:
    /// dropped before it is done, nothing is sent.
    ///
    /// # Errors
    /// `State` when there is no request to reply to, `NoSuchPeer` when its peer is gone.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.handle.send(self.ctx, message.into()).await
    }

    /// Replies if that needs no waiting.
    ///
    /// # Errors
    /// `Full` where `send` would wait; the request can still be replied to.
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
}

/// Takes the next request; whoever waits for one waits on the default context.
impl Get for &RepContext {
    fn get_into(
        &mut self,
        core: &Arc<Core>,
        message: &mut Option<Message>,
        wait: Wait<'_>,
    ) -> Result<(), NoMessage> {
        let ctx = self.ctx;
        core.take(CtxId::DEFAULT, message, wait, |rule, now, message, fx| {
            rule.take_into(now, ctx, message, fx)
        })
    }
}

impl Drop for RepContext {
    fn drop(&mut self) {
        self.handle.core.ask(|rule: &mut Rep, now, fx| rule.close(now, self.ctx, fx));
    }
}
