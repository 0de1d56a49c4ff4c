//! The blocking twin: sockets without a runtime of the user's.

use spanwire::blocking::*;
use spanwire::{Event, Message, Options, Overflow, Protocol, RecvError, RequestError, SendError};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// Long enough for whatever has to happen, on the busiest machine.
const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(20);

fn pipeline(url: &str) -> (PushSocket, PullSocket) {
    let pull = PullSocket::new();
    let listener = pull.listen(url).unwrap();
    let push = PushSocket::new();
    push.dial(listener.url()).unwrap();
    (push, pull)
}

#[test]
fn jobs_arrive_in_order_over_every_transport() {
    for url in ["tcp://127.0.0.1:0", "abstract://", "inproc://blocking-jobs"] {
        let (push, pull) = pipeline(url);
        let sender = thread::spawn(move || {
            for n in 0..20_000_u32 {
                push.send(n.to_be_bytes().to_vec()).unwrap();
            }
            push.close(LONG)
        });
        let mut next = 0_u32;
        let mut batch = Vec::new();
        while next < 20_000 {
            pull.recv_many(&mut batch, 64).unwrap();
            for message in batch.drain(..) {
                assert_eq!(message.body()[..], next.to_be_bytes(), "{url}");
                next += 1;
            }
        }
        assert_eq!(sender.join().unwrap().abandoned, 0, "{url}");
    }
}

#[test]
fn many_threads_share_one_pair_of_sockets() {
    let (push, pull) = pipeline("tcp://127.0.0.1:0");
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let push = push.clone();
            thread::spawn(move || push.send_many((0..5_000).map(|_| "job")).unwrap())
        })
        .collect();
    let receivers: Vec<_> = (0..4)
        .map(|_| {
            let pull = pull.clone();
            thread::spawn(move || (0..5_000).map(|_| pull.recv().unwrap().len()).sum::<usize>())
        })
        .collect();
    assert_eq!(senders.into_iter().map(|s| s.join().unwrap()).sum::<usize>(), 20_000);
    assert_eq!(receivers.into_iter().map(|r| r.join().unwrap()).sum::<usize>(), 60_000);
}

fn answers_everything() -> (ReqSocket, RepSocket, thread::JoinHandle<usize>) {
    let rep = RepSocket::new();
    let listener = rep.listen("tcp://127.0.0.1:0").unwrap();
    let req = ReqSocket::new();
    req.dial(listener.url()).unwrap();
    let server = rep.clone();
    let serving = thread::spawn(move || {
        let mut served = 0;
        while let Ok(request) = server.recv() {
            let body = request.to_vec();
            request.reply(body).unwrap();
            served += 1;
        }
        served
    });
    (req, rep, serving)
}

