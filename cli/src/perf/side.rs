//! [`Side`]: one of the two sockets of a measurement, whatever its pattern.

use super::GOODBYE;
use crate::complaint::Complaint;
use bytes::Bytes;
use spanwire::{
    CloseReport, DialError, DialOptions, Events, ListenError, Listener, Options, Pair0Socket, Pair1Socket,
    PullSocket, PushSocket, RecvError, RepSocket, ReqSocket,
};

/// A socket that asks, answers, sends or receives.
pub(super) enum Side {
    Req(ReqSocket),
    Rep(RepSocket),
    Push(PushSocket),
    Pull(PullSocket),
    Pair0(Pair0Socket),
    Pair1(Pair1Socket),
}

/// What a measurement does not call on the pattern that it has chosen.
const OTHER_PATTERN: &str = "the pattern has such a side";

macro_rules! each {
    ($side:expr, $socket:ident => $call:expr) => {
        match $side {
            Side::Req($socket) => $call,
            Side::Rep($socket) => $call,
            Side::Push($socket) => $call,
            Side::Pull($socket) => $call,
            Side::Pair0($socket) => $call,
            Side::Pair1($socket) => $call,
        }
    };
}

impl Side {
    pub(super) fn req(options: Options) -> Self {
        Self::Req(ReqSocket::with(options))
    }

    pub(super) fn rep(options: Options) -> Self {
        Self::Rep(RepSocket::with(options))
    }

    pub(super) fn push(options: Options) -> Self {
        Self::Push(PushSocket::with(options))
    }

    pub(super) fn pull(options: Options) -> Self {
        Self::Pull(PullSocket::with(options))
    }

    pub(super) fn pair0(options: Options) -> Self {
        Self::Pair0(Pair0Socket::with(options))
    }

    pub(super) fn pair1(options: Options) -> Self {
        Self::Pair1(Pair1Socket::with(options))
    }

    pub(super) fn events(&self) -> Events {
        each!(self, socket => socket.events())
    }

    pub(super) async fn listen(&self, url: &str) -> Result<Listener, ListenError> {
        each!(self, socket => socket.listen(url).await)
    }

    pub(super) async fn dial(&self, url: &str, options: DialOptions) -> Result<(), DialError> {
        each!(self, socket => socket.dial_with(url, options).await).map(drop)
    }

    pub(super) async fn wait_for_peer(&self) -> Result<(), RecvError> {
        each!(self, socket => socket.wait_peers(1).await)
    }

    pub(super) async fn close(&self) -> CloseReport {
        each!(self, socket => socket.close(GOODBYE).await)
    }

    /// Sends a message, and waits for one; returns how long that is.
    pub(super) async fn ask(&self, body: Bytes) -> Result<usize, Complaint> {
        match self {
            Self::Req(socket) => socket.request(body).await.map(|reply| reply.len()).map_err(failed),
            _ => {
                self.send(body).await?;
                self.recv().await
            }
        }
    }

    /// Waits for a message of this size, and sends it back.
    pub(super) async fn answer(
        &self,
        check: impl Fn(usize) -> Result<(), Complaint>,
    ) -> Result<(), Complaint> {
        match self {
            Self::Rep(socket) => {
                let request = socket.recv().await.map_err(failed)?;
                check(request.len())?;
                let body = request.message().body().clone();
                request.reply(body).await.map_err(failed)
            }
            Self::Pair0(socket) => {
                let message = socket.recv().await.map_err(failed)?;
                check(message.len())?;
                socket.send(message.into_body()).await.map_err(failed)
            }
            Self::Pair1(socket) => {
                let message = socket.recv().await.map_err(failed)?;
                check(message.len())?;
                socket.send(message.into_body()).await.map_err(failed)
            }
            _ => unreachable!("{OTHER_PATTERN}"),
        }
    }

    pub(super) async fn send(&self, body: Bytes) -> Result<(), Complaint> {
        match self {
            Self::Push(socket) => socket.send(body).await,
            Self::Pair0(socket) => socket.send(body).await,
            Self::Pair1(socket) => socket.send(body).await,
            _ => unreachable!("{OTHER_PATTERN}"),
        }
        .map_err(failed)
    }

    /// Waits for a message; returns how long it is.
    pub(super) async fn recv(&self) -> Result<usize, Complaint> {
        match self {
            Self::Pull(socket) => socket.recv().await,
            Self::Pair0(socket) => socket.recv().await,
            Self::Pair1(socket) => socket.recv().await,
            _ => unreachable!("{OTHER_PATTERN}"),
        }
        .map(|message| message.body().len())
        .map_err(failed)
    }
}

fn failed(error: impl std::error::Error) -> Complaint {
    Complaint::new(error.to_string())
}
