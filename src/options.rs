//! Options of dialers and listeners. Those of sockets are [`Options`](crate::Options).

#[cfg(feature = "tls")]
use crate::tls::{TlsClient, TlsServer};
use std::net::IpAddr;
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
    /// tcp: send small segments at once (`TCP_NODELAY`). Default true, as in NNG.
    pub no_delay: bool,
    /// tcp: let the kernel probe a peer that was silent for so long. Default: off, as in NNG.
    pub keep_alive: Option<Duration>,
    /// tcp: the local address to dial from. Default: the kernel chooses.
    pub local_address: Option<IpAddr>,
    /// tls+tcp, wss, quic: whom to trust, and who we are. Default: the authorities of the operating system, and
    /// nobody.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsClient>,
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
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// How a dialer starts.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Wait for the first connection; if it fails, report why, and leave no dialer behind.
    #[default]
    Wait,
    /// Return at once and keep trying: the listener may come later.
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
    /// tcp: send small segments at once (`TCP_NODELAY`). Default true, as in NNG.
    pub no_delay: bool,
    /// tcp: let the kernel probe a peer that was silent for so long. Default: off, as in NNG.
    pub keep_alive: Option<Duration>,
    /// ipc: the permission bits of the socket file. Default: as the process's umask says.
    pub permissions: Option<u32>,
    /// tls+tcp, wss, quic: who we are, and whether peers have to prove who they are. These cannot do without.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsServer>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            half_open: 1_024,
            backlog: 1_024,
            no_delay: true,
            keep_alive: None,
            permissions: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}
