//! Raw REQ, REP, SURVEYOR and RESPONDENT: what devices are made of. Spec 5.1, 5.2 and 5.8.
//!
//! ```text
//!   REQ ──▶ RawRep ══▶ RawReq ──▶ REP       a device forwards messages, header and all; towards
//!   REQ ◀── RawRep ◀══ RawReq ◀── REP       the REP the header grows by a tag, back it shrinks
//! ```
//!
//! Nothing is remembered here of requests: the way back is in their headers. The raw forms of the
//! other patterns are their cooked ones or stand in their files.

use super::backtrace::{MOST_TAGS, accept};
use super::peers::Peers;
use super::queue::FairQueue;
use super::{CtxId, Effects, Held, Nothing, Pattern, Refusal, Room, discard_unsent};
use crate::event::DetachReason;
use crate::message::{Message, PipeId};
use crate::options::Options;
use crate::time::Time;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Raw REQ: each message goes, as it is, to the next peer with room, or to the pipe that it names.
///
/// What is received has its backtrace as header. A device has to clear the pipe of what it
/// forwards: that is a pipe of the other socket, and unknown here.
#[derive(Debug)]
pub struct RawReq {
    peers: Peers,
    queue: FairQueue,
}

/// Raw SURVEYOR: each message goes, as it is, to everybody with room; the others miss it, counted.
///
/// What is received has its backtrace as header. There is no deadline: what comes is delivered.
#[derive(Debug)]
pub struct RawSurveyor {
    peers: Peers,
    queue: FairQueue,
}

/// Raw REP: puts the pipe that a request came over in front of its backtrace, and sends a reply to
/// the pipe that its header begins with.
#[derive(Debug)]
pub struct RawRep {
    peers: Peers,
    queue: FairQueue,
    by_tag: BTreeMap<u32, PipeId>,
    hop_limit: u8,
}

/// Raw RESPONDENT, which follows the rules of raw REP.
pub type RawRespondent = RawRep;

impl RawReq {
    /// A raw REQ without peers.
    pub fn new(options: &Options) -> Self {
        Self { peers: Peers::new(options), queue: replies(options) }
    }
}

impl RawSurveyor {
    /// A raw SURVEYOR without peers.
    pub fn new(options: &Options) -> Self {
        Self { peers: Peers::new(options), queue: replies(options) }
    }
}

impl RawRep {
    /// A raw REP without peers.
    pub fn new(options: &Options) -> Self {
        Self {
            peers: Peers::new(options),
            queue: FairQueue::new(options.recv_messages, options.recv_bytes, options.requests_per_pipe),
            by_tag: BTreeMap::new(),
            hop_limit: options.hop_limit,
        }
    }
}

fn replies(options: &Options) -> FairQueue {
    FairQueue::new(options.recv_messages, options.recv_bytes, usize::MAX)
}

/// A reply came from `pipe`: moves its backtrace into the header and lets it wait.
fn queue_reply(queue: &mut FairQueue, pipe: PipeId, message: Message, fx: &mut impl Effects) {
    let Some(reply) = accept(pipe, message, MOST_TAGS, fx) else { return };
    queue.push(pipe, reply);
    fx.readable(CtxId::DEFAULT, 1);
}

impl Pattern for RawReq {
    fn attach(&mut self, _: Time, pipe: PipeId, fx: &mut impl Effects) -> Result<(), DetachReason> {
        self.peers.attach(pipe);
        self.queue.attach(pipe);
        fx.writable(self.peers.window());
        Ok(())
    }

    fn detach(
        &mut self,
        _: Time,
        pipe: PipeId,
        _: DetachReason,
        unsent: Vec<Message>,
        fx: &mut impl Effects,
    ) {
        let woken = self.peers.detach(pipe).unwrap_or(0);
        self.queue.detach(pipe);
        discard_unsent(pipe, unsent, fx);
        if woken > 0 {
            fx.writable(woken);
        }
    }

