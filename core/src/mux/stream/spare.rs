//! [`Spare`]: memory for queues, for whoever needs it next.

use super::receiving::Segment;
use super::sending::Item;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Lists that channels do not need while nothing waits on them: of ten thousand channels few are busy at once.
#[derive(Debug, Default)]
pub(in crate::mux) struct Spare {
    pub(super) items: Vec<VecDeque<Item>>,
    pub(super) segments: Vec<VecDeque<Segment>>,
}

/// So many are kept for who is next, with room for so much each.
const SPARE_LISTS: usize = 16;
const SPARE_ROOM: usize = 64;

/// An empty list is for others; the memory of one that was long is given back.
pub(super) fn keep_room<T>(list: &mut VecDeque<T>, spare: &mut Vec<VecDeque<T>>) {
    if list.is_empty() && list.capacity() > 0 {
        let list = core::mem::take(list);
        if list.capacity() <= SPARE_ROOM && spare.len() < SPARE_LISTS {
            spare.push(list);
        }
    }
}

pub(super) fn make_room<T>(list: &mut VecDeque<T>, spare: &mut Vec<VecDeque<T>>) {
    if list.capacity() == 0 {
        *list = spare.pop().unwrap_or_default();
    }
}
