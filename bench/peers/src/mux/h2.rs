//! h2: each logical connection is a request whose body and whose answer's body go on and on.

use super::MOST_STREAMS;
use super::link::{self, Accepted, Streams};
use anyhow::{Context, Result};
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream, client, server};
use http::{Request, Response};
use spanwire_bench_ends::mux::{Channel, Message, Multiplexer};
use std::future::poll_fn;
use tokio::net::TcpStream;

/// What `list` says.
pub(crate) const SETTINGS: &str = "windows of 2 MiB for a stream and 5 MiB for the connection, as hyper's client has, \
    for those of the protocol are 64 KiB; frames of 16 KiB, as by default; one task drives each connection";

pub(crate) struct H2;

impl Multiplexer for H2 {
    type Server = Accepted<Stream>;
    type Link = SendRequest<Bytes>;
    type Channel = Stream;

    async fn listen(&self, url: &str) -> Result<(Self::Server, String)> {
        link::listen(url, accept_all).await
    }

    async fn dial(&self, url: &str) -> Result<Self::Link> {
        let mut builder = client::Builder::new();
        builder
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(MOST_STREAMS);
        let (requests, connection) = builder.handshake(link::connect(url).await?).await?;
        tokio::spawn(connection);
        Ok(requests)
    }

    async fn accept(&self, server: &mut Self::Server) -> Result<Self::Channel> {
        server.next().await
    }

    async fn open(&self, link: &mut Self::Link) -> Result<Self::Channel> {
        let mut requests = link.clone().ready().await?;
        let (answer, send) = requests.send_request(Request::post("http://bench/").body(())?, false)?;
        Ok(Stream::new(send, answer.await?.into_body()))
    }
}

async fn accept_all(socket: TcpStream, streams: Streams<Stream>) -> Result<()> {
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MOST_STREAMS as u32);
    let mut connection = builder.handshake(socket).await?;
    while let Some(request) = connection.accept().await {
        let (request, mut answer) = request?;
        let send = answer.send_response(Response::new(()), false)?;
        if streams.send(Ok(Stream::new(send, request.into_body()))).is_err() {
            break;
        }
    }
    Ok(())
}

/// Both directions of a logical connection. Bytes are handed over and taken as h2 has them, without a copy.
pub(crate) struct Stream {
    send: SendStream<Bytes>,
    receive: RecvStream,
    /// How much of a message that has not come as a whole yet has come.
    rest: usize,
}

impl Stream {
    fn new(send: SendStream<Bytes>, receive: RecvStream) -> Self {
        Self { send, receive, rest: 0 }
    }

    async fn send_bytes(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            self.send.reserve_capacity(bytes.len());
            while self.send.capacity() == 0 {
                poll_fn(|cx| self.send.poll_capacity(cx)).await.context("the stream has ended")??;
            }
            let part = bytes.split_to(self.send.capacity().min(bytes.len()));
            self.send.send_data(part, false)?;
        }
        Ok(())
    }

    /// What came, which makes room for more of it.
    async fn next(&mut self) -> Result<Bytes> {
        let bytes = poll_fn(|cx| self.receive.poll_data(cx)).await.context("the other end has closed")??;
        self.receive.flow_control().release_capacity(bytes.len())?;
        Ok(bytes)
    }

    /// One message, in the pieces in which it came.
    async fn next_message(&mut self, body_bytes: usize) -> Result<Vec<Bytes>> {
        let first = self.next().await?;
        Message::check(&first, body_bytes)?;
        let mut missing = Message::frame_bytes(body_bytes) - first.len();
        let mut pieces = vec![first];
        while missing > 0 {
            let bytes = self.next().await?;
            missing = missing.checked_sub(bytes.len()).context("more came than was asked for")?;
            pieces.push(bytes);
        }
        Ok(pieces)
    }
}

impl Channel for Stream {
    async fn send(&mut self, message: &Message) -> Result<()> {
        self.send_bytes(message.frame().clone()).await
    }

    async fn flush(&mut self) -> Result<()> {
        // What was handed over leaves by itself.
        Ok(())
    }

    async fn recv(&mut self, body_bytes: usize) -> Result<u64> {
        self.rest += self.next().await?.len();
        let frame_bytes = Message::frame_bytes(body_bytes);
        let count = self.rest / frame_bytes;
        self.rest %= frame_bytes;
        Ok(count as u64)
    }

    async fn echo(&mut self, body_bytes: usize) -> Result<()> {
        for piece in self.next_message(body_bytes).await? {
            self.send_bytes(piece).await?;
        }
        Ok(())
    }

    async fn ask(&mut self, message: &Message) -> Result<()> {
        self.send_bytes(message.frame().clone()).await?;
        self.next_message(message.body().len()).await?;
        Ok(())
    }
}

const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 5 << 20;
