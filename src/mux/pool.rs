//! [`Pool`]: the physical connections of a program, shared by its logical ones.

use super::channel::Channel;
use super::connection::{self, Connection};
use super::events::{Events, Hub};
use super::pool_key::{Key, Site, Way, Ways};
use super::pool_state::{Held, PoolState, Todo};
use super::pool_stats::PoolReport;
use super::wire::{Watcher, Wire};
use super::{ChannelId, OpenError};
use crate::endpoint::Connector;
use crate::error::DialError;
use crate::options::DialOptions;
use crate::rt::{self, Home, Sleep};
use spanwire_core::mux::pool::{self as rules, Physical};
use spanwire_core::mux::{End, MuxOptions};
use spanwire_core::{Addr, Priority, Time};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

/// The options of a [`Pool`].
#[derive(Clone, Debug, Default)]
pub struct PoolOptions {
    /// How many connections there are, and when they end.
    pub bounds: super::PoolBounds,
    /// Of each connection. Its `idle_timeout` does not matter here: the pool decides that, by `bounds.idle`.
    pub mux: MuxOptions,
    /// Of each dial: certificates, timeouts, buffers. `start`, the reconnect times and `mux` do not matter here.
    pub dial: DialOptions,
}

/// The physical connections of a program, by address: logical connections to one address share one. A handle:
/// clones are the same pool.
///
/// ```
/// use spanwire::mux::{Pool, PoolOptions, Server};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::bind("tcp://127.0.0.1:0").await?;
/// let pool = Pool::with(PoolOptions::default());
/// let user = pool.open(&server.url(), "user-session").await?;
/// let admin = pool.open(&server.url(), "admin-session").await?;
/// assert_eq!(user.connection().number(), admin.connection().number());
/// # Ok(()) }
/// ```
///
/// * A connection is dialled on first use, and kept for the next while nobody uses it, by default for 5
///   minutes.
/// * One that is lost or goes away, or on which the peer lets nobody open more channels, leads to another one
///   as [`PoolBounds`](super::PoolBounds) allow, on the next use.
/// * When the last handle is dropped, the connections live on while somebody has one of their channels.
#[derive(Clone, Debug)]
pub struct Pool {
    inner: Arc<Running>,
}

/// Ends the pool when the last handle is dropped.
#[derive(Debug)]
struct Running {
    core: Arc<PoolCore>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.core.stop());
    }
}

pub(super) struct PoolCore {
    pub(super) home: Home,
    options: PoolOptions,
    hub: Hub,
    /// That of these options.
    way: Arc<Way>,
    ways: Mutex<Ways>,
    state: Mutex<PoolState>,
    _kept: rt::Kept,
}

/// A connection that ends just when a channel is opened on it leads to another one, but not for ever.
const ATTEMPTS: usize = 4;

impl Pool {
    /// The one that all of this process share, with default options. After it was closed there is another one.
    ///
    /// Its connections live on the library's own thread, which runs from the first use on: a pool of the
    /// whole process must not end with the runtime that happened to use it first. Where each microsecond
    /// counts, a pool of its own, [made](Self::with) inside the runtime that uses it, spares a change of
    /// threads.
    ///
    /// Sockets and plain connections at addresses that begin with `mux+` are its users, too, each with the options of
    /// its dialer: whoever dials one address with the same options ([`DialOptions`] and their `mux`) shares a
    /// connection. One that was dialled for them lives in the runtime of the first of them, and ends with its last
    /// channel: nobody may run that runtime any more. [`stats`](Self::stats), [`events`](Self::events) and the bounds
    /// count all.
    pub fn global() -> Self {
        static GLOBAL: Mutex<Option<Pool>> = Mutex::new(None);
        let mut global = GLOBAL.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = global.as_ref().filter(|pool| !pool.core().lock().is_closed()) {
            return pool.clone();
        }
        let pool = Self::in_background(PoolOptions::default());
        let former = global.replace(pool.clone());
        drop(global);
        // It may be the last handle.
        drop(former);
        pool
    }

