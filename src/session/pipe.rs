//! [`StreamPipe`]: what senders and the driver share of one connection.

use super::handoff::{HandOff, Kick, Next, Queue, Wrote};
use super::loan::{By, Loan};
use super::reading::{How, Reading, Step};
use super::{Origin, Owner};
use crate::transport::{Ends, Stream, WriteHalf};
use spanwire_core::session::inbox::Inbox;
use spanwire_core::session::outbox::{Batch, Outbox};
use spanwire_core::session::trail::Trail;
use spanwire_core::{DetachReason, Message, PipeId, Time};
use std::io::{self, IoSlice};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
#[cfg(unix)]
use std::time::Duration;

/// Both sides of a connection, its outbox, and what the driver is to be told.
pub(crate) struct StreamPipe {
    id: OnceLock<PipeId>,
    pub(crate) ends: Ends,
    pub(crate) origin: Origin,
    writer: Arc<dyn WriteHalf>,
    pub(super) handoff: HandOff<Outbox>,
    /// Only the writer of the moment and the driver touch it, one after the other.
    trail: Mutex<Trail>,
    /// It was asked to end since the driver looked.
    told: AtomicBool,
    closing: Mutex<Closing>,
    pub(crate) loan: Arc<Loan>,
    /// Locked by whom the loan lets read, and so by one at a time. Gone once the connection has ended.
    reading: Mutex<Option<Reading>>,
    /// There is room for its messages again.
    resumed: AtomicBool,
}

/// How the pipe was asked to end.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Closing {
    /// At once, for this reason; else gracefully.
    pub(crate) abort: Option<DetachReason>,
    /// When a graceful end is over at the latest.
    pub(crate) deadline: Option<Time>,
}

/// One vectored write takes at most so many bytes ...
const WRITE_BYTES: usize = 256 * 1024;
/// ... in so many pieces.
const WRITE_PIECES: usize = 64;
/// A sender that became the writer goes on for so many rounds; then the driver does.
const SENDER_ROUNDS: usize = 2;
/// The driver lets others run after so many.
const DRIVER_ROUNDS: usize = 8;

impl StreamPipe {
    pub(super) fn new(stream: Stream, origin: Origin, max_message_bytes: usize) -> Self {
        let loan = Arc::new(Loan::default());
        let inbox = Inbox::new(stream.framing, max_message_bytes);
        let reading = Reading::new(stream.reader, inbox, Waker::from(loan.clone()));
        Self {
            id: OnceLock::new(),
            ends: stream.ends,
            origin,
            writer: stream.writer,
            handoff: HandOff::new(Outbox::new(stream.framing)),
            trail: Mutex::new(Trail::default()),
            told: AtomicBool::new(false),
            closing: Mutex::new(Closing::default()),
            loan,
            reading: Mutex::new(Some(reading)),
            resumed: AtomicBool::new(false),
        }
    }

    /// The owner gives the pipe its id, once.
    pub(crate) fn set_id(&self, id: PipeId) {
        self.id.set(id).expect("a pipe is attached once");
    }

    pub(super) fn writer(&self) -> &dyn WriteHalf {
        &*self.writer
    }

    /// Appends a message; the caller carries out the kick once it holds no lock.
    pub(crate) fn push(&self, message: Message) -> Kick {
        self.handoff.push(|outbox| outbox.push(message))
    }

    /// Takes the oldest whole message out of the outbox.
    pub(crate) fn drop_oldest(&self) -> Option<usize> {
        self.handoff.with(Outbox::drop_oldest)
    }

    /// Messages that have not left whole.
    pub(crate) fn waiting(&self) -> usize {
        self.handoff.with(|outbox| outbox.messages())
    }

    /// Takes what never left whole, once writing is shut.
    pub(super) fn unsent(&self) -> Vec<Message> {
        self.handoff.with(Outbox::unsent)
    }

    /// Writes what is owed, in the caller's thread; how many bytes, or `None` if nothing was.
    pub(crate) fn flush_owed(&self, owner: &dyn Owner) -> Option<usize> {
        self.handoff.claim().then(|| self.write_out(owner, SENDER_ROUNDS))
    }

    /// A push made the caller the writer. Returns how many bytes it wrote.
    pub(crate) fn write_as_sender(&self, owner: &dyn Owner) -> usize {
        self.write_out(owner, SENDER_ROUNDS)
    }

    /// The driver is the writer.
    pub(super) fn write_as_driver(&self, owner: &dyn Owner) {
        self.write_out(owner, DRIVER_ROUNDS);
    }

