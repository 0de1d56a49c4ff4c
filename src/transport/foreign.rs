//! Transports of the application: what it has to bring, and how that becomes a [`Stream`].

use super::adapted::{read_half, write_half};
use super::{Accept, Credentials, Ends, Incoming, Place, Stream, TlsPeer};
use crate::error::{ConnectError, UpgradeError};
use crate::rt::Home;
use spanwire_core::addr::Foreign;
use spanwire_core::framing::sp::Framing;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// A transport that is not part of Spanwire: reliable streams of bytes, in order, between two ends.
///
/// It is handed to a socket in [`DialOptions::transport`](crate::DialOptions::transport) and
/// [`ListenOptions::transport`](crate::ListenOptions::transport), and then says what the address means,
/// whatever its scheme. All else is as with transports of ours: reconnecting, handshakes, limits, filters,
/// counters, closing; async sockets and blocking ones. On the wire are the frames of `tcp://`.
///
/// Its futures run in the runtime of the socket: the caller's, or the library's own, which is tokio's, too.
///
/// ```
/// use spanwire::transport::{Acceptor, Connection, Transport, Wait};
/// use spanwire::addr::Foreign;
/// use std::io;
/// use tokio::net::TcpStream;
///
/// /// TCP without Nagle's algorithm and without names.
/// #[derive(Debug)]
/// struct Plain;
///
/// impl Transport for Plain {
///     fn connect<'a>(&'a self, address: &'a Foreign) -> Wait<'a, Connection> {
///         Box::pin(async move {
///             let stream = TcpStream::connect(address.rest()).await?;
///             stream.set_nodelay(true)?;
///             Ok(Connection::new(stream))
///         })
///     }
///
///     fn listen<'a>(&'a self, _: &'a Foreign) -> Wait<'a, Box<dyn Acceptor>> {
///         Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
///     }
/// }
/// ```
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Connects. Called for each attempt of a dialer anew; dropped when `connect_timeout` has passed.
    ///
    /// An error of the kinds `PermissionDenied`, `Unsupported`, `InvalidInput`, `InvalidData` and
    /// `AddrNotAvailable` is one that trying again does not help; the dialer tries again all the same.
    fn connect<'a>(&'a self, address: &'a Foreign) -> Wait<'a, Connection>;

    /// Begins to listen. The address is taken until the acceptor is dropped.
    fn listen<'a>(&'a self, address: &'a Foreign) -> Wait<'a, Box<dyn Acceptor>>;
}

/// What takes a while and may fail.
pub type Wait<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// Where connections of a [`Transport`] arrive.
pub trait Acceptor: fmt::Debug + Send + 'static {
    /// The next connection, as a future: whatever it takes until it can be used, such as a handshake
    /// below SP, belongs into that, so that a slow peer holds up nobody. It counts as half-open meanwhile,
    /// and has `handshake_timeout`.
    ///
    /// After an error the listener waits, for 5 ms at first and up to a second, and asks again; unless its
    /// kind is `ConnectionAborted`, which is nobody's fault. A [`link::Server`](crate::link::Server) drops the
    /// acceptor and listens anew after errors of the kinds `NotConnected` and `InvalidInput`, and after 8 others in
    /// a row (but `OutOfMemory`).
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Wait<'static, Connection>>>;

    /// What follows `://` in the address as it is bound, if that is not what was asked for: with the port
    /// that was chosen, say.
    fn bound_to(&self) -> Option<String> {
        None
    }

    /// The IP address it is bound to, if that is what it is bound to.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
}

/// A connection of a [`Transport`], ready for the handshake of SP.
///
/// **Writing.** The writer is polled in any thread, by whoever sends, with the runtime of the socket
/// entered. What it keeps back is flushed after each write. Vectored writes are used if it says that it
/// takes them. `poll_shutdown` has to tell the peer that nothing more will come, and to be ready when
/// dropping the connection takes nothing away from the peer of what was written before.
///
/// **Reading.** A read of nothing is the end of the peer; an error is a lost connection.
pub struct Connection {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    ends: Ends,
    in_flight_bytes: usize,
}

