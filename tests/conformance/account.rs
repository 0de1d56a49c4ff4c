//! Events, peers and counters.

use crate::transport::{Kind, Socket as _, Transport, event, until};
use spanwire::{DetachReason, Event, Pair0Socket, Place, PullSocket, PushSocket};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

pub(crate) async fn events_tell_who_came_and_went(t: &Transport) {
    let (a, b) = (Pair0Socket::new(), Pair0Socket::new());
    let (mut of_a, mut of_b) = (a.events(), b.events());
    t.meet(&a, &b).await;
    let mut pipes = Vec::new();
    for (events, dialed) in [(&mut of_a, false), (&mut of_b, true)] {
        let Some(Event::Attaching(attaching)) = events.next().await else { panic!("first, it attaches") };
        let Some(Event::Attached(attached)) = events.next().await else { panic!("then it is attached") };
        assert_eq!(attaching.pipe, attached.pipe);
        if t.kind != Kind::Adopted {
            assert_eq!(attached.origin.dialed, dialed);
        }
        pipes.push(attached.pipe);
    }
    for _ in 0..3 {
        b.send("ask").await.unwrap();
        a.recv().await.unwrap();
        a.send("answer").await.unwrap();
        b.recv().await.unwrap();
    }
    // What was written is reported just after the write, when the peer may have it already.
    until(|| [&a, &b].iter().all(|s| s.peers()[0].stats.sent_messages == 3)).await;
    assert!(b.disconnect(pipes[1]));
    for (events, pipe, reasons) in [
        (&mut of_b, pipes[1], &[DetachReason::ClosedHere][..]),
        // A connection that is cut may look like an end or like a loss from the other side.
        (&mut of_a, pipes[0], &[DetachReason::PeerClosed, DetachReason::ConnectionLost]),
    ] {
        let mut next = events.next().await;
        // A peer that is soon back may be there before its former end is seen.
        while matches!(next, Some(Event::Attaching(_) | Event::Refused(..))) {
            next = events.next().await;
        }
        match next {
            Some(Event::Detached(peer, why)) => {
                assert_eq!(peer.pipe, pipe);
                assert_eq!((peer.stats.sent_messages, peer.stats.received_messages), (3, 3));
                assert_eq!(peer.stats.sent_bytes + peer.stats.received_bytes, 27);
                assert!(reasons.contains(&why), "{why:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    a.close(SECOND).await;
    b.close(SECOND).await;
}

pub(crate) async fn a_socket_that_closes_tells_so(t: &Transport) {
    let (a, b) = (Pair0Socket::new(), Pair0Socket::new());
    t.meet(&a, &b).await;
    let (mut of_a, mut of_b) = (a.events(), b.events());
    a.close(SECOND).await;
    let ended = |event: &Event| match event {
        Event::Detached(_, why) => Some(*why),
        _ => None,
    };
    assert_eq!(event(&mut of_a, ended).await, DetachReason::ClosedHere);
    assert!(of_a.next().await.is_none(), "nothing comes after the end");
    assert_eq!(event(&mut of_b, ended).await, DetachReason::PeerClosed, "gracefully");
    b.close(SECOND).await;
}

pub(crate) async fn peers_have_addresses(t: &Transport) {
    let (a, b) = (Pair0Socket::new(), Pair0Socket::new());
    t.meet(&a, &b).await;
    let (seen_by_a, seen_by_b) = (a.peers().remove(0), b.peers().remove(0));
    for peer in [&seen_by_a, &seen_by_b] {
        if t.kind == Kind::Adopted {
            assert_eq!(&*peer.origin.url, "fd");
        }
        match peer.ends.credentials {
            Some(who) => {
                let ourselves = std::fs::metadata("/proc/self").unwrap();
                assert_eq!((who.uid, who.gid), (ourselves.uid(), ourselves.gid()));
                assert_eq!(who.pid, Some(std::process::id().try_into().unwrap()));
                assert!(matches!(t.kind, Kind::File | Kind::Abstract | Kind::Adopted));
            }
            None => assert!(!matches!(t.kind, Kind::File | Kind::Abstract | Kind::Adopted)),
        }
    }
    for peer in [&seen_by_a, &seen_by_b] {
        assert_eq!(peer.ends.tls.is_some(), t.is_secure());
    }
    assert_eq!(seen_by_a.ends.local, seen_by_b.ends.remote);
    assert_eq!(seen_by_a.ends.remote, seen_by_b.ends.local);
    match (&seen_by_a.ends.local, &seen_by_a.ends.remote) {
        (Place::Ip(local), Place::Ip(remote)) if t.is_ip() => {
            assert!(local.ip().is_loopback() && remote.ip().is_loopback());
            assert_ne!(local.port(), remote.port());
        }
        (Place::Path(path), Place::Unnamed) if t.kind == Kind::File => {
            assert_eq!(format!("{}ipc://{}", t.prefix(), path.display()), *seen_by_b.origin.url);
        }
        (Place::Abstract(name), Place::Unnamed) if t.kind == Kind::Abstract => assert!(!name.is_empty()),
        (Place::Inproc(name), Place::Inproc(_)) if t.kind == Kind::Inproc => {
            let url = seen_by_a.origin.url.split('#').next().unwrap();
            assert_eq!(format!("{}inproc://{name}", t.prefix()), url);
        }
        (Place::Foreign(name), Place::Foreign(_)) if t.kind == Kind::Foreign => {
            assert_eq!(format!("{}memory://{name}", t.prefix()), *seen_by_a.origin.url);
        }
        (Place::Unnamed, Place::Unnamed) if t.kind == Kind::Adopted => {}
        other => panic!("{other:?}"),
    }
    a.close(SECOND).await;
    b.close(SECOND).await;
}

pub(crate) async fn counters_add_up(t: &Transport) {
    const COUNT: u64 = 500;
    const BYTES: u64 = 10;
    let (push, pull) = (PushSocket::new(), PullSocket::new());
    t.meet(&pull, &push).await;
    for _ in 0..COUNT {
        push.send(vec![0; BYTES as usize]).await.unwrap();
    }
    for _ in 0..COUNT - 100 {
        pull.recv().await.unwrap();
    }
    until(|| pull.stats().ledger.received_messages == COUNT).await;
    // What was written is reported just after the write, when the peer may have it already.
    until(|| push.peers()[0].stats.sent_messages == COUNT).await;

    let sent = push.stats();
    assert_eq!((sent.ledger.sent_messages, sent.ledger.sent_bytes), (COUNT, COUNT * BYTES));
    assert_eq!((sent.peers, sent.waiting_messages, sent.ledger.attached_pipes), (1, 0, 1));
    assert_eq!(push.peers()[0].stats.sent_bytes, COUNT * BYTES);

    let got = pull.stats();
    assert_eq!((got.ledger.received_messages, got.ledger.received_bytes), (COUNT, COUNT * BYTES));
    assert_eq!((got.ledger.delivered_messages, got.ledger.dropped_total()), (COUNT - 100, 0));
    let peer = pull.peers()[0].stats;
    assert_eq!((peer.received_messages, peer.received_bytes), (COUNT, COUNT * BYTES));

    // What nobody takes any more is dropped for a reason, not lost.
    pull.close(SECOND).await;
    let got = pull.stats();
    assert_eq!(got.ledger.dropped(spanwire::Dropped::Closed), 100);
    assert_eq!(got.ledger.delivered_messages + got.ledger.dropped_total(), got.ledger.received_messages);
    push.close(SECOND).await;
}

pub(crate) async fn endpoints_count_their_connections(t: &Transport) {
    let pull = PullSocket::new();
    let listener = pull.listen_at(&(t.free)()).await.unwrap();
    for n in 1..=3 {
        let push = PushSocket::new();
        let dialer = push.dial_at(listener.url()).await.unwrap();
        pull.wait_peers(1).await.unwrap();
        let counted = dialer.stats();
        assert_eq!((counted.connections, counted.attached, counted.refused), (1, 1, 0));
        // The peer is there just before it is counted.
        until(|| listener.stats().attached == n).await;
        assert_eq!(listener.stats().connections, n);
        push.close(SECOND).await;
        until(|| pull.stats().peers == 0).await;
    }
    let wrong = Pair0Socket::new();
    assert!(wrong.dial_at(listener.url()).await.is_err());
    until(|| listener.stats().refused == 1).await;
    assert_eq!((listener.stats().connections, listener.stats().attached), (4, 3));
    wrong.close(SECOND).await;
    pull.close(SECOND).await;
}
