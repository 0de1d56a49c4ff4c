//! What the application itself does wrong, and every way to close.

use crate::support::{Bed, PROMPT, Place, SOON, Stranger, close_all, soon, until};
use spanwire::device::{Device, DeviceError};
use spanwire::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[tokio::test]
async fn unsubscribe_of_what_was_never_subscribed_is_an_error() {
    let bed = Bed::new();
    let sub = SubSocket::new();
    let publisher = PubSocket::new();
    sub.dial(publisher.listen("tcp://127.0.0.1:0").await.unwrap().url()).await.unwrap();
    publisher.wait_peers(1).await.unwrap();
    assert_eq!(sub.unsubscribe("a"), Err(NotSubscribed));
    assert_eq!(sub.unsubscribe(""), Err(NotSubscribed));
    sub.subscribe("ab");
    sub.subscribe("ab");
    for never in ["a", "abc", "", "b"] {
        assert_eq!(sub.unsubscribe(never), Err(NotSubscribed), "{never}");
    }
    let context = sub.context();
    assert_eq!(context.unsubscribe("ab"), Err(NotSubscribed), "a context has its own");
    publisher.send("abc").await.unwrap();
    assert_eq!(&soon("it", sub.recv()).await.unwrap()[..], b"abc", "the subscription stands");
    assert_eq!(sub.unsubscribe("ab"), Ok(()));
    assert_eq!(sub.unsubscribe("ab"), Err(NotSubscribed), "twice is once");
    publisher.send("abc").await.unwrap();
    until("it is dropped", || sub.stats().ledger.dropped(Dropped::NotSubscribed) >= 1).await;
    drop(context);
    close_all!(publisher, sub);
    assert_eq!(sub.unsubscribe("ab"), Err(NotSubscribed));
    bed.ends_clean().await;
}

/// A ring: each device's front is what the one before it dials.
async fn ring(name: &str, length: usize, front: Protocol) -> (Vec<RawSocket>, Vec<RawSocket>) {
    let (mut fronts, mut backs) = (Vec::new(), Vec::new());
    for n in 0..length {
        let socket = RawSocket::new(front);
        socket.listen(&format!("inproc://{name}-{n}")).await.unwrap();
        fronts.push(socket);
        backs.push(RawSocket::new(front.peer()));
    }
    for (n, back) in backs.iter().enumerate() {
        back.dial(&format!("inproc://{name}-{}", (n + 1) % length)).await.unwrap();
    }
    (fronts, backs)
}

#[tokio::test]
async fn ring_of_inproc_sockets_and_devices_ends_by_the_hop_limit() {
    let bed = Bed::new();
    for length in [1, 2, 5] {
        let passed = Arc::new(AtomicUsize::new(0));
        let (fronts, backs) = ring("ring-req", length, Protocol::Rep).await;
        for (front, back) in fronts.iter().zip(&backs) {
            let (front, back, passed) = (front.clone(), back.clone(), passed.clone());
            tokio::spawn(async move {
                let device = Device::new(front, back).unwrap().tap(move |_, _| {
                    passed.fetch_add(1, Ordering::Relaxed);
                });
                assert_eq!(device.run().await, DeviceError::Closed);
            });
        }
        let req = ReqSocket::new();
        req.dial("inproc://ring-req-0").await.unwrap();
        // A hundred requests that nobody will ever answer, each going round until its hops are used up.
        let requests: Vec<ReqContext> = (0..100).map(|_| req.context()).collect();
        for request in &requests {
            soon("room", request.send("round and round")).await.unwrap();
        }
        let dropped =
            || -> u64 { fronts.iter().map(|front| front.stats().ledger.dropped(Dropped::HopLimit)).sum() };
        until("every request has ended", || dropped() == 100).await;
        let hops = usize::from(Options::default().hop_limit);
        assert_eq!(passed.load(Ordering::Relaxed), 100 * hops);
        drop(requests);
        close_all!(req);
        for socket in fronts.iter().chain(&backs) {
            close_all!(socket);
        }
    }

    // PAIR v1 counts its hops as well. Two devices, each with an end of two pairs.
    let (fronts, backs) = ring("ring-pair", 2, Protocol::Pair1).await;
    for (front, back) in fronts.iter().zip(&backs) {
        let device = (front.clone(), back.clone());
        tokio::spawn(async move { Device::new(device.0, device.1).unwrap().run().await });
    }
    backs[0].send(Message::with_header(&[0, 0, 0, 1][..], "round")).await.unwrap();
    let dropped = || -> u64 {
        let all = fronts.iter().chain(&backs);
        all.map(|socket| socket.stats().ledger.dropped(Dropped::HopLimit)).sum()
    };
    until("it has ended", || dropped() == 1).await;
    for socket in fronts.iter().chain(&backs) {
        close_all!(socket);
    }

    // Where there are no hops a message goes round until somebody stops it: closing does, in the middle
    // of the traffic and without a stack that grows.
    let (fronts, backs) = ring("ring-bus", 3, Protocol::Bus).await;
    let passed = Arc::new(AtomicUsize::new(0));
    for (front, back) in fronts.iter().zip(&backs) {
        let (front, back, passed) = (front.clone(), back.clone(), passed.clone());
        tokio::spawn(async move {
            let device = Device::new(front, back).unwrap().tap(move |_, _| {
                passed.fetch_add(1, Ordering::Relaxed);
            });
            device.run().await
        });
    }
    backs[0].send("for ever").await.unwrap();
    until("it goes round", || passed.load(Ordering::Relaxed) > 10_000).await;
    for socket in fronts.iter().chain(&backs) {
        close_all!(socket);
    }
    bed.ends_clean().await;
}

