//! What disturbs a world; random numbers, and pacing.

use crate::Soak;
use crate::ledger::MAX_BALLAST;
use spanwire::{CloseReport, DialError, DialOptions, Dialer, ListenError, Listener, Peer, Start, Stats};
use std::future::Future;
use std::time::Duration;

/// Random numbers that a seed repeats (splitmix64).
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Whether a one-in-so-many chance came.
    pub(crate) fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// Mostly small, now and then beyond what is copied, rarely beyond one read.
    pub(crate) fn size(&mut self) -> usize {
        match self.below(100) {
            0 => self.below(MAX_BALLAST),
            1..=5 => self.below(10_000),
            _ => self.below(200),
        }
    }
}

/// Lets time pass on purpose: to pace disturbances and to be slow, never to let things settle.
pub(crate) async fn pause(time: Duration) {
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}

/// What the soak needs of every socket.
pub(crate) trait Socket: Clone + Send + Sync + 'static {
    fn make() -> Self;
    fn listen(&self, url: &str) -> impl Future<Output = Result<Listener, ListenError>> + Send;
    fn dial(&self, url: &str) -> impl Future<Output = Result<Dialer, DialError>> + Send;
    fn peers(&self) -> Vec<Peer>;
    fn disconnect(&self, pipe: spanwire::PipeId) -> bool;
    fn stats(&self) -> Stats;
    fn close(&self, deadline: Duration) -> impl Future<Output = CloseReport> + Send;
}

macro_rules! sockets {
    ($($name:ident)*) => { $(
        impl Socket for spanwire::$name {
            fn make() -> Self {
                Self::with(spanwire::Options {
                    // Requests that a cut has swallowed are sent again soon.
                    resend_time: Some(Duration::from_millis(250)),
                    resend_failures: u32::MAX,
                    ..spanwire::Options::default()
                })
            }
            async fn listen(&self, url: &str) -> Result<Listener, ListenError> {
                self.listen(url).await
            }
            async fn dial(&self, url: &str) -> Result<Dialer, DialError> {
                let eager = DialOptions {
                    start: Start::Background,
                    reconnect_min: Duration::from_millis(2),
                    reconnect_max: Duration::from_millis(50),
                    ..DialOptions::default()
                };
                self.dial_with(url, eager).await
            }
            fn peers(&self) -> Vec<Peer> {
                self.peers()
            }
            fn disconnect(&self, pipe: spanwire::PipeId) -> bool {
                self.disconnect(pipe)
            }
            fn stats(&self) -> Stats {
                self.stats()
            }
            async fn close(&self, deadline: Duration) -> CloseReport {
                self.close(deadline).await
            }
        }
    )* };
}

sockets! {
    BusSocket Pair1Socket PolySocket PubSocket PullSocket PushSocket RepSocket ReqSocket RespondSocket
    SubSocket SurveySocket
}

/// Cuts connections of `server` and restarts its listener, which has to be there again each time.
pub(crate) async fn disturb(server: impl Socket, mut listener: Listener, mut soak: Soak) {
    while soak.goes_on() {
        pause(Duration::from_millis(5 + soak.random.below(60) as u64)).await;
        if soak.random.one_in(6) {
            let url = listener.url().to_owned();
            listener.close();
            // Its task ends on its own time, and the address is free only then.
            listener = loop {
                match server.listen(&url).await {
                    Ok(listener) => break listener,
                    Err(error) if error.is_transient() => pause(Duration::from_millis(1)).await,
                    Err(error) => panic!("{error}"),
                }
            };
        } else {
            let peers = server.peers();
            if !peers.is_empty() {
                server.disconnect(peers[soak.random.below(peers.len())].pipe);
            }
        }
    }
}
