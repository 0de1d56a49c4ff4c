//! [`Guest`]: what a connection is at the server that has taken it.
//!
//! ```text
//!   arrives ─ filter ─▶ half-open ─ Hello ─ come_in: a place? ─▶ inside ─ Ack ─ opened ─▶ ready to be accepted
//!      └──────────────────────────────── leave, at any point ◀────────────────────────────────────┘
//! ```

use super::conn::Conn;
use super::rates::Who;
use super::server::ServerCore;
use crate::endpoint::listening::Listening;
use crate::transport::Ends;
use spanwire_core::framing::link::Reason;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

/// What a connection is at the server that has taken it.
pub(super) struct Guest {
    server: Weak<ServerCore>,
    listening: Arc<Listening>,
    /// Counted among those inside, as this one.
    entered: Mutex<Option<Who>>,
    stage: Mutex<Stage>,
}

/// ```text
///              keep               Ack
///   Arriving ───────▶ HalfOpen ─────────▶ HandedOver
///      │ Ack                                  ▲
///      └──────▶ Opened ──────── keep ─────────┘       (and from all of them: leave ▶ Gone)
/// ```
enum Stage {
    /// Its handle is not here yet.
    Arriving,
    /// Kept until its handshake is done, or comes to nothing.
    HalfOpen(Conn),
    /// Its task was quicker than its handle.
    Opened,
    /// The server has it, for somebody to accept it.
    HandedOver,
    Gone,
}

impl Guest {
    pub(super) fn new(server: &Arc<ServerCore>, listening: &Arc<Listening>) -> Self {
        Self {
            server: Arc::downgrade(server),
            listening: listening.clone(),
            entered: Mutex::new(None),
            stage: Mutex::new(Stage::Arriving),
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Here is its handle, after it was noted as half-open.
    pub(super) fn keep(&self, conn: Conn) {
        let number = conn.number();
        let mut stage = self.stage();
        match *stage {
            Stage::Arriving => {
                *stage = Stage::HalfOpen(conn);
                return;
            }
            Stage::Opened => {
                *stage = Stage::HandedOver;
                drop(stage);
                self.hand_over(conn);
            }
            Stage::HalfOpen(_) | Stage::HandedOver | Stage::Gone => drop(stage),
        }
        // It was noted when that was over already.
        self.listening.settled(number);
    }

    fn hand_over(&self, conn: Conn) {
        let Some(server) = self.server.upgrade() else { return };
        let waits = {
            let mut state = server.lock();
            if state.closed {
                // Without the lock: it may be the last handle.
                drop(state);
                return;
            }
            state.ready.push_back(conn);
            std::mem::take(&mut state.waits)
        };
        waits.into_iter().for_each(Waker::wake);
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
        if let Some(server) = self.server.upgrade() {
            server.lock().stats.opened += 1;
        }
        let mut stage = self.stage();
        let next = match &*stage {
            Stage::Arriving => Stage::Opened,
            Stage::HalfOpen(_) => Stage::HandedOver,
            Stage::Opened | Stage::HandedOver | Stage::Gone => return,
        };
        let former = std::mem::replace(&mut *stage, next);
        drop(stage);
        if let Stage::HalfOpen(conn) = former {
            self.hand_over(conn);
        }
    }

    /// It is gone, at whatever point.
    pub(super) fn leave(&self, number: u64) {
        // Without the lock: it may be the last handle.
        let former = std::mem::replace(&mut *self.stage(), Stage::Gone);
        drop(former);
        self.listening.settled(number);
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
