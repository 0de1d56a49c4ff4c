//! The driver: one task per connection.
//!
//! It shakes hands, does the reading and writing that receivers and senders leave to it, and ends the
//! connection. What to do next is decided by the [`Session`] machine in the core; this file only has
//! the hands.

use super::handoff::Drive;
use super::pipe::{Closing, PipeState, StreamPipe};
use super::reading::Step;
use super::{Ended, Origin, Owner, SessionOptions, loan};
use crate::error::{ConnectError, UpgradeError};
use crate::rt::{self, Home, Sleep};
use crate::transport::{Ends, Incoming, Stream, Upgrade};
use spanwire_core::session::state::{self, Input, Session, State};
use spanwire_core::{DetachReason, PipeId, Time};
use std::future::{Future, pending, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Serves a connection until it ends, which `over` is told. Dropping the future (a runtime that shuts down)
/// ends it too.
///
/// The handshake has a box of its own, gone when it is over: connections are many and mostly idle, and
/// what they need no more is much.
#[allow(clippy::manual_async_fn)] // it would keep each of its arguments twice
pub(crate) fn serve(
    handshake: Pin<Box<impl Future<Output = Result<Driver, Ended>> + Send>>,
    over: impl FnOnce(Ended) + Send,
) -> impl Future<Output = ()> + Send {
    async move {
        let mut driver = match handshake.await {
            Ok(driver) => driver,
            Err(ended) => return over(ended),
        };
        poll_fn(|cx| driver.poll(cx)).await;
        poll_fn(|cx| driver.poll_detach(cx)).await;
        Box::pin(driver.settle()).await;
        over(driver.ended());
    }
}

/// Shakes hands; what is a pipe then is to be `serve`d.
///
/// When the handshake is over, `may_attach` is asked whether anybody still wants the connection (who
/// does not, drops the future). Then `settled` is told the pipe that it became, if it did.
pub(crate) async fn shake_hands(
    incoming: Incoming,
    origin: Origin,
    owner: Arc<dyn Owner>,
    options: SessionOptions,
    may_attach: impl FnOnce() -> bool + Send,
    settled: impl FnOnce(Option<PipeId>) + Send,
) -> Result<Driver, Ended> {
    let deadline = rt::now() + options.handshake_timeout;
    let upgraded = match incoming {
        Incoming::Ready(stream) => Ok(Some(stream)),
        Incoming::Upgrading(upgrade) => {
            upgrade_within(upgrade, options.handshake_timeout, owner.home()).await
        }
    };
    let stream = match upgraded {
        Ok(Some(stream)) => stream,
        Err(error) => {
            if may_attach() {
                settled(None);
            }
            return Err(Ended { upgrade: Some(error), ..Ended::plain(DetachReason::UpgradeFailed) });
        }
        Ok(None) => {
            may_attach();
            return Err(Ended { moved: true, ..Ended::plain(DetachReason::ClosedHere) });
        }
    };
    let agreed = stream.agreed;
    let session = match agreed {
        true => Session::agreed(options.protocol, deadline),
        false => Session::new(options.protocol, deadline),
    };
    let ends = stream.ends.clone();
    let pipe = Arc::new(StreamPipe::new(stream, options.max_message_bytes));
    let mut driver = Driver {
        pipe,
        owner,
        session,
        id: None,
        attached: false,
        parted: false,
        sleep: None,
        grace: None,
        patience: FIRST_GRACE,
        pause: None,
        fault: None,
        judged: None,
    };
    if !agreed {
        let greeting = driver.session.greeting();
        let mut sent = 0;
        let mut judged = None;
        poll_fn(|cx| driver.poll_handshake(cx, &greeting, &mut sent, &mut judged)).await;
        if let Some(error) = judged {
            if may_attach() {
                settled(None);
            }
            return Err(Ended { upgrade: Some(error), ..Ended::plain(DetachReason::UpgradeFailed) });
        }
    }
    if !may_attach() {
        return pending().await;
    }
    if driver.session.state() == State::Attaching {
        driver.attach(ends, origin);
    }
    settled(driver.id);
    if driver.id.is_some() {
        return Ok(driver);
    }
    driver.settle().await;
    Err(driver.ended())
}

async fn upgrade_within(
    upgrade: Upgrade,
    span: Duration,
    home: &Home,
) -> Result<Option<Stream>, UpgradeError> {
    match home.within(Some(span), upgrade).await {
        Some(Ok(stream)) => Ok(stream),
        Some(Err(ConnectError::Upgrade(error))) => Err(error),
        Some(Err(ConnectError::Io(_))) => Err(UpgradeError::Ended),
        None => Err(UpgradeError::TimedOut),
    }
}

/// The hands of one connection.
pub(crate) struct Driver {
    pipe: Arc<StreamPipe>,
    owner: Arc<dyn Owner>,
    session: Session,
    /// Set while the owner counts this connection among its pipes.
    id: Option<PipeId>,
    attached: bool,
    /// Our end was shut, and then the peer shut its own: it had read everything.
    parted: bool,
    sleep: Option<(Time, Sleep)>,
    /// When to look whether a receiver still uses the reading that it borrowed.
    grace: Option<Sleep>,
    /// How long that will be the next time.
    patience: Duration,
    /// When to look whether the buffers that a burst has left are still in use.
    pause: Option<Sleep>,
    /// How the peer broke the protocol below SP.
    fault: Option<Arc<str>>,
    /// What the connection below has said of its failure.
    judged: Option<Box<UpgradeError>>,
}

/// So long the driver lets hurried senders run at most: other connections wait meanwhile.
const LONGEST_PATIENCE: Duration = Duration::from_micros(50);

/// A receiver that borrowed the reading and has not come back for so long, or twice that, has it no
/// more. A runtime tells of the peer's end at once; but where a thread reads, nobody watches while it is
/// away, and so long may it take until the end is seen. It is short at first, and doubles while the loan is
/// used: a busy connection wakes nobody more than a hundred times a second.
const FIRST_GRACE: Duration = Duration::from_millis(1);
const GRACE: Duration = Duration::from_millis(10);

/// Both sides have ended; so long the last bytes may take to arrive where the kernel does not see to them.
const SETTLING: Duration = Duration::from_secs(1);

/// A stream of messages may pause for so long, or twice that, before its buffers are given back.
const PAUSE: Duration = Duration::from_millis(50);

impl Driver {
    fn why(&self) -> DetachReason {
        match self.session.state() {
            State::Closed(why) => why,
            _ => DetachReason::RuntimeGone,
        }
    }

    fn ended(&mut self) -> Ended {
        let fault = self.fault.take();
        Ended { attached: self.attached, fault, ..Ended::plain(self.why()) }
    }

    /// Waits until the peer has what was written to it, where dropping the connection would take that away and the
    /// peer may still listen: what it is owed can be no more than our header, from which it learns why we part.
    async fn settle(&self) {
        let writer = self.pipe.writer();
        let listens = matches!(
            self.why(),
            DetachReason::PeerClosed
                | DetachReason::WrongProtocol
                | DetachReason::Filtered
                | DetachReason::Busy
        );
        let owed = listens && !self.parted && writer.forgets();
        if owed {
            // If it fails, there is nobody to wait for.
            let _ = writer.shut_down();
        }
        if owed || self.parted {
            let settled = poll_fn(|cx| writer.poll_settled(cx));
            self.owner.home().within(Some(SETTLING), settled).await;
        }
    }

    fn input(&mut self, input: Input) -> state::Step {
        self.session.input(input, Time::MAX)
    }

    /// Sends our header, reads the peer's, and watches the deadline: ready when it is settled.
    ///
    /// `judged` is what the connection below has said of its end: with TLS 1.3 a client has done its part before
    /// the server has judged it.
    fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
        greeting: &[u8],
        sent: &mut usize,
        judged: &mut Option<UpgradeError>,
    ) -> Poll<()> {
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
        let _ = self.pipe.writer().poll_flush(cx);
        let mut bytes = Vec::with_capacity(self.session.handshake_missing());
        // The peer's header is read even when ours cannot be sent: its end tells why.
        while self.session.state() == State::Handshaking {
            bytes.clear();
            let missing = self.session.handshake_missing();
            let read = match &mut *self.pipe.reading() {
                Some(reading) => reading.reader.poll_read(cx, &mut bytes, missing),
                None => Poll::Pending,
            };
            match read {
                Poll::Ready(Ok(0)) => {
                    self.input(Input::PeerEnded { at_boundary: true });
                }
                Poll::Ready(Ok(_)) => {
                    self.session.handshake(&bytes);
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => {
                    *judged = UpgradeError::inside(&error);
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

    fn attach(&mut self, ends: Ends, origin: Origin) {
        match self.owner.attach(&self.pipe, ends, origin) {
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
            self.sleep = Some((deadline, self.owner.home().sleep_until(deadline)));
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

    /// The writing side of one turn: whether anything is left there, and how the pipe is to end.
    fn write(&mut self, cx: &mut Context<'_>) -> (Drive, Option<Closing>) {
        let pauses = self.pause.as_mut().is_some_and(|pause| Pin::new(pause).poll(cx).is_pending());
        let keep_buffers = pauses || self.session.deadline().is_some();
        let looked = self.look(|state| {
            let (drive, closing) = state.drive(cx.waker(), rt::now);
            let large = drive == Drive::Quiet && !keep_buffers && state.trim();
            (drive, closing, (drive == Drive::Write).then(|| state.take()), large)
        });
        let Some((mut drive, closing, mut batch, large)) = looked else { return (Drive::Shut, None) };
        if !pauses {
            self.pause = large.then(|| self.owner.home().sleep(PAUSE));
            if self.pause.as_mut().is_some_and(|pause| Pin::new(pause).poll(cx).is_ready()) {
                cx.waker().wake_by_ref();
            }
        }
        let go_on = match drive {
            Drive::Patience(count) => {
                // Where a busy thread shares the processor, one turn of it is more than enough.
                let until = rt::now() + LONGEST_PATIENCE;
                for _ in 0..count {
                    std::thread::yield_now();
                    if rt::now() >= until {
                        break;
                    }
                }
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
        (drive, closing)
    }

    /// One turn of an attached connection: ready when it is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (drive, closing) = self.write(cx);
        // Whatever it keeps back wakes this task when it can go on.
        let _ = self.pipe.writer().poll_flush(cx);
        if let Some(closing) = closing {
            self.pipe.loan.close();
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
            && self.input(Input::Flushed) == state::Step::ShutDownWrite
        {
            // A failure here means that the connection is gone, which reading tells too.
            let _ = self.pipe.writer().shut_down();
        }
        if drive == Drive::Shut && !matches!(self.session.state(), State::Closed(_)) {
            // What the peer had sent before is read by now.
            self.input(Input::Failed(DetachReason::ConnectionLost));
        }
        if drive == Drive::Quiet && self.session.deadline().is_none() {
            self.pipe.writer().unwatch();
        }
        if matches!(self.session.state(), State::Closed(_)) {
            return Poll::Ready(());
        }
        self.pipe.loan.seen();
        self.poll_deadline(cx)
    }

    /// Reads, unless a receiver does; then it looks after the loan.
    fn read(&mut self, cx: &mut Context<'_>) {
        let late = self.grace.as_mut().is_some_and(|grace| Pin::new(grace).poll(cx).is_ready());
        if late {
            self.grace = None;
        }
        let mut drive = self.pipe.loan.drive(cx.waker(), late);
        if drive == loan::Drive::Peek {
            if self.pipe.has_ended() {
                self.pipe.loan.recall();
            }
            drive = self.pipe.loan.drive(cx.waker(), false);
        }
        match drive {
            loan::Drive::Read => {
                (self.grace, self.patience) = (None, FIRST_GRACE);
                self.read_turn(cx);
            }
            loan::Drive::Rest => self.grace = None,
            // Something came in this moment.
            loan::Drive::Peek => cx.waker().wake_by_ref(),
            loan::Drive::Look if self.grace.is_some() => {}
            loan::Drive::Look => {
                let grace = self.grace.insert(self.owner.home().sleep(self.patience));
                self.patience = (self.patience * 2).min(GRACE);
                if Pin::new(grace).poll(cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
            }
        }
    }

    /// Delivers and reads until there is no more of one or the other, or the turn is over.
    fn read_turn(&mut self, cx: &mut Context<'_>) {
        let pipe = self.pipe.clone();
        let mut more = false;
        let mut over = None;
        if let Some(reading) = &mut *pipe.reading() {
            if self.session.state() != State::Attached {
                // The owner takes no more messages, so none of its back-pressure counts any longer.
                reading.unstall();
            }
            let last = loop {
                match pipe.read_as_driver(&*self.owner, reading) {
                    Step::Delivered | Step::Part => {}
                    last => break last,
                }
            };
            more = last == Step::Enough;
            over = reading.over();
            self.fault = reading.fault().cloned();
            self.judged = reading.judged().cloned().map(Box::new);
        }
        if pipe.loan.done() || more {
            rt::give_way(cx);
        }
        if let Some(input) = over {
            self.parted =
                self.session.state() == State::HalfClosed && matches!(input, Input::PeerEnded { .. });
            self.input(input);
        }
    }

    /// Gives everything back to the owner; waits for whoever is in the middle of a write or a read.
    fn poll_detach(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(id) = self.id else { return Poll::Ready(()) };
        // Neither a sender nor a receiver may be in the middle of something.
        let shut = self.look(|state| state.shut(Some(cx.waker()))).unwrap_or(true);
        if !self.pipe.end_reading() || !shut {
            return Poll::Pending;
        }
        let unknown_bytes = if self.parted { 0 } else { self.pipe.writer().kernel_bytes() };
        self.id = None;
        if let Some(error) = self.judged.take() {
            self.owner.judged(*error);
        }
        self.owner.detach(id, self.why(), unknown_bytes);
        self.pipe.loan.seen();
        Poll::Ready(())
    }
}

/// The runtime is going away under a live connection.
impl Drop for Driver {
    fn drop(&mut self) {
        self.pipe.end_reading();
        // A sender in the middle of a write, in another thread, cannot be waited for here; what it
        // holds is then in nobody's account any more.
        self.look(|state| state.shut(None));
        if let Some(id) = self.id.take() {
            self.owner.detach(id, self.why(), self.pipe.writer().kernel_bytes());
        }
    }
}
