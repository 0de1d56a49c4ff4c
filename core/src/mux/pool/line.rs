//! Who waits for an address, and what there is for them: grants, dials, and room for them.

use super::{Cause, Connection, Effect, Physical, Pool, State, Ticket};
use crate::time::Time;
use alloc::collections::BTreeSet;
use core::mem;

/// An address as those who wait for it see it.
pub(super) struct View {
    /// The least busy of the open ones.
    best: Option<Choice>,
    pub(super) dials: u64,
    /// Open ones, too.
    pub(super) live: usize,
}

/// The smaller, the better.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Choice {
    full: bool,
    logical: u64,
    waiting_bytes: u64,
    physical: Physical,
}

impl<K: Ord + Clone> Pool<K> {
    pub(super) fn view(&self, key: &K) -> View {
        let mut view = View { best: None, dials: 0, live: 0 };
        for physical in self.physical(key) {
            let connection = &self.physical[&physical];
            match connection.state {
                State::Leaving => continue,
                State::Dialing => view.dials += 1,
                State::Open => {
                    let Connection { full, logical, waiting_bytes, .. } = *connection;
                    let choice = Choice { full, logical, waiting_bytes, physical };
                    view.best = Some(view.best.map_or(choice, |best| best.min(choice)));
                }
            }
            view.live += 1;
        }
        view
    }

    /// Gives those who wait for an address what there is, and begins a dial for them if there may be one.
    ///
    /// Who waits is spread over the open ones and those that are being dialled, the latter having nobody yet.
    /// So of `dials` that will be there soon, each takes as many as the least busy open one has, before that
    /// one takes another. Those in front get what there is first.
    pub(super) fn settle(
        &mut self,
        key: &K,
        may_dial: bool,
        asking: Option<Ticket>,
        now: Time,
    ) -> Option<Physical> {
        let mut dialed = None;
        while let Some((front, waiting)) = self.front(key) {
            let view = self.view(key);
            let is_free = view.best.is_some_and(|best| !best.full && best.logical == 0);
            let more = may_dial && dialed.is_none() && !is_free && waiting > view.dials;
            // Only who has nothing at all may take the room of others.
            if more && view.live < self.options.per_address && self.make_room(view.live == 0, now) {
                dialed = Some(self.dial(key, Cause::Use));
                continue;
            }
            let Some(best) = view.best else { break };
            let takes = !best.full && waiting > view.dials.saturating_mul(best.logical);
            if view.dials > 0 && !takes {
                break;
            }
            self.grant(key, front, best.physical);
            if asking != Some(front) {
                self.effects.push_back(Effect::Grant(front, best.physical));
            }
        }
        dialed
    }

    /// Who is first in line for an address, and how many wait.
    fn front(&self, key: &K) -> Option<(Ticket, u64)> {
        let waiting = &self.addresses.get(key)?.waiting;
        waiting.first().map(|front| (*front, waiting.len() as u64))
    }

    fn grant(&mut self, key: &K, ticket: Ticket, physical: Physical) {
        self.stats.granted += 1;
        self.address(key).waiting.remove(&ticket);
        if let Some(place) = self.tickets.get_mut(&ticket) {
            place.granted = Some(physical);
        }
        let connection = self.connection(physical);
        connection.logical += 1;
        connection.granted.insert(ticket);
    }

    /// The same for those who are left without a connection that they had or were promised.
    pub(super) fn dial_for_line(&mut self, key: &K, now: Time) {
        if let Some(physical) = self.settle(key, true, None, now) {
            self.effects.push_back(Effect::Dial(physical, key.clone()));
        }
    }

    pub(super) fn dial(&mut self, key: &K, cause: Cause) -> Physical {
        self.stats.dials += 1;
        self.last_physical += 1;
        let physical = Physical(self.last_physical);
        self.address(key).physical.insert(physical);
        let connection = Connection {
            key: key.clone(),
            state: State::Dialing,
            cause,
            since: Time::ZERO,
            logical: 0,
            granted: BTreeSet::new(),
            waiting_bytes: 0,
            full: false,
            passing: false,
            idle_since: None,
        };
        self.physical.insert(physical, connection);
        physical
    }

    /// Whether there may be one more physical connection, if need be at the cost of the longest idle one.
    pub(super) fn make_room(&mut self, evict: bool, now: Time) -> bool {
        if self.physical.len() < self.options.in_all {
            return true;
        }
        let Some((_, idle)) = self.idle.first().copied().filter(|_| evict) else { return false };
        self.stats.evicted += 1;
        let key = self.end(idle);
        self.refresh(&key, now);
        true
    }

    /// Who was granted this one and has not come for it waits again, in the old place.
    pub(super) fn back_in_line(&mut self, physical: Physical) {
        let connection = self.connection(physical);
        let tickets = mem::take(&mut connection.granted);
        connection.logical -= tickets.len() as u64;
        let key = connection.key.clone();
        for ticket in &tickets {
            if let Some(place) = self.tickets.get_mut(ticket) {
                place.granted = None;
            }
        }
        self.address(&key).waiting.extend(tickets);
    }

    /// Who waited wants nothing any more.
    pub(super) fn leave_line(&mut self, ticket: Ticket) {
        if let Some(place) = self.tickets.remove(&ticket) {
            self.address(&place.key).waiting.remove(&ticket);
        }
    }
}
