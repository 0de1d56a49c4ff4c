//! Every public future, dropped after any number of polls.
//!
//! Each is started anew and polled 0, 1, 2 … times, with everything else running in between, until it
//! once completes by itself; whenever it does not, it is dropped. After each the account is made up:
//!
//! * a send that completed is delivered exactly once and in its order; one that was dropped never is,
//!   and `sent = delivered + dropped + waiting` over both sides once all has been taken;
//! * a receive that was dropped took nothing: whoever receives next gets what was there;
//! * the socket is good for the next operation, and closes promptly with nothing left.

use crate::support::{Bed, Marks, SOON, Stranger, close_all, framed, soon, until};
use spanwire::device::Device;
use spanwire::*;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

/// No future of ours needs to be polled so often.
const ENOUGH: usize = 500;

/// Polls once.
async fn once<F: Future + ?Sized>(mut work: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await
}

/// Polls `work` so many times, then drops it; between polls, everything else may run.
async fn polled<T>(polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    for _ in 0..polls {
        if let Poll::Ready(output) = once(work.as_mut()).await {
            return Some(output);
        }
        others_run().await;
    }
    None
}

async fn others_run() {
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
}

/// Runs `scenario` with 0, 1, 2 … polls until it says that the future in it completed.
async fn every(what: &str, mut scenario: impl AsyncFnMut(usize) -> bool) {
    for polls in 0..ENOUGH {
        if soon(what, scenario(polls)).await {
            return;
        }
    }
    panic!("{what} never completed");
}

/// Little room, so that everything that can wait has to.
fn narrow() -> Options {
    Options { outbox_messages: 2, recv_messages: 2, push_window_messages: 2, ..Options::default() }
}

/// A numbered message, and its number.
fn numbered(number: u64) -> Message {
    Message::from(number.to_be_bytes().to_vec())
}

fn number(message: &Message) -> u64 {
    u64::from_be_bytes(message[..].try_into().expect("one of ours"))
}

/// What was sent and has not been received.
#[derive(Default)]
struct Account {
    next: u64,
    sent: VecDeque<u64>,
}

impl Account {
    fn new_message(&mut self) -> (u64, Message) {
        self.next += 1;
        (self.next, numbered(self.next))
    }

    /// The receiver has got this one: the oldest that was sent.
    fn received(&mut self, message: &Message) {
        assert_eq!(self.sent.pop_front(), Some(number(message)), "lost, twice, or out of order");
    }
}

/// Nothing is on the way any more: what the sender's side sent is accounted for.
async fn adds_up(what: &str, sender: impl Fn() -> Stats, receiver: impl Fn() -> Stats) {
    let balance = || {
        let (sent, got) = (sender(), receiver());
        let told = got.ledger.delivered_messages + got.ledger.dropped_total() + sent.ledger.dropped_total();
        (sent.ledger.sent_messages, told + sent.waiting_messages as u64)
    };
    until(what, || balance().0 == balance().1).await;
}

/// Sends of a pair of sockets, of which one only sends and the other only receives (here).
macro_rules! sends {
    ($what:literal, $sender:expr, $receiver:expr) => {{
        let (sender, receiver) = ($sender, $receiver);
        sender.dial(receiver.listen("inproc://cancel-send").await.unwrap().url()).await.unwrap();
        receiver.wait_peers(1).await.unwrap();
        let mut account = Account::default();
        // With room.
        every(concat!($what, " with room"), async |polls| {
            let (number, message) = account.new_message();
            let sent = polled(polls, sender.send(message)).await;
            if let Some(sent) = &sent {
                assert!(sent.is_ok());
                account.sent.push_back(number);
                account.received(&receiver.recv().await.unwrap());
            }
            sent.is_some()
        })
        .await;
        // Full, with room made before this or that poll.
        for relief in 0..4 {
            every(concat!($what, " when full"), async |polls| {
                loop {
                    let (number, message) = account.new_message();
                    match sender.try_send(message) {
                        Ok(()) => account.sent.push_back(number),
                        Err(error) => {
                            assert!(matches!(error, SendError::Full(_)), "{error:?}");
                            break;
                        }
                    }
                }
                let (number, message) = account.new_message();
                let mut polls_until_relief = relief;
                let mut send = pin!(sender.send(message));
                let mut sent = false;
                for _ in 0..polls {
                    if polls_until_relief == 0 {
                        account.received(&receiver.recv().await.unwrap());
                        others_run().await;
                    }
                    polls_until_relief = usize::wrapping_sub(polls_until_relief, 1);
                    if let Poll::Ready(done) = once(send.as_mut()).await {
                        done.unwrap();
                        account.sent.push_back(number);
                        sent = true;
                        break;
                    }
                    others_run().await;
                }
                sent
            })
            .await;
            while !account.sent.is_empty() {
                account.received(&soon("what was sent", receiver.recv()).await.unwrap());
            }
            adds_up($what, || sender.stats(), || receiver.stats()).await;
        }
        // Several at once: those before the drop arrive, those behind it do not.
        every(concat!($what, ", several"), async |polls| {
            let first = account.next + 1;
            let many = (first..first + 5).map(numbered);
            account.next += 5;
            let mut got = first;
            let mut take = || {
                let taken = receiver.try_recv().map(|message| {
                    assert_eq!(number(&message), got, "in order, without a gap");
                    got += 1;
                });
                taken.is_ok()
            };
            let mut sending = Box::pin(sender.send_many(many));
            let mut sent = None;
            for _ in 0..polls {
                if let Poll::Ready(done) = once(sending.as_mut()).await {
                    sent = Some(done.unwrap());
                    break;
                }
                take();
                others_run().await;
            }
            drop(sending);
            while take() {
                others_run().await;
            }
            assert_eq!(sent.is_some(), got == first + 5);
            sent.is_some()
        })
        .await;
        adds_up($what, || sender.stats(), || receiver.stats()).await;
        close_all!(sender, receiver);
    }};
}

