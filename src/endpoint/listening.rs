//! [`Listening`]: one listener of a server, what keeps it listening, and what is in its handshake there.
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

use super::bind;
use crate::options::ListenOptions;
use crate::rt::{self, Home};
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
pub(crate) struct Listening {
    /// As it was asked for.
    asked: Arc<str>,
    half_open: usize,
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
    /// In their handshake, or refused and not gone yet; the oldest first.
    waiting: VecDeque<(u64, AbortHandle)>,
}

/// Who takes what comes in.
pub(crate) trait Taker: Send + Sync + 'static {
    /// Something has arrived. Whether it pushed another one out.
    fn take(self: Arc<Self>, listening: &Arc<Listening>, incoming: Incoming) -> Crowd;
    /// Accepting or binding has failed, and is tried again.
    fn failed(&self, listening: &Listening, error: &io::Error);
    /// It is bound again.
    fn bound(&self, _listening: &Listening) {}
    /// How long to wait before a broken listener is bound again, the first time and at most. `None`: it is not.
    fn rebind(&self) -> Option<(Duration, Duration)> {
        None
    }
    fn options(&self) -> &ListenOptions;
    fn home(&self) -> &Home;
}

/// Whether a connection that came in pushed another one out.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Crowd {
    Fits,
    Full,
}

/// A failed accept is retried after this, doubling up to [`ACCEPT_MAX`].
const ACCEPT_MIN: Duration = Duration::from_millis(5);
const ACCEPT_MAX: Duration = Duration::from_secs(1);

/// After so many failures in a row that are not known to pass, a listener is taken for broken: after 1.3 s.
const ACCEPT_TRIES: u32 = 8;

/// Whether an address that cannot be bound may be had later. What is wrong with options and addresses stays so.
pub(crate) fn may_work_later(error: &io::Error) -> bool {
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

/// Binds for a server, under any executor.
pub(crate) async fn bind_for(taker: &impl Taker, addr: &Addr) -> io::Result<(Box<dyn Accept>, Addr)> {
    taker.home().run(bind(addr, Speaks::Link, taker.options(), taker.home())).await
}

/// Accepts, and binds again what is broken, until the server is gone.
async fn keep_listening<T: Taker>(taker: Weak<T>, listening: Arc<Listening>) {
    loop {
        if listening.is_bound() && !accept_until_broken(&taker, &listening).await {
            return;
        }
        if !bind_again(&taker, &listening).await {
            return;
        }
    }
}

/// `false`: the server is gone.
async fn accept_until_broken<T: Taker>(taker: &Weak<T>, listening: &Arc<Listening>) -> bool {
    let (mut wait, mut failures) = (ACCEPT_MIN, 0);
    loop {
        let accepted = poll_fn(|cx| listening.poll_accept(cx)).await;
        let Some(core) = taker.upgrade() else { return false };
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
        if core.rebind().is_some() && (fault == Fault::Broken || failures >= ACCEPT_TRIES) {
            // Its address has to be free to be had again.
            listening.unbind();
            return true;
        }
        let pause = core.home().sleep(wait);
        drop(core);
        pause.await;
        wait = (wait * 2).min(ACCEPT_MAX);
    }
}

/// `false`: the server is gone.
async fn bind_again<T: Taker>(taker: &Weak<T>, listening: &Arc<Listening>) -> bool {
    let Some(core) = taker.upgrade() else { return false };
    let Some((min, max)) = core.rebind() else { return false };
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).expect("the system has randomness");
    let mut backoff = Backoff::new(min, max, u64::from_le_bytes(seed));
    let addr = listening.lock().addr.clone();
    loop {
        core.home().sleep(backoff.next_wait()).await;
        match bind_for(&*core, &addr).await {
            Ok((acceptor, addr)) => {
                if !listening.bound(acceptor, addr) {
                    return false;
                }
                core.bound(listening);
                return true;
            }
            Err(error) => core.failed(listening, &error),
        }
    }
}

impl Listening {
    /// One more listener; without an acceptor, it is yet to be bound.
    pub(crate) fn new(acceptor: Option<Box<dyn Accept>>, addr: Addr, half_open: usize) -> Arc<Self> {
        let url: Arc<str> = addr.to_string().into();
        let local = acceptor.as_ref().and_then(|acceptor| acceptor.local_addr());
        let inner =
            Inner { addr, url: url.clone(), local, closed: false, task: None, waiting: VecDeque::new() };
        let (acceptor, inner) = (Mutex::new(acceptor), Mutex::new(inner));
        Arc::new(Self { asked: url, half_open: half_open.max(1), acceptor, inner })
    }

    /// Listens until it is stopped or the server is gone.
    pub(crate) fn start<T: Taker>(self: &Arc<Self>, taker: &Arc<T>) {
        let task = taker.home().spawn(keep_listening(Arc::downgrade(taker), self.clone()));
        let mut inner = self.lock();
        match inner.closed {
            true => task.abort(),
            false => inner.task = Some(task),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acceptor(&self) -> MutexGuard<'_, Option<Box<dyn Accept>>> {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn url(&self) -> Arc<str> {
        self.lock().url.clone()
    }

    /// Whether it is meant by an address: as it was asked for, or as it is bound.
    pub(crate) fn is_at(&self, url: &str) -> bool {
        &*self.asked == url || &*self.lock().url == url
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.lock().local
    }

    /// Connections in their handshake.
    pub(crate) fn half_open(&self) -> usize {
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

    /// Accepts nothing more, and drops what is in its handshake. The address is free.
    pub(crate) fn stop(&self) {
        let (task, waiting) = {
            let mut inner = self.lock();
            inner.closed = true;
            (inner.task.take(), std::mem::take(&mut inner.waiting))
        };
        self.unbind();
        task.into_iter().chain(waiting.into_iter().map(|(_, task)| task)).for_each(|task| task.abort());
    }

    /// One more is in its handshake: the oldest goes if there are too many.
    pub(crate) fn begun(&self, number: u64, task: AbortHandle) -> Crowd {
        let mut inner = self.lock();
        if inner.closed {
            task.abort();
            return Crowd::Fits;
        }
        inner.waiting.push_back((number, task));
        if inner.waiting.len() <= self.half_open {
            return Crowd::Fits;
        }
        let evicted = inner.waiting.pop_front();
        drop(inner);
        evicted.into_iter().for_each(|(_, task)| task.abort());
        Crowd::Full
    }

    /// A handshake is over.
    pub(crate) fn settled(&self, number: u64) {
        let mut inner = self.lock();
        // The oldest is at the front, and most handshakes are settled in the order they began.
        let at = inner.waiting.iter().position(|(other, _)| *other == number);
        at.and_then(|at| inner.waiting.remove(at));
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

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
}
