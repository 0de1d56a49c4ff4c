//! [`PoolState`]: the rules of a pool beside the connections, dials and waits that they speak of.

use super::connection::Connection;
use super::pool_key::{Key, Site};
use super::pool_stats::{PhysicalStats, PoolReport};
use super::wire::Wire;
use super::{Event, OpenError};
use spanwire_core::Time;
use spanwire_core::mux::End;
use spanwire_core::mux::connection::{NotOpened, State};
use spanwire_core::mux::pool::{self as rules, Decision, Effect, Failure, Physical, Refusal, Ticket};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::task::AbortHandle;

pub(super) struct PoolState {
    pub(super) rules: rules::Pool<Key>,
    lines: BTreeMap<Physical, Line>,
    seats: BTreeMap<Ticket, Seat>,
    /// Why the last dial failed, for those whom the rules tell that it has.
    failed: Option<(Physical, OpenError)>,
    timer: Option<Waker>,
    armed: Time,
    closed: bool,
}

/// A physical connection.
struct Line {
    url: Arc<str>,
    dial: Option<AbortHandle>,
    connection: Option<Connection>,
    /// Its channels, as the rules know.
    counted: u64,
    full: bool,
}

/// Where somebody waits.
#[derive(Default)]
struct Seat {
    site: Site,
    waker: Option<Waker>,
    failed: Option<OpenError>,
}

/// What somebody has who is about to open a channel.
#[derive(Copy, Clone, Debug)]
pub(super) enum Held {
    Ticket(Ticket),
    /// Counts as a logical connection there.
    Physical(Physical),
    Nothing,
}

impl Held {
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Nothing)
    }
}

/// Left to do once the lock is released.
pub(super) enum Todo {
    Dial(Physical, Key, Site),
    Wake(Waker),
    Abort(AbortHandle),
    /// It ends with its last channel.
    Leave(Connection),
    Drop(Connection),
    Tell(Event),
}

impl PoolState {
    pub(super) fn new(rules: rules::Pool<Key>) -> Self {
        let (lines, seats) = (BTreeMap::new(), BTreeMap::new());
        Self { rules, lines, seats, failed: None, timer: None, armed: Time::MAX, closed: false }
    }

