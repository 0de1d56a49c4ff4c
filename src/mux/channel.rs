//! [`Channel`]: a logical connection, and its two halves.

use super::connection::{Connection, Life};
use super::stream::{RecvStream, SendStream};
use super::wire::{On, Wire, WireState};
use super::{CloseReport, FlushError, OpenError, RecvError, SendError, StreamError};
use crate::rt;
use bytes::Bytes;
use spanwire_core::mux::connection::Place as At;
use spanwire_core::mux::stream::{NotSent, Take};
use spanwire_core::mux::{Account, ChannelEnd, ChannelId, ChannelStats, Code};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A logical connection: messages both ways, in order, whole and once. A handle: clones are the same channel.
///
/// * Any number of tasks may send and receive at once; messages never mix, and each goes to one receiver.
/// * When the peer's program does not take what it has, or too much waits here, sending waits, on this channel alone.
/// * All futures are cancel-safe: dropped before it is done, a send has sent nothing and a receive has taken
///   nothing.
/// * When the last handle is dropped, what waits is still sent, what comes is discarded, and the channel ends in
///   the background. [`close`](Self::close) waits for it and says what became of the messages.
#[derive(Clone)]
pub struct Channel {
    inner: Arc<Inner>,
}

/// What all handles of a channel share.
struct Inner {
    life: Arc<Life>,
    at: At,
    id: ChannelId,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.life.wire.visit(|state| state.mux.release(self.at));
    }
}

impl Channel {
    pub(super) fn new(life: Arc<Life>, at: At, id: ChannelId) -> Self {
        Self { inner: Arc::new(Inner { life, at, id }) }
    }

    pub(super) fn wire(&self) -> &Arc<Wire> {
        &self.inner.life.wire
    }

    pub(super) fn at(&self) -> At {
        self.inner.at
    }

    /// Whether both are handles of the same one.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// What it is called.
    pub fn id(&self) -> &ChannelId {
        &self.inner.id
    }

    /// Its number on its connection.
    pub fn number(&self) -> u32 {
        self.inner.at.number()
    }

    /// The connection that carries it.
    pub fn connection(&self) -> Connection {
        Connection::of(&self.inner.life)
    }

    /// Waits until the peer's program has accepted it.
    ///
    /// # Errors
    /// How it ended instead.
    pub async fn accepted(&self) -> Result<(), ChannelEnd> {
        poll_fn(|cx| {
            let mut state = self.wire().lock();
            if let Some(end) = state.mux.channel_end(self.at()) {
                return Poll::Ready(Err(end.clone()));
            }
            if state.mux.is_accepted(self.at()) {
                return Poll::Ready(Ok(()));
            }
            state.wait_on(self.at(), On::State, cx);
            Poll::Pending
        })
        .await
    }

    /// Sends a message; waits for room if there is none.
    ///
    /// Done means that it waits to be written, or is. Whether it was delivered, [`flush`](Self::flush) and
    /// [`account`](Self::account) tell.
    ///
    /// # Errors
    /// [`SendError::TooLarge`], [`SendError::Finished`], [`SendError::Stopped`], [`SendError::Closed`]; the
    /// message is inside.
    pub async fn send(&self, body: impl Into<Bytes>) -> Result<(), SendError> {
        self.send_within(body.into(), None).await
    }

    /// [`send`](Self::send), no longer than this.
    ///
    /// # Errors
    /// [`SendError::TimedOut`], too.
    pub async fn send_timeout(&self, body: impl Into<Bytes>, timeout: Duration) -> Result<(), SendError> {
        self.send_within(body.into(), Some(timeout)).await
    }

    async fn send_within(&self, mut body: Bytes, span: Option<Duration>) -> Result<(), SendError> {
        let send = poll_fn(|cx| self.poll_send(&mut body, Some(cx)));
        match self.within(span, send).await {
            Some(Ok(())) => Ok(()),
            Some(Err(not)) => Err(self.not_sent(not, body)),
            None => Err(SendError::TimedOut(body)),
        }
    }

