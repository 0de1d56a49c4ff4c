//! Handshakes that fail, and how both sides hear why.

use crate::support::*;
use spanwire::link::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Connects to a stranger that says `says` and nothing else. How that ends, and what the stranger heard.
async fn meets(says: &[u8]) -> (End, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let connecting = tokio::spawn(async move { Host::new("ann").connect(&url).await });
    let (stream, _) = listener.accept().await.unwrap();
    let mut stranger = Stranger { stream };
    stranger.hears_of(1).await;
    stranger.says(says).await;
    let heard = stranger.hears().await;
    drop(stranger);
    match soon("an end", connecting).await.unwrap().unwrap_err() {
        ConnectError::Ended { end, .. } => (end, heard),
        error => panic!("{error:?}"),
    }
}

fn other_version() -> Vec<u8> {
    session(1, b"SWLK\x09\x07 in a layout of its own")
}

fn text_of(refusal: &[u8]) -> (u8, String) {
    (refusal[1], String::from_utf8(refusal[3..].to_vec()).unwrap())
}

#[tokio::test]
async fn a_peer_of_another_version_is_refused_with_a_clear_error_on_both_sides() {
    let host = Host::new("bob");
    let mut events = host.events();
    let server = host.serve("tcp://127.0.0.1:0").await.unwrap();
    let mut stranger = Stranger::to(&server).await;
    stranger.says(&other_version()).await;
    let refusal_heard = stranger.hears_of(3).await;
    assert_eq!(text_of(&refusal_heard), (1, "spoken here: version 1; asked for: versions 7 to 9".into()));
    stranger.hears_the_end().await;
    let end = refusal(&mut events).await;
    assert!(end.to_string().contains("the peer speaks versions 7 to 9 of the link protocol"), "{end}");
    assert!(!end.is_transient());
    // The other way round: it is our dialer that hears of it.
    let (end, heard) = meets(&other_version()).await;
    assert!(matches!(end, End::Violation(LinkError::Hello(HelloError::Version { .. }))), "{end:?}");
    assert_eq!(heard[..7], [1, 0, 0, 0, 3, 0, 1]);
}

#[tokio::test]
async fn a_dialer_that_is_refused_hears_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let connecting = tokio::spawn(async move { Host::new("ann").connect(&url).await });
    let (stream, _) = listener.accept().await.unwrap();
    let mut stranger = Stranger { stream };
    stranger.says(&session(3, b"\0\x01\x0dtoo old a one")).await;
    let error = soon("an end", connecting).await.unwrap().unwrap_err();
    let text = error.to_string();
    assert!(text.ends_with("no common version of the link protocol (too old a one)"), "{text}");
}

