//! zmq.rs, the crate `zeromq`.

use crate::kind::Kind;
use crate::tasks::{self, Library};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use zeromq::{
    DealerSocket, PubSocket, PullSocket, PushSocket, RepSocket, ReqSocket, RouterSocket, Socket as _,
    SocketRecv, SocketSend, SubSocket, ZmqMessage,
};

/// What `list` says.
pub(crate) const SETTINGS: &str = "as by default; push and pub let the runtime go on after every 128 \
    messages; pub drops what does not fit into queues of 100000; flight and load from a DEALER to a \
    ROUTER that one task answers; connect with req and rep, since closing drops what is queued; outrun \
    with those same queues, which no option makes shorter";

#[derive(Clone)]
pub(crate) struct Zeromq;

impl Library for Zeromq {
    type Socket = Socket;
    const CLOSE_DELIVERS: bool = false;

    fn loses(kind: Kind) -> bool {
        kind == Kind::Pub
    }

    async fn open(&self, kind: Kind) -> Result<Socket> {
        let socket = match kind {
            Kind::Req => Socket::Req(ReqSocket::new()),
            Kind::Rep => Socket::Rep(RepSocket::new()),
            Kind::Dealer => Socket::Dealer(DealerSocket::new()),
            Kind::Router => Socket::Router(RouterSocket::new()),
            Kind::Push => Socket::Push(PushSocket::new(), 0),
            Kind::Pull => Socket::Pull(PullSocket::new()),
            Kind::Pub | Kind::LossyPub => Socket::Pub(PubSocket::new(), 0),
            Kind::Sub => Socket::Sub(SubSocket::new()),
        };
        Ok(socket)
    }
}

pub(crate) enum Socket {
    Req(ReqSocket),
    Rep(RepSocket),
    Dealer(DealerSocket),
    Router(RouterSocket),
    /// With the messages sent since the runtime went on, as below.
    Push(PushSocket, u32),
    Pull(PullSocket),
    Pub(PubSocket, u32),
    Sub(SubSocket),
}

impl tasks::Socket for Socket {
    async fn listen(&mut self, url: &str) -> Result<String> {
        let endpoint = match self {
            Self::Rep(socket) => socket.bind(url).await?,
            Self::Router(socket) => socket.bind(url).await?,
            Self::Pull(socket) => socket.bind(url).await?,
            Self::Pub(socket, _) => socket.bind(url).await?,
            _ => bail!("nobody listens with such a socket here"),
        };
        Ok(endpoint.to_string())
    }

    async fn dial(&mut self, url: &str) -> Result<()> {
        match self {
            Self::Req(socket) => socket.connect(url).await?,
            Self::Dealer(socket) => socket.connect(url).await?,
            Self::Push(socket, _) => socket.connect(url).await?,
            Self::Sub(socket) => {
                socket.connect(url).await?;
                socket.subscribe("").await?;
            }
            _ => bail!("nobody dials with such a socket here"),
        }
        Ok(())
    }

    async fn send(&mut self, body: Bytes) -> Result<()> {
        match self {
            Self::Req(socket) => socket.send(body.into()).await?,
            Self::Dealer(socket) => socket.send(body.into()).await?,
            Self::Push(socket, sent) => {
                socket.send(body.into()).await?;
                give_way(sent).await;
            }
            Self::Pub(socket, sent) => {
                socket.send(body.into()).await?;
                give_way(sent).await;
            }
            _ => bail!("such a socket does not send"),
        }
        Ok(())
    }

    async fn recv(&mut self) -> Result<Bytes> {
        let message = match self {
            Self::Req(socket) => socket.recv().await?,
            Self::Dealer(socket) => socket.recv().await?,
            Self::Pull(socket) => socket.recv().await?,
            Self::Sub(socket) => socket.recv().await?,
            _ => bail!("such a socket does not receive"),
        };
        body(&message)
    }

    async fn echo(&mut self) -> Result<usize> {
        let (request, socket): (_, &mut (dyn SocketSend + Send)) = match self {
            Self::Rep(socket) => (socket.recv().await?, socket),
            // Its first frame says who asked.
            Self::Router(socket) => (socket.recv().await?, socket),
            _ => bail!("such a socket does not answer"),
        };
        let length = body(&request)?.len();
        socket.send(request).await?;
        Ok(length)
    }

    fn share(&self) -> Option<Self> {
        None
    }

    async fn close(self) -> Result<()> {
        Ok(())
    }
}

fn body(message: &ZmqMessage) -> Result<Bytes> {
    message.get(message.len().wrapping_sub(1)).cloned().context("a message of no frames came")
}

/// One more is sent. It waits for nothing before 100000 are queued, so on a runtime of one thread nothing
/// would leave before that.
async fn give_way(sent: &mut u32) {
    *sent += 1;
    if *sent == GIVE_WAY_AFTER {
        *sent = 0;
        tokio::task::yield_now().await;
    }
}

/// Its own writer takes up to 128 at once.
const GIVE_WAY_AFTER: u32 = 128;
