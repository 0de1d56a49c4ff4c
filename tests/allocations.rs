//! How many allocations a small message costs once everything runs, which repeats where times do not.
//!
//! One test, since it counts what the whole process does. Every body is a clone of one `Bytes`, so that
//! nothing is counted but the library. What a send costs is what its own calls allocate; what a receive
//! costs, everything beside that, the tasks and the thread of the library included.

#[path = "support/counting.rs"]
mod counting;
mod support;

use bytes::Bytes;
use counting::{EVERYWHERE, HERE};
use futures_util::future::join;
use spanwire::*;
use std::future::{Future, poll_fn};
use std::iter::repeat_n;
use std::pin::pin;
use std::sync::Barrier;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;
use support::within;
use tokio::runtime::Builder;

/// What is counted, and how many allocations it may cost at most.
struct Bound {
    what: &'static str,
    most: f64,
}

/// None for a message. After a pause the buffers of a connection grow anew, in some twenty steps.
const SEND: Bound = Bound { what: "a send", most: 0.005 };

/// One list for each `send_many`, beside that.
const SEND_MANY: Bound = Bound { what: "a send of many", most: 0.005 + 1.0 / MANY as f64 };

/// A buffer for each large read; small ones share some.
const RECEIVE: Bound = Bound { what: "a receive", most: 0.05 };

const ROUND_TRIP: Bound = Bound { what: "a round trip", most: 0.05 };

/// What a SUB keeps it copies, with what came in the same read.
const DELIVERY: Bound = Bound { what: "a delivery to one of 8", most: 0.06 };

/// How much comes in one read depends on the other thread, most of all on a busy machine.
const BLOCKING_DELIVERY: Bound = Bound { what: "a delivery to one of 8", most: 0.15 };

/// Two lists for each publication.
const LOCAL_DELIVERY: Bound = Bound { what: "a delivery to one of 8", most: 0.26 };

/// How many messages go before counting begins, and how many are counted.
const WARM_UP: usize = 4_096;
const COUNT: usize = 32_768;

/// A publication counts eight times.
const PUBLICATIONS: usize = COUNT / 4;

/// How many go with one `send_many`, and come with one `recv_many` at most.
const MANY: usize = 256;

const SUBSCRIBERS: usize = 8;

/// How many publications are on their way before the subscribers look.
const BURST: usize = 64;

