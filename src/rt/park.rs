//! How a thread waits: for a waker, and for a descriptor beside it.

use std::cell::Cell;
use std::future::Future;
#[cfg(unix)]
use std::io;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
#[cfg(unix)]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Waits for `work` on this thread, which needs no runtime and may be inside one.
pub(crate) fn block_on<F: Future>(work: F) -> F::Output {
    block_until(work, None).expect("without a deadline it ends with the work")
}

/// [`block_on`]; `None` when `deadline` passes first.
pub(crate) fn block_until<F: Future>(work: F, deadline: Option<Instant>) -> Option<F::Output> {
    let mut work = std::pin::pin!(work);
    wait(|cx, parked| {
        loop {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Some(output);
            }
            if !parked.wait(deadline) {
                return None;
            }
        }
    })
}

/// Runs what waits on this thread, with a waker and what it wakes.
pub(crate) fn wait<T>(work: impl FnOnce(&mut Context<'_>, &Parked) -> T) -> T {
    thread_local! {
        /// So that waiting allocates once per thread. Away while a wait is going on: one inside
        /// another (from a device's tap, say) makes its own, and neither takes the other's wake-ups.
        static IDLE: Cell<Option<(Arc<Parked>, Waker)>> = const { Cell::new(None) };
    }
    let (parked, waker) = IDLE.take().unwrap_or_else(|| {
        let parked = Arc::new(Parked::new());
        (parked.clone(), Waker::from(parked))
    });
    // Left over from the last wait, if anything.
    parked.state.store(AWAKE, Ordering::Relaxed);
    let mut cx = Context::from_waker(&waker);
    // Inside a task of tokio, whose turn is long over, its resources would refuse to be ready until
    // the task gives its thread back, which a blocked one never does.
    let mut work = Some(work);
    let mut output = None;
    let once = std::future::poll_fn(|cx| {
        output = work.take().map(|work| work(cx, &parked));
        Poll::Ready(())
    });
    let _ = std::pin::pin!(tokio::task::unconstrained(once)).poll(&mut cx);
    IDLE.set(Some((parked, waker)));
    output.expect("what is ready at once has run")
}

/// A thread that waits.
///
/// ```text
///          wait                       woken
///   Awake ──────▶ Parked, Polling ────────────▶ Woken
///     │  ▲               │ time, data             │
///     │  └───────────────┘                        │
///     ├───────────────── woken ──────────────────▶│
///     ▲                                           │
///     └────────────────── wait ───────────────────┘
/// ```
///
/// Parking alone would do if nobody else used it; but a token of `unpark` may be taken by anything that
/// parks the same thread, so the state is what counts. A thread that is awake costs its waker no system
/// call.
pub(crate) struct Parked {
    thread: Thread,
    state: AtomicU8,
    /// What wakes it while it polls; made when it first does. `None`: there are no descriptors left.
    #[cfg(unix)]
    bell: OnceLock<Option<Bell>>,
}

const AWAKE: u8 = 0;
const PARKED: u8 = 1;
#[cfg(unix)]
const POLLING: u8 = 2;
const WOKEN: u8 = 3;

impl Parked {
    fn new() -> Self {
        Self {
            thread: thread::current(),
            state: AtomicU8::new(AWAKE),
            #[cfg(unix)]
            bell: OnceLock::new(),
        }
    }

    /// `false`: it was woken before, and is awake again.
    fn fall_asleep(&self, how: u8) -> bool {
        let asleep = self.state.compare_exchange(AWAKE, how, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if !asleep {
            self.state.store(AWAKE, Ordering::Release);
        }
        asleep
    }

    /// `true` when it was woken, `false` when the deadline passed first.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        if !self.fall_asleep(PARKED) {
            return true;
        }
        loop {
            match left(deadline) {
                None => thread::park(),
                Some(left) if !left.is_zero() => thread::park_timeout(left),
                Some(_) => return self.state.swap(AWAKE, Ordering::AcqRel) == WOKEN,
            }
            if self.state.compare_exchange(WOKEN, AWAKE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return true;
            }
        }
    }

    /// Whether it can poll.
    #[cfg(unix)]
    pub(crate) fn has_bell(&self) -> bool {
        self.bell.get_or_init(|| Bell::new().ok()).is_some()
    }

    /// Waits in `poll`, which also looks at a descriptor and says whether it was ready.
    #[cfg(unix)]
    pub(crate) fn poll(
        &self,
        deadline: Option<Instant>,
        poll: impl FnOnce(BorrowedFd<'_>, Option<Duration>) -> io::Result<bool>,
    ) -> Polled {
        let Some(Some(bell)) = self.bell.get() else { return Polled::Woken };
        let left = left(deadline);
        if left.is_some_and(|left| left.is_zero()) {
            return Polled::TimedOut;
        }
        if !self.fall_asleep(POLLING) {
            return Polled::Woken;
        }
        let ready = poll(bell.end.as_fd(), left);
        self.state.store(AWAKE, Ordering::Release);
        if let Ok(true) = ready {
            return Polled::Ready;
        }
        // Interrupted, woken, or its time is up, which the next call finds out. A waker may not have rung
        // yet; then the next wait ends at once, for nothing, and hushes it.
        bell.hush();
        Polled::Woken
    }
}

/// Why a thread polls no longer.
#[cfg(unix)]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    Ready,
    Woken,
    TimedOut,
}

