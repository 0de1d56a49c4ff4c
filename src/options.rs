//! Options of dialers and listeners. Those of sockets are [`Options`](crate::Options).

#[cfg(feature = "tls")]
use crate::tls::{TlsClient, TlsServer};
use crate::transport::Transport;
#[cfg(feature = "ws")]
use spanwire_core::options::Origins;
use spanwire_core::options::mux::MuxOptions;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Options of a dialer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialOptions {
    /// Whether `dial` waits for the first connection. Default: it does, and reports why it failed.
    pub start: Start,
    /// The first wait before another attempt: random, below this. Default 100 ms.
    pub reconnect_min: Duration,
    /// Waits double up to this. Default 10 s.
    pub reconnect_max: Duration,
    /// How long one attempt to connect may take. Default 10 s; `None` leaves it to the kernel.
    pub connect_timeout: Option<Duration>,
    /// tcp, and tls+tcp, ws and wss over it: send small segments at once (`TCP_NODELAY`). Default true, as in NNG.
    pub no_delay: bool,
    /// tcp, and tls+tcp, ws and wss over it: let the kernel probe a peer that was silent for so long. Default: off,
    /// as in NNG. On ipc the kernel tells at once when a peer is gone; quic has `QuicOptions`.
    pub keep_alive: Option<Duration>,
    /// tcp, quic: the local address to dial from. Default: the kernel chooses.
    pub local_address: Option<IpAddr>,
    /// Bytes of the kernel's send buffer: tcp, and tls+tcp, ws and wss over it; ipc and abstract; quic: of its
    /// UDP socket. The kernel moves it into the range that it allows; Linux doubles it for its own needs. Default:
    /// the kernel's choice, which follows the traffic on tcp; quic 2 MiB.
    pub send_buffer_bytes: Option<usize>,
    /// The same of the receive buffer. On ipc and abstract, Linux counts what waits against the send buffer of the
    /// other side only.
    pub recv_buffer_bytes: Option<usize>,
    /// tls+tcp, wss, quic: whom to trust, and who we are. Default: the authorities of the operating system, and
    /// nobody.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsClient>,
    /// ws, wss: what the request says besides.
    #[cfg(feature = "ws")]
    pub ws: WsDialOptions,
    /// quic: timers and windows.
    #[cfg(feature = "quic")]
    pub quic: QuicOptions,
    /// mux+ addresses: of the connection that carries the channels. Its `idle_timeout` does not matter here: it
    /// is the pool of the process that decides when a connection ends, as
    /// [`Pool::global`](crate::mux::Pool::global) tells.
    pub mux: MuxOptions,
    /// A transport of your own, which says what the address means. Default: none, and the scheme of the
    /// address says which of ours it is.
    pub transport: Option<Arc<dyn Transport>>,
}

impl Default for DialOptions {
    fn default() -> Self {
        Self {
            start: Start::Wait,
            reconnect_min: Duration::from_millis(100),
            reconnect_max: Duration::from_secs(10),
            connect_timeout: Some(Duration::from_secs(10)),
            no_delay: true,
            keep_alive: None,
            local_address: None,
            send_buffer_bytes: None,
            recv_buffer_bytes: None,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "ws")]
            ws: WsDialOptions::default(),
            #[cfg(feature = "quic")]
            quic: QuicOptions::default(),
            mux: MuxOptions::default(),
            transport: None,
        }
    }
}

/// How a dialer starts, and a listener of a [`link::Server`](crate::link::Server).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Wait for the first connection, or until the address is bound; if that fails, report why, and leave nothing
    /// behind.
    #[default]
    Wait,
    /// Return at once and keep trying: the listener, or the address, may come later.
    Background,
}

