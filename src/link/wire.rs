//! [`Wire`]: one connection, as [`session::wire`](crate::session::wire) has it, and what only a plain one has: the
//! account of its messages, rates, and who judges its handshake.

use super::guest::Guest;
use super::host::HostCore;
use super::rates::Share;
use super::{Event, Peer};
use crate::rt;
use crate::session::Origin;
use crate::session::wire::{self, Machine, Out, Side, wait_in};
use crate::transport::Ends;
use bytes::Bytes;
use spanwire_core::framing::link::{Hello, LinkError, MAX_HANDSHAKE_BYTES, Reason};
use spanwire_core::framing::sp::FrameError;
use spanwire_core::link::hosts::{Claim, claims_now};
use spanwire_core::link::machine::{Changes, Frame, State};
use spanwire_core::link::{End, Link, Role};
use spanwire_core::session::trail::Trail;
use spanwire_core::{DetachReason, Time};
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};

/// What program, machine and driver share of a connection.
pub(super) type Wire = wire::Wire<LinkSide>;
pub(super) type WireState = wire::WireState<LinkState>;

/// What a connection has beside its lock.
pub(super) struct LinkSide {
    pub(super) host: Arc<HostCore>,
    /// On the accepting side: its place at the server.
    pub(super) guest: Option<Guest>,
    /// What its program holds. Weak: when nobody does, it closes.
    pub(super) life: Weak<super::conn::Life>,
}

/// The machine, and who waits for what.
pub(super) struct LinkState {
    pub(super) link: Link,
    trail: Trail,
    /// Messages handed to the kernel whole.
    written: u64,
    /// Of these, at most so many may have been lost with the connection.
    unknown: u64,
    /// Messages that were in the outbox at the end.
    unsent: u64,
    /// The host knows that it is over.
    told: bool,
    /// With limits on rates, and from the end of its handshake on: its part in what its peer may send.
    share: Option<Share>,
    waits: [Vec<Waker>; 7],
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

/// What the host is told.
#[derive(Default)]
pub(super) struct News {
    /// The peer's metadata are others.
    metadata: bool,
    /// It is over, and the host does not know.
    ended: bool,
}

impl LinkState {
    /// Somebody waits; called under the lock that said no.
    pub(super) fn wait(&mut self, what: For, cx: &Context<'_>) {
        wait_in(&mut self.waits[what as usize], cx);
    }

    /// How it ended, as far as it has.
    pub(super) fn end(&self) -> End {
        self.link.end().cloned().unwrap_or(End::ClosedHere)
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
}

impl Machine for LinkState {
    /// Whether a message has left whole with it.
    type Mark = bool;
    type News = News;

    const MAX_HANDSHAKE_BYTES: usize = MAX_HANDSHAKE_BYTES;

    fn next_frame(&mut self) -> Option<Frame> {
        self.link.next_frame()
    }

    fn frame(&mut self, frame: Bytes, now: Time) {
        self.link.frame(frame, now);
        // At once: who is to be dismissed gets nothing through after it.
        self.pace(now);
    }

    fn max_frame_bytes(&self) -> usize {
        self.link.max_frame_bytes()
    }

    fn violated(&mut self, error: FrameError) {
        self.link.violated(match error {
            FrameError::TooLarge { claimed } => LinkError::TooLarge { claimed },
            FrameError::UnknownType { .. } => LinkError::Short,
        });
    }

    fn deadline(&self) -> Option<Time> {
        self.link.deadline()
    }

    fn expire(&mut self, now: Time) {
        self.link.expire(now);
    }

    fn cuts(&self) -> Option<bool> {
        self.link.end().map(End::cuts)
    }

    fn lost(&mut self, why: DetachReason) {
        self.share = None;
        self.link.lost(match why {
            DetachReason::RuntimeGone => End::RuntimeGone,
            DetachReason::ClosedHere => End::ClosedHere,
            _ => End::Lost,
        });
    }

    fn wake(&mut self, out: &mut Out<News>) {
        let Changes { messages, requests, streams, answers, room, state, metadata } = self.link.changes();
        let changed = [messages, requests, streams, answers, room, state, metadata];
        for (waits, changed) in self.waits.iter_mut().zip(changed) {
            if changed {
                out.wakers.append(waits);
            }
        }
        out.news.metadata |= metadata && self.link.is_open();
        if self.link.end().is_some() {
            out.news.ended |= !std::mem::replace(&mut self.told, true);
        }
    }

    fn wake_all(&mut self, wakers: &mut Vec<Waker>) {
        self.waits.iter_mut().for_each(|waits| wakers.append(waits));
    }

    fn prepare(&mut self) {
        if self.share.is_some() {
            self.pace(rt::now());
        }
    }

    fn is_judging(&self) -> bool {
        matches!(self.link.state(), State::Judging { .. })
    }

    fn flushed(&mut self, marks: impl Iterator<Item = bool>, bytes: usize) {
        let whole = marks.filter(|ends| *ends).count();
        self.written += whole as u64;
        if bytes > 0 {
            self.trail.note(whole, bytes);
        }
    }

