//! Sockets and plain connections over channels of multiplexed connections: what they share, and what they do not.
//!
//! That they behave as over any other transport is in `conformance`.

#[cfg(feature = "tls")]
#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/mod.rs"]
mod support;

use spanwire::mux::{
    ChannelEnd, Code, Event as Happening, MuxOptions, OpenError, PhysicalState, PhysicalStats, Pool,
    SendError as NotSent, Server,
};
use spanwire::{
    DialError, DialOptions, Event, ListenError, ListenOptions, Pair0Socket, Place, PullSocket, PushSocket,
    RepSocket, ReqSocket, SendError, Start, link,
};
use std::collections::HashSet;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::within;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const SECOND: Duration = Duration::from_secs(1);
const ANY: &str = "mux+tcp://127.0.0.1:0#first";

/// Comes back soon, so that the test is quick.
fn eager() -> DialOptions {
    DialOptions {
        start: Start::Background,
        reconnect_min: Duration::from_millis(1),
        reconnect_max: Duration::from_millis(20),
        ..DialOptions::default()
    }
}

/// The same place, another channel.
fn channel(url: &str, id: &str) -> String {
    format!("{}#{id}", url.split('#').next().unwrap())
}

async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// Stands between two sides, counts the connections through it, and cuts them.
struct Proxy {
    port: u16,
    made: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    cut: watch::Sender<()>,
}

impl Proxy {
    async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, _) = watch::channel(());
        let (made, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (cuts, counts) = (cut.clone(), (made.clone(), open.clone()));
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (mut cut, (made, open)) = (cuts.subscribe(), counts.clone());
                made.fetch_add(1, Ordering::SeqCst);
                open.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(target).await {
                        tokio::select! {
                            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                            _ = cut.changed() => {}
                        }
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, made, open, cut }
    }

    fn url(&self, id: &str) -> String {
        format!("mux+tcp://127.0.0.1:{}#{id}", self.port)
    }

    fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

/// What others can tell from the defaults.
fn narrow() -> MuxOptions {
    MuxOptions { max_message_bytes: 77, ..MuxOptions::default() }
}

fn dialing(mux: MuxOptions) -> DialOptions {
    DialOptions { mux, ..DialOptions::default() }
}

fn listening(mux: MuxOptions) -> ListenOptions {
    ListenOptions { mux, ..ListenOptions::default() }
}

/// The connections that the pool of the process has to this address.
fn pooled(url: &str) -> Vec<PhysicalStats> {
    Pool::global().stats().physical.into_iter().filter(|physical| *physical.url == *url).collect()
}

