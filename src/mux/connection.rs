//! [`Connection`]: one connection that carries channels.

use super::channel::Channel;
use super::wire::{self, For, Watcher, Wire, WireState};
use super::{AcceptError, OpenError};
use crate::endpoint::Connector;
use crate::error::DialError;
use crate::options::DialOptions;
use crate::rt::{self, Home};
use crate::session::{self, Origin};
use crate::transport::{self, Incoming, Place, Speaks};
use spanwire_core::mux::connection::NotOpened;
use spanwire_core::mux::{ChannelId, Code, End, MuxOptions, MuxStats};
use spanwire_core::{Priority, Time};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

/// A connection that carries channels: logical connections of their own. A handle: clones are the same
/// connection.
///
/// Both sides are alike: each may open channels and accept those of the other. The connection lives as long
/// as anybody holds it or one of its channels; then it closes in the background.
#[derive(Clone)]
pub struct Connection {
    pub(super) life: Arc<Life>,
}

/// What all handles of a connection and of its channels share.
pub(super) struct Life {
    pub(super) wire: Arc<Wire>,
}

/// How long a connection of which all handles are dropped goes on in the background to get rid of its messages.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

static NUMBERS: AtomicU64 = AtomicU64::new(1);

impl Drop for Life {
    fn drop(&mut self) {
        leave(&self.wire, Code::NONE, "", rt::now() + CLOSE_DEADLINE);
    }
}

/// Takes no new channels, and is over at this time at the latest.
pub(super) fn leave(wire: &Arc<Wire>, code: Code, text: &str, until: Time) {
    wire.visit(|state| {
        state.part_until(until);
        state.mux.leave(code, text, Some(until));
    });
}

impl Connection {
    /// Starts the task of a connection that was just made.
    pub(super) fn start(
        home: &Home,
        origin: Origin,
        options: &MuxOptions,
        watcher: Option<Arc<dyn Watcher>>,
        incoming: Incoming,
    ) -> (Self, AbortHandle) {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let wire = Arc::new(wire::new(number, home.clone(), origin, options.clone(), watcher));
        let task = home.spawn(wire.clone().serve(incoming, options.handshake_timeout, options.spin));
        (Self { life: Arc::new(Life { wire }) }, task)
    }

    /// Makes a connection of its own, whatever a [`Pool`](super::Pool) may have, and waits until the peer
    /// has said hello. Dropped before it is done, nothing is left of it.
    ///
    /// # Errors
    /// [`OpenError::Dial`], [`OpenError::Closed`].
    pub async fn connect(url: &str, options: MuxOptions) -> Result<Self, OpenError> {
        Self::connect_with(url, options, DialOptions::default()).await
    }

    /// [`connect`](Self::connect) with the options of a dialer: certificates, timeouts, buffers.
    ///
    /// # Errors
    /// [`OpenError::Dial`], [`OpenError::Closed`].
    pub async fn connect_with(url: &str, options: MuxOptions, dial: DialOptions) -> Result<Self, OpenError> {
        Self::dial(&Home::current(), url, &options, dial, None).await
    }

    /// The same on the library's thread.
    pub(crate) async fn dial_in_background(
        url: &str,
        options: &MuxOptions,
        dial: DialOptions,
    ) -> Result<Self, OpenError> {
        Self::dial(&Home::background(), url, options, dial, None).await
    }

    pub(super) async fn dial(
        home: &Home,
        url: &str,
        options: &MuxOptions,
        dial: DialOptions,
        watcher: Option<Arc<dyn Watcher>>,
    ) -> Result<Self, OpenError> {
        let address = |error| OpenError::Dial(DialError::Address { url: url.into(), error });
        let connector = Connector::new(url, dial).map_err(address)?;
        let stream = connector.reach(url, Speaks::Link, home).await?;
        let origin = Origin { url: url.into(), dialed: true };
        let (connection, _) = Self::start(home, origin, options, watcher, Incoming::Ready(stream));
        connection.greeted().await?;
        Ok(connection)
    }

    /// Puts channels on a connection that the program already has: anything that carries bytes both ways in
    /// order. The peer has to do the same. It does not matter who has dialled.
    ///
    /// The tasks run in the current tokio runtime, or on the library's own thread if there is none.
    pub fn wrap(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, options: MuxOptions) -> Self {
        Self::wrap_at(&Home::current(), io, &options)
    }

    /// The same with a connection of the standard library, on the library's thread.
    pub(crate) async fn wrap_std(io: std::net::TcpStream, options: &MuxOptions) -> io::Result<Self> {
        let home = Home::background();
        io.set_nonblocking(true)?;
        let io = home.run(async { TcpStream::from_std(io) }).await?;
        Ok(Self::wrap_at(&home, io, options))
    }

