//! [`Pool`]: the physical connections of a program, shared by its logical ones.

use super::{Channel, Connection, Events, Logical};
use crate::mux as hands;
use crate::mux::{ChannelId, LogicalOptions, OpenError, PoolOptions, PoolReport, Priority};
use crate::rt::block_on;
use std::time::Duration;

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

    /// The same pool for `async` code.
    pub fn as_async(&self) -> &hands::Pool {
        &self.inner
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
        hands::Logical::with(&self.inner, url, id, options).map(Logical::new)
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
        Events::new(self.inner.events())
    }

    /// Closes: see [`mux::Pool::close`](crate::mux::Pool::close).
    pub fn close(&self, timeout: Duration) -> bool {
        block_on(self.inner.close(timeout))
    }
}
