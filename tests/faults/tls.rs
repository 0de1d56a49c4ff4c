//! Certificates that are not good enough, and what is no TLS.

use crate::certificates::{Authority, HERE, with_client, with_server};
use crate::foreign::{self, Foreign, client};
use crate::support::{Bed, Stranger, close_all, detachment, event, framed, header, refusal, soon, until};
use crate::support::{Marks, Place};
use rcgen::date_time_ymd;
use rustls::StreamOwned;
use spanwire::tls::{
    ClientAuth, Identity, TlsClientOptions, TlsConfigError, TlsError, TlsServer, TlsServerOptions,
    TlsVersion, Verify,
};
use spanwire::{
    DetachReason, DialError, DialOptions, Event, Events, ListenOptions, Listener, Options, Protocol,
    PullSocket, PushSocket, Start, UpgradeError,
};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// What a PUSH socket says first.
const PUSH: [u8; 8] = [0, b'S', b'P', 0, 0, 0x50, 0, 0];

/// A PULL socket with an honest peer, that listens with TLS as well.
struct Bench {
    bed: Bed,
    pull: PullSocket,
    events: Events,
    listener: Listener,
    honest: PushSocket,
}

impl Bench {
    async fn new(options: ListenOptions) -> Self {
        Self::with(Options::default(), options).await
    }

    async fn with(socket: Options, options: ListenOptions) -> Self {
        let bed = Bed::new();
        let pull = PullSocket::with(socket);
        let plain = pull.listen("tcp://127.0.0.1:0").await.unwrap();
        let listener = pull.listen_with("tls+tcp://127.0.0.1:0", options).await.unwrap();
        let honest = PushSocket::new();
        honest.dial(plain.url()).await.unwrap();
        let mut bench = Self { bed, events: pull.events(), pull, listener, honest };
        bench.is_fine().await;
        bench
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The honest peer is served.
    async fn is_fine(&mut self) {
        self.honest.send("still here").await.unwrap();
        assert_eq!(&soon("a job", self.pull.recv()).await.unwrap()[..], b"still here");
    }

    /// Why the next handshake below SP has failed; it is told as a refusal, too.
    async fn failure(&mut self) -> UpgradeError {
        let url: Arc<str> = self.listener.url().into();
        let failed = event(&mut self.events, "a failed handshake", |event| match event {
            Event::UpgradeFailed { url, error } => Some((url.clone(), error.clone())),
            _ => None,
        });
        let (of, error) = failed.await;
        assert_eq!(of, url);
        error
    }

    async fn ends_clean(mut self) {
        self.is_fine().await;
        assert_eq!((self.pull.peers().len(), self.pull.stats().ledger.attached_pipes), (1, 1));
        assert_eq!(self.pull.stats().ledger.dropped_total(), 0);
        close_all!(self.honest, self.pull);
        self.bed.ends_clean().await;
    }
}

/// What the two sides say when `client` dials `server`, which comes to nothing.
async fn clash(server: TlsServerOptions, client: TlsClientOptions) -> (TlsError, UpgradeError) {
    let mut bench = Bench::new(with_server(server)).await;
    let push = PushSocket::new();
    let here = match soon("a refusal", push.dial_with(bench.listener.url(), with_client(client))).await {
        Err(error @ DialError::Upgrade { .. }) => {
            let transient = error.is_transient();
            let DialError::Upgrade { url, error: UpgradeError::Tls(error) } = error else {
                panic!("{error:?}")
            };
            assert_eq!((&*url, transient), (bench.listener.url(), error.is_transient()));
            error
        }
        other => panic!("{other:?}"),
    };
    let there = bench.failure().await;
    assert_eq!(bench.listener.stats().refused, 1);
    close_all!(push);
    bench.ends_clean().await;
    (here, there)
}

fn alert(name: &'static str) -> UpgradeError {
    TlsError::Alert { name }.into()
}

#[tokio::test]
async fn expired_certificate_is_refused_and_told_on_both_sides() {
    let authority = Authority::new("ours");
    let server = TlsServerOptions::new(authority.issue_expired(HERE).identity());
    let said = clash(server, authority.client()).await;
    assert_eq!(said, (TlsError::Expired, alert("certificate_expired")));

    let late = authority.issue_changed(HERE, |params| {
        params.not_before = date_time_ymd(2900, 1, 1);
        params.not_after = date_time_ymd(2901, 1, 1);
    });
    let said = clash(TlsServerOptions::new(late.identity()), authority.client()).await;
    assert_eq!(said, (TlsError::NotYetValid, alert("certificate_expired")));
}

#[tokio::test]
async fn certificate_for_another_host_is_refused_and_told_on_both_sides() {
    let authority = Authority::new("ours");
    let server = TlsServerOptions::new(authority.issue(&["elsewhere.test", "192.0.2.7"]).identity());
    let (here, there) = clash(server.clone(), authority.client()).await;
    let TlsError::WrongName { expected, presented } = here else { panic!("{here:?}") };
    assert_eq!(expected, "127.0.0.1");
    assert!(presented.iter().any(|name| name.contains("elsewhere.test")), "{presented:?}");
    assert_eq!(there, alert("bad_certificate"));

    // The name is a matter of the options, too.
    let named = |name: &str| TlsClientOptions { server_name: Some(name.into()), ..authority.client() };
    let (here, _) = clash(server.clone(), named("other.test")).await;
    assert!(matches!(&here, TlsError::WrongName { expected, .. } if expected == "other.test"), "{here:?}");
    let pull = PullSocket::new();
    let listener = pull.listen_with("tls+tcp://127.0.0.1:0", with_server(server)).await.unwrap();
    let push = PushSocket::new();
    push.dial_with(listener.url(), with_client(named("elsewhere.test"))).await.unwrap();
    pull.wait_peers(1).await.unwrap();
    let asked = pull.peers()[0].ends.tls.as_ref().and_then(|tls| tls.server_name.clone());
    assert_eq!(asked.as_deref(), Some("elsewhere.test"));
    close_all!(push, pull);
}

#[tokio::test]
async fn unknown_authority_is_refused_and_told_on_both_sides() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let server = TlsServerOptions::new(theirs.issue(HERE).identity());
    let said = clash(server.clone(), ours.client()).await;
    assert_eq!(said, (TlsError::UnknownAuthority, alert("unknown_ca")));
    // The authorities of the system do not know it either, or there are none.
    let (here, _) = match PushSocket::new().dial("tls+tcp://127.0.0.1:1").await {
        Err(DialError::Upgrade { error: UpgradeError::Tls(error @ TlsError::NoRoots { .. }), .. }) => {
            (error, ())
        }
        Err(DialError::Connect { .. }) => {
            let (here, there) = clash(server.clone(), TlsClientOptions::default()).await;
            assert_eq!(there, alert("unknown_ca"));
            (here, ())
        }
        other => panic!("{other:?}"),
    };
    assert!(matches!(here, TlsError::UnknownAuthority | TlsError::NoRoots { .. }), "{here:?}");

