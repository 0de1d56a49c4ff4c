//! [`Guest`]: what a connection is at the server that has taken it.
//!
//! ```text
//!   arrives ─ filter ─▶ half-open ─ Hello ─ come_in: a place? ─▶ inside ─ Ack ─ opened ─▶ ready to be accepted
//!      └──────────────────────────────── leave, at any point ◀────────────────────────────────────┘
//! ```

use super::conn::Conn;
use super::listening::Listening;
use super::rates::Who;
use super::server::ServerCore;
use crate::transport::Ends;
use spanwire_core::framing::link::Reason;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

/// What a connection is at the server that has taken it.
pub(super) struct Guest {
    server: Weak<ServerCore>,
    listening: Arc<Listening>,
    /// Counted among those inside, as this one.
    entered: Mutex<Option<Who>>,
    /// Kept until somebody accepts it, or it comes to nothing.
    conn: Mutex<Option<Conn>>,
    left: AtomicBool,
}

impl Guest {
    pub(super) fn new(server: &Arc<ServerCore>, listening: &Arc<Listening>) -> Self {
        Self {
            server: Arc::downgrade(server),
            listening: listening.clone(),
            entered: Mutex::new(None),
            conn: Mutex::new(None),
            left: AtomicBool::new(false),
        }
    }

    fn conn(&self) -> MutexGuard<'_, Option<Conn>> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `false`: it has ended already, and nobody would let it go.
    pub(super) fn keep(&self, conn: Conn) -> bool {
        let mut place = self.conn();
        let kept = !self.left.load(Ordering::Acquire);
        if kept {
            *place = Some(conn);
        }
        kept
    }

    /// The filter of the application is asked.
    pub(super) fn passes_filter(&self, ends: &Ends) -> bool {
        let Some(server) = self.server.upgrade() else { return false };
        let passes = server.options.filter.as_ref().is_none_or(|filter| filter(ends));
        if !passes {
            server.lock().stats.filtered += 1;
        }
        passes
    }

    /// It has said Hello: whether there is a place for it.
    pub(super) fn come_in(&self, ends: Option<&Ends>) -> Result<(), Reason> {
        let Some(server) = self.server.upgrade() else { return Err(Reason::Closing) };
        let key = Who::by_transport(ends);
        let mut state = server.lock();
        if state.closed {
            return Err(Reason::Closing);
        }
        let of_peer = state.per_peer.get(&key).copied().unwrap_or(0);
        let limit = server.options.connections_per_peer.unwrap_or(usize::MAX).max(1);
        if state.inside >= server.options.connections.max(1) || of_peer >= limit {
            state.stats.full += 1;
            return Err(Reason::Full);
        }
        state.inside += 1;
        *state.per_peer.entry(key.clone()).or_default() += 1;
        *self.entered.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(())
    }

    /// Its handshake is done.
    pub(super) fn opened(&self, number: u64) {
        self.listening.settled(number);
        let conn = self.conn().take();
        let Some(server) = self.server.upgrade() else { return };
        let waits = {
            let mut state = server.lock();
            state.stats.opened += 1;
            if state.closed {
                return;
            }
            state.ready.extend(conn);
            std::mem::take(&mut state.waits)
        };
        waits.into_iter().for_each(Waker::wake);
    }

    /// It is gone, at whatever point.
    pub(super) fn leave(&self, number: u64) {
        self.left.store(true, Ordering::Release);
        self.listening.settled(number);
        drop(self.conn().take());
        let entered = self.entered.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(key), Some(server)) = (entered, self.server.upgrade()) else { return };
        let mut state = server.lock();
        state.inside -= 1;
        if let Some(count) = state.per_peer.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                state.per_peer.remove(&key);
            }
        }
    }
}
