//! The tagged layout over streams of all kinds, with peers of our own and with plain programs that write its
//! bytes.

use bytes::Bytes;
use spanwire::mux::tagged::{
    CloseReport, Connection, Discarded, End, OpenError, Overflow, RecvError, SendError, Tagged, TaggedEvent,
    TaggedOptions,
};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Whatever has to happen happens within this, even on a busy machine.
const SOON: Duration = Duration::from_secs(20);

async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, work).await {
        Ok(output) => output,
        Err(_) => panic!("this did not happen in time: {what}"),
    }
}

/// A connection, and the bare other end of it.
fn bare(options: TaggedOptions, pipe_bytes: usize) -> (Connection, DuplexStream) {
    let (here, there) = tokio::io::duplex(pipe_bytes);
    (Connection::wrap(here, options), there)
}

fn pair(options: TaggedOptions, pipe_bytes: usize) -> (Connection, Connection) {
    let (here, there) = bare(options.clone(), pipe_bytes);
    (here, Connection::wrap(there, options))
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (here, listener.accept().await.unwrap().0)
}

fn frame(id: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![id.len() as u8];
    bytes.extend(id.as_bytes());
    bytes.extend((data.len() as u32).to_be_bytes());
    bytes.extend(data);
    bytes
}

async fn recv(tagged: &Tagged) -> Result<(Bytes, Bytes), RecvError> {
    soon("a message", tagged.recv()).await.map(|frame| (frame.id, frame.data))
}

async fn text(tagged: &Tagged) -> String {
    String::from_utf8(recv(tagged).await.unwrap().1.to_vec()).unwrap()
}

