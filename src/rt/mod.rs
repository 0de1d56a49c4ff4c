//! The only place that spawns, sleeps or looks for a runtime.
//!
//! A socket lives where it was made: in the tokio runtime that was current then, or, when there was
//! none, on the library's one background thread. Blocking sockets always live on that thread, so
//! that a blocking call never waits for a task that only the blocked thread could run.
//!
//! `park` is how a thread waits, `kept` how one learns that a runtime goes away, `quic` how quinn gets its tasks.

mod kept;
pub(crate) mod park;
#[cfg(feature = "quic")]
pub(crate) mod quic;

pub(crate) use kept::Kept;
pub(crate) use park::{block_on, block_until};

use spanwire_core::Time;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::task::{Context, Poll, RawWakerVTable, Waker};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

/// Where the tasks of a socket run.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    handle: Handle,
    /// Kept for its `Drop`: the library's thread lives as long as one of its sockets.
    _thread: Option<Arc<Background>>,
    gone: Gone,
    /// Who counts the tasks that are not started by a socket itself.
    #[cfg(feature = "quic")]
    shelter: Option<Arc<dyn quic::Shelter>>,
}

/// Whether the runtime is going away, as far as one socket knows.
///
/// tokio panics in whoever looks at a timer of a runtime that was dropped. It drops tasks before
/// timers, so the task that sets this under its lock keeps the timers alive for those who look at
/// them under the same lock.
#[derive(Clone, Debug, Default)]
struct Gone(Arc<RwLock<bool>>);

impl Gone {
    fn read(&self) -> RwLockReadGuard<'_, bool> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Home {
    /// The runtime of the caller, else the library's thread.
    pub(crate) fn current() -> Self {
        match Handle::try_current() {
            Ok(handle) => Self::at(handle, None),
            Err(_) => Self::background(),
        }
    }

    fn at(handle: Handle, thread: Option<Arc<Background>>) -> Self {
        Self {
            handle,
            _thread: thread,
            gone: Gone::default(),
            #[cfg(feature = "quic")]
            shelter: None,
        }
    }

    /// The same, where what transports start is counted.
    #[cfg(feature = "quic")]
    pub(crate) fn sheltered(mut self, shelter: Arc<dyn quic::Shelter>) -> Self {
        self.shelter = Some(shelter);
        self
    }

    /// The same for something that many share: nobody in particular counts what transports start for it.
    pub(crate) fn shared(&self) -> Self {
        Self {
            #[cfg(feature = "quic")]
            shelter: None,
            ..self.clone()
        }
    }

    /// The library's thread, started if it does not run.
    pub(crate) fn background() -> Self {
        let thread = Background::get();
        Self::at(thread.handle.clone(), Some(thread))
    }

    /// Starts a task.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.handle.spawn(task).abort_handle()
    }

    /// Makes this runtime the current one, for work that looks for it.
    pub(crate) fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.handle.enter()
    }

    /// `work`, polled as if inside this runtime, so that it can make sockets and timers of it under
    /// any executor.
    pub(crate) async fn run<F: Future>(&self, work: F) -> F::Output {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|cx| {
            let _entered = self.handle.enter();
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Called by a task that is dropped because its runtime is: its timers never end from here on,
    /// and nobody waits for them any more.
    pub(crate) fn is_going(&self) {
        *self.gone.0.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// A timer that works under any executor, since this runtime drives it.
    pub(crate) fn sleep(&self, span: Duration) -> Sleep {
        let _entered = self.handle.enter();
        Sleep { timer: Box::pin(tokio::time::sleep(span)), gone: self.gone.clone() }
    }

    /// A timer that also ends when the runtime does, however that comes about. It costs a task.
    pub(crate) fn alarm(&self, span: Duration) -> Alarm {
        let (tell, rings) = oneshot::channel();
        let task = self.spawn(async move {
            tokio::time::sleep(span).await;
            // Whoever waited for it may be gone.
            let _ = tell.send(());
        });
        Alarm { rings, task }
    }

    /// A timer that ends at a point in time.
    pub(crate) fn sleep_until(&self, deadline: Time) -> Sleep {
        self.sleep(deadline - now())
    }

    /// `work`, or `None` when it takes longer than `span`. A span of `None` never ends.
    pub(crate) async fn within<F: Future>(&self, span: Option<Duration>, work: F) -> Option<F::Output> {
        let mut work = std::pin::pin!(work);
        let mut patience = Patience::new(span);
        std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => patience.poll(self, cx).map(|()| None),
        })
        .await
    }
}

