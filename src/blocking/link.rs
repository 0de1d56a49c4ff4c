//! Plain connections without `async`: see [`link`](crate::link) for what they are.
//!
//! ```
//! use spanwire::blocking::link;
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = link::serve("tcp://127.0.0.1:0")?;
//! let here = link::connect(&server.url())?;
//! let there = server.accept()?;
//! here.send("a message")?;
//! assert_eq!(&there.recv()?.body[..], b"a message");
//! here.close(Duration::from_secs(1));
//! # Ok(()) }
//! ```
//!
//! Each type wraps the one of the same name, whose tasks run on the library's thread; a call blocks the
//! thread that makes it.

use crate::link as hands;
use crate::link::{
    CallError, CloseReport, ConnectError, End, HostOptions, LinkStats, Metadata, Parcel, Peer, RecvError,
    SendError, ServerOptions, ServerStats, StreamError,
};
use crate::options::DialOptions;
use crate::rt::block_on;
use crate::{ListenError, Place};
use bytes::Bytes;
use std::time::Duration;

/// Connects as a host of its own. See [`link::connect`](crate::link::connect).
///
/// # Errors
/// As there.
pub fn connect(url: &str) -> Result<Conn, ConnectError> {
    Host::with(HostOptions::default()).connect(url)
}

/// Listens as a host of its own. See [`link::serve`](crate::link::serve).
///
/// # Errors
/// As there.
pub fn serve(url: &str) -> Result<Server, ListenError> {
    Host::with(HostOptions::default()).serve(url)
}

/// See [`link::Host`](crate::link::Host).
#[derive(Clone, Debug)]
pub struct Host {
    inner: hands::Host,
}

impl Host {
    /// A host of this name with default options.
    pub fn new(name: impl Into<String>) -> Self {
        Self::with(HostOptions { name: name.into(), ..HostOptions::default() })
    }

    /// A host with these options.
    pub fn with(options: HostOptions) -> Self {
        Self { inner: hands::Host::in_background(options) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// Connects; returns when the handshake is done.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect(&self, url: &str) -> Result<Conn, ConnectError> {
        block_on(self.inner.connect(url)).map(Conn::new)
    }

    /// [`connect`](Self::connect) with options.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect_with(&self, url: &str, options: DialOptions) -> Result<Conn, ConnectError> {
        block_on(self.inner.connect_with(url, options)).map(Conn::new)
    }

    /// [`connect`](Self::connect), no longer than this.
    ///
    /// # Errors
    /// [`ConnectError::TimedOut`], too.
    pub fn connect_timeout(&self, url: &str, timeout: Duration) -> Result<Conn, ConnectError> {
        block_on(self.inner.connect_timeout(url, timeout)).map(Conn::new)
    }

    /// A dialer to this address. It starts at once.
    ///
    /// # Errors
    /// The address cannot be dialled.
    pub fn dialer(&self, url: &str) -> Result<Dialer, ConnectError> {
        self.dialer_with(url, DialOptions::default())
    }

    /// [`dialer`](Self::dialer) with options.
    ///
    /// # Errors
    /// The address cannot be dialled.
    pub fn dialer_with(&self, url: &str, options: DialOptions) -> Result<Dialer, ConnectError> {
        self.inner.dialer_with(url, options).map(|inner| Dialer { inner })
    }

    /// Listens at an address; more can be added to the server.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn serve(&self, url: &str) -> Result<Server, ListenError> {
        block_on(self.inner.serve(url)).map(|inner| Server { inner })
    }

    /// A server that does not listen yet.
    pub fn server(&self, options: ServerOptions) -> Server {
        Server { inner: self.inner.server(options) }
    }

    /// Who is connected.
    pub fn peers(&self) -> Vec<Peer> {
        self.inner.peers()
    }

    /// What happens from now on: an iterator that waits for each event.
    pub fn events(&self) -> Events {
        Events { inner: self.inner.events() }
    }
}

/// See [`link::Events`](crate::link::Events).
#[derive(Debug)]
pub struct Events {
    inner: hands::Events,
}

impl Events {
    /// The next event if there is one.
    pub fn try_next(&mut self) -> Option<hands::Event> {
        self.inner.try_next()
    }
}

impl Iterator for Events {
    type Item = hands::Event;

