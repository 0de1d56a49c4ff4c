//! [`Server`]: takes connections, from any number of listeners.

use super::conn::Conn;
use super::events::Hub;
use super::host::{Host, HostCore};
use super::rates::Who;
use super::{Event, RecvError};
use crate::endpoint;
use crate::error::ListenError;
use crate::options::ListenOptions;
use crate::rt;
use crate::session::Origin;
use crate::transport::{Accept, Ends, Incoming, Speaks};
use spanwire_core::addr::Addr;
use spanwire_core::framing::link::Reason;
use spanwire_core::link::End;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::task::AbortHandle;

/// Who may connect, as far as the transport knows him: addresses, unix credentials, TLS identity.
pub type Filter = Arc<dyn Fn(&Ends) -> bool + Send + Sync>;

/// The options of a [`Server`].
#[derive(Clone)]
pub struct ServerOptions {
    /// Of its listeners. `half_open` counts for each of them.
    pub listen: ListenOptions,
    /// Connections at once, those that nobody has accepted yet included; more are refused with
    /// [`Reason::Full`]. Default 1,024; at least 1.
    pub connections: usize,
    /// The same from one IP address, or by one user over unix sockets. Default: no limit of its own.
    pub connections_per_peer: Option<usize>,
    /// Says no before the peer has said anything; it is refused with [`Reason::Filtered`]. Default: everybody
    /// may.
    pub filter: Option<Filter>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: ListenOptions::default(),
            connections: 1_024,
            connections_per_peer: None,
            filter: None,
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
    host: Arc<HostCore>,
    options: ServerOptions,
    state: Mutex<ServerState>,
}

#[derive(Default)]
struct ServerState {
    closed: bool,
    listeners: Vec<Arc<Listening>>,
    /// Open, and not accepted.
    ready: VecDeque<Conn>,
    waits: Vec<Waker>,
    /// Open or past their Hello, by who they are.
    inside: usize,
    per_peer: HashMap<Who, usize>,
    stats: ServerStats,
}

/// One listener.
#[derive(Debug)]
struct Listening {
    url: Arc<str>,
    local: Option<SocketAddr>,
    acceptor: Mutex<Option<Box<dyn Accept>>>,
    inner: Mutex<HalfOpens>,
}

#[derive(Debug, Default)]
struct HalfOpens {
    closed: bool,
    task: Option<AbortHandle>,
    waiting: VecDeque<(u64, AbortHandle)>,
}

