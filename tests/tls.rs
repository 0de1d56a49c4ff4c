//! `tls+tcp://`: who the peer is, and that nothing is lost between records, reads and messages.

#![cfg(feature = "tls")]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/rustls_peer.rs"]
mod foreign;
#[path = "support/mod.rs"]
mod support;

use certificates::{Authority, DIALER, HERE, dialing, listening, with_client, with_server};
use foreign::Foreign;
use rustls::version::{TLS12, TLS13};
use spanwire::tls::{ClientAuth, TlsClientOptions, TlsServerOptions};
use spanwire::{
    BusSocket, DetachReason, Event, Message, Options, Pair0Socket, Pair1Socket, PolySocket, PubSocket,
    PullSocket, PushSocket, RepSocket, ReqSocket, RespondSocket, SubSocket, SurveySocket, TlsPeer, blocking,
};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use support::within;

const SECOND: Duration = Duration::from_secs(1);
const URL: &str = "tls+tcp://127.0.0.1:0";

#[tokio::test]
async fn both_sides_know_who_the_other_is_and_how_the_connection_is_secured() {
    within(async {
        let (pull, push) = (PullSocket::new(), PushSocket::new());
        let listener = pull.listen_with("tls+tcp://localhost:0", listening()).await.unwrap();
        push.dial_with(listener.url(), dialing()).await.unwrap();
        pull.wait_peers(1).await.unwrap();
        let of = |peers: Vec<spanwire::Peer>| peers[0].ends.tls.clone().unwrap();
        let (client, server): (Arc<TlsPeer>, Arc<TlsPeer>) = (of(pull.peers()), of(push.peers()));
        for peer in [&client, &server] {
            assert_eq!((&*peer.version, &*peer.key_exchange), ("TLSv1.3", "X25519MLKEM768"));
            assert!(peer.cipher_suite.starts_with("TLS13_"), "{}", peer.cipher_suite);
            assert_eq!(peer.certificates.len(), 1);
        }
        assert_eq!(
            (&client.names[..], client.server_name.as_deref()),
            (&[DIALER.to_owned()][..], Some("localhost"))
        );
        assert_eq!((&server.names[..], server.server_name.as_deref()), (&HERE.map_owned()[..], None));
    })
    .await;
}

trait MapOwned {
    fn map_owned(&self) -> Vec<String>;
}

impl MapOwned for [&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|name| (*name).to_owned()).collect()
    }
}

#[tokio::test]
async fn the_filter_decides_by_the_name_that_a_peer_has_proved() {
    within(async {
        let authority = Authority::new("ours");
        let pull = PullSocket::new();
        pull.set_filter(|peer| {
            peer.ends.tls.as_ref().is_some_and(|tls| tls.names.iter().any(|name| name == "worker.test"))
        });
        let mut events = pull.events();
        let server = TlsServerOptions {
            client_auth: ClientAuth::Optional(authority.roots()),
            ..authority.mutual_server()
        };
        let listener = pull.listen_with(URL, with_server(server)).await.unwrap();
        for (client, welcome) in [
            (authority.client(), false),
            (authority.known_client(&["other.test"]), false),
            (authority.known_client(&["worker.test"]), true),
        ] {
            let push = PushSocket::new();
            let _ = push.dial_with(listener.url(), with_client(client)).await;
            loop {
                match events.next().await.unwrap() {
                    Event::Refused(Some(peer), DetachReason::Filtered) => {
                        assert!(!welcome && peer.ends.tls.is_some());
                        break;
                    }
                    Event::Attached(peer) => {
                        assert!(welcome);
                        assert_eq!(peer.ends.tls.as_ref().unwrap().names, ["worker.test"]);
                        break;
                    }
                    _ => {}
                }
            }
            push.close(SECOND).await;
        }
    })
    .await;
}

/// Connects two sockets over TLS.
macro_rules! meet {
    ($a:expr, $b:expr) => {{
        let listener = $a.listen_with(URL, listening()).await.unwrap();
        $b.dial_with(listener.url(), dialing()).await.unwrap();
        $a.wait_peers(1).await.unwrap();
        $b.wait_peers(1).await.unwrap();
    }};
}

