//! [`Listening`]: one listener of a server, and what keeps it listening.
//!
//! ```text
//!                    a connection, or a failure that passes (5 ms .. 1 s)
//!                     ┌──────┐
//!   bind ─────────▶ Bound ◀──┘
//!     │               │ ▲
//!     │ fails         │ │ bound: reported
//!     ▼        broken ▼ │
//!   reported, or      Unbound ◀─┐
//!   (Background) ─────▶ └───────┘ fails: reported, and a wait (100 ms .. 10 s)
//! ```

use super::Event;
use super::conn::Conn;
use super::guest::Guest;
use super::server::ServerCore;
use crate::endpoint;
use crate::rt;
use crate::session::Origin;
use crate::transport::{Accept, Incoming, Speaks};
use spanwire_core::addr::Addr;
use spanwire_core::session::backoff::Backoff;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::AbortHandle;

/// One listener.
#[derive(Debug)]
pub(super) struct Listening {
    /// As it was asked for.
    asked: Arc<str>,
    /// `None`: it is not bound at this moment.
    acceptor: Mutex<Option<Box<dyn Accept>>>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Where it is bound, was, or is to be.
    addr: Addr,
    url: Arc<str>,
    local: Option<SocketAddr>,
    closed: bool,
    task: Option<AbortHandle>,
    /// Half-open connections, the oldest first.
    waiting: VecDeque<(u64, AbortHandle)>,
}

/// A failed accept is retried after this, doubling up to [`ACCEPT_MAX`].
const ACCEPT_MIN: Duration = Duration::from_millis(5);
const ACCEPT_MAX: Duration = Duration::from_secs(1);

/// After so many failures in a row that are not known to pass, a listener is taken for broken: after 1.3 s.
const ACCEPT_TRIES: u32 = 8;

/// Whether an address that cannot be bound may be had later. What is wrong with options and addresses stays so.
pub(super) fn may_work_later(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, Unsupported};
    !matches!(error.kind(), InvalidInput | InvalidData | Unsupported)
}

/// What a failed accept says of the listener.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Fault {
    /// The peer gave up while it waited for us: nobody's fault, and no reason to wait.
    Peer,
    /// We are out of something, and a new socket would be, too; or the network failed a newcomer.
    Passing,
    /// Nobody knows.
    Unknown,
    /// Its socket is of no use any more.
    Broken,
}

impl Fault {
    fn of(error: &io::Error) -> Self {
        use io::ErrorKind::{ConnectionAborted, Interrupted, InvalidInput, NotConnected, OutOfMemory};
        #[cfg(unix)]
        {
            use rustix::io::Errno;
            let is = |errnos: &[Errno]| {
                errnos.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
            };
            if is(&[Errno::BADF, Errno::NOTSOCK, Errno::INVAL]) {
                return Self::Broken;
            }
            if is(&[Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]) {
                return Self::Passing;
            }
            // Linux tells what is wrong with the connection that it was about to hand out.
            let of_the_network = [
                Errno::NETDOWN,
                Errno::NETUNREACH,
                Errno::HOSTDOWN,
                Errno::HOSTUNREACH,
                Errno::PROTO,
                Errno::NOPROTOOPT,
                Errno::OPNOTSUPP,
                Errno::PERM,
            ];
            if is(&of_the_network) {
                return Self::Passing;
            }
        }
        match error.kind() {
            ConnectionAborted | Interrupted => Self::Peer,
            OutOfMemory => Self::Passing,
            NotConnected | InvalidInput => Self::Broken,
            _ => Self::Unknown,
        }
    }
}

impl ServerCore {
    pub(super) async fn bind(&self, addr: &Addr) -> io::Result<(Box<dyn Accept>, Addr)> {
        let home = &self.host.home;
        home.run(endpoint::bind(addr, Speaks::Link, &self.options.listen, home)).await
    }

    /// One more listener; with `None`, it is yet to be bound. `None`: the server is closed.
    pub(super) fn add(
        self: &Arc<Self>,
        acceptor: Option<Box<dyn Accept>>,
        addr: Addr,
    ) -> Option<Arc<Listening>> {
        let url: Arc<str> = addr.to_string().into();
        let local = acceptor.as_ref().and_then(|acceptor| acceptor.local_addr());
        let listening = Arc::new(Listening {
            asked: url.clone(),
            acceptor: Mutex::new(acceptor),
            inner: Mutex::new(Inner {
                addr,
                url,
                local,
                closed: false,
                task: None,
                waiting: VecDeque::new(),
            }),
        });
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        state.listeners.push(listening.clone());
        drop(state);
        let task = self.host.home.spawn(keep_listening(Arc::downgrade(self), listening.clone()));
        let mut inner = listening.lock();
        match inner.closed {
            true => task.abort(),
            false => inner.task = Some(task),
        }
        drop(inner);
        Some(listening)
    }

    /// A listener could not accept, or could not be bound.
    pub(super) fn failed(&self, listening: &Listening, error: &io::Error) {
        self.lock().stats.failures += 1;
        let (url, error) = (listening.url(), error.to_string().into());
        self.host.hub.tell(|| Event::ListenerFailed { url, error });
    }

