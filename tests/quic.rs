//! `quic://`: every pattern, identity, and how connections end.
#![cfg(feature = "quic")]

#[path = "support/certificates.rs"]
mod certificates;
mod support;

use certificates::{DIALER, dialing, listening};
use spanwire::{
    BusSocket, Pair0Socket, Pair1Socket, PubSocket, PullSocket, PushSocket, RepSocket, ReqSocket,
    RespondSocket, SubSocket, SurveySocket, blocking,
};
use std::time::Duration;
use support::within;

const SECOND: Duration = Duration::from_secs(1);
const ANY: &str = "quic://127.0.0.1:0";

#[tokio::test]
async fn a_message_goes_there_and_back() {
    within(async {
        let (a, b) = (Pair0Socket::new(), Pair0Socket::new());
        let listener = a.listen_with(ANY, listening()).await.unwrap();
        b.dial_with(listener.url(), dialing()).await.unwrap();
        for size in [0, 1, 1_000, 5_000, 200_000, 5_000_000] {
            let body: Vec<u8> = (0..size).map(|n| n as u8).collect();
            let (sent, got) = tokio::join!(b.send(body.clone()), a.recv());
            sent.unwrap();
            assert!(got.unwrap()[..] == body, "{size} bytes");
            let (sent, got) = tokio::join!(a.send(body.clone()), b.recv());
            sent.unwrap();
            assert!(got.unwrap()[..] == body, "{size} bytes");
        }
        a.close(SECOND).await;
        b.close(SECOND).await;
    })
    .await;
}
