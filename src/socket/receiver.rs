//! [`Receiver`]: whoever waits for a message, and reads the connection itself if it can.
//!
//! Every wait for a message goes through here: futures, streams and threads. A receiver that finds no
//! message borrows the reading of its socket's only connection (`session/loan.rs`), so that what comes
//! goes from the kernel to the one who waits for it, and to nobody in between. It has its place in the
//! line, too, whenever it waits: whatever else happens wakes it like everybody.

use super::core::{Core, Phase, State};
use super::ops::Get;
use super::passing::NoMessage;
#[cfg(unix)]
use super::poll_fd::Ready;
use super::waits::{For, Ticket};
use crate::rt;
#[cfg(unix)]
use crate::rt::park::Polled;
use crate::rt::park::{self, Parked};
use crate::session::loan::{By, Lease, Waits};
use crate::session::pipe::StreamPipe;
use crate::session::reading::{How, Step};
use crate::session::spin::Spin;
use spanwire_core::Message;
use spanwire_core::pattern::{CtxId, Nothing};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Instant;

/// One who waits for a message. Whoever gives it up calls [`leave`](Receiver::leave).
#[derive(Debug, Default)]
pub(super) struct Receiver {
    ticket: Option<Ticket>,
    /// The connection that it reads, and its loan. Weak, so that a future that nobody polls keeps no
    /// descriptor open.
    lease: Option<(Weak<StreamPipe>, Lease)>,
}

/// What came of reading.
enum Read {
    /// What `get` had to say.
    Got(Result<Message, NoMessage>),
    Nothing,
    /// There is more, but others come first.
    Enough,
    /// The driver has to go on.
    Stuck,
}

/// A message that comes in many parts is read in so many steps at a time.
const STEPS: usize = 16;

