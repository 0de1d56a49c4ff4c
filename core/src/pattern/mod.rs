//! The patterns: one side of one Scalability Protocol per file, as pure rules.
//!
//! ```text
//!            attach detach recv drained expire        (the world tells us)
//!                            │
//!   send take open close ──▶ rule ──▶ Effects: transmit readable writable
//!   (the application asks)                     discard close resume
//! ```
//!
//! A rule holds no socket, task, lock, clock or randomness. Time and seeds come in as arguments;
//! what it wants done goes out through [`Effects`], which a test implements with a `Vec`.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `pair0` `pair1` `push` `pull` `publisher` `subscriber` `req` `rep` `surveyor` `respondent` `bus` | one side of one protocol |
//! | `raw` | the sides whose raw form differs from the cooked one |
//! | `backtrace` `contexts` `due` | request ids, hop tags, hop limit; conversations; their deadlines |
//! | `peers` `credit` `pipes` | who is there, whose turn it is, and the room that each has |
//! | `fanout` `duplex` | one message to many pipes (PUB, BUS); both directions of a PAIR |
//! | `topics` `conflate` | subscribed prefixes; the newest message per topic |
//! | `queue` | what waits for the application, fair between pipes |
//! | `rules` | any one of them, behind one type |
//! | `script` `sequences` | for tests and fuzzers: effects written down, and lives of every rule |

mod backtrace;
mod bus;
mod conflate;
mod contexts;
mod credit;
mod due;
mod duplex;
mod fanout;
mod pair0;
mod pair1;
mod peers;
mod pipes;
mod publisher;
mod pull;
mod push;
mod queue;
mod raw;
mod rep;
mod req;
mod respondent;
mod rules;
#[cfg(any(test, feature = "script"))]
pub mod script;
#[cfg(any(test, feature = "script"))]
#[doc(hidden)]
pub mod sequences;
mod subscriber;
mod surveyor;
mod topics;

pub use bus::Bus;
pub use pair0::Pair0;
pub use pair1::Pair1;
pub use publisher::Pub;
pub use pull::Pull;
pub use push::Push;
pub use raw::{RawRep, RawReq, RawRespondent, RawSurveyor};
pub use rep::Rep;
pub use req::Req;
pub use respondent::Respondent;
pub use rules::{Member, Rules};
pub use subscriber::Sub;
pub use surveyor::Surveyor;

use crate::event::{DetachReason, Dropped, Latency};
use crate::message::{Message, PipeId};
use crate::time::Time;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::iter::Sum;
use core::time::Duration;

/// One of several conversations on a socket.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CtxId(pub u32);

impl CtxId {
    /// The conversation that every socket has from the start.
    pub const DEFAULT: Self = Self(0);

    /// The index at which tables keep the context.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a rule wants done. All of it is one-way; nothing here can fail.
pub trait Effects {
    /// Append `message` to the outbox of `pipe`. The rule has used credit for it before.
    /// The message is taken, unless it was copied; the caller is done with it in either case.
    fn transmit(&mut self, pipe: PipeId, message: &mut Message);

    /// The same, where others get the message as well.
    #[inline]
    fn transmit_copy(&mut self, pipe: PipeId, message: &Message) {
        self.transmit(pipe, &mut message.clone());
    }

    /// Take the oldest message that is still whole out of the outbox of `pipe`, and say how many
    /// bytes it had. `None` when all that waits is being written at this moment.
    fn drop_oldest(&mut self, pipe: PipeId) -> Option<usize>;

    /// `count` more messages can be taken from `ctx`, or its state changed in a way that whoever
    /// waits in `take` must look at (then `count` is at least 1).
    fn readable(&mut self, ctx: CtxId, count: usize);

    /// About `count` messages more can be sent than before; at [`usize::MAX`] everybody who waits
    /// has to look, since each may wait for a different pipe.
    fn writable(&mut self, count: usize);

    /// A message of `bytes` bytes was discarded.
    fn discard(&mut self, why: Dropped, pipe: Option<PipeId>, bytes: usize);

    /// A message is sent again.
    fn resent(&mut self) {}

    /// Something was waited for, and has come from `pipe`, `span` after it began.
    fn took(&mut self, what: Latency, pipe: PipeId, span: Duration) {
        let _ = (what, pipe, span);
    }

    /// End this pipe. The rule hears `detach` afterwards.
    fn close(&mut self, pipe: PipeId, why: DetachReason);

    /// There is room again for messages from `pipe`, after [`Pattern::room`] had denied it.
    fn resume(&mut self, pipe: PipeId);
}

/// What a pipe may hand in before [`Pattern::room`] has to be asked again.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Room {
    messages: usize,
    bytes: usize,
}

