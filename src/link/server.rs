//! [`Server`]: takes connections, from any number of listeners.

use super::conn::Conn;
use super::guest::Guest;
use super::host::{Host, HostCore};
use super::rates::Who;
use super::{Event, RecvError};
use crate::endpoint;
use crate::endpoint::listening::{Crowd, Listening, Taker, bind_for, may_work_later};
use crate::error::ListenError;
use crate::options::{ListenOptions, Start};
use crate::rt::{self, Home};
use crate::session::Origin;
use crate::session::wire::wait_in;
use crate::transport::{Accept, Ends, Incoming};
use spanwire_core::addr::Addr;
use spanwire_core::link::End;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Who may connect, as far as the transport knows him: addresses, unix credentials, TLS identity.
pub type Filter = Arc<dyn Fn(&Ends) -> bool + Send + Sync>;

/// The options of a [`Server`].
#[derive(Clone)]
pub struct ServerOptions {
    /// Of its listeners. `half_open` counts for each of them.
    pub listen: ListenOptions,
    /// Connections at once, those that nobody has accepted yet included; more are refused with
    /// [`Reason::Full`](super::Reason::Full). Default 1,024; at least 1.
    pub connections: usize,
    /// The same from one IP address, or by one user over unix sockets. Default: no limit of its own.
    pub connections_per_peer: Option<usize>,
    /// Says no before the peer has said anything; it is refused with [`Reason::Filtered`](super::Reason::Filtered). Default: everybody
    /// may.
    pub filter: Option<Filter>,
    /// Whether [`listen`](Server::listen) reports that an address cannot be had now. Default: it does. With
    /// [`Start::Background`] it returns, and goes on trying.
    pub start: Start,
    /// The first wait before a listener that has failed, or has not been bound yet, is bound again: random, below
    /// this. Default 100 ms.
    pub rebind_min: Duration,
    /// Waits double up to this. Default 10 s.
    pub rebind_max: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: ListenOptions::default(),
            connections: 1_024,
            connections_per_peer: None,
            filter: None,
            start: Start::Wait,
            rebind_min: Duration::from_millis(100),
            rebind_max: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("listen", &self.listen)
            .field("connections", &self.connections)
            .field("connections_per_peer", &self.connections_per_peer)
            .field("filter", &self.filter.is_some())
            .field("start", &self.start)
            .field("rebind_min", &self.rebind_min)
            .field("rebind_max", &self.rebind_max)
            .finish()
    }
}

/// What a server has counted.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections that arrived, whatever became of them.
    pub arrived: u64,
    /// Those whose handshake was done.
    pub opened: u64,
    /// Those that the filter refused.
    pub filtered: u64,
    /// Those that were refused since there were too many.
    pub full: u64,
    /// Half-open ones that were dropped because there were too many.
    pub evicted: u64,
    /// Failed attempts to accept or to listen.
    pub failures: u64,
    /// Connections now, those that nobody has accepted yet included.
    pub connections: usize,
    /// Connections in their handshake now.
    pub half_open: usize,
}

/// Takes connections from any number of listeners. A handle: clones are the same server.
///
/// When the last handle is dropped, it stops listening, and closes connections that nobody has accepted;
/// those that were accepted live on.
#[derive(Clone, Debug)]
pub struct Server {
    inner: Arc<Running>,
}

/// Ends the server when the last handle is dropped.
#[derive(Debug)]
struct Running {
    core: Arc<ServerCore>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.core.stop();
    }
}

pub(super) struct ServerCore {
    pub(super) host: Arc<HostCore>,
    pub(super) options: ServerOptions,
    state: Mutex<ServerState>,
}

#[derive(Default)]
pub(super) struct ServerState {
    pub(super) closed: bool,
    pub(super) listeners: Vec<Arc<Listening>>,
    /// Open, and not accepted.
    pub(super) ready: VecDeque<Conn>,
    pub(super) waits: Vec<Waker>,
    /// Open or past their Hello, by who they are.
    pub(super) inside: usize,
    pub(super) per_peer: HashMap<Who, usize>,
    pub(super) stats: ServerStats,
}

