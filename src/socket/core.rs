//! [`Core`]: the rules of one socket under their lock, and everything that has to do with both.
//!
//! **Lock order**: what waits for each pipe is under the core's lock as well; never two cores. System calls, wakers, filters and delivery into other sockets happen with no lock held,
//! from the [`Out`] list.

use super::endpoints::Endpoint;
use super::events::{Event, Events, Hub};
use super::fx::Fx;
use super::lane::Lane;
use super::ops::Wait;
#[cfg(feature = "inproc")]
use super::outgoing::{Outgoing, Pickup};
#[cfg(unix)]
use super::poll_fd::Signal;
use super::receiver::Lender;
use super::waits::{For, Ticket, Waits};
use super::work::{Out, Work};
use super::{Peer, Stats};
use crate::rt::{self, Home};
use crate::session::gate::Gate;
use crate::session::handoff::Wrote;
use crate::session::pipe::{After, Closing, PipeState, StreamPipe};
use crate::session::spin::Spin;
use crate::session::{Delivery, Origin, Owner};
use crate::trace::Span;
use crate::transport::Ends;
use spanwire_core::framing::sp::{FrameError, Protocol};
use spanwire_core::pattern::{CtxId, Effects, Member, Nothing, Pattern, Refusal, Rules};
use spanwire_core::session::inbox::Inbox;
use spanwire_core::session::outbox::{Batch, Flushed};
use spanwire_core::snapshot::{Tally, Transports};
use spanwire_core::{
    ByReason, DetachReason, Dropped, Lack, Latencies, Ledger, Message, Options, PipeId, RecvError, SendError,
    Time,
};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

/// One socket.
pub(crate) struct Core {
    pub(crate) protocol: Protocol,
    pub(crate) options: Options,
    pub(crate) home: Home,
    /// Everything that runs for this socket holds a pass of it.
    pub(crate) gate: Arc<Gate>,
    /// When it was made.
    pub(super) made: Time,
    state: Mutex<State>,
    /// Receivers that wait, kept beside the lock for the driver's sake.
    receivers: AtomicUsize,
    /// What a receiver may read by itself.
    pub(super) lender: Lender,
    /// When a sender last came back from writing, in nanoseconds as `rt::now` gives them.
    written_at: AtomicU64,
    /// A sender wrote a whole batch by itself: the next one lets others run first.
    pub(super) owes_turn: AtomicBool,
    /// So many messages were received without a wait that the next receive lets others run first.
    pub(super) owes_turn_receiving: AtomicBool,
    /// Whether the rules need to know the time of a send, and of a take.
    timed: bool,
    timed_takes: bool,
    /// What was left for it in other sockets of this process.
    #[cfg(feature = "inproc")]
    pub(super) pickup: Pickup,
    pub(super) endpoints: Mutex<Vec<Arc<Endpoint>>>,
}

/// Decides whether a peer may be attached.
pub(crate) type Filter = Arc<dyn Fn(&Peer) -> bool + Send + Sync>;

pub(crate) struct State {
    pub(super) rule: Rules,
    pub(super) pipes: Vec<Option<Entry>>,
    pub(super) waits: Waits,
    pub(super) ledger: Ledger,
    pub(super) took: Took,
    pub(super) hub: Hub,
    pub(super) phase: Phase,
    filter: Option<Filter>,
    attached: usize,
    /// When the keeper will look at the rules' deadline by itself, and how to make it look sooner.
    pub(super) armed: Time,
    pub(super) keeper: Option<Waker>,
    /// What has happened since the socket began to close.
    pub(super) farewell: CloseReport,
    /// Descriptors that show whether it is ready, if somebody asked for them.
    #[cfg(unix)]
    pub(super) watchers: Vec<Arc<Signal>>,
    /// Something was left for another socket of this process to fetch.
    #[cfg(feature = "inproc")]
    pub(super) left: bool,
}

/// How long things took, each counted in one place: those of single peers are in their entries, and what is
/// told of the socket as a whole is the sum of all.
#[derive(Default)]
pub(super) struct Took {
    pub(super) transports: Transports,
    /// Answers of peers that are gone.
    pub(super) late: Latencies,
    pub(super) lives: ByReason<DetachReason>,
    pub(super) refusals: ByReason<DetachReason>,
    pub(super) waits: ByReason<Lack>,
}

/// A pipe of this socket.
pub(super) struct Entry {
    pub(super) id: PipeId,
    /// `None` while filter and pattern are being asked.
    pub(super) lane: Option<Lane>,
    pub(super) peer: Arc<Peer>,
    pub(super) tally: Tally,
    /// When it was attached.
    pub(super) since: Option<Time>,
    /// Lives as long as this does.
    span: Option<Span>,
}

