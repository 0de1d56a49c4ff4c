//! [`Listening`]: one listener of a server, and what is in its handshake there.

use crate::rt;
use crate::transport::{Accept, Incoming};
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
    pub(super) url: Arc<str>,
    pub(super) local: Option<SocketAddr>,
    half_open: usize,
    acceptor: Mutex<Option<Box<dyn Accept>>>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    closed: bool,
    task: Option<AbortHandle>,
    /// In their handshake, or refused and not gone yet; the oldest first.
    waiting: VecDeque<(u64, AbortHandle)>,
}

/// Who takes what comes in.
pub(super) trait Taker: Send + Sync + 'static {
    /// Something has arrived. Whether it pushed another one out.
    fn take(self: Arc<Self>, listening: &Arc<Listening>, incoming: Incoming) -> Crowd;
    /// Accepting has failed, and is tried again after this.
    fn failed(&self, listening: &Listening, error: &io::Error);
    /// Waits.
    fn pause(&self, span: Duration) -> rt::Sleep;
}

/// Whether a connection that came in pushed another one out.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Crowd {
    Fits,
    Full,
}

/// A failed accept is retried after this, doubling up to [`ACCEPT_MAX`].
const ACCEPT_MIN: Duration = Duration::from_millis(5);
const ACCEPT_MAX: Duration = Duration::from_secs(1);

impl Listening {
    pub(super) fn new(url: Arc<str>, acceptor: Box<dyn Accept>, half_open: usize) -> Self {
        let local = acceptor.local_addr();
        let acceptor = Mutex::new(Some(acceptor));
        Self { url, local, half_open: half_open.max(1), acceptor, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        let acceptor = self.acceptor.lock().unwrap_or_else(PoisonError::into_inner);
        acceptor.as_ref().map_or(Poll::Pending, |acceptor| acceptor.poll_accept(cx))
    }

    /// The task that accepts is this one.
    pub(super) fn runs_in(&self, task: AbortHandle) {
        let mut inner = self.lock();
        match inner.closed {
            true => task.abort(),
            false => inner.task = Some(task),
        }
    }

    /// Accepts nothing more, and drops what is in its handshake. The address is free.
    pub(super) fn stop(&self) {
        let (task, waiting) = {
            let mut inner = self.lock();
            inner.closed = true;
            (inner.task.take(), std::mem::take(&mut inner.waiting))
        };
        drop(self.acceptor.lock().unwrap_or_else(PoisonError::into_inner).take());
        task.into_iter().chain(waiting.into_iter().map(|(_, task)| task)).for_each(|task| task.abort());
    }

    /// One more is in its handshake: the oldest goes if there are too many.
    pub(super) fn begun(&self, number: u64, task: AbortHandle) -> Crowd {
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
    pub(super) fn settled(&self, number: u64) {
        let mut inner = self.lock();
        // The oldest is at the front, and most handshakes are settled in the order they began.
        let at = inner.waiting.iter().position(|(other, _)| *other == number);
        at.and_then(|at| inner.waiting.remove(at));
    }

    pub(super) fn half_open(&self) -> usize {
        self.lock().waiting.len()
    }
}

/// Accepts until the server is gone.
pub(super) async fn accept_all<T: Taker>(taker: Weak<T>, listening: Arc<Listening>) {
    let mut wait = ACCEPT_MIN;
    loop {
        let accepted = poll_fn(|cx| listening.poll_accept(cx)).await;
        let Some(core) = taker.upgrade() else { return };
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
                core.failed(&listening, &error);
                let pause = core.pause(wait);
                drop(core);
                pause.await;
                wait = (wait * 2).min(ACCEPT_MAX);
            }
        }
    }
}
