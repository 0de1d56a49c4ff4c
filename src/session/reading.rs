//! [`Reading`]: the reading side of a connection, in the hands of whoever reads at the moment.
//!
//! Driver and receivers take the same step: read once, cut frames, deliver. Whose turn it is, the
//! [`Loan`](super::loan::Loan) says. What a step learns about the end of the connection stays here
//! for the driver, which alone ends sessions.

use super::loan::By;
use super::spin::Spin;
use super::{Delivery, Owner};
use crate::error::UpgradeError;
use crate::rt;
use crate::transport::ReadHalf;
use bytes::{Bytes, BytesMut};
use spanwire_core::framing::sp::FrameError;
use spanwire_core::session::inbox::Inbox;
use spanwire_core::session::state::Input;
use spanwire_core::{DetachReason, PipeId};
use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// The reading side of a connection.
pub(crate) struct Reading {
    pub(super) reader: Box<dyn ReadHalf>,
    inbox: Inbox,
    /// Woken by the runtime when there is something to read.
    waker: Waker,
    /// The owner has no room; the pipe will be told when it has.
    stalled: bool,
    /// How the stream ended.
    over: Option<Input>,
    /// How the peer broke the protocol below SP, if that was it.
    fault: Option<Arc<str>>,
    /// What the connection below has said of its failure.
    judged: Option<Box<UpgradeError>>,
    /// A thread has read last, and the runtime does not know what has come since.
    alone: bool,
    /// The last read took much: there is more, most likely.
    flowing: bool,
    /// Reads since there was nothing for the last time.
    in_a_row: usize,
    /// How long to look for the rest of a large message.
    rest: Spin,
}

/// What came of a step.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Messages were handed on.
    Delivered,
    /// There was data, but no whole message.
    Part,
    /// There is nothing to read.
    Nothing,
    /// Others should run before there is more.
    Enough,
    /// It can be read no further, for now or for ever.
    Stuck,
}

/// How a step gets at its data.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// As the runtime says; it tells when there is more.
    Watched,
    /// From the kernel, as a thread that waits there itself: `ready` if it has just been told so.
    Alone { ready: bool },
    /// From the kernel, to see whether there is something yet.
    Peek,
}

/// Reads that one task makes in a row; then others have their turn.
const READS_PER_TURN: usize = 4;
/// A read takes at most so much: a message of 64 KiB with all that stands before it, which would else
/// take two reads and a copy. Every thread has one such buffer for all its connections, so an idle
/// connection has none.
const READ_BYTES: usize = 68 * 1024;
/// A read of less than this would pin a buffer some eight times its size: it is copied out.
const SPARSE_BYTES: usize = 8 * 1024;
/// The rest of a large message is looked for so long, if that pays: a little longer than it takes to be
/// woken.
const REST: Duration = Duration::from_micros(50);
/// What is copied for a receiver that waits shares memory with others of its kind, so that a message
/// is not an allocation; it is gone in a moment.
const SHARED_BYTES: usize = 8 * 1024;

impl Reading {
    pub(super) fn new(reader: Box<dyn ReadHalf>, inbox: Inbox, waker: Waker) -> Self {
        Self {
            reader,
            inbox,
            waker,
            stalled: false,
            over: None,
            fault: None,
            judged: None,
            alone: false,
            flowing: false,
            in_a_row: 0,
            rest: Spin::yielding(REST),
        }
    }

    /// How the stream ended, if it did.
    pub(super) fn over(&self) -> Option<Input> {
        self.over
    }

    /// How the peer broke the protocol below SP, in words.
    pub(super) fn fault(&self) -> Option<&Arc<str>> {
        self.fault.as_ref()
    }

    /// What the connection below has said of its failure: with TLS 1.3 a client has done its part before the
    /// server has judged it.
    pub(super) fn judged(&self) -> Option<&UpgradeError> {
        self.judged.as_deref()
    }

    /// Whether the runtime knows that the peer has ended; if not, it will tell of what comes next.
    pub(super) fn has_ended(&mut self) -> bool {
        self.reader.poll_end(&mut Context::from_waker(&self.waker)) == Poll::Ready(true)
    }

    /// The owner takes no more messages, so none of its back-pressure counts any longer.
    pub(super) fn unstall(&mut self) {
        self.stalled = false;
    }

    /// The reader for a thread, which the runtime must not watch meanwhile.
    #[cfg(unix)]
    pub(super) fn lent_to(&mut self, by: By) {
        if by == By::Thread {
            self.alone = true;
            self.reader.unwatch();
        }
    }

