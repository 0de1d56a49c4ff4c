//! Descriptors for foreign event loops.
#![cfg(target_os = "linux")]

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use spanwire::blocking::*;
use spanwire::{Options, Protocol, RecvError, SendError};
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Whether a poll that does not wait finds it readable, twice in a row: it is level-triggered.
fn is_ready(fd: impl AsFd) -> bool {
    let look = || {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&now)).unwrap() == 1
    };
    let first = look();
    assert_eq!(look(), first);
    first
}

/// Waits as an event loop would, but fails instead of hanging.
fn wait(fd: impl AsFd) {
    let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit)).unwrap(), 1, "missed a wake-up");
}

fn pipeline(url: &str, options: Options) -> (PushSocket, PullSocket) {
    let pull = PullSocket::with(options.clone());
    let listener = pull.listen(url).unwrap();
    let push = PushSocket::with(options);
    push.dial(listener.url()).unwrap();
    (push, pull)
}

#[test]
fn it_shows_what_try_recv_would_find() {
    let (push, pull) = pipeline("tcp://127.0.0.1:0", Options::default());
    let readable = pull.readable_fd().unwrap();
    assert!(readable.as_raw_fd() > 0);
    assert!(!is_ready(&readable));
    for _ in 0..3 {
        push.send_many(["a", "b", "c"]).unwrap();
        wait(&readable);
        pull.recv().unwrap();
        let late = pull.readable_fd().unwrap();
        pull.recv().unwrap();
        wait(&readable);
        assert_eq!(&pull.recv().unwrap()[..], b"c");
        assert!(!is_ready(&readable), "nothing is left");
        assert!(!is_ready(&late), "however many there are");
    }
    push.send("d").unwrap();
    wait(&readable);
    let late = pull.readable_fd().unwrap();
    assert!(is_ready(&late), "one that was made when a message waited already");
    assert_eq!(pull.recv_many(&mut Vec::new(), 9), Ok(1));
    assert!(!is_ready(&readable) && !is_ready(&late));
}

#[test]
fn it_shows_whether_there_is_room() {
    let options = Options { outbox_messages: 2, recv_messages: 2, ..Options::default() };
    let push = PushSocket::with(options.clone());
    let writable = push.writable_fd().unwrap();
    assert!(!is_ready(&writable), "nobody is there");
    let pull = PullSocket::with(options);
    let listener = pull.listen("inproc://poll-fd-room").unwrap();
    push.dial(listener.url()).unwrap();
    wait(&writable);
    let mut sent = 0;
    while is_ready(&writable) {
        push.try_send("x").unwrap();
        sent += 1;
    }
    assert!(matches!(push.try_send("x"), Err(SendError::Full(_))));
    pull.recv().unwrap();
    assert!(is_ready(&writable), "room for one");
    push.try_send("x").unwrap();
    assert!(!is_ready(&writable));
    assert!((0..sent).all(|_| pull.try_recv().is_ok()));
    assert!(is_ready(&writable));
}

#[test]
fn a_closed_socket_is_ready_and_one_that_is_dropped_too() {
    let (push, pull) = pipeline("inproc://poll-fd-closed", Options::default());
    let (readable, writable) = (pull.readable_fd().unwrap(), push.writable_fd().unwrap());
    pull.close(SECOND);
    assert!(is_ready(&readable));
    assert!(!is_ready(&writable), "its peer is gone");
    drop(push);
    assert!(is_ready(&writable));
    assert!(is_ready(pull.readable_fd().unwrap()), "as is one that is made after the end");
}

#[test]
fn one_that_is_dropped_is_told_nothing_any_more() {
    let (push, pull) = pipeline("inproc://poll-fd-dropped", Options::default());
    let readable = pull.readable_fd().unwrap();
    let copy = readable.as_fd().try_clone_to_owned().unwrap();
    drop(readable);
    push.send("x").unwrap();
    assert_eq!(&pull.recv().unwrap()[..], b"x");
    push.send("y").unwrap();
    assert!(!is_ready(&copy));
}

#[test]
fn an_event_loop_that_only_polls_misses_nothing() {
    const COUNT: u32 = 20_000;
    for url in ["tcp://127.0.0.1:0", "inproc://poll-fd-loop"] {
        let (push, pull) = pipeline(url, Options { recv_messages: 16, ..Options::default() });
        let sender = thread::spawn(move || {
            let writable = push.writable_fd().unwrap();
            for n in 0..COUNT {
                loop {
                    wait(&writable);
                    match push.try_send(n.to_be_bytes().to_vec()) {
                        Ok(()) => break,
                        Err(error) => assert!(error.is_transient(), "{error}"),
                    }
                }
            }
            push.close(SECOND)
        });
        let readable = pull.readable_fd().unwrap();
        for n in 0..COUNT {
            wait(&readable);
            // Nobody else receives, so it must be there.
            assert_eq!(pull.try_recv().unwrap()[..], n.to_be_bytes(), "{url}");
        }
        assert!(!is_ready(&readable));
        sender.join().unwrap();
    }
}

