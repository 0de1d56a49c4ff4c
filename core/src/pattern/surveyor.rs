//! SURVEYOR (0062): asks everybody and takes answers until a deadline. Spec 5.2.

use super::backtrace::{Ids, accept_answer};
use super::contexts::Contexts;
use super::peers::Peers;
use super::{CtxId, Effects, Held, Nothing, Pattern, Refusal, Tickets, discard_unsent};
use crate::event::{DetachReason, Dropped, Latency};
use crate::message::{Header, Message, PipeId};
use crate::options::Options;
use crate::time::Time;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

/// The asking side of surveys.
///
/// Each context has at most one survey; a new one takes the place of the former. A survey goes once
/// to every pipe with room and is never sent again; the pipes without miss it, counted. Answers,
/// any number from each peer, are taken until the deadline.
#[derive(Debug)]
pub struct Surveyor {
    peers: Peers,
    /// Those of open surveys.
    ids: Ids,
    contexts: Contexts<Conversation>,
    /// Of open surveys, the earliest first.
    deadlines: BTreeSet<(Time, u32)>,
    survey_time: Duration,
    max_answers: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Conversation {
    /// The id of its latest survey; 0 before the first. Ids have their top bit set.
    ticket: u32,
    /// In place of the socket's survey time.
    survey_time: Option<Duration>,
    state: State,
    /// Answers that nobody took yet; empty while `Idle`.
    answers: VecDeque<Message>,
    answer_bytes: usize,
}

/// What a context's latest survey is doing.
///
/// ```text
///          send             deadline, or all have answered           take, no answer left
///   Idle ────────▶ Open ──────────────────────────────────▶ Over ───────────────────────▶ Idle
///    ▲              │ ▲ answer                                            says "timed out"
///    │              └─┘
///    └── close, from anywhere                          send, from anywhere: Open, with another id
/// ```
#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Open {
        /// When the application sent it.
        asked: Time,
        deadline: Time,
        /// Peers that the survey was sent to, who are still there and have not answered.
        awaited: BTreeSet<PipeId>,
        /// Whether the survey is over once nobody is awaited.
        ends_early: bool,
    },
    Over,
}

impl Surveyor {
    /// A SURVEYOR without peers. `seed` should be random: ids start there.
    pub fn new(options: &Options, seed: u32) -> Self {
        Self {
            peers: Peers::new(options),
            ids: Ids::new(seed),
            contexts: Contexts::new(),
            deadlines: BTreeSet::new(),
            survey_time: options.survey_time,
            max_answers: options.answers_per_survey,
            max_bytes: options.recv_bytes,
        }
    }

    /// How long surveys of `ctx` take answers, from its next survey on. A survey of no time is over
    /// at once.
    pub fn set_survey_time(&mut self, ctx: CtxId, survey_time: Duration) {
        if let Some(conversation) = self.contexts.get_mut(ctx) {
            conversation.survey_time = Some(survey_time);
        }
    }

    /// Lets the survey that `ctx` has open end before its deadline: as soon as everybody it was
    /// sent to has answered at least once or is gone; at once, if that is so already, or if it was
    /// sent to nobody.
    pub fn end_when_all_answered(&mut self, ctx: CtxId, fx: &mut impl Effects) {
        let Some(conversation) = self.contexts.get_mut(ctx) else { return };
        match &mut conversation.state {
            State::Open { ends_early, awaited, .. } => {
                *ends_early = true;
                if awaited.is_empty() {
                    self.end(ctx, fx);
                }
            }
            State::Idle | State::Over => {}
        }
    }

    /// An open survey is over; its answers can still be taken.
    fn end(&mut self, ctx: CtxId, fx: &mut impl Effects) {
        let Some(conversation) = self.contexts.get_mut(ctx) else { return };
        match conversation.state {
            State::Open { deadline, .. } => {
                conversation.state = State::Over;
                self.ids.end(conversation.ticket);
                self.deadlines.remove(&(deadline, conversation.ticket));
                fx.readable(ctx, 1);
            }
            State::Idle | State::Over => {}
        }
    }

