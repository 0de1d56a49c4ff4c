//! Bytes to and from one peer, and how to add a transport from outside.
//!
//! [`Transport`] is what an application brings to have sockets talk over something else: a tunnel, a
//! proxy, a simulated network. `examples/own_transport/` has one, and GUIDE.md a chapter on it.
//!
//! # Inside
//!
//! Layer 1: traits, and one file a scheme.
//!
//! ```text
//!  address ── connect ──────────────────────────────▶ Stream { reader, writer, who is there }
//!          ── bind ─ accept ─▶ Incoming ── upgrade ──▶
//! ```
//!
//! | file | schemes |
//! | --- | --- |
//! | `tcp` | `tcp://` `tcp4://` `tcp6://` |
//! | `quic/` | `quic://` `quic4://` `quic6://` |
//! | `tls/` | `tls+tcp://` `tls+tcp4://` `tls+tcp6://`, and TLS under others |
//! | `ipc` | `ipc://` `unix://` `abstract://` |
//! | `ws` | `ws://` `ws4://` `ws6://`, and with `tls` `wss://` `wss4://` `wss6://`: a folder |
//! | `fd` | descriptors that the application has opened |
//! | `memory` | `inproc://` between plain connections: bytes in this process |
//! | `link` | how all of them read and write, and what the runtime watches for them |
//! | `buffers` | what the kernel keeps of a socket |
//! | `halves` | the same on systems that are no unix |
//! | `foreign` | any, of transports that the application brings |
//! | `adapted` | how these read and write, by tokio's traits |
//!
//! What an address means, `inproc` included, is decided above, in `endpoint`: in-process delivery
//! needs sockets, and nothing here may know of them.

mod adapted;
#[cfg(any(feature = "tcp", all(unix, feature = "ipc")))]
mod buffers;
#[cfg(all(unix, feature = "ipc"))]
pub(crate) mod fd;
pub(crate) mod foreign;
#[cfg(all(any(not(unix), test), feature = "tcp"))]
mod halves;
#[cfg(all(unix, feature = "ipc"))]
pub(crate) mod ipc;
#[cfg(all(unix, any(feature = "tcp", feature = "ipc")))]
mod link;
#[cfg(feature = "inproc")]
pub(crate) mod memory;
#[cfg(feature = "quic")]
pub(crate) mod quic;
#[cfg(feature = "tcp")]
pub(crate) mod tcp;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(feature = "ws")]
pub(crate) mod ws;

pub use foreign::{Acceptor, Connection, Transport, Wait};
#[cfg(feature = "quic")]
pub use quic::QuicError;

use crate::error::ConnectError;
use spanwire_core::framing::sp::{Framing, Protocol};
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
#[cfg(unix)]
use std::time::Duration;

/// The reading half of a connection. One at a time has it.
pub(crate) trait ReadHalf: Send + 'static {
    /// Reads at most `limit` bytes into the spare room of `buffer`. 0 means that the peer has ended.
    ///
    /// The first to call it, and the first after `unwatch`, must be a task of the connection's runtime.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<io::Result<usize>>;

    /// Whether the runtime knows that the peer has ended. Pending where it knows of nothing: then it wakes
    /// the task for whatever comes next. Where it does not watch, nobody is woken.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let _ = cx;
        Poll::Pending
    }

    /// Messages of more than so many bytes will be refused above; 0 allows any. Where they come in parts, no
    /// more is kept of them.
    fn limit_messages(&mut self, max_bytes: usize) {
        let _ = max_bytes;
    }

    /// `poll_read` by asking the kernel, whatever the runtime knows; `WouldBlock` when there is nothing.
    #[cfg(unix)]
    fn try_read(&mut self, buffer: &mut Vec<u8>, limit: usize) -> io::Result<usize>;

    /// The runtime need not see what comes: a thread waits for it.
    #[cfg(unix)]
    fn unwatch(&mut self);
}