    // The other way round.
    let server = TlsServerOptions { client_auth: ClientAuth::Optional(ours.roots()), ..ours.mutual_server() };
    let client = TlsClientOptions { identity: Some(theirs.issue(&["x.test"]).identity()), ..ours.client() };
    let said = clash(server, client).await;
    assert_eq!(said, (TlsError::Alert { name: "unknown_ca" }, TlsError::UnknownAuthority.into()));
}

#[tokio::test]
async fn missing_client_certificate_is_refused_and_told_on_both_sides() {
    let authority = Authority::new("ours");
    let said = clash(authority.mutual_server(), authority.client()).await;
    assert_eq!(said, (TlsError::CertificateRequired, TlsError::NoCertificate.into()));

    let expired = TlsClientOptions {
        identity: Some(authority.issue_expired(&["late.test"]).identity()),
        ..authority.client()
    };
    let said = clash(authority.mutual_server(), expired).await;
    assert_eq!(said, (TlsError::Alert { name: "certificate_expired" }, TlsError::Expired.into()));
}

#[tokio::test]
async fn gigantic_certificate_chain_is_refused_and_told_on_both_sides() {
    let authority = Authority::new("ours");
    let mut issued = authority.issue(HERE);
    let one = issued.certificate.clone();
    while issued.certificate.len() < 200_000 {
        issued.certificate.push_str(&one);
    }
    // We have none ourselves.
    match TlsServer::new(TlsServerOptions::new(issued.identity())) {
        Err(TlsConfigError::BadCertificate { why, .. }) => assert!(why.contains("too large"), "{why}"),
        other => panic!("{other:?}"),
    }
    // Others may.
    let mut bench = Bench::new(with_server(authority.mutual_server())).await;
    let mut client =
        Foreign::with(bench.address(), client(&authority, &rustls::version::TLS13, Some(&issued)));
    let told = tokio::task::spawn_blocking(move || {
        let _ = client.write_all(&header(Protocol::Push));
        client.read(&mut [0; 8]).unwrap_err()
    });
    assert_eq!(bench.failure().await, TlsError::TooLarge.into());
    soon("the end", told).await.unwrap();
    bench.ends_clean().await;

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tls+tcp://{}", listener.local_addr().unwrap());
    let server = foreign::server(&issued);
    let told = tokio::task::spawn_blocking(move || {
        let mut server = StreamOwned::new(server, listener.accept().unwrap().0);
        server.read(&mut [0; 8]).unwrap_err()
    });
    let push = PushSocket::new();
    match soon("a refusal", push.dial_with(&url, with_client(authority.client()))).await {
        Err(DialError::Upgrade { error: UpgradeError::Tls(TlsError::TooLarge), .. }) => {}
        other => panic!("{other:?}"),
    }
    soon("the end", told).await.unwrap();
    close_all!(push);
}

