//! Transports that the application brings along: those that write as they like, and what goes wrong in them.
//!
//! That all else works over them is a row of the conformance list.

#[path = "../examples/own_transport/memory.rs"]
mod own_transport;
mod support;

use own_transport::Memory;
use spanwire::addr::Foreign;
use spanwire::transport::{Acceptor, Connection, Transport, Wait};
use spanwire::{
    AddrError, DetachReason, DialError, DialOptions, Event, ListenError, ListenOptions, Options, Pair0Socket,
    Place, PullSocket, PushSocket, UpgradeError, blocking,
};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use support::within;
use tokio::io::{
    AsyncRead, AsyncWrite, BufWriter, DuplexStream, ReadBuf, ReadHalf, WriteHalf, duplex, split,
};

const SECOND: Duration = Duration::from_secs(1);

fn listening(transport: &Arc<dyn Transport>) -> ListenOptions {
    ListenOptions { transport: Some(transport.clone()), ..ListenOptions::default() }
}

fn dialing(transport: &Arc<dyn Transport>) -> DialOptions {
    DialOptions { transport: Some(transport.clone()), ..DialOptions::default() }
}

/// Memory, whose connections `wrap` makes something else of.
#[derive(Debug)]
struct Wrapped {
    ends: Mutex<VecDeque<DuplexStream>>,
    waiting: Mutex<Option<Waker>>,
    wrap: fn(DuplexStream) -> Connection,
}

fn wrapped(wrap: fn(DuplexStream) -> Connection) -> Arc<dyn Transport> {
    Arc::new(Shared(Arc::new(Wrapped { ends: Mutex::default(), waiting: Mutex::default(), wrap })))
}

#[derive(Clone, Debug)]
struct Shared(Arc<Wrapped>);

impl Transport for Shared {
    fn connect<'a>(&'a self, _: &'a Foreign) -> Wait<'a, Connection> {
        Box::pin(async move {
            let (near, far) = duplex(10_000);
            self.0.ends.lock().unwrap().push_back(far);
            if let Some(waiting) = self.0.waiting.lock().unwrap().take() {
                waiting.wake();
            }
            Ok((self.0.wrap)(near))
        })
    }

    fn listen<'a>(&'a self, _: &'a Foreign) -> Wait<'a, Box<dyn Acceptor>> {
        Box::pin(async move { Ok(Box::new(self.clone()) as Box<dyn Acceptor>) })
    }
}

impl Acceptor for Shared {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Wait<'static, Connection>>> {
        *self.0.waiting.lock().unwrap() = Some(cx.waker().clone());
        match self.0.ends.lock().unwrap().pop_front() {
            Some(end) => {
                let connection = (self.0.wrap)(end);
                Poll::Ready(Ok(Box::pin(async move { Ok(connection) })))
            }
            None => Poll::Pending,
        }
    }
}

