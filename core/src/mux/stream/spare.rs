//! [`Spare`]: memory for queues, for whoever needs it next.

use super::arrived::Arrived;
use super::waiting::Waiting;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Queues that channels do not need while nothing waits on them: of ten thousand channels few are busy at once.
#[derive(Debug, Default)]
pub(in crate::mux) struct Spare {
    pub(super) waiting: Shelf<Waiting>,
    pub(super) arrived: Shelf<Arrived>,
}

/// What of a channel is there only while something waits on it.
pub(super) trait Queue: Default {
    /// It is as a new one is.
    fn is_blank(&self) -> bool;
    /// So many have room in it.
    fn room(&self) -> usize;
}

/// Queues for who is next.
#[derive(Debug, Default)]
pub(super) struct Shelf<T> {
    // They go from channel to channel as they are.
    #[allow(clippy::vec_box)]
    queues: Vec<Box<T>>,
    /// So many have room in all of them.
    room: usize,
}

/// The memory of one with more room is given back,
const ROOM_OF_ONE: usize = 64;
/// and of those beyond that: together they have some 60 KiB.
const ROOM_OF_ALL: usize = 1_024;

impl<T: Queue> Shelf<T> {
    /// A channel has something that waits.
    #[inline]
    pub(super) fn lend(&mut self, queue: &mut Option<Box<T>>) {
        if queue.is_none() {
            let next = self.queues.pop();
            self.room -= next.as_ref().map_or(0, |next| next.room());
            *queue = Some(next.unwrap_or_default());
        }
    }

    /// If it has no more, its queue is for others.
    #[inline]
    pub(super) fn take_back(&mut self, queue: &mut Option<Box<T>>) {
        let Some(queue) = queue.take_if(|queue| queue.is_blank()) else { return };
        let room = queue.room();
        if (1..=ROOM_OF_ONE).contains(&room) && self.room + room <= ROOM_OF_ALL {
            self.room += room;
            self.queues.push(queue);
        }
    }
}
