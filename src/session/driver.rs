//! The driver: one task per connection.
//!
//! It shakes hands, reads, does the writing that senders leave to it, and ends the connection. What
//! to do next is decided by the [`Session`] machine in the core; this file only has the hands.

use super::handoff::Drive;
use super::pipe::{News, PipeState, StreamPipe};
use super::{Delivery, Ended, Origin, Owner, SessionOptions};
use crate::rt::{self, Home, Sleep};
use crate::transport::{ReadHalf, Stream};
use bytes::BytesMut;
use spanwire_core::framing::sp::FrameError;
use spanwire_core::session::inbox::Inbox;
use spanwire_core::session::state::{Input, Session, State, Step};
use spanwire_core::{DetachReason, PipeId, Time};
use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Serves a connection until it ends. Dropping the future (a runtime that shuts down) ends it too.
///
/// When the handshake is over, `may_attach` is asked whether anybody still wants the connection (who
/// does not, drops the future). Then `settled` is told the pipe that it became, if it did.
pub(crate) async fn serve(
    stream: Stream,
    origin: Origin,
    owner: Arc<dyn Owner>,
    home: Home,
    options: SessionOptions,
    may_attach: impl FnOnce() -> bool + Send,
    settled: impl FnOnce(Option<PipeId>) + Send,
) -> Ended {
    let deadline = rt::now() + options.handshake_timeout;
    let session = Session::new(options.protocol, deadline);
    let inbox = Inbox::new(stream.framing, options.max_message_bytes);
    let pipe = Arc::new(StreamPipe::new(stream.writer, stream.framing, stream.ends, origin));
    let mut driver = Driver {
        reader: stream.reader,
        pipe,
        owner,
        session,
        inbox,
        id: None,
        attached: false,
        stalled: false,
        parted: false,
        sleep: None,
        home,
    };
    let greeting = driver.session.greeting();
    let mut sent = 0;
    poll_fn(|cx| driver.poll_handshake(cx, &greeting, &mut sent)).await;
    if !may_attach() {
        return pending().await;
    }
    if driver.session.state() == State::Attaching {
        driver.attach();
    }
    settled(driver.id);
    if driver.id.is_some() {
        poll_fn(|cx| driver.poll(cx)).await;
        poll_fn(|cx| driver.poll_detach(cx)).await;
    }
    Ended { why: driver.why(), attached: driver.attached }
}

struct Driver {
    reader: Box<dyn ReadHalf>,
    pipe: Arc<StreamPipe>,
    owner: Arc<dyn Owner>,
    session: Session,
    inbox: Inbox,
    /// Set while the owner counts this connection among its pipes.
    id: Option<PipeId>,
    attached: bool,
    /// The owner has no room; it will send news when it has.
    stalled: bool,
    /// Our end was shut, and then the peer shut its own: it had read everything.
    parted: bool,
    sleep: Option<(Time, Sleep)>,
    home: Home,
}

/// Reads of one turn; then other connections have theirs.
const READS_PER_TURN: usize = 4;
/// A read takes at most so much. Every thread has one such buffer for all its connections, so an
/// idle connection has none; what was read is handed on as slices of it.
const READ_BYTES: usize = 64 * 1024;
/// With less than this left, the buffer is replaced (or reclaimed, if nobody holds a slice of it).
const LOW_BYTES: usize = READ_BYTES / 2;
/// A read of less than this pins a buffer more than eight times its size. When nobody is waiting for
/// the messages in it, they are copied out.
const SPARSE_BYTES: usize = READ_BYTES / 8;

