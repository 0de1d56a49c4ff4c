//! Multiplexed connections without `async`: see [`mux`](crate::mux) for what they are.
//!
//! ```
//! use spanwire::blocking::mux::{self, Server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::bind("tcp://127.0.0.1:0")?;
//! let here = mux::connect(&server.url(), "user-session")?;
//! here.send("hello")?;
//! let there = server.accept("user-session")?;
//! assert_eq!(&there.recv()?[..], b"hello");
//! # Ok(()) }
//! ```
//!
//! Each type wraps the one of the same name, whose tasks run on the library's thread; a call blocks the
//! thread that makes it.

use crate::ListenError;
use crate::mux as hands;
use crate::mux::{
    AcceptError, Account, ChannelEnd, ChannelId, ChannelStats, CloseReport, Code, End, Event, FlushError,
    LogicalOptions, LogicalRecvError, LogicalSendError, LogicalStats, MuxOptions, MuxStats, OpenError,
    PoolOptions, PoolReport, Priority, RecvError, SendError, ServerOptions, ServerStats, StreamError,
};
use crate::options::DialOptions;
use crate::rt::block_on;
use bytes::{Buf, Bytes};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A logical connection through the [pool of the process](crate::mux::Pool::global). See
/// [`mux::connect`](crate::mux::connect).
///
/// # Errors
/// As there.
pub fn connect(url: &str, id: &str) -> Result<Logical, OpenError> {
    connect_with(url, id, LogicalOptions::default())
}

/// [`connect`] with options.
///
/// # Errors
/// As there.
pub fn connect_with(url: &str, id: &str, options: LogicalOptions) -> Result<Logical, OpenError> {
    hands::connect_with(url, id, options).map(|inner| Logical { inner })
}

/// See [`mux::Connection`](crate::mux::Connection).
#[derive(Clone, Debug)]
pub struct Connection {
    inner: hands::Connection,
}

impl Connection {
    /// Makes a connection of its own; returns when the peer has said hello.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn connect(url: &str, options: MuxOptions) -> Result<Self, OpenError> {
        Self::connect_with(url, options, DialOptions::default())
    }

    /// [`connect`](Self::connect) with the options of a dialer.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn connect_with(url: &str, options: MuxOptions, dial: DialOptions) -> Result<Self, OpenError> {
        block_on(hands::Connection::dial_in_background(url, &options, dial)).map(Self::new)
    }

    /// Puts channels on a TCP connection that the program already has; the peer has to do the same. It does
    /// not matter who has connected.
    ///
    /// # Errors
    /// The system does not let it be used without blocking.
    pub fn wrap(io: TcpStream, options: MuxOptions) -> io::Result<Self> {
        block_on(hands::Connection::wrap_std(io, &options)).map(Self::new)
    }

    fn new(inner: hands::Connection) -> Self {
        Self { inner }
    }

    /// The same connection for `async` code.
    pub fn as_async(&self) -> &hands::Connection {
        &self.inner
    }

    /// Opens a channel; waits while the peer takes no more of them.
    ///
    /// # Errors
    /// See [`mux::Connection::open`](crate::mux::Connection::open).
    pub fn open(&self, id: &str) -> Result<Channel, OpenError> {
        block_on(self.inner.open(id)).map(Channel::new)
    }

    /// [`open`](Self::open) with a priority.
    ///
    /// # Errors
    /// As there.
    pub fn open_with(&self, id: ChannelId, priority: Priority) -> Result<Channel, OpenError> {
        block_on(self.inner.open_with(id, priority)).map(Channel::new)
    }

    /// The next channel that the peer opens with this id; the empty id accepts all.
    ///
    /// # Errors
    /// [`AcceptError::Closed`].
    pub fn accept(&self, id: &str) -> Result<Channel, AcceptError> {
        block_on(self.inner.accept(id)).map(Channel::new)
    }

    /// [`accept`](Self::accept), no longer than this.
    ///
    /// # Errors
    /// [`AcceptError::TimedOut`], too.
    pub fn accept_timeout(&self, id: &str, timeout: Duration) -> Result<Channel, AcceptError> {
        block_on(self.inner.accept_timeout(id, timeout)).map(Channel::new)
    }

    /// The next channel of this id if there is one.
    ///
    /// # Errors
    /// [`AcceptError::Empty`], too.
    pub fn try_accept(&self, id: &str) -> Result<Channel, AcceptError> {
        self.inner.try_accept(id).map(Channel::new)
    }

    /// Its number: that of no other connection of this process.
    pub fn number(&self) -> u64 {
        self.inner.number()
    }

    /// What it has counted.
    pub fn stats(&self) -> MuxStats {
        self.inner.stats()
    }

    /// Measures the round trip now.
    ///
    /// # Errors
    /// The connection is over.
    pub fn ping(&self) -> Result<Duration, End> {
        block_on(self.inner.ping())
    }

    /// How it ended; `None` while it has not.
    pub fn end(&self) -> Option<End> {
        self.inner.end()
    }

    /// Waits for the end of the connection.
    pub fn ended(&self) -> End {
        block_on(self.inner.ended())
    }

    /// Tells the peer that no new channels are taken; see
    /// [`mux::Connection::go_away`](crate::mux::Connection::go_away).
    pub fn go_away(&self, code: Code, text: &str) {
        self.inner.go_away(code, text);
    }

    /// Closes: see [`mux::Connection::close`](crate::mux::Connection::close).
    pub fn close(&self, timeout: Duration) -> bool {
        block_on(self.inner.close(timeout))
    }
}