/// Receives of a socket whose peer sends.
macro_rules! receives {
    ($what:literal, $sender:expr, $receiver:expr) => {{
        let (sender, receiver) = ($sender, $receiver);
        sender.dial(receiver.listen("inproc://cancel-recv").await.unwrap().url()).await.unwrap();
        receiver.wait_peers(1).await.unwrap();
        sender.wait_peers(1).await.unwrap();
        let mut account = Account::default();
        for arrival in 0..4 {
            every(concat!($what, " receives"), async |polls| {
                let (number, message) = account.new_message();
                let mut message = Some(message);
                let mut recv = pin!(receiver.recv());
                let mut received = false;
                for poll in 0..polls {
                    if poll == arrival {
                        sender.send(message.take().unwrap()).await.unwrap();
                        account.sent.push_back(number);
                        others_run().await;
                    }
                    if let Poll::Ready(got) = once(recv.as_mut()).await {
                        account.received(&got.unwrap());
                        received = true;
                        break;
                    }
                    others_run().await;
                }
                received
            })
            .await;
            assert!(account.sent.is_empty(), "the last future took all that the dropped ones had left");
        }
        every(concat!($what, " receives several"), async |polls| {
            for _ in 0..2 {
                let (number, message) = account.new_message();
                sender.send(message).await.unwrap();
                account.sent.push_back(number);
            }
            let mut into = Vec::new();
            let taken = polled(polls, receiver.recv_many(&mut into, 10)).await;
            let done = taken.is_some();
            if let Some(count) = taken {
                assert_eq!(count.unwrap(), into.len());
            }
            into.iter().for_each(|message| account.received(message));
            while !account.sent.is_empty() {
                account.received(&soon("the rest", receiver.recv()).await.unwrap());
            }
            done
        })
        .await;
        // Of several who wait, one is woken; if it is dropped, the next one is.
        for dropped in 0..3 {
            let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(receiver.recv())).collect();
            for recv in &mut waiting {
                assert!(once(recv.as_mut()).await.is_pending());
            }
            let (number, message) = account.new_message();
            sender.send(message).await.unwrap();
            account.sent.push_back(number);
            others_run().await;
            drop(waiting.remove(dropped));
            let (got, _, rest) = soon("another one", futures_util::future::select_all(waiting)).await;
            account.received(&got.unwrap());
            drop(rest);
        }
        adds_up($what, || sender.stats(), || receiver.stats()).await;
        close_all!(sender, receiver);
    }};
}

fn sub() -> SubSocket {
    let sub = SubSocket::new();
    sub.subscribe("");
    sub
}

