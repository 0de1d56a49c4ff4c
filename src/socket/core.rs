//! [`Core`]: the rules of one socket under their lock, and everything that has to do with both.
//!
//! **Lock order**: what waits for each pipe is under the core's lock as well; never two cores. System calls, wakers, filters and delivery into other sockets happen with no lock held,
//! from the [`Out`] list.

use super::endpoints::Endpoint;
use super::events::{Event, Events, Hub};
use super::fx::Fx;
use super::lane::Lane;
#[cfg(feature = "inproc")]
use super::outgoing::{Outgoing, Pickup};
#[cfg(unix)]
use super::poll_fd::Signal;
use super::receiver::Lender;
use super::waits::Waits;
use super::work::{Out, Work};
use super::{Peer, Stats};
use crate::rt::{self, Home};
use crate::session::gate::Gate;
use crate::session::pipe::PipeState;
use crate::session::spin::Spin;
use crate::trace::Span;
use spanwire_core::framing::sp::Protocol;
use spanwire_core::pattern::{Member, Pattern, Rules};
use spanwire_core::snapshot::{Tally, Transports};
use spanwire_core::{
    ByReason, DetachReason, Dropped, Lack, Latencies, Ledger, Options, PipeId, RecvError, SendError, Time,
};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    pub(super) receivers: AtomicUsize,
    /// What a receiver may read by itself.
    pub(super) lender: Lender,
    /// When a sender last came back from writing, in nanoseconds as `rt::now` gives them.
    pub(super) written_at: AtomicU64,
    /// A sender wrote a whole batch by itself: the next one lets others run first.
    pub(super) owes_turn: AtomicBool,
    /// So many messages were received without a wait that the next receive lets others run first.
    pub(super) owes_turn_receiving: AtomicBool,
    /// Whether the rules need to know the time of a send, and of a take.
    pub(super) timed: bool,
    pub(super) timed_takes: bool,
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
    pub(super) filter: Option<Filter>,
    pub(super) attached: usize,
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
    pub(super) span: Option<Span>,
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

    /// Receivers in line.
    pub(super) fn waiting_receivers(&self) -> usize {
        self.receivers.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn clock(&self) -> Time {
        if self.timed { rt::now() } else { Time::ZERO }
    }

    /// Tells whoever listens to events.
    pub(super) fn tell(&self, event: impl FnOnce() -> Event) {
        let mut out = Out::default();
        self.lock().hub.tell(event, |waker| out.wakers.push(waker));
        out.run();
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
}

/// The rules as those of the pattern that the socket was made with.
pub(super) fn own<R: Member>(rules: &mut Rules) -> &mut R {
    R::of(rules).expect("a socket keeps the pattern it was made with")
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
    pub(super) fn stream(&mut self) -> Option<&mut PipeState> {
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

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}
