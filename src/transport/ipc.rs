//! `ipc://`, `unix://` and `abstract://`: unix stream sockets.

use super::buffers::Buffers;
use super::link::Link;
use super::{Accept, Credentials, Ends, Incoming, Place, Stream};
use crate::options::{DialOptions, ListenOptions};
use crate::rt::Home;
use rustix::fs::{AtFlags, CWD};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
#[cfg(target_os = "linux")]
use spanwire_core::addr::Abstract;
use spanwire_core::framing::sp::Framing;
#[cfg(target_os = "linux")]
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};

/// How often a listener whose backlog is full is tried again, and how long after the first time;
/// twice as long after each. The kernel offers nothing to wait for here.
const BACKLOG_TRIES: u32 = 7;
const BACKLOG_WAIT: Duration = Duration::from_millis(1);

/// Connects to the socket file at `path`.
pub(crate) async fn connect(path: &Path, options: &DialOptions, home: &Home) -> io::Result<Stream> {
    let mut wait = BACKLOG_WAIT;
    for _ in 0..BACKLOG_TRIES {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => home.sleep(wait).await,
            result => return wrap(result?, Framing::Ipc, options.into()),
        }
        wait *= 2;
    }
    Err(io::Error::new(io::ErrorKind::ConnectionRefused, "the listener's backlog is full"))
}

/// Connects to an abstract name.
#[cfg(target_os = "linux")]
pub(crate) async fn connect_abstract(name: &[u8], options: &DialOptions, home: &Home) -> io::Result<Stream> {
    connect(&abstract_path(name), options, home).await
}

/// The form in which the socket interfaces take an abstract name: behind a zero byte.
#[cfg(target_os = "linux")]
fn abstract_path(name: &[u8]) -> PathBuf {
    let mut path = vec![0];
    path.extend_from_slice(name);
    PathBuf::from(OsStr::from_bytes(&path))
}

/// A listening unix socket. Its file, if it has one, goes when this does.
#[derive(Debug)]
pub(crate) struct Listening {
    socket: UnixListener,
    /// Of what it accepts: unix sockets do not have them from their listener.
    buffers: Buffers,
    /// Kept for its `Drop`.
    _file: Option<SocketFile>,
}

/// Listens at `path`.
///
/// A file that is there already is removed only if it is a socket, ours to remove, and nobody
/// listens behind it.
pub(crate) fn bind(path: &Path, options: &ListenOptions) -> io::Result<Listening> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    if let Err(error) = socket.bind(&address) {
        if error.kind() != io::ErrorKind::AddrInUse || !is_stale(path)? {
            return Err(error);
        }
        fs::remove_file(path)?;
        socket.bind(&address)?;
    }
    let file = SocketFile::new(path)?;
    if let Some(mode) = options.permissions {
        // Before `listen`: nobody can connect while the wrong permissions are in force.
        fs::set_permissions(path, Permissions::from_mode(mode & 0o7777))?;
    }
    Ok(Listening { socket: listen(&socket, options)?, buffers: options.into(), _file: Some(file) })
}

/// Listens at an abstract name; an empty one lets the kernel choose. Returns the name, too.
#[cfg(target_os = "linux")]
pub(crate) fn bind_abstract(name: &[u8], options: &ListenOptions) -> io::Result<(Listening, Abstract)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    if name.is_empty() {
        rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new_unnamed())?;
    } else {
        socket.bind(&SockAddr::unix(abstract_path(name))?)?;
    }
    let bound = socket.local_addr()?.as_abstract_namespace().map(<[u8]>::to_vec).unwrap_or_default();
    let bound = Abstract::new(bound).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok((Listening { socket: listen(&socket, options)?, buffers: options.into(), _file: None }, bound))
}

fn listen(socket: &Socket, options: &ListenOptions) -> io::Result<UnixListener> {
    socket.set_nonblocking(true)?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    UnixListener::from_std(socket.try_clone()?.into())
}

impl Accept for Listening {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        let (stream, _) = ready!(self.socket.poll_accept(cx))?;
        Poll::Ready(wrap(stream, Framing::Ipc, self.buffers).map(Incoming::Ready))
    }
}

/// Whether `path` is a socket of ours behind which nobody listens.
fn is_stale(path: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(path)?;
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file of another kind; remove it or use another path",
        ));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "there is a socket of another user; use another path",
        ));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A full backlog must not block us; it means that somebody listens.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) => Ok(error.kind() == io::ErrorKind::ConnectionRefused),
        Ok(()) => Ok(false),
    }
}

/// A socket file that we made, and nobody has replaced since.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        let made = fs::symlink_metadata(path)?;
        // The working directory may change until the socket is closed.
        let path = std::path::absolute(path)?;
        Ok(Self { path, device: made.dev(), inode: made.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if ours {
            // If it cannot be removed, the next listener finds it stale.
            let _ = rustix::fs::unlinkat(CWD, &self.path, AtFlags::empty());
        }
    }
}

/// Makes a connected socket a [`Stream`].
pub(super) fn wrap(stream: UnixStream, framing: Framing, buffers: Buffers) -> io::Result<Stream> {
    buffers.set(&SockRef::from(&stream))?;
    let credentials =
        stream.peer_cred().ok().map(|peer| Credentials { uid: peer.uid(), gid: peer.gid(), pid: peer.pid() });
    let (local, remote) = (place(stream.local_addr()), place(stream.peer_addr()));
    let ends = Ends { local, remote, credentials, tls: None };
    let (reader, writer) = Link::halves(stream.into_std()?.into());
    Ok(Stream { reader, writer, framing, agreed: false, ends })
}

fn place(address: io::Result<tokio::net::unix::SocketAddr>) -> Place {
    let Ok(address) = address else { return Place::Unnamed };
    #[cfg(target_os = "linux")]
    if let Some(name) = address.as_abstract_name() {
        return Place::Abstract(name.into());
    }
    address.as_pathname().map_or(Place::Unnamed, |path| Place::Path(path.into()))
}
