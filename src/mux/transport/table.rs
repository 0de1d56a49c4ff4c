//! [`Table`]: what the process has at each address, shared by all who want the same.

use spanwire_core::Addr;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// One thing for each address, as long as somebody uses it.
pub(super) struct Table<T> {
    rows: Mutex<Option<Rows<T>>>,
}

struct Rows<T> {
    slots: HashMap<Addr, Arc<Slot<T>>>,
    /// How many addresses there may be until those that nobody uses are forgotten: twice as many as there were
    /// of use the last time.
    sweep_at: usize,
}

/// The place of one thing. Locked for as long as it is being made: who comes second waits for it.
pub(super) type Slot<T> = tokio::sync::Mutex<Weak<T>>;

const SWEEP_AT: usize = 64;

impl<T> Table<T> {
    pub(super) const fn new() -> Self {
        Self { rows: Mutex::new(None) }
    }

    /// The place for an address, the same for all who ask.
    pub(super) fn slot(&self, addr: &Addr) -> Arc<Slot<T>> {
        self.look(|slots| slots.entry(addr.clone()).or_default().clone())
    }

    /// Puts something that was made for another address here. Whoever tries to make the same at this moment has
    /// failed, or is about to.
    pub(super) fn put(&self, addr: &Addr, thing: &Arc<T>) {
        let slot = Arc::new(Slot::new(Arc::downgrade(thing)));
        self.look(|slots| slots.insert(addr.clone(), slot));
    }

    fn look<R>(&self, look: impl FnOnce(&mut HashMap<Addr, Arc<Slot<T>>>) -> R) -> R {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = rows.get_or_insert_with(|| Rows { slots: HashMap::new(), sweep_at: SWEEP_AT });
        if rows.slots.len() >= rows.sweep_at {
            rows.slots.retain(|_, slot| is_of_use(slot));
            rows.sweep_at = SWEEP_AT.max(rows.slots.len() * 2);
        }
        look(&mut rows.slots)
    }
}

/// Whether somebody is about to make something here, or uses it.
fn is_of_use<T>(slot: &Arc<Slot<T>>) -> bool {
    Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|thing| thing.strong_count() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(n: usize) -> Addr {
        Addr::parse(&format!("inproc://{n}")).unwrap()
    }

    #[test]
    fn who_asks_for_the_same_gets_the_same_place() {
        let table: Table<u8> = Table::new();
        let first = table.slot(&addr(1));
        assert!(Arc::ptr_eq(&first, &table.slot(&addr(1))));
        assert!(!Arc::ptr_eq(&first, &table.slot(&addr(2))));
    }

    #[test]
    fn what_was_put_somewhere_is_found_there_as_long_as_it_lives() {
        let table: Table<u8> = Table::new();
        let thing = Arc::new(7);
        table.put(&addr(1), &thing);
        let found = || table.slot(&addr(1)).try_lock().unwrap().upgrade();
        assert_eq!(found().as_deref(), Some(&7));
        drop(thing);
        assert_eq!(found(), None);
    }

    #[test]
    fn places_of_which_nobody_makes_use_are_forgotten() {
        let table: Table<u8> = Table::new();
        let kept = table.slot(&addr(0));
        for n in 1..10 * SWEEP_AT {
            table.slot(&addr(n));
        }
        let places = table.rows.lock().unwrap().as_ref().unwrap().slots.len();
        assert!(places <= SWEEP_AT, "{places}");
        assert!(Arc::ptr_eq(&kept, &table.slot(&addr(0))));
    }
}