    fn next(&mut self) -> Option<hands::Event> {
        block_on(self.inner.next())
    }
}

/// See [`link::Dialer`](crate::link::Dialer).
#[derive(Debug)]
pub struct Dialer {
    inner: hands::Dialer,
}

impl Dialer {
    /// The next connection: the first, or the one after that which was handed out last is gone.
    ///
    /// # Errors
    /// See [`link::Dialer::next`](crate::link::Dialer::next).
    #[allow(clippy::should_implement_trait)]
    pub fn next(&self) -> Result<Conn, ConnectError> {
        block_on(self.inner.next()).map(Conn::new)
    }

    /// [`next`](Self::next), no longer than this.
    ///
    /// # Errors
    /// [`ConnectError::TimedOut`], too.
    pub fn next_timeout(&self, timeout: Duration) -> Result<Conn, ConnectError> {
        block_on(self.inner.next_timeout(timeout)).map(Conn::new)
    }

    /// Ends it.
    pub fn close(&self, timeout: Duration) {
        block_on(self.inner.close(timeout));
    }
}

/// See [`link::Server`](crate::link::Server).
#[derive(Clone, Debug)]
pub struct Server {
    inner: hands::Server,
}

impl Server {
    /// Listens at another address, and returns it with its real port.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn listen(&self, url: &str) -> Result<String, ListenError> {
        block_on(self.inner.listen(url))
    }

    /// The address of its first listener.
    pub fn url(&self) -> String {
        self.inner.url()
    }

    /// Where it listens.
    pub fn urls(&self) -> Vec<String> {
        self.inner.urls()
    }

    /// The next connection.
    ///
    /// # Errors
    /// The server is closed.
    pub fn accept(&self) -> Result<Conn, RecvError> {
        block_on(self.inner.accept()).map(Conn::new)
    }

    /// [`accept`](Self::accept), no longer than this.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`], too.
    pub fn accept_timeout(&self, timeout: Duration) -> Result<Conn, RecvError> {
        block_on(self.inner.accept_timeout(timeout)).map(Conn::new)
    }

    /// The next connection if there is one.
    ///
    /// # Errors
    /// [`RecvError::Empty`], too.
    pub fn try_accept(&self) -> Result<Conn, RecvError> {
        self.inner.try_accept().map(Conn::new)
    }

    /// What it has counted.
    pub fn stats(&self) -> ServerStats {
        self.inner.stats()
    }

    /// Stops listening; see [`link::Server::close`](crate::link::Server::close).
    pub fn close(&self, timeout: Duration) {
        block_on(self.inner.close(timeout));
    }
}

/// See [`link::Conn`](crate::link::Conn).
#[derive(Clone, Debug)]
pub struct Conn {
    inner: hands::Conn,
}

impl Conn {
    fn new(inner: hands::Conn) -> Self {
        Self { inner }
    }

    /// The same connection for `async` code.
    pub fn as_async(&self) -> &hands::Conn {
        &self.inner
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer {
        self.inner.peer()
    }

    /// Our end of it.
    pub fn local(&self) -> Option<Place> {
        self.inner.local()
    }

    /// The peer's end of it.
    pub fn remote(&self) -> Option<Place> {
        self.inner.remote()
    }

    /// What the peer says about itself.
    pub fn metadata(&self) -> Metadata {
        self.inner.metadata()
    }

    /// Tells the peer what we say about ourselves from now on.
    ///
    /// # Errors
    /// The connection is over.
    pub fn update_metadata(&self, metadata: Metadata) -> Result<(), RecvError> {
        self.inner.update_metadata(metadata)
    }

    /// What it has counted.
    pub fn stats(&self) -> LinkStats {
        self.inner.stats()
    }

    /// The round trip that was measured last.
    pub fn round_trip(&self) -> Option<Duration> {
        self.inner.round_trip()
    }

    /// How it ended; `None` while it has not.
    pub fn end(&self) -> Option<End> {
        self.inner.end()
    }

    /// Waits for the end of the connection.
    pub fn ended(&self) -> End {
        block_on(self.inner.ended())
    }

    /// Sends a message; waits for room if there is none.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(&self, parcel: impl Into<Parcel>) -> Result<(), SendError> {
        block_on(self.inner.send(parcel))
    }

