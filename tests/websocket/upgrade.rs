//! Good and bad opening handshakes, on both sides.

use crate::peer::{Peer, answer_to, event, frame, request};
use crate::support::within;
use spanwire::{
    DetachReason, DialError, DialOptions, Event, ListenError, ListenOptions, Options, Origins, PullSocket,
    PushSocket, UpgradeError, WsDialOptions, WsError, WsListenOptions,
};
use std::time::Duration;
use tokio::net::TcpListener;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn every_bad_request_is_answered_and_told_by_its_cause() {
    let pull = PullSocket::new();
    let mut events = pull.events();
    let listener = pull.listen("ws://127.0.0.1:0/jobs").await.unwrap();
    let honest = PushSocket::new();
    honest.dial(listener.url()).await.unwrap();
    let good = request("/jobs", "pull", "");
    let without = |line: &str| {
        let lines = good.split_inclusive("\r\n").filter(|other| !other.starts_with(line));
        lines.collect::<String>()
    };
    let missing = |name| WsError::MissingHeader { name };
    let cases = [
        ("\0SP\0\0\x50\0\0".to_owned(), WsError::NotHttp, 400),
        ("\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03".to_owned(), WsError::NotHttp, 400),
        ("GET /jobs HTTP/1.1\r\nno header\r\n\r\n".to_owned(), WsError::NotHttp, 400),
        (good.replace("GET", "POST"), WsError::BadMethod, 405),
        (good.replace("/jobs", "/elsewhere?q=1"), WsError::NoSuchPath { path: "/elsewhere".into() }, 404),
        ("GET /jobs HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), WsError::NoUpgrade, 426),
        (good.replace("HTTP/1.1", "HTTP/1.0"), WsError::NoUpgrade, 426),
        (good.replace(": 13", ": 12"), WsError::BadVersion { version: "12".into() }, 400),
        (without("Sec-WebSocket-Key"), missing("Sec-WebSocket-Key"), 400),
        (without("Sec-WebSocket-Protocol"), missing("Sec-WebSocket-Protocol"), 400),
        (good.replace("dGhl", ""), WsError::BadKey, 400),
        (request("/jobs", "pull", "Content-Length: 3\r\n"), WsError::Body, 400),
        (
            request("/jobs", "rep", ""),
            WsError::WrongSubprotocol {
                expected: "pull.sp.nanomsg.org".into(),
                found: "rep.sp.nanomsg.org".into(),
            },
            400,
        ),
        (
            request("/jobs", "pull", "Origin: https://evil.example\r\n"),
            WsError::ForeignOrigin { origin: "https://evil.example".into() },
            403,
        ),
        (format!("GET /jobs HTTP/1.1\r\nX: {}", "x".repeat(9_000)), WsError::HeadTooLarge, 431),
        (format!("GET /jobs HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(65)), WsError::HeadTooLarge, 431),
    ];
    let count = cases.len() as u64;
    for (head, expected, status) in cases {
        let mut stranger = Peer::connect(listener.local_addr()).await;
        stranger.say(head.as_bytes()).await;
        let answer = String::from_utf8(stranger.rest().await).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{expected:?}: {answer}");
        assert!(answer.contains("Connection: close\r\n") && answer.ends_with('\n'), "{answer}");
        let error = event(&mut events, |event| match event {
            Event::UpgradeFailed { url, error } => Some((url.clone(), error.clone())),
            _ => None,
        });
        assert_eq!(error.await, (listener.url().into(), UpgradeError::WebSocket(expected)));
        honest.send("still here").await.unwrap();
        assert_eq!(&within(pull.recv()).await.unwrap()[..], b"still here");
    }
    let ledger = pull.stats().ledger;
    assert_eq!((ledger.refused_pipes, ledger.attached_pipes), (count, 1));
    assert_eq!(listener.stats().refused, count);
    honest.close(SECOND).await;
    pull.close(SECOND).await;
}

#[tokio::test]
async fn every_bad_answer_is_an_error_of_dialling_that_names_the_cause() {
    type Change = fn(String) -> String;
    let status = |code, text: &str| WsError::Status { code, text: text.into() };
    let cases: [(Change, WsError, bool); 9] = [
        (|_| "HTTP/1.1 404 Not Found\r\n\r\n".into(), status(404, ""), true),
        (|_| "HTTP/1.1 403 Forbidden\r\n\r\nno pages\n".into(), status(403, "no pages"), false),
        (|_| "HTTP/1.1 503 Busy\r\n\r\n".into(), status(503, ""), true),
        (|_| "\0SP\0\0\x51\0\0".into(), WsError::NotHttp, false),
        (|good| good.replace("Upgrade: websocket\r\n", ""), WsError::NoUpgrade, false),
        (|good| good.replace("Accept: ", "Accept: x"), WsError::BadAccept, false),
        (
            |good| good.replace("pull.sp", "rep.sp"),
            WsError::WrongSubprotocol {
                expected: "pull.sp.nanomsg.org".into(),
                found: "rep.sp.nanomsg.org".into(),
            },
            false,
        ),
        (
            |good| good.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
            WsError::UnaskedExtension,
            false,
        ),
        (
            |good| good.replace("\r\n\r\n", &format!("\r\nX: {}", "x".repeat(9_000))),
            WsError::HeadTooLarge,
            false,
        ),
    ];
    for (change, expected, transient) in cases {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let push = PushSocket::new();
        let url = format!("ws://{}", server.local_addr().unwrap());
        let serve = async {
            let mut peer = Peer::over(server.accept().await.unwrap().0);
            let good = String::from_utf8(answer_to(&peer.head().await)).unwrap();
            peer.say(change(good).as_bytes()).await;
            peer.rest().await;
        };
        let (dialled, ()) = within(async { tokio::join!(push.dial(&url), serve) }).await;
        match dialled {
            Err(error @ DialError::Upgrade { .. }) => {
                assert_eq!(error.is_transient(), transient, "{error}");
                let DialError::Upgrade { error, .. } = error else { unreachable!() };
                assert_eq!(error, UpgradeError::WebSocket(expected));
            }
            other => panic!("{other:?}"),
        }
        push.close(SECOND).await;
    }
}

#[tokio::test]
async fn ends_and_silence_in_the_handshake_are_told_apart() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", server.local_addr().unwrap());
    let push = PushSocket::new();
    let (dialled, _) = tokio::join!(push.dial(&url), async { drop(server.accept().await) });
    assert!(
        matches!(
            dialled,
            Err(DialError::Upgrade { error: UpgradeError::Ended, .. } | DialError::Connect { .. })
        ),
        "{dialled:?}"
    );
    let impatient = DialOptions { connect_timeout: Some(SECOND / 20), ..DialOptions::default() };
    match within(push.dial_with(&url, impatient)).await {
        Err(DialError::TimedOut { .. }) => {}
        other => panic!("{other:?}"),
    }
    push.close(SECOND).await;

    let pull = PullSocket::with(Options { handshake_timeout: SECOND / 20, ..Options::default() });
    let mut events = pull.events();
    let listener = pull.listen("ws://127.0.0.1:0").await.unwrap();
    let mut slow = Peer::connect(listener.local_addr()).await;
    slow.say(b"GET / HTTP/1.1\r\nHost: ").await;
    let failed = async |events: &mut _| {
        event(events, |event| match event {
            Event::UpgradeFailed { error, .. } => Some(error.clone()),
            _ => None,
        })
        .await
    };
    assert_eq!(failed(&mut events).await, UpgradeError::TimedOut);
    assert_eq!(slow.rest().await, b"");
    let mut short = Peer::connect(listener.local_addr()).await;
    short.say(b"GET / HTTP/1.1\r\n").await;
    drop(short);
    assert_eq!(failed(&mut events).await, UpgradeError::Ended);
    pull.close(SECOND).await;
}

#[tokio::test]
async fn a_slow_head_makes_room_for_others() {
    let pull = PullSocket::new();
    let mut events = pull.events();
    let options = ListenOptions { half_open: 3, ..ListenOptions::default() };
    let listener = pull.listen_with("ws://127.0.0.1:0", options).await.unwrap();
    let mut slow = Vec::new();
    for _ in 0..10 {
        let mut peer = Peer::connect(listener.local_addr()).await;
        peer.say(b"GET / HTTP/1.1\r\nHost: loc").await;
        slow.push(peer);
    }
    for _ in 0..7 {
        let why = event(&mut events, |event| match event {
            Event::Refused(None, why) => Some(*why),
            _ => None,
        });
        assert_eq!(why.await, DetachReason::HalfOpenLimit);
    }
    let push = PushSocket::new();
    within(push.dial(listener.url())).await.unwrap();
    push.send("in time").await.unwrap();
    assert_eq!(&within(pull.recv()).await.unwrap()[..], b"in time");
    assert!(listener.stats().evicted >= 8);
    push.close(SECOND).await;
    pull.close(SECOND).await;
}

#[tokio::test]
async fn a_head_may_come_byte_by_byte_and_frames_right_behind_it() {
    let pull = PullSocket::new();
    let listener = pull.listen("ws://127.0.0.1:0").await.unwrap();
    let mut peer = Peer::connect(listener.local_addr()).await;
    for byte in request("/", "pull", "").as_bytes() {
        peer.say(&[*byte]).await;
    }
    assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
    let mut hasty = Peer::connect(listener.local_addr()).await;
    let bytes = [request("/", "pull", "").into_bytes(), frame(true, 0x82, b"hasty")].concat();
    hasty.say(&bytes).await;
    assert_eq!(&within(pull.recv()).await.unwrap()[..], b"hasty");

    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", server.local_addr().unwrap());
    let serve = async {
        let mut peer = Peer::over(server.accept().await.unwrap().0);
        let answer = answer_to(&peer.head().await);
        let many = frame(false, 0x82, &[7; 100]).repeat(1_000);
        peer.say(&[answer, frame(false, 0x82, b"with the answer"), many].concat()).await;
        peer
    };
    let dialler = PullSocket::new();
    let (dialled, peer) = tokio::join!(dialler.dial(&url), serve);
    dialled.unwrap();
    assert_eq!(&within(dialler.recv()).await.unwrap()[..], b"with the answer");
    for _ in 0..1_000 {
        assert_eq!(within(dialler.recv()).await.unwrap()[..], [7; 100]);
    }
    drop(peer);
    dialler.close(SECOND).await;
    pull.close(SECOND / 10).await;
}

#[tokio::test]
async fn pages_of_listed_sites_are_let_in() {
    let of = |site: &str| DialOptions {
        ws: WsDialOptions { origin: Some(site.into()), ..WsDialOptions::default() },
        ..DialOptions::default()
    };
    for (origins, allowed) in [
        (Origins::default(), false),
        (Origins::Listed(vec!["https://other.example".into()]), false),
        (Origins::Listed(vec!["https://other.example".into(), "https://good.example".into()]), true),
        (Origins::Any, true),
    ] {
        let pull = PullSocket::new();
        let options = ListenOptions {
            ws: WsListenOptions { origins, ..WsListenOptions::default() },
            ..ListenOptions::default()
        };
        let listener = pull.listen_with("ws://127.0.0.1:0", options).await.unwrap();
        let page = PushSocket::new();
        match page.dial_with(listener.url(), of("https://good.example")).await {
            Ok(_) => assert!(allowed),
            Err(DialError::Upgrade {
                error: UpgradeError::WebSocket(WsError::Status { code, .. }), ..
            }) => {
                assert_eq!((code, allowed), (403, false));
            }
            other => panic!("{other:?}"),
        }
        let program = PushSocket::new();
        program.dial(listener.url()).await.unwrap();
        for socket in [page, program] {
            socket.close(SECOND).await;
        }
        pull.close(SECOND).await;
    }
}

#[tokio::test]
async fn headers_of_the_application_are_sent_and_cannot_break_out() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", server.local_addr().unwrap());
    let push = PushSocket::new();
    let with = |name: &str, value: &str| DialOptions {
        ws: WsDialOptions { headers: vec![(name.into(), value.into())], origin: None },
        ..DialOptions::default()
    };
    for (name, value) in [("X", "a\r\nEvil: yes"), ("X: y\r\nEvil", "yes"), ("Host", "elsewhere")] {
        match push.dial_with(&url, with(name, value)).await {
            Err(
                error @ DialError::Upgrade {
                    error: UpgradeError::WebSocket(WsError::BadOption { .. }), ..
                },
            ) => {
                assert!(!error.is_transient());
            }
            other => panic!("{other:?}"),
        }
    }
    // Nobody was bothered with those: the first request is the good one.
    let good = with("Authorization", "Bearer abc");
    let (dialled, mut peer) = tokio::join!(push.dial_with(&url, good), async {
        let mut peer = Peer::over(server.accept().await.unwrap().0);
        let head = peer.head().await;
        assert!(head.ends_with("\r\nAuthorization: Bearer abc\r\n\r\n"), "{head}");
        peer.say(&answer_to(&head)).await;
        peer
    });
    dialled.unwrap();
    push.close(SECOND / 10).await;
    peer.rest().await;

    let pull = PullSocket::new();
    let with = |value: String| ListenOptions {
        ws: WsListenOptions { headers: vec![("X-Served-By".into(), value)], ..WsListenOptions::default() },
        ..ListenOptions::default()
    };
    for bad in ["a\r\nEvil: yes".to_owned(), "x".repeat(500)] {
        match pull.listen_with("ws://127.0.0.1:0", with(bad)).await {
            Err(error @ ListenError::Bind { .. }) => assert!(!error.is_transient(), "{error}"),
            other => panic!("{other:?}"),
        }
    }
    let listener = pull.listen_with("ws://127.0.0.1:0", with("us".into())).await.unwrap();
    let mut peer = Peer::connect(listener.local_addr()).await;
    peer.say(request("/", "pull", "").as_bytes()).await;
    assert!(peer.head().await.ends_with("\r\nX-Served-By: us\r\n\r\n"));
    drop(peer);
    pull.close(SECOND).await;
}
