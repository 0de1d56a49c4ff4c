//! The futures behind every `send` and `recv`.
//!
//! **Cancel-safety.** Dropping a send that is not done sends nothing; dropping a receive that is not
//! done takes nothing. Whoever was woken and is dropped passes the wake-up on.

use super::core::{Core, NoMessage, Why};
use super::receiver::Receiver;
use super::waits::{For, Ticket};
use spanwire_core::pattern::{CtxId, Nothing, Refusal};
use spanwire_core::{Message, RecvError, SendError};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// A way to put a message to the rules of a socket.
pub(super) trait Put: Fn(&Arc<Core>, Message) -> Result<(), (Why, Message)> + Unpin {}
impl<T: Fn(&Arc<Core>, Message) -> Result<(), (Why, Message)> + Unpin> Put for T {}

/// A future that waits: its place in the line, and how to wake it.
pub(super) type Wait<'a> = Option<(&'a mut Option<Ticket>, &'a Waker)>;

/// A way to get a message from them.
pub(super) trait Get: FnMut(&Arc<Core>, Wait<'_>) -> Result<Message, NoMessage> + Unpin {}
impl<T: FnMut(&Arc<Core>, Wait<'_>) -> Result<Message, NoMessage> + Unpin> Get for T {}

/// Waits until the rules take a message.
#[must_use]
pub(super) struct SendOp<'a, P: Put> {
    core: &'a Arc<Core>,
    put: P,
    message: Option<Message>,
    ticket: Option<Ticket>,
}

impl<'a, P: Put> SendOp<'a, P> {
    pub(super) fn new(core: &'a Arc<Core>, message: Message, put: P) -> Self {
        Self { core, put, message: Some(message), ticket: None }
    }

    /// The message, if it was not sent: for whoever stopped waiting.
    pub(super) fn give_up(&mut self) -> Option<Message> {
        self.message.take()
    }
}

impl<P: Put> Future for SendOp<'_, P> {
    type Output = Result<(), SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let sent = ready!(poll_put(this.core, &mut this.message, &mut this.ticket, cx, &this.put));
        this.leave();
        Poll::Ready(sent)
    }
}

/// Puts `message` to the rules, and waits in line while they find no room for it: then the message
/// stays where it is. The caller gives the ticket back.
pub(super) fn poll_put(
    core: &Arc<Core>,
    message: &mut Option<Message>,
    ticket: &mut Option<Ticket>,
    cx: &mut Context<'_>,
    put: impl Fn(&Arc<Core>, Message) -> Result<(), (Why, Message)>,
) -> Poll<Result<(), SendError>> {
    if core.owes_turn.load(Ordering::Relaxed) && core.owes_turn.swap(false, Ordering::Relaxed) {
        // A batch was written in this thread; before the next, the others may run. This comes
        // before the message is touched, so that dropping us here sends nothing.
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    let mut trying = message.take().expect("a send is not polled after it was done");
    let mut waiting = false;
    loop {
        match put(core, trying) {
            Ok(()) => return Poll::Ready(Ok(())),
            Err((Why::Refused(Refusal::Full | Refusal::NoPeer), back)) if waiting => {
                *message = Some(back);
                return Poll::Pending;
            }
            Err((Why::Refused(Refusal::Full | Refusal::NoPeer), back)) => {
                trying = back;
                // What is owed to the kernel is written before anybody waits for room; and room
                // may come between the refusal and the ticket, so it is asked once more.
                if !core.flush_owed() {
                    core.wait(For::Room, ticket, cx.waker(), |_| false);
                    waiting = ticket.is_some();
                }
            }
            Err((why, back)) => return Poll::Ready(Err(send_error(why, back))),
        }
    }
}

impl<P: Put> SendOp<'_, P> {
    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.core.leave(For::Room, ticket);
        }
    }
}

impl<P: Put> Drop for SendOp<'_, P> {
    fn drop(&mut self) {
        self.leave();
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

/// Waits until there is a message.
#[must_use]
pub(super) struct RecvOp<'a, G: Get> {
    core: &'a Arc<Core>,
    ctx: CtxId,
    get: G,
    receiver: Receiver,
}

impl<'a, G: Get> RecvOp<'a, G> {
    pub(super) fn new(core: &'a Arc<Core>, ctx: CtxId, get: G) -> Self {
        Self { core, ctx, get, receiver: Receiver::default() }
    }
}

impl<G: Get> Future for RecvOp<'_, G> {
    type Output = Result<Message, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.receiver.poll(this.core, this.ctx, cx, &mut this.get).map_err(recv_error)
    }
}

impl<G: Get> Drop for RecvOp<'_, G> {
    fn drop(&mut self) {
        self.receiver.leave(self.core, self.ctx);
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
    pub(super) async fn send_within<P: Put>(
        self: &Arc<Self>,
        message: Message,
        timeout: Option<Duration>,
        put: P,
    ) -> Result<(), SendError> {
        let mut op = SendOp::new(self, message, put);
        match self.home.within(timeout, &mut op).await {
            Some(result) => result,
            None => Err(SendError::TimedOut(op.give_up().unwrap_or_default())),
        }
    }

    /// Receives, waiting no longer than `timeout`.
    pub(super) async fn recv_within<G: Get>(
        self: &Arc<Self>,
        ctx: CtxId,
        timeout: Option<Duration>,
        get: G,
    ) -> Result<Message, RecvError> {
        let op = RecvOp::new(self, ctx, get);
        self.home.within(timeout, op).await.unwrap_or(Err(RecvError::TimedOut))
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
