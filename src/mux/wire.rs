//! [`Wire`]: one connection, as [`session::wire`](crate::session::wire) has it, and what only one with channels has:
//! who waits on which channel, messages that pass by all queues, and room for the peer that is not worth a write.

use super::waiters::Waiters;
use crate::rt::{self, Home};
use crate::session::Origin;
use crate::session::lookout;
use crate::session::pipe::PipeState;
use crate::session::wire::{self, Machine, Out, Side, wait_in};
use crate::transport::Ends;
use bytes::Bytes;
use spanwire_core::framing::sp::FrameError;
use spanwire_core::mux::connection::{Changes, Outgoing};
use spanwire_core::mux::frame::MAX_HELLO_BYTES;
use spanwire_core::mux::{End, Mux, MuxError, MuxOptions, Place};
use spanwire_core::{DetachReason, Time};
use std::sync::Arc;
use std::task::{Context, Waker};

/// What program, machine and driver share of a connection.
pub(super) type Wire = wire::Wire<MuxSide>;
pub(super) type WireState = wire::WireState<MuxState>;

/// Who is told that a connection has opened or ended. No lock is held.
pub(super) trait Watcher: Send + Sync {
    /// The peer has said hello.
    fn opened(&self, _wire: &Arc<Wire>) {}
    /// A channel came.
    fn incoming(&self, _wire: &Arc<Wire>) {}
    /// The peer gives room for more channels, a channel has ended, or the connection is about to.
    fn changed(&self, _wire: &Arc<Wire>) {}
    /// It is over.
    fn ended(&self, _wire: &Arc<Wire>) {}
    /// The farewell is done, too: no descriptor is left of it. Told once, before those who wait for that.
    fn gone(&self, _wire: &Arc<Wire>) {}
    /// Whether a peer may come in, as far as its address goes.
    fn passes(&self, _ends: &Ends) -> bool {
        true
    }
}

/// What a connection has beside its lock.
pub(crate) struct MuxSide {
    pub(super) options: MuxOptions,
    watcher: Option<Arc<dyn Watcher>>,
}

/// The machine, and who waits for what.
pub(crate) struct MuxState {
    pub(super) mux: Mux,
    /// The watcher knows that it is open; that it is over.
    told: (bool, bool),
    /// Who waits on each channel, and for what.
    waiters: Waiters,
    /// For channels that come, room for channels, and another state.
    all: [Vec<Waker>; 4],
    /// Frames were read since the driver's last turn.
    read: bool,
    /// Its thread looks for the next read before it sleeps.
    looks: bool,
    /// When so many frames wait for the driver, their sender writes them itself: the first half of the answers
    /// to what came in one read.
    half: usize,
}

/// What somebody waits for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum For {
    Incoming,
    Openings,
    State,
    RoundTrip,
}

/// What somebody waits for on a channel.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum On {
    Read,
    Room,
    State,
}

/// What a watcher is told.
#[derive(Default)]
pub(crate) struct News {
    opened: bool,
    incoming: bool,
    changed: bool,
    ended: bool,
}

/// Where one read wakes so many, the peer gets the first half of their answers before the second one is there, if it is
/// awake: so both ends work at the same time, instead of in turns.
const WORTH_HALVING: usize = 12;

impl MuxState {
    /// Somebody waits; called under the lock that said no.
    pub(super) fn wait(&mut self, what: For, cx: &Context<'_>) {
        wait_in(&mut self.all[what as usize], cx);
    }

    /// The same on a channel.
    pub(super) fn wait_on(&mut self, place: Place, what: On, cx: &Context<'_>) {
        self.waiters.wait(place.slot(), what, cx.waker());
        if what == On::Room {
            self.mux.room_wanted(place);
        }
    }

    /// How it ended, as far as it has.
    pub(super) fn end(&self) -> End {
        self.mux.end().cloned().unwrap_or(End::ClosedHere)
    }

    fn changed(&mut self, place: Place, changes: Changes, wakers: &mut Vec<Waker>) {
        let happened = |what: On| match what {
            On::Read => changes.read(),
            On::Room => changes.room(),
            On::State => changes.state(),
        };
        self.waiters.wake(place.slot(), happened, wakers);
    }
}

impl Machine for MuxState {
    type Mark = Option<Place>;
    type News = News;

    const MAX_HANDSHAKE_BYTES: usize = MAX_HELLO_BYTES;

    #[inline]
    fn next_frame(&mut self) -> Option<Outgoing> {
        self.mux.next_frame()
    }

    #[inline]
    fn frame(&mut self, frame: Bytes, now: Time) {
        self.read = true;
        self.mux.frame(frame, now);
    }

    fn max_frame_bytes(&self) -> usize {
        self.mux.max_frame_bytes()
    }

    fn violated(&mut self, error: FrameError) {
        self.mux.violated(match error {
            FrameError::TooLarge { .. } if self.mux.theirs().is_none() => MuxError::NoMux,
            FrameError::TooLarge { claimed } => MuxError::TooLarge { claimed },
            FrameError::UnknownType { .. } => MuxError::Short,
        });
    }

