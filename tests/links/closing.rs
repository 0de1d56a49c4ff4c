//! The end of a connection, and what it tells.

use crate::support::*;
use spanwire::link::*;
use std::time::Duration;

#[tokio::test]
async fn closing_leaves_nothing_behind_over_every_transport() {
    for url in everywhere() {
        let bed = Bed::new();
        let (ann, bob, server) = pair_at(&url, LinkOptions::default()).await;
        ann.send("last words").await.unwrap();
        let report = ann.close(SOON).await;
        assert_eq!((report.flushed, report.abandoned, report.unknown), (1, 0, 0), "{url}");
        assert!(report.took < Duration::from_secs(5), "{url}: {:?}", report.took);
        assert_eq!(&soon("what came before", bob.recv()).await.unwrap().body[..], b"last words");
        let end = End::ClosedByPeer { reason: Reason::Closing, text: String::new() };
        assert_eq!(bob.recv().await, Err(RecvError::Closed(end.clone())));
        assert!(matches!(bob.send("x").await, Err(SendError::Closed { end: e, .. }) if e == end));
        assert!(matches!(ann.try_send("x"), Err(SendError::Closed { end: End::ClosedHere, .. })));
        server.close(SOON).await;
        assert!(matches!(server.accept().await, Err(RecvError::Closed(_))));
        drop((ann, bob, server));
        bed.ends_clean().await;
    }
}

#[tokio::test]
async fn what_the_peer_does_not_take_is_reported_as_abandoned() {
    let options = LinkOptions { recv_messages: 3, ..LinkOptions::default() };
    let (ann, bob, _server) = pair_with(options).await;
    for _ in 0..10 {
        ann.send("x").await.unwrap();
    }
    until("as many as may", || bob.stats().recv_waiting == 3).await;
    let report = soon("a close", ann.close(Duration::from_millis(50))).await;
    assert_eq!((report.flushed, report.abandoned, report.unknown), (3, 7, 0));
}

#[tokio::test]
async fn what_the_network_has_swallowed_is_unknown() {
    let (ann, bob, _server) = pair().await;
    ann.send("x").await.unwrap();
    assert_eq!(soon("it", bob.recv()).await.unwrap().body.len(), 1);
    // The other end goes without a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", silent.local_addr().unwrap());
    let conn = tokio::spawn(async move { Host::new("carol").connect(&url).await });
    let (stream, _) = silent.accept().await.unwrap();
    let mut stranger = Stranger { stream };
    stranger.hears_of(1).await;
    stranger.says(&hello()).await;
    stranger.hears_of(2).await;
    stranger.says(&session(2, b"\0\0")).await;
    let carol = soon("a connection", conn).await.unwrap().unwrap();
    for _ in 0..5 {
        carol.send("into the dark").await.unwrap();
    }
    for _ in 0..5 {
        stranger.hears().await;
    }
    drop(stranger);
    assert_eq!(soon("the loss", carol.ended()).await, End::Lost);
    let report = soon("a close", carol.close(SOON)).await;
    assert_eq!((report.flushed, report.abandoned, report.unknown), (0, 0, 5));
}

#[tokio::test]
async fn dropping_the_last_handle_sends_what_waits_and_closes() {
    let bed = Bed::new();
    let (ann, bob, server) = pair().await;
    for n in 0..100 {
        ann.send(Parcel::new(0, n, vec![0; 10_000])).await.unwrap();
    }
    let clone = ann.clone();
    drop(ann);
    clone.send(Parcel::new(0, 100, "last")).await.unwrap();
    drop(clone);
    for n in 0..=100 {
        assert_eq!(soon("a message", bob.recv()).await.unwrap().message, n);
    }
    assert!(matches!(bob.recv().await, Err(RecvError::Closed(End::ClosedByPeer { .. }))));
    drop((bob, server));
    bed.ends_clean().await;
}

#[tokio::test]
async fn closing_ends_all_waits() {
    let (ann, bob, _server) = pair().await;
    let conn = ann.clone();
    let waits = tokio::spawn(async move {
        tokio::join!(conn.recv(), conn.call("?"), conn.recv_request(), conn.recv_stream(), conn.ended())
    });
    until("the request is there", || bob.stats().recv_waiting == 1).await;
    soon("a close", ann.close(SOON)).await;
    let (recv, call, request, stream, end) = soon("the waits", waits).await.unwrap();
    assert_eq!(recv, Err(RecvError::Closed(End::ClosedHere)));
    assert_eq!(call, Err(CallError::Closed(End::ClosedHere)));
    assert_eq!(request.err(), Some(RecvError::Closed(End::ClosedHere)));
    assert_eq!(stream.err(), Some(RecvError::Closed(End::ClosedHere)));
    assert_eq!(end, End::ClosedHere);
}

#[tokio::test]
async fn both_may_close_at_once() {
    let (ann, bob, _server) = pair().await;
    ann.send("x").await.unwrap();
    let (a, b) = soon("both", async { tokio::join!(ann.close(SOON), bob.close(SOON)) }).await;
    assert_eq!(a.flushed + a.abandoned + a.unknown, 1);
    assert_eq!((b.flushed, b.abandoned, b.unknown), (0, 0, 0));
    // Whoever asks again hears the same.
    assert_eq!(soon("again", ann.close(SOON)).await.flushed, a.flushed);
}
