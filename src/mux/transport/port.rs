//! [`Port`]: one listener for all who listen at an address, each at channels of its own id.
//!
//! ```text
//!             bind                the runtime of its task goes
//!   (nothing) ────▶ Serving ─────────────────────────────────▶ Orphaned
//!                    │   ▲                                       │  │
//!                    │   └── a listener of another runtime asks ─┘  │
//!                    └──────▶ Closed ◀── the last listener goes ────┘
//! ```
//!
//! Its task accepts connections; the drivers of those hand the channels that come to whoever listens at their
//! ids. When the last listener has gone, the address is free, and connections take no new channels: they
//! end with those that they have.

use super::super::channel::Channel;
use super::super::connection::Connection;
use super::super::wire::{Watcher, Wire};
use super::super::{ChannelId, Code};
use super::halves::stream_of;
use super::id_of;
use super::table::Table;
use crate::endpoint;
use crate::error::{ConnectError, UpgradeError};
use crate::options::ListenOptions;
use crate::rt::Home;
use crate::session::Origin;
use crate::transport::{Accept, Incoming, Speaks, Stream};
use spanwire_core::{Addr, addr};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// The ports of this process.
static PORTS: Table<Lasting> = Table::new();

/// What is left of a port when its last listener has gone, as long as its connections are about to end: where
/// these use its socket, as those of QUIC do, the address is free only then.
#[derive(Debug)]
struct Lasting {
    port: OnceLock<Weak<Port>>,
    /// Whoever waits for the end is told when this is dropped.
    over: watch::Sender<()>,
}

/// Nobody waits longer for connections to end.
const LASTING: Duration = Duration::from_secs(2);

#[cfg(feature = "quic")]
impl crate::rt::quic::Shelter for Lasting {
    fn enter(self: Arc<Self>) -> Option<Box<dyn Send>> {
        Some(Box::new(self))
    }
}

impl Lasting {
    fn new() -> Arc<Self> {
        Arc::new(Self { port: OnceLock::new(), over: watch::Sender::new(()) })
    }

    /// Where what belongs to the port runs.
    fn home(self: &Arc<Self>, home: &Home) -> Home {
        #[cfg(feature = "quic")]
        return home.clone().sheltered(self.clone());
        #[cfg(not(feature = "quic"))]
        home.clone()
    }
}

/// A failed accept is retried after this, doubling up to [`ACCEPT_MAX`].
const ACCEPT_MIN: Duration = Duration::from_millis(5);
const ACCEPT_MAX: Duration = Duration::from_secs(1);

struct Port {
    lasting: Arc<Lasting>,
    /// As it is bound.
    addr: Addr,
    url: Arc<str>,
    local: Option<SocketAddr>,
    options: ListenOptions,
    /// The task accepts under this lock, so that whoever takes it out has closed it.
    acceptor: Mutex<Option<Box<dyn Accept>>>,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    task: Option<AbortHandle>,
    routes: HashMap<ChannelId, Arc<Route>>,
    connections: HashMap<u64, Connection>,
    /// Of these, those whose peer has not said hello, the oldest first.
    half_open: VecDeque<(u64, AbortHandle)>,
    /// So many of them there may be: as many as one of the listeners allows.
    half_open_limit: usize,
}

/// See the picture above.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    Orphaned,
    Closed,
}

/// Where the channels of an id go.
struct Route {
    id: ChannelId,
    backlog: usize,
    inbox: Mutex<Inbox>,
}

#[derive(Default)]
struct Inbox {
    streams: VecDeque<Stream>,
    /// Why the port could not accept, the last time.
    error: Option<io::Error>,
    /// Why a connection has come to nothing, the last time.
    failed: Option<UpgradeError>,
    waker: Option<Waker>,
}

/// A listener at the channels of one id.
pub(crate) struct Listening {
    port: Arc<Port>,
    route: Arc<Route>,
    home: Home,
}

/// Listens at an address; returns it with its real port, too.
pub(crate) async fn listen(
    addr: &addr::Mux,
    options: &ListenOptions,
    home: &Home,
) -> io::Result<(Listening, addr::Mux)> {
    let home = &home.shared();
    let id = id_of(addr)?;
    let slot = PORTS.slot(addr.inner());
    let mut held = slot.lock().await;
    let mut former = None;
    if let Some(lasting) = held.upgrade() {
        if let Some(port) = lasting.port.get().and_then(Weak::upgrade) {
            if let Some(listening) = port.add(&id, options, home)? {
                return Ok((listening, addr.clone()));
            }
        }
        former = Some(lasting.over.subscribe());
    }
    let lasting = Lasting::new();
    let mut opened = bind(addr.inner(), options, lasting.home(home)).await;
    if let (Err(error), Some(mut former)) = (&opened, former) {
        if error.kind() == ErrorKind::AddrInUse {
            // That it is over is told as an error, as nobody is left to tell it. If not, nothing has changed.
            let _ = home.within(Some(LASTING), former.changed()).await;
            opened = bind(addr.inner(), options, lasting.home(home)).await;
        }
    }
    let (acceptor, bound) = opened?;
    let port = Arc::new(Port {
        lasting: lasting.clone(),
        addr: bound.clone(),
        url: bound.to_string().into(),
        local: acceptor.local_addr(),
        options: of_the_port(options),
        acceptor: Mutex::new(Some(acceptor)),
        state: Mutex::new(State {
            phase: Phase::Serving,
            task: None,
            routes: HashMap::new(),
            connections: HashMap::new(),
            half_open: VecDeque::new(),
            half_open_limit: 1,
        }),
    });
    let _first = lasting.port.set(Arc::downgrade(&port));
    match bound == *addr.inner() {
        true => *held = Arc::downgrade(&lasting),
        // The next one who asks for any port gets another one.
        false => PORTS.put(&bound, &lasting),
    }
    let listening = port.add(&id, options, home)?.ok_or(ErrorKind::AddrInUse)?;
    port.start(home);
    let addr =
        addr.clone().with_inner(bound).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    Ok((listening, addr))
}

