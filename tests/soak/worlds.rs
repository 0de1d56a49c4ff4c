//! A pattern's server and its clients, and what must be true of their messages.
//!
//! Each world has one server socket that lives as long as the soak, and a few clients one after the
//! other: each comes, talks for a while and goes. Nothing is ever damaged. What a cut may lose is
//! lost; what must not come twice does not.

use crate::Soak;
use crate::chaos::{Socket, disturb, pause};
use crate::ledger::{Seen, body, read};
use spanwire::{
    BusSocket, CloseReport, Event, Message, Pair1Socket, PolySocket, PubSocket, PullSocket, PushSocket,
    RepSocket, ReqSocket, RespondSocket, Stats, SubSocket, SurveySocket,
};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A world ends when the soak does, and says what it has done.
pub(crate) type World = fn(Soak) -> Pin<Box<dyn Future<Output = String> + Send>>;

pub(crate) const ALL: &[(&str, World)] = &[
    ("jobs in", |soak| Box::pin(jobs_in(soak))),
    ("jobs out", |soak| Box::pin(jobs_out(soak))),
    ("requests", |soak| Box::pin(requests(soak))),
    ("news", |soak| Box::pin(news(soak))),
    ("surveys", |soak| Box::pin(surveys(soak))),
    ("bus", |soak| Box::pin(bus(soak))),
    ("pairs", |soak| Box::pin(pairs(soak))),
];

/// Clients of a world at a time.
const CLIENTS: usize = 3;
/// The longest that anything waits which may have been lost.
const MOMENT: Duration = Duration::from_millis(100);
/// The time for what must succeed in the end, whatever is cut in between.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the clients of a world have counted altogether.
#[derive(Default)]
struct Counted {
    visits: u64,
    sent: u64,
    delivered: u64,
    dropped: u64,
}

impl Counted {
    fn add(&mut self, stats: &Stats) {
        self.visits += 1;
        self.sent += stats.ledger.sent_messages;
        self.delivered += stats.ledger.delivered_messages;
        self.dropped += stats.ledger.dropped_total();
    }
}

