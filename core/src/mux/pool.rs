//! [`Pool`]: which logical connection uses which physical one, and when another one is dialled.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `pool` | [`Pool`] with its diagrams, and what each report and request does |
//! | `questions` | what can be asked of it; nothing changes |
//! | `line` | who waits for an address, and what there is for them |
//! | `upkeep` | what follows from every change: who is idle, stranded, to be dialled again |
//! | [`decision`] | what it answers, and what is to be done |
//! | [`options`] | every bound, and what is counted |
//! | `invariants` | what holds at any time |
//! | `life` | lives of a pool and its connections, for tests and the fuzzer |

pub mod decision;
mod invariants;
#[cfg(any(test, feature = "script"))]
pub mod life;
mod line;
pub mod options;
mod questions;
#[cfg(test)]
mod tests;
mod upkeep;

pub use decision::{Cause, Decision, Effect, Failure, Refusal, State};
pub use options::{Idle, PoolOptions, PoolStats};

use crate::session::backoff::Backoff;
use crate::time::Time;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::mem;

/// The physical connections of one program, by address: logical connections to one address share them.
///
/// ```text
///  open ─▶ Use: go on with this one      lost, dialed, closed, expire, … ─▶ effects:
///          Dial: dial it, and wait                                           Dial, Close,
///          Wait: until Grant or Fail                                         Grant, Fail
///          Refuse
/// ```
///
/// The life of a physical connection; what is not listed changes nothing:
///
/// ```text
///  open, stay up ─▶ Dialing ── dialed ──▶ Open ── going_away ──▶ Leaving
///                      │                   │ │                    │ │
///                      │ dial_failed       │ └ lost ▶ forgotten ◀ ┘ │ its last logical one ends
///                      ▼                   ▼ idle for too long, or  ▼
///                  forgotten            Close, forgotten         Close, forgotten
///                                         room for another one is wanted
/// ```
///
/// That of a ticket, which is where somebody waits. Lines are served in the order of the tickets:
///
/// ```text
///  Wait, Dial ─▶ waiting ── Grant ──▶ granted ── take ──▶ forgotten, its logical connection counts
///                 │  ▲ lost, going_away │
///                 │  └──────────────────┤
///                 ├ Fail ▶ forgotten    └ give_up ▶ forgotten, as if closed
///                 └ give_up ▶ forgotten
/// ```
///
/// `Use` and `Grant` count as a logical connection at once, so nothing is closed under whoever is about to
/// use it; it is given back by [`closed`](Self::closed). The numbers of physical connections and tickets are
/// never used again, so reports about those that are forgotten do no harm.
///
/// After each call take the [`effects`](Self::next_effect) out and do them, and look at the
/// [`deadline`](Self::deadline).
#[derive(Debug)]
pub struct Pool<K> {
    options: PoolOptions,
    seed: u64,
    physical: BTreeMap<Physical, Connection<K>>,
    addresses: BTreeMap<K, Address>,
    tickets: BTreeMap<Ticket, Place<K>>,
    /// Those without logical ones, the longest idle first.
    idle: BTreeSet<(Time, Physical)>,
    /// Addresses without a physical connection, for which there is no room, by who waits first.
    stranded: BTreeMap<Ticket, K>,
    redials: BTreeSet<(Time, K)>,
    effects: VecDeque<Effect<K>>,
    last_physical: u64,
    last_ticket: u64,
    closed: bool,
    stats: PoolStats,
}

/// The number of a physical connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Physical(u64);

impl Physical {
    /// As a number, for people.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// A place in the line of those who wait for a physical connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

#[derive(Debug)]
struct Connection<K> {
    key: K,
    state: State,
    cause: Cause,
    /// When it was opened.
    since: Time,
    /// Logical connections, those of granted tickets included.
    logical: u64,
    /// Granted, not taken.
    granted: BTreeSet<Ticket>,
    waiting_bytes: u64,
    full: bool,
    /// Not kept while nobody uses it.
    passing: bool,
    idle_since: Option<Time>,
}

#[derive(Debug)]
struct Address {
    physical: BTreeSet<Physical>,
    waiting: BTreeSet<Ticket>,
    /// Logical connections that ask to stay up.
    stay_up: u64,
    backoff: Backoff,
    /// Nobody is dialled before, but for use.
    pause_until: Time,
    /// As it is noted in `Pool::redials`.
    redial_at: Option<Time>,
    /// As it is noted in `Pool::stranded`.
    stranded: Option<Ticket>,
}

#[derive(Debug)]
struct Place<K> {
    key: K,
    granted: Option<Physical>,
}

impl<K: Ord + Clone> Pool<K> {
    /// An empty one. The seed makes the pauses of many programs differ.
    pub fn new(options: PoolOptions, seed: u64) -> Self {
        Self {
            options: options.clamped(),
            seed,
            physical: BTreeMap::new(),
            addresses: BTreeMap::new(),
            tickets: BTreeMap::new(),
            idle: BTreeSet::new(),
            stranded: BTreeMap::new(),
            redials: BTreeSet::new(),
            effects: VecDeque::new(),
            last_physical: 0,
            last_ticket: 0,
            closed: false,
            stats: PoolStats::default(),
        }
    }

