//! [`Server`]: takes connections, from any number of listeners, and hands out their channels.

use super::acceptors::{Acceptors, Waiting};
use super::channel::Channel;
use super::connection::{self, Connection};
use super::events::{Events, Hub};
use super::wire::{Watcher, Wire};
use super::{AcceptError, Event};
use crate::endpoint;
use crate::endpoint::listening::{Crowd, Listening, Taker, bind_for};
use crate::error::ListenError;
use crate::options::ListenOptions;
use crate::rt::{self, Home};
use crate::session::Origin;
use crate::transport::{Ends, Incoming};
use spanwire_core::mux::{Code, End, MuxOptions};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Who may connect, as far as the transport knows him: addresses, unix credentials, TLS identity.
pub type Filter = Arc<dyn Fn(&Ends) -> bool + Send + Sync>;

/// The options of a [`Server`].
#[derive(Clone)]
pub struct ServerOptions {
    /// Of its connections.
    pub mux: MuxOptions,
    /// Of its listeners. `half_open` counts for each of them; their `mux` does not matter here.
    pub listen: ListenOptions,
    /// Connections at once; more are refused with [`Code::BUSY`]. Default 1,024; at least 1.
    pub connections: usize,
    /// Says no before the peer has said anything: its connection is cut. Default: everybody may.
    pub filter: Option<Filter>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            mux: MuxOptions::default(),
            listen: ListenOptions::default(),
            connections: 1_024,
            filter: None,
        }
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("mux", &self.mux)
            .field("listen", &self.listen)
            .field("connections", &self.connections)
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
    /// Those that said hello, and were let in.
    pub opened: u64,
    /// Those that the filter refused.
    pub filtered: u64,
    /// Those that were refused since there were too many.
    pub full: u64,
    /// Half-open ones that were dropped because there were too many.
    pub evicted: u64,
    /// Failed attempts to accept.
    pub failures: u64,
    /// Channels that were accepted.
    pub accepted: u64,
    /// Connections that ended with channels which nobody had accepted, and were forgotten with what came on
    /// them, since there were too many such.
    pub forgotten: u64,
    /// Connections now.
    pub connections: usize,
    /// Connections in their handshake now, and refused ones that are about to go.
    pub half_open: usize,
}

/// Takes connections from any number of listeners, and hands out the channels that peers open on them. A
/// handle: clones are the same server.
///
/// ```
/// use spanwire::mux::{MuxOptions, Connection, Server};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::bind("tcp://127.0.0.1:0").await?;
/// let here = Connection::connect(&server.url(), MuxOptions::default()).await?;
/// here.open("user-session").await?.send("hello").await?;
/// let accepted = server.accept("").await?;
/// assert_eq!(&accepted.recv().await?[..], b"hello");
/// # Ok(()) }
/// ```
///
/// When the last handle is dropped, it stops listening; connections live on while somebody has one of their
/// channels.
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
        drop(self.core.stop());
    }
}

pub(crate) struct ServerCore {
    home: Home,
    options: ServerOptions,
    hub: Hub,
    state: Mutex<ServerState>,
    _kept: rt::Kept,
}

#[derive(Default)]
struct ServerState {
    closed: bool,
    listeners: Vec<Arc<Listening>>,
    /// By their numbers. Held here, so that they stay.
    connections: BTreeMap<u64, Entry>,
    /// Connections that have ended, but with something to accept: the oldest first.
    leftovers: VecDeque<u64>,
    /// Where there may be something to accept, and whose turn it is.
    ready: BTreeMap<u64, u64>,
    last_turn: u64,
    acceptors: Acceptors,
    stats: ServerStats,
}

struct Entry {
    connection: Connection,
    /// Its place in `ready`.
    turn: Option<u64>,
    /// Times that channels have come.
    came: u64,
    over: bool,
}