    /// Senders that wait for a pipe of their choice stand in one line with those that take any, so
    /// there has to be a call for each of them, or one of them might use up the only one.
    fn drained(&mut self, _: Time, pipe: PipeId, messages: usize, bytes: usize, fx: &mut impl Effects) {
        let choosers = self.peers.drained(pipe, messages, bytes) + self.peers.take_refused();
        fx.writable(messages.saturating_add(choosers));
    }

    fn room(&mut self, pipe: PipeId) -> Room {
        self.queue.room(pipe)
    }

    fn recv(&mut self, _: Time, pipe: PipeId, message: Message, fx: &mut impl Effects) {
        queue_reply(&mut self.queue, pipe, message, fx);
    }

    fn put(
        &mut self,
        _: Time,
        _: CtxId,
        message: &mut Message,
        fx: &mut impl Effects,
    ) -> Result<(), Refusal> {
        let room = match message.pipe() {
            Some(pipe) => self.peers.reserve(pipe, message.len()).map(|()| pipe),
            None => self.peers.pick(message.len()).ok_or_else(|| self.peers.refusal()),
        };
        match room {
            Ok(pipe) => {
                fx.transmit(pipe, message);
                Ok(())
            }
            Err(why) => Err(why),
        }
    }

    fn take(&mut self, _: Time, _: CtxId, fx: &mut impl Effects) -> Result<Message, Nothing> {
        self.queue.pop(fx).ok_or(Nothing::Yet)
    }

    fn readable(&self, _: CtxId) -> bool {
        !self.queue.is_empty()
    }

    fn writable(&self, _: CtxId) -> bool {
        self.peers.has_room()
    }

    fn held(&self) -> Held {
        self.queue.held()
    }

    fn clear(&mut self, fx: &mut impl Effects) {
        self.queue.clear(fx);
    }

    fn check_invariants(&self) {
        self.peers.check_invariants();
        self.queue.check_invariants();
    }
}

impl Pattern for RawSurveyor {
    fn attach(&mut self, _: Time, pipe: PipeId, _: &mut impl Effects) -> Result<(), DetachReason> {
        self.peers.attach(pipe);
        self.queue.attach(pipe);
        Ok(())
    }

    fn detach(
        &mut self,
        _: Time,
        pipe: PipeId,
        _: DetachReason,
        unsent: Vec<Message>,
        fx: &mut impl Effects,
    ) {
        self.peers.detach(pipe);
        self.queue.detach(pipe);
        discard_unsent(pipe, unsent, fx);
    }

    fn drained(&mut self, _: Time, pipe: PipeId, messages: usize, bytes: usize, _: &mut impl Effects) {
        self.peers.drained(pipe, messages, bytes);
    }

    fn room(&mut self, pipe: PipeId) -> Room {
        self.queue.room(pipe)
    }

    fn recv(&mut self, _: Time, pipe: PipeId, message: Message, fx: &mut impl Effects) {
        queue_reply(&mut self.queue, pipe, message, fx);
    }

    fn put(
        &mut self,
        _: Time,
        _: CtxId,
        message: &mut Message,
        fx: &mut impl Effects,
    ) -> Result<(), Refusal> {
        self.peers.broadcast(message, fx, |_| {});
        Ok(())
    }

    fn take(&mut self, _: Time, _: CtxId, fx: &mut impl Effects) -> Result<Message, Nothing> {
        self.queue.pop(fx).ok_or(Nothing::Yet)
    }

    fn readable(&self, _: CtxId) -> bool {
        !self.queue.is_empty()
    }

    fn writable(&self, _: CtxId) -> bool {
        true
    }

    fn held(&self) -> Held {
        self.queue.held()
    }

    fn clear(&mut self, fx: &mut impl Effects) {
        self.queue.clear(fx);
    }

    fn check_invariants(&self) {
        self.peers.check_invariants();
        self.queue.check_invariants();
    }
}

