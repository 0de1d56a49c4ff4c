//! Sockets over `quic://` that are closed leave nothing behind: no descriptor, thread or task.
//!
//! One test, since it counts what the whole process has.
#![cfg(feature = "quic")]

#[path = "support/bare.rs"]
mod bare;
#[path = "support/certificates.rs"]
mod certificates;
mod support;

use bare::block_on;
use certificates::{Authority, HERE, dialing, listening, with_client};
use spanwire::{DialError, DialOptions, PullSocket, PushSocket, RepSocket, ReqSocket};
use std::net::UdpSocket;
use std::time::{Duration, Instant};
use support::within;
use tokio::runtime::{Builder, Runtime};

const SECOND: Duration = Duration::from_secs(1);
const ANY: &str = "quic://127.0.0.1:0";
const ROUNDS: usize = 100;

/// What this process has.
#[derive(Debug, PartialEq, Eq)]
struct Holdings {
    descriptors: usize,
    threads: usize,
    tasks: usize,
}

fn holdings(runtime: &Runtime) -> Holdings {
    let count = |path: &str| std::fs::read_dir(path).unwrap().count();
    Holdings {
        descriptors: count("/proc/self/fd"),
        threads: count("/proc/self/task"),
        tasks: runtime.metrics().num_alive_tasks(),
    }
}

/// Sockets that talk and are closed, in both orders; and dialers that get nowhere.
async fn round(n: usize) {
    let (push, pull) = (PushSocket::new(), PullSocket::new());
    push.dial_with(pull.listen_with(ANY, listening()).await.unwrap().url(), dialing()).await.unwrap();
    push.send("job").await.unwrap();
    assert_eq!(&pull.recv().await.unwrap()[..], b"job");
    let (first, second) = (push.close(SECOND * 5), pull.close(SECOND * 5));
    let reports = match n % 3 {
        0 => (first.await, second.await),
        1 => {
            let second = second.await;
            (first.await, second)
        }
        _ => tokio::join!(first, second),
    };
    assert_eq!((reports.0.abandoned, reports.1.abandoned), (0, 0));

    let rep = RepSocket::new();
    let listener = rep.listen_with(ANY, listening()).await.unwrap();
    let wrong = PushSocket::new();
    assert!(matches!(wrong.dial_with(listener.url(), dialing()).await, Err(DialError::Refused { .. })));
    let stranger = ReqSocket::new();
    let unknown = with_client(Authority::new("unknown").known_client(HERE));
    assert!(matches!(stranger.dial_with(listener.url(), unknown).await, Err(DialError::Upgrade { .. })));
    for socket in [&wrong.close(SECOND).await, &stranger.close(SECOND).await, &rep.close(SECOND).await] {
        assert_eq!(socket.abandoned, 0);
    }
    // Somebody who never answers, and a caller who does not wait for that.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("quic://{}", silent.local_addr().unwrap());
    let patient = ReqSocket::new();
    let options = DialOptions { connect_timeout: Some(SECOND / 100), ..dialing() };
    assert!(matches!(patient.dial_with(&url, options).await, Err(DialError::TimedOut { .. })));
    patient.close(SECOND).await;
}

#[test]
fn a_hundred_rounds_leave_nothing_behind() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(within(round(0)));
    let before = Holdings { tasks: 0, ..holdings(&runtime) };
    for n in 1..=ROUNDS {
        runtime.block_on(within(round(n)));
    }
    same_again(&before, &runtime);

    // When `close` returns, nothing is left that has to end on its own time.
    let alone = Builder::new_current_thread().enable_all().build().unwrap();
    for n in 0..20 {
        alone.block_on(async {
            within(round(n)).await;
            // The alarm of `close` was called off, which the runtime has to notice.
            tokio::task::yield_now().await;
        });
        assert_eq!(alone.metrics().num_alive_tasks(), 0, "round {n}");
    }
    drop(alone);

    // Sockets made outside of any runtime live on the library's own thread, which ends with them.
    for n in 0..10 {
        block_on(in_no_runtime(n));
    }
    same_again(&before, &runtime);
}

/// The same without what needs a runtime of ours.
async fn in_no_runtime(n: u8) {
    let (req, rep) = (ReqSocket::new(), RepSocket::new());
    req.dial_with(rep.listen_with(ANY, listening()).await.unwrap().url(), dialing()).await.unwrap();
    let asking = req.context();
    asking.send(vec![n]).await.unwrap();
    rep.recv().await.unwrap().reply(vec![n]).await.unwrap();
    assert_eq!(asking.recv().await.unwrap()[..], [n]);
    drop(asking);
    req.close(SECOND).await;
    rep.close(SECOND).await;
}

/// Waits until the process has what it had, which takes ending threads a moment.
#[track_caller]
fn same_again(before: &Holdings, runtime: &Runtime) {
    let start = Instant::now();
    loop {
        let now = holdings(runtime);
        if now == *before {
            return;
        }
        assert!(start.elapsed() < SECOND * 20, "before: {before:?}, and now: {now:?}");
        std::thread::yield_now();
    }
}
