//! [`PollFd`]: a descriptor that tells a foreign event loop when a socket is ready.
//!
//! **Why no wake-up is missed, and none is left over.** What the descriptor shall show is `wanted`. It
//! is set under the socket's lock at the end of every visit to the rules, so whenever that lock is
//! free, `wanted` is what the rules would say. Whoever changes it calls [`Signal::show`]
//! afterwards, with the socket's lock released and before its own call returns. `show` makes the
//! descriptor agree with `wanted`, one caller at a time: of several, the last one reads `wanted`
//! after all changes that those others made it for. So the descriptor differs from the rules only while
//! somebody is between his change and his `show`; a message that came makes it readable, and a
//! `try_recv` that emptied the queue has made it unreadable again when it returns.

use super::Handle;
use super::core::{Core, Phase, State};
use super::work::{Out, Work};
use crate::rt::park::Bell;
use spanwire_core::pattern::{CtxId, Pattern};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A descriptor that is readable while an operation of a socket would not wait.
///
/// For event loops that know descriptors and not futures. It is level-triggered: as long as
/// the socket is ready, `poll` says so, whether or not anything was done since the last time. Wait
/// for it to become *readable*, also where it stands for sending. Never read from it or write to it: ask the
/// socket with `try_recv` or `try_send`, which may still find that another thread was faster.
///
/// A socket that is closed counts as ready, since its operations fail at once. It costs
/// one descriptor, and a system call whenever the socket becomes ready or ceases to be; sockets that
/// were never asked for one pay nothing. Dropping it removes it; it does not keep its socket open.
///
/// ```
/// # #[cfg(target_os = "linux")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use rustix::event::{PollFd, PollFlags, poll};
/// use spanwire::blocking::{PullSocket, PushSocket};
/// # let (pull, push) = (PullSocket::new(), PushSocket::new());
/// # let listener = pull.listen("inproc://poll-fd-example")?;
/// # push.dial(listener.url())?;
/// let readable = pull.readable_fd()?;
/// push.send("a job")?;
/// poll(&mut [PollFd::new(&readable, PollFlags::IN)], None)?;
/// assert_eq!(&pull.try_recv()?[..], b"a job");
/// # Ok(()) }
/// # #[cfg(not(target_os = "linux"))]
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct PollFd {
    signal: Arc<Signal>,
    core: Weak<Core>,
}

impl AsFd for PollFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.bell.end.as_fd()
    }
}

impl AsRawFd for PollFd {
    fn as_raw_fd(&self) -> RawFd {
        self.signal.bell.end.as_raw_fd()
    }
}

impl Drop for PollFd {
    fn drop(&mut self) {
        if let Some(core) = self.core.upgrade() {
            core.unwatch(|signal| Arc::ptr_eq(signal, &self.signal));
        }
    }
}

/// What a descriptor stands for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    ToRecv(CtxId),
    ToSend(CtxId),
}

impl Ready {
    fn ctx(self) -> CtxId {
        match self {
            Self::ToRecv(ctx) | Self::ToSend(ctx) => ctx,
        }
    }
}

/// A descriptor and what it shall show.
#[derive(Debug)]
pub(crate) struct Signal {
    pub(super) ready: Ready,
    /// Changes under the lock of the socket only.
    wanted: AtomicBool,
    /// Whether the descriptor is readable now. The lock puts those in a row who change that; it is
    /// held for one system call that never waits, and nothing else is locked inside.
    shown: Mutex<bool>,
    bell: Bell,
}

impl Signal {
    fn new(ready: Ready) -> io::Result<Self> {
        let bell = Bell::new()?;
        Ok(Self { ready, wanted: AtomicBool::new(false), shown: Mutex::new(false), bell })
    }

    /// Makes the descriptor agree with what is wanted. No lock of a socket may be held.
    pub(super) fn show(&self) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = self.wanted.load(Ordering::Acquire);
        if *shown == wanted {
            return;
        }
        // It is rung only when hushed and hushed only when rung, so neither can fail or wait,
        // unless somebody else has read from it against the rules; and then it shows what it shall
        // as well.
        match wanted {
            true => self.bell.ring(),
            false => self.bell.hush(),
        }
        *shown = wanted;
    }
}

impl State {
    /// Compares every descriptor with the rules; part of each visit to them.
    #[inline]
    pub(super) fn look(&self, out: &mut Out) {
        if !self.watchers.is_empty() {
            self.look_at_all(out);
        }
    }

    #[cold]
    fn look_at_all(&self, out: &mut Out) {
        for signal in &self.watchers {
            let ready = self.phase != Phase::Open
                || match signal.ready {
                    Ready::ToRecv(ctx) => self.rule.readable(ctx),
                    Ready::ToSend(ctx) => self.rule.writable(ctx),
                };
            if signal.wanted.swap(ready, Ordering::AcqRel) != ready {
                out.work.push(Work::Show(signal.clone()));
            }
        }
    }
}

impl Core {
    fn watch(self: &Arc<Self>, ready: Ready) -> io::Result<PollFd> {
        let signal = Arc::new(Signal::new(ready)?);
        let mut out = Out::default();
        {
            let mut state = self.lock();
            state.watchers.push(signal.clone());
            state.look(&mut out);
            #[cfg(feature = "inproc")]
            if matches!(ready, Ready::ToRecv(_)) {
                self.pickup.wait();
            }
        }
        out.run();
        // What was left before somebody watched.
        while self.fetch() {}
        self.relend();
        Ok(PollFd { signal, core: Arc::downgrade(self) })
    }

    fn unwatch(&self, gone: impl Fn(&Arc<Signal>) -> bool) {
        let mut state = self.lock();
        let (out, kept) = std::mem::take(&mut state.watchers).into_iter().partition(gone);
        state.watchers = kept;
        drop(state);
        // Closes descriptors, so only now.
        drop::<Vec<_>>(out);
        self.relend();
    }

    /// The number of a conversation will be used again, by one that these do not stand for.
    pub(super) fn unwatch_context(&self, ctx: CtxId) {
        self.unwatch(|signal| signal.ready.ctx() == ctx);
    }
}

impl Handle {
    pub(crate) fn poll_fd(&self, ready: Ready) -> io::Result<PollFd> {
        self.core.watch(ready)
    }
}
