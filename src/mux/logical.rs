//! [`Logical`]: a logical connection by address and id, whatever becomes of what carries it.

use super::channel::Channel;
use super::logical_state::{Shared, Use};
use super::pool::Pool;
use super::{
    Account, ChannelEnd, ChannelId, ChannelStats, CloseReport, Code, FlushError, OpenError, RecvError,
    SendError,
};
use crate::rt;
use bytes::Bytes;
use spanwire_core::Priority;
use spanwire_core::options::mux::DEFAULT_IDLE_TIMEOUT;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// What a [`Logical`] wants.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct LogicalOptions {
    /// How long there may be no message, either way, until its channel closes; the next use opens another
    /// one. It may take up to a quarter longer. Default, and zero: 5 minutes. Does not matter with `stay_up`.
    pub idle_timeout: Duration,
    /// It is opened at once, and again after each loss, with a pause only where that fails. Default: on use.
    pub stay_up: bool,
    /// Its share where there is more to send than the connection takes. Default: normal.
    pub priority: Priority,
}

impl LogicalOptions {
    pub(super) fn idle_timeout(&self) -> Duration {
        if self.idle_timeout.is_zero() { DEFAULT_IDLE_TIMEOUT } else { self.idle_timeout }
    }
}

/// What a [`Logical`] has counted.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogicalStats {
    /// What became of what was sent, on all of its channels.
    pub account: Account,
    /// Channels that it has had.
    pub opened: u64,
    /// Those that have ended, idle ones included.
    pub losses: u64,
    /// The one that it has.
    pub channel: Option<ChannelStats>,
}

/// What whoever was in a call learns of the end of the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// How it ended.
    pub cause: LossCause,
    /// What became of the messages that were sent on this channel; the unknown ones stay unknown.
    pub account: Account,
    /// Whether another one is opened at once; if not, the next use opens it.
    pub reconnects: bool,
}

/// How the channel of a [`Logical`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossCause {
    /// Before its time: it was reset, or the connection ended.
    Ended(ChannelEnd),
    /// The peer has sent all it had to.
    Finished,
    /// The peer takes nothing more.
    Stopped(Code),
    /// There was no message for too long.
    Idle,
}

impl fmt::Display for LossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(end) => end.fmt(f),
            Self::Finished => f.write_str("the peer has finished sending"),
            Self::Stopped(code) => write!(f, "the peer takes nothing more: {code}"),
            Self::Idle => f.write_str("idle for too long"),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Account { accepted, delivered, abandoned, unknown } = self.account;
        let next = if self.reconnects { "reconnects at once" } else { "reconnects on the next use" };
        write!(
            f,
            "{}; of {accepted} messages {delivered} were delivered, {abandoned} were not, {unknown} are unknown; \
             {next}",
            self.cause
        )
    }
}

/// Why a message was not sent. It is inside, and can be sent again: nothing of it has left.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogicalSendError {
    /// No channel could be opened.
    #[error("{error}")]
    Open {
        /// The message.
        body: Bytes,
        /// Why not.
        #[source]
        error: OpenError,
    },
    /// The channel ended while this waited.
    #[error("connection lost: {loss}")]
    Lost {
        /// The message.
        body: Bytes,
        /// What became of those before it.
        loss: Loss,
    },
    /// Too much waits already, or there is no channel yet (`try_send` only).
    #[error("too much waits to be sent")]
    Full(Bytes),
    /// There was no channel or no room in time.
    #[error("no room in time")]
    TimedOut(Bytes),
    /// It is longer than the peer takes whole.
    #[error("the peer takes messages of up to {limit} bytes")]
    TooLarge {
        /// The message.
        body: Bytes,
        /// What the peer takes, in bytes.
        limit: u64,
    },
    /// It was closed here.
    #[error("closed here")]
    Closed(Bytes),
}

impl LogicalSendError {
    /// The message.
    pub fn into_body(self) -> Bytes {
        match self {
            Self::Full(body) | Self::TimedOut(body) | Self::Closed(body) => body,
            Self::Open { body, .. } | Self::Lost { body, .. } | Self::TooLarge { body, .. } => body,
        }
    }