    /// Ends whatever `ctx` was doing, and discards the answers that it holds.
    fn cancel(&mut self, ctx: CtxId, why: Dropped, fx: &mut impl Effects) {
        self.end(ctx, fx);
        let Some(conversation) = self.contexts.get_mut(ctx) else { return };
        conversation.state = State::Idle;
        conversation.answer_bytes = 0;
        for answer in conversation.answers.drain(..) {
            fx.discard(why, answer.pipe(), answer.len());
        }
    }

    /// Nothing more is to be expected of `pipe` in this survey.
    fn cross_off(&mut self, ctx: CtxId, pipe: PipeId, fx: &mut impl Effects) {
        let Some(conversation) = self.contexts.get_mut(ctx) else { return };
        match &mut conversation.state {
            State::Open { awaited, ends_early, .. } => {
                awaited.remove(&pipe);
                if *ends_early && awaited.is_empty() {
                    self.end(ctx, fx);
                }
            }
            State::Idle | State::Over => {}
        }
    }
}

impl Tickets for Surveyor {
    fn ticket(&self, ctx: CtxId) -> u32 {
        self.contexts.get(ctx).map_or(0, |conversation| conversation.ticket)
    }
}

impl Pattern for Surveyor {
    fn attach(&mut self, _: Time, pipe: PipeId, _: &mut impl Effects) -> Result<(), DetachReason> {
        self.peers.attach(pipe);
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
        if self.peers.detach(pipe).is_none() {
            return;
        }
        discard_unsent(pipe, unsent, fx);
        let open: Vec<CtxId> = self.ids.in_order().into_iter().map(|(_, ctx)| ctx).collect();
        for ctx in open {
            self.cross_off(ctx, pipe, fx);
        }
    }

    fn drained(&mut self, _: Time, pipe: PipeId, messages: usize, bytes: usize, _: &mut impl Effects) {
        self.peers.drained(pipe, messages, bytes);
    }

    fn recv(&mut self, now: Time, pipe: PipeId, message: Message, fx: &mut impl Effects) {
        self.expire(now, fx);
        let bytes = message.len();
        let Some((id, answer)) = accept_answer(pipe, message, fx) else { return };
        let owner = self.ids.owner(id).and_then(|ctx| Some((ctx, self.contexts.get_mut(ctx)?)));
        let Some((ctx, conversation)) = owner else {
            return fx.discard(Dropped::NoRequest, Some(pipe), bytes);
        };
        if let State::Open { asked, .. } = conversation.state {
            fx.took(Latency::Answer, pipe, now - asked);
        }
        let fits = conversation.answers.is_empty()
            || conversation.answers.len() < self.max_answers
                && conversation.answer_bytes.saturating_add(answer.len()) <= self.max_bytes;
        if fits {
            conversation.answer_bytes += answer.len();
            conversation.answers.push_back(answer);
            fx.readable(ctx, 1);
        } else {
            fx.discard(Dropped::QueueFull, Some(pipe), bytes);
        }
        self.cross_off(ctx, pipe, fx);
    }

    fn expire(&mut self, now: Time, fx: &mut impl Effects) {
        while let Some((deadline, id)) = self.deadlines.first().copied() {
            if deadline > now {
                return;
            }
            let ctx = self.ids.owner(id).expect("a survey with a deadline has a context");
            self.end(ctx, fx);
        }
    }

    fn open(&mut self) -> CtxId {
        self.contexts.open()
    }

    fn close(&mut self, _: Time, ctx: CtxId, fx: &mut impl Effects) {
        self.cancel(ctx, Dropped::Cancelled, fx);
        self.contexts.close(ctx);
    }

