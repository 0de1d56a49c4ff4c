//! What went through, and on what.

use crate::terminal::{bytes, grouped, span};
use spanwire::mux::{Channel, Connection};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a role has counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    sent: AtomicU64,
    received: AtomicU64,
    carried: AtomicU64,
    refused: AtomicU64,
    cut: AtomicU64,
    /// Of channels that have ended.
    stalls: AtomicU64,
    live: Mutex<BTreeMap<u64, Channel>>,
}

/// One that is carried now; until it is dropped.
#[derive(Debug)]
pub(super) struct Carried<'a> {
    counts: &'a Counts,
    number: u64,
}

impl Drop for Carried<'_> {
    fn drop(&mut self) {
        let ended = self.counts.live().remove(&self.number);
        if let Some(channel) = ended {
            self.counts.stalls.fetch_add(channel.stats().stalled_by_peer, Relaxed);
        }
    }
}

impl Counts {
    fn live(&self) -> MutexGuard<'_, BTreeMap<u64, Channel>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sent(&self, count: usize) {
        self.sent.fetch_add(count as u64, Relaxed);
    }

    pub(super) fn received(&self, count: usize) {
        self.received.fetch_add(count as u64, Relaxed);
    }

    /// One is carried from now on.
    pub(super) fn carried(&self, channel: &Channel) -> Carried<'_> {
        let number = self.carried.fetch_add(1, Relaxed);
        self.live().insert(number, channel.clone());
        Carried { counts: self, number }
    }

    /// One was not carried at all.
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// One did not end properly.
    pub(super) fn cut(&self) {
        self.cut.fetch_add(1, Relaxed);
    }

    /// Tells on standard error.
    pub(super) fn report(&self, connections: &[Connection]) {
        let count = |count: &AtomicU64| grouped(count.load(Relaxed));
        let live: Vec<_> = self.live().values().cloned().collect();
        let stats: Vec<_> = live.iter().map(|channel| (channel, channel.stats())).collect();
        let stalls = stats.iter().map(|(_, stats)| stats.stalled_by_peer).sum::<u64>();
        eprintln!(
            "carried {}: {} now, {} refused, {} cut",
            count(&self.carried),
            live.len(),
            count(&self.refused),
            count(&self.cut)
        );
        eprintln!(
            "sent {}, received {}, stalls {}",
            bytes(self.sent.load(Relaxed)),
            bytes(self.received.load(Relaxed)),
            grouped(self.stalls.load(Relaxed) + stalls)
        );
        if let Some((channel, worst)) = stats.iter().max_by_key(|(_, stats)| stats.stalled_by_peer) {
            if worst.stalled_by_peer > 0 {
                let (stalls, waits) =
                    (grouped(worst.stalled_by_peer), bytes(worst.send_waiting_bytes as u64));
                eprintln!("most stalls: {stalls} by {}, for which {waits} wait", name(channel));
            }
        }
        for connection in connections {
            let stats = connection.stats();
            let round_trip = connection.round_trip().map_or_else(|| "not measured yet".to_owned(), span);
            eprintln!(
                "connection {}: channels {}, opened {}, sent {}, received {}, round trip {round_trip}",
                place(connection),
                stats.channels,
                grouped(stats.opened + stats.incoming),
                bytes(stats.sent_bytes),
                bytes(stats.received_bytes)
            );
        }
    }
}

/// How a channel is called on standard error.
pub(super) fn name(channel: &Channel) -> String {
    let (number, connection) = (channel.number(), channel.connection().number());
    match channel.id().as_str() {
        "" => format!("channel {number} of connection {connection}"),
        id => format!("channel {number} ({id:?}) of connection {connection}"),
    }
}

/// How a connection is called on standard error.
pub(super) fn place(connection: &Connection) -> String {
    let remote = connection.remote().map_or_else(String::new, |remote| format!(" with {remote}"));
    format!("{}{remote}", connection.number())
}