    /// Sends a message if there is room.
    ///
    /// # Errors
    /// [`SendError::Full`], too.
    pub fn try_send(&self, body: impl Into<Bytes>) -> Result<(), SendError> {
        let mut body = body.into();
        match self.poll_send(&mut body, None) {
            Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(not)) => Err(self.not_sent(not, body)),
            Poll::Pending => Err(SendError::Full(body)),
        }
    }

    #[inline]
    fn poll_send(&self, body: &mut Bytes, cx: Option<&mut Context<'_>>) -> Poll<Result<(), NotSent>> {
        if self.wire().send_at_once(self.at(), body) {
            return Poll::Ready(Ok(()));
        }
        self.wire().visit(|state| match state.mux.send(self.at(), std::mem::take(body)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err((not, back)) => {
                *body = back;
                wait_for_room(state, self.at(), not, cx)
            }
        })
    }

    fn not_sent(&self, not: NotSent, body: Bytes) -> SendError {
        match not {
            NotSent::Full => SendError::Full(body),
            NotSent::TooLarge { limit } => SendError::TooLarge { body, limit },
            NotSent::Finished => SendError::Finished(body),
            NotSent::Stopped(code) => SendError::Stopped { body, code },
            NotSent::Over => SendError::Closed { body, end: self.ended_how(&self.wire().lock()) },
        }
    }

    fn ended_how(&self, state: &WireState) -> ChannelEnd {
        let end = state.mux.channel_end(self.at()).cloned();
        end.unwrap_or_else(|| ChannelEnd::Connection(state.end()))
    }

    /// Receives the next message; waits if there is none.
    ///
    /// # Errors
    /// [`RecvError::Finished`] and [`RecvError::Closed`] once all that came was taken;
    /// [`RecvError::TooLarge`].
    pub async fn recv(&self) -> Result<Bytes, RecvError> {
        poll_fn(|cx| self.poll_recv(Some(cx))).await
    }

    /// [`recv`](Self::recv), no longer than this.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`], too.
    pub async fn recv_timeout(&self, timeout: Duration) -> Result<Bytes, RecvError> {
        self.within(Some(timeout), self.recv()).await.unwrap_or(Err(RecvError::TimedOut))
    }

    /// Receives a message if one is here.
    ///
    /// # Errors
    /// [`RecvError::Empty`], too.
    pub fn try_recv(&self) -> Result<Bytes, RecvError> {
        match self.poll_recv(None) {
            Poll::Ready(received) => received,
            Poll::Pending => Err(RecvError::Empty),
        }
    }

    /// For whoever writes a future of his own.
    #[inline]
    fn poll_recv(&self, cx: Option<&mut Context<'_>>) -> Poll<Result<Bytes, RecvError>> {
        self.wire().visit_to_take(|state| match state.mux.take_message(self.at()) {
            Take::Message(body) => Poll::Ready(Ok(body)),
            Take::TooLarge => {
                let limit = self.wire().options.max_message_bytes;
                Poll::Ready(Err(RecvError::TooLarge { limit }))
            }
            Take::Finished => Poll::Ready(Err(match state.mux.channel_end(self.at()) {
                Some(end) => RecvError::Closed(end.clone()),
                None => RecvError::Finished,
            })),
            Take::Nothing | Take::Piece(_) | Take::End | Take::Aborted => {
                match cx {
                    Some(cx) => state.wait_on(self.at(), On::Read, cx),
                    None => state.mux.not_wanted(self.at()),
                }
                Poll::Pending
            }
        })
    }

    /// Sends a message of any length, piece by piece, in bounded memory. Nobody else can send on this channel
    /// until it is finished or dropped; dropped before it is finished, the receiver learns that it is not
    /// whole. Waits while another one is under way.
    ///
    /// # Errors
    /// [`StreamError::Stopped`], [`StreamError::Closed`].
    pub async fn send_stream(&self) -> Result<SendStream, StreamError> {
        let begun = poll_fn(|cx| {
            self.wire().visit(|state| match state.mux.begin_stream(self.at()) {
                Ok(()) => Poll::Ready(Ok(())),
                Err(not) => wait_for_room(state, self.at(), not, Some(cx)),
            })
        });
        match begun.await {
            Ok(()) => Ok(SendStream::new(self.clone())),
            Err(not) => Err(self.stream_error(not)),
        }
    }

    pub(super) fn stream_error(&self, not: NotSent) -> StreamError {
        match not {
            NotSent::Stopped(code) => StreamError::Stopped(code),
            _ => StreamError::Closed(self.ended_how(&self.wire().lock())),
        }
    }

    /// Takes the next message piece by piece as it comes, whatever its length and however it was sent. While
    /// it is taken so, nobody else should receive on this channel. What is not read before it is dropped
    /// is skipped by the next receive.
    ///
    /// # Errors
    /// [`RecvError::Finished`], [`RecvError::Closed`].
    pub async fn recv_stream(&self) -> Result<RecvStream, RecvError> {
        RecvStream::begin(self.clone()).await
    }

    /// Waits until the peer's program has everything that was sent so far in its queue. Cancel-safe.
    ///
    /// # Errors
    /// [`FlushError::Lost`].
    pub async fn flush(&self) -> Result<(), FlushError> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), FlushError>> {
        self.wire().visit(|state| {
            if state.mux.flush(self.at()) {
                return Poll::Ready(Ok(()));
            }
            let stopped = matches!(state.mux.may_send(self.at(), 0), Err(NotSent::Stopped(_)));
            if state.mux.channel_end(self.at()).is_some() || stopped || state.mux.is_over(self.at()) {
                let account = state.mux.account(self.at());
                let why = match stopped {
                    true => "the peer takes nothing more".into(),
                    false => self.ended_how(state).to_string(),
                };
                return Poll::Ready(Err(FlushError::Lost { account, why }));
            }
            state.wait_on(self.at(), On::State, cx);
            Poll::Pending
        })
    }

    /// [`flush`](Self::flush), no longer than this.
    ///
    /// # Errors
    /// [`FlushError::TimedOut`], too.
    pub async fn flush_timeout(&self, timeout: Duration) -> Result<(), FlushError> {
        let flushed = self.within(Some(timeout), self.flush()).await;
        flushed.unwrap_or_else(|| Err(FlushError::TimedOut(self.account())))
    }

    /// What became of what was sent.
    pub fn account(&self) -> Account {
        self.wire().lock().mux.account(self.at())
    }

    /// What it has counted.
    pub fn stats(&self) -> ChannelStats {
        self.wire().lock().mux.channel_stats(self.at())
    }

    /// Sends nothing more: the peer receives what waits, and then [`RecvError::Finished`]. Receiving goes on.
    pub fn finish(&self) {
        self.wire().visit(|state| state.mux.finish(self.at()));
    }

    /// Takes nothing more: the peer's sends fail with this code. Sending goes on.
    pub fn stop(&self, code: Code) {
        self.wire().visit(|state| state.mux.stop(self.at(), code));
    }

    /// Ends both directions at once; what waits is not sent.
    pub fn reset(&self, code: Code, text: &str) {
        self.wire().visit(|state| state.mux.reset(self.at(), code, text));
    }

    /// How it ended before its time, if it has.
    pub fn end(&self) -> Option<ChannelEnd> {
        self.wire().lock().mux.channel_end(self.at()).cloned()
    }

    /// Finishes sending, waits until all is delivered, no longer than this, and ends the channel: what comes
    /// meanwhile can still be received by other handles, and is discarded after that. What was not delivered in
    /// time is reset. Dropped before it is done, the channel ends in the background.
    pub async fn close(&self, timeout: Duration) -> CloseReport {
        let started = rt::now();
        self.finish();
        let flushed = self.flush_timeout(timeout).await;
        match flushed {
            Err(FlushError::TimedOut(_)) => self.reset(Code::DROPPED, "not delivered in time"),
            _ => self.stop(Code::NONE),
        }
        let Account { delivered, abandoned, unknown, .. } = self.account();
        CloseReport { delivered, abandoned, unknown, took: rt::now() - started }
    }

    /// The two halves. Dropping one ends nothing; the channel ends when both, and all other handles, are dropped.
    pub fn split(self) -> (Sender, Receiver) {
        (Sender { channel: self.clone() }, Receiver { channel: self })
    }

    /// `work`, or `None` when it takes too long.
    pub(super) async fn within<F: Future>(&self, span: Option<Duration>, work: F) -> Option<F::Output> {
        self.wire().home.within(span, work).await
    }
}