#[tokio::test]
async fn every_public_future_may_be_dropped_after_any_number_of_polls() {
    let bed = Bed::new();
    let with = narrow;
    sends!("PUSH", PushSocket::with(with()), PullSocket::with(with()));
    sends!("PAIR v0", Pair0Socket::with(with()), Pair0Socket::with(with()));
    sends!("PAIR v1", Pair1Socket::with(with()), Pair1Socket::with(with()));
    sends!("PAIR v1 poly", PolySocket::with(with()), Pair1Socket::with(with()));
    sends!("raw PUSH", RawSocket::with(Protocol::Push, with()), RawSocket::with(Protocol::Pull, with()));
    receives!("PULL", PushSocket::new(), PullSocket::new());
    receives!("PAIR v0", Pair0Socket::new(), Pair0Socket::new());
    receives!("PAIR v1", Pair1Socket::new(), Pair1Socket::new());
    receives!("BUS", BusSocket::new(), BusSocket::new());
    receives!("SUB", PubSocket::new(), sub());
    receives!("raw SUB", PubSocket::new(), RawSocket::new(Protocol::Sub));
    blocking_publisher().await;
    no_peer().await;
    sub_contexts().await;
    over_a_full_kernel().await;
    requests().await;
    request_contexts().await;
    replies().await;
    surveys().await;
    endpoints().await;
    peers_and_events().await;
    closing().await;
    devices().await;
    bed.ends_clean().await;
}

/// PUB that waits for its subscribers, and BUS that never waits.
async fn blocking_publisher() {
    let options = Options { overflow: Overflow::Block(SOON), ..narrow() };
    let publisher = PubSocket::with(options);
    let listener = publisher.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut slow = Stranger::tcp(listener.local_addr()).await;
    slow.greet(Protocol::Sub).await;
    publisher.wait_peers(1).await.unwrap();
    let mut sent = 0;
    while publisher.try_send(vec![1; 100_000]).is_ok() {
        sent += 1;
        others_run().await;
    }
    for _ in 0..20 {
        for polls in 0..4 {
            sent += usize::from(polled(polls, publisher.send(vec![1; 100_000])).await.is_some());
        }
    }
    for _ in 0..sent {
        assert_eq!(slow.heard().await.unwrap().len(), 100_000);
    }
    every("PUB that blocks", async |polls| polled(polls, publisher.send("last")).await.is_some()).await;
    assert_eq!(slow.heard().await.unwrap(), b"last", "nothing was sent that was given up");
    drop(slow);
    close_all!(publisher);

    let (bus, other) = (BusSocket::new(), BusSocket::new());
    bus.dial(other.listen("inproc://cancel-bus").await.unwrap().url()).await.unwrap();
    every("BUS", async |polls| polled(polls, bus.send("x")).await.is_some()).await;
    assert_eq!(&other.recv().await.unwrap()[..], b"x");
    assert!(other.try_recv().is_err());
    close_all!(bus, other);
}

/// A send that waits for a peer to come.
async fn no_peer() {
    let push = PushSocket::new();
    for polls in 0..4 {
        assert!(polled(polls, push.send("never")).await.is_none());
    }
    let pull = PullSocket::new();
    let listener = pull.listen("tcp://127.0.0.1:0").await.unwrap();
    let background = DialOptions { start: Start::Background, ..DialOptions::default() };
    push.dial_with(listener.url(), background).await.unwrap();
    every("a send that waits for a peer", async |polls| polled(polls, push.send("once")).await.is_some())
        .await;
    assert_eq!(&soon("it", pull.recv()).await.unwrap()[..], b"once");
    assert!(pull.recv_timeout(Duration::from_millis(20)).await.is_err(), "and nothing else");
    close_all!(push, pull);
}

async fn sub_contexts() {
    let (publisher, sub) = (PubSocket::new(), SubSocket::new());
    sub.dial(publisher.listen("inproc://cancel-context").await.unwrap().url()).await.unwrap();
    let context = sub.context();
    context.subscribe("");
    publisher.wait_peers(1).await.unwrap();
    for polls in 0..4 {
        assert!(polled(polls, context.recv()).await.is_none());
    }
    publisher.send("news").await.unwrap();
    every("a context of SUB", async |polls| match polled(polls, context.recv()).await {
        Some(news) => news.unwrap()[..] == b"news"[..],
        None => false,
    })
    .await;
    assert_eq!(context.try_recv().unwrap_err(), RecvError::Empty);
    drop(context);
    close_all!(publisher, sub);
}

