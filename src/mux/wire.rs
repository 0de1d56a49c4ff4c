//! [`Wire`]: one connection, between its machine in the core, its driver and the programs that use it.
//!
//! ```text
//!   Channel ─▶ visit ═lock═ Mux ─ next_frame ─▶ outbox ═unlock═ write, wake
//!    driver ─▶ deliver ═lock═ Mux ◀─ inbox
//! ```
//!
//! Whatever is done to the machine is done in a *visit*: after it, what it has to say goes into the outbox,
//! and who is to be woken is collected; both are carried out when the lock is released.

use super::waiters::Waiters;
use crate::error::UpgradeError;
use crate::rt::{self, Home, Sleep};
use crate::session::handoff::{Kick, Wrote};
use crate::session::lookout::{self, Lookout};
use crate::session::pipe::{After, Closing, PipeState, StreamPipe};
use crate::session::{Delivery, Ended, Origin, Owner, SessionOptions, driver};
use crate::transport::{Ends, Incoming};
use bytes::Bytes;
use spanwire_core::framing::sp::{FrameError, Framing, Protocol};
use spanwire_core::mux::connection::{Changes, Outgoing};
use spanwire_core::mux::frame::MAX_HELLO_BYTES;
use spanwire_core::mux::{End, Mux, MuxError, MuxOptions, Place};
use spanwire_core::session::inbox::Inbox;
use spanwire_core::session::outbox::Batch;
use spanwire_core::{DetachReason, PipeId, Time};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

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
    /// The farewell is done, too: no descriptor is left of it. Told once, and last.
    fn gone(&self, _wire: &Arc<Wire>) {}
    /// Whether a peer may come in, as far as its address goes.
    fn passes(&self, _ends: &Ends) -> bool {
        true
    }
}

/// What program, machine and driver share of a connection.
pub(crate) struct Wire {
    pub(super) number: u64,
    pub(super) home: Home,
    pub(super) origin: Origin,
    pub(super) options: MuxOptions,
    watcher: Option<Arc<dyn Watcher>>,
    ends: OnceLock<Ends>,
    state: Mutex<WireState>,
}

pub(super) struct WireState {
    pub(super) mux: Mux,
    pipe: Option<PipeState>,
    /// Goes with the connection, since it keeps the descriptor.
    stream: Option<Arc<StreamPipe>>,
    /// For each frame in the outbox: the channel of which a message has left whole with it.
    marks: VecDeque<Option<Place>>,
    /// The driver knows that it is to end.
    parting: bool,
    /// Until when the peer's end is awaited.
    part_until: Option<Time>,
    /// The watcher knows that it is open; that it is over.
    told: (bool, bool),
    /// The connection is gone, and its task is about to be.
    pub(super) gone: bool,
    pub(super) upgrade: Option<UpgradeError>,
    /// Who waits on each channel, and for what.
    waiters: Waiters,
    /// For channels that come, room for channels, and another state.
    all: [Vec<Waker>; 4],
    timer: Option<Waker>,
    armed: Time,
    /// The driver's task was woken to say what a receiver has left to be said.
    left: bool,
    /// Bytes of frames that were read since the driver's last turn.
    read: usize,
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

/// Left to do once the lock is released.
#[derive(Default)]
struct Out {
    batch: Option<(Arc<StreamPipe>, Batch)>,
    wakers: Vec<Waker>,
    opened: bool,
    incoming: bool,
    changed: bool,
    ended: bool,
}

/// So long the peer has to end its side of a connection that is over.
const FAREWELL: Duration = Duration::from_secs(1);
/// At least so long where the program's own deadline is over by then.
const LEAST_FAREWELL: Duration = Duration::from_millis(100);

/// Where one read wakes so many, the peer gets the first half of their answers before the second one is there, if it is
/// awake: so both ends work at the same time, instead of in turns.
const WORTH_HALVING: usize = 12;

/// Who has read so much in one turn is right to sleep: meanwhile more of it comes, for one read.
const MUCH: usize = 8 * 1024;

fn wait_in(waits: &mut Vec<Waker>, cx: &Context<'_>) {
    if !waits.iter().any(|waker| waker.will_wake(cx.waker())) {
        waits.push(cx.waker().clone());
    }
}

impl WireState {
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

