//! [`Waiters`]: who waits on which channel, and for what.

use super::wire::On;
use std::task::Waker;

/// Who waits on the channels of a connection: on most nobody does, or one task for what comes next. Where nobody
/// waits a channel costs four bytes, and whoever waits costs no allocation of his own.
///
/// ```text
///   first    [ 1, -, 0, … ]        by the slots of the channels
///              │     └─────────┐
///              └─────────┐     │
///   places   [ waiter, waiter, waiter, free, … ]     each knows the next one on its channel
/// ```
#[derive(Debug)]
pub(super) struct Waiters {
    first: Vec<u32>,
    places: Vec<Waiter>,
    /// The first of those places that are free; each knows the next one.
    free: u32,
    waiting: usize,
}

#[derive(Debug)]
struct Waiter {
    /// `None` where the place is free.
    waker: Option<Waker>,
    what: On,
    next: u32,
}

/// No index of any place.
const NOBODY: u32 = u32::MAX;

/// More places than these, some 24 KiB, are given back when nobody waits any more.
const KEPT_PLACES: usize = 1_024;

impl Default for Waiters {
    fn default() -> Self {
        Self { first: Vec::new(), places: Vec::new(), free: NOBODY, waiting: 0 }
    }
}

impl Waiters {
    /// Somebody waits, behind those who do already.
    pub(super) fn wait(&mut self, slot: usize, what: On, waker: &Waker) {
        if self.first.len() <= slot {
            self.first.resize(slot + 1, NOBODY);
        }
        let (mut last, mut at) = (NOBODY, self.first[slot]);
        while let Some(waiter) = self.places.get(at as usize) {
            if waiter.what == what && waiter.waker.as_ref().is_some_and(|other| other.will_wake(waker)) {
                return;
            }
            (last, at) = (at, waiter.next);
        }
        let new = self.place(Waiter { waker: Some(waker.clone()), what, next: NOBODY });
        *self.behind(last, slot) = new;
    }

    /// Those who wait for what has happened on a channel, the longest waiting first.
    pub(super) fn wake(&mut self, slot: usize, happened: impl Fn(On) -> bool, wakers: &mut Vec<Waker>) {
        let (mut last, mut at) = (NOBODY, self.first.get(slot).copied().unwrap_or(NOBODY));
        while let Some(waiter) = self.places.get_mut(at as usize) {
            let next = waiter.next;
            if happened(waiter.what) {
                wakers.extend(waiter.waker.take());
                waiter.next = std::mem::replace(&mut self.free, at);
                *self.behind(last, slot) = next;
                self.waiting -= 1;
            } else {
                last = at;
            }
            at = next;
        }
        if self.waiting == 0 && self.places.len() > KEPT_PLACES {
            (self.places, self.free) = (Vec::new(), NOBODY);
        }
    }

    /// Everybody, on whatever channel.
    pub(super) fn wake_all(&mut self, wakers: &mut Vec<Waker>) {
        wakers.extend(std::mem::take(self).places.into_iter().filter_map(|waiter| waiter.waker));
    }

    /// Where it is written who comes behind this one, or is the first on the channel.
    fn behind(&mut self, last: u32, slot: usize) -> &mut u32 {
        match self.places.get_mut(last as usize) {
            Some(last) => &mut last.next,
            None => &mut self.first[slot],
        }
    }

    fn place(&mut self, waiter: Waiter) -> u32 {
        self.waiting += 1;
        let at = self.free;
        match self.places.get_mut(at as usize) {
            Some(place) => {
                self.free = place.next;
                *place = waiter;
                at
            }
            None => {
                self.places.push(waiter);
                self.places.len() as u32 - 1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn bells(count: usize) -> Vec<Waker> {
        (0..count).map(|_| Arc::new(Bell::default()).into()).collect()
    }

    /// The numbers of those who are woken, in their order.
    fn woken(waiters: &mut Waiters, slot: usize, what: On, bells: &[Waker]) -> Vec<usize> {
        let mut wakers = Vec::new();
        waiters.wake(slot, |other| other == what, &mut wakers);
        let number = |waker: &Waker| bells.iter().position(|bell| bell.will_wake(waker)).unwrap();
        wakers.iter().map(number).collect()
    }

    #[test]
    fn whoever_waits_for_it_is_woken_once_and_in_the_order_in_which_they_came() {
        let (mut waiters, bells) = (Waiters::default(), bells(6));
        assert_eq!(woken(&mut waiters, 3, On::Read, &bells), [], "nobody waits yet");
        let waits =
            [(3, On::Read), (3, On::Room), (1, On::Read), (3, On::Read), (3, On::State), (3, On::Read)];
        for _ in 0..2 {
            // Whoever waits already does not wait twice.
            for (bell, (slot, what)) in bells.iter().zip(waits) {
                waiters.wait(slot, what, bell);
            }
        }
        assert_eq!(woken(&mut waiters, 3, On::Read, &bells), [0, 3, 5]);
        assert_eq!(woken(&mut waiters, 3, On::Read, &bells), []);
        waiters.wait(3, On::Read, &bells[5]);
        waiters.wait(3, On::Room, &bells[0]);
        assert_eq!(woken(&mut waiters, 3, On::Room, &bells), [1, 0]);
        assert_eq!(woken(&mut waiters, 1, On::Read, &bells), [2]);
        assert_eq!(waiters.places.len(), 6, "places are used again");
        let mut rest = Vec::new();
        waiters.wake_all(&mut rest);
        assert_eq!(rest.len(), 2);
        waiters.wake_all(&mut rest);
        assert_eq!(rest.len(), 2);
    }

    #[test]
    fn the_places_of_many_are_given_back_when_nobody_waits() {
        let (mut waiters, bells) = (Waiters::default(), bells(1));
        for slot in 0..2_000 {
            waiters.wait(slot, On::Read, &bells[0]);
        }
        for slot in 0..2_000 {
            assert_eq!(waiters.places.len(), 2_000);
            assert_eq!(woken(&mut waiters, slot, On::Read, &bells), [0]);
        }
        assert_eq!(waiters.places.capacity(), 0);
        waiters.wait(7, On::Room, &bells[0]);
        assert_eq!(woken(&mut waiters, 7, On::Room, &bells), [0]);
    }
}