#[tokio::test]
async fn use_after_close_says_closed() {
    let bed = Bed::new();
    macro_rules! closed {
        ($socket:expr) => {{
            let socket = $socket;
            let clone = socket.clone();
            let listener = socket.listen("tcp://127.0.0.1:0").await.unwrap();
            let url = listener.url().to_owned();
            close_all!(socket);
            assert!(matches!(clone.listen("tcp://127.0.0.1:0").await, Err(ListenError::Closed)));
            assert!(matches!(clone.listen("inproc://after-close").await, Err(ListenError::Closed)));
            assert!(matches!(clone.dial(&url).await, Err(DialError::Closed)));
            assert!(matches!(clone.dial("inproc://after-close").await, Err(DialError::Closed)));
            let background = DialOptions { start: Start::Background, ..DialOptions::default() };
            assert!(matches!(clone.dial_with(&url, background).await, Err(DialError::Closed)));
            let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
            assert!(matches!(clone.adopt(one.into()).await, Err(AdoptError::Closed)));
            assert_eq!(clone.wait_peers(0).await, Err(RecvError::Closed));
            assert_eq!(clone.wait_peers(1).await, Err(RecvError::Closed));
            assert!(clone.peers().is_empty());
            assert!(clone.events().next().await.is_none());
            assert_eq!(clone.stats().peers, 0);
            assert_eq!(listener.state(), EndpointState::Closed);
            listener.close();
            assert_eq!(clone.close(SOON).await, CloseReport::default(), "closing twice is no error");
            clone
        }};
    }
    macro_rules! cannot_send {
        ($socket:expr) => {{
            let socket = &$socket;
            let back = |error: SendError| match error {
                SendError::Closed(message) => assert_eq!(&message[..], b"back"),
                error => panic!("{error:?}"),
            };
            back(socket.send("back").await.unwrap_err());
            back(socket.try_send("back").unwrap_err());
            back(socket.send_timeout("back", SOON).await.unwrap_err());
            let many = socket.send_many(["back", "never"]).await.unwrap_err();
            assert_eq!(many.sent, 0);
            back(many.error);
        }};
    }
    macro_rules! cannot_recv {
        ($socket:expr) => {{
            let socket = &$socket;
            assert_eq!(socket.recv().await.unwrap_err(), RecvError::Closed);
            assert_eq!(socket.try_recv().unwrap_err(), RecvError::Closed);
            assert_eq!(socket.recv_timeout(SOON).await.unwrap_err(), RecvError::Closed);
        }};
    }
    cannot_send!(closed!(PushSocket::new()));
    cannot_send!(closed!(PubSocket::new()));
    cannot_recv!(closed!(PullSocket::new()));
    let sub = closed!(SubSocket::new());
    cannot_recv!(sub);
    sub.subscribe("harmless");
    cannot_recv!(sub.context());
    for socket in [closed!(Pair0Socket::new())] {
        cannot_send!(socket);
        cannot_recv!(socket);
        assert_eq!(socket.recv_many(&mut Vec::new(), 7).await.unwrap_err(), RecvError::Closed);
    }
    for socket in [closed!(Pair1Socket::new())] {
        cannot_send!(socket);
        cannot_recv!(socket);
    }
    for socket in [closed!(PolySocket::new())] {
        cannot_send!(socket);
        cannot_recv!(socket);
    }
    for socket in [closed!(BusSocket::new())] {
        cannot_send!(socket);
        cannot_recv!(socket);
    }
    for protocol in Protocol::ALL {
        let socket = closed!(RawSocket::new(protocol));
        cannot_send!(socket);
        cannot_recv!(socket);
    }
    cannot_recv!(closed!(RespondSocket::new()));
    let rep = closed!(RepSocket::new());
    cannot_recv!(rep);
    let context = rep.context();
    assert_eq!(context.recv().await.unwrap_err(), RecvError::Closed);
    assert!(matches!(context.send("x").await, Err(SendError::Closed(_))));
    let req = closed!(ReqSocket::new());
    let error = req.request("back").await.unwrap_err();
    assert!(matches!(error, RequestError::Send(SendError::Closed(message)) if &message[..] == b"back"));
    assert!(req.request_timeout("back", SOON).await.is_err());
    let context = req.context();
    assert!(matches!(context.send("x").await, Err(SendError::Closed(_))));
    assert_eq!(context.recv().await.unwrap_err(), RecvError::Closed);
    let surveyor = closed!(SurveySocket::new());
    assert!(matches!(surveyor.survey("x").await, Err(SendError::Closed(_))));
    assert_eq!(surveyor.context().recv().await.unwrap_err(), RecvError::Closed);
    assert!(matches!(surveyor.context().send("x").await, Err(SendError::Closed(_))));

    // What was received before outlives the socket, but cannot be answered any more.
    let rep = RepSocket::new();
    let req = ReqSocket::new();
    req.dial(rep.listen("tcp://127.0.0.1:0").await.unwrap().url()).await.unwrap();
    let asking = tokio::spawn({
        let req = req.clone();
        async move { req.request("anybody?").await }
    });
    let request = soon("a request", rep.recv()).await.unwrap();
    close_all!(rep);
    assert_eq!(&request[..], b"anybody?");
    assert!(matches!(request.reply("too late").await, Err(SendError::Closed(_))));
    assert_eq!(rep.stats().ledger.dropped(Dropped::Unanswered), 1);
    // Whoever waits is woken with the news.
    close_all!(req);
    let error = soon("the asker", asking).await.unwrap().unwrap_err();
    assert_eq!(error, RequestError::Recv(RecvError::Closed));
    bed.ends_clean().await;
}

