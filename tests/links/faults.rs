//! Peers that break the rules, flood, fall silent or stop reading; and runtimes that go.

use crate::support::*;
use spanwire::link::*;
use std::time::{Duration, Instant};

/// A server and its host's events.
async fn bob(link: LinkOptions) -> (Host, Events, Server) {
    let host = host("bob", link);
    let events = host.events();
    let server = host.serve("tcp://127.0.0.1:0").await.unwrap();
    (host, events, server)
}

/// The goodbye that a stranger hears: its reason and its text.
async fn goodbye(stranger: &mut Stranger) -> (u8, String) {
    let goodbye = stranger.hears_of(7).await;
    stranger.hears_the_end().await;
    (goodbye[1], String::from_utf8(goodbye[11..].to_vec()).unwrap())
}

#[tokio::test]
async fn whoever_breaks_the_rules_is_told_how_and_nobody_else_is_disturbed() {
    let (_host, mut events, server) = bob(LinkOptions::default()).await;
    let honest = connect(&server.url()).await.unwrap();
    let there = soon("it", server.accept()).await.unwrap();
    let cases: [(Vec<u8>, u8, &str); 9] = [
        (session(99, b""), 6, "the session has no message 0.99"),
        (frame(b"\x02\0\0\0\0"), 6, "there is no layer 2"),
        (frame(b"\x01"), 6, "a frame ends too early"),
        (b"\xff\xff\xff\xff".to_vec(), 7, "4294967295 bytes are more than allowed"),
        (session(5, b"short"), 6, "a frame ends too early"),
        (session(2, b"\0\0"), 6, "unexpected Ack"),
        (session(10, b"\0\0\0\x07x"), 6, "bad value of transfer"),
        (session(8, &[0xff; 16]), 6, "bad value of grant"),
        (
            session(9, b"\0\0\0\x07\0\0\0\0\0\x02\x7f\xff\xff\xff\xff\xff\xff\xff"),
            7,
            "9223372036854775807 bytes are more than allowed",
        ),
    ];
    for (bytes, reason, text) in cases {
        let mut stranger = Stranger::introduced(&server).await;
        stranger.says(&bytes).await;
        assert_eq!(goodbye(&mut stranger).await, (reason, text.into()));
        let end = ending(&mut events).await;
        assert!(matches!(end, End::Violation(_)) && end.to_string().ends_with(text), "{end}");
    }
    honest.send("undisturbed").await.unwrap();
    soon("a message", there.recv()).await.unwrap();
}

#[tokio::test]
async fn a_stranger_that_ignores_its_credit_is_dismissed() {
    let (_host, mut events, server) = bob(LinkOptions { recv_messages: 10, ..LinkOptions::default() }).await;
    let mut stranger = Stranger::introduced(&server).await;
    let there = soon("it", server.accept()).await.unwrap();
    for _ in 0..11 {
        stranger.says(&frame(b"\0\0\0\0\0x")).await;
    }
    assert_eq!(goodbye(&mut stranger).await, (6, "unexpected message without credit".into()));
    assert!(matches!(ending(&mut events).await, End::Violation(_)));
    for _ in 0..10 {
        there.recv().await.unwrap();
    }
    assert!(matches!(there.recv().await, Err(RecvError::Closed(End::Violation(_)))));
}

#[tokio::test]
async fn a_flood_over_the_rate_is_dismissed_where_that_is_wanted() {
    let link =
        LinkOptions { messages_per_second: Some(50), too_fast: TooFast::Dismiss, ..LinkOptions::default() };
    let (_host, mut events, server) = bob(link).await;
    let ann = connect(&server.url()).await.unwrap();
    let end = soon("the end", async {
        loop {
            if let Err(SendError::Closed { end, .. }) = ann.send("x").await {
                break end;
            }
        }
    });
    assert!(matches!(end.await, End::ClosedByPeer { reason: Reason::TooFast, .. }));
    assert_eq!(ending(&mut events).await, End::RefusedHere { reason: Reason::TooFast });
}

#[tokio::test]
async fn a_flood_over_the_rate_is_slowed_down_to_it() {
    let link = LinkOptions { bytes_per_second: Some(100_000), recv_bytes: 20_000, ..LinkOptions::default() };
    let (_host, _events, server) = bob(link).await;
    let ann = connect(&server.url()).await.unwrap();
    let there = soon("it", server.accept()).await.unwrap();
    let started = Instant::now();
    let send = async {
        for _ in 0..20 {
            ann.send(vec![0; 7_500]).await.unwrap();
        }
    };
    let recv = async {
        for _ in 0..20 {
            there.recv().await.unwrap();
        }
    };
    soon("all", async { tokio::join!(send, recv) }).await;
    // 150,000 bytes, of which 100,000 may come at once, and a window.
    assert!(started.elapsed() >= Duration::from_millis(250), "{:?}", started.elapsed());
    assert!(there.stats().slowed > 0 && there.end().is_none());
}