impl Room {
    /// None at all.
    pub const NONE: Self = Self { messages: 0, bytes: 0 };
    /// As much as comes.
    pub const PLENTY: Self = Self { messages: usize::MAX, bytes: usize::MAX };

    /// Whether so many messages may come, of so many bytes but for the last.
    #[inline]
    pub(crate) const fn holds(self, messages: usize, bytes: usize) -> bool {
        messages <= self.messages && bytes < self.bytes
    }

    /// For so many messages, as long as those before the last have fewer than so many bytes.
    pub const fn new(messages: usize, bytes: usize) -> Self {
        Self { messages, bytes }
    }

    /// Whether nothing may come.
    #[inline]
    pub const fn is_none(self) -> bool {
        self.messages == 0 || self.bytes == 0
    }

    /// A message of `bytes` bytes came.
    #[inline]
    pub fn use_up(&mut self, bytes: usize) {
        self.messages -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// How much waits somewhere.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Messages.
    pub messages: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl Sum for Held {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            messages: sum.messages + one.messages,
            bytes: sum.bytes + one.bytes,
        })
    }
}

/// Why a rule did not take a message. The message always comes back with it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Peers are there, but none has room. [`Effects::writable`] will tell.
    Full,
    /// No peer is there. [`Effects::writable`] will tell.
    NoPeer,
    /// The pipe that the message names is not attached.
    NoSuchPeer,
    /// Nothing was received that this could answer.
    State,
    /// The header is not one that this protocol can send.
    BadHeader,
}

/// A message that was not taken, and why.
pub type Refused = (Refusal, Message);

/// Why [`Pattern::take`] gave no message.
// A word, not a byte: compilers copy a `Result` of a message and a byte in pieces of odd sizes, and the
// processor then waits for each.
#[repr(usize)]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// None has come yet. [`Effects::readable`] will tell.
    Yet,
    /// Nothing was asked, so nothing will come.
    Asked,
    /// The survey that was waited for is over.
    TimedOut,
    /// A newer request on this context took the place of the one that was waited for.
    Cancelled,
    /// The pipe of the request is gone, and it may not be sent again.
    ConnectionLost,
    /// Pipe after pipe went away with this request in flight.
    Rejected,
}

/// The rules of one side of one protocol.
///
/// Every method may be called at any time; a pipe or context that is not known is ignored. Calls
/// come in four kinds: the world tells us (`attach`, `detach`, `recv`, `drained`, `expire`), the
/// application asks (`open`, `close`, `send`, `take`), questions (`room`, `readable`, `writable`,
/// `deadline`, `waiting`), and the self-check.
pub trait Pattern {
    /// A pipe passed its handshake. `Err` refuses it; then no `detach` follows.
    fn attach(&mut self, now: Time, pipe: PipeId, fx: &mut impl Effects) -> Result<(), DetachReason>;

    /// The pipe is gone for `why`. `unsent` is what of ours never went out whole, oldest first.
    fn detach(
        &mut self,
        now: Time,
        pipe: PipeId,
        why: DetachReason,
        unsent: Vec<Message>,
        fx: &mut impl Effects,
    );

    /// The outbox of `pipe` handed `messages` messages of `bytes` bytes altogether to the kernel.
    fn drained(&mut self, now: Time, pipe: PipeId, messages: usize, bytes: usize, fx: &mut impl Effects);

    /// What would be taken from `pipe` now. After [`Room::NONE`] the caller stops reading that pipe
    /// until [`Effects::resume`].
    #[inline]
    fn room(&mut self, pipe: PipeId) -> Room {
        let _ = pipe;
        Room::PLENTY
    }

    /// `message` came from `pipe` (which is noted in it). Called only within the last `room`.
    fn recv(&mut self, now: Time, pipe: PipeId, message: Message, fx: &mut impl Effects);

    /// All that came from `pipe`: takes what `next` yields while there is room for it. Whether it
    /// stopped for want of room.
    #[inline]
    fn recv_all<E: Effects>(
        &mut self,
        now: Time,
        pipe: PipeId,
        fx: &mut E,
        mut next: impl FnMut(&mut E) -> Option<Message>,
    ) -> bool {
        loop {
            let mut room = self.room(pipe);
            if room.is_none() {
                return true;
            }
            while !room.is_none() {
                let Some(message) = next(fx) else { return false };
                room.use_up(message.len());
                self.recv(now, pipe, message, fx);
            }
        }
    }

