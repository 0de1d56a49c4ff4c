//! `quic://`: every pattern, identity, and how connections end.
#![cfg(feature = "quic")]

#[path = "support/certificates.rs"]
mod certificates;
mod support;

use certificates::{Authority, DIALER, HERE, dialing, listening, with_client, with_server};
use spanwire::tls::{ClientAuth, TlsClientOptions, TlsError, TlsServer, TlsServerOptions};
use spanwire::{
    BusSocket, DetachReason, DialError, DialOptions, Event, Events, ListenOptions, Options, Pair0Socket,
    Pair1Socket, PolySocket, PubSocket, PullSocket, PushSocket, QuicError, QuicOptions, RepSocket, ReqSocket,
    RespondSocket, SubSocket, SurveySocket, UpgradeError, blocking,
};
use std::time::Duration;
use support::within;

const SECOND: Duration = Duration::from_secs(1);
const ANY: &str = "quic://127.0.0.1:0";

/// What a listener says of a handshake that failed.
async fn upgrade_failed(events: &mut Events) -> UpgradeError {
    loop {
        match events.next().await.expect("the socket is open") {
            Event::UpgradeFailed { error, .. } => return error,
            Event::Refused(_, DetachReason::UpgradeFailed) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn tls_cause(error: &UpgradeError) -> &TlsError {
    match error {
        UpgradeError::Quic(QuicError::Tls(cause)) => cause,
        other => panic!("{other:?}"),
    }
}

/// What both sides say when one dials the other with these options.
async fn strangers(client: DialOptions, server: ListenOptions) -> (UpgradeError, UpgradeError) {
    let (pull, push) = (PullSocket::new(), PushSocket::new());
    let mut events = pull.events();
    let listener = pull.listen_with(ANY, server).await.unwrap();
    let here = match push.dial_with(listener.url(), client).await {
        Err(DialError::Upgrade { error, .. }) => error,
        other => panic!("{other:?}"),
    };
    let there = upgrade_failed(&mut events).await;
    assert_eq!((pull.stats().peers, push.stats().peers), (0, 0));
    assert_eq!(pull.stats().ledger.refused_pipes, 1);
    push.close(SECOND).await;
    pull.close(SECOND).await;
    (here, there)
}

#[tokio::test]
async fn every_pattern_talks_over_it() {
    within(async {
        let (a, b) = (Pair0Socket::new(), Pair0Socket::new());
        b.dial_with(a.listen_with(ANY, listening()).await.unwrap().url(), dialing()).await.unwrap();
        b.send("pair 0").await.unwrap();
        assert_eq!(&a.recv().await.unwrap()[..], b"pair 0");

        let (a, b) = (PolySocket::new(), Pair1Socket::new());
        b.dial_with(a.listen_with(ANY, listening()).await.unwrap().url(), dialing()).await.unwrap();
        b.send("pair 1").await.unwrap();
        assert_eq!(&a.recv().await.unwrap()[..], b"pair 1");

        let (push, pull) = (PushSocket::new(), PullSocket::new());
        push.dial_with(pull.listen_with(ANY, listening()).await.unwrap().url(), dialing()).await.unwrap();
        push.send("job").await.unwrap();
        assert_eq!(&pull.recv().await.unwrap()[..], b"job");

        let (publisher, subscriber) = (PubSocket::new(), SubSocket::new());
        let listener = publisher.listen_with(ANY, listening()).await.unwrap();
        subscriber.subscribe("");
        subscriber.dial_with(listener.url(), dialing()).await.unwrap();
        publisher.wait_peers(1).await.unwrap();
        publisher.send("news").await.unwrap();
        assert_eq!(&subscriber.recv().await.unwrap()[..], b"news");

        let (req, rep) = (ReqSocket::new(), RepSocket::new());
        req.dial_with(rep.listen_with(ANY, listening()).await.unwrap().url(), dialing()).await.unwrap();
        let serve = async { rep.recv().await.unwrap().reply("reply").await.unwrap() };
        let (reply, ()) = tokio::join!(req.request("request"), serve);
        assert_eq!(&reply.unwrap()[..], b"reply");

        let (surveyor, respondent) = (SurveySocket::new(), RespondSocket::new());
        let listener = surveyor.listen_with(ANY, listening()).await.unwrap();
        respondent.dial_with(listener.url(), dialing()).await.unwrap();
        surveyor.wait_peers(1).await.unwrap();
        let mut survey = surveyor.survey("who?").await.unwrap();
        respondent.recv().await.unwrap().reply("me").await.unwrap();
        assert_eq!(&survey.next().await.unwrap()[..], b"me");

        let (a, b) = (BusSocket::new(), BusSocket::new());
        b.dial_with(a.listen_with(ANY, listening()).await.unwrap().url(), dialing()).await.unwrap();
        a.wait_peers(1).await.unwrap();
        b.send("stop").await.unwrap();
        assert_eq!(&a.recv().await.unwrap()[..], b"stop");
    })
    .await;
}

#[test]
fn blocking_sockets_talk_over_it() {
    let (rep, req) = (blocking::RepSocket::new(), blocking::ReqSocket::new());
    let listener = rep.listen_with(ANY, listening()).unwrap();
    let serving = std::thread::spawn(move || {
        for _ in 0..100 {
            let request = rep.recv().unwrap();
            let body = request.to_vec();
            request.reply(body).unwrap();
        }
        rep.close(SECOND)
    });
    req.dial_with(listener.url(), dialing()).unwrap();
    for n in 0..100_u32 {
        let body = vec![n as u8; n as usize * 1_000];
        assert_eq!(req.request(body.clone()).unwrap()[..], body);
    }
    assert_eq!(req.close(SECOND).abandoned, 0);
    serving.join().unwrap();
}

#[tokio::test]
async fn both_sides_see_who_the_other_is() {
    within(async {
        let (a, b) = (Pair0Socket::new(), Pair0Socket::new());
        a.set_filter(|peer| peer.ends.tls.as_ref().is_some_and(|tls| tls.names == [DIALER]));
        let listener = a.listen_with("quic://localhost:0", listening()).await.unwrap();
        b.dial_with(listener.url(), dialing()).await.unwrap();
        a.wait_peers(1).await.unwrap();
        let (seen_by_a, seen_by_b) = (a.peers().remove(0), b.peers().remove(0));
        let (client, server) = (seen_by_a.ends.tls.unwrap(), seen_by_b.ends.tls.unwrap());
        assert_eq!((&*client.version, &*server.version), ("TLSv1.3", "TLSv1.3"));
        assert_eq!(
            (client.names.clone(), server.names.clone()),
            (vec![DIALER.into()], HERE.iter().map(|name| (*name).into()).collect())
        );
        assert_eq!((client.server_name.as_deref(), server.server_name.as_deref()), (Some("localhost"), None));
        assert_eq!((client.certificates.len(), server.certificates.len()), (1, 1));
        a.close(SECOND).await;
        b.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn certificates_that_will_not_do_are_named_on_both_sides() {
    within(async {
        let (ours, others) = (Authority::new("ours"), Authority::new("others"));
        let server = |identity| with_server(TlsServerOptions::new(identity));
        let client = || with_client(ours.client());

        let (here, there) = strangers(client(), server(ours.issue_expired(HERE).identity())).await;
        assert_eq!(tls_cause(&here), &TlsError::Expired);
        assert_eq!(tls_cause(&there), &TlsError::Alert { name: "certificate_expired" });
        assert!(!here.is_transient() && !there.is_transient());

        let (here, there) = strangers(client(), server(ours.issue(&["elsewhere.test"]).identity())).await;
        match tls_cause(&here) {
            TlsError::BadCertificate { why } => assert!(why.contains("elsewhere.test"), "{why}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(tls_cause(&there), &TlsError::Alert { name: "bad_certificate" });

        let (here, there) = strangers(client(), server(others.issue(HERE).identity())).await;
        assert_eq!(tls_cause(&here), &TlsError::UnknownAuthority);
        assert_eq!(tls_cause(&there), &TlsError::Alert { name: "unknown_ca" });
        assert!(!here.is_transient() && !there.is_transient());

        // The other way round: the dialer is done with its handshake before the listener has judged it.
        let (here, there) = strangers(client(), with_server(ours.mutual_server())).await;
        assert_eq!(tls_cause(&here), &TlsError::CertificateRequired);
        assert_eq!(tls_cause(&there), &TlsError::NoCertificate);

        let stranger =
            TlsClientOptions { identity: Some(others.issue(&["stranger.test"]).identity()), ..ours.client() };
        let (here, there) = strangers(with_client(stranger), with_server(ours.mutual_server())).await;
        assert_eq!(tls_cause(&here), &TlsError::Alert { name: "unknown_ca" });
        assert_eq!(tls_cause(&there), &TlsError::UnknownAuthority);
    })
    .await;
}

/// It must not be, as it would keep to its local address, also where that is gone.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_dialer_that_has_its_connection_is_bound_to_no_address() {
    within(async {
        let (push, pull) = (PushSocket::new(), PullSocket::new());
        push.dial_with(pull.listen_with(ANY, listening()).await.unwrap().url(), dialing()).await.unwrap();
        let spanwire::Place::Ip(local) = push.peers()[0].ends.local else { panic!("an IP address") };
        let sockets = std::fs::read_to_string("/proc/net/udp").unwrap();
        let port = format!("00000000:{:04X}", local.port());
        let socket = sockets.lines().find(|line| line.contains(&port)).expect("the port is still its own");
        assert!(socket.contains("00000000:0000"), "{socket}");
        push.send("job").await.unwrap();
        assert_eq!(&pull.recv().await.unwrap()[..], b"job");
        push.close(SECOND).await;
        pull.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn a_listener_needs_a_certificate() {
    let pull = PullSocket::new();
    match pull.listen(ANY).await {
        Err(error @ spanwire::ListenError::Bind { .. }) => {
            assert!(error.to_string().contains("certificate") && !error.is_transient(), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_certificate_is_replaced_while_others_talk() {
    within(async {
        let (first, second) = (Authority::new("first"), Authority::new("second"));
        let server = TlsServer::new(TlsServerOptions::new(first.issue(HERE).identity())).unwrap();
        let pull = PullSocket::new();
        let options = ListenOptions { tls: Some(server.clone()), ..ListenOptions::default() };
        let listener = pull.listen_with(ANY, options).await.unwrap();
        let early = PushSocket::new();
        early.dial_with(listener.url(), with_client(first.client())).await.unwrap();
        server.replace(TlsServerOptions::new(second.issue(HERE).identity())).unwrap();
        let late = PushSocket::new();
        assert!(late.dial_with(listener.url(), with_client(first.client())).await.is_err());
        late.dial_with(listener.url(), with_client(second.client())).await.unwrap();
        for (push, job) in [(&early, "early"), (&late, "late")] {
            push.send(job).await.unwrap();
            assert_eq!(&pull.recv().await.unwrap()[..], job.as_bytes());
            push.close(SECOND).await;
        }
        pull.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn clients_without_a_certificate_may_come_in_where_it_is_optional() {
    within(async {
        let authority = Authority::new("ours");
        let options = TlsServerOptions {
            client_auth: ClientAuth::Optional(authority.roots()),
            ..TlsServerOptions::new(authority.issue(HERE).identity())
        };
        let (a, b) = (Pair0Socket::new(), Pair0Socket::new());
        let listener = a.listen_with(ANY, with_server(options)).await.unwrap();
        b.dial_with(listener.url(), with_client(authority.client())).await.unwrap();
        a.wait_peers(1).await.unwrap();
        assert!(a.peers()[0].ends.tls.as_ref().unwrap().certificates.is_empty());
        a.close(SECOND).await;
        b.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn what_was_sent_before_a_graceful_end_arrives() {
    within(async {
        for round in 0..50_u8 {
            let (a, b) = (Pair0Socket::new(), Pair0Socket::new());
            let listener = a.listen_with(ANY, listening()).await.unwrap();
            b.dial_with(listener.url(), dialing()).await.unwrap();
            a.wait_peers(1).await.unwrap();
            let count = usize::from(round) * 3;
            for _ in 0..count {
                a.send(vec![round; 3_000]).await.unwrap();
            }
            let receive = async {
                for _ in 0..count {
                    assert_eq!(b.recv().await.unwrap().len(), 3_000);
                }
            };
            let (report, ()) = tokio::join!(a.close(SECOND * 10), receive);
            assert_eq!((report.abandoned, report.unknown), (0, 0), "round {round}");
            b.close(SECOND).await;
        }
    })
    .await;
}

#[tokio::test]
async fn windows_bound_what_is_on_its_way() {
    const WINDOW: usize = 100_000;
    within(async {
        let small =
            QuicOptions { receive_window_bytes: WINDOW, send_window_bytes: WINDOW, ..QuicOptions::default() };
        let short = Options { outbox_messages: 1, recv_messages: 1, ..Options::default() };
        let (push, pull) = (PushSocket::with(short.clone()), PullSocket::with(short));
        let options = ListenOptions { quic: small.clone(), ..listening() };
        let listener = pull.listen_with(ANY, options).await.unwrap();
        push.dial_with(listener.url(), DialOptions { quic: small, ..dialing() }).await.unwrap();
        let mut sent = 0;
        while push.send_timeout(vec![0; 10_000], SECOND / 2).await.is_ok() {
            sent += 1;
        }
        // Both windows, and what socket and outbox and the one who reads have in hand.
        assert!((10..=2 * 10 + 10).contains(&sent), "{sent} messages of 10,000 bytes");
        for _ in 0..sent {
            pull.recv().await.unwrap();
        }
        assert_eq!(push.close(SECOND).await.abandoned, 0);
        pull.close(SECOND).await;
    })
    .await;
}

#[tokio::test]
async fn newcomers_prove_their_address_where_that_is_asked() {
    within(async {
        let quic = QuicOptions { retry_above: 0, ..QuicOptions::default() };
        let (push, pull) = (PushSocket::new(), PullSocket::new());
        let listener = pull.listen_with(ANY, ListenOptions { quic, ..listening() }).await.unwrap();
        push.dial_with(listener.url(), dialing()).await.unwrap();
        push.send("job").await.unwrap();
        assert_eq!(&pull.recv().await.unwrap()[..], b"job");
        assert_eq!(listener.stats().connections, 1, "a packet that is answered with Retry is no connection");
        push.close(SECOND).await;
        pull.close(SECOND).await;
    })
    .await;
}
