//! Messages of any length, in bounded memory: [`SendStream`] and [`RecvStream`].

use super::channel::{Channel, wait_for_room};
use super::wire::On;
use super::{RecvError, StreamError};
use bytes::{Buf, Bytes};
use spanwire_core::mux::stream::{NotSent, Take};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A message that is sent piece by piece. Dropped before it is [finished](Self::finish), its receiver learns
/// that it is not whole.
///
/// As [`AsyncWrite`]: `shutdown` finishes it, and `flush` has nothing to do, as nothing is kept back.
#[derive(Debug)]
pub struct SendStream {
    channel: Channel,
    ended: bool,
}

/// What a write takes at once.
const PIECE_BYTES: usize = 64 * 1024;

impl SendStream {
    pub(super) fn new(channel: Channel) -> Self {
        Self { channel, ended: false }
    }

    /// Begins one at once, on a channel on which nothing was sent yet; `None` if it is over already.
    pub(super) fn first(channel: &Channel) -> Option<Self> {
        let begun = channel.wire().visit(|state| state.mux.begin_stream(channel.at()));
        begun.ok().map(|()| Self::new(channel.clone()))
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Sends more of it; waits for room if there is none. Cancel-safe.
    ///
    /// # Errors
    /// [`StreamError::Stopped`], [`StreamError::Closed`].
    pub async fn write_chunk(&mut self, bytes: impl Into<Bytes>) -> Result<(), StreamError> {
        let mut bytes = bytes.into();
        poll_fn(|cx| self.poll_piece(cx, &mut bytes)).await.map_err(|not| self.channel.stream_error(not))
    }

    fn poll_piece(&self, cx: &mut Context<'_>, bytes: &mut Bytes) -> Poll<Result<(), NotSent>> {
        let at = self.channel.at();
        self.channel.wire().visit(|state| match state.mux.send_piece(at, std::mem::take(bytes)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err((not, back)) => {
                *bytes = back;
                wait_for_room(state, at, not, Some(cx))
            }
        })
    }

    /// It is whole. Returns at once.
    pub fn finish(mut self) {
        self.end(true);
    }

    fn end(&mut self, whole: bool) {
        if !std::mem::replace(&mut self.ended, true) {
            self.channel.wire().visit(|state| state.mux.end_stream(self.channel.at(), whole));
        }
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        self.end(false);
    }
}

impl AsyncWrite for SendStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(PIECE_BYTES);
        self.poll_write_piece(cx, Bytes::copy_from_slice(&bytes[..count]))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut joined =
            Vec::with_capacity(pieces.iter().map(|piece| piece.len()).sum::<usize>().min(PIECE_BYTES));
        for piece in pieces {
            let room = PIECE_BYTES - joined.len();
            joined.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        self.poll_write_piece(cx, joined.into())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end(true);
        Poll::Ready(Ok(()))
    }
}

impl SendStream {
    fn poll_write_piece(&self, cx: &mut Context<'_>, mut piece: Bytes) -> Poll<io::Result<usize>> {
        let count = piece.len();
        let sent = ready!(self.poll_piece(cx, &mut piece));
        Poll::Ready(match sent {
            Ok(()) => Ok(count),
            Err(not) => Err(self.channel.stream_error(not).into()),
        })
    }
}

/// A message that is taken piece by piece. What is not read before it is dropped is skipped by the next receive.
///
/// As [`AsyncRead`] it ends where the message does.
#[derive(Debug)]
pub struct RecvStream {
    channel: Channel,
    /// Taken, and not read yet.
    ahead: Bytes,
    ended: bool,
}

impl RecvStream {
    /// The first message of a channel, of which nothing need have come.
    pub(super) fn first(channel: Channel) -> Self {
        Self { channel, ahead: Bytes::new(), ended: false }
    }

    pub(super) async fn begin(channel: Channel) -> Result<Self, RecvError> {
        let at = channel.at();
        let (ahead, ended) = poll_fn(|cx| {
            channel.wire().visit(|state| {
                loop {
                    return match state.mux.take_piece(at) {
                        Take::Piece(bytes) => Poll::Ready(Ok((bytes, false))),
                        Take::End => Poll::Ready(Ok((Bytes::new(), true))),
                        // It was given up before anybody had anything of it.
                        Take::Aborted => continue,
                        Take::Finished => Poll::Ready(Err(match state.mux.channel_end(at) {
                            Some(end) => RecvError::Closed(end.clone()),
                            None => RecvError::Finished,
                        })),
                        Take::Nothing | Take::Message(_) | Take::TooLarge => {
                            state.wait_on(at, On::Read, cx);
                            Poll::Pending
                        }
                    };
                }
            })
        })
        .await?;
        Ok(Self { channel, ahead, ended })
    }

    /// The next bytes; `None` when that was all. Cancel-safe.
    ///
    /// # Errors
    /// [`StreamError::Aborted`], [`StreamError::Closed`].
    pub async fn read_chunk(&mut self) -> Result<Option<Bytes>, StreamError> {
        poll_fn(|cx| self.poll_ahead(cx)).await?;
        let bytes = std::mem::take(&mut self.ahead);
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    /// Ready when there is something ahead, or that was all.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        if !self.ahead.is_empty() || self.ended {
            return Poll::Ready(Ok(()));
        }
        let at = self.channel.at();
        let (ahead, ended) = (&mut self.ahead, &mut self.ended);
        self.channel.wire().visit_to_take(|state| match state.mux.take_piece(at) {
            Take::Piece(bytes) => {
                *ahead = bytes;
                Poll::Ready(Ok(()))
            }
            Take::End => {
                *ended = true;
                Poll::Ready(Ok(()))
            }
            Take::Aborted => {
                *ended = true;
                Poll::Ready(Err(StreamError::Aborted))
            }
            Take::Finished => {
                *ended = true;
                Poll::Ready(Err(match state.mux.channel_end(at) {
                    Some(end) => StreamError::Closed(end.clone()),
                    None => StreamError::Aborted,
                }))
            }
            Take::Nothing | Take::Message(_) | Take::TooLarge => {
                state.wait_on(at, On::Read, cx);
                Poll::Pending
            }
        })
    }
}

impl AsyncRead for RecvStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_ahead(cx))?;
        let count = buffer.remaining().min(self.ahead.len());
        buffer.put_slice(&self.ahead[..count]);
        self.ahead.advance(count);
        Poll::Ready(Ok(()))
    }
}