#[tokio::test]
async fn two_that_speak_other_versions_are_told_so() {
    let authority = Authority::new("ours");
    let server = TlsServerOptions {
        min_version: TlsVersion::Tls13,
        ..TlsServerOptions::new(authority.issue(HERE).identity())
    };
    let mut bench = Bench::new(with_server(server)).await;
    let mut old = Foreign::connect(bench.address(), &authority, &rustls::version::TLS12);
    let failure = tokio::task::spawn_blocking(move || old.flush().unwrap_err());
    assert!(soon("an alert", failure).await.unwrap().to_string().contains("ProtocolVersion"));
    assert_eq!(bench.failure().await, TlsError::VersionMismatch.into());
    bench.ends_clean().await;
}

#[tokio::test]
async fn certificate_replaced_in_mid_run_is_seen_by_new_connections_alone() {
    let place = Place::new();
    let (certificate, key) = (place.folder().join("server.pem"), place.folder().join("server.key"));
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let put = |authority: &Authority| {
        let issued = authority.issue(HERE);
        std::fs::write(&certificate, issued.certificate).unwrap();
        std::fs::write(&key, issued.key).unwrap();
    };
    put(&old);
    let server = TlsServer::new(TlsServerOptions::new(Identity::files(&certificate, &key))).unwrap();
    let bed = Bed::new();
    let pull = PullSocket::new();
    let options = ListenOptions { tls: Some(server.clone()), ..ListenOptions::default() };
    let listener = pull.listen_with("tls+tcp://localhost:0", options).await.unwrap();
    let (early, late) = (PushSocket::new(), PushSocket::new());
    early.dial_with(listener.url(), with_client(old.client())).await.unwrap();

    // A broken file changes nothing.
    std::fs::write(&key, "no key").unwrap();
    assert!(matches!(server.reload(), Err(TlsConfigError::NoKey { place }) if place.ends_with("server.key")));
    std::fs::write(&key, new.issue(HERE).key).unwrap();
    assert!(matches!(server.reload(), Err(TlsConfigError::KeyMismatch { .. })));
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(server.reload(), Err(TlsConfigError::Read { path, .. }) if path == key));
    let still = PushSocket::new();
    still.dial_with(listener.url(), with_client(old.client())).await.unwrap();

    put(&new);
    server.reload().unwrap();
    match late.dial_with(listener.url(), with_client(old.client())).await {
        Err(DialError::Upgrade { error: UpgradeError::Tls(TlsError::UnknownAuthority), .. }) => {}
        other => panic!("{other:?}"),
    }
    late.dial_with(listener.url(), with_client(new.client())).await.unwrap();
    for push in [&early, &still, &late] {
        push.send("from all of them").await.unwrap();
        assert_eq!(&soon("a job", pull.recv()).await.unwrap()[..], b"from all of them");
    }
    assert_eq!(pull.stats().ledger.attached_pipes, 3, "nobody had to come back");
    // In memory it is the same.
    server.replace(TlsServerOptions::new(old.issue(HERE).identity())).unwrap();
    let last = PushSocket::new();
    last.dial_with(listener.url(), with_client(old.client())).await.unwrap();
    close_all!(early, still, late, last, pull);
    bed.ends_clean().await;
}