    /// [`send`](Self::send), no longer than this.
    ///
    /// # Errors
    /// [`SendError::TimedOut`], too.
    pub fn send_timeout(&self, parcel: impl Into<Parcel>, timeout: Duration) -> Result<(), SendError> {
        block_on(self.inner.send_timeout(parcel, timeout))
    }

    /// Sends a message if there is room.
    ///
    /// # Errors
    /// [`SendError::Full`], too.
    pub fn try_send(&self, parcel: impl Into<Parcel>) -> Result<(), SendError> {
        self.inner.try_send(parcel)
    }

    /// Receives the next message.
    ///
    /// # Errors
    /// [`RecvError::Closed`] once the connection is over and all that came was taken.
    pub fn recv(&self) -> Result<Parcel, RecvError> {
        block_on(self.inner.recv())
    }

    /// [`recv`](Self::recv), no longer than this.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`], too.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Parcel, RecvError> {
        block_on(self.inner.recv_timeout(timeout))
    }

    /// Receives a message if one is here.
    ///
    /// # Errors
    /// [`RecvError::Empty`], too.
    pub fn try_recv(&self) -> Result<Parcel, RecvError> {
        self.inner.try_recv()
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call(&self, request: impl Into<Parcel>) -> Result<Bytes, CallError> {
        block_on(self.inner.call(request))
    }

    /// [`call`](Self::call), no longer than this.
    ///
    /// # Errors
    /// [`CallError::TimedOut`], too.
    pub fn call_timeout(&self, request: impl Into<Parcel>, timeout: Duration) -> Result<Bytes, CallError> {
        block_on(self.inner.call_timeout(request, timeout))
    }

    /// Receives the next request, which is answered as in [`link::Request`](crate::link::Request).
    ///
    /// # Errors
    /// [`RecvError::Closed`] once the connection is over.
    pub fn recv_request(&self) -> Result<hands::Request, RecvError> {
        block_on(self.inner.recv_request())
    }

    /// [`recv_request`](Self::recv_request), no longer than this.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`], too.
    pub fn recv_request_timeout(&self, timeout: Duration) -> Result<hands::Request, RecvError> {
        block_on(self.inner.recv_request_timeout(timeout))
    }

    /// Begins a message of any length.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub fn send_stream(&self, head: impl Into<Parcel>) -> Result<SendStream, StreamError> {
        block_on(self.inner.send_stream(head)).map(|inner| SendStream { inner })
    }

    /// Receives the beginning of the next streamed message.
    ///
    /// # Errors
    /// [`RecvError::Closed`] once the connection is over.
    pub fn recv_stream(&self) -> Result<RecvStream, RecvError> {
        block_on(self.inner.recv_stream()).map(|inner| RecvStream { inner })
    }

    /// Closes: see [`link::Conn::close`](crate::link::Conn::close).
    pub fn close(&self, timeout: Duration) -> CloseReport {
        block_on(self.inner.close(timeout))
    }
}

/// See [`link::SendStream`](crate::link::SendStream).
#[derive(Debug)]
pub struct SendStream {
    inner: hands::SendStream,
}

impl SendStream {
    /// Writes the next bytes; waits for room.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub fn write_chunk(&mut self, data: impl Into<Bytes>) -> Result<(), StreamError> {
        block_on(self.inner.write_chunk(data))
    }

    /// All was written: waits until the peer's program has had all of it.
    ///
    /// # Errors
    /// The connection ended first.
    pub fn finish(self) -> Result<(), StreamError> {
        block_on(self.inner.finish())
    }
}

/// See [`link::RecvStream`](crate::link::RecvStream). An iterator over its pieces.
#[derive(Debug)]
pub struct RecvStream {
    inner: hands::RecvStream,
}

impl RecvStream {
    /// Which message of which protocol it is.
    pub fn head(&self) -> &Parcel {
        self.inner.head()
    }

    /// The next piece, `None` at the end.
    ///
    /// # Errors
    /// The sender gave it up, or the connection ended.
    pub fn read_chunk(&mut self) -> Result<Option<Bytes>, StreamError> {
        block_on(self.inner.read_chunk())
    }
}

impl Iterator for RecvStream {
    type Item = Result<Bytes, StreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_chunk().transpose()
    }
}
