//! [`Conn`]: one connection, and its two halves.

use super::guest::Guest;
use super::host::{self, HostCore};
use super::wire::{self, For, Wire, WireState};
use super::{CloseReport, Peer, RecvError, SendError};
use crate::rt;
use crate::session::{self, Origin};
use crate::transport::{Incoming, Place};
use spanwire_core::Time;
use spanwire_core::framing::link::Metadata;
use spanwire_core::link::machine::{LinkStats, NotSent};
use spanwire_core::link::{End, Parcel};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// A connection to a peer. A handle: clones are the same connection.
///
/// It is one connection, and ends with it: nothing is sent again on another one. A
/// [`Dialer`](super::Dialer) hands out the next.
///
/// * Messages of one priority arrive in the order in which they were sent, whole and once. Any number of
///   tasks may send and receive at once; each message goes to one receiver.
/// * When too much waits, or the peer does not take what it has, sending waits: see
///   [`LinkOptions`](super::LinkOptions) for every bound.
/// * All futures are cancel-safe: dropped before it is done, a send has sent nothing and a receive has
///   taken nothing.
/// * When the last handle is dropped, the connection closes in the background: what waits is sent for as
///   long as `close_deadline` allows. [`close`](Self::close) says what became of it.
#[derive(Clone)]
pub struct Conn {
    life: Arc<Life>,
}

/// What all handles of a connection share.
pub(super) struct Life {
    wire: Arc<Wire>,
}

impl Drop for Life {
    fn drop(&mut self) {
        let deadline = self.wire.host.options.link.close_deadline;
        close(&self.wire, rt::now() + deadline);
    }
}

fn close(wire: &Arc<Wire>, until: Time) {
    wire.visit(|state| {
        state.part_until(until);
        state.link.close(until);
    });
}

impl Conn {
    /// Starts the task of a connection that was just made.
    pub(super) fn start(
        host: &Arc<HostCore>,
        origin: Origin,
        guest: Option<Guest>,
        incoming: Incoming,
    ) -> (Self, AbortHandle) {
        let number = host.next_number();
        let life = Arc::new_cyclic(|life| Life {
            wire: Arc::new(wire::new(number, host.clone(), origin, guest, life.clone())),
        });
        let timeout = host.options.link.handshake_timeout;
        let task = host.home.spawn(life.wire.clone().serve(incoming, timeout, Duration::ZERO));
        (Self { life }, task)
    }

    pub(super) fn of(life: Arc<Life>) -> Self {
        Self { life }
    }

    pub(super) fn wire(&self) -> &Arc<Wire> {
        &self.life.wire
    }

    pub(super) async fn opened(&self) -> Result<(), End> {
        host::opened(self.wire()).await
    }

    /// Its number at its host: that of no other connection.
    pub fn number(&self) -> u64 {
        self.wire().number
    }

    /// Our end of it.
    pub fn local(&self) -> Option<Place> {
        self.wire().ends().map(|ends| ends.local.clone())
    }

    /// The peer's end of it: its transport host.
    pub fn remote(&self) -> Option<Place> {
        self.wire().ends().map(|ends| ends.remote.clone())
    }

    /// Who is at the other end: its logical host, addresses, credentials, TLS identity, metadata.
    pub fn peer(&self) -> Peer {
        self.wire().peer()
    }

    /// What the peer says about itself, after its last update.
    pub fn metadata(&self) -> Metadata {
        self.wire().lock().link.theirs().map(|hello| hello.metadata.clone()).unwrap_or_default()
    }