/// Waits if it is only that there is no room.
pub(super) fn wait_for_room(
    state: &mut WireState,
    at: At,
    not: NotSent,
    cx: Option<&mut Context<'_>>,
) -> Poll<Result<(), NotSent>> {
    match (not, cx) {
        (NotSent::Full, Some(cx)) => {
            state.wait_on(at, On::Room, cx);
            Poll::Pending
        }
        (NotSent::Full, None) => Poll::Pending,
        (not, _) => Poll::Ready(Err(not)),
    }
}

/// The half of a [`Channel`] that sends.
#[derive(Clone, Debug)]
pub struct Sender {
    channel: Channel,
}

/// The half of a [`Channel`] that receives.
#[derive(Clone, Debug)]
pub struct Receiver {
    channel: Channel,
}

impl Sender {
    /// See [`Channel::send`].
    ///
    /// # Errors
    /// As there.
    pub async fn send(&self, body: impl Into<Bytes>) -> Result<(), SendError> {
        self.channel.send(body).await
    }

    /// See [`Channel::try_send`].
    ///
    /// # Errors
    /// As there.
    pub fn try_send(&self, body: impl Into<Bytes>) -> Result<(), SendError> {
        self.channel.try_send(body)
    }

    /// See [`Channel::flush`].
    ///
    /// # Errors
    /// As there.
    pub async fn flush(&self) -> Result<(), FlushError> {
        self.channel.flush().await
    }

    /// See [`Channel::finish`].
    pub fn finish(&self) {
        self.channel.finish();
    }

    /// The channel.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }
}

impl Receiver {
    /// See [`Channel::recv`].
    ///
    /// # Errors
    /// As there.
    pub async fn recv(&self) -> Result<Bytes, RecvError> {
        self.channel.recv().await
    }

    /// See [`Channel::try_recv`].
    ///
    /// # Errors
    /// As there.
    pub fn try_recv(&self) -> Result<Bytes, RecvError> {
        self.channel.try_recv()
    }

    /// See [`Channel::stop`].
    pub fn stop(&self, code: Code) {
        self.channel.stop(code);
    }

    /// The channel.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("connection", &self.wire().number)
            .field("number", &self.number())
            .field("id", &self.inner.id.as_str())
            .finish()
    }
}

impl From<ChannelEnd> for OpenError {
    fn from(end: ChannelEnd) -> Self {
        match end {
            ChannelEnd::Connection(end) => Self::Closed(end),
            ChannelEnd::NeverSeen => Self::Leaving,
            end => Self::Refused(end),
        }
    }
}
