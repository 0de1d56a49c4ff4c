//! Halves of anything that reads and writes as tokio's traits say: what comes from outside, and QUIC.
//!
//! Those traits know tasks that poll again; a [`WriteHalf`] is written to from any thread. So the writer is
//! always polled with a waker of its own ([`Signal`]), which remembers that there was room, and tells the
//! driver, whoever it was that found none.

use super::{ReadHalf, WriteHalf};
use crate::rt::Home;
use bytes::BufMut;
use std::future::Future;
use std::io::{self, IoSlice};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
#[cfg(unix)]
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Makes a half of something that reads.
pub(super) fn read_half(io: impl AsyncRead + Send + Unpin + 'static, home: &Home) -> Box<dyn ReadHalf> {
    Box::new(Reader { io, home: home.clone(), waker: None, ahead: Vec::new(), over: None })
}

/// Makes a half of something that writes. So many bytes that it took may still be on their way.
pub(super) fn write_half(
    io: impl AsyncWrite + Send + Unpin + 'static,
    home: &Home,
    in_flight_bytes: usize,
) -> Arc<dyn WriteHalf> {
    let signal = Arc::new(Signal { room: AtomicBool::new(true), driver: Mutex::new(None) });
    Arc::new(Writer {
        output: Mutex::new(Output { io, phase: Phase::Flushed }),
        busy: AtomicBool::new(false),
        waker: Waker::from(signal.clone()),
        signal,
        home: home.clone(),
        in_flight_bytes,
    })
}

struct Reader<R> {
    io: R,
    home: Home,
    /// Who asked last, and is told of what comes.
    waker: Option<Waker>,
    /// Read when only the end was asked for.
    ahead: Vec<u8>,
    /// The end that was read then.
    over: Option<io::Result<()>>,
}

/// So much is read ahead at most: whoever asks for the end does not want more than to know.
const AHEAD_BYTES: usize = 512;

impl<R: AsyncRead + Send + Unpin + 'static> Reader<R> {
    fn note(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<u8>, limit: usize) -> Poll<io::Result<usize>> {
        if !self.ahead.is_empty() {
            let count = limit.min(self.ahead.len());
            buffer.extend(self.ahead.drain(..count));
            if self.ahead.is_empty() {
                self.ahead = Vec::new();
            }
            return Poll::Ready(Ok(count));
        }
        match self.over.take() {
            None => {
                // What comes from outside may look for its runtime, under whatever executor a receiver runs.
                let _entered = self.home.enter();
                pin!(self.io.read_buf(&mut buffer.limit(limit))).poll(cx)
            }
            Some(Err(error)) => Poll::Ready(Err(error)),
            Some(Ok(())) => {
                self.over = Some(Ok(()));
                Poll::Ready(Ok(0))
            }
        }
    }
}

impl<R: AsyncRead + Send + Unpin + 'static> ReadHalf for Reader<R> {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        self.note(cx);
        self.poll(cx, buffer, limit)
    }

    /// There is no way to ask but to read.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.over.is_some() || !self.ahead.is_empty() {
            return Poll::Ready(self.over.is_some());
        }
        self.note(cx);
        let mut few = [0; AHEAD_BYTES];
        let mut few = ReadBuf::new(&mut few);
        let _entered = self.home.enter();
        match Pin::new(&mut self.io).poll_read(cx, &mut few) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) if few.filled().is_empty() => self.over = Some(Ok(())),
            Poll::Ready(Ok(())) => self.ahead.extend_from_slice(few.filled()),
            Poll::Ready(Err(error)) => self.over = Some(Err(error)),
        }
        Poll::Ready(self.over.is_some())
    }

    #[cfg(unix)]
    fn try_read(&mut self, buffer: &mut Vec<u8>, limit: usize) -> io::Result<usize> {
        // With the waker of who waits, or he would be forgotten for having been asked once more.
        let waker = self.waker.clone();
        let waker = waker.as_ref().unwrap_or(Waker::noop());
        super::at_once(self.poll(&mut Context::from_waker(waker), buffer, limit))
    }

    #[cfg(unix)]
    fn unwatch(&mut self) {}
}

