//! [`Listener`]s and [`Dialer`]s: the supervised endpoints of a socket.

use super::core::{Core, Phase};
use super::events::Event;
#[cfg(feature = "inproc")]
use super::inproc;
use crate::endpoint::{self, Connector};
#[cfg(all(unix, feature = "ipc"))]
use crate::error::AdoptError;
use crate::error::{DialError, ListenError};
use crate::options::{DialOptions, ListenOptions, Start};
use crate::rt;
use crate::session::pipe::{Closing, StreamPipe};
use crate::session::{Ended, Origin, Owner, SessionOptions, driver};
use crate::trace::{self, Span};
#[cfg(all(unix, feature = "ipc"))]
use crate::transport;
use crate::transport::{Accept, Incoming, Speaks};
#[cfg(feature = "inproc")]
use spanwire_core::addr::Addr;
use spanwire_core::session::backoff::Backoff;
use spanwire_core::snapshot::{EndpointSnapshot, EndpointState, EndpointStats};
use spanwire_core::{DetachReason, Latency, PipeId, Time};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
#[cfg(all(unix, feature = "ipc"))]
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// What handle, task and socket share of an endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    url: Arc<str>,
    local: Option<SocketAddr>,
    dialed: bool,
    /// It has one connection, and ends with it: an adopted descriptor.
    once: bool,
    inner: Mutex<Inner>,
    /// Where a listener accepts. Its task accepts under this lock, so that whoever takes it out has
    /// closed it: the address is free when `close` returns.
    acceptor: Mutex<Option<Box<dyn Accept>>>,
}

#[derive(Debug)]
struct Inner {
    state: EndpointState,
    stats: EndpointStats,
    last_error: Option<Arc<str>>,
    task: Option<AbortHandle>,
    half_open: VecDeque<(u64, Option<AbortHandle>)>,
    next_half_open: u64,
    #[cfg(feature = "inproc")]
    inproc: Option<inproc::Registration>,
}

