//! Peers that misbehave, never read, or die at the worst moment.

use crate::support::{
    Bed, Marks, PROMPT, SOON, Stranger, close_all, detachment, drop_of, framed, refusal, soon, until,
};
use spanwire::{
    DetachReason, DialOptions, Dropped, Event, Listener, Message, Options, Protocol, PubSocket, PullSocket,
    PushSocket, RecvError, RepSocket, ReqSocket, RequestError, SendError, Start, SubSocket,
};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Dials at once, and again soon after a loss.
fn persistent() -> DialOptions {
    DialOptions {
        start: Start::Background,
        reconnect_min: Duration::from_millis(1),
        reconnect_max: Duration::from_millis(20),
        ..DialOptions::default()
    }
}

async fn rep_socket(options: Options) -> (RepSocket, Listener) {
    let rep = RepSocket::with(options);
    let listener = rep.listen("tcp://127.0.0.1:0").await.unwrap();
    (rep, listener)
}

/// Receives one request and sends it back.
async fn echo(rep: &RepSocket) -> Vec<u8> {
    let request = soon("a request", rep.recv()).await.unwrap();
    let body = request.to_vec();
    request.reply(body.clone()).await.unwrap();
    body
}

#[tokio::test]
async fn subscriber_that_sends_disturbs_nobody() {
    let bed = Bed::new();
    let publisher = PubSocket::new();
    let listener = publisher.listen("tcp://127.0.0.1:0").await.unwrap();
    let sub = SubSocket::new();
    sub.subscribe("");
    sub.dial(listener.url()).await.unwrap();
    publisher.wait_peers(1).await.unwrap();
    let mut events = publisher.events();
    for said in [&b""[..], b"subscribe to this", &[0; 100_000]] {
        let mut stranger = Stranger::tcp(listener.local_addr()).await;
        stranger.greet(Protocol::Sub).await;
        publisher.wait_peers(2).await.unwrap();
        stranger.frame(said).await;
        assert_eq!(drop_of(&mut events).await, (Dropped::Unexpected, said.len()));
        assert_eq!(detachment(&mut events).await, DetachReason::ProtocolViolation);
        stranger.is_ended().await;
        publisher.send("news").await.unwrap();
        assert_eq!(&soon("the news", sub.recv()).await.unwrap()[..], b"news");
    }
    assert_eq!(publisher.stats().ledger.dropped(Dropped::Unexpected), 3);
    assert_eq!(publisher.stats().ledger.dropped_total(), 3);
    close_all!(publisher, sub);
    bed.ends_clean().await;
}

#[tokio::test]
async fn puller_that_sends_is_counted_and_goes_on_pulling() {
    let bed = Bed::new();
    let push = PushSocket::new();
    let listener = push.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut events = push.events();
    let mut stranger = Stranger::tcp(listener.local_addr()).await;
    stranger.greet(Protocol::Pull).await;
    for _ in 0..3 {
        stranger.frame(b"what?").await;
        assert_eq!(drop_of(&mut events).await, (Dropped::Unexpected, 5));
        push.send("a job").await.unwrap();
        assert_eq!(stranger.heard().await.unwrap(), b"a job");
    }
    drop(stranger);
    close_all!(push);
    bed.ends_clean().await;
}

