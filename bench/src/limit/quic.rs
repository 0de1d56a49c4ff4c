//! QUIC by quinn, on a single-threaded runtime: one stream, frames as on tcp.

use super::batch::BATCH_BYTES;
use super::tls;
use super::wire::Format;
use anyhow::{Context, Result, bail};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, RecvStream, SendStream, ServerConfig, TransportConfig};
use spanwire_bench_ends::{Arrivals, Measure, Role, Side, Stopwatch, Work, role, secure, usage};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn run(role: &Role) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot make a runtime")?.block_on(be(role))
}

async fn be(role: &Role) -> Result<()> {
    if role.cell.work == Work::Idle {
        return idle(role).await;
    }
    let format = Format::of(&role.cell);
    let address: SocketAddr = role.address.trim_start_matches("quic://").parse().context("no address")?;
    let (_endpoint, connection, send, receive) = match role.side {
        Side::Server => listen(address).await?,
        Side::Client => dial(address).await?,
    };
    let mut wire = Wire { send, receive, format };
    match (role.cell.work, role.side) {
        (Work::RoundTrip, Side::Server) => wire.answer().await?,
        (Work::RoundTrip, Side::Client) => wire.ask().await?,
        (_, Side::Server) => wire.receive().await?,
        (_, Side::Client) => wire.send().await?,
    }
    connection.close(0u8.into(), b"");
    Ok(())
}

type Joined = (Endpoint, quinn::Connection, SendStream, RecvStream);

/// Connections on which nothing happens, all from one socket.
async fn idle(role: &Role) -> Result<()> {
    let address: SocketAddr = role.address.trim_start_matches("quic://").parse().context("no address")?;
    let (endpoint, before) = match role.side {
        Side::Server => (listening(address)?, usage::rss_bytes()),
        Side::Client => (client(TransportConfig::default())?, 0),
    };
    let mut connections = Vec::new();
    for _ in 0..role.cell.many {
        connections.push(match role.side {
            Side::Server => endpoint.accept().await.context("closed")?.await.context("no handshake")?,
            Side::Client => endpoint.connect(address, secure::HOST)?.await.context("no handshake")?,
        });
    }
    serve(async |job| {
        tokio::time::sleep(Duration::from_millis(job.millis)).await;
        let rss_bytes = usage::rss_bytes().saturating_sub(before);
        Ok(Measure { rss_bytes, ..Measure::moved(connections.len() as u64) })
    })
    .await
}

fn listening(address: SocketAddr) -> Result<Endpoint> {
    let endpoint = server(address, TransportConfig::default())?;
    role::say_url(&format!("quic://{}", endpoint.local_addr()?))?;
    Ok(endpoint)
}

/// Listens; with what all rows have, and its own way of moving data.
pub(crate) fn server(address: SocketAddr, transport: TransportConfig) -> Result<Endpoint> {
    let mut config = tls::server()?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = QuicServerConfig::try_from(config).context("TLS is not for QUIC")?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    Ok(Endpoint::server(config, address)?)
}

/// Dials.
pub(crate) fn client(transport: TransportConfig) -> Result<Endpoint> {
    let mut config = tls::client()?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = QuicClientConfig::try_from(config).context("TLS is not for QUIC")?;
    let mut endpoint = Endpoint::client(([127, 0, 0, 1], 0).into())?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

async fn listen(address: SocketAddr) -> Result<Joined> {
    let endpoint = listening(address)?;
    let connection = endpoint.accept().await.context("closed")?.await.context("the handshake failed")?;
    let (send, mut receive) = connection.accept_bi().await.context("no stream")?;
    receive.read_exact(&mut [0]).await.context("no greeting")?;
    Ok((endpoint, connection, send, receive))
}

async fn dial(address: SocketAddr) -> Result<Joined> {
    let endpoint = client(TransportConfig::default())?;
    let connection = endpoint.connect(address, secure::HOST)?.await.context("the handshake failed")?;
    let (mut send, receive) = connection.open_bi().await.context("no stream")?;
    // A stream is there for the other side once something was sent on it.
    send.write_all(&[0]).await.context("greeting")?;
    Ok((endpoint, connection, send, receive))
}

const ALPN: &[u8] = b"bench";

struct Wire {
    send: SendStream,
    receive: RecvStream,
    format: Format,
}

impl Wire {
    async fn ask(&mut self) -> Result<()> {
        let (request, mut answer) = (self.format.frame(), self.format.frame());
        serve(async |job| {
            let mut watch = Stopwatch::start(job.count, job.group(1));
            for _ in 0..job.count {
                self.send.write_all(&request).await.context("asking")?;
                self.receive.read_exact(&mut answer).await.context("waiting for an answer")?;
                watch.lap();
            }
            Ok(watch.finish())
        })
        .await
    }

    async fn answer(&mut self) -> Result<()> {
        let mut frame = self.format.frame();
        serve(async |job| {
            for _ in 0..job.count {
                self.receive.read_exact(&mut frame).await.context("waiting for a request")?;
                self.send.write_all(&frame).await.context("answering")?;
            }
            Ok(Measure::moved(job.count))
        })
        .await
    }

    async fn send(&mut self) -> Result<()> {
        let frame = self.format.frame();
        let mut batch = Vec::with_capacity(BATCH_BYTES.max(frame.len()));
        serve(async |job| {
            for _ in 0..job.count {
                if batch.len() + frame.len() > BATCH_BYTES && !batch.is_empty() {
                    self.send.write_all(&batch).await.context("sending a batch")?;
                    batch.clear();
                }
                batch.extend_from_slice(&frame);
            }
            self.send.write_all(&batch).await.context("sending the rest")?;
            batch.clear();
            Ok(Measure::moved(job.count))
        })
        .await
    }

    async fn receive(&mut self) -> Result<()> {
        let frame_bytes = self.format.frame_bytes();
        // What came beyond the last whole frame.
        let mut rest = 0;
        serve(async |job| {
            let mut arrivals = Arrivals::new(job.count);
            while arrivals.missing() > 0 {
                let missing = || format!("{} frames are missing", arrivals.missing());
                match self.receive.read_chunk(BATCH_BYTES, true).await.with_context(missing)? {
                    Some(chunk) => rest += chunk.bytes.len(),
                    None => bail!("{}", missing()),
                }
                arrivals.note((rest / frame_bytes) as u64);
                rest %= frame_bytes;
            }
            Ok(arrivals.finish())
        })
        .await
    }
}

/// Does what the parent asks for, while the runtime goes on driving the connection.
async fn serve(run: impl AsyncFnMut(spanwire_bench_ends::Job) -> Result<Measure>) -> Result<()> {
    crate::serve::on_runtime(run).await
}
