//! [`Wire`]: one connection with a handshake of our own, between its machine in the core, its driver and the
//! programs that use it.
//!
//! ```text
//!   handles ─▶ visit ═lock═ machine ─ next_frame ─▶ outbox ═unlock═ write, wake, tell
//!    driver ─▶ deliver ═lock═ machine ◀─ inbox      ═unlock═ judge
//! ```
//!
//! Whatever is done to the machine is done in a *visit*: after it, what it has to say goes into the outbox, and who
//! is to be woken is collected; both are carried out when the lock is released.
//!
//! | file | what it does |
//! | --- | --- |
//! | `state` | what is under the lock, and what follows from a visit |
//! | `task` | what the driver asks for, the timer, the end |
//!
//! Plain and multiplexed connections are two kinds of this one: each says what it has of its own by a [`Machine`],
//! which is under the lock, and a [`Side`], which is asked without it.

mod state;
mod task;

pub(crate) use state::{Out, WireState, wait_in};

use super::Origin;
use super::pipe::{Closing, PipeState};
use crate::rt::Home;
use crate::transport::Ends;
use bytes::Bytes;
use spanwire_core::framing::sp::FrameError;
use spanwire_core::session::outbox::Outgoing;
use spanwire_core::{DetachReason, Time};
use std::future::poll_fn;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What program, machine and driver share of a connection.
pub(crate) struct Wire<S: Side> {
    pub(crate) number: u64,
    pub(crate) home: Home,
    pub(crate) origin: Origin,
    side: S,
    ends: OnceLock<Ends>,
    state: Mutex<WireState<S::Machine>>,
}

/// What a kind of connection has under its lock: the machine of the core, and who waits for what. Where there is a
/// default, only some kinds have something to say.
pub(crate) trait Machine: Send + Sized + 'static {
    /// What is to be known of a frame once it has left.
    type Mark: Send;
    /// What the side is told after a visit.
    type News: Default;

    /// A frame of the handshake is no longer.
    const MAX_HANDSHAKE_BYTES: usize;

    /// What is to be said next.
    fn next_frame(&mut self) -> Option<Outgoing<Self::Mark>>;

    /// This came.
    fn frame(&mut self, frame: Bytes, now: Time);

    /// What may come at the moment.
    fn max_frame_bytes(&self) -> usize;

    /// What came is no frame.
    fn violated(&mut self, error: FrameError);

    /// When [`expire`](Self::expire) is due.
    fn deadline(&self) -> Option<Time>;

    /// It is so late.
    fn expire(&mut self, now: Time);

    /// Once it is over: whether nothing can be said to the peer any more.
    fn cuts(&self) -> Option<bool>;

    /// There is no connection any more.
    fn lost(&mut self, why: DetachReason);

    /// After each visit: who is to be woken, and what is to be told.
    fn wake(&mut self, out: &mut Out<Self::News>);

    /// Nothing more will happen: everybody is woken.
    fn wake_all(&mut self, wakers: &mut Vec<Waker>);

    /// Before a visit's frames are asked for.
    fn prepare(&mut self) {}

    /// Whether the visitor, who has nothing to write himself, is to [claim](PipeState::claim) what waits for the driver.
    fn writes(&mut self, _pipe: &mut PipeState) -> bool {
        false
    }

    /// [`deadline`](Self::deadline), if it may have come nearer since this was asked last.
    fn nearer_deadline(&mut self) -> Option<Time> {
        self.deadline()
    }

    /// Nothing more is to be read before the side has [judged](Side::judge) what came.
    fn is_judging(&self) -> bool {
        false
    }

    /// All of one read has come, and so many are woken for it.
    fn delivered(&mut self, _woken: usize) {}

    /// Whether something has come since this was asked last.
    fn has_read(&mut self) -> bool {
        false
    }

    /// So many bytes of the outbox were written; with them these frames have left.
    fn flushed(&mut self, _marks: impl Iterator<Item = Self::Mark>, _bytes: usize) {}

    /// The connection is gone. These frames had not left; of those that had, the peer may lack the last bytes.
    fn unsent(&mut self, marks: impl Iterator<Item = Self::Mark>, unknown_bytes: usize);
}