    /// Ready when the peer's metadata have changed since the last handle asked, with the new ones.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn metadata_changed(&self) -> Result<Metadata, RecvError> {
        let before = self.metadata();
        poll_fn(|cx| {
            let mut state = self.wire().lock();
            let now = state.link.theirs().map(|hello| &hello.metadata);
            if let Some(now) = now.filter(|now| **now != before) {
                return Poll::Ready(Ok(now.clone()));
            }
            if let Some(end) = state.link.end() {
                return Poll::Ready(Err(RecvError::Closed(end.clone())));
            }
            state.wait(For::Metadata, cx);
            Poll::Pending
        })
        .await
    }

    /// Tells the peer what we say about ourselves from now on, on this connection. Only the last of several
    /// updates in a row may arrive.
    ///
    /// # Errors
    /// The connection is over.
    pub fn update_metadata(&self, metadata: Metadata) -> Result<(), RecvError> {
        self.wire()
            .visit(|state| state.link.update_metadata(metadata).map_err(|_| RecvError::Closed(state.end())))
    }

    /// What it has counted.
    pub fn stats(&self) -> LinkStats {
        self.wire().lock().link.stats()
    }

    /// The round trip to the peer that was measured last. [`ping`](Self::ping) measures it.
    pub fn round_trip(&self) -> Option<Duration> {
        self.wire().lock().link.round_trip()
    }

    /// Asks the peer whether it is there, now; its answer makes a new [`round_trip`](Self::round_trip).
    pub fn ping(&self) {
        self.wire().visit(|state| state.link.ping(rt::now()));
    }

    /// How it ended; `None` while it has not.
    pub fn end(&self) -> Option<End> {
        self.wire().lock().link.end().cloned()
    }

    /// Waits for the end of the connection, and tells how it came. What the peer had sent before can still
    /// be received.
    pub async fn ended(&self) -> End {
        poll_fn(|cx| {
            let mut state = self.wire().lock();
            if let Some(end) = state.link.end() {
                return Poll::Ready(end.clone());
            }
            state.wait(For::State, cx);
            Poll::Pending
        })
        .await
    }

    /// Sends a message; waits for room if there is none.
    ///
    /// Done means that it waits to be written, or is: as with every send, whether it arrives is known only
    /// from an answer, or from the report of [`close`](Self::close).
    ///
    /// # Errors
    /// [`SendError::TooLarge`] or [`SendError::Closed`]; the message is inside.
    pub async fn send(&self, parcel: impl Into<Parcel>) -> Result<(), SendError> {
        self.send_within(parcel.into(), None).await
    }

    /// [`send`](Self::send), no longer than this.
    ///
    /// # Errors
    /// [`SendError::TimedOut`], too.
    pub async fn send_timeout(&self, parcel: impl Into<Parcel>, timeout: Duration) -> Result<(), SendError> {
        self.send_within(parcel.into(), Some(timeout)).await
    }

    /// [`send`](Self::send), no later than this.
    ///
    /// # Errors
    /// [`SendError::TimedOut`], too.
    pub async fn send_deadline(&self, parcel: impl Into<Parcel>, deadline: Instant) -> Result<(), SendError> {
        self.send_within(parcel.into(), Some(left(deadline))).await
    }

    async fn send_within(&self, mut parcel: Parcel, span: Option<Duration>) -> Result<(), SendError> {
        let send = poll_fn(|cx| self.poll_send(&mut parcel, Some(cx)));
        match self.within(span, send).await {
            Some(Ok(())) => Ok(()),
            Some(Err(NotSent::TooLarge { limit })) => Err(SendError::TooLarge { parcel, limit }),
            Some(Err(NotSent::Full | NotSent::Over)) => {
                Err(SendError::Closed { parcel, end: self.wire().lock().end() })
            }
            None => Err(SendError::TimedOut(parcel)),
        }
    }

    /// Sends a message if there is room.
    ///
    /// # Errors
    /// [`SendError::Full`], too.
    pub fn try_send(&self, parcel: impl Into<Parcel>) -> Result<(), SendError> {
        let mut parcel = parcel.into();
        match self.poll_send(&mut parcel, None) {
            Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(NotSent::TooLarge { limit })) => Err(SendError::TooLarge { parcel, limit }),
            Poll::Ready(Err(NotSent::Full | NotSent::Over)) => {
                Err(SendError::Closed { parcel, end: self.wire().lock().end() })
            }
            Poll::Pending => Err(SendError::Full(parcel)),
        }
    }

    fn poll_send(&self, parcel: &mut Parcel, cx: Option<&mut Context<'_>>) -> Poll<Result<(), NotSent>> {
        self.wire().visit(|state| {
            let sent = state.link.send(parcel, rt::now());
            wait_for_room(state, sent, cx)
        })
    }

    /// Receives the next message; waits if there is none.
    ///
    /// # Errors
    /// [`RecvError::Closed`] once the connection is over and all that came was taken.
    pub async fn recv(&self) -> Result<Parcel, RecvError> {
        self.recv_within(None).await
    }

    /// [`recv`](Self::recv), no longer than this.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`], too.
    pub async fn recv_timeout(&self, timeout: Duration) -> Result<Parcel, RecvError> {
        self.recv_within(Some(timeout)).await
    }

    /// [`recv`](Self::recv), no later than this.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`], too.
    pub async fn recv_deadline(&self, deadline: Instant) -> Result<Parcel, RecvError> {
        self.recv_within(Some(left(deadline))).await
    }

    async fn recv_within(&self, span: Option<Duration>) -> Result<Parcel, RecvError> {
        let recv = poll_fn(|cx| self.poll_take(For::Message, Some(cx), |state| state.link.recv()));
        self.within(span, recv).await.unwrap_or(Err(RecvError::TimedOut))
    }

    /// Receives a message if one is here.
    ///
    /// # Errors
    /// [`RecvError::Empty`], too.
    pub fn try_recv(&self) -> Result<Parcel, RecvError> {
        match self.poll_take(For::Message, None, |state| state.link.recv()) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(RecvError::Empty),
        }
    }

    /// Takes something that came, or waits for it; what came before the end can be taken after it.
    pub(super) fn poll_take<T>(
        &self,
        what: For,
        cx: Option<&mut Context<'_>>,
        take: impl FnOnce(&mut WireState) -> Option<T>,
    ) -> Poll<Result<T, RecvError>> {
        self.wire().visit(|state| {
            if let Some(taken) = take(state) {
                return Poll::Ready(Ok(taken));
            }
            if let Some(end) = state.link.end() {
                return Poll::Ready(Err(RecvError::Closed(end.clone())));
            }
            if let Some(cx) = cx {
                state.wait(what, cx);
            }
            Poll::Pending
        })
    }

    /// `work`, or `None` when it takes too long.
    pub(super) async fn within<F: Future>(&self, span: Option<Duration>, work: F) -> Option<F::Output> {
        self.wire().home.within(span, work).await
    }

    /// The two halves. Dropping one ends nothing; the connection closes when both, and all other handles,
    /// are dropped.
    pub fn split(self) -> (Sender, Receiver) {
        (Sender { conn: self.clone() }, Receiver { conn: self })
    }

    /// Closes: nothing more is accepted or received; what waits is sent; the peer is told, and tells how
    /// much it has had; then the connection ends. Returns when nothing of it is left, no task and no
    /// descriptor, or (on a busy machine, where tasks do not get to run) a second after the deadline.
    ///
    /// Dropped before it is done, it closes in the background. Any number of callers may wait for the same
    /// end.
    pub async fn close(&self, timeout: Duration) -> CloseReport {
        let started = rt::now();
        let until = started + timeout;
        close(self.wire(), until);
        session::wire::gone(&self.wire().home, &[self.wire()], timeout).await;
        let (flushed, abandoned, unknown) = self.wire().lock().account();
        CloseReport { flushed, abandoned, unknown, took: rt::now() - started }
    }
}

