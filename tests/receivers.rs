//! A receiver that waits reads its connection itself. Nothing of that may show: whatever happens while
//! it waits, or while it has just been there and may come back, happens as if somebody else had read.

mod support;

use futures_util::FutureExt;
use spanwire::{
    DetachReason, Event, Options, PullSocket, PushSocket, RecvError, RepSocket, ReqSocket, blocking,
};
use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};
use support::within;

/// Long enough for whatever has to happen, on the busiest machine.
const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(20);

#[cfg(target_os = "linux")]
const URLS: &[&str] = &["tcp://127.0.0.1:0", "abstract://"];
#[cfg(not(target_os = "linux"))]
const URLS: &[&str] = &["tcp://127.0.0.1:0"];

async fn pipeline(url: &str, options: Options) -> (PushSocket, PullSocket) {
    let (push, pull) = (PushSocket::new(), PullSocket::with(options));
    push.dial(pull.listen(url).await.unwrap().url()).await.unwrap();
    within(pull.wait_peers(1)).await.unwrap();
    (push, pull)
}

fn blocking_pipeline(url: &str, options: Options) -> (blocking::PushSocket, blocking::PullSocket) {
    let (push, pull) = (blocking::PushSocket::new(), blocking::PullSocket::with(options));
    push.dial(pull.listen(url).unwrap().url()).unwrap();
    pull.wait_peers(1).unwrap();
    (push, pull)
}

/// Starts a thread that receives; it has most likely begun to wait when this returns.
fn waiting<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
    let (begin, begun) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        begin.send(()).unwrap();
        // Nobody listens where the test has failed.
        let _ = tell.send(work());
    });
    begun.recv().unwrap();
    thread::park_timeout(SHORT);
    told
}

/// Waits until something holds for which there is nothing to wait on.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "this did not become true in time: {what}");
        thread::park_timeout(Duration::from_millis(1));
    }
}

async fn until_async(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "this did not become true in time: {what}");
        tokio::task::yield_now().await;
    }
}

/// A peer that speaks bytes: a PUSH after its handshake.
fn stranger(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&[0, b'S', b'P', 0, 0, 0x50, 0, 0]).unwrap();
    stream.read_exact(&mut [0; 8]).unwrap();
    stream
}

