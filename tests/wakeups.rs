//! Wake-ups that must not be lost: timers, ends and peers that somebody waits for.

use futures_util::FutureExt;
use spanwire::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// Long enough for whatever has to happen, on the busiest machine.
const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(50);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Fills everything between two sockets of this process, so that nothing moves any more.
async fn stuck(url: &str, push: &PushSocket) -> PullSocket {
    let pull = PullSocket::with(Options { recv_messages: 1, ..Options::default() });
    pull.listen(url).await.unwrap();
    push.dial(url).await.unwrap();
    while push.try_send("x").is_ok() {}
    pull
}

async fn parted(events: &mut Events) {
    let parted = async {
        loop {
            match events.next().await {
                Some(Event::Detached(..)) => return,
                Some(_) => {}
                None => panic!("the socket was closed"),
            }
        }
    };
    timeout(LONG, parted).await.expect("the peer goes away");
}

/// Answers a connection like a REP, and then reads nothing before it is told to.
fn handshake_as_rep(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(&[0, b'S', b'P', 0, 0, 0x31, 0, 0]).unwrap();
    let mut header = [0; 8];
    stream.read_exact(&mut header).unwrap();
    stream
}

fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 8];
    stream.read_exact(&mut length).unwrap();
    let mut frame = vec![0; u64::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).unwrap();
    frame
}

/// A request that had to wait for room is on its way only when the outbox of some peer drains.
/// That starts its resend timer, at a time when the socket may have had no other.
#[tokio::test]
async fn a_request_that_waited_for_room_is_resent_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let options = Options { outbox_messages: 1, resend_time: Some(SHORT), ..Options::default() };
    let req = ReqSocket::with(options);
    let (read_on, told) = std::sync::mpsc::channel();
    let slow = thread::spawn(move || {
        let mut stream = handshake_as_rep(&listener);
        told.recv().unwrap();
        assert!(read_frame(&mut stream).len() > 1_000);
        let first = read_frame(&mut stream);
        assert_eq!(read_frame(&mut stream), first, "sent again, since there is no reply");
        stream
    });
    req.dial(&url).await.unwrap();
    // Given up, but its bytes go on to fill the outbox and the kernel.
    let given_up = req.context();
    given_up.send(vec![0; 64 << 20]).await.unwrap();
    drop(given_up);
    let rep = RepSocket::new();
    rep.listen("inproc://wakeups-resend").await.unwrap();
    req.dial("inproc://wakeups-resend").await.unwrap();
    let asked = req.context();
    asked.send("question").await.unwrap();
    let question = rep.recv().await.unwrap();
    rep.close(Duration::ZERO).await;
    drop(question);
    // It waits for room now. The time for which its timer was set passes in vain.
    assert_eq!(asked.recv_timeout(SHORT * 4).await, Err(RecvError::TimedOut));
    read_on.send(()).unwrap();
    let until = std::time::Instant::now() + LONG;
    while !slow.is_finished() {
        assert!(std::time::Instant::now() < until, "it is not sent again");
        tokio::task::yield_now().await;
    }
    slow.join().unwrap();
}

#[test]
fn events_end_with_the_runtime_of_their_socket() {
    let home = runtime();
    let (pull, mut events) = home.block_on(async {
        let pull = PullSocket::new();
        let events = pull.events();
        (pull, events)
    });
    drop(home);
    runtime().block_on(async {
        assert!(timeout(LONG, events.next()).await.expect("they end").is_none());
        assert_eq!(pull.recv().await, Err(RecvError::RuntimeGone));
    });
}

#[test]
fn a_socket_without_its_runtime_parts_from_its_peers_in_this_process() {
    let (home, other) = (runtime(), runtime());
    let push = home.block_on(async { PushSocket::new() });
    let (pull, mut events) = other.block_on(async {
        let url = "inproc://wakeups-orphan";
        let pull = PullSocket::with(Options { recv_messages: 1, ..Options::default() });
        pull.listen(url).await.unwrap();
        let events = pull.events();
        (pull, events)
    });
    home.block_on(async {
        push.dial("inproc://wakeups-orphan").await.unwrap();
        while push.try_send("x").is_ok() {}
    });
    drop(home);
    other.block_on(async {
        parted(&mut events).await;
        assert!(pull.peers().is_empty());
        let report = timeout(LONG, push.close(SHORT)).await.expect("closing never hangs");
        assert!(push.stats().waiting_messages == 0, "{report:?}");
        assert_eq!(&pull.recv().await.unwrap()[..], b"x", "what had arrived is still there");
    });
}

#[tokio::test]
async fn a_close_that_nobody_waits_for_comes_to_its_end() {
    let push = PushSocket::with(Options { close_deadline: SHORT, ..Options::default() });
    let pull = stuck("inproc://wakeups-close", &push).await;
    let (mut ours, mut theirs) = (push.events(), pull.events());
    assert!(push.close(LONG).now_or_never().is_none(), "nothing moves");
    parted(&mut theirs).await;
    let end = async { while ours.next().await.is_some() {} };
    timeout(LONG, end).await.expect("events end");
}
