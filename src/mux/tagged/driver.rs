//! The task of a tagged connection: the only one that reads and writes.

use super::shared::Shared;
use crate::rt::Patience;
use bytes::{BufMut, Bytes, BytesMut};
use spanwire_core::mux::tagged::End;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// ```text
///  Open ── close, all handles dropped ──▶ Draining ── all flushed ──▶ Shutting ── shut down ──▶ Waiting
///    │                                       └──────────┬──────────────────┴────────────────────────┘
///    └── failed, cut, too large ──▶ Over ◀── the peer's end while Waiting, deadline, failed
/// ```
///
/// What comes is read to the peer's end before the connection is dropped, as a kernel that is left with
/// unread bytes tells the peer to throw away what it has not read either.
pub(super) struct Driver<T> {
    io: Pin<Box<T>>,
    shared: Arc<Shared>,
    phase: Phase,
    buffer: BytesMut,
    /// How much is read at once.
    read_bytes: usize,
    /// What is written at once.
    pieces: Vec<Bytes>,
    /// The peer sends no more.
    peer_is_over: bool,
    needs_flush: bool,
    /// Until the connection is over in any case, and how long that was meant to be.
    patience: Option<(Duration, Patience)>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Draining,
    Shutting,
    Waiting,
    Over,
}

/// An idle connection has a buffer of this size; while much comes, it grows to the other one.
const MIN_READ_BYTES: usize = 4 * 1024;
const MAX_READ_BYTES: usize = 64 * 1024;

/// Pieces of one system call.
const MAX_PIECES: usize = 32;

/// Reads and writes before other tasks have their turn.
const ROUNDS: usize = 16;

impl<T: AsyncRead + AsyncWrite + Send + 'static> Driver<T> {
    pub(super) fn new(io: T, shared: Arc<Shared>) -> Self {
        Self {
            io: Box::pin(io),
            shared,
            phase: Phase::Open,
            buffer: BytesMut::new(),
            read_bytes: MIN_READ_BYTES,
            pieces: Vec::new(),
            peer_is_over: false,
            needs_flush: false,
            patience: None,
        }
    }

    pub(super) async fn run(mut self) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // First of all, so that whatever is done from now on wakes this task again.
        let closing = self.shared.visit(|state, _, _| {
            state.driver = Some(cx.waker().clone());
            state.closing
        });
        if let Some(span) = closing {
            if self.phase == Phase::Open {
                self.phase = Phase::Draining;
            }
            if self.patience.as_ref().is_none_or(|(former, _)| span < *former) {
                self.patience = Some((span, Patience::new(Some(span))));
            }
            let patience = self.patience.as_mut().map(|(_, patience)| patience).expect("there is one now");
            if patience.poll(&self.shared.home, cx).is_ready() {
                return self.over(End::Closed);
            }
        }
        for _ in 0..ROUNDS {
            // Both are asked each time, so that both know whom to wake.
            let (wrote, read) = match (self.write(cx), self.read(cx)) {
                (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => return self.failed(error),
                (wrote, read) => (wrote.is_ready(), read.is_ready()),
            };
            match self.shared.visit(|state, _, _| state.tagged.end()) {
                Some(end @ (End::Cut | End::TooLarge(_))) => return self.over(end),
                _ if self.phase == Phase::Waiting && self.peer_is_over => return self.over(End::Closed),
                _ if !wrote && !read => return Poll::Pending,
                _ => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ready when something was done, and there may be more to do.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let pieces = &mut self.pieces;
        let (written, is_awaited) = self.shared.visit(|state, _, _| {
            pieces.extend(state.outgoing.pieces().take(MAX_PIECES).cloned());
            // Whoever waits for a flush does not wait for what others send meanwhile.
            (state.written, state.flushed < state.flush_target && state.flush_target <= state.written)
        });
        if is_awaited {
            self.pieces.clear();
        }
        if !self.pieces.is_empty() {
            let slices: Vec<_> = self.pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let wrote = self.io.as_mut().poll_write_vectored(cx, &slices);
            self.pieces.clear();
            let bytes = match ready!(wrote)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => bytes,
            };
            self.needs_flush = true;
            self.shared.visit(|state, _, wakes| {
                let whole = state.outgoing.written(bytes);
                state.written += whole as u64;
                wakes.room();
            });
            return Poll::Ready(Ok(()));
        }
        if self.needs_flush || is_awaited {
            ready!(self.io.as_mut().poll_flush(cx))?;
            self.needs_flush = false;
            self.shared.visit(|state, _, wakes| {
                state.flushed = written;
                wakes.progress();
            });
            return Poll::Ready(Ok(()));
        }
        match self.phase {
            // Nothing is taken any more: what is written is all there was.
            Phase::Draining => self.phase = Phase::Shutting,
            Phase::Shutting => {
                ready!(self.io.as_mut().poll_shutdown(cx))?;
                self.phase = Phase::Waiting;
            }
            Phase::Open | Phase::Waiting | Phase::Over => return Poll::Pending,
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when something was read, and there may be more to read.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.peer_is_over {
            return Poll::Pending;
        }
        if self.phase != Phase::Open {
            self.buffer.clear();
            self.buffer.reserve(MIN_READ_BYTES);
            self.peer_is_over = ready!(pin!(self.io.read_buf(&mut self.buffer)).poll(cx))? == 0;
            return Poll::Ready(Ok(()));
        }
        let (wants, direct) =
            self.shared.visit(|state, _, _| (state.tagged.wants_bytes(), state.tagged.take_direct()));
        if !wants {
            return Poll::Pending;
        }
        let read = if let Some((mut data, missing)) = direct {
            let read = pin!(self.io.read_buf(&mut (&mut data).limit(missing))).poll(cx);
            self.shared.visit(|state, effects, _| state.tagged.give_direct(data, effects));
            ready!(read)?
        } else {
            if self.buffer.capacity() < self.read_bytes / 2 {
                self.buffer.reserve(self.read_bytes);
            }
            let read = ready!(pin!(self.io.read_buf(&mut self.buffer)).poll(cx))?;
            if read >= self.read_bytes / 2 {
                self.read_bytes = (self.read_bytes * 2).min(MAX_READ_BYTES);
            } else if read < self.read_bytes / 8 {
                self.read_bytes = (self.read_bytes / 2).max(MIN_READ_BYTES);
            }
            let bytes = self.buffer.split().freeze();
            // It may have been closed meanwhile.
            self.shared.visit(|state, effects, _| {
                if state.tagged.wants_bytes() {
                    state.tagged.feed(bytes, effects);
                }
            });
            read
        };
        if read == 0 {
            self.peer_is_over = true;
            self.shared.visit(|state, effects, _| state.tagged.over(effects));
        }
        Poll::Ready(Ok(()))
    }

    fn failed(&mut self, error: io::Error) -> Poll<()> {
        self.shared.visit(|state, _, _| state.cause = Some(Arc::new(error)));
        self.over(End::Network)
    }
}

impl<T> Driver<T> {
    fn over(&mut self, end: End) -> Poll<()> {
        self.phase = Phase::Over;
        self.shared.visit(|state, effects, wakes| state.end(end, effects, wakes));
        Poll::Ready(())
    }
}

impl<T> Drop for Driver<T> {
    fn drop(&mut self) {
        if self.phase != Phase::Over {
            self.shared.home.is_going();
            let _ = self.over(End::RuntimeGone);
        }
    }
}
