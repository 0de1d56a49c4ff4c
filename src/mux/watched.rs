//! [`Watched`]: what pools, servers and connections show of themselves to those who watch.

use super::connection::Connection;
use super::pool::{Pool, PoolCore};
use super::server::{Server, ServerCore};
use super::wire::Wire;
use spanwire_core::mux::snapshot::{MuxConnectionSnapshot, MuxRole, MuxSnapshot, told_channels};
use std::fmt;
use std::sync::{Arc, Weak};

/// A pool, a server or a connection that somebody watches, which does not keep it open.
#[derive(Clone)]
pub(crate) enum Watched {
    Pool(Weak<PoolCore>),
    Server(Weak<ServerCore>),
    Connection(Weak<Wire>),
}

impl Pool {
    pub(crate) fn watched(&self) -> Watched {
        Watched::Pool(Arc::downgrade(self.core()))
    }
}

impl Server {
    pub(crate) fn watched(&self) -> Watched {
        Watched::Server(Arc::downgrade(self.core()))
    }
}

impl Connection {
    pub(crate) fn watched(&self) -> Watched {
        Watched::Connection(Arc::downgrade(self.wire()))
    }
}

impl Watched {
    /// What it shows now; nothing once it is closed. Each connection is asked under its own lock, one after the
    /// other, and under no other lock.
    pub(crate) fn snapshot(&self) -> Option<MuxSnapshot> {
        Some(match self {
            Self::Pool(pool) => {
                let pool = open(pool, PoolCore::is_open)?;
                let (counted, waiting) = pool.counted();
                let mut all = MuxSnapshot::new(MuxRole::Pool);
                (all.attempts, all.failures) = (counted.dials, counted.failed_dials);
                (all.refused, all.evicted) = (counted.refused, counted.expired + counted.evicted);
                (all.waiting, all.connections) = (waiting, each(&pool.connections()));
                all
            }
            Self::Server(server) => {
                let server = open(server, ServerCore::is_open)?;
                let counted = server.stats();
                let mut all = MuxSnapshot::new(MuxRole::Server);
                (all.attempts, all.failures) = (counted.arrived, counted.failures);
                (all.refused, all.evicted) = (counted.filtered + counted.full, counted.evicted);
                (all.waiting, all.connections) = (counted.half_open, each(&server.connections()));
                all
            }
            Self::Connection(wire) => {
                let wire = open(wire, goes_on)?;
                let mut all = MuxSnapshot::new(MuxRole::Connection);
                all.attempts = 1;
                all.connections.push(of_wire(&wire, told_channels(1)));
                all
            }
        })
    }

    /// Whether there is something to watch.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Pool(pool) => open(pool, PoolCore::is_open).is_some(),
            Self::Server(server) => open(server, ServerCore::is_open).is_some(),
            Self::Connection(wire) => open(wire, goes_on).is_some(),
        }
    }
}

fn open<T>(weak: &Weak<T>, is_open: impl Fn(&T) -> bool) -> Option<Arc<T>> {
    weak.upgrade().filter(|strong| is_open(strong))
}

fn goes_on(wire: &Wire) -> bool {
    wire.lock().mux.end().is_none()
}

fn each(connections: &[Connection]) -> Vec<MuxConnectionSnapshot> {
    let channels = told_channels(connections.len());
    connections.iter().map(|connection| of_wire(connection.wire(), channels)).collect()
}

fn of_wire(wire: &Wire, channels: usize) -> MuxConnectionSnapshot {
    let mut one = {
        let mut state = wire.lock();
        let mut one = state.mux.snapshot(channels);
        one.waiting_bytes = state.waiting_bytes();
        one
    };
    one.number = wire.number;
    one.url = wire.origin.url.to_string();
    one.remote = wire.ends().map_or_else(String::new, |ends| ends.remote.to_string());
    one.dialed = wire.origin.dialed;
    one
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(match self {
            Self::Pool(_) => "Pool",
            Self::Server(_) => "Server",
            Self::Connection(_) => "Connection",
        })
        .finish_non_exhaustive()
    }
}