/// For a task of a [`Home`] that lets others run and goes on after that: it is woken when the runtime has
/// looked for I/O. A plain wake-up would come before that, and hold up whoever waits for I/O.
pub(crate) fn give_way(cx: &mut Context<'_>) {
    let turn = std::pin::pin!(tokio::task::yield_now());
    if turn.poll(cx).is_ready() {
        cx.waker().wake_by_ref();
    }
}

/// The same for a future of the application, which may be polled by any executor.
///
/// Only a future that tokio polls itself waits for tokio to look for I/O: one that somebody else polls
/// inside a task, and who blocks it meanwhile, would wait for ever.
pub(crate) fn take_turns(cx: &mut Context<'_>) {
    match is_of_tokio(cx.waker()) {
        true => give_way(cx),
        false => cx.waker().wake_by_ref(),
    }
}

/// Whether it is the waker of a tokio task, or of what a single-threaded runtime was started with. `false`
/// where that cannot be told.
fn is_of_tokio(waker: &Waker) -> bool {
    static KNOWN: OnceLock<Option<[&'static RawWakerVTable; 2]>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        // A runtime of its own, for a moment: no thread, no I/O, no timers.
        let runtime = Builder::new_current_thread().build().ok()?;
        let own = || std::future::poll_fn(|cx| Poll::Ready(cx.waker().vtable()));
        // Inside a runtime it cannot be asked.
        thread::spawn(move || {
            runtime.block_on(async { Some([own().await, runtime.spawn(own()).await.ok()?]) })
        })
        .join()
        .ok()?
    });
    known.iter().flatten().any(|known| std::ptr::eq(*known, waker.vtable()))
}

/// Lets the other tasks of this runtime run, and looks for I/O. For tasks of a [`Home`] only.
pub(crate) async fn yield_now() {
    tokio::task::yield_now().await;
}

/// How long somebody is willing to wait; for ever without a span. The timer is made when it is first
/// needed: most calls are done at once.
#[derive(Debug)]
pub(crate) struct Patience {
    span: Option<Duration>,
    sleep: Option<Sleep>,
}

impl Patience {
    #[inline]
    pub(crate) fn new(span: Option<Duration>) -> Self {
        Self { span, sleep: None }
    }

    /// Ready when it is at an end, or no time passes any more because `home` is going away.
    pub(crate) fn poll(&mut self, home: &Home, cx: &mut Context<'_>) -> Poll<()> {
        let Some(span) = self.span else { return Poll::Pending };
        if *home.gone.read() {
            return Poll::Ready(());
        }
        let sleep = self.sleep.get_or_insert_with(|| home.sleep(span));
        Pin::new(sleep).poll(cx)
    }
}

/// A timer.
#[derive(Debug)]
pub(crate) struct Sleep {
    timer: Pin<Box<tokio::time::Sleep>>,
    gone: Gone,
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        match *this.gone.read() {
            // Whoever waits here is about to be dropped, and must not go on in the meantime.
            true => Poll::Pending,
            false => this.timer.as_mut().poll(cx),
        }
    }
}

/// A timer of its own task, which is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Alarm {
    rings: oneshot::Receiver<()>,
    task: AbortHandle,
}

/// Why an [`Alarm`] rings.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rings {
    /// Its time has come.
    Timely,
    /// Its runtime is being dropped.
    RuntimeGone,
}