impl Server {
    /// A server with default options that listens at an address.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn bind(url: &str) -> Result<Self, ListenError> {
        let server = Self::with(ServerOptions::default());
        server.listen(url).await?;
        Ok(server)
    }

    /// A server that does not listen yet. Its connections live in the runtime in which it is made; outside of
    /// one, on a thread of the library.
    pub fn with(options: ServerOptions) -> Self {
        Self::at(options, Home::current())
    }

    /// The same on the library's thread.
    pub(crate) fn in_background(options: ServerOptions) -> Self {
        Self::at(options, Home::background())
    }

    fn at(options: ServerOptions, home: Home) -> Self {
        let kept = rt::Kept::new(&home);
        let core = ServerCore { home, options, hub: Hub::default(), state: Mutex::default(), _kept: kept };
        Self { inner: Arc::new(Running { core: Arc::new(core) }) }
    }

    pub(super) fn core(&self) -> &Arc<ServerCore> {
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
        let (acceptor, addr) = bind_for(&**core, &addr).await.map_err(bind)?;
        let listening = Listening::new(Some(acceptor), addr, core.options.listen.half_open);
        {
            let mut state = core.lock();
            if state.closed {
                return Err(ListenError::Closed);
            }
            state.listeners.push(listening.clone());
        }
        listening.start(core);
        Ok(listening.url().to_string())
    }

    /// Where it listens.
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

    /// The next channel with this id, of any connection; the empty id accepts all. Where several wait, one
    /// who wants exactly this id gets it before one with the empty id. Connections take turns. Cancel-safe.
    ///
    /// # Errors
    /// [`AcceptError::Closed`] when the server is closed.
    pub async fn accept(&self, id: &str) -> Result<Channel, AcceptError> {
        let mut waiting = Acceptor { core: self.core(), id, place: None };
        poll_fn(|cx| match waiting.core.try_accept(id, &mut waiting.place, Some(cx.waker())) {
            Some(accepted) => Poll::Ready(accepted),
            None => Poll::Pending,
        })
        .await
    }

    /// [`accept`](Self::accept), no longer than this.
    ///
    /// # Errors
    /// [`AcceptError::TimedOut`], too.
    pub async fn accept_timeout(&self, id: &str, timeout: Duration) -> Result<Channel, AcceptError> {
        let accepted = self.core().home.within(Some(timeout), self.accept(id)).await;
        accepted.unwrap_or(Err(AcceptError::TimedOut))
    }

    /// The next channel with this id if there is one.
    ///
    /// # Errors
    /// [`AcceptError::Empty`], too.
    pub fn try_accept(&self, id: &str) -> Result<Channel, AcceptError> {
        self.core().try_accept(id, &mut None, None).unwrap_or(Err(AcceptError::Empty))
    }

    /// The connections that it has now.
    pub fn connections(&self) -> Vec<Connection> {
        self.core().connections()
    }

    /// What it has counted.
    pub fn stats(&self) -> ServerStats {
        self.core().stats()
    }

    /// What happens from now on.
    pub fn events(&self) -> Events {
        self.core().hub.subscribe()
    }

    /// Stops listening, tells all peers that it goes away, waits until the channels that there are have
    /// ended, no longer than this, and cuts the rest. Its addresses are free when this returns. `true` if
    /// all channels had ended by themselves.
    ///
    /// Dropped before it is done, it goes on in the background.
    pub async fn close(&self, timeout: Duration) -> bool {
        let connections = self.core().stop();
        connection::close_all(&self.core().home, &connections, timeout).await
    }
}

/// One who waits for a channel, and does so no more when this is dropped.
struct Acceptor<'a> {
    core: &'a ServerCore,
    id: &'a str,
    place: Option<Waiting>,
}

impl Drop for Acceptor<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let wakers = self.core.lock().acceptors.leave(self.id, place);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl ServerState {
    fn inside(&self) -> usize {
        self.connections.len() - self.leftovers.len()
    }

    /// Channels may have come on this one.
    fn came(&mut self, number: u64) -> Vec<Waker> {
        let Some(entry) = self.connections.get_mut(&number) else { return Vec::new() };
        entry.came += 1;
        if entry.turn.is_none() {
            self.last_turn += 1;
            entry.turn = Some(self.last_turn);
            self.ready.insert(self.last_turn, number);
        }
        self.acceptors.wake()
    }

    /// This one was looked at, when channels had come so many times: it goes to the end, or is empty.
    fn looked(&mut self, number: u64, came: u64, is_empty: bool) {
        let Some(entry) = self.connections.get_mut(&number) else { return };
        if is_empty && entry.came == came {
            entry.turn.take().map(|turn| self.ready.remove(&turn));
            if entry.over {
                self.leftovers.retain(|other| *other != number);
                self.connections.remove(&number);
            }
        }
    }

    /// It has ended. It stays while there may be something to accept, and no more than so many such. Whoever
    /// is to be forgotten.
    fn over(&mut self, number: u64, max: usize) -> Option<Entry> {
        let entry = self.connections.get_mut(&number)?;
        entry.over = true;
        if entry.turn.is_none() {
            return self.connections.remove(&number);
        }
        self.leftovers.push_back(number);
        if self.leftovers.len() <= max {
            return None;
        }
        let oldest = self.connections.remove(&self.leftovers.pop_front()?)?;
        oldest.turn.map(|turn| self.ready.remove(&turn));
        self.stats.forgotten += 1;
        Some(oldest)
    }

