//! `tcp://`, `tcp4://`, `tcp6://`.

use super::buffers::Buffers;
#[cfg(not(unix))]
use super::halves::Door;
#[cfg(unix)]
use super::link::Door;
use super::{Accept, Ends, Incoming, Place, ReadHalf, Stream, WriteHalf};
use crate::options::{DialOptions, ListenOptions};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use spanwire_core::addr::{AddrError, Family, Host, Tcp};
use spanwire_core::framing::sp::Framing;
use std::io;
use std::net::{self, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::TcpStream;

/// Connects to any of the addresses that a dialled address means.
pub(crate) async fn dial(tcp: &Tcp, options: &DialOptions) -> io::Result<Stream> {
    let (host, port) = tcp.remote().map_err(bad_address)?;
    let local = tcp.local().or(options.local_address);
    let mut last = None;
    for remote in resolve(host, port, tcp.family()).await? {
        if local.is_some_and(|local| local.is_ipv4() != remote.is_ipv4()) {
            continue;
        }
        match connect(remote, local, options).await {
            Ok((stream, local, remote)) => {
                return wrap(stream, local, remote, options.no_delay, options.keep_alive);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        let text = "the local address is of another kind than the remote ones";
        io::Error::new(io::ErrorKind::AddrNotAvailable, text)
    }))
}

/// A connection and its two addresses.
async fn connect(
    remote: SocketAddr,
    local: Option<IpAddr>,
    options: &DialOptions,
) -> io::Result<(net::TcpStream, SocketAddr, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(remote), Type::STREAM, None)?;
    // Before it is connected: the window that is agreed on then depends on it.
    Buffers::from(options).set(&SockRef::from(&socket))?;
    if let Some(local) = local {
        socket.bind(&SocketAddr::new(local, 0).into())?;
    }
    let stream = net::TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    let stream = match SockRef::from(&stream).connect(&remote.into()) {
        Err(error) if is_in_progress(&error) => connected(stream).await?,
        result => result.map(|()| stream)?,
    };
    let local = stream.local_addr()?;
    if local == remote {
        // Dialing an ephemeral port on which nobody listens, the kernel may connect a socket to
        // itself (simultaneous open). It would then shake hands with its own echo for ever.
        return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connected to itself"));
    }
    // Any address of this host is a way to write one that it has.
    let remote = if remote.ip().is_unspecified() { stream.peer_addr()? } else { remote };
    Ok((stream, local, remote))
}

#[cfg(unix)]
fn is_in_progress(error: &io::Error) -> bool {
    let begun = [rustix::io::Errno::INPROGRESS, rustix::io::Errno::WOULDBLOCK];
    begun.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(not(unix))]
fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Waits for a connection that has begun. On this host most are there at once: then the runtime need not
/// watch it.
async fn connected(mut stream: net::TcpStream) -> io::Result<net::TcpStream> {
    #[cfg(unix)]
    let at_once = super::link::is_ready(&stream, rustix::event::PollFlags::OUT)?;
    #[cfg(not(unix))]
    let at_once = false;
    if !at_once {
        let watched = TcpStream::from_std(stream)?;
        watched.writable().await?;
        stream = watched.into_std()?;
    }
    stream.take_error()?.map_or(Ok(stream), Err)
}

/// All addresses of a host, as far as the scheme allows them.
pub(super) async fn resolve(host: &Host, port: u16, family: Family) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = match host {
        Host::Ip(ip) => vec![SocketAddr::new(*ip, port)],
        Host::Name(name) => tokio::net::lookup_host((name.as_str(), port)).await?.collect(),
    };
    let allowed = |address: &SocketAddr| match family {
        Family::Any => true,
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
    };
    let usable: Vec<SocketAddr> = found.into_iter().filter(allowed).collect();
    match usable.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address of this kind")),
        false => Ok(usable),
    }
}

pub(super) fn bad_address(error: AddrError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// A listening TCP socket, and what its connections are set to.
#[derive(Debug)]
pub(crate) struct Listening {
    socket: Door,
    no_delay: bool,
    keep_alive: Option<Duration>,
}

/// Listens; returns the address with its real port, too.
pub(crate) async fn listen(tcp: &Tcp, options: &ListenOptions) -> io::Result<(Listening, Tcp)> {
    let mut last = None;
    for address in candidates(tcp).await? {
        match bind(address, tcp.family() == Family::V6, options) {
            Ok(socket) => {
                let port = socket.local_addr()?.port();
                return Ok((Listening::new(socket, options)?, tcp.clone().with_port(port)));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

/// The addresses that a listener may be bound to, in the order in which they are tried.
pub(super) async fn candidates(tcp: &Tcp) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = tcp.bind().map_err(bad_address)?;
    Ok(match (host, tcp.family()) {
        (Some(host), family) => resolve(host, port, family).await?,
        (None, Family::V6) => vec![(Ipv6Addr::UNSPECIFIED, port).into()],
        (None, Family::V4) => vec![(Ipv4Addr::UNSPECIFIED, port).into()],
        // All interfaces means both kinds of address where the machine has both.
        (None, Family::Any) => {
            vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]
        }
    })
}

/// Binds to `address`. An IPv6 wildcard takes IPv4 as well unless `only_v6`.
pub(super) fn bind(
    address: SocketAddr,
    only_v6: bool,
    options: &ListenOptions,
) -> io::Result<net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // What it accepts has the same.
    Buffers::from(options).set(&SockRef::from(&socket))?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // A listener that is restarted must not wait for the last one's connections to time out.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

impl Listening {
    /// Accepts what arrives at a socket. Inside the runtime that is to do so.
    pub(super) fn new(socket: net::TcpListener, options: &ListenOptions) -> io::Result<Self> {
        let ListenOptions { no_delay, keep_alive, .. } = *options;
        Ok(Self { socket: Door::new(socket)?, no_delay, keep_alive })
    }

    /// The next connection, for whatever runs over it.
    pub(crate) fn poll_stream(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let (stream, remote) = ready!(self.socket.poll_accept(cx))?;
        let local = stream.local_addr()?;
        Poll::Ready(wrap(stream, local, remote, self.no_delay, self.keep_alive))
    }
}

impl Accept for Listening {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        self.poll_stream(cx).map_ok(Incoming::Ready)
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }
}

/// Makes a connected socket a [`Stream`].
pub(super) fn wrap(
    stream: net::TcpStream,
    local: SocketAddr,
    remote: SocketAddr,
    no_delay: bool,
    keep_alive: Option<Duration>,
) -> io::Result<Stream> {
    stream.set_nodelay(no_delay)?;
    if let Some(idle) = keep_alive {
        SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))?;
    }
    let (local, remote) = (Place::Ip(local), Place::Ip(remote));
    let ends = Ends { local, remote, credentials: None, tls: None };
    let (reader, writer) = halves(stream)?;
    Ok(Stream { reader, writer, framing: Framing::Tcp, agreed: false, ends })
}

#[cfg(unix)]
fn halves(stream: net::TcpStream) -> io::Result<(Box<dyn ReadHalf>, Arc<dyn WriteHalf>)> {
    Ok(super::link::Link::halves(stream.into()))
}

#[cfg(not(unix))]
fn halves(stream: net::TcpStream) -> io::Result<(Box<dyn ReadHalf>, Arc<dyn WriteHalf>)> {
    let (reader, writer) = TcpStream::from_std(stream)?.into_split();
    Ok((Box::new(super::halves::Reader::new(reader)), Arc::new(writer)))
}
