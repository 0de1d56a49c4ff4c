//! [`SurveySocket`], its [`Survey`]s and contexts.

use crate::rt;
use crate::{Message, RecvError, SendError};
use std::iter::FusedIterator;
use std::time::Duration;

twin! {
    /// SURVEYOR: asks everybody who is connected, and takes answers until a deadline. The blocking
    /// twin of [`crate::SurveySocket`].
    SurveySocket
}

impl SurveySocket {
    /// Asks everybody; answers are taken until the option `survey_time` (default 1 s) has passed.
    ///
    /// Never waits. Dropping the [`Survey`] ends it.
    ///
    /// # Errors
    /// The socket is closed; the message comes back.
    pub fn survey(&self, message: impl Into<Message>) -> Result<Survey, SendError> {
        self.survey_within(message, self.inner.handle.options().survey_time)
    }

    /// [`survey`](Self::survey) with a deadline of its own.
    ///
    /// # Errors
    /// As `survey`.
    pub fn survey_within(&self, message: impl Into<Message>, time: Duration) -> Result<Survey, SendError> {
        Ok(Survey { inner: self.inner.start_survey(message.into(), time)? })
    }

    /// Opens a conversation whose surveys and answers are sent and received by separate calls.
    pub fn context(&self) -> SurveyContext {
        SurveyContext { inner: self.inner.context() }
    }
}

/// The answers to one survey: an iterator that waits for each, and ends at the deadline or when the
/// socket is closed.
///
/// `collect` it into a `Vec` for all answers at once.
#[derive(Debug)]
pub struct Survey {
    inner: crate::Survey,
}

impl Survey {
    /// Ends the survey early, once every respondent that it was sent to has answered or is gone.
    #[must_use]
    pub fn end_when_all_answered(self) -> Self {
        Self { inner: self.inner.end_when_all_answered() }
    }
}

impl Iterator for Survey {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        rt::block_on(self.inner.next())
    }
}

impl FusedIterator for Survey {}

/// A conversation of a [`SurveySocket`]: one survey at a time, sent and answered by separate calls.
#[derive(Debug)]
pub struct SurveyContext {
    inner: crate::SurveyContext,
}

impl SurveyContext {
    /// Asks everybody. A survey of this context that is still open is cancelled. Never waits.
    ///
    /// # Errors
    /// The socket is closed; the message comes back.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.inner.try_send(message)
    }

    /// The same: a survey never waits.
    ///
    /// # Errors
    /// As `send`.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.inner.try_send(message)
    }

    /// How long answers to the surveys of this context are taken, from the next one on.
    pub fn set_survey_time(&self, time: Duration) {
        self.inner.set_survey_time(time);
    }

    /// Receives the next answer.
    ///
    /// # Errors
    /// `TimedOut` when the survey has just ended, `State` when none is open, `Cancelled` when a
    /// newer one took its place.
    pub fn recv(&self) -> Result<Message, RecvError> {
        self.inner.recv_blocking(self.inner.handle.options().recv_timeout)
    }

    /// Receives an answer if one is there.
    ///
    /// # Errors
    /// `Empty` where `recv` would wait.
    pub fn try_recv(&self) -> Result<Message, RecvError> {
        self.inner.try_recv()
    }

    /// [`recv`](Self::recv), waiting no longer than `timeout`. The survey goes on after that.
    ///
    /// # Errors
    /// As `recv`.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError> {
        self.inner.recv_blocking(Some(timeout))
    }

    /// A descriptor that is readable while an answer, or the end of the survey, can be received, for
    /// foreign event loops. Dropping the context ends it.
    ///
    /// # Errors
    /// The process has no descriptor left.
    #[cfg(unix)]
    pub fn readable_fd(&self) -> std::io::Result<crate::PollFd> {
        self.inner.readable_fd()
    }
}