/// A failed accept is retried after this, doubling up to [`ACCEPT_MAX`].
const ACCEPT_MIN: Duration = Duration::from_millis(5);
const ACCEPT_MAX: Duration = Duration::from_secs(1);

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
    fn core(&self) -> &Arc<ServerCore> {
        &self.inner.core
    }

    /// Listens at another address, and returns it with its real port. A listener that fails to accept is
    /// tried again, after 5 ms and up to a second, and reported as an event.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn listen(&self, url: &str) -> Result<String, ListenError> {
        let core = self.core();
        let address = |error| ListenError::Address { url: url.into(), error };
        let addr = endpoint::listen_addr(url, &core.options.listen).map_err(address)?;
        let bind = |error| ListenError::Bind { url: url.into(), error: Arc::new(error) };
        let (acceptor, addr) = core.bind(&addr).await.map_err(bind)?;
        let listening = core.add(acceptor, &addr).ok_or(ListenError::Closed)?;
        Ok(listening.url.to_string())
    }

    /// Where it listens.
    pub fn urls(&self) -> Vec<String> {
        self.core().lock().listeners.iter().map(|listening| listening.url.to_string()).collect()
    }

    /// The address of its first listener.
    pub fn url(&self) -> String {
        self.urls().into_iter().next().unwrap_or_default()
    }

    /// The first IP address it is bound to, with its real port.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.core().lock().listeners.iter().find_map(|listening| listening.local)
    }

    /// Stops listening at an address, as [`listen`](Self::listen) has returned it; connections stay. Whether
    /// it did.
    pub fn unlisten(&self, url: &str) -> bool {
        let mut state = self.core().lock();
        let at = state.listeners.iter().position(|listening| &*listening.url == url);
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
        let half_open = state.listeners.iter().map(|listening| listening.lock().waiting.len()).sum();
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
    fn lock(&self) -> MutexGuard<'_, ServerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn bind(&self, addr: &Addr) -> io::Result<(Box<dyn Accept>, Addr)> {
        let home = &self.host.home;
        home.run(endpoint::bind(addr, Speaks::Link, &self.options.listen, home)).await
    }

    fn add(self: &Arc<Self>, acceptor: Box<dyn Accept>, addr: &Addr) -> Option<Arc<Listening>> {
        let listening = Arc::new(Listening {
            url: addr.to_string().into(),
            local: acceptor.local_addr(),
            acceptor: Mutex::new(Some(acceptor)),
            inner: Mutex::default(),
        });
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        state.listeners.push(listening.clone());
        drop(state);
        let task = self.host.home.spawn(accept_connections(Arc::downgrade(self), listening.clone()));
        let mut inner = listening.lock();
        match inner.closed {
            true => task.abort(),
            false => inner.task = Some(task),
        }
        drop(inner);
        Some(listening)
    }

    fn hub(&self) -> &Hub {
        &self.host.hub
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
            if !state.waits.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.waits.push(cx.waker().clone());
            }
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

    /// A connection has arrived.
    fn take(self: &Arc<Self>, listening: &Arc<Listening>, incoming: Incoming) -> Crowd {
        self.lock().stats.arrived += 1;
        let origin = Origin { url: listening.url.clone(), dialed: false };
        let guest = Guest {
            server: Arc::downgrade(self),
            listening: listening.clone(),
            entered: Mutex::new(None),
            conn: Mutex::new(None),
            left: AtomicBool::new(false),
        };
        let mut inner = listening.lock();
        if inner.closed {
            return Crowd::Fits;
        }
        let (conn, task) = Conn::start(&self.host, origin, Some(guest), incoming);
        let number = conn.number();
        if let Some(guest) = &conn.wire().guest {
            if !guest.keep(conn.clone()) {
                // It has ended already.
                return Crowd::Fits;
            }
        }
        inner.waiting.push_back((number, task));
        if inner.waiting.len() <= self.options.listen.half_open.max(1) {
            return Crowd::Fits;
        }
        let evicted = inner.waiting.pop_front();
        drop(inner);
        if let Some((_, task)) = evicted {
            task.abort();
        }
        self.lock().stats.evicted += 1;
        Crowd::Full
    }
}

/// Whether a connection that came in pushed another one out.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Crowd {
    Fits,
    Full,
}

async fn accept_connections(server: Weak<ServerCore>, listening: Arc<Listening>) {
    let mut wait = ACCEPT_MIN;
    loop {
        let accepted = poll_fn(|cx| listening.poll_accept(cx)).await;
        let Some(core) = server.upgrade() else { return };
        match accepted {
            Ok(incoming) => {
                wait = ACCEPT_MIN;
                if core.take(&listening, incoming) == Crowd::Full {
                    // In a flood each newcomer pushes another one out: those who came before the next one
                    // get the chance to say what they have to say.
                    rt::yield_now().await;
                }
            }
            // The peer gave up while it waited for us: nobody's fault, and no reason to wait.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                core.lock().stats.failures += 1;
                let (url, error) = (listening.url.clone(), error.to_string().into());
                core.hub().tell(|| Event::ListenerFailed { url, error });
                core.host.home.sleep(wait).await;
                wait = (wait * 2).min(ACCEPT_MAX);
            }
        }
    }
}