fn left(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        match self.state.swap(WOKEN, Ordering::AcqRel) {
            PARKED => self.thread.unpark(),
            #[cfg(unix)]
            POLLING => {
                if let Some(Some(bell)) = self.bell.get() {
                    bell.ring();
                }
            }
            _ => {}
        }
    }
}

/// A descriptor that can be made readable.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Bell {
    /// Where it is polled.
    pub(crate) end: OwnedFd,
    /// Where it is written to, if that is another descriptor.
    other_end: Option<OwnedFd>,
}

#[cfg(unix)]
impl Bell {
    /// # Errors
    /// The process has no descriptor left.
    pub(crate) fn new() -> io::Result<Self> {
        let (end, other_end) = descriptors()?;
        Ok(Self { end, other_end })
    }

    /// Makes it readable. It neither fails nor waits while it is not.
    pub(crate) fn ring(&self) {
        // Eight bytes are an event of an eventfd, and go in and out of a pair of sockets as well.
        let end = self.other_end.as_ref().unwrap_or(&self.end);
        let _ = rustix::io::retry_on_intr(|| rustix::io::write(end, &1_u64.to_ne_bytes()));
    }

    /// Makes it unreadable again.
    pub(crate) fn hush(&self) {
        let _ = rustix::io::retry_on_intr(|| rustix::io::read(&self.end, &mut [0_u8; 8]));
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn descriptors() -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    use rustix::event::{EventfdFlags, eventfd};
    Ok((eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?, None))
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
fn descriptors() -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    let (a, b) = std::os::unix::net::UnixStream::pair()?;
    a.set_nonblocking(true)?;
    b.set_nonblocking(true)?;
    Ok((a.into(), Some(b.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, poll_fn};

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(30))
    }

    #[test]
    fn a_wait_inside_another_takes_none_of_its_wake_ups() {
        let mut polls = 0;
        let outer = poll_fn(|cx| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            let past = Some(Instant::now() + Duration::from_millis(1));
            assert!(block_until(pending::<()>(), past).is_none());
            Poll::Pending
        });
        assert!(block_until(outer, soon()).is_some(), "it was woken before it even waited");
    }

    #[test]
    fn a_stranger_that_parks_the_thread_takes_none_either() {
        let mut polls = 0;
        let work = poll_fn(|cx| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            thread::park_timeout(Duration::from_millis(1));
            Poll::Pending
        });
        assert!(block_until(work, soon()).is_some());
    }

    #[test]
    fn what_a_stranger_unparks_was_not_woken() {
        thread::current().unpark();
        let mut polls = 0;
        let work = poll_fn(|_| -> Poll<()> {
            polls += 1;
            Poll::Pending
        });
        assert!(block_until(work, Some(Instant::now() + Duration::from_millis(1))).is_none());
        assert_eq!(polls, 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_thread_that_polls_is_woken_once() {
        let never = Bell::new().unwrap();
        wait(|cx, parked| {
            assert!(parked.has_bell());
            let poll = || {
                parked.poll(soon(), |bell, left| {
                    use rustix::event::{PollFd, PollFlags, Timespec};
                    let flags = PollFlags::IN;
                    let mut polled = [PollFd::new(&never.end, flags), PollFd::from_borrowed_fd(bell, flags)];
                    let left = Timespec { tv_sec: left.unwrap().as_secs() as i64, tv_nsec: 0 };
                    rustix::event::poll(&mut polled, Some(&left))?;
                    Ok(!polled[0].revents().is_empty())
                })
            };
            cx.waker().wake_by_ref();
            assert_eq!(poll(), Polled::Woken, "before it polled");
            let waker = cx.waker().clone();
            let other = thread::spawn(move || waker.wake());
            assert_eq!(poll(), Polled::Woken);
            other.join().unwrap();
            never.ring();
            // At most one that came late is left.
            let left_over = (0..3).position(|_| poll() == Polled::Ready);
            assert!(left_over <= Some(1) && left_over.is_some());
        });
    }

    #[test]
    fn a_deadline_in_the_past_still_asks_once() {
        assert_eq!(block_until(async { 7 }, Some(Instant::now())), Some(7));
        assert!(block_until(pending::<()>(), Some(Instant::now())).is_none());
    }
}