/// Closes, with a deadline that only a peer that does not cooperate needs, and with enough time.
async fn closes(what: &str, deadline: Duration, close: impl Future<Output = CloseReport>) -> CloseReport {
    let started = Instant::now();
    let report = soon(what, close).await;
    assert!(started.elapsed() < deadline + PROMPT, "{what}: {:?}", started.elapsed());
    report
}

/// Long enough for whatever cooperates, and short enough to wait for.
const DEADLINE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn close_returns_from_every_state() {
    let bed = Bed::new();
    let place = Place::new();
    for url in ["tcp://127.0.0.1:0".to_owned(), place.url(), "inproc://every-state".to_owned()] {
        // Never used; listening; dialling nobody.
        closes("fresh", DEADLINE, PullSocket::new().close(SOON)).await;
        let pull = PullSocket::new();
        let listener = pull.listen(&url).await.unwrap();
        let address = listener.url().to_owned();
        closes("listening", DEADLINE, pull.close(SOON)).await;
        let push = PushSocket::new();
        let background = DialOptions { start: Start::Background, ..DialOptions::default() };
        let dialer = push.dial_with(&address, background.clone()).await.unwrap();
        let waiting = tokio::spawn({
            let push = push.clone();
            async move { push.send("never").await }
        });
        tokio::task::yield_now().await;
        closes("dialling nobody", DEADLINE, push.close(SOON)).await;
        assert_eq!(dialer.state(), EndpointState::Closed);
        assert!(matches!(waiting.await.unwrap(), Err(SendError::Closed(_))));

        // Connected and idle; whoever closes first, and both at once.
        for first in 0..3 {
            let (push, pull) = (PushSocket::new(), PullSocket::new());
            push.dial(pull.listen(&url).await.unwrap().url()).await.unwrap();
            match first {
                0 => close_all!(push, pull),
                1 => close_all!(pull, push),
                _ => {
                    let both = futures_util::future::join(push.close(SOON), pull.close(SOON));
                    let started = Instant::now();
                    both.await;
                    assert!(started.elapsed() < PROMPT);
                }
            }
        }

        // With messages on the way, to one who takes them: all of them arrive.
        let (push, pull) = (PushSocket::new(), PullSocket::new());
        push.dial(pull.listen(&url).await.unwrap().url()).await.unwrap();
        let mut sent = 0;
        while push.try_send(vec![0; 10_000]).is_ok() {
            sent += 1;
        }
        let (report, received) = futures_util::future::join(push.close(SOON), async {
            for _ in 0..sent {
                soon("a job", pull.recv()).await.unwrap();
            }
            pull.recv_timeout(DEADLINE).await
        })
        .await;
        assert_eq!((report.abandoned, report.unknown), (0, 0), "{url}");
        assert_eq!(received.unwrap_err(), RecvError::TimedOut);
        close_all!(pull);

        // The same, to one who never takes them: no longer than the deadline, and all are accounted for.
        let (push, pull) = (PushSocket::new(), PullSocket::new());
        push.dial(pull.listen(&url).await.unwrap().url()).await.unwrap();
        fill(&push, 10_000).await;
        let waits = push.stats().waiting_messages as u64;
        assert!(waits > 0);
        let report = closes("full", DEADLINE, push.close(DEADLINE)).await;
        assert_eq!(report.flushed + report.abandoned, waits, "{url}: {report:?}");
        assert!(report.abandoned > 0);
        closes("stalled", DEADLINE, pull.close(SOON)).await;
        let ledger = pull.stats().ledger;
        let accounted = ledger.delivered_messages + ledger.dropped(Dropped::Closed);
        assert_eq!(ledger.received_messages, accounted, "what was not taken is counted");

        // The one who is full closes first, while the other still pours.
        let (push, pull) = (PushSocket::new(), PullSocket::new());
        push.dial(pull.listen(&url).await.unwrap().url()).await.unwrap();
        while push.try_send(vec![0; 10_000]).is_ok() {
            tokio::task::yield_now().await;
        }
        close_all!(pull, push);

        // A survey, a request and a subscription that are waited for.
        let (req, rep) = (ReqSocket::new(), RepSocket::new());
        req.dial(rep.listen(&url).await.unwrap().url()).await.unwrap();
        let asking = tokio::spawn({
            let req = req.clone();
            async move { req.request("never").await }
        });
        let request = soon("it", rep.recv()).await.unwrap();
        closes("asking", DEADLINE, req.close(SOON)).await;
        assert!(asking.await.unwrap().is_err());
        drop(request);
        close_all!(rep);
        let (surveyor, respondent) = (SurveySocket::new(), RespondSocket::new());
        respondent.dial(surveyor.listen(&url).await.unwrap().url()).await.unwrap();
        let mut survey = surveyor.survey_within("?", SOON).await.unwrap();
        let (answer, _) = futures_util::future::join(survey.next(), surveyor.close(SOON)).await;
        assert!(answer.is_none());
        close_all!(respondent);
    }

    // In the middle of a handshake, accepted and dialled.
    let pull = PullSocket::new();
    let listener = pull.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut strangers = Vec::new();
    for _ in 0..10 {
        strangers.push(Stranger::tcp(listener.local_addr()).await);
    }
    until("they are accepted", || listener.stats().connections == 10).await;
    closes("shaking hands", DEADLINE, pull.close(SOON)).await;
    for stranger in &mut strangers {
        stranger.is_ended().await;
    }

    // With peers that never read, never end, or have half ended.
    let push = PushSocket::new();
    let listener = push.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut deaf = Stranger::tcp(listener.local_addr()).await;
    deaf.greet(Protocol::Pull).await;
    fill(&push, 100_000).await;
    let report = closes("a peer that never reads", DEADLINE, push.close(DEADLINE)).await;
    assert!(report.abandoned > 0);
    deaf.is_ended().await;
    let pull = PullSocket::new();
    let listener = pull.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut stubborn = Stranger::tcp(listener.local_addr()).await;
    stubborn.greet(Protocol::Push).await;
    pull.wait_peers(1).await.unwrap();
    closes("a peer that never ends", DEADLINE, pull.close(DEADLINE)).await;
    stubborn.is_ended().await;

    // No deadline at all is a deadline of nothing.
    let pull = PullSocket::new();
    let listener = pull.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut stubborn = Stranger::tcp(listener.local_addr()).await;
    stubborn.greet(Protocol::Push).await;
    pull.wait_peers(1).await.unwrap();
    closes("at once", Duration::ZERO, pull.close(Duration::ZERO)).await;
    stubborn.is_ended().await;

    // Closing that was given up goes on by itself, and so does what a dropped handle began.
    for drops in [false, true] {
        for url in ["tcp://127.0.0.1:0", "inproc://given-up"] {
            let options = Options { close_deadline: DEADLINE, ..Options::default() };
            let (push, pull) = (PushSocket::with(options), PullSocket::new());
            push.dial(pull.listen(url).await.unwrap().url()).await.unwrap();
            fill(&push, 100_000).await;
            if !drops {
                let close = push.close(SOON);
                let polled = futures_util::future::poll_immediate(close).await;
                assert!(polled.is_none(), "there is much to be sent first");
            }
            let mut ended = push.events();
            drop(push);
            let started = Instant::now();
            soon("the pusher is gone", async { while ended.next().await.is_some() {} }).await;
            assert!(started.elapsed() < DEADLINE + PROMPT);
            // Whoever does not take its messages sees the end only behind them.
            until("they part", || pull.try_recv().is_err() && pull.peers().is_empty()).await;
            close_all!(pull);
        }
    }
    bed.ends_clean().await;
}