#[tokio::test]
async fn every_pattern_runs_over_it() {
    within(async {
        for bytes in [0, 1, 5_000, 300_000] {
            let body = vec![7_u8; bytes];
            let (rep, req) = (RepSocket::new(), ReqSocket::new());
            meet!(rep, req);
            let (answer, ()) = tokio::join!(req.request(body.clone()), async {
                let request = rep.recv().await.unwrap();
                let body = request[..].to_vec();
                request.reply(body).await.unwrap();
            });
            assert_eq!(answer.unwrap()[..], body);

            let (respond, survey) = (RespondSocket::new(), SurveySocket::new());
            meet!(respond, survey);
            let mut asked = survey.survey(body.clone()).await.unwrap();
            let request = respond.recv().await.unwrap();
            assert_eq!(request[..], body);
            request.reply(body.clone()).await.unwrap();
            assert_eq!(asked.next().await.unwrap()[..], body);

            let (publisher, sub) = (PubSocket::new(), SubSocket::new());
            sub.subscribe("");
            meet!(publisher, sub);
            publisher.send(body.clone()).await.unwrap();
            assert_eq!(sub.recv().await.unwrap()[..], body);

            let (a, b) = (BusSocket::new(), BusSocket::new());
            meet!(a, b);
            a.send(body.clone()).await.unwrap();
            assert_eq!(b.recv().await.unwrap()[..], body);

            let (pull, push) = (PullSocket::new(), PushSocket::new());
            meet!(pull, push);
            push.send(body.clone()).await.unwrap();
            assert_eq!(pull.recv().await.unwrap()[..], body);

            let (a, b) = (Pair0Socket::new(), Pair0Socket::new());
            meet!(a, b);
            a.send(body.clone()).await.unwrap();
            assert_eq!(b.recv().await.unwrap()[..], body);

            let (poly, pair) = (PolySocket::new(), Pair1Socket::new());
            meet!(poly, pair);
            pair.send(body.clone()).await.unwrap();
            let message: Message = poly.recv().await.unwrap();
            assert_eq!(message[..], body);
            poly.send(message).await.unwrap();
            assert_eq!(pair.recv().await.unwrap()[..], body);
        }
    })
    .await;
}

fn header(protocol: u8) -> Vec<u8> {
    vec![0, b'S', b'P', 0, 0, protocol, 0, 0]
}

fn framed(payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u64).to_be_bytes(), payload].concat()
}

