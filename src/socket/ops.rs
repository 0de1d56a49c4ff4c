//! The futures behind every `send` and `recv`.
//!
//! **Cancel-safety.** Dropping a send that is not done sends nothing; dropping a receive that is not
//! done takes nothing. Whoever was woken and is dropped passes the wake-up on.

use super::core::{Core, own};
use super::passing::{NoMessage, Why};
use super::receiver::Receiver;
use super::waits::{For, Ticket};
use crate::rt::{self, Patience};
use spanwire_core::pattern::{CtxId, Member, Nothing, Pattern, Refusal, Tickets};
use spanwire_core::{Lack, Message, RecvError, SendError};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// A way to put a message to the rules of a socket.
pub(super) trait Put: Unpin {
    /// Puts it. On success what is left of it is of no use; else it is as it was.
    fn put(&mut self, core: &Arc<Core>, message: &mut Message) -> Result<(), Why>;

    /// What becomes of a message when the time to wait for room is over.
    fn late(&mut self, core: &Arc<Core>, message: Message) -> Result<(), SendError> {
        let _ = core;
        Err(SendError::TimedOut(message))
    }
}

/// What sends a message that nobody had room for in time, where the pattern has a way.
pub(super) type AtLast = fn(&Arc<Core>, Message) -> Result<(), SendError>;

/// Sends and takes in one context.
#[derive(Debug)]
pub(super) struct In {
    ctx: CtxId,
    at_last: Option<AtLast>,
}

impl In {
    #[inline]
    pub(super) fn context(ctx: CtxId) -> Self {
        Self { ctx, at_last: None }
    }

    /// In the default context, and with `at_last` where it would fail for want of room in time.
    #[inline]
    pub(super) fn at_last(at_last: AtLast) -> Self {
        Self { ctx: CtxId::DEFAULT, at_last: Some(at_last) }
    }
}

impl Put for In {
    #[inline]
    fn put(&mut self, core: &Arc<Core>, message: &mut Message) -> Result<(), Why> {
        core.send(self.ctx, message)
    }

    fn late(&mut self, core: &Arc<Core>, message: Message) -> Result<(), SendError> {
        match self.at_last {
            Some(at_last) => at_last(core, message),
            None => Err(SendError::TimedOut(message)),
        }
    }
}

/// A future that waits: its place in the line, and how to wake it.
pub(super) type Wait<'a> = Option<(&'a mut Option<Ticket>, &'a Waker)>;

/// A way to get a message from them.
pub(super) trait Get: Unpin {
    /// Puts the next into `message`, or leaves a waker.
    fn get_into(
        &mut self,
        core: &Arc<Core>,
        message: &mut Option<Message>,
        wait: Wait<'_>,
    ) -> Result<(), NoMessage>;

    /// The same by value, which moves it once more.
    #[inline]
    fn get(&mut self, core: &Arc<Core>, wait: Wait<'_>) -> Result<Message, NoMessage> {
        let mut message = None;
        self.get_into(core, &mut message, wait)?;
        message.ok_or(NoMessage::Nothing(Nothing::Yet))
    }
}

/// Takes what comes in a context.
impl Get for In {
    #[inline]
    fn get_into(
        &mut self,
        core: &Arc<Core>,
        message: &mut Option<Message>,
        wait: Wait<'_>,
    ) -> Result<(), NoMessage> {
        let ctx = self.ctx;
        core.take(ctx, message, wait, |rule, now, message, fx| rule.take_into(now, ctx, message, fx))
    }
}

/// Takes what comes of the question that a context has asked last, and of no other.
pub(super) struct Ticketed<R> {
    ctx: CtxId,
    ticket: u32,
    rule: PhantomData<fn(R)>,
}

impl<R: Member + Tickets> Ticketed<R> {
    pub(super) fn latest(core: &Arc<Core>, ctx: CtxId) -> Self {
        let ticket = core.ask(|rule: &mut R, _, _| rule.ticket(ctx));
        Self { ctx, ticket, rule: PhantomData }
    }
}

impl<R: Member + Tickets> Get for Ticketed<R> {
    fn get_into(
        &mut self,
        core: &Arc<Core>,
        message: &mut Option<Message>,
        wait: Wait<'_>,
    ) -> Result<(), NoMessage> {
        let Self { ctx, ticket, .. } = *self;
        core.take(ctx, message, wait, |rule, now, message, fx| {
            *message = Some(own::<R>(rule).take_ticket(now, ctx, ticket, fx)?);
            Ok(())
        })
    }
}

/// Waits until the rules take a message, for no longer than its patience.
#[must_use]
#[derive(Debug)]
pub(super) struct SendOp<'a, P: Put> {
    core: &'a Arc<Core>,
    put: P,
    message: Message,
    ticket: Option<Ticket>,
    patience: Patience,
    done: bool,
}

impl<'a, P: Put> SendOp<'a, P> {
    #[inline]
    pub(super) fn new(core: &'a Arc<Core>, message: Message, timeout: Option<Duration>, put: P) -> Self {
        Self { core, put, message, ticket: None, patience: Patience::new(timeout), done: false }
    }

