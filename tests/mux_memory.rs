//! What logical connections cost on which nothing happens.
//!
//! One test, since it counts what the whole process has.
#![cfg(target_os = "linux")]

#[path = "support/counting.rs"]
mod counting;
mod support;

use counting::IN_USE;
use spanwire::mux::{Channel, Connection, MuxOptions};
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::Duration;
use support::within;
use tokio::runtime::Builder;

/// Channels on one connection.
const ALL: usize = 10_000;

/// The most that both ends of one may cost, in bytes as they were asked for.
const MOST: usize = 580;

/// The most that may come on top of that where somebody waits for a message on one end of each.
const MOST_WAITING: usize = 48;

/// Ticks of the processor that this process has used: hundredths of a second.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn idle_channels_cost_little_memory_and_no_time() {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let options = MuxOptions { channels: ALL as u32, backlog: ALL, ..MuxOptions::default() };
        let (a, b) = tokio::io::duplex(64 * 1024);
        let (here, there) = (Connection::wrap(a, options.clone()), Connection::wrap(b, options));
        within(talk(&here, &there)).await;
        let mut held: Vec<[Channel; 2]> = Vec::with_capacity(ALL);
        let before = IN_USE.load(Ordering::Relaxed);
        while held.len() < ALL {
            held.push(within(talk(&here, &there)).await);
        }
        let each = (IN_USE.load(Ordering::Relaxed) - before) / ALL;
        println!("{each} bytes for both ends of a channel");
        assert!(each <= MOST, "{each} bytes");

        let mut waiting: Vec<_> = held.iter().map(|[_, b]| Box::pin(b.recv())).collect();
        let before_waiting = IN_USE.load(Ordering::Relaxed);
        for one in &mut waiting {
            assert!(one.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        let each = (IN_USE.load(Ordering::Relaxed) - before_waiting) / ALL;
        println!("{each} bytes for one who waits");
        assert!(each <= MOST_WAITING, "{each} bytes");
        drop(waiting);

        // Nobody has anything to do.
        let ticks_before = ticks();
        assert!(tokio::time::timeout(Duration::from_millis(500), here.ended()).await.is_err());
        let used = ticks() - ticks_before;
        assert!(used <= 2, "{used} hundredths of a second");

        // All go on.
        for [a, b] in &held {
            a.send("still there").await.unwrap();
            assert_eq!(within(b.recv()).await.unwrap(), "still there");
        }
        drop(held);
        within(async {
            while here.stats().channels + there.stats().channels > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert!(within(here.close(Duration::from_secs(10))).await);
        // The places of so many channels are kept for others.
        let left = (IN_USE.load(Ordering::Relaxed).saturating_sub(before)) / ALL;
        assert!(left <= 128, "{left} bytes of each are left");
        drop((here, there));
    });
}

/// A channel on which each end has sent and received.
async fn talk(here: &Connection, there: &Connection) -> [Channel; 2] {
    let a = here.open("").await.unwrap();
    let b = there.accept("").await.unwrap();
    a.send("there").await.unwrap();
    assert_eq!(b.recv().await.unwrap(), "there");
    b.send("and back").await.unwrap();
    assert_eq!(a.recv().await.unwrap(), "and back");
    [a, b]
}