    fn unsent(&mut self, marks: impl Iterator<Item = bool>, unknown_bytes: usize) {
        self.unsent = marks.filter(|ends| *ends).count() as u64;
        self.unknown = self.trail.messages_within(unknown_bytes) as u64;
    }
}

impl Side for LinkSide {
    type Machine = LinkState;

    fn connected(wire: &Arc<Wire>, ends: &Ends) -> Result<(), DetachReason> {
        wire.host.connected(wire, ends);
        if !wire.guest.as_ref().is_none_or(|guest| guest.passes_filter(ends)) {
            // Let in as far as to be told so.
            wire.lock().link.refuse(Reason::Filtered, "");
        }
        Ok(())
    }

    fn tell(wire: &Arc<Wire>, news: News) {
        if news.metadata {
            wire.host.hub.tell(|| Event::Metadata(wire.peer()));
        }
        if news.ended {
            wire.host.removed(wire);
        }
    }

    /// The peer's Hello or Ack is here: asks hook, server and places. `false`: it has to wait for another
    /// connection to be settled, and is judged again then.
    fn judge(wire: &Arc<Wire>) -> bool {
        let (ack, role, hello, ours, theirs_to_prove, ours_to_prove, proof) = {
            let state = wire.lock();
            let link = &state.link;
            let (State::Judging { ack }, Some(hello)) = (link.state(), link.theirs()) else { return true };
            let role = link.role();
            let challenges = (link.challenge(role.peer()), link.challenge(role));
            (*ack, role, hello.clone(), link.ours().clone(), challenges.0, challenges.1, link.proof().clone())
        };
        if !ack {
            if let Some(Err(reason)) = wire.guest.as_ref().map(|guest| guest.come_in(wire.ends())) {
                wire.visit(|state| state.link.refuse(reason, ""));
                return true;
            }
        }
        let peer = wire.peer();
        if let (true, Some(hook)) = (ack, &wire.host.options.hook) {
            if !hook.verify(&peer, &theirs_to_prove, &proof) {
                wire.visit(|state| state.link.refuse(Reason::Denied, ""));
                return true;
            }
        }
        let one = hello.has(Hello::ONE) && ours.has(Hello::ONE);
        let mut former = None;
        if one && claims_now(wire.origin.dialed, ack, &ours.instance, &hello.instance) {
            match wire.host.claim(wire, &hello, &ours) {
                Claim::Granted => {}
                Claim::Wait => return false,
                Claim::Duplicate(_) => {
                    wire.visit(|state| state.link.refuse(Reason::Duplicate, ""));
                    return true;
                }
                Claim::Replaces(number) => former = Some(number),
            }
        }
        let proves = ack == (role == Role::Acceptor);
        let proof = match (&wire.host.options.hook, proves) {
            (Some(hook), true) => Bytes::from(hook.prove(&peer, &ours_to_prove)),
            _ => Bytes::new(),
        };
        if ack {
            // Before the program can have it, and close it again.
            wire.host.opened(wire, &hello.host);
        }
        let open = wire.visit(|state| {
            if ack && !state.gone {
                state.share = wire.host.share(wire.ends(), &hello.host);
            }
            state.link.go_on(proof, rt::now());
            state.link.is_open()
        });
        if open {
            if let Some(guest) = &wire.guest {
                guest.opened(wire.number);
            }
            wire.host.settled();
        }
        if let Some(former) = former.and_then(|number| wire.host.wire(number)) {
            former.visit(|state| state.link.refuse(Reason::Replaced, ""));
        }
        true
    }

    fn gone(wire: &Arc<Wire>) {
        if let Some(guest) = &wire.guest {
            guest.leave(wire.number);
        }
    }

    fn is_waited_for(wire: &Wire) -> bool {
        !wire.lock().waits[For::Message as usize].is_empty()
    }
}

/// A connection that is served next.
pub(super) fn new(
    number: u64,
    host: Arc<HostCore>,
    origin: Origin,
    guest: Option<Guest>,
    life: Weak<super::conn::Life>,
) -> Wire {
    let role = if origin.dialed { Role::Dialer } else { Role::Acceptor };
    let machine = LinkState {
        link: Link::new(role, host.hello(), host.options.link.clone(), rt::now()),
        trail: Trail::default(),
        written: 0,
        unknown: 0,
        unsent: 0,
        told: false,
        share: None,
        waits: Default::default(),
    };
    let (home, write_buffer_bytes) = (host.home.clone(), host.options.link.write_buffer_bytes);
    Wire::new(number, home, origin, LinkSide { host, guest, life }, machine, write_buffer_bytes)
}

impl Wire {
    /// Who is at the other end, as far as is known.
    pub(super) fn peer(&self) -> Peer {
        let state = self.lock();
        Peer::new(self.number, &self.origin, self.ends(), &state.link)
    }

    /// Another connection is settled, for which this one has waited.
    pub(super) fn judge_again(self: &Arc<Self>) {
        if LinkSide::judge(self) {
            self.resume();
        }
    }
}
