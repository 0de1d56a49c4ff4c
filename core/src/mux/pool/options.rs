//! [`PoolOptions`]: every bound and every timer of a pool; [`PoolStats`]: what it counts.

use core::time::Duration;

/// The bounds and timers of a [`Pool`](super::Pool).
///
/// ```
/// use spanwire_core::mux::pool::PoolOptions;
/// let options = PoolOptions { per_address: 4, ..PoolOptions::default() };
/// assert_eq!(options.in_all, 1_024);
/// ```
///
/// Values outside a field's range are moved to the nearest end of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// Physical connections to one address, dialled or being dialled. Default 1; at least 1. With more, a
    /// logical connection goes where the fewest are, and another one is dialled while none is free. Those
    /// that the peer is about to end do not count.
    pub per_address: usize,
    /// Physical connections of all addresses, in whatever state. Default 1,024; at least 1.
    pub in_all: usize,
    /// Who may wait for a physical connection; others are refused. Default 4,096; at least 1.
    pub max_waiting: usize,
    /// What happens to a physical connection without logical ones. Default: it is closed after 5 minutes.
    pub idle: Idle,
    /// The first pause after a failed dial on behalf of connections that stay up; each is random in zero to
    /// this, and doubles. Default 100 ms; at least 1 ms. Who asks for a connection never waits for a pause.
    pub reconnect_min: Duration,
    /// The longest of these pauses. Default 10 s; at least `reconnect_min`.
    pub reconnect_max: Duration,
}

/// What happens to a physical connection without logical ones. It is kept in any case while one that asks to
/// stay up needs it, and closed in any case when the pool is full and another address needs its room.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Idle {
    /// It is closed after this time. Zero means the default, 5 minutes.
    CloseAfter(Duration),
    /// It is closed with the last logical one. A dial that nobody waits for any more is given up.
    CloseAtOnce,
    /// It is kept.
    Keep,
}

const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

impl Default for Idle {
    fn default() -> Self {
        Self::CloseAfter(IDLE_TIMEOUT)
    }
}

impl Idle {
    pub(super) fn timeout(self) -> Option<Duration> {
        match self {
            Self::CloseAfter(Duration::ZERO) => Some(IDLE_TIMEOUT),
            Self::CloseAfter(timeout) => Some(timeout),
            Self::CloseAtOnce | Self::Keep => None,
        }
    }
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            per_address: 1,
            in_all: 1_024,
            max_waiting: 4_096,
            idle: Idle::default(),
            reconnect_min: Duration::from_millis(100),
            reconnect_max: Duration::from_secs(10),
        }
    }
}

impl PoolOptions {
    /// The same with every value inside its range; a pool applies this itself.
    #[must_use]
    pub fn clamped(mut self) -> Self {
        self.per_address = self.per_address.max(1);
        self.in_all = self.in_all.max(1);
        self.max_waiting = self.max_waiting.max(1);
        self.reconnect_min = self.reconnect_min.max(SHORTEST_PAUSE);
        self.reconnect_max = self.reconnect_max.max(self.reconnect_min);
        self
    }
}

/// A pause of nothing would be a loop.
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// What a pool has counted since it was made.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Logical connections that found a physical one, or were given one.
    pub granted: u64,
    /// Dials that were begun.
    pub dials: u64,
    /// Dials that failed.
    pub failed_dials: u64,
    /// Physical connections that were lost.
    pub lost: u64,
    /// Physical connections that were closed because they were idle for too long.
    pub expired: u64,
    /// Physical connections that were closed to make room for another address.
    pub evicted: u64,
    /// Who was refused because too many waited.
    pub refused: u64,
}
