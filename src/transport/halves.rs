//! The two halves of tokio's tcp sockets, where there are no descriptors to wait for. Elsewhere for their tests
//! alone.

use super::{ReadHalf, WriteHalf};
use bytes::BufMut;
use socket2::SockRef;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{self, Shutdown, SocketAddr};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::pin::pin;
use std::task::{Context, Poll, ready};
#[cfg(unix)]
use std::time::Duration;
use tokio::io::{AsyncReadExt, ReadBuf};
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

/// The reading half.
pub(super) struct Reader {
    io: OwnedReadHalf,
    /// What was in the way when only the end was asked for. The kernel tells it once.
    broken: Option<io::Error>,
}

impl Reader {
    pub(super) fn new(io: OwnedReadHalf) -> Self {
        Self { io, broken: None }
    }
}

impl ReadHalf for Reader {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Err(error));
        }
        // `read_buf` and not `try_read`: it knows whether a short read has emptied the kernel's
        // buffer, and then saves the second system call that would only say so.
        pin!(self.io.read_buf(&mut buffer.limit(limit))).poll(cx)
    }

    /// Looks at what comes next and leaves it there. Bytes before the end hide it until they are read.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.broken.is_some() {
            return Poll::Ready(true);
        }
        let mut next = [0];
        match ready!(self.io.poll_peek(cx, &mut ReadBuf::new(&mut next))) {
            Ok(count) => Poll::Ready(count == 0),
            Err(error) => {
                self.broken = Some(error);
                Poll::Ready(true)
            }
        }
    }

    #[cfg(unix)]
    fn try_read(&mut self, buffer: &mut Vec<u8>, limit: usize) -> io::Result<usize> {
        match self.broken.take() {
            Some(error) => Err(error),
            None => self.io.try_read_buf(&mut buffer.limit(limit)),
        }
    }

    #[cfg(unix)]
    fn unwatch(&mut self) {}
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

    #[cfg(unix)]
    fn threads_may_wait(&self) -> bool {
        false
    }

    #[cfg(unix)]
    fn wait_readable(&self, _: BorrowedFd<'_>, _: Option<Duration>) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};
    use tokio::net::TcpStream;

    /// Both ends of a connection.
    async fn pair() -> ((Reader, OwnedWriteHalf), (Reader, OwnedWriteHalf)) {
        let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let door = Door::new(listener).unwrap();
        let dialed = TcpStream::connect(door.local_addr().unwrap()).await.unwrap();
        let (accepted, remote) = poll_fn(|cx| door.poll_accept(cx)).await.unwrap();
        assert_eq!(remote, dialed.local_addr().unwrap());
        (split(dialed), split(TcpStream::from_std(accepted).unwrap()))
    }

    fn split(stream: TcpStream) -> (Reader, OwnedWriteHalf) {
        let (reader, writer) = stream.into_split();
        (Reader::new(reader), writer)
    }

    /// Reads a little.
    async fn read(reader: &mut Reader, buffer: &mut Vec<u8>) -> io::Result<usize> {
        buffer.reserve(CHUNK);
        poll_fn(|cx| reader.poll_read(cx, buffer, CHUNK)).await
    }

    const CHUNK: usize = 65_536;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn whoever_asks_for_the_end_of_a_quiet_peer_is_told_of_it() {
        let ((mut reader, _writer), theirs) = pair().await;
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        assert!(reader.poll_end(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
        drop(theirs);
        while count.0.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(poll_fn(|cx| reader.poll_end(cx)).await);
        assert_eq!(read(&mut reader, &mut Vec::new()).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn asking_for_the_end_takes_no_byte_away() {
        let ((mut reader, _writer), (_reader, writer)) = pair().await;
        poll_fn(|cx| writer.poll_writable(cx)).await.unwrap();
        assert_eq!(WriteHalf::try_write(&writer, &[IoSlice::new(b"by"), IoSlice::new(b"e")]).unwrap(), 3);
        writer.shut_down().unwrap();
        assert!(!poll_fn(|cx| reader.poll_end(cx)).await, "there is something before the end");
        let mut buffer = Vec::new();
        while read(&mut reader, &mut buffer).await.unwrap() > 0 {}
        assert_eq!(buffer, b"bye");
        assert!(poll_fn(|cx| reader.poll_end(cx)).await);
    }

    #[tokio::test]
    async fn a_connection_that_was_reset_has_ended_and_whoever_reads_hears_how() {
        let ((mut reader, _writer), (theirs, writer)) = pair().await;
        SockRef::from(writer.as_ref()).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        writer.forget();
        drop(theirs);
        for _ in 0..2 {
            assert!(poll_fn(|cx| reader.poll_end(cx)).await);
        }
        let error = read(&mut reader, &mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_writer_is_told_of_room() {
        let ((_reader, writer), (mut reader, _writer)) = pair().await;
        poll_fn(|cx| writer.poll_writable(cx)).await.unwrap();
        assert!(writer.kernel_bytes() > 0);
        let much = vec![7; 1 << 20];
        let mut written = 0;
        loop {
            match WriteHalf::try_write(&writer, &[IoSlice::new(&much)]) {
                Ok(count) => written += count,
                Err(error) => break assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        assert!(writer.poll_writable(&mut Context::from_waker(Waker::noop())).is_pending());
        let mut bytes = Vec::new();
        while bytes.len() < written {
            assert!(read(&mut reader, &mut bytes).await.unwrap() > 0);
        }
        poll_fn(|cx| writer.poll_writable(cx)).await.unwrap();
        assert!(WriteHalf::try_write(&writer, &[IoSlice::new(b"more")]).is_ok());
    }
}
