//! What concerns the pool of the process as a whole, which tests of anything else would be in the way of.

#[path = "support/mod.rs"]
mod support;

use spanwire::mux::{OpenError, Pool, PoolBounds};
use spanwire::{DialError, DialOptions, Event, PullSocket, PushSocket, Start};
use std::time::Duration;
use support::within;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

const SECOND: Duration = Duration::from_secs(1);

/// There is one pool, so there is one test at a time.
static ONE: Mutex<()> = Mutex::const_new(());

fn hurried() -> DialOptions {
    DialOptions { connect_timeout: Some(SECOND / 20), ..DialOptions::default() }
}

#[tokio::test]
async fn its_bound_holds_for_connections_of_sockets() {
    let _one = ONE.lock().await;
    within(async {
        let most = PoolBounds::default().in_all;
        let (pull, push) = (PullSocket::new(), PushSocket::new());
        let mut urls = Vec::new();
        for number in 0..=most {
            let url = format!("mux+inproc://bound-{number}");
            pull.listen(&url).await.unwrap();
            urls.push(url);
        }
        let last = urls.pop().unwrap();
        let mut dialers = Vec::new();
        for url in &urls {
            dialers.push(push.dial(url).await.unwrap());
        }
        let report = Pool::global().stats();
        assert_eq!((report.physical.len(), report.waiting), (most, 0));
        match push.dial_with(&last, hurried()).await {
            Err(DialError::TimedOut { .. }) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(Pool::global().stats().waiting, 0, "who gives up leaves the line");
        dialers.pop().unwrap().close();
        push.dial(&last).await.unwrap();
        assert!(Pool::global().stats().physical.len() <= most);
        push.close(SECOND).await;
        pull.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn after_it_was_closed_there_is_another_one_and_sockets_come_back_through_it() {
    let _one = ONE.lock().await;
    within(async {
        let pull = PullSocket::new();
        pull.listen("mux+inproc://closed").await.unwrap();
        let push = PushSocket::new();
        let mut events = push.events();
        let eager = DialOptions {
            start: Start::Background,
            reconnect_min: Duration::from_millis(1),
            reconnect_max: Duration::from_millis(20),
            ..DialOptions::default()
        };
        push.dial_with("mux+inproc://closed", eager).await.unwrap();
        while !matches!(events.next().await, Some(Event::Attached(_))) {}
        let former = Pool::global();
        assert!(!former.close(Duration::from_millis(1)).await, "somebody used it");
        assert!(matches!(former.open("inproc://closed", "").await, Err(OpenError::ClosedHere)));
        while !matches!(events.next().await, Some(Event::Attached(_))) {}
        push.send("back").await.unwrap();
        assert_eq!(&pull.recv().await.unwrap()[..], b"back");
        let here = |physical: &&spanwire::mux::PhysicalStats| &*physical.url == "inproc://closed";
        assert_eq!(Pool::global().stats().physical.iter().filter(here).count(), 1);
        push.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn a_dial_whose_runtime_ends_is_begun_again_for_the_next_in_line() {
    let _one = ONE.lock().await;
    within(async {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("tcp://{}", silent.local_addr().unwrap());
        // Whoever is told that it failed does not come again.
        let once = || DialOptions {
            start: Start::Background,
            reconnect_min: 10_000 * SECOND,
            reconnect_max: 10_000 * SECOND,
            ..DialOptions::default()
        };
        let other =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (url, first) = (format!("mux+{at}#x"), format!("mux+{at}#x"));
        let options = once();
        let gone = other.spawn(async move {
            let push = PushSocket::new();
            push.dial_with(&first, options).await.unwrap();
            push
        });
        let gone = gone.await.unwrap();
        let (_before, _) = silent.accept().await.unwrap();
        let stays = PushSocket::new();
        stays.dial_with(&url, once()).await.unwrap();
        let pool = Pool::global();
        let dials = || pool.stats().physical.iter().filter(|physical| *physical.url == *at).count();
        while pool.stats().waiting < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(dials(), 1, "they wait for the same");
        other.shutdown_background();
        let (_after, _) = silent.accept().await.unwrap();
        while pool.stats().waiting > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(dials(), 1);
        // Nobody waits for it any more.
        stays.close(SECOND).await;
        while dials() > 0 {
            tokio::task::yield_now().await;
        }
        drop(gone);
    })
    .await;
}