    fn wrap_at(
        home: &Home,
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        options: &MuxOptions,
    ) -> Self {
        let stream = transport::foreign::stream_of(transport::Connection::new(io), home);
        let origin = Origin { url: "wrapped".into(), dialed: false };
        Self::start(home, origin, options, None, Incoming::Ready(stream)).0
    }

    pub(super) fn of(life: &Arc<Life>) -> Self {
        Self { life: life.clone() }
    }

    pub(super) fn wire(&self) -> &Arc<Wire> {
        &self.life.wire
    }

    /// Ready when the peer has said hello. Not needed: opening a channel waits for it.
    ///
    /// # Errors
    /// [`OpenError::Closed`].
    pub async fn greeted(&self) -> Result<(), OpenError> {
        poll_fn(|cx| {
            let mut state = self.wire().lock();
            if let Some(end) = state.mux.end() {
                return Poll::Ready(Err(ended(&state, end.clone(), &self.wire().origin.url)));
            }
            if state.mux.theirs().is_some() {
                return Poll::Ready(Ok(()));
            }
            state.wait(For::State, cx);
            Poll::Pending
        })
        .await
    }

    /// Opens a channel; waits while the peer takes no more of them. What is sent on it travels at once: the
    /// peer's program need not have accepted it ([`Channel::accepted`] waits for that). Cancel-safe.
    ///
    /// # Errors
    /// [`OpenError::Id`], [`OpenError::Leaving`], [`OpenError::Closed`].
    pub async fn open(&self, id: &str) -> Result<Channel, OpenError> {
        self.open_with(ChannelId::new(id)?, Priority::Normal).await
    }

    /// [`open`](Self::open) with a priority: where there is more to send than the connection takes, channels of the
    /// four priorities share it by 64, 16, 4 and 1.
    ///
    /// # Errors
    /// As there.
    pub async fn open_with(&self, id: ChannelId, priority: Priority) -> Result<Channel, OpenError> {
        poll_fn(|cx| self.poll_open(&id, priority, Some(cx))).await
    }

    /// Opens a channel if the peer takes one.
    ///
    /// # Errors
    /// [`OpenError::Full`], too.
    pub fn try_open(&self, id: ChannelId, priority: Priority) -> Result<Channel, OpenError> {
        match self.poll_open(&id, priority, None) {
            Poll::Ready(opened) => opened,
            Poll::Pending => Err(OpenError::Full),
        }
    }

    pub(super) fn poll_open(
        &self,
        id: &ChannelId,
        priority: Priority,
        cx: Option<&mut Context<'_>>,
    ) -> Poll<Result<Channel, OpenError>> {
        let opened = self.wire().visit(|state| match state.mux.open(id.clone(), priority) {
            Ok(place) => Poll::Ready(Ok(place)),
            Err(NotOpened::Leaving) => Poll::Ready(Err(OpenError::Leaving)),
            Err(NotOpened::Over(end)) => Poll::Ready(Err(ended(state, end, &self.wire().origin.url))),
            Err(NotOpened::Full) => {
                if let Some(cx) = cx {
                    state.wait(For::Openings, cx);
                }
                Poll::Pending
            }
        });
        opened.map_ok(|place| Channel::new(self.life.clone(), place, id.clone()))
    }

    /// The next channel that the peer opens with this id; the empty id accepts all. Cancel-safe.
    ///
    /// # Errors
    /// [`AcceptError::Closed`].
    pub async fn accept(&self, id: &str) -> Result<Channel, AcceptError> {
        poll_fn(|cx| self.poll_accept(&wants(id), Some(cx))).await
    }

    /// [`accept`](Self::accept), no longer than this.
    ///
    /// # Errors
    /// [`AcceptError::TimedOut`], too.
    pub async fn accept_timeout(&self, id: &str, timeout: Duration) -> Result<Channel, AcceptError> {
        let accepted = self.wire().home.within(Some(timeout), self.accept(id)).await;
        accepted.unwrap_or(Err(AcceptError::TimedOut))
    }

    /// The next channel of this id if there is one.
    ///
    /// # Errors
    /// [`AcceptError::Empty`], too.
    pub fn try_accept(&self, id: &str) -> Result<Channel, AcceptError> {
        match self.poll_accept(&wants(id), None) {
            Poll::Ready(accepted) => accepted,
            Poll::Pending => Err(AcceptError::Empty),
        }
    }