    /// Writes until nothing waits, the kernel takes no more, or `rounds` are over.
    fn write_out(&self, owner: &dyn Owner, rounds: usize) -> usize {
        let mut total = 0;
        for round in 1..=rounds {
            let mut batch = self.handoff.take(Outbox::take);
            let (wrote, written) = self.write(&mut batch);
            let last = round == rounds;
            let (flushed, next) = self.handoff.settle(wrote, last, |outbox| outbox.settle(batch, written));
            total += written;
            if written > 0 {
                self.trail().note(flushed.messages, written);
            }
            if flushed.messages > 0 {
                if let Some(id) = self.id.get() {
                    owner.drained(*id, flushed);
                }
            }
            match next {
                Next::Again => {}
                Next::Done => break,
                Next::Wake(waker) => {
                    waker.wake();
                    break;
                }
            }
        }
        total
    }

    /// Writes a batch as far as the kernel takes it.
    fn write(&self, batch: &mut Batch) -> (Wrote, usize) {
        let mut written = 0;
        loop {
            let mut pieces = [IoSlice::new(&[]); WRITE_PIECES];
            let (count, bytes) = batch.slices(&mut pieces, WRITE_BYTES, IoSlice::new);
            if bytes == 0 {
                return (Wrote::All, written);
            }
            match self.writer.try_write(&pieces[..count]) {
                Ok(0) => return (Wrote::Broken, written),
                Ok(count) => {
                    written += count;
                    batch.advance(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return (Wrote::Full, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return (Wrote::Broken, written),
            }
        }
    }

    fn trail(&self) -> MutexGuard<'_, Trail> {
        self.trail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At most so many messages were in the kernels' hands when the connection was cut.
    pub(super) fn unknown(&self) -> usize {
        self.trail().messages_within(self.writer.kernel_bytes())
    }

    /// The reading side, for who may read by the loan.
    pub(super) fn reading(&self) -> MutexGuard<'_, Option<Reading>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody reads any more, and the reading side is gone; unless a receiver is at it. Then it is `false`,
    /// and the driver is woken when that has changed.
    pub(super) fn end_reading(&self) -> bool {
        let ended = self.loan.end();
        if ended {
            self.reading().take();
        }
        ended
    }

    /// A step of the driver, which has its turn.
    pub(super) fn read_as_driver(&self, owner: &dyn Owner, reading: &mut Reading) -> Step {
        match self.id.get() {
            Some(id) => reading.step(*id, owner, &self.resumed, owner.is_waited_for(), How::Watched),
            None => Step::Stuck,
        }
    }

    /// A step of a receiver, which has the loan.
    pub(crate) fn read_as_receiver(&self, owner: &dyn Owner, how: How) -> Step {
        let mut reading = self.reading();
        let (Some(id), Some(reading)) = (self.id.get(), &mut *reading) else { return Step::Stuck };
        let step = reading.step(*id, owner, &self.resumed, true, how);
        if step == Step::Delivered {
            self.handoff.received();
        }
        step
    }

    /// Prepares the reading for a receiver that has just borrowed it. `false`: it is no use, as the kernel
    /// takes no more at the moment, and the driver has to watch for it.
    #[cfg(unix)]
    pub(crate) fn lend(&self, by: By) -> bool {
        if let Some(reading) = &mut *self.reading() {
            reading.lent_to(by);
        }
        // Asked after the runtime has stopped watching: a driver that waits for room would not hear of it.
        by == By::Task || !self.handoff.is_blocked()
    }

    /// The same where only tasks wait for connections.
    #[cfg(not(unix))]
    pub(crate) fn lend(&self, by: By) -> bool {
        by == By::Task
    }

    /// Blocks the thread until there is something to read, or the alarm goes off, or time is up. Whether it
    /// is the first.
    #[cfg(unix)]
    pub(crate) fn wait_readable(&self, alarm: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
        self.writer.wait_readable(alarm, timeout)
    }

    /// There is room for its messages again: whoever reads goes on.
    pub(crate) fn resume(&self) {
        self.resumed.store(true, Ordering::Release);
        self.wake_driver();
    }

    /// Ends the pipe: at once if there is a reason to abort, else when all is written, but no
    /// later than the deadline.
    pub(crate) fn close(&self, closing: Closing) {
        {
            let mut now = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
            now.abort = now.abort.or(closing.abort);
            now.deadline = match (now.deadline, closing.deadline) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        self.told.store(true, Ordering::Release);
        self.wake_driver();
    }

    fn wake_driver(&self) {
        // What it is told is set before the waker is asked for, and the driver leaves its waker before it
        // looks: one of the two sees the other.
        if let Some(waker) = self.handoff.waker() {
            waker.wake();
        }
    }

    /// How it was asked to end, if it was since this was last called.
    pub(super) fn closing(&self) -> Option<Closing> {
        let told = self.told.load(Ordering::Acquire) && self.told.swap(false, Ordering::AcqRel);
        told.then(|| *self.closing.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for StreamPipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamPipe").field("id", &self.id.get()).field("ends", &self.ends).finish()
    }
}

impl Queue for Outbox {
    fn items(&self) -> usize {
        self.messages()
    }
    fn waiting_bytes(&self) -> usize {
        self.waiting_bytes()
    }
}