    /// The message, if it was not sent: for whoever stopped waiting.
    pub(super) fn give_up(&mut self) -> Result<(), SendError> {
        self.put.late(self.core, std::mem::take(&mut self.message))
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let sent = match poll_put(self.core, &mut self.message, &mut self.ticket, cx, &mut self.put) {
            Poll::Ready(sent) => sent,
            Poll::Pending => {
                ready!(self.patience.poll(&self.core.home, cx));
                self.give_up()
            }
        };
        self.done = true;
        self.leave();
        Poll::Ready(sent)
    }

    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.core.leave(For::Room, ticket);
        }
    }
}

impl<P: Put> Future for SendOp<'_, P> {
    type Output = Result<(), SendError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        assert!(!this.done, "a send is not polled after it was done");
        // Most often there is room; everything below is for waiting.
        if this.ticket.is_none() && this.core.send_now(&mut this.message, &mut this.put) {
            this.done = true;
            return Poll::Ready(Ok(()));
        }
        this.poll_waiting(cx)
    }
}

impl<P: Put> Drop for SendOp<'_, P> {
    #[inline]
    fn drop(&mut self) {
        self.leave();
    }
}

/// What `send` returns: a future that is done once the message is with a peer's outbox.
///
/// Cancel-safe: dropped before it is done, nothing is sent.
#[must_use = "nothing is sent unless this is awaited"]
#[derive(Debug)]
pub struct Sending<'a>(SendOp<'a, In>);

impl<'a> Sending<'a> {
    #[inline]
    pub(super) fn new(core: &'a Arc<Core>, ctx: CtxId, message: Message, timeout: Option<Duration>) -> Self {
        Self(SendOp::new(core, message, timeout, In::context(ctx)))
    }

    /// One that does something else than fail when it has waited for so long.
    #[inline]
    pub(super) fn patient(
        core: &'a Arc<Core>,
        message: Message,
        timeout: Option<Duration>,
        at_last: AtLast,
    ) -> Self {
        Self(SendOp::new(core, message, timeout, In::at_last(at_last)))
    }
}

impl Future for Sending<'_> {
    type Output = Result<(), SendError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// Puts `message` to the rules, and waits in line while they find no room for it: then the message
/// stays where it is. The caller gives the ticket back.
pub(super) fn poll_put(
    core: &Arc<Core>,
    message: &mut Message,
    ticket: &mut Option<Ticket>,
    cx: &mut Context<'_>,
    put: &mut impl Put,
) -> Poll<Result<(), SendError>> {
    if core.owes_turn.load(Ordering::Relaxed) && core.owes_turn.swap(false, Ordering::Relaxed) {
        // A batch was written in this thread; before the next, the others may run. This comes
        // before the message is touched, so that dropping us here sends nothing.
        rt::take_turns(cx);
        return Poll::Pending;
    }
    let mut waiting = false;
    loop {
        match put.put(core, message) {
            Ok(()) => return Poll::Ready(Ok(())),
            Err(Why::Refused(Refusal::Full | Refusal::NoPeer)) if waiting => return Poll::Pending,
            Err(Why::Refused(refusal @ (Refusal::Full | Refusal::NoPeer))) => {
                // What is owed to the kernel is written before anybody waits for room; and room
                // may come between the refusal and the ticket, so it is asked once more.
                if !core.flush_owed() {
                    let lack = if refusal == Refusal::NoPeer { Lack::NoPeer } else { Lack::Full };
                    core.wait_for_room(lack, ticket, cx.waker());
                    waiting = ticket.is_some();
                }
            }
            Err(why) => return Poll::Ready(Err(send_error(why, std::mem::take(message)))),
        }
    }
}

/// What a refused send becomes for the caller.
pub(super) fn send_error(why: Why, message: Message) -> SendError {
    match why {
        Why::Closed => SendError::Closed(message),
        Why::Orphaned => SendError::RuntimeGone(message),
        Why::Refused(Refusal::Full) => SendError::Full(message),
        Why::Refused(Refusal::NoPeer) => SendError::NoPeer(message),
        Why::Refused(Refusal::NoSuchPeer) => SendError::NoSuchPeer(message),
        Why::Refused(Refusal::State) => SendError::State(message),
        Why::Refused(Refusal::BadHeader) => SendError::BadHeader(message),
    }
}

/// Waits until there is a message, for no longer than its patience.
#[must_use]
#[derive(Debug)]
pub(super) struct RecvOp<'a, G: Get> {
    core: &'a Arc<Core>,
    ctx: CtxId,
    get: G,
    receiver: Receiver,
    patience: Patience,
}

