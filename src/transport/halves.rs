//! The two halves of tokio's tcp sockets, where there are no descriptors to wait for.

use super::{ReadHalf, WriteHalf};
use bytes::BufMut;
use socket2::SockRef;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{self, Shutdown, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Where connections arrive.
#[derive(Debug)]
pub(super) struct Door(TcpListener);

impl Door {
    /// Inside the runtime that is to watch it. The socket does not block.
    pub(super) fn new(socket: net::TcpListener) -> io::Result<Self> {
        TcpListener::from_std(socket).map(Self)
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(net::TcpStream, SocketAddr)>> {
        let (stream, remote) = ready!(self.0.poll_accept(cx))?;
        Poll::Ready(Ok((stream.into_std()?, remote)))
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl ReadHalf for OwnedReadHalf {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        // `read_buf` and not `try_read`: it knows whether a short read has emptied the kernel's
        // buffer, and then saves the second system call that would only say so.
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

    /// What two kernels can hold of one direction of a stream: our send buffer, and about as
    /// much in the peer's receive buffer.
    fn kernel_bytes(&self) -> usize {
        let socket = SockRef::from(self.as_ref());
        socket.send_buffer_size().map_or(usize::MAX, |bytes| bytes.saturating_mul(2))
    }

    fn shut_down(&self) -> io::Result<()> {
        SockRef::from(self.as_ref()).shutdown(Shutdown::Write)
    }
}
