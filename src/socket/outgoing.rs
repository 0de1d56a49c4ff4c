//! What a socket has sent to another one of its process: [`Outgoing`], and who brings it there.
//!
//! While somebody waits for a message there, the sender delivers each at once. While nobody does, it
//! only leaves them, and says so once at the other socket's [`Pickup`]: a receiver that is awake comes
//! by itself before it sleeps, and takes all that was left in one go. So a burst costs a delivery and a
//! wake-up per batch. A sender that has no more room delivers what it left, so "full" is never said
//! while the other side has room.

use super::inproc::InprocPipe;
use spanwire_core::pattern::Held;
use spanwire_core::session::outbox::Flushed;
use spanwire_core::{DetachReason, Message};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// What waits for the other side. It is kept under the lock of the socket that sent it, with the rules
/// that fill it.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    queue: VecDeque<Message>,
    /// The memory of a queue that was delivered, for the next that is taken.
    spare: VecDeque<Message>,
    course: Course,
    /// It ends when all is delivered.
    closing: bool,
    /// Nothing is delivered any more. When that came in the middle of a delivery, whoever delivers
    /// parts from the other side, with what was not taken.
    ended: Option<DetachReason>,
}

/// How far it is on its way.
///
/// ```text
///         open         push, and somebody waits there          settle
///   Apart ────▶ Idle ──────────────────────────────▶ Underway ───────▶ Idle, Left, Stuck
///                │  push, and nobody does               ▲
///                ├───────────────────────▶ Left ────────┤ fetched, no more room here, closing
///                │                         Stuck ───────┘ room there again, closing
/// ```
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
enum Course {
    /// The two ends are not both attached yet.
    #[default]
    Apart,
    /// Nothing waits.
    Idle,
    /// The other side will fetch it, and knows.
    Left,
    /// Somebody has taken what waited, and delivers it with no lock held. `again`: somebody else wanted
    /// to; it looks again before it stops.
    Underway { again: bool },
    /// The other side has no room.
    Stuck,
}

/// What becomes of a message that was just pushed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// Whoever pushed it delivers it.
    Deliver,
    /// It is left for the other side.
    Left,
    /// Somebody else sees to it.
    Waits,
}

/// What whoever looks after it does next.
#[derive(Debug)]
pub(super) enum Next {
    /// It delivers these.
    Deliver(VecDeque<Message>),
    /// All is delivered, and the connection was to end then.
    End,
    /// The connection has ended meanwhile.
    Part(DetachReason),
    Nothing,
}

impl Outgoing {
    #[inline]
    pub(super) fn push(&mut self, message: Message, pipe: &Arc<InprocPipe>) -> Pushed {
        self.queue.push_back(message);
        match self.course {
            Course::Idle => {
                if pipe.pickup().leave(pipe) {
                    self.course = Course::Left;
                    return Pushed::Left;
                }
                self.course = Course::Underway { again: false };
                Pushed::Deliver
            }
            Course::Left => Pushed::Left,
            Course::Apart | Course::Underway { .. } | Course::Stuck => Pushed::Waits,
        }
    }

    /// What the one who pushed, and delivers, brings to the other side.
    pub(super) fn take(&mut self) -> VecDeque<Message> {
        std::mem::replace(&mut self.queue, std::mem::take(&mut self.spare))
    }

    /// Both ends are attached.
    pub(super) fn open(&mut self) {
        self.course = Course::Idle;
    }

    /// Takes what was left to be fetched, to deliver it.
    pub(super) fn claim_left(&mut self) -> Next {
        if self.course == Course::Left { self.claim() } else { Next::Nothing }
    }

    /// Takes what waits, to deliver it.
    pub(super) fn claim(&mut self) -> Next {
        match &mut self.course {
            Course::Apart => Next::Nothing,
            Course::Underway { again } => {
                *again = true;
                Next::Nothing
            }
            _ if self.ended.is_some() => Next::Nothing,
            course if self.queue.is_empty() => {
                *course = Course::Idle;
                if self.closing { Next::End } else { Next::Nothing }
            }
            course => {
                *course = Course::Underway { again: false };
                Next::Deliver(self.take())
            }
        }
    }