    /// Whether the same call may succeed later without anything being changed here.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Open { error, .. } => error.is_transient(),
            Self::Lost { .. } | Self::Full(_) | Self::TimedOut(_) => true,
            Self::TooLarge { .. } | Self::Closed(_) => false,
        }
    }
}

/// Why no message was received.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogicalRecvError {
    /// No channel could be opened.
    #[error(transparent)]
    Open(OpenError),
    /// The channel ended while this waited, and all that came on it was taken.
    #[error("connection lost: {0}")]
    Lost(Loss),
    /// None is here, or there is no channel yet (`try_recv` only).
    #[error("no message is here")]
    Empty,
    /// None came in time.
    #[error("no message in time")]
    TimedOut,
    /// The next message is longer than what is taken whole.
    #[error("the next message is longer than {limit} bytes")]
    TooLarge {
        /// What is taken whole, in bytes.
        limit: u64,
    },
    /// It was closed here.
    #[error("closed here")]
    Closed,
}

impl LogicalRecvError {
    /// Whether the same call may succeed later without anything being changed here.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Open(error) => error.is_transient(),
            Self::Lost(_) | Self::Empty | Self::TimedOut => true,
            Self::TooLarge { .. } | Self::Closed => false,
        }
    }
}

/// A logical connection to an address, with an id, through a [`Pool`]. A handle: clones are the same one.
///
/// ```
/// use spanwire::mux::{self, Server};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::bind("tcp://127.0.0.1:0").await?;
/// let here = mux::connect(&server.url(), "user-session")?;
/// here.send("hello").await?;
/// let there = server.accept("user-session").await?;
/// assert_eq!(&there.recv().await?[..], b"hello");
/// # Ok(()) }
/// ```
///
/// * It connects on first use, and after its channel has ended, for whatever reason, on the next use; with
///   [`stay_up`](LogicalOptions::stay_up) at once, in the background.
/// * Whoever is in a call when the channel ends is told, with what became of the messages. A call that begins
///   after that opens another channel.
/// * No message is ever sent twice: what was on its way at a loss is not sent again.
///   [`account`](Self::account) says how many were delivered, were not, or may have been.
/// * Any number of tasks may send and receive at once. All futures are cancel-safe.
/// * When the last handle is dropped, its channel ends as any other does: what waits is still sent.
#[derive(Clone)]
pub struct Logical {
    inner: Arc<Held>,
}

/// Ends it when the last handle is dropped.
struct Held {
    shared: Arc<Shared>,
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.shared.close());
    }
}

/// A logical connection through the [pool of the process](Pool::global), with default options. Nothing is
/// dialled before it is used.
///
/// # Errors
/// [`OpenError::Id`]; [`OpenError::Dial`] where the address cannot be dialled.
pub fn connect(url: &str, id: &str) -> Result<Logical, OpenError> {
    connect_with(url, id, LogicalOptions::default())
}

/// [`connect`] with options.
///
/// # Errors
/// As there.
pub fn connect_with(url: &str, id: &str, options: LogicalOptions) -> Result<Logical, OpenError> {
    Logical::with(&Pool::global(), url, id, options)
}

impl Logical {
    /// One through this pool, with default options.
    ///
    /// # Errors
    /// [`OpenError::Id`]; [`OpenError::Dial`] where the address cannot be dialled.
    pub fn new(pool: &Pool, url: &str, id: &str) -> Result<Self, OpenError> {
        Self::with(pool, url, id, LogicalOptions::default())
    }