    pub(super) fn poll_accept(
        &self,
        wanted: &dyn Fn(&ChannelId) -> bool,
        cx: Option<&mut Context<'_>>,
    ) -> Poll<Result<Channel, AcceptError>> {
        let accepted = self.wire().visit(|state| {
            if let Some(accepted) = state.mux.accept(wanted) {
                return Poll::Ready(Ok(accepted));
            }
            if let Some(end) = state.mux.end() {
                return Poll::Ready(Err(AcceptError::Closed(end.clone())));
            }
            if let Some(cx) = cx {
                state.wait(For::Incoming, cx);
            }
            Poll::Pending
        });
        accepted.map_ok(|(place, id)| Channel::new(self.life.clone(), place, id))
    }

    /// Its number: that of no other connection of this process.
    pub fn number(&self) -> u64 {
        self.wire().number
    }

    /// Our end of it.
    pub fn local(&self) -> Option<Place> {
        self.wire().ends().map(|ends| ends.local.clone())
    }

    /// The peer's end of it.
    pub fn remote(&self) -> Option<Place> {
        self.wire().ends().map(|ends| ends.remote.clone())
    }

    /// Both ends, the peer's credentials and its TLS identity.
    pub fn ends(&self) -> Option<transport::Ends> {
        self.wire().ends().cloned()
    }

    /// What it has counted.
    pub fn stats(&self) -> MuxStats {
        self.wire().lock().mux.stats()
    }

    /// The shortest of the last round trips.
    pub fn round_trip(&self) -> Option<Duration> {
        self.wire().lock().mux.round_trip()
    }

    /// Measures the round trip now. Cancel-safe.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn ping(&self) -> Result<Duration, End> {
        let mut before = None;
        poll_fn(|cx| {
            self.wire().visit(|state| {
                if let Some(end) = state.mux.end() {
                    return Poll::Ready(Err(end.clone()));
                }
                let (last, count) = state.mux.last_round_trip();
                match (before, last) {
                    (None, _) => {
                        before = Some(count);
                        state.mux.ping(rt::now());
                    }
                    (Some(before), Some(round_trip)) if count > before => return Poll::Ready(Ok(round_trip)),
                    _ => {}
                }
                state.wait(For::RoundTrip, cx);
                Poll::Pending
            })
        })
        .await
    }

    /// How it ended; `None` while it has not.
    pub fn end(&self) -> Option<End> {
        self.wire().lock().mux.end().cloned()
    }

    /// Waits for the end of the connection, and tells how it came.
    pub async fn ended(&self) -> End {
        poll_fn(|cx| {
            let mut state = self.wire().lock();
            if let Some(end) = state.mux.end() {
                return Poll::Ready(end.clone());
            }
            state.wait(For::State, cx);
            Poll::Pending
        })
        .await
    }

    /// Tells the peer that no new channels are taken; those that there are go on, and the connection ends
    /// with the last of them. Returns at once.
    pub fn go_away(&self, code: Code, text: &str) {
        self.wire().visit(|state| state.mux.leave(code, text, None));
    }

    /// Closes: takes no new channels, waits until those that there are have ended, no longer than this, and resets
    /// the rest. Returns when nothing of it is left, no task and no descriptor, or (on a busy machine, where
    /// tasks do not get to run) a second after the deadline. `true` if all channels had ended by themselves.
    ///
    /// Dropped before it is done, it closes in the background.
    pub async fn close(&self, timeout: Duration) -> bool {
        close_all(&self.wire().home, std::slice::from_ref(self), timeout).await
    }
}

/// Closes many at the same time, as [`Connection::close`] does one.
pub(super) async fn close_all(home: &Home, connections: &[Connection], timeout: Duration) -> bool {
    let until = rt::now() + timeout;
    let wires: Vec<_> = connections.iter().map(Connection::wire).collect();
    wires.iter().for_each(|wire| leave(wire, Code::NONE, "", until));
    session::wire::gone(home, &wires, timeout).await;
    // Asked of the machines: which of the timers for one deadline runs first says nothing.
    wires.iter().all(|wire| wire.lock().mux.has_parted())
}

/// Which ids somebody accepts.
fn wants(id: &str) -> impl Fn(&ChannelId) -> bool + '_ {
    move |other| id.is_empty() || other.as_str() == id
}

fn ended(state: &WireState, end: End, url: &Arc<str>) -> OpenError {
    match &state.upgrade {
        Some(error) => DialError::Upgrade { url: url.clone(), error: error.clone() }.into(),
        None => OpenError::Closed(end),
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(self.wire()).finish()
    }
}
