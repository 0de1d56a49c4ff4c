//! [`Server`]: takes connections, and hands out their channels; [`Events`].

use super::{Channel, Connection};
use crate::ListenError;
use crate::mux as hands;
use crate::mux::{AcceptError, Event, ServerOptions, ServerStats};
use crate::rt::block_on;
use std::net::SocketAddr;
use std::time::Duration;

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

    /// The same server for `async` code.
    pub fn as_async(&self) -> &hands::Server {
        &self.inner
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
        Events::new(self.inner.events())
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
    pub(super) fn new(inner: hands::Events) -> Self {
        Self { inner }
    }

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
