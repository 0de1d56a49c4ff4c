//! [`Line`]: a connection with its one stream, as something that reads and writes, and how it ends.

use super::error::failure;
use super::{in_flight_bytes, plain};
use crate::options::QuicOptions;
use crate::rt::Home;
use crate::rt::quic::Parting;
use crate::transport::adapted::{read_half, write_half};
use crate::transport::tls::peer::names;
use crate::transport::{Ends, Place, Stream, TlsPeer};
use quinn::crypto::rustls::HandshakeData;
use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt};
use rustls::pki_types::CertificateDer;
use spanwire_core::framing::sp::Framing;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The code of a connection that ends after all that was to be said has arrived.
const DONE: VarInt = VarInt::from_u32(0);
/// The code of one that was cut.
const CUT: VarInt = VarInt::from_u32(1);

/// A connection in the hands of one pipe. When it is dropped, the peer is told.
struct Line {
    connection: Connection,
    parting: Arc<Parting>,
    /// Either the peer has all that we wrote, or we have all that it wrote.
    done: AtomicBool,
}

impl Drop for Line {
    fn drop(&mut self) {
        let code = if self.done.load(Ordering::Acquire) { DONE } else { CUT };
        self.connection.close(code, b"");
        self.parting.part();
    }
}

impl Line {
    /// The peer has ended the connection, and says that it was over.
    fn is_over(&self) -> bool {
        matches!(
            self.connection.close_reason(),
            Some(ConnectionError::ApplicationClosed(close)) if close.error_code == DONE
        )
    }

    /// A reading error, with what is known of it inside: a dialer of TLS 1.3 may learn only now that it was
    /// turned away.
    fn failed(&self, error: io::Error) -> io::Error {
        match self.connection.close_reason() {
            Some(why) => io::Error::new(error.kind(), failure(why)),
            None => error,
        }
    }
}

/// Makes a pipe's stream of a connection.
pub(super) fn stream(
    connection: Connection,
    (send, recv): (SendStream, RecvStream),
    parting: Arc<Parting>,
    local: SocketAddr,
    options: &QuicOptions,
    home: &Home,
) -> Stream {
    let ends = Ends {
        local: Place::Ip(plain(local)),
        remote: Place::Ip(plain(connection.remote_address())),
        credentials: None,
        tls: Some(Arc::new(tls_peer(&connection))),
    };
    parting.is_of(&connection);
    let line = Arc::new(Line { connection, parting, done: AtomicBool::new(false) });
    let reader = Incoming { recv, line: line.clone() };
    let writer = Outgoing { send, line, end: End::Open };
    Stream {
        reader: read_half(reader, home),
        writer: write_half(writer, home, in_flight_bytes(options)),
        framing: Framing::Tcp,
        agreed: false,
        ends,
    }
}

/// How it is secured. quinn tells neither cipher nor key exchange.
fn tls_peer(connection: &Connection) -> TlsPeer {
    let identity = connection.peer_identity().and_then(|any| any.downcast::<Vec<CertificateDer<'_>>>().ok());
    let certificates = identity.map_or_else(Vec::new, |chain| *chain);
    let data = connection.handshake_data().and_then(|any| any.downcast::<HandshakeData>().ok());
    TlsPeer {
        // There is no other in QUIC (RFC 9001 4.2).
        version: "TLSv1.3".into(),
        server_name: data.and_then(|data| data.server_name),
        names: names(&certificates),
        certificates: certificates.iter().map(|certificate| certificate.to_vec()).collect(),
        ..TlsPeer::default()
    }
}

/// What the peer writes.
struct Incoming {
    recv: RecvStream,
    line: Arc<Line>,
}

impl AsyncRead for Incoming {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let over = match ready!(AsyncRead::poll_read(Pin::new(&mut self.recv), cx, buf)) {
            Ok(()) => buf.filled().len() == before && buf.remaining() > 0,
            // It has ended after our end, and did not wait until we had seen its own.
            Err(_) if self.line.is_over() => true,
            Err(error) => return Poll::Ready(Err(self.line.failed(error))),
        };
        if over {
            self.line.done.store(true, Ordering::Release);
        }
        Poll::Ready(Ok(()))
    }
}

/// So much is sent by the thread that writes it. More takes several turns of quinn's task, in which what the peer has
/// to say of it comes, too; so it is left to the thread that hears of that.
const STEP_IN_BYTES: usize = 8 * 1024;

/// What we write.
struct Outgoing {
    send: SendStream,
    line: Arc<Line>,
    end: End,
}

/// ```text
///   Open ── poll_shutdown ──▶ Finished ── all acknowledged, or lost ──▶ Ended
/// ```
enum End {
    Open,
    Finished(Pin<Box<dyn Future<Output = bool> + Send>>),
    Ended,
}

impl AsyncWrite for Outgoing {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    /// quinn copies into its own buffers and takes one slice at a time. A list of `Bytes` would be shared
    /// with it, but is nothing that could be had of slices; and beside the cipher a copy is little.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { send, line, .. } = &mut *self;
        match pieces.iter().map(|piece| piece.len()).sum::<usize>() {
            0..=STEP_IN_BYTES => line.parting.step_in_after(|| write(send, cx, pieces)),
            _ => write(send, cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ready when the peer's QUIC has everything, or is gone: what it then has, it still hands on.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.end {
                End::Open => {
                    // It fails if the peer does not want it any more; `stopped` says so, too.
                    let _ = self.send.finish();
                    let stopped = self.send.stopped();
                    let acknowledged = async move { matches!(stopped.await, Ok(None)) };
                    self.end = End::Finished(Box::pin(acknowledged));
                }
                End::Finished(acknowledged) => {
                    if ready!(acknowledged.as_mut().poll(cx)) {
                        self.line.done.store(true, Ordering::Release);
                    }
                    self.end = End::Ended;
                }
                End::Ended => return Poll::Ready(Ok(())),
            }
        }
    }
}

fn write(send: &mut SendStream, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
    let mut written = 0;
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        match AsyncWrite::poll_write(Pin::new(&mut *send), cx, piece) {
            Poll::Ready(Ok(count)) if count == piece.len() => written += count,
            Poll::Ready(Ok(count)) => return Poll::Ready(Ok(written + count)),
            Poll::Pending if written == 0 => return Poll::Pending,
            Poll::Ready(Err(error)) if written == 0 => return Poll::Ready(Err(error)),
            // It will be asked again for the rest.
            Poll::Pending | Poll::Ready(Err(_)) => break,
        }
    }
    Poll::Ready(Ok(written))
}

/// A connection on its way to be a pipe's. If it is dropped before, its task ends, too; whatever was made of the
/// connection has to be dropped by then.
pub(super) struct Unfinished {
    parting: Arc<Parting>,
    kept: bool,
}

impl Unfinished {
    pub(super) fn new() -> Self {
        Self { parting: Arc::default(), kept: false }
    }

    pub(super) fn parting(&self) -> &Arc<Parting> {
        &self.parting
    }

    pub(super) fn keep(mut self) -> Arc<Parting> {
        self.kept = true;
        self.parting.clone()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.kept {
            self.parting.part();
        }
    }
}
