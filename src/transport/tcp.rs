//! `tcp://`, `tcp4://`, `tcp6://`.

use super::{Ends, Place, ReadHalf, Stream, StreamOptions, WriteHalf};
use bytes::{BufMut, BytesMut};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use spanwire_core::framing::sp::Framing;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connects to `remote`, from the address `local` if one is given.
pub(crate) async fn connect(
    remote: SocketAddr,
    local: Option<IpAddr>,
    options: StreamOptions,
) -> io::Result<Stream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(local) = local {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    let stream = socket.connect(remote).await?;
    if stream.local_addr()? == remote {
        // Dialing an ephemeral port on which nobody listens, the kernel may connect a socket to
        // itself (simultaneous open). It would then shake hands with its own echo for ever.
        return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connected to itself"));
    }
    wrap(stream, options)
}

/// Listens at `address`. An IPv6 wildcard takes IPv4 as well unless `only_v6`.
pub(crate) fn bind(address: SocketAddr, only_v6: bool, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // A listener that is restarted must not wait for the last one's connections to time out.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}

/// Makes a connected socket a [`Stream`].
pub(crate) fn wrap(stream: TcpStream, options: StreamOptions) -> io::Result<Stream> {
    stream.set_nodelay(options.no_delay)?;
    if let Some(idle) = options.keep_alive {
        SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))?;
    }
    let ends = Ends {
        local: Place::Ip(stream.local_addr()?),
        remote: Place::Ip(stream.peer_addr()?),
        credentials: None,
    };
    let (reader, writer) = stream.into_split();
    Ok(Stream { reader: Box::new(reader), writer: Arc::new(writer), framing: Framing::Tcp, ends })
}

impl ReadHalf for OwnedReadHalf {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        // `read_buf` and not `try_read`: it knows that a short read has emptied the kernel's buffer
        // and saves the second system call that would only say so.
        pin!(self.read_buf(&mut buffer.limit(limit))).poll(cx)
    }
}

impl WriteHalf for OwnedWriteHalf {
    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match pieces {
            [piece] => OwnedWriteHalf::try_write(self, piece),
            pieces => self.try_write_vectored(pieces),
        }
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.as_ref().poll_write_ready(cx)
    }

    fn kernel_bytes(&self) -> usize {
        super::kernel_bytes(self.as_ref())
    }

    fn shut_down(&self) -> io::Result<()> {
        SockRef::from(self.as_ref()).shutdown(Shutdown::Write)
    }
}