#[tokio::test]
async fn peer_that_never_reads_costs_bounded_memory() {
    const MESSAGES: usize = 50;
    const BYTES: usize = 1_000;
    let bed = Bed::new();
    let options = Options { outbox_messages: MESSAGES, outbox_bytes: 20_000, ..Options::default() };

    // A publisher goes on: the one that does not read loses its oldest messages.
    let publisher = PubSocket::with(options.clone());
    let listener = publisher.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut deaf = Stranger::tcp(listener.local_addr()).await;
    deaf.greet(Protocol::Sub).await;
    let sub = SubSocket::new();
    sub.subscribe("");
    sub.dial(listener.url()).await.unwrap();
    publisher.wait_peers(2).await.unwrap();
    let mut sent = 0;
    while publisher.stats().ledger.dropped(Dropped::SlowSubscriber) < 1_000 {
        publisher.send(vec![b'x'; BYTES]).await.unwrap();
        sent += 1;
        assert_eq!(soon("the news", sub.recv()).await.unwrap().len(), BYTES, "the other misses nothing");
        assert!(publisher.stats().waiting_messages <= MESSAGES.min(20_000 / BYTES) + 1);
    }
    let stats = publisher.stats();
    let flushed: u64 = publisher.peers().iter().map(|peer| peer.stats.sent_messages).sum();
    let told = flushed + stats.waiting_messages as u64 + stats.ledger.dropped(Dropped::SlowSubscriber);
    assert_eq!((stats.ledger.sent_messages, told), (sent, 2 * sent), "two subscribers, every message told");
    let started = Instant::now();
    let report = publisher.close(Duration::from_millis(100)).await;
    assert!(started.elapsed() < PROMPT, "nobody waits longer than the deadline for it");
    assert_eq!(report.flushed + report.abandoned, stats.waiting_messages as u64, "{report:?}");
    deaf.is_ended().await;
    close_all!(sub);

    // A pusher gives its jobs to others, and waits when there is no other.
    let push = PushSocket::with(Options { send_timeout: Some(Duration::from_millis(50)), ..options });
    let listener = push.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut deaf = Stranger::tcp(listener.local_addr()).await;
    deaf.greet(Protocol::Pull).await;
    push.wait_peers(1).await.unwrap();
    let mut sent = 0;
    let back = loop {
        match push.send(vec![b'x'; BYTES]).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(push.stats().waiting_messages <= MESSAGES);
    };
    assert!(matches!(&back, SendError::TimedOut(message) if message.len() == BYTES), "{back:?}");
    let pull = PullSocket::new();
    pull.dial(listener.url()).await.unwrap();
    for n in 0..1_000_u16 {
        push.send(n.to_be_bytes().to_vec()).await.unwrap();
        assert_eq!(soon("a job", pull.recv()).await.unwrap()[..], n.to_be_bytes());
    }
    let stats = push.stats();
    assert_eq!(stats.ledger.sent_messages, sent + 1_000);
    // The deaf one dies: what it was not sent whole goes to the other. What the kernel took is gone.
    let waiting = stats.waiting_messages as u64;
    let took: Vec<_> = push.peers().iter().map(|peer| peer.stats.sent_messages).collect();
    deaf.reset();
    for _ in 0..waiting {
        assert_eq!(soon("a job of the dead", pull.recv()).await.unwrap().len(), BYTES);
    }
    assert_eq!(took.iter().sum::<u64>() + waiting, sent + 1_000, "every job is accounted for");
    assert_eq!(push.stats().ledger.resent_messages, waiting);
    close_all!(push, pull);
    bed.ends_clean().await;
}

#[tokio::test]
async fn request_goes_elsewhere_when_its_rep_dies_before_replying() {
    let bed = Bed::new();
    let req = ReqSocket::new();
    let listener = req.listen("tcp://127.0.0.1:0").await.unwrap();
    for cruel in [false, true] {
        let mut dying = Stranger::tcp(listener.local_addr()).await;
        dying.greet(Protocol::Rep).await;
        req.wait_peers(1).await.unwrap();
        let mut events = req.events();
        let (rep, drama) = (RepSocket::new(), async |rep: &RepSocket| {
            let first = dying.heard().await.unwrap();
            rep.dial(listener.url()).await.unwrap();
            req.wait_peers(2).await.unwrap();
            match cruel {
                true => dying.reset(),
                false => drop(dying),
            }
            let why = detachment(&mut events).await;
            let expected = if cruel { DetachReason::ConnectionLost } else { DetachReason::PeerClosed };
            assert_eq!(why, expected);
            assert_eq!(&first[4..], b"to whom it may concern");
            assert_eq!(echo(rep).await, b"to whom it may concern");
        });
        let asked = req.request("to whom it may concern");
        let (reply, ()) = soon("a reply", futures_util::future::join(asked, drama(&rep))).await;
        assert_eq!(&reply.unwrap()[..], b"to whom it may concern");
        close_all!(rep);
        until("it is gone", || req.peers().is_empty()).await;
    }
    assert_eq!(req.stats().ledger.resent_messages, 2);
    close_all!(req);
    bed.ends_clean().await;
}

