//! tokio-yamux, of Nervos. Its session is polled for the streams that the other end opens, and does all else
//! meanwhile.

use super::MOST_STREAMS;
use super::link::{self, Accepted, Streams};
use anyhow::Result;
use futures_util::StreamExt;
use spanwire_bench_ends::mux::{Multiplexer, StreamChannel};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_yamux::{Config, Control, Session, StreamHandle};

/// What `list` says.
pub(crate) const SETTINGS: &str = "windows of 256 KiB, as by default; one task drives each connection; \
    who waits for room to write also listens, or it would never hear of any";

pub(crate) struct TokioYamux;

impl Multiplexer for TokioYamux {
    type Server = Accepted<StreamHandle>;
    type Link = Control;
    type Channel = StreamChannel<Listening>;

    async fn listen(&self, url: &str) -> Result<(Self::Server, String)> {
        link::listen(url, accept_all).await
    }

    async fn dial(&self, url: &str) -> Result<Self::Link> {
        let mut session = Session::new_client(link::connect(url).await?, config());
        let control = session.control();
        // The server opens none.
        tokio::spawn(async move { while let Some(Ok(_)) = session.next().await {} });
        Ok(control)
    }

    async fn accept(&self, server: &mut Self::Server) -> Result<Self::Channel> {
        Ok(StreamChannel::new(Listening(server.next().await?)))
    }

    async fn open(&self, link: &mut Self::Link) -> Result<Self::Channel> {
        Ok(StreamChannel::new(Listening(link.open_stream().await?)))
    }
}

async fn accept_all(socket: TcpStream, streams: Streams<StreamHandle>) -> Result<()> {
    let mut session = Session::new_server(socket, config());
    while let Some(stream) = session.next().await {
        if streams.send(Ok(stream?)).is_err() {
            break;
        }
    }
    Ok(())
}

/// A stream that hears of new room in its window while it waits for that: in this library only reading does.
pub(crate) struct Listening(StreamHandle);

impl AsyncRead for Listening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Listening {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = Pin::new(&mut self.0).poll_write(cx, bytes) {
            return Poll::Ready(result);
        }
        // Takes what has come, and has this task woken by what comes later. What is peeked at stays.
        let mut byte = [0];
        if let Poll::Ready(Err(error)) = self.0.poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

fn config() -> Config {
    Config { max_stream_count: MOST_STREAMS, ..Config::default() }
}
