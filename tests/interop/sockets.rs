//! What the sockets of the library have in common, as a trait, so that one setting fits them all.

use spanwire::{
    BusSocket, DialError, DialOptions, Dialer, ListenError, ListenOptions, Listener, Message, Pair0Socket,
    Pair1Socket, PolySocket, PubSocket, PullSocket, PushSocket, RawSocket, RecvError, RepSocket, ReqSocket,
    RespondSocket, SendError, Start, Stats, SubSocket, SurveySocket,
};
use std::time::Duration;

/// Any socket of ours.
pub(crate) trait Socket {
    async fn listen(&self, url: &str) -> Result<Listener, ListenError>;
    async fn dial(&self, url: &str) -> Result<Dialer, DialError>;
    /// Dials somebody who may come later.
    async fn dial_in_time(&self, url: &str) -> Result<Dialer, DialError>;
    async fn wait_peers(&self, count: usize) -> Result<(), RecvError>;
    fn stats(&self) -> Stats;
    async fn close(&self, deadline: Duration) -> spanwire::CloseReport;
}

/// One that sends without being asked.
pub(crate) trait Sends: Socket {
    async fn send(&self, message: Message) -> Result<(), SendError>;
}

/// One that receives plain messages.
pub(crate) trait Receives: Socket {
    async fn recv(&self, timeout: Duration) -> Result<Message, RecvError>;
}

/// What a dialer of `url` needs.
fn dialing(url: &str) -> DialOptions {
    #[cfg(feature = "tls")]
    if url.starts_with("tls+") || url.starts_with("wss") {
        return crate::certificates::dialing();
    }
    let _ = url;
    DialOptions::default()
}

/// For a listener that may come later.
fn patient(options: DialOptions) -> DialOptions {
    let (reconnect_min, reconnect_max) = (Duration::from_millis(5), Duration::from_millis(50));
    DialOptions { start: Start::Background, reconnect_min, reconnect_max, ..options }
}

/// What a listener at `url` needs.
fn listening(url: &str) -> ListenOptions {
    #[cfg(feature = "tls")]
    if url.starts_with("tls+") || url.starts_with("wss") {
        return crate::certificates::listening();
    }
    let _ = url;
    ListenOptions::default()
}

macro_rules! sockets {
    ($($name:ident)*) => {$(
        impl Socket for $name {
            async fn listen(&self, url: &str) -> Result<Listener, ListenError> {
                $name::listen_with(self, url, listening(url)).await
            }
            async fn dial(&self, url: &str) -> Result<Dialer, DialError> {
                $name::dial_with(self, url, dialing(url)).await
            }
            async fn dial_in_time(&self, url: &str) -> Result<Dialer, DialError> {
                $name::dial_with(self, url, patient(dialing(url))).await
            }
            async fn wait_peers(&self, count: usize) -> Result<(), RecvError> {
                $name::wait_peers(self, count).await
            }
            fn stats(&self) -> Stats {
                $name::stats(self)
            }
            async fn close(&self, deadline: Duration) -> spanwire::CloseReport {
                $name::close(self, deadline).await
            }
        }
    )*};
}

macro_rules! senders {
    ($($name:ident)*) => {$(
        impl Sends for $name {
            async fn send(&self, message: Message) -> Result<(), SendError> {
                $name::send(self, message).await
            }
        }
    )*};
}

macro_rules! receivers {
    ($($name:ident)*) => {$(
        impl Receives for $name {
            async fn recv(&self, timeout: Duration) -> Result<Message, RecvError> {
                $name::recv_timeout(self, timeout).await
            }
        }
    )*};
}

sockets! {
    ReqSocket RepSocket PubSocket SubSocket PushSocket PullSocket SurveySocket RespondSocket BusSocket
    Pair0Socket Pair1Socket PolySocket RawSocket
}
senders! { PubSocket PushSocket BusSocket Pair0Socket Pair1Socket PolySocket }
receivers! { SubSocket PullSocket BusSocket Pair0Socket Pair1Socket PolySocket }
