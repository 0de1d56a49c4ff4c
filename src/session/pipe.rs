//! [`StreamPipe`] and [`PipeState`]: what senders, receivers and the driver share of one connection.

use super::Owner;
use super::handoff::{Drive, HandOff, Kick, Next, Queue, Wrote};
use super::loan::{By, Loan};
use super::reading::{How, Reading, Step};
use super::spin::Spin;
use crate::rt;
use crate::transport::{Stream, WriteHalf};
use spanwire_core::framing::sp::Framing;
use spanwire_core::session::inbox::Inbox;
use spanwire_core::session::outbox::{Batch, Flushed, Outbox};
use spanwire_core::session::trail::Trail;
use spanwire_core::{DetachReason, Message, PipeId, Time};
use std::io::{self, IoSlice};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// The part of a connection that is nobody's alone: who is there, the way to write, and the reading side.
pub(crate) struct StreamPipe {
    id: OnceLock<PipeId>,
    framing: Framing,
    writer: Arc<dyn WriteHalf>,
    /// How long to look for room for the rest of a large message.
    room: Spin,
    pub(crate) loan: Arc<Loan>,
    /// Locked by whom the loan lets read, and so by one at a time. Gone once the connection has ended.
    reading: Mutex<Option<Reading>>,
    /// There is room for its messages again.
    resumed: AtomicBool,
}

/// The part that changes: what waits to be written, who writes it, and what the driver is to be
/// told. Whoever owns the connection keeps this under his lock, with the rules that fill it.
pub(crate) struct PipeState {
    handoff: HandOff<Outbox>,
    trail: Trail,
    /// It is to end, and the driver does not know yet.
    closing: Option<Box<Closing>>,
}

/// How the pipe was asked to end.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Closing {
    /// At once, for this reason; else gracefully.
    pub(crate) abort: Option<DetachReason>,
    /// When a graceful end is over at the latest.
    pub(crate) deadline: Option<Time>,
}

/// What a writer does next, after settling.
pub(crate) enum After {
    /// It writes this as well.
    Write(Batch),
    /// It is done; the driver is woken.
    Wake(Waker),
    /// It is done.
    Done,
}

/// One vectored write takes at most so many bytes ... With that, a message of a MiB leaves in one: over tcp
/// each write ends in a segment of its own, and windows count segments.
const WRITE_BYTES: usize = 1024 * 1024 + 4096;
/// ... in so many pieces.
const WRITE_PIECES: usize = 64;
/// Room for the rest of a large message is looked for so long, if that pays: a little longer than it takes
/// to be woken.
const ROOM: Duration = Duration::from_micros(50);
/// A sender that became the writer goes on for so many rounds; then the driver does.
const SENDER_ROUNDS: usize = 2;
/// The driver lets others run after so many.
const DRIVER_ROUNDS: usize = 8;

impl StreamPipe {
    pub(super) fn new(mut stream: Stream, max_message_bytes: usize) -> Self {
        stream.reader.limit_messages(max_message_bytes);
        let loan = Arc::new(Loan::default());
        let inbox = Inbox::new(stream.framing, max_message_bytes);
        let reading = Reading::new(stream.reader, inbox, Waker::from(loan.clone()));
        Self {
            id: OnceLock::new(),
            framing: stream.framing,
            writer: stream.writer,
            room: Spin::yielding(ROOM),
            loan,
            reading: Mutex::new(Some(reading)),
            resumed: AtomicBool::new(false),
        }
    }

    /// The owner gives the pipe its id, once.
    pub(crate) fn set_id(&self, id: PipeId) {
        self.id.set(id).expect("a pipe is attached once");
    }

    pub(crate) fn id(&self) -> Option<PipeId> {
        self.id.get().copied()
    }

    /// What its owner keeps of it.
    pub(crate) fn new_state(&self) -> PipeState {
        let handoff = HandOff::new(Outbox::new(self.framing));
        PipeState { handoff, trail: Trail::default(), closing: None }
    }

    pub(super) fn writer(&self) -> &dyn WriteHalf {
        &*self.writer
    }

    /// A sender became the writer of `batch`. Returns how many bytes it wrote.
    pub(crate) fn write_as_sender(&self, owner: &dyn Owner, batch: Batch) -> usize {
        self.write_out(owner, batch, SENDER_ROUNDS)
    }

    /// The driver is the writer.
    pub(super) fn write_as_driver(&self, owner: &dyn Owner, batch: Batch) {
        self.write_out(owner, batch, DRIVER_ROUNDS);
    }