impl<'a, G: Get> RecvOp<'a, G> {
    #[inline]
    pub(super) fn new(core: &'a Arc<Core>, ctx: CtxId, timeout: Option<Duration>, get: G) -> Self {
        Self { core, ctx, get, receiver: Receiver::default(), patience: Patience::new(timeout) }
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, RecvError>> {
        match self.receiver.poll(self.core, self.ctx, cx, &mut self.get) {
            Poll::Ready(taken) => Poll::Ready(taken.map_err(recv_error)),
            Poll::Pending => self.patience.poll(&self.core.home, cx).map(|()| Err(RecvError::TimedOut)),
        }
    }
}

impl<G: Get> Future for RecvOp<'_, G> {
    type Output = Result<Message, RecvError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.core.owes_turn_receiving.load(Ordering::Relaxed)
            && this.core.owes_turn_receiving.swap(false, Ordering::Relaxed)
        {
            rt::take_turns(cx);
            return Poll::Pending;
        }
        // Most often one is there; or there is no connection to read, and waiting is all there is to do.
        // Either takes one visit. Everything below is for reading.
        if let Some(ticket) = this.receiver.place(this.core) {
            let lends = this.core.lender.lends();
            let wait = (!lends).then_some((ticket, cx.waker()));
            let mut message = None;
            match this.get.get_into(this.core, &mut message, wait) {
                Err(NoMessage::Nothing(Nothing::Yet)) if lends => {}
                Err(NoMessage::Nothing(Nothing::Yet)) => {
                    ready!(this.patience.poll(&this.core.home, cx));
                    return Poll::Ready(Err(RecvError::TimedOut));
                }
                Err(why) => return Poll::Ready(Err(recv_error(why))),
                Ok(()) => {
                    if let Some(message) = message {
                        return Poll::Ready(Ok(message));
                    }
                }
            }
        }
        this.poll_waiting(cx)
    }
}

impl<G: Get> Drop for RecvOp<'_, G> {
    #[inline]
    fn drop(&mut self) {
        if self.receiver.is_waiting() {
            self.receiver.leave(self.core, self.ctx);
        }
    }
}

/// What `recv` returns: a future that is done once there is a message.
///
/// Cancel-safe: dropped before it is done, no message is taken.
#[must_use = "nothing is received unless this is awaited"]
#[derive(Debug)]
pub struct Receiving<'a>(RecvOp<'a, In>);

impl<'a> Receiving<'a> {
    #[inline]
    pub(super) fn new(core: &'a Arc<Core>, ctx: CtxId, timeout: Option<Duration>) -> Self {
        Self(RecvOp::new(core, ctx, timeout, In::context(ctx)))
    }
}

impl Future for Receiving<'_> {
    type Output = Result<Message, RecvError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// What a fruitless receive becomes for the caller.
pub(super) fn recv_error(why: NoMessage) -> RecvError {
    match why {
        NoMessage::Closed => RecvError::Closed,
        NoMessage::Orphaned => RecvError::RuntimeGone,
        NoMessage::Nothing(Nothing::Yet) => RecvError::Empty,
        NoMessage::Nothing(Nothing::Asked) => RecvError::State,
        NoMessage::Nothing(Nothing::TimedOut) => RecvError::TimedOut,
        NoMessage::Nothing(Nothing::Cancelled) => RecvError::Cancelled,
        NoMessage::Nothing(Nothing::ConnectionLost) => RecvError::ConnectionLost,
        NoMessage::Nothing(Nothing::Rejected) => RecvError::Rejected,
    }
}

impl Core {
    /// Sends, waiting for room no longer than `timeout`.
    #[inline]
    pub(super) fn send_within<P: Put>(
        self: &Arc<Self>,
        message: Message,
        timeout: Option<Duration>,
        put: P,
    ) -> SendOp<'_, P> {
        SendOp::new(self, message, timeout, put)
    }

    /// Sends without waiting, if there is room and no other task has to have its turn first. Else the
    /// message is as it was.
    #[inline]
    pub(super) fn send_now(self: &Arc<Self>, message: &mut Message, put: &mut impl Put) -> bool {
        !self.owes_turn.load(Ordering::Relaxed) && put.put(self, message).is_ok()
    }

    /// Receives, waiting no longer than `timeout`.
    #[inline]
    pub(super) fn recv_within<G: Get>(
        self: &Arc<Self>,
        ctx: CtxId,
        timeout: Option<Duration>,
        get: G,
    ) -> RecvOp<'_, G> {
        RecvOp::new(self, ctx, timeout, get)
    }

    /// Waits until at least `count` peers are attached.
    pub(super) async fn wait_peers(self: &Arc<Self>, count: usize) -> Result<(), RecvError> {
        struct Wait<'a>(&'a Core, Option<Ticket>);
        impl Drop for Wait<'_> {
            fn drop(&mut self) {
                if let Some(ticket) = self.1.take() {
                    self.0.leave(For::Peers, ticket);
                }
            }
        }
        let mut wait = Wait(self, None);
        std::future::poll_fn(|cx| {
            let core = wait.0;
            match core.wait(For::Peers, &mut wait.1, cx.waker(), |state| state.attached() >= count) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
        self.require_open()
    }
}