    /// A pool of its own. Its connections live in the runtime in which it is made; outside of one, on a
    /// thread of the library.
    pub fn with(options: PoolOptions) -> Self {
        Self::at(options, Home::current())
    }

    /// The same on the library's thread.
    pub(crate) fn in_background(options: PoolOptions) -> Self {
        Self::at(options, Home::background())
    }

    fn at(mut options: PoolOptions, home: Home) -> Self {
        options.mux.idle_timeout = None;
        options.bounds = options.bounds.clamped();
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).expect("the system has randomness");
        let state = PoolState::new(rules::Pool::new(options.bounds.clone(), u64::from_le_bytes(seed)));
        let (kept, hub) = (rt::Kept::new(&home), Hub::default());
        let mut ways = Ways::default();
        let way = ways.way(&options.mux, &options.dial);
        let (ways, state) = (Mutex::new(ways), Mutex::new(state));
        let core = Arc::new(PoolCore { home, options, hub, way, ways, state, _kept: kept });
        core.home.spawn(tend(Arc::downgrade(&core)));
        Self { inner: Arc::new(Running { core }) }
    }

    pub(super) fn core(&self) -> &Arc<PoolCore> {
        &self.inner.core
    }

    /// Opens a channel to an address; dials if there is no connection, and waits while there is no room. What
    /// is sent on it travels at once. Cancel-safe: dropped before it is done, it has opened nothing; a dial
    /// that it began goes on for the next who asks.
    ///
    /// # Errors
    /// [`OpenError::Id`], [`OpenError::Dial`]; [`OpenError::Closed`] where the connection ended at once,
    /// several times; [`OpenError::Busy`] where too many wait, [`OpenError::ClosedHere`].
    pub async fn open(&self, url: &str, id: &str) -> Result<Channel, OpenError> {
        self.open_with(url, ChannelId::new(id)?, Priority::Normal).await
    }

    /// [`open`](Self::open) with a priority.
    ///
    /// # Errors
    /// As there.
    pub async fn open_with(
        &self,
        url: &str,
        id: ChannelId,
        priority: Priority,
    ) -> Result<Channel, OpenError> {
        let key = self.core().key(url)?;
        self.core().open(&key, &id, priority, &Site::Pool).await
    }

    /// [`open`](Self::open), no longer than this.
    ///
    /// # Errors
    /// [`OpenError::TimedOut`], too.
    pub async fn open_timeout(&self, url: &str, id: &str, timeout: Duration) -> Result<Channel, OpenError> {
        let opened = self.core().home.within(Some(timeout), self.open(url, id)).await;
        opened.unwrap_or(Err(OpenError::TimedOut))
    }

    /// The physical connections that are open.
    pub fn connections(&self) -> Vec<Connection> {
        self.core().lock().connections()
    }

    /// What it has counted, in all and on each physical connection.
    pub fn stats(&self) -> PoolReport {
        self.core().lock().report()
    }

    /// What happens from now on.
    pub fn events(&self) -> Events {
        self.core().hub.subscribe()
    }

    /// Opens nothing more, gives up dials, waits until the channels that there are have ended, no longer than
    /// this, and cuts the rest. Returns when nothing of its connections is left. `true` if all channels had
    /// ended by themselves.
    ///
    /// Dropped before it is done, it goes on in the background.
    pub async fn close(&self, timeout: Duration) -> bool {
        let connections = self.core().stop();
        connection::close_all(&self.core().home, &connections, timeout).await
    }
}

/// What somebody has of the pool who is about to open a channel: given back when this is dropped.
struct Claim {
    core: Arc<PoolCore>,
    held: Held,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let held = self.held.take();
        if !matches!(held, Held::Nothing) {
            self.core.act(|state, now, _| state.give_back(held, now));
        }
    }
}

