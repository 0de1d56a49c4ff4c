//! Lives of a [`Pool`], for tests and fuzzers: bytes say what happens, and a naive model, which knows only
//! what it was told, watches.

use super::{Decision, Effect, Idle, Physical, Pool, PoolOptions, State, Ticket};
use crate::time::Time;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

/// Lives through what these bytes say: three for the options, then two for each thing that happens.
///
/// # Panics
/// When a bound is exceeded, somebody waits while there is room, a ticket is lost or overtaken, or the
/// references do not add up.
pub fn live(input: &[u8]) {
    let [bounds, line, idle, steps @ ..] = input else { return };
    let options = PoolOptions {
        per_address: usize::from(bounds % 3) + 1,
        in_all: usize::from(bounds / 3 % 6) + 1,
        max_waiting: usize::from(line % 8) + 1,
        idle: match idle % 3 {
            0 => Idle::CloseAfter(TIMEOUT),
            1 => Idle::CloseAtOnce,
            _ => Idle::Keep,
        },
        ..PoolOptions::default()
    };
    let mut world = World::new(options);
    for step in steps.chunks_exact(2) {
        world.step(step[0], step[1]);
        world.check();
    }
    world.end();
}

const TIMEOUT: Duration = Duration::from_millis(500);
const KEYS: u8 = 4;
/// Connections to this address end with their last logical one.
const PASSING: u8 = 3;

struct World {
    pool: Pool<u8>,
    options: PoolOptions,
    now: Time,
    physical: BTreeMap<Physical, Known>,
    tickets: BTreeMap<Ticket, (u8, Option<Physical>)>,
    stay_up: [u32; KEYS as usize],
    is_closed: bool,
}

#[derive(Debug)]
struct Known {
    key: u8,
    state: State,
    logical: u64,
    full: bool,
    bytes: u64,
    quiet_since: Option<Time>,
}

impl World {
    fn new(options: PoolOptions) -> Self {
        Self {
            pool: Pool::new(options.clone(), 7),
            options,
            now: Time::from_nanos(1),
            physical: BTreeMap::new(),
            tickets: BTreeMap::new(),
            stay_up: [0; KEYS as usize],
            is_closed: false,
        }
    }

    /// The connection that an argument means, also such that are there no more.
    fn some_physical(&self, which: u8) -> Physical {
        let known: Vec<_> = self.physical.keys().copied().collect();
        match known.get(usize::from(which) % (known.len() + 1)) {
            Some(physical) => *physical,
            None => Physical(u64::from(which)),
        }
    }

    fn some_ticket(&self, which: u8) -> Option<Ticket> {
        self.tickets.keys().nth(usize::from(which) % self.tickets.len().max(1)).copied()
    }

    fn step(&mut self, what: u8, which: u8) {
        let now = self.now;
        let physical = self.some_physical(which);
        match what % 16 {
            0..=3 => self.open(which % KEYS),
            4 | 5 => {
                let known = self.physical.get_mut(&physical);
                let is_known = known.is_some();
                if let Some(known) = known.filter(|known| known.state == State::Dialing) {
                    known.state = State::Open;
                }
                assert_eq!(self.pool.dialed(physical, now), is_known);
            }
            6 | 7 => {
                let is_dial = |known: &Known| known.state == State::Dialing;
                if what % 16 == 6 && !self.physical.get(&physical).is_some_and(is_dial) {
                    return;
                }
                self.physical.remove(&physical);
                self.ungrant(physical);
                match what % 16 {
                    6 => self.pool.dial_failed(physical, now),
                    _ => self.pool.lost(physical, now),
                }
            }
            8 => {
                if let Some(known) = self.physical.get_mut(&physical).filter(|it| it.state == State::Open) {
                    known.state = State::Leaving;
                    self.ungrant(physical);
                }
                self.pool.going_away(physical, now);
            }
            9 => {
                if let Some(known) = self.physical.get_mut(&physical).filter(|it| it.state != State::Dialing)
                {
                    known.logical += 1;
                }
                self.pool.opened(physical, now);
            }
            10 => {
                let granted = self.tickets.values().filter(|(_, on)| *on == Some(physical)).count() as u64;
                if let Some(known) = self.physical.get_mut(&physical) {
                    known.logical = known.logical.saturating_sub(1).max(granted);
                }
                self.pool.closed(physical, now);
            }
            11 => {
                if let Some(ticket) = self.some_ticket(which) {
                    assert_eq!(self.pool.take(ticket), self.tickets[&ticket].1);
                    if self.tickets[&ticket].1.is_some() {
                        self.tickets.remove(&ticket);
                    }
                    assert!(self.tickets.contains_key(&ticket) || self.pool.take(ticket).is_none());
                }
            }
            12 => {
                if let Some(ticket) = self.some_ticket(which) {
                    if let Some((_, Some(physical))) = self.tickets.remove(&ticket) {
                        self.physical.get_mut(&physical).expect("it was granted").logical -= 1;
                    }
                    self.pool.give_up(ticket, now);
                    self.pool.give_up(ticket, now);
                }
            }
            13 => {
                let (key, up) = (which % KEYS, which & 4 != 0);
                let count = &mut self.stay_up[usize::from(key)];
                if !self.is_closed {
                    *count = if up { *count + 1 } else { count.saturating_sub(1) };
                }
                self.pool.set_stay_up(&key, up, now);
            }
            14 => {
                let (full, bytes) = (which & 0x40 != 0, u64::from(which >> 4));
                if let Some(known) = self.physical.get_mut(&physical) {
                    (known.full, known.bytes) = (full, bytes);
                }
                self.pool.note_load(physical, bytes);
                self.pool.full(physical, full, now);
            }
            _ if which == 0xff => self.close(),
            _ => {
                self.now = now + Duration::from_millis(u64::from(which) * 4);
                return self.expire();
            }
        }
        self.obey(false);
    }

