//! [`Wire`]: one connection, between its machine in the core, its driver and the programs that use it.
//!
//! ```text
//!   Conn, streams, calls ─▶ visit ═lock═ Link ─ next_frame ─▶ outbox ═unlock═ write, wake
//!                driver ─▶ deliver ═lock═ Link ◀─ inbox        judge: hooks and places, without the lock
//! ```
//!
//! Whatever is done to the machine is done in a *visit*: after it, what it has to say goes into the outbox,
//! and who is to be woken is collected; both are carried out when the lock is released.

use super::guest::Guest;
use super::host::HostCore;
use super::rates::Share;
use super::{Event, Peer};
use crate::error::UpgradeError;
use crate::rt::{self, Home, Sleep};
use crate::session::handoff::{Kick, Wrote};
use crate::session::pipe::{After, Closing, PipeState, StreamPipe};
use crate::session::{Delivery, Ended, Origin, Owner, SessionOptions, driver};
use crate::transport::{Ends, Incoming};
use bytes::Bytes;
use spanwire_core::framing::link::{Hello, LinkError, MAX_HANDSHAKE_BYTES, Reason};
use spanwire_core::framing::sp::{FrameError, Framing, Protocol};
use spanwire_core::link::hosts::{Claim, claims_now};
use spanwire_core::link::machine::{Changes, Frame, State};
use spanwire_core::link::{End, Link, Role};
use spanwire_core::session::inbox::Inbox;
use spanwire_core::session::outbox::Batch;
use spanwire_core::session::trail::Trail;
use spanwire_core::{DetachReason, PipeId, Time};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What program, machine and driver share of a connection.
pub(super) struct Wire {
    pub(super) number: u64,
    pub(super) host: Arc<HostCore>,
    pub(super) origin: Origin,
    ends: OnceLock<Ends>,
    /// On the accepting side: its place at the server.
    pub(super) guest: Option<Guest>,
    /// What its program holds. Weak: when nobody does, it closes.
    pub(super) life: Weak<super::conn::Life>,
    state: Mutex<WireState>,
}

pub(super) struct WireState {
    pub(super) link: Link,
    pipe: Option<PipeState>,
    /// Goes with the connection, since it keeps the descriptor.
    stream: Option<Arc<StreamPipe>>,
    /// For each frame in the outbox: whether a message has left whole with it.
    marks: VecDeque<bool>,
    trail: Trail,
    /// Messages handed to the kernel whole.
    written: u64,
    /// Of these, at most so many may have been lost with the connection.
    unknown: u64,
    /// Messages that were in the outbox at the end.
    unsent: u64,
    /// The driver knows that it is to end.
    parting: bool,
    /// Until when the peer's end is awaited.
    part_until: Option<Time>,
    /// The host knows that it is over.
    told: bool,
    /// The connection is gone, and its task is about to be.
    pub(super) gone: bool,
    upgrade: Option<UpgradeError>,
    /// With limits on rates, and from the end of its handshake on: its part in what its peer may send.
    share: Option<Share>,
    waits: [Vec<Waker>; 7],
    timer: Option<Waker>,
    armed: Time,
}

/// What somebody waits for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum For {
    Message,
    Request,
    Stream,
    Answer,
    Room,
    State,
    Metadata,
}

/// Left to do once the lock is released.
#[derive(Default)]
struct Out {
    batch: Option<(Arc<StreamPipe>, Batch)>,
    wakers: Vec<Waker>,
    /// The peer's metadata are others.
    metadata: bool,
    /// It is over, and the host does not know.
    ended: bool,
}

/// So long the peer has to end its side of a connection that is over.
const FAREWELL: Duration = Duration::from_secs(1);
/// At least so long where the program's own deadline is over by then.
const LEAST_FAREWELL: Duration = Duration::from_millis(100);

impl WireState {
    /// Somebody waits; called under the lock that said no.
    pub(super) fn wait(&mut self, what: For, cx: &Context<'_>) {
        let waits = &mut self.waits[what as usize];
        if !waits.iter().any(|waker| waker.will_wake(cx.waker())) {
            waits.push(cx.waker().clone());
        }
    }

    /// The program's deadline for the end.
    pub(super) fn part_until(&mut self, until: Time) {
        self.part_until = Some(self.part_until.map_or(until, |other| other.min(until)));
    }

