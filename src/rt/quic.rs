//! The runtime as quinn wants it: its tasks run at [`Home`], are counted in by whoever has to wait for them, and
//! end when there is nothing more to say.

use super::Home;
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// Whoever has to know when everything that runs for him has ended: a socket that closes.
pub(crate) trait Shelter: fmt::Debug + Send + Sync {
    /// Counts somebody in, until what it returns is dropped; `None` if it is too late for that.
    fn enter(self: Arc<Self>) -> Option<Box<dyn Send>>;
}

/// The runtime of one endpoint of quinn.
#[derive(Debug)]
pub(crate) struct QuicRuntime {
    home: Home,
    /// One connection is made at a time, so that its task is known by its `Parting`.
    making: Mutex<()>,
    next: Mutex<Option<Arc<Parting>>>,
}

impl QuicRuntime {
    pub(crate) fn new(home: &Home) -> Arc<Self> {
        Arc::new(Self { home: home.clone(), making: Mutex::default(), next: Mutex::default() })
    }

    /// What `make` starts is the task of the connection that `parting` will end.
    pub(crate) fn making<T>(&self, parting: &Arc<Parting>, make: impl FnOnce() -> T) -> T {
        let _alone = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        *self.next() = Some(parting.clone());
        let made = make();
        self.next().take();
        made
    }

    fn next(&self) -> MutexGuard<'_, Option<Arc<Parting>>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runtime for QuicRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        let _entered = self.home.enter();
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let pass = match &self.home.shelter {
            Some(shelter) => shelter.clone().enter(),
            None => Some(Box::new(()) as Box<dyn Send>),
        };
        // Whoever closes starts nothing any more; quinn takes it for a task that was dropped.
        let Some(pass) = pass else { return };
        let parting = self.next().take();
        self.home.spawn(Counted { work, parting, _pass: pass });
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let _entered = self.home.enter();
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

/// How the task of a connection is told that it may end once it has said what it has to say.
///
/// quinn's own task stays until a peer that has not heard of the end would have given up: three times its
/// timeout for a loss, up to seconds. It would answer it once more; so does the listener, which resets what
/// it does not know. Closing a socket need not wait for that.
#[derive(Debug, Default)]
pub(crate) struct Parting {
    inner: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    told: bool,
    task: Option<Waker>,
}

impl Parting {
    /// The connection was closed or dropped: its task has one more turn.
    pub(crate) fn part(&self) {
        let mut inner = self.lock();
        inner.told = true;
        let task = inner.task.take();
        drop(inner);
        if let Some(task) = task {
            task.wake();
        }
    }

    fn is_told(&self, task: &Waker) -> bool {
        let mut inner = self.lock();
        if !inner.task.as_ref().is_some_and(|old| old.will_wake(task)) {
            inner.task = Some(task.clone());
        }
        inner.told
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task of quinn.
struct Counted {
    // The fields are dropped in this order.
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
    parting: Option<Arc<Parting>>,
    _pass: Box<dyn Send>,
}

impl Future for Counted {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Asked before its turn: what was closed before that is told to the peer in it.
        let last = self.parting.as_ref().is_some_and(|parting| parting.is_told(cx.waker()));
        match self.work.as_mut().poll(cx) {
            Poll::Pending if !last => Poll::Pending,
            Poll::Pending | Poll::Ready(()) => Poll::Ready(()),
        }
    }
}
