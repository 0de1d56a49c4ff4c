//! The two halves of a secured connection, around those of the connection that it runs over.
//!
//! ```text
//!            Incoming (its own)                 Session, under a lock                Outgoing, one writer
//!  kernel ─▶ this thread's buffer ── decrypted where it lies ─▶ caller's buffer
//!            rest of a record ◀──┘            Machine             └─▶ what it has no room for
//!                                                │
//!  caller's pieces ── sealed into this thread's buffer ─▶ kernel ── what it does not take ─▶ Held
//! ```
//!
//! An idle connection has no buffers: those that are large belong to the thread, as in `session/reading`. The
//! lock of the session is held while records are opened or sealed, never during a system call.

use super::incoming::{Incoming, Session};
use super::machine::Machine;
use super::outgoing::Held;
use crate::tls::TlsError;
use crate::transport::{Stream, TlsPeer, WriteHalf};
use std::io::{self, IoSlice};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
#[cfg(unix)]
use std::time::Duration;

/// What both halves share.
pub(super) struct Secured {
    /// What it runs over.
    pub(super) inner: Arc<dyn WriteHalf>,
    session: Mutex<Session>,
    held: Mutex<Held>,
    /// There is something to read that the kernel knows nothing of.
    pub(super) inside: AtomicBool,
}

/// What a handshake leaves over.
pub(super) struct Left {
    /// Sealed bytes of a record that is not whole.
    pub(super) sealed: Vec<u8>,
    /// What came behind the handshake.
    pub(super) plain: Vec<u8>,
    /// The peer has ended already.
    pub(super) closed: bool,
}

/// Puts the halves of `machine` around those of `stream`.
pub(super) fn join(stream: Stream, machine: Machine, left: Left, peer: Arc<TlsPeer>) -> Stream {
    let inside = AtomicBool::new(!left.plain.is_empty() || left.closed);
    let has_rest = !left.sealed.is_empty();
    let secured = Arc::new(Secured {
        inner: stream.writer,
        session: Mutex::new(Session::new(machine, left)),
        held: Mutex::default(),
        inside,
    });
    let mut ends = stream.ends;
    ends.tls = Some(peer);
    let reader = Box::new(Incoming::new(stream.reader, secured.clone(), has_rest));
    Stream { reader, writer: secured, framing: stream.framing, agreed: stream.agreed, ends }
}

impl Secured {
    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what reading has left to say, if nobody else writes at the moment, and as far as it goes now. Whoever
    /// writes next sends it, too.
    pub(super) fn send_replies(&self) {
        if let Ok(mut held) = self.held.try_lock() {
            held.add_replies(&mut self.session());
            // The reader learns of a broken connection by itself.
            let _ = held.flush(&*self.inner);
        }
    }
}

impl WriteHalf for Secured {
    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.write(self, pieces)
    }

    fn held_bytes(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).plain_bytes()
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_writable(cx)
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.poll_flush(cx)
    }

    fn unwatch(&self) {
        self.inner.unwatch();
    }

    fn kernel_bytes(&self) -> usize {
        self.inner.kernel_bytes()
    }

    fn shut_down(&self) -> io::Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // A kernel that takes no more, or a session that is broken already: then the peer learns of the end by
        // that of the connection below, at which a frame ends.
        let _ = held.close(self);
        self.inner.shut_down()
    }

    fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.poll_settled(cx)
    }

    #[cfg(unix)]
    fn threads_may_wait(&self) -> bool {
        self.inner.threads_may_wait()
    }

    #[cfg(unix)]
    fn wait_readable(&self, alarm: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
        if self.inside.load(Ordering::Relaxed) {
            return Ok(true);
        }
        self.inner.wait_readable(alarm, timeout)
    }
}

/// A peer that has ended first, or is left alone, hears of it.
impl Drop for Secured {
    fn drop(&mut self) {
        let _ = self.held.lock().unwrap_or_else(PoisonError::into_inner).close(self);
    }
}

/// What a half that has failed returns: the cause is inside.
pub(super) fn failed(error: TlsError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