    /// A new survey; the former of this context is cancelled. Succeeds even when nobody is there.
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
        self.cancel(ctx, Dropped::Cancelled, fx);
        let id = self.ids.start(ctx);
        let mut awaited = BTreeSet::new();
        *message.header_mut() = Header::tag(id);
        self.peers.broadcast(message, fx, |pipe| {
            awaited.insert(pipe);
        });
        let conversation = self.contexts.get_mut(ctx).expect("looked at above");
        let deadline = now + conversation.survey_time.unwrap_or(self.survey_time);
        self.deadlines.insert((deadline, id));
        conversation.ticket = id;
        conversation.state = State::Open { asked: now, deadline, awaited, ends_early: false };
        Ok(())
    }

    /// The next answer. Once the survey is over and its answers are taken, says so once; after that
    /// nothing is asked any more.
    fn take(&mut self, now: Time, ctx: CtxId, fx: &mut impl Effects) -> Result<Message, Nothing> {
        self.expire(now, fx);
        let conversation = self.contexts.get_mut(ctx).ok_or(Nothing::Asked)?;
        if let Some(answer) = conversation.answers.pop_front() {
            conversation.answer_bytes -= answer.len();
            return Ok(answer);
        }
        match conversation.state {
            State::Idle => Err(Nothing::Asked),
            State::Open { .. } => Err(Nothing::Yet),
            State::Over => {
                conversation.state = State::Idle;
                Err(Nothing::TimedOut)
            }
        }
    }

    fn readable(&self, ctx: CtxId) -> bool {
        let tells = |c: &Conversation| !c.answers.is_empty() || matches!(c.state, State::Over);
        self.contexts.get(ctx).is_some_and(tells)
    }

    fn writable(&self, _: CtxId) -> bool {
        true
    }

    fn deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn held(&self) -> Held {
        let held = |c: &Conversation| Held { messages: c.answers.len(), bytes: c.answer_bytes };
        self.contexts.iter().map(|(_, conversation)| held(conversation)).sum()
    }

    fn clear(&mut self, fx: &mut impl Effects) {
        let all: Vec<CtxId> = self.contexts.iter().map(|(ctx, _)| ctx).collect();
        for ctx in all {
            self.cancel(ctx, Dropped::Closed, fx);
        }
    }

    fn check_invariants(&self) {
        self.peers.check_invariants();
        let mut open = 0;
        for (ctx, conversation) in self.contexts.iter() {
            let held: usize = conversation.answers.iter().map(|answer| answer.len()).sum();
            assert_eq!(held, conversation.answer_bytes, "byte count");
            assert!(conversation.answers.len() <= self.max_answers, "over the limit");
            assert!(held <= self.max_bytes || conversation.answers.len() == 1, "over the byte limit");
            match &conversation.state {
                State::Idle => assert!(conversation.answers.is_empty(), "answers to nothing"),
                State::Over => {}
                State::Open { deadline, awaited, ends_early, .. } => {
                    open += 1;
                    assert_eq!(self.ids.owner(conversation.ticket), Some(ctx), "the id finds its context");
                    assert!(self.deadlines.contains(&(*deadline, conversation.ticket)), "it will end");
                    assert!(awaited.iter().all(|pipe| self.peers.contains(*pipe)), "waits for who is gone");
                    assert!(!ends_early || !awaited.is_empty(), "waits for nobody");
                }
            }
        }
        assert_eq!((open, open), (self.ids.len(), self.deadlines.len()), "one id and deadline each");
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Script, pipe};
    use super::*;

    const A: CtxId = CtxId::DEFAULT;

    struct Bed {
        surveyor: Surveyor,
        fx: Script,
        now: Time,
    }

    impl Bed {
        fn new(peers: u32, options: Options) -> Self {
            let surveyor = Surveyor::new(&options, 1);
            let mut bed = Self { surveyor, fx: Script::default(), now: Time::ZERO };
            (1..=peers).for_each(|n| bed.surveyor.attach(bed.now, pipe(n), &mut bed.fx).unwrap());
            bed
        }
        fn detach(&mut self, n: u32) {
            let lost = DetachReason::ConnectionLost;
            self.surveyor.detach(self.now, pipe(n), lost, vec![], &mut self.fx);
            self.surveyor.check_invariants();
        }
        fn send(&mut self, ctx: CtxId, body: &'static str) -> u32 {
            self.surveyor.send(self.now, ctx, body.into(), &mut self.fx).unwrap();
            self.surveyor.check_invariants();
            self.surveyor.ticket(ctx)
        }
        fn answer(&mut self, from: u32, id: u32, body: &str) {
            let message = Message::from([&id.to_be_bytes(), body.as_bytes()].concat());
            let message = message.received(pipe(from), self.now);
            self.surveyor.recv(self.now, pipe(from), message, &mut self.fx);
            self.surveyor.check_invariants();
        }
        fn take(&mut self, ctx: CtxId) -> Result<Vec<u8>, Nothing> {
            let taken = self.surveyor.take(self.now, ctx, &mut self.fx).map(|m| m.body().to_vec());
            self.surveyor.check_invariants();
            taken
        }
        fn pass(&mut self, time: Duration) {
            self.now = self.now + time;
            self.surveyor.expire(self.now, &mut self.fx);
            self.surveyor.check_invariants();
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_answer_tells_how_long_it_took() {
        let mut bed = Bed::new(2, Options { answers_per_survey: 1, ..Options::default() });
        let id = bed.send(A, "anybody?");
        for n in 1..=2 {
            bed.now = Time::ZERO + Duration::from_millis(n.into());
            bed.answer(n, id, "me");
        }
        let took = |n: u32| (Latency::Answer, pipe(n), Duration::from_millis(n.into()));
        assert_eq!(bed.fx.took, [took(1), took(2)], "one for which there was no room, too");
        assert_eq!(bed.surveyor.held(), Held { messages: 1, bytes: 2 });
    }

    #[test]
    fn everybody_is_asked_and_may_answer_more_than_once() {
        let mut bed = Bed::new(2, Options::default());
        let id = bed.send(A, "?");
        let survey = |n| (pipe(n), Message::with_header(Header::tag(0x8000_0001), "?"));
        assert_eq!(bed.fx.sent, [survey(1), survey(2)]);
        bed.answer(1, id, "a");
        bed.answer(2, id, "b");
        bed.answer(1, id, "c");
        assert_eq!(bed.fx.readable, [(A, 1); 3]);
        assert_eq!((bed.take(A), bed.take(A)), (Ok(b"a".to_vec()), Ok(b"b".to_vec())));
        assert_eq!((bed.take(A), bed.take(A)), (Ok(b"c".to_vec()), Err(Nothing::Yet)));
    }

    #[test]
    fn an_answer_from_this_process_has_its_header_apart() {
        let mut bed = Bed::new(1, Options::default());
        let answer = Message::with_header(Header::tag(bed.send(A, "?")), "y").received(pipe(1), bed.now);
        bed.surveyor.recv(bed.now, pipe(1), answer, &mut bed.fx);
        let taken = bed.surveyor.take(bed.now, A, &mut bed.fx).unwrap();
        assert_eq!((taken.header().len(), &taken[..], taken.pipe()), (0, &b"y"[..], Some(pipe(1))));
    }

    #[test]
    fn a_survey_without_anybody_is_sent_all_the_same_and_counted() {
        let mut bed = Bed::new(0, Options::default());
        bed.send(A, "?");
        assert_eq!(bed.fx.dropped, [(Dropped::NoPeer, None, 5)]);
        assert_eq!(bed.take(A), Err(Nothing::Yet));
        assert_eq!(
            bed.surveyor.send(bed.now, CtxId(3), "?".into(), &mut bed.fx),
            Err((Refusal::State, "?".into())),
            "but not on a context that does not exist"
        );
    }

    #[test]
    fn whoever_has_no_room_misses_the_survey_and_is_not_waited_for() {
        let mut bed = Bed::new(2, Options { outbox_messages: 1, ..Options::default() });
        bed.send(A, "first");
        bed.surveyor.drained(bed.now, pipe(2), 1, 9, &mut bed.fx);
        let id = bed.send(A, "second");
        assert_eq!(bed.fx.take_dropped(), [Dropped::OutboxFull]);
        bed.surveyor.end_when_all_answered(A, &mut bed.fx);
        bed.answer(2, id, "x");
        assert_eq!((bed.take(A), bed.take(A)), (Ok(b"x".to_vec()), Err(Nothing::TimedOut)));
    }

    #[test]
    fn the_end_is_told_once_and_after_the_answers() {
        let mut bed = Bed::new(1, Options::default());
        let id = bed.send(A, "?");
        assert_eq!(bed.surveyor.deadline(), Some(Time::ZERO + SECOND));
        bed.answer(1, id, "in time");
        bed.fx.readable.clear();
        bed.pass(SECOND);
        assert_eq!((&bed.fx.readable[..], bed.surveyor.deadline()), (&[(A, 1)][..], None));
        bed.answer(1, id, "late");
        assert_eq!(bed.fx.take_dropped(), [Dropped::NoRequest]);
        assert_eq!(bed.take(A), Ok(b"in time".to_vec()));
        assert!(bed.surveyor.readable(A));
        assert_eq!(bed.take(A), Err(Nothing::TimedOut));
        assert_eq!((bed.take(A), bed.surveyor.readable(A)), (Err(Nothing::Asked), false));
    }

    #[test]
    fn the_deadline_holds_even_when_the_timer_is_late() {
        let mut bed = Bed::new(1, Options::default());
        let id = bed.send(A, "?");
        bed.now = bed.now + SECOND;
        bed.answer(1, id, "late");
        assert_eq!(bed.fx.take_dropped(), [Dropped::NoRequest]);
        assert_eq!(bed.take(A), Err(Nothing::TimedOut));
        bed.send(A, "?");
        bed.now = bed.now + SECOND;
        assert_eq!(bed.take(A), Err(Nothing::TimedOut));
    }

    #[test]
    fn each_context_has_its_survey_and_its_time() {
        let mut bed = Bed::new(1, Options::default());
        let b = bed.surveyor.open();
        bed.surveyor.set_survey_time(b, SECOND / 2);
        let (of_a, of_b) = (bed.send(A, "a?"), bed.send(b, "b?"));
        bed.answer(1, of_b, "b!");
        bed.answer(1, of_a, "a!");
        bed.pass(SECOND / 2);
        assert_eq!((bed.take(b), bed.take(b)), (Ok(b"b!".to_vec()), Err(Nothing::TimedOut)));
        assert_eq!((bed.take(A), bed.take(A)), (Ok(b"a!".to_vec()), Err(Nothing::Yet)));
    }

    #[test]
    fn a_new_survey_cancels_the_former() {
        let mut bed = Bed::new(1, Options::default());
        let old = bed.send(A, "x");
        bed.answer(1, old, "not taken");
        bed.fx.readable.clear();
        let new = bed.send(A, "y");
        assert_eq!(bed.fx.readable, [(A, 1)], "so that whoever waits looks");
        assert_eq!(bed.fx.take_dropped(), [Dropped::Cancelled]);
        assert_eq!(bed.surveyor.take_ticket(bed.now, A, old, &mut bed.fx), Err(Nothing::Cancelled));
        assert_eq!(bed.surveyor.take_ticket(bed.now, A, new, &mut bed.fx), Err(Nothing::Yet));
        bed.answer(1, old, "late");
        assert_eq!(bed.fx.take_dropped(), [Dropped::NoRequest]);
        bed.answer(1, new, "z");
        bed.surveyor.close(bed.now, A, &mut bed.fx);
        assert_eq!((bed.fx.take_dropped(), bed.take(A)), (vec![Dropped::Cancelled], Err(Nothing::Asked)));
        assert_eq!(bed.surveyor.take_ticket(bed.now, A, new, &mut bed.fx), Err(Nothing::Cancelled));
    }

    #[test]
    fn a_survey_may_end_when_all_have_answered_or_are_gone() {
        let mut bed = Bed::new(3, Options::default());
        let id = bed.send(A, "?");
        bed.surveyor.end_when_all_answered(A, &mut bed.fx);
        bed.surveyor.attach(bed.now, pipe(4), &mut bed.fx).unwrap();
        bed.answer(1, id, "a");
        bed.answer(1, id, "again");
        bed.detach(2);
        bed.fx.readable.clear();
        assert!(bed.surveyor.deadline().is_some());
        bed.answer(3, id, "b");
        assert_eq!(
            (bed.fx.readable.len(), bed.surveyor.deadline()),
            (2, None),
            "the late joiner is no matter"
        );
        for body in ["a", "again", "b"] {
            assert_eq!(bed.take(A), Ok(body.into()));
        }
        assert_eq!(bed.take(A), Err(Nothing::TimedOut));
    }

    #[test]
    fn a_survey_that_waits_for_nobody_ends_as_soon_as_it_may() {
        let mut bed = Bed::new(1, Options::default());
        let id = bed.send(A, "?");
        bed.answer(1, id, "x");
        assert_eq!((bed.take(A), bed.take(A)), (Ok(b"x".to_vec()), Err(Nothing::Yet)));
        bed.surveyor.end_when_all_answered(A, &mut bed.fx);
        assert_eq!(bed.take(A), Err(Nothing::TimedOut));
        bed.send(A, "the wish is for one survey");
        bed.detach(1);
        assert_eq!(bed.take(A), Err(Nothing::Yet));
    }

    #[test]
    fn answers_are_bounded_in_number_and_bytes() {
        let mut bed = Bed::new(1, Options { answers_per_survey: 2, recv_bytes: 10, ..Options::default() });
        let id = bed.send(A, "?");
        bed.answer(1, id, "larger than ten bytes, but alone");
        bed.answer(1, id, "x");
        assert_eq!(bed.fx.take_dropped(), [Dropped::QueueFull]);
        assert!(bed.take(A).is_ok());
        for _ in 0..3 {
            bed.answer(1, id, "x");
        }
        assert_eq!(bed.fx.take_dropped(), [Dropped::QueueFull]);
        bed.surveyor.clear(&mut bed.fx);
        assert_eq!(bed.fx.take_dropped(), [Dropped::Closed; 2]);
        bed.surveyor.check_invariants();
    }

    #[test]
    fn an_answer_without_an_id_closes_the_pipe() {
        let mut bed = Bed::new(1, Options::default());
        let id = bed.send(A, "?");
        bed.answer(1, id + 1, "unknown");
        bed.answer(1, id & 0x7fff_ffff, "top bit clear");
        assert!(bed.fx.closed.is_empty());
        bed.surveyor.recv(bed.now, pipe(1), "abc".into(), &mut bed.fx);
        assert_eq!(bed.fx.closed, [(pipe(1), DetachReason::ProtocolViolation)]);
        assert_eq!(bed.fx.take_dropped(), [Dropped::NoRequest, Dropped::NoRequest, Dropped::Malformed]);
    }

    #[test]
    fn a_survey_that_never_left_is_counted_when_its_pipe_is_lost() {
        let mut bed = Bed::new(1, Options::default());
        bed.send(A, "?");
        let unsent = bed.fx.sent.drain(..).map(|(_, m)| m).collect();
        bed.surveyor.detach(bed.now, pipe(1), DetachReason::PeerClosed, unsent, &mut bed.fx);
        assert_eq!(bed.fx.dropped, [(Dropped::PipeLost, Some(pipe(1)), 5)]);
    }
}
