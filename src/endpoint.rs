//! The table that turns an address into something to connect to or to accept from.
//!
//! It stands above the transports and beside the sockets, since some schemes are no transport:
//! `inproc` joins two sockets directly, and later ones run over connections of our own.

use crate::options::{DialOptions, ListenOptions};
use crate::rt::Home;
use crate::transport::{Stream, StreamOptions};
use spanwire_core::addr::{Addr, AddrError, Family, Host, Tcp};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A way to get connections: one for each attempt.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    pub(crate) addr: Addr,
    pub(crate) options: DialOptions,
}

impl Connector {
    pub(crate) fn new(url: &str, options: DialOptions) -> Result<Self, AddrError> {
        let addr = Addr::parse(url)?;
        addr.for_dial()?;
        built_in(&addr)?;
        Ok(Self { addr, options })
    }

    /// Connects. Names are resolved anew each time, and every address is tried.
    pub(crate) async fn connect(&self, home: &Home) -> io::Result<Stream> {
        match &self.addr {
            #[cfg(feature = "tcp")]
            Addr::Tcp(tcp) => connect_tcp(tcp, &self.options).await,
            #[cfg(all(unix, feature = "ipc"))]
            Addr::Ipc(ipc) => crate::transport::ipc::connect(ipc.path().as_ref(), home).await,
            #[cfg(all(target_os = "linux", feature = "ipc"))]
            Addr::Abstract(name) => crate::transport::ipc::connect_abstract(name.name(), home).await,
            _ => {
                let _ = home;
                Err(io::ErrorKind::Unsupported.into())
            }
        }
    }
}

/// Whether this build has the transport; `inproc` is dealt with by the sockets.
fn built_in(addr: &Addr) -> Result<(), AddrError> {
    #[allow(clippy::match_like_matches_macro)] // a table of schemes reads better as one
    let built_in = match addr {
        Addr::Tcp(_) => cfg!(feature = "tcp"),
        Addr::Ipc(_) => cfg!(all(unix, feature = "ipc")),
        Addr::Abstract(_) => cfg!(all(target_os = "linux", feature = "ipc")),
        Addr::Inproc(_) => cfg!(feature = "inproc"),
        _ => false,
    };
    if built_in { Ok(()) } else { Err(AddrError::NotBuiltIn { scheme: addr.scheme().into() }) }
}

fn allowed(family: Family, ip: &IpAddr) -> bool {
    match family {
        Family::Any => true,
        Family::V4 => ip.is_ipv4(),
        Family::V6 => ip.is_ipv6(),
    }
}

/// All addresses of a host, those that the scheme allows.
#[cfg(feature = "tcp")]
async fn resolve(host: &Host, port: u16, family: Family) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = match host {
        Host::Ip(ip) => vec![SocketAddr::new(*ip, port)],
        Host::Name(name) => tokio::net::lookup_host((name.as_str(), port)).await?.collect(),
    };
    let usable: Vec<SocketAddr> = found.into_iter().filter(|a| allowed(family, &a.ip())).collect();
    match usable.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address of this kind")),
        false => Ok(usable),
    }
}

#[cfg(feature = "tcp")]
async fn connect_tcp(tcp: &Tcp, options: &DialOptions) -> io::Result<Stream> {
    let (host, port) = tcp.remote().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let local = tcp.local().or(options.local_address);
    let stream = StreamOptions { no_delay: options.no_delay, keep_alive: options.keep_alive };
    let mut last = None;
    for address in resolve(host, port, tcp.family()).await? {
        if local.is_some_and(|local| local.is_ipv4() != address.is_ipv4()) {
            continue;
        }
        match crate::transport::tcp::connect(address, local, stream).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            "the local address is of another kind than the remote ones",
        )
    }))
}

/// A place where connections arrive.
#[derive(Debug)]
pub(crate) enum Acceptor {
    #[cfg(feature = "tcp")]
    Tcp(tokio::net::TcpListener, StreamOptions),
    #[cfg(all(unix, feature = "ipc"))]
    Unix(crate::transport::ipc::Listening),
}

impl Acceptor {
    /// Binds; returns the address as it is bound, with its real port. `home` has to be entered.
    pub(crate) async fn bind(addr: &Addr, options: &ListenOptions) -> io::Result<(Self, Addr)> {
        match addr {
            #[cfg(feature = "tcp")]
            Addr::Tcp(tcp) => bind_tcp(tcp, options).await,
            #[cfg(all(unix, feature = "ipc"))]
            Addr::Ipc(ipc) => {
                let listening =
                    crate::transport::ipc::bind(ipc.path().as_ref(), options.permissions, options.backlog)?;
                Ok((Self::Unix(listening), addr.clone()))
            }
            #[cfg(all(target_os = "linux", feature = "ipc"))]
            Addr::Abstract(name) => {
                let (listening, name) = crate::transport::ipc::bind_abstract(name.name(), options.backlog)?;
                let name = spanwire_core::addr::Abstract::new(name)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                Ok((Self::Unix(listening), Addr::Abstract(name)))
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The next connection. Cancel-safe.
    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        match self {
            #[cfg(feature = "tcp")]
            Self::Tcp(listener, options) => crate::transport::tcp::wrap(listener.accept().await?.0, *options),
            #[cfg(all(unix, feature = "ipc"))]
            Self::Unix(listening) => crate::transport::ipc::wrap(
                listening.socket.accept().await?.0,
                spanwire_core::framing::sp::Framing::Ipc,
            ),
        }
    }

    /// The address it is bound to, if that is an IP address.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            #[cfg(feature = "tcp")]
            Self::Tcp(listener, _) => listener.local_addr().ok(),
            #[cfg(all(unix, feature = "ipc"))]
            Self::Unix(_) => None,
        }
    }
}

/// Parses an address to listen on.
pub(crate) fn listen_addr(url: &str) -> Result<Addr, AddrError> {
    let addr = Addr::parse(url)?;
    addr.for_listen()?;
    built_in(&addr)?;
    Ok(addr)
}

#[cfg(feature = "tcp")]
async fn bind_tcp(tcp: &Tcp, options: &ListenOptions) -> io::Result<(Acceptor, Addr)> {
    let (host, port) = tcp.bind().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let candidates = match (host, tcp.family()) {
        (Some(host), family) => resolve(host, port, family).await?,
        (None, Family::V6) => vec![(Ipv6Addr::UNSPECIFIED, port).into()],
        (None, Family::V4) => vec![(Ipv4Addr::UNSPECIFIED, port).into()],
        // All interfaces means both kinds of address where the machine has both.
        (None, Family::Any) => {
            vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]
        }
    };
    let only_v6 = tcp.family() == Family::V6;
    let mut last = None;
    for address in candidates {
        match crate::transport::tcp::bind(address, only_v6, options.backlog) {
            Ok(listener) => {
                let bound = listener.local_addr()?;
                let stream = StreamOptions { no_delay: options.no_delay, keep_alive: options.keep_alive };
                return Ok((Acceptor::Tcp(listener, stream), Addr::Tcp(tcp.clone().with_port(bound.port()))));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}