/// Sends jobs of many sizes both ways at once, and sees that they arrive, also those before the end.
async fn all_arrives(transport: Arc<dyn Transport>) {
    within(async {
        let (a, b) = (Pair0Socket::new(), Pair0Socket::new());
        let listener = a.listen_with("wrapped://", listening(&transport)).await.unwrap();
        b.dial_with(listener.url(), dialing(&transport)).await.unwrap();
        a.wait_peers(1).await.unwrap();
        let body = |n: usize| vec![n as u8; n * n * 7 % 30_000];
        let send = async |socket: &Pair0Socket| {
            for n in 0..200 {
                socket.send(body(n)).await.unwrap();
            }
        };
        let take = async |socket: &Pair0Socket| {
            for n in 0..200 {
                assert!(socket.recv().await.unwrap()[..] == body(n), "message {n}");
            }
        };
        tokio::join!(send(&a), take(&b), send(&b), take(&a));
        // One at a time, so that nothing behind it pushes it out.
        for n in 0..50 {
            a.send(body(n)).await.unwrap();
            assert!(b.recv().await.unwrap()[..] == body(n));
        }
        send(&a).await;
        let (report, ()) = tokio::join!(a.close(SECOND * 10), take(&b));
        assert_eq!((report.abandoned, report.unknown), (0, 0));
        b.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn a_writer_that_keeps_things_back_is_flushed() {
    all_arrives(wrapped(|end| {
        let (reader, writer) = split(end);
        Connection::of_halves(reader, BufWriter::with_capacity(3_000, writer))
    }))
    .await;
}

#[tokio::test]
async fn a_writer_that_takes_a_byte_at_a_time_is_given_one_after_the_other() {
    all_arrives(wrapped(|end| Connection::new(Sparing { end, turn: 0 }))).await;
}

/// Reads and writes little at a time, and every third time not at all, though nothing is in the way.
struct Sparing {
    end: DuplexStream,
    turn: usize,
}

impl Sparing {
    fn not_now(&mut self, cx: &mut Context<'_>) -> bool {
        self.turn += 1;
        let not_now = self.turn % 3 == 0;
        if not_now {
            cx.waker().wake_by_ref();
        }
        not_now
    }
}

impl AsyncRead for Sparing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.not_now(cx) {
            return Poll::Pending;
        }
        let mut few = [0; 501];
        let limit = buf.remaining().min(few.len());
        let mut part = ReadBuf::new(&mut few[..limit]);
        std::task::ready!(Pin::new(&mut self.end).poll_read(cx, &mut part))?;
        buf.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Sparing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.not_now(cx) {
            return Poll::Pending;
        }
        let few = bytes.len().min(1 + self.turn % 400);
        Pin::new(&mut self.end).poll_write(cx, &bytes[..few])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.not_now(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.end).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.not_now(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.end).poll_shutdown(cx)
    }
}

static VECTORED: AtomicUsize = AtomicUsize::new(0);

/// Counts vectored writes of more than one piece.
struct Counting(WriteHalf<DuplexStream>);

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if pieces.len() > 1 {
            VECTORED.fetch_add(1, Ordering::Relaxed);
        }
        Pin::new(&mut self.0).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_writer_that_takes_many_pieces_is_given_them() {
    fn wrap(end: DuplexStream) -> Connection {
        let (reader, writer): (ReadHalf<_>, WriteHalf<_>) = split(end);
        Connection::of_halves(reader, Counting(writer))
    }
    all_arrives(wrapped(wrap)).await;
    assert!(VECTORED.load(Ordering::Relaxed) > 0);
}

#[test]
fn blocking_sockets_wait_without_a_descriptor() {
    let transport: Arc<dyn Transport> = Arc::new(Memory::default());
    let (req, rep) = (blocking::ReqSocket::new(), blocking::RepSocket::new());
    rep.listen_with("memory://x", listening(&transport)).unwrap();
    let serving = std::thread::spawn(move || {
        for _ in 0..500 {
            let request = rep.recv().unwrap();
            let body = request.to_vec();
            request.reply(body).unwrap();
        }
        rep
    });
    req.dial_with("memory://x", dialing(&transport)).unwrap();
    for n in 0..500_usize {
        let body = vec![n as u8; n * 300];
        assert_eq!(req.request(body.clone()).unwrap()[..], body);
    }
    req.close(SECOND);
    serving.join().unwrap().close(SECOND);
}

#[tokio::test]
async fn a_foreign_scheme_without_its_transport_is_refused_by_name() {
    let socket = PullSocket::new();
    for url in ["memory://x", "smoke+signals://hill"] {
        let unknown = |error: &AddrError| {
            assert!(error.to_string().contains("transport"), "{error}");
            matches!(error, AddrError::UnknownScheme { .. })
        };
        assert!(matches!(socket.dial(url).await, Err(DialError::Address { error, .. }) if unknown(&error)));
        assert!(
            matches!(socket.listen(url).await, Err(ListenError::Address { error, .. }) if unknown(&error))
        );
    }
    let transport: Arc<dyn Transport> = Arc::new(Memory::default());
    match socket.listen_with("no scheme", listening(&transport)).await {
        Err(ListenError::Address { error: AddrError::NoScheme, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_scheme_of_ours_means_what_the_transport_says() {
    within(async {
        let transport: Arc<dyn Transport> = Arc::new(Memory::default());
        let (push, pull) = (PushSocket::new(), PullSocket::new());
        for url in ["tcp://not a host", "inproc://x"] {
            let listener = pull.listen_with(url, listening(&transport)).await.unwrap();
            assert_eq!(listener.url(), url);
            push.dial_with(url, dialing(&transport)).await.unwrap();
        }
        pull.wait_peers(2).await.unwrap();
        assert!(pull.peers().iter().all(|peer| matches!(peer.ends.local, Place::Foreign(_))));
        push.close(SECOND).await;
        pull.close(SECOND).await;
    })
    .await;
}

#[test]
fn options_are_equal_if_they_name_the_same_transport() {
    let (one, other): (Arc<dyn Transport>, Arc<dyn Transport>) =
        (Arc::new(Memory::default()), Arc::new(Memory::default()));
    assert_eq!(dialing(&one), dialing(&one));
    assert_ne!(dialing(&one), dialing(&other));
    assert_ne!(listening(&one), ListenOptions::default());
}

/// Fails in every way, one after the other; at last it never gets anywhere.
#[derive(Debug, Default)]
struct Failing {
    turn: usize,
}

impl Transport for Failing {
    fn connect<'a>(&'a self, address: &'a Foreign) -> Wait<'a, Connection> {
        Box::pin(async move {
            match address.rest() {
                "denied" => Err(io::ErrorKind::PermissionDenied.into()),
                "busy" => Err(io::Error::new(io::ErrorKind::ConnectionRefused, "all lines are busy")),
                _ => std::future::pending().await,
            }
        })
    }

    fn listen<'a>(&'a self, address: &'a Foreign) -> Wait<'a, Box<dyn Acceptor>> {
        Box::pin(async move {
            match address.rest() {
                "taken" => Err(io::ErrorKind::AddrInUse.into()),
                _ => Ok(Box::new(Self::default()) as Box<dyn Acceptor>),
            }
        })
    }
}

impl Acceptor for Failing {
    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Wait<'static, Connection>>> {
        self.turn += 1;
        match self.turn {
            1 => Poll::Ready(Err(io::Error::other("the line is noisy"))),
            2 => Poll::Ready(Ok(Box::pin(async { Err(io::Error::other("no carrier")) }))),
            3 => Poll::Ready(Ok(Box::pin(std::future::pending()))),
            _ => Poll::Pending,
        }
    }

    fn bound_to(&self) -> Option<String> {
        Some("line 7".into())
    }
}

#[tokio::test]
async fn what_fails_in_a_transport_is_told_as_with_ours() {
    within(async {
        let transport: Arc<dyn Transport> = Arc::new(Failing::default());
        let push = PushSocket::new();
        match push.dial_with("failing://denied", dialing(&transport)).await {
            Err(error @ DialError::Connect { .. }) => assert!(!error.is_transient()),
            other => panic!("{other:?}"),
        }
        match push.dial_with("failing://busy", dialing(&transport)).await {
            Err(error @ DialError::Connect { .. }) => {
                assert!(error.is_transient() && error.to_string().contains("all lines are busy"));
            }
            other => panic!("{other:?}"),
        }
        let hasty = DialOptions { connect_timeout: Some(SECOND / 20), ..dialing(&transport) };
        assert!(matches!(push.dial_with("failing://far", hasty).await, Err(DialError::TimedOut { .. })));

        let options = Options { handshake_timeout: SECOND / 4, ..Options::default() };
        let pull = PullSocket::with(options);
        match pull.listen_with("failing://taken", listening(&transport)).await {
            Err(error @ ListenError::Bind { .. }) => assert!(error.is_transient()),
            other => panic!("{other:?}"),
        }
        let mut events = pull.events();
        let listener = pull.listen_with("failing://any", listening(&transport)).await.unwrap();
        assert_eq!(listener.url(), "failing://line 7");
        let mut told = Vec::new();
        while told.len() < 3 {
            match events.next().await.unwrap() {
                Event::AcceptFailed { error, .. } => told.push(error.to_string()),
                Event::UpgradeFailed { error: UpgradeError::TimedOut, .. } => told.push("timed out".into()),
                Event::UpgradeFailed { error, .. } => {
                    assert!(error.is_transient());
                    told.push(error.to_string());
                }
                Event::Refused(None, why) => assert_eq!(why, DetachReason::UpgradeFailed),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(told, ["the line is noisy", "no carrier", "timed out"]);
        push.close(SECOND).await;
        pull.close(SECOND).await;
    })
    .await;
}
