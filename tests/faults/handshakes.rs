//! What comes before a connection is a pipe.

use crate::support::{
    Bed, PROMPT, Place, SOON, Stranger, allow_descriptors, close_all, header, refusal, soon, until,
};
use spanwire::{
    DetachReason, DialError, DialOptions, Event, ListenOptions, Options, Protocol, PullSocket, PushSocket,
    Start,
};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

#[tokio::test]
async fn garbage_instead_of_a_handshake_closes_only_that_connection() {
    let bed = Bed::new();
    let pull = PullSocket::new();
    let mut events = pull.events();
    let listener = pull.listen("tcp://127.0.0.1:0").await.unwrap();
    let push = PushSocket::new();
    push.dial(listener.url()).await.unwrap();
    let mut reserved = header(Protocol::Push);
    reserved[7] = 1;
    let mut version = header(Protocol::Push);
    version[3] = 1;
    let garbage: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f",
        &[0; 64],
        &[0xff; 100_000],
        &reserved,
        &version,
    ];
    for (n, garbage) in garbage.iter().enumerate() {
        let mut stranger = Stranger::tcp(listener.local_addr()).await;
        stranger.say(garbage).await;
        assert_eq!(refusal(&mut events).await, DetachReason::BadHandshake, "garbage {n}");
        stranger.is_ended().await;
        push.send("still here").await.unwrap();
        assert_eq!(&soon("a job", pull.recv()).await.unwrap()[..], b"still here");
    }
    // Less than a header and then the end is no SP either, but nothing that could be judged.
    for length in 0..8 {
        let mut stranger = Stranger::tcp(listener.local_addr()).await;
        stranger.say(&header(Protocol::Push)[..length]).await;
        drop(stranger);
        let why = refusal(&mut events).await;
        assert!(matches!(why, DetachReason::PeerClosed | DetachReason::ConnectionLost), "{length}: {why}");
    }
    assert_eq!(pull.stats().ledger.refused_pipes, 16);
    until("the listener has counted them", || listener.stats().refused == 16).await;
    assert_eq!((pull.peers().len(), pull.stats().ledger.attached_pipes), (1, 1));
    close_all!(push, pull);
    bed.ends_clean().await;
}

#[tokio::test]
async fn garbage_from_a_listener_is_told_to_whoever_dialled_it() {
    let bed = Bed::new();
    let push = PushSocket::new();
    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", stranger.local_addr().unwrap());
    let answer = async {
        let mut stream = stranger.accept().await.unwrap().0;
        stream.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert_eq!(rest, header(Protocol::Push), "our header goes out in any case");
    };
    let (dialled, ()) = soon("the end", futures_util::future::join(push.dial(&url), answer)).await;
    let error = dialled.unwrap_err();
    assert!(matches!(error, DialError::Refused { why: DetachReason::BadHandshake, .. }), "{error}");
    assert!(!error.is_transient());
    close_all!(push);
    bed.ends_clean().await;
}