/// See [`mux::Channel`](crate::mux::Channel).
#[derive(Clone, Debug)]
pub struct Channel {
    inner: hands::Channel,
}

impl Channel {
    fn new(inner: hands::Channel) -> Self {
        Self { inner }
    }

    /// The same channel for `async` code.
    pub fn as_async(&self) -> &hands::Channel {
        &self.inner
    }

    /// What it is called.
    pub fn id(&self) -> &ChannelId {
        self.inner.id()
    }

    /// The connection that carries it.
    pub fn connection(&self) -> Connection {
        Connection::new(self.inner.connection())
    }

    /// Waits until the peer's program has accepted it.
    ///
    /// # Errors
    /// How it ended instead.
    pub fn accepted(&self) -> Result<(), ChannelEnd> {
        block_on(self.inner.accepted())
    }

    /// Sends a message; waits for room if there is none.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(&self, body: impl Into<Bytes>) -> Result<(), SendError> {
        block_on(self.inner.send(body))
    }

    /// [`send`](Self::send), no longer than this.
    ///
    /// # Errors
    /// [`SendError::TimedOut`], too.
    pub fn send_timeout(&self, body: impl Into<Bytes>, timeout: Duration) -> Result<(), SendError> {
        block_on(self.inner.send_timeout(body, timeout))
    }

    /// Sends a message if there is room.
    ///
    /// # Errors
    /// [`SendError::Full`], too.
    pub fn try_send(&self, body: impl Into<Bytes>) -> Result<(), SendError> {
        self.inner.try_send(body)
    }

    /// Receives the next message.
    ///
    /// # Errors
    /// See [`RecvError`].
    pub fn recv(&self) -> Result<Bytes, RecvError> {
        block_on(self.inner.recv())
    }

    /// [`recv`](Self::recv), no longer than this.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`], too.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Bytes, RecvError> {
        block_on(self.inner.recv_timeout(timeout))
    }

    /// Receives a message if one is here.
    ///
    /// # Errors
    /// [`RecvError::Empty`], too.
    pub fn try_recv(&self) -> Result<Bytes, RecvError> {
        self.inner.try_recv()
    }

    /// Begins a message of any length.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub fn send_stream(&self) -> Result<SendStream, StreamError> {
        block_on(self.inner.send_stream()).map(|inner| SendStream { inner })
    }

    /// Takes the next message piece by piece.
    ///
    /// # Errors
    /// See [`RecvError`].
    pub fn recv_stream(&self) -> Result<RecvStream, RecvError> {
        block_on(self.inner.recv_stream()).map(|inner| RecvStream { inner, rest: Bytes::new() })
    }

    /// Waits until the peer's program has everything that was sent so far in its queue.
    ///
    /// # Errors
    /// [`FlushError::Lost`].
    pub fn flush(&self) -> Result<(), FlushError> {
        block_on(self.inner.flush())
    }

    /// [`flush`](Self::flush), no longer than this.
    ///
    /// # Errors
    /// [`FlushError::TimedOut`], too.
    pub fn flush_timeout(&self, timeout: Duration) -> Result<(), FlushError> {
        block_on(self.inner.flush_timeout(timeout))
    }

    /// What became of what was sent.
    pub fn account(&self) -> Account {
        self.inner.account()
    }

    /// What it has counted.
    pub fn stats(&self) -> ChannelStats {
        self.inner.stats()
    }

    /// Sends nothing more.
    pub fn finish(&self) {
        self.inner.finish();
    }

    /// Takes nothing more.
    pub fn stop(&self, code: Code) {
        self.inner.stop(code);
    }

    /// Ends both directions at once; what waits is not sent.
    pub fn reset(&self, code: Code, text: &str) {
        self.inner.reset(code, text);
    }

    /// How it ended before its time, if it has.
    pub fn end(&self) -> Option<ChannelEnd> {
        self.inner.end()
    }

    /// Closes: see [`mux::Channel::close`](crate::mux::Channel::close).
    pub fn close(&self, timeout: Duration) -> CloseReport {
        block_on(self.inner.close(timeout))
    }
}

