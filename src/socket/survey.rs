//! [`SurveySocket`], its [`Survey`]s and contexts.

use super::Handle;
use super::ops::{Get, In, Ticketed, recv_error};
use super::receiver::Receiver;
use crate::{Message, RecvError, SendError};
use futures_core::Stream;
use spanwire_core::pattern::{CtxId, Pattern, Rules, Surveyor};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

socket! {
    /// SURVEYOR: asks everybody who is connected, and takes answers until a deadline.
    ///
    /// Any number of surveys may be open at once. A respondent that cannot take the survey now is
    /// left out, and that is counted; asking nobody is no error.
    SurveySocket, Surveyor, |options: &_| Rules::from(Surveyor::new(options, super::random_seed()))
}

impl SurveySocket {
    /// Asks everybody; answers are taken until the option `survey_time` (default 1 s) has passed.
    ///
    /// Never waits. Dropping the [`Survey`] ends it.
    ///
    /// # Errors
    /// The socket is closed; the message comes back.
    pub async fn survey(&self, message: impl Into<Message>) -> Result<Survey, SendError> {
        self.start_survey(message.into(), self.handle.options().survey_time)
    }

    /// [`survey`](Self::survey) with a deadline of its own.
    ///
    /// # Errors
    /// As `survey`.
    pub async fn survey_within(
        &self,
        message: impl Into<Message>,
        time: Duration,
    ) -> Result<Survey, SendError> {
        self.start_survey(message.into(), time)
    }

    pub(crate) fn start_survey(&self, message: Message, time: Duration) -> Result<Survey, SendError> {
        let survey = Survey { context: self.context(), receiver: Receiver::default() };
        survey.context.set_survey_time(time);
        survey.context.try_send(message)?;
        Ok(survey)
    }

    /// Opens a conversation whose surveys and answers are sent and received by separate calls.
    pub fn context(&self) -> SurveyContext {
        let ctx = self.handle.core.ask(|rule: &mut Surveyor, _, _| rule.open());
        SurveyContext { handle: self.handle.clone(), ctx }
    }
}

/// The answers to one survey: a [`Stream`] that ends at the deadline.
#[derive(Debug)]
pub struct Survey {
    context: SurveyContext,
    receiver: Receiver,
}

impl Survey {
    /// Ends the survey early, once every respondent that it was sent to has answered or is gone.
    #[must_use]
    pub fn end_when_all_answered(self) -> Self {
        let ctx = self.context.ctx;
        self.context.handle.core.ask(|rule: &mut Surveyor, _, fx| rule.end_when_all_answered(ctx, fx));
        self
    }

    /// The next answer; `None` when the survey is over or the socket closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Message> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// All answers, once the survey is over. Dropped before that, the answers so far are lost.
    pub async fn collect(mut self) -> Vec<Message> {
        let mut answers = Vec::new();
        while let Some(answer) = self.next().await {
            answers.push(answer);
        }
        answers
    }
}

impl Stream for Survey {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let this = &mut *self;
        let ctx = this.context.ctx;
        let core = &this.context.handle.core;
        this.receiver.poll(core, ctx, cx, &mut In::context(ctx)).map(Result::ok)
    }
}

impl Drop for Survey {
    fn drop(&mut self) {
        self.receiver.leave(&self.context.handle.core, self.context.ctx);
    }
}

/// A conversation of a [`SurveySocket`]: one survey at a time, sent and answered by separate calls.
#[derive(Debug)]
pub struct SurveyContext {
    pub(crate) handle: Handle,
    pub(crate) ctx: CtxId,
}

impl SurveyContext {
    /// Asks everybody. A survey of this context that is still open is cancelled. Never waits.
    ///
    /// # Errors
    /// The socket is closed; the message comes back.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.try_send(message)
    }

    /// The same, for callers that cannot await.
    ///
    /// # Errors
    /// As `send`.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.handle.try_send(self.ctx, message.into())
    }

    /// How long answers to the surveys of this context are taken, from the next one on.
    pub fn set_survey_time(&self, time: Duration) {
        self.handle.core.ask(|rule: &mut Surveyor, _, _| rule.set_survey_time(self.ctx, time));
    }

    /// Receives the next answer. Cancel-safe.
    ///
    /// # Errors
    /// `TimedOut` when the survey has just ended, `State` when none is open, `Cancelled` when a
    /// newer one took its place.
    pub async fn recv(&self) -> Result<Message, RecvError> {
        self.recv_within(self.handle.options().recv_timeout).await
    }

    /// [`recv`](Self::recv), waiting no longer than `timeout`. The survey goes on after that.
    ///
    /// # Errors
    /// As `recv`.
    pub async fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError> {
        self.recv_within(Some(timeout)).await
    }

    async fn recv_within(&self, timeout: Option<Duration>) -> Result<Message, RecvError> {
        self.handle.core.recv_within(self.ctx, timeout, self.answer()).await
    }

    pub(crate) fn recv_blocking(&self, timeout: Option<Duration>) -> Result<Message, RecvError> {
        self.handle.core.recv_blocking(self.ctx, timeout, self.answer())
    }

    fn answer(&self) -> Ticketed<Surveyor> {
        Ticketed::latest(&self.handle.core, self.ctx)
    }

    /// Receives an answer if one is there.
    ///
    /// # Errors
    /// `Empty` where `recv` would wait.
    pub fn try_recv(&self) -> Result<Message, RecvError> {
        let core = &self.handle.core;
        In::context(self.ctx).get(core, None).map_err(recv_error)
    }

    /// A descriptor that is readable while an answer, or the end of the survey, can be received, for
    /// foreign event loops. Dropping the context ends it.
    ///
    /// # Errors
    /// The process has no descriptor left.
    #[cfg(unix)]
    pub fn readable_fd(&self) -> std::io::Result<crate::PollFd> {
        self.handle.poll_fd(super::Ready::ToRecv(self.ctx))
    }
}

impl Drop for SurveyContext {
    fn drop(&mut self) {
        #[cfg(unix)]
        self.handle.core.unwatch_context(self.ctx);
        self.handle.core.ask(|rule: &mut Surveyor, now, fx| rule.close(now, self.ctx, fx));
    }
}
