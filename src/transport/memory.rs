//! `inproc://` between plain connections: two pipes of bytes in this process.
//!
//! Sockets need none of this: theirs are joined message by message, above.

use super::{Accept, Ends, Incoming, Place, ReadHalf, Stream, WriteHalf};
use spanwire_core::framing::sp::Framing;
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
#[cfg(unix)]
use std::time::Duration;

/// A pipe holds so much: about what two kernels hold of a unix socket.
const PIPE_BYTES: usize = 256 * 1024;

/// One direction.
#[derive(Debug, Default)]
struct Pipe(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    bytes: VecDeque<u8>,
    /// The writer has ended, or is gone.
    ended: bool,
    /// The reader is gone.
    unread: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, buffer: &mut Vec<u8>, limit: usize, waker: Option<&Waker>) -> io::Result<usize> {
        let mut held = self.lock();
        let count = held.bytes.len().min(limit).min(buffer.capacity() - buffer.len());
        if count == 0 {
            if held.ended {
                return Ok(0);
            }
            held.reader = waker.cloned().or(held.reader.take());
            return Err(ErrorKind::WouldBlock.into());
        }
        buffer.extend(held.bytes.drain(..count));
        if held.bytes.is_empty() {
            // An idle connection holds no memory.
            held.bytes = VecDeque::new();
        }
        wake(held, |held| held.writer.take());
        Ok(count)
    }

    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut held = self.lock();
        if held.unread || held.ended {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let mut written = 0;
        for piece in pieces {
            let count = piece.len().min(PIPE_BYTES - held.bytes.len());
            held.bytes.extend(&piece[..count]);
            written += count;
        }
        if written == 0 && pieces.iter().any(|piece| !piece.is_empty()) {
            return Err(ErrorKind::WouldBlock.into());
        }
        wake(held, |held| held.reader.take());
        Ok(written)
    }

    fn end(&self) {
        let mut held = self.lock();
        held.ended = true;
        wake(held, |held| held.reader.take());
    }
}

/// Wakes somebody once the lock is released.
fn wake(mut held: MutexGuard<'_, Held>, who: impl FnOnce(&mut Held) -> Option<Waker>) {
    let waker = who(&mut held);
    drop(held);
    waker.into_iter().for_each(Waker::wake);
}

struct Reader(Arc<Pipe>);
struct Writer(Arc<Pipe>);

impl ReadHalf for Reader {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        match self.0.read(buffer, limit, Some(cx.waker())) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    #[cfg(unix)]
    fn try_read(&mut self, buffer: &mut Vec<u8>, limit: usize) -> io::Result<usize> {
        self.0.read(buffer, limit, None)
    }

    #[cfg(unix)]
    fn unwatch(&mut self) {}
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut held = self.0.lock();
        held.unread = true;
        held.bytes = VecDeque::new();
        wake(held, |held| held.writer.take());
    }
}

impl WriteHalf for Writer {
    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write(pieces)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut held = self.0.lock();
        if held.unread || held.bytes.len() < PIPE_BYTES {
            return Poll::Ready(Ok(()));
        }
        held.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn kernel_bytes(&self) -> usize {
        PIPE_BYTES
    }

    fn shut_down(&self) -> io::Result<()> {
        self.0.end();
        Ok(())
    }

    #[cfg(unix)]
    fn threads_may_wait(&self) -> bool {
        false
    }

