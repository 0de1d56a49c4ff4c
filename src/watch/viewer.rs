//! [`Viewer`]: looks at the sockets that another program exposes.

use crate::error::DialError;
use crate::options::DialOptions;
use crate::{Message, Options, ReqSocket, RequestError};
use spanwire_core::watch::{Detail, Question, Report, ReportError, decode};
use std::time::Duration;

/// Looks at a program that shows its sockets with [`serve`](super::serve).
///
/// It stays connected, and connects again when the program was restarted. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Viewer {
    socket: ReqSocket,
}

/// Why a look at another program failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// It did not answer, or not in time.
    #[error("no answer: {0}")]
    NoAnswer(#[from] RequestError),
    /// What answers is something else, or of another version.
    #[error("the answer is {0}")]
    NotAReport(#[from] ReportError),
    /// It does not know the question.
    #[error("the program refuses: {0}")]
    Refused(Box<str>),
}

impl Viewer {
    /// Connects to the address that a program serves. In the tokio runtime of the caller; where there is
    /// none, on the library's thread. Cancel-safe: dropped before it is done, nothing stays.
    ///
    /// # Errors
    /// Nobody is there, or what is there speaks something else.
    pub async fn connect(url: &str) -> Result<Self, DialError> {
        let timeout = Some(Duration::from_secs(5));
        Self::connect_with(url, DialOptions { connect_timeout: timeout, ..DialOptions::default() }).await
    }

    /// [`connect`](Self::connect) with options, such as the certificates for `tls+tcp://`.
    ///
    /// # Errors
    /// As `connect`.
    pub async fn connect_with(url: &str, options: DialOptions) -> Result<Self, DialError> {
        let socket = ReqSocket::with(Options {
            // A report is bounded by its format; Prometheus text of the same is about three times as long.
            max_message_bytes: 64 * 1024 * 1024,
            close_deadline: Duration::ZERO,
            ..Options::default()
        });
        socket.dial_with(url, options).await?;
        Ok(Self { socket })
    }

    /// What the program shows now. Waits no longer than `timeout`. Cancel-safe.
    ///
    /// # Errors
    /// No answer, or one that is no report.
    pub async fn report(&self, timeout: Duration) -> Result<Report, ViewError> {
        let answer = self.ask(Question::Report, timeout).await?;
        Ok(decode(&answer)?)
    }

    /// The same as Prometheus text. Waits no longer than `timeout`. Cancel-safe.
    ///
    /// # Errors
    /// No answer, or one that is no text.
    pub async fn prometheus(&self, detail: Detail, timeout: Duration) -> Result<String, ViewError> {
        let answer = self.ask(Question::Prometheus(detail), timeout).await?;
        match std::str::from_utf8(&answer) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(ReportError::NotAReport.into()),
        }
    }

    async fn ask(&self, question: Question, timeout: Duration) -> Result<Message, ViewError> {
        let answer = self.socket.request_timeout(question.as_str(), timeout).await?;
        match answer.strip_prefix(b"error: ") {
            Some(why) => Err(ViewError::Refused(String::from_utf8_lossy(why).trim_end().into())),
            None => Ok(answer),
        }
    }
}