    /// Somebody wants a logical connection to this address.
    pub fn open(&mut self, key: &K, now: Time) -> Decision {
        if self.closed {
            return Decision::Refuse(Refusal::Closed);
        }
        // Whoever asks stands in line for a moment in any case: so nobody is overtaken.
        let crowded = self.tickets.len() >= self.options.max_waiting;
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.address(key).waiting.insert(ticket);
        self.tickets.insert(ticket, Place { key: key.clone(), granted: None });
        let dialed = self.settle(key, !crowded, Some(ticket), now);
        let decision = match (self.tickets.get(&ticket).and_then(|place| place.granted), dialed) {
            (Some(physical), _) => {
                self.take(ticket);
                Decision::Use(physical)
            }
            (None, Some(physical)) => Decision::Dial(physical, ticket),
            (None, None) if crowded => {
                self.leave_line(ticket);
                self.stats.refused += 1;
                Decision::Refuse(Refusal::TooManyWait)
            }
            (None, None) => Decision::Wait(ticket),
        };
        self.finish(key, now);
        decision
    }

    /// Takes what a ticket was granted. `None` while it waits, which may be so again after a `Grant`: what
    /// was granted may have been lost before anybody came for it.
    pub fn take(&mut self, ticket: Ticket) -> Option<Physical> {
        let physical = self.tickets.get(&ticket)?.granted?;
        self.tickets.remove(&ticket);
        self.connection(physical).granted.remove(&ticket);
        Some(physical)
    }

    /// Whoever has this ticket does not want it any more, whatever has become of it.
    pub fn give_up(&mut self, ticket: Ticket, now: Time) {
        let Some(place) = self.tickets.get(&ticket) else { return };
        let key = place.key.clone();
        match self.take(ticket) {
            Some(physical) => self.closed(physical, now),
            None => {
                self.leave_line(ticket);
                self.finish(&key, now);
            }
        }
    }

    /// A dial has succeeded. Whether anybody wants it: if not, it is to be closed.
    pub fn dialed(&mut self, physical: Physical, now: Time) -> bool {
        let Some(connection) = self.physical.get_mut(&physical) else { return false };
        if connection.state == State::Dialing {
            (connection.state, connection.since) = (State::Open, now);
            let key = connection.key.clone();
            self.address(&key).pause_until = Time::ZERO;
            self.settle(&key, false, None, now);
            self.finish(&key, now);
        }
        true
    }

    /// A dial has failed. Who waits for it goes to another physical connection of this address if there is
    /// one, and else is told.
    pub fn dial_failed(&mut self, physical: Physical, now: Time) {
        match self.physical.get(&physical).map(|connection| connection.state) {
            None => return,
            Some(State::Dialing) => {}
            Some(State::Open | State::Leaving) => return self.lost(physical, now),
        }
        self.stats.failed_dials += 1;
        let key = self.forget(physical);
        if self.view(&key).live > 0 {
            // Not dialled again: somebody has just seen that this is no use.
            self.settle(&key, false, None, now);
        } else {
            let address = self.address(&key);
            address.pause_until = now + address.backoff.next_wait();
            for ticket in mem::take(&mut address.waiting) {
                self.tickets.remove(&ticket);
                self.effects.push_back(Effect::Fail(ticket, Failure::DialFailed(physical)));
            }
        }
        self.finish(&key, now);
    }

    /// A physical connection has ended, and its logical ones with it: they are not to be reported as closed.
    pub fn lost(&mut self, physical: Physical, now: Time) {
        let min = self.options.reconnect_min;
        let Some(connection) = self.physical.get(&physical) else { return };
        let lasted = match connection.state {
            State::Dialing => return self.dial_failed(physical, now),
            State::Open | State::Leaving => now - connection.since >= min,
        };
        self.stats.lost += 1;
        self.back_in_line(physical);
        let key = self.forget(physical);
        let address = self.address(&key);
        // At once, but for one that was lost as soon as it was there: that would be a loop.
        if lasted {
            address.backoff.reset();
            address.pause_until = now;
        } else {
            address.pause_until = now + address.backoff.next_wait();
        }
        self.dial_for_line(&key, now);
        self.finish(&key, now);
    }

    /// The peer takes no more logical connections on it: it ends with the last. The next who asks dials
    /// another one, as does at once whoever asked to stay up.
    pub fn going_away(&mut self, physical: Physical, now: Time) {
        match self.physical.get_mut(&physical) {
            Some(connection) if connection.state == State::Open => connection.state = State::Leaving,
            Some(_) | None => return,
        }
        self.back_in_line(physical);
        let key = self.connection(physical).key.clone();
        self.dial_for_line(&key, now);
        self.finish(&key, now);
    }

    /// A logical connection was opened that nobody asked for here: by the peer.
    pub fn opened(&mut self, physical: Physical, now: Time) {
        let Some(connection) = self.physical.get_mut(&physical) else { return };
        if connection.state != State::Dialing {
            connection.logical += 1;
            let key = connection.key.clone();
            self.finish(&key, now);
        }
    }

