//! What the handles of a tagged connection and its task share.

use super::error::{RecvError, SendError, TaggedEvent};
use crate::hub::Hub;
use crate::rt::Home;
use bytes::Bytes;
use spanwire_core::mux::tagged::{Effect, End, Outgoing, Received, Refused, Route, Tagged, TaggedOptions};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;
use tokio::sync::Notify;

/// A connection. The lock is held for a moment only: never while anything is read, written or woken.
pub(super) struct Shared {
    pub(super) home: Home,
    pub(super) options: TaggedOptions,
    state: Mutex<State>,
    /// Senders that found no room stand in line here; the first of them waits for `room`.
    line: tokio::sync::Mutex<()>,
    room: Notify,
    /// Something was flushed, or all is over.
    pub(super) progress: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) tagged: Tagged,
    pub(super) outgoing: Outgoing,
    /// The id of each route, and who waits there.
    routes: BTreeMap<Route, (Bytes, Arc<Notify>)>,
    /// The task.
    pub(super) driver: Option<Waker>,
    /// Who stands in line to send.
    senders: usize,
    /// It is to be closed, within this time.
    pub(super) closing: Option<Duration>,
    /// Nothing can be sent any more.
    pub(super) write_end: Option<End>,
    pub(super) cause: Option<Arc<io::Error>>,
    /// Messages that were taken, written whole, and flushed.
    pub(super) taken: u64,
    pub(super) written: u64,
    pub(super) flushed: u64,
    /// Somebody waits for these to be flushed.
    pub(super) flush_target: u64,
    /// The task has ended.
    pub(super) is_over: bool,
    pub(super) hub: Hub<TaggedEvent>,
}

/// Who is woken when the lock is free again.
#[derive(Default)]
pub(super) struct Wakes {
    wakers: Vec<Waker>,
    one: Vec<Arc<Notify>>,
    all: Vec<Arc<Notify>>,
    room: bool,
    over: bool,
    progress: bool,
    /// There will be no events any more.
    last_words: bool,
}

impl Wakes {
    pub(super) fn driver(&mut self, state: &mut State) {
        self.wakers.extend(state.driver.take());
    }

    pub(super) fn progress(&mut self) {
        self.progress = true;
    }

    pub(super) fn room(&mut self) {
        self.room = true;
    }

    /// Everybody is to look.
    pub(super) fn over(&mut self) {
        self.over = true;
    }
}

impl Shared {
    pub(super) fn new(home: Home, options: TaggedOptions) -> Self {
        let options = options.clamped();
        let state = State {
            tagged: Tagged::new(options.clone()),
            outgoing: Outgoing::new(&options),
            routes: BTreeMap::new(),
            driver: None,
            senders: 0,
            closing: None,
            write_end: None,
            cause: None,
            taken: 0,
            written: 0,
            flushed: 0,
            flush_target: 0,
            is_over: false,
            hub: Hub::default(),
        };
        Self {
            home,
            options,
            state: Mutex::new(state),
            line: tokio::sync::Mutex::new(()),
            room: Notify::new(),
            progress: Notify::new(),
        }
    }

