//! [`Numbers`]: which slot has the channel of a number.

use super::Channel;
use alloc::boxed::Box;
use hashbrown::HashTable;

/// Where the channels are on which something may still happen.
///
/// Only their slots are kept: the number of each stands with the channel.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    slots: HashTable<u32>,
}

type Channels = [Option<Box<Channel>>];

/// The numbers of a peer follow each other, so there is nothing in them that it can choose: it would have to open and
/// end millions of channels for each one that it wants to stay, to have them meet in one place.
fn hash(number: u32) -> u64 {
    // Fibonacci hashing (Knuth, volume 3, 6.4). The table takes the low bits for the place, the highest for a tag.
    let product = u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product ^ (product >> 32)
}

fn number_of(channels: &Channels, slot: u32) -> Option<u32> {
    channels.get(slot as usize)?.as_ref().map(|channel| channel.number)
}

impl Numbers {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    pub(super) fn get(&self, number: u32, channels: &Channels) -> Option<u32> {
        let is_it = |slot: &u32| number_of(channels, *slot) == Some(number);
        self.slots.find(hash(number), is_it).copied()
    }

    /// The channel is in its slot, and no other one has its number.
    pub(super) fn insert(&mut self, number: u32, slot: u32, channels: &Channels) {
        let hash_of = |slot: &u32| hash(number_of(channels, *slot).unwrap_or_default());
        self.slots.insert_unique(hash(number), slot, hash_of);
    }

    /// The channel is still in its slot.
    pub(super) fn remove(&mut self, number: u32, channels: &Channels) {
        let is_it = |slot: &u32| number_of(channels, *slot) == Some(number);
        if let Ok(entry) = self.slots.find_entry(hash(number), is_it) {
            entry.remove();
        }
    }
}
