//! [`Incoming`]: the reading half.

use super::halves::{Left, Secured, failed};
use super::machine::{Machine, Sealing, Step};
use crate::tls::TlsError;
use crate::transport::ReadHalf;
use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

/// What the lock guards.
pub(super) struct Session {
    machine: Machine,
    /// What the peer has sent of a record that is not whole, or of a handshake message in many records.
    rest: Vec<u8>,
    /// What rustls wants to be sent, in order: it goes before anything that is sealed later.
    pub(super) replies: Vec<u8>,
    /// What was decrypted and had no room in the caller's buffer; read up to `plain_at`.
    plain: Vec<u8>,
    plain_at: usize,
    /// How it ended.
    end: Option<End>,
    /// Sealed bytes since there was anything to read in them.
    fruitless: usize,
}

#[derive(Clone)]
enum End {
    /// As it should (close_notify).
    Closed,
    Failed(TlsError),
}

/// So much is read at a time at most; less where less is asked for.
const READ_BYTES: usize = 128 * 1024;
/// What fits into one read less, however little is asked for.
const LEAST_READ_BYTES: usize = 4 * 1024;
/// Reads in a row in which there may be nothing to read; then others have their turn.
const READS: usize = 8;
/// A peer may send so much in a row in which there is nothing to read: new keys, tickets, padding, pieces of a
/// handshake message.
const MAX_FRUITLESS_BYTES: usize = 1024 * 1024;
/// The same of what has to be kept, until the message is whole: 64 KiB, each piece in a record of its own.
const MAX_REST_BYTES: usize = 256 * 1024;