impl Receiver {
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        self.ticket.is_some() || self.lease.is_some()
    }

    /// Its place in the line, unless it reads a connection, or waits in line beside one that it may read.
    #[inline]
    pub(super) fn place(&mut self, core: &Core) -> Option<&mut Option<Ticket>> {
        let reads = self.lease.is_some() || (self.ticket.is_some() && core.lender.lends());
        (!reads).then_some(&mut self.ticket)
    }

    /// Takes a message, or waits: in the line, and for data.
    pub(super) fn poll(
        &mut self,
        core: &Arc<Core>,
        ctx: CtxId,
        cx: &mut Context<'_>,
        get: &mut impl Get,
    ) -> Poll<Result<Message, NoMessage>> {
        self.poll_how(core, ctx, cx, How::Watched, get)
    }

    fn poll_how(
        &mut self,
        core: &Arc<Core>,
        ctx: CtxId,
        cx: &mut Context<'_>,
        how: How,
        get: &mut impl Get,
    ) -> Poll<Result<Message, NoMessage>> {
        let (mut reader, data) = match self.resume() {
            Some((reader, told)) => (Some(reader), told || how == (How::Alone { ready: true })),
            None => (self.borrow(core, how), true),
        };
        let mut busy = false;
        if let (Some(holding), true) = (&reader, data) {
            match self.read(core, ctx, &holding.pipe, how, get) {
                Read::Got(result) => return Poll::Ready(settle(core, reader, result)),
                Read::Nothing => {}
                Read::Enough => busy = true,
                Read::Stuck => reader = None,
            }
        }
        match get.get(core, Some((&mut self.ticket, cx.waker()))) {
            Err(NoMessage::Nothing(Nothing::Yet)) => {}
            result => return Poll::Ready(settle(core, reader, result)),
        }
        if let Some(reader) = reader {
            let (pipe, lease) = reader.release();
            match pipe.loan.wait(cx.waker(), busy) {
                Waits::Yes => self.lease = Some((Arc::downgrade(&pipe), lease)),
                Waits::Again => {
                    self.lease = Some((Arc::downgrade(&pipe), lease));
                    cx.waker().wake_by_ref();
                }
                Waits::Over => {}
            }
        }
        Poll::Pending
    }

    /// Takes up the loan with which it waited; with it, whether something came.
    fn resume(&mut self) -> Option<(Reader, bool)> {
        let (pipe, lease) = self.lease.take()?;
        let pipe = pipe.upgrade()?;
        let told = pipe.loan.resume(lease)?;
        Some((Reader { pipe, lease, put_down: false }, told))
    }

    /// Borrows the reading, if the socket has just one connection and nobody else waits.
    fn borrow(&self, core: &Arc<Core>, how: How) -> Option<Reader> {
        let others = core.waiting_receivers() > usize::from(self.ticket.is_some());
        let pipe = core.lender.pipe().filter(|_| !others)?;
        let by = if how == How::Watched { By::Task } else { By::Thread };
        // Asked before: to give back what is of no use would wake the driver.
        if by == By::Thread && !pipe.threads_may_wait() {
            return None;
        }
        let lease = pipe.loan.borrow(by)?;
        let reader = Reader { pipe, lease, put_down: false };
        reader.pipe.lend(core, by).then_some(reader)
    }

    /// Reads until there is a message for us, or nothing more to read.
    fn read(
        &mut self,
        core: &Arc<Core>,
        ctx: CtxId,
        pipe: &StreamPipe,
        mut how: How,
        get: &mut impl Get,
    ) -> Read {
        // What it delivers shall not wake it.
        if let Some(ticket) = self.ticket.take() {
            core.leave(For::Message(ctx), ticket);
        }
        for _ in 0..STEPS {
            let step = core.lender.spin.until(rt::now, || match pipe.read_as_receiver(core, How::Peek) {
                Step::Nothing => None,
                step => Some(step),
            });
            match step.unwrap_or_else(|| pipe.read_as_receiver(core, how)) {
                Step::Delivered => match get.get(core, None) {
                    Err(NoMessage::Nothing(Nothing::Yet)) => {}
                    result => return Read::Got(result),
                },
                Step::Part => {}
                Step::Nothing => return Read::Nothing,
                Step::Enough => return Read::Enough,
                Step::Stuck => return Read::Stuck,
            }
            if let How::Alone { ready } = &mut how {
                *ready = false;
            }
        }
        Read::Enough
    }

    /// It does not wait any longer. If it had been woken for a message, the next in line is.
    pub(super) fn leave(&mut self, core: &Core, ctx: CtxId) {
        if let Some((pipe, lease)) = self.lease.take() {
            if let Some(pipe) = pipe.upgrade() {
                pipe.loan.leave(lease);
            }
        }
        if let Some(ticket) = self.ticket.take() {
            core.leave(For::Message(ctx), ticket);
        }
    }

    /// Blocks the thread until there is a message; `None` when the deadline passes first.
    pub(super) fn block(
        core: &Arc<Core>,
        ctx: CtxId,
        deadline: Option<Instant>,
        get: &mut impl Get,
    ) -> Option<Result<Message, NoMessage>> {
        let mut receiver = Self::default();
        park::wait(|cx, parked| {
            let mut how = start(core, parked);
            loop {
                if let Poll::Ready(result) = receiver.poll_how(core, ctx, cx, how, get) {
                    return Some(result);
                }
                let Some(next) = receiver.sleep(parked, how, deadline) else {
                    // Whoever waits with a deadline often waits again: it keeps the loan.
                    let reader = receiver.resume();
                    receiver.leave(core, ctx);
                    if let Some((reader, _)) = reader {
                        reader.keep(core);
                    }
                    return None;
                };
                how = next;
            }
        })
    }

    /// Waits as a thread; `None` when the deadline passes.
    #[cfg(unix)]
    fn sleep(&self, parked: &Parked, how: How, deadline: Option<Instant>) -> Option<How> {
        let lease = self.lease.as_ref().filter(|_| how != How::Watched);
        let Some(pipe) = lease.and_then(|(pipe, _)| pipe.upgrade()) else {
            return parked.wait(deadline).then_some(match how {
                How::Alone { .. } => How::Alone { ready: false },
                how => how,
            });
        };
        match parked.poll(deadline, |bell, left| pipe.wait_readable(bell, left)) {
            Polled::Ready => Some(How::Alone { ready: true }),
            Polled::Woken => Some(How::Alone { ready: false }),
            Polled::TimedOut => None,
        }
    }

    #[cfg(not(unix))]
    fn sleep(&self, parked: &Parked, how: How, deadline: Option<Instant>) -> Option<How> {
        parked.wait(deadline).then_some(how)
    }
}