    /// [`new`](Self::new) with options.
    ///
    /// # Errors
    /// As there.
    pub fn with(pool: &Pool, url: &str, id: &str, options: LogicalOptions) -> Result<Self, OpenError> {
        let (key, id) = (pool.core().key(url)?, ChannelId::new(id)?);
        let shared = Arc::new(Shared::new(pool.clone(), key.clone(), id, options));
        if options.stay_up {
            pool.core().set_stay_up(&key, true);
            shared.start();
        }
        Ok(Self { inner: Arc::new(Held { shared }) })
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// What it is called.
    pub fn id(&self) -> &ChannelId {
        &self.shared().id
    }

    /// The address.
    pub fn url(&self) -> &str {
        &self.shared().key.url
    }

    /// The channel that it has now.
    pub fn channel(&self) -> Option<Channel> {
        self.shared().channel()
    }

    async fn up(&self, what: Use) -> Result<(u64, Channel), OpenError> {
        let mut asked = None;
        poll_fn(|cx| self.shared().poll_up(what, &mut asked, Some(cx))).await
    }

    /// Sends a message; opens a channel if there is none, and waits for room.
    ///
    /// Done means that it waits to be written, or is. Whether it was delivered, [`flush`](Self::flush) and
    /// [`account`](Self::account) tell.
    ///
    /// # Errors
    /// See [`LogicalSendError`].
    pub async fn send(&self, body: impl Into<Bytes>) -> Result<(), LogicalSendError> {
        self.send_within(body.into(), None).await
    }

    /// [`send`](Self::send), no longer than this.
    ///
    /// # Errors
    /// [`LogicalSendError::TimedOut`], too.
    pub async fn send_timeout(
        &self,
        body: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<(), LogicalSendError> {
        self.send_within(body.into(), Some(timeout)).await
    }

    async fn send_within(&self, body: Bytes, span: Option<Duration>) -> Result<(), LogicalSendError> {
        let until = span.map(|span| rt::now() + span);
        let home = &self.shared().pool.core().home;
        let (attempt, channel) = match home.within(span, self.up(Use::Send)).await {
            Some(Ok(up)) => up,
            Some(Err(OpenError::ClosedHere)) => return Err(LogicalSendError::Closed(body)),
            Some(Err(error)) => return Err(LogicalSendError::Open { body, error }),
            None => return Err(LogicalSendError::TimedOut(body)),
        };
        let sent = match until {
            Some(until) => channel.send_timeout(body, until - rt::now()).await,
            None => channel.send(body).await,
        };
        sent.map_err(|error| self.not_sent(attempt, &channel, error))
    }

    /// Sends a message if there is a channel and room. Without a channel, one is opened in the background.
    ///
    /// # Errors
    /// [`LogicalSendError::Full`], too.
    pub fn try_send(&self, body: impl Into<Bytes>) -> Result<(), LogicalSendError> {
        let body = body.into();
        match self.shared().poll_up(Use::Send, &mut None, None) {
            Poll::Ready(Ok((attempt, channel))) => {
                channel.try_send(body).map_err(|error| self.not_sent(attempt, &channel, error))
            }
            Poll::Ready(Err(_)) => Err(LogicalSendError::Closed(body)),
            Poll::Pending => Err(LogicalSendError::Full(body)),
        }
    }

    fn not_sent(&self, attempt: u64, channel: &Channel, error: SendError) -> LogicalSendError {
        let (body, cause) = match error {
            SendError::Full(body) => return LogicalSendError::Full(body),
            SendError::TimedOut(body) => return LogicalSendError::TimedOut(body),
            SendError::TooLarge { body, limit } => return LogicalSendError::TooLarge { body, limit },
            // We are the ones who finish it.
            SendError::Finished(body) if self.shared().is_closed() => return LogicalSendError::Closed(body),
            SendError::Finished(body) => (body, LossCause::Idle),
            SendError::Stopped { body, code } => (body, LossCause::Stopped(code)),
            SendError::Closed { body, end } => (body, LossCause::Ended(end)),
        };
        LogicalSendError::Lost { body, loss: self.shared().lost(attempt, channel, cause) }
    }

    /// Receives the next message; opens a channel if there is none, and waits.
    ///
    /// # Errors
    /// See [`LogicalRecvError`].
    pub async fn recv(&self) -> Result<Bytes, LogicalRecvError> {
        if let Some(body) = self.shared().leftover() {
            return Ok(body);
        }
        let (attempt, channel) = self.up(Use::Recv).await.map_err(not_open)?;
        channel.recv().await.map_err(|error| self.not_received(attempt, &channel, error))
    }

    /// [`recv`](Self::recv), no longer than this.
    ///
    /// # Errors
    /// [`LogicalRecvError::TimedOut`], too.
    pub async fn recv_timeout(&self, timeout: Duration) -> Result<Bytes, LogicalRecvError> {
        let received = self.shared().pool.core().home.within(Some(timeout), self.recv()).await;
        received.unwrap_or(Err(LogicalRecvError::TimedOut))
    }

    /// Receives a message if one is here. Without a channel, one is opened in the background.
    ///
    /// # Errors
    /// [`LogicalRecvError::Empty`], too.
    pub fn try_recv(&self) -> Result<Bytes, LogicalRecvError> {
        if let Some(body) = self.shared().leftover() {
            return Ok(body);
        }
        match self.shared().poll_up(Use::Recv, &mut None, None) {
            Poll::Ready(Ok((attempt, channel))) => {
                channel.try_recv().map_err(|error| self.not_received(attempt, &channel, error))
            }
            Poll::Ready(Err(error)) => Err(not_open(error)),
            Poll::Pending => Err(LogicalRecvError::Empty),
        }
    }

    fn not_received(&self, attempt: u64, channel: &Channel, error: RecvError) -> LogicalRecvError {
        let cause = match error {
            RecvError::Empty => return LogicalRecvError::Empty,
            RecvError::TimedOut => return LogicalRecvError::TimedOut,
            RecvError::TooLarge { limit } => return LogicalRecvError::TooLarge { limit },
            // Or we are the ones who take nothing more.
            RecvError::Finished if self.shared().is_closed() => return LogicalRecvError::Closed,
            RecvError::Finished => LossCause::Finished,
            RecvError::Closed(end) => LossCause::Ended(end),
        };
        LogicalRecvError::Lost(self.shared().lost(attempt, channel, cause))
    }

    /// Waits until the peer's program has everything that was sent so far in its queue. Cancel-safe.
    ///
    /// # Errors
    /// [`FlushError::Lost`]: a channel has ended since the last flush, and not all of it was delivered, as
    /// far as is known.
    pub async fn flush(&self) -> Result<(), FlushError> {
        let (channel, lost) = self.shared().to_flush();
        if let Some((account, why)) = lost {
            return Err(FlushError::Lost { account, why });
        }
        match channel {
            Some(channel) => channel.flush().await,
            None => Ok(()),
        }
    }

    /// [`flush`](Self::flush), no longer than this.
    ///
    /// # Errors
    /// [`FlushError::TimedOut`], too.
    pub async fn flush_timeout(&self, timeout: Duration) -> Result<(), FlushError> {
        let flushed = self.shared().pool.core().home.within(Some(timeout), self.flush()).await;
        flushed.unwrap_or_else(|| Err(FlushError::TimedOut(self.account())))
    }

    /// What became of what was sent, on all of its channels.
    pub fn account(&self) -> Account {
        self.shared().account()
    }

    /// What it has counted.
    pub fn stats(&self) -> LogicalStats {
        self.shared().stats()
    }

    /// Closes it for all of its handles: waits until all is delivered, no longer than this, and says what
    /// became of the messages on all of its channels. Dropped before it is done, its channel ends in the
    /// background.
    pub async fn close(&self, timeout: Duration) -> CloseReport {
        let started = rt::now();
        if let Some(Some(channel)) = self.shared().close() {
            channel.close(timeout).await;
            self.shared().settled(channel.account());
        }
        let Account { delivered, abandoned, unknown, .. } = self.account();
        CloseReport { delivered, abandoned, unknown, took: rt::now() - started }
    }
}

fn not_open(error: OpenError) -> LogicalRecvError {
    match error {
        OpenError::ClosedHere => LogicalRecvError::Closed,
        error => LogicalRecvError::Open(error),
    }
}

impl fmt::Debug for Logical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logical").field("url", &self.url()).field("id", &self.id().as_str()).finish()
    }
}