/// Where room comes from the kernel.
async fn over_a_full_kernel() {
    let push = PushSocket::with(narrow());
    let listener = push.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut slow = Stranger::tcp(listener.local_addr()).await;
    slow.greet(Protocol::Pull).await;
    push.wait_peers(1).await.unwrap();
    let mut account = Account::default();
    let padded = |number: u64| [&number.to_be_bytes()[..], &[0; 100_000]].concat();
    let mut heard = 0;
    for _ in 0..200 {
        for polls in 0..3 {
            account.next += 1;
            if let Some(sent) = polled(polls, push.send(padded(account.next))).await {
                sent.unwrap();
                account.sent.push_back(account.next);
            }
        }
        // It reads now and then, a little.
        if account.sent.len() > 40 {
            let frame = slow.heard().await.unwrap();
            account.received(&Message::from(frame[..8].to_vec()));
            heard += 1;
        }
    }
    while !account.sent.is_empty() {
        let frame = slow.heard().await.unwrap();
        account.received(&Message::from(frame[..8].to_vec()));
        heard += 1;
    }
    assert_eq!(push.stats().ledger.sent_messages, heard);
    // Room for the next, which is the last.
    push.send("done").await.unwrap();
    assert_eq!(slow.heard().await.unwrap(), b"done");
    drop(slow);
    close_all!(push);
}

/// A REQ and a REP that sends everything back.
async fn echoing(url: &str) -> (ReqSocket, RepSocket, tokio::task::JoinHandle<()>) {
    let (req, rep) = (ReqSocket::new(), RepSocket::new());
    req.dial(rep.listen(url).await.unwrap().url()).await.unwrap();
    let server = tokio::spawn({
        let rep = rep.clone();
        async move {
            while let Ok(request) = rep.recv().await {
                let body = request.to_vec();
                let _ = request.reply(body).await;
            }
        }
    });
    (req, rep, server)
}

async fn requests() {
    for url in ["tcp://127.0.0.1:0", "inproc://cancel-request"] {
        let (req, rep, server) = echoing(url).await;
        let mut account = Account::default();
        for _ in 0..20 {
            every("a request", async |polls| {
                let (number_sent, message) = account.new_message();
                let reply = polled(polls, req.request(message)).await;
                if let Some(reply) = &reply {
                    let reply = reply.as_ref().unwrap();
                    assert_eq!(number(reply), number_sent, "its own reply, not that of a dropped one");
                }
                reply.is_some()
            })
            .await;
        }
        // Every reply was taken, or came for a request that was given up.
        until("requests add up", || {
            let ledger = req.stats().ledger;
            ledger.sent_messages == ledger.delivered_messages + ledger.dropped_total()
        })
        .await;
        close_all!(req, rep);
        server.await.unwrap();
    }
}

async fn request_contexts() {
    let (req, rep, server) = echoing("tcp://127.0.0.1:0").await;
    let context = req.context();
    let mut account = Account::default();
    for _ in 0..20 {
        let mut last = 0;
        every("a context of REQ sends", async |polls| {
            let (number, message) = account.new_message();
            let sent = polled(polls, context.send(message)).await;
            if sent.is_some() {
                last = number;
            }
            sent.is_some()
        })
        .await;
        every("a context of REQ receives", async |polls| match polled(polls, context.recv()).await {
            Some(reply) => number(&reply.unwrap()) == last,
            None => false,
        })
        .await;
        assert_eq!(context.recv().await.unwrap_err(), RecvError::State, "one reply each");
    }
    drop(context);
    close_all!(req, rep);
    server.await.unwrap();
}

async fn replies() {
    // By the request itself, and by a context, to one who has little room.
    let rep = RepSocket::with(Options { outbox_messages: 1, ..Options::default() });
    let listener = rep.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut slow = Stranger::tcp(listener.local_addr()).await;
    slow.greet(Protocol::Req).await;
    let context = rep.context();
    let mut replied = VecDeque::new();
    let mut unanswered = 0;
    for round in 0..300_u32 {
        let id = (0x8000_0000 | round).to_be_bytes();
        slow.say(&framed(Marks::Tcp, &id)).await;
        let polls = round as usize % 4;
        match round % 2 {
            0 => {
                let mut tries = 0;
                let request = loop {
                    // The receive is dropped, too, as often as it takes.
                    tries += 1;
                    if let Some(request) = polled(tries, rep.recv()).await {
                        break request.unwrap();
                    }
                };
                match polled(polls, request.reply(vec![0; 100_000])).await {
                    Some(done) => {
                        done.unwrap();
                        replied.push_back(id);
                    }
                    None => unanswered += 1,
                }
            }
            _ => {
                let mut tries = 0;
                loop {
                    tries += 1;
                    if let Some(request) = polled(tries, context.recv()).await {
                        request.unwrap();
                        break;
                    }
                }
                match polled(polls, context.send(vec![0; 100_000])).await {
                    Some(done) => {
                        done.unwrap();
                        replied.push_back(id);
                    }
                    None => unanswered += 1,
                }
            }
        }
        if replied.len() > 40 {
            assert_eq!(slow.heard().await.unwrap()[..4], replied.pop_front().unwrap());
        }
    }
    for id in replied {
        assert_eq!(slow.heard().await.unwrap()[..4], id, "each reply that was done, once and in order");
    }
    drop(context);
    let ledger = rep.stats().ledger;
    assert_eq!(ledger.dropped(Dropped::Unanswered), unanswered, "each that was not is told");
    assert_eq!(ledger.delivered_messages, 300);
    drop(slow);
    close_all!(rep);

    // When there is room, a reply is one poll's work at most.
    let (req, rep) = (ReqSocket::new(), RepSocket::new());
    req.dial(rep.listen("inproc://cancel-reply").await.unwrap().url()).await.unwrap();
    every("a reply with room", async |polls| {
        let mut asking = Box::pin(req.request("?"));
        assert!(once(asking.as_mut()).await.is_pending());
        let request = rep.recv().await.unwrap();
        let done = polled(polls, request.reply("!")).await.is_some();
        if done {
            assert_eq!(&asking.await.unwrap()[..], b"!");
        }
        done
    })
    .await;
    close_all!(req, rep);
}