impl Endpoint {
    fn new(url: Arc<str>, local: Option<SocketAddr>, state: EndpointState) -> Arc<Self> {
        Arc::new(Self {
            url,
            local,
            dialed: state == EndpointState::Connecting,
            once: state == EndpointState::Connected,
            inner: Mutex::new(Inner {
                state,
                stats: EndpointStats::default(),
                last_error: None,
                task: None,
                half_open: VecDeque::new(),
                next_half_open: 0,
                #[cfg(feature = "inproc")]
                inproc: None,
            }),
            acceptor: Mutex::new(None),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acceptor(&self) -> MutexGuard<'_, Option<Box<dyn Accept>>> {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next connection; never, once the listener is closed.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        self.acceptor().as_ref().map_or(Poll::Pending, |acceptor| acceptor.poll_accept(cx))
    }

    pub(super) fn origin(&self) -> Origin {
        Origin { url: self.url.clone(), dialed: self.dialed }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().state == EndpointState::Closed
    }

    fn set_state(&self, state: EndpointState) {
        let mut inner = self.lock();
        if inner.state != EndpointState::Closed {
            inner.state = state;
        }
    }

    fn failed(&self, error: &str) {
        let mut inner = self.lock();
        inner.stats.failures += 1;
        inner.last_error = Some(error.into());
    }

    /// What it shows of itself.
    pub(super) fn snapshot(&self) -> EndpointSnapshot {
        let inner = self.lock();
        let mut all = EndpointSnapshot::new(self.url.to_string(), inner.state);
        all.dials = self.dialed;
        all.stats = inner.stats;
        all.half_open = inner.half_open.len();
        all.last_error = inner.last_error.as_deref().map(str::to_owned);
        all
    }

    /// A connection was made, on its way to become a pipe.
    #[cfg(feature = "inproc")]
    pub(super) fn connected(&self) {
        self.lock().stats.connections += 1;
    }

    /// A connection became a pipe, or did not.
    pub(super) fn settled(&self, attached: bool) {
        let mut inner = self.lock();
        match attached {
            true => inner.stats.attached += 1,
            false => inner.stats.refused += 1,
        }
    }

    pub(super) fn ended(&self, ended: &Ended) {
        let mut inner = self.lock();
        if ended.moved {
            // It counts where it belongs.
            inner.stats.connections -= 1;
            return;
        }
        inner.last_error = match (&ended.upgrade, &ended.fault) {
            (Some(error), _) => Some(error.to_string().into()),
            (None, Some(fault)) => Some(fault.clone()),
            (None, None) if ended.why == DetachReason::ClosedHere => inner.last_error.take(),
            (None, None) => Some(ended.why.as_str().into()),
        };
        if self.once {
            inner.state = EndpointState::Closed;
        }
    }

    /// Stops the task and everything that is still in its handshake.
    pub(super) fn stop(&self) {
        let (task, half_open) = {
            let mut inner = self.lock();
            inner.state = EndpointState::Closed;
            #[cfg(feature = "inproc")]
            drop(inner.inproc.take());
            (inner.task.take(), std::mem::take(&mut inner.half_open))
        };
        drop(self.acceptor().take());
        for task in task.into_iter().chain(half_open.into_iter().filter_map(|(_, task)| task)) {
            task.abort();
        }
    }

    /// Counts a connection into its handshake; the oldest goes when there are too many.
    fn enter_handshake(self: &Arc<Self>, limit: usize) -> (HalfOpen, Option<Option<AbortHandle>>) {
        let mut inner = self.lock();
        inner.stats.connections += 1;
        inner.next_half_open += 1;
        let number = inner.next_half_open;
        inner.half_open.push_back((number, None));
        let evicted = (inner.half_open.len() > limit.max(1)).then(|| {
            inner.stats.evicted += 1;
            inner.half_open.pop_front().and_then(|(_, task)| task)
        });
        (HalfOpen { endpoint: self.clone(), number }, evicted)
    }

    fn note_task(&self, number: u64, task: AbortHandle) {
        let mut inner = self.lock();
        if inner.state == EndpointState::Closed {
            return task.abort();
        }
        if let Some((_, place)) = inner.half_open.iter_mut().find(|(other, _)| *other == number) {
            *place = Some(task);
        }
    }
}

/// A connection in its handshake; dropped when that is over.
struct HalfOpen {
    endpoint: Arc<Endpoint>,
    number: u64,
}

impl HalfOpen {
    /// The handshake is over. `false` if somebody ends the connection already: he took it out of
    /// the list under the same lock, so it is either his or, from now on, a matter of its pipe.
    fn leave(&self) -> bool {
        let mut inner = self.endpoint.lock();
        // The oldest is at the front, and most handshakes are settled in the order they began.
        let at = inner.half_open.iter().position(|(number, _)| *number == self.number);
        at.and_then(|at| inner.half_open.remove(at)).is_some()
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Public methods that dialers and listeners have in common.
macro_rules! handle {
    ($name:ident) => {
        impl $name {
            /// Its address: for a listener as it is bound, with its real port.
            pub fn url(&self) -> &str {
                &self.endpoint.url
            }

            /// What it is doing.
            pub fn state(&self) -> EndpointState {
                self.endpoint.lock().state
            }

            /// What it has counted.
            pub fn stats(&self) -> EndpointStats {
                self.endpoint.lock().stats
            }

            /// The last thing that went wrong, if anything did.
            pub fn last_error(&self) -> Option<Arc<str>> {
                self.endpoint.lock().last_error.clone()
            }

            /// Ends it, and gracefully its connections: what waits in them is still sent, for as
            /// long as the socket's `close_deadline` allows. The address of a listener is free when
            /// this returns. Dropping the handle ends nothing.
            pub fn close(&self) {
                self.core.close_endpoint(&self.endpoint);
            }
        }
    };
}

/// A handle on a listener of a socket. Dropping it changes nothing; the socket keeps the listener.
#[derive(Clone, Debug)]
pub struct Listener {
    core: Arc<Core>,
    endpoint: Arc<Endpoint>,
}

impl Listener {
    /// The IP address it is bound to, with its real port; `None` on transports that have none.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.endpoint.local
    }
}

handle!(Listener);

/// A handle on a dialer of a socket. Dropping it changes nothing; the socket keeps the dialer.
#[derive(Clone, Debug)]
pub struct Dialer {
    core: Arc<Core>,
    endpoint: Arc<Endpoint>,
}

handle!(Dialer);

/// A failed accept is retried after this, doubling up to [`ACCEPT_MAX`]: when descriptors are
/// exhausted, trying again at once would only burn the processor.
const ACCEPT_MIN: Duration = Duration::from_millis(5);
const ACCEPT_MAX: Duration = Duration::from_secs(1);

/// So many turns of the runtime a new connection lets the driver of the former one run before it ...
const TURNS_FOR_THE_FORMER: usize = 8;
/// ... and then, where the machine is busy and does not run it, for so many milliseconds.
const MILLIS_FOR_THE_FORMER: usize = 50;

impl Core {
    pub(super) async fn listen(
        self: &Arc<Self>,
        url: &str,
        options: ListenOptions,
    ) -> Result<Listener, ListenError> {
        let closed = || self.closed_or(ListenError::Closed, ListenError::RuntimeGone);
        let address = |error| ListenError::Address { url: url.into(), error };
        let addr = endpoint::listen_addr(url, &options).map_err(address)?;
        let bind = |error| ListenError::Bind { url: url.into(), error: Arc::new(error) };
        if self.gate.is_shut() {
            return Err(closed());
        }
        #[cfg(feature = "inproc")]
        if let Addr::Inproc(name) = &addr {
            let endpoint = Endpoint::new(addr.to_string().into(), None, EndpointState::Listening);
            let registration = inproc::register(name, self, &endpoint).map_err(bind)?;
            endpoint.lock().inproc = Some(registration);
            self.keep(&endpoint).map_err(|Gone| closed())?;
            return Ok(Listener { core: self.clone(), endpoint });
        }
        let (acceptor, addr) =
            self.home.run(endpoint::bind(&addr, self.speaks(), &options, &self.home)).await.map_err(bind)?;
        let local = acceptor.local_addr();
        let endpoint = Endpoint::new(addr.to_string().into(), local, EndpointState::Listening);
        *endpoint.acceptor() = Some(acceptor);
        let pass = self.gate.enter().ok_or_else(closed)?;
        self.keep(&endpoint).map_err(|Gone| closed())?;
        let (core, shared) = (self.clone(), endpoint.clone());
        let task = self.home.spawn(pass.hold(async move {
            core.accept_connections(shared, options.half_open).await;
        }));
        endpoint.keep_task(task);
        Ok(Listener { core: self.clone(), endpoint })
    }

    async fn accept_connections(self: Arc<Self>, endpoint: Arc<Endpoint>, limit: usize) {
        let mut wait = ACCEPT_MIN;
        // One for all connections.
        let owner: Arc<dyn Owner> = Arc::new(self.clone());
        loop {
            match poll_fn(|cx| endpoint.poll_accept(cx)).await {
                Ok(incoming) => {
                    wait = ACCEPT_MIN;
                    if self.serve(&endpoint, incoming, limit, &owner, None) == Crowd::Full {
                        // In a flood each newcomer pushes another one out: those who came before
                        // the next one get the chance to say what they have to say.
                        rt::yield_now().await;
                    }
                }
                // The peer gave up while it waited for us: nobody's fault, and no reason to wait.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    let text: Arc<str> = error.to_string().into();
                    endpoint.failed(&text);
                    trace::accept_failed(&endpoint.url, self.protocol, &text);
                    self.tell(|| Event::AcceptFailed { url: endpoint.url.clone(), error: text });
                    self.home.sleep(wait).await;
                    wait = (wait * 2).min(ACCEPT_MAX);
                }
            }
        }
    }

    /// Starts the driver of a connection. A dialer hears whether it became a pipe, and of its end.
    fn serve(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        incoming: Incoming,
        limit: usize,
        owner: &Arc<dyn Owner>,
        dialer: Option<(oneshot::Sender<bool>, oneshot::Sender<Ended>)>,
    ) -> Crowd {
        let Some(pass) = self.gate.enter() else { return Crowd::Fits };
        let (half_open, evicted) = endpoint.enter_handshake(limit);
        let crowd = if evicted.is_some() { Crowd::Full } else { Crowd::Fits };
        if let Some(task) = evicted {
            if let Some(task) = task {
                task.abort();
            }
            self.refused(DetachReason::HalfOpenLimit);
            trace::refused(&endpoint.url, self.protocol, DetachReason::HalfOpenLimit, None);
        }
        let (began, span) = (rt::now(), Span::handshake(&endpoint.url, self.protocol, endpoint.dialed));
        let number = half_open.number;
        let (tell_settled, tell_end) = dialer.unzip();
        let (core, shared) = (self.clone(), endpoint.clone());
        let settled = move |pipe: Option<PipeId>| {
            span.end();
            if pipe.is_some() {
                core.took(&shared.url, Latency::Handshake, rt::now() - began);
            }
            shared.settled(pipe.is_some());
            if let (Some(pipe), true) = (pipe, shared.is_closed()) {
                // Closed between the handshake and now, when there was no pipe to be found yet.
                core.close_pipes(|entry| entry.id == pipe, core.graceful());
            }
            // A dialer that was closed does not listen any more, here and below.
            tell_settled.map(|tell| tell.send(pipe.is_some()));
        };
        let handshake = driver::shake_hands(
            incoming,
            endpoint.origin(),
            owner.clone(),
            self.session_options(),
            move || half_open.leave(),
            settled,
        );
        let core = self.clone();
        let recalled = self.recall_reading();
        let handshake = Box::pin(async move {
            if let Some(former) = recalled {
                core.let_run(&former).await;
            }
            handshake.await
        });
        let (core, shared) = (self.clone(), endpoint.clone());
        let over = move |ended: Ended| {
            core.note_end(&shared, &ended, began);
            tell_end.map(|tell| tell.send(ended));
        };
        let task = self.home.spawn(pass.hold(driver::serve(handshake, over)));
        endpoint.note_task(number, task);
        crowd
    }

    /// Where a new connection is of the former peer again, the end of the old one is seen before it is
    /// attached anew.
    async fn let_run(&self, former: &StreamPipe) {
        for turn in 0..TURNS_FOR_THE_FORMER + MILLIS_FOR_THE_FORMER {
            match former.loan.is_unseen() {
                true if turn < TURNS_FOR_THE_FORMER => rt::yield_now().await,
                true => self.home.sleep(Duration::from_millis(1)).await,
                false => break,
            }
        }
    }

    /// A connection that was there since `began` is gone.
    fn note_end(&self, endpoint: &Endpoint, ended: &Ended, began: Time) {
        endpoint.ended(ended);
        if !ended.attached && !ended.moved {
            self.refused_after(ended.why, rt::now() - began);
            trace::refused(&endpoint.url, self.protocol, ended.why, ended.upgrade.as_ref());
        }
        // Filter and pattern have counted their refusals themselves.
        let counted = matches!(ended.why, DetachReason::Filtered | DetachReason::Busy);
        if !ended.attached && !counted && !ended.moved {
            self.refused(ended.why);
        }
        if let Some(error) = &ended.upgrade {
            self.tell(|| Event::UpgradeFailed { url: endpoint.url.clone(), error: error.clone() });
        }
        if let Some(fault) = &ended.fault {
            self.tell(|| Event::PeerBroke { url: endpoint.url.clone(), error: fault.clone() });
        }
    }

    fn speaks(&self) -> Speaks {
        Speaks::Sp(self.protocol)
    }

    fn session_options(&self) -> SessionOptions {
        SessionOptions {
            protocol: self.protocol,
            handshake_timeout: self.options.handshake_timeout,
            max_message_bytes: self.options.max_message_bytes,
        }
    }

    pub(super) async fn dial(self: &Arc<Self>, url: &str, options: DialOptions) -> Result<Dialer, DialError> {
        let closed = || self.closed_or(DialError::Closed, DialError::RuntimeGone);
        let (dialer, first) = self.start_dialer(url, options)?;
        let Some(first) = first else { return Ok(dialer) };
        // If the caller gives up on this call, the dialer goes with it.
        let guard = StopUnlessKept(Some(dialer));
        match first.await {
            Ok(Ok(())) => Ok(guard.keep()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(closed()),
        }
    }

    #[allow(clippy::type_complexity)] // a pair of what the one caller needs
    fn start_dialer(
        self: &Arc<Self>,
        url: &str,
        options: DialOptions,
    ) -> Result<(Dialer, Option<oneshot::Receiver<Result<(), DialError>>>), DialError> {
        let closed = || self.closed_or(DialError::Closed, DialError::RuntimeGone);
        let address = |error| DialError::Address { url: url.into(), error };
        let start = options.start;
        let connector = Connector::new(url, options).map_err(address)?;
        let endpoint = Endpoint::new(connector.addr.to_string().into(), None, EndpointState::Connecting);
        let pass = self.gate.enter().ok_or_else(closed)?;
        self.keep(&endpoint).map_err(|Gone| closed())?;
        let (tell, first) = oneshot::channel();
        let (tell, first) = match start {
            Start::Wait => (Some(tell), Some(first)),
            Start::Background => (None, None),
        };
        let (core, shared) = (self.clone(), endpoint.clone());
        let task = self.home.spawn(pass.hold(async move {
            core.dial_for_ever(shared, connector, tell).await;
        }));
        endpoint.keep_task(task);
        Ok((Dialer { core: self.clone(), endpoint }, first))
    }

    /// The life of a dialer. Ends only if the first attempt fails and somebody waits for it.
    async fn dial_for_ever(
        self: Arc<Self>,
        endpoint: Arc<Endpoint>,
        connector: Connector,
        mut first: Option<oneshot::Sender<Result<(), DialError>>>,
    ) {
        let options = &connector.options;
        let mut backoff =
            Backoff::new(options.reconnect_min, options.reconnect_max, super::random_seed().into());
        loop {
            endpoint.set_state(EndpointState::Connecting);
            match self.attempt(&endpoint, &connector, &mut first).await {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    let text: Arc<str> = error.to_string().into();
                    endpoint.failed(&text);
                    trace::dial_failed(&endpoint.url, self.protocol, &text);
                    if let Some(first) = first.take() {
                        let _ = first.send(Err(error));
                        return self.close_endpoint(&endpoint);
                    }
                    self.tell(|| Event::DialFailed { url: endpoint.url.clone(), error: text });
                }
            }
            endpoint.set_state(EndpointState::Waiting);
            self.home.sleep(backoff.next_wait()).await;
        }
    }

    /// One connection, from connecting to its end.
    async fn attempt(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        connector: &Connector,
        first: &mut Option<oneshot::Sender<Result<(), DialError>>>,
    ) -> Result<(), DialError> {
        let closed = || self.closed_or(DialError::Closed, DialError::RuntimeGone);
        let url = || endpoint.url.clone();
        let (tell_end, end) = oneshot::channel();
        let attached = match &connector.addr {
            #[cfg(feature = "inproc")]
            Addr::Inproc(name) => {
                use inproc::NotConnected;
                inproc::connect(name, self, endpoint, tell_end).map_err(|why| match why {
                    NotConnected::NoListener => DialError::Connect {
                        url: url(),
                        error: Arc::new(io::ErrorKind::ConnectionRefused.into()),
                    },
                    NotConnected::Refused(why) => DialError::Refused { url: url(), why },
                })?;
                true
            }
            _ => {
                let (began, span) = (rt::now(), Span::dial(&endpoint.url, self.protocol));
                let connect = connector.reach(&endpoint.url, self.speaks(), &self.home);
                // In a box, which goes: from here on the dialer only waits.
                let incoming = Incoming::Ready(Box::pin(span.within(connect)).await?);
                span.end();
                self.took(&endpoint.url, Latency::Connect, rt::now() - began);
                let (tell_settled, settled) = oneshot::channel();
                let owner: Arc<dyn Owner> = Arc::new(self.clone());
                self.serve(endpoint, incoming, usize::MAX, &owner, Some((tell_settled, tell_end)));
                settled.await.unwrap_or(false)
            }
        };
        if attached {
            endpoint.set_state(EndpointState::Connected);
            if let Some(first) = first.take() {
                let _ = first.send(Ok(()));
            }
        }
        match end.await {
            Ok(ended) if ended.attached => Ok(()),
            Ok(Ended { upgrade: Some(error), .. }) => Err(DialError::Upgrade { url: url(), error }),
            Ok(ended) => Err(DialError::Refused { url: url(), why: ended.why }),
            Err(_) => Err(closed()),
        }
    }

    /// Makes a pipe of a connected stream socket that the application has opened.
    #[cfg(all(unix, feature = "ipc"))]
    pub(super) async fn adopt(self: &Arc<Self>, descriptor: OwnedFd) -> Result<PipeId, AdoptError> {
        let closed = || self.closed_or(AdoptError::Closed, AdoptError::RuntimeGone);
        let incoming = Incoming::Ready(self.home.run(async { transport::fd::adopt(descriptor) }).await?);
        let endpoint = Endpoint::new(ADOPTED.into(), None, EndpointState::Connected);
        self.keep(&endpoint).map_err(|Gone| closed())?;
        let (tell_settled, settled) = oneshot::channel();
        let (tell_end, end) = oneshot::channel();
        let owner: Arc<dyn Owner> = Arc::new(self.clone());
        self.serve(&endpoint, incoming, usize::MAX, &owner, Some((tell_settled, tell_end)));
        if settled.await.unwrap_or(false) {
            if let Some(id) = self.pipe_of(&endpoint.origin()) {
                return Ok(id);
            }
        }
        match end.await {
            Ok(ended) => Err(AdoptError::Refused(ended.why)),
            Err(_) => Err(closed()),
        }
    }

    /// Which of the two errors it is, now that the socket cannot be used any more.
    fn closed_or<E>(&self, closed: E, runtime_gone: E) -> E {
        match self.lock().phase {
            Phase::Open | Phase::Closed => closed,
            Phase::Orphaned => runtime_gone,
        }
    }

    /// Remembers an endpoint, unless the socket has closed meanwhile.
    fn keep(&self, endpoint: &Arc<Endpoint>) -> Result<(), Gone> {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints.retain(|endpoint| !endpoint.is_closed());
        endpoints.push(endpoint.clone());
        drop(endpoints);
        if self.lock().phase != Phase::Open {
            endpoint.stop();
            return Err(Gone);
        }
        Ok(())
    }

    pub(super) fn stop_endpoints(&self) {
        let endpoints = std::mem::take(&mut *self.endpoints.lock().unwrap_or_else(PoisonError::into_inner));
        for endpoint in endpoints {
            endpoint.stop();
        }
    }

    fn close_endpoint(self: &Arc<Self>, endpoint: &Arc<Endpoint>) {
        endpoint.stop();
        let origin = endpoint.origin();
        self.close_pipes(|entry| Arc::ptr_eq(&entry.peer.origin.url, &origin.url), self.graceful());
    }

    pub(super) fn graceful(&self) -> Closing {
        Closing { abort: None, deadline: Some(rt::now() + self.options.close_deadline) }
    }
}

/// The address of whatever holds an adopted descriptor. Nothing else has one without a scheme.
#[cfg(all(unix, feature = "ipc"))]
const ADOPTED: &str = "fd";

/// The socket closed in the meantime.
struct Gone;

/// Whether a connection that came in pushed another one out.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Crowd {
    Fits,
    Full,
}

impl Endpoint {
    /// Notes the endpoint's own task; stops it if the endpoint was stopped already.
    fn keep_task(&self, task: AbortHandle) {
        let mut inner = self.lock();
        match inner.state {
            EndpointState::Closed => task.abort(),
            _ => inner.task = Some(task),
        }
    }
}

/// Ends a dialer whose `dial` call was dropped before it was done.
struct StopUnlessKept(Option<Dialer>);

impl StopUnlessKept {
    fn keep(mut self) -> Dialer {
        self.0.take().expect("it is kept once")
    }
}

impl Drop for StopUnlessKept {
    fn drop(&mut self) {
        if let Some(dialer) = self.0.take() {
            dialer.close();
        }
    }
}