thread_local! {
    /// What this thread reads sealed bytes into.
    static SEALED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Session {
    pub(super) fn new(machine: Machine, left: Left) -> Self {
        Self {
            machine,
            rest: left.sealed,
            replies: Vec::new(),
            plain: left.plain,
            plain_at: 0,
            end: left.closed.then_some(End::Closed),
            fruitless: 0,
        }
    }

    /// What was decrypted before, at most `limit` bytes; or the end. `None`: the kernel has to be asked.
    fn take(&mut self, buffer: &mut Vec<u8>, limit: usize) -> Option<io::Result<usize>> {
        let left = &self.plain[self.plain_at..];
        if !left.is_empty() {
            let count = left.len().min(limit);
            buffer.extend_from_slice(&left[..count]);
            self.plain_at += count;
            if self.plain_at == self.plain.len() {
                (self.plain, self.plain_at) = (Vec::new(), 0);
            }
            return Some(Ok(count));
        }
        match &self.end {
            Some(End::Closed) => Some(Ok(0)),
            Some(End::Failed(error)) => Some(Err(failed(error.clone()))),
            None => None,
        }
    }

    fn is_inside(&self) -> bool {
        self.plain_at < self.plain.len() || self.end.is_some()
    }

    /// Opens the records in `sealed`: at most `limit` bytes into `buffer`, what is more is kept. What is left of the
    /// last record is kept, too.
    fn open(&mut self, sealed: &mut [u8], buffer: &mut Vec<u8>, limit: usize) {
        let full = buffer.len() + limit;
        let before = buffer.len();
        let mut at = 0;
        let end = loop {
            let Self { machine, plain, replies, .. } = self;
            let take = |bytes: &[u8]| {
                let (now, later) = bytes.split_at(bytes.len().min(full - buffer.len()));
                buffer.extend_from_slice(now);
                plain.extend_from_slice(later);
            };
            let (done, step) = machine.step(&mut sealed[at..], take, replies);
            at += done;
            match step {
                Ok(Step::More) => {}
                Ok(Step::Rest) => break None,
                Ok(Step::Closed) => break Some(End::Closed),
                Err(error) => {
                    machine.last_words(replies);
                    break Some(End::Failed(error));
                }
            }
        };
        self.fruitless = if buffer.len() > before { 0 } else { self.fruitless + at };
        let rest = &sealed[at..];
        self.end = match end {
            None if rest.len() > MAX_REST_BYTES => Some(End::Failed(TlsError::TooLarge)),
            None if self.fruitless > MAX_FRUITLESS_BYTES => {
                Some(End::Failed(TlsError::Protocol { why: "it sends nothing but overhead".into() }))
            }
            end => end,
        };
        self.rest.clear();
        match rest.is_empty() || self.end.is_some() {
            true => self.rest = Vec::new(),
            false => self.rest.extend_from_slice(rest),
        }
    }

    /// Adds `plain` to `sealed` in records.
    pub(super) fn seal(&mut self, plain: &[u8], sealed: &mut Sealing<'_>) -> Result<(), TlsError> {
        self.write(|machine, rest| machine.seal(rest, plain, sealed))
    }

    /// Adds to `sealed` that nothing more will come.
    pub(super) fn close(&mut self, sealed: &mut Sealing<'_>) -> Result<(), TlsError> {
        self.write(|machine, rest| machine.close(rest, sealed))
    }

    /// A machine that has failed must not be asked again.
    fn write(
        &mut self,
        write: impl FnOnce(&mut Machine, &mut [u8]) -> Result<(), TlsError>,
    ) -> Result<(), TlsError> {
        if let Some(End::Failed(error)) = &self.end {
            return Err(error.clone());
        }
        let result = write(&mut self.machine, &mut self.rest);
        if let Err(error) = &result {
            self.end = Some(End::Failed(error.clone()));
        }
        result
    }

    /// The connection below has ended.
    fn ended(&mut self) -> io::Result<usize> {
        // Many peers end without close_notify. Somebody in the middle could do so, too, but not within a frame
        // unnoticed; and between two of them it is the same as if he had cut the wire.
        let whole = self.rest.is_empty();
        self.rest = Vec::new();
        match whole {
            true => Ok(0),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Reads and opens what the peer sends.
pub(super) struct Incoming {
    inner: Box<dyn ReadHalf>,
    secured: Arc<Secured>,
    /// The session has the rest of a record.
    has_rest: bool,
}

impl Incoming {
    pub(super) fn new(inner: Box<dyn ReadHalf>, secured: Arc<Secured>, has_rest: bool) -> Self {
        Self { inner, secured, has_rest }
    }

    /// What is there already.
    fn take(&self, buffer: &mut Vec<u8>, limit: usize) -> Option<io::Result<usize>> {
        if !self.secured.inside.load(Ordering::Relaxed) {
            return None;
        }
        let mut session = self.secured.session();
        let taken = session.take(buffer, limit);
        self.secured.inside.store(session.is_inside(), Ordering::Relaxed);
        taken
    }

    /// Reads once from below, by way of `read`, and opens what that brought. Ready with 0 at the end only; `None`
    /// means that there was nothing to read in it.
    fn fill(
        &mut self,
        buffer: &mut Vec<u8>,
        limit: usize,
        read: impl FnOnce(&mut dyn ReadHalf, &mut Vec<u8>, usize) -> Poll<io::Result<usize>>,
    ) -> Poll<Option<io::Result<usize>>> {
        SEALED.with_borrow_mut(|sealed| {
            sealed.clear();
            if self.has_rest {
                sealed.extend_from_slice(&self.secured.session().rest);
            }
            // A little more than what is asked for, as records are a little larger than what is in them.
            let wanted = (limit + limit / 256).clamp(LEAST_READ_BYTES, READ_BYTES);
            sealed.reserve(wanted);
            let count = match ready!(read(&mut *self.inner, sealed, wanted)) {
                Ok(0) => {
                    self.has_rest = false;
                    return Poll::Ready(Some(self.secured.session().ended()));
                }
                Ok(count) => count,
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            debug_assert!(count <= sealed.len());
            let before = buffer.len();
            let mut session = self.secured.session();
            session.open(sealed, buffer, limit);
            self.has_rest = !session.rest.is_empty();
            let to_say = !session.replies.is_empty();
            self.secured.inside.store(session.is_inside(), Ordering::Relaxed);
            drop(session);
            if to_say {
                self.secured.send_replies();
            }
            // Only a peer whose handshake messages come in many pieces makes it larger.
            sealed.shrink_to(2 * READ_BYTES);
            match buffer.len() - before {
                0 => Poll::Ready(None),
                count => Poll::Ready(Some(Ok(count))),
            }
        })
    }
}

impl ReadHalf for Incoming {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        for _ in 0..READS {
            if let Some(taken) = self.take(buffer, limit) {
                return Poll::Ready(taken);
            }
            let filled =
                self.fill(buffer, limit, |inner, sealed, wanted| inner.poll_read(cx, sealed, wanted));
            if let Some(result) = ready!(filled) {
                return Poll::Ready(result);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if !self.secured.inside.load(Ordering::Relaxed) {
            return self.inner.poll_end(cx);
        }
        let session = self.secured.session();
        Poll::Ready(session.plain_at == session.plain.len() && session.end.is_some())
    }

    #[cfg(unix)]
    fn try_read(&mut self, buffer: &mut Vec<u8>, limit: usize) -> io::Result<usize> {
        for _ in 0..READS {
            if let Some(taken) = self.take(buffer, limit) {
                return taken;
            }
            let filled =
                self.fill(buffer, limit, |inner, sealed, wanted| Poll::Ready(inner.try_read(sealed, wanted)));
            if let Poll::Ready(Some(result)) = filled {
                return result;
            }
        }
        // There may be more, but others come first.
        Err(io::ErrorKind::Interrupted.into())
    }

    #[cfg(unix)]
    fn unwatch(&mut self) {
        self.inner.unwatch();
    }
}
