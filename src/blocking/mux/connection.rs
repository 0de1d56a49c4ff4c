//! [`Connection`]: one connection that carries channels.

use super::Channel;
use crate::mux as hands;
use crate::mux::{AcceptError, ChannelId, Code, End, MuxOptions, MuxStats, OpenError, Priority};
use crate::options::DialOptions;
use crate::rt::block_on;
use std::io;
use std::net::TcpStream;
use std::time::Duration;

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

    pub(super) fn new(inner: hands::Connection) -> Self {
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
