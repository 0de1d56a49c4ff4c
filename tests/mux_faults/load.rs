//! Many channels, many openings, and readers that stop.

use super::peer::{OVER, Over, ends};
use super::support::within;
use spanwire::mux::{Channel, Connection, MuxOptions};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

async fn pair(over: Over, options: &MuxOptions) -> (Connection, Connection) {
    let (a, b) = ends(over).await;
    (Connection::wrap(a, options.clone()), Connection::wrap(b, options.clone()))
}

/// How many channels are opened and closed: 100,000 where `SPANWIRE_SOAK_SECONDS` asks for long tests.
fn openings() -> usize {
    if std::env::var_os("SPANWIRE_SOAK_SECONDS").is_some() { 100_000 } else { 10_000 }
}

#[tokio::test]
async fn channels_come_and_go_64_at_a_time() {
    let (here, there) = pair(Over::Tcp, &MuxOptions { channels: 64, ..MuxOptions::default() }).await;
    let opening = openings() / 64;
    let serve = async {
        for _ in 0..opening * 64 {
            let channel = there.accept("").await.unwrap();
            tokio::spawn(async move {
                let message = channel.recv().await.unwrap();
                channel.send(message).await.unwrap();
            });
        }
    };
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..64_usize {
        let here = here.clone();
        clients.spawn(async move {
            for round in 0..opening {
                let channel = here.open("storm").await.unwrap();
                let message = format!("{client} {round}");
                channel.send(message.clone()).await.unwrap();
                assert_eq!(channel.recv().await.unwrap(), message);
            }
        });
    }
    let patience = Duration::from_secs(60 * openings() as u64 / 10_000);
    let all = async { tokio::join!(serve, clients.join_all()) };
    tokio::time::timeout(patience, all).await.expect("it hangs");
    while here.stats().channels + there.stats().channels > 0 {
        tokio::task::yield_now().await;
    }
    let opened = (opening * 64) as u64;
    assert_eq!((here.stats().opened, there.stats().incoming, there.stats().refused), (opened, opened, 0));
    assert_eq!((here.stats().shared_used, there.stats().shared_used), (0, 0));
}

/// Sends so many messages with their numbers.
async fn push(channel: Channel) {
    for number in 0..MESSAGES {
        let mut body = vec![7; 4_000];
        body[..4].copy_from_slice(&number.to_be_bytes());
        channel.send(body).await.unwrap();
    }
}

async fn pull(channel: &Channel, numbers: std::ops::Range<u32>) {
    for number in numbers {
        assert_eq!(channel.recv().await.unwrap()[..4], number.to_be_bytes());
    }
}

const MESSAGES: u32 = 1_000;

#[tokio::test]
async fn readers_that_stop_and_resume_hold_up_nobody_else_in_either_direction() {
    for over in OVER {
        let (here, there) = pair(over, &MuxOptions { shared_window: 1 << 20, ..MuxOptions::default() }).await;
        let resume = Arc::new(Notify::new());
        let (mut steady, mut all) = (tokio::task::JoinSet::new(), tokio::task::JoinSet::new());
        for number in 0..8 {
            let a = here.open("x").await.unwrap();
            let b = there.accept("x").await.unwrap();
            for (from, to) in [(a.clone(), b.clone()), (b, a)] {
                all.spawn(push(from));
                if number % 2 == 0 {
                    steady.spawn(async move { pull(&to, 0..MESSAGES).await });
                    continue;
                }
                let resume = resume.clone();
                all.spawn(async move {
                    let resumed = resume.notified();
                    pull(&to, 0..100).await;
                    resumed.await;
                    pull(&to, 100..MESSAGES).await;
                });
            }
        }
        // Half of them have all they get while the others read nothing.
        within(async { while steady.join_next().await.transpose().unwrap().is_some() {} }).await;
        assert!(!all.is_empty());
        resume.notify_waiters();
        within(async { while all.join_next().await.transpose().unwrap().is_some() {} }).await;
    }
}