/// Options of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that may be in their handshake at once; beyond, the oldest is dropped, so that
    /// silent strangers cannot keep an honest peer out. Default 1,024; at least 1.
    pub half_open: usize,
    /// Connections that the kernel may hold until they are accepted. Default 1,024; NNG has 128.
    pub backlog: u32,
    /// tcp, and tls+tcp, ws and wss over it: send small segments at once (`TCP_NODELAY`). Default true, as in NNG.
    pub no_delay: bool,
    /// tcp, and tls+tcp, ws and wss over it: let the kernel probe a peer that was silent for so long. Default: off,
    /// as in NNG. On ipc the kernel tells at once when a peer is gone; quic has `QuicOptions`.
    pub keep_alive: Option<Duration>,
    /// ipc: the permission bits of the socket file. Default: as the process's umask says.
    pub permissions: Option<u32>,
    /// Bytes of the kernel's send buffer of each connection: tcp, and tls+tcp, ws and wss over it (at a port that
    /// several share, as the first of them says); ipc and abstract; quic: of its one UDP socket. The kernel moves
    /// it into the range that it allows; Linux doubles it for its own needs. Default: the kernel's choice, which
    /// follows the traffic on tcp; quic 2 MiB.
    pub send_buffer_bytes: Option<usize>,
    /// The same of the receive buffer. On ipc and abstract, Linux counts what waits against the send buffer of the
    /// other side only.
    pub recv_buffer_bytes: Option<usize>,
    /// tls+tcp, wss, quic: who we are, and whether peers have to prove who they are. These cannot do without.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsServer>,
    /// ws, wss: which pages may connect, and what the answer says besides.
    #[cfg(feature = "ws")]
    pub ws: WsListenOptions,
    /// quic: timers, windows, and when newcomers have to prove their address.
    #[cfg(feature = "quic")]
    pub quic: QuicOptions,
    /// mux+ addresses: of the connections that carry the channels, as all say who share the port.
    pub mux: MuxOptions,
    /// A transport of your own, which says what the address means. Default: none, and the scheme of the
    /// address says which of ours it is.
    pub transport: Option<Arc<dyn Transport>>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            half_open: 1_024,
            backlog: 1_024,
            no_delay: true,
            keep_alive: None,
            permissions: None,
            send_buffer_bytes: None,
            recv_buffer_bytes: None,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "ws")]
            ws: WsListenOptions::default(),
            #[cfg(feature = "quic")]
            quic: QuicOptions::default(),
            mux: MuxOptions::default(),
            transport: None,
        }
    }
}

/// Options of `quic://`, for both sides.
#[cfg(feature = "quic")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuicOptions {
    /// A connection on which nothing happens says so after this, so that neither side takes the other
    /// for dead, and no router forgets it. Default 10 s; `None`: never.
    pub keep_alive: Option<Duration>,
    /// A peer that was not heard of for so long is gone. Default 30 s; `None`: never. The smaller one of both
    /// sides counts.
    pub idle_timeout: Option<Duration>,
    /// How many bytes the peer may send before we have taken them: as much as the way between holds, or it
    /// waits. Memory of this size is used only where we are slower than the peer. Default 2 MiB; at least
    /// a packet.
    pub receive_window_bytes: usize,
    /// How many bytes we keep that the peer has not acknowledged. Default 2 MiB; at least a packet.
    pub send_window_bytes: usize,
    /// Listeners: while so many handshakes are under way, a newcomer has to prove its address first, which
    /// costs it a round trip. Default 64; 0: always.
    pub retry_above: usize,
}

#[cfg(feature = "quic")]
impl Default for QuicOptions {
    fn default() -> Self {
        Self {
            keep_alive: Some(Duration::from_secs(10)),
            idle_timeout: Some(Duration::from_secs(30)),
            receive_window_bytes: 2 * 1024 * 1024,
            send_window_bytes: 2 * 1024 * 1024,
            retry_above: 64,
        }
    }
}

/// What a dialer of `ws://` or `wss://` says in its request besides what belongs there.
#[cfg(feature = "ws")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WsDialOptions {
    /// More headers, by name and value, as in `("Authorization", "Bearer …")`. Default: none. Those of the
    /// handshake itself cannot be given, nor line breaks; the whole request has at most 4,095 bytes.
    pub headers: Vec<(String, String)>,
    /// The site on whose behalf it dials (`Origin`), as in `https://example.org`. Default: none, since it is no
    /// browser.
    pub origin: Option<String>,
}

/// What a listener at `ws://` or `wss://` allows, and what it says besides.
#[cfg(feature = "ws")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WsListenOptions {
    /// Of which sites web pages may connect. Default: of none. Programs that are no browsers name no site, and
    /// are let in.
    pub origins: Origins,
    /// More headers of the answer, by name and value. Default: none. Those of the handshake itself cannot be
    /// given, nor line breaks; the whole answer has at most 511 bytes, as nanomsg takes no more.
    pub headers: Vec<(String, String)>,
}
