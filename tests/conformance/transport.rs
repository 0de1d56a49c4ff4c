//! The transports, as far as the checks have to tell them apart.

use crate::own_transport::Memory;
use spanwire::{
    AdoptError, DialOptions, Dialer, Event, Events, ListenError, ListenOptions, Listener, PipeId, RecvError,
};
use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::net::TcpSocket;

/// One transport.
pub(crate) struct Transport {
    /// An address to listen on that nobody else uses.
    pub(crate) free: fn() -> String,
    /// Its kind.
    pub(crate) kind: Kind,
}

/// What the checks have to know of a transport.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// IP addresses; the kernel chooses the port.
    Tcp,
    /// The same, and both sides prove who they are.
    Tls,
    /// WebSocket: the handshake is one of HTTP.
    Ws,
    /// The same over TLS.
    Wss,
    /// UDP, and both sides prove who they are.
    Quic,
    /// One that the application has brought along.
    Foreign,
    /// Unix sockets with a file.
    File,
    /// Unix sockets with an abstract name, which the kernel chooses.
    Abstract,
    /// No framing, so no limit of a message's size.
    Inproc,
    /// Connected descriptors: nothing listens and nothing dials.
    Adopted,
}

impl Kind {
    /// Of addresses that begin like this.
    const fn of(scheme: &str) -> Self {
        match scheme.as_bytes() {
            b"tcp" => Self::Tcp,
            b"tls+tcp" => Self::Tls,
            b"ws" => Self::Ws,
            b"wss" => Self::Wss,
            b"quic" => Self::Quic,
            b"memory" => Self::Foreign,
            b"ipc" => Self::File,
            b"abstract" => Self::Abstract,
            b"inproc" => Self::Inproc,
            _ => Self::Adopted,
        }
    }
}

pub(crate) static TCP: Transport = Transport { free: || "tcp://127.0.0.1:0".into(), kind: Kind::of("tcp") };
pub(crate) static TCP4: Transport = Transport { free: || "tcp4://localhost:0".into(), kind: Kind::of("tcp") };
pub(crate) static TCP6: Transport = Transport { free: || "tcp6://[::1]:0".into(), kind: Kind::of("tcp") };
#[cfg(feature = "tls")]
pub(crate) static TLS: Transport =
    Transport { free: || "tls+tcp://127.0.0.1:0".into(), kind: Kind::of("tls+tcp") };
#[cfg(feature = "tls")]
pub(crate) static TLS4: Transport =
    Transport { free: || "tls+tcp4://localhost:0".into(), kind: Kind::of("tls+tcp") };
#[cfg(feature = "tls")]
pub(crate) static TLS6: Transport =
    Transport { free: || "tls+tcp6://[::1]:0".into(), kind: Kind::of("tls+tcp") };
#[cfg(feature = "ws")]
pub(crate) static WS: Transport =
    Transport { free: || "ws://127.0.0.1:0/conformance".into(), kind: Kind::of("ws") };
#[cfg(feature = "ws")]
pub(crate) static WS4: Transport = Transport { free: || "ws4://localhost:0/".into(), kind: Kind::of("ws") };
#[cfg(feature = "ws")]
pub(crate) static WS6: Transport =
    Transport { free: || "ws6://[::1]:0/a/b?c=d".into(), kind: Kind::of("ws") };
#[cfg(all(feature = "ws", feature = "tls"))]
pub(crate) static WSS: Transport =
    Transport { free: || "wss://127.0.0.1:0/conformance".into(), kind: Kind::of("wss") };
#[cfg(feature = "quic")]
pub(crate) static QUIC: Transport =
    Transport { free: || "quic://127.0.0.1:0".into(), kind: Kind::of("quic") };
#[cfg(feature = "quic")]
pub(crate) static QUIC4: Transport =
    Transport { free: || "quic4://localhost:0".into(), kind: Kind::of("quic") };
#[cfg(feature = "quic")]
pub(crate) static QUIC6: Transport = Transport { free: || "quic6://[::1]:0".into(), kind: Kind::of("quic") };
pub(crate) static FOREIGN: Transport =
    Transport { free: || format!("memory://conformance-{}", number()), kind: Kind::of("memory") };
pub(crate) static IPC: Transport =
    Transport { free: || format!("ipc://{}", free_path().display()), kind: Kind::of("ipc") };
pub(crate) static UNIX: Transport =
    Transport { free: || format!("unix://{}", free_path().display()), kind: Kind::of("ipc") };