    /// Hands on what is left of the last read, or reads once and hands that on.
    pub(super) fn step(
        &mut self,
        id: PipeId,
        owner: &dyn Owner,
        resumed: &AtomicBool,
        waited_for: bool,
        how: How,
    ) -> Step {
        if self.stalled && resumed.swap(false, Ordering::AcqRel) {
            self.stalled = false;
        }
        if self.stalled || self.over.is_some() {
            return Step::Stuck;
        }
        if !self.inbox.is_empty() {
            return self.deliver(id, owner);
        }
        if how == How::Watched && self.in_a_row >= READS_PER_TURN {
            self.in_a_row = 0;
            return Step::Enough;
        }
        match self.read(how, waited_for) {
            Poll::Pending => {
                self.in_a_row = 0;
                Step::Nothing
            }
            Poll::Ready(Ok(0)) => {
                self.over = Some(Input::PeerEnded { at_boundary: self.inbox.at_boundary() });
                Step::Stuck
            }
            Poll::Ready(Ok(_)) if self.inbox.is_empty() => Step::Part,
            Poll::Ready(Ok(_)) => self.deliver(id, owner),
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => Step::Part,
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                self.judged = UpgradeError::inside(&error).map(Box::new);
                self.fault = Some(error.to_string().into());
                self.over = Some(Input::Failed(DetachReason::ProtocolViolation));
                Step::Stuck
            }
            Poll::Ready(Err(_)) => {
                self.over = Some(Input::Failed(DetachReason::ConnectionLost));
                Step::Stuck
            }
        }
    }

    /// Reads once: straight into a large message, or into this thread's buffer. Where the rest of a large
    /// message is missing it looks for it a while.
    fn read(&mut self, how: How, waited_for: bool) -> Poll<io::Result<usize>> {
        // A thread is told when there is more; in a stream that flows, asking at once is cheaper.
        if how == (How::Alone { ready: false }) && !self.flowing {
            return Poll::Pending;
        }
        let mut result = self.read_once(how, waited_for);
        if result.is_pending() && self.flowing && self.inbox.is_in_large() {
            // The peer is in the middle of it: to sleep and be woken would take longer than it does.
            let rest = std::mem::take(&mut self.rest);
            let found = rest.until(rt::now, || match self.read_once(How::Peek, waited_for) {
                Poll::Pending => None,
                result => Some(result),
            });
            self.rest = rest;
            result = found.unwrap_or(Poll::Pending);
        }
        self.flowing = matches!(result, Poll::Ready(Ok(count)) if count >= SPARSE_BYTES);
        self.in_a_row += 1;
        result
    }

    /// The same, without looking for the rest.
    fn read_once(&mut self, how: How, waited_for: bool) -> Poll<io::Result<usize>> {
        let (reader, waker, alone) = (&mut self.reader, &self.waker, &mut self.alone);
        let mut read = |buffer: &mut Vec<u8>, limit| {
            if how != How::Watched || *alone {
                let read = try_read(&mut **reader, buffer, limit);
                if how != How::Watched || read.is_ready() {
                    return read;
                }
                *alone = false;
            }
            reader.poll_read(&mut Context::from_waker(waker), buffer, limit)
        };
        match self.inbox.direct() {
            Some((body, missing)) => read(body, missing),
            None => BUFFERS.with_borrow_mut(|buffers| buffers.read(waited_for, &mut self.inbox, read)),
        }
    }

    /// Hands on what is whole.
    fn deliver(&mut self, id: PipeId, owner: &dyn Owner) -> Step {
        match owner.deliver(id, &mut self.inbox, rt::now()) {
            Delivery::Hungry => Step::Delivered,
            Delivery::Stalled => {
                self.stalled = true;
                Step::Delivered
            }
            Delivery::Broken(error) => {
                self.over = Some(Input::Failed(match error {
                    FrameError::TooLarge { .. } => DetachReason::MessageTooLarge,
                    FrameError::UnknownType { .. } => DetachReason::ProtocolViolation,
                }));
                // What came before the broken frame was delivered.
                Step::Delivered
            }
        }
    }
}

#[cfg(unix)]
fn try_read(reader: &mut dyn ReadHalf, buffer: &mut Vec<u8>, limit: usize) -> Poll<io::Result<usize>> {
    crate::transport::polled(reader.try_read(buffer, limit))
}

