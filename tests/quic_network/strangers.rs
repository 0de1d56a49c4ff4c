//! Packets that are no connection, and handshakes that come to nothing.

use crate::certificates::{dialing, listening};
use crate::support::within;
use crate::udp_proxy::{Mischief, Proxy};
use crate::world::{Others, SECOND, silent, upgrade_failed};
use spanwire::{DialError, DialOptions, Dropped, Options, PushSocket, QuicError, UpgradeError};

#[tokio::test]
async fn garbage_disturbs_nobody() {
    within(async {
        let others = Others::usual().await;
        let (stranger, _) = silent().await;
        let mut state = 1_u64;
        for n in 0..2_000_usize {
            let mut packet: Vec<u8> = (0..n % 1_400)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state as u8
                })
                .collect();
            if let (true, [first, version @ ..]) = (n % 2 == 0, &mut packet[..]) {
                // What looks like the first packet of a connection.
                *first = 0xc0 | (*first & 0x0f);
                if version.len() > 6 {
                    version[..5].copy_from_slice(&[0, 0, 0, 1, 8]);
                }
            }
            stranger.send_to(&packet, others.address()).await.unwrap();
            if n % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(others.pull.stats().ledger.dropped(Dropped::Malformed), 0);
        others.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_version_of_quic_that_we_do_not_speak_is_answered_with_those_that_we_do() {
    within(async {
        let others = Others::usual().await;
        let (stranger, _) = silent().await;
        let mut packet = vec![0xc0, 0x0a, 0x1a, 0x2a, 0x3a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 4, 9, 9, 9, 9];
        packet.resize(1_200, 0);
        stranger.send_to(&packet, others.address()).await.unwrap();
        let mut answer = [0; 1_500];
        let count = stranger.recv(&mut answer).await.unwrap();
        // RFC 9000 17.2.1: version 0, our ids in each other's place, then the versions.
        assert_eq!(answer[1..5], [0; 4]);
        assert_eq!(answer[5..19], [4, 9, 9, 9, 9, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(answer[19..count].chunks(4).any(|version| version == [0, 0, 0, 1]));
        assert_eq!(others.listener.stats().connections, 1, "it is no connection");
        others.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_listener_of_another_version_is_an_error_that_says_so() {
    within(async {
        let (listener, url) = silent().await;
        let answer = async {
            let mut packet = [0; 1_500];
            let (_, from) = listener.recv_from(&mut packet).await.unwrap();
            let ids = &packet[5..];
            let (ours, ids) = ids[1..].split_at(ids[0].into());
            let theirs = &ids[1..][..ids[0].into()];
            let mut answer = vec![0x80, 0, 0, 0, 0, theirs.len() as u8];
            answer.extend_from_slice(theirs);
            answer.push(ours.len() as u8);
            answer.extend_from_slice(ours);
            answer.extend_from_slice(&[0x0a, 0x1a, 0x2a, 0x3a]);
            listener.send_to(&answer, from).await.unwrap();
        };
        let push = PushSocket::new();
        match tokio::join!(push.dial_with(&url, dialing()), answer).0 {
            Err(error @ DialError::Upgrade { error: UpgradeError::Quic(QuicError::VersionMismatch), .. }) => {
                assert!(!error.is_transient());
            }
            other => panic!("{other:?}"),
        }
        push.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn a_listener_that_never_answers_takes_no_longer_than_the_dialer_allows() {
    within(async {
        let (_listener, url) = silent().await;
        let push = PushSocket::new();
        let options = DialOptions { connect_timeout: Some(SECOND / 4), ..dialing() };
        match push.dial_with(&url, options).await {
            Err(error @ DialError::TimedOut { .. }) => assert!(error.is_transient()),
            other => panic!("{other:?}"),
        }
        push.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_at_its_deadline() {
    within(async {
        let options = Options { handshake_timeout: SECOND / 2, ..Options::default() };
        let others = Others::new(options, listening(), dialing()).await;
        let mut events = others.pull.events();
        let proxy = Proxy::new(others.address(), 1, Mischief::default()).await;
        // The first packet of the dialer, and none that it sends once it has the answer.
        proxy.pass_only(1);
        let push = PushSocket::new();
        let options = DialOptions { connect_timeout: Some(SECOND * 5), ..dialing() };
        let (_, error) = tokio::join!(push.dial_with(&proxy.url, options), upgrade_failed(&mut events));
        assert_eq!(error, UpgradeError::TimedOut);
        push.close(SECOND).await;
        others.end().await;
    })
    .await;
}