/// Sends until it is full, and stays full: the kernel takes more of its own accord for a while.
async fn fill(push: &PushSocket, bytes: usize) {
    while push.send_timeout(vec![0; bytes], 3 * DEADLINE).await.is_ok() {}
}

/// The same once more, where closing meets senders and closers of other threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn close_from_several_threads_returns_while_a_peer_never_reads() {
    let bed = Bed::new();
    for round in 0..20 {
        let push = PushSocket::new();
        let listener = push.listen("tcp://127.0.0.1:0").await.unwrap();
        let mut deaf = Stranger::tcp(listener.local_addr()).await;
        deaf.greet(Protocol::Pull).await;
        push.wait_peers(1).await.unwrap();
        let pull = PullSocket::new();
        pull.dial(listener.url()).await.unwrap();
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let push = push.clone();
                tokio::spawn(async move {
                    loop {
                        match push.send(vec![0; 1_000]).await {
                            Ok(()) => tokio::task::yield_now().await,
                            Err(SendError::Closed(_)) => return,
                            Err(error) => panic!("{error}"),
                        }
                    }
                })
            })
            .collect();
        let puller = tokio::spawn({
            let pull = pull.clone();
            async move { while pull.recv().await.is_ok() {} }
        });
        until("it is under way", || push.stats().ledger.sent_messages > 100).await;
        let closers: Vec<_> = (0..4)
            .map(|n| {
                let push = push.clone();
                let deadline = Duration::from_millis(20 * (1 + (round + n) % 4));
                tokio::spawn(async move { closes("several", deadline, push.close(deadline)).await })
            })
            .collect();
        let mut reports = Vec::new();
        for closer in closers {
            reports.push(soon("a closer", closer).await.unwrap());
        }
        assert!(reports.windows(2).all(|pair| pair[0] == pair[1]), "{reports:?}");
        for sender in senders {
            soon("a sender", sender).await.unwrap();
        }
        deaf.is_ended().await;
        assert_eq!(push.stats().peers, 0);
        close_all!(pull);
        soon("the puller", puller).await.unwrap();
    }

    // Senders in full flight and a peer that takes everything: closing has nothing to wait for.
    for _ in 0..20 {
        let (push, pull) = (PushSocket::new(), PullSocket::new());
        push.dial(pull.listen("tcp://127.0.0.1:0").await.unwrap().url()).await.unwrap();
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let push = push.clone();
                tokio::spawn(async move { while push.send("x").await.is_ok() {} })
            })
            .collect();
        let puller = tokio::spawn({
            let pull = pull.clone();
            async move { while pull.recv().await.is_ok() {} }
        });
        until("it is under way", || pull.stats().ledger.delivered_messages > 100).await;
        let report = closes("in full flight", PROMPT, push.close(SOON)).await;
        assert_eq!(report.abandoned, 0);
        for sender in senders {
            soon("a sender", sender).await.unwrap();
        }
        close_all!(pull);
        soon("the puller", puller).await.unwrap();
    }
    bed.ends_clean().await;
}