/// Passes bytes on in both directions, until the replier has sent so many: those are swallowed, and
/// both connections are cut. After that it passes on everything.
async fn swallowing_proxy(listener: TcpListener, to: SocketAddr, swallow_after: usize) {
    let mut armed = true;
    loop {
        let mut near = listener.accept().await.unwrap().0;
        let mut far = TcpStream::connect(to).await.unwrap();
        let (mut near_reader, mut near_writer) = near.split();
        let (mut far_reader, mut far_writer) = far.split();
        let forth = tokio::io::copy(&mut near_reader, &mut far_writer);
        let back = async {
            let mut passed = 0;
            let mut bytes = [0; 4096];
            loop {
                let count = far_reader.read(&mut bytes).await?;
                if count == 0 || (armed && passed + count > swallow_after) {
                    return std::io::Result::Ok(());
                }
                near_writer.write_all(&bytes[..count]).await?;
                passed += count;
            }
        };
        tokio::select! {
            _ = forth => {}
            _ = back => armed = false,
        }
    }
}

#[tokio::test]
async fn reply_lost_in_the_kernel_is_asked_for_again() {
    let bed = Bed::new();
    let (rep, listener) = rep_socket(Options::default()).await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", proxy.local_addr().unwrap());
    let proxy = tokio::spawn(swallowing_proxy(proxy, listener.local_addr().unwrap(), 8));
    let req = ReqSocket::new();
    req.dial_with(&url, persistent()).await.unwrap();
    // Connected straight to the replier: what happens next to it is nothing to this one.
    let honest = ReqSocket::new();
    honest.dial(listener.url()).await.unwrap();
    let serve = async {
        // The replier did its work and handed its reply to the kernel; nobody tells it of the loss.
        assert_eq!(echo(&rep).await, b"once or twice");
        assert_eq!(echo(&rep).await, b"once or twice");
    };
    let (reply, ()) = soon("a reply", futures_util::future::join(req.request("once or twice"), serve)).await;
    assert_eq!(&reply.unwrap()[..], b"once or twice");
    assert_eq!(req.stats().ledger.resent_messages, 1);
    let (reply, _) = futures_util::future::join(honest.request("direct"), echo(&rep)).await;
    assert_eq!(&reply.unwrap()[..], b"direct");
    assert_eq!(rep.stats().ledger.dropped_total(), 0);
    close_all!(req, honest, rep);
    proxy.abort();
    bed.ends_clean().await;
}

#[tokio::test]
async fn reply_that_never_comes_is_asked_for_again_after_the_resend_time() {
    let bed = Bed::new();
    let options = Options { resend_time: Some(Duration::from_millis(20)), ..Options::default() };
    let req = ReqSocket::with(options);
    let listener = req.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut forgetful = Stranger::tcp(listener.local_addr()).await;
    forgetful.greet(Protocol::Rep).await;
    let serve = async {
        let first = forgetful.heard().await.unwrap();
        let second = forgetful.heard().await.unwrap();
        assert_eq!(first, second, "the same bytes, id included");
        forgetful.frame(&first).await;
    };
    let (reply, ()) = soon("a reply", futures_util::future::join(req.request("again"), serve)).await;
    assert_eq!(&reply.unwrap()[..], b"again");
    assert!(req.stats().ledger.resent_messages >= 1);
    drop(forgetful);
    close_all!(req);
    bed.ends_clean().await;
}