#[tokio::test]
async fn incompatible_protocol_is_refused_and_told() {
    let bed = Bed::new();
    let pull = PullSocket::new();
    let mut events = pull.events();
    let listener = pull.listen("tcp://127.0.0.1:0").await.unwrap();
    let push = PushSocket::new();
    push.dial(listener.url()).await.unwrap();
    let numbers = Protocol::ALL.into_iter().filter(|protocol| *protocol != Protocol::Push);
    let mut strange: Vec<[u8; 8]> = numbers.map(header).collect();
    // The early survey protocol, STAR, and what nobody ever was.
    for number in [[0, 0x60], [0, 0x61], [0x06, 0x40], [0xff, 0xff], [0, 0]] {
        strange.push([0, b'S', b'P', 0, number[0], number[1], 0, 0]);
    }
    for theirs in &strange {
        let mut stranger = Stranger::tcp(listener.local_addr()).await;
        stranger.say(theirs).await;
        assert_eq!(refusal(&mut events).await, DetachReason::WrongProtocol, "{theirs:x?}");
        let mut ours = [0; 8];
        soon("our header", stranger.stream.read_exact(&mut ours)).await.unwrap();
        assert_eq!(ours, header(Protocol::Pull), "a peer that is refused learns who we are");
        stranger.is_ended().await;
    }
    assert_eq!(pull.stats().ledger.refused_pipes, strange.len() as u64);
    // Whoever dials is told, on every transport.
    let place = Place::new();
    for url in ["tcp://127.0.0.1:0".into(), place.url(), "inproc://incompatible".into()] {
        let other = spanwire::RepSocket::new();
        let listener = other.listen(&url).await.unwrap();
        let error = soon("an answer", push.dial(listener.url())).await.unwrap_err();
        assert!(matches!(error, DialError::Refused { why: DetachReason::WrongProtocol, .. }), "{error}");
        assert!(!error.is_transient());
        until("both sides have counted it", || other.stats().ledger.refused_pipes == 1).await;
        close_all!(other);
    }
    push.send("still here").await.unwrap();
    assert_eq!(&soon("a job", pull.recv()).await.unwrap()[..], b"still here");
    close_all!(push, pull);
    bed.ends_clean().await;
}

#[tokio::test]
async fn slow_handshake_ends_at_its_deadline() {
    const DEADLINE: Duration = Duration::from_millis(200);
    let bed = Bed::new();
    let options = Options { handshake_timeout: DEADLINE, ..Options::default() };
    let pull = PullSocket::with(options.clone());
    let mut events = pull.events();
    let listener = pull.listen("tcp://127.0.0.1:0").await.unwrap();
    let push = PushSocket::with(options);
    push.dial(listener.url()).await.unwrap();

    // A byte now and then: the header would be whole after 7 of these, well behind the deadline. What
    // comes before it must not put it off.
    let started = Instant::now();
    let mut stranger = Stranger::tcp(listener.local_addr()).await;
    let trickle = async {
        let mut ticks = tokio::time::interval(DEADLINE / 4);
        for byte in header(Protocol::Push) {
            ticks.tick().await;
            stranger.say(&[byte]).await;
        }
    };
    let (why, ()) = futures_util::future::join(refusal(&mut events), trickle).await;
    assert_eq!(why, DetachReason::HandshakeTimeout);
    assert!(started.elapsed() >= DEADLINE);
    stranger.is_ended().await;
    assert_eq!(pull.peers().len(), 1, "it never became a peer");

    // One that says nothing at all, here and to whoever dials it.
    let mut stranger = Stranger::tcp(listener.local_addr()).await;
    assert_eq!(refusal(&mut events).await, DetachReason::HandshakeTimeout);
    stranger.is_ended().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", silent.local_addr().unwrap());
    let error = soon("an answer", push.dial(&url)).await.unwrap_err();
    assert!(matches!(error, DialError::Refused { why: DetachReason::HandshakeTimeout, .. }), "{error}");
    assert!(error.is_transient());

    push.send("still here").await.unwrap();
    assert_eq!(&soon("a job", pull.recv()).await.unwrap()[..], b"still here");
    close_all!(push, pull);
    bed.ends_clean().await;
}

/// So many may be in their handshake at once ...
const HALF_OPEN: usize = 64;
/// ... and so many come.
const STRANGERS: usize = 10 * HALF_OPEN;
/// An honest peer is served within this.
const SERVED: Duration = Duration::from_millis(100);
/// On a busy machine a single measurement may be late for other reasons; the best counts.
const MEASUREMENTS: usize = 10;

#[tokio::test]
async fn silent_strangers_do_not_delay_an_honest_peer_over_tcp() {
    silent_strangers("tcp://127.0.0.1:0", |url| {
        let address = url.strip_prefix("tcp://").expect("a tcp address");
        Box::new(std::net::TcpStream::connect(address).unwrap())
    })
    .await;
}