    #[cfg(unix)]
    fn wait_readable(&self, _: BorrowedFd<'_>, _: Option<Duration>) -> io::Result<bool> {
        Err(ErrorKind::Unsupported.into())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A connection's two ends.
fn pair(name: &str) -> (Stream, Stream) {
    let (there, back) = (Arc::new(Pipe::default()), Arc::new(Pipe::default()));
    let place = || Place::Inproc(name.into());
    let end = |read: &Arc<Pipe>, write: &Arc<Pipe>| Stream {
        reader: Box::new(Reader(read.clone())),
        writer: Arc::new(Writer(write.clone())),
        framing: Framing::Link,
        agreed: true,
        ends: Ends { local: place(), remote: place(), credentials: None, tls: None },
    };
    (end(&back, &there), end(&there, &back))
}

/// Who listens, by name. Names of sockets are others.
static LISTENERS: Mutex<Option<HashMap<String, Weak<Arrivals>>>> = Mutex::new(None);

fn listeners<T>(look: impl FnOnce(&mut HashMap<String, Weak<Arrivals>>) -> T) -> T {
    let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
    look(listeners.get_or_insert_default())
}

/// Connections that wait to be accepted.
#[derive(Debug)]
struct Arrivals {
    backlog: usize,
    waiting: Mutex<(VecDeque<Stream>, Option<Waker>)>,
}

impl Arrivals {
    fn lock(&self) -> MutexGuard<'_, (VecDeque<Stream>, Option<Waker>)> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listener at a name, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    name: String,
    arrivals: Arc<Arrivals>,
}

/// Listens at a name.
pub(crate) fn listen(name: &str, backlog: u32) -> io::Result<Listening> {
    let backlog = usize::try_from(backlog).unwrap_or(usize::MAX).max(1);
    let arrivals = Arc::new(Arrivals { backlog, waiting: Mutex::default() });
    listeners(|listeners| {
        if listeners.get(name).is_some_and(|there| there.strong_count() > 0) {
            return Err(ErrorKind::AddrInUse.into());
        }
        listeners.insert(name.into(), Arc::downgrade(&arrivals));
        Ok(Listening { name: name.into(), arrivals })
    })
}

/// Connects to whoever listens at a name.
pub(crate) fn connect(name: &str) -> io::Result<Stream> {
    let arrivals = listeners(|listeners| listeners.get(name).and_then(Weak::upgrade));
    let arrivals = arrivals.ok_or(ErrorKind::ConnectionRefused)?;
    let mut waiting = arrivals.lock();
    if waiting.0.len() >= arrivals.backlog {
        return Err(io::Error::new(ErrorKind::ConnectionRefused, "the listener's backlog is full"));
    }
    let (ours, theirs) = pair(name);
    waiting.0.push_back(theirs);
    let waker = waiting.1.take();
    drop(waiting);
    waker.into_iter().for_each(Waker::wake);
    Ok(ours)
}

impl Accept for Listening {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        let mut waiting = self.arrivals.lock();
        if let Some(stream) = waiting.0.pop_front() {
            return Poll::Ready(Ok(Incoming::Ready(stream)));
        }
        waiting.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        listeners(|listeners| {
            let ours = Arc::downgrade(&self.arrivals);
            if listeners.get(&self.name).is_some_and(|there| there.ptr_eq(&ours)) {
                listeners.remove(&self.name);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cx(test: impl FnOnce(&mut Context<'_>)) {
        test(&mut Context::from_waker(Waker::noop()));
    }

    #[test]
    fn a_name_is_used_once_and_free_again_afterwards() {
        let listening = listen("memory-name", 1).unwrap();
        assert_eq!(listen("memory-name", 1).unwrap_err().kind(), ErrorKind::AddrInUse);
        let _first = connect("memory-name").unwrap();
        assert_eq!(connect("memory-name").unwrap_err().kind(), ErrorKind::ConnectionRefused, "backlog");
        drop(listening);
        assert_eq!(connect("memory-name").unwrap_err().kind(), ErrorKind::ConnectionRefused);
        listen("memory-name", 1).unwrap();
    }

    #[test]
    fn a_pipe_holds_so_much_and_tells_when_there_is_room() {
        let (mut ann, bob) = pair("memory-pipe");
        let much = vec![7; 2 * PIPE_BYTES];
        assert_eq!(bob.writer.try_write(&[IoSlice::new(&much)]).unwrap(), PIPE_BYTES);
        let full = bob.writer.try_write(&[IoSlice::new(&much)]);
        assert_eq!(full.unwrap_err().kind(), ErrorKind::WouldBlock);
        cx(|cx| {
            assert!(bob.writer.poll_writable(cx).is_pending());
            let mut buffer = Vec::with_capacity(100);
            assert!(matches!(ann.reader.poll_read(cx, &mut buffer, 60), Poll::Ready(Ok(60))));
            assert!(bob.writer.poll_writable(cx).is_ready());
        });
        assert_eq!(bob.writer.try_write(&[IoSlice::new(&much[..9])]).unwrap(), 9);
    }

    #[test]
    fn an_end_is_seen_behind_the_last_byte_and_a_reader_that_is_gone_at_once() {
        let (mut ann, bob) = pair("memory-end");
        bob.writer.try_write(&[IoSlice::new(b"bye")]).unwrap();
        bob.writer.shut_down().unwrap();
        cx(|cx| {
            let mut buffer = Vec::with_capacity(100);
            assert!(matches!(ann.reader.poll_read(cx, &mut buffer, 60), Poll::Ready(Ok(3))));
            assert!(matches!(ann.reader.poll_read(cx, &mut buffer, 60), Poll::Ready(Ok(0))));
        });
        drop(bob.reader);
        let gone = ann.writer.try_write(&[IoSlice::new(b"anybody?")]);
        assert_eq!(gone.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