/// The bytes of a captured exchange.
fn captured(id: &str) -> Vec<u8> {
    let file = std::fs::read_to_string("tests/vectors/tls.json").unwrap();
    let vectors: serde_json::Value = serde_json::from_str(&file).unwrap();
    let found = vectors["vectors"].as_array().unwrap().iter().find(|vector| vector["id"] == id);
    let hex = found.unwrap()["hex"].as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[tokio::test]
async fn a_listener_says_in_tls_what_nng_says() {
    within(async {
        let authority = Authority::new("ours");
        let rep = RepSocket::new();
        let listener = rep.listen_with(URL, open_server(&authority)).await.unwrap();
        let asked = captured("tls-nng111-client-plaintext");
        let mut request = asked.clone();
        // The answer in the capture is to a request with this id.
        request[16..20].copy_from_slice(&[0x80, 0, 0, 1]);
        let mut foreign = Foreign::connect(listener.local_addr().unwrap(), &authority, &TLS13);
        let heard = tokio::task::spawn_blocking(move || {
            foreign.write_all(&request).unwrap();
            let mut heard = vec![0; captured("tls-nng111-server-plaintext").len()];
            foreign.read_exact(&mut heard).unwrap();
            heard
        });
        let request = rep.recv().await.unwrap();
        assert_eq!(&request[..], b"Hello");
        request.reply("World").await.unwrap();
        assert_eq!(heard.await.unwrap(), captured("tls-nng111-server-plaintext"));
    })
    .await;
}

#[tokio::test]
async fn a_dialer_says_in_tls_what_nng_says() {
    within(async {
        let authority = Authority::new("ours");
        let server = foreign::server(&authority.issue(HERE));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("tls+tcp4://localhost:{}", listener.local_addr().unwrap().port());
        let heard = tokio::task::spawn_blocking(move || {
            let mut foreign = rustls::StreamOwned::new(server, listener.accept().unwrap().0);
            foreign.write_all(&header(0x31)).unwrap();
            let mut heard = vec![0; captured("tls-nng111-client-plaintext").len()];
            foreign.read_exact(&mut heard).unwrap();
            assert_eq!((foreign.conn.server_name(), foreign.conn.alpn_protocol()), (Some("localhost"), None));
            let reply = framed(&[&heard[16..20], b"World"].concat());
            foreign.write_all(&reply).unwrap();
            foreign.flush().unwrap();
            heard
        });
        let req = ReqSocket::new();
        req.dial_with(&url, with_client(authority.client())).await.unwrap();
        assert_eq!(&req.request("Hello").await.unwrap()[..], b"World");
        let (heard, mut expected) = (heard.await.unwrap(), captured("tls-nng111-client-plaintext"));
        // The id is random.
        assert_eq!(heard[16] & 0x80, 0x80);
        expected[16..20].copy_from_slice(&heard[16..20]);
        assert_eq!(heard, expected);
    })
    .await;
}

/// A server whose clients need no certificate.
fn open_server(authority: &Authority) -> spanwire::ListenOptions {
    with_server(TlsServerOptions::new(authority.issue(HERE).identity()))
}

/// What came in one record with the header is there at once, though the network has nothing more to tell of.
#[tokio::test]
async fn messages_that_come_with_the_handshake_are_delivered() {
    within(async {
        let authority = Authority::new("ours");
        let hello = [header(0x50), framed(b"one"), framed(&[2; 9_000]), framed(b"three")].concat();
        for version in [&TLS12, &TLS13] {
            let pull = PullSocket::new();
            let listener = pull.listen_with(URL, open_server(&authority)).await.unwrap();
            let to = listener.local_addr().unwrap();
            let _foreign = Foreign::greet(to, &authority, version, hello.clone()).await;
            for expected in [&b"one"[..], &[2; 9_000], b"three"] {
                assert_eq!(pull.recv().await.unwrap()[..], *expected);
            }
            let tls = pull.peers()[0].ends.tls.clone().unwrap();
            assert_eq!(tls.version, if *version == TLS12 { "TLSv1.2" } else { "TLSv1.3" });
            assert!(tls.certificates.is_empty() && tls.names.is_empty());
            // The same for a thread that waits in the kernel.
            let hello = hello.clone();
            let pull = blocking::PullSocket::new();
            let listener = pull.listen_with(URL, open_server(&authority)).unwrap();
            let to = listener.local_addr().unwrap();
            let waiting = thread::spawn(move || {
                for expected in [&b"one"[..], &[2; 9_000], b"three"] {
                    assert_eq!(pull.recv_timeout(SECOND * 30).unwrap()[..], *expected);
                }
            });
            let _foreign = Foreign::greet(to, &authority, version, hello).await;
            tokio::task::spawn_blocking(|| waiting.join().unwrap()).await.unwrap();
        }
    })
    .await;
}

#[test]
fn blocking_sockets_talk_in_both_directions_at_once() {
    const ROUNDS: usize = 300;
    let (a, b) = (blocking::Pair0Socket::new(), blocking::Pair0Socket::new());
    let listener = a.listen_with(URL, listening()).unwrap();
    b.dial_with(listener.url(), dialing()).unwrap();
    let sizes = [0, 10, 20_000, 70_000, 200_000];
    let run = |socket: blocking::Pair0Socket, mark: u8| {
        thread::spawn(move || {
            thread::scope(|scope| {
                scope.spawn(|| {
                    for round in 0..ROUNDS {
                        socket.send(vec![mark; sizes[round % sizes.len()]]).unwrap();
                    }
                });
                for round in 0..ROUNDS {
                    let message = socket.recv_timeout(SECOND * 30).unwrap();
                    assert_eq!(message.len(), sizes[round % sizes.len()]);
                    assert!(message.iter().all(|byte| *byte == mark ^ 1));
                }
            });
        })
    };
    let (a, b) = (run(a, 0), run(b, 1));
    a.join().unwrap();
    b.join().unwrap();
}

/// Ping-pong between threads that wait in the kernel: each message makes the whole way.
#[test]
fn blocking_sockets_take_turns() {
    const ROUNDS: usize = 1_000;
    let (a, b) = (blocking::Pair0Socket::new(), blocking::Pair0Socket::new());
    let listener = a.listen_with(URL, listening()).unwrap();
    b.dial_with(listener.url(), dialing()).unwrap();
    let echo = thread::spawn(move || {
        for _ in 0..ROUNDS {
            let message = a.recv_timeout(SECOND * 30).unwrap();
            a.send(message).unwrap();
        }
    });
    for round in 0..ROUNDS {
        let body = vec![round as u8; round * 37 % 40_000];
        b.send(body.clone()).unwrap();
        assert_eq!(b.recv_timeout(SECOND * 30).unwrap()[..], body);
    }
    echo.join().unwrap();
}

/// A subscriber that does not read, while the publisher drops: what arrives is whole and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_publisher_drops_for_a_slow_subscriber_breaks_no_frame() {
    const COUNT: u32 = 3_000;
    within(async {
        let authority = Authority::new("ours");
        let publisher = PubSocket::with(Options { outbox_messages: 10, ..Options::default() });
        let listener = publisher.listen_with(URL, open_server(&authority)).await.unwrap();
        let mut slow = Foreign::greet(listener.local_addr().unwrap(), &authority, &TLS13, header(0x21)).await;
        publisher.wait_peers(1).await.unwrap();
        let payload = |n: u32| {
            let mut payload = n.to_be_bytes().to_vec();
            payload.resize(8 + (n as usize * 7_919) % 30_000, n as u8);
            payload
        };
        for n in 0..COUNT {
            publisher.send(payload(n)).await.unwrap();
            if n % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        assert!(publisher.stats().ledger.dropped_total() > 0, "the kernel took them all");
        let reading = tokio::task::spawn_blocking(move || {
            let (mut last, mut count) = (None, 0);
            while last != Some(COUNT - 1) {
                let mut length = [0; 8];
                slow.read_exact(&mut length).unwrap();
                let length = usize::try_from(u64::from_be_bytes(length)).unwrap();
                assert!((8..=30_008).contains(&length), "{length} is no length of ours");
                let mut got = vec![0; length];
                slow.read_exact(&mut got).unwrap();
                let n = u32::from_be_bytes(*got.first_chunk().unwrap());
                assert!(last.is_none_or(|last| n > last), "{n} after {last:?}");
                assert!(got == payload(n), "message {n} is broken");
                (last, count) = (Some(n), count + 1);
            }
            count
        });
        let count: u64 = reading.await.unwrap();
        assert_eq!(count + publisher.stats().ledger.dropped_total(), u64::from(COUNT));
    })
    .await;
}

/// Whatever the network makes of records, messages are whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_come_in_pieces_are_put_together() {
    within(async {
        let (pull, push) = (PullSocket::new(), PushSocket::new());
        let listener = pull.listen_with(URL, listening()).await.unwrap();
        let proxy = chopper(listener.local_addr().unwrap());
        push.dial_with(&format!("tls+tcp://{proxy}"), dialing()).await.unwrap();
        for n in 0..40_usize {
            push.send(vec![n as u8; n * n * 20]).await.unwrap();
        }
        for n in 0..40_usize {
            assert_eq!(pull.recv().await.unwrap()[..], vec![n as u8; n * n * 20]);
        }
        push.close(SECOND).await;
    })
    .await;
}

