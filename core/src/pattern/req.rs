//! REQ (0030): asks one peer after the other until somebody replies. Spec 5.1.

use super::backtrace::{Ids, accept_answer};
use super::contexts::Contexts;
use super::due::Due;
use super::peers::Peers;
use super::{CtxId, Effects, Held, Nothing, Pattern, Refusal, Tickets};
use crate::event::{DetachReason, Dropped, Latency};
use crate::message::{Header, Message, PipeId};
use crate::options::Options;
use crate::time::Time;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

/// The asking side of request and reply.
///
/// Each context has at most one request; a new one takes the place of the former, and nothing tells
/// the peer. A request goes to the next peer with room, in turn. When its pipe is lost, or the
/// resend time has passed, it goes to the next, with the same id and the same bytes; what waits to
/// be sent again comes before anything new. The reply may come over any pipe.
#[derive(Debug)]
pub struct Req {
    peers: Peers,
    ids: Ids,
    contexts: Contexts<Conversation>,
    /// Requests that wait for room to be sent again, the oldest first.
    resends: BTreeSet<u32>,
    due: Due,
    resend_time: Option<Duration>,
    resend_failures: u32,
}

#[derive(Debug, Default)]
struct Conversation {
    /// The id of its latest request; 0 before the first. Ids have their top bit set.
    ticket: u32,
    state: State,
}

/// What became of a context's latest request.
///
/// ```text
///           send, to a peer with room                    reply
///   Idle ──────────────────────────────▶ Asked ───────────────────────▶ Replied ── take ──▶ Idle
///    ▲                          ┌──────────────────────┐
///    │                 pipe lost│ InFlight             │ pipe lost, and it may not be sent again
///    │              or time past│  │ ▲ a peer has room │──────────────▶ Failed ─── take ──▶ Idle
///    │                          │  ▼ │                 │
///    │                          │ WaitsForRoom         │
///    │                          └──────────────────────┘
///    └── close, from anywhere                       send, from anywhere: Asked, with another id
/// ```
#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Asked(Request),
    Replied(Message),
    Failed(Nothing),
}

#[derive(Debug)]
struct Request {
    /// With its header, as it goes out each time.
    message: Message,
    /// When the application sent it.
    asked: Time,
    place: Place,
    /// Why the latest pipes went away with it, and how many did so in a row.
    lost: Option<(DetachReason, u32)>,
}

#[derive(Debug)]
enum Place {
    InFlight { pipe: PipeId, resend_at: Option<Time> },
    WaitsForRoom,
}

impl Req {
    /// A REQ without peers. `seed` should be random: ids start there. A resend time of zero is
    /// none, as in NNG.
    pub fn new(options: &Options, seed: u32) -> Self {
        Self {
            peers: Peers::new(options),
            ids: Ids::new(seed),
            contexts: Contexts::new(),
            resends: BTreeSet::new(),
            due: Due::default(),
            resend_time: options.resend_time.filter(|time| !time.is_zero()),
            resend_failures: options.resend_failures,
        }
    }

    /// Ends whatever `ctx` was doing.
    fn cancel(&mut self, ctx: CtxId, why: Dropped, fx: &mut impl Effects) {
        let Some(conversation) = self.contexts.get_mut(ctx) else { return };
        if matches!(conversation.state, State::Idle) {
            return;
        }
        match core::mem::take(&mut conversation.state) {
            State::Idle => return,
            State::Failed(_) => {}
            State::Replied(reply) => {
                self.ids.end(conversation.ticket);
                fx.discard(why, reply.pipe(), reply.len());
            }
            State::Asked(request) => {
                self.ids.end(conversation.ticket);
                if self.resends.remove(&conversation.ticket) {
                    fx.discard(why, None, request.message.len());
                }
                self.tidy();
            }
        }
        fx.readable(ctx, 1);
    }

    fn request(&self, id: u32) -> Option<&Request> {
        asked(&self.ids, &self.contexts, id)
    }

    fn request_mut(&mut self, id: u32) -> Option<&mut Request> {
        match &mut self.contexts.get_mut(self.ids.owner(id)?)?.state {
            State::Asked(request) => Some(request),
            State::Idle | State::Replied(_) | State::Failed(_) => None,
        }
    }

