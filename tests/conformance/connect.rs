//! Listening, dialing, and both again.

use crate::transport::{Kind, Socket as _, Transport, event, until, with_port};
use spanwire::{
    DetachReason, DialError, DialOptions, EndpointState, Event, ListenError, Pair0Socket, PullSocket,
    PushSocket, Start,
};
use std::io;
use std::path::Path;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Reconnects soon, so that the test is quick.
fn eager(t: &Transport) -> DialOptions {
    DialOptions {
        start: Start::Background,
        reconnect_min: Duration::from_millis(1),
        reconnect_max: Duration::from_millis(20),
        ..t.dialing()
    }
}

pub(crate) async fn the_real_address_is_told(t: &Transport) {
    let socket = Pair0Socket::new();
    let asked = (t.free)();
    let listener = socket.listen_at(&asked).await.unwrap();
    assert_eq!(listener.state(), EndpointState::Listening);
    let url = listener.url();
    match t.kind {
        Kind::Tcp | Kind::Tls | Kind::Ws | Kind::Wss | Kind::Quic => {
            let port = listener.local_addr().unwrap().port();
            assert_ne!(port, 0);
            assert_eq!(url, with_port(&asked, port));
        }
        Kind::File => {
            let path = asked.split_once("://").unwrap().1;
            assert_eq!(url, format!("{}ipc://{path}", t.prefix()), "one scheme for both names of it");
            assert!(Path::new(path).exists());
            listener.close();
            socket.close(SECOND).await;
            assert!(!Path::new(path).exists(), "the file goes with its listener");
        }
        Kind::Abstract => assert!(url.len() > asked.len(), "the kernel has chosen a name"),
        Kind::Inproc | Kind::Foreign => assert_eq!(url, asked),
        Kind::Adopted => unreachable!(),
    }
    socket.close(SECOND).await;
}

pub(crate) async fn an_address_has_one_listener(t: &Transport) {
    let first = Pair0Socket::new();
    let listener = first.listen_at(&(t.free)()).await.unwrap();
    for second in [Pair0Socket::new(), first.clone()] {
        match second.listen_at(listener.url()).await {
            Err(error @ ListenError::Bind { .. }) => {
                assert!(error.is_transient());
                let ListenError::Bind { error, .. } = error else { unreachable!() };
                assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            }
            other => panic!("{other:?}"),
        }
    }
    let peer = Pair0Socket::new();
    peer.dial_at(listener.url()).await.expect("the first one listens on");
    peer.close(SECOND).await;
    first.close(SECOND).await;
}