    /// All that came from `pipe` in a queue of its own, as inside one process: takes from the front what
    /// there is room for, and notes where and when it came from. How many, of how many bytes.
    #[inline]
    fn recv_queue(
        &mut self,
        now: Time,
        pipe: PipeId,
        queue: &mut VecDeque<Message>,
        fx: &mut impl Effects,
    ) -> (usize, usize) {
        let mut taken = (0, 0);
        self.recv_all(now, pipe, fx, |_| {
            let message = queue.pop_front()?;
            taken = (taken.0 + 1, taken.1 + message.len());
            Some(message.received(pipe, now))
        });
        taken
    }

    /// The time of [`Pattern::deadline`] has come.
    fn expire(&mut self, now: Time, fx: &mut impl Effects) {
        let _ = (now, fx);
    }

    /// Opens another conversation; only patterns with contexts give out more than the default one.
    fn open(&mut self) -> CtxId {
        CtxId::DEFAULT
    }

    /// Ends a conversation and discards what waits in it. The default one only becomes idle.
    fn close(&mut self, now: Time, ctx: CtxId, fx: &mut impl Effects) {
        let _ = (now, ctx, fx);
    }

    /// The application sends. On refusal nothing has moved; else what is left of the message is of
    /// no use any more. (By reference, since a message is moved often enough on its way here.)
    fn put(
        &mut self,
        now: Time,
        ctx: CtxId,
        message: &mut Message,
        fx: &mut impl Effects,
    ) -> Result<(), Refusal>;

    /// The same by value: a refused message comes back.
    fn send(
        &mut self,
        now: Time,
        ctx: CtxId,
        mut message: Message,
        fx: &mut impl Effects,
    ) -> Result<(), Refused> {
        self.put(now, ctx, &mut message, fx).map_err(|why| (why, message))
    }

    /// The application takes the next message.
    fn take(&mut self, now: Time, ctx: CtxId, fx: &mut impl Effects) -> Result<Message, Nothing>;

    /// The same, to a place of the caller's, where the message is needed.
    #[inline]
    fn take_into(
        &mut self,
        now: Time,
        ctx: CtxId,
        message: &mut Option<Message>,
        fx: &mut impl Effects,
    ) -> Result<(), Nothing> {
        *message = Some(self.take(now, ctx, fx)?);
        Ok(())
    }

    /// What there is, up to `max` messages. Returns how many.
    #[inline]
    fn take_many(
        &mut self,
        now: Time,
        ctx: CtxId,
        into: &mut Vec<Message>,
        max: usize,
        fx: &mut impl Effects,
    ) -> usize {
        let before = into.len();
        let mut message = None;
        while into.len() - before < max && self.take_into(now, ctx, &mut message, fx).is_ok() {
            into.extend(message.take());
        }
        into.len() - before
    }

    /// Whether `take` has something to tell: a message, or how that which was asked came to an end.
    fn readable(&self, ctx: CtxId) -> bool;

    /// Whether `send` would find room.
    fn writable(&self, ctx: CtxId) -> bool;

    /// When `expire` wants to be called, if at all.
    fn deadline(&self) -> Option<Time> {
        None
    }

    /// Messages accepted by `send` that are in no outbox yet.
    fn waiting(&self) -> usize {
        0
    }

    /// What came and was not taken yet.
    fn held(&self) -> Held {
        Held::default()
    }

    /// Discards all that waits, as the socket closes.
    fn clear(&mut self, fx: &mut impl Effects);

    /// Panics when the rule's own bookkeeping does not add up. For tests and fuzzers.
    fn check_invariants(&self);
}

/// Patterns that ask: every question of a context has a name, so that whoever waits for what comes of
/// one is never given what comes of another.
pub trait Tickets: Pattern {
    /// Names the latest request or survey of `ctx`; 0 when it never had one.
    fn ticket(&self, ctx: CtxId) -> u32;

    /// Takes what came of the one that `ticket` names, and of no other: once `ctx` has a newer one, or was
    /// closed, whoever waited for the old one learns that it is `Cancelled`.
    fn take_ticket(
        &mut self,
        now: Time,
        ctx: CtxId,
        ticket: u32,
        fx: &mut impl Effects,
    ) -> Result<Message, Nothing> {
        if self.ticket(ctx) != ticket {
            return Err(Nothing::Cancelled);
        }
        self.take(now, ctx, fx)
    }
}

/// Discards messages that a lost pipe left behind; what most patterns do with them.
fn discard_unsent(pipe: PipeId, unsent: Vec<Message>, fx: &mut impl Effects) {
    for message in unsent {
        fx.discard(Dropped::PipeLost, Some(pipe), message.len());
    }
}