async fn surveys() {
    let (surveyor, respondent) = (SurveySocket::new(), RespondSocket::new());
    respondent.dial(surveyor.listen("inproc://cancel-survey").await.unwrap().url()).await.unwrap();
    surveyor.wait_peers(1).await.unwrap();
    every("a survey", async |polls| {
        let survey = polled(polls, surveyor.survey_within("?", SOON)).await;
        let asked = respondent.recv_timeout(Duration::from_millis(20)).await;
        assert_eq!(asked.is_ok(), survey.is_some(), "asked if, and only if, it was started");
        survey.is_some()
    })
    .await;

    let answer = async || respondent.recv().await.unwrap().reply("me").await.unwrap();
    let mut survey = surveyor.survey_within("?", SOON).await.unwrap();
    for polls in 0..4 {
        assert!(polled(polls, survey.next()).await.is_none());
    }
    answer().await;
    every("the next answer", async |polls| match polled(polls, survey.next()).await {
        Some(answer) => answer.unwrap()[..] == b"me"[..],
        None => false,
    })
    .await;
    drop(survey);

    every("all answers", async |polls| {
        let survey = surveyor.survey_within("?", SOON).await.unwrap().end_when_all_answered();
        let mut polls = polls;
        let mut collect = pin!(survey.collect());
        // The answer comes behind the first two polls.
        for _ in 0..2.min(polls) {
            assert!(once(collect.as_mut()).await.is_pending());
            polls -= 1;
        }
        answer().await;
        polled(polls, collect).await.is_some_and(|answers| answers.len() == 1)
    })
    .await;

    let context = surveyor.context();
    every("a context of SURVEYOR sends", async |polls| polled(polls, context.send("?")).await.is_some())
        .await;
    for polls in 0..4 {
        assert!(polled(polls, context.recv()).await.is_none());
    }
    answer().await;
    every("a context of SURVEYOR receives", async |polls| match polled(polls, context.recv()).await {
        Some(answer) => answer.unwrap()[..] == b"me"[..],
        None => false,
    })
    .await;
    drop(context);
    close_all!(surveyor, respondent);
}

