//! `inproc://`: two sockets of one process, joined without copying and without framing.
//!
//! A message is put into a queue under the lock of its socket, and delivered into the other socket
//! later, when no lock is held: by the sender, or by the receiver, who fetches what was left for it or
//! has just made room (see `outgoing.rs`). There is no task.

use super::Peer;
use super::core::Core;
use super::core::{Entry, Phase, State};
use super::endpoints::Endpoint;
use super::lane::Lane;
use super::outgoing::{Next, Outgoing, Pickup};
#[cfg(unix)]
use super::poll_fd::Ready;
use super::work::{Out, Work};
use crate::rt;
use crate::session::gate::Pass;
use crate::session::pipe::Closing;
use crate::session::{Ended, Origin};
use crate::transport::{Ends, Place};
use spanwire_core::pattern::{CtxId, Pattern};
use spanwire_core::session::outbox::Flushed;
use spanwire_core::{DetachReason, Message, PipeId, Time};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

type Names = HashMap<Box<str>, (Weak<Core>, Weak<Endpoint>)>;

/// Who listens under which name. Names are compared byte by byte.
static NAMES: LazyLock<Mutex<Names>> = LazyLock::new(Mutex::default);

fn names() -> MutexGuard<'static, Names> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name that is taken as long as this exists.
#[derive(Debug)]
pub(super) struct Registration(Box<str>);

/// Takes a name.
pub(super) fn register(name: &str, core: &Arc<Core>, endpoint: &Arc<Endpoint>) -> io::Result<Registration> {
    let mut names = names();
    if names.contains_key(name) {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    names.insert(name.into(), (Arc::downgrade(core), Arc::downgrade(endpoint)));
    Ok(Registration(name.into()))
}

impl Drop for Registration {
    fn drop(&mut self) {
        names().remove(&self.0);
    }
}

/// Why two sockets were not joined.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum NotConnected {
    NoListener,
    Refused(DetachReason),
}

/// Joins `dialer` to whoever listens under `name`; `tell_end` hears when they part.
pub(super) fn connect(
    name: &str,
    dialer: &Arc<Core>,
    endpoint: &Arc<Endpoint>,
    tell_end: oneshot::Sender<Ended>,
) -> Result<(), NotConnected> {
    let found = names().get(name).and_then(|(core, at)| Some((core.upgrade()?, at.upgrade()?)));
    let (listener, at) = found.ok_or(NotConnected::NoListener)?;
    endpoint.connected();
    at.connected();
    let result = join(name, dialer, endpoint, tell_end, &listener, &at);
    endpoint.settled(result.is_ok());
    at.settled(result.is_ok());
    result
}

fn join(
    name: &str,
    dialer: &Arc<Core>,
    endpoint: &Arc<Endpoint>,
    tell_end: oneshot::Sender<Ended>,
    listener: &Arc<Core>,
    at: &Endpoint,
) -> Result<(), NotConnected> {
    if dialer.protocol.peer() != listener.protocol {
        dialer.refused(DetachReason::WrongProtocol);
        listener.refused(DetachReason::WrongProtocol);
        return Err(NotConnected::Refused(DetachReason::WrongProtocol));
    }
    let place = Place::Inproc(name.into());
    let ends = Ends { local: place.clone(), remote: place, credentials: None, tls: None };
    let ours = InprocPipe::new(dialer, listener, Some((endpoint.clone(), tell_end)))?;
    let theirs = InprocPipe::new(listener, dialer, None)?;
    ours.twin.set(Arc::downgrade(&theirs)).expect("a new pipe has no twin");
    theirs.twin.set(Arc::downgrade(&ours)).expect("a new pipe has no twin");
    let admit = |pipe: &Arc<InprocPipe>, origin: &Origin| {
        pipe.core.admit(
            |id| Peer::new(id, ends.clone(), origin),
            |id| {
                pipe.id.set(id).expect("a pipe is attached once");
                Lane::Inproc(pipe.clone(), Outgoing::default())
            },
        )
    };
    admit(&theirs, &at.origin()).map_err(|why| {
        ours.cancel();
        theirs.cancel();
        NotConnected::Refused(why)
    })?;
    theirs.admitted();
    if let Err(why) = admit(&ours, &endpoint.origin()) {
        ours.cancel();
        theirs.end(DetachReason::PeerClosed);
        return Err(NotConnected::Refused(why));
    }
    ours.admitted();
    // Either side may have sent before the other was there.
    let ids = (theirs.id(), ours.id());
    for (pipe, there, from) in [(ours, ids.0, &**endpoint), (theirs, ids.1, at)] {
        there.into_iter().for_each(|id| pipe.there_id.set(id).expect("two ends meet once"));
        pipe.with_outgoing(Outgoing::open);
        let mut out = Out::default();
        out.work.push(Work::Pump(pipe.clone()));
        out.run();
        if from.is_closed() {
            // Closed meanwhile, when there was no pipe to be found yet.
            pipe.close(pipe.core.graceful());
        }
    }
    Ok(())
}

