//! [`Pool`]: which logical connection uses which physical one, and when another one is dialled.

pub mod decision;
mod invariants;
#[cfg(any(test, feature = "script"))]
pub mod life;
pub mod options;
#[cfg(test)]
mod tests;

pub use decision::{Cause, Decision, Effect, Failure, Refusal, State};
pub use options::{Idle, PoolOptions, PoolStats};

use self::options::SHORTEST_PAUSE;
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

/// An address as those who wait for it see it.
struct View {
    /// The least busy of the open ones.
    best: Option<Choice>,
    dials: u64,
    /// Open ones, too.
    live: usize,
}

/// The smaller, the better.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Choice {
    full: bool,
    logical: u64,
    waiting_bytes: u64,
    physical: Physical,
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

    /// Where a physical connection is in its life; `None` when it is forgotten.
    pub fn state(&self, physical: Physical) -> Option<State> {
        self.physical.get(&physical).map(|connection| connection.state)
    }

    /// Why it was dialled.
    pub fn cause(&self, physical: Physical) -> Option<Cause> {
        self.physical.get(&physical).map(|connection| connection.cause)
    }

    /// Its logical connections, those of granted tickets included.
    pub fn logical(&self, physical: Physical) -> u64 {
        self.physical.get(&physical).map_or(0, |connection| connection.logical)
    }

    /// The physical connections of an address, oldest first.
    pub fn physical(&self, key: &K) -> impl Iterator<Item = Physical> + '_ {
        self.addresses.get(key).into_iter().flat_map(|address| address.physical.iter().copied())
    }

    /// Physical connections, in whatever state.
    pub fn len(&self) -> usize {
        self.physical.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.physical.is_empty()
    }

    /// Who waits for a physical connection to this address.
    pub fn waiting(&self, key: &K) -> usize {
        self.addresses.get(key).map_or(0, |address| address.waiting.len())
    }

    /// What was counted.
    pub fn stats(&self) -> PoolStats {
        self.stats
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

    fn view(&self, key: &K) -> View {
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
    fn settle(&mut self, key: &K, may_dial: bool, asking: Option<Ticket>, now: Time) -> Option<Physical> {
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
    fn dial_for_line(&mut self, key: &K, now: Time) {
        if let Some(physical) = self.settle(key, true, None, now) {
            self.effects.push_back(Effect::Dial(physical, key.clone()));
        }
    }

    fn dial(&mut self, key: &K, cause: Cause) -> Physical {
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
            idle_since: None,
        };
        self.physical.insert(physical, connection);
        physical
    }

    /// Whether there may be one more physical connection, if need be at the cost of the longest idle one.
    fn make_room(&mut self, evict: bool, now: Time) -> bool {
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
    fn back_in_line(&mut self, physical: Physical) {
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
    fn leave_line(&mut self, ticket: Ticket) {
        if let Some(place) = self.tickets.remove(&ticket) {
            self.address(&place.key).waiting.remove(&ticket);
        }
    }

    fn end(&mut self, physical: Physical) -> K {
        self.effects.push_back(Effect::Close(physical));
        self.forget(physical)
    }

    fn forget(&mut self, physical: Physical) -> K {
        let connection = self.physical.remove(&physical).expect("callers have looked it up");
        if let Some(since) = connection.idle_since {
            self.idle.remove(&(since, physical));
        }
        self.address(&connection.key).physical.remove(&physical);
        connection.key
    }

    /// After every call: this address has changed.
    fn finish(&mut self, key: &K, now: Time) {
        self.refresh(key, now);
        self.make_use_of_room(now);
    }

    /// Notes what follows from the state of an address: who is idle, who is stranded, what is to be dialled
    /// again, and whether it is to be remembered at all.
    fn refresh(&mut self, key: &K, now: Time) {
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
            if has_left || (is_idle && self.options.idle == Idle::CloseAtOnce) {
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
    fn make_use_of_room(&mut self, now: Time) {
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
