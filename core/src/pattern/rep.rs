//! REP (0031), and RESPONDENT (0063), which follows the same rules: answers what was asked. Spec 5.1.

use super::backtrace::accept;
use super::contexts::Contexts;
use super::peers::Peers;
use super::queue::FairQueue;
use super::{CtxId, Effects, Held, Nothing, Pattern, Refusal, Room, discard_unsent};
use crate::event::{DetachReason, Dropped};
use crate::message::{Header, Message, PipeId};
use crate::options::Options;
use crate::time::Time;
use alloc::vec::Vec;

/// The answering side of request and reply.
///
/// Requests wait in one queue, fair between peers; whichever context takes one remembers who asked
/// until it has replied. A reply goes over the pipe of its request, with the backtrace that came,
/// and nowhere else. Who is told of waiting requests is always the default context.
///
/// A context:
///
/// ```text
///            take                       send, with room
///   Free ───────────▶ Owes a reply ───────────────────────▶ Free
///                      │        ▲
///                      └────────┘ take, close: the former is counted as unanswered
/// ```
#[derive(Debug)]
pub struct Rep {
    peers: Peers,
    queue: FairQueue,
    contexts: Contexts<Option<Asker>>,
    hop_limit: u8,
}

/// Whom a context owes a reply.
#[derive(Debug)]
struct Asker {
    pipe: PipeId,
    backtrace: Header,
    request_bytes: usize,
}

impl Rep {
    /// A REP without peers.
    pub fn new(options: &Options) -> Self {
        Self {
            peers: Peers::new(options),
            queue: FairQueue::new(options.recv_messages, options.recv_bytes, options.requests_per_pipe),
            contexts: Contexts::new(),
            hop_limit: options.hop_limit,
        }
    }

    /// Takes a request that no context remembers: its pipe and its header, the backtrace, are all
    /// that [`reply`](Self::reply) needs. Whoever drops it unanswered counts that.
    pub fn take_request(&mut self, _: Time, fx: &mut impl Effects) -> Result<Message, Nothing> {
        self.queue.pop(fx).ok_or(Nothing::Yet)
    }

    /// Sends a reply over `pipe` with the backtrace of its request. Whatever header the message has
    /// gives way to it. A refused message comes back as it was: `NoSuchPeer` when whoever asked is
    /// gone, `Full` when its outbox is; [`Effects::writable`] tells when either has changed.
    pub fn reply(
        &mut self,
        pipe: PipeId,
        backtrace: Header,
        message: &mut Message,
        fx: &mut impl Effects,
    ) -> Result<(), Refusal> {
        self.peers.reserve(pipe, backtrace.len() + message.body().len())?;
        *message.header_mut() = backtrace;
        fx.transmit(pipe, message);
        Ok(())
    }
}

impl Pattern for Rep {
    fn attach(&mut self, _: Time, pipe: PipeId, _: &mut impl Effects) -> Result<(), DetachReason> {
        self.peers.attach(pipe);
        self.queue.attach(pipe);
        Ok(())
    }

    /// Requests that wait go with the pipe, as nobody is left to answer.
    fn detach(
        &mut self,
        _: Time,
        pipe: PipeId,
        _: DetachReason,
        unsent: Vec<Message>,
        fx: &mut impl Effects,
    ) {
        let woken = self.peers.detach(pipe).unwrap_or(0);
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
        let Some(request) = accept(pipe, message, self.hop_limit, fx) else { return };
        self.queue.push(pipe, request.to(pipe));
        fx.readable(CtxId::DEFAULT, 1);
    }

    fn open(&mut self) -> CtxId {
        self.contexts.open()
    }

    fn close(&mut self, _: Time, ctx: CtxId, fx: &mut impl Effects) {
        if let Some(former) = self.contexts.get_mut(ctx).and_then(Option::take) {
            fx.discard(Dropped::Unanswered, Some(former.pipe), former.request_bytes);
        }
        self.contexts.close(ctx);
    }