async fn endpoints() {
    let place = crate::support::Place::new();
    for url in ["tcp://127.0.0.1:0", "tcp://localhost:0", &place.url(), "inproc://cancel-listen"] {
        let pull = PullSocket::new();
        every("listening", async |polls| {
            let listening = polled(polls, pull.listen(url)).await;
            if listening.is_none() && place.url() == url {
                assert!(!place.path().exists(), "given up means that nobody listens");
            }
            listening.is_some_and(|listener| listener.is_ok())
        })
        .await;
        let listener = pull.listen("tcp://127.0.0.1:0").await.unwrap();
        for url in [listener.url(), url].into_iter().filter(|url| !url.ends_with(":0")) {
            let push = PushSocket::new();
            every("dialling", async |polls| {
                let dialled = polled(polls, push.dial(url)).await;
                if dialled.is_none() {
                    until("the dialer is gone", || push.peers().is_empty()).await;
                }
                dialled.is_some_and(|dialer| dialer.is_ok())
            })
            .await;
            until("one connection, of the last dialer", || push.peers().len() == 1).await;
            push.send("hello").await.unwrap();
            assert_eq!(&soon("it", pull.recv()).await.unwrap()[..], b"hello");
            close_all!(push);
            until("the connections of those who gave up are gone", || pull.peers().is_empty()).await;
        }
        close_all!(pull);
    }
    // A dial that will never be done, since its listener is deaf.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", silent.local_addr().unwrap());
    let push = PushSocket::new();
    for polls in 0..10 {
        assert!(polled(polls, push.dial(&url)).await.is_none());
    }
    for _ in 1..10 {
        let mut given_up = Stranger::over_tcp(soon("a dialer", silent.accept()).await.unwrap().0);
        given_up.is_ended().await;
    }
    close_all!(push);

    // An adopted descriptor: the connection goes on without whoever waited for it.
    let pull = PullSocket::new();
    every("adopting", async |polls| {
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        let push = PushSocket::new();
        let (adopted, pushed) =
            futures_util::future::join(polled(polls, pull.adopt(one.into())), push.adopt(other.into())).await;
        match polls {
            0 => assert!(pushed.is_err(), "a descriptor that nobody took is closed"),
            _ => {
                pushed.unwrap();
                push.send("hello").await.unwrap();
                assert_eq!(&soon("it", pull.recv()).await.unwrap()[..], b"hello");
            }
        }
        close_all!(push);
        until("it is gone", || pull.peers().is_empty()).await;
        adopted.is_some()
    })
    .await;
    close_all!(pull);
}

async fn peers_and_events() {
    let pull = PullSocket::new();
    let listener = pull.listen("inproc://cancel-peers").await.unwrap();
    let mut events = pull.events();
    for polls in 0..4 {
        assert!(polled(polls, pull.wait_peers(1)).await.is_none());
        assert!(polled(polls, events.next()).await.is_none());
    }
    let push = PushSocket::new();
    push.dial(listener.url()).await.unwrap();
    every("waiting for peers", async |polls| polled(polls, pull.wait_peers(1)).await.is_some()).await;
    let mut seen = Vec::new();
    every("events", async |polls| {
        seen.extend(polled(polls, events.next()).await.flatten());
        seen.len() == 2
    })
    .await;
    assert!(matches!(seen[..], [Event::Attaching(_), Event::Attached(_)]), "{seen:?}");
    close_all!(push, pull);
}

async fn closing() {
    for url in ["tcp://127.0.0.1:0", "inproc://cancel-close"] {
        every("closing", async |polls| {
            let options = Options { close_deadline: Duration::from_millis(50), ..Options::default() };
            let (push, pull) = (PushSocket::with(options), PullSocket::new());
            push.dial(pull.listen(url).await.unwrap().url()).await.unwrap();
            push.send("last words").await.unwrap();
            let closed = polled(polls, push.close(SOON)).await;
            match polls {
                0 => push.send("open as before").await.unwrap(),
                _ => assert!(matches!(push.try_send("x"), Err(SendError::Closed(_)))),
            }
            drop(push);
            assert_eq!(&soon("the last words", pull.recv()).await.unwrap()[..], b"last words");
            if polls == 0 {
                assert_eq!(&soon("the rest", pull.recv()).await.unwrap()[..], b"open as before");
            }
            until("it is gone", || pull.peers().is_empty()).await;
            close_all!(pull);
            closed.is_some()
        })
        .await;
    }
}

async fn devices() {
    let (front, back) = (RawSocket::new(Protocol::Pull), RawSocket::new(Protocol::Push));
    let (push, pull) = (PushSocket::new(), PullSocket::new());
    push.dial(front.listen("inproc://cancel-front").await.unwrap().url()).await.unwrap();
    pull.dial(back.listen("inproc://cancel-back").await.unwrap().url()).await.unwrap();
    let device = Device::new(front.clone(), back.clone()).unwrap();
    let mut account = Account::default();
    for polls in 0..50 {
        let (number, message) = account.new_message();
        push.send(message).await.unwrap();
        account.sent.push_back(number);
        assert!(polled(polls % 5, device.run()).await.is_none(), "it runs until a socket is closed");
    }
    // It was never full between the sockets, so nothing was lost there.
    {
        let mut run = pin!(device.run());
        while !account.sent.is_empty() {
            tokio::select! {
                why = &mut run => panic!("{why}"),
                message = soon("what was on the way", pull.recv()) => account.received(&message.unwrap()),
            }
        }
        close_all!(front);
        soon("the device ends", run).await;
    }
    close_all!(push, back, pull);
}