/// See [`mux::SendStream`](crate::mux::SendStream). As [`Write`](io::Write): `flush` has nothing to do, as
/// nothing is kept back.
#[derive(Debug)]
pub struct SendStream {
    inner: hands::SendStream,
}

/// What one call of `Write::write` takes.
const PIECE_BYTES: usize = 64 * 1024;

impl SendStream {
    /// Sends more of it, without a copy; waits for room.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub fn send(&mut self, bytes: impl Into<Bytes>) -> Result<(), StreamError> {
        block_on(self.inner.write(bytes))
    }

    /// It is whole. Returns at once.
    pub fn finish(self) {
        self.inner.finish();
    }
}

impl io::Write for SendStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let piece = &buffer[..buffer.len().min(PIECE_BYTES)];
        block_on(self.inner.write(Bytes::copy_from_slice(piece)))?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// See [`mux::RecvStream`](crate::mux::RecvStream). An iterator over its pieces, or a [`Read`](io::Read).
#[derive(Debug)]
pub struct RecvStream {
    inner: hands::RecvStream,
    /// Of a piece that was read in part.
    rest: Bytes,
}

impl RecvStream {
    /// The next piece, `None` at the end.
    ///
    /// # Errors
    /// The sender gave it up, or the channel ended.
    pub fn recv(&mut self) -> Result<Option<Bytes>, StreamError> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        block_on(self.inner.read())
    }
}

impl Iterator for RecvStream {
    type Item = Result<Bytes, StreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.recv().transpose()
    }
}

impl io::Read for RecvStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.rest.is_empty() {
            match block_on(self.inner.read())? {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// See [`mux::Server`](crate::mux::Server).
#[derive(Clone, Debug)]
pub struct Server {
    inner: hands::Server,
}

impl Server {
    /// A server with default options that listens at an address.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn bind(url: &str) -> Result<Self, ListenError> {
        let server = Self::with(ServerOptions::default());
        server.listen(url)?;
        Ok(server)
    }

    /// A server that does not listen yet.
    pub fn with(options: ServerOptions) -> Self {
        Self { inner: hands::Server::in_background(options) }
    }

    /// Listens at another address, and returns it with its real port.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn listen(&self, url: &str) -> Result<String, ListenError> {
        block_on(self.inner.listen(url))
    }

