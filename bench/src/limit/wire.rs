//! Blocking sockets, and frames: an 8-byte length in front of each body, on ipc a byte 1 before that.
//! TLS is rustls' own stream over such a socket.

use super::tls::{self, Secured};
use anyhow::{Context, Result, bail};
use spanwire_bench_ends::{Cell, Role, Side, Transport, role};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

/// A connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Tls(Box<Secured>),
}

/// Calls a method that both kinds of streams have.
macro_rules! either {
    ($stream:expr, $each:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($each) => $call,
            #[cfg(unix)]
            Stream::Unix($each) => $call,
            Stream::Tls($each) => $call,
        }
    };
}

/// The same for methods of the socket itself.
macro_rules! socket {
    ($stream:expr, $each:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($each) => $call,
            #[cfg(unix)]
            Stream::Unix($each) => $call,
            Stream::Tls(secured) => {
                let $each = secured.socket();
                $call
            }
        }
    };
}

impl Stream {
    /// Whether reads and writes return at once when there is nothing or no room.
    pub(super) fn set_nonblocking(&self, yes: bool) -> io::Result<()> {
        socket!(self, stream => stream.set_nonblocking(yes))
    }

    /// Nothing more will be written.
    pub(super) fn end(&self) -> io::Result<()> {
        socket!(self, stream => stream.shutdown(Shutdown::Write))
    }

    /// How long a read waits.
    pub(super) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        socket!(self, stream => stream.set_read_timeout(timeout))
    }

    /// How long a write waits.
    pub(super) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        socket!(self, stream => stream.set_write_timeout(timeout))
    }
}

#[cfg(unix)]
impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        socket!(self, stream => stream.as_fd())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(self, stream => stream.read(buffer))
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        either!(self, stream => stream.write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        either!(self, stream => stream.flush())
    }
}

/// What accepts connections.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, String),
    Tls(TcpListener),
}

impl Listener {
    /// Where to dial.
    pub(super) fn url(&self) -> Result<String> {
        Ok(match self {
            Self::Tcp(listener) => format!("tcp://{}", listener.local_addr()?),
            #[cfg(unix)]
            Self::Unix(_, path) => format!("ipc://{path}"),
            Self::Tls(listener) => format!("tls+tcp://{}", listener.local_addr()?),
        })
    }

    pub(super) fn accept(&self) -> Result<Stream> {
        match self {
            Self::Tcp(listener) => tcp(listener.accept().context("cannot accept")?.0),
            #[cfg(unix)]
            Self::Unix(listener, _) => Ok(Stream::Unix(listener.accept().context("cannot accept")?.0)),
            Self::Tls(listener) => tls::accept(no_delay(listener.accept().context("cannot accept")?.0)?),
        }
    }
}

/// This end of the one connection of a workload: tells the parent where it listens, or dials.
pub(super) fn join(role: &Role) -> Result<Stream> {
    match role.side {
        Side::Server => listen_for(role)?.accept(),
        Side::Client => connect(&role.address),
    }
}

/// This end of `many` connections.
pub(super) fn join_many(role: &Role, many: u32) -> Result<Vec<Stream>> {
    match role.side {
        Side::Server => {
            let listener = listen_for(role)?;
            (0..many).map(|_| listener.accept()).collect()
        }
        Side::Client => (0..many).map(|_| connect(&role.address)).collect(),
    }
}

/// Listens and tells the parent where.
pub(super) fn listen_for(role: &Role) -> Result<Listener> {
    let listener = listen(&role.address)?;
    role::say_url(&listener.url()?)?;
    Ok(listener)
}

pub(super) fn listen(url: &str) -> Result<Listener> {
    match url.split_once("://") {
        Some(("tcp", address)) => TcpListener::bind(address).map(Listener::Tcp),
        Some(("tls+tcp", address)) => TcpListener::bind(address).map(Listener::Tls),
        #[cfg(unix)]
        Some(("ipc", path)) => UnixListener::bind(path).map(|socket| Listener::Unix(socket, path.to_owned())),
        _ => bail!("raw sockets do not know {url}"),
    }
    .with_context(|| format!("cannot listen at {url}"))
}

pub(super) fn connect(url: &str) -> Result<Stream> {
    match url.split_once("://") {
        Some(("tcp", address)) => {
            tcp(TcpStream::connect(address).with_context(|| format!("cannot dial {url}"))?)
        }
        Some(("tls+tcp", address)) => tls::connect(no_delay(
            TcpStream::connect(address).with_context(|| format!("cannot dial {url}"))?,
        )?),
        #[cfg(unix)]
        Some(("ipc", path)) => {
            Ok(Stream::Unix(UnixStream::connect(path).with_context(|| format!("cannot dial {url}"))?))
        }
        _ => bail!("raw sockets do not know {url}"),
    }
}

fn tcp(stream: TcpStream) -> Result<Stream> {
    no_delay(stream).map(Stream::Tcp)
}

pub(super) fn no_delay(stream: TcpStream) -> Result<TcpStream> {
    stream.set_nodelay(true).context("cannot set no-delay")?;
    Ok(stream)
}

/// How bodies of one size are framed on one transport.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    header_bytes: usize,
    pub(super) body_bytes: usize,
}

impl Format {
    /// As the cell wants it.
    pub(super) fn of(cell: &Cell) -> Self {
        Self::new(cell.transport, cell.body_bytes)
    }

    pub(super) fn new(transport: Transport, body_bytes: usize) -> Self {
        Self { header_bytes: if transport == Transport::Ipc { 9 } else { 8 }, body_bytes }
    }

    pub(super) fn frame_bytes(&self) -> usize {
        self.header_bytes + self.body_bytes
    }

    /// Appends a frame.
    #[inline]
    pub(super) fn encode(&self, body: &[u8], out: &mut Vec<u8>) {
        if self.header_bytes == 9 {
            out.push(1);
        }
        out.extend_from_slice(&(body.len() as u64).to_be_bytes());
        out.extend_from_slice(body);
    }

    /// A whole frame.
    pub(super) fn frame(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(self.frame_bytes());
        self.encode(&vec![b'x'; self.body_bytes], &mut frame);
        frame
    }

    /// The body of a frame.
    #[inline]
    pub(super) fn body<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        &frame[self.header_bytes..]
    }

    /// The length of the frame that `bytes` start with, header included, once its header is there.
    #[inline]
    pub(super) fn decode(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let Some(header) = bytes.get(..self.header_bytes) else { return Ok(None) };
        let length = header.last_chunk::<8>().map_or(0, |length| u64::from_be_bytes(*length));
        if length != self.body_bytes as u64 {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("a frame of {length} bytes")));
        }
        Ok(Some(self.frame_bytes()))
    }

    /// Reads one frame into `buffer`, which has room for exactly one.
    pub(super) fn read_frame(&self, stream: &mut Stream, buffer: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            filled += read_some(stream, &mut buffer[filled..])?;
        }
        self.decode(buffer)?;
        Ok(())
    }
}

/// Reads at least one byte.
pub(super) fn read_some(stream: &mut Stream, buffer: &mut [u8]) -> io::Result<usize> {
    match stream.read(buffer)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        count => Ok(count),
    }
}