/// One end of a connection inside this process. What its socket sends waits in its [`Outgoing`].
pub(crate) struct InprocPipe {
    core: Arc<Core>,
    id: OnceLock<PipeId>,
    /// The other socket, and the number of this connection there, once both are attached. The two hold
    /// each other until they part.
    there: Arc<Core>,
    there_id: OnceLock<PipeId>,
    twin: OnceLock<Weak<InprocPipe>>,
    /// It has a turn at the other socket's pickup.
    pub(super) has_turn: AtomicBool,
    life: Mutex<PipeLife>,
}

/// How it came and how it goes. No other lock is taken under this.
struct PipeLife {
    /// Its socket counts it among its pipes.
    admitted: bool,
    ended: Option<DetachReason>,
    /// What will end it when closing has taken too long.
    patience: Option<AbortHandle>,
    pass: Option<Pass>,
    dialer: Option<(Arc<Endpoint>, oneshot::Sender<Ended>)>,
}

impl InprocPipe {
    fn new(
        core: &Arc<Core>,
        there: &Arc<Core>,
        dialer: Option<(Arc<Endpoint>, oneshot::Sender<Ended>)>,
    ) -> Result<Arc<Self>, NotConnected> {
        let pass = core.gate.enter().ok_or(NotConnected::Refused(DetachReason::ClosedHere))?;
        let life = PipeLife { admitted: false, ended: None, patience: None, pass: Some(pass), dialer };
        Ok(Arc::new(Self {
            core: core.clone(),
            id: OnceLock::new(),
            twin: OnceLock::new(),
            has_turn: AtomicBool::new(false),
            there: there.clone(),
            there_id: OnceLock::new(),
            life: Mutex::new(life),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, PipeLife> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn twin(&self) -> Option<Arc<Self>> {
        self.twin.get()?.upgrade()
    }

    /// The end whose messages come out at this one.
    pub(super) fn sender(&self) -> Option<Arc<Self>> {
        self.twin()
    }

    pub(super) fn id(&self) -> Option<PipeId> {
        self.id.get().copied()
    }

    /// Where the other socket learns that something was left for it.
    pub(super) fn pickup(&self) -> &Pickup {
        &self.there.pickup
    }

    fn with_outgoing<T>(&self, look: impl FnOnce(&mut Outgoing) -> T) -> Option<T> {
        let mut state = self.core.lock();
        state.entry(self.id()?).and_then(Entry::outgoing).map(look)
    }

    /// Delivers what waits, unless somebody is at it.
    pub(super) fn pump(self: &Arc<Self>) {
        self.go_on(Outgoing::claim);
    }

    /// Delivers what `claim` takes. Whether that was anything.
    fn go_on(self: &Arc<Self>, claim: impl FnOnce(&mut Outgoing) -> Next) -> bool {
        match self.with_outgoing(claim) {
            Some(Next::Deliver(batch)) => {
                self.deliver(batch, Time::ZERO);
                return true;
            }
            Some(Next::End) => self.end(DetachReason::ClosedHere),
            Some(Next::Part(_) | Next::Nothing) | None => {}
        }
        false
    }

    /// Delivers what was taken to be delivered, and what comes meanwhile, as far as the other side has
    /// room. `now` is the time, if the caller has just asked for it.
    pub(super) fn deliver(self: &Arc<Self>, mut batch: VecDeque<Message>, mut now: Time) {
        let (Some(id), Some(there_id)) = (self.id(), self.there_id.get()) else { return };
        loop {
            if now == Time::ZERO {
                now = rt::now();
            }
            let accepted = self.there.accept(*there_id, &mut batch, now);
            now = Time::ZERO;
            match self.core.settle_delivery(self, id, batch, accepted) {
                Next::Deliver(more) => batch = more,
                Next::End => return self.end(DetachReason::ClosedHere),
                Next::Part(why) => return self.part(why),
                Next::Nothing => return,
            }
        }
    }

    /// Ends the connection: at once, or when all is delivered, but no later than a deadline.
    pub(super) fn close(self: &Arc<Self>, closing: Closing) {
        if let Some(why) = closing.abort {
            // What was sent before this is there as far as there is room, as if it had not been left.
            self.pump();
            return self.end(why);
        }
        self.with_outgoing(Outgoing::close);
        self.pump();
        let Some(deadline) = closing.deadline else { return };
        let mut life = self.lock();
        if life.ended.is_none() {
            // The other side has no room for the rest.
            let (pipe, sleep) = (Arc::downgrade(self), self.core.home.sleep_until(deadline));
            let patience = self.core.home.spawn(async move {
                sleep.await;
                if let Some(pipe) = pipe.upgrade() {
                    pipe.end(DetachReason::ClosedHere);
                }
            });
            life.patience.replace(patience).inspect(AbortHandle::abort);
        }
    }

    /// It never became a pipe.
    fn cancel(&self) {
        let mut life = self.lock();
        life.ended = Some(DetachReason::ClosedHere);
        drop((life.pass.take(), life.dialer.take()));
    }

    /// It is a pipe of its socket from now on. The other side may have ended it meanwhile.
    fn admitted(&self) {
        let ended = {
            let mut life = self.lock();
            life.admitted = true;
            life.ended
        };
        if let Some(why) = ended {
            self.detach(why);
        }
    }

    /// Ends the connection now, or as soon as whoever is delivering is back with what was not taken.
    fn end(&self, why: DetachReason) {
        {
            let mut life = self.lock();
            if life.ended.is_some() {
                return;
            }
            life.ended = Some(why);
            life.patience.take().inspect(AbortHandle::abort);
        }
        if self.with_outgoing(|outgoing| outgoing.end(why)) == Some(true) {
            return;
        }
        self.part(why);
    }

    /// Parts from the other side, which learns that its peer closed.
    fn part(&self, why: DetachReason) {
        let (admitted, pass, dialer) = {
            let mut life = self.lock();
            (life.admitted, life.pass.take(), life.dialer.take())
        };
        if admitted {
            self.detach(why);
        }
        if let Some((endpoint, tell_end)) = dialer {
            let ended = Ended { attached: true, ..Ended::plain(why) };
            endpoint.ended(&ended);
            let _ = tell_end.send(ended);
        }
        drop(pass);
        if let Some(twin) = self.twin() {
            // What the twin has sent was delivered already, or has no room here any more.
            twin.end(DetachReason::PeerClosed);
        }
    }

    fn detach(&self, why: DetachReason) {
        if let Some(id) = self.id.get() {
            self.core.detach_with(*id, why, |lane| match lane {
                Some(Lane::Inproc(_, outgoing)) => (outgoing.take().into(), 0),
                _ => (Vec::new(), 0),
            });
        }
    }
}

impl std::fmt::Debug for InprocPipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InprocPipe").field("id", &self.id.get()).finish_non_exhaustive()
    }
}

impl Core {
    /// Takes messages that came in-process, as far as there is room. Returns how many, of how many
    /// bytes; `None` when nothing will ever be taken from this pipe again: what is left then is
    /// still the sender's, who may have somebody else for it.
    fn accept(
        self: &Arc<Self>,
        pipe: PipeId,
        messages: &mut VecDeque<Message>,
        now: Time,
    ) -> Option<Flushed> {
        let accepted;
        let mut out = Out::default();
        {
            let mut state = self.lock();
            let state = &mut *state;
            if state.phase != Phase::Open || state.entry(pipe).is_none() {
                return None;
            }
            let (count, bytes) =
                state.visit(self, &mut out, |rule, fx| rule.recv_queue(now, pipe, messages, fx));
            accepted = Flushed { messages: count, bytes };
            state.count_received(pipe, count as u64, bytes as u64);
            state.arm(&mut out);
            self.pickup.set_awaited(state.is_awaited());
        }
        out.run();
        Some(accepted)
    }

    /// A delivery is over.
    fn settle_delivery(
        self: &Arc<Self>,
        pipe: &Arc<InprocPipe>,
        id: PipeId,
        rest: VecDeque<Message>,
        accepted: Option<Flushed>,
    ) -> Next {
        let mut out = Out::default();
        let next = {
            let mut state = self.lock();
            if let Some(accepted) = accepted.filter(|accepted| accepted.messages > 0) {
                self.note_flushed(&mut state, id, accepted, &mut out);
            }
            match state.entry(id).and_then(Entry::outgoing) {
                Some(outgoing) => outgoing.settle(rest, accepted, pipe),
                None => Next::Nothing,
            }
        };
        out.run();
        next
    }

    /// Fetches what one sender of this process has left here. `false` when nobody has.
    pub(super) fn fetch_next(&self) -> bool {
        while let Some(pipe) = self.pickup.next() {
            // Who has delivered it meanwhile has left a turn for nothing.
            if pipe.go_on(Outgoing::claim_left) {
                return true;
            }
        }
        false
    }

    /// Delivers what was left to be fetched, for a sender that has no more room. Whether there was any.
    pub(super) fn deliver_left(self: &Arc<Self>) -> bool {
        let mut out = Out::default();
        self.lock().claim_left(&mut out);
        let left = !out.work.is_empty();
        out.run();
        left
    }
}

impl State {
    /// Whether somebody waits for a message, or wants to be shown that there is one.
    fn is_awaited(&self) -> bool {
        #[cfg(unix)]
        if self.watchers.iter().any(|signal| matches!(signal.ready, Ready::ToRecv(_))) {
            return true;
        }
        self.waits.has_receivers()
    }

    /// After a send: one that has no more room delivers what was left, rather than wait for somebody
    /// to fetch it.
    #[inline]
    pub(super) fn deliver_if_full(&mut self, out: &mut Out) {
        if self.left && !self.rule.writable(CtxId::DEFAULT) {
            self.claim_left(out);
        }
    }

    /// Takes what was left to be fetched, to deliver it from here.
    fn claim_left(&mut self, out: &mut Out) {
        if !std::mem::take(&mut self.left) {
            return;
        }
        for entry in self.pipes.iter_mut().flatten() {
            let Some(Lane::Inproc(pipe, outgoing)) = &mut entry.lane else { continue };
            if let Next::Deliver(batch) = outgoing.claim_left() {
                out.work.push(Work::Deliver { pipe: pipe.clone(), batch: Some(batch), now: Time::ZERO });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PullSocket;

    #[test]
    fn a_batch_for_a_pipe_that_has_just_ended_stays_with_its_sender() {
        let pull = PullSocket::new();
        let gone = PipeId::new(7, 0).expect("a number from the middle");
        let mut batch = VecDeque::from(["a".into(), "b".into()]);
        assert_eq!(pull.handle.core.accept(gone, &mut batch, rt::now()), None);
        assert_eq!(batch.len(), 2);
    }
}
