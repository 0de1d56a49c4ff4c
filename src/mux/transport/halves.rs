//! A channel as a connection that sockets can use.

use super::super::{Channel, Code, MuxOptions, RecvStream, SendStream};
use crate::rt::Home;
use crate::transport::{self, Stream, foreign};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;

/// What reads and writes on a channel that was just opened or accepted; `None` if it is over already.
pub(super) fn stream_of(channel: Channel, home: &Home) -> Option<Stream> {
    let output = Output { stream: SendStream::first(&channel)?, delivered: false };
    let ends = channel.connection().ends();
    let bytes = in_flight_bytes(&channel.wire().options);
    let connection =
        transport::Connection::of_halves(RecvStream::first(channel), output).in_flight_bytes(bytes);
    let stream = foreign::stream_of(connection, home);
    Some(match ends {
        Some(ends) => Stream { ends, ..stream },
        None => stream,
    })
}

/// What of a channel may be lost when its connection is cut: the peer's window and our queue. Its window is taken for
/// as large as ours, or as usual: nobody tells how large it gets.
fn in_flight_bytes(ours: &MuxOptions) -> usize {
    let window = ours.max_window.max(MuxOptions::default().max_window).saturating_add(ours.window.into());
    usize::try_from(window).unwrap_or(usize::MAX).saturating_add(ours.send_bytes)
}

/// Writes; it has ended when the peer has everything in its queue, so that no end of the connection below
/// takes anything of it away.
struct Output {
    stream: SendStream,
    /// It has ended.
    delivered: bool,
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.delivered {
            // Given up, and told so. The connection need not stay for it while a peer does not read.
            self.stream.channel().reset(Code::DROPPED, "");
        }
    }
}

impl AsyncWrite for Output {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _always_ready = Pin::new(&mut self.stream).poll_shutdown(cx);
        let channel = self.stream.channel();
        channel.finish();
        // Where the peer takes nothing more, there is nothing to wait for either.
        let flushed = channel.poll_flush(cx).map(|_delivered_or_lost| Ok(()));
        self.delivered = flushed.is_ready();
        flushed
    }
}