/// How a thread begins to wait: in the kernel, if it has something to be woken by there.
#[cfg(unix)]
fn start(core: &Core, parked: &Parked) -> How {
    match core.lender.pipe().is_some() && parked.has_bell() {
        true => How::Alone { ready: false },
        false => How::Watched,
    }
}

#[cfg(not(unix))]
fn start(_: &Core, _: &Parked) -> How {
    How::Watched
}

/// A receiver with the reader in its hands. When it is dropped, the driver reads again.
struct Reader {
    pipe: Arc<StreamPipe>,
    lease: Lease,
    put_down: bool,
}

impl Reader {
    /// It has what it wanted, and keeps the loan until it comes back; unless others wait.
    fn keep(self, core: &Core) {
        if core.waiting_receivers() > 0 {
            return;
        }
        let pipe = self.release().0;
        pipe.loan.keep();
        // From here on nobody reads, so nobody would see the peer's end.
        if pipe.has_ended() {
            pipe.loan.recall();
        }
    }

    fn release(mut self) -> (Arc<StreamPipe>, Lease) {
        self.put_down = true;
        (self.pipe.clone(), self.lease)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !self.put_down {
            self.pipe.loan.give_back();
        }
    }
}

/// A receive has an end; what becomes of the loan.
fn settle(
    core: &Core,
    reader: Option<Reader>,
    result: Result<Message, NoMessage>,
) -> Result<Message, NoMessage> {
    if let (Some(reader), Ok(_) | Err(NoMessage::Nothing(_))) = (reader, &result) {
        reader.keep(core);
    }
    result
}

/// The connection whose reading may be borrowed, and how long to spin for data.
#[derive(Debug)]
pub(super) struct Lender {
    pipe: Mutex<Option<Arc<StreamPipe>>>,
    /// Whether there is one.
    lends: AtomicBool,
    spin: Spin,
}

impl Lender {
    pub(super) fn new(spin: Spin) -> Self {
        Self { pipe: Mutex::new(None), lends: AtomicBool::new(false), spin }
    }

    #[inline]
    pub(super) fn lends(&self) -> bool {
        self.lends.load(Ordering::Relaxed)
    }

    fn pipe(&self) -> Option<Arc<StreamPipe>> {
        if !self.lends() {
            return None;
        }
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl State {
    /// The only connection of the socket, if whoever waits on the socket waits for that alone, and nobody
    /// else needs to see what comes.
    fn lends(&self) -> Option<&Arc<StreamPipe>> {
        let mut lanes = self.pipes.iter().flatten().filter_map(|entry| entry.lane.as_ref());
        let lane = lanes.next().filter(|_| self.attached() == 1 && self.phase == Phase::Open)?;
        #[cfg(unix)]
        if self.watchers.iter().any(|signal| matches!(signal.ready, Ready::ToRecv(_))) {
            return None;
        }
        lane.stream()
    }
}

impl Core {
    /// A new connection comes. The old one, whose peer may have dialled again, is looked at first, as its
    /// end may not have been seen: it is returned if that takes its driver to run.
    pub(super) fn recall_reading(&self) -> Option<Arc<StreamPipe>> {
        self.lender.pipe().filter(|pipe| pipe.loan.recall())
    }

    /// Connections or watchers have come or gone.
    pub(super) fn relend(&self) {
        let former = {
            let state = self.lock();
            let mut pipe = self.lender.pipe.lock().unwrap_or_else(PoisonError::into_inner);
            let former = pipe.take();
            *pipe = state.lends().cloned();
            self.lender.lends.store(pipe.is_some(), Ordering::Relaxed);
            match (&former, &*pipe) {
                (Some(former), Some(now)) if Arc::ptr_eq(former, now) => None,
                _ => former,
            }
        };
        if let Some(former) = former {
            former.loan.recall();
        }
    }
}