/// The options without those that are each listener's own.
fn of_the_port(options: &ListenOptions) -> ListenOptions {
    ListenOptions { half_open: 0, ..options.clone() }
}

/// In a box, as it goes through the table of endpoints once more.
#[allow(clippy::type_complexity)] // a pair of what the callers need
fn bind<'a>(
    addr: &'a Addr,
    options: &'a ListenOptions,
    home: Home,
) -> Pin<Box<dyn Future<Output = io::Result<(Box<dyn Accept>, Addr)>> + Send + 'a>> {
    Box::pin(async move { endpoint::bind(addr, Speaks::Link, options, &home).await })
}

impl Port {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acceptor(&self) -> MutexGuard<'_, Option<Box<dyn Accept>>> {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more listener; `None` if the port is closed.
    fn add(
        self: &Arc<Self>,
        id: &ChannelId,
        options: &ListenOptions,
        home: &Home,
    ) -> io::Result<Option<Listening>> {
        let mut state = self.state();
        if state.phase == Phase::Closed {
            return Ok(None);
        }
        if of_the_port(options) != self.options {
            return Err(io::Error::new(ErrorKind::AddrInUse, "the address is shared, but not its options"));
        }
        if state.routes.contains_key(id) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let backlog = usize::try_from(options.backlog).unwrap_or(usize::MAX).max(1);
        let route = Arc::new(Route { id: id.clone(), backlog, inbox: Mutex::default() });
        state.half_open_limit = state.half_open_limit.max(options.half_open);
        state.routes.insert(id.clone(), route.clone());
        Ok(Some(Listening { port: self.clone(), route, home: home.clone() }))
    }

    /// The last listener may have gone.
    fn remove(&self, id: &ChannelId) {
        let (task, connections) = {
            let mut state = self.state();
            state.routes.remove(id);
            if !state.routes.is_empty() || state.phase == Phase::Closed {
                return;
            }
            state.phase = Phase::Closed;
            (state.task.take(), std::mem::take(&mut state.connections))
        };
        drop(self.acceptor().take());
        if let Some(task) = task {
            task.abort();
        }
        for connection in connections.into_values() {
            connection.go_away(Code::NONE, "nobody listens any more");
        }
    }

    fn start(self: &Arc<Self>, home: &Home) {
        let home = self.lasting.home(home);
        // Made here, so that it is dropped even where the task never runs.
        let orphan = Orphan(self.clone());
        let task = home.clone().spawn(async move { orphan.0.serve(home).await });
        let mut state = self.state();
        match state.phase {
            Phase::Serving => state.task = Some(task),
            Phase::Orphaned | Phase::Closed => task.abort(),
        }
    }

    /// A listener asks: where the task is gone with its runtime, that of the listener has it from now on.
    fn keep_serving(self: &Arc<Self>, home: &Home) {
        {
            let mut state = self.state();
            if state.phase != Phase::Orphaned {
                return;
            }
            state.phase = Phase::Serving;
        }
        self.start(home);
    }