    /// Notes that a request is in flight on `pipe` from now on.
    fn in_flight(&mut self, now: Time, id: u32, pipe: PipeId) -> Place {
        let resend_at = self.resend_time.map(|time| now + time);
        if let Some(at) = resend_at {
            self.due.push(at, id);
        }
        Place::InFlight { pipe, resend_at }
    }

    /// Gives requests that wait to whoever has room; returns whether none is left.
    fn place_resends(&mut self, now: Time, fx: &mut impl Effects) -> bool {
        while let Some(&id) = self.resends.first() {
            let request = self.request(id).expect("what waits to be sent again is asked");
            let Some(pipe) = self.peers.pick(request.message.len()) else { return false };
            self.resends.pop_first();
            let place = self.in_flight(now, id, pipe);
            let request = self.request_mut(id).expect("looked at above");
            request.place = place;
            fx.resent();
            fx.transmit_copy(pipe, &request.message);
        }
        true
    }

    /// A request that waited for room needs none any more: others may have it.
    fn make_way(&mut self, now: Time, fx: &mut impl Effects) {
        if self.place_resends(now, fx) && self.peers.has_room() {
            fx.writable(self.peers.window());
        }
    }

    /// Brings a deadline that means something to the front; called whenever one may have lost its
    /// meaning.
    #[inline]
    fn tidy(&mut self) {
        let Self { due, ids, contexts, .. } = self;
        due.tidy(ids.len(), |at, id| asked(ids, contexts, id).is_some_and(|request| request.is_due(at)));
    }
}

/// The request with this id, if it waits for its reply.
fn asked<'a>(ids: &Ids, contexts: &'a Contexts<Conversation>, id: u32) -> Option<&'a Request> {
    match &contexts.get(ids.owner(id)?)?.state {
        State::Asked(request) => Some(request),
        State::Idle | State::Replied(_) | State::Failed(_) => None,
    }
}

impl Request {
    fn is_on(&self, pipe: PipeId) -> bool {
        matches!(self.place, Place::InFlight { pipe: on, .. } if on == pipe)
    }

    fn is_due(&self, at: Time) -> bool {
        matches!(self.place, Place::InFlight { resend_at: Some(due), .. } if due == at)
    }

    /// A pipe went away for `why` with this in flight on it. Whether that was once too often.
    fn blame(&mut self, why: DetachReason, failures: u32) -> bool {
        // What this side closed says nothing about the request.
        if why == DetachReason::ClosedHere {
            return false;
        }
        let in_a_row = match self.lost {
            Some((before, count)) if before == why => count.saturating_add(1),
            Some(_) | None => 1,
        };
        self.lost = Some((why, in_a_row));
        in_a_row >= failures
    }
}

impl Tickets for Req {
    fn ticket(&self, ctx: CtxId) -> u32 {
        self.contexts.get(ctx).map_or(0, |conversation| conversation.ticket)
    }
}

impl Pattern for Req {
    fn attach(&mut self, now: Time, pipe: PipeId, fx: &mut impl Effects) -> Result<(), DetachReason> {
        self.peers.attach(pipe);
        if self.place_resends(now, fx) {
            fx.writable(self.peers.window());
        }
        Ok(())
    }

