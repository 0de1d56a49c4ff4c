//! [`Member`]: what the stage needs of a socket, whatever its pattern.

use spanwire::{
    BusSocket, CloseReport, DialError, DialOptions, Dialer, Events, ListenError, ListenOptions, Listener,
    Pair0Socket, Pair1Socket, Peer, PipeId, PolySocket, PubSocket, PullSocket, PushSocket, RawSocket,
    RecvError, RepSocket, ReqSocket, RespondSocket, SubSocket, SurveySocket,
};
use std::pin::Pin;
use std::time::Duration;

/// A call that is under way.
pub(super) type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A socket of any kind.
pub(super) trait Member: Send + Sync {
    fn listen<'a>(
        &'a self,
        url: &'a str,
        options: ListenOptions,
    ) -> Pending<'a, Result<Listener, ListenError>>;
    fn dial<'a>(&'a self, url: &'a str, options: DialOptions) -> Pending<'a, Result<Dialer, DialError>>;
    #[cfg(unix)]
    fn adopt(&self, end: std::os::fd::OwnedFd) -> Pending<'_, Result<PipeId, spanwire::AdoptError>>;
    fn wait_peers(&self, count: usize) -> Pending<'_, Result<(), RecvError>>;
    fn peers(&self) -> Vec<Peer>;
    fn disconnect(&self, pipe: PipeId) -> bool;
    fn events(&self) -> Events;
    fn close(&self, deadline: Duration) -> Pending<'_, CloseReport>;
    /// Another handle on the same socket.
    fn again(&self) -> Box<dyn Member>;
}

macro_rules! members {
    ($($socket:ty),*) => {$(
        impl Member for $socket {
            fn listen<'a>(&'a self, url: &'a str, options: ListenOptions) -> Pending<'a, Result<Listener, ListenError>> {
                Box::pin(self.listen_with(url, options))
            }
            fn dial<'a>(&'a self, url: &'a str, options: DialOptions) -> Pending<'a, Result<Dialer, DialError>> {
                Box::pin(self.dial_with(url, options))
            }
            #[cfg(unix)]
            fn adopt(&self, end: std::os::fd::OwnedFd) -> Pending<'_, Result<PipeId, spanwire::AdoptError>> {
                Box::pin(self.adopt(end))
            }
            fn wait_peers(&self, count: usize) -> Pending<'_, Result<(), RecvError>> {
                Box::pin(self.wait_peers(count))
            }
            fn peers(&self) -> Vec<Peer> {
                self.peers()
            }
            fn disconnect(&self, pipe: PipeId) -> bool {
                self.disconnect(pipe)
            }
            fn events(&self) -> Events {
                self.events()
            }
            fn close(&self, deadline: Duration) -> Pending<'_, CloseReport> {
                Box::pin(self.close(deadline))
            }
            fn again(&self) -> Box<dyn Member> {
                Box::new(self.clone())
            }
        }
    )*};
}

members!(
    BusSocket,
    Pair0Socket,
    Pair1Socket,
    PolySocket,
    PubSocket,
    PullSocket,
    PushSocket,
    RawSocket,
    RepSocket,
    ReqSocket,
    RespondSocket,
    SubSocket,
    SurveySocket
);
