//! Dialers: the next connection after a loss.

use crate::support::*;
use spanwire::DialOptions;
use spanwire::link::*;
use std::time::Duration;

fn quick() -> DialOptions {
    let (reconnect_min, reconnect_max) = (Duration::from_millis(1), Duration::from_millis(20));
    DialOptions { reconnect_min, reconnect_max, ..DialOptions::default() }
}

#[tokio::test]
async fn the_next_connection_comes_after_each_loss_over_every_transport() {
    for url in everywhere() {
        let bed = Bed::new();
        let server = Host::new("bob").serve(&url).await.unwrap();
        let dialer = Host::new("ann").dialer_with(&server.url(), quick()).unwrap();
        for round in 0..3_u16 {
            let here = soon(&url, dialer.next()).await.unwrap();
            let there = soon(&url, server.accept()).await.unwrap();
            here.send(Parcel::new(0, round, "x")).await.unwrap();
            assert_eq!(soon(&url, there.recv()).await.unwrap().message, round);
            assert!(dialer.try_next().is_none(), "one at a time");
            match round {
                0 => drop(there.close(SOON).await),
                1 => drop(here),
                _ => dialer.close(SOON).await,
            }
        }
        assert_eq!(dialer.stats().connections, 3);
        assert!(matches!(dialer.next().await, Err(ConnectError::Closed)));
        drop((dialer, server));
        bed.ends_clean().await;
    }
}

#[tokio::test]
async fn it_starts_before_its_server_and_finds_it_again_after_a_restart() {
    let first = Host::new("bob").serve("tcp://127.0.0.1:0").await.unwrap();
    let url = first.url();
    first.close(SOON).await;
    drop(first);
    let ann = Host::new("ann");
    let mut events = ann.events();
    let dialer = ann.dialer_with(&url, quick()).unwrap();
    let transient = event(&mut events, "a failure", |event| match event {
        Event::DialFailed { transient, .. } => Some(*transient),
        _ => None,
    });
    assert!(transient.await);
    assert!(matches!(dialer.next_timeout(Duration::from_millis(5)).await, Err(ConnectError::TimedOut)));
    for _ in 0..2 {
        let server = Host::new("bob").serve(&url).await.unwrap();
        let conn = soon("a connection", dialer.next()).await.unwrap();
        drop(server);
        soon("the loss", conn.ended()).await;
    }
}

#[tokio::test]
async fn what_does_not_go_away_is_handed_out_and_tried_again() {
    struct Nobody;
    impl Hook for Nobody {
        fn prove(&self, _: &Peer, _: &[u8]) -> Vec<u8> {
            Vec::new()
        }
        fn verify(&self, _: &Peer, _: &[u8], _: &[u8]) -> bool {
            false
        }
    }
    let hook = Some(std::sync::Arc::new(Nobody) as _);
    let host = Host::with(HostOptions { hook, ..HostOptions::default() });
    let server = host.serve("tcp://127.0.0.1:0").await.unwrap();
    let dialer = Host::new("ann").dialer_with(&server.url(), quick()).unwrap();
    for _ in 0..2 {
        let error = soon("an error", dialer.next()).await.unwrap_err();
        assert!(!error.is_transient(), "{error}");
    }
    assert!(matches!(Host::new("ann").dialer("nonsense"), Err(ConnectError::Dial(_))));
}
