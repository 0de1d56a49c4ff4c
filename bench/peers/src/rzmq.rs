//! rzmq, a ZeroMQ in Rust.

use crate::kind::Kind;
use crate::tasks::{self, Library};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use rzmq::socket::{LAST_ENDPOINT, LINGER, RCVHWM, SNDHWM, SNDTIMEO, SUBSCRIBE, SocketEvent, XPUB_NODROP};
use rzmq::{Context, Msg, SocketType, ZmqError};
use std::time::Duration;

/// What `list` says.
pub(crate) const SETTINGS: &str = "tokio sockets, high-water marks and batches as by default; pub with \
    XPUB_NODROP, so that it waits, but not beside a subscriber that does not read; flight and load from \
    a DEALER to a ROUTER that one task answers; connect with req and rep, since closing is done in the \
    background; outrun with high-water marks of 4";

#[derive(Clone)]
pub(crate) struct Rzmq(Context);

impl Rzmq {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Context::new()?))
    }
}

impl Library for Rzmq {
    type Socket = Socket;
    const CLOSE_DELIVERS: bool = false;

    fn loses(_: Kind) -> bool {
        false
    }

    async fn open(&self, kind: Kind) -> Result<Socket> {
        let socket = self.0.socket(match kind {
            Kind::Req => SocketType::Req,
            Kind::Rep => SocketType::Rep,
            Kind::Dealer => SocketType::Dealer,
            Kind::Router => SocketType::Router,
            Kind::Push => SocketType::Push,
            Kind::Pull => SocketType::Pull,
            Kind::Pub | Kind::LossyPub => SocketType::Pub,
            Kind::Sub => SocketType::Sub,
        })?;
        match kind {
            Kind::Sub => socket.set_option(SUBSCRIBE, "").await?,
            Kind::Pub => socket.set_option(XPUB_NODROP, 1_i32).await?,
            _ => {}
        }
        Ok(Socket { socket, kind, patience: None })
    }
}

pub(crate) struct Socket {
    socket: rzmq::Socket,
    kind: Kind,
    /// How long it waits for room.
    patience: Option<Duration>,
}

impl tasks::Socket for Socket {
    async fn bound(&mut self, messages: u32) -> Result<bool> {
        for option in [SNDHWM, RCVHWM] {
            self.socket.set_option(option, messages as i32).await?;
        }
        Ok(true)
    }

    async fn listen(&mut self, url: &str) -> Result<String> {
        self.socket.bind(url).await?;
        if url.starts_with("inproc:") {
            return Ok(url.to_owned());
        }
        let endpoint = self.socket.get_option(LAST_ENDPOINT).await?;
        Ok(String::from_utf8(endpoint)?.trim_end_matches('\0').to_owned())
    }

    async fn dial(&mut self, url: &str) -> Result<()> {
        if url.starts_with("inproc:") {
            return Ok(self.socket.connect(url).await?);
        }
        // Connections are made in the background. Of hundreds at once most are never made, so one at a time.
        let events = self.socket.monitor_default().await?;
        self.socket.connect(url).await?;
        loop {
            match events.recv().await? {
                SocketEvent::HandshakeSucceeded { .. } => return Ok(()),
                SocketEvent::HandshakeFailed { .. } => bail!("no handshake with {url}"),
                _ => {}
            }
        }
    }

    async fn send(&mut self, body: Bytes) -> Result<()> {
        Ok(self.socket.send(Msg::from_bytes(body)).await?)
    }

    async fn send_within(&mut self, body: Bytes, patience: Duration) -> Result<bool> {
        if self.patience != Some(patience) {
            self.socket.set_option(SNDTIMEO, patience.as_millis() as i32).await?;
            self.patience = Some(patience);
        }
        match self.socket.send(Msg::from_bytes(body)).await {
            Ok(()) => Ok(true),
            Err(ZmqError::Timeout | ZmqError::ResourceLimitReached) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn recv(&mut self) -> Result<Bytes> {
        Ok(self.socket.recv().await?.data_bytes().unwrap_or_default())
    }

    async fn echo(&mut self) -> Result<usize> {
        if self.kind == Kind::Router {
            // The one who asks, and the body; the delimiter between them is rzmq's business.
            let request = self.socket.recv_multipart().await?;
            let length = request.last().context("a request of no frames came")?.size();
            self.socket.send_multipart(request).await?;
            return Ok(length);
        }
        let request = self.socket.recv().await?;
        let length = request.size();
        self.socket.send(request).await?;
        Ok(length)
    }

    fn share(&self) -> Option<Self> {
        Some(Self { socket: self.socket.clone(), kind: self.kind, patience: self.patience })
    }

    async fn close(self) -> Result<()> {
        // Who closes has its answer already.
        self.socket.set_option(LINGER, 0_i32).await?;
        Ok(self.socket.close().await?)
    }
}