#[tokio::test]
async fn silent_strangers_do_not_delay_an_honest_peer_over_ipc() {
    let place = Place::new();
    silent_strangers(&place.url(), |url| {
        let path = url.strip_prefix("ipc://").expect("an ipc address");
        Box::new(std::os::unix::net::UnixStream::connect(path).unwrap())
    })
    .await;
}

/// A connection that is held and never used.
type Silent = Box<dyn Send>;

async fn silent_strangers(url: &str, connect: fn(&str) -> Silent) {
    allow_descriptors();
    let bed = Bed::new();
    let pull = PullSocket::new();
    let mut events = pull.events();
    let options = ListenOptions { half_open: HALF_OPEN, ..ListenOptions::default() };
    let listener = pull.listen_with(url, options).await.unwrap();
    let patient = PushSocket::new();
    patient.dial(listener.url()).await.unwrap();

    let (mut while_they_come, mut once_they_sit) = (Duration::MAX, Duration::MAX);
    let mut silent = Vec::new();
    for _ in 0..MEASUREMENTS {
        let url = listener.url().to_owned();
        let (half, half_came) = oneshot::channel();
        let crowd = std::thread::spawn(move || {
            let mut crowd: Vec<Silent> = (0..STRANGERS / 2).map(|_| connect(&url)).collect();
            half.send(()).unwrap();
            crowd.extend((0..STRANGERS / 2).map(|_| connect(&url)));
            crowd
        });
        half_came.await.unwrap();
        while_they_come = while_they_come.min(time_to_serve(&pull, listener.url()).await);
        silent.extend(crowd.join().unwrap());
        once_they_sit = once_they_sit.min(time_to_serve(&pull, listener.url()).await);
        patient.send("still here").await.unwrap();
        assert_eq!(&soon("a job", pull.recv()).await.unwrap()[..], b"still here");
        if while_they_come.max(once_they_sit) < SERVED {
            break;
        }
    }
    assert!(while_they_come < SERVED, "while strangers came, an honest peer waited {while_they_come:?}");
    assert!(once_they_sit < SERVED, "behind silent strangers, an honest peer waited {once_they_sit:?}");

    let let_go = || listener.stats().evicted as usize + HALF_OPEN >= silent.len();
    until("all but the youngest strangers were let go", let_go).await;
    assert_eq!(refusal(&mut events).await, DetachReason::HalfOpenLimit);
    assert_eq!(pull.stats().ledger.dropped_total(), 0);
    // The rest of them is still in its handshake: that holds nothing up.
    close_all!(patient, pull);
    bed.ends_clean().await;
}

/// How long it takes a new peer until its message is there.
async fn time_to_serve(pull: &PullSocket, url: &str) -> Duration {
    let started = Instant::now();
    let honest = PushSocket::new();
    soon("a place for an honest peer", honest.dial(url)).await.unwrap();
    honest.send("let me in").await.unwrap();
    assert_eq!(&soon("its job", pull.recv()).await.unwrap()[..], b"let me in");
    let took = started.elapsed();
    close_all!(honest);
    took
}

#[tokio::test]
async fn dialer_that_meets_a_dead_listener_is_closed_at_once() {
    let bed = Bed::new();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", silent.local_addr().unwrap());
    let push = PushSocket::new();
    let mut events = push.events();
    push.dial_with(&url, DialOptions { start: Start::Background, ..DialOptions::default() }).await.unwrap();
    let mut accepted = Stranger::over_tcp(soon("a connection", silent.accept()).await.unwrap().0);
    let started = Instant::now();
    push.close(SOON).await;
    assert!(started.elapsed() < PROMPT, "a handshake that will never end is not waited for");
    accepted.is_ended().await;
    while let Some(event) = events.next().await {
        assert!(!matches!(event, Event::Attached(_)), "{event:?}");
    }
    bed.ends_clean().await;
}
