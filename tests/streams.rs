//! Sockets as streams and sinks.

use futures_util::future::join;
use futures_util::stream::{FusedStream, iter};
use futures_util::{FutureExt, SinkExt, StreamExt, TryStreamExt};
use spanwire::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const SHORT: Duration = Duration::from_millis(20);

async fn pipeline(url: &str, options: Options) -> (PushSocket, PullSocket) {
    let pull = PullSocket::with(options.clone());
    let listener = pull.listen(url).await.unwrap();
    let push = PushSocket::with(options);
    push.dial(listener.url()).await.unwrap();
    (push, pull)
}

fn narrow() -> Options {
    Options { outbox_messages: 1, recv_messages: 1, ..Options::default() }
}

#[tokio::test]
async fn everything_that_is_fed_comes_out_in_order() {
    for (url, options) in [
        ("tcp://127.0.0.1:0", Options::default()),
        ("tcp://127.0.0.1:0", narrow()),
        ("inproc://streams-all", Options::default()),
        ("inproc://streams-all-narrow", narrow()),
    ] {
        let (push, pull) = pipeline(url, options).await;
        let feed = async {
            let messages = iter((0..5_000_u32).map(|n| Ok(Message::from(n.to_be_bytes().to_vec()))));
            messages.forward(push.sink()).await.unwrap();
            assert_eq!(push.close(SECOND).await.abandoned, 0);
        };
        let drain = async {
            let messages: Vec<_> = pull.messages().take(5_000).try_collect().await.unwrap();
            messages
        };
        let ((), messages) = join(feed, drain).await;
        assert!((0..5_000_u32).zip(&messages).all(|(n, message)| message[..] == n.to_be_bytes()), "{url}");
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_socket_is_closed() {
    let (push, pull) = pipeline("inproc://streams-end", Options::default()).await;
    let mut messages = pull.messages();
    push.send("last").await.unwrap();
    assert_eq!(&messages.next().await.unwrap().unwrap()[..], b"last");
    assert!(!messages.is_terminated());
    let (end, _) = join(messages.next(), pull.close(SECOND)).await;
    assert!(end.is_none() && messages.is_terminated());
    assert!(messages.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_cannot_receive_says_so_once() {
    let mut messages = RawSocket::new(Protocol::Push).messages();
    assert_eq!(messages.next().await, Some(Err(RecvError::State)));
    assert_eq!(messages.next().await, None);
}

#[tokio::test]
async fn streams_of_one_socket_share_its_messages_and_pass_wake_ups_on() {
    let (push, pull) = pipeline("inproc://streams-share", Options::default()).await;
    let (mut first, mut second) = (pull.messages(), pull.messages());
    assert!(first.next().now_or_never().is_none());
    let mut waits = task(second.next());
    assert!(waits.poll().is_none());
    // Wakes the first, which goes away instead of taking it.
    push.send("x").await.unwrap();
    drop(first);
    assert!(waits.is_woken());
    assert_eq!(&waits.poll().unwrap().unwrap().unwrap()[..], b"x");
}

#[tokio::test]
async fn contexts_and_requests_are_streams_as_well() {
    let publisher = PubSocket::new();
    let listener = publisher.listen("inproc://streams-pub").await.unwrap();
    let sub = SubSocket::new();
    let context = sub.context();
    context.subscribe("a");
    sub.dial(listener.url()).await.unwrap();
    let mut messages = context.into_messages();
    let mut sink = publisher.sink();
    sink.send("b1".into()).await.unwrap();
    sink.send("a1".into()).await.unwrap();
    assert_eq!(&messages.next().await.unwrap().unwrap()[..], b"a1");
    drop(messages);

    let rep = RepSocket::new();
    let listener = rep.listen("inproc://streams-rep").await.unwrap();
    let req = ReqSocket::new();
    req.dial(listener.url()).await.unwrap();
    let serve = rep.requests().try_for_each_concurrent(None, |request| async {
        request.reply("answer").await.unwrap();
        Ok(())
    });
    let ask = async {
        for _ in 0..10 {
            assert_eq!(&req.request("question").await.unwrap()[..], b"answer");
        }
        rep.close(SECOND).await;
    };
    assert_eq!(join(serve, ask).await.0, Ok(()));
}

#[tokio::test]
async fn a_dropped_send_leaves_its_message_to_the_sink_and_a_dropped_sink_counts_it() {
    let push = PushSocket::new();
    let mut sink = push.sink();
    assert!(sink.send("kept".into()).now_or_never().is_none(), "nobody is there");
    let pull = PullSocket::new();
    let listener = pull.listen("inproc://streams-cancel").await.unwrap();
    push.dial(listener.url()).await.unwrap();
    sink.flush().await.unwrap();
    assert_eq!(&pull.recv().await.unwrap()[..], b"kept");

    pull.close(SECOND).await;
    while !push.peers().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(sink.send("lost".into()).now_or_never().is_none());
    assert!(sink.feed("more".into()).now_or_never().is_none(), "not ready, so not taken");
    drop(sink);
    assert_eq!(push.stats().ledger.dropped(Dropped::Cancelled), 1);
}

#[tokio::test]
async fn a_sink_gives_back_what_it_could_not_send() {
    let push = PushSocket::with(Options { send_timeout: Some(SHORT), ..Options::default() });
    let mut sink = push.sink();
    for body in ["a", "b"] {
        match sink.send(body.into()).await {
            Err(SendError::TimedOut(message)) => assert_eq!(&message[..], body.as_bytes()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(push.stats().ledger.dropped_total(), 0);
    push.close(SECOND).await;
    assert!(matches!(sink.send("c".into()).await, Err(SendError::Closed(message)) if &message[..] == b"c"));
    sink.close().await.unwrap();
}

#[tokio::test]
async fn a_publishing_sink_is_as_patient_as_its_socket() {
    let options = Options { overflow: Overflow::Block(SHORT), ..narrow() };
    let publisher = PubSocket::with(options);
    let listener = publisher.listen("tcp://127.0.0.1:0").await.unwrap();
    // A subscriber that reads nothing: the handshake of a SUB, then silence.
    let silent = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    std::io::Write::write_all(&mut &silent, &[0, b'S', b'P', 0, 0, 0x21, 0, 0]).unwrap();
    publisher.wait_peers(1).await.unwrap();
    let mut sink = publisher.sink();
    while publisher.stats().ledger.dropped(Dropped::SlowSubscriber) == 0 {
        sink.send(vec![7; 256 * 1024].into()).await.unwrap();
    }
}

/// A future and whether it was woken since it was polled last.
struct Task<F> {
    future: std::pin::Pin<Box<F>>,
    woken: std::sync::Arc<Flag>,
}

#[derive(Default)]
struct Flag(std::sync::atomic::AtomicBool);

impl std::task::Wake for Flag {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

fn task<F: Future>(future: F) -> Task<F> {
    Task { future: Box::pin(future), woken: Default::default() }
}

impl<F: Future> Task<F> {
    fn poll(&mut self) -> Option<F::Output> {
        self.woken.0.store(false, std::sync::atomic::Ordering::SeqCst);
        let waker = self.woken.clone().into();
        match self.future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}