    /// It goes to the end of the line.
    fn had_its_turn(&mut self, number: u64) {
        let Some(entry) = self.connections.get_mut(&number) else { return };
        if let Some(turn) = entry.turn {
            self.ready.remove(&turn);
            self.last_turn += 1;
            entry.turn = Some(self.last_turn);
            self.ready.insert(self.last_turn, number);
        }
    }
}

impl ServerCore {
    /// Whether it still takes connections.
    pub(super) fn is_open(&self) -> bool {
        !self.lock().closed
    }

    pub(super) fn connections(&self) -> Vec<Connection> {
        let state = self.lock();
        let open = state.connections.values().filter(|entry| !entry.over);
        open.map(|entry| entry.connection.clone()).collect()
    }

    pub(super) fn stats(&self) -> ServerStats {
        let state = self.lock();
        let half_open = state.listeners.iter().map(|listening| listening.half_open()).sum();
        ServerStats { connections: state.inside(), half_open, ..state.stats }
    }

    fn lock(&self) -> MutexGuard<'_, ServerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: there is none, and the waker is kept if there is one.
    fn try_accept(
        &self,
        id: &str,
        place: &mut Option<Waiting>,
        waker: Option<&Waker>,
    ) -> Option<Result<Channel, AcceptError>> {
        let reserved = {
            let mut state = self.lock();
            // Before looking, so that nothing is missed that comes meanwhile.
            if let Some(waker) = waker {
                *place = Some(state.acceptors.wait(id, place.take(), waker));
            }
            if id.is_empty() { state.acceptors.wanted_by_name() } else { Default::default() }
        };
        let wanted = |other: &super::ChannelId| match id {
            "" => !reserved.contains(other.as_str()),
            id => other.as_str() == id,
        };
        let mut after = 0;
        loop {
            // No connection is asked under our lock: what it has to tell might come back to us.
            let (turn, came, connection) = {
                let state = self.lock();
                let Some((turn, number)) = state.ready.range(after + 1..).next() else {
                    let closed = state.closed.then_some(Err(AcceptError::Closed(End::ClosedHere)));
                    return closed;
                };
                let entry = state.connections.get(number)?;
                (*turn, entry.came, entry.connection.clone())
            };
            after = turn;
            let number = connection.number();
            let accepted = connection.poll_accept(&wanted, None);
            let is_empty = connection.wire().lock().mux.incoming().next().is_none();
            let mut state = self.lock();
            if let Poll::Ready(Ok(channel)) = accepted {
                state.stats.accepted += 1;
                state.had_its_turn(number);
                state.looked(number, came, is_empty);
                return Some(Ok(channel));
            }
            state.looked(number, came, is_empty);
        }
    }

    /// Ends all listeners. The connections.
    fn stop(&self) -> Vec<Connection> {
        let (listeners, connections, wakers) = {
            let mut state = self.lock();
            state.closed = true;
            let state = &mut *state;
            state.ready.clear();
            state.leftovers.clear();
            let connections = std::mem::take(&mut state.connections);
            (std::mem::take(&mut state.listeners), connections, state.acceptors.wake())
        };
        listeners.iter().for_each(|listening| listening.stop());
        wakers.into_iter().for_each(Waker::wake);
        connections.into_values().map(|entry| entry.connection).collect()
    }

    fn incoming(&self, number: u64) {
        let wakers = self.lock().came(number);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// It has said hello: whether there is a place for it.
    fn admit(&self, connection: Connection) -> bool {
        let number = connection.number();
        let refused = {
            let mut state = self.lock();
            if state.closed {
                Some(Code::LEAVING)
            } else if state.inside() >= self.options.connections.max(1) {
                state.stats.full += 1;
                Some(Code::BUSY)
            } else {
                state.stats.opened += 1;
                let entry = Entry { connection: connection.clone(), turn: None, came: 0, over: false };
                state.connections.insert(number, entry);
                None
            }
        };
        if let Some(code) = refused {
            connection::leave(connection.wire(), code, "", rt::now());
            return false;
        }
        let url = connection.wire().origin.url.clone();
        self.hub.tell(|| Event::Connected { number, url });
        // Those that came with the hello.
        self.incoming(number);
        true
    }

    /// One that was let in is gone.
    fn removed(&self, wire: &Arc<Wire>) {
        let number = wire.number;
        let removed = {
            let mut state = self.lock();
            state.over(number, self.options.connections.max(1))
        };
        // Not under the lock: it may be the last one who has it.
        drop(removed);
        let (url, end) = (wire.origin.url.clone(), wire.lock().end());
        self.hub.tell(|| Event::Ended { number, url, end });
    }
}

impl Taker for ServerCore {
    fn take(self: Arc<Self>, listening: &Arc<Listening>, incoming: Incoming) -> Crowd {
        self.lock().stats.arrived += 1;
        let origin = Origin { url: listening.url(), dialed: false };
        let guest = Arc::new(Guest {
            server: Arc::downgrade(&self),
            listening: listening.clone(),
            stage: Mutex::new(Stage::Arriving),
        });
        let watcher: Arc<dyn Watcher> = guest.clone();
        let started = Connection::start(&self.home, origin, &self.options.mux, Some(watcher), incoming);
        let (connection, task) = started;
        let crowd = listening.begun(connection.number(), task);
        guest.keep(connection);
        if crowd == Crowd::Full {
            self.lock().stats.evicted += 1;
        }
        crowd
    }

