//! Requests: [`Conn::call`] on one side, [`Request`] and [`Handlers`] on the other.

use super::conn::{Conn, left, wait_for_room};
use super::wire::For;
use super::{CallError, RecvError, SendError};
use crate::rt;
use bytes::Bytes;
use spanwire_core::framing::link::Fault;
use spanwire_core::link::calls::Failure;
use spanwire_core::link::machine::NotSent;
use spanwire_core::link::{End, Parcel, Priority};
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

impl Conn {
    /// Sends a request and waits for its answer. Any number may be in flight, and answers may come in any
    /// order.
    ///
    /// Cancel-safe: dropped, nobody waits for the answer any more, and the peer is told so.
    ///
    /// # Errors
    /// See [`CallError`]: a handler that fails says so.
    pub async fn call(&self, request: impl Into<Parcel>) -> Result<Bytes, CallError> {
        let mut parcel = request.into();
        let called = poll_fn(|cx| {
            self.wire().visit(|state| {
                let called = state.link.call(&mut parcel, rt::now());
                wait_for_room(state, called, Some(cx))
            })
        });
        let id = called.await.map_err(|error| match error {
            NotSent::TooLarge { limit } => SendError::TooLarge { parcel, limit },
            NotSent::Full | NotSent::Over => SendError::Closed { parcel, end: self.wire().lock().end() },
        })?;
        let waiting = Waiting { conn: self, id, done: false };
        waiting.answer().await
    }

    /// [`call`](Self::call), no longer than this, all in all.
    ///
    /// # Errors
    /// [`CallError::TimedOut`], too.
    pub async fn call_timeout(
        &self,
        request: impl Into<Parcel>,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        self.within(Some(timeout), self.call(request)).await.unwrap_or(Err(CallError::TimedOut))
    }

    /// [`call`](Self::call), no later than this.
    ///
    /// # Errors
    /// [`CallError::TimedOut`], too.
    pub async fn call_deadline(
        &self,
        request: impl Into<Parcel>,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        self.call_timeout(request, left(deadline)).await
    }

    /// Receives the next request. Cancel-safe.
    ///
    /// # Errors
    /// [`RecvError::Closed`] once the connection is over: nobody waits for answers then.
    pub async fn recv_request(&self) -> Result<Request, RecvError> {
        let (id, parcel) = poll_fn(|cx| {
            self.poll_take(For::Request, Some(cx), |state| {
                // Nobody would hear the answer.
                state.link.is_open().then(|| state.link.recv_request()).flatten()
            })
        })
        .await?;
        Ok(Request { conn: self.clone(), id, parcel, answered: false })
    }

    /// [`recv_request`](Self::recv_request), no longer than this.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`], too.
    pub async fn recv_request_timeout(&self, timeout: Duration) -> Result<Request, RecvError> {
        self.within(Some(timeout), self.recv_request()).await.unwrap_or(Err(RecvError::TimedOut))
    }

    /// Answers requests with these handlers until the connection ends, and returns how it did. Up to
    /// [`LinkOptions::requests`](super::LinkOptions) are handled at once, all in this future: a handler
    /// that computes for long should do so elsewhere.
    ///
    /// Dropped, the handlers that are at work are, too, and their requests are answered with
    /// [`Fault::Unanswered`].
    pub async fn serve(&self, handlers: &Handlers) -> End {
        let mut working: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
        let mut next = Box::pin(self.recv_request());
        poll_fn(|cx| {
            loop {
                match next.as_mut().poll(cx) {
                    Poll::Ready(Ok(request)) => {
                        working.push(handlers.handle(request));
                        next.set(self.recv_request());
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(self.wire().lock().end()),
                    Poll::Pending => break,
                }
            }
            working.retain_mut(|work| work.as_mut().poll(cx).is_pending());
            Poll::Pending
        })
        .await
    }
}

/// A request that waits for its answer.
struct Waiting<'a> {
    conn: &'a Conn,
    id: u64,
    done: bool,
}

impl Waiting<'_> {
    async fn answer(mut self) -> Result<Bytes, CallError> {
        let (conn, id) = (self.conn, self.id);
        let answer = poll_fn(|cx| conn.poll_take(For::Answer, Some(cx), |state| state.link.answer(id))).await;
        self.done = answer.is_ok();
        match answer {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(failure)) => Err(failure.into()),
            Err(RecvError::Closed(end)) => Err(CallError::Closed(end)),
            Err(RecvError::Empty | RecvError::TimedOut) => Err(CallError::TimedOut),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.conn.wire().visit(|state| state.link.forget_call(self.id));
        }
    }
}

/// A request of the peer. Dropped without an answer, it is answered with [`Fault::Unanswered`].
pub struct Request {
    conn: Conn,
    id: u64,
    parcel: Parcel,
    answered: bool,
}

impl Request {
    /// Which message of which protocol, and what it says.
    pub fn parcel(&self) -> &Parcel {
        &self.parcel
    }