    /// A logical connection has ended.
    pub fn closed(&mut self, physical: Physical, now: Time) {
        let Some(connection) = self.physical.get_mut(&physical) else { return };
        // What is granted and not taken has not ended.
        if connection.logical > connection.granted.len() as u64 {
            connection.logical -= 1;
            let key = connection.key.clone();
            self.settle(&key, false, None, now);
            self.finish(&key, now);
        }
    }

    /// One more (or less) logical connection to this address asks to stay up: without a physical connection
    /// one is dialled at once, and again after a pause if that fails.
    pub fn set_stay_up(&mut self, key: &K, stay_up: bool, now: Time) {
        if self.closed {
            return;
        }
        let address = self.address(key);
        match stay_up {
            true => address.stay_up += 1,
            false => address.stay_up = address.stay_up.saturating_sub(1),
        }
        self.finish(key, now);
    }

    /// Whether the peer gives no more credit for opening. Then another one is used if there is one or if
    /// there may be one more, and else this one all the same.
    pub fn full(&mut self, physical: Physical, full: bool, now: Time) {
        let Some(connection) = self.physical.get_mut(&physical) else { return };
        connection.full = full;
        let key = connection.key.clone();
        self.settle(&key, false, None, now);
        self.finish(&key, now);
    }

    /// This one ends with its last logical connection, whatever [`PoolOptions::idle`] says of others, and a dial of it
    /// with the last who waits for it: it lives where nobody may look after it any more when it is not used. One that
    /// stays up keeps it, though.
    pub fn end_with_last(&mut self, physical: Physical, now: Time) {
        let Some(connection) = self.physical.get_mut(&physical) else { return };
        connection.passing = true;
        let key = connection.key.clone();
        self.finish(&key, now);
    }

    /// How many bytes wait there to be written: decides between two with as many logical connections.
    pub fn note_load(&mut self, physical: Physical, waiting_bytes: u64) {
        if let Some(connection) = self.physical.get_mut(&physical) {
            connection.waiting_bytes = waiting_bytes;
        }
    }

    /// Nobody gets a connection from here on: who waits is told, dials are given up, and each physical
    /// connection ends with its last logical one.
    pub fn close(&mut self, now: Time) {
        self.closed = true;
        for (ticket, place) in mem::take(&mut self.tickets) {
            if let Some(physical) = place.granted {
                let connection = self.connection(physical);
                connection.granted.remove(&ticket);
                connection.logical -= 1;
            }
            self.effects.push_back(Effect::Fail(ticket, Failure::Closed));
        }
        let dialing = |(physical, connection): (&Physical, &mut Connection<K>)| match connection.state {
            State::Dialing => Some(*physical),
            State::Open | State::Leaving => {
                connection.state = State::Leaving;
                None
            }
        };
        for physical in self.physical.iter_mut().filter_map(dialing).collect::<Vec<_>>() {
            self.end(physical);
        }
        for address in self.addresses.values_mut() {
            address.waiting.clear();
            address.stay_up = 0;
        }
        for key in self.addresses.keys().cloned().collect::<Vec<_>>() {
            self.refresh(&key, now);
        }
    }

    /// When [`expire`](Self::expire) is due.
    pub fn deadline(&self) -> Option<Time> {
        let timeout = self.options.idle.timeout();
        let idle = self.idle.first().zip(timeout).map(|((since, _), timeout)| *since + timeout);
        let redial = self.redials.first().map(|(at, _)| *at);
        idle.into_iter().chain(redial).min()
    }

    /// Time has passed.
    pub fn expire(&mut self, now: Time) {
        while let Some((&(since, physical), timeout)) = self.idle.first().zip(self.options.idle.timeout()) {
            if now < since + timeout {
                break;
            }
            self.stats.expired += 1;
            let key = self.end(physical);
            self.refresh(&key, now);
        }
        self.make_use_of_room(now);
    }

    /// What is to be done next.
    pub fn next_effect(&mut self) -> Option<Effect<K>> {
        self.effects.pop_front()
    }

    /// The address of this key, made if need be: `refresh` removes it once nothing is to be remembered.
    fn address(&mut self, key: &K) -> &mut Address {
        if !self.addresses.contains_key(key) {
            self.seed = self.seed.wrapping_add(1);
            let backoff = Backoff::new(self.options.reconnect_min, self.options.reconnect_max, self.seed);
            let address = Address {
                physical: BTreeSet::new(),
                waiting: BTreeSet::new(),
                stay_up: 0,
                backoff,
                pause_until: Time::ZERO,
                redial_at: None,
                stranded: None,
            };
            self.addresses.insert(key.clone(), address);
        }
        self.addresses.get_mut(key).expect("there is one now")
    }

    fn connection(&mut self, physical: Physical) -> &mut Connection<K> {
        self.physical.get_mut(&physical).expect("addresses and tickets name connections that there are")
    }
}