    async fn serve(self: &Arc<Self>, home: Home) {
        let mut wait = ACCEPT_MIN;
        loop {
            let is_open = self.acceptor().is_some();
            let arrived = match is_open {
                true => poll_fn(|cx| self.poll_arrival(cx)).await.map(Some),
                // It went with another runtime.
                false => bind(&self.addr, &self.options, home.clone()).await.map(|(acceptor, _)| {
                    // Nobody else puts one in.
                    *self.acceptor() = Some(acceptor);
                    None
                }),
            };
            match arrived {
                Ok(incoming) => {
                    wait = ACCEPT_MIN;
                    if let Some(incoming) = incoming {
                        self.arrived(&home, incoming);
                    }
                }
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.tell(&error);
                    home.sleep(wait).await;
                    wait = (wait * 2).min(ACCEPT_MAX);
                }
            }
        }
    }

    fn poll_arrival(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        self.acceptor().as_ref().map_or(Poll::Pending, |acceptor| acceptor.poll_accept(cx))
    }

    fn routes(&self) -> Vec<Arc<Route>> {
        self.state().routes.values().cloned().collect()
    }

    fn tell(&self, error: &io::Error) {
        for route in self.routes() {
            route.put(|inbox| inbox.error = Some(io::Error::new(error.kind(), error.to_string())));
        }
    }

    /// A connection, whose peer has to say hello.
    fn arrived(self: &Arc<Self>, home: &Home, incoming: Incoming) {
        let origin = Origin { url: self.url.clone(), dialed: false };
        let watcher: Arc<dyn Watcher> = self.clone();
        let (connection, task) = Connection::start(home, origin, &self.options.mux, Some(watcher), incoming);
        let number = connection.number();
        let evicted = {
            let mut state = self.state();
            if state.phase == Phase::Closed {
                drop(state);
                return task.abort();
            }
            state.connections.insert(number, connection.clone());
            state.half_open.push_back((number, task));
            (state.half_open.len() > state.half_open_limit).then(|| state.half_open.pop_front()).flatten()
        };
        if let Some((_, task)) = evicted {
            task.abort();
        }
        // Its task may have been quicker.
        let (greeted, over) = {
            let wire = connection.wire().lock();
            (wire.mux.theirs().is_some(), wire.mux.end().is_some())
        };
        if greeted {
            self.opened(connection.wire());
            self.take_channels(&connection);
        }
        if over {
            self.ended(connection.wire());
        }
    }

    /// Hands the channels that have come to whom they are for.
    fn take_channels(&self, connection: &Connection) {
        let wire = connection.wire();
        loop {
            let next = wire.visit(|state| {
                let id = state.mux.incoming().next()?.clone();
                let route = self.state().routes.get(&id).cloned();
                let refused = match &route {
                    None => Some(Code::NOBODY),
                    Some(route) if route.is_full() => Some(Code::BUSY),
                    Some(_) => None,
                };
                if let Some(code) = refused {
                    state.mux.refuse(|other| *other == id, code);
                    return Some(None);
                }
                let (at, id) = state.mux.accept(|other| *other == id)?;
                Some(route.map(|route| (route, at, id)))
            });
            match next {
                None => return,
                Some(None) => {}
                Some(Some((route, at, id))) => {
                    let channel = Channel::new(connection.life.clone(), at, id);
                    if let Some(stream) = stream_of(channel, &wire.home) {
                        route.put(|inbox| inbox.streams.push_back(stream));
                    }
                }
            }
        }
    }
}

impl Watcher for Port {
    fn opened(&self, wire: &Arc<Wire>) {
        self.state().half_open.retain(|(number, _)| *number != wire.number);
    }

    fn incoming(&self, wire: &Arc<Wire>) {
        let connection = self.state().connections.get(&wire.number).cloned();
        // If it is not there, the port is closed; or it is about to be noted, and looked after then.
        if let Some(connection) = connection {
            self.take_channels(&connection);
        }
    }

    fn ended(&self, wire: &Arc<Wire>) {
        let mut state = self.state();
        state.half_open.retain(|(number, _)| *number != wire.number);
        let connection = state.connections.remove(&wire.number);
        // One of the listeners is told of it, as nobody knows for whom it was.
        let route = state.routes.values().next().cloned();
        drop(state);
        let failed = wire.lock().upgrade.clone();
        if let (Some(route), Some(error)) = (route, failed) {
            route.put(|inbox| inbox.failed = Some(error));
        }
        // It may be the last handle, which has to say so, with no lock held.
        drop(connection);
    }
}

impl Route {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drivers that look at once may each put one more in.
    fn is_full(&self) -> bool {
        self.inbox().streams.len() >= self.backlog
    }

    fn put(&self, put: impl FnOnce(&mut Inbox)) {
        let waker = {
            let mut inbox = self.inbox();
            put(&mut inbox);
            inbox.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

/// Held by the task of a port: when it ends, and the port does not, another runtime has to serve it.
struct Orphan(Arc<Port>);

impl Drop for Orphan {
    fn drop(&mut self) {
        {
            let mut state = self.0.state();
            if state.phase != Phase::Serving {
                return;
            }
            state.phase = Phase::Orphaned;
            state.task = None;
        }
        drop(self.0.acceptor().take());
        for route in self.0.routes() {
            route.put(|_| ());
        }
    }
}

impl Accept for Listening {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        {
            let mut inbox = self.route.inbox();
            if let Some(error) = inbox.error.take() {
                return Poll::Ready(Err(error));
            }
            if let Some(stream) = inbox.streams.pop_front() {
                return Poll::Ready(Ok(Incoming::Ready(stream)));
            }
            if let Some(error) = inbox.failed.take() {
                let failed = std::future::ready(Err(ConnectError::Upgrade(error)));
                return Poll::Ready(Ok(Incoming::Upgrading(Box::pin(failed))));
            }
            inbox.waker = Some(cx.waker().clone());
        }
        self.port.keep_serving(&self.home);
        Poll::Pending
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.port.local
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.port.remove(&self.route.id);
        // Channels that were on their way to it.
        let dropped = std::mem::take(&mut self.route.inbox().streams);
        drop(dropped);
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (url, id) = (&self.port.url, &self.route.id);
        f.debug_struct("Listening").field("url", url).field("id", &id.as_str()).finish()
    }
}