    /// The program's deadline for the end.
    pub(super) fn part_until(&mut self, until: Time) {
        self.part_until = Some(self.part_until.map_or(until, |other| other.min(until)));
    }

    /// Bytes that wait to be handed to the kernel.
    pub(super) fn waiting_bytes(&mut self) -> usize {
        self.pipe.as_mut().map_or(0, PipeState::waiting_bytes)
    }

    /// How it ended, as far as it has.
    pub(super) fn end(&self) -> End {
        self.mux.end().cloned().unwrap_or(End::ClosedHere)
    }

    /// Moves what may be sent into the outbox. Whether this made the caller the writer.
    fn fill(&mut self, out: &mut Out, write_buffer: usize) -> bool {
        let Some(pipe) = &mut self.pipe else { return false };
        let mut writes = false;
        let mut dry = false;
        while !dry && pipe.waiting_bytes() < write_buffer {
            dry = match self.mux.next_frame() {
                Some(frame) => {
                    writes |= push(pipe, &mut self.marks, frame, out);
                    false
                }
                None => true,
            };
        }
        if let (true, false, Some(end)) = (dry, self.parting, self.mux.end()) {
            self.parting = true;
            let least = rt::now() + LEAST_FAREWELL;
            let closing = match end.cuts() {
                true => Closing { abort: Some(DetachReason::ConnectionLost), deadline: None },
                false => {
                    let until = self.part_until.unwrap_or_else(|| rt::now() + FAREWELL);
                    Closing { abort: None, deadline: Some(until.max(least)) }
                }
            };
            out.wakers.extend(pipe.close(closing));
        }
        writes
    }

    /// Whether the caller became the writer, since half of the answers to the last read wait.
    #[inline]
    fn halves(&mut self) -> bool {
        let Some(pipe) = &mut self.pipe else { return false };
        let writes = pipe.waiting() >= self.half && pipe.claim();
        if writes {
            self.half = usize::MAX;
        }
        writes
    }

    /// The caller is the writer: what waits is his.
    #[inline]
    fn take(&mut self, out: &mut Out) {
        let stream = self.stream.clone();
        out.batch = stream.zip(self.pipe.as_mut().map(PipeState::take));
    }

    /// After whatever was done to the machine.
    fn settle(&mut self, out: &mut Out) {
        while let Some((place, changes)) = self.mux.next_change() {
            self.wake(place, changes, out);
        }
        let news = self.mux.news();
        let all = [news.incoming, news.openings, news.state, news.round_trip];
        for (waits, changed) in self.all.iter_mut().zip(all) {
            if changed {
                out.wakers.append(waits);
            }
        }
        out.incoming |= news.incoming;
        out.changed |= news.openings || news.state || news.ended;
        if news.state {
            let greeted = self.mux.theirs().is_some();
            out.opened |= greeted && !std::mem::replace(&mut self.told.0, greeted);
            let over = self.mux.end().is_some();
            out.ended |= over && !std::mem::replace(&mut self.told.1, over);
        }
        if self.mux.is_due_sooner() && self.mux.deadline().is_some_and(|due| due < self.armed) {
            // Until it has run, nobody need wake it again.
            self.armed = Time::ZERO;
            out.wakers.extend(self.timer.take());
        }
    }

    fn wake(&mut self, place: Place, changes: Changes, out: &mut Out) {
        let happened = |what: On| match what {
            On::Read => changes.read(),
            On::Room => changes.room(),
            On::State => changes.state(),
        };
        self.waiters.wake(place.slot(), happened, &mut out.wakers);
    }