thread_local! {
    static READ_BUFFER: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

impl Driver {
    fn why(&self) -> DetachReason {
        match self.session.state() {
            State::Closed(why) => why,
            _ => DetachReason::RuntimeGone,
        }
    }

    fn input(&mut self, input: Input) -> Step {
        self.session.input(input, Time::MAX)
    }

    /// Sends our header, reads the peer's, and watches the deadline: ready when it is settled.
    fn poll_handshake(&mut self, cx: &mut Context<'_>, greeting: &[u8], sent: &mut usize) -> Poll<()> {
        let mut broken = false;
        while *sent < greeting.len() && !broken {
            match self.pipe.writer().try_write(&[IoSlice::new(&greeting[*sent..])]) {
                Ok(0) => broken = true,
                Ok(count) => *sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match self.pipe.writer().poll_writable(cx) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) => broken = true,
                        Poll::Pending => break,
                    }
                }
                Err(_) => broken = true,
            }
        }
        let mut bytes = BytesMut::new();
        // The peer's header is read even when ours cannot be sent: its end tells why.
        while self.session.state() == State::Handshaking {
            bytes.clear();
            let missing = self.session.handshake_missing();
            match self.reader.poll_read(cx, &mut bytes, missing) {
                Poll::Ready(Ok(0)) => {
                    self.input(Input::PeerEnded { at_boundary: true });
                }
                Poll::Ready(Ok(_)) => {
                    self.session.handshake(&bytes);
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(_)) => {
                    self.input(Input::Failed(DetachReason::ConnectionLost));
                }
                Poll::Pending => break,
            }
        }
        if broken && self.session.state() == State::Handshaking {
            self.input(Input::Failed(DetachReason::ConnectionLost));
        }
        // A header that is judged but not answered would leave the peer without ours.
        if self.session.state() != State::Handshaking && (*sent == greeting.len() || broken) {
            return Poll::Ready(());
        }
        ready!(self.poll_deadline(cx));
        Poll::Ready(())
    }

    fn attach(&mut self) {
        match self.owner.attach(&self.pipe) {
            Ok(id) => {
                self.id = Some(id);
                self.attached = true;
                self.input(Input::Accepted);
            }
            Err(why) => {
                self.input(Input::Refused(why));
            }
        }
    }

    /// Ready when the session's deadline has passed, which it is told.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.session.deadline() else {
            self.sleep = None;
            return Poll::Pending;
        };
        if self.sleep.as_ref().is_none_or(|(at, _)| *at != deadline) {
            self.sleep = Some((deadline, self.home.sleep_until(deadline)));
        }
        if let Some((_, sleep)) = &mut self.sleep {
            ready!(Pin::new(sleep).poll(cx));
        }
        self.input(Input::Expired);
        Poll::Ready(())
    }

    /// Asks the owner about this pipe; `None` when it is not attached.
    fn look<T>(&self, look: impl FnOnce(&mut PipeState) -> T) -> Option<T> {
        let (mut look, mut answer) = (Some(look), None);
        self.owner.look(self.id?, &mut |state| answer = look.take().map(|look| look(state)));
        answer
    }

    /// The writing side of one turn: whether anything is left there, and what happened elsewhere.
    fn write(&mut self, cx: &mut Context<'_>) -> (Drive, News) {
        let keep_buffers = self.session.deadline().is_some();
        let looked = self.look(|state| {
            let (drive, news) = state.drive(cx.waker(), rt::now);
            if drive == Drive::Quiet && !keep_buffers {
                state.trim();
            }
            (drive, news, (drive == Drive::Write).then(|| state.take()))
        });
        let Some((mut drive, news, mut batch)) = looked else { return (Drive::Shut, News::default()) };
        let go_on = match drive {
            Drive::Patience(count) => {
                (0..count).for_each(|_| std::thread::yield_now());
                true
            }
            Drive::Blocked => self.pipe.writer().poll_writable(cx).is_ready(),
            Drive::Write | Drive::Quiet | Drive::Busy | Drive::Shut => false,
        };
        if go_on {
            let looked = self.look(|state| {
                let drive = state.go_on();
                (drive, (drive == Drive::Write).then(|| state.take()))
            });
            (drive, batch) = looked.unwrap_or((Drive::Shut, None));
        }
        if let Some(batch) = batch {
            self.pipe.write_as_driver(&*self.owner, batch);
        }
        (drive, news)
    }

    /// One turn of an attached connection: ready when it is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (drive, news) = self.write(cx);
        self.stalled &= !news.resume;
        if let Some(closing) = news.closing {
            // The owner takes no more messages, so none of its back-pressure counts any longer.
            self.stalled = false;
            match closing.abort {
                Some(why) => self.input(Input::Failed(why)),
                None => self.session.input(Input::Close, closing.deadline.unwrap_or(Time::MAX)),
            };
        }
        if !matches!(self.session.state(), State::Closed(_)) {
            self.read(cx);
        }
        // Asked only now: since this turn began, a sender may have left something to write, or may
        // still be writing.
        if self.session.state() == State::Draining
            && self.look(PipeState::await_quiet).unwrap_or(true)
            && self.input(Input::Flushed) == Step::ShutDownWrite
        {
            // A failure here means that the connection is gone, which reading tells too.
            let _ = self.pipe.writer().shut_down();
        }
        if drive == Drive::Shut && !matches!(self.session.state(), State::Closed(_)) {
            // What the peer had sent before is read by now.
            self.input(Input::Failed(DetachReason::ConnectionLost));
        }
        if matches!(self.session.state(), State::Closed(_)) {
            return Poll::Ready(());
        }
        self.poll_deadline(cx)
    }

    /// Delivers and reads until there is no more of one or the other, or the turn is over.
    fn read(&mut self, cx: &mut Context<'_>) {
        let Some(id) = self.id else { return };
        if self.stalled || !self.deliver(id, rt::now) {
            return;
        }
        for _ in 0..READS_PER_TURN {
            match self.poll_read(cx) {
                Poll::Pending => return,
                Poll::Ready(Ok(0)) => {
                    let at_boundary = self.inbox.at_boundary();
                    self.parted = self.session.state() == State::HalfClosed;
                    self.input(Input::PeerEnded { at_boundary });
                    return;
                }
                Poll::Ready(Ok(_)) => {
                    if !self.deliver(id, rt::now) {
                        return;
                    }
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(_)) => {
                    self.input(Input::Failed(DetachReason::ConnectionLost));
                    return;
                }
            }
        }
        cx.waker().wake_by_ref();
    }

    /// Reads once: straight into a large message, or into this thread's buffer.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Some((body, missing)) = self.inbox.direct() {
            return self.reader.poll_read(cx, body, missing);
        }
        READ_BUFFER.with_borrow_mut(|buffer| {
            if buffer.capacity() - buffer.len() < LOW_BYTES {
                buffer.reserve(READ_BYTES);
            }
            let count = ready!(self.reader.poll_read(cx, buffer, READ_BYTES))?;
            if count < SPARSE_BYTES && !self.owner.is_waited_for() {
                self.inbox.feed(bytes::Bytes::copy_from_slice(buffer));
                buffer.clear();
            } else {
                self.inbox.feed(buffer.split().freeze());
            }
            Poll::Ready(Ok(count))
        })
    }

    /// Hands on what is whole; whether to read on.
    fn deliver(&mut self, id: PipeId, now: impl FnOnce() -> Time) -> bool {
        if self.inbox.is_empty() {
            return true;
        }
        match self.owner.deliver(id, &mut self.inbox, now()) {
            Delivery::Hungry => true,
            Delivery::Stalled => {
                self.stalled = true;
                false
            }
            Delivery::Broken(error) => {
                self.input(Input::Failed(match error {
                    FrameError::TooLarge { .. } => DetachReason::MessageTooLarge,
                    FrameError::UnknownType { .. } => DetachReason::ProtocolViolation,
                }));
                false
            }
        }
    }

    /// Gives everything back to the owner; waits for a sender that is in the middle of a write.
    fn poll_detach(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(id) = self.id else { return Poll::Ready(()) };
        if !self.look(|state| state.shut(Some(cx.waker()))).unwrap_or(true) {
            return Poll::Pending;
        }
        let unknown_bytes = if self.parted { 0 } else { self.pipe.writer().kernel_bytes() };
        self.id = None;
        self.owner.detach(id, self.why(), unknown_bytes);
        Poll::Ready(())
    }
}

/// The runtime is going away under a live connection.
impl Drop for Driver {
    fn drop(&mut self) {
        // A sender in the middle of a write, in another thread, cannot be waited for here; what it
        // holds is then in nobody's account any more.
        self.look(|state| state.shut(None));
        if let Some(id) = self.id.take() {
            self.owner.detach(id, self.why(), self.pipe.writer().kernel_bytes());
        }
    }
}
