//! The runtime as quinn wants it: its tasks run at [`Home`], are counted in by whoever has to wait for them, and
//! end when there is nothing more to say.

use super::Home;
use quinn::{AsyncTimer, AsyncUdpSocket, Connection, Runtime, TokioRuntime, VarInt};
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
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
    /// The tasks of connections.
    connections: Arc<Mutex<Vec<Weak<Work>>>>,
}

impl QuicRuntime {
    pub(crate) fn new(home: &Home) -> Arc<Self> {
        Arc::new(Self {
            home: home.clone(),
            making: Mutex::default(),
            next: Mutex::default(),
            connections: Arc::default(),
        })
    }

    /// What `make` starts is the task of the connection that `parting` will end.
    pub(crate) fn making<T>(&self, parting: &Arc<Parting>, make: impl FnOnce() -> T) -> T {
        let _alone = lock(&self.making);
        *lock(&self.next) = Some(parting.clone());
        let made = make();
        lock(&self.next).take();
        made
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
        let parting = lock(&self.next).take();
        let rest = if parting.is_none() { Some(self.connections.clone()) } else { None };
        let work = Arc::new(Work {
            task: Mutex::new(Some(work)),
            place: Mutex::default(),
            called: AtomicBool::new(false),
            parting,
        });
        if let Some(parting) = &work.parting {
            // It was made for this one.
            let _ = parting.work.set(Arc::downgrade(&work));
        }
        if rest.is_none() {
            let mut connections = lock(&self.connections);
            if connections.len() == connections.capacity() {
                connections.retain(|work| work.strong_count() > 0);
            }
            connections.push(Arc::downgrade(&work));
        }
        self.home.spawn(Counted { work, rest, _pass: pass });
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
    work: OnceLock<Weak<Work>>,
}

#[derive(Debug, Default)]
struct Told {
    told: bool,
    task: Option<Waker>,
    connection: Option<Connection>,
}

impl Parting {
    /// This is the connection.
    pub(crate) fn is_of(&self, connection: &Connection) {
        lock(&self.inner).connection = Some(connection.clone());
    }

    /// The connection was closed or dropped: its task has one more turn.
    pub(crate) fn part(&self) {
        let mut inner = lock(&self.inner);
        inner.told = true;
        let (task, connection) = (inner.task.take(), inner.connection.take());
        drop(inner);
        drop(connection);
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Does what will make the task of the connection send something, and takes its turn here and now: for a
    /// thread that is not the runtime's, that saves two switches of threads.
    pub(crate) fn step_in_after<T>(&self, act: impl FnOnce() -> T) -> T {
        let work = self.work.get().and_then(Weak::upgrade);
        match work.filter(|work| work.runs_elsewhere()) {
            Some(work) => work.step_in_after(act),
            None => act(),
        }
    }

    fn is_told(&self, task: &Waker) -> bool {
        let mut inner = lock(&self.inner);
        if !inner.task.as_ref().is_some_and(|old| old.will_wake(task)) {
            inner.task = Some(task.clone());
        }
        inner.told
    }
}

/// Ours is the only panic that a lock could be poisoned by, and leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a task of quinn does, until that is done. It is the task's waker, too, so that a thread that steps in can
/// keep it from being woken.
struct Work {
    task: Mutex<Option<Task>>,
    place: Mutex<Place>,
    /// It was woken by the thread that is about to step in.
    called: AtomicBool,
    /// Of connections.
    parting: Option<Arc<Parting>>,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where the task runs.
#[derive(Default)]
struct Place {
    waker: Option<Waker>,
    thread: Option<ThreadId>,
}

thread_local! {
    /// What this thread is about to step in for, by its address.
    static STEPS_IN_FOR: Cell<usize> = const { Cell::new(0) };
}

impl Work {
    fn poll(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        {
            let mut place = lock(&self.place);
            place.thread = Some(thread::current().id());
            if !place.waker.as_ref().is_some_and(|old| old.will_wake(cx.waker())) {
                place.waker = Some(cx.waker().clone());
            }
        }
        // Asked before its turn: what was closed before that is told to the peer in it.
        let last = self.parting.as_ref().is_some_and(|parting| parting.is_told(cx.waker()));
        let mut task = lock(&self.task);
        if self.turn(&mut task) || last {
            let done = task.take();
            drop(task);
            drop(done);
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// One turn of the task, whoever takes it. Whether it has ended.
    fn turn(self: &Arc<Self>, task: &mut Option<Task>) -> bool {
        let Some(work) = task else { return true };
        let waker = Waker::from(self.clone());
        let ended = work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if ended {
            *task = None;
        }
        ended
    }

    fn runs_elsewhere(&self) -> bool {
        lock(&self.place).thread.is_some_and(|thread| thread != thread::current().id())
    }

    fn step_in_after<T>(self: &Arc<Self>, act: impl FnOnce() -> T) -> T {
        let done = {
            let _waits = StepsIn::soon(self);
            act()
        };
        if self.called.swap(false, Ordering::AcqRel) {
            let ended = match self.task.try_lock() {
                Ok(mut task) => self.turn(&mut task),
                // It has its turn at this moment, and may have looked already.
                Err(_) => true,
            };
            if ended {
                self.wake_by_ref();
            }
        }
        done
    }

    /// The runtime is going away. With a stream of the kernel's the peer would hear of it; so it does here.
    fn last_words(&self) {
        let Some(parting) = &self.parting else { return };
        // Whoever had the connection may have been dropped before, and has closed it. One that the peer has ended is
        // not closed again: that would take its reason from whoever is about to read it.
        let connection = lock(&parting.inner).connection.take();
        if let Some(connection) = connection.filter(|connection| connection.close_reason().is_none()) {
            connection.close(GONE, b"");
        }
        if let Some(mut task) = lock(&self.task).take() {
            // Nobody can do more in a runtime that ends, and a panic in a destructor would be worse.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
            }));
        }
    }
}

/// This thread is about to step in, until this is dropped.
struct StepsIn;

impl StepsIn {
    fn soon(work: &Arc<Work>) -> Self {
        STEPS_IN_FOR.set(Arc::as_ptr(work).addr());
        Self
    }
}

impl Drop for StepsIn {
    fn drop(&mut self) {
        STEPS_IN_FOR.set(0);
    }
}

impl Wake for Work {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if STEPS_IN_FOR.get() == Arc::as_ptr(self).addr() {
            self.called.store(true, Ordering::Release);
            return;
        }
        // One that has not run yet will look at everything when it does.
        let waker = lock(&self.place).waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The code of a connection that was cut.
const GONE: VarInt = VarInt::from_u32(1);

/// A task of quinn.
struct Counted {
    // The fields are dropped in this order.
    work: Arc<Work>,
    /// Of an endpoint, the tasks of its connections: without it, they can say nothing any more.
    rest: Option<Arc<Mutex<Vec<Weak<Work>>>>>,
    _pass: Box<dyn Send>,
}

impl Future for Counted {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.work.poll(cx)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(connections) = self.rest.take() {
            let connections = std::mem::take(&mut *lock(&connections));
            connections.iter().filter_map(Weak::upgrade).for_each(|work| work.last_words());
        }
        self.work.last_words();
    }
}
