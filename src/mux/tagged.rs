//! The tagged layout: for peers that know nothing but an id and a message.
//!
//! ```
//! use spanwire::mux::tagged::{Connection, TaggedOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (here, there) = tokio::io::duplex(1024); // or a TCP connection, or any other stream
//! let here = Connection::wrap(here, TaggedOptions::default());
//! let there = Connection::wrap(there, TaggedOptions::default());
//!
//! let user = here.open("user")?;
//! let everything_else = there.open("")?;
//! user.send("a message").await?;
//!
//! let frame = everything_else.recv().await?;
//! assert_eq!((&frame.id[..], &frame.data[..]), (&b"user"[..], &b"a message"[..]));
//! there.send(&frame.id, "an answer").await?;
//! assert_eq!(&user.recv().await?.data[..], b"an answer");
//!
//! let report = there.close(std::time::Duration::from_secs(1)).await;
//! assert_eq!((report.flushed, report.abandoned), (1, 0));
//! # Ok(()) }
//! ```
//!
//! Many logical connections share one physical one: whoever has opened an id receives its messages, whoever
//! has opened the empty id receives all for which nobody else has. Use it with peers that speak only this.
//! There is no credit in it, so **a receiver that is too slow cannot make its sender wait**; what happens
//! then is
//! [`TaggedOptions::overflow`]. `docs/tagged-wire.md` tells the bytes, and what else cannot be had with them.
//!
//! | file | what it does |
//! | --- | --- |
//! | `tagged` | [`Connection`], [`Tagged`]: what programs do with it |
//! | `driver` | the task that reads and writes |
//! | `shared` | what both share |
//! | `error` | what can go wrong, and what is told |
//!
//! The rules are in `core/src/mux/tagged/`.

mod driver;
mod error;
mod shared;

pub use error::{CloseReport, FlushError, RecvError, SendError, TaggedEvent};
pub use spanwire_core::mux::tagged::{
    Discarded, End, Frame, MAX_ID_BYTES, OpenError, Overflow, TaggedOptions, TaggedStats, TooLarge,
};

use crate::rt::Home;
use bytes::Bytes;
use driver::Driver;
use shared::Shared;
use spanwire_core::mux::tagged::Route;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// A physical connection in the tagged layout. A handle: clones are the same connection.
///
/// When the last handle is dropped, those of its ids included, what waits is written in the background for up
/// to
/// [`TaggedOptions::close_deadline`], and the connection ends.
///
/// When the peer ends it, messages may still be sent until that fails: the peer may have ended its own half
/// only.
#[derive(Clone, Debug)]
pub struct Connection(Arc<Handle>);

/// One handle, of whatever kind, for as long as there is one.
#[derive(Debug)]
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close(self.0.options.close_deadline);
    }
}

impl Connection {
    /// Speaks the tagged layout over `io` from now on. Nothing is sent for that: there is no handshake.
    ///
    /// `io` is read and written by one task, in the runtime in which this is called, or else on the library's
    /// own thread (for what needs a runtime, as tokio's sockets do, it has to be the one that it was made
    /// in).
    pub fn wrap(io: impl AsyncRead + AsyncWrite + Send + 'static, options: TaggedOptions) -> Self {
        Self::wrap_at(Home::current(), io, options)
    }

    /// The same with a connection of the standard library, on the library's thread.
    pub(crate) async fn wrap_std(io: std::net::TcpStream, options: TaggedOptions) -> io::Result<Self> {
        let home = Home::background();
        io.set_nonblocking(true)?;
        let io = home.run(async { TcpStream::from_std(io) }).await?;
        Ok(Self::wrap_at(home, io, options))
    }

    fn wrap_at(home: Home, io: impl AsyncRead + AsyncWrite + Send + 'static, options: TaggedOptions) -> Self {
        let shared = Arc::new(Shared::new(home.clone(), options));
        home.spawn(Driver::new(io, shared.clone()).run());
        Self(Arc::new(Handle(shared)))
    }

    /// Receives messages with this id here, from now on: those that came before are gone. With the empty id
    /// it receives all for whose id nobody else does.
    ///
    /// # Errors
    /// See [`OpenError`]: the id is too long or in use, too many are open, or the connection has ended.
    pub fn open(&self, id: impl AsRef<[u8]>) -> Result<Tagged, OpenError> {
        let id = Bytes::copy_from_slice(id.as_ref());
        let (route, waiting) = self.shared().visit(|state, _, _| {
            let route = state.tagged.open(&id)?;
            Ok((route, state.add_route(route, id.clone())))
        })?;
        Ok(Tagged(Arc::new(Open { handle: self.0.clone(), route, id, waiting })))
    }