    /// Replies to the request that `ctx` took last. On refusal it still owes that reply.
    fn put(
        &mut self,
        _: Time,
        ctx: CtxId,
        message: &mut Message,
        fx: &mut impl Effects,
    ) -> Result<(), Refusal> {
        let Some(Some(asker)) = self.contexts.get(ctx) else { return Err(Refusal::State) };
        self.reply(asker.pipe, asker.backtrace.clone(), message, fx)?;
        self.contexts.get_mut(ctx).and_then(Option::take);
        Ok(())
    }

    /// The next request, with its backtrace as header and the pipe it came over.
    fn take(&mut self, now: Time, ctx: CtxId, fx: &mut impl Effects) -> Result<Message, Nothing> {
        if self.contexts.get(ctx).is_none() {
            return Err(Nothing::Asked);
        }
        let request = self.take_request(now, fx)?;
        let asker = Asker {
            pipe: request.pipe().expect("noted when it was received"),
            backtrace: request.header().clone(),
            request_bytes: request.len(),
        };
        let former = self.contexts.get_mut(ctx).and_then(|owes| owes.replace(asker));
        if let Some(former) = former {
            fx.discard(Dropped::Unanswered, Some(former.pipe), former.request_bytes);
        }
        Ok(request)
    }

    fn readable(&self, _: CtxId) -> bool {
        !self.queue.is_empty()
    }