impl PoolCore {
    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the rules, and what follows from it.
    fn act<T>(self: &Arc<Self>, act: impl FnOnce(&mut PoolState, Time, &mut Vec<Todo>) -> T) -> T {
        let mut todo = Vec::new();
        let result = {
            let mut state = self.lock();
            let now = rt::now();
            let result = act(&mut state, now, &mut todo);
            state.follow(now, &mut todo);
            result
        };
        for todo in todo {
            match todo {
                Todo::Dial(physical, key, site) => self.dial(physical, key, site),
                Todo::Wake(waker) => waker.wake(),
                Todo::Abort(task) => task.abort(),
                // The last one has it no more.
                Todo::Leave(connection) => connection.go_away(super::Code::NONE, ""),
                Todo::Drop(connection) => drop(connection),
                Todo::Tell(event) => self.hub.tell(|| event),
            }
        }
        result
    }

    /// What connections to this address are found by.
    pub(super) fn key(&self, url: &str) -> Result<Key, OpenError> {
        let connector = Connector::new(url, self.options.dial.clone());
        let address = |error| OpenError::Dial(DialError::Address { url: url.into(), error });
        let url = connector.map_err(address)?.addr.to_string().into();
        Ok(Key { url, way: self.way.clone() })
    }

    /// The same where it is not dialled with the options of the pool, but with these and their `mux`.
    pub(super) fn key_with(&self, addr: &Addr, options: &DialOptions) -> Key {
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        Key { url: addr.to_string().into(), way: ways.way(&options.mux, options) }
    }

    /// One more (or less) logical connection to this address asks to stay up.
    pub(super) fn set_stay_up(self: &Arc<Self>, key: &Key, stay_up: bool) {
        self.act(|state, now, _| state.rules.set_stay_up(key, stay_up, now));
    }

    /// The bounds of pauses between attempts.
    pub(super) fn pauses(&self) -> (Duration, Duration) {
        (self.options.bounds.reconnect_min, self.options.bounds.reconnect_max)
    }