pub(crate) static ABSTRACT: Transport =
    Transport { free: || "abstract://".into(), kind: Kind::of("abstract") };
pub(crate) static INPROC: Transport =
    Transport { free: || format!("inproc://conformance-{}", number()), kind: Kind::of("inproc") };
pub(crate) static MUX_TCP: Transport =
    Transport { free: || "mux+tcp://127.0.0.1:0#conformance".into(), kind: Kind::of("tcp") };
pub(crate) static MUX_IPC: Transport =
    Transport { free: || format!("mux+ipc://{}", free_path().display()), kind: Kind::of("ipc") };
pub(crate) static MUX_ABSTRACT: Transport =
    Transport { free: || "mux+abstract://".into(), kind: Kind::of("abstract") };
pub(crate) static MUX_INPROC: Transport =
    Transport { free: || format!("mux+inproc://conformance-{}#a%20b", number()), kind: Kind::of("inproc") };
pub(crate) static MUX_FOREIGN: Transport =
    Transport { free: || format!("mux+memory://conformance-{}", number()), kind: Kind::of("memory") };
#[cfg(feature = "tls")]
pub(crate) static MUX_TLS: Transport =
    Transport { free: || "mux+tls+tcp://127.0.0.1:0#conformance".into(), kind: Kind::of("tls+tcp") };
#[cfg(feature = "ws")]
pub(crate) static MUX_WS: Transport =
    Transport { free: || "mux+ws://127.0.0.1:0/path#conformance".into(), kind: Kind::of("ws") };
#[cfg(all(feature = "ws", feature = "tls"))]
pub(crate) static MUX_WSS: Transport =
    Transport { free: || "mux+wss://127.0.0.1:0/path#conformance".into(), kind: Kind::of("wss") };
#[cfg(feature = "quic")]
pub(crate) static MUX_QUIC: Transport =
    Transport { free: || "mux+quic://127.0.0.1:0#conformance".into(), kind: Kind::of("quic") };
pub(crate) static SOCKETPAIR: Transport =
    Transport { free: || unreachable!("a socketpair has no address"), kind: Kind::of("") };

impl Transport {
    /// Whether this machine has it. Only IPv6 may be missing.
    pub(crate) fn is_here(&self) -> bool {
        let here = !self.is_ip()
            || !(self.free)().contains("[::1]")
            || std::net::TcpListener::bind("[::1]:0").is_ok();
        if !here {
            eprintln!("skipped: this machine has no ::1");
        }
        here
    }

    /// Whether its places are IP addresses.
    pub(crate) fn is_ip(&self) -> bool {
        matches!(self.kind, Kind::Tcp | Kind::Tls | Kind::Ws | Kind::Wss | Kind::Quic)
    }

    /// Whether both sides have shown certificates.
    pub(crate) fn is_secure(&self) -> bool {
        matches!(self.kind, Kind::Tls | Kind::Wss | Kind::Quic)
    }

    /// Whether messages are framed.
    pub(crate) fn is_framed(&self) -> bool {
        self.kind != Kind::Inproc || self.is_muxed()
    }

    /// Whether its connections are channels of multiplexed ones, of this kind.
    pub(crate) fn is_muxed(&self) -> bool {
        self.kind != Kind::Adopted && (self.free)().starts_with("mux+")
    }

    /// What stands before the scheme of its kind.
    pub(crate) fn prefix(&self) -> &'static str {
        if self.is_muxed() { "mux+" } else { "" }
    }

    /// What dialers need for it.
    pub(crate) fn dialing(&self) -> DialOptions {
        match self.kind {
            Kind::Adopted => DialOptions::default(),
            _ => dialing(&(self.free)()),
        }
    }

    /// Joins two sockets and waits until each has the other.
    pub(crate) async fn meet(&self, a: &impl Socket, b: &impl Socket) {
        if self.kind == Kind::Adopted {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let (a, b) = tokio::join!(a.adopt(ours.into()), b.adopt(theirs.into()));
            a.unwrap();
            b.unwrap();
        } else {
            let listener = a.listen_at(&(self.free)()).await.unwrap();
            b.dial_at(listener.url()).await.unwrap();
        }
        a.wait_peers(1).await.unwrap();
        b.wait_peers(1).await.unwrap();
    }

    /// An address at which nobody listens, until the test does. Nobody else gets it as long as the
    /// reservation lives.
    pub(crate) fn reserve(&self) -> (String, Option<TcpSocket>) {
        let url = (self.free)();
        match self.kind {
            Kind::Tcp | Kind::Tls | Kind::Ws | Kind::Wss => {
                let v6 = url.contains("::1");
                let socket = if v6 { TcpSocket::new_v6() } else { TcpSocket::new_v4() }.unwrap();
                // A listener may take the port as long as this one does not listen.
                socket.set_reuseaddr(true).unwrap();
                let ip = if v6 { "[::1]:0" } else { "127.0.0.1:0" };
                socket.bind(ip.parse::<SocketAddr>().unwrap()).unwrap();
                let port = socket.local_addr().unwrap().port();
                (with_port(&url, port), Some(socket))
            }
            Kind::Quic => {
                // Nobody is given a port down there who did not ask for it.
                let ip = if url.contains("::1") { "[::1]" } else { "127.0.0.1" };
                let port = loop {
                    let port = 20_000 + (std::process::id() + number()) % 10_000;
                    if std::net::UdpSocket::bind(format!("{ip}:{port}")).is_ok() {
                        break port;
                    }
                };
                (with_port(&url, port.try_into().unwrap()), None)
            }
            Kind::Abstract => {
                (format!("{url}spanwire-conformance-{}-{}", std::process::id(), number()), None)
            }
            _ => (url, None),
        }
    }
}