    fn writable(&self, ctx: CtxId) -> bool {
        let asker = self.contexts.get(ctx).and_then(Option::as_ref);
        asker.is_some_and(|asker| self.peers.is_open(asker.pipe))
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
        for asker in self.contexts.iter().filter_map(|(_, owes)| owes.as_ref()) {
            let tags = asker.backtrace.as_slice();
            assert!(!tags.is_empty() && tags.len() % 4 == 0, "a backtrace is whole tags");
            assert!(tags.len() / 4 <= usize::from(self.hop_limit), "and no more than the limit");
            assert!(tags[tags.len() - 4] & 0x80 != 0, "and ends with an id");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Script, pipe};
    use super::*;

    const A: CtxId = CtxId::DEFAULT;
    const ID: &[u8] = &[0x80, 0, 0, 7];

    fn rep(peers: u32, options: Options) -> (Rep, Script) {
        let (mut rep, mut fx) = (Rep::new(&options), Script::default());
        (1..=peers).for_each(|n| rep.attach(Time::ZERO, pipe(n), &mut fx).unwrap());
        (rep, fx)
    }

    fn ask(rep: &mut Rep, fx: &mut Script, from: u32, backtrace: &[u8], body: &str) {
        assert!(!rep.room(pipe(from)).is_none());
        let message = Message::from([backtrace, body.as_bytes()].concat());
        rep.recv(Time::ZERO, pipe(from), message.received(pipe(from), Time::ZERO), fx);
        rep.check_invariants();
    }

    fn take(rep: &mut Rep, fx: &mut Script, ctx: CtxId) -> Result<Vec<u8>, Nothing> {
        let taken = rep.take(Time::ZERO, ctx, fx).map(|m| m.body().to_vec());
        rep.check_invariants();
        taken
    }

    fn send(rep: &mut Rep, fx: &mut Script, ctx: CtxId, body: &'static str) -> Result<(), Refusal> {
        let sent = rep.send(Time::ZERO, ctx, body.into(), fx).map_err(|(why, message)| {
            assert_eq!(message, body.into(), "a refused reply comes back as it was");
            why
        });
        rep.check_invariants();
        sent
    }

    #[test]
    fn a_reply_takes_the_way_of_its_request_back() {
        let (mut rep, mut fx) = rep(2, Options::default());
        ask(&mut rep, &mut fx, 2, &[0, 0, 0, 9, 0x80, 0, 0, 7], "x");
        let request = rep.take(Time::ZERO, A, &mut fx).unwrap();
        assert_eq!(request.header().as_slice(), [0, 0, 0, 9, 0x80, 0, 0, 7]);
        assert_eq!((&request[..], request.pipe()), (&b"x"[..], Some(pipe(2))));
        assert!(rep.writable(A));
        assert_eq!(send(&mut rep, &mut fx, A, "y"), Ok(()));
        let (to, reply) = fx.sent.pop().unwrap();
        assert_eq!((to, reply.header(), &reply[..]), (pipe(2), request.header(), &b"y"[..]));
        assert_eq!(send(&mut rep, &mut fx, A, "again"), Err(Refusal::State));
    }

    #[test]
    fn a_request_from_this_process_has_its_header_apart() {
        let (mut rep, mut fx) = rep(1, Options::default());
        rep.recv(Time::ZERO, pipe(1), Message::with_header(ID, "x"), &mut fx);
        let request = rep.take(Time::ZERO, A, &mut fx).unwrap();
        assert_eq!((request.header().as_slice(), &request[..]), (ID, &b"x"[..]));
        assert_eq!(request.pipe(), Some(pipe(1)));
    }

    #[test]
    fn without_a_request_there_is_nothing_to_reply_to() {
        let (mut rep, mut fx) = rep(1, Options::default());
        assert_eq!(send(&mut rep, &mut fx, A, "x"), Err(Refusal::State));
        assert_eq!(take(&mut rep, &mut fx, A), Err(Nothing::Yet));
        assert_eq!(send(&mut rep, &mut fx, CtxId(5), "x"), Err(Refusal::State));
        assert_eq!(take(&mut rep, &mut fx, CtxId(5)), Err(Nothing::Asked));
    }

    #[test]
    fn the_same_id_twice_is_two_requests() {
        let (mut rep, mut fx) = rep(1, Options::default());
        for _ in 0..2 {
            ask(&mut rep, &mut fx, 1, ID, "sent again every second by NNG 1.7");
            assert!(take(&mut rep, &mut fx, A).is_ok());
            assert_eq!(send(&mut rep, &mut fx, A, "y"), Ok(()));
        }
    }

    #[test]
    fn contexts_owe_replies_of_their_own() {
        let (mut rep, mut fx) = rep(2, Options::default());
        let b = rep.open();
        ask(&mut rep, &mut fx, 1, ID, "x");
        ask(&mut rep, &mut fx, 2, ID, "y");
        assert_eq!(take(&mut rep, &mut fx, A), Ok(b"x".to_vec()));
        assert_eq!(take(&mut rep, &mut fx, b), Ok(b"y".to_vec()));
        send(&mut rep, &mut fx, b, "to y").unwrap();
        send(&mut rep, &mut fx, A, "to x").unwrap();
        assert_eq!(fx.take_sent(), [(2, b"to y".to_vec()), (1, b"to x".to_vec())]);
    }

    #[test]
    fn a_request_that_gives_way_unanswered_is_counted() {
        let (mut rep, mut fx) = rep(1, Options::default());
        let b = rep.open();
        for body in ["x", "yy", "zzz"] {
            ask(&mut rep, &mut fx, 1, ID, body);
        }
        take(&mut rep, &mut fx, A).unwrap();
        take(&mut rep, &mut fx, A).unwrap();
        assert_eq!(fx.dropped, [(Dropped::Unanswered, Some(pipe(1)), 5)]);
        take(&mut rep, &mut fx, b).unwrap();
        assert_eq!(take(&mut rep, &mut fx, A), Err(Nothing::Yet));
        assert_eq!(fx.dropped.len(), 1, "looking in vain forgets nothing");
        rep.close(Time::ZERO, b, &mut fx);
        rep.close(Time::ZERO, A, &mut fx);
        assert_eq!(fx.take_dropped(), [Dropped::Unanswered; 3]);
        assert_eq!(send(&mut rep, &mut fx, A, "too late"), Err(Refusal::State));
    }

    #[test]
    fn a_request_taken_for_itself_is_answered_without_a_context() {
        let (mut rep, mut fx) = rep(1, Options::default());
        ask(&mut rep, &mut fx, 1, ID, "x");
        let request = rep.take_request(Time::ZERO, &mut fx).unwrap();
        assert_eq!(send(&mut rep, &mut fx, A, "no"), Err(Refusal::State));
        let pipe = request.pipe().unwrap();
        rep.reply(pipe, request.header().clone(), &mut "y".into(), &mut fx).unwrap();
        assert_eq!(fx.sent, [(pipe, Message::with_header(ID, "y"))]);
    }

    #[test]
    fn a_reply_waits_for_room_on_its_own_pipe() {
        let (mut rep, mut fx) = rep(2, Options { outbox_messages: 1, ..Options::default() });
        for body in ["x", "y"] {
            ask(&mut rep, &mut fx, 1, ID, body);
        }
        take(&mut rep, &mut fx, A).unwrap();
        send(&mut rep, &mut fx, A, "a").unwrap();
        take(&mut rep, &mut fx, A).unwrap();
        assert_eq!((send(&mut rep, &mut fx, A, "b"), rep.writable(A)), (Err(Refusal::Full), false));
        rep.drained(Time::ZERO, pipe(2), 0, 0, &mut fx);
        assert!(fx.writable.is_empty(), "another pipe is no help");
        rep.drained(Time::ZERO, pipe(1), 1, 5, &mut fx);
        assert_eq!(fx.writable, [1]);
        assert_eq!(send(&mut rep, &mut fx, A, "b"), Ok(()));
    }

    #[test]
    fn a_lost_asker_takes_requests_and_replies_along() {
        let (mut rep, mut fx) = rep(1, Options { outbox_messages: 1, ..Options::default() });
        for body in ["x", "y", "z"] {
            ask(&mut rep, &mut fx, 1, ID, body);
        }
        take(&mut rep, &mut fx, A).unwrap();
        send(&mut rep, &mut fx, A, "a").unwrap();
        take(&mut rep, &mut fx, A).unwrap();
        assert_eq!(send(&mut rep, &mut fx, A, "b"), Err(Refusal::Full));
        let unsent = fx.sent.drain(..).map(|(_, m)| m).collect();
        rep.detach(Time::ZERO, pipe(1), DetachReason::ConnectionLost, unsent, &mut fx);
        assert_eq!(fx.take_dropped(), [Dropped::PipeLost; 2], "request z and reply a");
        assert_eq!(fx.writable, [1], "whoever waits for room learns that there is none to come");
        rep.attach(Time::ZERO, PipeId::new(9, 1).unwrap(), &mut fx).unwrap();
        assert_eq!(send(&mut rep, &mut fx, A, "b"), Err(Refusal::NoSuchPeer), "nor the next in its slot");
    }

    #[test]
    fn one_peer_may_have_only_so_many_requests_waiting() {
        let (mut rep, mut fx) = rep(2, Options { requests_per_pipe: 2, ..Options::default() });
        ask(&mut rep, &mut fx, 1, ID, "x");
        ask(&mut rep, &mut fx, 1, ID, "y");
        assert!(rep.room(pipe(1)).is_none() && !rep.room(pipe(2)).is_none());
        take(&mut rep, &mut fx, A).unwrap();
        take(&mut rep, &mut fx, A).unwrap();
        assert_eq!(fx.resumed, [pipe(1)]);
    }

    #[test]
    fn loops_are_dropped_and_garbage_closes_its_pipe() {
        let (mut rep, mut fx) = rep(1, Options { hop_limit: 2, ..Options::default() });
        ask(&mut rep, &mut fx, 1, &[0, 0, 0, 1, 0, 0, 0, 2, 0x80, 0, 0, 0], "x");
        assert!(fx.closed.is_empty());
        ask(&mut rep, &mut fx, 1, &[0, 0, 0], "");
        assert_eq!(fx.closed, [(pipe(1), DetachReason::ProtocolViolation)]);
        assert_eq!(fx.take_dropped(), [Dropped::HopLimit, Dropped::Malformed]);
        assert_eq!((fx.readable.len(), take(&mut rep, &mut fx, A)), (0, Err(Nothing::Yet)));
        ask(&mut rep, &mut fx, 1, &[0, 0, 0, 1, 0x80, 0, 0, 0], "x");
        rep.clear(&mut fx);
        assert_eq!(fx.take_dropped(), [Dropped::Closed]);
    }
}
