//! The same over TLS, WebSocket, QUIC, and a transport that the application brings along.

use crate::certificates::{Authority, DIALER, HERE, dialing, listening, with_client, with_server};
use crate::own_transport::Memory;
use crate::support::*;
use spanwire::link::*;
use spanwire::transport::Transport;
use spanwire::{DialError, DialOptions, ListenOptions};
use std::sync::Arc;

/// An address of each, and what both sides need for it.
fn schemes() -> Vec<(&'static str, ListenOptions, DialOptions)> {
    let memory: Arc<dyn Transport> = Arc::new(Memory::default());
    let own = (
        "memory+own://links",
        ListenOptions { transport: Some(memory.clone()), ..ListenOptions::default() },
        DialOptions { transport: Some(memory), ..DialOptions::default() },
    );
    let mut schemes = vec![own];
    for url in
        ["tls+tcp://127.0.0.1:0", "ws://127.0.0.1:0/links", "wss://127.0.0.1:0/links", "quic://127.0.0.1:0"]
    {
        schemes.push((url, listening(), dialing()));
    }
    schemes
}

#[tokio::test]
async fn messages_requests_streams_and_ends_are_the_same_over_all_of_them() {
    for (url, listen, dial) in schemes() {
        let bob = Host::new("bob");
        let server = bob.server(ServerOptions { listen, ..ServerOptions::default() });
        let to = server.listen(url).await.unwrap();
        let here = soon(url, Host::new("ann").connect_with(&to, dial)).await.unwrap();
        let there = soon(url, server.accept()).await.unwrap();
        assert_eq!((here.peer().host.as_str(), there.peer().host.as_str()), ("bob", "ann"), "{url}");
        // Whole, whatever the transport makes of it.
        let sizes = [0, 1, 4_097, 65_537, 1_000_000, 2];
        let send = async {
            for (n, size) in sizes.into_iter().enumerate() {
                here.send(Parcel::new(7, n as u16, vec![n as u8; size])).await.unwrap();
            }
        };
        let recv = async {
            for (n, size) in sizes.into_iter().enumerate() {
                let parcel = there.recv().await.unwrap();
                assert_eq!((usize::from(parcel.message), parcel.body.len()), (n, size), "{url}");
                assert!(parcel.body.iter().all(|byte| *byte == n as u8));
            }
        };
        soon(url, async { tokio::join!(send, recv) }).await;
        let asked = {
            let there = there.clone();
            tokio::spawn(async move { there.recv_request().await.unwrap().reply("an answer") })
        };
        assert_eq!(soon(url, here.call("a question")).await, Ok("an answer".into()));
        assert!(soon(url, asked).await.unwrap());
        let stream = async {
            let mut stream = there.send_stream("").await.unwrap();
            for _ in 0..30 {
                stream.write_chunk(vec![1; 100_000]).await.unwrap();
            }
            stream.finish().await.unwrap();
        };
        let read = async {
            let mut stream = here.recv_stream().await.unwrap();
            let mut bytes = 0;
            while let Some(piece) = stream.read_chunk().await.unwrap() {
                bytes += piece.len();
            }
            bytes
        };
        assert_eq!(soon(url, async { tokio::join!(stream, read) }).await.1, 3_000_000, "{url}");
        let report = soon(url, here.close(SOON)).await;
        assert_eq!((report.flushed, report.abandoned, report.unknown), (7, 0, 0), "{url}");
        assert!(report.took < SOON / 4, "{url}: {:?}", report.took);
        assert!(matches!(soon(url, there.ended()).await, End::ClosedByPeer { .. }), "{url}");
    }
}

#[tokio::test]
async fn the_filter_of_a_server_sees_who_the_peer_has_proved_to_be() {
    let authority = Authority::new("the filter's");
    let filter: Filter =
        Arc::new(|ends| ends.tls.as_ref().is_some_and(|tls| tls.names.iter().any(|name| name == DIALER)));
    let host = Host::new("bob");
    let listen = with_server(authority.mutual_server());
    let server = host.server(ServerOptions { listen, filter: Some(filter), ..ServerOptions::default() });
    let url = server.listen("tls+tcp://127.0.0.1:0").await.unwrap();
    let known = with_client(authority.known_client(&[DIALER]));
    let conn = soon("a connection", Host::new("ann").connect_with(&url, known)).await.unwrap();
    assert!(conn.peer().ends.unwrap().tls.is_some());
    let other = with_client(authority.known_client(HERE));
    let error = soon("a refusal", Host::new("eve").connect_with(&url, other)).await.unwrap_err();
    let ConnectError::Ended { end: End::RefusedByPeer { reason, .. }, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(reason, Reason::Filtered);
}

#[tokio::test]
async fn a_failed_handshake_below_is_told_by_name() {
    let authority = Authority::new("a stranger's");
    let host = Host::new("bob");
    let mut events = host.events();
    let server = host.server(ServerOptions { listen: listening(), ..ServerOptions::default() });
    let url = server.listen("tls+tcp://127.0.0.1:0").await.unwrap();
    let strange = with_client(authority.known_client(&[DIALER]));
    let error = soon("a refusal", Host::new("eve").connect_with(&url, strange)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Dial(DialError::Upgrade { .. })), "{error:?}");
    assert!(!error.is_transient());
    let upgrade = event(&mut events, "a refusal", |event| match event {
        Event::Refused { upgrade, .. } => Some(upgrade.clone()),
        _ => None,
    });
    assert!(upgrade.await.is_some());
}
