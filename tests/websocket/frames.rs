//! Good and bad frames, in any pieces.

use crate::peer::{Peer, event, frame};
use crate::support::within;
use spanwire::{
    DetachReason, Dropped, Event, Options, Pair0Socket, PubSocket, PullSocket, PushSocket, RecvError,
};
use std::time::Duration;
use tokio::net::TcpListener;

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: usize = 1_000;

/// What a peer does, what of it is told, and the code that it is told itself.
struct Bad {
    bytes: Vec<u8>,
    told: &'static str,
    code: u16,
}

fn bad(bytes: impl Into<Vec<u8>>, told: &'static str, code: u16) -> Bad {
    Bad { bytes: bytes.into(), told, code }
}

/// Every way to break the protocol that both sides have.
fn bad_frames(masked: bool) -> Vec<Bad> {
    let f = |first, payload: &[u8]| frame(masked, first, payload);
    let bit = u8::from(masked) << 7;
    let long = "length is not written as it has to be";
    vec![
        bad(f(0x81, b"text"), "a text frame", 1003),
        bad(f(0x01, b"te"), "a text frame", 1003),
        bad(f(0xc2, b"deflated"), "an extension, as for compression", 1002),
        bad(f(0xa2, b"x"), "an extension", 1002),
        bad(f(0x83, b"x"), "unknown kind 3", 1002),
        bad(f(0x8b, b"x"), "unknown kind 11", 1002),
        bad(f(0x09, b"x"), "a control frame in parts", 1002),
        bad(f(0x89, &[0; 126]), "more than 125 bytes", 1002),
        bad(f(0x80, b"x"), "had not begun", 1002),
        bad([f(0x02, b"x"), f(0x82, b"y")].concat(), "inside another one", 1002),
        bad(vec![0x82, bit | 126, 0, 5], long, 1002),
        bad(vec![0x82, bit | 127, 0, 0, 0, 0, 0, 0, 1, 0], long, 1002),
        bad(vec![0x82, bit | 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], long, 1002),
        bad(f(0x88, &[3]), "a code that there is not", 1002),
        bad(f(0x88, &[3, 0xed]), "a code that there is not", 1002),
        bad(f(0x88, &[3, 0xe8, 0xff, 0xfe]), "not UTF-8", 1007),
    ]
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_told_and_disturbs_nobody() {
    let pull = PullSocket::new();
    let mut events = pull.events();
    let listener = pull.listen("ws://127.0.0.1:0").await.unwrap();
    let honest = PushSocket::new();
    honest.dial(listener.url()).await.unwrap();
    let mut cases = bad_frames(true);
    cases.push(bad(frame(false, 0x82, b"bare"), "without a mask", 1002));
    for Bad { bytes, told, code } in cases {
        let mut stranger = Peer::client(listener.local_addr(), "pull").await;
        stranger.frame(0x82, b"good").await;
        stranger.say(&bytes).await;
        assert_eq!(&within(pull.recv()).await.unwrap()[..], b"good", "what came before counts: {told}");
        let (mut why, mut error) = (None, None);
        event(&mut events, |event| {
            match event {
                Event::Detached(_, reason) => why = Some(*reason),
                Event::PeerBroke { error: text, .. } => error = Some(text.clone()),
                _ => {}
            }
            (why.is_some() && error.is_some()).then_some(())
        })
        .await;
        assert_eq!(why, Some(DetachReason::ProtocolViolation), "{told}");
        let error = error.unwrap();
        assert!(error.contains(told), "{error}");
        assert_eq!(listener.last_error(), Some(error));
        assert_eq!(stranger.heard().await, Some((0x88, code.to_be_bytes().to_vec())), "{told}");
        assert_eq!(stranger.heard().await, None);
        honest.send("still here").await.unwrap();
        assert_eq!(&within(pull.recv()).await.unwrap()[..], b"still here");
    }
    assert_eq!(pull.try_recv().unwrap_err(), RecvError::Empty);
    honest.close(SECOND).await;
    pull.close(SECOND).await;
}

#[tokio::test]
async fn a_server_that_breaks_the_protocol_is_told() {
    let mut cases = bad_frames(false);
    cases.push(bad(frame(true, 0x82, b"masked"), "with a mask", 1002));
    for Bad { bytes, told, code } in cases {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pull = PullSocket::new();
        let mut events = pull.events();
        let url = format!("ws://{}", server.local_addr().unwrap());
        let (dialled, mut peer) = tokio::join!(pull.dial(&url), Peer::server(&server));
        dialled.unwrap();
        peer.say(&bytes).await;
        let error = event(&mut events, |event| match event {
            Event::PeerBroke { error, .. } => Some(error.clone()),
            _ => None,
        });
        let error = error.await;
        assert!(error.contains(told), "{error}");
        assert_eq!(peer.heard().await, Some((0x88, code.to_be_bytes().to_vec())), "{told}");
        pull.close(SECOND).await;
    }
}

#[tokio::test]
async fn too_large_a_message_is_refused_before_it_has_come() {
    let pull = PullSocket::with(Options { max_message_bytes: LIMIT, ..Options::default() });
    let mut events = pull.events();
    let listener = pull.listen("ws://127.0.0.1:0").await.unwrap();
    let header = |first, length: u64| [&[first, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
    for (bytes, claimed) in [
        (frame(true, 0x82, &[7; LIMIT + 1])[..8].to_vec(), LIMIT + 1),
        ([frame(true, 0x02, &[7; 600]), frame(true, 0x80, &[7; 401])[..8].to_vec()].concat(), LIMIT + 1),
        (header(0x82, 1 << 40), 1 << 40),
        (header(0x02, 1 << 40), 1 << 40),
    ] {
        let mut stranger = Peer::client(listener.local_addr(), "pull").await;
        stranger.frame(0x82, &[7; LIMIT]).await;
        assert_eq!(within(pull.recv()).await.unwrap().len(), LIMIT, "the limit itself passes");
        stranger.say(&bytes).await;
        let dropped = event(&mut events, |event| match event {
            Event::Dropped { why, bytes, .. } => Some((*why, *bytes)),
            _ => None,
        });
        assert_eq!(dropped.await, (Dropped::TooLarge, claimed));
        let why = event(&mut events, |event| match event {
            Event::Detached(_, why) => Some(*why),
            _ => None,
        });
        assert_eq!(why.await, DetachReason::MessageTooLarge);
        assert_eq!(stranger.heard().await, Some((0x88, 1009_u16.to_be_bytes().to_vec())));
    }
    pull.close(SECOND).await;
}

#[tokio::test]
async fn parts_are_joined_with_control_frames_between_them() {
    let pair = Pair0Socket::new();
    let listener = pair.listen("ws://127.0.0.1:0").await.unwrap();
    let mut peer = Peer::client(listener.local_addr(), "pair").await;
    for (part, first) in [(&b"a"[..], 0x02), (b"", 0x00), (&[b'b'; 70_000], 0x00), (b"c", 0x80)] {
        peer.frame(first, part).await;
        peer.frame(0x8a, b"an answer that nobody asked for").await;
        peer.frame(0x89, &[first]).await;
        assert_eq!(peer.heard().await, Some((0x8a, vec![first])), "within a message, too");
    }
    let whole = within(pair.recv()).await.unwrap();
    assert_eq!(whole.len(), 70_002);
    assert_eq!((whole[0], whole[70_001]), (b'a', b'c'));
    pair.close(SECOND / 10).await;
}

#[tokio::test]
async fn in_whatever_pieces_bytes_come_the_same_messages_come_out() {
    let pull = PullSocket::new();
    let listener = pull.listen("ws://127.0.0.1:0").await.unwrap();
    let bodies: Vec<Vec<u8>> =
        [0, 1, 125, 126, 3_000, 65_535, 65_536, 20_000].iter().map(|n| vec![*n as u8; *n as usize]).collect();
    let mut bytes = Vec::new();
    for (n, body) in bodies.iter().enumerate() {
        let (front, back) = body.split_at(body.len() / 3);
        match n % 2 {
            0 => bytes.extend(frame(true, 0x82, body)),
            _ => bytes.extend(
                [frame(true, 0x02, front), frame(true, 0x89, b"?"), frame(true, 0x80, back)].concat(),
            ),
        }
    }
    // The same each time, so that a failure comes back.
    let mut random = 0x5eed_u64;
    for _ in 0..20 {
        let mut peer = Peer::client(listener.local_addr(), "pull").await;
        let write = async {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let most = [1, 3, 20, 2_000, 70_000][(random >> 32) as usize % 5];
                let size = (1 + random as usize % most).min(rest.len());
                peer.say(&rest[..size]).await;
                rest = &rest[size..];
                tokio::task::yield_now().await;
            }
            // Those that came together have one answer.
            assert_eq!(peer.heard().await, Some((0x8a, b"?".to_vec())));
        };
        let read = async {
            for body in &bodies {
                assert_eq!(pull.recv().await.unwrap()[..], body[..]);
            }
        };
        within(async { tokio::join!(write, read) }).await;
    }
    pull.close(SECOND).await;
}

#[tokio::test]
async fn a_flood_of_pings_costs_one_answer_and_disturbs_nobody() {
    let pull = PullSocket::new();
    let listener = pull.listen("ws://127.0.0.1:0").await.unwrap();
    let honest = PushSocket::new();
    honest.dial(listener.url()).await.unwrap();
    let mut flooder = Peer::client(listener.local_addr(), "pull").await;
    // It does not read at all meanwhile.
    let mut flood = Vec::new();
    for n in 0..200_000_u32 {
        flood.extend(frame(true, 0x89, &n.to_be_bytes()));
    }
    let (mut reading, mut writing) = flooder.stream.split();
    let shout = async {
        tokio::io::AsyncWriteExt::write_all(&mut writing, &flood).await.unwrap();
    };
    let work = async {
        for n in 0..100_u8 {
            honest.send(vec![n]).await.unwrap();
            assert_eq!(pull.recv().await.unwrap()[..], [n]);
        }
    };
    within(async { tokio::join!(shout, work) }).await;
    // The last one is answered in the end; each answer is to a later question than the one before.
    let mut last = None;
    while last != Some(199_999) {
        let mut pong = [0; 6];
        within(tokio::io::AsyncReadExt::read_exact(&mut reading, &mut pong)).await.unwrap();
        assert_eq!(pong[..2], [0x8a, 4]);
        let answered = u32::from_be_bytes([pong[2], pong[3], pong[4], pong[5]]);
        assert!(last.is_none_or(|last| last < answered));
        last = Some(answered);
    }
    honest.close(SECOND).await;
    pull.close(SECOND / 10).await;
}

#[tokio::test]
async fn an_end_between_messages_is_an_end_and_one_inside_is_a_loss() {
    let pull = PullSocket::new();
    let mut events = pull.events();
    let listener = pull.listen("ws://127.0.0.1:0").await.unwrap();
    let farewell = frame(true, 0x88, &[3, 0xe8]);
    let whole = frame(true, 0x82, b"whole");
    let part = frame(true, 0x02, b"part");
    for (bytes, why, answered) in [
        ([&whole[..], &farewell].concat(), DetachReason::PeerClosed, true),
        ([&whole[..], &frame(true, 0x88, b"")].concat(), DetachReason::PeerClosed, true),
        (whole.clone(), DetachReason::PeerClosed, false),
        ([&whole[..], &part, &farewell].concat(), DetachReason::ConnectionLost, true),
        ([&whole[..], &part].concat(), DetachReason::ConnectionLost, false),
        ([&whole[..], &whole[..7]].concat(), DetachReason::ConnectionLost, false),
        ([&whole[..], &whole[..1]].concat(), DetachReason::ConnectionLost, false),
    ] {
        let mut peer = Peer::client(listener.local_addr(), "pull").await;
        peer.say(&bytes).await;
        if !answered {
            tokio::io::AsyncWriteExt::shutdown(&mut peer.stream).await.unwrap();
        }
        let ended = event(&mut events, |event| match event {
            Event::Detached(_, why) => Some(*why),
            _ => None,
        });
        assert_eq!(ended.await, why);
        assert_eq!(&within(pull.recv()).await.unwrap()[..], b"whole");
        if answered {
            assert_eq!(peer.rest().await, b"\x88\x02\x03\xe8");
        }
    }
    assert_eq!(pull.try_recv().unwrap_err(), RecvError::Empty, "nothing broken was delivered");
    pull.close(SECOND).await;
}

#[tokio::test]
async fn a_socket_that_closes_says_farewell_behind_its_last_message() {
    let push = PushSocket::new();
    let listener = push.listen("ws://127.0.0.1:0").await.unwrap();
    let mut peer = Peer::client(listener.local_addr(), "push").await;
    push.wait_peers(1).await.unwrap();
    // More than the kernels hold: the farewell has to wait for room, too.
    let body = vec![7; 8 << 20];
    push.send(body.clone()).await.unwrap();
    let read = async {
        let mut got = 0;
        loop {
            match peer.heard().await.unwrap() {
                (0x02 | 0x00 | 0x80, part) => got += part.len(),
                (0x88, code) => break assert_eq!(code, [3, 0xe8]),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(got, body.len());
        peer.frame(0x88, &[3, 0xe8]).await;
        assert_eq!(peer.heard().await, None);
    };
    let (report, ()) = within(async { tokio::join!(push.close(SECOND * 20), read) }).await;
    assert_eq!((report.abandoned, report.unknown), (0, 0));
}

#[tokio::test]
async fn a_peer_that_is_not_wanted_is_told_that_we_go() {
    let pull = PullSocket::new();
    pull.set_filter(|_| false);
    let listener = pull.listen("ws://127.0.0.1:0").await.unwrap();
    let mut peer = Peer::client(listener.local_addr(), "pull").await;
    assert_eq!(peer.heard().await, Some((0x88, 1001_u16.to_be_bytes().to_vec())));
    assert_eq!(peer.heard().await, None);
    pull.close(SECOND).await;
}

#[tokio::test]
async fn a_slow_subscriber_loses_whole_messages_and_no_bytes() {
    let publisher = PubSocket::new();
    let listener = publisher.listen("ws://127.0.0.1:0").await.unwrap();
    let mut peer = Peer::client(listener.local_addr(), "pub").await;
    publisher.wait_peers(1).await.unwrap();
    // Nobody reads, so that the kernel is full soon and the oldest have to go.
    for n in 0..20_000_u32 {
        let mut body = n.to_be_bytes().to_vec();
        body.resize(1_000, n as u8);
        publisher.send(body).await.unwrap();
    }
    assert!(publisher.stats().ledger.dropped(Dropped::SlowSubscriber) > 0);
    let close = publisher.close(SECOND * 20);
    let read = async {
        let mut last = None;
        while let Some((0x82, body)) = peer.heard().await {
            let number = u32::from_be_bytes([body[0], body[1], body[2], body[3]]);
            assert!(last.is_none_or(|last| last < number), "in order");
            assert!(body.len() == 1_000 && body[4..].iter().all(|byte| *byte == number as u8));
            last = Some(number);
        }
        assert_eq!(last, Some(19_999));
        drop(peer);
    };
    within(async { tokio::join!(close, read) }).await;
}