    /// Stops listening at an address; connections stay. Whether it did.
    pub fn unlisten(&self, url: &str) -> bool {
        self.inner.unlisten(url)
    }

    /// The address of its first listener.
    pub fn url(&self) -> String {
        self.inner.url()
    }

    /// Where it listens.
    pub fn urls(&self) -> Vec<String> {
        self.inner.urls()
    }

    /// The first IP address it is bound to, with its real port.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.inner.local_addr()
    }

    /// The next channel with this id; see [`mux::Server::accept`](crate::mux::Server::accept).
    ///
    /// # Errors
    /// [`AcceptError::Closed`] when the server is closed.
    pub fn accept(&self, id: &str) -> Result<Channel, AcceptError> {
        block_on(self.inner.accept(id)).map(Channel::new)
    }

    /// [`accept`](Self::accept), no longer than this.
    ///
    /// # Errors
    /// [`AcceptError::TimedOut`], too.
    pub fn accept_timeout(&self, id: &str, timeout: Duration) -> Result<Channel, AcceptError> {
        block_on(self.inner.accept_timeout(id, timeout)).map(Channel::new)
    }

    /// The next channel with this id if there is one.
    ///
    /// # Errors
    /// [`AcceptError::Empty`], too.
    pub fn try_accept(&self, id: &str) -> Result<Channel, AcceptError> {
        self.inner.try_accept(id).map(Channel::new)
    }

    /// The connections that it has now.
    pub fn connections(&self) -> Vec<Connection> {
        self.inner.connections().into_iter().map(Connection::new).collect()
    }

    /// What it has counted.
    pub fn stats(&self) -> ServerStats {
        self.inner.stats()
    }

    /// What happens from now on: an iterator that waits for each event.
    pub fn events(&self) -> Events {
        Events { inner: self.inner.events() }
    }

    /// Closes: see [`mux::Server::close`](crate::mux::Server::close).
    pub fn close(&self, timeout: Duration) -> bool {
        block_on(self.inner.close(timeout))
    }
}

/// See [`mux::Events`](crate::mux::Events).
#[derive(Debug)]
pub struct Events {
    inner: hands::Events,
}

impl Events {
    /// The next event if there is one.
    pub fn try_next(&mut self) -> Option<Event> {
        self.inner.try_next()
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        block_on(self.inner.next())
    }
}

/// See [`mux::Pool`](crate::mux::Pool).
#[derive(Clone, Debug)]
pub struct Pool {
    inner: hands::Pool,
}

impl Pool {
    /// The one that all of this process share, those who are `async` too.
    pub fn global() -> Self {
        Self { inner: hands::Pool::global() }
    }

    /// A pool of its own.
    pub fn with(options: PoolOptions) -> Self {
        Self { inner: hands::Pool::in_background(options) }
    }

    /// Opens a channel to an address; see [`mux::Pool::open`](crate::mux::Pool::open).
    ///
    /// # Errors
    /// As there.
    pub fn open(&self, url: &str, id: &str) -> Result<Channel, OpenError> {
        block_on(self.inner.open(url, id)).map(Channel::new)
    }

    /// [`open`](Self::open) with a priority.
    ///
    /// # Errors
    /// As there.
    pub fn open_with(&self, url: &str, id: ChannelId, priority: Priority) -> Result<Channel, OpenError> {
        block_on(self.inner.open_with(url, id, priority)).map(Channel::new)
    }

    /// [`open`](Self::open), no longer than this.
    ///
    /// # Errors
    /// [`OpenError::TimedOut`], too.
    pub fn open_timeout(&self, url: &str, id: &str, timeout: Duration) -> Result<Channel, OpenError> {
        block_on(self.inner.open_timeout(url, id, timeout)).map(Channel::new)
    }

