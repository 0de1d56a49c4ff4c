//! Descriptors that the application has opened: connected tcp and unix stream sockets, socketpairs.

use super::buffers::Buffers;
use super::{Stream, ipc};
use socket2::{Domain, Socket, Type};
use spanwire_core::framing::sp::Framing;
use std::io;
use std::os::fd::OwnedFd;
use tokio::net::UnixStream;

/// Makes a [`Stream`] of a connected stream socket.
///
/// Frames are those of tcp on unix sockets too, as with NNG's `socket://` (spec 2.6).
pub(crate) fn adopt(descriptor: OwnedFd) -> io::Result<Stream> {
    let socket = Socket::from(descriptor);
    if socket.r#type()? != Type::STREAM {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the descriptor is no stream socket"));
    }
    socket.set_nonblocking(true)?;
    match socket.domain()? {
        Domain::UNIX => ipc::wrap(UnixStream::from_std(socket.into())?, Framing::Tcp, Buffers::default()),
        #[cfg(feature = "tcp")]
        Domain::IPV4 | Domain::IPV6 => {
            let stream = std::net::TcpStream::from(socket);
            let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
            super::tcp::wrap(stream, local, remote, true, None)
        }
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "the descriptor is neither tcp nor unix")),
    }
}
