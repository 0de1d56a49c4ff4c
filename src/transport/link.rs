//! [`Link`]: a connected stream socket, tcp or unix, and what the runtime watches it for.

use super::{ReadHalf, WriteHalf};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(feature = "tcp")]
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A connection as both of its halves see it.
///
/// The runtime watches it for no more than somebody waits for. A unix socket that is watched for room
/// would report each message that the peer takes out; a socket that a thread waits for by itself and
/// the runtime watches too would wake two threads for each message that comes.
///
/// ```text
///              poll_read               poll_writable
///   nothing ──────────────▶ data ─────────────────────────▶ data, room
///      │ ▲                   │ ▲                                │
///      │ └── Read::unwatch ──┘ └──────── Write::unwatch ────────┘
///      └─────── poll_writable ──▶ room
/// ```
pub(crate) struct Link {
    /// Unix sockets too: once it is connected, all stream sockets are used alike.
    socket: Arc<TcpStream>,
    watch: Mutex<Watch>,
    /// Writes since somebody waited for room; `NOBODY` once that is forgotten.
    calm_writes: AtomicU32,
}

/// The driver is told after so many writes that room is not worth watching for: enough for it not to
/// be the next moment.
const CALM_WRITES: u32 = 64;
const NOBODY: u32 = u32::MAX;

#[derive(Default)]
struct Watch {
    io: Option<AsyncFd<Arc<TcpStream>>>,
    /// What `io` is watched for.
    wanted: Wanted,
    /// Who waited; a change of `io` loses what tokio knows of them.
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What the runtime watches a socket for.
#[derive(Copy, Clone, Default, PartialEq, Eq)]
struct Wanted {
    data: bool,
    room: bool,
}

impl Link {
    /// The halves of a non-blocking socket.
    pub(super) fn halves(socket: OwnedFd) -> (Box<dyn ReadHalf>, Arc<dyn WriteHalf>) {
        let link = Arc::new(Self {
            socket: Arc::new(socket.into()),
            watch: Mutex::default(),
            calm_writes: AtomicU32::new(NOBODY),
        });
        (Box::new(link.clone()), link)
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the runtime watch for what `wanted` says, given what it watches for now. Inside the runtime
    /// only, where that is more than before.
    fn change(&self, wanted: impl FnOnce(&Watch) -> Wanted) -> io::Result<MutexGuard<'_, Watch>> {
        let mut watch = self.watch();
        let wanted = wanted(&watch);
        if wanted == watch.wanted {
            return Ok(watch);
        }
        let changed = watch.change(&self.socket, wanted);
        let waiting = [watch.reader.take(), watch.writer.take()];
        drop(watch);
        // Whoever waited has to ask again.
        waiting.into_iter().flatten().for_each(Waker::wake);
        changed?;
        Ok(self.watch())
    }

    /// Reads into the spare room of `buffer`, at most `limit` bytes.
    fn read(&self, buffer: &mut Vec<u8>, limit: usize) -> io::Result<usize> {
        if buffer.capacity() - buffer.len() <= limit {
            return Ok(rustix::io::read(&*self.socket, spare_capacity(buffer))?);
        }
        // The allocator gave more than it was asked for; what lies beyond is not for this buffer.
        let start = buffer.len();
        buffer.resize(start + limit, 0);
        let read = rustix::io::read(&*self.socket, &mut buffer[start..]);
        buffer.truncate(start + *read.as_ref().unwrap_or(&0));
        Ok(read?)
    }

