//! Multiplexing: the pool of physical connections, and the tagged layout.

use spanwire_core::mux::{pool, tagged};

/// Whatever happens to a pool, it agrees with a model that only watches.
pub fn mux_pool(data: &[u8]) {
    pool::life::live(data);
}

/// Whatever a peer sends in the tagged layout, each message is received or told as discarded.
pub fn mux_tagged(data: &[u8]) {
    tagged::life::live(data);
}
