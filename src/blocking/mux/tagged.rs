//! The tagged layout without `async`: see [`mux::tagged`](crate::mux::tagged) for what it is.
//!
//! ```
//! use spanwire::blocking::mux::tagged::{Connection, TaggedOptions};
//! use std::net::{TcpListener, TcpStream};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let here = Connection::wrap(TcpStream::connect(listener.local_addr()?)?, TaggedOptions::default())?;
//! let there = Connection::wrap(listener.accept()?.0, TaggedOptions::default())?;
//!
//! let user = here.open("user")?;
//! let everything_else = there.open("")?;
//! user.send("a message")?;
//!
//! let frame = everything_else.recv()?;
//! assert_eq!((&frame.id[..], &frame.data[..]), (&b"user"[..], &b"a message"[..]));
//! there.send(&frame.id, "an answer")?;
//! assert_eq!(&user.recv()?.data[..], b"an answer");
//! # Ok(()) }
//! ```

use crate::mux::tagged as hands;
use crate::rt::block_on;
use bytes::Bytes;
use std::io;
use std::net::TcpStream;
use std::time::Duration;

pub use crate::mux::tagged::{
    CloseReport, Discarded, End, FlushError, Frame, MAX_ID_BYTES, OpenError, Overflow, RecvError, SendError,
    TaggedEvent, TaggedOptions, TaggedStats, TooLarge,
};

/// See [`tagged::Connection`](crate::mux::tagged::Connection).
#[derive(Clone, Debug)]
pub struct Connection {
    inner: hands::Connection,
}

impl Connection {
    /// Speaks the tagged layout over a TCP connection that the program already has. Nothing is sent for that:
    /// there is no handshake. It does not matter who has connected.
    ///
    /// # Errors
    /// The system does not let it be used without blocking.
    pub fn wrap(io: TcpStream, options: TaggedOptions) -> io::Result<Self> {
        block_on(hands::Connection::wrap_std(io, options)).map(|inner| Self { inner })
    }

    /// The same connection for `async` code.
    pub fn as_async(&self) -> &hands::Connection {
        &self.inner
    }

    /// Receives messages with this id here; see [`tagged::Connection::open`](crate::mux::tagged::Connection::open).
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&self, id: impl AsRef<[u8]>) -> Result<Tagged, OpenError> {
        self.inner.open(id).map(|inner| Tagged { inner })
    }

    /// Sends a message with any id, open here or not: as an answer to whoever sent with it. Waits for room.
    ///
    /// # Errors
    /// See [`SendError`]; the message is inside.
    pub fn send(&self, id: impl AsRef<[u8]>, data: impl Into<Bytes>) -> Result<(), SendError> {
        block_on(self.inner.send(id, data))
    }

    /// The same, if there is room now.
    ///
    /// # Errors
    /// See [`SendError`]; the message is inside.
    pub fn try_send(&self, id: impl AsRef<[u8]>, data: impl Into<Bytes>) -> Result<(), SendError> {
        self.inner.try_send(id, data)
    }

    /// Waits until all messages that were taken before this call are handed to the kernel.
    ///
    /// # Errors
    /// The connection ended before that.
    pub fn flush(&self) -> Result<(), FlushError> {
        block_on(self.inner.flush())
    }

    /// Ends the connection; see [`tagged::Connection::close`](crate::mux::tagged::Connection::close).
    pub fn close(&self, deadline: Duration) -> CloseReport {
        block_on(self.inner.close(deadline))
    }

    /// Waits until nothing more is received, and says why. What has come may still be taken.
    pub fn ended(&self) -> End {
        block_on(self.inner.ended())
    }

    /// Why nothing more is received; `None` as long as it is.
    pub fn end(&self) -> Option<End> {
        self.inner.end()
    }

    /// What was counted.
    pub fn stats(&self) -> TaggedStats {
        self.inner.stats()
    }

    /// What happens from now on: an iterator that waits for each event.
    pub fn events(&self) -> TaggedEvents {
        TaggedEvents { inner: self.inner.events() }
    }
}

/// One id of a [`Connection`]; see [`tagged::Tagged`](crate::mux::tagged::Tagged). Any number of threads may use it.
#[derive(Clone, Debug)]
pub struct Tagged {
    inner: hands::Tagged,
}

impl Tagged {
    /// The id.
    pub fn id(&self) -> &Bytes {
        self.inner.id()
    }

    /// The same for `async` code.
    pub fn as_async(&self) -> &hands::Tagged {
        &self.inner
    }

    /// The connection that it is on.
    pub fn connection(&self) -> Connection {
        Connection { inner: self.inner.connection() }
    }

    /// Sends a message; waits while too many wait to be written.
    ///
    /// # Errors
    /// See [`SendError`]; the message is inside.
    pub fn send(&self, data: impl Into<Bytes>) -> Result<(), SendError> {
        block_on(self.inner.send(data))
    }

    /// The same, with an end to the waiting.
    ///
    /// # Errors
    /// [`SendError::TimedOut`], too.
    pub fn send_timeout(&self, data: impl Into<Bytes>, timeout: Duration) -> Result<(), SendError> {
        block_on(self.inner.send_timeout(data, timeout))
    }

    /// The same, if there is room now and nobody waits for it.
    ///
    /// # Errors
    /// [`SendError::Full`], too.
    pub fn try_send(&self, data: impl Into<Bytes>) -> Result<(), SendError> {
        self.inner.try_send(data)
    }

    /// Receives the next message, and the id that it was sent with.
    ///
    /// # Errors
    /// See [`RecvError`].
    pub fn recv(&self) -> Result<Frame, RecvError> {
        block_on(self.inner.recv())
    }

    /// The same, with an end to the waiting.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`], too.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Frame, RecvError> {
        block_on(self.inner.recv_timeout(timeout))
    }

    /// The same, if a message is here.
    ///
    /// # Errors
    /// [`RecvError::Empty`], too.
    pub fn try_recv(&self) -> Result<Frame, RecvError> {
        self.inner.try_recv()
    }
}

/// What happens on a connection: see [`Connection::events`]. Does not keep it open.
#[derive(Debug)]
pub struct TaggedEvents {
    inner: hands::TaggedEvents,
}

impl TaggedEvents {
    /// The next event if there is one.
    pub fn try_next(&mut self) -> Option<TaggedEvent> {
        self.inner.try_next()
    }
}

impl Iterator for TaggedEvents {
    type Item = TaggedEvent;

    fn next(&mut self) -> Option<TaggedEvent> {
        block_on(self.inner.next())
    }
}