#[test]
fn threads_that_race_for_messages_leave_it_right() {
    let (push, pull) = pipeline("tcp://127.0.0.1:0", Options::default());
    let readable = pull.readable_fd().unwrap();
    for _ in 0..20 {
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let pull = pull.clone();
                thread::spawn(move || (0..100).for_each(|_| drop(pull.recv().unwrap())))
            })
            .collect();
        push.send_many((0..300).map(|_| "x")).unwrap();
        takers.into_iter().for_each(|taker| taker.join().unwrap());
        assert!(!is_ready(&readable));
        push.send("y").unwrap();
        wait(&readable);
        pull.try_recv().unwrap();
    }
}

#[test]
fn conversations_have_their_own() {
    let rep = RepSocket::new();
    let asked = rep.readable_fd().unwrap();
    let listener = rep.listen("tcp://127.0.0.1:0").unwrap();
    let req = ReqSocket::new();
    let writable = req.writable_fd().unwrap();
    assert!(!is_ready(&writable));
    req.dial(listener.url()).unwrap();
    assert!(is_ready(&writable));
    let (a, b) = (req.context(), req.context());
    let (for_a, for_b) = (a.readable_fd().unwrap(), b.readable_fd().unwrap());
    a.send("a").unwrap();
    assert!(!is_ready(&for_a));
    wait(&asked);
    rep.recv().unwrap().reply("b").unwrap();
    assert!(!is_ready(&asked));
    wait(&for_a);
    assert!(!is_ready(&for_b));
    assert_eq!(&a.try_recv().unwrap()[..], b"b");
    assert!(!is_ready(&for_a));

    // The number of a context that is gone is given out again; its descriptor is not.
    a.send("again").unwrap();
    drop(a);
    let c = req.context();
    c.send("c").unwrap();
    let mut replied = 0;
    while replied < 2 {
        wait(&asked);
        rep.recv().unwrap().reply("d").unwrap();
        replied += 1;
    }
    assert_eq!(&c.recv().unwrap()[..], b"d");
    assert!(!is_ready(&for_a));
}

#[test]
fn every_pattern_shows_its_messages() {
    macro_rules! shows {
        ($receiver:expr, $sender:expr) => {{
            let (receiver, sender) = ($receiver, $sender);
            let readable = receiver.readable_fd().unwrap();
            let listener = receiver.listen("tcp://127.0.0.1:0").unwrap();
            sender.dial(listener.url()).unwrap();
            receiver.wait_peers(1).unwrap();
            let writable = sender.writable_fd().unwrap();
            assert!(is_ready(&writable) && !is_ready(&readable));
            sender.send("x").unwrap();
            wait(&readable);
            assert_eq!(&receiver.try_recv().unwrap()[..], b"x");
            assert!(!is_ready(&readable));
            assert_eq!(receiver.try_recv().err(), Some(RecvError::Empty));
        }};
    }
    shows!(Pair0Socket::new(), Pair0Socket::new());
    shows!(Pair1Socket::new(), Pair1Socket::new());
    shows!(PolySocket::new(), PolySocket::new());
    shows!(BusSocket::new(), BusSocket::new());
    shows!(RawSocket::new(Protocol::Pull), RawSocket::new(Protocol::Push));
    let sub = SubSocket::new();
    sub.subscribe("x");
    shows!(sub, PubSocket::new());

    let surveyor = SurveySocket::new();
    let listener = surveyor.listen("tcp://127.0.0.1:0").unwrap();
    let respondent = RespondSocket::new();
    let asked = respondent.readable_fd().unwrap();
    respondent.dial(listener.url()).unwrap();
    let context = surveyor.context();
    let readable = context.readable_fd().unwrap();
    context.set_survey_time(Duration::from_millis(50));
    context.send("who?").unwrap();
    wait(&asked);
    respondent.recv().unwrap().reply("me").unwrap();
    wait(&readable);
    assert_eq!(&context.try_recv().unwrap()[..], b"me");
    // The deadline is news as well.
    wait(&readable);
    assert_eq!(context.try_recv(), Err(RecvError::TimedOut));
    assert!(!is_ready(&readable));

    let sub = SubSocket::new();
    let context = sub.context();
    let readable = context.readable_fd().unwrap();
    context.subscribe("x");
    let listener = sub.listen("inproc://poll-fd-sub").unwrap();
    let publisher = PubSocket::new();
    publisher.dial(listener.url()).unwrap();
    publisher.send("x").unwrap();
    wait(&readable);
    context.unsubscribe("x").unwrap();
    assert!(!is_ready(&readable), "an unsubscribe discards what waits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn async_sockets_have_them_too() {
    let pull = spanwire::PullSocket::new();
    let listener = pull.listen("tcp://127.0.0.1:0").await.unwrap();
    let readable = pull.readable_fd().unwrap();
    let push = spanwire::PushSocket::new();
    push.dial(listener.url()).await.unwrap();
    assert!(is_ready(push.writable_fd().unwrap()));
    for _ in 0..100 {
        push.send("x").await.unwrap();
        tokio::task::block_in_place(|| wait(&readable));
        assert_eq!(&pull.try_recv().unwrap()[..], b"x");
        assert!(!is_ready(&readable));
    }
}