impl Host {
    /// Listens at an address; more can be added to the server.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn serve(&self, url: &str) -> Result<Server, ListenError> {
        let server = self.server(ServerOptions::default());
        server.listen(url).await?;
        Ok(server)
    }

    /// A server that does not listen yet.
    pub fn server(&self, options: ServerOptions) -> Server {
        let host = self.core.clone();
        let core = Arc::new(ServerCore { host, options, state: Mutex::default() });
        Server { inner: Arc::new(Running { core }) }
    }
}

impl Server {
    pub(super) fn core(&self) -> &Arc<ServerCore> {
        &self.inner.core
    }

    /// Listens at another address, and returns it with its real port.
    ///
    /// A listener that cannot accept tries again, after 5 ms and up to a second. One that is broken (its socket
    /// says so, or nothing has come of 8 attempts, and not for want of memory or descriptors) is bound again at
    /// the same address and port, with waits as [`ServerOptions`] say. Each failure is an
    /// [`Event::ListenerFailed`](super::Event::ListenerFailed), and the end of them an
    /// [`Event::ListenerBound`](super::Event::ListenerBound). Connections stay.
    ///
    /// Dropped before it is done, there is no listener.
    ///
    /// # Errors
    /// See [`ListenError`]. With [`ServerOptions::start`] in the background, an address that is taken or not there
    /// yet is none: it is returned as it was given, and bound as soon as it can be. What is wrong with the address or
    /// the options is reported all the same.
    pub async fn listen(&self, url: &str) -> Result<String, ListenError> {
        let core = self.core();
        let address = |error| ListenError::Address { url: url.into(), error };
        let addr = endpoint::listen_addr(url, &core.options.listen).map_err(address)?;
        let listening = match bind_for(&**core, &addr).await {
            Ok((acceptor, addr)) => core.add(Some(acceptor), addr).ok_or(ListenError::Closed)?,
            Err(error) if core.options.start == Start::Background && may_work_later(&error) => {
                let listening = core.add(None, addr).ok_or(ListenError::Closed)?;
                core.failed(&listening, &error);
                listening
            }
            Err(error) => return Err(ListenError::Bind { url: url.into(), error: Arc::new(error) }),
        };
        Ok(listening.url().to_string())
    }

    /// Where it listens, or goes on trying to.
    pub fn urls(&self) -> Vec<String> {
        self.core().lock().listeners.iter().map(|listening| listening.url().to_string()).collect()
    }

    /// The address of its first listener.
    pub fn url(&self) -> String {
        self.urls().into_iter().next().unwrap_or_default()
    }

    /// The first IP address it is bound to, with its real port.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.core().lock().listeners.iter().find_map(|listening| listening.local_addr())
    }

    /// Stops listening at an address, as [`listen`](Self::listen) has returned it; connections stay. Whether
    /// it did.
    pub fn unlisten(&self, url: &str) -> bool {
        let mut state = self.core().lock();
        let at = state.listeners.iter().position(|listening| listening.is_at(url));
        let listening = at.map(|at| state.listeners.remove(at));
        drop(state);
        listening.inspect(|listening| listening.stop()).is_some()
    }

    /// The next connection, whose handshake is done. Cancel-safe.
    ///
    /// # Errors
    /// [`RecvError::Closed`] when the server is closed.
    pub async fn accept(&self) -> Result<Conn, RecvError> {
        poll_fn(|cx| self.core().poll_accept(Some(cx))).await
    }

    /// [`accept`](Self::accept), no longer than this.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`], too.
    pub async fn accept_timeout(&self, timeout: Duration) -> Result<Conn, RecvError> {
        let accept = self.accept();
        let home = &self.core().host.home;
        home.within(Some(timeout), accept).await.unwrap_or(Err(RecvError::TimedOut))
    }

    /// The next connection if there is one.
    ///
    /// # Errors
    /// [`RecvError::Empty`], too.
    pub fn try_accept(&self) -> Result<Conn, RecvError> {
        match self.core().poll_accept(None) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(RecvError::Empty),
        }
    }

    /// What it has counted.
    pub fn stats(&self) -> ServerStats {
        let state = self.core().lock();
        let half_open = state.listeners.iter().map(|listening| listening.half_open()).sum();
        ServerStats { connections: state.inside, half_open, ..state.stats }
    }

    /// Stops listening, drops what is in its handshake, and closes connections that nobody has accepted;
    /// their addresses are free when this returns. Connections that were accepted live on.
    pub async fn close(&self, timeout: Duration) {
        let until = rt::now() + timeout;
        for conn in self.core().stop() {
            conn.close(until - rt::now()).await;
        }
    }
}