/// The life of a socket.
///
/// ```text
///   Open ── close, drop ──▶ Closed       (pipes drain on, but nobody may use the socket)
///     └─── runtime gone ──▶ Orphaned
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    Closed,
    Orphaned,
}

/// What became of the messages that were still waiting to be sent when a socket was closed.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseReport {
    /// Handed to the kernel, or delivered in-process, after closing began.
    pub flushed: u64,
    /// Never sent: the deadline passed, or there was nobody to send them to.
    pub abandoned: u64,
    /// In the kernel's hands, in part or whole, when their connection was cut: nobody knows.
    pub unknown: u64,
}

/// A sender that has written so much at once lets others run. The first window of a PUSH, full of
/// small messages, is about as much.
const BATCH_BYTES: usize = 8 * 1024;

/// A sender that writes again so soon is in a hurry. Less than the fastest answer takes to come.
const HURRY_NANOS: u64 = 2_000;

/// After so many messages taken, a socket looks whether other sockets of this process have left some,
/// even if it has more: those that come by themselves must not keep these out.
const FETCH_EVERY: u64 = 64;

/// Half a millisecond of small messages.
const TURN_MESSAGES: u64 = 4_096;

/// The number of the last pipe of this process.
static LAST_PIPE: AtomicU32 = AtomicU32::new(0);

