//! Sockets that are joined, others who must not notice, and what they say.

use crate::certificates::{dialing, listening};
use spanwire::{
    DetachReason, DialOptions, Event, Events, ListenOptions, Listener, Options, PullSocket, PushSocket,
    QuicOptions, Start, UpgradeError,
};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;
use tokio::net::UdpSocket;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const ANY: &str = "quic://127.0.0.1:0";

/// Sends numbered jobs of different sizes, and takes them.
pub(crate) async fn jobs(push: &PushSocket, pull: &PullSocket, range: Range<u32>) {
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
pub(crate) struct Others {
    push: PushSocket,
    pub(crate) pull: PullSocket,
    pub(crate) listener: Listener,
}

impl Others {
    /// With the options that most have.
    pub(crate) async fn usual() -> Self {
        Self::new(Options::default(), listening(), dialing()).await
    }

    pub(crate) async fn new(options: Options, listening: ListenOptions, dialing: DialOptions) -> Self {
        let (push, pull) = (PushSocket::new(), PullSocket::with(options));
        let listener = pull.listen_with(ANY, listening).await.unwrap();
        push.dial_with(listener.url(), dialing).await.unwrap();
        pull.wait_peers(1).await.unwrap();
        Self { push, pull, listener }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// They are undisturbed, and closing leaves nothing to be told.
    pub(crate) async fn end(self) {
        jobs(&self.push, &self.pull, 0..50).await;
        assert_eq!((self.pull.stats().peers, self.pull.stats().ledger.attached_pipes), (1, 1));
        let report = self.push.close(SECOND * 5).await;
        assert_eq!((report.abandoned, report.unknown), (0, 0));
        self.pull.close(SECOND).await;
    }
}

/// Options of a dialer that tries again at once.
pub(crate) fn persistent(options: DialOptions) -> DialOptions {
    let (reconnect_min, reconnect_max) = (Duration::from_millis(1), Duration::from_millis(20));
    DialOptions { start: Start::Background, reconnect_min, reconnect_max, ..options }
}

/// A peer is missed after half a second.
pub(crate) fn impatient() -> QuicOptions {
    let (idle_timeout, keep_alive) = (Some(SECOND / 2), Some(SECOND / 10));
    QuicOptions { idle_timeout, keep_alive, ..QuicOptions::default() }
}

/// A socket of this machine that is no QUIC, and how one dials it.
pub(crate) async fn silent() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let url = format!("quic://{}", socket.local_addr().unwrap());
    (socket, url)
}

/// What a listener says of a handshake that failed.
pub(crate) async fn upgrade_failed(events: &mut Events) -> UpgradeError {
    loop {
        if let Event::UpgradeFailed { error, .. } = events.next().await.expect("the socket is open") {
            return error;
        }
    }
}

/// Why the next connection that ends did.
pub(crate) async fn detached(events: &mut Events) -> DetachReason {
    loop {
        if let Event::Detached(_, why) = events.next().await.expect("the socket is open") {
            return why;
        }
    }
}
