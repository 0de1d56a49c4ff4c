//! [`SendStream`] and [`RecvStream`]: messages of any length, in bounded memory.

use super::conn::{Conn, wait_for_room};
use super::wire::For;
use super::{RecvError, StreamError};
use bytes::Bytes;
use spanwire_core::link::Parcel;
use spanwire_core::link::gather::Piece;
use spanwire_core::link::machine::NotSent;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

impl Conn {
    /// Begins a message of any length: it is sent as it is written, between all others, and neither side
    /// ever holds more of it than a window. `head` says what it is; a body in it is its first piece.
    ///
    /// Waits while as many are on their way as the peer takes at once.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub async fn send_stream(&self, head: impl Into<Parcel>) -> Result<SendStream, StreamError> {
        let mut head = head.into();
        let transfer = poll_fn(|cx| {
            self.wire().visit(|state| {
                let opened = state.link.open_stream(&head);
                wait_for_room(state, opened, Some(cx))
            })
        });
        let transfer = transfer.await.map_err(|error| match error {
            NotSent::TooLarge { .. } => StreamError::NotTaken,
            NotSent::Full | NotSent::Over => StreamError::Closed(self.wire().lock().end()),
        })?;
        let mut stream = SendStream { conn: self.clone(), transfer, ended: false };
        let first = std::mem::take(&mut head.body);
        stream.write_chunk(first).await?;
        Ok(stream)
    }

    /// Receives the beginning of the next streamed message.
    ///
    /// Cancel-safe. Streams that nobody takes hold a window each, and keep the peer from sending others.
    ///
    /// # Errors
    /// [`RecvError::Closed`] once the connection is over.
    pub async fn recv_stream(&self) -> Result<RecvStream, RecvError> {
        let (transfer, head) =
            poll_fn(|cx| self.poll_take(For::Stream, Some(cx), |state| state.link.recv_stream())).await?;
        Ok(RecvStream { conn: self.clone(), transfer, head, done: None })
    }

    /// [`recv_stream`](Self::recv_stream), no longer than this.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`], too.
    pub async fn recv_stream_timeout(&self, timeout: Duration) -> Result<RecvStream, RecvError> {
        self.within(Some(timeout), self.recv_stream()).await.unwrap_or(Err(RecvError::TimedOut))
    }
}

/// A message that is being sent in pieces. Dropped before [`finish`](Self::finish), it is given up, and the
/// peer is told so.
#[derive(Debug)]
pub struct SendStream {
    conn: Conn,
    transfer: u32,
    ended: bool,
}

impl SendStream {
    /// Writes the next bytes; waits for room. The pieces that the peer reads may be others.
    ///
    /// Dropped before it is done, a part of the bytes may have been sent: give the stream up then.
    ///
    /// # Errors
    /// See [`StreamError`]: the peer wants no more of it, or the connection is over.
    pub async fn write_chunk(&mut self, data: impl Into<Bytes>) -> Result<(), StreamError> {
        let mut data = data.into();
        while !data.is_empty() {
            let written = poll_fn(|cx| {
                self.conn.wire().visit(|state| {
                    let written = state.link.write_stream(self.transfer, &mut data);
                    wait_for_room(state, written, Some(cx))
                })
            });
            if written.await.is_err() {
                return Err(match self.conn.end() {
                    Some(end) => StreamError::Closed(end),
                    None => StreamError::Stopped,
                });
            }
        }
        Ok(())
    }

    /// [`write_chunk`](Self::write_chunk), no longer than this.
    ///
    /// # Errors
    /// [`StreamError::TimedOut`], too; a part may have been sent then.
    pub async fn write_chunk_timeout(
        &mut self,
        data: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<(), StreamError> {
        let conn = self.conn.clone();
        conn.within(Some(timeout), self.write_chunk(data)).await.unwrap_or(Err(StreamError::TimedOut))
    }

    /// All was written: waits until the peer's program has had all of it, or wants no more.
    ///
    /// # Errors
    /// The connection ended first.
    pub async fn finish(mut self) -> Result<(), StreamError> {
        self.end(true);
        poll_fn(|cx| {
            let mut state = self.conn.wire().lock();
            if state.link.stream_stopped(self.transfer) {
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = state.link.end() {
                return Poll::Ready(Err(StreamError::Closed(end.clone())));
            }
            state.wait(For::Room, cx);
            Poll::Pending
        })
        .await
    }

    fn end(&mut self, whole: bool) {
        if !std::mem::replace(&mut self.ended, true) {
            self.conn.wire().visit(|state| state.link.end_stream(self.transfer, whole));
        }
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        self.end(false);
    }
}

/// A message that comes in pieces. Dropped before its end, the peer is told to send no more of it.
#[derive(Debug)]
pub struct RecvStream {
    conn: Conn,
    transfer: u32,
    head: Parcel,
    /// How it ended.
    done: Option<Result<(), StreamError>>,
}

impl RecvStream {
    /// Which message of which protocol it is; its body is empty.
    pub fn head(&self) -> &Parcel {
        &self.head
    }

    /// The next piece, `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// The sender gave it up, or the connection ended before the message did.
    pub async fn read_chunk(&mut self) -> Result<Option<Bytes>, StreamError> {
        poll_fn(|cx| {
            if let Some(done) = &self.done {
                return Poll::Ready(done.clone().map(|()| None));
            }
            let piece = self.conn.wire().visit(|state| {
                let piece = state.link.read_stream(self.transfer);
                if piece == Piece::Nothing {
                    state.wait(For::Stream, cx);
                }
                piece
            });
            match piece {
                Piece::Data(data) => Poll::Ready(Ok(Some(data))),
                Piece::Nothing => Poll::Pending,
                Piece::End => Poll::Ready(self.finish(Ok(()))),
                Piece::Aborted => {
                    let why = self.conn.end().map_or(StreamError::Aborted, StreamError::Closed);
                    Poll::Ready(self.finish(Err(why)))
                }
            }
        })
        .await
    }

    /// [`read_chunk`](Self::read_chunk), no longer than this.
    ///
    /// # Errors
    /// [`StreamError::TimedOut`], too.
    pub async fn read_chunk_timeout(&mut self, timeout: Duration) -> Result<Option<Bytes>, StreamError> {
        let conn = self.conn.clone();
        conn.within(Some(timeout), self.read_chunk()).await.unwrap_or(Err(StreamError::TimedOut))
    }

    fn finish(&mut self, how: Result<(), StreamError>) -> Result<Option<Bytes>, StreamError> {
        self.conn.wire().visit(|state| state.link.drop_stream(self.transfer));
        self.done = Some(how.clone());
        how.map(|()| None)
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        if self.done.is_none() {
            self.conn.wire().visit(|state| state.link.drop_stream(self.transfer));
        }
    }
}
