//! yamux, of libp2p. Its connection has to be polled by one task, which also opens streams.

use super::MOST_STREAMS;
use super::link::{self, Accepted, Opener, Streams, Wish};
use anyhow::Result;
use spanwire_bench_ends::mux::{Multiplexer, StreamChannel};
use std::future::poll_fn;
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};
use yamux::{Config, Connection, Mode, Stream};

/// What `list` says.
pub(crate) const SETTINGS: &str = "windows that grow, as by default, without a bound for the connection, as it \
    would not let 10,000 streams be; one task drives each connection";

pub(crate) struct Yamux;

impl Multiplexer for Yamux {
    type Server = Accepted<Stream>;
    type Link = Opener<Stream>;
    type Channel = StreamChannel<Compat<Stream>>;

    async fn listen(&self, url: &str) -> Result<(Self::Server, String)> {
        link::listen(url, accept_all).await
    }

    async fn dial(&self, url: &str) -> Result<Self::Link> {
        let mut connection = Connection::new(link::connect(url).await?.compat(), config(), Mode::Client);
        let (opener, mut wishes) = Opener::new();
        let mut waiting = None;
        tokio::spawn(poll_fn(move |cx| drive(&mut connection, &mut wishes, &mut waiting, cx)));
        Ok(opener)
    }

    async fn accept(&self, server: &mut Self::Server) -> Result<Self::Channel> {
        Ok(StreamChannel::new(server.next().await?.compat()))
    }

    async fn open(&self, link: &mut Self::Link) -> Result<Self::Channel> {
        Ok(StreamChannel::new(link.open().await?.compat()))
    }
}

async fn accept_all(socket: TcpStream, streams: Streams<Stream>) -> Result<()> {
    let mut connection = Connection::new(socket.compat(), config(), Mode::Server);
    while let Some(stream) = poll_fn(|cx| connection.poll_next_inbound(cx)).await {
        if streams.send(Ok(stream?)).is_err() {
            break;
        }
    }
    Ok(())
}

/// Fulfils wishes and moves bytes. Ends with the connection, or when there can be no more wishes; its streams
/// are gone by then.
fn drive(
    connection: &mut Connection<Compat<TcpStream>>,
    wishes: &mut UnboundedReceiver<Wish<Stream>>,
    waiting: &mut Option<Wish<Stream>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    loop {
        if waiting.is_none() {
            match wishes.poll_recv(cx) {
                Poll::Ready(Some(wish)) => *waiting = Some(wish),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        if let Some(wish) = waiting.take() {
            match connection.poll_new_outbound(cx) {
                Poll::Ready(stream) => {
                    let _ = wish.send(stream.map_err(Into::into));
                    continue;
                }
                Poll::Pending => *waiting = Some(wish),
            }
        }
        // The server opens none, so what comes out of this is the end.
        return connection.poll_next_inbound(cx).map(|_| ());
    }
}

fn config() -> Config {
    let mut config = Config::default();
    // It asserts that its bound, 1 GiB, has room for 256 KiB for each stream.
    config.set_max_connection_receive_window(None).set_max_num_streams(MOST_STREAMS);
    config
}
