//! [`Door`] and [`Local`]: sockets of programs that know nothing of the tunnel.

use super::PATIENCE;
use crate::complaint::Complaint;
use spanwire::addr::{Family, Host, Tcp};
use spanwire::{Addr, DialError, ListenError};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

/// Where local connections come in.
#[derive(Debug)]
pub(super) enum Door {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, SocketFile),
}

/// A local connection.
#[derive(Debug)]
pub(super) enum Local {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// A socket file of ours, gone with us.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct SocketFile(std::path::PathBuf);

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        // Whoever has removed it already has done us no harm.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// An address of a local socket.
pub(super) fn parse(url: &str) -> Result<Addr, Complaint> {
    let address = |error| Complaint::from(ListenError::Address { url: url.into(), error });
    match Addr::parse(url).map_err(address)? {
        Addr::Tcp(tcp) => Ok(Addr::Tcp(tcp)),
        #[cfg(unix)]
        Addr::Ipc(path) => Ok(Addr::Ipc(path)),
        _ => Err(Complaint::new(format!("{url} is no plain local socket"))
            .advise("those have addresses like tcp://127.0.0.1:8080 and ipc:///run/name")),
    }
}

impl Door {
    /// Listens; says where.
    pub(super) async fn open(url: &str) -> Result<(Self, String), Complaint> {
        let bind = |error| ListenError::Bind { url: url.into(), error: Arc::new(error) };
        let address = |error| ListenError::Address { url: url.into(), error };
        match parse(url)? {
            Addr::Tcp(tcp) => {
                let (host, port) = tcp.bind().map_err(address)?;
                let listener = listen(&tcp, host, port).await.map_err(bind)?;
                let at = listener.local_addr().map_err(bind)?;
                Ok((Self::Tcp(listener), format!("tcp://{at}")))
            }
            #[cfg(unix)]
            Addr::Ipc(path) => {
                let listener = listen_at(path.path()).map_err(bind)?;
                let file = SocketFile(path.path().into());
                Ok((Self::Unix(listener, file), format!("ipc://{}", path.path())))
            }
            _ => unreachable!("there are no others"),
        }
    }

    /// The next connection, and who it is.
    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Local, String)>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, from) = ready!(listener.poll_accept(cx))?;
                // It fails only where the peer is gone already.
                let _ = stream.set_nodelay(true);
                Poll::Ready(Ok((Local::Tcp(stream), from.to_string())))
            }
            #[cfg(unix)]
            Self::Unix(listener, file) => {
                let (stream, _) = ready!(listener.poll_accept(cx))?;
                let who = stream.peer_cred().ok().and_then(|peer| peer.pid());
                let who = who.map_or_else(String::new, |pid| format!(" (process {pid})"));
                Poll::Ready(Ok((Local::Unix(stream), format!("{}{who}", file.0.display()))))
            }
        }
    }
}

impl Local {
    /// Connects to a target.
    pub(super) async fn connect(addr: &Addr) -> Result<Self, DialError> {
        let url = addr.to_string();
        let connect = async {
            match addr {
                Addr::Tcp(tcp) => {
                    let stream = dial(tcp).await?;
                    let _ = stream.set_nodelay(true);
                    Ok(Self::Tcp(stream))
                }
                #[cfg(unix)]
                Addr::Ipc(path) => UnixStream::connect(path.path()).await.map(Self::Unix),
                _ => unreachable!("there are no others"),
            }
        };
        match tokio::time::timeout(PATIENCE, connect).await {
            Ok(connected) => {
                connected.map_err(|error| DialError::Connect { url: url.into(), error: Arc::new(error) })
            }
            Err(_) => Err(DialError::TimedOut { url: url.into() }),
        }
    }

    /// Ends it so that its peer does not take that for a proper end, as far as its kind can say so.
    pub(super) fn cut(self) {
        if let Self::Tcp(stream) = self {
            // The kernel then sends a reset. Where it cannot, the connection is gone as it is.
            let _ = stream.set_zero_linger();
        }
    }
}

async fn dial(tcp: &Tcp) -> io::Result<TcpStream> {
    let (host, port) = tcp.remote().map_err(io::Error::other)?;
    let mut last = None;
    for address in resolve(tcp, host, port).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(nowhere))
}

async fn listen(tcp: &Tcp, host: Option<&Host>, port: u16) -> io::Result<TcpListener> {
    let all = |ip: IpAddr| TcpListener::bind(SocketAddr::new(ip, port));
    let Some(host) = host else {
        return match (tcp.family(), all(Ipv6Addr::UNSPECIFIED.into()).await) {
            (Family::V4, _) | (Family::Any, Err(_)) => all(Ipv4Addr::UNSPECIFIED.into()).await,
            (_, bound) => bound,
        };
    };
    let address = resolve(tcp, host, port).await?.into_iter().next().ok_or_else(nowhere)?;
    TcpListener::bind(address).await
}

async fn resolve(tcp: &Tcp, host: &Host, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut found: Vec<_> = match host {
        Host::Ip(ip) => vec![SocketAddr::new(*ip, port)],
        Host::Name(name) => tokio::net::lookup_host((name.as_str(), port)).await?.collect(),
    };
    found.retain(|address| match tcp.family() {
        Family::Any => true,
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
    });
    Ok(found)
}

fn nowhere() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address of this kind")
}

/// Listens at a path; one at which nobody listens any more is taken over.
#[cfg(unix)]
fn listen_at(path: &str) -> io::Result<UnixListener> {
    use std::os::unix::fs::FileTypeExt;
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let is_socket = std::fs::symlink_metadata(path)?.file_type().is_socket();
            let answer = std::os::unix::net::UnixStream::connect(path);
            let is_stale = answer.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            if !is_socket || !is_stale {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}