#[test]
fn requests_of_many_threads_get_their_own_replies() {
    let (req, rep, serving) = answers_everything();
    let clients: Vec<_> = (0..8_u32)
        .map(|n| {
            let req = req.clone();
            thread::spawn(move || {
                for m in 0..200 {
                    let body = (n * 1_000 + m).to_be_bytes().to_vec();
                    assert_eq!(req.request(body.clone()).unwrap()[..], body);
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    rep.close(SECOND);
    assert_eq!(serving.join().unwrap(), 1_600);
}

#[test]
fn contexts_keep_their_conversations_apart() {
    let (req, rep, serving) = answers_everything();
    let (a, b) = (req.context(), req.context());
    assert_eq!(a.recv(), Err(RecvError::State));
    a.send("a").unwrap();
    b.send("b").unwrap();
    assert_eq!(&b.recv().unwrap()[..], b"b");
    assert_eq!(&a.recv_timeout(LONG).unwrap()[..], b"a");
    rep.close(SECOND);
    serving.join().unwrap();

    let rep = RepSocket::new();
    let listener = rep.listen("inproc://blocking-contexts").unwrap();
    let req = ReqSocket::new();
    req.dial(listener.url()).unwrap();
    let asking = thread::spawn(move || req.request("question").unwrap());
    let context = rep.context();
    assert_eq!(&context.recv().unwrap()[..], b"question");
    assert_eq!(context.try_recv(), Err(RecvError::Empty));
    assert_eq!(context.recv_timeout(SHORT), Err(RecvError::TimedOut));
    context.send("answer").unwrap();
    assert_eq!(&asking.join().unwrap()[..], b"answer");
    assert!(matches!(context.try_send("again"), Err(SendError::State(_))));
}

#[test]
fn every_wait_has_a_timeout_and_gives_the_message_back() {
    let push = PushSocket::new();
    let start = Instant::now();
    match push.send_timeout("kept", SHORT) {
        Err(SendError::TimedOut(message)) => assert_eq!(&message[..], b"kept"),
        other => panic!("{other:?}"),
    }
    assert!(start.elapsed() >= SHORT);
    assert!(matches!(push.try_send("x"), Err(SendError::NoPeer(_))));
    assert_eq!(push.wait_peers_timeout(1, SHORT), Err(RecvError::TimedOut));
    let mut events = push.events();
    assert!(matches!(events.recv_timeout(SHORT), Err(RecvError::TimedOut)));

    let pull = PullSocket::with(Options { recv_timeout: Some(SHORT), ..Options::default() });
    assert_eq!(pull.recv(), Err(RecvError::TimedOut));
    assert_eq!(pull.recv_timeout(Duration::ZERO), Err(RecvError::TimedOut));
    assert_eq!(pull.try_recv(), Err(RecvError::Empty));
    let req = ReqSocket::new();
    match req.request_timeout("kept", SHORT) {
        Err(RequestError::Send(SendError::TimedOut(message))) => assert_eq!(&message[..], b"kept"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn closing_ends_the_waits_of_all_threads() {
    let pull = PullSocket::new();
    let push = PushSocket::new();
    let mut waits = Vec::new();
    for _ in 0..4 {
        let (pull, push, mut events) = (pull.clone(), push.clone(), pull.events());
        waits.push(thread::spawn(move || {
            assert_eq!(pull.recv(), Err(RecvError::Closed));
            assert_eq!(pull.wait_peers(1), Err(RecvError::Closed));
            assert!(matches!(push.send("x"), Err(SendError::Closed(_))));
            assert!(events.next().is_none());
            assert!(matches!(events.recv_timeout(LONG), Err(RecvError::Closed)));
        }));
    }
    pull.close(SECOND);
    push.close(SECOND);
    waits.into_iter().for_each(|wait| wait.join().unwrap());
    assert!(pull.listen("tcp://127.0.0.1:0").is_err());
}

#[test]
fn subscribers_get_what_they_asked_for() {
    let publisher = PubSocket::new();
    let listener = publisher.listen("tcp://127.0.0.1:0").unwrap();
    let sub = SubSocket::new();
    let context = sub.context();
    sub.subscribe("a");
    context.subscribe("b");
    sub.dial(listener.url()).unwrap();
    publisher.wait_peers(1).unwrap();
    publisher.send_many(["a1", "b1", "c1"]).unwrap();
    assert_eq!(&sub.recv().unwrap()[..], b"a1");
    assert_eq!(&context.recv().unwrap()[..], b"b1");
    assert_eq!(context.recv_timeout(Duration::ZERO), Err(RecvError::TimedOut));
    sub.unsubscribe("a").unwrap();
    assert!(sub.unsubscribe("a").is_err());
}

#[test]
fn a_publisher_that_may_block_goes_on_after_its_patience() {
    let options = Options { overflow: Overflow::Block(SHORT), outbox_messages: 1, ..Options::default() };
    let publisher = PubSocket::with(options);
    let listener = publisher.listen("abstract://").unwrap();
    let sub = SubSocket::new();
    sub.dial(listener.url()).unwrap();
    sub.subscribe("");
    publisher.wait_peers(1).unwrap();
    // Far more than two kernels hold, to somebody who reads, but takes nothing.
    for _ in 0..40 {
        publisher.send(vec![7; 256 * 1024]).unwrap();
    }
}

#[test]
fn a_survey_is_an_iterator_that_ends() {
    let surveyor = SurveySocket::new();
    let listener = surveyor.listen("tcp://127.0.0.1:0").unwrap();
    let respondents: Vec<_> = (0..3_u8)
        .map(|n| {
            let respondent = RespondSocket::new();
            respondent.dial(listener.url()).unwrap();
            thread::spawn(move || respondent.recv().unwrap().reply(vec![n]).unwrap())
        })
        .collect();
    surveyor.wait_peers(3).unwrap();
    let survey = surveyor.survey_within("who?", LONG).unwrap().end_when_all_answered();
    let mut answers: Vec<u8> = survey.map(|answer| answer[0]).collect();
    answers.sort_unstable();
    assert_eq!(answers, [0, 1, 2]);
    respondents.into_iter().for_each(|respondent| respondent.join().unwrap());
    let nobody: Vec<Message> = surveyor.survey_within("nobody?", SHORT).unwrap().collect();
    assert!(nobody.is_empty());
    let context = surveyor.context();
    assert_eq!(context.recv(), Err(RecvError::State));
    context.set_survey_time(SHORT);
    context.send("anybody?").unwrap();
    assert_eq!(context.recv(), Err(RecvError::TimedOut));
}

#[test]
fn pairs_and_buses_talk_both_ways() {
    macro_rules! both_ways {
        ($socket:ident) => {
            let a = $socket::new();
            let listener = a.listen("tcp://127.0.0.1:0").unwrap();
            let b = $socket::new();
            b.dial(listener.url()).unwrap();
            a.wait_peers(1).unwrap();
            b.send("there").unwrap();
            assert_eq!(&a.recv().unwrap()[..], b"there");
            a.send("back").unwrap();
            assert_eq!(&b.recv().unwrap()[..], b"back");
            assert_eq!(a.peers().len(), 1);
            assert!(a.disconnect(a.peers()[0].pipe));
        };
    }
    both_ways!(Pair0Socket);
    both_ways!(Pair1Socket);
    both_ways!(PolySocket);
    both_ways!(BusSocket);
}

#[test]
fn a_device_runs_in_a_thread_until_a_socket_is_closed() {
    let front = RawSocket::new(Protocol::Rep);
    let back = RawSocket::new(Protocol::Req);
    let (f, b) = (front.listen("abstract://").unwrap(), back.listen("tcp://127.0.0.1:0").unwrap());
    // A tap that blocks for a moment, on another socket, must not cost the device a wake-up.
    let (taps, tapped) = pipeline("tcp://127.0.0.1:0");
    let (stop, forwarder) = (
        front.clone(),
        thread::spawn(move || {
            let device = Device::new(front, back).unwrap();
            device.tap(|_, message| taps.send(message.body().clone()).unwrap()).run()
        }),
    );
    let rep = RepSocket::new();
    rep.dial(b.url()).unwrap();
    let serving = thread::spawn(move || {
        for _ in 0..100 {
            rep.recv().unwrap().reply("answer").unwrap();
        }
        rep
    });
    let req = ReqSocket::new();
    req.dial(f.url()).unwrap();
    for _ in 0..100 {
        assert_eq!(&req.request("question").unwrap()[..], b"answer");
    }
    serving.join().unwrap();
    assert_eq!((0..200).map(|_| tapped.recv().unwrap()).filter(|m| &m[..] == b"answer").count(), 100);
    stop.close(SECOND);
    assert_eq!(forwarder.join().unwrap(), spanwire::device::DeviceError::Closed);
}

#[test]
fn events_are_an_iterator() {
    let (push, pull) = pipeline("inproc://blocking-events");
    let mut events = pull.events();
    push.close(SECOND);
    assert!(matches!(events.next(), Some(Event::Detached(..))));
    assert!(events.try_next().is_none());
}

#[tokio::test]
async fn blocking_calls_complete_inside_a_single_threaded_runtime() {
    let (push, pull) = pipeline("tcp://127.0.0.1:0");
    push.send("x").unwrap();
    assert_eq!(&pull.recv().unwrap()[..], b"x");
    assert_eq!(pull.recv_timeout(SHORT), Err(RecvError::TimedOut));
    let (req, rep, serving) = answers_everything();
    assert_eq!(&req.request("y").unwrap()[..], b"y");
    rep.close(SECOND);
    serving.join().unwrap();
}

/// Tokio's resources refuse to be ready in a task that has had its turn, until it yields; a blocked
/// task never does.
#[tokio::test]
async fn a_task_that_has_used_up_its_turn_may_still_block() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    (0..1_000).for_each(|n| tell.send(n).unwrap());
    std::future::poll_fn(|cx| {
        while told.poll_recv(cx).is_ready() {}
        assert!(!told.is_empty(), "the turn is over before the channel is empty");
        let (push, pull) = pipeline("tcp://127.0.0.1:0");
        push.send("x").unwrap();
        assert_eq!(&pull.recv().unwrap()[..], b"x");
        push.close(SECOND);
        Poll::Ready(())
    })
    .await;
}

#[test]
fn messages_and_requests_are_iterators() {
    let (push, pull) = pipeline("tcp://127.0.0.1:0");
    let pulling = pull.clone();
    let taking = thread::spawn(move || pulling.messages().map(|m| m.unwrap().len()).sum::<usize>());
    push.send_many(["a", "bb", "ccc"]).unwrap();
    push.close(SECOND);
    // The three are delivered before the connection is gone.
    let deadline = Instant::now() + LONG;
    while pull.stats().ledger.delivered_messages < 3 {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
    pull.close(SECOND);
    assert_eq!(taking.join().unwrap(), 6);

    let rep = RepSocket::new();
    let listener = rep.listen("inproc://blocking-requests").unwrap();
    let req = ReqSocket::new();
    req.dial(listener.url()).unwrap();
    let asking = thread::spawn(move || req.request("question").unwrap());
    for request in rep.requests().take(1) {
        request.unwrap().reply("answer").unwrap();
    }
    assert_eq!(&asking.join().unwrap()[..], b"answer");
}