#[tokio::test]
async fn a_hundred_sockets_to_one_address_use_one_connection() {
    within(async {
        let pull = PullSocket::new();
        let listener = pull.listen(ANY).await.unwrap();
        let proxy = Proxy::before(listener.local_addr().unwrap()).await;
        let mut pushers = Vec::new();
        let mut dials = Vec::new();
        for _ in 0..100 {
            let (push, url) = (PushSocket::new(), proxy.url("first"));
            pushers.push(push.clone());
            // All at once: whoever comes second waits for the connection that is being made.
            dials.push(tokio::spawn(async move { push.dial(&url).await.map(drop) }));
        }
        for dial in dials {
            dial.await.unwrap().unwrap();
        }
        pull.wait_peers(100).await.unwrap();
        for (n, push) in (0_u8..).zip(&pushers) {
            push.send(vec![n]).await.unwrap();
        }
        let mut got = HashSet::new();
        for _ in 0..100 {
            got.insert(pull.recv().await.unwrap()[0]);
        }
        assert_eq!((got.len(), proxy.made()), (100, 1));
        let ends: HashSet<String> = pull.peers().iter().map(|peer| peer.ends.remote.to_string()).collect();
        assert_eq!(ends.len(), 1, "{ends:?}");
        assert!(pull.peers().iter().all(|peer| matches!(peer.ends.local, Place::Ip(_))));

        // It goes with the last of them.
        let last = pushers.pop().unwrap();
        for push in pushers {
            assert_eq!(push.close(SECOND).await.abandoned, 0);
        }
        last.send("still here").await.unwrap();
        assert_eq!(&pull.recv().await.unwrap()[..], b"still here");
        assert_eq!(proxy.open(), 1);
        last.close(SECOND).await;
        until(|| proxy.open() == 0).await;
        pull.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn dialers_with_other_options_have_a_connection_of_their_own() {
    within(async {
        let pull = PullSocket::new();
        let listener = pull.listen(ANY).await.unwrap();
        let proxy = Proxy::before(listener.local_addr().unwrap()).await;
        let (a, b, c) = (PushSocket::new(), PushSocket::new(), PushSocket::new());
        a.dial(&proxy.url("first")).await.unwrap();
        // When it comes back, and how, is each dialer's own.
        let soon = DialOptions { start: Start::Wait, ..eager() };
        b.dial_with(&proxy.url("first"), soon).await.unwrap();
        assert_eq!(proxy.made(), 1);
        let slow = DialOptions { no_delay: false, ..DialOptions::default() };
        c.dial_with(&proxy.url("first"), slow).await.unwrap();
        assert_eq!(proxy.made(), 2);
        let (d, e) = (PushSocket::new(), PushSocket::new());
        d.dial_with(&proxy.url("first"), dialing(narrow())).await.unwrap();
        assert_eq!(proxy.made(), 3);
        // It is the pool that decides when it ends.
        let lasting = MuxOptions { idle_timeout: None, ..narrow() };
        e.dial_with(&proxy.url("first"), dialing(lasting)).await.unwrap();
        assert_eq!(proxy.made(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_socket_that_does_not_read_stops_no_other() {
    within(async {
        let small = || spanwire::Options { recv_messages: 4, outbox_messages: 4, ..Default::default() };
        let (stopped, reads) = (PullSocket::with(small()), PullSocket::with(small()));
        let listener = stopped.listen(ANY).await.unwrap();
        let other = reads.listen(&channel(listener.url(), "second")).await.unwrap();
        assert_eq!(other.local_addr(), listener.local_addr());
        let (slow, quick) = (PushSocket::with(small()), PushSocket::with(small()));
        slow.dial(listener.url()).await.unwrap();
        quick.dial(other.url()).await.unwrap();
        let mut accepted = 0_u32;
        loop {
            let mut body = vec![0; 64 * 1024];
            body[..4].copy_from_slice(&accepted.to_be_bytes());
            match slow.send_timeout(body, SECOND / 4).await {
                Ok(()) => accepted += 1,
                Err(SendError::TimedOut(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
        for n in 0..2_000_u32 {
            quick.send(n.to_be_bytes().to_vec()).await.unwrap();
            assert_eq!(reads.recv().await.unwrap()[..], n.to_be_bytes());
        }
        assert!(matches!(slow.try_send("no room yet"), Err(SendError::Full(_))));
        for n in 0..accepted {
            assert_eq!(stopped.recv().await.unwrap()[..4], n.to_be_bytes());
        }
        for socket in [slow, quick] {
            assert_eq!(socket.close(SECOND).await.abandoned, 0);
        }
    })
    .await;
}

#[tokio::test]
async fn when_the_connection_is_cut_all_sockets_come_back() {
    within(async {
        const SOCKETS: usize = 20;
        let pull = PullSocket::new();
        let listener = pull.listen(ANY).await.unwrap();
        let proxy = Proxy::before(listener.local_addr().unwrap()).await;
        let mut pushers = Vec::new();
        for _ in 0..SOCKETS {
            let push = PushSocket::new();
            let events = push.events();
            let dialer = push.dial_with(&proxy.url("first"), eager()).await.unwrap();
            pushers.push((push, events, dialer));
        }
        for round in 1..=5_usize {
            pull.wait_peers(SOCKETS).await.unwrap();
            for (n, (push, events, _)) in (0_u8..).zip(&mut pushers) {
                let attached = async { while !matches!(events.next().await, Some(Event::Attached(_))) {} };
                attached.await;
                push.send(vec![n]).await.unwrap();
            }
            let mut got = HashSet::new();
            while got.len() < SOCKETS {
                got.insert(pull.recv().await.unwrap()[0]);
            }
            assert_eq!(proxy.made(), round, "one for all, each time");
            proxy.cut.send(()).unwrap();
            for (_, events, _) in &mut pushers {
                while !matches!(events.next().await, Some(Event::Detached(..))) {}
            }
            until(|| pull.stats().peers < SOCKETS).await;
        }
        assert!(pushers.iter().all(|(_, _, dialer)| dialer.stats().connections >= 5));
    })
    .await;
}

#[tokio::test]
async fn an_id_that_nobody_listens_for_is_refused_by_name() {
    within(async {
        let (here, there) = (PullSocket::new(), PushSocket::new());
        let listener = here.listen(ANY).await.unwrap();
        there.dial(listener.url()).await.unwrap();
        let url = channel(listener.url(), "nobody");
        let lost = PushSocket::new();
        let error = lost.dial(&url).await.expect_err("nobody listens");
        assert!(error.is_transient());
        assert!(error.to_string().contains("nobody accepts channels of this id"), "{error}");
        let DialError::Connect { error, .. } = error else { panic!("{error:?}") };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(OpenError::Refused(ChannelEnd::ResetByPeer { code: Code::NOBODY, .. })) => {}
            other => panic!("{other:?}"),
        }
        // Without a name it is another one, too.
        assert!(lost.dial(&channel(listener.url(), "")).await.is_err());
        there.send("undisturbed").await.unwrap();
        assert_eq!(&here.recv().await.unwrap()[..], b"undisturbed");

        // Somebody may listen later.
        lost.dial_with(&url, eager()).await.unwrap();
        let late = PullSocket::new();
        late.listen(&url).await.unwrap();
        lost.send("found").await.unwrap();
        assert_eq!(&late.recv().await.unwrap()[..], b"found");
    })
    .await;
}

#[tokio::test]
async fn listeners_share_a_port_until_the_last_of_them_has_gone() {
    within(async {
        let (a, b) = (PullSocket::new(), RepSocket::new());
        let first = a.listen(ANY).await.unwrap();
        let second = b.listen(&channel(first.url(), "second")).await.unwrap();
        let taken = b.listen(&channel(first.url(), "first")).await.unwrap_err();
        assert!(taken.is_transient());
        let slow = ListenOptions { no_delay: false, ..ListenOptions::default() };
        match a.listen_with(&channel(first.url(), "third"), slow).await {
            Err(ListenError::Bind { error, .. }) => {
                assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
                assert!(error.to_string().contains("not its options"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        // How many may be in their handshake is each listener's own.
        let few = ListenOptions { half_open: 3, ..ListenOptions::default() };
        a.listen_with(&channel(first.url(), "third"), few).await.unwrap().close();

        let req = ReqSocket::new();
        req.dial(second.url()).await.unwrap();
        first.close();
        let (asked, answered) = tokio::join!(req.request("still there?"), async {
            let request = b.recv().await.unwrap();
            request.reply("yes").await
        });
        answered.unwrap();
        assert_eq!(&asked.unwrap()[..], b"yes");
        let push = PushSocket::new();
        assert!(push.dial(first.url()).await.is_err(), "its id is nobody's now");

        let port = second.local_addr().unwrap();
        assert!(std::net::TcpListener::bind(port).is_err());
        second.close();
        std::net::TcpListener::bind(port).expect("free when the last one has closed");
    })
    .await;
}

/// A runtime in a thread of its own, which ends with it.
fn elsewhere() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[tokio::test]
async fn a_port_outlives_the_runtime_of_its_first_listener() {
    within(async {
        let other = elsewhere();
        let first = other.spawn(async {
            let pull = PullSocket::new();
            let listener = pull.listen(ANY).await.unwrap();
            (pull, listener)
        });
        let (gone, listener) = first.await.unwrap();
        let url = channel(listener.url(), "second");
        let stays = PullSocket::new();
        stays.listen(&url).await.unwrap();
        let push = PushSocket::new();
        let mut events = push.events();
        push.dial_with(&url, eager()).await.unwrap();
        push.send("before").await.unwrap();
        assert_eq!(&stays.recv().await.unwrap()[..], b"before");
        other.shutdown_background();
        while !matches!(events.next().await, Some(Event::Detached(..))) {}
        while !matches!(events.next().await, Some(Event::Attached(_))) {}
        push.send("after").await.unwrap();
        assert_eq!(&stays.recv().await.unwrap()[..], b"after");
        drop(gone);
    })
    .await;
}

#[tokio::test]
async fn dialers_outlive_the_runtime_of_who_was_the_first() {
    within(async {
        let pull = PullSocket::new();
        let listener = pull.listen(ANY).await.unwrap();
        let url = listener.url().to_owned();
        let other = elsewhere();
        let first = other.spawn(async move {
            let push = PushSocket::new();
            push.dial(&url).await.unwrap();
            push
        });
        let gone = first.await.unwrap();
        let stays = PushSocket::new();
        let mut events = stays.events();
        stays.dial_with(listener.url(), eager()).await.unwrap();
        while !matches!(events.next().await, Some(Event::Attached(_))) {}
        pull.wait_peers(2).await.unwrap();
        let ends: HashSet<String> = pull.peers().iter().map(|peer| peer.ends.remote.to_string()).collect();
        assert_eq!(ends.len(), 1, "they share it");
        other.shutdown_background();
        while !matches!(events.next().await, Some(Event::Detached(..))) {}
        while !matches!(events.next().await, Some(Event::Attached(_))) {}
        stays.send("here again").await.unwrap();
        assert_eq!(&pull.recv().await.unwrap()[..], b"here again");
        drop(gone);
    })
    .await;
}

#[tokio::test]
async fn plain_connections_and_sockets_share_a_port() {
    within(async {
        let server = link::serve(ANY).await.unwrap();
        let pair = Pair0Socket::new();
        pair.listen(&channel(&server.url(), "pair")).await.unwrap();
        let here = link::connect(&server.url()).await.unwrap();
        let there = server.accept().await.unwrap();
        here.send(link::Parcel::new(1, 2, "over a channel")).await.unwrap();
        assert_eq!(there.recv().await.unwrap().body, "over a channel");
        let peer = Pair0Socket::new();
        peer.dial(&channel(&server.url(), "pair")).await.unwrap();
        peer.send("so is this").await.unwrap();
        assert_eq!(&pair.recv().await.unwrap()[..], b"so is this");
        let report = here.close(SECOND).await;
        assert_eq!((report.abandoned, report.unknown), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn silent_strangers_do_not_keep_an_honest_peer_out() {
    within(async {
        const MOST: usize = 4;
        let pull = PullSocket::new();
        let few = ListenOptions { half_open: MOST, ..ListenOptions::default() };
        let listener = pull.listen_with(ANY, few).await.unwrap();
        let at = listener.local_addr().unwrap();
        let mut strangers = Vec::new();
        for _ in 0..3 * MOST {
            strangers.push(TcpStream::connect(at).await.unwrap());
        }
        let push = PushSocket::new();
        push.dial(listener.url()).await.unwrap();
        push.send("honest").await.unwrap();
        assert_eq!(&pull.recv().await.unwrap()[..], b"honest");
        // The oldest had to go. What is told to them first does not matter.
        let oldest = strangers.remove(0).into_std().unwrap();
        oldest.set_nonblocking(false).unwrap();
        oldest.set_read_timeout(Some(20 * SECOND)).unwrap();
        let gone = tokio::task::spawn_blocking(move || {
            let mut rest = Vec::new();
            (&oldest).read_to_end(&mut rest).map_err(|error| error.kind())
        });
        let gone = gone.await.unwrap();
        assert!(gone.is_ok() || gone == Err(io::ErrorKind::ConnectionReset), "{gone:?}");
    })
    .await;
}

#[tokio::test]
async fn who_speaks_something_else_is_told_apart() {
    within(async {
        let (plain, muxed) = (PullSocket::new(), PullSocket::new());
        let plain_at = plain.listen("tcp://127.0.0.1:0").await.unwrap();
        let muxed_at = muxed.listen(ANY).await.unwrap();
        let push = PushSocket::new();
        let error = push.dial(&format!("mux+{}", plain_at.url())).await.expect_err("it is no multiplexer");
        assert!(matches!(error, DialError::Connect { .. }), "{error:?}");
        let port = muxed_at.local_addr().unwrap().port();
        let error = push.dial(&format!("tcp://127.0.0.1:{port}")).await.expect_err("it is one");
        assert!(matches!(error, DialError::Refused { .. }), "{error:?}");
        push.dial(muxed_at.url()).await.unwrap();
        push.send("in the end").await.unwrap();
        assert_eq!(&muxed.recv().await.unwrap()[..], b"in the end");
    })
    .await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn who_cannot_prove_who_it_is_gets_no_connection_and_both_sides_say_why() {
    use certificates::{Authority, DIALER, with_client, with_server};

    within(async {
        let authority = Authority::new("ours");
        let pull = PullSocket::new();
        let mut events = pull.events();
        pull.set_filter(|peer| peer.ends.tls.as_ref().is_some_and(|tls| tls.names == [DIALER]));
        let any = "mux+tls+tcp://127.0.0.1:0#first";
        let listener = pull.listen_with(any, with_server(authority.mutual_server())).await.unwrap();
        let stranger = PushSocket::new();
        let error = stranger.dial_with(listener.url(), with_client(authority.client())).await;
        match error {
            Err(DialError::Upgrade { error, .. }) => {
                assert!(error.to_string().contains("certificate"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        loop {
            match events.next().await {
                Some(Event::UpgradeFailed { error, .. }) => {
                    assert!(error.to_string().contains("certificate"), "{error}");
                    break;
                }
                Some(Event::Attaching(_) | Event::Attached(_)) | None => panic!("nobody is let in"),
                _ => {}
            }
        }
        let push = PushSocket::new();
        let known = with_client(authority.known_client(&[DIALER]));
        push.dial_with(listener.url(), known).await.unwrap();
        push.send("it is me").await.unwrap();
        assert_eq!(&pull.recv().await.unwrap()[..], b"it is me");
    })
    .await;
}

#[test]
fn blocking_sockets_use_channels_too() {
    let (req, rep) = (spanwire::blocking::ReqSocket::new(), spanwire::blocking::RepSocket::new());
    let listener = rep.listen(ANY).unwrap();
    req.dial(listener.url()).unwrap();
    let server = std::thread::spawn(move || {
        for _ in 0..100 {
            let request = rep.recv().unwrap();
            let body = request.to_vec();
            request.reply(body).unwrap();
        }
    });
    for n in 0..100_u8 {
        assert_eq!(req.request(vec![n]).unwrap()[..], [n]);
    }
    server.join().unwrap();
}

#[tokio::test]
async fn sockets_and_channels_of_the_pool_share_a_connection() {
    within(async {
        let pull = PullSocket::new();
        let listener = pull.listen(ANY).await.unwrap();
        let proxy = Proxy::before(listener.local_addr().unwrap()).await;
        let url = format!("tcp://127.0.0.1:{}", proxy.port);
        let pool = Pool::global();
        let push = PushSocket::new();
        push.dial(&proxy.url("first")).await.unwrap();
        let physical = pooled(&url);
        assert_eq!(physical.len(), 1);
        assert_eq!((physical[0].state, physical[0].logical), (PhysicalState::Open, 1));
        let channel = pool.open(&url, "first").await.unwrap();
        channel.accepted().await.unwrap();
        assert_eq!(Some(channel.connection().number()), physical[0].number);
        assert_eq!((pooled(&url)[0].logical, proxy.made()), (2, 1));
        push.send("shared").await.unwrap();
        assert_eq!(&pull.recv().await.unwrap()[..], b"shared");

        // It was dialled for a socket, so it goes with the last of all who use it.
        push.close(SECOND).await;
        until(|| pooled(&url)[0].logical == 1).await;
        assert!(channel.connection().end().is_none());
        drop(channel);
        until(|| pooled(&url).is_empty() && proxy.open() == 0).await;

        // One that was dialled for the pool is kept, also when a socket was the last to use it.
        let channel = pool.open(&url, "first").await.unwrap();
        let number = channel.connection().number();
        let push = PushSocket::new();
        push.dial(&proxy.url("first")).await.unwrap();
        assert_eq!((pooled(&url)[0].logical, proxy.made()), (2, 2));
        drop(channel);
        push.send("shared again").await.unwrap();
        assert_eq!(&pull.recv().await.unwrap()[..], b"shared again");
        push.close(SECOND).await;
        until(|| pooled(&url)[0].logical == 0).await;
        let push = PushSocket::new();
        push.dial(&proxy.url("first")).await.unwrap();
        assert_eq!((pooled(&url)[0].number, proxy.made()), (Some(number), 2));
    })
    .await;
}

#[tokio::test]
async fn the_pool_tells_of_connections_of_sockets_and_of_their_ends() {
    within(async {
        let pull = PullSocket::new();
        let listener = pull.listen(ANY).await.unwrap();
        let proxy = Proxy::before(listener.local_addr().unwrap()).await;
        let at = format!("tcp://127.0.0.1:{}", proxy.port);
        let mut events = Pool::global().events();
        let push = PushSocket::new();
        let mut peers = push.events();
        push.dial_with(&proxy.url("first"), eager()).await.unwrap();
        for round in 1..=3 {
            while !matches!(peers.next().await, Some(Event::Attached(_))) {}
            push.send("here").await.unwrap();
            assert_eq!(&pull.recv().await.unwrap()[..], b"here");
            let connected = loop {
                match events.next().await {
                    Some(Happening::Connected { number, url }) if *url == *at => break number,
                    Some(_) => {}
                    None => panic!("the pool of the process is there"),
                }
            };
            assert_eq!((pooled(&at)[0].number, proxy.made()), (Some(connected), round));
            proxy.cut.send(()).unwrap();
            loop {
                match events.next().await {
                    Some(Happening::Ended { number, url, .. }) if *url == *at => {
                        assert_eq!(number, connected);
                        break;
                    }
                    Some(_) => {}
                    None => panic!("the pool of the process is there"),
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_dialer_says_what_its_connection_takes() {
    within(async {
        let server = Server::bind("tcp://127.0.0.1:0").await.unwrap();
        let (choosy, easy) = (PushSocket::new(), PushSocket::new());
        let url = |id: &str| format!("mux+{}#{id}", server.url());
        let options = DialOptions { mux: narrow(), ..eager() };
        choosy.dial_with(&url("narrow"), options).await.unwrap();
        easy.dial_with(&url("usual"), eager()).await.unwrap();
        let (narrow, usual) = (server.accept("narrow").await.unwrap(), server.accept("usual").await.unwrap());
        match narrow.try_send(vec![0; 78]) {
            Err(NotSent::TooLarge { limit: 77, .. }) => {}
            other => panic!("{other:?}"),
        }
        usual.try_send(vec![0; 78]).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_listener_says_what_its_connections_take() {
    within(async {
        let pull = PullSocket::new();
        let one = MuxOptions { channels: 1, ..narrow() };
        let listener = pull.listen_with(ANY, listening(one.clone())).await.unwrap();
        let pool = Pool::global();
        let url = format!("tcp://{}", listener.local_addr().unwrap());
        let only = pool.open(&url, "first").await.unwrap();
        only.accepted().await.unwrap();
        match only.try_send(vec![0; 78]) {
            Err(NotSent::TooLarge { limit: 77, .. }) => {}
            other => panic!("{other:?}"),
        }
        // It takes no second one, until the first has ended.
        let push = PushSocket::new();
        let hurried = DialOptions { connect_timeout: Some(SECOND / 20), ..DialOptions::default() };
        match push.dial_with(listener.url(), hurried).await {
            Err(DialError::TimedOut { .. }) => {}
            other => panic!("{other:?}"),
        }
        drop(only);
        push.dial(listener.url()).await.unwrap();
        push.send("room").await.unwrap();
        assert_eq!(&pull.recv().await.unwrap()[..], b"room");

        // Who shares the port says the same.
        let second = channel(listener.url(), "second");
        match pull.listen(&second).await {
            Err(ListenError::Bind { error, .. }) => {
                assert!(error.to_string().contains("not its options"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        pull.listen_with(&second, listening(one)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_channel_of_the_pool_on_a_connection_of_a_socket_ends_with_its_runtime_and_the_next_one_does_not() {
    within(async {
        let pull = PullSocket::new();
        let listener = pull.listen(ANY).await.unwrap();
        let at = format!("tcp://{}", listener.local_addr().unwrap());
        let url = listener.url().to_owned();
        let other = elsewhere();
        let first = other.spawn(async move {
            let push = PushSocket::new();
            push.dial(&url).await.unwrap();
            push
        });
        let gone = first.await.unwrap();
        let pool = Pool::global();
        let channel = pool.open(&at, "first").await.unwrap();
        assert_eq!(pooled(&at).len(), 1, "they share it");
        other.shutdown_background();
        // Whoever waits is told, also by a timer of that runtime.
        assert!(channel.recv_timeout(60 * SECOND).await.is_err());
        assert!(channel.connection().end().is_some());
        assert!(channel.send_timeout("late", SECOND).await.is_err());
        let next = pool.open(&at, "first").await.unwrap();
        next.accepted().await.unwrap();
        assert_ne!(next.connection().number(), channel.connection().number());
        drop(gone);
    })
    .await;
}
