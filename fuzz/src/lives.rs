//! Sequences of operations on the rules of every pattern.
//!
//! Input: a byte for the pattern and its form, then its life.

use spanwire_core::pattern::sequences::Kind;

/// Whatever happens in whatever order: bounds hold, whoever waits is told, and the books balance.
///
/// # Panics
///
/// They do not.
pub fn lives(data: &[u8]) {
    let Some((&kind, life)) = data.split_first() else { return };
    // A life that goes on for longer shows nothing new, and takes its time.
    let life = &life[..life.len().min(MAX_BYTES)];
    Kind::ALL[usize::from(kind) % Kind::ALL.len()].live(life);
}

const MAX_BYTES: usize = 1_000;
