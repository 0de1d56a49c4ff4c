//! What is left to do once every lock is released.
//!
//! Rules run under the lock of their socket. What they cause outside of it (waking, writing,
//! delivering into another socket of this process) is collected in an [`Out`] and carried out
//! afterwards, from one list per thread and never by recursion: a message that goes round a ring
//! of in-process sockets and devices needs no more stack than one that stays.

use super::core::Core;
#[cfg(feature = "inproc")]
use super::inproc::InprocPipe;
#[cfg(unix)]
use super::poll_fd::Signal;
use crate::session::pipe::StreamPipe;
#[cfg(feature = "inproc")]
use spanwire_core::Message;
use spanwire_core::Time;
use spanwire_core::session::outbox::Batch;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

/// Mostly none or one of something: no allocation for that.
#[derive(Debug)]
pub(crate) struct Few<T> {
    first: Option<T>,
    rest: Vec<T>,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { first: None, rest: Vec::new() }
    }
}

impl<T> Few<T> {
    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        match self.first {
            None => self.first = Some(item),
            Some(_) => self.rest.push(item),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    #[inline]
    pub(crate) fn for_each_mut(&mut self, mut each: impl FnMut(&mut T)) {
        if let Some(first) = &mut self.first {
            each(first);
            self.rest.iter_mut().for_each(each);
        }
    }

    #[inline]
    fn for_each(self, mut each: impl FnMut(T)) {
        if let Some(first) = self.first {
            each(first);
            self.rest.into_iter().for_each(each);
        }
    }
}

/// What one visit to a socket's rules has caused.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub(super) wakers: Few<Waker>,
    pub(super) work: Few<Work>,
    /// The time, if it was asked for; else zero. What is delivered at once bears it.
    #[cfg(feature = "inproc")]
    pub(super) now: Time,
}

/// Something that takes other locks, or system calls.
pub(crate) enum Work {
    /// Write what was taken from a connection's outbox. It is taken when the visit to the rules ends
    /// in which the caller became the writer, under the same lock.
    Write { core: Arc<Core>, pipe: Arc<StreamPipe>, batch: Option<Batch> },
    /// Deliver what was taken from a pipe to another socket of this process. It is taken when the visit
    /// ends, like a batch to write.
    #[cfg(feature = "inproc")]
    Deliver { pipe: Arc<InprocPipe>, batch: Option<VecDeque<Message>>, now: Time },
    /// Deliver whatever waits there.
    #[cfg(feature = "inproc")]
    Pump(Arc<InprocPipe>),
    /// Show whether the socket is ready.
    #[cfg(unix)]
    Show(Arc<Signal>),
    /// Anything that is rare.
    #[cfg(feature = "inproc")]
    Call(Box<dyn FnOnce() + Send>),
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Write { .. } => "Write",
            #[cfg(feature = "inproc")]
            Self::Deliver { .. } => "Deliver",
            #[cfg(feature = "inproc")]
            Self::Pump(_) => "Pump",
            #[cfg(unix)]
            Self::Show(_) => "Show",
            #[cfg(feature = "inproc")]
            Self::Call(_) => "Call",
        })
    }
}

thread_local! {
    static LIST: RefCell<VecDeque<Work>> = const { RefCell::new(VecDeque::new()) };
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

impl Out {
    /// Nothing yet, from a visit at this time.
    #[inline]
    pub(super) fn at(now: Time) -> Self {
        #[cfg(feature = "inproc")]
        return Self { now, ..Self::default() };
        #[cfg(not(feature = "inproc"))]
        {
            let _ = now;
            Self::default()
        }
    }

    /// Carries everything out. No lock may be held.
    #[inline]
    pub(crate) fn run(self) {
        if self.wakers.is_empty() && self.work.is_empty() {
            // Nothing to drop either: told so, the compiler need not look again.
            std::mem::forget(self);
        } else {
            self.carry_out();
        }
    }

    fn carry_out(self) {
        self.wakers.for_each(Waker::wake);
        if self.work.is_empty() {
            return;
        }
        if RUNNING.replace(true) {
            LIST.with_borrow_mut(|list| self.work.for_each(|work| list.push_back(work)));
            return;
        }
        let _running = Running;
        // The list is empty, and most often there is just one thing to do.
        let Few { first, rest } = self.work;
        if !rest.is_empty() {
            LIST.with_borrow_mut(|list| list.extend(rest));
        }
        first.into_iter().for_each(Work::run);
        while let Some(work) = LIST.with_borrow_mut(VecDeque::pop_front) {
            work.run();
        }
    }
}

/// Clears the flag even if a waker or a filter of the application panics.
struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(false);
    }
}

impl Work {
    fn run(self) {
        match self {
            Self::Write { core, pipe, batch } => {
                let bytes = pipe.write_as_sender(&core, batch.expect("taken when the visit ended"));
                core.note_written(bytes);
            }
            #[cfg(feature = "inproc")]
            Self::Deliver { pipe, batch, now } => {
                batch.into_iter().for_each(|batch| pipe.deliver(batch, now));
            }
            #[cfg(feature = "inproc")]
            Self::Pump(pipe) => pipe.pump(),
            #[cfg(unix)]
            Self::Show(signal) => signal.show(),
            #[cfg(feature = "inproc")]
            Self::Call(call) => call(),
        }
    }
}
