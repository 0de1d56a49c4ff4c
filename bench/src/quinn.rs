//! The streams of QUIC, by quinn, as a multiplexer: over UDP on loopback and with TLS, as it cannot go without.
//!
//! It is built in, unlike the other peers, because Spanwire's own transport for QUIC is made of it.

use crate::limit::quic;
use anyhow::{Context, Result};
use quinn::{Connection, Endpoint, Incoming, RecvStream, SendStream, TransportConfig, VarInt};
use spanwire_bench_ends::mux::{self, Multiplexer, StreamChannel};
use spanwire_bench_ends::{Role, Word, Work, secure};
use std::net::SocketAddr;
use tokio::io::Join;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What `list` of the other peers would say of it.
pub(crate) fn about() -> String {
    let works = Work::WORDS.iter().filter(|(_, work)| matches!(work, Work::Mux(_)));
    let abilities: Vec<String> = works.map(|(word, _)| format!("{word}:tcp")).collect();
    format!("quinn\t{}\t{SETTINGS}\t{}", version(), abilities.join(","))
}

const SETTINGS: &str = "bidirectional streams of one connection, over UDP and with TLS 1.3; windows as by default, \
    as many streams as the work needs";

/// The version that this program was built with.
fn version() -> &'static str {
    let mut lines = include_str!("../../Cargo.lock").lines().skip_while(|line| *line != "name = \"quinn\"");
    lines
        .nth(1)
        .and_then(|line| line.strip_prefix("version = "))
        .map_or("?", |version| version.trim_matches('"'))
}

/// Is one end.
pub(crate) fn run(role: &Role) -> Result<()> {
    mux::runtime()?.block_on(mux::run(&Quinn, role))
}

struct Quinn;

impl Multiplexer for Quinn {
    type Server = Server;
    type Link = Link;
    type Channel = StreamChannel<Join<RecvStream, SendStream>>;

    async fn listen(&self, url: &str) -> Result<(Server, String)> {
        let endpoint = quic::server(address(url)?, transport())?;
        let url = format!("tcp://{}", endpoint.local_addr()?);
        let (sender, streams) = unbounded_channel();
        tokio::spawn(accept_all(endpoint, sender));
        Ok((Server(streams), url))
    }

    async fn dial(&self, url: &str) -> Result<Link> {
        let endpoint = quic::client(transport())?;
        let connection = endpoint.connect(address(url)?, secure::HOST)?.await.context("no handshake")?;
        Ok(Link { connection, _endpoint: endpoint })
    }

    async fn accept(&self, server: &mut Server) -> Result<Self::Channel> {
        let (send, receive) = server.0.recv().await.context("the endpoint has closed")??;
        Ok(StreamChannel::new(tokio::io::join(receive, send)))
    }

    async fn open(&self, link: &mut Link) -> Result<Self::Channel> {
        let (send, receive) = link.connection.open_bi().await?;
        Ok(StreamChannel::new(tokio::io::join(receive, send)))
    }
}

type Accepted = Result<(SendStream, RecvStream)>;

/// Streams of all connections.
struct Server(UnboundedReceiver<Accepted>);

struct Link {
    connection: Connection,
    _endpoint: Endpoint,
}

async fn accept_all(endpoint: Endpoint, streams: UnboundedSender<Accepted>) {
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(accept_of(incoming, streams.clone()));
    }
}

async fn accept_of(incoming: Incoming, streams: UnboundedSender<Accepted>) {
    let accept = async {
        let connection = incoming.await.context("no handshake")?;
        while let Ok(stream) = connection.accept_bi().await {
            if streams.send(Ok(stream)).is_err() {
                break;
            }
        }
        anyhow::Ok(())
    };
    if let Err(error) = accept.await {
        // Nobody may be there any more to hear it.
        let _ = streams.send(Err(error));
    }
}

fn transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    config.max_concurrent_bidi_streams(VarInt::from_u32(MOST_STREAMS));
    config
}

fn address(url: &str) -> Result<SocketAddr> {
    url.trim_start_matches("tcp://").parse().with_context(|| format!("{url} is no address"))
}

/// More than any work has.
const MOST_STREAMS: u32 = 100_000;
