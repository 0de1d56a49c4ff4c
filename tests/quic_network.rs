//! `quic://` over networks that misbehave, and with peers that do.
#![cfg(feature = "quic")]

#[path = "support/certificates.rs"]
mod certificates;
mod support;
#[path = "support/udp_proxy.rs"]
mod udp_proxy;

use certificates::{Authority, HERE, dialing, listening, with_client, with_server};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use spanwire::tls::{TlsError, TlsServerOptions};
use spanwire::{
    DetachReason, DialError, DialOptions, Dropped, Event, Events, ListenOptions, Listener, Options, Protocol,
    PullSocket, PushSocket, QuicError, QuicOptions, Start, UpgradeError,
};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use support::within;
use tokio::net::UdpSocket;
use udp_proxy::{Mischief, Proxy};

const SECOND: Duration = Duration::from_secs(1);
const ANY: &str = "quic://127.0.0.1:0";

/// A listening PULL and a PUSH that has dialled it through a proxy.
async fn through(seed: u64, mischief: Mischief) -> (PullSocket, PushSocket, Proxy) {
    let (pull, push) = (PullSocket::new(), PushSocket::new());
    let listener = pull.listen_with(ANY, listening()).await.unwrap();
    let proxy = Proxy::new(listener.local_addr().unwrap(), seed, mischief).await;
    push.dial_with(&proxy.url, dialing()).await.unwrap();
    pull.wait_peers(1).await.unwrap();
    (pull, push, proxy)
}

/// Sends numbered jobs of different sizes, and takes them.
async fn jobs(push: &PushSocket, pull: &PullSocket, range: std::ops::Range<u32>) {
    let body = |n: u32| {
        let mut body = vec![n as u8; 4 + (n as usize * 37) % 5_000];
        body[..4].copy_from_slice(&n.to_be_bytes());
        body
    };
    let send = async {
        for n in range.clone() {
            push.send(body(n)).await.unwrap();
        }
    };
    let take = async {
        for n in range.clone() {
            assert!(pull.recv().await.unwrap()[..] == body(n), "job {n}");
        }
    };
    tokio::join!(send, take);
}

/// That others go on as if nothing had happened.
struct Others {
    push: PushSocket,
    pull: PullSocket,
    listener: Listener,
}

