//! Packets that are lost, repeated, late, or go another way.

use crate::certificates::{dialing, listening};
use crate::support::within;
use crate::udp_proxy::{Mischief, Proxy};
use crate::world::{ANY, SECOND, impatient, jobs, persistent};
use spanwire::{DetachReason, DialOptions, Event, ListenOptions, PullSocket, PushSocket};

/// A listening PULL and a PUSH that has dialled it through a proxy.
async fn through(seed: u64, mischief: Mischief) -> (PullSocket, PushSocket, Proxy) {
    let (pull, push) = (PullSocket::new(), PushSocket::new());
    let listener = pull.listen_with(ANY, listening()).await.unwrap();
    let proxy = Proxy::new(listener.local_addr().unwrap(), seed, mischief).await;
    push.dial_with(&proxy.url, dialing()).await.unwrap();
    pull.wait_peers(1).await.unwrap();
    (pull, push, proxy)
}

#[tokio::test]
async fn loss_repetition_and_reordering_are_not_seen() {
    within(async {
        for seed in 1..=3 {
            let (pull, push, _proxy) = through(seed, Mischief { lost: 30, repeated: 50, late: 100 }).await;
            jobs(&push, &pull, 0..1_000).await;
            let report = push.close(SECOND * 10).await;
            assert_eq!((report.abandoned, report.unknown), (0, 0));
            let ledger = pull.stats().ledger;
            assert_eq!((ledger.attached_pipes, ledger.received_messages), (1, 1_000));
            pull.close(SECOND).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_dialer_whose_address_changes_stays_connected() {
    within(async {
        let (pull, push, proxy) = through(1, Mischief::default()).await;
        for n in 0..5 {
            jobs(&push, &pull, n * 100..(n + 1) * 100).await;
            proxy.move_elsewhere();
        }
        jobs(&push, &pull, 500..600).await;
        assert_eq!((pull.stats().ledger.attached_pipes, push.stats().ledger.attached_pipes), (1, 1));
        assert_eq!(push.close(SECOND * 5).await.abandoned, 0);
        pull.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn a_network_that_is_cut_ends_the_connection_and_one_that_heals_brings_another() {
    within(async {
        let quic = impatient();
        let (pull, push) = (PullSocket::new(), PushSocket::new());
        let listener =
            pull.listen_with(ANY, ListenOptions { quic: quic.clone(), ..listening() }).await.unwrap();
        let proxy = Proxy::new(listener.local_addr().unwrap(), 1, Mischief::default()).await;
        let options = persistent(DialOptions { quic, ..dialing() });
        push.dial_with(&proxy.url, options).await.unwrap();
        push.wait_peers(1).await.unwrap();
        let mut events = [push.events(), pull.events()];
        pull.wait_peers(1).await.unwrap();
        proxy.cut(true);
        for events in &mut events {
            loop {
                match events.next().await.unwrap() {
                    Event::Detached(_, why) => break assert_eq!(why, DetachReason::ConnectionLost),
                    Event::Attaching(_) | Event::Attached(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        proxy.cut(false);
        jobs(&push, &pull, 0..10).await;
        push.close(SECOND).await;
        pull.close(SECOND).await;
    })
    .await;
}
