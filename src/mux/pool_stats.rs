//! [`PoolReport`]: what a pool tells of itself and of each physical connection.

use super::connection::Connection;
use super::{ChannelId, MuxStats, PhysicalState, PoolStats};
use std::sync::Arc;
use std::time::Duration;

/// What a pool has counted, in all and on each physical connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolReport {
    /// In all, since the pool was made.
    pub total: PoolStats,
    /// Who waits for a physical connection.
    pub waiting: usize,
    /// Each that there is, the oldest first.
    pub physical: Vec<PhysicalStats>,
}

/// What is known of one physical connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhysicalStats {
    /// The address.
    pub url: Arc<str>,
    /// Where it is in its life.
    pub state: PhysicalState,
    /// The number of the connection, once there is one.
    pub number: Option<u64>,
    /// Its logical connections, those included that are about to be opened.
    pub logical: u64,
    /// The shortest of the last round trips.
    pub round_trip: Option<Duration>,
    /// What was sent and received on it.
    pub mux: MuxStats,
    /// Bytes that wait to be handed to the kernel.
    pub waiting_bytes: usize,
    /// Times that one of the channels that there are had something to send, and no credit.
    pub stalls: u64,
    /// The channels that caused them, the worst first.
    pub stalled: Vec<Stalled>,
}

/// A channel whose reader is too slow for its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stalled {
    /// What it is called.
    pub id: ChannelId,
    /// Its number on the connection.
    pub number: u32,
    /// Times that it had something to send, and no credit.
    pub stalls: u64,
    /// Bytes that wait to be sent on it.
    pub waiting_bytes: usize,
}

impl PhysicalStats {
    pub(super) fn of(url: &Arc<str>, state: PhysicalState, connection: Option<&Connection>) -> Self {
        let mut stats = Self {
            url: url.clone(),
            state,
            number: connection.map(Connection::number),
            logical: 0,
            round_trip: None,
            mux: MuxStats::default(),
            waiting_bytes: 0,
            stalls: 0,
            stalled: Vec::new(),
        };
        let Some(connection) = connection else { return stats };
        let mut wire = connection.wire().lock();
        stats.waiting_bytes = wire.waiting_bytes();
        let mux = &wire.mux;
        (stats.round_trip, stats.mux) = (mux.round_trip(), mux.stats());
        for place in mux.places() {
            let channel = mux.channel_stats(place);
            let stalls = channel.stalled_by_peer;
            if stalls > 0 {
                let id = mux.id(place).cloned().unwrap_or_default();
                let (number, waiting_bytes) = (place.number(), channel.send_waiting_bytes);
                stats.stalled.push(Stalled { id, number, stalls, waiting_bytes });
            }
        }
        stats.stalls = stats.stalled.iter().map(|stalled| stalled.stalls).sum();
        stats.stalled.sort_by_key(|stalled| std::cmp::Reverse(stalled.stalls));
        stats
    }
}
