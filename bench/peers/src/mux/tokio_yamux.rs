//! tokio-yamux, of Nervos. Its session is polled for the streams that the other end opens, and does all else
//! meanwhile.

use super::MOST_STREAMS;
use super::link::{self, Accepted, Streams};
use anyhow::Result;
use futures_util::StreamExt;
use spanwire_bench_ends::mux::{Multiplexer, StreamChannel};
use tokio::net::TcpStream;
use tokio_yamux::{Config, Control, Session, StreamHandle};

/// What `list` says.
pub(crate) const SETTINGS: &str = "windows of 256 KiB, as by default; one task drives each connection";

pub(crate) struct TokioYamux;

impl Multiplexer for TokioYamux {
    type Server = Accepted<StreamHandle>;
    type Link = Control;
    type Channel = StreamChannel<StreamHandle>;

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
        Ok(StreamChannel::new(server.next().await?))
    }

    async fn open(&self, link: &mut Self::Link) -> Result<Self::Channel> {
        Ok(StreamChannel::new(link.open_stream().await?))
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

fn config() -> Config {
    Config { max_stream_count: MOST_STREAMS, ..Config::default() }
}