impl ServerCore {
    /// One more listener; with `None`, it is yet to be bound. `None`: the server is closed.
    fn add(self: &Arc<Self>, acceptor: Option<Box<dyn Accept>>, addr: Addr) -> Option<Arc<Listening>> {
        let listening = Listening::new(acceptor, addr, self.options.listen.half_open);
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        state.listeners.push(listening.clone());
        drop(state);
        listening.start(self);
        Some(listening)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ServerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_accept(&self, cx: Option<&mut Context<'_>>) -> Poll<Result<Conn, RecvError>> {
        let mut state = self.lock();
        while let Some(conn) = state.ready.pop_front() {
            // One that has ended meanwhile may still have something to be received.
            let (over, has_message) = {
                let wire = conn.wire().lock();
                (wire.link.end().is_some(), wire.link.has_message())
            };
            if !over || has_message {
                return Poll::Ready(Ok(conn));
            }
        }
        if state.closed {
            return Poll::Ready(Err(RecvError::Closed(End::ClosedHere)));
        }
        if let Some(cx) = cx {
            wait_in(&mut state.waits, cx);
        }
        Poll::Pending
    }

    /// Ends all listeners. What nobody has accepted.
    fn stop(&self) -> Vec<Conn> {
        let (listeners, ready, waits) = {
            let mut state = self.lock();
            state.closed = true;
            let state = &mut *state;
            let ready = state.ready.drain(..).collect();
            (std::mem::take(&mut state.listeners), ready, std::mem::take(&mut state.waits))
        };
        listeners.iter().for_each(|listening| listening.stop());
        waits.into_iter().for_each(Waker::wake);
        ready
    }
}

impl Taker for ServerCore {
    fn take(self: Arc<Self>, listening: &Arc<Listening>, incoming: Incoming) -> Crowd {
        self.lock().stats.arrived += 1;
        let origin = Origin { url: listening.url(), dialed: false };
        let guest = Guest::new(&self, listening);
        let (conn, task) = Conn::start(&self.host, origin, Some(guest), incoming);
        let crowd = listening.begun(conn.number(), task);
        if let Some(guest) = &conn.wire().guest {
            guest.keep(conn.clone());
        }
        if crowd == Crowd::Full {
            self.lock().stats.evicted += 1;
        }
        crowd
    }

    fn failed(&self, listening: &Listening, error: &io::Error) {
        self.lock().stats.failures += 1;
        let (url, error) = (listening.url(), error.to_string().into());
        self.host.hub.tell(|| Event::ListenerFailed { url, error });
    }

    fn bound(&self, listening: &Listening) {
        let url = listening.url();
        self.host.hub.tell(|| Event::ListenerBound { url });
    }

    fn rebind(&self) -> Option<(Duration, Duration)> {
        Some((self.options.rebind_min, self.options.rebind_max))
    }

    fn options(&self) -> &ListenOptions {
        &self.options.listen
    }

    fn home(&self) -> &Home {
        &self.host.home
    }
}

impl fmt::Debug for ServerCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("options", &self.options).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::HostOptions;

    /// Fails a few times, and has nobody then.
    #[derive(Debug)]
    struct Failing(Mutex<u32>);

    impl Accept for Failing {
        fn poll_accept(&self, _: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
            let mut left = self.0.lock().unwrap();
            if *left == 0 {
                return Poll::Pending;
            }
            *left -= 1;
            Poll::Ready(Err(io::Error::other("no descriptor")))
        }
    }

    #[tokio::test]
    async fn a_listener_that_fails_is_tried_again_and_reported() {
        let host = Host::with(HostOptions::default());
        let mut events = host.events();
        let server = host.server(ServerOptions::default());
        let addr = endpoint::listen_addr("tcp://127.0.0.1:1", &ListenOptions::default()).unwrap();
        server.core().add(Some(Box::new(Failing(Mutex::new(3)))), addr).unwrap();
        for _ in 0..3 {
            let Some(Event::ListenerFailed { url, error }) = events.next().await else { panic!() };
            assert_eq!((&*url, &*error), ("tcp://127.0.0.1:1", "no descriptor"));
        }
        assert_eq!(server.stats().failures, 3);
    }
}
