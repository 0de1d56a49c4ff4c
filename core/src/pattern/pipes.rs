//! [`PipeTable`]: what a pattern knows of each pipe, found without hashing.

use crate::message::PipeId;
use alloc::vec::Vec;

/// One value per attached pipe, indexed by the pipe's slot.
///
/// A slot is used again after a disconnect, so every look-up compares the id as well: a reply for a
/// peer that is gone must never reach the one that took its slot.
#[derive(Debug)]
pub(crate) struct PipeTable<T> {
    slots: Vec<Option<(PipeId, T)>>,
    len: usize,
}

impl<T> PipeTable<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn insert(&mut self, pipe: PipeId, value: T) {
        if self.slots.len() <= pipe.slot() {
            self.slots.resize_with(pipe.slot() + 1, || None);
        }
        if self.slots[pipe.slot()].replace((pipe, value)).is_none() {
            self.len += 1;
        }
    }

    pub(crate) fn remove(&mut self, pipe: PipeId) -> Option<T> {
        let slot = self.slots.get_mut(pipe.slot())?;
        let (_, value) = slot.take_if(|(id, _)| *id == pipe)?;
        self.len -= 1;
        Some(value)
    }

    #[inline]
    pub(crate) fn get(&self, pipe: PipeId) -> Option<&T> {
        match self.slots.get(pipe.slot())? {
            Some((id, value)) if *id == pipe => Some(value),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, pipe: PipeId) -> Option<&mut T> {
        match self.slots.get_mut(pipe.slot())? {
            Some((id, value)) if *id == pipe => Some(value),
            _ => None,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (PipeId, &T)> + Clone {
        self.slots.iter().flatten().map(|(pipe, value)| (*pipe, value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (PipeId, &mut T)> {
        self.slots.iter_mut().flatten().map(|(pipe, value)| (*pipe, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_slot_does_not_answer_to_its_old_id() {
        let old = PipeId::new(7, 0).unwrap();
        let new = PipeId::new(8, 0).unwrap();
        let mut table = PipeTable::new();
        table.insert(old, 'a');
        assert_eq!(table.remove(old), Some('a'));
        table.insert(new, 'b');
        assert_eq!((table.get(old), table.get(new)), (None, Some(&'b')));
        assert_eq!(table.remove(old), None);
        assert_eq!(table.len(), 1);
    }
}