impl Pattern for RawRep {
    fn attach(&mut self, _: Time, pipe: PipeId, fx: &mut impl Effects) -> Result<(), DetachReason> {
        self.peers.attach(pipe);
        self.queue.attach(pipe);
        self.by_tag.insert(pipe.get(), pipe);
        fx.writable(self.peers.window());
        Ok(())
    }

    /// Requests that wait go with the pipe, as there is no way back any more.
    fn detach(
        &mut self,
        _: Time,
        pipe: PipeId,
        _: DetachReason,
        unsent: Vec<Message>,
        fx: &mut impl Effects,
    ) {
        let Some(woken) = self.peers.detach(pipe) else { return };
        self.by_tag.remove(&pipe.get());
        self.queue.detach_discarding(pipe, fx);
        discard_unsent(pipe, unsent, fx);
        if woken > 0 {
            fx.writable(woken);
        }
    }

    fn drained(&mut self, _: Time, pipe: PipeId, messages: usize, bytes: usize, fx: &mut impl Effects) {
        let woken = self.peers.drained(pipe, messages, bytes);
        if woken > 0 {
            fx.writable(woken);
        }
    }

    fn room(&mut self, pipe: PipeId) -> Room {
        self.queue.room(pipe)
    }

    fn recv(&mut self, _: Time, pipe: PipeId, message: Message, fx: &mut impl Effects) {
        let Some(mut request) = accept(pipe, message, self.hop_limit, fx) else { return };
        request.header_mut().prepend_tag(pipe.get());
        self.queue.push(pipe, request);
        fx.readable(CtxId::DEFAULT, 1);
    }

    /// `BadHeader` when the header begins with no pipe, `NoSuchPeer` when with one that is gone. (A
    /// device drops such replies; NNG does so silently.)
    fn put(
        &mut self,
        _: Time,
        _: CtxId,
        message: &mut Message,
        fx: &mut impl Effects,
    ) -> Result<(), Refusal> {
        let mut header = message.header().clone();
        let Some(tag) = header.take_tag() else { return Err(Refusal::BadHeader) };
        if PipeId::new(tag, 0).is_none_or(|pipe| pipe.get() != tag) {
            return Err(Refusal::BadHeader);
        }
        let Some(&pipe) = self.by_tag.get(&tag) else { return Err(Refusal::NoSuchPeer) };
        match self.peers.reserve(pipe, header.len() + message.body().len()) {
            Ok(()) => {
                *message.header_mut() = header;
                fx.transmit(pipe, message);
                Ok(())
            }
            Err(why) => Err(why),
        }
    }

    fn take(&mut self, _: Time, _: CtxId, fx: &mut impl Effects) -> Result<Message, Nothing> {
        self.queue.pop(fx).ok_or(Nothing::Yet)
    }

    fn readable(&self, _: CtxId) -> bool {
        !self.queue.is_empty()
    }

    fn writable(&self, _: CtxId) -> bool {
        self.peers.has_room()
    }

    fn held(&self) -> Held {
        self.queue.held()
    }

    fn clear(&mut self, fx: &mut impl Effects) {
        self.queue.clear(fx);
    }