#[tokio::test]
async fn what_is_no_link_is_told_apart_and_disturbs_nobody() {
    let host = Host::new("bob");
    let mut events = host.events();
    let server = host.serve("tcp://127.0.0.1:0").await.unwrap();
    let honest = connect(&server.url()).await.unwrap();
    for bytes in
        [&b"\0SP\0\0\x30\0\0"[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc"]
    {
        let mut stranger = Stranger::to(&server).await;
        stranger.says(bytes).await;
        assert_eq!(refusal(&mut events).await, End::Violation(LinkError::Hello(HelloError::NotALink)));
        stranger.hears_the_end().await;
    }
    honest.send("undisturbed").await.unwrap();
    soon("a message", soon("it", server.accept()).await.unwrap().recv()).await.unwrap();
}

#[tokio::test]
async fn a_socket_and_a_plain_connection_refuse_each_other() {
    let pull = spanwire::PullSocket::new();
    let listener = pull.listen("tcp://127.0.0.1:0").await.unwrap();
    let error = soon("a refusal", connect(listener.url())).await.unwrap_err();
    assert!(matches!(error, ConnectError::Ended { .. }), "{error:?}");
    let server = serve("tcp://127.0.0.1:0").await.unwrap();
    let push = spanwire::PushSocket::new();
    assert!(matches!(push.dial(&server.url()).await, Err(spanwire::DialError::Refused { .. })));
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_at_its_deadline() {
    let options = LinkOptions { handshake_timeout: Duration::from_millis(50), ..LinkOptions::default() };
    let host = host("bob", options);
    let mut events = host.events();
    let server = host.serve("tcp://127.0.0.1:0").await.unwrap();
    let mut silent = Stranger::to(&server).await;
    assert_eq!(refusal(&mut events).await, End::HandshakeTimeout);
    assert_eq!(silent.hears_of(3).await[..2], [0, 10]);
    let mut stuck = Stranger::to(&server).await;
    stuck.says(&hello()).await;
    stuck.hears_of(1).await;
    assert_eq!(refusal(&mut events).await, End::HandshakeTimeout);
    until("nothing is half open", || server.stats().half_open == 0).await;
}

#[tokio::test]
async fn a_handshake_cut_at_every_byte_leaves_nothing() {
    let bed = Bed::new();
    let server = Host::new("bob").serve("tcp://127.0.0.1:0").await.unwrap();
    let (hello, ack) = (hello(), session(2, b"\0\0"));
    for cut in 0..hello.len() + ack.len() {
        let mut stranger = Stranger::to(&server).await;
        stranger.says(&hello[..cut.min(hello.len())]).await;
        if cut >= hello.len() {
            stranger.hears_of(1).await;
            stranger.says(&ack[..cut - hello.len()]).await;
        }
    }
    until("nothing is left", || {
        let stats = server.stats();
        let all = (hello.len() + ack.len()) as u64;
        (stats.arrived, stats.half_open, stats.connections, stats.opened) == (all, 0, 0, 0)
    })
    .await;
    // A byte at a time, it works.
    let mut stranger = Stranger::to(&server).await;
    for byte in &hello {
        stranger.says(&[*byte]).await;
    }
    stranger.hears_of(1).await;
    for byte in &ack {
        stranger.says(&[*byte]).await;
    }
    stranger.hears_of(2).await;
    soon("it", server.accept()).await.unwrap();
    drop((stranger, server));
    bed.ends_clean().await;
}

/// Sends a token, and takes it.
struct Token(&'static str);

impl Hook for Token {
    fn prove(&self, _: &Peer, _: &[u8]) -> Vec<u8> {
        self.0.into()
    }
    fn verify(&self, peer: &Peer, challenge: &[u8], proof: &[u8]) -> bool {
        assert!(!challenge.is_empty() && !peer.host.is_empty());
        proof == self.0.as_bytes()
    }
}

fn with_hook(name: &str, hook: impl Hook + 'static) -> Host {
    Host::with(HostOptions { name: name.into(), hook: Some(Arc::new(hook)), ..HostOptions::default() })
}

#[tokio::test]
async fn a_wrong_token_is_denied_on_either_side() {
    let host = with_hook("bob", Token("sesame"));
    let mut events = host.events();
    let server = host.serve("tcp://127.0.0.1:0").await.unwrap();
    soon("a connection", with_hook("ann", Token("sesame")).connect(&server.url())).await.unwrap();
    for wrong in [with_hook("eve", Token("barley")), Host::new("eve")] {
        let error = soon("a refusal", wrong.connect(&server.url())).await.unwrap_err();
        let ConnectError::Ended { end: End::RefusedByPeer { reason, .. }, .. } = error else { panic!() };
        assert_eq!(reason, Reason::Denied);
        assert_eq!(refusal(&mut events).await, End::RefusedHere { reason: Reason::Denied });
    }
    // Who wants a proof gets none from a server that has no hook.
    let server = Host::new("eve").serve("tcp://127.0.0.1:0").await.unwrap();
    let error = soon("a refusal", with_hook("ann", Token("sesame")).connect(&server.url())).await;
    let Err(ConnectError::Ended { end, .. }) = error else { panic!() };
    assert_eq!(end, End::RefusedHere { reason: Reason::Denied });
}

#[cfg(feature = "secret")]
#[tokio::test]
async fn a_shared_secret_never_travels_and_no_proof_is_good_twice() {
    let bob = with_hook("bob", Secret::new("open sesame"));
    let server = bob.serve("tcp://127.0.0.1:0").await.unwrap();
    soon("a connection", with_hook("ann", Secret::new("open sesame")).connect(&server.url())).await.unwrap();
    let eve = with_hook("eve", Secret::new("open barley"));
    assert!(soon("a refusal", eve.connect(&server.url())).await.is_err());
    // What was overheard: a proof of another connection, and the server's own proof sent back.
    let (mut proofs, secret) = (Vec::new(), Secret::new("open sesame"));
    for _ in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("tcp://{}", listener.local_addr().unwrap());
        let ann = with_hook("ann", secret.clone());
        let connecting = tokio::spawn(async move { ann.connect(&url).await });
        let (stream, _) = listener.accept().await.unwrap();
        let mut eve = Stranger { stream };
        eve.hears_of(1).await;
        eve.says(&hello()).await;
        let proof = eve.hears_of(2).await;
        assert_eq!(proof.len(), 2 + 32);
        // A reflection: ann's own proof as eve's.
        eve.says(&session(2, &proof)).await;
        let error = soon("a refusal", connecting).await.unwrap().unwrap_err();
        assert!(matches!(
            error,
            ConnectError::Ended { end: End::RefusedHere { reason: Reason::Denied }, .. }
        ));
        proofs.push(proof);
    }
    assert_ne!(proofs[0], proofs[1]);
    let mut eve = Stranger::to(&server).await;
    eve.says(&hello()).await;
    eve.hears_of(1).await;
    eve.says(&session(2, &proofs[0])).await;
    assert_eq!(eve.hears_of(3).await[..2], [0, 2]);
}