    /// Requests in flight on the lost pipe are sent again at once. Those that never left, behind
    /// another that did not leave either, cannot be why the pipe died, and are not blamed for it.
    fn detach(
        &mut self,
        now: Time,
        pipe: PipeId,
        why: DetachReason,
        unsent: Vec<Message>,
        fx: &mut impl Effects,
    ) {
        if self.peers.detach(pipe).is_none() {
            return;
        }
        // Size of each request that never left, and whether it was the first of them.
        let mut left_behind = BTreeMap::new();
        for (n, mut message) in unsent.into_iter().enumerate() {
            let bytes = message.len();
            left_behind.entry(message.take_tag().unwrap_or(0)).or_insert((bytes, n == 0));
        }
        let mut failed = Vec::new();
        for (id, ctx) in self.ids.in_order() {
            let Some(conversation) = self.contexts.get_mut(ctx) else { continue };
            let request = match &mut conversation.state {
                State::Asked(request) if request.is_on(pipe) => request,
                // It has its reply or is on another pipe; the copy here was an earlier attempt.
                State::Asked(_) | State::Replied(_) | State::Idle | State::Failed(_) => {
                    left_behind.remove(&id);
                    continue;
                }
            };
            let blameless = matches!(left_behind.get(&id), Some((_, false)));
            let end = if self.resend_time.is_none() {
                Nothing::ConnectionLost
            } else if !blameless && request.blame(why, self.resend_failures) {
                Nothing::Rejected
            } else {
                request.place = Place::WaitsForRoom;
                self.resends.insert(id);
                left_behind.remove(&id);
                continue;
            };
            conversation.state = State::Failed(end);
            failed.push((id, ctx));
        }
        for (id, ctx) in failed {
            self.ids.end(id);
            fx.readable(ctx, 1);
        }
        for (bytes, _) in left_behind.into_values() {
            fx.discard(Dropped::PipeLost, Some(pipe), bytes);
        }
        self.place_resends(now, fx);
        self.tidy();
    }

    fn drained(&mut self, now: Time, pipe: PipeId, messages: usize, bytes: usize, fx: &mut impl Effects) {
        self.peers.drained(pipe, messages, bytes);
        if self.place_resends(now, fx) && self.peers.has_room() {
            fx.writable(messages);
        }
    }

    fn recv(&mut self, now: Time, pipe: PipeId, message: Message, fx: &mut impl Effects) {
        let bytes = message.len();
        let Some((id, reply)) = accept_answer(pipe, message, fx) else { return };
        let owner = self.ids.owner(id).and_then(|ctx| Some((ctx, self.contexts.get_mut(ctx)?)));
        let Some((ctx, conversation)) = owner else {
            return fx.discard(Dropped::NoRequest, Some(pipe), bytes);
        };
        match conversation.state {
            State::Asked(Request { asked, .. }) => {
                fx.took(Latency::Reply, pipe, now - asked);
                conversation.state = State::Replied(reply);
                fx.readable(ctx, 1);
                if self.resends.remove(&id) {
                    self.make_way(now, fx);
                }
                self.tidy();
            }
            State::Replied(_) => fx.discard(Dropped::Duplicate, Some(pipe), bytes),
            State::Idle | State::Failed(_) => fx.discard(Dropped::NoRequest, Some(pipe), bytes),
        }
    }

    /// Sends overdue requests again, each one resend time after the last time it went out. (NNG 1.7
    /// and later repeat them at every tick; spec 5.1.)
    fn expire(&mut self, now: Time, fx: &mut impl Effects) {
        while let Some((at, id)) = self.due.pop(now) {
            let Some(request) = self.request_mut(id).filter(|request| request.is_due(at)) else { continue };
            request.place = Place::WaitsForRoom;
            // A pipe has carried it for so long that it is not what ends pipes.
            request.lost = None;
            self.resends.insert(id);
        }
        self.place_resends(now, fx);
        self.tidy();
    }

    fn open(&mut self) -> CtxId {
        self.contexts.open()
    }

    fn close(&mut self, now: Time, ctx: CtxId, fx: &mut impl Effects) {
        let waited = self.resends.len();
        self.cancel(ctx, Dropped::Cancelled, fx);
        self.contexts.close(ctx);
        if self.resends.len() < waited {
            self.make_way(now, fx);
        }
    }

    /// A new request; the former of this context is cancelled, but only once there is room for this.
    fn put(
        &mut self,
        now: Time,
        ctx: CtxId,
        message: &mut Message,
        fx: &mut impl Effects,
    ) -> Result<(), Refusal> {
        if self.contexts.get(ctx).is_none() {
            return Err(Refusal::State);
        }
        if !self.resends.is_empty() {
            return Err(self.peers.refusal());
        }
        let Some(pipe) = self.peers.pick(ID_BYTES + message.body().len()) else {
            return Err(self.peers.refusal());
        };
        self.cancel(ctx, Dropped::Cancelled, fx);
        let id = self.ids.start(ctx);
        let message = core::mem::take(message).header_set(Header::tag(id));
        fx.transmit_copy(pipe, &message);
        let place = self.in_flight(now, id, pipe);
        let conversation = self.contexts.get_mut(ctx).expect("looked at above");
        conversation.ticket = id;
        conversation.state = State::Asked(Request { message, asked: now, place, lost: None });
        Ok(())
    }

