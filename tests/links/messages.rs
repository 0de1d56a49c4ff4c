//! Messages, both ways, over every transport.

use crate::support::*;
use bytes::Bytes;
use spanwire::link::*;
use std::time::{Duration, Instant};

#[tokio::test]
async fn messages_of_any_size_arrive_whole_and_in_order_over_every_transport() {
    for url in everywhere() {
        let (ann, bob, _server) = pair_at(&url, LinkOptions::default()).await;
        let sizes = [0, 1, 100, 4_096, 4_097, 65_536, 65_537, 1_000_000, 3_000_000, 5];
        let send = async {
            for (n, size) in sizes.into_iter().enumerate() {
                ann.send(Parcel::new(7, n as u16, vec![n as u8; size])).await.unwrap();
            }
        };
        let recv = async {
            for (n, size) in sizes.into_iter().enumerate() {
                let parcel = bob.recv().await.unwrap();
                assert_eq!((parcel.protocol, usize::from(parcel.message)), (7, n), "{url}");
                assert!(parcel.body.len() == size && parcel.body.iter().all(|byte| *byte == n as u8));
            }
        };
        soon(&url, async { tokio::join!(send, recv) }).await;
        bob.send("back").await.unwrap();
        assert_eq!(soon("an answer", ann.recv()).await.unwrap().body, Bytes::from("back"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_senders_and_receivers_share_a_connection() {
    let (ann, bob, _server) = pair().await;
    let senders = (0..4_u16).map(|n| {
        let ann = ann.clone();
        tokio::spawn(async move {
            for m in 0..2_000_u16 {
                let size = usize::from(m % 50) * 100;
                ann.send(Parcel::new(n, m, vec![n as u8; size])).await.unwrap();
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    let receivers = (0..2).map(|_| {
        let bob = bob.clone();
        tokio::spawn(async move {
            let mut last = [None; 4];
            let mut count = 0;
            while let Ok(parcel) = bob.recv().await {
                // Whole: nothing of another message is in it.
                assert!(parcel.body.iter().all(|byte| u16::from(*byte) == parcel.protocol));
                let last = &mut last[usize::from(parcel.protocol)];
                assert!(last.is_none_or(|last| last < parcel.message), "in order");
                *last = Some(parcel.message);
                count += 1;
            }
            count
        })
    });
    let receivers: Vec<_> = receivers.collect();
    for sender in senders {
        soon("all is sent", sender).await.unwrap();
    }
    let report = ann.close(SOON).await;
    assert_eq!((report.flushed, report.abandoned, report.unknown), (8_000, 0, 0));
    let mut count = 0;
    for receiver in receivers {
        count += soon("all is received", receiver).await.unwrap();
    }
    assert_eq!(count, 8_000);
}

#[tokio::test]
async fn who_does_not_receive_slows_down_who_sends() {
    let options = LinkOptions { recv_messages: 4, send_messages: 4, ..LinkOptions::default() };
    let (ann, bob, _server) = pair_with(options).await;
    let mut sent = 0;
    let error = loop {
        match ann.send_timeout("x", Duration::from_millis(50)).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(sent, 8);
    assert!(matches!(&error, SendError::TimedOut(parcel) if &parcel.body[..] == b"x"));
    assert!(error.is_transient());
    assert!(matches!(ann.try_send("x"), Err(SendError::Full(_))));
    assert_eq!(bob.stats().recv_waiting, 4);
    // A ping gets through all the same.
    ann.ping();
    until("a round trip", || ann.round_trip().is_some()).await;
    for _ in 0..8 {
        soon("a message", bob.recv()).await.unwrap();
    }
    soon("room", ann.send("x")).await.unwrap();
}

#[tokio::test]
async fn an_urgent_message_does_not_wait_for_large_ones() {
    let options = LinkOptions { recv_bytes: 64 << 20, send_bytes: 64 << 20, ..LinkOptions::default() };
    let (ann, bob, _server) = pair_with(options).await;
    for _ in 0..4 {
        ann.send(Parcel::new(0, 0, vec![0; 8 << 20]).at(Priority::Low)).await.unwrap();
    }
    ann.send(Parcel::new(0, 1, "now").at(Priority::Urgent)).await.unwrap();
    assert_eq!(soon("the urgent one", bob.recv()).await.unwrap().message, 1);
    for _ in 0..4 {
        assert_eq!(soon("the large ones", bob.recv()).await.unwrap().body.len(), 8 << 20);
    }
}

#[tokio::test]
async fn every_wait_has_a_deadline() {
    let (ann, bob, server) = pair().await;
    let short = Duration::from_millis(10);
    let past = Instant::now();
    assert_eq!(bob.recv_timeout(short).await, Err(RecvError::TimedOut));
    assert_eq!(bob.recv_deadline(past).await, Err(RecvError::TimedOut));
    assert_eq!(bob.try_recv(), Err(RecvError::Empty));
    assert_eq!(ann.call_timeout("anybody?", short).await, Err(CallError::TimedOut));
    assert_eq!(ann.call_deadline("anybody?", past).await, Err(CallError::TimedOut));
    assert!(matches!(ann.recv_stream_timeout(short).await, Err(RecvError::TimedOut)));
    assert!(matches!(ann.recv_request_timeout(short).await, Err(RecvError::TimedOut)));
    assert!(matches!(server.accept_timeout(short).await, Err(RecvError::TimedOut)));
    assert!(matches!(server.try_accept(), Err(RecvError::Empty)));
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", silent.local_addr().unwrap());
    let error = Host::new("x").connect_timeout(&url, short).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut) && error.is_transient());
    ann.send_deadline("there is room", past).await.unwrap();
}

#[tokio::test]
async fn the_two_halves_are_the_same_connection() {
    let (ann, bob, _server) = pair().await;
    let (sender, mut receiver) = ann.split();
    sender.send("ping").await.unwrap();
    bob.send(bob.recv().await.unwrap()).await.unwrap();
    assert_eq!(soon("an echo", receiver.recv()).await.unwrap().body, Bytes::from("ping"));
    assert_eq!(sender.conn().number(), receiver.conn().number());
    drop(sender);
    bob.send("more").await.unwrap();
    assert_eq!(soon("more", receiver.recv_timeout(SOON)).await.unwrap().body, Bytes::from("more"));
    assert_eq!(receiver.try_recv(), Err(RecvError::Empty));
    drop(receiver);
    assert!(matches!(soon("the end", bob.ended()).await, End::ClosedByPeer { reason: Reason::Closing, .. }));
}

#[tokio::test]
async fn metadata_are_known_from_the_start_and_their_changes_are_told() {
    let mut metadata = Metadata::default();
    metadata.set("role", "printer").unwrap();
    let options = HostOptions { name: "ann".into(), metadata, ..HostOptions::default() };
    let bob = Host::new("bob");
    let mut events = bob.events();
    let server = bob.serve("tcp://127.0.0.1:0").await.unwrap();
    let ann = Host::with(options).connect(&server.url()).await.unwrap();
    let there = server.accept().await.unwrap();
    assert_eq!(there.metadata().get("role"), Some(&b"printer"[..]));
    assert_eq!(there.peer().host, "ann");
    assert_eq!((ann.peer().host.as_str(), ann.peer().metadata.len()), ("bob", 0));
    let changed = {
        let there = there.clone();
        tokio::spawn(async move { there.metadata_changed().await.unwrap() })
    };
    tokio::task::yield_now().await;
    let mut other = Metadata::default();
    other.set("role", "scanner").unwrap();
    ann.update_metadata(other.clone()).unwrap();
    assert_eq!(soon("the change", changed).await.unwrap(), other);
    let told = event(&mut events, "an event", |event| match event {
        Event::Metadata(peer) => Some(peer.metadata.clone()),
        _ => None,
    });
    assert_eq!(told.await, other);
}

#[tokio::test]
async fn both_ends_and_both_hosts_are_known() {
    let (ann, bob, server) = pair().await;
    assert_eq!((ann.local(), ann.remote()), (bob.remote(), bob.local()));
    assert_eq!(ann.remote(), server.local_addr().map(spanwire::Place::Ip));
    let at_bob = bob.peer();
    assert_eq!((at_bob.host.as_str(), at_bob.origin.dialed), ("ann", false));
    let bobs = Host::new("bobs");
    let server = bobs.serve("abstract://").await.unwrap();
    let carol = Host::new("carol").connect(&server.url()).await.unwrap();
    let conn = server.accept().await.unwrap();
    assert_eq!(bobs.logical(conn.number()).as_deref(), Some("carol"));
    assert_eq!(bobs.transport("carol"), conn.remote());
    assert_eq!(bobs.peers().len(), 1);
    assert_eq!(conn.peer().ends.unwrap().credentials.unwrap().pid, Some(std::process::id() as i32));
    carol.close(SOON).await;
    until("nobody is there", || bobs.transport("carol").is_none() && bobs.peers().is_empty()).await;
}
