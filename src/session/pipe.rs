//! [`StreamPipe`]: what senders and the driver share of one connection.

use super::handoff::{HandOff, Kick, Next, Queue, Wrote};
use super::{Origin, Owner};
use crate::transport::{Ends, WriteHalf};
use spanwire_core::framing::sp::Framing;
use spanwire_core::session::outbox::{Batch, Outbox};
use spanwire_core::session::trail::Trail;
use spanwire_core::{DetachReason, Message, PipeId, Time};
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The writing side of a connection, its outbox, and what the driver is to be told.
pub(crate) struct StreamPipe {
    id: OnceLock<PipeId>,
    pub(crate) ends: Ends,
    pub(crate) origin: Origin,
    writer: Arc<dyn WriteHalf>,
    pub(super) handoff: HandOff<Outbox>,
    /// Only the writer of the moment and the driver touch it, one after the other.
    trail: Mutex<Trail>,
    signals: AtomicU8,
    closing: Mutex<Closing>,
}

/// How the pipe was asked to end.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Closing {
    /// At once, for this reason; else gracefully.
    pub(crate) abort: Option<DetachReason>,
    /// When a graceful end is over at the latest.
    pub(crate) deadline: Option<Time>,
}

/// The pipe is to end.
const CLOSE: u8 = 1;
/// There is room for its messages again.
const RESUME: u8 = 2;

/// One vectored write takes at most so many bytes ...
const WRITE_BYTES: usize = 256 * 1024;
/// ... in so many pieces.
const WRITE_PIECES: usize = 64;
/// A sender that became the writer goes on for so many rounds; then the driver does.
const SENDER_ROUNDS: usize = 2;
/// The driver lets others run after so many.
const DRIVER_ROUNDS: usize = 8;

impl StreamPipe {
    pub(crate) fn new(writer: Arc<dyn WriteHalf>, framing: Framing, ends: Ends, origin: Origin) -> Self {
        Self {
            id: OnceLock::new(),
            ends,
            origin,
            writer,
            handoff: HandOff::new(Outbox::new(framing)),
            trail: Mutex::new(Trail::default()),
            signals: AtomicU8::new(0),
            closing: Mutex::new(Closing::default()),
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
    #[inline]
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

    /// Lets the driver read again.
    pub(crate) fn resume(&self) {
        self.signal(RESUME);
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
        self.signal(CLOSE);
    }

    fn signal(&self, signal: u8) {
        // The bit is set before the waker is asked for, and the driver leaves its waker before it
        // looks at the bits: one of the two sees the other.
        self.signals.fetch_or(signal, Ordering::AcqRel);
        if let Some(waker) = self.handoff.waker() {
            waker.wake();
        }
    }

    /// What the driver was told since it last asked.
    pub(super) fn news(&self) -> News {
        let signals = match self.signals.load(Ordering::Acquire) {
            0 => 0,
            _ => self.signals.swap(0, Ordering::AcqRel),
        };
        let closing =
            (signals & CLOSE != 0).then(|| *self.closing.lock().unwrap_or_else(PoisonError::into_inner));
        News { resume: signals & RESUME != 0, closing }
    }
}

impl std::fmt::Debug for StreamPipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamPipe").field("id", &self.id.get()).field("ends", &self.ends).finish()
    }
}

/// What happened to a pipe outside its driver.
pub(super) struct News {
    pub(super) resume: bool,
    pub(super) closing: Option<Closing>,
}

impl Queue for Outbox {
    fn items(&self) -> usize {
        self.messages()
    }
    fn waiting_bytes(&self) -> usize {
        self.waiting_bytes()
    }
}
