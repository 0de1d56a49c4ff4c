//! Multiplexing: one connection and its channels, the pool of physical connections, and the tagged layout.

use spanwire_core::mux::{hostile, lives, pool, storms, tagged};

/// Whatever a peer says, in bytes or in frames, nothing panics and no bound is exceeded.
pub fn mux_frames(data: &[u8]) {
    hostile::feed(&data[..data.len().min(MAX_BYTES)]);
}

/// Whatever two programs do with their channels, however those and the connection end, what is told of each message is
/// true. The first byte tells which of two kinds of lives it is: one in which all goes well, and all arrives; or another.
pub fn mux_lives(data: &[u8]) {
    let Some((&kind, life)) = data.split_first() else { return };
    // A life that goes on for longer shows nothing new, and takes its time.
    let life = &life[..life.len().min(MAX_BYTES)];
    match kind % 4 {
        0 => lives::World::live(life),
        _ => storms::Storm::live(life),
    }
}

const MAX_BYTES: usize = 3_000;

/// Whatever happens to a pool, it agrees with a model that only watches.
pub fn mux_pool(data: &[u8]) {
    pool::life::live(data);
}

/// Whatever a peer sends in the tagged layout, each message is received or told as discarded.
pub fn mux_tagged(data: &[u8]) {
    tagged::life::live(data);
}
