//! Dialing: a UDP socket for each connection, and whether anybody is there.

use super::error::{QuicError, failure};
use super::line::{self, Unfinished};
use super::{ALPN, UDP_BYTES, endpoint_config, transport};
use crate::error::ConnectError;
use crate::options::DialOptions;
use crate::rt::Home;
use crate::rt::quic::QuicRuntime;
use crate::transport::Stream;
use crate::transport::buffers::Buffers;
use crate::transport::tcp::{bad_address, resolve};
use crate::transport::tls::client_of;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};
use socket2::SockRef;
use spanwire_core::addr::Tcp;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::io::Interest;

/// Connects to any of the addresses that a dialled address means.
pub(crate) async fn dial(addr: &Tcp, options: &DialOptions, home: &Home) -> Result<Stream, ConnectError> {
    let (host, port) = addr.remote().map_err(bad_address)?;
    let local = addr.local().or(options.local_address);
    let tls = client_of(options).map_err(QuicError::Tls)?;
    let name = tls.name_of(host).map_err(QuicError::Tls)?;
    let crypto = QuicClientConfig::try_from(tls.config(ALPN))
        .map_err(|error| QuicError::Failed { why: error.to_string() })?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport(&options.quic, 0));
    let mut last = None;
    for remote in resolve(host, port, addr.family()).await? {
        if local.is_some_and(|local| local.is_ipv4() != remote.is_ipv4()) {
            continue;
        }
        match connect(remote, local, &name.to_str(), config.clone(), options, home).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        let text = "the local address is of another kind than the remote ones";
        io::Error::new(io::ErrorKind::AddrNotAvailable, text).into()
    }))
}

async fn connect(
    remote: SocketAddr,
    local: Option<IpAddr>,
    name: &str,
    config: ClientConfig,
    options: &DialOptions,
    home: &Home,
) -> Result<Stream, ConnectError> {
    let socket = bind(local, remote.is_ipv4(), options)?;
    let there = There::new(&socket, remote)?;
    let local = there.local_addr()?;
    let runtime = QuicRuntime::new(home);
    let endpoint = Endpoint::new(endpoint_config(), None, socket, runtime.clone())?;
    // Dropped after what is made below: then the connection has been closed.
    let unfinished = Unfinished::new();
    let connecting = runtime
        .making(unfinished.parting(), || endpoint.connect_with(config, remote, name))
        .map_err(|error| QuicError::Failed { why: error.to_string() })?;
    let connection = there.unless_refused(connecting).await?.map_err(failure)?;
    there.found();
    // At once, unless the peer is none of ours and allows no stream.
    let pair = connection.open_bi().await.map_err(failure)?;
    Ok(line::stream(connection, pair, unfinished.keep(), local, &options.quic, home))
}

/// A socket with a port of its own, also once it is no longer connected: only a port that was asked for
/// stays with a socket then.
fn bind(local: Option<IpAddr>, v4: bool, options: &DialOptions) -> io::Result<UdpSocket> {
    let any: IpAddr = if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let ip = local.unwrap_or(any);
    let mut tries = PORT_TRIES;
    loop {
        let free = UdpSocket::bind(SocketAddr::new(ip, 0))?.local_addr()?;
        match UdpSocket::bind(free) {
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => tries -= 1,
            result => {
                let socket = result?;
                Buffers::from(options).set_or(&SockRef::from(&socket), UDP_BYTES)?;
                return Ok(socket);
            }
        }
    }
}

const PORT_TRIES: usize = 16;

/// Whether anybody is there. Where nobody is, the peer's system says so at once (ICMP), but the kernel tells only
/// sockets that are connected; so the socket is, for the time of the handshake. Afterwards it must not be,
/// since it would keep to its local address, also when the machine has another one.
struct There {
    /// The same socket, as quinn has taken the other one.
    socket: tokio::net::UdpSocket,
}

impl There {
    #[cfg(target_os = "linux")]
    fn new(socket: &UdpSocket, remote: SocketAddr) -> io::Result<Self> {
        socket.connect(remote)?;
        Self::watching(socket)
    }

    /// Elsewhere one cannot send from a connected socket as quinn does.
    #[cfg(not(target_os = "linux"))]
    fn new(socket: &UdpSocket, _: SocketAddr) -> io::Result<Self> {
        Self::watching(socket)
    }

    fn watching(socket: &UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket: tokio::net::UdpSocket::from_std(socket.try_clone()?)? })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// `work`, unless the system says meanwhile that nobody is there.
    async fn unless_refused<F: Future>(&self, work: F) -> io::Result<F::Output> {
        let mut work = pin!(work);
        let mut refused = pin!(self.refused());
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => refused.as_mut().poll(cx).map(Err),
        })
        .await
    }

    async fn refused(&self) -> io::Error {
        loop {
            if let Err(error) = self.socket.ready(Interest::ERROR).await {
                return error;
            }
            let asked = self.socket.try_io(Interest::ERROR, || match self.socket.take_error()? {
                Some(error) => Ok(error),
                None => Err(io::ErrorKind::WouldBlock.into()),
            });
            if let Ok(error) = asked {
                return error;
            }
        }
    }

    /// Somebody is: the socket is free to send from any address.
    fn found(self) {
        #[cfg(target_os = "linux")]
        // If it fails, the connection just does not survive the loss of its address.
        let _ = rustix::net::connect_unspec(&self.socket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_has_the_buffers_that_were_asked_for() {
        let options = DialOptions {
            send_buffer_bytes: Some(30_000),
            recv_buffer_bytes: Some(40_000),
            ..DialOptions::default()
        };
        let reference = SockRef::from(&UdpSocket::bind("127.0.0.1:0").unwrap()).send_buffer_size().unwrap();
        let small = bind(None, true, &options).unwrap();
        let small = SockRef::from(&small);
        let (send, recv) = (small.send_buffer_size().unwrap(), small.recv_buffer_size().unwrap());
        // Linux gives twice of what is asked for.
        assert!([30_000, 60_000].contains(&send) && [40_000, 80_000].contains(&recv), "{send} {recv}");
        let usual = bind(None, true, &DialOptions::default()).unwrap();
        assert!(SockRef::from(&usual).send_buffer_size().unwrap() >= reference);
    }
}