    /// Visits the state; what follows is told, and who is to be woken is woken, after that.
    pub(super) fn visit<R>(&self, visit: impl FnOnce(&mut State, &mut Vec<Effect>, &mut Wakes) -> R) -> R {
        let (mut effects, mut wakes) = (Vec::new(), Wakes::default());
        let output = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let output = visit(&mut state, &mut effects, &mut wakes);
            for effect in effects {
                state.tell(effect, &mut wakes);
            }
            if wakes.last_words {
                state.hub.end(|waker| wakes.wakers.push(waker));
            }
            output
        };
        wakes.one.iter().for_each(|waiting| waiting.notify_one());
        wakes.all.iter().for_each(|waiting| waiting.notify_waiters());
        wakes.wakers.into_iter().for_each(Waker::wake);
        match wakes.over {
            true => self.room.notify_waiters(),
            false if wakes.room => self.room.notify_one(),
            false => {}
        }
        if wakes.progress || wakes.over {
            self.progress.notify_waiters();
        }
        output
    }

    /// Puts a message into the queue if nobody else waits for that.
    pub(super) fn try_send(&self, id: &[u8], data: Bytes) -> Result<(), SendError> {
        let refused = self.visit(|state, _, wakes| match state.senders {
            0 => state.push(id, &data, wakes),
            _ => Err(Refusal::Queue(Refused::Full)),
        });
        refused.map_err(|refusal| self.refuse(refusal, data))
    }

    /// The same, and waits for room in line with others.
    pub(super) async fn send(
        &self,
        id: &[u8],
        data: Bytes,
        timeout: Option<Duration>,
    ) -> Result<(), SendError> {
        let at_once = self.visit(|state, _, wakes| {
            let result = match state.senders {
                0 => state.push(id, &data, wakes),
                _ => Err(Refusal::Queue(Refused::Full)),
            };
            state.senders += usize::from(matches!(result, Err(Refusal::Queue(Refused::Full))));
            result
        });
        let done = match at_once {
            Err(Refusal::Queue(Refused::Full)) => {
                let _in_line = InLine(self);
                match timeout {
                    None => self.wait_and_push(id, &data).await,
                    Some(_) => match self.home.within(timeout, self.wait_and_push(id, &data)).await {
                        Some(done) => done,
                        None => return Err(SendError::TimedOut(data)),
                    },
                }
            }
            done => done,
        };
        done.map_err(|refusal| self.refuse(refusal, data))
    }

    async fn wait_and_push(&self, id: &[u8], data: &Bytes) -> Result<(), Refusal> {
        let _first = self.line.lock().await;
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            match self.visit(|state, _, wakes| state.push(id, data, wakes)) {
                Err(Refusal::Queue(Refused::Full)) => room.await,
                done => return done,
            }
        }
    }

    fn refuse(&self, refusal: Refusal, data: Bytes) -> SendError {
        match refusal {
            Refusal::Queue(Refused::Full) => SendError::Full(data),
            Refusal::Queue(Refused::TooLarge) => {
                SendError::TooLarge { data, max_bytes: self.options.max_message_bytes }
            }
            Refusal::Queue(Refused::IdTooLong) => SendError::IdTooLong(data),
            Refusal::Ended(end, cause) => SendError::Ended { data, end, cause },
        }
    }

    /// It is to be closed, within this time.
    pub(super) fn close(&self, deadline: Duration) {
        self.visit(|state, effects, wakes| {
            state.closing = Some(state.closing.map_or(deadline, |other| other.min(deadline)));
            state.write_end.get_or_insert(End::Closed);
            state.tagged.finish(End::Closed, effects);
            wakes.driver(state);
            wakes.over();
        });
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Somebody stands in line to send.
struct InLine<'a>(&'a Shared);

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.visit(|state, _, _| state.senders -= 1);
    }
}

/// Why a message is not taken.
pub(super) enum Refusal {
    Queue(Refused),
    Ended(End, Option<Arc<io::Error>>),
}

impl State {
    fn push(&mut self, id: &[u8], data: &Bytes, wakes: &mut Wakes) -> Result<(), Refusal> {
        if let Some(end) = self.write_end {
            return Err(Refusal::Ended(end, self.cause.clone()));
        }
        self.outgoing.push(id, data).map_err(Refusal::Queue)?;
        self.taken += 1;
        wakes.driver(self);
        Ok(())
    }

    /// Where those wait who receive messages of this id.
    pub(super) fn add_route(&mut self, route: Route, id: Bytes) -> Arc<Notify> {
        let waiting = Arc::new(Notify::new());
        self.routes.insert(route, (id, waiting.clone()));
        waiting
    }

    pub(super) fn remove_route(&mut self, route: Route, effects: &mut Vec<Effect>) {
        self.tagged.close(route, effects);
        self.routes.remove(&route);
    }

    pub(super) fn recv(
        &mut self,
        route: Route,
        effects: &mut Vec<Effect>,
    ) -> Option<Result<super::Frame, RecvError>> {
        match self.tagged.recv(route, effects) {
            Received::Message(frame) => Some(Ok(frame)),
            Received::Nothing => None,
            Received::Overflowed { discarded } => Some(Err(RecvError::Overflowed { discarded })),
            Received::Ended(end) => Some(Err(RecvError::Ended { end, cause: self.cause.clone() })),
        }
    }

    /// Nothing comes or goes any more.
    pub(super) fn end(&mut self, end: End, effects: &mut Vec<Effect>, wakes: &mut Wakes) {
        self.write_end.get_or_insert(end);
        self.tagged.finish(end, effects);
        self.is_over = true;
        wakes.over();
        wakes.last_words = true;
    }

    fn tell(&mut self, effect: Effect, wakes: &mut Wakes) {
        let id = |state: &Self, route| state.routes.get(&route).map(|(id, _)| id.clone()).unwrap_or_default();
        let event = match effect {
            Effect::Ready(route) => {
                wakes.one.extend(self.routes.get(&route).map(|(_, waiting)| waiting.clone()));
                return;
            }
            Effect::Overflowed(route) => {
                wakes.all.extend(self.routes.get(&route).map(|(_, waiting)| waiting.clone()));
                TaggedEvent::Overflowed { id: id(self, route) }
            }
            Effect::Ended(end) => {
                wakes.all.extend(self.routes.values().map(|(_, waiting)| waiting.clone()));
                TaggedEvent::Ended(end)
            }
            Effect::Stalled(route) => TaggedEvent::Stalled { id: id(self, route) },
            Effect::Resumed => {
                wakes.driver(self);
                TaggedEvent::Resumed
            }
            Effect::Discarded { id, why, messages } => TaggedEvent::Discarded { id, why, messages },
        };
        let wakers = &mut wakes.wakers;
        self.hub.tell(|| event, |waker| wakers.push(waker));
    }
}