    fn wake_all(&mut self, out: &mut Out) {
        self.all.iter_mut().for_each(|waits| out.wakers.append(waits));
        self.waiters.wake_all(&mut out.wakers);
    }
}

/// Adds a frame to the outbox. Whether the caller became the writer.
fn push(
    pipe: &mut PipeState,
    marks: &mut VecDeque<Option<Place>>,
    mut frame: Outgoing,
    out: &mut Out,
) -> bool {
    marks.push_back(frame.ends);
    match pipe.push(|| false, |outbox| outbox.push(&mut frame.message)) {
        Kick::Write => true,
        Kick::Wake(waker) => {
            out.wakers.push(waker);
            false
        }
        Kick::Nothing => false,
    }
}

impl Wire {
    pub(super) fn new(
        number: u64,
        home: Home,
        origin: Origin,
        options: MuxOptions,
        watcher: Option<Arc<dyn Watcher>>,
    ) -> Self {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).expect("the system has randomness");
        let state = WireState {
            mux: Mux::new(&options, nonce, rt::now()),
            pipe: None,
            stream: None,
            marks: VecDeque::new(),
            parting: false,
            part_until: None,
            told: (false, false),
            gone: false,
            upgrade: None,
            waiters: Waiters::default(),
            all: Default::default(),
            timer: None,
            armed: Time::MAX,
            left: false,
            read: 0,
            half: usize::MAX,
        };
        Self { number, home, origin, options, watcher, ends: OnceLock::new(), state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, WireState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The two ends, once it is connected.
    pub(super) fn ends(&self) -> Option<&Ends> {
        self.ends.get()
    }

    /// Does something to the machine, and what follows from it.
    #[inline]
    pub(super) fn visit<T>(self: &Arc<Self>, act: impl FnOnce(&mut WireState) -> T) -> T {
        let mut out = Out::default();
        let result = {
            let mut state = self.lock();
            let state = &mut *state;
            let result = act(state);
            self.follow(state, &mut out);
            result
        };
        self.run(out);
        result
    }

    /// Sends a message past all queues, if nothing else is to be said before. `false`: nothing has happened.
    #[inline]
    pub(super) fn send_at_once(self: &Arc<Self>, place: Place, body: &mut Bytes) -> bool {
        let mut out = Out::default();
        {
            let mut state = self.lock();
            let state = &mut *state;
            let Some(pipe) = &mut state.pipe else { return false };
            if pipe.waiting_bytes() >= self.options.write_buffer_bytes {
                return false;
            }
            let Some(frame) = state.mux.send_at_once(place, body) else { return false };
            if push(pipe, &mut state.marks, frame, &mut out) || state.halves() {
                state.take(&mut out);
            }
        }
        self.run(out);
        true
    }

    /// The same for a receiver. What it has to say is room for the peer: that goes with what is sent next, or
    /// with the driver, whose turn comes after this task's. So an answer and the room that its question has left
    /// are one write.
    #[inline]
    pub(super) fn visit_to_take<T>(self: &Arc<Self>, act: impl FnOnce(&mut WireState) -> T) -> T {
        let mut out = Out::default();
        let result = {
            let mut state = self.lock();
            let state = &mut *state;
            let result = act(state);
            if state.mux.owes() && !std::mem::replace(&mut state.left, true) {
                out.wakers.extend(state.timer.clone());
            }
            state.settle(&mut out);
            result
        };
        self.run(out);
        result
    }

    fn follow(&self, state: &mut WireState, out: &mut Out) {
        state.left = false;
        if state.fill(out, self.options.write_buffer_bytes) || state.halves() {
            state.take(out);
        }
        state.settle(out);
    }

    fn run(self: &Arc<Self>, out: Out) {
        if let Some((stream, batch)) = out.batch {
            stream.write_as_sender(self, batch);
        }
        if out.wakers.is_empty() && !(out.opened | out.incoming | out.changed | out.ended) {
            return;
        }
        out.wakers.into_iter().for_each(Waker::wake);
        if let Some(watcher) = &self.watcher {
            if out.opened {
                watcher.opened(self);
            }
            if out.incoming {
                watcher.incoming(self);
            }
            if out.changed {
                watcher.changed(self);
            }
            if out.ended {
                watcher.ended(self);
            }
        }
    }

    /// Serves the connection until it ends.
    pub(super) fn serve(self: Arc<Self>, incoming: Incoming) -> impl Future<Output = ()> + Send {
        // Made here, so that it is dropped even where the task never runs.
        let over = TaskOver(self.clone());
        self.run_until_gone(incoming, over)
    }

    async fn run_until_gone(self: Arc<Self>, incoming: Incoming, over: TaskOver) {
        let options = SessionOptions {
            // There is no SP handshake, so none that anybody sees.
            protocol: Protocol::Pair0,
            handshake_timeout: self.options.handshake_timeout,
            max_message_bytes: MAX_HELLO_BYTES,
        };
        let owner: Arc<dyn Owner> = Arc::new(self.clone());
        let handshake = driver::shake_hands(
            incoming.framed_by_link(),
            self.origin.clone(),
            owner,
            options,
            || true,
            drop::<Option<PipeId>>,
        );
        let session = driver::serve(Box::pin(handshake), move |ended| over.with(ended));
        let mut session = std::pin::pin!(session);
        let (mut timer, mut lookout) = (None, Lookout::new(self.options.spin));
        poll_fn(|cx| {
            lookout.begin();
            let over = session.as_mut().poll(cx);
            if over.is_pending() {
                let has_read = self.poll_timer(cx, &mut timer);
                lookout.turn(has_read, cx);
            }
            over
        })
        .await;
    }

    /// Lets the machine do what is due, and comes back when more is. Whether anything was read since the last time.
    fn poll_timer(self: &Arc<Self>, cx: &mut Context<'_>, timer: &mut Option<(Time, Sleep)>) -> bool {
        let has_read = {
            // The driver is polled for each read: nothing has changed, mostly.
            let mut state = self.lock();
            let has_read = (1..MUCH).contains(&std::mem::take(&mut state.read));
            let known = state.timer.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            let same = timer.as_ref().is_some_and(|(at, _)| *at == state.armed);
            if known && same && !state.left && state.armed > rt::now() {
                return has_read;
            }
            has_read
        };
        loop {
            let now = rt::now();
            let due = self.visit(|state| {
                // Before it is attached, the driver looks after the deadline.
                state.pipe.as_ref()?;
                if state.mux.deadline().is_some_and(|due| due <= now) {
                    state.mux.expire(now);
                }
                let due = state.mux.deadline();
                state.armed = due.unwrap_or(Time::MAX);
                state.timer = Some(cx.waker().clone());
                due
            });
            let Some(due) = due else {
                *timer = None;
                return has_read;
            };
            if timer.as_ref().is_none_or(|(at, _)| *at != due) {
                *timer = Some((due, self.home.sleep_until(due)));
            }
            let Some((_, sleep)) = timer else { return has_read };
            if Pin::new(sleep).poll(cx).is_pending() {
                return has_read;
            }
            *timer = None;
        }
    }

    /// Ends it at once.
    pub(super) fn cut(self: &Arc<Self>) {
        let waker = {
            let mut state = self.lock();
            let closing = Closing { abort: Some(DetachReason::ClosedHere), deadline: None };
            state.pipe.as_mut().and_then(|pipe| pipe.close(closing))
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// It is gone, with or without ever having been a pipe.
    fn gone(self: &Arc<Self>, end: End, upgrade: Option<UpgradeError>) {
        let mut out = Out::default();
        let first = {
            let mut state = self.lock();
            let state = &mut *state;
            state.mux.lost(end);
            state.upgrade = state.upgrade.take().or(upgrade);
            (state.pipe, state.stream, state.timer) = (None, None, None);
            let first = !std::mem::replace(&mut state.gone, true);
            state.settle(&mut out);
            state.wake_all(&mut out);
            first
        };
        self.run(out);
        if let (true, Some(watcher)) = (first, &self.watcher) {
            watcher.gone(self);
        }
    }
}

impl Owner for Arc<Wire> {
    fn attach(&self, pipe: &Arc<StreamPipe>, ends: Ends, _: Origin) -> Result<PipeId, DetachReason> {
        let id = PipeId::new(1, 0).ok_or(DetachReason::ConnectionLost)?;
        if !self.watcher.as_ref().is_none_or(|watcher| watcher.passes(&ends)) {
            return Err(DetachReason::Filtered);
        }
        pipe.set_id(id);
        // Attached once.
        let _ = self.ends.set(ends);
        self.visit(|state| {
            state.pipe = Some(pipe.new_state());
            state.stream = Some(pipe.clone());
        });
        Ok(id)
    }

    fn home(&self) -> &Home {
        &self.home
    }

    fn deliver(&self, _: PipeId, inbox: &mut Inbox, now: Time) -> Delivery {
        let mut out = Out::default();
        {
            let mut state = self.lock();
            let state = &mut *state;
            if let Some(pipe) = &mut state.pipe {
                pipe.received();
            }
            loop {
                inbox.allow(state.mux.max_frame_bytes());
                match inbox.next() {
                    Ok(Some(frame)) => {
                        state.read += frame.len().max(1);
                        state.mux.frame(frame, now);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        state.mux.violated(match error {
                            FrameError::TooLarge { .. } if state.mux.theirs().is_none() => MuxError::NoMux,
                            FrameError::TooLarge { claimed } => MuxError::TooLarge { claimed },
                            FrameError::UnknownType { .. } => MuxError::Short,
                        });
                        // What follows is no frame. It is read all the same: that is how the peer's
                        // end is seen, and how it gets to read why.
                        *inbox = Inbox::new(Framing::Link, MAX_HELLO_BYTES);
                        break;
                    }
                }
            }
            self.follow(state, &mut out);
            let woken = out.wakers.len();
            let halves = woken >= WORTH_HALVING && !self.options.spin.is_zero() && lookout::pays();
            state.half = if halves { woken / 2 } else { usize::MAX };
        }
        self.run(out);
        Delivery::Hungry
    }

    fn look(&self, _: PipeId, look: &mut dyn FnMut(&mut PipeState)) {
        self.lock().pipe.as_mut().map(look);
    }

    fn settle(&self, _: PipeId, batch: Batch, wrote: Wrote, written: usize, last: bool) -> After {
        let mut out = Out::default();
        let after = {
            let mut state = self.lock();
            let state = &mut *state;
            // Before the account is settled: whoever writes at this moment takes it along.
            state.fill(&mut out, self.options.write_buffer_bytes);
            let Some(pipe) = &mut state.pipe else { return After::Done };
            let (flushed, after) = pipe.settle(batch, wrote, written, last);
            state.marks.drain(..flushed.messages);
            state.settle(&mut out);
            after
        };
        self.run(out);
        after
    }

    fn judged(&self, error: UpgradeError) {
        self.lock().upgrade = Some(error);
    }

    fn detach(&self, _: PipeId, why: DetachReason, _unknown_bytes: usize) {
        {
            let mut state = self.lock();
            let state = &mut *state;
            for place in state.marks.drain(..).flatten() {
                state.mux.unsent(place);
            }
            state.pipe = None;
        }
        let end = match why {
            DetachReason::RuntimeGone => End::RuntimeGone,
            DetachReason::ClosedHere => End::ClosedHere,
            _ => End::Lost,
        };
        self.gone(end, None);
    }

    fn is_waited_for(&self) -> bool {
        // What is short is copied by the machine, for those who do not wait.
        true
    }
}

/// Held by the task of a connection: however it ends, nobody waits for the connection any longer.
struct TaskOver(Arc<Wire>);

impl TaskOver {
    fn with(self, ended: Ended) {
        if !ended.attached {
            self.0.gone(End::Lost, ended.upgrade);
        }
    }
}

impl Drop for TaskOver {
    fn drop(&mut self) {
        self.0.gone(End::RuntimeGone, None);
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire")
            .field("number", &self.number)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Whether everything of a connection is over: ready when it is.
pub(super) fn poll_gone(wire: &Arc<Wire>, cx: &Context<'_>) -> Poll<()> {
    let mut state = wire.lock();
    if state.gone {
        return Poll::Ready(());
    }
    state.wait(For::State, cx);
    Poll::Pending
}