impl Future for Alarm {
    type Output = Rings;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Rings> {
        Pin::new(&mut self.rings).poll(cx).map(|rang| match rang {
            Ok(()) => Rings::Timely,
            // The task was dropped, and its end of the channel with it.
            Err(_) => Rings::RuntimeGone,
        })
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The time, as the rules want it: since an arbitrary start, never zero.
pub(crate) fn now() -> Time {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    Time::from_nanos(1) + start.elapsed()
}

/// What the users of the library's one thread share. It ends a little after the last of them.
#[derive(Debug)]
struct Background {
    handle: Handle,
    thread: Arc<Notify>,
}

/// The thread, while there is one.
#[derive(Debug)]
struct Running {
    users: Weak<Background>,
    handle: Handle,
    thread: Arc<Notify>,
    /// Whose thread it is: after a fork it is not the child's.
    process: u32,
    /// It was told that it has no users, and looks whether that stays so.
    lingers: bool,
    /// It had users since it looked.
    used: bool,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

/// A program that makes one socket after the other shall not start a thread for each.
const LINGER: Duration = Duration::from_millis(100);

fn running() -> MutexGuard<'static, Option<Running>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Background {
    fn get() -> Arc<Self> {
        let mut running = running();
        if let Some(running) = &mut *running {
            if let Some(users) = running.users.upgrade() {
                return users;
            }
            if running.process == std::process::id() {
                let users = Self { handle: running.handle.clone(), thread: running.thread.clone() };
                let users = Arc::new(users);
                (running.users, running.used) = (Arc::downgrade(&users), true);
                return users;
            }
        }
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("the system has descriptors for one more epoll instance");
        let (handle, thread) = (runtime.handle().clone(), Arc::new(Notify::new()));
        let unused = thread.clone();
        thread::Builder::new()
            .name("spanwire".into())
            .spawn(move || runtime.block_on(until_unused(&unused)))
            .expect("the system has room for one more thread");
        let users = Arc::new(Self { handle: handle.clone(), thread: thread.clone() });
        let process = std::process::id();
        let weak = Arc::downgrade(&users);
        *running = Some(Running { users: weak, handle, thread, process, lingers: false, used: true });
        users
    }
}

/// The life of the thread: waits until it had no users for a while.
async fn until_unused(told: &Arc<Notify>) {
    loop {
        told.notified().await;
        loop {
            tokio::time::sleep(LINGER).await;
            let mut running = running();
            let Some(now) = running.as_mut().filter(|now| Arc::ptr_eq(&now.thread, told)) else { return };
            if now.users.strong_count() > 0 {
                now.lingers = false;
                break;
            }
            if !std::mem::take(&mut now.used) {
                *running = None;
                return;
            }
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let mut running = running();
        let ours = running.as_mut().filter(|now| Arc::ptr_eq(&now.thread, &self.thread));
        if let Some(now) = ours.filter(|now| !now.lingers && now.users.strong_count() == 0) {
            // It looks twice: what has been used up to now is not counted the second time.
            (now.lingers, now.used) = (true, false);
            drop(running);
            self.thread.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    /// Whether the waker that this is polled with is one of tokio's own.
    async fn polled_by_tokio() -> bool {
        std::future::poll_fn(|cx| Poll::Ready(is_of_tokio(cx.waker()))).await
    }

    #[test]
    fn futures_that_tokio_polls_are_known() {
        let one = Builder::new_current_thread().build().unwrap();
        assert!(one.block_on(polled_by_tokio()));
        assert!(one.block_on(async { tokio::spawn(polled_by_tokio()).await.unwrap() }));
        let many = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        assert!(many.block_on(async { tokio::spawn(polled_by_tokio()).await.unwrap() }));
    }

    #[test]
    fn futures_that_somebody_else_polls_are_not() {
        assert!(!is_of_tokio(Waker::noop()));
        let runtime = Builder::new_current_thread().build().unwrap();
        let inside = runtime.block_on(async {
            let polled = pin!(polled_by_tokio());
            polled.poll(&mut Context::from_waker(Waker::noop()))
        });
        assert_eq!(inside, Poll::Ready(false));
    }
}