#[tokio::test]
async fn a_flood_of_pings_is_dismissed() {
    let (_host, _events, server) = bob(LinkOptions::default()).await;
    let mut stranger = Stranger::introduced(&server).await;
    for _ in 0..40 {
        stranger.says(&session(5, &[0; 8]).repeat(50)).await;
        if soon("room", stranger.stream.writable()).await.is_err() {
            break;
        }
    }
    assert_eq!(goodbye(&mut stranger).await.0, 8);
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_found_dead() {
    let link = LinkOptions {
        keep_alive: Some(Duration::from_millis(20)),
        dead_after: Duration::from_millis(80),
        ..LinkOptions::default()
    };
    let (_host, mut events, server) = bob(link.clone()).await;
    let mut silent = Stranger::introduced(&server).await;
    silent.hears_of(5).await;
    assert_eq!(ending(&mut events).await, End::Silent);
    silent.hears_the_end().await;
    // Whoever answers stays, however little there is to say.
    let link = LinkOptions { dead_after: SOON, ..link };
    let (ann, bob, _server) = pair_with(link).await;
    until("many pings", || ann.stats().pings + bob.stats().pings > 10).await;
    assert!(ann.end().is_none() && bob.end().is_none() && bob.round_trip().is_some());
}

#[tokio::test]
async fn a_peer_that_stops_reading_costs_bounded_memory_and_no_close() {
    let link = LinkOptions { send_messages: 10, ..LinkOptions::default() };
    let (_host, _events, server) = bob(link).await;
    let deaf = Stranger::introduced(&server).await;
    let there = soon("it", server.accept()).await.unwrap();
    let mut accepted = 0_u64;
    while there.send_timeout(vec![0; 60_000], Duration::from_millis(100)).await.is_ok() {
        accepted += 1;
        assert!(accepted < 1_000, "its window is four megabytes");
    }
    let started = Instant::now();
    let report = there.close(Duration::from_millis(100)).await;
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(report.flushed + report.abandoned + report.unknown, accepted);
    assert!(report.abandoned >= 10);
    drop(deaf);
}

#[tokio::test]
async fn a_connection_cut_inside_a_message_is_lost_and_delivers_nothing_broken() {
    let (_host, mut events, server) = bob(LinkOptions::default()).await;
    let whole = frame(b"\0\0\x01\0\x02message");
    for cut in 1..whole.len() {
        let mut stranger = Stranger::introduced(&server).await;
        let there = soon("it", server.accept()).await.unwrap();
        stranger.says(&whole).await;
        stranger.says(&whole[..cut]).await;
        drop(stranger);
        let got = soon("the whole one", there.recv()).await.unwrap();
        assert_eq!(got, Parcel::new(1, 2, "message"));
        assert_eq!(soon("the end", there.recv()).await, Err(RecvError::Closed(End::Lost)));
        assert_eq!(ending(&mut events).await, End::Lost);
    }
}

#[test]
fn a_runtime_that_goes_ends_all_operations() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (ann, bob, server, dialer, host) = runtime.block_on(async {
        let host = Host::new("ann");
        let (ann, bob, server) = pair().await;
        let dialer = host.dialer(&server.url()).unwrap();
        drop(soon("a connection", dialer.next()).await.unwrap());
        (ann, bob, server, dialer, host)
    });
    let waiting = std::thread::spawn({
        let ann = ann.clone();
        move || tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(ann.recv())
    });
    drop(runtime);
    let gone = RecvError::Closed(End::RuntimeGone);
    assert_eq!(waiting.join().unwrap(), Err(gone.clone()));
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    other.block_on(async {
        assert_eq!(soon("recv", bob.recv()).await, Err(gone));
        assert!(matches!(ann.send("x").await, Err(SendError::Closed { end: End::RuntimeGone, .. })));
        assert_eq!(soon("call", ann.call("x")).await.err().map(|e| e.is_transient()), Some(false));
        soon("close", ann.close(Duration::from_secs(1))).await;
        assert!(soon("next", dialer.next()).await.is_err());
        assert!(soon("connect", host.connect("tcp://127.0.0.1:1")).await.is_err());
        soon("server", server.close(Duration::from_secs(1))).await;
    });
}