    fn take(&mut self, _: Time, ctx: CtxId, _: &mut impl Effects) -> Result<Message, Nothing> {
        let conversation = self.contexts.get_mut(ctx).ok_or(Nothing::Asked)?;
        if let State::Asked(_) = conversation.state {
            return Err(Nothing::Yet);
        }
        match core::mem::take(&mut conversation.state) {
            State::Idle | State::Asked(_) => Err(Nothing::Asked),
            State::Replied(reply) => {
                self.ids.end(conversation.ticket);
                Ok(reply)
            }
            State::Failed(nothing) => Err(nothing),
        }
    }

    fn readable(&self, ctx: CtxId) -> bool {
        self.contexts.get(ctx).is_some_and(|c| matches!(c.state, State::Replied(_) | State::Failed(_)))
    }

    fn writable(&self, _: CtxId) -> bool {
        self.resends.is_empty() && self.peers.has_room()
    }

    fn deadline(&self) -> Option<Time> {
        self.due.first()
    }

    fn waiting(&self) -> usize {
        self.resends.len()
    }

    fn held(&self) -> Held {
        let replied = |c: &Conversation| match &c.state {
            State::Replied(reply) => Held { messages: 1, bytes: reply.len() },
            State::Idle | State::Asked(_) | State::Failed(_) => Held::default(),
        };
        self.contexts.iter().map(|(_, conversation)| replied(conversation)).sum()
    }

    fn clear(&mut self, fx: &mut impl Effects) {
        for (_, ctx) in self.ids.in_order() {
            self.cancel(ctx, Dropped::Closed, fx);
        }
    }

    fn check_invariants(&self) {
        self.peers.check_invariants();
        let mut live = 0;
        let mut waiting = 0;
        for (ctx, conversation) in self.contexts.iter() {
            let id = conversation.ticket;
            match &conversation.state {
                State::Idle | State::Failed(_) => {
                    assert_eq!(self.ids.owner(id), None, "nothing is live");
                    continue;
                }
                State::Replied(_) => {}
                State::Asked(Request { message, place, .. }) => {
                    assert_eq!(message.header(), &Header::tag(id), "identical bytes each time");
                    match place {
                        Place::WaitsForRoom => waiting += usize::from(self.resends.contains(&id)),
                        Place::InFlight { pipe, resend_at } => {
                            assert!(self.peers.contains(*pipe), "in flight on a pipe that is there");
                            assert!(!self.resends.contains(&id), "either in flight or waiting");
                            assert_eq!(resend_at.is_some(), self.resend_time.is_some());
                            if let Some(at) = resend_at {
                                let first = self.due.first();
                                assert!(first.is_some_and(|first| first <= *at), "unknown deadline");
                            }
                        }
                    }
                }
            }
            assert_eq!(self.ids.owner(id), Some(ctx), "a live id finds its context");
            live += 1;
        }
        assert_eq!(live, self.ids.len(), "every id belongs to a context");
        assert_eq!(waiting, self.resends.len(), "every request that waits is in the list");
        if let Some(request) = self.resends.first().and_then(|id| self.request(*id)) {
            assert!(!self.peers.fits(request.message.len()), "room, and somebody waits for it");
        }
    }
}