#[tokio::test]
async fn oversize_request_fails_instead_of_being_resent_for_ever() {
    const LIMIT: usize = 1_000;
    for size in [LIMIT + 1, 10_000, 3_000_000] {
        let bed = Bed::new();
        let options = Options { max_message_bytes: LIMIT, ..Options::default() };
        let failures = options.resend_failures;
        let (rep, listener) = rep_socket(options).await;
        let mut events = rep.events();
        let honest = ReqSocket::new();
        honest.dial(listener.url()).await.unwrap();
        let req = ReqSocket::new();
        req.dial_with(listener.url(), persistent()).await.unwrap();
        let error = soon("an answer", req.request(vec![1; size])).await.unwrap_err();
        assert_eq!(error, RequestError::Recv(RecvError::Rejected), "{size}");
        assert!(!error.is_transient());
        for _ in 0..failures {
            let (why, bytes) = drop_of(&mut events).await;
            assert_eq!((why, bytes), (Dropped::TooLarge, size + 4));
        }
        assert_eq!(rep.stats().ledger.dropped(Dropped::TooLarge), u64::from(failures), "and no more");
        // The same socket goes on with what fits, and so does everybody else.
        for asker in [&req, &honest] {
            let (reply, _) =
                soon("a reply", futures_util::future::join(asker.request(vec![2; LIMIT - 4]), echo(&rep)))
                    .await;
            assert_eq!(reply.unwrap().len(), LIMIT - 4);
        }
        close_all!(req, honest, rep);
        bed.ends_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listener_restarted_on_the_same_port_under_load_is_found_again() {
    const RESTARTS: usize = 5;
    let bed = Bed::new();

    // Jobs in numbered order, without a pause.
    let mut pull = PullSocket::new();
    let url = pull.listen("tcp://127.0.0.1:0").await.unwrap().url().to_owned();
    let push = PushSocket::new();
    push.dial_with(&url, persistent()).await.unwrap();
    let load = tokio::spawn({
        let push = push.clone();
        async move {
            for n in 0_u64.. {
                match push.send(n.to_be_bytes().to_vec()).await {
                    Ok(()) => {}
                    Err(SendError::Closed(_)) => return n,
                    Err(error) => panic!("{error}"),
                }
            }
            0
        }
    });
    let mut seen = BTreeSet::new();
    let mut receive = async |pull: &PullSocket, count: usize| {
        for _ in 0..count {
            let job = soon("a job", pull.recv()).await.unwrap();
            let number = u64::from_be_bytes(job[..].try_into().unwrap());
            assert!(seen.insert(number), "job {number} came twice");
        }
    };
    for round in 0..RESTARTS {
        receive(&pull, 2_000).await;
        match round % 2 {
            // The whole socket goes, with what it had received.
            0 => {
                close_all!(pull);
                pull = PullSocket::new();
                pull.listen(&url).await.unwrap();
            }
            // Only the listener and its connections.
            _ => {
                let other = PullSocket::new();
                close_all!(std::mem::replace(&mut pull, other));
                let listener = pull.listen(&url).await.unwrap();
                receive(&pull, 100).await;
                listener.close();
                pull.listen(&url).await.unwrap();
            }
        }
    }
    receive(&pull, 2_000).await;
    tokio::select! {
        _ = soon("the end of the pusher", push.close(SOON)) => {}
        () = async { loop { receive(&pull, 1).await; } } => unreachable!(),
    }
    let sent = soon("the load ends", load).await.unwrap();
    assert!(seen.len() as u64 <= sent);
    close_all!(pull);

    // Requests: each gets its reply, whatever happens to the listener meanwhile.
    let (mut rep, listener) = rep_socket(Options::default()).await;
    let url = listener.url().to_owned();
    let req = ReqSocket::new();
    req.dial_with(&url, persistent()).await.unwrap();
    for round in 0_u8..5 {
        let asking = futures_util::future::join_all((0..50_u8).map(|n| req.request(vec![round, n])));
        let serving = async {
            for _ in 0..10 {
                echo(&rep).await;
            }
            close_all!(rep);
            let next = RepSocket::new();
            next.listen(&url).await.unwrap();
            next
        };
        let mut asking = std::pin::pin!(asking);
        let next = tokio::select! {
            next = serving => next,
            _ = &mut asking => unreachable!("most requests are not answered yet"),
        };
        rep = next;
        let replies = tokio::select! {
            replies = soon("all replies", &mut asking) => replies,
            () = async { loop { echo(&rep).await; } } => unreachable!(),
        };
        for (n, reply) in (0_u8..).zip(replies) {
            assert_eq!(reply.unwrap()[..], [round, n]);
        }
    }
    close_all!(req, rep);
    bed.ends_clean().await;
}

#[tokio::test]
async fn listener_may_be_closed_and_opened_again_at_once() {
    let bed = Bed::new();
    let place = crate::support::Place::new();
    for url in ["tcp://127.0.0.1:0", &place.url(), "inproc://closed-and-opened"] {
        let pull = PullSocket::new();
        let mut listener = pull.listen(url).await.unwrap();
        for _ in 0..10 {
            listener.close();
            listener = pull.listen(listener.url()).await.unwrap();
        }
        let push = PushSocket::new();
        push.dial(listener.url()).await.unwrap();
        push.send("found").await.unwrap();
        assert_eq!(&soon("a job", pull.recv()).await.unwrap()[..], b"found");
        close_all!(push, pull);
    }
    bed.ends_clean().await;
}

/// A peer that has ended its half of the connection, and one that pours while it never reads.
#[tokio::test]
async fn half_closed_and_pouring_peers_hold_nothing_up() {
    let bed = Bed::new();
    let (rep, listener) = rep_socket(Options::default()).await;
    let mut events = rep.events();
    let mut half = Stranger::tcp(listener.local_addr()).await;
    half.greet(Protocol::Req).await;
    half.stream.shutdown().await.unwrap();
    assert_eq!(detachment(&mut events).await, DetachReason::PeerClosed);
    half.is_ended().await;

    let mut pouring = Stranger::tcp(listener.local_addr()).await;
    pouring.greet(Protocol::Req).await;
    let request = framed(Marks::Tcp, &[&[0x80, 0, 0, 1][..], &[7; 10_000]].concat());
    let (mut reader, mut writer) = pouring.stream.into_split();
    let pour = tokio::spawn(async move { while writer.write_all(&request).await.is_ok() {} });
    let honest = ReqSocket::new();
    honest.dial(listener.url()).await.unwrap();
    let serve = async {
        loop {
            let request = rep.recv().await.unwrap();
            let body = request.to_vec();
            match request.try_reply(body) {
                Ok(()) | Err(SendError::Full(_)) => {}
                Err(error) => panic!("{error}"),
            }
            tokio::task::yield_now().await;
        }
    };
    let ask = async {
        for n in 0..20_u8 {
            assert_eq!(soon("a reply", honest.request(vec![n])).await.unwrap()[..], [n]);
        }
    };
    tokio::select! {
        () = serve => unreachable!(),
        () = ask => {}
    }
    assert!(rep.stats().waiting_messages <= Options::default().outbox_messages);
    let started = Instant::now();
    rep.close(Duration::from_millis(100)).await;
    assert!(started.elapsed() < PROMPT);
    let _ = reader.read(&mut [0; 1]).await;
    soon("it pours no more", pour).await.unwrap();
    close_all!(honest);
    bed.ends_clean().await;
}

/// A second peer of a PAIR, and peers that the filter does not like.
#[tokio::test]
async fn unwanted_peers_are_refused_with_the_reason() {
    let bed = Bed::new();
    let pair = spanwire::Pair0Socket::new();
    let listener = pair.listen("tcp://127.0.0.1:0").await.unwrap();
    let first = spanwire::Pair0Socket::new();
    first.dial(listener.url()).await.unwrap();
    pair.wait_peers(1).await.unwrap();
    let mut events = pair.events();
    let mut second = Stranger::tcp(listener.local_addr()).await;
    second.greet(Protocol::Pair0).await;
    assert_eq!(refusal(&mut events).await, DetachReason::Busy);
    second.is_ended().await;
    pair.set_filter(|_| false);
    let mut third = Stranger::tcp(listener.local_addr()).await;
    third.greet(Protocol::Pair0).await;
    assert_eq!(refusal(&mut events).await, DetachReason::Filtered);
    third.is_ended().await;
    while let Some(event) = events.try_next() {
        assert!(!matches!(event, Event::Attached(_) | Event::Detached(..)), "{event:?}");
    }
    pair.send(Message::from("hello")).await.unwrap();
    assert_eq!(&soon("it", first.recv()).await.unwrap()[..], b"hello");
    assert_eq!(pair.stats().ledger.refused_pipes, 2);
    close_all!(pair, first);
    bed.ends_clean().await;
}