/// Where there are no descriptors, no thread waits for one, and there is nothing to peek at.
#[cfg(not(unix))]
fn try_read(_: &mut dyn ReadHalf, _: &mut Vec<u8>, _: usize) -> Poll<io::Result<usize>> {
    Poll::Pending
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// What a thread reads into.
#[derive(Default)]
struct Buffers {
    buffer: Vec<u8>,
    /// A byte of each of the last buffers that were handed on whole: once all messages in one are
    /// gone, it is used again.
    handed_on: [Bytes; 2],
    shared: BytesMut,
}

impl Buffers {
    /// Reads once; the inbox gets either the whole buffer, or a copy.
    fn read(
        &mut self,
        waited_for: bool,
        inbox: &mut Inbox,
        read: impl FnOnce(&mut Vec<u8>, usize) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.buffer.capacity() < READ_BYTES {
            self.buffer = self.take_back().unwrap_or_else(|| Vec::with_capacity(READ_BYTES));
        }
        let count = ready!(read(&mut self.buffer, READ_BYTES))?;
        if count >= SPARSE_BYTES {
            let whole = Bytes::from(std::mem::take(&mut self.buffer));
            self.handed_on.swap(0, 1);
            self.handed_on[0] = whole.slice(..1);
            inbox.feed(whole);
            return Poll::Ready(Ok(count));
        }
        inbox.feed(match waited_for && count <= SHARED_BYTES / 4 {
            true => {
                if self.shared.capacity() < count {
                    self.shared.reserve(SHARED_BYTES);
                }
                self.shared.extend_from_slice(&self.buffer);
                self.shared.split().freeze()
            }
            false => Bytes::copy_from_slice(&self.buffer),
        });
        self.buffer.clear();
        Poll::Ready(Ok(count))
    }

    fn take_back(&mut self) -> Option<Vec<u8>> {
        let free = self.handed_on.iter_mut().find(|bytes| bytes.is_unique())?;
        let mut buffer = Vec::from(std::mem::take(free));
        buffer.clear();
        Some(buffer)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::session::Origin;
    use crate::session::handoff::Wrote;
    use crate::session::pipe::{After, PipeState, StreamPipe};
    use crate::transport::Ends;
    use spanwire_core::Time;
    use spanwire_core::framing::sp::Framing;
    use spanwire_core::session::outbox::Batch;
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    /// Gives what it was told to give; `None` is a look in vain.
    struct Script(VecDeque<Option<Vec<u8>>>);

    impl ReadHalf for Script {
        fn poll_read(
            &mut self,
            _: &mut Context<'_>,
            buffer: &mut Vec<u8>,
            limit: usize,
        ) -> Poll<io::Result<usize>> {
            try_read(self, buffer, limit)
        }

        fn try_read(&mut self, buffer: &mut Vec<u8>, limit: usize) -> io::Result<usize> {
            let Some(mut bytes) = self.0.pop_front().flatten() else {
                return Err(io::ErrorKind::WouldBlock.into());
            };
            if bytes.len() > limit {
                self.0.push_front(Some(bytes.split_off(limit)));
            }
            buffer.extend_from_slice(&bytes);
            Ok(bytes.len())
        }

        fn unwatch(&mut self) {}
    }

    /// Takes everything, and counts.
    #[derive(Default)]
    struct Taker(AtomicUsize);

    impl Owner for Taker {
        fn attach(&self, _: &Arc<StreamPipe>, _: Ends, _: Origin) -> Result<PipeId, DetachReason> {
            unreachable!("it is attached")
        }
        fn deliver(&self, _: PipeId, inbox: &mut Inbox, _: Time) -> Delivery {
            while inbox.next().expect("a frame").is_some() {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
            Delivery::Hungry
        }
        fn look(&self, _: PipeId, _: &mut dyn FnMut(&mut PipeState)) {}
        fn settle(&self, _: PipeId, _: Batch, _: Wrote, _: usize, _: bool) -> After {
            After::Done
        }
        fn detach(&self, _: PipeId, _: DetachReason, _: usize) {}
        fn is_waited_for(&self) -> bool {
            true
        }
        fn home(&self) -> &rt::Home {
            unreachable!("nobody runs here")
        }
    }

    /// A frame of `length` comes in two parts, with looks in vain between. After how many steps it is there,
    /// unless there is nothing to read before that.
    fn steps(length: usize, first: usize, in_vain: usize, how: How) -> Option<usize> {
        let prefix = Framing::Tcp.encode_prefix(length as u64);
        let mut frame = [&prefix[..Framing::Tcp.prefix_bytes()], &vec![7; length]].concat();
        let rest = frame.split_off(first);
        let looks = std::iter::repeat_n(None, in_vain);
        let script = [Some(frame)].into_iter().chain(looks).chain([Some(rest)]).collect();
        let inbox = Inbox::new(Framing::Tcp, 0);
        let mut reading = Reading::new(Box::new(Script(script)), inbox, Waker::noop().clone());
        let (taker, id) = (Taker::default(), PipeId::new(1, 0).expect("a number"));
        for count in 1.. {
            let step = reading.step(id, &taker, &AtomicBool::new(false), true, how);
            if taker.0.load(Ordering::Relaxed) > 0 {
                return Some(count);
            }
            if step == Step::Nothing {
                break;
            }
        }
        None
    }

    #[test]
    fn the_rest_of_a_large_message_is_looked_for() {
        for how in [How::Watched, How::Alone { ready: true }, How::Peek] {
            assert!(steps(100_000, 60_000, 1, how).is_some(), "{how:?}");
            assert!(steps(65_536, 65_000, 1, how).is_some(), "{how:?}: even when little is missing");
        }
    }

    #[test]
    fn the_rest_of_a_small_message_is_waited_for() {
        assert_eq!(steps(9_000, 8_500, 1, How::Watched), None);
    }

    #[test]
    fn looking_comes_to_an_end() {
        assert_eq!(steps(100_000, 60_000, 100_000, How::Watched), None);
    }

    #[test]
    fn a_message_of_64_kib_is_one_read() {
        let length = 64 * 1024 + 256;
        assert_eq!(steps(length, length + 8, 0, How::Watched), Some(1));
    }
}