    fn failed(&self, listening: &Listening, error: &io::Error) {
        self.lock().stats.failures += 1;
        let (url, error) = (listening.url(), error.to_string().into());
        self.hub.tell(|| Event::ListenerFailed { url, error });
    }

    fn options(&self) -> &ListenOptions {
        &self.options.listen
    }

    fn home(&self) -> &Home {
        &self.home
    }
}

/// What a connection is at the server that has taken it.
struct Guest {
    server: Weak<ServerCore>,
    listening: Arc<Listening>,
    stage: Mutex<Stage>,
}

/// ```text
///             keep              hello
///   Arriving ──────▶ HalfOpen ────────▶ Inside or Refused ── gone ──▶ Gone
///      │ hello                             ▲
///      └──────▶ Greeted ─────── keep ──────┘       (and from all others: gone ▶ Gone)
/// ```
enum Stage {
    /// Its task runs, and we do not have it yet.
    Arriving,
    /// The hello came before we had it.
    Greeted,
    /// The hello is awaited.
    HalfOpen(Connection),
    /// It may come in, or has.
    Inside,
    /// It may not, and goes.
    Refused,
    Gone,
}

impl Guest {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, connection: Connection) {
        let number = connection.number();
        let mut stage = self.stage();
        match *stage {
            Stage::Arriving => *stage = Stage::HalfOpen(connection),
            Stage::Greeted => {
                drop(stage);
                self.come_in(connection);
            }
            // It was noted after it had gone.
            _ => {
                drop(stage);
                self.listening.settled(number);
            }
        }
    }

    fn come_in(&self, connection: Connection) {
        let wire = connection.wire().clone();
        let admitted = self.server.upgrade().is_some_and(|server| server.admit(connection));
        if admitted {
            self.listening.settled(wire.number);
        }
        // One that is refused stays among the half-open ones until it is gone: so these are not too many
        // either.
        let mut stage = self.stage();
        match *stage {
            // Nobody has told of its end, since it was not inside.
            Stage::Gone => {
                drop(stage);
                if let (true, Some(server)) = (admitted, self.server.upgrade()) {
                    server.removed(&wire);
                }
            }
            _ => *stage = if admitted { Stage::Inside } else { Stage::Refused },
        }
    }
}

impl Watcher for Guest {
    fn opened(&self, _: &Arc<Wire>) {
        let connection = {
            let mut stage = self.stage();
            match std::mem::replace(&mut *stage, Stage::Greeted) {
                Stage::HalfOpen(connection) => connection,
                Stage::Arriving => return,
                other => {
                    *stage = other;
                    return;
                }
            }
        };
        self.come_in(connection);
    }

    fn incoming(&self, wire: &Arc<Wire>) {
        if let Some(server) = self.server.upgrade() {
            server.incoming(wire.number);
        }
    }

    fn gone(&self, wire: &Arc<Wire>) {
        let former = std::mem::replace(&mut *self.stage(), Stage::Gone);
        self.listening.settled(wire.number);
        if let (Stage::Inside, Some(server)) = (former, self.server.upgrade()) {
            server.removed(wire);
        }
    }

    fn passes(&self, ends: &Ends) -> bool {
        let Some(server) = self.server.upgrade() else { return false };
        let passes = server.options.filter.as_ref().is_none_or(|filter| filter(ends));
        if !passes {
            server.lock().stats.filtered += 1;
        }
        passes
    }
}

impl fmt::Debug for ServerCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("options", &self.options).finish_non_exhaustive()
    }
}