impl Connection {
    /// Of something that reads and writes.
    pub fn new(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (reader, writer) = tokio::io::split(io);
        Self::of_halves(reader, writer)
    }

    /// Of something that reads and something that writes.
    pub fn of_halves(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let ends = Ends { local: Place::Unnamed, remote: Place::Unnamed, credentials: None, tls: None };
        Self { reader: Box::new(reader), writer: Box::new(writer), ends, in_flight_bytes: IN_FLIGHT_BYTES }
    }

    /// Where its ends are: what filters, events and peers show. Default: [`Place::Unnamed`].
    #[must_use]
    pub fn between(mut self, local: Place, remote: Place) -> Self {
        (self.ends.local, self.ends.remote) = (local, remote);
        self
    }

    /// Who is there, as the system says.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.ends.credentials = Some(credentials);
        self
    }

    /// How it is secured, and who the peer has proved to be.
    #[must_use]
    pub fn with_tls(mut self, tls: TlsPeer) -> Self {
        self.ends.tls = Some(Arc::new(tls));
        self
    }

    /// How many bytes that the writer took may be lost when the connection is cut: as many as its buffers
    /// and those below it hold. What is among the last so many bytes is then counted as unknown. Default
    /// 10 MiB; 18 MiB is the most that is looked back.
    #[must_use]
    pub fn in_flight_bytes(mut self, bytes: usize) -> Self {
        self.in_flight_bytes = bytes;
        self
    }

    fn into_stream(self, home: &Home) -> Stream {
        Stream {
            reader: read_half(self.reader, home),
            writer: write_half(self.writer, home, self.in_flight_bytes),
            framing: Framing::Tcp,
            agreed: false,
            ends: self.ends,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("ends", &self.ends).finish_non_exhaustive()
    }
}

/// The most that is looked back when a connection is cut (`Trail`).
const IN_FLIGHT_BYTES: usize = 10 * 1024 * 1024;

/// Two options are the same if they name the same transport.
impl PartialEq for dyn Transport {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::addr_eq(self, other)
    }
}

impl Eq for dyn Transport {}

/// What the application has connected by itself.
pub(crate) fn stream_of(connection: Connection, home: &Home) -> Stream {
    connection.into_stream(home)
}

pub(crate) async fn connect(transport: &dyn Transport, address: &Foreign, home: &Home) -> io::Result<Stream> {
    Ok(transport.connect(address).await?.into_stream(home))
}

/// Listens; returns the address as it is bound, too.
pub(crate) async fn listen(
    transport: &dyn Transport,
    address: &Foreign,
    home: &Home,
) -> io::Result<(Listening, Foreign)> {
    let acceptor = transport.listen(address).await?;
    let bound = match acceptor.bound_to() {
        Some(rest) => Foreign::new(address.scheme(), rest)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
        None => address.clone(),
    };
    let local = acceptor.local_addr();
    Ok((Listening { acceptor: Mutex::new(acceptor), local, home: home.clone() }, bound))
}

/// A listener of a transport of the application.
#[derive(Debug)]
pub(crate) struct Listening {
    acceptor: Mutex<Box<dyn Acceptor>>,
    local: Option<SocketAddr>,
    home: Home,
}

impl Accept for Listening {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        let mut acceptor = self.acceptor.lock().unwrap_or_else(PoisonError::into_inner);
        let arrived = ready!(acceptor.poll_accept(cx))?;
        let home = self.home.clone();
        Poll::Ready(Ok(Incoming::Upgrading(Box::pin(async move {
            match arrived.await {
                Ok(connection) => Ok(Some(connection.into_stream(&home))),
                Err(error) => Err(ConnectError::Upgrade(UpgradeError::from(error))),
            }
        }))))
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.local
    }
}
