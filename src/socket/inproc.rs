//! `inproc://`: two sockets of one process, joined without copying and without framing.
//!
//! A message is put into a queue under the lock of its socket, and delivered into the other socket
//! later, when no lock is held. Whoever finds messages in the queue and nobody delivering does it:
//! the sender, or the receiver that has just made room. There is no task.

use super::Peer;
use super::core::Core;
use super::endpoints::Endpoint;
use super::lane::Lane;
use super::work::{Out, Work};
use crate::session::gate::Pass;
use crate::session::pipe::Closing;
use crate::session::{Ended, Origin};
use crate::transport::{Ends, Place};
use spanwire_core::{DetachReason, Message, PipeId};
use std::collections::{HashMap, VecDeque};
use std::io;
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
    let ends = Ends { local: place.clone(), remote: place, credentials: None };
    let ours = InprocPipe::new(dialer, Some((endpoint.clone(), tell_end)))?;
    let theirs = InprocPipe::new(listener, None)?;
    ours.twin.set(Arc::downgrade(&theirs)).expect("a new pipe has no twin");
    theirs.twin.set(Arc::downgrade(&ours)).expect("a new pipe has no twin");
    let admit = |pipe: &Arc<InprocPipe>, origin: &Origin| {
        pipe.core.admit(
            |id| Peer::new(id, ends.clone(), origin),
            |id| {
                pipe.id.set(id).expect("a pipe is attached once");
                Lane::Inproc(pipe.clone())
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
    for (pipe, from) in [(ours, &**endpoint), (theirs, at)] {
        pipe.lock().open = true;
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

/// One end of a connection inside this process: what its socket sends waits here.
pub(crate) struct InprocPipe {
    core: Arc<Core>,
    id: OnceLock<PipeId>,
    twin: OnceLock<Weak<InprocPipe>>,
    inner: Mutex<Inner>,
}

struct Inner {
    queue: VecDeque<Message>,
    /// Both ends are attached.
    open: bool,
    /// Somebody is delivering, with no lock held.
    delivering: bool,
    /// Somebody else wanted to: the one who delivers looks again before stopping.
    again: bool,
    closing: bool,
    /// Its socket counts it among its pipes.
    admitted: bool,
    /// Nothing is delivered any more. When that came in the middle of a delivery, whoever delivers
    /// parts from the other side, with what was not taken.
    ended: Option<DetachReason>,
    /// What will end it when closing has taken too long.
    patience: Option<AbortHandle>,
    pass: Option<Pass>,
    dialer: Option<(Arc<Endpoint>, oneshot::Sender<Ended>)>,
}

impl InprocPipe {
    fn new(
        core: &Arc<Core>,
        dialer: Option<(Arc<Endpoint>, oneshot::Sender<Ended>)>,
    ) -> Result<Arc<Self>, NotConnected> {
        let pass = core.gate.enter().ok_or(NotConnected::Refused(DetachReason::ClosedHere))?;
        Ok(Arc::new(Self {
            core: core.clone(),
            id: OnceLock::new(),
            twin: OnceLock::new(),
            inner: Mutex::new(Inner {
                queue: VecDeque::new(),
                open: false,
                delivering: false,
                again: false,
                closing: false,
                admitted: false,
                ended: None,
                patience: None,
                pass: Some(pass),
                dialer,
            }),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn twin(&self) -> Option<Arc<Self>> {
        self.twin.get()?.upgrade()
    }

    /// The end whose messages come out at this one.
    pub(super) fn sender(&self) -> Option<Arc<Self>> {
        self.twin()
    }

    /// Appends a message; `true` if the caller has to see to its delivery.
    pub(super) fn push(&self, message: Message) -> bool {
        let mut inner = self.lock();
        inner.queue.push_back(message);
        // The first message since the queue was empty calls for delivery; for later ones somebody
        // is at it already, or waits for room.
        !inner.delivering && inner.queue.len() == 1
    }

    pub(super) fn drop_oldest(&self) -> Option<usize> {
        self.lock().queue.pop_front().map(|message| message.len())
    }

    pub(super) fn waiting(&self) -> usize {
        self.lock().queue.len()
    }

    /// Delivers what waits, as far as the other side has room.
    pub(super) fn pump(&self) {
        loop {
            let mut batch = {
                let mut inner = self.lock();
                if inner.delivering {
                    inner.again = true;
                    return;
                }
                if !inner.open || inner.ended.is_some() {
                    return;
                }
                if inner.queue.is_empty() {
                    break;
                }
                inner.delivering = true;
                inner.again = false;
                std::mem::take(&mut inner.queue)
            };
            let twin = self.twin().and_then(|twin| Some((*twin.id.get()?, twin)));
            let accepted = twin.and_then(|(id, twin)| twin.core.accept(id, &mut batch));
            if let (Some(id), Some(accepted)) = (self.id.get(), accepted) {
                if accepted.messages > 0 {
                    self.core.drained(*id, accepted);
                }
            }
            let mut inner = self.lock();
            inner.delivering = false;
            let stuck = !batch.is_empty();
            if stuck || inner.queue.is_empty() {
                // What came meanwhile goes behind; an empty batch gives its memory back.
                batch.append(&mut inner.queue);
                inner.queue = batch;
            }
            if let Some(why) = inner.ended {
                drop(inner);
                return self.part(why);
            }
            if stuck && accepted.is_none() && inner.closing {
                // The other side closes as well and takes no more.
                break;
            }
            if stuck && !inner.again {
                return;
            }
        }
        let close = {
            let inner = self.lock();
            inner.closing && !inner.delivering
        };
        if close {
            self.end(DetachReason::ClosedHere);
        }
    }

    /// Ends the connection: at once, or when all is delivered, but no later than a deadline.
    pub(super) fn close(self: &Arc<Self>, closing: Closing) {
        if let Some(why) = closing.abort {
            return self.end(why);
        }
        self.lock().closing = true;
        self.pump();
        let Some(deadline) = closing.deadline else { return };
        let mut inner = self.lock();
        if inner.ended.is_none() {
            // The other side has no room for the rest.
            let (pipe, sleep) = (Arc::downgrade(self), self.core.home.sleep_until(deadline));
            let patience = self.core.home.spawn(async move {
                sleep.await;
                if let Some(pipe) = pipe.upgrade() {
                    pipe.end(DetachReason::ClosedHere);
                }
            });
            inner.patience.replace(patience).inspect(AbortHandle::abort);
        }
    }

    /// It never became a pipe.
    fn cancel(&self) {
        let mut inner = self.lock();
        inner.ended = Some(DetachReason::ClosedHere);
        drop((inner.pass.take(), inner.dialer.take()));
    }

    /// It is a pipe of its socket from now on. The other side may have ended it meanwhile.
    fn admitted(&self) {
        let ended = {
            let mut inner = self.lock();
            inner.admitted = true;
            inner.ended
        };
        if let Some(why) = ended {
            self.detach(why);
        }
    }

    /// Ends the connection now, or as soon as whoever is delivering is back with what was not taken.
    fn end(&self, why: DetachReason) {
        {
            let mut inner = self.lock();
            if inner.ended.is_some() {
                return;
            }
            inner.ended = Some(why);
            inner.patience.take().inspect(AbortHandle::abort);
            if inner.delivering {
                return;
            }
        }
        self.part(why);
    }

    /// Parts from the other side, which learns that its peer closed.
    fn part(&self, why: DetachReason) {
        let (admitted, pass, dialer) = {
            let mut inner = self.lock();
            (inner.admitted, inner.pass.take(), inner.dialer.take())
        };
        if admitted {
            self.detach(why);
        }
        if let Some((endpoint, tell_end)) = dialer {
            let ended = Ended { why, attached: true };
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
            self.core.detach_with(*id, why, |_| (std::mem::take(&mut self.lock().queue).into(), 0));
        }
    }
}

impl std::fmt::Debug for InprocPipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InprocPipe").field("id", &self.id.get()).finish_non_exhaustive()
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
        assert_eq!(pull.handle.core.accept(gone, &mut batch), None);
        assert_eq!(batch.len(), 2);
    }
}