    fn deadline(&self) -> Option<Time> {
        self.mux.deadline()
    }

    #[inline]
    fn nearer_deadline(&mut self) -> Option<Time> {
        self.mux.is_due_sooner().then(|| self.mux.deadline())?
    }

    fn expire(&mut self, now: Time) {
        self.mux.expire(now);
    }

    fn cuts(&self) -> Option<bool> {
        self.mux.end().map(End::cuts)
    }

    fn lost(&mut self, why: DetachReason) {
        self.mux.lost(match why {
            DetachReason::RuntimeGone => End::RuntimeGone,
            DetachReason::ClosedHere => End::ClosedHere,
            _ => End::Lost,
        });
    }

    fn wake(&mut self, out: &mut Out<News>) {
        while let Some((place, changes)) = self.mux.next_change() {
            self.changed(place, changes, &mut out.wakers);
        }
        let news = self.mux.news();
        let all = [news.incoming, news.openings, news.state, news.round_trip];
        for (waits, changed) in self.all.iter_mut().zip(all) {
            if changed {
                out.wakers.append(waits);
            }
        }
        out.news.incoming |= news.incoming;
        out.news.changed |= news.openings || news.state || news.ended;
        if news.state {
            let greeted = self.mux.theirs().is_some();
            out.news.opened |= greeted && !std::mem::replace(&mut self.told.0, greeted);
            let over = self.mux.end().is_some();
            out.news.ended |= over && !std::mem::replace(&mut self.told.1, over);
        }
    }

    fn wake_all(&mut self, wakers: &mut Vec<Waker>) {
        self.all.iter_mut().for_each(|waits| wakers.append(waits));
        self.waiters.wake_all(wakers);
    }

    /// Half of the answers to the last read wait.
    #[inline]
    fn writes(&mut self, pipe: &mut PipeState) -> bool {
        let writes = pipe.waiting() >= self.half && pipe.claim();
        if writes {
            self.half = usize::MAX;
        }
        writes
    }

    fn delivered(&mut self, woken: usize) {
        let halves = woken >= WORTH_HALVING && self.looks && lookout::pays();
        self.half = if halves { woken / 2 } else { usize::MAX };
    }

    fn has_read(&mut self) -> bool {
        std::mem::take(&mut self.read)
    }

    fn unsent(&mut self, marks: impl Iterator<Item = Option<Place>>, _: usize) {
        marks.flatten().for_each(|place| self.mux.unsent(place));
    }
}

impl Side for MuxSide {
    type Machine = MuxState;

    fn connected(wire: &Arc<Wire>, ends: &Ends) -> Result<(), DetachReason> {
        match wire.watcher.as_ref().is_none_or(|watcher| watcher.passes(ends)) {
            true => Ok(()),
            false => Err(DetachReason::Filtered),
        }
    }

    fn tell(wire: &Arc<Wire>, news: News) {
        let Some(watcher) = &wire.watcher else { return };
        if news.opened {
            watcher.opened(wire);
        }
        if news.incoming {
            watcher.incoming(wire);
        }
        if news.changed {
            watcher.changed(wire);
        }
        if news.ended {
            watcher.ended(wire);
        }
    }

    fn gone(wire: &Arc<Wire>) {
        if let Some(watcher) = &wire.watcher {
            watcher.gone(wire);
        }
    }

    fn is_waited_for(_: &Wire) -> bool {
        // What is short is copied by the machine, for those who do not wait.
        true
    }
}

/// A connection that is served next.
pub(super) fn new(
    number: u64,
    home: Home,
    origin: Origin,
    options: MuxOptions,
    watcher: Option<Arc<dyn Watcher>>,
) -> Wire {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).expect("the system has randomness");
    let machine = MuxState {
        mux: Mux::new(&options, nonce, rt::now()),
        told: (false, false),
        waiters: Waiters::default(),
        all: Default::default(),
        read: false,
        looks: !options.spin.is_zero(),
        half: usize::MAX,
    };
    let write_buffer_bytes = options.write_buffer_bytes;
    Wire::new(number, home, origin, MuxSide { options, watcher }, machine, write_buffer_bytes)
}

impl Wire {
    /// Sends a message past all queues, if nothing else is to be said before. `false`: nothing has happened.
    #[inline]
    pub(super) fn send_at_once(self: &Arc<Self>, place: Place, body: &mut Bytes) -> bool {
        self.visit_with(|state, out| state.say_at_once(|state| state.mux.send_at_once(place, body), out))
    }

    /// A visit of a receiver. What it has to say is room for the peer: that goes with what is sent next, or
    /// with the driver, whose turn comes after this task's. So an answer and the room that its question has left
    /// are one write.
    #[inline]
    pub(super) fn visit_to_take<T>(self: &Arc<Self>, act: impl FnOnce(&mut WireState) -> T) -> T {
        self.visit_with(|state, out| {
            let result = act(state);
            if state.mux.owes() {
                state.leave(out);
            }
            state.settle(out);
            result
        })
    }
}