    fn open(&mut self, key: u8) {
        let decision = self.pool.open(&key, self.now);
        self.obey(false);
        match decision {
            Decision::Use(physical) => self.grant(key, physical),
            Decision::Dial(physical, ticket) => {
                self.begin(physical, key);
                self.tickets.insert(ticket, (key, None));
            }
            Decision::Wait(ticket) => {
                self.tickets.insert(ticket, (key, None));
            }
            Decision::Refuse(_) => {
                assert!(self.is_closed || self.tickets.len() == self.options.max_waiting);
            }
        }
    }

    fn expire(&mut self) {
        let before = self.pool.deadline();
        self.pool.expire(self.now);
        self.obey(true);
        assert!(self.pool.deadline().is_none_or(|at| at > self.now), "what is due is done");
        assert!(self.is_closed || before.is_some() || self.pool.deadline().is_none());
    }

    fn close(&mut self) {
        self.is_closed = true;
        self.stay_up = [0; KEYS as usize];
        for (_, physical) in self.tickets.values() {
            if let Some(physical) = physical {
                self.physical.get_mut(physical).expect("it was granted").logical -= 1;
            }
        }
        for known in self.physical.values_mut().filter(|known| known.state == State::Open) {
            known.state = State::Leaving;
        }
        self.pool.close(self.now);
    }

    /// Who was granted this one and did not come waits again.
    fn ungrant(&mut self, physical: Physical) {
        for (_, on) in self.tickets.values_mut().filter(|(_, on)| *on == Some(physical)) {
            *on = None;
            if let Some(known) = self.physical.get_mut(&physical) {
                known.logical -= 1;
            }
        }
    }

    fn obey(&mut self, expires: bool) {
        while let Some(effect) = self.pool.next_effect() {
            match effect {
                Effect::Dial(physical, key) => self.begin(physical, key),
                Effect::Close(physical) => {
                    let was_full = self.physical.len() == self.options.in_all;
                    let known = self.physical.remove(&physical).expect("closed once, after it was dialled");
                    assert_eq!(known.logical, 0, "nothing is closed under those who use it");
                    let timely = |since| expires && self.now - since >= TIMEOUT;
                    let is_late = known.quiet_since.is_some_and(timely);
                    let at_once = self.options.idle == Idle::CloseAtOnce
                        || known.state == State::Leaving
                        || known.key == PASSING;
                    assert!(is_late || at_once || was_full || self.is_closed, "no reason to close it");
                    if !(at_once || self.is_closed) {
                        let mut quiet = self.physical.values().filter_map(|other| other.quiet_since);
                        let since = known.quiet_since.unwrap_or(self.now);
                        assert!(quiet.all(|other| other >= since), "the longest idle one is closed first");
                    }
                }
                Effect::Grant(ticket, physical) => {
                    let key = self.tickets[&ticket].0;
                    let mut before = self.tickets.range(..ticket).map(|(_, place)| place);
                    assert!(!before.any(|place| *place == (key, None)), "first come, first served");
                    self.grant(key, physical);
                    let former = self.tickets.insert(ticket, (key, Some(physical)));
                    assert_eq!(former, Some((key, None)), "granted once");
                }
                Effect::Fail(ticket, _) => {
                    let (key, granted) = self.tickets.remove(&ticket).expect("told once");
                    assert!(granted.is_none() || self.is_closed);
                    let alive = |known: &Known| known.key == key && known.state != State::Leaving;
                    assert!(self.is_closed || !self.physical.values().any(alive), "there is another one");
                }
            }
        }
    }