    /// Wakes the driver when nobody has waited for room for a while: it will say that nobody does.
    fn count_calm_write(&self) {
        let writes = self.calm_writes.load(Ordering::Relaxed).saturating_add(1);
        // One writes at a time. Who has set it meanwhile knows better.
        if writes < CALM_WRITES {
            self.calm_writes.store(writes, Ordering::Relaxed);
            return;
        }
        self.calm_writes.store(0, Ordering::Relaxed);
        let driver = self.watch().writer.clone();
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

/// Whether a socket is ready for what `flags` say, or broken, at this moment.
pub(super) fn is_ready(socket: &impl AsFd, flags: PollFlags) -> io::Result<bool> {
    let mut polled = [PollFd::from_borrowed_fd(socket.as_fd(), flags)];
    Ok(rustix::io::retry_on_intr(|| poll(&mut polled, Some(&Timespec::default())))? > 0)
}

/// Where connections arrive. tokio's own listener would have each of them watched at once, for room
/// as well.
#[cfg(feature = "tcp")]
#[derive(Debug)]
pub(super) struct Door(AsyncFd<TcpListener>);

#[cfg(feature = "tcp")]
impl Door {
    /// Inside the runtime that is to watch it. The socket does not block.
    pub(super) fn new(socket: TcpListener) -> io::Result<Self> {
        // It keeps its descriptor open: see `Watch::change`.
        #[allow(deprecated)]
        AsyncFd::with_interest(socket, Interest::READABLE).map(Self)
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(cx))?;
            match self.0.get_ref().accept() {
                Ok((stream, remote)) => {
                    stream.set_nonblocking(true)?;
                    return Poll::Ready(Ok((stream, remote)));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }
}

impl Watch {
    fn change(&mut self, socket: &Arc<TcpStream>, wanted: Wanted) -> io::Result<()> {
        // The old one goes first: a descriptor can be watched only once.
        (self.io, self.wanted) = (None, Wanted::default());
        let interest = match (wanted.data, wanted.room) {
            (false, false) => return Ok(()),
            (true, false) => Interest::READABLE,
            (false, true) => Interest::WRITABLE,
            (true, true) => Interest::READABLE | Interest::WRITABLE,
        };
        // tokio has made its constructors unsafe, since a type might not keep its descriptor open.
        // This one does: it is the standard library's, and shared, so it lives as long as this.
        #[allow(deprecated)]
        let io = AsyncFd::with_interest(socket.clone(), interest)?;
        (self.io, self.wanted) = (Some(io), wanted);
        Ok(())
    }
}

/// Leaves a waker where a clone of it may be already.
fn note(place: &mut Option<Waker>, waker: &Waker) {
    if !place.as_ref().is_some_and(|old| old.will_wake(waker)) {
        *place = Some(waker.clone());
    }
}

impl ReadHalf for Arc<Link> {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        let mut watch = self.change(|now| Wanted { data: true, ..now.wanted })?;
        note(&mut watch.reader, cx.waker());
        let Some(io) = &watch.io else { return Poll::Pending };
        loop {
            let mut ready = ready!(io.poll_read_ready(cx))?;
            let wanted = limit.min(buffer.capacity() - buffer.len());
            match self.read(buffer, limit) {
                Ok(count) => {
                    // A short read has emptied the kernel's buffer: no second call that only says so.
                    if 0 < count && count < wanted {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut watch = self.watch();
        if !watch.wanted.data {
            return Poll::Pending;
        }
        note(&mut watch.reader, cx.waker());
        let Some(io) = &watch.io else { return Poll::Pending };
        let ready = ready!(io.poll_read_ready(cx));
        Poll::Ready(ready.map_or(true, |ready| ready.ready().is_read_closed()))
    }

    fn try_read(&mut self, buffer: &mut Vec<u8>, limit: usize) -> io::Result<usize> {
        self.read(buffer, limit)
    }

    fn unwatch(&mut self) {
        // Nothing rather than room alone: that cannot fail, and needs no runtime. A writer that waits
        // for room will ask for it again. Where nobody is watched for data, this is nothing to do.
        drop(self.change(|now| if now.wanted.data { Wanted::default() } else { now.wanted }));
    }
}

impl WriteHalf for Link {
    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = match pieces {
            [piece] => (&*self.socket).write(piece),
            pieces => (&*self.socket).write_vectored(pieces),
        };
        if self.calm_writes.load(Ordering::Relaxed) != NOBODY {
            self.count_calm_write();
        }
        written
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut watch = self.change(|now| Wanted { room: true, ..now.wanted })?;
        self.calm_writes.store(0, Ordering::Relaxed);
        note(&mut watch.writer, cx.waker());
        let Some(io) = &watch.io else { return Poll::Pending };
        loop {
            let mut ready = ready!(io.poll_write_ready(cx))?;
            // Writes do not pass through the runtime, so what it knows may be old.
            if is_ready(&self.socket, PollFlags::OUT)? {
                return Poll::Ready(Ok(()));
            }
            ready.clear_ready();
        }
    }

    fn unwatch(&self) {
        self.calm_writes.store(NOBODY, Ordering::Relaxed);
        // If it fails, whoever reads next tries again and hears why.
        drop(self.change(|now| Wanted { room: false, ..now.wanted }));
    }

    /// What two kernels can hold of one direction of a stream: our send buffer, and about as much in
    /// the peer's receive buffer.
    fn kernel_bytes(&self) -> usize {
        let size = SockRef::from(&*self.socket).send_buffer_size();
        size.map_or(usize::MAX, |bytes| bytes.saturating_mul(2))
    }

    fn shut_down(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn wait_readable(&self, alarm: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
        let timeout = timeout.map(|span| Timespec {
            tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: span.subsec_nanos().into(),
        });
        let socket = PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN);
        let mut polled = [socket, PollFd::from_borrowed_fd(alarm, PollFlags::IN)];
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) => Ok(!polled[0].revents().is_empty()),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