    /// A delivery is over: `rest` was not taken. `accepted` is `None` when nothing ever will be.
    pub(super) fn settle(
        &mut self,
        mut rest: VecDeque<Message>,
        accepted: Option<Flushed>,
        pipe: &Arc<InprocPipe>,
    ) -> Next {
        let Course::Underway { again } = self.course else { return Next::Nothing };
        let stuck = !rest.is_empty();
        if stuck {
            // What came meanwhile goes behind what was not taken.
            rest.append(&mut self.queue);
            std::mem::swap(&mut self.queue, &mut rest);
        }
        self.spare = rest;
        self.course = Course::Stuck;
        if let Some(why) = self.ended {
            return Next::Part(why);
        }
        if stuck && accepted.is_none() && self.closing {
            // The other side closes as well and takes no more.
            return Next::End;
        }
        if stuck && !again {
            return Next::Nothing;
        }
        if !stuck && !again && !self.queue.is_empty() && !self.closing && pipe.pickup().leave(pipe) {
            self.course = Course::Left;
            return Next::Nothing;
        }
        self.claim()
    }

    /// It ends when all is delivered.
    pub(super) fn close(&mut self) {
        self.closing = true;
    }

    /// Nothing is delivered any more. Whether somebody is delivering at this moment, who will part.
    pub(super) fn end(&mut self, why: DetachReason) -> bool {
        self.ended = Some(why);
        matches!(self.course, Course::Underway { .. })
    }

    pub(super) fn drop_oldest(&mut self) -> Option<usize> {
        self.queue.pop_front().map(|message| message.len())
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn held(&self) -> Held {
        Held { messages: self.queue.len(), bytes: self.queue.iter().map(Message::len).sum() }
    }
}

/// Where senders of this process say that they have left messages for a socket.
///
/// **Why no message is overlooked.** A sender first says that it has left some, and then looks whether
/// somebody waits; a receiver first says that it waits, and then looks whether something was left. So
/// at least one of them sees the other.
#[derive(Debug)]
pub(super) struct Pickup {
    /// Whether messages may be left for this socket at all.
    patient: bool,
    /// Somebody waits for a message, as a future or with a descriptor. Cleared by whoever delivers.
    awaited: AtomicBool,
    /// The line is not empty.
    some: AtomicBool,
    /// Who has left some, first come first served, each once.
    line: Mutex<VecDeque<Weak<InprocPipe>>>,
}

impl Pickup {
    pub(super) fn new(patient: bool) -> Self {
        Self {
            patient,
            awaited: AtomicBool::new(false),
            some: AtomicBool::new(false),
            line: Mutex::default(),
        }
    }

    /// Whether what waits in `pipe` may be left there: then its turn has been noted.
    #[inline]
    fn leave(&self, pipe: &Arc<InprocPipe>) -> bool {
        self.patient && !self.awaited.load(Ordering::SeqCst) && self.note(pipe)
    }

    fn note(&self, pipe: &Arc<InprocPipe>) -> bool {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        // One that delivered by itself after all still has the turn that it had noted.
        if !pipe.has_turn.swap(true, Ordering::Relaxed) {
            line.push_back(Arc::downgrade(pipe));
        }
        self.some.store(true, Ordering::SeqCst);
        drop(line);
        !self.awaited.load(Ordering::SeqCst)
    }

    /// Somebody waits from now on. Called under the lock of the socket.
    pub(super) fn wait(&self) {
        self.awaited.store(true, Ordering::SeqCst);
    }

    /// Whether somebody still waits. Called under the lock of the socket.
    pub(super) fn set_awaited(&self, awaited: bool) {
        self.awaited.store(awaited, Ordering::SeqCst);
    }

    /// Whether something was left.
    #[inline]
    pub(super) fn is_some(&self) -> bool {
        self.some.load(Ordering::SeqCst)
    }

    /// Whose turn it is.
    pub(super) fn next(&self) -> Option<Arc<InprocPipe>> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let pipe = line.pop_front();
            self.some.store(!line.is_empty(), Ordering::SeqCst);
            if let Some(pipe) = pipe?.upgrade() {
                pipe.has_turn.store(false, Ordering::Relaxed);
                return Some(pipe);
            }
        }
    }
}