#[test]
fn a_small_message_costs_few_allocations() {
    let mut wrong = Vec::new();
    let mut check = |bound: &Bound, how: &str, count: usize, allocations: u64| {
        let each = allocations as f64 / count as f64;
        let line = format!("{}, {how}: {each:.4}, at most {:.4}", bound.what, bound.most);
        println!("{line}");
        if each > bound.most {
            wrong.push(line);
        }
    };
    for transport in ["tcp", "ipc", "inproc"] {
        let url = |name: &str| url(transport, name);
        for (many, send) in [(false, SEND), (true, SEND_MANY)] {
            let how = |api| format!("{transport}, {api}{}", if many { ", many" } else { "" });
            for (api, cost) in [
                ("async", on_runtime(flow(&url(&format!("flow-{many}")), many))),
                ("blocking", flow_blocking(&url(&format!("flow-blocking-{many}")), many)),
            ] {
                check(&send, &how(api), COUNT, cost.sending);
                check(&RECEIVE, &how(api), COUNT, cost.all - cost.sending);
            }
        }
        for (api, all) in [
            ("async", on_runtime(round_trips(&url("trips")))),
            ("blocking", round_trips_blocking(&url("trips-blocking"))),
        ] {
            check(&ROUND_TRIP, &format!("{transport}, {api}"), COUNT, all);
        }
        for (api, bound, all) in [
            ("async", DELIVERY, on_runtime(publications(&url("pub")))),
            ("blocking", BLOCKING_DELIVERY, publications_blocking(&url("pub-blocking"))),
        ] {
            let bound = if transport == "inproc" { LOCAL_DELIVERY } else { bound };
            check(&bound, &format!("{transport}, {api}"), PUBLICATIONS * SUBSCRIBERS, all);
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// What `COUNT` messages have cost.
struct Cost {
    /// Within the calls that send.
    sending: u64,
    /// In the whole process.
    all: u64,
}

async fn flow(url: &str, many: bool) -> Cost {
    let (push, pull) = (PushSocket::new(), PullSocket::new());
    let listener = pull.listen(url).await.unwrap();
    push.dial(listener.url()).await.unwrap();
    let (message, mut batch) = (message(), Vec::with_capacity(MANY));
    let mut pass = async |count: usize| {
        let send = async {
            if many {
                for _ in 0..count / MANY {
                    push.send_many(repeat_n(message.clone(), MANY)).await.unwrap();
                }
            } else {
                for _ in 0..count {
                    push.send(message.clone()).await.unwrap();
                }
            }
        };
        let receive = async {
            let mut missing = count;
            while missing > 0 {
                if many {
                    missing -= pull.recv_many(&mut batch, MANY.min(missing)).await.unwrap();
                    batch.clear();
                } else {
                    pull.recv().await.unwrap();
                    missing -= 1;
                }
            }
        };
        join(counted(send), receive).await.0
    };
    pass(WARM_UP).await;
    let before = EVERYWHERE.load(Relaxed);
    let sending = pass(COUNT).await;
    Cost { sending, all: EVERYWHERE.load(Relaxed) - before }
}

fn flow_blocking(url: &str, many: bool) -> Cost {
    let (push, pull) = (blocking::PushSocket::new(), blocking::PullSocket::new());
    let listener = pull.listen(url).unwrap();
    push.dial(listener.url()).unwrap();
    let (message, mut batch) = (message(), Vec::with_capacity(MANY));
    let send = |count: usize| {
        if many {
            for _ in 0..count / MANY {
                push.send_many(repeat_n(message.clone(), MANY)).unwrap();
            }
        } else {
            for _ in 0..count {
                push.send(message.clone()).unwrap();
            }
        }
    };
    let mut receive = |count: usize| {
        let mut missing = count;
        while missing > 0 {
            if many {
                missing -= pull.recv_many(&mut batch, MANY.min(missing)).unwrap();
                batch.clear();
            } else {
                pull.recv().unwrap();
                missing -= 1;
            }
        }
    };
    side_by_side(send, &mut receive)
}

async fn round_trips(url: &str) -> u64 {
    let (req, rep) = (ReqSocket::new(), RepSocket::new());
    let listener = rep.listen(url).await.unwrap();
    req.dial(listener.url()).await.unwrap();
    let message = message();
    let pass = async |count: usize| {
        let ask = async {
            for _ in 0..count {
                req.request(message.clone()).await.unwrap();
            }
        };
        let answer = async {
            for _ in 0..count {
                rep.recv().await.unwrap().reply(message.clone()).await.unwrap();
            }
        };
        join(ask, answer).await;
    };
    pass(WARM_UP).await;
    let before = EVERYWHERE.load(Relaxed);
    pass(COUNT).await;
    EVERYWHERE.load(Relaxed) - before
}

fn round_trips_blocking(url: &str) -> u64 {
    let (req, rep) = (blocking::ReqSocket::new(), blocking::RepSocket::new());
    let listener = rep.listen(url).unwrap();
    req.dial(listener.url()).unwrap();
    let message = message();
    let ask = |count| {
        for _ in 0..count {
            req.request(message.clone()).unwrap();
        }
    };
    let mut answer = |count| {
        for _ in 0..count {
            rep.recv().unwrap().reply(message.clone()).unwrap();
        }
    };
    side_by_side(ask, &mut answer).all
}

async fn publications(url: &str) -> u64 {
    let publisher = PubSocket::with(lossless());
    let listener = publisher.listen(url).await.unwrap();
    let mut subscribers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let subscriber = SubSocket::with(lossless());
        subscriber.subscribe("");
        subscriber.dial(listener.url()).await.unwrap();
        subscribers.push(subscriber);
    }
    publisher.wait_peers(SUBSCRIBERS).await.unwrap();
    let message = message();
    let pass = async |count: usize| {
        for _ in 0..count / BURST {
            for _ in 0..BURST {
                publisher.send(message.clone()).await.unwrap();
            }
            for subscriber in &subscribers {
                for _ in 0..BURST {
                    subscriber.recv().await.unwrap();
                }
            }
        }
    };
    pass(WARM_UP).await;
    let before = EVERYWHERE.load(Relaxed);
    pass(PUBLICATIONS).await;
    EVERYWHERE.load(Relaxed) - before
}

fn publications_blocking(url: &str) -> u64 {
    let publisher = blocking::PubSocket::with(lossless());
    let listener = publisher.listen(url).unwrap();
    let mut subscribers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let subscriber = blocking::SubSocket::with(lossless());
        subscriber.subscribe("");
        subscriber.dial(listener.url()).unwrap();
        subscribers.push(subscriber);
    }
    publisher.wait_peers(SUBSCRIBERS).unwrap();
    let message = message();
    let pass = |count: usize| {
        for _ in 0..count / BURST {
            for _ in 0..BURST {
                publisher.send(message.clone()).unwrap();
            }
            for subscriber in &subscribers {
                for _ in 0..BURST {
                    subscriber.recv().unwrap();
                }
            }
        }
    };
    pass(WARM_UP);
    let before = EVERYWHERE.load(Relaxed);
    pass(PUBLICATIONS);
    EVERYWHERE.load(Relaxed) - before
}

/// How often `work` allocates within its own polls.
async fn counted(work: impl Future<Output = ()>) -> u64 {
    let (mut work, mut own) = (pin!(work), 0);
    poll_fn(|context| {
        let before = HERE.get();
        let poll = work.as_mut().poll(context);
        own += HERE.get() - before;
        poll.map(|()| own)
    })
    .await
}

/// Each in its own thread: first the warm-up, then what is counted.
fn side_by_side(send: impl Fn(usize), receive: &mut (impl FnMut(usize) + Send)) -> Cost {
    let all_here = &Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(move || {
            for count in [WARM_UP, COUNT] {
                receive(count);
                all_here.wait();
            }
        });
        send(WARM_UP);
        all_here.wait();
        let (before, own) = (EVERYWHERE.load(Relaxed), HERE.get());
        send(COUNT);
        let sending = HERE.get() - own;
        all_here.wait();
        Cost { sending, all: EVERYWHERE.load(Relaxed) - before }
    })
}

fn message() -> Message {
    Message::new(Bytes::from(vec![b'x'; 64]))
}

/// What is published waits for room, and subscribers have enough.
fn lossless() -> Options {
    Options { overflow: Overflow::Block(Duration::from_secs(60)), ..Options::default() }
}

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(within(work))
}

fn url(transport: &str, name: &str) -> String {
    match transport {
        "tcp" => "tcp://127.0.0.1:0".to_owned(),
        "ipc" => {
            let file = format!("spanwire-allocations-{name}-{}", std::process::id());
            format!("ipc://{}", std::env::temp_dir().join(file).display())
        }
        _ => format!("inproc://allocations-{name}"),
    }
}