    /// What it says.
    pub fn body(&self) -> &Bytes {
        &self.parcel.body
    }

    /// The connection it came over.
    pub fn conn(&self) -> &Conn {
        &self.conn
    }

    /// Answers it. Never waits: there are no more answers than requests that were let in. `false`: the
    /// peer does not wait for it any more.
    pub fn reply(self, body: impl Into<Bytes>) -> bool {
        self.reply_at(Priority::Normal, body)
    }

    /// [`reply`](Self::reply) with a priority.
    pub fn reply_at(mut self, priority: Priority, body: impl Into<Bytes>) -> bool {
        self.answer(priority, Ok(body.into()))
    }

    /// Answers that there is no answer, and why. Codes of the application are
    /// [`Fault::Other`] from [`Fault::APPLICATION`] on; at most 255 bytes of the text are sent.
    pub fn fail(mut self, code: Fault, text: impl Into<String>) -> bool {
        self.answer(Priority::Normal, Err(Failure { code, text: text.into() }))
    }

    fn answer(&mut self, priority: Priority, answer: Result<Bytes, Failure>) -> bool {
        self.answered = true;
        self.conn.wire().visit(|state| state.link.reply(self.id, priority, answer, rt::now()))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.answered {
            let code = match std::thread::panicking() {
                true => Fault::Failed,
                false => Fault::Unanswered,
            };
            self.answer(Priority::Normal, Err(Failure { code, text: String::new() }));
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("id", &self.id).field("parcel", &self.parcel).finish_non_exhaustive()
    }
}

/// A handler's own failure: its code and words travel to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerError {
    /// Why. Default: [`Fault::Failed`].
    pub code: Fault,
    /// In words.
    pub text: String,
}

impl<E: fmt::Display> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self { code: Fault::Failed, text: error.to_string() }
    }
}

type Handling = Pin<Box<dyn Future<Output = Result<Bytes, HandlerError>> + Send>>;
type Handler = Arc<dyn Fn(Parcel, Conn) -> Handling + Send + Sync>;

/// Handlers of requests, by protocol and message.
///
/// A handler that fails answers with its error, one that panics with [`Fault::Failed`], and a request that
/// nobody handles is answered with [`Fault::NoHandler`].
#[derive(Clone, Default)]
pub struct Handlers {
    handlers: HashMap<(u16, u16), Handler>,
    others: Option<Handler>,
}

impl Handlers {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Handles requests of this protocol and message. The last one that is set counts.
    #[must_use]
    pub fn on<F, B, E>(
        mut self,
        protocol: u16,
        message: u16,
        handler: impl Fn(Parcel, Conn) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<B, E>> + Send + 'static,
        B: Into<Bytes>,
        E: Into<HandlerError>,
    {
        self.handlers.insert((protocol, message), boxed(handler));
        self
    }

    /// Handles all other requests.
    #[must_use]
    pub fn otherwise<F, B, E>(mut self, handler: impl Fn(Parcel, Conn) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<B, E>> + Send + 'static,
        B: Into<Bytes>,
        E: Into<HandlerError>,
    {
        self.others = Some(boxed(handler));
        self
    }

    /// Handles one request.
    pub fn handle(&self, request: Request) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let Parcel { protocol, message, .. } = *request.parcel();
        let handler = self.handlers.get(&(protocol, message)).or(self.others.as_ref());
        let Some(handler) = handler else {
            request.fail(Fault::NoHandler, format!("protocol {protocol}, message {message}"));
            return Box::pin(std::future::ready(()));
        };
        let (parcel, conn) = (request.parcel().clone(), request.conn().clone());
        let handler = handler.clone();
        Box::pin(async move {
            let work = Caught(Some(Box::pin(async move { handler(parcel, conn).await })));
            match work.await {
                Some(Ok(body)) => request.reply(body),
                Some(Err(HandlerError { code, text })) => request.fail(code, text),
                None => request.fail(Fault::Failed, "the handler panicked"),
            };
        })
    }
}

fn boxed<F, B, E>(handler: impl Fn(Parcel, Conn) -> F + Send + Sync + 'static) -> Handler
where
    F: Future<Output = Result<B, E>> + Send + 'static,
    B: Into<Bytes>,
    E: Into<HandlerError>,
{
    Arc::new(move |parcel, conn| {
        let work = handler(parcel, conn);
        Box::pin(async move { work.await.map(Into::into).map_err(Into::into) })
    })
}

/// A handler at work: `None` if it panics, which is its own affair and not that of the connection.
struct Caught(Option<Handling>);

impl Future for Caught {
    type Output = Option<Result<Bytes, HandlerError>>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.0 else { return Poll::Ready(None) };
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(result)) => {
                self.0 = None;
                Poll::Ready(Some(result))
            }
            Err(_) => {
                self.0 = None;
                Poll::Ready(None)
            }
        }
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handlers").field("for", &self.handlers.keys()).finish_non_exhaustive()
    }
}
