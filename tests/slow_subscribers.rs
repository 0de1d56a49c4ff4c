//! PUB with a subscriber that does not keep up: drop its oldest, wait for it, or conflate.
//!
//! A SUB of ours always reads, so the slow one is a bare stream that speaks just enough SP.

mod support;

use spanwire::{Dropped, Options, Overflow, PubSocket, SendError, Topic};
use std::time::Duration;
use support::within;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const SECOND: Duration = Duration::from_secs(1);
/// Large, so that the kernel's buffers are full soon.
const BYTES: usize = 32 * 1024;
const OUTBOX: usize = 4;
/// More than outbox and kernel hold together.
const COUNT: u32 = 500;

/// A publisher and a subscriber that has not read anything yet.
async fn joined(overflow: Overflow) -> (PubSocket, UnixStream) {
    let options = Options { outbox_messages: OUTBOX, overflow, ..Options::default() };
    let publisher = PubSocket::with(options);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut theirs = theirs;
    theirs.write_all(b"\0SP\0\0\x21\0\0").await.unwrap();
    publisher.adopt(ours.into_std().unwrap().into()).await.unwrap();
    let mut greeting = [0; 8];
    theirs.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"\0SP\0\0\x20\0\0");
    (publisher, theirs)
}

/// A message: its topic, its number, and ballast.
fn message(topic: u8, number: u32) -> Vec<u8> {
    let mut body = vec![0; BYTES];
    body[0] = topic;
    body[1..5].copy_from_slice(&number.to_be_bytes());
    body
}

/// Topic and number of the next message; `None` at the end of the stream.
async fn read(stream: &mut UnixStream) -> Option<(u8, u32)> {
    let mut length = [0; 8];
    stream.read_exact(&mut length).await.ok()?;
    let mut body = vec![0; u64::from_be_bytes(length) as usize];
    stream.read_exact(&mut body).await.unwrap();
    assert_eq!(body.len(), BYTES);
    Some((body[0], u32::from_be_bytes(body[1..5].try_into().unwrap())))
}

/// Everything up to the end of the stream, while the publisher closes.
async fn rest(publisher: &PubSocket, stream: &mut UnixStream) -> Vec<(u8, u32)> {
    let read_all = async {
        let mut all = Vec::new();
        while let Some(message) = read(stream).await {
            all.push(message);
        }
        stream.shutdown().await.unwrap();
        all
    };
    let (report, all) = tokio::join!(publisher.close(SECOND * 30), read_all);
    assert_eq!((report.abandoned, report.unknown), (0, 0));
    all
}

#[tokio::test]
async fn by_default_a_slow_subscriber_loses_its_oldest() {
    within(async {
        let (publisher, mut slow) = joined(Overflow::DropOldest).await;
        for n in 0..COUNT {
            publisher.send(message(0, n)).await.unwrap();
        }
        let got = rest(&publisher, &mut slow).await;
        assert!(got.is_sorted() && got.len() < COUNT as usize);
        let newest: Vec<_> = got.iter().rev().take(OUTBOX - 1).map(|(_, n)| COUNT - n).collect();
        assert_eq!(newest, [1, 2, 3], "what waits at last is the newest");
        let lost = publisher.stats().ledger.dropped(Dropped::SlowSubscriber);
        assert_eq!(lost + got.len() as u64, u64::from(COUNT), "every loss is counted");
    })
    .await;
}

#[tokio::test]
async fn a_publisher_may_wait_for_it() {
    within(async {
        let (publisher, mut slow) = joined(Overflow::Block(SECOND * 30)).await;
        let mut sent = 0;
        // What is owed to the kernel is written as soon as somebody has to wait.
        while publisher.send_timeout(message(0, sent), SECOND / 10).await.is_ok()
            && publisher.stats().ledger.dropped_total() == 0
        {
            sent += 1;
            assert!(sent < COUNT, "it never waited");
        }
        drop(publisher);
        while read(&mut slow).await.is_some() {}
    })
    .await;
}

#[tokio::test]
async fn while_it_waits_nothing_is_lost() {
    within(async {
        let (publisher, mut slow) = joined(Overflow::Block(SECOND * 30)).await;
        let publish = async {
            for n in 0..COUNT {
                publisher.send(message(0, n)).await.unwrap();
            }
        };
        let subscribe = async {
            for n in 0..COUNT {
                assert_eq!(read(&mut slow).await, Some((0, n)));
            }
        };
        tokio::join!(publish, subscribe);
        assert_eq!(publisher.stats().ledger.dropped_total(), 0);
        publisher.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn a_wait_that_is_over_costs_the_oldest() {
    within(async {
        let (publisher, mut slow) = joined(Overflow::Block(SECOND / 100)).await;
        let mut n = 0;
        while publisher.stats().ledger.dropped(Dropped::SlowSubscriber) < 3 {
            publisher.send(message(0, n)).await.unwrap();
            n += 1;
        }
        assert!(matches!(publisher.try_send(message(0, n)), Err(SendError::Full(_))));
        let lost = publisher.stats().ledger.dropped(Dropped::SlowSubscriber);
        let got = rest(&publisher, &mut slow).await;
        assert_eq!(got.len() as u64 + lost, u64::from(n));
        assert_eq!(got.last(), Some(&(0, n - 1)));
    })
    .await;
}

#[tokio::test]
async fn conflated_topics_arrive_with_their_newest() {
    within(async {
        let (publisher, mut slow) = joined(Overflow::Conflate(Topic::Bytes(1))).await;
        for n in 0..COUNT {
            for topic in *b"abc" {
                publisher.send(message(topic, n)).await.unwrap();
            }
        }
        let waiting = publisher.stats().waiting_messages;
        assert!(waiting <= OUTBOX + 3, "{waiting} wait");
        // Closing gives up what has not reached the outbox, so the subscriber catches up first.
        let mut newest = [0; 3];
        let mut count = 0;
        while newest != [COUNT - 1; 3] {
            let (topic, n) = read(&mut slow).await.unwrap();
            let place = &mut newest[usize::from(topic - b'a')];
            assert!(n >= *place, "older after newer");
            *place = n;
            count += 1;
        }
        let replaced = publisher.stats().ledger.dropped(Dropped::Conflated);
        assert_eq!(count + replaced, u64::from(COUNT) * 3, "every loss is counted");
        publisher.close(SECOND).await;
    })
    .await;
}