const ID_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::super::script::{Script, pipe};
    use super::*;

    const A: CtxId = CtxId::DEFAULT;

    struct Bed {
        req: Req,
        fx: Script,
        now: Time,
    }

    impl Bed {
        fn new(peers: u32, options: Options) -> Self {
            let mut bed = Self { req: Req::new(&options, 1), fx: Script::default(), now: Time::ZERO };
            (1..=peers).for_each(|n| bed.attach(n));
            bed
        }
        fn attach(&mut self, n: u32) {
            self.req.attach(self.now, pipe(n), &mut self.fx).unwrap();
            self.req.check_invariants();
        }
        fn detach(&mut self, n: u32, why: DetachReason, unsent: Vec<Message>) {
            self.req.detach(self.now, pipe(n), why, unsent, &mut self.fx);
            self.req.check_invariants();
        }
        fn send(&mut self, ctx: CtxId, body: &'static str) -> Result<(), Refusal> {
            let sent = self.req.send(self.now, ctx, body.into(), &mut self.fx).map_err(|(why, _)| why);
            self.req.check_invariants();
            sent
        }
        fn reply(&mut self, from: u32, id: u32, body: &str) {
            let message = Message::from([&id.to_be_bytes(), body.as_bytes()].concat());
            self.req.recv(self.now, pipe(from), message.received(pipe(from), self.now), &mut self.fx);
            self.req.check_invariants();
        }
        fn take(&mut self, ctx: CtxId) -> Result<Vec<u8>, Nothing> {
            self.req.take(self.now, ctx, &mut self.fx).map(|m| m.body().to_vec())
        }
        fn pass(&mut self, time: Duration) {
            self.now = self.now + time;
            self.req.expire(self.now, &mut self.fx);
            self.req.check_invariants();
        }
        /// Pipe and wire bytes of everything sent since the last call.
        fn wire(&mut self) -> Vec<(u32, Vec<u8>)> {
            let wire = |(to, mut m): (PipeId, Message)| {
                m.join();
                (to.get(), m.body().to_vec())
            };
            self.fx.sent.drain(..).map(wire).collect()
        }
    }

    fn one_deep() -> Options {
        Options { outbox_messages: 1, ..Options::default() }
    }

    #[test]
    fn a_drain_that_leaves_no_room_tells_nobody() {
        let mut bed = Bed::new(1, Options { outbox_bytes: 10, ..Options::default() });
        bed.send(A, "longer than what fits").unwrap();
        bed.fx.writable.clear();
        bed.req.drained(bed.now, pipe(1), 0, 0, &mut bed.fx);
        assert!(bed.fx.writable.is_empty() && !bed.req.writable(A));
        bed.req.drained(bed.now, pipe(1), 1, 25, &mut bed.fx);
        assert_eq!((&bed.fx.writable[..], bed.req.writable(A)), (&[1][..], true));
    }

    #[test]
    fn requests_go_round_the_peers_with_ids_that_count_up() {
        let mut bed = Bed::new(2, Options::default());
        let b = bed.req.open();
        bed.send(A, "x").unwrap();
        bed.send(b, "y").unwrap();
        assert_eq!(bed.wire(), [(1, b"\x80\0\0\x01x".to_vec()), (2, b"\x80\0\0\x02y".to_vec())]);
        bed.reply(2, 0x8000_0001, "over another pipe");
        bed.reply(1, 0x8000_0002, "");
        assert_eq!(bed.take(A), Ok(b"over another pipe".to_vec()));
        assert_eq!(bed.take(b), Ok(vec![]));
        assert_eq!((bed.take(A), bed.take(b)), (Err(Nothing::Asked), Err(Nothing::Asked)));
    }

    #[test]
    fn a_reply_tells_how_long_it_took_resends_included() {
        let mut bed = Bed::new(2, Options::default());
        bed.send(A, "x").unwrap();
        let sent = bed.now;
        bed.now = sent + Duration::from_secs(61);
        bed.req.expire(bed.now, &mut bed.fx);
        bed.now = sent + Duration::from_secs(62);
        bed.reply(2, 0x8000_0001, "y");
        bed.reply(1, 0x8000_0001, "a second one does not count");
        assert_eq!(bed.fx.took, [(Latency::Reply, pipe(2), Duration::from_secs(62))]);
        assert_eq!(bed.req.held(), Held { messages: 1, bytes: 1 });
        bed.take(A).unwrap();
        assert_eq!(bed.req.held(), Held::default());
    }

    #[test]
    fn a_reply_from_this_process_has_its_header_apart() {
        let mut bed = Bed::new(1, Options::default());
        bed.send(A, "x").unwrap();
        let reply = Message::with_header(Header::tag(0x8000_0001), "y").received(pipe(1), bed.now);
        bed.req.recv(bed.now, pipe(1), reply, &mut bed.fx);
        let taken = bed.req.take(bed.now, A, &mut bed.fx).unwrap();
        assert_eq!((taken.header().len(), &taken[..], taken.pipe()), (0, &b"y"[..], Some(pipe(1))));
    }

    #[test]
    fn without_room_nothing_moves_and_the_former_request_goes_on() {
        let mut bed = Bed::new(0, one_deep());
        assert_eq!(bed.send(A, "x"), Err(Refusal::NoPeer));
        bed.attach(1);
        bed.send(A, "x").unwrap();
        assert_eq!(bed.send(A, "y"), Err(Refusal::Full));
        bed.reply(1, 0x8000_0001, "z");
        assert_eq!(bed.take(A), Ok(b"z".to_vec()));
        assert_eq!(bed.send(CtxId(9), "no such context"), Err(Refusal::State));
    }

    #[test]
    fn a_new_request_cancels_the_former() {
        let mut bed = Bed::new(1, Options::default());
        bed.send(A, "x").unwrap();
        let ticket = bed.req.ticket(A);
        assert_eq!(bed.req.take_ticket(bed.now, A, ticket, &mut bed.fx), Err(Nothing::Yet));
        bed.send(A, "y").unwrap();
        assert_eq!(bed.fx.readable, [(A, 1)], "so that whoever waits looks");
        assert_eq!(bed.req.take_ticket(bed.now, A, ticket, &mut bed.fx), Err(Nothing::Cancelled));
        bed.reply(1, 0x8000_0001, "late");
        assert_eq!((bed.take(A), bed.fx.take_dropped()), (Err(Nothing::Yet), vec![Dropped::NoRequest]));
        bed.reply(1, 0x8000_0002, "stored");
        bed.send(A, "z").unwrap();
        assert_eq!(bed.fx.take_dropped(), [Dropped::Cancelled], "the reply that nobody took");
        assert_eq!(bed.take(A), Err(Nothing::Yet));
    }

    #[test]
    fn closing_a_context_cancels_its_request_for_whoever_waits() {
        let mut bed = Bed::new(1, Options::default());
        let b = bed.req.open();
        for ctx in [A, b] {
            bed.send(ctx, "x").unwrap();
            let ticket = bed.req.ticket(ctx);
            bed.req.close(bed.now, ctx, &mut bed.fx);
            bed.req.check_invariants();
            bed.reply(1, ticket, "late");
            assert_eq!(bed.fx.take_dropped(), [Dropped::NoRequest]);
            assert_eq!(bed.req.take_ticket(bed.now, ctx, ticket, &mut bed.fx), Err(Nothing::Cancelled));
            assert_eq!(bed.take(ctx), Err(Nothing::Asked));
        }
        assert_eq!(bed.send(A, "the default context is still there"), Ok(()));
        assert_eq!(bed.send(b, "the other is not"), Err(Refusal::State));
        assert_eq!(bed.req.open(), b);
    }

    #[test]
    fn replies_that_fit_no_request_are_dropped_and_the_pipe_stays() {
        let mut bed = Bed::new(1, Options::default());
        bed.send(A, "x").unwrap();
        bed.reply(1, 0x8000_0007, "unknown");
        bed.reply(1, 0x0000_0001, "top bit clear");
        bed.reply(1, 7, "\u{0}\u{0}\u{0}\u{1}a tag before the id");
        bed.reply(1, 0x8000_0001, "good");
        bed.reply(1, 0x8000_0001, "twice");
        assert_eq!(bed.take(A), Ok(b"good".to_vec()));
        bed.reply(1, 0x8000_0001, "thrice");
        let no = Dropped::NoRequest;
        assert_eq!(bed.fx.take_dropped(), [no, no, no, Dropped::Duplicate, no]);
        assert!(bed.fx.closed.is_empty());
    }

    #[test]
    fn a_reply_without_an_id_closes_the_pipe() {
        let mut bed = Bed::new(1, Options::default());
        bed.req.recv(bed.now, pipe(1), "abc".into(), &mut bed.fx);
        assert_eq!(bed.fx.take_dropped(), [Dropped::Malformed]);
        assert_eq!(bed.fx.closed, [(pipe(1), DetachReason::ProtocolViolation)]);
    }

    #[test]
    fn an_overdue_request_goes_to_the_next_peer_once_per_resend_time() {
        let mut bed =
            Bed::new(2, Options { resend_time: Some(Duration::from_secs(5)), ..Options::default() });
        bed.send(A, "x").unwrap();
        assert_eq!(bed.req.deadline(), Some(Time::ZERO + Duration::from_secs(5)));
        bed.pass(Duration::from_secs(4));
        assert_eq!(bed.wire(), [(1, b"\x80\0\0\x01x".to_vec())]);
        bed.pass(Duration::from_secs(1));
        assert_eq!(bed.wire(), [(2, b"\x80\0\0\x01x".to_vec())], "same id, same bytes");
        for _ in 0..4 {
            bed.pass(Duration::from_secs(1));
            assert_eq!(bed.wire(), [], "not at every tick");
        }
        bed.pass(Duration::from_secs(1));
        assert_eq!((bed.wire().len(), bed.fx.resent), (1, 2));
        bed.reply(1, 0x8000_0001, "from the first peer, after all");
        assert_eq!(bed.req.deadline(), None);
        assert!(bed.take(A).is_ok());
    }

    #[test]
    fn a_request_whose_pipe_is_lost_goes_out_again_at_once() {
        let mut bed = Bed::new(2, Options::default());
        bed.send(A, "x").unwrap();
        bed.wire();
        bed.detach(1, DetachReason::ConnectionLost, vec![]);
        assert_eq!(bed.wire(), [(2, b"\x80\0\0\x01x".to_vec())]);
        bed.detach(2, DetachReason::PeerClosed, vec![]);
        assert_eq!((bed.req.waiting(), bed.req.deadline()), (1, None));
        bed.reply(3, 0x8000_0001, "still welcome");
        assert_eq!((bed.req.waiting(), bed.take(A)), (0, Ok(b"still welcome".to_vec())));
    }

    #[test]
    fn what_is_sent_again_comes_before_anything_new_and_the_oldest_first() {
        let mut bed = Bed::new(2, one_deep());
        let (b, c) = (bed.req.open(), bed.req.open());
        bed.send(b, "x").unwrap();
        bed.send(A, "y").unwrap();
        bed.detach(2, DetachReason::ConnectionLost, vec![]);
        bed.detach(1, DetachReason::ConnectionLost, vec![]);
        bed.wire();
        assert_eq!((bed.send(c, "z"), bed.req.writable(c)), (Err(Refusal::NoPeer), false));
        bed.attach(3);
        assert_eq!(bed.wire(), [(3, b"\x80\0\0\x01x".to_vec())]);
        assert_eq!(bed.send(c, "z"), Err(Refusal::Full));
        bed.req.drained(bed.now, pipe(3), 1, 5, &mut bed.fx);
        assert_eq!(bed.wire(), [(3, b"\x80\0\0\x02y".to_vec())]);
        bed.req.drained(bed.now, pipe(3), 1, 5, &mut bed.fx);
        assert_eq!(bed.send(c, "z"), Ok(()));
    }

    #[test]
    fn a_large_request_that_no_longer_waits_makes_way_for_small_ones() {
        let mut bed = Bed::new(1, Options { outbox_bytes: 12, ..Options::default() });
        let (b, c) = (bed.req.open(), bed.req.open());
        bed.send(A, "larger than all the room").unwrap();
        bed.attach(2);
        bed.send(b, "x").unwrap();
        bed.detach(1, DetachReason::ConnectionLost, vec![]);
        assert_eq!(bed.send(c, "y"), Err(Refusal::Full));
        bed.fx.writable.clear();
        bed.reply(2, 0x8000_0001, "at last");
        assert_eq!(bed.fx.writable.len(), 1);
        assert_eq!(bed.send(c, "y"), Ok(()));
    }

    #[test]
    fn a_request_that_waits_is_counted_when_it_is_given_up() {
        let mut bed = Bed::new(1, Options::default());
        let b = bed.req.open();
        bed.send(A, "x").unwrap();
        bed.send(b, "y").unwrap();
        bed.detach(1, DetachReason::ConnectionLost, vec![]);
        bed.req.close(bed.now, b, &mut bed.fx);
        assert_eq!((bed.fx.take_dropped(), bed.req.waiting()), (vec![Dropped::Cancelled], 1));
        bed.req.clear(&mut bed.fx);
        assert_eq!((bed.fx.take_dropped(), bed.req.waiting()), (vec![Dropped::Closed], 0));
        bed.req.check_invariants();
    }

    #[test]
    fn with_resending_off_a_lost_connection_is_an_error() {
        for time in [None, Some(Duration::ZERO)] {
            let mut bed = Bed::new(2, Options { resend_time: time, ..Options::default() });
            bed.send(A, "x").unwrap();
            assert_eq!(bed.req.deadline(), None);
            bed.detach(1, DetachReason::PeerClosed, vec![]);
            assert_eq!((&bed.fx.readable[..], bed.req.readable(A)), (&[(A, 1)][..], true));
            assert_eq!(bed.take(A), Err(Nothing::ConnectionLost));
            assert_eq!(bed.take(A), Err(Nothing::Asked));
        }
    }

    #[test]
    fn a_request_that_ends_pipe_after_pipe_is_rejected() {
        let mut bed = Bed::new(1, Options::default());
        bed.send(A, "poison").unwrap();
        let too_large = DetachReason::MessageTooLarge;
        for (n, why) in
            [(1, too_large), (2, too_large), (3, DetachReason::PeerClosed), (4, too_large), (5, too_large)]
        {
            bed.detach(n, why, vec![]);
            assert_eq!(bed.take(A), Err(Nothing::Yet), "not three in a row yet");
            bed.attach(n + 1);
        }
        bed.detach(6, DetachReason::ClosedHere, vec![]);
        bed.attach(7);
        assert_eq!(bed.take(A), Err(Nothing::Yet), "our own doing does not count");
        bed.detach(7, too_large, vec![]);
        assert_eq!(bed.take(A), Err(Nothing::Rejected));
        assert_eq!(bed.req.waiting(), 0);
    }

    #[test]
    fn a_pipe_that_lived_for_a_resend_time_was_not_ended_by_the_request() {
        let mut bed = Bed::new(1, Options { resend_failures: 2, ..Options::default() });
        bed.send(A, "slow").unwrap();
        bed.detach(1, DetachReason::ConnectionLost, vec![]);
        bed.attach(2);
        bed.pass(Duration::from_secs(60));
        bed.detach(2, DetachReason::ConnectionLost, vec![]);
        assert_eq!(bed.take(A), Err(Nothing::Yet));
    }

    #[test]
    fn requests_that_never_left_are_not_blamed_for_the_one_before_them() {
        let mut bed = Bed::new(1, Options { resend_failures: 1, ..Options::default() });
        let b = bed.req.open();
        bed.send(A, "poison").unwrap();
        bed.send(b, "innocent").unwrap();
        let unsent = bed.fx.sent.drain(..).map(|(_, m)| m).collect();
        bed.detach(1, DetachReason::MessageTooLarge, unsent);
        assert_eq!(bed.take(A), Err(Nothing::Rejected));
        assert_eq!(bed.fx.dropped, [(Dropped::PipeLost, Some(pipe(1)), 10)], "it never left");
        assert_eq!((bed.take(b), bed.req.waiting()), (Err(Nothing::Yet), 1));
    }

    #[test]
    fn a_cancelled_request_that_never_left_is_counted() {
        let mut bed = Bed::new(1, Options::default());
        bed.send(A, "x").unwrap();
        bed.send(A, "y").unwrap();
        // On the wire now, and so in one piece.
        let unsent = bed.wire().into_iter().map(|(_, bytes)| bytes.into()).collect();
        bed.detach(1, DetachReason::ConnectionLost, unsent);
        assert_eq!(bed.fx.take_dropped(), [Dropped::PipeLost]);
        assert_eq!(bed.req.waiting(), 1);
    }
}
