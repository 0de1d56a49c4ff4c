//! Peers that speak QUIC and do not behave.

use crate::plain::Plain;
use crate::support::within;
use crate::world::{ANY, Others, SECOND, detached, upgrade_failed};
use spanwire::tls::TlsError;
use spanwire::{DetachReason, DialError, Event, ListenOptions, Options, PullSocket, QuicError, UpgradeError};

#[tokio::test]
async fn another_protocol_over_quic_is_refused_on_both_sides() {
    within(async {
        let plain = Plain::new();
        let others = Others::new(Options::default(), plain.listening(), plain.dialing()).await;
        let mut events = others.pull.events();
        assert!(plain.connect(others.address(), "h3").await.is_err());
        match upgrade_failed(&mut events).await {
            UpgradeError::Quic(QuicError::Tls(TlsError::Incompatible { what })) => {
                assert_eq!(what, "application protocols");
            }
            other => panic!("{other:?}"),
        }
        others.end().await;

        match plain.dial_in_vain("h3", 1).await {
            DialError::Upgrade { error: UpgradeError::Quic(QuicError::Tls(cause)), .. } => {
                assert_eq!(cause, TlsError::Alert { name: "no_application_protocol" });
            }
            other => panic!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn a_gigantic_chain_of_certificates_is_not_taken() {
    within(async {
        match Plain::new().dial_in_vain("sp", 300).await {
            error @ DialError::Upgrade { .. } => {
                assert!(!error.is_transient() && error.to_string().contains("broke the protocol"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn a_peer_has_one_stream_and_nothing_else() {
    within(async {
        let plain = Plain::new();
        let pull = PullSocket::new();
        let listener = pull.listen_with(ANY, plain.listening()).await.unwrap();
        let (connection, mut send, mut recv) = plain.greet(listener.local_addr().unwrap()).await;
        send.write_all(&[0, 0, 0, 0, 0, 0, 0, 3, b'j', b'o', b'b']).await.unwrap();
        assert_eq!(&pull.recv().await.unwrap()[..], b"job");

        assert!(tokio::time::timeout(SECOND / 10, connection.open_bi()).await.is_err());
        assert!(tokio::time::timeout(SECOND / 10, connection.open_uni()).await.is_err());
        assert_eq!(
            connection.send_datagram("datagram".into()),
            Err(quinn::SendDatagramError::UnsupportedByPeer)
        );
        // It finishes and waits for our end, as the mapping asks: then the connection is over.
        send.finish().unwrap();
        assert_eq!(recv.read(&mut [0; 8]).await.ok().flatten(), None);
        assert!(matches!(
            connection.closed().await,
            quinn::ConnectionError::ApplicationClosed(close) if close.error_code == 0_u32.into()
        ));
        assert_eq!(pull.stats().peers, 0);
        pull.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn peers_without_a_stream_or_without_sp_on_it_end_alone() {
    within(async {
        let plain = Plain::new();
        let options = Options { handshake_timeout: SECOND / 2, ..Options::default() };
        let others = Others::new(options, plain.listening(), plain.dialing()).await;
        let mut events = others.pull.events();

        let silent = plain.connect(others.address(), "sp").await.unwrap();
        assert_eq!(upgrade_failed(&mut events).await, UpgradeError::TimedOut);
        silent.closed().await;

        let garbage = plain.connect(others.address(), "sp").await.unwrap();
        let (mut send, _recv) = garbage.open_bi().await.unwrap();
        send.write_all(b"GET / HTTP/3").await.unwrap();
        assert!(matches!(
            garbage.closed().await,
            quinn::ConnectionError::ApplicationClosed(close) if close.error_code == 1_u32.into()
        ));
        loop {
            match events.next().await.unwrap() {
                Event::Refused(_, why) if why != DetachReason::UpgradeFailed => {
                    break assert_eq!(why, DetachReason::BadHandshake);
                }
                _ => {}
            }
        }
        others.end().await;
    })
    .await;
}

#[tokio::test]
async fn the_oldest_handshake_makes_room_for_a_newer_one() {
    within(async {
        let plain = Plain::new();
        let listening = ListenOptions { half_open: 2, ..plain.listening() };
        let others = Others::new(Options::default(), listening, plain.dialing()).await;
        let mut silent = Vec::new();
        for _ in 0..3 {
            silent.push(plain.connect(others.address(), "sp").await.unwrap());
        }
        silent.remove(0).closed().await;
        assert_eq!(others.listener.stats().evicted, 1);
        assert!(silent.iter().all(|connection| connection.close_reason().is_none()));
        others.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_breaks_off_in_a_message_is_lost() {
    within(async {
        let plain = Plain::new();
        let pull = PullSocket::new();
        let mut events = pull.events();
        let listener = pull.listen_with(ANY, plain.listening()).await.unwrap();
        for reset in [false, true] {
            let (connection, mut send, _recv) = plain.greet(listener.local_addr().unwrap()).await;
            send.write_all(&[0, 0, 0, 0, 0, 0, 0, 9, b'h']).await.unwrap();
            pull.wait_peers(1).await.unwrap();
            if reset {
                send.reset(7_u32.into()).unwrap();
            } else {
                send.finish().unwrap();
            }
            assert_eq!(detached(&mut events).await, DetachReason::ConnectionLost);
            connection.closed().await;
        }
        assert_eq!(pull.stats().ledger.received_messages, 0);
        pull.close(SECOND).await;
    })
    .await;
}