    pub(super) fn connections(&self) -> Vec<Connection> {
        self.lines.values().filter_map(|line| line.connection.clone()).collect()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// What the rules want done.
    pub(super) fn follow(&mut self, now: Time, todo: &mut Vec<Todo>) {
        while let Some(effect) = self.rules.next_effect() {
            match effect {
                Effect::Dial(physical, key) => {
                    // For whoever waits longest; for those that stay up, if nobody does.
                    let first = self.rules.first_waiting(&key).and_then(|ticket| self.seats.get(&ticket));
                    let site = first.map(|seat| seat.site.clone()).unwrap_or_default();
                    self.begin(physical, &key, site, now, todo);
                }
                Effect::Close(physical) => {
                    let Some(line) = self.lines.remove(&physical) else { continue };
                    todo.extend(line.dial.map(Todo::Abort));
                    todo.extend(line.connection.map(Todo::Leave));
                }
                Effect::Grant(ticket, _) => {
                    let waker = self.seats.get_mut(&ticket).and_then(|seat| seat.waker.take());
                    todo.extend(waker.map(Todo::Wake));
                }
                Effect::Fail(ticket, failure) => {
                    let error = match (failure, &self.failed) {
                        (Failure::DialFailed(physical), Some((failed, error))) if *failed == physical => {
                            error.clone()
                        }
                        (Failure::DialFailed(_), _) => OpenError::Closed(End::Lost),
                        (Failure::Closed, _) => OpenError::ClosedHere,
                    };
                    let Some(seat) = self.seats.get_mut(&ticket) else { continue };
                    seat.failed = Some(error);
                    todo.extend(seat.waker.take().map(Todo::Wake));
                }
            }
        }
        self.failed = None;
        if self.rules.deadline().is_some_and(|due| due < self.armed) {
            // Until it has run, nobody need wake it again.
            self.armed = Time::ZERO;
            todo.extend(self.timer.take().map(Todo::Wake));
        }
    }

    fn begin(&mut self, physical: Physical, key: &Key, site: Site, now: Time, todo: &mut Vec<Todo>) {
        if let Site::Asker(..) = site {
            self.rules.end_with_last(physical, now);
        }
        let line = Line { url: key.url.clone(), dial: None, connection: None, counted: 0, full: false };
        self.lines.insert(physical, line);
        todo.push(Todo::Dial(physical, key.clone(), site));
    }

    /// Somebody wants a connection.
    pub(super) fn ask(
        &mut self,
        key: &Key,
        site: &Site,
        now: Time,
        todo: &mut Vec<Todo>,
    ) -> Result<Held, OpenError> {
        self.note_loads(key);
        let ticket = match self.rules.open(key, now) {
            Decision::Use(physical) => return Ok(Held::Physical(physical)),
            Decision::Refuse(Refusal::Closed) => return Err(OpenError::ClosedHere),
            Decision::Refuse(Refusal::TooManyWait) => return Err(OpenError::Busy),
            Decision::Wait(ticket) => ticket,
            Decision::Dial(physical, ticket) => {
                self.begin(physical, key, site.clone(), now, todo);
                ticket
            }
        };
        self.seats.insert(ticket, Seat { site: site.clone(), ..Seat::default() });
        Ok(Held::Ticket(ticket))
    }

    /// What decides between several that have as many channels.
    fn note_loads(&mut self, key: &Key) {
        let several: Vec<_> = self.rules.physical(key).collect();
        if several.len() < 2 {
            return;
        }
        for physical in several {
            let connection = self.lines.get(&physical).and_then(|line| line.connection.as_ref());
            if let Some(connection) = connection {
                let waiting = connection.wire().lock().waiting_bytes();
                self.rules.note_load(physical, waiting as u64);
            }
        }
    }

    pub(super) fn poll_claim(
        &mut self,
        held: &mut Held,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Physical, Connection), OpenError>> {
        let physical = match *held {
            Held::Nothing => return Poll::Ready(Err(OpenError::ClosedHere)),
            Held::Physical(physical) => physical,
            Held::Ticket(ticket) => match self.rules.take(ticket) {
                Some(physical) => {
                    self.seats.remove(&ticket);
                    *held = Held::Physical(physical);
                    physical
                }
                None => {
                    let Some(seat) = self.seats.get_mut(&ticket) else {
                        return Poll::Ready(Err(OpenError::ClosedHere));
                    };
                    if let Some(error) = seat.failed.take() {
                        self.seats.remove(&ticket);
                        *held = Held::Nothing;
                        return Poll::Ready(Err(error));
                    }
                    seat.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            },
        };
        let connection = self.lines.get(&physical).and_then(|line| line.connection.clone());
        // Lost since: whoever asks again gets another one.
        Poll::Ready(connection.map(|connection| (physical, connection)).ok_or(OpenError::Leaving))
    }

    pub(super) fn give_back(&mut self, held: Held, now: Time) {
        match held {
            Held::Ticket(ticket) => {
                self.seats.remove(&ticket);
                self.rules.give_up(ticket, now);
            }
            Held::Physical(physical) => self.rules.closed(physical, now),
            Held::Nothing => {}
        }
    }

    /// A channel was opened by one who had a claim: that counts for it from here on.
    pub(super) fn is_in_use(&mut self, physical: Physical, now: Time, todo: &mut Vec<Todo>) {
        if let Some(line) = self.lines.get_mut(&physical) {
            line.counted += 1;
        }
        self.look(physical, now, todo);
    }

    pub(super) fn is_dialed_by(&mut self, physical: Physical, task: AbortHandle, todo: &mut Vec<Todo>) {
        match self.lines.get_mut(&physical) {
            Some(line) => line.dial = Some(task),
            // It is over already, or not wanted any more.
            None => todo.push(Todo::Abort(task)),
        }
    }

    pub(super) fn dialed(
        &mut self,
        physical: Physical,
        dialed: Result<Connection, OpenError>,
        now: Time,
        todo: &mut Vec<Todo>,
    ) {
        let wanted = self.lines.get_mut(&physical);
        match (dialed, wanted) {
            (Ok(connection), Some(line)) => {
                let (number, url) = (connection.number(), line.url.clone());
                (line.connection, line.dial) = (Some(connection), None);
                todo.push(Todo::Tell(Event::Connected { number, url }));
                self.rules.dialed(physical, now);
                self.look(physical, now, todo);
            }
            (Ok(connection), None) => todo.push(Todo::Leave(connection)),
            (Err(error), Some(line)) => {
                let (url, text) = (line.url.clone(), error.to_string().into());
                todo.push(Todo::Tell(Event::DialFailed { url, error: text }));
                self.lines.remove(&physical);
                self.failed = Some((physical, error));
                self.rules.dial_failed(physical, now);
            }
            (Err(_), None) => {}
        }
    }

    /// Something has changed on a connection.
    pub(super) fn look(&mut self, physical: Physical, now: Time, todo: &mut Vec<Todo>) {
        let Some(line) = self.lines.get_mut(&physical) else { return };
        let Some(connection) = &line.connection else { return };
        let (live, end, leaving, full) = seen(connection.wire());
        if let Some(end) = end {
            let (number, url) = (connection.number(), line.url.clone());
            todo.push(Todo::Tell(Event::Ended { number, url, end }));
            let line = self.lines.remove(&physical);
            todo.extend(line.and_then(|line| line.connection).map(Todo::Drop));
            return self.rules.lost(physical, now);
        }
        let before = std::mem::replace(&mut line.counted, live);
        if std::mem::replace(&mut line.full, full) != full {
            self.rules.full(physical, full, now);
        }
        for _ in before..live {
            self.rules.opened(physical, now);
        }
        for _ in live..before {
            self.rules.closed(physical, now);
        }
        if leaving {
            self.rules.going_away(physical, now);
        }
    }

    /// Does what is due. When more is; and nothing at all once it is closed.
    pub(super) fn expire(&mut self, now: Time, timer: &Waker, todo: &mut Vec<Todo>) -> Option<Option<Time>> {
        if self.closed {
            return None;
        }
        if self.rules.deadline().is_some_and(|due| due <= now) {
            // None that is in use is to be taken for an idle one.
            for physical in self.lines.keys().copied().collect::<Vec<_>>() {
                self.look(physical, now, todo);
            }
            self.rules.expire(now);
        }
        let due = self.rules.deadline();
        self.armed = due.unwrap_or(Time::MAX);
        self.timer = Some(timer.clone());
        Some(due)
    }

    pub(super) fn close(&mut self, now: Time, todo: &mut Vec<Todo>) {
        self.closed = true;
        self.rules.close(now);
        todo.extend(self.timer.take().map(Todo::Wake));
    }

    /// What was counted in all, and who waits.
    pub(super) fn counted(&self) -> (rules::PoolStats, usize) {
        (self.rules.stats(), self.seats.len())
    }

    pub(super) fn report(&self) -> PoolReport {
        let physical = self.lines.iter().filter_map(|(physical, line)| {
            let state = self.rules.state(*physical)?;
            let stats = PhysicalStats::of(&line.url, state, line.connection.as_ref());
            Some(PhysicalStats { logical: self.rules.logical(*physical), ..stats })
        });
        let (total, waiting) = self.counted();
        PoolReport { total, waiting, physical: physical.collect() }
    }
}

/// Channels, how it ended, whether it takes no new ones, and whether it takes none for now.
fn seen(wire: &Arc<Wire>) -> (u64, Option<End>, bool, bool) {
    let state = wire.lock();
    let leaving = matches!(state.mux.state(), State::Leaving { .. });
    let full = matches!(state.mux.may_open(), Err(NotOpened::Full));
    (state.mux.live() as u64, state.mux.end().cloned(), leaving, full)
}