    /// How it ended, as far as it has.
    pub(super) fn end(&self) -> End {
        self.link.end().cloned().unwrap_or(End::ClosedHere)
    }

    pub(super) fn upgrade_error(&mut self) -> Option<UpgradeError> {
        self.upgrade.take()
    }

    /// Flushed, abandoned, unknown.
    pub(super) fn account(&self) -> (u64, u64, u64) {
        let (abandoned, confirmed) = self.link.account();
        let accepted = self.link.stats().sent_messages;
        match confirmed {
            Some(had) => (had.min(accepted), accepted.saturating_sub(had), 0),
            None => (self.written.saturating_sub(self.unknown), abandoned + self.unsent, self.unknown),
        }
    }

    /// What has come is charged to the peer, and what it may send follows from that.
    fn pace(&mut self, now: Time) {
        if let (Some(share), Some(came)) = (&self.share, self.link.charge()) {
            let verdict = share.charge(came, now);
            self.link.paced(verdict, now);
        }
    }

    /// Moves what may be sent into the outbox. Whether this made the caller the writer.
    fn fill(&mut self, out: &mut Out, write_buffer: usize) -> bool {
        let Some(pipe) = &mut self.pipe else { return false };
        let mut writes = false;
        let mut dry = false;
        while !dry && pipe.waiting_bytes() < write_buffer {
            dry = match self.link.next_frame() {
                Some(frame) => {
                    writes |= push(pipe, &mut self.marks, frame, out);
                    false
                }
                None => true,
            };
        }
        if let (true, false, Some(end)) = (dry, self.parting, self.link.end()) {
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

    /// After whatever was done to the machine.
    fn settle(&mut self, out: &mut Out) {
        let changes = self.link.changes();
        self.wake(changes, out);
        if self.link.deadline().is_some_and(|due| due < self.armed) {
            // Until it has run, nobody need wake it again.
            self.armed = Time::ZERO;
            out.wakers.extend(self.timer.take());
        }
    }

    fn wake(&mut self, changes: Changes, out: &mut Out) {
        let Changes { messages, requests, streams, answers, room, state, metadata } = changes;
        let changed = [messages, requests, streams, answers, room, state, metadata];
        for (waits, changed) in self.waits.iter_mut().zip(changed) {
            if changed {
                out.wakers.append(waits);
            }
        }
        out.metadata |= metadata && self.link.is_open();
        if self.link.end().is_some() {
            out.ended |= !std::mem::replace(&mut self.told, true);
        }
    }

    fn wake_all(&mut self, out: &mut Out) {
        self.waits.iter_mut().for_each(|waits| out.wakers.append(waits));
    }
}

/// Adds a frame to the outbox. Whether the caller became the writer.
fn push(pipe: &mut PipeState, marks: &mut VecDeque<bool>, mut frame: Frame, out: &mut Out) -> bool {
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
        host: Arc<HostCore>,
        origin: Origin,
        guest: Option<Guest>,
        life: Weak<super::conn::Life>,
    ) -> Self {
        let role = if origin.dialed { Role::Dialer } else { Role::Acceptor };
        let link = Link::new(role, host.hello(), host.options.link.clone(), rt::now());
        let state = WireState {
            link,
            pipe: None,
            stream: None,
            marks: VecDeque::new(),
            trail: Trail::default(),
            written: 0,
            unknown: 0,
            unsent: 0,
            parting: false,
            part_until: None,
            told: false,
            gone: false,
            upgrade: None,
            share: None,
            waits: Default::default(),
            timer: None,
            armed: Time::MAX,
        };
        Self { number, host, origin, ends: OnceLock::new(), guest, life, state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, WireState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The two ends, once it is connected.
    pub(super) fn ends(&self) -> Option<&Ends> {
        self.ends.get()
    }

    /// Does something to the machine, and what follows from it.
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

    fn follow(&self, state: &mut WireState, out: &mut Out) {
        if state.share.is_some() {
            state.pace(rt::now());
        }
        if state.fill(out, self.host.options.link.write_buffer_bytes) {
            let stream = state.stream.clone();
            out.batch = stream.zip(state.pipe.as_mut().map(PipeState::take));
        }
        state.settle(out);
    }

    fn run(self: &Arc<Self>, out: Out) {
        if let Some((stream, batch)) = out.batch {
            stream.write_as_sender(self, batch);
        }
        out.wakers.into_iter().for_each(Waker::wake);
        if out.metadata {
            self.host.hub.tell(|| Event::Metadata(self.peer()));
        }
        if out.ended {
            self.host.removed(self);
        }
    }

    /// Who is at the other end, as far as is known.
    pub(super) fn peer(&self) -> Peer {
        let state = self.lock();
        Peer::new(self.number, &self.origin, self.ends(), &state.link)
    }

    /// Serves the connection until it ends.
    pub(super) fn serve(self: Arc<Self>, incoming: Incoming) -> impl Future<Output = ()> + Send {
        // Made here, so that it is dropped even where the task never runs.
        let over = TaskOver(self.clone());
        self.run_until_gone(incoming, over)
    }

    async fn run_until_gone(self: Arc<Self>, incoming: Incoming, over: TaskOver) {
        let host = self.host.clone();
        let options = SessionOptions {
            // There is no SP handshake, so none that anybody sees.
            protocol: Protocol::Pair0,
            handshake_timeout: host.options.link.handshake_timeout,
            max_message_bytes: MAX_HANDSHAKE_BYTES,
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
        let mut timer = None;
        poll_fn(|cx| {
            let over = session.as_mut().poll(cx);
            if over.is_pending() {
                self.poll_timer(cx, &mut timer);
            }
            over
        })
        .await;
    }

    /// Lets the machine do what is due, and comes back when more is.
    fn poll_timer(self: &Arc<Self>, cx: &mut Context<'_>, timer: &mut Option<(Time, Sleep)>) {
        loop {
            let now = rt::now();
            let due = self.visit(|state| {
                // Before it is attached, the driver looks after the deadline.
                state.pipe.as_ref()?;
                if state.link.deadline().is_some_and(|due| due <= now) {
                    state.link.expire(now);
                }
                let due = state.link.deadline();
                state.armed = due.unwrap_or(Time::MAX);
                state.timer = Some(cx.waker().clone());
                due
            });
            let Some(due) = due else {
                *timer = None;
                return;
            };
            if timer.as_ref().is_none_or(|(at, _)| *at != due) {
                *timer = Some((due, self.host.home.sleep_until(due)));
            }
            let Some((_, sleep)) = timer else { return };
            if Pin::new(sleep).poll(cx).is_pending() {
                return;
            }
            *timer = None;
        }
    }

    /// The peer's Hello or Ack is here: asks hook, server and places. `false`: it has to wait for another
    /// connection to be settled, and is judged again then.
    pub(super) fn judge(self: &Arc<Self>) -> bool {
        let (ack, role, hello, ours, theirs_to_prove, ours_to_prove, proof) = {
            let state = self.lock();
            let link = &state.link;
            let (State::Judging { ack }, Some(hello)) = (link.state(), link.theirs()) else { return true };
            let role = link.role();
            let challenges = (link.challenge(role.peer()), link.challenge(role));
            (*ack, role, hello.clone(), link.ours().clone(), challenges.0, challenges.1, link.proof().clone())
        };
        if !ack {
            if let Some(Err(reason)) = self.guest.as_ref().map(|guest| guest.come_in(self.ends())) {
                self.visit(|state| state.link.refuse(reason, ""));
                return true;
            }
        }
        let peer = self.peer();
        if let (true, Some(hook)) = (ack, &self.host.options.hook) {
            if !hook.verify(&peer, &theirs_to_prove, &proof) {
                self.visit(|state| state.link.refuse(Reason::Denied, ""));
                return true;
            }
        }
        let one = hello.has(Hello::ONE) && ours.has(Hello::ONE);
        let mut former = None;
        if one && claims_now(self.origin.dialed, ack, &ours.instance, &hello.instance) {
            match self.host.claim(self, &hello, &ours) {
                Claim::Granted => {}
                Claim::Wait => return false,
                Claim::Duplicate(_) => {
                    self.visit(|state| state.link.refuse(Reason::Duplicate, ""));
                    return true;
                }
                Claim::Replaces(number) => former = Some(number),
            }
        }
        let proves = ack == (role == Role::Acceptor);
        let proof = match (&self.host.options.hook, proves) {
            (Some(hook), true) => Bytes::from(hook.prove(&peer, &ours_to_prove)),
            _ => Bytes::new(),
        };
        if ack {
            // Before the program can have it, and close it again.
            self.host.opened(self, &hello.host);
        }
        let open = self.visit(|state| {
            if ack && !state.gone {
                state.share = self.host.share(self.ends(), &hello.host);
            }
            state.link.go_on(proof, rt::now());
            state.link.is_open()
        });
        if open {
            if let Some(guest) = &self.guest {
                guest.opened(self.number);
            }
            self.host.settled();
        }
        if let Some(former) = former.and_then(|number| self.host.wire(number)) {
            former.visit(|state| state.link.refuse(Reason::Replaced, ""));
        }
        true
    }

    /// Another connection is settled, for which this one has waited.
    pub(super) fn judge_again(self: &Arc<Self>) {
        if !self.judge() {
            return;
        }
        let waker = {
            let mut state = self.lock();
            let state = &mut *state;
            let (Some(stream), Some(pipe)) = (&state.stream, &mut state.pipe) else { return };
            stream.resume(pipe)
        };
        waker.into_iter().for_each(Waker::wake);
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
            state.link.lost(end);
            state.upgrade = state.upgrade.take().or(upgrade);
            (state.pipe, state.stream, state.timer, state.share) = (None, None, None, None);
            state.settle(&mut out);
            state.wake_all(&mut out);
            !std::mem::replace(&mut state.gone, true)
        };
        if let (true, Some(guest)) = (first, &self.guest) {
            guest.leave(self.number);
        }
        self.run(out);
    }
}

impl Owner for Arc<Wire> {
    fn attach(&self, pipe: &Arc<StreamPipe>, ends: Ends, _: Origin) -> Result<PipeId, DetachReason> {
        let id = PipeId::new(1, 0).ok_or(DetachReason::ConnectionLost)?;
        pipe.set_id(id);
        self.host.connected(self, &ends);
        let welcome = self.guest.as_ref().is_none_or(|guest| guest.passes_filter(&ends));
        // Attached once.
        let _ = self.ends.set(ends);
        self.visit(|state| {
            state.pipe = Some(pipe.new_state());
            state.stream = Some(pipe.clone());
            if !welcome {
                state.link.refuse(Reason::Filtered, "");
            }
        });
        Ok(id)
    }

    fn home(&self) -> &Home {
        &self.host.home
    }

    fn deliver(&self, _: PipeId, inbox: &mut Inbox, now: Time) -> Delivery {
        loop {
            let mut out = Out::default();
            let judging = {
                let mut state = self.lock();
                let state = &mut *state;
                if let Some(pipe) = &mut state.pipe {
                    pipe.received();
                }
                let judging = loop {
                    if matches!(state.link.state(), State::Judging { .. }) {
                        break true;
                    }
                    inbox.allow(state.link.max_frame_bytes());
                    match inbox.next() {
                        Ok(Some(frame)) => {
                            state.link.frame(frame, now);
                            // At once: who is to be dismissed gets nothing through after it.
                            state.pace(now);
                        }
                        Ok(None) => break false,
                        Err(error) => {
                            state.link.violated(match error {
                                FrameError::TooLarge { claimed } => LinkError::TooLarge { claimed },
                                FrameError::UnknownType { .. } => LinkError::Short,
                            });
                            // What follows is no frame. It is read all the same: that is how the peer's
                            // end is seen, and how it gets to read why.
                            *inbox = Inbox::new(Framing::Link, MAX_HANDSHAKE_BYTES);
                            break false;
                        }
                    }
                };
                self.follow(state, &mut out);
                judging
            };
            self.run(out);
            if !judging {
                return Delivery::Hungry;
            }
            if !self.judge() {
                return Delivery::Stalled;
            }
        }
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
            state.fill(&mut out, self.host.options.link.write_buffer_bytes);
            let Some(pipe) = &mut state.pipe else { return After::Done };
            let (flushed, after) = pipe.settle(batch, wrote, written, last);
            let whole = state.marks.drain(..flushed.messages).filter(|ends| *ends).count();
            state.written += whole as u64;
            if written > 0 {
                state.trail.note(whole, written);
            }
            state.settle(&mut out);
            after
        };
        self.run(out);
        after
    }

    fn detach(&self, _: PipeId, why: DetachReason, unknown_bytes: usize) {
        {
            let mut state = self.lock();
            let state = &mut *state;
            state.unsent = state.marks.drain(..).filter(|ends| *ends).count() as u64;
            state.unknown = state.trail.messages_within(unknown_bytes) as u64;
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
        !self.lock().waits[For::Message as usize].is_empty()
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