#[tokio::test]
async fn a_receive_that_is_dropped_at_any_poll_leaves_the_reading_to_others() {
    for url in URLS {
        let (push, pull) = pipeline(url, Options::default()).await;
        for (n, (polls, early)) in (0..6).flat_map(|polls| [(polls, false), (polls, true)]).enumerate() {
            let body = vec![n as u8];
            if early {
                push.send(body.clone()).await.unwrap();
            }
            let mut got = None;
            {
                let mut recv = pin!(pull.recv());
                for _ in 0..polls {
                    let polled = poll_fn(|cx| Poll::Ready(recv.as_mut().poll(cx))).await;
                    if let Poll::Ready(message) = polled {
                        got = Some(message.unwrap());
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
            if !early {
                push.send(body.clone()).await.unwrap();
            }
            if got.is_none() {
                // The driver reads, though nobody waits.
                until_async("it is read", || pull.stats().ledger.received_messages > n as u64).await;
                got = Some(pull.try_recv().unwrap());
            }
            assert_eq!(got.unwrap().body()[..], body, "{url}, {polls} polls");
        }
    }
}

#[tokio::test]
async fn a_receive_that_nobody_polls_holds_nothing_up() {
    for url in URLS {
        let (push, pull) = pipeline(url, Options::default()).await;
        let mut idle = pin!(pull.recv());
        assert!(idle.as_mut().now_or_never().is_none());
        push.send("one").await.unwrap();
        push.send("two").await.unwrap();
        until_async("both are read", || pull.stats().ledger.received_messages == 2).await;
        let mut events = pull.events();
        drop(push);
        within(async { while !matches!(events.next().await, Some(Event::Detached(..))) {} }).await;
        assert_eq!(&idle.await.unwrap()[..], b"one");
    }
}

#[test]
fn who_does_not_come_back_loses_the_reading() {
    for url in URLS {
        let (push, pull) = blocking_pipeline(url, Options::default());
        for n in (2..20).step_by(2) {
            push.send("asked for").unwrap();
            pull.recv().unwrap();
            push.send("not asked for").unwrap();
            until("the driver reads", || pull.stats().ledger.received_messages == n);
            pull.try_recv().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tasks_that_wait_get_one_message_each() {
    for url in URLS {
        let (push, pull) = pipeline(url, Options::default()).await;
        for _ in 0..200 {
            let tasks = [0, 1].map(|_| {
                let pull = pull.clone();
                tokio::spawn(async move { pull.recv().await.unwrap() })
            });
            push.send("a").await.unwrap();
            tokio::task::yield_now().await;
            push.send("b").await.unwrap();
            let mut got = Vec::new();
            for task in tasks {
                got.push(within(task).await.unwrap().body().to_vec());
            }
            got.sort();
            assert_eq!(got, [b"a", b"b"]);
        }
    }
}

#[test]
fn threads_that_share_a_socket_get_every_message_once() {
    for url in URLS {
        let (push, pull) = blocking_pipeline(url, Options::default());
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let pull = pull.clone();
                waiting(move || {
                    let mut sum = 0;
                    while let Ok(message) = pull.recv_timeout(Duration::from_millis(500)) {
                        sum += u64::from(message[0]) + 1;
                    }
                    sum
                })
            })
            .collect();
        for n in 0..2_000_u64 {
            push.send(vec![(n % 200) as u8]).unwrap();
            if n % 50 == 0 {
                thread::yield_now();
            }
        }
        let sum: u64 = takers.iter().map(|taker| taker.recv_timeout(LONG).unwrap()).sum();
        assert_eq!(sum, (0..2_000).map(|n| n % 200 + 1).sum());
    }
}

#[test]
fn threads_that_ask_at_once_get_their_own_replies() {
    let rep = blocking::RepSocket::new();
    let url = rep.listen("tcp://127.0.0.1:0").unwrap().url().to_owned();
    let server = thread::spawn(move || {
        while let Ok(request) = rep.recv() {
            let body = request.message().body().clone();
            if request.reply(body).is_err() {
                break;
            }
        }
    });
    let req = blocking::ReqSocket::new();
    req.dial(&url).unwrap();
    let askers: Vec<_> = (0..3_u32)
        .map(|asker| {
            let req = req.clone();
            waiting(move || {
                for n in 0..500 {
                    let question = (asker * 1_000 + n).to_be_bytes().to_vec();
                    assert_eq!(req.request(question.clone()).unwrap().body()[..], question);
                }
            })
        })
        .collect();
    askers.iter().for_each(|asker| asker.recv_timeout(LONG).unwrap());
    drop((req, server));
}

#[test]
fn the_end_of_the_peer_is_seen_by_who_waits_and_by_who_was_there() {
    for url in URLS {
        for message_first in [false, true] {
            let (push, pull) = blocking_pipeline(url, Options::default());
            let mut events = pull.events();
            if message_first {
                push.send("x").unwrap();
                pull.recv().unwrap();
            }
            let told = match message_first {
                // It keeps the reading, and stays away.
                true => None,
                false => Some(waiting({
                    let pull = pull.clone();
                    move || pull.recv()
                })),
            };
            push.close(LONG);
            until("its end is seen", || pull.peers().is_empty());
            let ended = |event: &Event| matches!(event, Event::Detached(_, DetachReason::PeerClosed));
            assert!(events.by_ref().any(|event| ended(&event)));
            pull.close(SHORT);
            if let Some(told) = told {
                assert_eq!(told.recv_timeout(LONG).unwrap(), Err(RecvError::Closed));
            }
        }
    }
}

#[test]
fn closing_ends_a_thread_that_reads() {
    for url in URLS {
        let (_push, pull) = blocking_pipeline(url, Options::default());
        let told = waiting({
            let pull = pull.clone();
            move || pull.recv()
        });
        let start = Instant::now();
        pull.close(SHORT);
        assert_eq!(told.recv_timeout(LONG).unwrap(), Err(RecvError::Closed));
        assert!(start.elapsed() < LONG);
    }
}

#[tokio::test]
async fn closing_ends_a_task_that_reads() {
    for url in URLS {
        let (push, pull) = pipeline(url, Options::default()).await;
        let recv = tokio::spawn({
            let pull = pull.clone();
            async move { pull.recv().await }
        });
        tokio::task::yield_now().await;
        let (report, closed) = within(async { tokio::join!(pull.close(LONG), push.close(LONG)) }).await;
        assert_eq!((report.abandoned, closed.abandoned), (0, 0));
        assert_eq!(within(recv).await.unwrap(), Err(RecvError::Closed));
    }
}

#[test]
fn a_runtime_that_goes_away_ends_who_reads_its_connection() {
    for url in URLS {
        let home =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (_push, pull) = home.block_on(pipeline(url, Options::default()));
        let told = waiting(move || {
            let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let result = other.block_on(pull.recv());
            (result, other.block_on(pull.recv()))
        });
        drop(home);
        let gone = || Err(RecvError::RuntimeGone);
        assert_eq!(told.recv_timeout(LONG).unwrap(), (gone(), gone()));
    }
}

#[test]
fn back_pressure_is_no_obstacle_to_who_reads() {
    for url in URLS {
        for recv_messages in [1, 3, 1_024] {
            let options = Options { recv_messages, ..Options::default() };
            let (push, pull) = blocking_pipeline(url, options);
            let sender = thread::spawn(move || {
                (0..3_000_u32).for_each(|n| push.send(n.to_be_bytes().to_vec()).unwrap());
                push.close(LONG)
            });
            for n in 0..3_000_u32 {
                if n % 1_000 == 0 {
                    thread::park_timeout(SHORT);
                }
                let message = pull.recv_timeout(LONG).unwrap();
                assert_eq!(message.body()[..], n.to_be_bytes(), "{url}, room for {recv_messages}");
            }
            assert_eq!(sender.join().unwrap().abandoned, 0);
        }
    }
}

#[tokio::test]
async fn back_pressure_is_no_obstacle_to_a_task_that_reads() {
    for url in URLS {
        let options = Options { recv_messages: 2, ..Options::default() };
        let (push, pull) = pipeline(url, options).await;
        let send = async {
            assert_eq!(push.send_many((0..3_000_u32).map(|n| n.to_be_bytes().to_vec())).await.unwrap(), 3_000)
        };
        let recv = async {
            for n in 0..3_000_u32 {
                assert_eq!(pull.recv().await.unwrap().body()[..], n.to_be_bytes());
            }
        };
        within(async { tokio::join!(send, recv) }).await;
    }
}

#[test]
fn a_second_peer_is_heard_while_somebody_reads_the_first() {
    let pull = blocking::PullSocket::new();
    let url = pull.listen("tcp://127.0.0.1:0").unwrap().url().to_owned();
    let (first, second) = (blocking::PushSocket::new(), blocking::PushSocket::new());
    first.dial(&url).unwrap();
    first.send("first").unwrap();
    assert_eq!(&pull.recv().unwrap()[..], b"first");
    let told = waiting({
        let pull = pull.clone();
        move || (pull.recv().unwrap(), pull.recv().unwrap())
    });
    second.dial(&url).unwrap();
    second.send("second").unwrap();
    until("it is received", || pull.stats().ledger.delivered_messages == 2);
    first.send("first again").unwrap();
    let (a, b) = told.recv_timeout(LONG).unwrap();
    assert_eq!((&a[..], &b[..]), (&b"second"[..], &b"first again"[..]));
}

#[test]
fn messages_of_every_size_come_whole() {
    let sizes = [0, 1, 100, 8_191, 8_192, 65_535, 65_536, 200_000, 1 << 20, 5 << 20];
    for url in URLS {
        for spin in [Duration::ZERO, Duration::from_micros(50)] {
            let options = Options { spin, ..Options::default() };
            let (push, pull) = blocking_pipeline(url, options);
            let sender = thread::spawn(move || {
                for (n, size) in sizes.into_iter().cycle().take(50).enumerate() {
                    push.send(vec![n as u8; size]).unwrap();
                }
                push.close(LONG);
            });
            for (n, size) in sizes.into_iter().cycle().take(50).enumerate() {
                let message = pull.recv_timeout(LONG).unwrap();
                assert!(message.len() == size && message.iter().all(|byte| *byte == n as u8), "{size}");
            }
            sender.join().unwrap();
        }
    }
}

#[test]
fn a_frame_that_is_too_large_ends_its_connection_under_who_reads_it() {
    let pull = blocking::PullSocket::with(Options { max_message_bytes: 1_000, ..Options::default() });
    let listener = pull.listen("tcp://127.0.0.1:0").unwrap();
    let mut events = pull.events();
    let mut stranger = stranger(listener.local_addr().unwrap());
    pull.wait_peers(1).unwrap();
    let told = waiting({
        let pull = pull.clone();
        move || [pull.recv().unwrap(), pull.recv().unwrap()]
    });
    let good = [&3_u64.to_be_bytes()[..], b"yes"].concat();
    stranger.write_all(&[&good[..], &1_001_u64.to_be_bytes()].concat()).unwrap();
    let why = events.find_map(|event| match event {
        Event::Detached(_, why) => Some(why),
        _ => None,
    });
    assert_eq!(why, Some(DetachReason::MessageTooLarge));
    let push = blocking::PushSocket::new();
    push.dial(listener.url()).unwrap();
    push.send("from another").unwrap();
    let [a, b] = told.recv_timeout(LONG).unwrap();
    assert_eq!((&a[..], &b[..]), (&b"yes"[..], &b"from another"[..]));
}

#[tokio::test]
async fn waits_that_time_out_miss_nothing() {
    for url in URLS {
        let (push, pull) = pipeline(url, Options::default()).await;
        for n in 0..20_u8 {
            assert_eq!(pull.recv_timeout(Duration::from_millis(1)).await, Err(RecvError::TimedOut));
            push.send(vec![n]).await.unwrap();
            assert_eq!(within(pull.recv()).await.unwrap()[..], [n]);
        }
        let (push, pull) = blocking_pipeline(url, Options::default());
        for n in 0..20_u8 {
            assert_eq!(pull.recv_timeout(Duration::from_millis(1)), Err(RecvError::TimedOut));
            push.send(vec![n]).unwrap();
            assert_eq!(pull.recv_timeout(LONG).unwrap()[..], [n]);
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_descriptor_shows_what_comes_after_somebody_read() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    for url in URLS {
        let (push, pull) = blocking_pipeline(url, Options::default());
        push.send("read by the receiver").unwrap();
        pull.recv().unwrap();
        let readable = pull.readable_fd().unwrap();
        push.send("read by the driver").unwrap();
        let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
        assert_eq!(poll(&mut [PollFd::new(&readable, PollFlags::IN)], Some(&limit)), Ok(1));
        assert_eq!(&pull.try_recv().unwrap()[..], b"read by the driver");
        // And while somebody waits.
        let told = waiting({
            let pull = pull.clone();
            move || pull.recv().unwrap()
        });
        push.send("for who waits").unwrap();
        assert_eq!(&told.recv_timeout(LONG).unwrap()[..], b"for who waits");
    }
}

#[tokio::test]
async fn requests_go_round_with_and_without_spinning() {
    for url in URLS {
        for spin in [Duration::ZERO, Duration::from_micros(20)] {
            let options = Options { spin, ..Options::default() };
            let (req, rep) = (ReqSocket::with(options.clone()), RepSocket::with(options));
            req.dial(rep.listen(url).await.unwrap().url()).await.unwrap();
            let serve = async {
                for _ in 0..500 {
                    let request = rep.recv().await.unwrap();
                    let body = request.message().body().clone();
                    request.reply(body).await.unwrap();
                }
            };
            let ask = async {
                for n in 0..500_u32 {
                    let question = n.to_be_bytes().to_vec();
                    assert_eq!(req.request(question.clone()).await.unwrap().body()[..], question);
                }
            };
            within(async { tokio::join!(serve, ask) }).await;
        }
    }
}

#[test]
fn a_stream_and_a_receive_share_what_comes() {
    use futures_util::StreamExt;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (push, pull) = pipeline(URLS[0], Options::default()).await;
        let mut messages = pull.messages();
        for n in 0..100_u8 {
            push.send(vec![n]).await.unwrap();
            let message = match n % 2 {
                0 => within(messages.next()).await.unwrap().unwrap(),
                _ => within(pull.recv()).await.unwrap(),
            };
            assert_eq!(message[..], [n]);
        }
    });
}
