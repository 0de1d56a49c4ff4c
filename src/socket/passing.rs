//! Messages pass between a socket and its rules; whoever finds none, or no room, waits.

use super::core::{Core, Phase, State};
use super::fx::Fx;
use super::ops::Wait;
use super::waits::{For, Ticket};
use super::work::Out;
use crate::rt;
use spanwire_core::pattern::{CtxId, Nothing, Pattern, Refusal, Rules};
use spanwire_core::session::outbox::Flushed;
use spanwire_core::{Lack, Message, Time};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

/// After so many messages taken, a socket looks whether other sockets of this process have left some,
/// even if it has more: those that come by themselves must not keep these out.
const FETCH_EVERY: u64 = 64;

/// Half a millisecond of small messages.
const TURN_MESSAGES: u64 = 4_096;

impl Core {
    /// Sends, if the socket is open and the rules find room. Then what is left of the message is of no
    /// use; else it is as it was.
    pub(super) fn send(self: &Arc<Self>, ctx: CtxId, message: &mut Message) -> Result<(), Why> {
        self.send_by(message, |rule, now, message, fx| rule.put(now, ctx, message, fx))
    }

    /// The same with another way to put it to the rules.
    #[inline]
    pub(super) fn send_by(
        self: &Arc<Self>,
        message: &mut Message,
        send: impl FnOnce(&mut Rules, Time, &mut Message, &mut Fx<'_>) -> Result<(), Refusal>,
    ) -> Result<(), Why> {
        let bytes = message.len();
        let mut result = Ok(());
        self.visit_to_send(|rule, now, fx| {
            result = send(rule, now, message, fx);
            match result {
                Ok(()) => Flushed { messages: 1, bytes },
                Err(_) => Flushed::default(),
            }
        })?;
        result.map_err(Why::Refused)
    }

    /// Sends from the front as many as there is room for, in one visit to the rules.
    pub(super) fn send_some(self: &Arc<Self>, messages: &mut VecDeque<Message>) -> usize {
        let mut sent = Flushed::default();
        // A socket that cannot be used says so to whoever sends the next by itself.
        let _ = self.visit_to_send(|rule, now, fx| {
            for message in messages.iter_mut() {
                let bytes = message.len();
                if rule.put(now, CtxId::DEFAULT, message, fx).is_err() {
                    break;
                }
                sent.messages += 1;
                sent.bytes += bytes;
            }
            sent
        });
        messages.drain(..sent.messages);
        sent.messages
    }

    /// Lets the rules of an open socket send; `send` says what they took.
    #[inline]
    fn visit_to_send(
        self: &Arc<Self>,
        send: impl FnOnce(&mut Rules, Time, &mut Fx<'_>) -> Flushed,
    ) -> Result<(), Why> {
        let now = self.clock();
        let mut out = Out::at(now);
        {
            let mut state = self.lock();
            let state = &mut *state;
            match state.phase {
                Phase::Open => {}
                Phase::Closed => return Err(Why::Closed),
                Phase::Orphaned => return Err(Why::Orphaned),
            }
            let sent = state.visit(self, &mut out, |rule, fx| send(rule, now, fx));
            self.note_turn(&self.owes_turn, &mut state.ledger.sent_messages, sent.messages);
            state.ledger.sent_bytes += sent.bytes as u64;
            #[cfg(feature = "inproc")]
            state.deliver_if_full(&mut out);
            if self.timed {
                state.arm(&mut out);
            }
        }
        out.run();
        Ok(())
    }

    /// Takes several messages in one visit to the rules of an open socket; `take` says how many.
    pub(super) fn visit_open(
        self: &Arc<Self>,
        take: impl FnOnce(&mut Rules, Time, &mut Fx<'_>) -> usize,
    ) -> usize {
        let now = self.clock();
        let mut out = Out::default();
        let taken = {
            let mut state = self.lock();
            let state = &mut *state;
            if state.phase != Phase::Open {
                return 0;
            }
            let taken = state.visit(self, &mut out, |rule, fx| take(rule, now, fx));
            self.note_turn(&self.owes_turn_receiving, &mut state.ledger.delivered_messages, taken);
            taken
        };
        out.run();
        taken
    }

    /// Takes the next message of a context to wherever `take` puts it; while there is none, `wait` may
    /// leave a waker. A message that is handed up by value is moved once more by each function on its
    /// way.
    #[inline]
    pub(super) fn take(
        self: &Arc<Self>,
        ctx: CtxId,
        into: &mut Option<Message>,
        mut wait: Wait<'_>,
        mut take: impl FnMut(&mut Rules, Time, &mut Option<Message>, &mut Fx<'_>) -> Result<(), Nothing>,
    ) -> Result<(), NoMessage> {
        loop {
            let now = if self.timed_takes { rt::now() } else { Time::ZERO };
            let mut out = Out::default();
            let mut look = false;
            let mut waits = false;
            let result = {
                let mut state = self.lock();
                let state = &mut *state;
                let result = match state.phase {
                    Phase::Open => state
                        .visit(self, &mut out, |rule, fx| take(rule, now, into, fx))
                        .map_err(NoMessage::Nothing),
                    Phase::Closed => Err(NoMessage::Closed),
                    Phase::Orphaned => Err(NoMessage::Orphaned),
                };
                if result == Err(NoMessage::Nothing(Nothing::Yet)) {
                    if let Some((ticket, waker)) = wait.as_mut().filter(|_| !self.has_to_fetch()) {
                        self.wait_for_message(state, ctx, ticket, waker);
                        waits = true;
                    }
                } else {
                    if result.is_ok() {
                        self.note_turn(&self.owes_turn_receiving, &mut state.ledger.delivered_messages, 1);
                        look = state.ledger.delivered_messages % FETCH_EVERY == 0;
                    }
                    if let Some((ticket, _)) = &mut wait {
                        // Whoever was woken for this message has it; a ticket left over is stale.
                        self.forget(state, For::Message(ctx), ticket);
                    }
                }
                result
            };
            out.run();
            if result == Err(NoMessage::Nothing(Nothing::Yet)) {
                // Whoever stands in line is woken for what is fetched; others look again.
                let fetched = self.fetch();
                if !waits && (fetched || wait.is_some()) {
                    continue;
                }
            } else if look {
                self.fetch();
            }
            return result;
        }
    }

    /// Stands in line for a message.
    fn wait_for_message(&self, state: &mut State, ctx: CtxId, ticket: &mut Option<Ticket>, waker: &Waker) {
        if ticket.is_none() {
            self.receivers.fetch_add(1, Ordering::Relaxed);
        }
        state.waits.wait(For::Message(ctx), ticket, waker);
        #[cfg(feature = "inproc")]
        self.pickup.wait();
    }

    /// Whether something was left for this socket in another one of its process.
    #[inline]
    fn has_to_fetch(&self) -> bool {
        #[cfg(feature = "inproc")]
        return self.pickup.is_some();
        #[cfg(not(feature = "inproc"))]
        false
    }

    /// Fetches some of it. `false` when there was nothing.
    #[inline]
    pub(super) fn fetch(&self) -> bool {
        #[cfg(feature = "inproc")]
        return self.has_to_fetch() && self.fetch_next();
        #[cfg(not(feature = "inproc"))]
        false
    }

    /// Takes a ticket out of its queue after its future got what it wanted.
    fn forget(&self, state: &mut State, what: For, ticket: &mut Option<Ticket>) {
        if let Some(ticket) = ticket.take() {
            state.waits.leave(what, ticket);
            if matches!(what, For::Message(_)) {
                self.receivers.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits for something other than a message.
    pub(super) fn wait(
        &self,
        what: For,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
        done: impl FnOnce(&State) -> bool,
    ) -> bool {
        let mut state = self.lock();
        if done(&state) || state.phase != Phase::Open {
            self.forget(&mut state, what, ticket);
            return true;
        }
        state.waits.wait(what, ticket, waker);
        false
    }

    /// Waits for room, or for a peer.
    pub(super) fn wait_for_room(&self, lack: Lack, ticket: &mut Option<Ticket>, waker: &Waker) {
        self.wait(For::Room, ticket, waker, |_| false);
        if let Some(ticket) = ticket {
            ticket.begun(lack, rt::now);
        }
    }

    /// A future waits no longer: it was dropped, or has what it waited for in another way. If it had been
    /// woken for it, the next in line is woken instead.
    pub(super) fn leave(&self, what: For, ticket: Ticket) {
        let mut wake = None;
        let now = if what == For::Room { rt::now() } else { Time::ZERO };
        {
            let mut state = self.lock();
            let state = &mut *state;
            match what {
                For::Message(_) => drop(self.receivers.fetch_sub(1, Ordering::Relaxed)),
                For::Room => state.took.waits.record(ticket.lack(), now - ticket.since()),
                For::Peers => {}
            }
            if state.waits.leave(what, ticket) {
                let useful = match what {
                    For::Message(ctx) => state.rule.readable(ctx),
                    For::Room => true,
                    For::Peers => false,
                };
                if useful {
                    state.waits.wake(what, 1, |waker| wake = Some(waker));
                }
            }
        }
        if let Some(waker) = wake {
            waker.wake();
        }
    }

    /// Counts messages. Whoever has had so many lets others run before the next: with a peer in the same
    /// process that keeps up, nothing else would ever make him wait.
    #[inline]
    fn note_turn(&self, owes: &AtomicBool, counter: &mut u64, count: usize) {
        let before = *counter;
        *counter += count as u64;
        if before / TURN_MESSAGES != *counter / TURN_MESSAGES {
            owes.store(true, Ordering::Relaxed);
        }
    }
}

/// Why a message was not taken by a socket.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Refused(Refusal),
    Closed,
    Orphaned,
}

/// Why a socket had no message.
// A word: see `Nothing`.
#[repr(usize)]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum NoMessage {
    Nothing(Nothing),
    Closed,
    Orphaned,
}