/// What is left until then.
pub(super) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Full is a reason to wait; everything else is not.
pub(super) fn wait_for_room<T>(
    state: &mut WireState,
    result: Result<T, NotSent>,
    cx: Option<&mut Context<'_>>,
) -> Poll<Result<T, NotSent>> {
    if let Err(NotSent::Full) = result {
        if let Some(cx) = cx {
            state.wait(For::Room, cx);
        }
        return Poll::Pending;
    }
    Poll::Ready(result)
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("peer", &self.peer()).finish_non_exhaustive()
    }
}

/// The half of a [`Conn`] that sends.
#[derive(Clone, Debug)]
pub struct Sender {
    conn: Conn,
}

impl Sender {
    /// See [`Conn::send`].
    ///
    /// # Errors
    /// As there.
    pub async fn send(&self, parcel: impl Into<Parcel>) -> Result<(), SendError> {
        self.conn.send(parcel).await
    }

    /// See [`Conn::send_timeout`].
    ///
    /// # Errors
    /// As there.
    pub async fn send_timeout(&self, parcel: impl Into<Parcel>, timeout: Duration) -> Result<(), SendError> {
        self.conn.send_timeout(parcel, timeout).await
    }

    /// See [`Conn::try_send`].
    ///
    /// # Errors
    /// As there.
    pub fn try_send(&self, parcel: impl Into<Parcel>) -> Result<(), SendError> {
        self.conn.try_send(parcel)
    }

    /// The whole connection.
    pub fn conn(&self) -> &Conn {
        &self.conn
    }
}

/// The half of a [`Conn`] that receives.
#[derive(Debug)]
pub struct Receiver {
    conn: Conn,
}

impl Receiver {
    /// See [`Conn::recv`].
    ///
    /// # Errors
    /// As there.
    pub async fn recv(&mut self) -> Result<Parcel, RecvError> {
        self.conn.recv().await
    }

    /// See [`Conn::recv_timeout`].
    ///
    /// # Errors
    /// As there.
    pub async fn recv_timeout(&mut self, timeout: Duration) -> Result<Parcel, RecvError> {
        self.conn.recv_timeout(timeout).await
    }

    /// See [`Conn::try_recv`].
    ///
    /// # Errors
    /// As there.
    pub fn try_recv(&mut self) -> Result<Parcel, RecvError> {
        self.conn.try_recv()
    }

    /// The whole connection.
    pub fn conn(&self) -> &Conn {
        &self.conn
    }
}
