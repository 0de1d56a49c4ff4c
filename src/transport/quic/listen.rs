//! Listening: a UDP socket for all connections of a listener.

use super::error::failure;
use super::line::{self, Unfinished};
use super::{ALPN, UDP_BYTES, endpoint_config, plain_ip, transport};
use crate::error::ConnectError;
use crate::options::ListenOptions;
use crate::rt::Home;
use crate::rt::quic::QuicRuntime;
use crate::tls::TlsServer;
use crate::transport::buffers::Buffers;
use crate::transport::tcp::candidates;
use crate::transport::tls::server_of;
use crate::transport::{Accept, Incoming, Stream};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, ServerConfig};
use socket2::{Domain, SockRef, Socket, Type};
use spanwire_core::addr::{Family, Tcp};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

/// Listens; returns the address with its real port, too.
pub(crate) async fn listen(addr: &Tcp, options: &ListenOptions, home: &Home) -> io::Result<(Listening, Tcp)> {
    let tls = server_of(options, "quic")?;
    // What is wrong with it is told now, not to the first who comes.
    let config = server_config(&tls, options)?;
    let mut last = None;
    for address in candidates(addr).await? {
        match bind(address, addr.family() == Family::V6, options) {
            Ok(socket) => {
                let local = socket.local_addr()?;
                let runtime = QuicRuntime::new(home);
                let endpoint = Endpoint::new(endpoint_config(), Some(config), socket, runtime.clone())?;
                let listening = Listening {
                    site: Arc::new(Site {
                        endpoint,
                        runtime,
                        tls,
                        options: options.clone(),
                        local,
                        under_way: AtomicUsize::new(0),
                        home: home.clone(),
                    }),
                    next: Mutex::new(None),
                };
                return Ok((listening, addr.clone().with_port(local.port())));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

/// Nobody shares the port: whoever could would get a part of the packets.
fn bind(address: SocketAddr, only_v6: bool, options: &ListenOptions) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    Buffers::from(options).set_or(&SockRef::from(&socket), UDP_BYTES)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Made anew for each connection, as certificates may be replaced at any time.
fn server_config(tls: &TlsServer, options: &ListenOptions) -> io::Result<ServerConfig> {
    let crypto = QuicServerConfig::try_from(tls.config(ALPN))
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(transport(&options.quic, 1))
        .migration(true)
        .max_incoming(options.half_open.max(1))
        .incoming_buffer_size(EARLY_BYTES)
        .incoming_buffer_size_total(EARLY_BYTES * 64);
    Ok(config)
}

/// What a peer may send before we have so much as looked at it: a ClientHello of a few packets.
const EARLY_BYTES: u64 = 16 * 1024;

/// A listening UDP socket, until nobody listens any more.
pub(crate) struct Listening {
    site: Arc<Site>,
    /// Waiting for the next connection: it has to stay, or nobody would be woken.
    next: Mutex<Option<Next>>,
}

type Next = Pin<Box<dyn Future<Output = Option<quinn::Incoming>> + Send>>;

/// What all connections of a listener share.
struct Site {
    endpoint: Endpoint,
    runtime: Arc<QuicRuntime>,
    tls: TlsServer,
    options: ListenOptions,
    local: SocketAddr,
    /// Handshakes that have begun and are not over.
    under_way: AtomicUsize,
    home: Home,
}

impl Accept for Listening {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let waiting = next.get_or_insert_with(|| {
                let endpoint = self.site.endpoint.clone();
                Box::pin(async move { endpoint.accept().await })
            });
            let arrived = ready!(waiting.as_mut().poll(cx));
            *next = None;
            let Some(arrived) = arrived else {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::NotConnected,
                    "the UDP socket failed",
                )));
            };
            let busy = self.site.under_way.load(Ordering::Relaxed) >= self.site.options.quic.retry_above;
            if busy && !arrived.remote_address_validated() {
                // It costs the peer a round trip, and us nothing to remember. Whoever only pretends to be
                // at that address does not come back.
                let _ = arrived.retry();
                continue;
            }
            let under_way = UnderWay::new(&self.site);
            return Poll::Ready(Ok(Incoming::Upgrading(Box::pin(async move {
                under_way.0.shake_hands(arrived).await.map(Some)
            }))));
        }
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Some(self.site.local)
    }
}

/// Connections stay, and the socket with them, but nobody new comes in.
impl Drop for Listening {
    fn drop(&mut self) {
        self.site.endpoint.set_server_config(None);
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").field("local", &self.site.local).finish_non_exhaustive()
    }
}

impl Site {
    async fn shake_hands(&self, arrived: quinn::Incoming) -> Result<Stream, ConnectError> {
        let config = Arc::new(server_config(&self.tls, &self.options)?);
        // Dropped after what is made below: then the connection has been closed.
        let unfinished = Unfinished::new();
        let connecting = self.runtime.making(unfinished.parting(), || arrived.accept_with(config));
        let connection = connecting.map_err(failure)?.await.map_err(failure)?;
        // The dialer sends its header at once, and the stream comes with it.
        let pair = connection.accept_bi().await.map_err(failure)?;
        let ip = connection.local_ip().map_or(self.local.ip(), plain_ip);
        let local = SocketAddr::new(ip, self.local.port());
        Ok(line::stream(connection, pair, unfinished.keep(), local, &self.options.quic, &self.home))
    }
}

/// A handshake that is counted.
struct UnderWay(Arc<Site>);

impl UnderWay {
    fn new(site: &Arc<Site>) -> Self {
        site.under_way.fetch_add(1, Ordering::Relaxed);
        Self(site.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
