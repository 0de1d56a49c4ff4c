//! What can be asked of the pool; nothing changes.

use super::{Cause, Physical, Pool, PoolStats, State, Ticket};

impl<K: Ord + Clone> Pool<K> {
    /// Where a physical connection is in its life; `None` when it is forgotten.
    pub fn state(&self, physical: Physical) -> Option<State> {
        self.physical.get(&physical).map(|connection| connection.state)
    }

    /// Why it was dialled.
    pub fn cause(&self, physical: Physical) -> Option<Cause> {
        self.physical.get(&physical).map(|connection| connection.cause)
    }

    /// Its logical connections, those of granted tickets included.
    pub fn logical(&self, physical: Physical) -> u64 {
        self.physical.get(&physical).map_or(0, |connection| connection.logical)
    }

    /// The physical connections of an address, oldest first.
    pub fn physical(&self, key: &K) -> impl Iterator<Item = Physical> + '_ {
        self.addresses.get(key).into_iter().flat_map(|address| address.physical.iter().copied())
    }

    /// Physical connections, in whatever state.
    pub fn len(&self) -> usize {
        self.physical.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.physical.is_empty()
    }

    /// Who waits for a physical connection to this address.
    pub fn waiting(&self, key: &K) -> usize {
        self.addresses.get(key).map_or(0, |address| address.waiting.len())
    }

    /// Who waits longest for a physical connection to this address.
    pub fn first_waiting(&self, key: &K) -> Option<Ticket> {
        self.addresses.get(key).and_then(|address| address.waiting.first().copied())
    }

    /// What was counted.
    pub fn stats(&self) -> PoolStats {
        self.stats
    }
}