    /// A logical connection through this pool; see [`mux::Logical`](crate::mux::Logical).
    ///
    /// # Errors
    /// See [`mux::Logical::with`](crate::mux::Logical::with).
    pub fn connect(&self, url: &str, id: &str, options: LogicalOptions) -> Result<Logical, OpenError> {
        hands::Logical::with(&self.inner, url, id, options).map(|inner| Logical { inner })
    }

    /// The physical connections that are open.
    pub fn connections(&self) -> Vec<Connection> {
        self.inner.connections().into_iter().map(Connection::new).collect()
    }

    /// What it has counted, in all and on each physical connection.
    pub fn stats(&self) -> PoolReport {
        self.inner.stats()
    }

    /// What happens from now on: an iterator that waits for each event.
    pub fn events(&self) -> Events {
        Events { inner: self.inner.events() }
    }

    /// Closes: see [`mux::Pool::close`](crate::mux::Pool::close).
    pub fn close(&self, timeout: Duration) -> bool {
        block_on(self.inner.close(timeout))
    }
}

/// See [`mux::Logical`](crate::mux::Logical).
#[derive(Clone, Debug)]
pub struct Logical {
    inner: hands::Logical,
}

impl Logical {
    /// What it is called.
    pub fn id(&self) -> &ChannelId {
        self.inner.id()
    }

    /// The address.
    pub fn url(&self) -> &str {
        self.inner.url()
    }

    /// The same for `async` code.
    pub fn as_async(&self) -> &hands::Logical {
        &self.inner
    }

    /// Sends a message; opens a channel if there is none, and waits for room.
    ///
    /// # Errors
    /// See [`LogicalSendError`].
    pub fn send(&self, body: impl Into<Bytes>) -> Result<(), LogicalSendError> {
        block_on(self.inner.send(body))
    }

    /// [`send`](Self::send), no longer than this.
    ///
    /// # Errors
    /// [`LogicalSendError::TimedOut`], too.
    pub fn send_timeout(&self, body: impl Into<Bytes>, timeout: Duration) -> Result<(), LogicalSendError> {
        block_on(self.inner.send_timeout(body, timeout))
    }

    /// Sends a message if there is a channel and room.
    ///
    /// # Errors
    /// [`LogicalSendError::Full`], too.
    pub fn try_send(&self, body: impl Into<Bytes>) -> Result<(), LogicalSendError> {
        self.inner.try_send(body)
    }

    /// Receives the next message; opens a channel if there is none, and waits.
    ///
    /// # Errors
    /// See [`LogicalRecvError`].
    pub fn recv(&self) -> Result<Bytes, LogicalRecvError> {
        block_on(self.inner.recv())
    }

    /// [`recv`](Self::recv), no longer than this.
    ///
    /// # Errors
    /// [`LogicalRecvError::TimedOut`], too.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Bytes, LogicalRecvError> {
        block_on(self.inner.recv_timeout(timeout))
    }

    /// Receives a message if one is here.
    ///
    /// # Errors
    /// [`LogicalRecvError::Empty`], too.
    pub fn try_recv(&self) -> Result<Bytes, LogicalRecvError> {
        self.inner.try_recv()
    }

    /// Waits until the peer's program has everything that was sent so far in its queue.
    ///
    /// # Errors
    /// [`FlushError::Lost`].
    pub fn flush(&self) -> Result<(), FlushError> {
        block_on(self.inner.flush())
    }

    /// [`flush`](Self::flush), no longer than this.
    ///
    /// # Errors
    /// [`FlushError::TimedOut`], too.
    pub fn flush_timeout(&self, timeout: Duration) -> Result<(), FlushError> {
        block_on(self.inner.flush_timeout(timeout))
    }

    /// What became of what was sent, on all of its channels.
    pub fn account(&self) -> Account {
        self.inner.account()
    }

    /// What it has counted.
    pub fn stats(&self) -> LogicalStats {
        self.inner.stats()
    }

    /// Closes: see [`mux::Logical::close`](crate::mux::Logical::close).
    pub fn close(&self, timeout: Duration) -> CloseReport {
        block_on(self.inner.close(timeout))
    }
}