impl Listening {
    fn lock(&self) -> MutexGuard<'_, HalfOpens> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        let acceptor = self.acceptor.lock().unwrap_or_else(PoisonError::into_inner);
        acceptor.as_ref().map_or(Poll::Pending, |acceptor| acceptor.poll_accept(cx))
    }

    fn stop(&self) {
        let (task, waiting) = {
            let mut inner = self.lock();
            inner.closed = true;
            (inner.task.take(), std::mem::take(&mut inner.waiting))
        };
        drop(self.acceptor.lock().unwrap_or_else(PoisonError::into_inner).take());
        task.into_iter().chain(waiting.into_iter().map(|(_, task)| task)).for_each(|task| task.abort());
    }

    /// A handshake is over.
    fn settled(&self, number: u64) {
        let mut inner = self.lock();
        // The oldest is at the front, and most handshakes are settled in the order they began.
        let at = inner.waiting.iter().position(|(other, _)| *other == number);
        at.and_then(|at| inner.waiting.remove(at));
    }
}

/// What a connection is at the server that has taken it.
pub(super) struct Guest {
    server: Weak<ServerCore>,
    listening: Arc<Listening>,
    /// Counted among those inside, as this one.
    entered: Mutex<Option<Who>>,
    /// Kept until somebody accepts it, or it comes to nothing.
    conn: Mutex<Option<Conn>>,
    left: AtomicBool,
}

impl Guest {
    fn conn(&self) -> MutexGuard<'_, Option<Conn>> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `false`: it has ended already, and nobody would let it go.
    fn keep(&self, conn: Conn) -> bool {
        let mut place = self.conn();
        let kept = !self.left.load(Ordering::Acquire);
        if kept {
            *place = Some(conn);
        }
        kept
    }

    /// The filter of the application is asked.
    pub(super) fn passes_filter(&self, ends: &Ends) -> bool {
        let Some(server) = self.server.upgrade() else { return false };
        let passes = server.options.filter.as_ref().is_none_or(|filter| filter(ends));
        if !passes {
            server.lock().stats.filtered += 1;
        }
        passes
    }

    /// It has said Hello: whether there is a place for it.
    pub(super) fn come_in(&self, ends: Option<&Ends>) -> Result<(), Reason> {
        let Some(server) = self.server.upgrade() else { return Err(Reason::Closing) };
        let key = Who::by_transport(ends);
        let mut state = server.lock();
        if state.closed {
            return Err(Reason::Closing);
        }
        let of_peer = state.per_peer.get(&key).copied().unwrap_or(0);
        let limit = server.options.connections_per_peer.unwrap_or(usize::MAX).max(1);
        if state.inside >= server.options.connections.max(1) || of_peer >= limit {
            state.stats.full += 1;
            return Err(Reason::Full);
        }
        state.inside += 1;
        *state.per_peer.entry(key.clone()).or_default() += 1;
        *self.entered.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(())
    }

    /// Its handshake is done.
    pub(super) fn opened(&self, number: u64) {
        self.listening.settled(number);
        let conn = self.conn().take();
        let Some(server) = self.server.upgrade() else { return };
        let waits = {
            let mut state = server.lock();
            state.stats.opened += 1;
            if state.closed {
                return;
            }
            state.ready.extend(conn);
            std::mem::take(&mut state.waits)
        };
        waits.into_iter().for_each(Waker::wake);
    }

    /// It is gone, at whatever point.
    pub(super) fn leave(&self, number: u64) {
        self.left.store(true, Ordering::Release);
        self.listening.settled(number);
        drop(self.conn().take());
        let entered = self.entered.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(key), Some(server)) = (entered, self.server.upgrade()) else { return };
        let mut state = server.lock();
        state.inside -= 1;
        if let Some(count) = state.per_peer.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                state.per_peer.remove(&key);
            }
        }
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
        server.core().add(Box::new(Failing(Mutex::new(3))), &addr).unwrap();
        for _ in 0..3 {
            let Some(Event::ListenerFailed { url, error }) = events.next().await else { panic!() };
            assert_eq!((&*url, &*error), ("tcp://127.0.0.1:1", "no descriptor"));
        }
        assert_eq!(server.stats().failures, 3);
    }
}