    fn check_invariants(&self) {
        self.peers.check_invariants();
        self.queue.check_invariants();
        for (tag, pipe) in &self.by_tag {
            assert!(*tag == pipe.get() && self.peers.contains(*pipe), "tags of pipes that are there");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Script, pipe};
    use super::super::{Rep, Req};
    use super::*;
    use crate::event::Dropped;
    use crate::message::Header;

    const A: CtxId = CtxId::DEFAULT;
    const NOW: Time = Time::ZERO;
    const ID: &[u8] = &[0x80, 0, 0, 7];

    /// A small outbox, and pipes 1 and 2.
    fn with_peers<P: Pattern>(new: impl Fn(&Options) -> P) -> (P, Script) {
        let options = Options { outbox_messages: 1, ..Options::default() };
        let (mut rule, mut fx) = (new(&options), Script::default());
        for n in [1, 2] {
            rule.attach(NOW, pipe(n), &mut fx).unwrap();
        }
        (rule, fx)
    }

    fn send<P: Pattern>(rule: &mut P, fx: &mut Script, message: Message) -> Result<(), Refusal> {
        let sent = rule.send(NOW, A, message.clone(), fx).map_err(|(why, refused)| {
            assert_eq!(refused, message, "a refused message comes back as it was");
            why
        });
        rule.check_invariants();
        sent
    }

    fn recv<P: Pattern>(rule: &mut P, fx: &mut Script, from: u32, bytes: &[u8]) {
        assert!(!rule.room(pipe(from)).is_none());
        rule.recv(NOW, pipe(from), Message::from(bytes.to_vec()).received(pipe(from), NOW), fx);
        rule.check_invariants();
    }

    #[test]
    fn raw_req_sends_in_turn_what_it_is_given() {
        let (mut req, mut fx) = with_peers(RawReq::new);
        let message = Message::with_header(ID, "x");
        assert_eq!(send(&mut req, &mut fx, message.clone()), Ok(()));
        assert_eq!(send(&mut req, &mut fx, message.clone()), Ok(()));
        assert_eq!(fx.sent, [(pipe(1), message.clone()), (pipe(2), message.clone())]);
        assert_eq!(send(&mut req, &mut fx, message), Err(Refusal::Full));
        let mut alone = RawReq::new(&Options::default());
        assert_eq!(send(&mut alone, &mut fx, "x".into()), Err(Refusal::NoPeer));
    }

    #[test]
    fn raw_req_sends_to_the_pipe_of_choice() {
        let (mut req, mut fx) = with_peers(RawReq::new);
        assert_eq!(send(&mut req, &mut fx, Message::from("x").to(pipe(2))), Ok(()));
        assert_eq!(send(&mut req, &mut fx, Message::from("x").to(pipe(2))), Err(Refusal::Full));
        assert_eq!(send(&mut req, &mut fx, Message::from("x").to(pipe(3))), Err(Refusal::NoSuchPeer));
        fx.writable.clear();
        req.drained(NOW, pipe(1), 0, 0, &mut fx);
        assert_eq!(fx.writable, [1], "a call for the one that waits for pipe 2");
        assert_eq!(send(&mut req, &mut fx, Message::from("x").to(pipe(2))), Err(Refusal::Full));
        req.detach(NOW, pipe(2), DetachReason::PeerClosed, vec!["x".into()], &mut fx);
        assert_eq!((fx.writable.pop(), fx.take_dropped()), (Some(1), vec![Dropped::PipeLost]));
        assert_eq!(send(&mut req, &mut fx, Message::from("x").to(pipe(2))), Err(Refusal::NoSuchPeer));
        assert_eq!(send(&mut req, &mut fx, "x".into()), Ok(()));
    }

    fn replies_come_with_their_backtrace<P: Pattern>(new: impl Fn(&Options) -> P) {
        let (mut rule, mut fx) = with_peers(new);
        recv(&mut rule, &mut fx, 1, &[0, 0, 0, 1, 0x80, 0, 0, 7, b'x']);
        let reply = rule.take(NOW, A, &mut fx).unwrap();
        assert_eq!((reply.header().as_slice(), &reply[..]), (&[0, 0, 0, 1, 0x80, 0, 0, 7][..], &b"x"[..]));
        assert_eq!((reply.pipe(), fx.readable.len()), (Some(pipe(1)), 1));
        recv(&mut rule, &mut fx, 1, &[0, 0, 0, 1]);
        assert_eq!(fx.closed, [(pipe(1), DetachReason::ProtocolViolation)]);
        recv(&mut rule, &mut fx, 2, &[1; 80]);
        assert_eq!(fx.take_dropped(), [Dropped::Malformed, Dropped::HopLimit]);
        assert_eq!((rule.take(NOW, A, &mut fx), fx.closed.len()), (Err(Nothing::Yet), 1));
        recv(&mut rule, &mut fx, 1, ID);
        rule.detach(NOW, pipe(1), DetachReason::PeerClosed, vec![], &mut fx);
        assert!(rule.readable(A), "a reply that came whole outlives its pipe");
        rule.clear(&mut fx);
        assert_eq!(fx.take_dropped(), [Dropped::Closed]);
    }

    #[test]
    fn raw_req_and_surveyor_deliver_replies_with_their_backtrace() {
        replies_come_with_their_backtrace(RawReq::new);
        replies_come_with_their_backtrace(RawSurveyor::new);
    }

    #[test]
    fn replies_are_never_dropped_for_want_of_room() {
        let mut fx = Script::default();
        let mut req = RawReq::new(&Options { recv_messages: 1, ..Options::default() });
        req.attach(NOW, pipe(1), &mut fx).unwrap();
        recv(&mut req, &mut fx, 1, ID);
        assert!(req.room(pipe(1)).is_none());
        assert!(req.take(NOW, A, &mut fx).is_ok());
        assert_eq!(fx.resumed, [pipe(1)]);
    }

    #[test]
    fn raw_surveyor_sends_to_everybody_with_room() {
        let (mut surveyor, mut fx) = with_peers(RawSurveyor::new);
        let message = Message::with_header(ID, "x").to(pipe(9));
        assert_eq!(send(&mut surveyor, &mut fx, message.clone()), Ok(()));
        assert_eq!(fx.sent, [(pipe(1), message.clone()), (pipe(2), message.clone())]);
        surveyor.drained(NOW, pipe(1), 1, 5, &mut fx);
        assert_eq!(send(&mut surveyor, &mut fx, message), Ok(()));
        assert_eq!((fx.sent.len(), fx.take_dropped()), (3, vec![Dropped::OutboxFull]));
    }

    #[test]
    fn raw_rep_finds_the_way_back_by_the_first_tag() {
        let (mut rep, mut fx) = with_peers(RawRep::new);
        recv(&mut rep, &mut fx, 2, &[0, 0, 0, 1, 0x80, 0, 0, 7, b'x']);
        let mut reply = rep.take(NOW, A, &mut fx).unwrap();
        assert_eq!(reply.header().as_slice(), [0, 0, 0, 2, 0, 0, 0, 1, 0x80, 0, 0, 7]);
        assert_eq!((&reply[..], reply.pipe()), (&b"x"[..], Some(pipe(2))));
        *reply.body_mut() = "y".into();
        assert_eq!(send(&mut rep, &mut fx, reply.clone()), Ok(()));
        let (to, sent) = fx.sent.pop().unwrap();
        assert_eq!((to, sent.header().as_slice()), (pipe(2), &[0, 0, 0, 1, 0x80, 0, 0, 7][..]));
        assert_eq!(send(&mut rep, &mut fx, reply.clone()), Err(Refusal::Full));
        rep.drained(NOW, pipe(2), 1, 9, &mut fx);
        assert_eq!((fx.writable.pop(), send(&mut rep, &mut fx, reply)), (Some(1), Ok(())));
    }

    #[test]
    fn raw_rep_tells_of_room_when_there_is_more_than_before() {
        let options = Options { outbox_messages: 2, ..Options::default() };
        let (mut rep, mut fx) = (RawRep::new(&options), Script::default());
        rep.attach(NOW, pipe(1), &mut fx).unwrap();
        fx.writable.clear();
        let reply = || Message::with_header([&pipe(1).get().to_be_bytes(), ID].concat().as_slice(), "y");
        assert_eq!(send(&mut rep, &mut fx, reply()), Ok(()));
        rep.drained(NOW, pipe(1), 1, 5, &mut fx);
        assert!(fx.writable.is_empty(), "there was room all the time");
        for _ in 0..2 {
            assert_eq!(send(&mut rep, &mut fx, reply()), Ok(()));
        }
        rep.drained(NOW, pipe(1), 1, 5, &mut fx);
        assert_eq!(fx.writable, [1]);
    }

    #[test]
    fn raw_rep_sends_nothing_without_a_pipe_in_front() {
        let (mut rep, mut fx) = with_peers(RawRep::new);
        let reply = |tag: u32| Message::with_header(Header::tag(tag), "x");
        assert_eq!(send(&mut rep, &mut fx, "no header".into()), Err(Refusal::BadHeader));
        assert_eq!(send(&mut rep, &mut fx, reply(0x8000_0001)), Err(Refusal::BadHeader), "an id, not a pipe");
        assert_eq!(send(&mut rep, &mut fx, reply(0)), Err(Refusal::BadHeader), "no pipe has the number 0");
        assert_eq!(send(&mut rep, &mut fx, reply(3)), Err(Refusal::NoSuchPeer));
        recv(&mut rep, &mut fx, 1, ID);
        rep.detach(NOW, pipe(1), DetachReason::PeerClosed, vec![], &mut fx);
        assert_eq!(fx.take_dropped(), [Dropped::PipeLost], "no way back");
        assert_eq!(send(&mut rep, &mut fx, reply(1)), Err(Refusal::NoSuchPeer));
    }

    #[test]
    fn the_hop_limit_counts_the_tags_that_come_in() {
        let (mut rep, mut fx) = with_peers(RawRep::new);
        let tags = |count: usize| [[0, 0, 0, 1].repeat(count - 1), ID.to_vec()].concat();
        recv(&mut rep, &mut fx, 1, &tags(9));
        assert_eq!((fx.take_dropped(), fx.closed.len()), (vec![Dropped::HopLimit], 0));
        recv(&mut rep, &mut fx, 1, &tags(8));
        assert_eq!(rep.take(NOW, A, &mut fx).unwrap().header().len(), 36);
    }

    /// What was sent last, as the other side receives it over its pipe `n`.
    fn carry<P: Pattern>(fx: &mut Script, to: &mut P, n: u32, wire: bool) {
        let (_, mut message) = fx.sent.pop().unwrap();
        if wire {
            message.join();
        }
        to.recv(NOW, pipe(n), message.received(pipe(n), NOW), fx);
    }

    #[test]
    fn a_request_crosses_a_device_and_its_reply_comes_back() {
        for wire in [true, false] {
            let options = Options::default();
            let mut fx = Script::default();
            let (mut req, mut rep) = (Req::new(&options, 7), Rep::new(&options));
            let (mut front, mut back) = (RawRep::new(&options), RawReq::new(&options));
            req.attach(NOW, pipe(1), &mut fx).unwrap();
            front.attach(NOW, pipe(2), &mut fx).unwrap();
            back.attach(NOW, pipe(3), &mut fx).unwrap();
            rep.attach(NOW, pipe(4), &mut fx).unwrap();

            req.send(NOW, A, "question".into(), &mut fx).unwrap();
            carry(&mut fx, &mut front, 2, wire);
            let mut request = front.take(NOW, A, &mut fx).unwrap();
            request.set_pipe(None);
            back.send(NOW, A, request, &mut fx).unwrap();
            carry(&mut fx, &mut rep, 4, wire);
            let request = rep.take(NOW, A, &mut fx).unwrap();
            assert_eq!(request.header().as_slice(), [0, 0, 0, 2, 0x80, 0, 0, 7]);
            assert_eq!(&request[..], b"question");

            rep.send(NOW, A, "answer".into(), &mut fx).unwrap();
            carry(&mut fx, &mut back, 3, wire);
            let reply = back.take(NOW, A, &mut fx).unwrap();
            front.send(NOW, A, reply, &mut fx).unwrap();
            carry(&mut fx, &mut req, 1, wire);
            assert_eq!(&req.take(NOW, A, &mut fx).unwrap()[..], b"answer");
            assert!(fx.dropped.is_empty() && fx.closed.is_empty());
        }
    }
}