/// An address on port 0, on this port instead.
pub(crate) fn with_port(url: &str, port: u16) -> String {
    let at = url.rfind(":0").expect("port 0");
    format!("{}:{port}{}", &url[..at], &url[at + 2..])
}

fn inner(url: &str) -> &str {
    url.strip_prefix("mux+").unwrap_or(url)
}

/// What a dialer of `url` needs.
fn dialing(url: &str) -> DialOptions {
    #[cfg(feature = "tls")]
    if ["tls+", "wss", "quic"].iter().any(|scheme| inner(url).starts_with(scheme)) {
        return crate::certificates::dialing();
    }
    if inner(url).starts_with("memory") {
        return DialOptions { transport: Some(memory()), ..DialOptions::default() };
    }
    DialOptions::default()
}

/// What a listener at `url` needs.
fn listening(url: &str) -> ListenOptions {
    #[cfg(feature = "tls")]
    if ["tls+", "wss", "quic"].iter().any(|scheme| inner(url).starts_with(scheme)) {
        return crate::certificates::listening();
    }
    if inner(url).starts_with("memory") {
        return ListenOptions { transport: Some(memory()), ..ListenOptions::default() };
    }
    ListenOptions::default()
}

/// The network that all share.
fn memory() -> Arc<Memory> {
    static MEMORY: OnceLock<Arc<Memory>> = OnceLock::new();
    MEMORY.get_or_init(Arc::default).clone()
}

fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn free_path() -> PathBuf {
    std::env::temp_dir().join(format!("spanwire-conformance-{}-{}", std::process::id(), number()))
}

/// What all sockets have in common, for checks that do not care which one it is.
pub(crate) trait Socket {
    /// Listens with what the transport needs.
    fn listen_at(&self, url: &str) -> impl Future<Output = Result<Listener, ListenError>>;
    /// Dials with what the transport needs.
    fn dial_at(&self, url: &str) -> impl Future<Output = Result<Dialer, spanwire::DialError>>;
    fn adopt(&self, descriptor: OwnedFd) -> impl Future<Output = Result<PipeId, AdoptError>>;
    fn wait_peers(&self, count: usize) -> impl Future<Output = Result<(), RecvError>>;
}

macro_rules! sockets {
    ($($name:ident)*) => { $(
        impl Socket for spanwire::$name {
            async fn listen_at(&self, url: &str) -> Result<Listener, ListenError> {
                self.listen_with(url, listening(url)).await
            }
            async fn dial_at(&self, url: &str) -> Result<Dialer, spanwire::DialError> {
                self.dial_with(url, dialing(url)).await
            }
            async fn adopt(&self, descriptor: OwnedFd) -> Result<PipeId, AdoptError> {
                self.adopt(descriptor).await
            }
            async fn wait_peers(&self, count: usize) -> Result<(), RecvError> {
                self.wait_peers(count).await
            }
        }
    )* };
}

sockets! { Pair0Socket PubSocket PushSocket PullSocket ReqSocket RepSocket SurveySocket RespondSocket RawSocket }

/// The next event that `wanted` accepts; others are passed over.
pub(crate) async fn event<T>(events: &mut Events, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
    loop {
        let event = events.next().await.expect("the socket is open");
        if let Some(found) = wanted(&event) {
            return found;
        }
    }
}

/// Waits until something is so that no event tells of.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}