    /// Sends a message with any id, open here or not: as an answer to whoever sent with it.
    ///
    /// As [`Tagged::send`] in all else.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(&self, id: impl AsRef<[u8]>, data: impl Into<Bytes>) -> Result<(), SendError> {
        self.shared().send(id.as_ref(), data.into(), None).await
    }

    /// The same, if there is room now.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn try_send(&self, id: impl AsRef<[u8]>, data: impl Into<Bytes>) -> Result<(), SendError> {
        self.shared().try_send(id.as_ref(), data.into())
    }

    /// Waits until all messages that were taken before this call are handed to the kernel. That is not to say
    /// that they have arrived: only an answer of the peer says so.
    ///
    /// Cancel-safe: it only waits.
    ///
    /// # Errors
    /// The connection ended before that.
    pub async fn flush(&self) -> Result<(), FlushError> {
        let target = self.shared().visit(|state, _, wakes| {
            state.flush_target = state.taken;
            wakes.driver(state);
            state.taken
        });
        self.wait(|state| {
            if state.flushed >= target {
                return Some(Ok(()));
            }
            let end = state.write_end.filter(|_| state.is_over)?;
            Some(Err(FlushError { end, cause: state.cause.clone() }))
        })
        .await
    }

    /// Ends the connection: takes nothing more, writes what waits, tells the peer, and waits for its end, all
    /// within `deadline`. Messages that have come may still be received.
    ///
    /// Cancel-safe: the connection is closed in any case, in the background. It may be called again.
    pub async fn close(&self, deadline: Duration) -> CloseReport {
        self.shared().close(deadline);
        self.wait(|state| {
            let report = CloseReport { flushed: state.flushed, abandoned: state.taken - state.flushed };
            state.is_over.then_some(report)
        })
        .await
    }

    /// Waits until nothing more is received, and says why. What has come may still be taken.
    ///
    /// Cancel-safe: it only waits.
    pub async fn ended(&self) -> End {
        let mut events = self.events();
        loop {
            if let Some(end) = self.end() {
                return end;
            }
            events.next().await;
        }
    }

    /// Why nothing more is received; `None` as long as it is.
    pub fn end(&self) -> Option<End> {
        self.shared().visit(|state, _, _| state.tagged.end())
    }

    /// What was counted.
    pub fn stats(&self) -> TaggedStats {
        self.shared().visit(|state, _, _| state.tagged.stats())
    }

    /// What happens from now on: what is discarded, who is too slow, and the end. No more than 1,024 wait
    /// here; of others it is told how many there were.
    pub fn events(&self) -> TaggedEvents {
        self.shared().visit(|state, _, _| state.hub.subscribe())
    }

    fn shared(&self) -> &Shared {
        &self.0.0
    }

    /// Waits until `look` finds something.
    async fn wait<R>(&self, look: impl Fn(&shared::State) -> Option<R>) -> R {
        loop {
            let mut progress = pin!(self.shared().progress.notified());
            progress.as_mut().enable();
            match self.shared().visit(|state, _, _| look(state)) {
                Some(found) => return found,
                None => progress.await,
            }
        }
    }
}

/// One id of a [`Connection`]: sends with it, and receives what is sent with it. A handle: clones are the
/// same, and any number of tasks may use it. Each message is received once; of those who wait, who waits
/// longest is told first.
///
/// Dropping the last one closes the id here; what waits is discarded and counted. The peer does not learn of
/// it.
#[derive(Clone, Debug)]
pub struct Tagged(Arc<Open>);

#[derive(Debug)]
struct Open {
    handle: Arc<Handle>,
    route: Route,
    id: Bytes,
    waiting: Arc<Notify>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.handle.0.visit(|state, effects, _| state.remove_route(self.route, effects));
    }
}

impl Tagged {
    /// The id.
    pub fn id(&self) -> &Bytes {
        &self.0.id
    }

    /// The connection that it is on.
    pub fn connection(&self) -> Connection {
        Connection(self.0.handle.clone())
    }

    /// Sends a message. It is taken when this returns; [`Connection::flush`] says when it was written.
    ///
    /// Waits while [`TaggedOptions::send_messages`] or `send_bytes` wait to be written, first come, first
    /// served. Messages are written one behind the other, never mixed.
    ///
    /// Cancel-safe: a future that is dropped has sent nothing.
    ///
    /// # Errors
    /// See [`SendError`]; the message is inside.
    pub async fn send(&self, data: impl Into<Bytes>) -> Result<(), SendError> {
        self.0.handle.0.send(&self.0.id, data.into(), None).await
    }

    /// The same, with an end to the waiting.
    ///
    /// # Errors
    /// See [`SendError`]; the message is inside.
    pub async fn send_timeout(&self, data: impl Into<Bytes>, timeout: Duration) -> Result<(), SendError> {
        self.0.handle.0.send(&self.0.id, data.into(), Some(timeout)).await
    }

    /// The same, if there is room now and nobody waits for it.
    ///
    /// # Errors
    /// See [`SendError`]; the message is inside.
    pub fn try_send(&self, data: impl Into<Bytes>) -> Result<(), SendError> {
        self.0.handle.0.try_send(&self.0.id, data.into())
    }

    /// Receives the next message, and the id that it was sent with: this one, but for the empty id, which
    /// receives those of others.
    ///
    /// Cancel-safe: a future that is dropped has taken nothing.
    ///
    /// # Errors
    /// The connection has ended, or messages came too fast, and all that waited was taken: see [`RecvError`].
    pub async fn recv(&self) -> Result<Frame, RecvError> {
        loop {
            let mut waiting = pin!(self.0.waiting.notified());
            waiting.as_mut().enable();
            match self.look() {
                Some(result) => return result,
                None => waiting.await,
            }
        }
    }

    /// The same, with an end to the waiting.
    ///
    /// # Errors
    /// See [`RecvError`].
    pub async fn recv_timeout(&self, timeout: Duration) -> Result<Frame, RecvError> {
        let received = self.0.handle.0.home.within(Some(timeout), self.recv()).await;
        received.unwrap_or(Err(RecvError::TimedOut))
    }

    /// The same, if a message is here.
    ///
    /// # Errors
    /// See [`RecvError`].
    pub fn try_recv(&self) -> Result<Frame, RecvError> {
        self.look().unwrap_or(Err(RecvError::Empty))
    }

    fn look(&self) -> Option<Result<Frame, RecvError>> {
        self.0.handle.0.visit(|state, effects, _| state.recv(self.0.route, effects))
    }
}

/// What happens on a connection: see [`Connection::events`]. Does not keep it open.
pub type TaggedEvents = crate::hub::Events<TaggedEvent>;