    pub(super) async fn open(
        self: &Arc<Self>,
        key: &Key,
        id: &ChannelId,
        priority: Priority,
        site: &Site,
    ) -> Result<Channel, OpenError> {
        let mut attempts = 0;
        // The one that takes no more for now, as the rules know.
        let mut full = None;
        loop {
            let (mut claim, physical, connection) = match self.claim(key, site).await {
                Ok(claimed) => claimed,
                // What it was promised has just ended, or the runtime of whoever it was dialled for.
                Err(OpenError::Leaving | OpenError::Closed(End::RuntimeGone)) if attempts + 1 < ATTEMPTS => {
                    attempts += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let opened = poll_fn(|cx| match connection.poll_open(id, priority, Some(cx)) {
                Poll::Ready(opened) => Poll::Ready(Some(opened)),
                // First it is asked whether another one has room.
                Poll::Pending if full != Some(physical) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            match opened.await {
                Some(Ok(channel)) => {
                    claim.held = Held::Nothing;
                    self.act(|state, now, todo| state.is_in_use(physical, now, todo));
                    return Ok(channel);
                }
                None => full = Some(physical),
                Some(Err(error @ (OpenError::Leaving | OpenError::Closed(_)))) => {
                    attempts += 1;
                    if attempts == ATTEMPTS {
                        return Err(error);
                    }
                }
                Some(Err(error)) => return Err(error),
            }
            self.act(|state, now, todo| state.look(physical, now, todo));
        }
    }

    /// Waits for a physical connection.
    async fn claim(
        self: &Arc<Self>,
        key: &Key,
        site: &Site,
    ) -> Result<(Claim, Physical, Connection), OpenError> {
        let held = self.act(|state, now, todo| state.ask(key, site, now, todo))?;
        let mut claim = Claim { core: self.clone(), held };
        let (physical, connection) = poll_fn(|cx| self.lock().poll_claim(&mut claim.held, cx)).await?;
        Ok((claim, physical, connection))
    }

    /// Nobody gets a connection any more. Those that there are.
    fn stop(self: &Arc<Self>) -> Vec<Connection> {
        self.act(|state, now, todo| {
            let connections = state.connections();
            state.close(now, todo);
            connections
        })
    }

    fn dial(self: &Arc<Self>, physical: Physical, key: Key, site: Site) {
        let own = self.options.dial.connect_timeout;
        let (home, timeout) = match site {
            Site::Pool => (self.home.clone(), own),
            // He may give up before that; others who wait for the same dial have the time of the pool.
            Site::Asker(home, timeout) => (home, timeout.zip(own).map(|(a, b)| a.max(b))),
        };
        let report = Report { core: Arc::downgrade(self), physical, done: false };
        let task = home.spawn(dial(self.clone(), key, home.clone(), timeout, report));
        self.act(|state, _, todo| state.is_dialed_by(physical, task, todo));
    }

    fn dialed(self: &Arc<Self>, physical: Physical, dialed: Result<Connection, OpenError>) {
        self.act(|state, now, todo| state.dialed(physical, dialed, now, todo));
    }
}

async fn dial(core: Arc<PoolCore>, key: Key, home: Home, timeout: Option<Duration>, report: Report) {
    let guest = Guest { core: Arc::downgrade(&core), physical: report.physical, _kept: rt::Kept::new(&home) };
    let dial = DialOptions { connect_timeout: timeout, ..key.way.dial.clone() };
    let dialed = Connection::dial(&home, &key.url, &key.way.mux, dial, Some(Arc::new(guest))).await;
    report.with(dialed);
}

/// Says what became of a dial, also where its task is dropped.
struct Report {
    core: Weak<PoolCore>,
    physical: Physical,
    done: bool,
}

impl Report {
    fn with(mut self, dialed: Result<Connection, OpenError>) {
        self.done = true;
        if let Some(core) = self.core.upgrade() {
            core.dialed(self.physical, dialed);
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if let (false, Some(core)) = (self.done, self.core.upgrade()) {
            core.dialed(self.physical, Err(OpenError::Closed(End::RuntimeGone)));
        }
    }
}

/// What a connection is at the pool that has dialled it.
struct Guest {
    core: Weak<PoolCore>,
    physical: Physical,
    /// Whoever waits on a connection learns that its runtime goes, which need not be the pool's.
    _kept: rt::Kept,
}

impl Guest {
    fn look(&self) {
        if let Some(core) = self.core.upgrade() {
            core.act(|state, now, todo| state.look(self.physical, now, todo));
        }
    }
}

impl Watcher for Guest {
    fn incoming(&self, _: &Arc<Wire>) {
        self.look();
    }

    fn changed(&self, _: &Arc<Wire>) {
        self.look();
    }

    fn ended(&self, _: &Arc<Wire>) {
        self.look();
    }
}

/// Does what is due, until the pool is closed.
async fn tend(core: Weak<PoolCore>) {
    let mut timer: Option<(Time, Sleep)> = None;
    poll_fn(|cx| {
        loop {
            let Some(core) = core.upgrade() else { return Poll::Ready(()) };
            let Some(due) = core.act(|state, now, todo| state.expire(now, cx.waker(), todo)) else {
                return Poll::Ready(());
            };
            let Some(due) = due else {
                timer = None;
                return Poll::Pending;
            };
            if timer.as_ref().is_none_or(|(at, _)| *at != due) {
                timer = Some((due, core.home.sleep_until(due)));
            }
            let Some((_, sleep)) = &mut timer else { return Poll::Pending };
            if Pin::new(sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
            timer = None;
        }
    })
    .await;
}

impl fmt::Debug for PoolCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("options", &self.options).finish_non_exhaustive()
    }
}