/// What asking at once gave, as a poll says it.
#[cfg(unix)]
#[inline]
pub(crate) fn polled<T>(asked: io::Result<T>) -> Poll<io::Result<T>> {
    match asked {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

/// What a poll gave, as asking at once says it.
#[cfg(unix)]
#[inline]
fn at_once<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// The writing half of a connection. Any thread may write, one at a time.
pub(crate) trait WriteHalf: Send + Sync + 'static {
    /// Writes what the connection takes now; `WouldBlock` when that is nothing.
    ///
    /// What was not taken comes again: after `WouldBlock`, or fewer bytes than were offered, the next
    /// call begins with the same bytes. So a transport that has to turn them into others (TLS) may keep
    /// those for the next call, and report only what has left in the end.
    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;

    /// How many bytes it keeps for the next call: what it was offered and has not reported, but cannot take
    /// back. These must come again as they were, however long that takes.
    fn held_bytes(&self) -> usize {
        0
    }

    /// Ready when `try_write` is worth another try. Only the driver calls it.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Goes on with what the transport took and keeps back; ready when that is nothing. Asked in every turn
    /// of the driver, and never waited for.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Nobody will need `poll_writable` for a while. In the connection's runtime only.
    fn unwatch(&self) {}

    /// How many bytes that were written may still be on their way, here and at the peer.
    fn kernel_bytes(&self) -> usize;

    /// Tells the peer that nothing more will come. Called once all is written.
    fn shut_down(&self) -> io::Result<()>;

    /// Ready when dropping the connection takes nothing away from the peer of what was written, the end
    /// included; at once where the kernel sees to that. The driver waits for it, but not for long.
    fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Whether dropping the connection takes away what is not settled. Where the kernel sees to it, it does not.
    fn forgets(&self) -> bool {
        false
    }

    /// Whether a thread may wait by itself: `wait_readable` works. If not, only tasks wait here.
    #[cfg(unix)]
    fn threads_may_wait(&self) -> bool {
        true
    }

    /// Blocks the thread until there is something to read, or `alarm` is readable, or `timeout` has
    /// passed. Whether it is the first of these; it may be none.
    #[cfg(unix)]
    fn wait_readable(&self, alarm: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool>;
}

/// A connection to a peer, whatever it runs over.
pub(crate) struct Stream {
    /// Reads.
    pub(crate) reader: Box<dyn ReadHalf>,
    /// Writes.
    pub(crate) writer: Arc<dyn WriteHalf>,
    /// How SP frames are marked on it.
    pub(crate) framing: Framing,
    /// The two sides have agreed on what they speak: there is no SP handshake.
    pub(crate) agreed: bool,
    /// Who is there.
    pub(crate) ends: Ends,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("framing", &self.framing).field("ends", &self.ends).finish()
    }
}

/// What a connection is for. Some transports tell the peer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// A socket of this protocol.
    Sp(Protocol),
    /// A plain connection: bytes both ways, whose framing is above. What the stream says of its own framing
    /// does not count.
    Link,
}

/// A connection that has just arrived.
pub(crate) enum Incoming {
    /// It can be used.
    Ready(Stream),
    /// It can once this is done, which may take as long as the peer likes: whoever awaits it has a
    /// deadline. It is polled by a task of the connection's runtime.
    Upgrading(Upgrade),
}

impl Incoming {
    /// The same for those who have a framing and a handshake of their own, whatever runs below.
    pub(crate) fn framed_by_link(self) -> Self {
        let framed = |stream| Stream { framing: Framing::Link, agreed: true, ..stream };
        match self {
            Self::Ready(stream) => Self::Ready(framed(stream)),
            Self::Upgrading(upgrade) => {
                Self::Upgrading(Box::pin(async move { Ok(upgrade.await?.map(framed)) }))
            }
        }
    }
}

/// The handshake below SP: TLS, WebSocket, QUIC. `None`: the connection is for another listener at the same
/// port, which has it now.
pub(crate) type Upgrade = Pin<Box<dyn Future<Output = Result<Option<Stream>, ConnectError>> + Send>>;

/// A place where connections arrive.
pub(crate) trait Accept: Send + Sync + std::fmt::Debug + 'static {
    /// The next connection. Only one task asks. Never waits for what a peer has to say.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>>;

    /// The IP address it is bound to, if that is what it is bound to.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
}

/// The two ends of a connection, as the transport knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Ours.
    pub local: Place,
    /// The peer's.
    pub remote: Place,
    /// On unix sockets: who the peer is, as the kernel says.
    pub credentials: Option<Credentials>,
    /// On TLS and QUIC: how the connection is secured, and who the peer has proved to be.
    pub tls: Option<Arc<TlsPeer>>,
}

/// How a connection is secured, and who the peer has proved to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsPeer {
    /// The version of TLS, as in `TLSv1.3`.
    pub version: String,
    /// How the keys were agreed on, as in `X25519MLKEM768`.
    pub key_exchange: String,
    /// The cipher suite, as in `TLS13_AES_256_GCM_SHA384`.
    pub cipher_suite: String,
    /// On the listener's side: the name that the dialer asked for (SNI).
    pub server_name: Option<String>,
    /// The peer's certificates in DER, its own first; verified unless verification was switched off.
    /// Empty if it had none to show.
    pub certificates: Vec<Vec<u8>>,
    /// Whom the peer's own certificate names: DNS names, IP addresses and URIs; else its common name.
    pub names: Vec<String>,
}

/// An address at which a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A socket file.
    Path(PathBuf),
    /// A name in Linux's abstract namespace.
    Abstract(Vec<u8>),
    /// A name in this process.
    Inproc(String),
    /// What a transport of the application calls it.
    Foreign(String),
    /// A unix socket that was never given a name, or an adopted descriptor.
    Unnamed,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Path(path) => path.display().fmt(f),
            Self::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
            Self::Inproc(name) | Self::Foreign(name) => f.write_str(name),
            Self::Unnamed => f.write_str("(unnamed)"),
        }
    }
}

/// Who is at the other end of a unix socket: what the kernel knew when it was connected.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Process id, where the system tells it.
    pub pid: Option<i32>,
}
