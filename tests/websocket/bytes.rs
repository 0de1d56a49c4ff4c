//! What we send, byte by byte.

use crate::peer::{Peer, request};
use crate::support::within;
use spanwire::{Pair0Socket, PushSocket, RepSocket};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

const SECOND: Duration = Duration::from_secs(1);

fn vectors() -> Vec<serde_json::Value> {
    let text = include_str!("../vectors/websocket.json");
    let file: serde_json::Value = serde_json::from_str(text).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn vector(id: &str) -> serde_json::Value {
    vectors().into_iter().find(|vector| vector["id"] == id).unwrap()
}

fn bytes_of(vector: &serde_json::Value) -> Vec<u8> {
    let hex = vector["hex"].as_str().unwrap();
    (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect()
}

/// The captured conversation, as NNG's clients had it with NNG's servers, with a server of ours.
#[tokio::test]
async fn a_server_says_what_that_of_nng_says() {
    let rep = RepSocket::new();
    let listener = rep.listen("ws://127.0.0.1:0/path").await.unwrap();
    let upgrade = vector("ws-nng111-server-upgrade");
    let mut peer = Peer::connect(listener.local_addr()).await;
    peer.say(upgrade["request_text"].as_str().unwrap().as_bytes()).await;
    assert_eq!(peer.head().await, upgrade["text"].as_str().unwrap());

    let answer = async |reply: &[u8]| {
        let request = within(rep.recv()).await.unwrap();
        let asked = request.to_vec();
        request.reply(reply.to_vec()).await.unwrap();
        asked
    };
    peer.frame(0x82, b"\x80\0\0\x01ask").await;
    assert_eq!(answer(b"answer").await, b"ask");
    let mut heard = [0; 12];
    within(peer.stream.read_exact(&mut heard)).await.unwrap();
    assert_eq!(heard[..], bytes_of(&vector("ws-nng111-server-data")));

    // A request in parts with a PING between them: a PONG and an empty reply.
    peer.frame(0x02, b"\x80\0\0\x02hel").await;
    peer.frame(0x89, b"p").await;
    peer.frame(0x80, b"lo").await;
    assert_eq!(answer(b"").await, b"hello");
    let mut heard = [0; 9];
    within(peer.stream.read_exact(&mut heard)).await.unwrap();
    assert_eq!(heard[..], bytes_of(&vector("ws-nng111-server-data2")));

    // In one frame what listeners of NNG cut at 64 KiB: its dialers cut at a MiB, as we do.
    peer.frame(0x82, b"\x80\0\0\x03").await;
    answer(&vec![7; 200_000]).await;
    let captured = vector("ws-nng111-server-bigframe-heads");
    let parts = captured["frames"].as_array().unwrap();
    let total: u64 = parts.iter().map(|part| part["payload_len"].as_u64().unwrap()).sum();
    let (first, payload) = peer.heard().await.unwrap();
    assert_eq!((first, payload.len() as u64), (0x82, total));

    peer.frame(0x81, b"text").await;
    assert_eq!(peer.rest().await, bytes_of(&vector("ws-nng111-server-textframe")));
    rep.close(SECOND).await;
}

#[tokio::test]
async fn a_client_says_what_that_of_nng_says() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/path/x?q=1", server.local_addr().unwrap());
    let push = Pair0Socket::new();
    let dial = async {
        push.dial(&url).await.unwrap();
        push.send("").await.unwrap();
        push.send("two").await.unwrap();
        push.send(vec![7; 1_100_000]).await.unwrap();
    };
    let serve = async {
        let (stream, _) = server.accept().await.unwrap();
        let mut peer = Peer::over(stream);
        let head = peer.head().await;
        let port = server.local_addr().unwrap().port();
        let captured = vector("ws-nng111-client-upgrade")["text"].as_str().unwrap().to_owned();
        let key = |head: &str| head.split("Key: ").nth(1).unwrap().lines().next().unwrap().to_owned();
        let expected = captured
            .replace("50105", &port.to_string())
            .replace(&key(&captured), &key(&head))
            .replace("rep.sp", "pair.sp");
        let host = |head: &str| head.split("Host: ").nth(1).unwrap().lines().next().unwrap().to_owned();
        assert_eq!(head, expected.replace(&host(&expected), &host(&head)));
        assert_eq!(host(&head), format!("127.0.0.1:{port}"));
        peer.say(&crate::peer::answer_to(&head)).await;
        assert_eq!(peer.heard().await, Some((0x82, vec![])));
        assert_eq!(peer.heard().await, Some((0x82, b"two".to_vec())));
        assert_eq!(peer.heard().await, Some((0x02, vec![7; 1 << 20])));
        assert_eq!(peer.heard().await, Some((0x80, vec![7; 1_100_000 - (1 << 20)])));
        peer.frame(0x89, b"pingdata").await;
        assert_eq!(peer.heard().await, Some((0x8a, b"pingdata".to_vec())));
        peer
    };
    let (mut peer, ()) = within(async { tokio::join!(serve, dial) }).await;
    // The end: 1000, and then that of the stream. No answer is needed.
    let ((), _) = tokio::join!(
        async {
            assert_eq!(peer.heard().await, Some((0x88, vec![0x03, 0xe8])));
            assert_eq!(peer.heard().await, None);
            drop(peer);
        },
        push.close(SECOND * 10)
    );
}

/// As in the captures: which of the variants a listener of NNG takes, and which not.
#[tokio::test]
async fn variants_of_requests_are_taken_and_refused_as_the_specification_says() {
    let rep = RepSocket::new();
    let listener = rep.listen("ws://127.0.0.1:0/path").await.unwrap();
    let status = async |head: String| {
        let mut peer = Peer::connect(listener.local_addr()).await;
        peer.say(head.as_bytes()).await;
        peer.head().await[9..12].to_owned()
    };
    let with = |from: &str, to: &str| request("/path", "rep", "").replace(from, to);
    let protocol = "Sec-WebSocket-Protocol: rep.sp.nanomsg.org";
    for (head, code) in [
        (request("/path", "rep", ""), "101"),
        (request("/other", "rep", ""), "404"),
        (request("/path/", "rep", ""), "101"),
        (request("/path?x=1", "rep", ""), "101"),
        (with("Host: localhost", "Host: elsewhere:1"), "101"),
        (with(protocol, "X-Nothing: x"), "400"),
        (request("/path", "req", ""), "400"),
        (request("/path", "REP", ""), "101"),
        (with(protocol, "Sec-WebSocket-Protocol: foo, rep.sp.nanomsg.org"), "101"),
        (with(protocol, "Sec-WebSocket-Protocol: rep.sp.nanomsg.org,foo"), "101"),
        (with("Connection: Upgrade", "Connection: keep-alive, Upgrade"), "101"),
        (with("Connection: Upgrade", "Connection: keep-alive,Upgrade"), "101"),
        (with("Upgrade: websocket", "Upgrade: WebSocket"), "101"),
        (with("Version: 13", "Version: 8"), "400"),
        (request("/path", "rep", "Sec-WebSocket-Extensions: permessage-deflate\r\n"), "101"),
    ] {
        assert_eq!(status(head.clone()).await, code, "{head}");
    }
    rep.close(SECOND).await;
}

#[tokio::test]
async fn nothing_is_sent_that_nobody_asked_for() {
    let push = PushSocket::new();
    let listener = push.listen("ws://127.0.0.1:0").await.unwrap();
    let mut peer = Peer::client(listener.local_addr(), "push").await;
    push.send("job").await.unwrap();
    push.close(SECOND / 10).await;
    // No ping, no pong, no header: a job and a farewell.
    assert_eq!(peer.rest().await, b"\x82\x03job\x88\x02\x03\xe8");
}