#[tokio::test]
async fn plain_bytes_to_a_tls_port_are_no_tls() {
    let authority = Authority::new("ours");
    let mut bench = Bench::new(with_server(authority.mutual_server())).await;
    let garbage: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        &header(Protocol::Push),
        &[0],
        &[0xff; 100_000],
        // An SSLv2 hello.
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
    ];
    for (n, garbage) in garbage.iter().enumerate() {
        let mut stranger = Stranger::tcp(bench.listener.local_addr()).await;
        stranger.say(garbage).await;
        assert_eq!(bench.failure().await, TlsError::NotTls.into(), "garbage {n}");
        stranger.is_ended().await;
        bench.is_fine().await;
    }
    // It begins like TLS.
    let broken: [&[u8]; 3] = [
        b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff",
        b"\x16\x03\x01\xff\xff\x01\x00\x01\xfc\x03\x03",
        b"\x17\x03\x03\x00\x05hello",
    ];
    for (n, broken) in broken.iter().enumerate() {
        let mut stranger = Stranger::tcp(bench.listener.local_addr()).await;
        stranger.say(broken).await;
        let error = bench.failure().await;
        assert!(
            matches!(error, UpgradeError::Tls(TlsError::Protocol { .. } | TlsError::TooLarge)),
            "broken {n}: {error:?}"
        );
        stranger.is_ended().await;
    }
    // It ends before there is anything to judge.
    drop(Stranger::tcp(bench.listener.local_addr()).await);
    assert_eq!(bench.failure().await, UpgradeError::Ended);
    // A plain socket of ours hears no more than that it is not welcome.
    let push = PushSocket::new();
    let plain = bench.listener.url().replace("tls+", "");
    assert!(matches!(push.dial(&plain).await, Err(DialError::Refused { .. })));
    assert_eq!(bench.failure().await, TlsError::NotTls.into());
    close_all!(push);
    bench.ends_clean().await;
}