    fn begin(&mut self, physical: Physical, key: u8) {
        assert!(!self.is_closed && self.physical.len() < self.options.in_all, "room for one more");
        let live = |known: &&Known| known.key == key && known.state != State::Leaving;
        assert!(self.physical.values().filter(live).count() < self.options.per_address);
        let state = State::Dialing;
        let known = Known { key, state, logical: 0, full: false, bytes: 0, quiet_since: None };
        assert!(self.physical.insert(physical, known).is_none(), "numbers are used once");
        if key == PASSING {
            self.pool.end_with_last(physical, self.now);
        }
    }

    fn grant(&mut self, key: u8, physical: Physical) {
        let open = |known: &&Known| known.key == key && known.state == State::Open;
        let busy = |known: &Known| (known.full, known.logical, known.bytes);
        let least = self.physical.values().filter(open).map(busy).min();
        let known = self.physical.get_mut(&physical).expect("what is granted is there");
        assert!(known.key == key && known.state == State::Open);
        assert_eq!(Some(busy(known)), least, "the least busy one");
        known.logical += 1;
    }

    fn check(&mut self) {
        self.pool.check_invariants();
        assert_eq!(self.pool.len(), self.physical.len());
        for (physical, known) in &mut self.physical {
            assert_eq!(self.pool.state(*physical), Some(known.state));
            assert_eq!(self.pool.logical(*physical), known.logical, "references add up");
            let waits = |(key, on): &(u8, Option<Physical>)| *key == known.key && on.is_none();
            let is_quiet = self.stay_up[usize::from(known.key)] == 0
                && match known.state {
                    State::Dialing => !self.tickets.values().any(waits),
                    State::Open => known.logical == 0,
                    State::Leaving => false,
                };
            known.quiet_since = is_quiet.then(|| known.quiet_since.unwrap_or(self.now));
        }
        for key in 0..KEYS {
            let waiting = self.tickets.values().filter(|place| **place == (key, None)).count();
            assert_eq!(self.pool.waiting(&key), waiting, "no ticket is lost");
            let mut of_key = self.physical.values().filter(|known| known.key == key);
            let is_dialing = of_key.clone().any(|known| known.state == State::Dialing);
            let is_open = of_key.any(|known| known.state == State::Open);
            let has_room = self.physical.len() < self.options.in_all
                || self.physical.values().any(|known| known.quiet_since.is_some());
            assert!(waiting == 0 || is_dialing || !(is_open || has_room), "nobody waits while there is room");
        }
    }

    /// With peers that answer and users that leave, nobody waits for ever, and nothing is left.
    fn end(mut self) {
        for key in 0..KEYS {
            for _ in 0..self.stay_up[usize::from(key)] {
                self.pool.set_stay_up(&key, false, self.now);
            }
            self.stay_up[usize::from(key)] = 0;
            self.obey(false);
        }
        let turns = self.tickets.len() + self.physical.len() + 2;
        for _ in 0..turns {
            for physical in self.physical.keys().copied().collect::<Vec<_>>() {
                if let Some(known) = self.physical.get_mut(&physical).filter(|it| it.state == State::Dialing)
                {
                    known.state = State::Open;
                    assert!(self.pool.dialed(physical, self.now));
                }
                self.obey(false);
            }
            self.check();
            for (ticket, (_, physical)) in self.tickets.clone() {
                if physical.is_some() {
                    assert_eq!(self.pool.take(ticket), physical);
                    self.tickets.remove(&ticket);
                }
            }
            for physical in self.physical.keys().copied().collect::<Vec<_>>() {
                while let Some(known) = self.physical.get_mut(&physical).filter(|known| known.logical > 0) {
                    known.logical -= 1;
                    // Its place may be wanted by somebody else.
                    let (_, now) = (known, self.now);
                    self.pool.closed(physical, now);
                    self.obey(false);
                }
            }
            self.check();
        }
        assert!(self.tickets.is_empty(), "nobody waits for ever");
        self.close();
        self.obey(false);
        self.check();
        assert!(self.pool.is_empty() && self.pool.deadline().is_none());
    }
}