    /// Writes until nothing waits, the kernel takes no more, or `rounds` are over.
    fn write_out(&self, owner: &dyn Owner, mut batch: Batch, rounds: usize) -> usize {
        let mut total = 0;
        let Some(id) = self.id.get() else { return total };
        for round in 1..=rounds {
            let (wrote, written) = self.write(&mut batch);
            total += written;
            match owner.settle(*id, batch, wrote, written, round == rounds) {
                After::Write(more) => batch = more,
                After::Wake(waker) => {
                    waker.wake();
                    break;
                }
                After::Done => break,
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
            let mut wrote = self.writer.try_write(&pieces[..count]);
            if is_full(&wrote) && batch.is_in_large() {
                // The peer is reading it: to sleep and be woken would take longer than it does.
                let found = self.room.until(rt::now, || {
                    let wrote = self.writer.try_write(&pieces[..count]);
                    (!is_full(&wrote)).then_some(wrote)
                });
                wrote = found.unwrap_or(wrote);
            }
            match wrote {
                Ok(0) => return (Wrote::Broken, written),
                Ok(count) => {
                    written += count;
                    batch.advance(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    batch.hold(self.writer.held_bytes());
                    return (Wrote::Full, written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return (Wrote::Broken, written),
            }
        }
    }

    /// The reading side, for who may read by the loan.
    pub(super) fn reading(&self) -> MutexGuard<'_, Option<Reading>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the peer has ended, as far as the runtime knows; else it will tell of what comes next.
    /// Nobody waits for this: whoever reads at the moment will see it himself.
    pub(crate) fn has_ended(&self) -> bool {
        match self.reading.try_lock() {
            Ok(mut reading) => reading.as_mut().is_some_and(Reading::has_ended),
            Err(_) => false,
        }
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
        reading.step(*id, owner, &self.resumed, true, how)
    }

    /// Whether a thread may wait for it by itself; if not, only tasks do.
    #[cfg(unix)]
    pub(crate) fn threads_may_wait(&self) -> bool {
        self.writer.threads_may_wait()
    }

    #[cfg(not(unix))]
    pub(crate) fn threads_may_wait(&self) -> bool {
        false
    }

    /// Prepares the reading for a receiver that has just borrowed it. `false`: it is no use, as the kernel
    /// takes no more at the moment, and the driver has to watch for it.
    #[cfg(unix)]
    pub(crate) fn lend(&self, owner: &dyn Owner, by: By) -> bool {
        if let Some(reading) = &mut *self.reading() {
            reading.lent_to(by);
        }
        // Asked after the runtime has stopped watching: a driver that waits for room would not hear of it.
        let mut blocked = false;
        if let (By::Thread, Some(id)) = (by, self.id()) {
            owner.look(id, &mut |state| blocked = state.handoff.is_blocked());
        }
        !blocked
    }

    /// The same where only tasks wait for connections.
    #[cfg(not(unix))]
    pub(crate) fn lend(&self, _: &dyn Owner, by: By) -> bool {
        by == By::Task
    }

    /// Blocks the thread until there is something to read, or the alarm goes off, or time is up. Whether it
    /// is the first.
    #[cfg(unix)]
    pub(crate) fn wait_readable(&self, alarm: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
        self.writer.wait_readable(alarm, timeout)
    }

    /// There is room for its messages again: whoever reads goes on.
    pub(crate) fn resume(&self, state: &mut PipeState) -> Option<Waker> {
        self.resumed.store(true, Ordering::Release);
        state.handoff.wake()
    }
}

fn is_full(wrote: &io::Result<usize>) -> bool {
    matches!(wrote, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

impl PipeState {
    /// Adds to the outbox; the caller carries out the kick once it holds no lock.
    #[inline]
    pub(crate) fn push(&mut self, hurried: impl FnOnce() -> bool, add: impl FnOnce(&mut Outbox)) -> Kick {
        self.handoff.push(hurried, add)
    }

    /// Takes the oldest whole message out of the outbox.
    pub(crate) fn drop_oldest(&mut self) -> Option<usize> {
        self.handoff.queue().drop_oldest()
    }

    /// Messages that have not left whole.
    pub(crate) fn waiting(&mut self) -> usize {
        self.handoff.queue().messages()
    }

    /// Bytes of those that no writer has yet.
    pub(crate) fn waiting_bytes(&mut self) -> usize {
        self.handoff.queue().waiting_bytes()
    }

    /// Makes the caller the writer of what is owed, if anything is.
    pub(crate) fn claim(&mut self) -> bool {
        self.handoff.claim()
    }

    /// What the writer writes: all that waits.
    pub(crate) fn take(&mut self) -> Batch {
        self.handoff.take(Outbox::take)
    }

    /// The writer is back; `last` says that it has done its share.
    pub(crate) fn settle(
        &mut self,
        batch: Batch,
        wrote: Wrote,
        written: usize,
        last: bool,
    ) -> (Flushed, After) {
        let (flushed, next) = self.handoff.settle(wrote, last, |outbox| outbox.settle(batch, written));
        if written > 0 {
            self.trail.note(flushed.messages, written);
        }
        let after = match next {
            Next::Again => After::Write(self.take()),
            Next::Wake(waker) => After::Wake(waker),
            Next::Done => After::Done,
        };
        (flushed, after)
    }

    /// The driver runs; how the pipe is to end, if it does not know yet.
    pub(crate) fn drive(&mut self, waker: &Waker, now: impl FnOnce() -> Time) -> (Drive, Option<Closing>) {
        (self.handoff.drive(waker, now), self.closing.take().map(|closing| *closing))
    }

    /// Messages came.
    pub(crate) fn received(&mut self) {
        self.handoff.received();
    }

    /// The driver has been patient, or the kernel takes more again.
    pub(crate) fn go_on(&mut self) -> Drive {
        self.handoff.go_on()
    }

    /// Gives back what a quiet connection does not need, unless it was used since the last call. Whether
    /// there is something to give back next time.
    pub(crate) fn trim(&mut self) -> bool {
        self.handoff.queue().trim()
    }

    /// Whether all is written; if not, the driver is woken when it is.
    pub(crate) fn await_quiet(&mut self) -> bool {
        self.handoff.await_quiet()
    }

    /// Ends all writing; `false` while somebody is in the middle of it, who will wake `waker`.
    pub(crate) fn shut(&mut self, waker: Option<&Waker>) -> bool {
        if let Some(waker) = waker {
            self.handoff.watch(waker);
        }
        self.handoff.shut()
    }

    /// Takes what never left whole. What a writer is still busy with is nobody's to take.
    pub(crate) fn unsent(&mut self) -> Vec<Message> {
        match self.handoff.is_shut() {
            true => self.handoff.queue().unsent(),
            false => Vec::new(),
        }
    }

    /// At most so many messages are among the last `bytes` bytes that were written.
    pub(crate) fn written_within(&self, bytes: usize) -> usize {
        self.trail.messages_within(bytes)
    }

    /// Ends the pipe: at once if there is a reason to abort, else when all is written, but no
    /// later than the deadline. The driver has to be woken.
    pub(crate) fn close(&mut self, closing: Closing) -> Option<Waker> {
        let now = self.closing.get_or_insert_default();
        now.abort = now.abort.or(closing.abort);
        now.deadline = match (now.deadline, closing.deadline) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.handoff.wake()
    }
}

impl std::fmt::Debug for StreamPipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamPipe").field("id", &self.id.get()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for PipeState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipeState").field("closing", &self.closing).finish_non_exhaustive()
    }
}

impl Queue for Outbox {
    #[inline]
    fn items(&self) -> usize {
        self.messages()
    }
    #[inline]
    fn waiting_bytes(&self) -> usize {
        self.waiting_bytes()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::transport::{Ends, Place, ReadHalf};
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Poll};

    struct Nobody;

    impl ReadHalf for Nobody {
        fn poll_read(&mut self, _: &mut Context<'_>, _: &mut Vec<u8>, _: usize) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
        fn try_read(&mut self, _: &mut Vec<u8>, _: usize) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }
        fn unwatch(&mut self) {}
    }

    /// Takes 10,000 bytes at a time, and nothing for `in_vain` times after each.
    struct Narrow {
        in_vain: usize,
        calls: AtomicUsize,
    }

    impl WriteHalf for Narrow {
        fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
            match self.calls.fetch_add(1, Ordering::Relaxed) % (self.in_vain + 1) {
                0 => Ok(pieces.iter().map(|piece| piece.len()).sum::<usize>().min(10_000)),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            }
        }
        fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
        fn kernel_bytes(&self) -> usize {
            0
        }
        fn shut_down(&self) -> io::Result<()> {
            Ok(())
        }
        fn wait_readable(&self, _: BorrowedFd<'_>, _: Option<Duration>) -> io::Result<bool> {
            Ok(false)
        }
    }

    /// How `count` bodies of `length` are written.
    fn written(count: usize, length: usize, in_vain: usize) -> (Wrote, usize) {
        let place = Place::Ip(([127, 0, 0, 1], 1).into());
        let stream = Stream {
            reader: Box::new(Nobody),
            writer: Arc::new(Narrow { in_vain, calls: AtomicUsize::new(0) }),
            framing: Framing::Tcp,
            agreed: false,
            ends: Ends { local: place.clone(), remote: place, credentials: None, tls: None },
        };
        let pipe = StreamPipe::new(stream, 0);
        let mut outbox = Outbox::new(Framing::Tcp);
        (0..count).for_each(|_| outbox.push(&mut Message::new(vec![7; length])));
        pipe.write(&mut outbox.take())
    }

    #[test]
    fn room_for_the_rest_of_a_large_message_is_looked_for() {
        assert_eq!(written(1, 100_000, 1), (Wrote::All, 100_008));
    }

    #[test]
    fn room_for_small_ones_is_waited_for() {
        assert_eq!(written(20, 1_000, 1), (Wrote::Full, 10_000));
    }

    #[test]
    fn looking_for_room_comes_to_an_end() {
        assert_eq!(written(1, 100_000, 1_000_000), (Wrote::Full, 10_000));
    }
}