/// Runs a world: its server, with what disturbs it, and its clients, one after the other in each of
/// several places. `serve` ends soon after the last of them; `visit` is a client's life up to its close.
async fn run<S: Socket, C: Socket, F: Future<Output = ()> + Send + 'static>(
    mut soak: Soak,
    serve: impl FnOnce(S, Soak) -> F,
    visit: impl AsyncVisit<C>,
    only_receives: bool,
) -> (S, Counted) {
    let server = S::make();
    let listener = server.listen(&soak.url).await.unwrap();
    soak.url = listener.url().to_owned();
    let counted = Arc::new(Mutex::new(Counted::default()));
    // The server goes on until the last client is done.
    let (stop, serving) = soak.fork_apart();
    let serving = tokio::spawn(serve(server.clone(), serving));
    let mut tasks = vec![tokio::spawn(disturb(server.clone(), listener, soak.fork()))];
    for _ in 0..CLIENTS {
        let (mut soak, visit, counted) = (soak.fork(), visit.clone(), counted.clone());
        tasks.push(tokio::spawn(async move {
            while soak.goes_on() {
                let client = C::make();
                client.dial(&soak.url).await.unwrap();
                visit.call(client.clone(), soak.fork()).await;
                // In a hurry or patient: both have to account for everything.
                let deadline = if soak.random.one_in(3) { Duration::ZERO } else { MOMENT };
                client.close(deadline).await;
                let stats = client.stats();
                if only_receives {
                    let ledger = &stats.ledger;
                    let known = ledger.delivered_messages + ledger.dropped_total();
                    assert_eq!(known, ledger.received_messages, "{ledger:?}");
                }
                counted.lock().unwrap().add(&stats);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    serving.await.unwrap();
    let counted = std::mem::take(&mut *counted.lock().unwrap());
    (server, counted)
}

/// A client's life, as often as there are clients.
trait AsyncVisit<C>: Clone + Send + 'static {
    fn call(&self, client: C, soak: Soak) -> impl Future<Output = ()> + Send;
}

impl<C, T, F> AsyncVisit<C> for T
where
    T: Fn(C, Soak) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send,
{
    fn call(&self, client: C, soak: Soak) -> impl Future<Output = ()> + Send {
        self(client, soak)
    }
}

/// Every name is given once.
fn name() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A slow one takes its time.
async fn dawdle(soak: &mut Soak) {
    if soak.random.one_in(200) {
        pause(Duration::from_millis(soak.random.below(20) as u64)).await;
    }
}

/// PUSH clients, one PULL: no job comes twice, and what is not delivered is accounted for.
async fn jobs_in(soak: Soak) -> String {
    let in_process = soak.is_in_process();
    let (seen, number) = (Arc::new(Seen::default()), Arc::new(AtomicU64::new(0)));
    let take = {
        let seen = seen.clone();
        move |pull: PullSocket, mut soak: Soak| async move {
            loop {
                match pull.recv_timeout(MOMENT * 3).await {
                    Ok(job) => seen.once(read(&job).1),
                    Err(_) if !soak.goes_on() => return,
                    Err(_) => {}
                }
                dawdle(&mut soak).await;
            }
        }
    };
    let give = move |push: PushSocket, mut soak: Soak| {
        let number = number.clone();
        async move {
            for _ in 0..soak.random.below(2_000) {
                let job = body(0, number.fetch_add(1, Ordering::Relaxed), soak.random.size());
                if push.send_timeout(job, MOMENT).await.is_err() && !soak.goes_on() {
                    return;
                }
            }
        }
    };
    let (pull, counted) = run(soak, take, give, false).await;
    let received = pull.stats().ledger.received_messages;
    pull.close(MOMENT).await;
    let ledger = pull.stats().ledger;
    assert_eq!(ledger.delivered_messages, seen.count());
    assert_eq!(ledger.delivered_messages + ledger.dropped_total(), ledger.received_messages);
    let known = received + counted.dropped;
    accounted(known, counted.sent, in_process);
    format!("{} jobs of {}, {} clients", seen.count(), counted.sent, counted.visits)
}

/// What is `known` to have come or to be lost makes up what was `sent`, but for what a kernel in
/// between may have lost.
fn accounted(known: u64, sent: u64, in_process: bool) {
    assert!(known <= sent, "{known} of {sent}");
    assert!(known == sent || !in_process, "only {known} of {sent} are accounted for");
}

/// One PUSH, PULL clients: no job comes twice, whoever gets it.
async fn jobs_out(soak: Soak) -> String {
    let in_process = soak.is_in_process();
    let seen = Arc::new(Seen::default());
    let handed = Arc::new(AtomicU64::new(0));
    // A full outbox that is given up at the end makes more events at once than are kept.
    let missed_at_last = Arc::new(AtomicBool::new(false));
    let give = {
        let (handed, missed_at_last) = (handed.clone(), missed_at_last.clone());
        move |push: PushSocket, mut soak: Soak| async move {
            let mut events = push.events();
            let count = |event: Event| match event {
                Event::Detached(peer, _) => {
                    handed.fetch_add(peer.stats.sent_messages, Ordering::Relaxed);
                }
                Event::Missed(count) => panic!("{count} events were missed"),
                _ => {}
            };
            let mut number = 0;
            while soak.goes_on() {
                let job = body(0, number, soak.random.size());
                number += u64::from(push.send_timeout(job, MOMENT).await.is_ok());
                while let Some(event) = events.try_next() {
                    count(event);
                }
            }
            push.close(MOMENT).await;
            while let Some(event) = events.next().await {
                match event {
                    Event::Missed(_) => missed_at_last.store(true, Ordering::Relaxed),
                    event => count(event),
                }
            }
        }
    };
    let take = {
        let seen = seen.clone();
        move |pull: PullSocket, mut soak: Soak| {
            let seen = seen.clone();
            async move {
                for _ in 0..soak.random.below(2_000) {
                    match pull.recv_timeout(MOMENT).await {
                        Ok(job) => seen.once(read(&job).1),
                        Err(_) if !soak.goes_on() => return,
                        Err(_) => {}
                    }
                    dawdle(&mut soak).await;
                }
            }
        }
    };
    let (push, counted) = run(soak, give, take, true).await;
    let report: CloseReport = push.close(MOMENT).await;
    let ledger = push.stats().ledger;
    assert_eq!(report.abandoned, ledger.dropped_total(), "{report:?} {ledger:?}");
    let handed = handed.load(Ordering::Relaxed);
    if !missed_at_last.load(Ordering::Relaxed) {
        assert_eq!(handed + ledger.dropped_total(), ledger.sent_messages, "handed to the kernel, or dropped");
    }
    let known = counted.delivered + counted.dropped + ledger.dropped_total();
    assert_eq!(counted.delivered, seen.count());
    accounted(known, ledger.sent_messages, in_process);
    format!("{} jobs of {}, {} clients", seen.count(), ledger.sent_messages, counted.visits)
}

/// REQ clients, one REP: every request gets its own reply, however often it has to be sent again.
async fn requests(soak: Soak) -> String {
    let serve = |rep: RepSocket, mut soak: Soak| async move {
        loop {
            match rep.recv_timeout(MOMENT * 3).await {
                Ok(request) => {
                    read(&request);
                    let echo = request.message().body().clone();
                    // The peer may be gone; then it asks again.
                    let _ = request.reply_timeout(echo, MOMENT).await;
                }
                Err(_) if !soak.goes_on() => return,
                Err(_) => {}
            }
            dawdle(&mut soak).await;
        }
    };
    let answered = Arc::new(AtomicU64::new(0));
    let ask = {
        let answered = answered.clone();
        move |req: ReqSocket, mut soak: Soak| {
            let answered = answered.clone();
            async move {
                for number in 0..soak.random.below(300) as u64 {
                    if !soak.goes_on() {
                        return;
                    }
                    let request = body(name(), number, soak.random.size());
                    let reply = req.request_timeout(request.clone(), PATIENCE).await.unwrap();
                    assert_eq!(reply[..], request[..], "another's reply");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    };
    let (rep, counted) = run(soak, serve, ask, false).await;
    rep.close(MOMENT).await;
    format!("{} requests, {} clients", answered.load(Ordering::Relaxed), counted.visits)
}

/// One PUB, SUB clients: numbers only ever grow.
async fn news(soak: Soak) -> String {
    let publish = |publisher: PubSocket, mut soak: Soak| async move {
        for number in 0.. {
            if !soak.goes_on() {
                return;
            }
            publisher.send(body(0, number, soak.random.size())).await.unwrap();
            if number % 20 == 0 {
                pause(Duration::from_millis(2)).await;
            }
        }
    };
    let subscribe = |subscriber: SubSocket, mut soak: Soak| async move {
        subscriber.subscribe([0, 0, 0, 0]);
        let mut last = None;
        for _ in 0..soak.random.below(2_000) {
            match subscriber.recv_timeout(MOMENT).await {
                Ok(news) => {
                    let (_, number) = read(&news);
                    assert!(last.is_none_or(|last| last < number), "{last:?} then {number}");
                    last = Some(number);
                }
                Err(_) if !soak.goes_on() => return,
                Err(_) => {}
            }
            dawdle(&mut soak).await;
        }
    };
    let (publisher, counted) = run(soak, publish, subscribe, true).await;
    publisher.close(MOMENT).await;
    let sent = publisher.stats().ledger.sent_messages;
    format!("{} deliveries of {sent} news, {} clients", counted.delivered, counted.visits)
}

/// One SURVEYOR, RESPONDENT clients: an answer is to its survey, and nobody answers twice.
async fn surveys(soak: Soak) -> String {
    let answers = Arc::new(AtomicU64::new(0));
    let ask = {
        let answers = answers.clone();
        move |surveyor: SurveySocket, mut soak: Soak| async move {
            for number in 0.. {
                if !soak.goes_on() {
                    return;
                }
                let question = body(0, number, soak.random.size());
                let survey = surveyor.survey_within(question, MOMENT).await.unwrap();
                let mut survey = survey.end_when_all_answered();
                let mut from = Vec::new();
                while let Some(answer) = survey.next().await {
                    let (respondent, to) = read(&answer);
                    assert_eq!(to, number, "an answer to another survey");
                    assert!(!from.contains(&respondent), "{respondent} answered twice");
                    from.push(respondent);
                }
                answers.fetch_add(from.len() as u64, Ordering::Relaxed);
                if from.is_empty() {
                    pause(Duration::from_millis(1)).await;
                }
            }
        }
    };
    let answer = |respondent: RespondSocket, mut soak: Soak| async move {
        let name = name();
        for _ in 0..soak.random.below(300) {
            match respondent.recv_timeout(MOMENT).await {
                Ok(question) => {
                    let answer = body(name, read(&question).1, soak.random.size());
                    // The surveyor may have cut the connection.
                    let _ = question.reply_timeout(answer, MOMENT).await;
                }
                Err(_) if !soak.goes_on() => return,
                Err(_) => {}
            }
            dawdle(&mut soak).await;
        }
    };
    let (surveyor, counted) = run(soak, ask, answer, false).await;
    surveyor.close(MOMENT).await;
    format!("{} answers, {} clients", answers.load(Ordering::Relaxed), counted.visits)
}

/// BUS on both sides: what one says comes in order, once, and never back to him.
async fn bus(soak: Soak) -> String {
    let talk = |member: BusSocket, mut soak: Soak| async move {
        let me = name();
        let mut last = HashMap::new();
        for number in 0.. {
            if !soak.goes_on() {
                return;
            }
            member.send(body(me, number, soak.random.size())).await.unwrap();
            while let Ok(message) = member.recv_timeout(Duration::from_millis(2)).await {
                let (from, number) = read(&message);
                assert_ne!(from, me, "it heard itself");
                // Order is kept by a connection. One who was cut off and comes back may be heard before
                // its last words on the old connection are read.
                let before = last.insert((from, message.pipe()), number);
                assert!(before.is_none_or(|before| before < number), "{before:?} then {number} of {from}");
            }
        }
    };
    let visit = |member: BusSocket, mut soak: Soak| async move {
        let me = name();
        for number in 0..soak.random.below(500) as u64 {
            if !soak.goes_on() {
                return;
            }
            member.send(body(me, number, soak.random.size())).await.unwrap();
            if let Ok(message) = member.recv_timeout(Duration::from_millis(2)).await {
                assert_ne!(read(&message).0, me, "it heard itself");
            }
            dawdle(&mut soak).await;
        }
    };
    let (member, counted) = run(soak, talk, visit, false).await;
    let heard = member.stats().ledger.delivered_messages;
    member.close(MOMENT).await;
    format!("{} heard here, {} by {} clients", heard, counted.delivered, counted.visits)
}

/// A polyamorous PAIR that echoes, PAIR v1 clients: echoes come in order, and only one's own.
async fn pairs(soak: Soak) -> String {
    let echo = |poly: PolySocket, soak: Soak| async move {
        loop {
            match poly.recv_timeout(MOMENT * 3).await {
                Ok(message) => {
                    let to = message.pipe().unwrap();
                    // It may be gone by now.
                    let _ = poly.send_timeout(Message::new(message.into_body()).to(to), MOMENT).await;
                }
                Err(_) if !soak.goes_on() => return,
                Err(_) => {}
            }
        }
    };
    let call = |pair: Pair1Socket, mut soak: Soak| async move {
        let me = name();
        let mut last = None;
        for number in 0..soak.random.below(500) as u64 {
            if !soak.goes_on() {
                return;
            }
            let _ = pair.send_timeout(body(me, number, soak.random.size()), MOMENT).await;
            // Sometimes many are on their way.
            while !soak.random.one_in(3) {
                let Ok(echo) = pair.recv_timeout(MOMENT / 10).await else { break };
                let (from, number) = read(&echo);
                assert_eq!(from, me, "another's echo");
                assert!(last.is_none_or(|last| last < number), "{last:?} then {number}");
                last = Some(number);
            }
            dawdle(&mut soak).await;
        }
    };
    let (poly, counted) = run(soak, echo, call, false).await;
    poly.close(MOMENT).await;
    format!("{} echoes, {} clients", counted.delivered, counted.visits)
}
