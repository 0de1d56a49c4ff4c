//! Who and what is turned away.

use crate::transport::{Kind, Socket as _, Transport, event};
use spanwire::{
    DetachReason, DialError, Dropped, Event, Options, Pair0Socket, PubSocket, PullSocket, PushSocket,
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

pub(crate) async fn a_message_over_the_limit_ends_its_connection(t: &Transport) {
    const LIMIT: usize = 1_000;
    let a = Pair0Socket::with(Options { max_message_bytes: LIMIT, ..Options::default() });
    let b = Pair0Socket::new();
    t.meet(&a, &b).await;
    let (mut here, mut there) = (a.events(), b.events());
    b.send(vec![1; LIMIT]).await.unwrap();
    assert_eq!(a.recv().await.unwrap().len(), LIMIT, "the limit itself passes");
    b.send(vec![2; LIMIT + 1]).await.unwrap();
    if !t.is_framed() {
        // Nothing is allocated for it here, so there is nothing to protect.
        assert_eq!(a.recv().await.unwrap().len(), LIMIT + 1);
    } else {
        let mut dropped = None;
        let why = event(&mut here, |event| match event {
            Event::Dropped { why, bytes, .. } => {
                dropped = Some((*why, *bytes));
                None
            }
            Event::Detached(_, why) => Some(*why),
            _ => None,
        });
        assert_eq!(why.await, DetachReason::MessageTooLarge);
        assert_eq!(dropped, Some((Dropped::TooLarge, LIMIT + 1)));
        assert_eq!(a.stats().ledger.dropped(Dropped::TooLarge), 1);
        let why = event(&mut there, |event| match event {
            Event::Detached(_, why) => Some(*why),
            _ => None,
        });
        assert!(matches!(why.await, DetachReason::PeerClosed | DetachReason::ConnectionLost));
    }
    a.close(SECOND).await;
    b.close(SECOND).await;
}

pub(crate) async fn another_protocol_is_turned_away(t: &Transport) {
    let publisher = PubSocket::new();
    let mut there = publisher.events();
    let listener = publisher.listen_at(&(t.free)()).await.unwrap();
    let push = PushSocket::new();
    let mut here = push.events();
    if matches!(t.kind, Kind::Ws | Kind::Wss) && !t.is_muxed() {
        // The handshake is one of HTTP, and its answer says what is wrong.
        let error = push.dial_at(listener.url()).await.expect_err("another protocol");
        assert!(matches!(error, DialError::Upgrade { .. }) && !error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("400: the socket here speaks pub.sp.nanomsg.org"), "{error}");
        let why = event(&mut there, |event| match event {
            Event::Refused(None, why) => Some(*why),
            other => panic!("{other:?}"),
        });
        assert_eq!(why.await, DetachReason::UpgradeFailed);
        let told = event(&mut there, |event| match event {
            Event::UpgradeFailed { error, .. } => Some(error.to_string()),
            other => panic!("{other:?}"),
        });
        assert!(told.await.contains("\"pub.sp.nanomsg.org\", and the peer has \"pull.sp.nanomsg.org\""));
        assert_eq!((publisher.stats().ledger.refused_pipes, publisher.peers().len()), (1, 0));
        push.close(SECOND).await;
        publisher.close(SECOND).await;
        return;
    }
    match push.dial_at(listener.url()).await {
        Err(error @ DialError::Refused { why: DetachReason::WrongProtocol, .. }) => {
            assert!(!error.is_transient());
        }
        other => panic!("{other:?}"),
    }
    for events in [&mut here, &mut there] {
        let (peer, why) = event(events, |event| match event {
            Event::Refused(peer, why) => Some((peer.clone(), *why)),
            other => panic!("{other:?}"),
        })
        .await;
        assert!(peer.is_none(), "it never got as far as being a peer");
        assert_eq!(why, DetachReason::WrongProtocol);
    }
    for stats in [push.stats(), publisher.stats()] {
        assert_eq!((stats.peers, stats.ledger.refused_pipes, stats.ledger.attached_pipes), (0, 1, 0));
    }
    push.close(SECOND).await;
    publisher.close(SECOND).await;
}

pub(crate) async fn the_filter_of_a_listener_refuses(t: &Transport) {
    let pull = PullSocket::new();
    let mut events = pull.events();
    let kind = t.kind;
    pull.set_filter(move |peer| {
        assert!(!peer.origin.dialed);
        assert_eq!(peer.ends.credentials.is_some(), matches!(kind, Kind::File | Kind::Abstract));
        false
    });
    let listener = pull.listen_at(&(t.free)()).await.unwrap();
    let push = PushSocket::new();
    // The dialer may have its pipe before the listener has decided; it does not last.
    let _ = push.dial_at(listener.url()).await;
    let attaching = match events.next().await {
        Some(Event::Attaching(peer)) => peer,
        other => panic!("{other:?}"),
    };
    match events.next().await {
        Some(Event::Refused(Some(peer), DetachReason::Filtered)) => assert_eq!(peer.pipe, attaching.pipe),
        other => panic!("{other:?}"),
    }
    assert_eq!((pull.stats().peers, pull.peers().len()), (0, 0));
    assert!(pull.stats().ledger.refused_pipes >= 1);
    push.close(SECOND).await;

    pull.set_filter(|_| true);
    let welcome = PushSocket::new();
    welcome.dial_at(listener.url()).await.unwrap();
    welcome.send("thanks").await.unwrap();
    assert_eq!(&pull.recv().await.unwrap()[..], b"thanks");
    welcome.close(SECOND).await;
    pull.close(SECOND).await;
}

pub(crate) async fn the_filter_of_a_dialer_refuses(t: &Transport) {
    let pull = PullSocket::new();
    let listener = pull.listen_at(&(t.free)()).await.unwrap();
    let push = PushSocket::new();
    push.set_filter(|peer| !peer.origin.dialed);
    match push.dial_at(listener.url()).await {
        Err(DialError::Refused { why: DetachReason::Filtered, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(push.stats().ledger.refused_pipes, 1);
    push.close(SECOND).await;
    pull.close(SECOND).await;
}

pub(crate) async fn a_pair_has_one_peer(t: &Transport) {
    let (a, b, c) = (Pair0Socket::new(), Pair0Socket::new(), Pair0Socket::new());
    let mut events = a.events();
    let listener = a.listen_at(&(t.free)()).await.unwrap();
    b.dial_at(listener.url()).await.unwrap();
    a.wait_peers(1).await.unwrap();
    let _ = c.dial_at(listener.url()).await;
    let refused = event(&mut events, |event| match event {
        Event::Refused(Some(peer), why) => Some((peer.pipe, *why)),
        _ => None,
    });
    let (pipe, why) = refused.await;
    assert_eq!(why, DetachReason::Busy);
    assert_ne!(a.peers()[0].pipe, pipe);
    b.send("undisturbed").await.unwrap();
    assert_eq!(&a.recv().await.unwrap()[..], b"undisturbed");
    for socket in [c, b, a] {
        socket.close(SECOND).await;
    }
}