struct Writer<W> {
    output: Mutex<Output<W>>,
    /// There is something to do for `poll_flush`; so that the driver does not take the lock for nothing.
    busy: AtomicBool,
    signal: Arc<Signal>,
    /// The same as a waker.
    waker: Waker,
    home: Home,
    in_flight_bytes: usize,
}

struct Output<W> {
    io: W,
    phase: Phase,
}

/// What `io` still has to do.
///
/// ```text
///             written              shut_down            done
///   Flushed ◀────────▶ Unflushed ──────────▶ Ending ──────────▶ Ended
///      │       done                            ▲     or broken
///      └────────────── shut_down ──────────────┘
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Phase {
    Flushed,
    /// It keeps something back.
    Unflushed,
    /// It was told to end.
    Ending,
    Ended,
}

/// Whom `io` wakes.
struct Signal {
    /// `try_write` is worth a try.
    room: AtomicBool,
    driver: Mutex<Option<Waker>>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.room.store(true, Ordering::Release);
        let driver = self.driver().clone();
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

impl Signal {
    fn driver(&self) -> MutexGuard<'_, Option<Waker>> {
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, cx: &Context<'_>) {
        let mut driver = self.driver();
        if !driver.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *driver = Some(cx.waker().clone());
        }
    }
}

impl<W: AsyncWrite + Send + Unpin + 'static> Writer<W> {
    fn output(&self) -> MutexGuard<'_, Output<W>> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on with what `io` has to do.
    fn turn(&self, output: &mut Output<W>) -> Poll<io::Result<()>> {
        let _entered = self.home.enter();
        let cx = &mut Context::from_waker(&self.waker);
        let done = match output.phase {
            Phase::Flushed | Phase::Ended => return Poll::Ready(Ok(())),
            Phase::Unflushed => Pin::new(&mut output.io).poll_flush(cx),
            Phase::Ending => Pin::new(&mut output.io).poll_shutdown(cx),
        };
        output.phase = match (output.phase, &done) {
            (phase, Poll::Pending) => phase,
            (Phase::Ending, _) | (_, Poll::Ready(Err(_))) => Phase::Ended,
            (_, Poll::Ready(Ok(()))) => Phase::Flushed,
        };
        self.busy.store(done.is_pending(), Ordering::Release);
        done
    }
}

impl<W: AsyncWrite + Send + Unpin + 'static> WriteHalf for Writer<W> {
    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut output = self.output();
        if matches!(output.phase, Phase::Ending | Phase::Ended) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // Before the question: whatever wakes after it says that there is room again.
        self.signal.room.store(false, Ordering::Release);
        let entered = self.home.enter();
        let cx = &mut Context::from_waker(&self.waker);
        let io = Pin::new(&mut output.io);
        let offered: usize = pieces.iter().map(|piece| piece.len()).sum();
        let written = match pieces.iter().find(|piece| !piece.is_empty()) {
            None => return Ok(0),
            Some(_) if io.is_write_vectored() => io.poll_write_vectored(cx, pieces),
            Some(first) => io.poll_write(cx, first),
        };
        drop(entered);
        let written = match written {
            Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(written) => written?,
        };
        self.signal.room.store(true, Ordering::Release);
        if written > offered {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it wrote more than there was"));
        }
        output.phase = Phase::Unflushed;
        match self.turn(&mut output) {
            Poll::Ready(Err(error)) => Err(error),
            _ => Ok(written),
        }
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.signal.note(cx);
        match self.signal.room.load(Ordering::Acquire) {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.signal.note(cx);
        if !self.busy.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        // A failure is seen by who writes or reads next.
        self.turn(&mut self.output()).map(drop)
    }

    fn kernel_bytes(&self) -> usize {
        self.in_flight_bytes
    }

    fn shut_down(&self) -> io::Result<()> {
        let mut output = self.output();
        if output.phase != Phase::Ended {
            output.phase = Phase::Ending;
        }
        match self.turn(&mut output) {
            Poll::Ready(ended) => ended,
            Poll::Pending => Ok(()),
        }
    }

    fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_flush(cx)
    }

    fn forgets(&self) -> bool {
        true
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