/// What a kind of connection has beside its lock. It is asked and told while no lock is held.
pub(crate) trait Side: Send + Sync + Sized + 'static {
    type Machine: Machine;

    /// The two ends are known, and nothing was said yet: whether the peer is let in at all.
    fn connected(wire: &Arc<Wire<Self>>, ends: &Ends) -> Result<(), DetachReason>;

    /// What a visit has brought.
    fn tell(wire: &Arc<Wire<Self>>, news: News<Self>);

    /// Judges what came last. `false`: it cannot yet, and [resumes](Wire::resume) the connection when it can.
    fn judge(_wire: &Arc<Wire<Self>>) -> bool {
        true
    }

    /// The connection is gone, which those who wait for that are told next. Told once.
    fn gone(wire: &Arc<Wire<Self>>);

    /// Whether somebody waits for a message at this moment.
    fn is_waited_for(wire: &Wire<Self>) -> bool;
}

type News<S> = <<S as Side>::Machine as Machine>::News;

impl<S: Side> Wire<S> {
    pub(crate) fn new(
        number: u64,
        home: Home,
        origin: Origin,
        side: S,
        machine: S::Machine,
        write_buffer_bytes: usize,
    ) -> Self {
        let state = Mutex::new(WireState::new(machine, write_buffer_bytes));
        Self { number, home, origin, side, ends: OnceLock::new(), state }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, WireState<S::Machine>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The two ends, once it is connected.
    pub(crate) fn ends(&self) -> Option<&Ends> {
        self.ends.get()
    }

    /// Does something to the machine, and what follows from it.
    #[inline]
    pub(crate) fn visit<T>(self: &Arc<Self>, act: impl FnOnce(&mut WireState<S::Machine>) -> T) -> T {
        self.visit_with(|state, out| {
            let result = act(state);
            state.follow(out);
            result
        })
    }

    /// The same for who sees to what follows from it by himself.
    #[inline]
    pub(crate) fn visit_with<T>(
        self: &Arc<Self>,
        act: impl FnOnce(&mut WireState<S::Machine>, &mut Out<News<S>>) -> T,
    ) -> T {
        let mut out = Out::default();
        let result = act(&mut self.lock(), &mut out);
        self.run(out);
        result
    }

    fn run(self: &Arc<Self>, out: Out<News<S>>) {
        if let Some((stream, batch)) = out.batch {
            stream.write_as_sender(self, batch);
        }
        out.wakers.into_iter().for_each(Waker::wake);
        S::tell(self, out.news);
    }

    /// What had to be judged is: the driver reads on.
    pub(crate) fn resume(&self) {
        let waker = {
            let state = &mut *self.lock();
            let (Some(stream), Some(pipe)) = (&state.stream, &mut state.pipe) else { return };
            stream.resume(pipe)
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Ends it at once.
    pub(crate) fn cut(self: &Arc<Self>) {
        let closing = Closing { abort: Some(DetachReason::ClosedHere), deadline: None };
        let waker = self.lock().pipe.as_mut().and_then(|pipe| pipe.close(closing));
        waker.into_iter().for_each(Waker::wake);
    }

    /// Whether everything of it is over: ready when it is.
    pub(crate) fn poll_gone(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.gone {
            return Poll::Ready(());
        }
        wait_in(&mut state.waits, cx);
        Poll::Pending
    }
}

/// Waits until nothing is left of these, no task and no descriptor: so long, and a second at most on a busy machine,
/// where tasks do not get to run.
pub(crate) async fn gone<S: Side>(home: &Home, wires: &[&Arc<Wire<S>>], timeout: Duration) {
    let gone = || async {
        for wire in wires {
            poll_fn(|cx| wire.poll_gone(cx)).await;
        }
    };
    if home.within(Some(timeout + GRACE), gone()).await.is_none() {
        wires.iter().for_each(|wire| wire.cut());
        // If a task does not end now, nothing that we could still do would make it.
        home.within(Some(GRACE), gone()).await;
    }
}

/// What the last words may take when the deadline was needed for the messages; and what a task may take to end after it
/// was told to.
const GRACE: Duration = Duration::from_millis(500);

/// Its side can be seen from everywhere.
impl<S: Side> Deref for Wire<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.side
    }
}

impl<S: Side> std::fmt::Debug for Wire<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire")
            .field("number", &self.number)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