    /// A connection has arrived.
    fn take(self: &Arc<Self>, listening: &Arc<Listening>, incoming: Incoming) -> Crowd {
        self.lock().stats.arrived += 1;
        let mut inner = listening.lock();
        if inner.closed {
            return Crowd::Fits;
        }
        let origin = Origin { url: inner.url.clone(), dialed: false };
        let (conn, task) = Conn::start(&self.host, origin, Some(Guest::new(self, listening)), incoming);
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

/// Accepts, and binds again what is broken, until the server is gone.
async fn keep_listening(server: Weak<ServerCore>, listening: Arc<Listening>) {
    loop {
        if listening.is_bound() && !accept_until_broken(&server, &listening).await {
            return;
        }
        if !bind_again(&server, &listening).await {
            return;
        }
    }
}

/// `false`: the server is gone.
async fn accept_until_broken(server: &Weak<ServerCore>, listening: &Arc<Listening>) -> bool {
    let (mut wait, mut failures) = (ACCEPT_MIN, 0);
    loop {
        let accepted = poll_fn(|cx| listening.poll_accept(cx)).await;
        let Some(core) = server.upgrade() else { return false };
        let error = match accepted {
            Ok(incoming) => {
                (wait, failures) = (ACCEPT_MIN, 0);
                if core.take(listening, incoming) == Crowd::Full {
                    // In a flood each newcomer pushes another one out: those who came before the next one
                    // get the chance to say what they have to say.
                    rt::yield_now().await;
                }
                continue;
            }
            Err(error) => error,
        };
        let fault = Fault::of(&error);
        if fault == Fault::Peer {
            continue;
        }
        core.failed(listening, &error);
        failures += u32::from(fault == Fault::Unknown);
        if fault == Fault::Broken || failures >= ACCEPT_TRIES {
            // Its address has to be free to be had again.
            listening.unbind();
            return true;
        }
        core.host.home.sleep(wait).await;
        wait = (wait * 2).min(ACCEPT_MAX);
    }
}

/// `false`: the server is gone.
async fn bind_again(server: &Weak<ServerCore>, listening: &Arc<Listening>) -> bool {
    let Some(core) = server.upgrade() else { return false };
    let mut seed = [0; 8];
    super::host::random(&mut seed);
    let mut backoff =
        Backoff::new(core.options.rebind_min, core.options.rebind_max, u64::from_le_bytes(seed));
    let addr = listening.lock().addr.clone();
    loop {
        core.host.home.sleep(backoff.next_wait()).await;
        match core.bind(&addr).await {
            Ok((acceptor, addr)) => {
                if !listening.bound(acceptor, addr) {
                    return false;
                }
                let url = listening.url();
                core.host.hub.tell(|| Event::ListenerBound { url });
                return true;
            }
            Err(error) => core.failed(listening, &error),
        }
    }
}

impl Listening {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acceptor(&self) -> MutexGuard<'_, Option<Box<dyn Accept>>> {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn url(&self) -> Arc<str> {
        self.lock().url.clone()
    }

    /// Whether it is meant by an address: as it was asked for, or as it is bound.
    pub(super) fn is_at(&self, url: &str) -> bool {
        &*self.asked == url || &*self.lock().url == url
    }

    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.lock().local
    }

    /// Connections in their handshake.
    pub(super) fn half_open(&self) -> usize {
        self.lock().waiting.len()
    }

    fn is_bound(&self) -> bool {
        self.acceptor().is_some()
    }

    fn unbind(&self) {
        let broken = self.acceptor().take();
        drop(broken);
    }

    /// It has an address. `false`: nobody wants it any more.
    fn bound(&self, acceptor: Box<dyn Accept>, addr: Addr) -> bool {
        let mut inner = self.lock();
        if inner.closed {
            return false;
        }
        (inner.url, inner.local) = (addr.to_string().into(), acceptor.local_addr());
        inner.addr = addr;
        // Under the lock: whoever stops it says so first, and then takes the acceptor.
        *self.acceptor() = Some(acceptor);
        true
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        self.acceptor().as_ref().map_or(Poll::Pending, |acceptor| acceptor.poll_accept(cx))
    }

    pub(super) fn stop(&self) {
        let (task, waiting) = {
            let mut inner = self.lock();
            inner.closed = true;
            (inner.task.take(), std::mem::take(&mut inner.waiting))
        };
        self.unbind();
        task.into_iter().chain(waiting.into_iter().map(|(_, task)| task)).for_each(|task| task.abort());
    }

    /// A handshake is over.
    pub(super) fn settled(&self, number: u64) {
        let mut inner = self.lock();
        // The oldest is at the front, and most handshakes are settled in the order they began.
        let at = inner.waiting.iter().position(|(other, _)| *other == number);
        at.and_then(|at| inner.waiting.remove(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Host, HostOptions, ServerOptions};
    use crate::options::ListenOptions;

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

    #[cfg(unix)]
    #[test]
    fn what_an_error_says_of_the_listener() {
        use rustix::io::Errno;
        let of = |errno: Errno| Fault::of(&errno.into());
        assert_eq!(of(Errno::CONNABORTED), Fault::Peer);
        assert_eq!((of(Errno::MFILE), of(Errno::NETUNREACH)), (Fault::Passing, Fault::Passing));
        assert_eq!((of(Errno::BADF), of(Errno::INVAL)), (Fault::Broken, Fault::Broken));
        assert_eq!(Fault::of(&io::ErrorKind::NotConnected.into()), Fault::Broken);
        assert_eq!(Fault::of(&io::Error::other("?")), Fault::Unknown);
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