impl Core {
    pub(crate) fn new(protocol: Protocol, rule: Rules, options: Options, home: Home) -> Arc<Self> {
        let timed = matches!(protocol, Protocol::Req | Protocol::Surveyor);
        let spin = Spin::new(options.spin);
        let gate = Arc::new(Gate::default());
        #[cfg(feature = "quic")]
        let home = home.sheltered(gate.clone());
        let core = Arc::new(Self {
            protocol,
            options,
            home,
            gate,
            made: rt::now(),
            state: Mutex::new(State {
                rule,
                pipes: Vec::new(),
                waits: Waits::default(),
                ledger: Ledger::default(),
                took: Took::default(),
                hub: Hub::default(),
                phase: Phase::Open,
                filter: None,
                attached: 0,
                armed: Time::MAX,
                keeper: None,
                farewell: CloseReport::default(),
                #[cfg(unix)]
                watchers: Vec::new(),
                #[cfg(feature = "inproc")]
                left: false,
            }),
            receivers: AtomicUsize::new(0),
            lender: Lender::new(spin),
            written_at: AtomicU64::new(0),
            owes_turn: AtomicBool::new(false),
            owes_turn_receiving: AtomicBool::new(false),
            timed,
            timed_takes: protocol == Protocol::Surveyor,
            #[cfg(feature = "inproc")]
            pickup: Pickup::new(protocol == Protocol::Pull),
            endpoints: Mutex::new(Vec::new()),
        });
        super::keeper::start(&core);
        core
    }

    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A rule that panics is a bug in it; the socket goes on as well as it can.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for something that only one pattern can do, and that neither sends nor takes.
    pub(super) fn ask<R: Member, T>(self: &Arc<Self>, ask: impl FnOnce(&mut R, Time, &mut Fx<'_>) -> T) -> T {
        let now = self.clock();
        let mut out = Out::default();
        let result = {
            let mut state = self.lock();
            let state = &mut *state;
            let result = state.visit(self, &mut out, |rule, fx| ask(own(rule), now, fx));
            if self.timed {
                state.arm(&mut out);
            }
            result
        };
        out.run();
        result
    }

    /// Takes several messages in one visit to the rules of an open socket; `take` says how many.
    pub(super) fn visit_open(
        self: &Arc<Self>,
        take: impl FnOnce(&mut Rules, Time, &mut Fx<'_>) -> usize,
    ) -> usize {
        let now = self.clock();
        let mut out = Out::default();
        let taken = {
            let mut state = self.lock();
            let state = &mut *state;
            if state.phase != Phase::Open {
                return 0;
            }
            let taken = state.visit(self, &mut out, |rule, fx| take(rule, now, fx));
            self.note_turn(&self.owes_turn_receiving, &mut state.ledger.delivered_messages, taken);
            taken
        };
        out.run();
        taken
    }

    /// Receivers in line.
    pub(super) fn waiting_receivers(&self) -> usize {
        self.receivers.load(Ordering::Relaxed)
    }

    #[inline]
    fn clock(&self) -> Time {
        if self.timed { rt::now() } else { Time::ZERO }
    }

    /// Sends, if the socket is open and the rules find room. Then what is left of the message is of no
    /// use; else it is as it was.
    pub(super) fn send(self: &Arc<Self>, ctx: CtxId, message: &mut Message) -> Result<(), Why> {
        self.send_by(message, |rule, now, message, fx| rule.put(now, ctx, message, fx))
    }

    /// The same with another way to put it to the rules.
    #[inline]
    pub(super) fn send_by(
        self: &Arc<Self>,
        message: &mut Message,
        send: impl FnOnce(&mut Rules, Time, &mut Message, &mut Fx<'_>) -> Result<(), Refusal>,
    ) -> Result<(), Why> {
        let bytes = message.len();
        let mut result = Ok(());
        self.visit_to_send(|rule, now, fx| {
            result = send(rule, now, message, fx);
            match result {
                Ok(()) => Flushed { messages: 1, bytes },
                Err(_) => Flushed::default(),
            }
        })?;
        result.map_err(Why::Refused)
    }

    /// Sends from the front as many as there is room for, in one visit to the rules.
    pub(super) fn send_some(self: &Arc<Self>, messages: &mut VecDeque<Message>) -> usize {
        let mut sent = Flushed::default();
        // A socket that cannot be used says so to whoever sends the next by itself.
        let _ = self.visit_to_send(|rule, now, fx| {
            for message in messages.iter_mut() {
                let bytes = message.len();
                if rule.put(now, CtxId::DEFAULT, message, fx).is_err() {
                    break;
                }
                sent.messages += 1;
                sent.bytes += bytes;
            }
            sent
        });
        messages.drain(..sent.messages);
        sent.messages
    }

    /// Lets the rules of an open socket send; `send` says what they took.
    #[inline]
    fn visit_to_send(
        self: &Arc<Self>,
        send: impl FnOnce(&mut Rules, Time, &mut Fx<'_>) -> Flushed,
    ) -> Result<(), Why> {
        let now = self.clock();
        let mut out = Out::at(now);
        {
            let mut state = self.lock();
            let state = &mut *state;
            match state.phase {
                Phase::Open => {}
                Phase::Closed => return Err(Why::Closed),
                Phase::Orphaned => return Err(Why::Orphaned),
            }
            let sent = state.visit(self, &mut out, |rule, fx| send(rule, now, fx));
            self.note_turn(&self.owes_turn, &mut state.ledger.sent_messages, sent.messages);
            state.ledger.sent_bytes += sent.bytes as u64;
            #[cfg(feature = "inproc")]
            state.deliver_if_full(&mut out);
            if self.timed {
                state.arm(&mut out);
            }
        }
        out.run();
        Ok(())
    }

    /// Takes the next message of a context to wherever `take` puts it; while there is none, `wait` may
    /// leave a waker. A message that is handed up by value is moved once more by each function on its
    /// way.
    #[inline]
    pub(super) fn take(
        self: &Arc<Self>,
        ctx: CtxId,
        into: &mut Option<Message>,
        mut wait: Wait<'_>,
        mut take: impl FnMut(&mut Rules, Time, &mut Option<Message>, &mut Fx<'_>) -> Result<(), Nothing>,
    ) -> Result<(), NoMessage> {
        loop {
            let now = if self.timed_takes { rt::now() } else { Time::ZERO };
            let mut out = Out::default();
            let mut look = false;
            let mut waits = false;
            let result = {
                let mut state = self.lock();
                let state = &mut *state;
                let result = match state.phase {
                    Phase::Open => state
                        .visit(self, &mut out, |rule, fx| take(rule, now, into, fx))
                        .map_err(NoMessage::Nothing),
                    Phase::Closed => Err(NoMessage::Closed),
                    Phase::Orphaned => Err(NoMessage::Orphaned),
                };
                if result == Err(NoMessage::Nothing(Nothing::Yet)) {
                    if let Some((ticket, waker)) = wait.as_mut().filter(|_| !self.has_to_fetch()) {
                        self.wait_for_message(state, ctx, ticket, waker);
                        waits = true;
                    }
                } else {
                    if result.is_ok() {
                        self.note_turn(&self.owes_turn_receiving, &mut state.ledger.delivered_messages, 1);
                        look = state.ledger.delivered_messages % FETCH_EVERY == 0;
                    }
                    if let Some((ticket, _)) = &mut wait {
                        // Whoever was woken for this message has it; a ticket left over is stale.
                        self.forget(state, For::Message(ctx), ticket);
                    }
                }
                result
            };
            out.run();
            if result == Err(NoMessage::Nothing(Nothing::Yet)) {
                // Whoever stands in line is woken for what is fetched; others look again.
                let fetched = self.fetch();
                if !waits && (fetched || wait.is_some()) {
                    continue;
                }
            } else if look {
                self.fetch();
            }
            return result;
        }
    }

    /// Stands in line for a message.
    fn wait_for_message(&self, state: &mut State, ctx: CtxId, ticket: &mut Option<Ticket>, waker: &Waker) {
        if ticket.is_none() {
            self.receivers.fetch_add(1, Ordering::Relaxed);
        }
        state.waits.wait(For::Message(ctx), ticket, waker);
        #[cfg(feature = "inproc")]
        self.pickup.wait();
    }

    /// Whether something was left for this socket in another one of its process.
    #[inline]
    fn has_to_fetch(&self) -> bool {
        #[cfg(feature = "inproc")]
        return self.pickup.is_some();
        #[cfg(not(feature = "inproc"))]
        false
    }

    /// Fetches some of it. `false` when there was nothing.
    #[inline]
    pub(super) fn fetch(&self) -> bool {
        #[cfg(feature = "inproc")]
        return self.has_to_fetch() && self.fetch_next();
        #[cfg(not(feature = "inproc"))]
        false
    }

    /// Takes a ticket out of its queue after its future got what it wanted.
    fn forget(&self, state: &mut State, what: For, ticket: &mut Option<Ticket>) {
        if let Some(ticket) = ticket.take() {
            state.waits.leave(what, ticket);
            if matches!(what, For::Message(_)) {
                self.receivers.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits for something other than a message.
    pub(super) fn wait(
        &self,
        what: For,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
        done: impl FnOnce(&State) -> bool,
    ) -> bool {
        let mut state = self.lock();
        if done(&state) || state.phase != Phase::Open {
            self.forget(&mut state, what, ticket);
            return true;
        }
        state.waits.wait(what, ticket, waker);
        false
    }

    /// Waits for room, or for a peer.
    pub(super) fn wait_for_room(&self, lack: Lack, ticket: &mut Option<Ticket>, waker: &Waker) {
        self.wait(For::Room, ticket, waker, |_| false);
        if let Some(ticket) = ticket {
            ticket.begun(lack, rt::now);
        }
    }

    /// A future waits no longer: it was dropped, or has what it waited for in another way. If it had been
    /// woken for it, the next in line is woken instead.
    pub(super) fn leave(&self, what: For, ticket: Ticket) {
        let mut wake = None;
        let now = if what == For::Room { rt::now() } else { Time::ZERO };
        {
            let mut state = self.lock();
            let state = &mut *state;
            match what {
                For::Message(_) => drop(self.receivers.fetch_sub(1, Ordering::Relaxed)),
                For::Room => state.took.waits.record(ticket.lack(), now - ticket.since()),
                For::Peers => {}
            }
            if state.waits.leave(what, ticket) {
                let useful = match what {
                    For::Message(ctx) => state.rule.readable(ctx),
                    For::Room => true,
                    For::Peers => false,
                };
                if useful {
                    state.waits.wake(what, 1, |waker| wake = Some(waker));
                }
            }
        }
        if let Some(waker) = wake {
            waker.wake();
        }
    }

    /// Writes what senders left to the drivers; for one that found no room. Whether any was owed.
    pub(super) fn flush_owed(self: &Arc<Self>) -> bool {
        let mut out = Out::default();
        for entry in self.lock().pipes.iter_mut().flatten() {
            if let Some(Lane::Stream(pipe, state)) = &mut entry.lane {
                if state.claim() {
                    let (core, pipe) = (self.clone(), pipe.clone());
                    out.work.push(Work::Write { core, pipe, batch: Some(state.take()) });
                }
            }
        }
        let owed = !out.work.is_empty();
        out.run();
        #[cfg(feature = "inproc")]
        return self.deliver_left() || owed;
        #[cfg(not(feature = "inproc"))]
        owed
    }

    /// A sender wrote so much by itself. After a batch, its next send lets other tasks run first: a
    /// loop of sends would otherwise never give this thread back.
    pub(super) fn note_written(&self, bytes: usize) {
        self.written_at.store(rt::now().as_nanos(), Ordering::Relaxed);
        if bytes >= BATCH_BYTES {
            self.owes_turn.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a sender has come back from writing just now.
    #[cold]
    pub(super) fn is_hurried(&self) -> bool {
        // Another thread may come back from writing after this one has looked at the clock.
        rt::now().as_nanos().saturating_sub(self.written_at.load(Ordering::Relaxed)) < HURRY_NANOS
    }

    /// Counts messages. Whoever has had so many lets others run before the next: with a peer in the same
    /// process that keeps up, nothing else would ever make him wait.
    #[inline]
    fn note_turn(&self, owes: &AtomicBool, counter: &mut u64, count: usize) {
        let before = *counter;
        *counter += count as u64;
        if before / TURN_MESSAGES != *counter / TURN_MESSAGES {
            owes.store(true, Ordering::Relaxed);
        }
    }

    /// Takes the number and the place for a new pipe.
    fn reserve(
        &self,
        peer: impl FnOnce(PipeId) -> Peer,
    ) -> Result<(PipeId, Arc<Peer>, Option<Filter>), DetachReason> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(DetachReason::ClosedHere);
        }
        let slot = match state.pipes.iter().position(Option::is_none) {
            Some(slot) => slot,
            None => {
                state.pipes.push(None);
                state.pipes.len() - 1
            }
        };
        let slot_number = u32::try_from(slot).expect("fewer connections than 2^32");
        let id = loop {
            let number = next_pipe_number();
            if let Some(id) = PipeId::new(number, slot_number) {
                break id;
            }
        };
        let peer = Arc::new(peer(id));
        let tally = Tally::default();
        state.pipes[slot] =
            Some(Entry { id, lane: None, peer: peer.clone(), tally, since: None, span: None });
        let filter = state.filter.clone();
        let mut out = Out::default();
        state.hub.tell(|| Event::Attaching(peer.clone()), |waker| out.wakers.push(waker));
        drop(state);
        out.run();
        Ok((id, peer, filter))
    }

    /// Asks filter and pattern; on consent the pipe exists. `lane` is made before the lock is taken.
    pub(super) fn admit(
        self: &Arc<Self>,
        peer: impl FnOnce(PipeId) -> Peer,
        lane: impl FnOnce(PipeId) -> Lane,
    ) -> Result<PipeId, DetachReason> {
        let (id, peer, filter) = self.reserve(peer)?;
        let pleasant = filter.is_none_or(|filter| filter(&peer));
        let lane = lane(id);
        let origin = &peer.origin;
        let span =
            Span::connection(&origin.url, self.protocol, origin.dialed, &peer.ends.remote, peer.pipe.get());
        let mut out = Out::default();
        let now = rt::now();
        let result = {
            let mut state = self.lock();
            let state = &mut *state;
            let result = match (pleasant, state.phase) {
                (false, _) => Err(DetachReason::Filtered),
                (true, Phase::Open) => {
                    // In its place before the rules hear of it: they may send at once.
                    if let Some(entry) = &mut state.pipes[id.slot()] {
                        entry.lane = Some(lane);
                    }
                    let result = state.visit(self, &mut out, |rule, fx| rule.attach(now, id, fx));
                    state.arm(&mut out);
                    result
                }
                (true, _) => Err(DetachReason::ClosedHere),
            };
            let wake = |waker| out.wakers.push(waker);
            match result {
                Ok(()) => {
                    state.attached += 1;
                    state.ledger.attached_pipes += 1;
                    state.took.transports.attached(&peer.origin.url);
                    if let Some(entry) = &mut state.pipes[id.slot()] {
                        (entry.since, entry.span) = (Some(now), Some(span.clone()));
                    }
                    state.hub.tell(|| Event::Attached(peer), wake);
                    state.waits.wake(For::Peers, usize::MAX, |waker| out.wakers.push(waker));
                }
                Err(why) => {
                    state.pipes[id.slot()] = None;
                    state.ledger.count_refused(why);
                    state.hub.tell(|| Event::Refused(Some(peer), why), wake);
                }
            }
            result
        };
        if result.is_ok() {
            span.attached();
        }
        out.run();
        self.relend();
        result.map(|()| id)
    }

    /// A connection ended in its handshake.
    pub(super) fn refused(&self, why: DetachReason) {
        let mut out = Out::default();
        {
            let mut state = self.lock();
            state.ledger.count_refused(why);
            state.hub.tell(|| Event::Refused(None, why), |waker| out.wakers.push(waker));
        }
        out.run();
    }

    /// Tells whoever listens to events.
    pub(super) fn tell(&self, event: impl FnOnce() -> Event) {
        let mut out = Out::default();
        self.lock().hub.tell(event, |waker| out.wakers.push(waker));
        out.run();
    }

    /// Counts what has left, and tells the rules.
    pub(super) fn note_flushed(
        self: &Arc<Self>,
        state: &mut State,
        pipe: PipeId,
        flushed: Flushed,
        out: &mut Out,
    ) {
        if let Some(entry) = state.entry(pipe) {
            entry.tally.sent_messages += flushed.messages as u64;
            entry.tally.sent_bytes += flushed.bytes as u64;
        }
        if state.phase != Phase::Open {
            state.farewell.flushed += flushed.messages as u64;
        }
        // Only who waited for this room goes out now.
        let now = if self.timed && state.rule.waiting() > 0 { rt::now() } else { Time::ZERO };
        state.visit(self, out, |rule, fx| {
            rule.drained(now, pipe, flushed.messages, flushed.bytes, fx);
        });
        if self.timed {
            // A request that had waited for this room is in flight from now on.
            state.arm(out);
        }
    }

    /// A pipe is gone. `rest` says which messages never left whole, and how many nobody knows of.
    pub(super) fn detach_with(
        self: &Arc<Self>,
        pipe: PipeId,
        why: DetachReason,
        rest: impl FnOnce(&mut Option<Lane>) -> (Vec<Message>, usize),
    ) {
        let mut out = Out::default();
        // Dropped after the lock: it holds a waker.
        let mut gone;
        {
            let mut state = self.lock();
            let state = &mut *state;
            gone = state.pipes.get_mut(pipe.slot()).and_then(|entry| entry.take_if(|e| e.id == pipe));
            let Some(entry) = &mut gone else { return };
            state.attached -= 1;
            // Asked for under the lock: before, the rules may have sent to a pipe that had ended.
            let (mut unsent, unknown) = rest(&mut entry.lane);
            state.ledger.unknown_messages += unknown as u64;
            let dropped_before = state.ledger.dropped_total();
            if state.phase != Phase::Open {
                state.farewell.abandoned += unsent.len() as u64;
                state.farewell.unknown += unknown as u64;
                // Nobody else gets them any more.
                for message in unsent.drain(..) {
                    state.visit(self, &mut out, |_, fx| {
                        fx.discard(Dropped::Closed, Some(pipe), message.len());
                    });
                }
            }
            let now = rt::now();
            state.visit(self, &mut out, |rule, fx| rule.detach(now, pipe, why, unsent, fx));
            state.arm(&mut out);
            // What is dropped because it goes was its own.
            entry.tally.dropped_messages += state.ledger.dropped_total() - dropped_before;
            state.ledger.count_detached(why);
            // It is attached, so this was noted.
            let life = now - entry.since.unwrap_or(now);
            state.took.transports.detached(&entry.peer.origin.url, &entry.tally, life);
            state.took.lives.record(why, life);
            let peer = || Arc::new(Peer { stats: entry.tally.stats(), ..(*entry.peer).clone() });
            state.hub.tell(|| Event::Detached(peer(), why), |waker| out.wakers.push(waker));
            state.waits.wake(For::Peers, usize::MAX, |waker| out.wakers.push(waker));
        }
        if let Some(span) = gone.as_ref().and_then(|entry| entry.span.as_ref()) {
            span.lost(why);
        }
        out.run();
        self.relend();
    }

    /// Discards one message, for a reason that is not the rules'.
    pub(super) fn discard(&self, why: Dropped, pipe: Option<PipeId>, bytes: usize) {
        let mut out = Out::default();
        {
            let mut state = self.lock();
            state.ledger.count_dropped(why);
            state.hub.tell(|| Event::Dropped { why, pipe, bytes }, |waker| out.wakers.push(waker));
        }
        out.run();
    }

    /// A device could not pass this on.
    pub(crate) fn discard_unsendable(&self, error: &SendError) {
        let (why, message) = match error {
            SendError::NoSuchPeer(message) | SendError::NoPeer(message) => (Dropped::NoPeer, message),
            SendError::TimedOut(message) | SendError::Full(message) => (Dropped::OutboxFull, message),
            SendError::BadHeader(message) | SendError::State(message) => (Dropped::Malformed, message),
            SendError::Closed(message) | SendError::RuntimeGone(message) => (Dropped::Closed, message),
            _ => return,
        };
        self.discard(why, None, message.len());
    }

    pub(super) fn require_open(&self) -> Result<(), RecvError> {
        match self.lock().phase {
            Phase::Open => Ok(()),
            Phase::Closed => Err(RecvError::Closed),
            Phase::Orphaned => Err(RecvError::RuntimeGone),
        }
    }

    pub(super) fn set_filter(&self, filter: Filter) {
        self.lock().filter = Some(filter);
    }

    pub(super) fn events(&self) -> Events {
        self.lock().hub.subscribe()
    }

    pub(super) fn peers(&self) -> Vec<Peer> {
        let state = self.lock();
        let attached = state.pipes.iter().flatten().filter(|entry| entry.lane.is_some());
        attached.map(|entry| Peer { stats: entry.tally.stats(), ..(*entry.peer).clone() }).collect()
    }

    pub(super) fn stats(&self) -> Stats {
        let mut state = self.lock();
        let lanes = state.pipes.iter_mut().flatten().filter_map(|entry| entry.lane.as_mut());
        let waiting = lanes.map(Lane::waiting).sum::<usize>() + state.rule.waiting();
        Stats { ledger: state.ledger.clone(), peers: state.attached, waiting_messages: waiting }
    }

    /// Ends one pipe at once.
    pub(super) fn disconnect(&self, pipe: PipeId, why: DetachReason) -> bool {
        self.close_pipes(|entry| entry.id == pipe, Closing { abort: Some(why), deadline: None }) > 0
    }

    /// Ends some pipes, and says how many.
    pub(super) fn close_pipes(&self, which: impl Fn(&Entry) -> bool, closing: Closing) -> usize {
        let mut out = Out::default();
        let mut count = 0;
        for entry in self.lock().pipes.iter_mut().flatten().filter(|entry| which(entry)) {
            if let Some(lane) = &mut entry.lane {
                lane.close(closing, &mut out);
                count += 1;
            }
        }
        out.run();
        count
    }

    /// The pipe of an endpoint that has just one.
    #[cfg(all(unix, feature = "ipc"))]
    pub(super) fn pipe_of(&self, origin: &Origin) -> Option<PipeId> {
        let state = self.lock();
        let mut entries = state.pipes.iter().flatten();
        let ours = entries.find(|entry| Arc::ptr_eq(&entry.peer.origin.url, &origin.url));
        ours.map(|entry| entry.id)
    }
}

/// Sequential from a random start, as the spec suggests: two processes that were restarted should
/// not give their pipes the same numbers.
fn next_pipe_number() -> u32 {
    static START: OnceLock<()> = OnceLock::new();
    START.get_or_init(|| LAST_PIPE.store(super::random_seed(), Ordering::Relaxed));
    LAST_PIPE.fetch_add(1, Ordering::Relaxed)
}

/// The rules as those of the pattern that the socket was made with.
pub(super) fn own<R: Member>(rules: &mut Rules) -> &mut R {
    R::of(rules).expect("a socket keeps the pattern it was made with")
}

/// Why a message was not taken by a socket.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Refused(Refusal),
    Closed,
    Orphaned,
}

/// Why a socket had no message.
// A word: see `Nothing`.
#[repr(usize)]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum NoMessage {
    Nothing(Nothing),
    Closed,
    Orphaned,
}

impl State {
    /// Lets the rules at everything else of the state, as their effects.
    #[inline]
    pub(super) fn visit<T>(
        &mut self,
        core: &Arc<Core>,
        out: &mut Out,
        visit: impl FnOnce(&mut Rules, &mut Fx<'_>) -> T,
    ) -> T {
        let mut fx = Fx {
            core,
            pipes: &mut self.pipes,
            waits: &mut self.waits,
            ledger: &mut self.ledger,
            late: &mut self.took.late,
            hub: &mut self.hub,
            out,
            #[cfg(feature = "inproc")]
            left: &mut self.left,
        };
        let result = visit(&mut self.rule, &mut fx);
        #[cfg(unix)]
        self.look(out);
        if !out.work.is_empty() {
            self.load(out);
        }
        result
    }

    /// Gives those who became writers in this visit what they write.
    fn load(&mut self, out: &mut Out) {
        out.work.for_each_mut(|work| match work {
            Work::Write { pipe, batch: batch @ None, .. } => {
                let entry = pipe.id().and_then(|id| self.entry(id));
                *batch = entry.and_then(Entry::stream).map(PipeState::take);
            }
            #[cfg(feature = "inproc")]
            Work::Deliver { pipe, batch: batch @ None, .. } => {
                let entry = pipe.id().and_then(|id| self.entry(id));
                *batch = entry.and_then(Entry::outgoing).map(Outgoing::take);
            }
            _ => {}
        });
    }

    #[inline]
    pub(super) fn entry(&mut self, pipe: PipeId) -> Option<&mut Entry> {
        self.pipes.get_mut(pipe.slot())?.as_mut().filter(|entry| entry.id == pipe)
    }

    pub(super) fn attached(&self) -> usize {
        self.attached
    }

    /// Makes the keeper look sooner, if the rules want that.
    pub(super) fn arm(&mut self, out: &mut Out) {
        if self.rule.deadline().is_some_and(|deadline| deadline < self.armed) {
            self.armed = Time::ZERO;
            self.keeper.take().into_iter().for_each(|waker| out.wakers.push(waker));
        }
    }

    pub(super) fn count_received(&mut self, pipe: PipeId, messages: u64, bytes: u64) {
        self.ledger.received_messages += messages;
        self.ledger.received_bytes += bytes;
        if let Some(entry) = self.entry(pipe) {
            entry.tally.received_messages += messages;
            entry.tally.received_bytes += bytes;
        }
    }
}

impl Entry {
    #[inline]
    fn stream(&mut self) -> Option<&mut PipeState> {
        match &mut self.lane {
            Some(Lane::Stream(_, state)) => Some(state),
            _ => None,
        }
    }

    #[cfg(feature = "inproc")]
    pub(super) fn outgoing(&mut self) -> Option<&mut Outgoing> {
        match &mut self.lane {
            Some(Lane::Inproc(_, outgoing)) => Some(outgoing),
            _ => None,
        }
    }
}

/// The connections belong to a core through a wrapper, since their driver holds a plain reference.
impl Owner for Arc<Core> {
    fn attach(&self, pipe: &Arc<StreamPipe>, ends: Ends, origin: Origin) -> Result<PipeId, DetachReason> {
        let peer = |id| Peer::new(id, ends, &origin);
        self.admit(peer, |id| {
            pipe.set_id(id);
            Lane::Stream(pipe.clone(), pipe.new_state())
        })
    }

    fn deliver(&self, pipe: PipeId, inbox: &mut Inbox, now: Time) -> Delivery {
        let mut out = Out::default();
        let delivery = {
            let mut state = self.lock();
            let state = &mut *state;
            let (mut messages, mut bytes) = (0, 0);
            // A receiver may still read when the runtime, and with it the pipe, is gone.
            let stream = state.entry(pipe).and_then(Entry::stream);
            let attached = stream.map(PipeState::received).is_some();
            let open = attached && state.phase == Phase::Open;
            let delivery = state.visit(self, &mut out, |rule, fx| {
                let mut broken = None;
                let mut next = |fx: &mut Fx<'_>| match inbox.next() {
                    Ok(body) => {
                        let body = body?;
                        messages += 1;
                        bytes += body.len() as u64;
                        Some(Message::new(body).received(pipe, now))
                    }
                    Err(error) => {
                        if let FrameError::TooLarge { claimed } = error {
                            let bytes = usize::try_from(claimed).unwrap_or(usize::MAX);
                            fx.discard(Dropped::TooLarge, Some(pipe), bytes);
                        }
                        broken = Some(error);
                        None
                    }
                };
                let mut stalled = false;
                if open {
                    stalled = rule.recv_all(now, pipe, fx, next);
                } else {
                    // Read on all the same: that is how the peer's end is seen.
                    while let Some(message) = next(fx) {
                        fx.discard(Dropped::Closed, Some(pipe), message.len());
                    }
                }
                match broken {
                    Some(error) => Delivery::Broken(error),
                    None if stalled => Delivery::Stalled,
                    None => Delivery::Hungry,
                }
            });
            state.count_received(pipe, messages, bytes);
            state.arm(&mut out);
            delivery
        };
        out.run();
        delivery
    }

    fn look(&self, pipe: PipeId, look: &mut dyn FnMut(&mut PipeState)) {
        let mut state = self.lock();
        state.entry(pipe).and_then(Entry::stream).map(look);
    }

    fn settle(&self, pipe: PipeId, batch: Batch, wrote: Wrote, written: usize, last: bool) -> After {
        let mut out = Out::default();
        let after = {
            let mut state = self.lock();
            let state = &mut *state;
            let Some(stream) = state.entry(pipe).and_then(Entry::stream) else { return After::Done };
            let (flushed, after) = stream.settle(batch, wrote, written, last);
            if flushed.messages > 0 {
                self.note_flushed(state, pipe, flushed, &mut out);
            }
            after
        };
        out.run();
        after
    }

    fn detach(&self, pipe: PipeId, why: DetachReason, unknown_bytes: usize) {
        self.detach_with(pipe, why, |lane| match lane {
            Some(Lane::Stream(_, state)) => (state.unsent(), state.written_within(unknown_bytes)),
            _ => (Vec::new(), 0),
        });
    }

    fn is_waited_for(&self) -> bool {
        self.waiting_receivers() > 0
    }

    fn home(&self) -> &Home {
        &self.home
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}