pub(crate) async fn nobody_there_is_an_error_of_connecting(t: &Transport) {
    let (url, _reserved) = t.reserve();
    let socket = Pair0Socket::new();
    match socket.dial_at(&url).await {
        Err(error @ DialError::Connect { .. }) => {
            assert!(error.is_transient());
            let place = url.split_once("://").unwrap().1;
            assert!(error.to_string().contains(place), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let report = socket.close(SECOND).await;
    assert_eq!(report, spanwire::CloseReport::default());
}

pub(crate) async fn a_dialer_waits_for_its_listener(t: &Transport) {
    let (url, _reserved) = t.reserve();
    let early = Pair0Socket::new();
    let mut events = early.events();
    let dialer = early.dial_with(&url, eager(t)).await.unwrap();
    let failed = event(&mut events, |event| match event {
        Event::DialFailed { url, .. } => Some(url.clone()),
        _ => None,
    });
    assert_eq!(&*failed.await, dialer.url());
    assert!(dialer.stats().failures > 0);
    assert!(dialer.last_error().is_some());

    let late = Pair0Socket::new();
    late.listen_at(&url).await.unwrap();
    early.send("at last").await.unwrap();
    assert_eq!(&late.recv().await.unwrap()[..], b"at last");
    // The connection is there just before the handle says so.
    until(|| dialer.state() == EndpointState::Connected).await;
    early.close(SECOND).await;
    late.close(SECOND).await;
}

pub(crate) async fn a_dialer_finds_the_next_socket_at_the_address(t: &Transport) {
    let push = PushSocket::new();
    let mut events = push.events();
    let pull = PullSocket::new();
    let listener = pull.listen_at(&(t.free)()).await.unwrap();
    let url = listener.url().to_owned();
    let dialer = push.dial_with(&url, eager(t)).await.unwrap();
    push.send("one").await.unwrap();
    assert_eq!(&pull.recv().await.unwrap()[..], b"one");
    pull.close(SECOND).await;
    let lost = event(&mut events, |event| match event {
        Event::Detached(_, why) => Some(*why),
        _ => None,
    });
    assert!(matches!(lost.await, DetachReason::PeerClosed | DetachReason::ConnectionLost));

    for n in 0..3_u8 {
        let pull = PullSocket::new();
        pull.listen_at(&url).await.unwrap();
        pull.wait_peers(1).await.unwrap();
        push.wait_peers(1).await.unwrap();
        push.send(vec![n]).await.unwrap();
        assert_eq!(pull.recv().await.unwrap()[..], [n]);
        pull.close(SECOND).await;
        event(&mut events, |event| matches!(event, Event::Detached(..)).then_some(())).await;
    }
    assert!(dialer.stats().connections >= 4);
    push.close(SECOND).await;
}

pub(crate) async fn a_closed_listener_lets_nobody_in(t: &Transport) {
    let socket = PullSocket::new();
    let mut events = socket.events();
    let closing = socket.listen_at(&(t.free)()).await.unwrap();
    let staying = socket.listen_at(&(t.free)()).await.unwrap();
    let (a, b) = (PushSocket::new(), PushSocket::new());
    a.dial_at(closing.url()).await.unwrap();
    b.dial_at(staying.url()).await.unwrap();
    socket.wait_peers(2).await.unwrap();

    closing.close();
    assert_eq!(closing.state(), EndpointState::Closed);
    let gone = event(&mut events, |event| match event {
        Event::Detached(peer, why) => Some((peer.origin.url.clone(), *why)),
        _ => None,
    });
    assert_eq!(gone.await, (closing.url().into(), DetachReason::ClosedHere));
    let stranger = PushSocket::new();
    // The listener's task ends on its own time, and with it the way in.
    let mut another = socket.listen_at(closing.url()).await;
    while matches!(&another, Err(error) if error.is_transient()) {
        tokio::task::yield_now().await;
        another = socket.listen_at(closing.url()).await;
    }
    another.unwrap().close();
    while let Ok(dialer) = stranger.dial_at(closing.url()).await {
        dialer.close();
    }
    b.send("still here").await.unwrap();
    assert_eq!(&socket.recv().await.unwrap()[..], b"still here");
    for socket in [a, b, stranger] {
        socket.close(SECOND).await;
    }
    socket.close(SECOND).await;
}

pub(crate) async fn a_closed_dialer_does_not_come_back(t: &Transport) {
    let pull = PullSocket::new();
    let listener = pull.listen_at(&(t.free)()).await.unwrap();
    let push = PushSocket::new();
    let mut events = push.events();
    let dialer = push.dial_with(listener.url(), eager(t)).await.unwrap();
    push.wait_peers(1).await.unwrap();
    push.send("before").await.unwrap();
    dialer.close();
    dialer.close();
    assert_eq!(dialer.state(), EndpointState::Closed);
    let why = event(&mut events, |event| match event {
        Event::Detached(_, why) => Some(*why),
        _ => None,
    });
    assert_eq!(why.await, DetachReason::ClosedHere);
    assert_eq!(&pull.recv().await.unwrap()[..], b"before", "it ended gracefully");
    assert_eq!(push.stats().peers, 0);
    assert!(matches!(push.try_send("after"), Err(spanwire::SendError::NoPeer(_))));
    let report = push.close(SECOND).await;
    assert_eq!(report, spanwire::CloseReport::default());
    assert_eq!(listener.stats().connections, 1, "it did not come back");
    pull.close(SECOND).await;
}

pub(crate) async fn either_side_may_listen(t: &Transport) {
    for pusher_listens in [true, false] {
        let (push, pull) = (PushSocket::new(), PullSocket::new());
        if pusher_listens {
            t.meet(&push, &pull).await;
        } else {
            t.meet(&pull, &push).await;
        }
        for n in 0..100_u8 {
            push.send(vec![n]).await.unwrap();
        }
        for n in 0..100_u8 {
            assert_eq!(pull.recv().await.unwrap()[..], [n]);
        }
        assert_eq!(push.close(SECOND).await.abandoned, 0);
        pull.close(SECOND).await;
    }
}

pub(crate) async fn a_peer_whose_runtime_is_gone_is_gone(t: &Transport) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let pull = {
        let _entered = runtime.enter();
        PullSocket::new()
    };
    let listener = pull.listen_at(&(t.free)()).await.unwrap();
    let push = PushSocket::new();
    push.dial_at(listener.url()).await.unwrap();
    let mut events = push.events();
    runtime.shutdown_background();
    event(&mut events, |event| matches!(event, Event::Detached(..)).then_some(())).await;
    assert_eq!(pull.recv().await, Err(spanwire::RecvError::RuntimeGone));
    push.close(SECOND).await;
    pull.close(SECOND).await;
}