#[tokio::test]
async fn a_plain_program_on_tcp_speaks_it_byte_by_byte() {
    let (here, mut program) = tcp().await;
    let connection = Connection::wrap(here, TaggedOptions::default());
    let (user, admin) = (connection.open("user").unwrap(), connection.open("admin").unwrap());
    for byte in b"\x05admin\x00\x00\x00\x03one\x04user\x00\x00\x00\x00\x05admin\x00\x00\x00\x01x" {
        program.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(recv(&admin).await.unwrap(), ("admin".into(), "one".into()));
    assert_eq!(recv(&admin).await.unwrap(), ("admin".into(), "x".into()));
    assert_eq!(recv(&user).await.unwrap(), ("user".into(), "".into()));

    user.send("user data").await.unwrap();
    connection.send("", "").await.unwrap();
    admin.send(vec![7; 300]).await.unwrap();
    connection.flush().await.unwrap();
    let mut bytes = Vec::new();
    let closing = connection.close(SOON);
    let (report, read) = tokio::join!(closing, async {
        let read = program.read_to_end(&mut bytes).await;
        program.shutdown().await.unwrap();
        drop(program);
        read
    });
    read.unwrap();
    let large = [b"\x05admin\x00\x00\x01\x2c", &[7; 300][..]].concat();
    assert_eq!(bytes, [&b"\x04user\x00\x00\x00\x09user data\x00\x00\x00\x00\x00"[..], &large].concat());
    assert_eq!((report.flushed, report.abandoned), (3, 0));
}

#[tokio::test]
async fn whoever_has_the_empty_id_learns_whose_a_message_is_and_answers() {
    let (client, server) = pair(TaggedOptions::default(), 8);
    let ids = ["ann", "bob", "eve"];
    let clients = ids.map(|id| client.open(id).unwrap());
    let everything = server.open("").unwrap();
    for client in &clients {
        client.send([b"I am ", &client.id()[..]].concat()).await.unwrap();
    }
    for _ in ids {
        let (id, data) = recv(&everything).await.unwrap();
        assert_eq!(data, [b"I am ", &id[..]].concat());
        server.send(&id, [b"hello, ", &id[..]].concat()).await.unwrap();
    }
    for client in &clients {
        assert_eq!(text(client).await, format!("hello, {}", str::from_utf8(client.id()).unwrap()));
    }
}

#[tokio::test]
async fn large_messages_pass_through_small_pipes_and_tcp() {
    let large = |n: usize| Bytes::from((0..n).map(|i| (i % 251) as u8).collect::<Vec<_>>());
    let sizes = [0, 1, 4_096, 4_097, 65_536, 1_000_000, 3_000_000];
    let (here, there) = tcp().await;
    let options = TaggedOptions::default();
    let over_tcp = (Connection::wrap(here, options.clone()), Connection::wrap(there, options.clone()));
    for (here, there) in [pair(options, 1_000), over_tcp] {
        let (sender, receiver) = (here.open("a").unwrap(), there.open("a").unwrap());
        let sending = async {
            for size in sizes {
                sender.send(large(size)).await.unwrap();
            }
        };
        let receiving = async {
            for size in sizes {
                assert!(recv(&receiver).await.unwrap().1 == large(size), "{size} bytes");
            }
        };
        tokio::join!(sending, receiving);
    }
}

#[tokio::test]
async fn a_receiver_that_never_comes_ends_and_holds_up_nobody() {
    let options = TaggedOptions { recv_messages: 10, ..TaggedOptions::default() };
    let (here, there) = pair(options, 64);
    let (slow, quick) = (there.open("slow").unwrap(), there.open("quick").unwrap());
    let mut events = there.events();
    for n in 0..50 {
        here.send("slow", format!("{n}")).await.unwrap();
        here.send("quick", format!("{n}")).await.unwrap();
        assert_eq!(text(&quick).await, format!("{n}"));
    }
    assert_eq!(soon("an event", events.next()).await, Some(TaggedEvent::Overflowed { id: "slow".into() }));
    for n in 0..10 {
        assert_eq!(text(&slow).await, format!("{n}"));
    }
    let error = slow.try_recv().unwrap_err();
    assert!(matches!(error, RecvError::Overflowed { discarded: 40 }) && !error.is_transient(), "{error}");
    slow.send("it may still send").await.unwrap();
    let stats = there.stats();
    assert_eq!((stats.messages, stats.received, stats.overflowed), (100, 60, 40));
    // Opened again, it begins anew.
    drop(slow);
    let slow = there.open("slow").unwrap();
    here.send("slow", "anew").await.unwrap();
    assert_eq!(text(&slow).await, "anew");
}

#[tokio::test]
async fn a_connection_that_stalls_loses_nothing_and_goes_on_when_there_is_room() {
    let options = TaggedOptions { recv_messages: 2, overflow: Overflow::Stall, ..TaggedOptions::default() };
    let (here, there) = pair(options, 64);
    let (slow, quick) = (there.open("slow").unwrap(), there.open("quick").unwrap());
    let mut events = there.events();
    for n in 0..3 {
        here.send("slow", format!("{n}")).await.unwrap();
    }
    here.send("quick", "behind").await.unwrap();
    assert_eq!(soon("a stall", events.next()).await, Some(TaggedEvent::Stalled { id: "slow".into() }));
    assert!(matches!(quick.try_recv(), Err(error @ RecvError::Empty) if error.is_transient()));
    let expired = quick.recv_timeout(Duration::from_millis(1)).await;
    assert!(matches!(expired, Err(RecvError::TimedOut)));
    assert_eq!(text(&slow).await, "0");
    assert_eq!(soon("the end of it", events.next()).await, Some(TaggedEvent::Resumed));
    assert_eq!(
        (text(&quick).await, text(&slow).await, text(&slow).await),
        ("behind".into(), "1".into(), "2".into())
    );
    assert_eq!(there.stats().discarded(), 0);
}

#[tokio::test]
async fn what_is_discarded_is_counted_and_told() {
    let options = TaggedOptions { recv_messages: 1, overflow: Overflow::Discard, ..TaggedOptions::default() };
    let (here, mut there) = bare(options, 1_000);
    let a = here.open("a").unwrap();
    let mut events = here.events();
    let frames = [frame("a", b"1"), frame("a", b"2"), frame("b", b"3"), frame("b", b"4")];
    there.write_all(&frames.concat()).await.unwrap();
    let told =
        |id: &'static str, why, messages| Some(TaggedEvent::Discarded { id: id.into(), why, messages });
    assert_eq!(soon("an event", events.next()).await, told("a", Discarded::NoRoom, 1));
    assert_eq!(soon("an event", events.next()).await, told("b", Discarded::NobodyReceives, 2));
    drop(a);
    assert_eq!(soon("an event", events.next()).await, told("a", Discarded::Closed, 1));
    assert_eq!(here.stats().discarded(), 4);
    drop(here);
    assert_eq!(soon("the end", events.next()).await, Some(TaggedEvent::Ended(End::Closed)));
    drop(there);
    assert_eq!(soon("the end of events", events.next()).await, None);
}

#[tokio::test]
async fn each_end_of_the_peer_has_its_name_and_comes_behind_what_waits() {
    for (last, expected) in [(&b""[..], End::Peer), (b"\x01", End::Cut), (b"\x01a\0\0\0\x05fou", End::Cut)] {
        let (here, mut there) = bare(TaggedOptions::default(), 1_000);
        let a = here.open("a").unwrap();
        there.write_all(&[&frame("a", b"whole"), last].concat()).await.unwrap();
        there.shutdown().await.unwrap();
        assert_eq!(soon("the end", here.ended()).await, expected);
        assert_eq!(text(&a).await, "whole");
        let error = recv(&a).await.unwrap_err();
        assert!(matches!(error, RecvError::Ended { end, cause: None } if end == expected), "{error:?}");
        assert!(!error.is_transient());
        assert!(matches!(here.open("b"), Err(OpenError::Ended(end)) if end == expected));
    }
}

#[tokio::test]
async fn a_peer_that_has_said_all_still_gets_its_answers() {
    let (here, mut program) = tcp().await;
    let connection = Connection::wrap(here, TaggedOptions::default());
    let a = connection.open("a").unwrap();
    program.write_all(&frame("a", b"question")).await.unwrap();
    program.shutdown().await.unwrap();
    assert_eq!(text(&a).await, "question");
    assert_eq!(soon("its end", connection.ended()).await, End::Peer);
    a.send("answer").await.unwrap();
    drop((a, connection));
    let mut bytes = Vec::new();
    soon("the end", program.read_to_end(&mut bytes)).await.unwrap();
    assert_eq!(bytes, frame("a", b"answer"));
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_connection_and_says_so() {
    let (here, mut there) = bare(TaggedOptions { max_message_bytes: 10, ..TaggedOptions::default() }, 1_000);
    let a = here.open("a").unwrap();
    there.write_all(b"\x01a\0\0\0\x0bhello, worl").await.unwrap();
    let error = recv(&a).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "nothing more comes: the peer claims a message of 11 bytes, 10 are allowed"
    );
    let error = soon("an error", a.send("x")).await.unwrap_err();
    assert!(matches!(&error, SendError::Ended { end: End::TooLarge(_), .. }), "{error:?}");
    assert_eq!(error.into_data(), "x");
    assert_eq!(soon("its end", there.read(&mut [0; 10])).await.unwrap(), 0);
}

#[tokio::test]
async fn what_the_layout_cannot_say_is_refused_here() {
    let (here, _there) = bare(TaggedOptions { max_message_bytes: 10, ..TaggedOptions::default() }, 1_000);
    let a = here.open("a").unwrap();
    let error = a.send(vec![0; 11]).await.unwrap_err();
    assert!(matches!(&error, SendError::TooLarge { max_bytes: 10, .. }) && !error.is_transient());
    assert_eq!(error.into_data().len(), 11);
    assert!(matches!(here.try_send([7; 256], "x"), Err(SendError::IdTooLong(_))));
    assert!(matches!(here.open([7; 256]), Err(OpenError::TooLong)));
    assert!(matches!(here.open("a"), Err(OpenError::InUse)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_many_tasks_never_mix() {
    const TASKS: usize = 8;
    const EACH: usize = 100;
    let options = TaggedOptions { send_messages: 3, ..TaggedOptions::default() };
    let (here, there) = pair(options, 100);
    let (sender, receiver) = (here.open("a").unwrap(), there.open("a").unwrap());
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let sender = sender.clone();
            tokio::spawn(async move {
                for n in 0..EACH {
                    let data = vec![task as u8; 1 + n * 7];
                    sender.send(data).await.unwrap();
                }
            })
        })
        .collect();
    let mut next = [0; TASKS];
    for _ in 0..TASKS * EACH {
        let (_, data) = recv(&receiver).await.unwrap();
        let task = usize::from(data[0]);
        assert!(data.iter().all(|byte| *byte == data[0]), "a message of one task");
        assert_eq!(data.len(), 1 + next[task] * 7, "in its order");
        next[task] += 1;
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// A connection to which the peer does not listen, filled until no more is taken.
async fn filled() -> (Connection, Tagged, DuplexStream, u64) {
    let options = TaggedOptions { send_messages: 4, ..TaggedOptions::default() };
    let (here, there) = bare(options, 16);
    let a = here.open("a").unwrap();
    let mut taken = 0;
    loop {
        match a.send_timeout("0123456789", Duration::from_millis(50)).await {
            Ok(()) => taken += 1,
            Err(SendError::TimedOut(_)) => return (here, a, there, taken),
            Err(error) => panic!("{error}"),
        }
        assert!(taken < 10, "it is bounded");
    }
}

#[tokio::test]
async fn a_sender_waits_while_too_much_does() {
    let (here, a, mut there, taken) = filled().await;
    // One is in the pipe, and four wait, at least.
    assert!((5..=6).contains(&taken), "{taken}");
    let error = a.try_send("more").unwrap_err();
    assert!(matches!(error, SendError::Full(_)) && error.is_transient());
    let waiting = [a.clone(), a.clone(), a.clone()];
    let mut first = pin!(waiting[0].send("first"));
    let mut second = pin!(waiting[1].send("second"));
    let mut third = pin!(waiting[2].send("third"));
    for (n, sender) in [first.as_mut() as Pin<&mut dyn Future<Output = _>>, second.as_mut(), third.as_mut()]
        .into_iter()
        .enumerate()
    {
        assert!(poll(sender).is_pending(), "{n}");
    }
    second.set(waiting[1].send("dropped, and another one waits behind"));
    assert!(poll(second.as_mut()).is_pending());
    let mut bytes = vec![0; taken as usize * 16];
    soon("what was sent", there.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(bytes, frame("a", b"0123456789").repeat(taken as usize));
    let expected =
        [frame("a", b"first"), frame("a", b"third"), frame("a", b"dropped, and another one waits behind")];
    let mut bytes = vec![0; expected.concat().len()];
    let reading = there.read_exact(&mut bytes);
    let (first, second, third, read) =
        soon("the rest", async { tokio::join!(first, second, third, reading) }).await;
    assert!(first.is_ok() && second.is_ok() && third.is_ok() && read.is_ok());
    assert_eq!(bytes, expected.concat(), "first come, first served");
    soon("a flush", here.flush()).await.unwrap();
}

#[tokio::test]
async fn closing_returns_though_the_peer_does_not_listen() {
    let (here, a, mut there, taken) = filled().await;
    let clone = a.clone();
    let mut waits = pin!(clone.send("waits"));
    assert!(poll(waits.as_mut()).is_pending());
    let mut flush = pin!(here.flush());
    assert!(poll(flush.as_mut()).is_pending());
    let started = Instant::now();
    let CloseReport { flushed, abandoned, .. } = soon("the end", here.close(Duration::from_millis(30))).await;
    assert!(started.elapsed() >= Duration::from_millis(30));
    assert_eq!(flushed + abandoned, taken);
    assert!(abandoned >= 4, "{abandoned}");
    let error = soon("its end", waits).await.unwrap_err();
    assert!(matches!(&error, SendError::Ended { end: End::Closed, .. }));
    assert_eq!(error.into_data(), "waits");
    assert_eq!(soon("its end", flush).await.unwrap_err().end, End::Closed);
    assert!(matches!(recv(&a).await, Err(RecvError::Ended { end: End::Closed, .. })));
    let mut rest = Vec::new();
    soon("the end of the pipe", there.read_to_end(&mut rest)).await.unwrap();
    assert!(!rest.is_empty());
    let again = soon("the end again", here.close(SOON)).await;
    assert_eq!((again.flushed, again.abandoned), (flushed, abandoned));
}

#[tokio::test]
async fn what_waits_is_written_after_the_last_handle_is_dropped() {
    let (here, mut there) = bare(TaggedOptions::default(), 16);
    let a = here.open("a").unwrap();
    drop(here);
    for _ in 0..20 {
        a.send("a message that is longer than the pipe").await.unwrap();
    }
    drop(a);
    let mut bytes = Vec::new();
    soon("all of it", there.read_to_end(&mut bytes)).await.unwrap();
    assert_eq!(bytes, frame("a", b"a message that is longer than the pipe").repeat(20));
}

#[tokio::test]
async fn closing_reads_on_so_that_the_peer_gets_all() {
    let (here, program) = tcp().await;
    let connection = Connection::wrap(here, TaggedOptions::default());
    connection.send("a", vec![7; 2_000_000]).await.unwrap();
    // It talks before it listens, and more than the kernels keep.
    let (mut reads, mut writes) = program.into_split();
    let talks = async {
        for _ in 0..200 {
            writes.write_all(&frame("b", &[1; 50_000])).await.unwrap();
        }
        writes.shutdown().await.unwrap();
        let mut bytes = Vec::new();
        reads.read_to_end(&mut bytes).await.unwrap();
        bytes.len()
    };
    let (report, bytes) = soon("both", async { tokio::join!(connection.close(SOON), talks) }).await;
    assert_eq!((report.flushed, report.abandoned, bytes), (1, 0, 2_000_006));
}

#[tokio::test]
async fn whoever_asked_first_receives_first_and_whoever_leaves_takes_nothing() {
    let (here, mut there) = bare(TaggedOptions::default(), 1_000);
    let a = here.open("a").unwrap();
    let clones = [a.clone(), a.clone(), a.clone()];
    let woken = clones.each_ref().map(|_| Arc::new(Count::default()));
    let mut waiting: Vec<_> = clones.iter().map(|clone| Box::pin(clone.recv())).collect();
    for (receiver, count) in waiting.iter_mut().zip(&woken) {
        assert!(receiver.as_mut().poll(&mut Context::from_waker(&Waker::from(count.clone()))).is_pending());
    }
    there.write_all(&frame("a", b"1")).await.unwrap();
    until("the first is woken", || woken[0].is_woken()).await;
    // It does not come: the next is told, and finds the message.
    drop(waiting.remove(0));
    until("the second is woken", || woken[1].is_woken()).await;
    assert_eq!(soon("it", waiting.remove(0)).await.unwrap().data, "1");
    assert!(!woken[2].is_woken());
    there.write_all(&frame("a", b"2")).await.unwrap();
    assert_eq!(soon("it", waiting.remove(0)).await.unwrap().data, "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_receivers_share_an_id_and_each_message_comes_once() {
    let (here, there) = pair(TaggedOptions::default(), 4_096);
    let a = there.open("a").unwrap();
    let receivers: Vec<_> = (0..4)
        .map(|_| {
            let a = a.clone();
            tokio::spawn(async move {
                let mut got = Vec::new();
                while let Ok(frame) = a.recv().await {
                    got.push(u32::from_be_bytes(frame.data[..].try_into().unwrap()));
                }
                got
            })
        })
        .collect();
    for n in 0_u32..500 {
        here.send("a", n.to_be_bytes().to_vec()).await.unwrap();
    }
    soon("a flush", here.flush()).await.unwrap();
    drop(here);
    let mut seen = BTreeMap::new();
    for receiver in receivers {
        for n in soon("its end", receiver).await.unwrap() {
            *seen.entry(n).or_insert(0) += 1;
        }
    }
    assert!(seen.len() == 500 && seen.values().all(|count| *count == 1));
}

#[tokio::test]
async fn what_the_network_said_is_kept() {
    let connection = Connection::wrap(Broken, TaggedOptions::default());
    assert_eq!(soon("its end", connection.ended()).await, End::Network);
    let error = connection.try_send("a", "x").unwrap_err();
    let SendError::Ended { end: End::Network, cause: Some(cause), .. } = &error else { panic!("{error:?}") };
    assert_eq!(cause.kind(), io::ErrorKind::ConnectionReset);
    let source = std::error::Error::source(&error).expect("the error of the system");
    assert_eq!(
        (error.to_string(), source.to_string()),
        ("not sent: the connection failed".into(), "broken".into())
    );
}

#[test]
fn when_the_runtime_goes_away_everything_ends_with_an_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (connection, a, there) = runtime.block_on(async {
        let (connection, there) = bare(TaggedOptions::default(), 16);
        let a = connection.open("a").unwrap();
        a.send("never written whole, as the pipe is smaller").await.unwrap();
        tokio::task::yield_now().await;
        (connection, a, there)
    });
    drop(runtime);
    block_on(async {
        assert!(matches!(a.recv().await, Err(RecvError::Ended { end: End::RuntimeGone, .. })));
        assert!(matches!(a.send("x").await, Err(SendError::Ended { end: End::RuntimeGone, .. })));
        assert_eq!(connection.flush().await.unwrap_err().end, End::RuntimeGone);
        let report = connection.close(SOON).await;
        assert_eq!((report.flushed, report.abandoned), (0, 1));
    });
    drop(there);
}

#[test]
fn it_lives_without_a_runtime_on_the_library_s_thread() {
    let (here, there) = pair(TaggedOptions::default(), 64);
    block_on(async {
        let (a, b) = (here.open("a").unwrap(), there.open("a").unwrap());
        a.send("no runtime in sight").await.unwrap();
        assert_eq!(b.recv().await.unwrap().data, "no runtime in sight");
        assert!(matches!(b.recv_timeout(Duration::from_millis(1)).await, Err(RecvError::TimedOut)));
        drop(there);
        drop(b);
        assert_eq!(here.ended().await, End::Peer);
    });
}

/// Polls once, for nobody.
fn poll<T>(future: Pin<&mut dyn Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits until something holds for which there is nothing to wait on.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < SOON, "this did not become true in time: {what}");
        tokio::task::yield_now().await;
    }
}

/// Counts how often somebody was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn is_woken(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The smallest executor there is.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let (mut work, started) = (pin!(work), Instant::now());
    loop {
        if let Poll::Ready(output) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        assert!(started.elapsed() < SOON, "it takes too long");
        std::thread::park_timeout(SOON);
    }
}

/// A stream that fails.
struct Broken;

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "broken")
}

impl AsyncRead for Broken {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(broken()))
    }
}

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