impl Others {
    async fn new(options: Options, listening: ListenOptions, dialing: DialOptions) -> Self {
        let (push, pull) = (PushSocket::new(), PullSocket::with(options));
        let listener = pull.listen_with(ANY, listening).await.unwrap();
        push.dial_with(listener.url(), dialing).await.unwrap();
        pull.wait_peers(1).await.unwrap();
        Self { push, pull, listener }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// They are undisturbed, and closing leaves nothing to be told.
    async fn end(self) {
        jobs(&self.push, &self.pull, 0..50).await;
        assert_eq!((self.pull.stats().peers, self.pull.stats().ledger.attached_pipes), (1, 1));
        let report = self.push.close(SECOND * 5).await;
        assert_eq!((report.abandoned, report.unknown), (0, 0));
        self.pull.close(SECOND).await;
    }
}

async fn upgrade_failed(events: &mut Events) -> UpgradeError {
    loop {
        if let Event::UpgradeFailed { error, .. } = events.next().await.expect("the socket is open") {
            return error;
        }
    }
}

#[tokio::test]
async fn loss_repetition_and_reordering_are_not_seen() {
    within(async {
        for seed in 1..=3 {
            let (pull, push, _proxy) = through(seed, Mischief { lost: 30, repeated: 50, late: 100 }).await;
            jobs(&push, &pull, 0..1_000).await;
            let report = push.close(SECOND * 10).await;
            assert_eq!((report.abandoned, report.unknown), (0, 0));
            let ledger = pull.stats().ledger;
            assert_eq!((ledger.attached_pipes, ledger.received_messages), (1, 1_000));
            pull.close(SECOND).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_dialer_whose_address_changes_stays_connected() {
    within(async {
        let (pull, push, proxy) = through(1, Mischief::default()).await;
        for n in 0..5 {
            jobs(&push, &pull, n * 100..(n + 1) * 100).await;
            proxy.move_elsewhere();
        }
        jobs(&push, &pull, 500..600).await;
        assert_eq!((pull.stats().ledger.attached_pipes, push.stats().ledger.attached_pipes), (1, 1));
        assert_eq!(push.close(SECOND * 5).await.abandoned, 0);
        pull.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn a_network_that_is_cut_ends_the_connection_and_one_that_heals_brings_another() {
    within(async {
        let quic = QuicOptions {
            idle_timeout: Some(SECOND / 2),
            keep_alive: Some(SECOND / 10),
            ..QuicOptions::default()
        };
        let (pull, push) = (PullSocket::new(), PushSocket::new());
        let listener =
            pull.listen_with(ANY, ListenOptions { quic: quic.clone(), ..listening() }).await.unwrap();
        let proxy = Proxy::new(listener.local_addr().unwrap(), 1, Mischief::default()).await;
        let options = DialOptions {
            quic,
            start: Start::Background,
            reconnect_min: Duration::from_millis(1),
            reconnect_max: Duration::from_millis(20),
            ..dialing()
        };
        push.dial_with(&proxy.url, options).await.unwrap();
        push.wait_peers(1).await.unwrap();
        let mut events = [push.events(), pull.events()];
        pull.wait_peers(1).await.unwrap();
        proxy.cut(true);
        for events in &mut events {
            loop {
                match events.next().await.unwrap() {
                    Event::Detached(_, why) => break assert_eq!(why, DetachReason::ConnectionLost),
                    Event::Attaching(_) | Event::Attached(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        proxy.cut(false);
        jobs(&push, &pull, 0..10).await;
        push.close(SECOND).await;
        pull.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn garbage_disturbs_nobody() {
    within(async {
        let others = Others::new(Options::default(), listening(), dialing()).await;
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut state = 1_u64;
        for n in 0..2_000_usize {
            let mut packet: Vec<u8> = (0..n % 1_400)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state as u8
                })
                .collect();
            if let (true, [first, version @ ..]) = (n % 2 == 0, &mut packet[..]) {
                // What looks like the first packet of a connection.
                *first = 0xc0 | (*first & 0x0f);
                if version.len() > 6 {
                    version[..5].copy_from_slice(&[0, 0, 0, 1, 8]);
                }
            }
            stranger.send_to(&packet, others.address()).await.unwrap();
            if n % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(others.pull.stats().ledger.dropped(Dropped::Malformed), 0);
        others.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_version_of_quic_that_we_do_not_speak_is_answered_with_those_that_we_do() {
    within(async {
        let others = Others::new(Options::default(), listening(), dialing()).await;
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut packet = vec![0xc0, 0x0a, 0x1a, 0x2a, 0x3a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 4, 9, 9, 9, 9];
        packet.resize(1_200, 0);
        stranger.send_to(&packet, others.address()).await.unwrap();
        let mut answer = [0; 1_500];
        let count = stranger.recv(&mut answer).await.unwrap();
        // RFC 9000 17.2.1: version 0, our ids in each other's place, then the versions.
        assert_eq!(answer[1..5], [0; 4]);
        assert_eq!(answer[5..19], [4, 9, 9, 9, 9, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(answer[19..count].chunks(4).any(|version| version == [0, 0, 0, 1]));
        assert_eq!(others.listener.stats().connections, 1, "it is no connection");
        others.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_listener_of_another_version_is_an_error_that_says_so() {
    within(async {
        let listener = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let url = format!("quic://{}", listener.local_addr().unwrap());
        let answer = async {
            let mut packet = [0; 1_500];
            let (_, from) = listener.recv_from(&mut packet).await.unwrap();
            let ids = &packet[5..];
            let (ours, ids) = ids[1..].split_at(ids[0].into());
            let theirs = &ids[1..][..ids[0].into()];
            let mut answer = vec![0x80, 0, 0, 0, 0, theirs.len() as u8];
            answer.extend_from_slice(theirs);
            answer.push(ours.len() as u8);
            answer.extend_from_slice(ours);
            answer.extend_from_slice(&[0x0a, 0x1a, 0x2a, 0x3a]);
            listener.send_to(&answer, from).await.unwrap();
        };
        let push = PushSocket::new();
        match tokio::join!(push.dial_with(&url, dialing()), answer).0 {
            Err(error @ DialError::Upgrade { error: UpgradeError::Quic(QuicError::VersionMismatch), .. }) => {
                assert!(!error.is_transient());
            }
            other => panic!("{other:?}"),
        }
        push.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn a_listener_that_never_answers_takes_no_longer_than_the_dialer_allows() {
    within(async {
        let listener = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let url = format!("quic://{}", listener.local_addr().unwrap());
        let push = PushSocket::new();
        let options = DialOptions { connect_timeout: Some(SECOND / 4), ..dialing() };
        match push.dial_with(&url, options).await {
            Err(error @ DialError::TimedOut { .. }) => assert!(error.is_transient()),
            other => panic!("{other:?}"),
        }
        push.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_at_its_deadline() {
    within(async {
        let options = Options { handshake_timeout: SECOND / 2, ..Options::default() };
        let others = Others::new(options, listening(), dialing()).await;
        let mut events = others.pull.events();
        let proxy = Proxy::new(others.address(), 1, Mischief::default()).await;
        // The first packet of the dialer, and none that it sends once it has the answer.
        proxy.pass_only(1);
        let push = PushSocket::new();
        let options = DialOptions { connect_timeout: Some(SECOND * 5), ..dialing() };
        let (_, error) = tokio::join!(push.dial_with(&proxy.url, options), upgrade_failed(&mut events));
        assert_eq!(error, UpgradeError::TimedOut);
        push.close(SECOND).await;
        others.end().await;
    })
    .await;
}

/// What a dialer or a listener of plain quinn needs.
struct Plain {
    authority: Authority,
}

impl Plain {
    fn new() -> Self {
        Self { authority: Authority::new("plain") }
    }

    fn listening(&self) -> ListenOptions {
        with_server(TlsServerOptions::new(self.authority.issue(HERE).identity()))
    }

    fn dialing(&self) -> DialOptions {
        with_client(self.authority.client())
    }

    fn client(&self, alpn: &str) -> quinn::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
    }

    /// Shows its certificate so many times.
    fn server(&self, alpn: &str, times: usize) -> quinn::ServerConfig {
        let issued = self.authority.issue(HERE);
        let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate; times], key)
            .unwrap();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(config).unwrap()))
    }

    async fn connect(
        &self,
        address: SocketAddr,
        alpn: &str,
    ) -> Result<quinn::Connection, quinn::ConnectionError> {
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        endpoint.connect_with(self.client(alpn), address, "localhost").unwrap().await
    }
}

#[tokio::test]
async fn another_protocol_over_quic_is_refused_on_both_sides() {
    within(async {
        let plain = Plain::new();
        let others = Others::new(Options::default(), plain.listening(), plain.dialing()).await;
        let mut events = others.pull.events();
        assert!(plain.connect(others.address(), "h3").await.is_err());
        match upgrade_failed(&mut events).await {
            UpgradeError::Quic(QuicError::Tls(TlsError::Incompatible { what })) => {
                assert_eq!(what, "application protocols");
            }
            other => panic!("{other:?}"),
        }
        others.end().await;

        let server = quinn::Endpoint::server(plain.server("h3", 1), (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let url = format!("quic://{}", server.local_addr().unwrap());
        let serve = async { server.accept().await.unwrap().await.map(drop) };
        let push = PushSocket::new();
        let (dialed, served) = tokio::join!(push.dial_with(&url, plain.dialing()), serve);
        assert!(served.is_err());
        match dialed {
            Err(DialError::Upgrade { error: UpgradeError::Quic(QuicError::Tls(cause)), .. }) => {
                assert_eq!(cause, TlsError::Alert { name: "no_application_protocol" });
            }
            other => panic!("{other:?}"),
        }
        push.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn a_gigantic_chain_of_certificates_is_not_taken() {
    within(async {
        let plain = Plain::new();
        let server =
            quinn::Endpoint::server(plain.server("sp", 300), (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let url = format!("quic://{}", server.local_addr().unwrap());
        let serve = async { server.accept().await.unwrap().await.map(drop) };
        let push = PushSocket::new();
        let (dialed, served) = tokio::join!(push.dial_with(&url, plain.dialing()), serve);
        assert!(served.is_err());
        match dialed {
            Err(error @ DialError::Upgrade { .. }) => {
                assert!(!error.is_transient() && error.to_string().contains("broke the protocol"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        push.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn a_peer_has_one_stream_and_nothing_else() {
    within(async {
        let plain = Plain::new();
        let pull = PullSocket::new();
        let listener = pull.listen_with(ANY, plain.listening()).await.unwrap();
        let connection = plain.connect(listener.local_addr().unwrap(), "sp").await.unwrap();
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(&Protocol::Push.handshake()).await.unwrap();
        let mut header = [0; 8];
        recv.read_exact(&mut header).await.unwrap();
        assert_eq!(header, Protocol::Pull.handshake());
        send.write_all(&[0, 0, 0, 0, 0, 0, 0, 3, b'j', b'o', b'b']).await.unwrap();
        assert_eq!(&pull.recv().await.unwrap()[..], b"job");

        assert!(tokio::time::timeout(SECOND / 10, connection.open_bi()).await.is_err());
        assert!(tokio::time::timeout(SECOND / 10, connection.open_uni()).await.is_err());
        assert_eq!(
            connection.send_datagram("datagram".into()),
            Err(quinn::SendDatagramError::UnsupportedByPeer)
        );
        // It finishes and waits for our end, as the mapping asks: then the connection is over.
        send.finish().unwrap();
        assert_eq!(recv.read(&mut header).await.ok().flatten(), None);
        assert!(matches!(
            connection.closed().await,
            quinn::ConnectionError::ApplicationClosed(close) if close.error_code == 0_u32.into()
        ));
        assert_eq!(pull.stats().peers, 0);
        pull.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn peers_without_a_stream_or_without_sp_on_it_end_alone() {
    within(async {
        let plain = Plain::new();
        let options = Options { handshake_timeout: SECOND / 2, ..Options::default() };
        let others = Others::new(options, plain.listening(), plain.dialing()).await;
        let mut events = others.pull.events();

        let silent = plain.connect(others.address(), "sp").await.unwrap();
        assert_eq!(upgrade_failed(&mut events).await, UpgradeError::TimedOut);
        silent.closed().await;

        let garbage = plain.connect(others.address(), "sp").await.unwrap();
        let (mut send, _recv) = garbage.open_bi().await.unwrap();
        send.write_all(b"GET / HTTP/3").await.unwrap();
        assert!(matches!(
            garbage.closed().await,
            quinn::ConnectionError::ApplicationClosed(close) if close.error_code == 1_u32.into()
        ));
        loop {
            match events.next().await.unwrap() {
                Event::Refused(_, why) if why != DetachReason::UpgradeFailed => {
                    break assert_eq!(why, DetachReason::BadHandshake);
                }
                _ => {}
            }
        }
        others.end().await;
    })
    .await;
}

#[tokio::test]
async fn the_oldest_handshake_makes_room_for_a_newer_one() {
    within(async {
        let plain = Plain::new();
        let listening = ListenOptions { half_open: 2, ..plain.listening() };
        let others = Others::new(Options::default(), listening, plain.dialing()).await;
        let mut silent = Vec::new();
        for _ in 0..3 {
            silent.push(plain.connect(others.address(), "sp").await.unwrap());
        }
        silent.remove(0).closed().await;
        assert_eq!(others.listener.stats().evicted, 1);
        assert!(silent.iter().all(|connection| connection.close_reason().is_none()));
        others.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_breaks_off_in_a_message_is_lost() {
    within(async {
        let plain = Plain::new();
        let pull = PullSocket::new();
        let mut events = pull.events();
        let listener = pull.listen_with(ANY, plain.listening()).await.unwrap();
        for reset in [false, true] {
            let connection = plain.connect(listener.local_addr().unwrap(), "sp").await.unwrap();
            let (mut send, mut recv) = connection.open_bi().await.unwrap();
            send.write_all(&Protocol::Push.handshake()).await.unwrap();
            recv.read_exact(&mut [0; 8]).await.unwrap();
            send.write_all(&[0, 0, 0, 0, 0, 0, 0, 9, b'h']).await.unwrap();
            pull.wait_peers(1).await.unwrap();
            if reset {
                send.reset(7_u32.into()).unwrap();
            } else {
                send.finish().unwrap();
            }
            loop {
                if let Event::Detached(_, why) = events.next().await.unwrap() {
                    break assert_eq!(why, DetachReason::ConnectionLost);
                }
            }
            connection.closed().await;
        }
        assert_eq!(pull.stats().ledger.received_messages, 0);
        pull.close(SECOND).await;
    })
    .await;
}