#[tokio::test]
async fn tls_to_a_plain_port_is_refused_and_told_on_both_sides() {
    let authority = Authority::new("ours");
    let bed = Bed::new();
    let pull = PullSocket::new();
    let mut events = pull.events();
    let listener = pull.listen("tcp://127.0.0.1:0").await.unwrap();
    let push = PushSocket::new();
    let url = listener.url().replace("tcp://", "tls+tcp://");
    match soon("a refusal", push.dial_with(&url, with_client(authority.client()))).await {
        Err(error @ DialError::Upgrade { error: UpgradeError::Tls(TlsError::NotTls), .. }) => {
            assert!(!error.is_transient());
            assert!(error.to_string().contains("does not speak TLS"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(refusal(&mut events).await, DetachReason::BadHandshake);
    close_all!(push, pull);
    bed.ends_clean().await;

    // Where nobody says a word, only time tells.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tls+tcp://{}", silent.local_addr().unwrap());
    let push = PushSocket::new();
    let options =
        DialOptions { connect_timeout: Some(Duration::from_millis(50)), ..with_client(authority.client()) };
    assert!(matches!(push.dial_with(&url, options).await, Err(DialError::TimedOut { .. })));
    // Or the end.
    let dial = push.dial_with(&url, with_client(authority.client()));
    let hang_up = async {
        let _timed_out = silent.accept().await.unwrap();
        drop(silent.accept().await.unwrap());
    };
    match soon("the end", async { tokio::join!(dial, hang_up).0 }).await {
        Err(DialError::Upgrade { error: UpgradeError::Ended, .. }) => {}
        other => panic!("{other:?}"),
    }
    close_all!(push);
}

#[tokio::test]
async fn stalled_tls_handshake_ends_at_its_deadline() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    let authority = Authority::new("ours");
    let options = Options { handshake_timeout: TIMEOUT, ..Options::default() };
    let mut bench = Bench::with(options, with_server(authority.mutual_server())).await;
    let hello = client_hello(&authority);
    for length in [0, 1, 5, hello.len() - 1, hello.len()] {
        let started = Instant::now();
        let mut stalled = Stranger::tcp(bench.listener.local_addr()).await;
        stalled.say(&hello[..length]).await;
        bench.is_fine().await;
        assert_eq!(bench.failure().await, UpgradeError::TimedOut, "after {length} bytes");
        assert!(started.elapsed() >= TIMEOUT);
        stalled.is_ended().await;
    }
    bench.ends_clean().await;
}

#[tokio::test]
async fn silent_strangers_do_not_keep_an_honest_peer_out_over_tls() {
    let authority = Authority::new("ours");
    let options = ListenOptions { half_open: 4, ..with_server(authority.mutual_server()) };
    let mut bench = Bench::new(options).await;
    let mut silent = Vec::new();
    for _ in 0..12 {
        silent.push(Stranger::tcp(bench.listener.local_addr()).await);
    }
    until("the oldest are let go", || bench.listener.stats().evicted == 8).await;
    assert_eq!(refusal(&mut bench.events).await, DetachReason::HalfOpenLimit);
    let push = PushSocket::new();
    let options = with_client(authority.known_client(&["honest.test"]));
    soon("a place for an honest peer", push.dial_with(bench.listener.url(), options)).await.unwrap();
    push.send("let me in").await.unwrap();
    assert_eq!(&soon("its job", bench.pull.recv()).await.unwrap()[..], b"let me in");
    close_all!(push, bench.honest, bench.pull);
    bench.bed.ends_clean().await;
}

#[tokio::test]
async fn changed_bytes_in_tls_end_their_connection_alone() {
    let authority = Authority::new("ours");
    let server = TlsServerOptions::new(authority.issue(HERE).identity());
    for (n, version) in [&rustls::version::TLS13, &rustls::version::TLS12].into_iter().enumerate() {
        let mut bench = Bench::new(with_server(server.clone())).await;
        let mut foreign = Foreign::greet(bench.address(), &authority, version, PUSH).await;
        foreign.write_all(&framed(Marks::Tcp, b"whole")).unwrap();
        assert_eq!(&soon("a job", bench.pull.recv()).await.unwrap()[..], b"whole");
        // A record of the right form that nobody has sealed.
        foreign.sock.write_all(b"\x17\x03\x03\x00\x20 0123456789abcdef0123456789abcde").unwrap();
        assert_eq!(detachment(&mut bench.events).await, DetachReason::ProtocolViolation, "version {n}");
        bench.is_fine().await;
        close_all!(bench.honest, bench.pull);
        bench.bed.ends_clean().await;
    }
}

#[tokio::test]
async fn flood_of_key_updates_ends_its_connection_alone() {
    let authority = Authority::new("ours");
    let server = TlsServerOptions::new(authority.issue(HERE).identity());
    let mut bench = Bench::new(with_server(server)).await;
    let mut foreign = Foreign::greet(bench.address(), &authority, &rustls::version::TLS13, PUSH).await;
    // New keys now and then are nothing special.
    for _ in 0..100 {
        foreign.conn.refresh_traffic_keys().unwrap();
        foreign.write_all(&framed(Marks::Tcp, b"under new keys")).unwrap();
        assert_eq!(&soon("a job", bench.pull.recv()).await.unwrap()[..], b"under new keys");
    }
    for _ in 0..100 {
        foreign.conn.refresh_traffic_keys().unwrap();
    }
    // That the other side hangs up meanwhile is what this is about.
    let _ = foreign.flush();
    assert_eq!(detachment(&mut bench.events).await, DetachReason::ProtocolViolation);
    bench.is_fine().await;
    close_all!(bench.honest, bench.pull);
    bench.bed.ends_clean().await;
}

#[tokio::test]
async fn tls_cut_within_a_frame_is_a_loss_and_between_frames_an_end() {
    let authority = Authority::new("ours");
    let server = TlsServerOptions::new(authority.issue(HERE).identity());
    let mut bench = Bench::new(with_server(server)).await;
    let frame = framed(Marks::Tcp, b"body");
    for length in 0..=frame.len() {
        let mut foreign = Foreign::greet(bench.address(), &authority, &rustls::version::TLS13, PUSH).await;
        foreign.write_all(&frame[..length]).unwrap();
        foreign.flush().unwrap();
        // The end of tcp, without close_notify.
        drop(foreign);
        let expected = match length {
            0 => DetachReason::PeerClosed,
            length if length == frame.len() => {
                assert_eq!(&soon("a job", bench.pull.recv()).await.unwrap()[..], b"body");
                DetachReason::PeerClosed
            }
            _ => DetachReason::ConnectionLost,
        };
        assert_eq!(detachment(&mut bench.events).await, expected, "after {length} bytes");
    }
    // And within a record.
    let foreign = Foreign::greet(bench.address(), &authority, &rustls::version::TLS13, PUSH).await;
    (&foreign.sock).write_all(b"\x17\x03\x03\x00\x20 012345").unwrap();
    drop(foreign);
    assert_eq!(detachment(&mut bench.events).await, DetachReason::ConnectionLost);
    // With close_notify, and nothing else.
    let mut foreign = Foreign::greet(bench.address(), &authority, &rustls::version::TLS13, PUSH).await;
    foreign.conn.send_close_notify();
    foreign.flush().unwrap();
    assert_eq!(detachment(&mut bench.events).await, DetachReason::PeerClosed);
    assert_eq!(foreign.read(&mut [0; 9]).unwrap(), 0, "it is answered");
    close_all!(bench.honest, bench.pull);
    bench.bed.ends_clean().await;
}

#[tokio::test]
async fn a_listener_without_a_certificate_is_an_error_that_says_so() {
    let pull = PullSocket::new();
    let error = pull.listen("tls+tcp://127.0.0.1:0").await.unwrap_err();
    assert!(!error.is_transient());
    assert!(error.to_string().contains("ListenOptions::tls"), "{error}");
    close_all!(pull);
}

#[tokio::test]
async fn a_dialer_that_accepts_anybody_still_needs_a_server_that_has_its_key() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let pull = PullSocket::new();
    let server = TlsServerOptions::new(theirs.issue_expired(&["elsewhere.test"]).identity());
    let listener = pull.listen_with("tls+tcp://127.0.0.1:0", with_server(server)).await.unwrap();
    let push = PushSocket::new();
    let anybody = TlsClientOptions { verify: Verify::InsecureAcceptAnybody, ..ours.client() };
    push.dial_with(listener.url(), with_client(anybody)).await.unwrap();
    assert_eq!(push.peers()[0].ends.tls.as_ref().unwrap().names, ["elsewhere.test"]);
    close_all!(push, pull);
}

#[tokio::test]
async fn a_dialer_in_the_background_tells_why_and_goes_on() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let server = TlsServer::new(TlsServerOptions::new(old.issue(HERE).identity())).unwrap();
    let pull = PullSocket::new();
    let options = ListenOptions { tls: Some(server.clone()), ..ListenOptions::default() };
    let listener = pull.listen_with("tls+tcp://127.0.0.1:0", options).await.unwrap();
    let push = PushSocket::new();
    let mut events = push.events();
    let options = DialOptions {
        start: Start::Background,
        reconnect_min: Duration::from_millis(1),
        reconnect_max: Duration::from_millis(5),
        ..with_client(new.client())
    };
    push.dial_with(listener.url(), options).await.unwrap();
    let told = event(&mut events, "a failed attempt", |event| match event {
        Event::DialFailed { error, .. } => Some(error.to_string()),
        _ => None,
    });
    assert!(told.await.contains("no authority that we trust"));
    server.replace(TlsServerOptions::new(new.issue(HERE).identity())).unwrap();
    soon("a peer", push.wait_peers(1)).await.unwrap();
    close_all!(push, pull);
}

/// The first thing that a client says.
fn client_hello(authority: &Authority) -> Vec<u8> {
    let mut hello = Vec::new();
    client(authority, &rustls::version::TLS13, None).write_tls(&mut hello).unwrap();
    hello
}