/// Passes on what it gets, in pieces of 1 byte to some hundred.
fn chopper(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let here = listener.accept().unwrap().0;
        let there = TcpStream::connect(to).unwrap();
        let back = (there.try_clone().unwrap(), here.try_clone().unwrap());
        thread::spawn(move || chop(back.0, back.1));
        chop(here, there);
    });
    address
}

fn chop(mut from: TcpStream, mut to: TcpStream) {
    to.set_nodelay(true).unwrap();
    let mut piece = [0; 700];
    for n in (0_usize..).map(|n| n * 31 % 97) {
        let size = if n % 3 == 0 { 1 + n % 7 } else { 1 + n * 7 };
        match from.read(&mut piece[..size]) {
            Ok(count @ 1..) if to.write_all(&piece[..count]).is_ok() => {}
            _ => break,
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[test]
fn handles_are_equal_if_they_are_the_same_and_keys_are_never_shown() {
    let authority = Authority::new("ours");
    let options = || authority.known_client(&["x.test"]);
    let (a, b) = (with_client(options()), with_client(options()));
    assert_eq!(a, a.clone());
    assert_ne!(a, b);
    let server = with_server(authority.mutual_server());
    assert_eq!(server, server.clone());
    for shown in [format!("{a:?}"), format!("{server:?}"), format!("{:?}", TlsClientOptions::default())] {
        assert!(!shown.contains("PRIVATE") && !shown.contains("45, 45, 45"), "{shown}");
    }
}
