//! What follows from every change: who is idle, stranded, to be dialled again, or forgotten.

use super::options::SHORTEST_PAUSE;
use super::{Cause, Effect, Idle, Physical, Pool, State};
use crate::time::Time;
use alloc::vec::Vec;
use core::mem;

impl<K: Ord + Clone> Pool<K> {
    pub(super) fn end(&mut self, physical: Physical) -> K {
        self.effects.push_back(Effect::Close(physical));
        self.forget(physical)
    }

    pub(super) fn forget(&mut self, physical: Physical) -> K {
        let connection = self.physical.remove(&physical).expect("callers have looked it up");
        if let Some(since) = connection.idle_since {
            self.idle.remove(&(since, physical));
        }
        self.address(&connection.key).physical.remove(&physical);
        connection.key
    }

    /// After every call: this address has changed.
    pub(super) fn finish(&mut self, key: &K, now: Time) {
        self.refresh(key, now);
        self.make_use_of_room(now);
    }

    /// Notes what follows from the state of an address: who is idle, who is stranded, what is to be dialled
    /// again, and whether it is to be remembered at all.
    pub(super) fn refresh(&mut self, key: &K, now: Time) {
        let Some(address) = self.addresses.get(key) else { return };
        let (line_is_empty, is_kept) = (address.waiting.is_empty(), address.stay_up > 0);
        let mut over = Vec::new();
        for &physical in &address.physical {
            let connection = self.physical.get_mut(&physical).expect("addresses name what there is");
            let is_idle = !is_kept
                && match connection.state {
                    State::Dialing => line_is_empty,
                    State::Open => connection.logical == 0,
                    State::Leaving => false,
                };
            match (is_idle, connection.idle_since) {
                (true, None) => {
                    connection.idle_since = Some(now);
                    self.idle.insert((now, physical));
                }
                (false, Some(since)) => {
                    connection.idle_since = None;
                    self.idle.remove(&(since, physical));
                }
                (true, Some(_)) | (false, None) => {}
            }
            let has_left = connection.state == State::Leaving && connection.logical == 0;
            let is_kept = self.options.idle != Idle::CloseAtOnce && !connection.passing;
            if has_left || (is_idle && !is_kept) {
                over.push(physical);
            }
        }
        for physical in over {
            self.end(physical);
        }
        let is_dead = self.view(key).live == 0;
        let address = self.addresses.get_mut(key).expect("it was there above");
        let stranded = address.waiting.first().copied().filter(|_| is_dead);
        if stranded != address.stranded {
            if let Some(former) = mem::replace(&mut address.stranded, stranded) {
                self.stranded.remove(&former);
            }
            if let Some(first) = stranded {
                self.stranded.insert(first, key.clone());
            }
        }
        let redial = is_dead && address.waiting.is_empty() && address.stay_up > 0;
        let redial_at = redial.then_some(address.pause_until);
        if redial_at != address.redial_at {
            if let Some(former) = mem::replace(&mut address.redial_at, redial_at) {
                self.redials.remove(&(former, key.clone()));
            }
            if let Some(at) = redial_at {
                self.redials.insert((at, key.clone()));
            }
        }
        if address.physical.is_empty() && address.waiting.is_empty() && address.stay_up == 0 {
            self.addresses.remove(key);
        }
    }

    /// Begins what there may be room for now: first for those who wait, then for those who want to stay up.
    pub(super) fn make_use_of_room(&mut self, now: Time) {
        while let Some(key) = self.stranded.first_key_value().map(|(_, key)| key.clone()) {
            let Some(physical) = self.settle(&key, true, None, now) else { break };
            self.effects.push_back(Effect::Dial(physical, key.clone()));
            self.refresh(&key, now);
        }
        while let Some((_, key)) = self.redials.first().filter(|(at, _)| *at <= now).cloned() {
            if self.make_room(true, now) {
                let physical = self.dial(&key, Cause::StayUp);
                self.effects.push_back(Effect::Dial(physical, key.clone()));
            } else {
                let address = self.address(&key);
                address.pause_until = now + address.backoff.next_wait().max(SHORTEST_PAUSE);
            }
            self.refresh(&key, now);
        }
    }
}
