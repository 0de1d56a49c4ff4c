//! [`Port`]: listeners of several paths, of one socket or of several, that share a TCP port.
//!
//! ```text
//!   ws://host:80/a ─▶ Listening ─┐  descriptor of its own            ┌─ Route /a ◀─ handed over
//!                                ├──────── Port, host:80 ────────────┤
//!   ws://host:80/b ─▶ Listening ─┘  for the same listening socket    └─ Route /b ◀─ handed over
//! ```
//!
//! Whose request it is, is known only once the head is read; whichever listener accepts a connection reads it,
//! and hands it over if it is another's. There is no task for the port and none of its listeners is the first
//! among them: each has a descriptor of its own for the one listening socket, in its own runtime, and the port
//! is free when the last has gone.

use super::upgrade::{Handed, arrive};
use super::{Mapping, Server, agreement};
use crate::options::{ListenOptions, WsListenOptions};
#[cfg(feature = "tls")]
use crate::transport::tls;
use crate::transport::{Accept, Incoming, Speaks, tcp};
use spanwire_core::addr::{Family, Ws};
use spanwire_core::framing::ws::Side;
use spanwire_core::framing::ws::upgrade::{Agreed, is_at};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};

/// The ports of this process. Held for as long as it takes to bind: two listeners at once must not find the port
/// taken by each other.
static PORTS: Mutex<Vec<Weak<Port>>> = Mutex::new(Vec::new());

/// A TCP port, for as long as somebody listens there.
pub(super) struct Port {
    address: SocketAddr,
    /// The same for all listeners: TLS comes before anything is known of the path.
    server: Option<Server>,
    socket: TcpListener,
    routes: Mutex<Vec<Arc<Route>>>,
}

/// What a listener has at its path.
pub(super) struct Route {
    path: String,
    pub(super) sub_protocol: String,
    pub(super) mapping: Mapping,
    pub(super) options: WsListenOptions,
    inbox: Mutex<Inbox>,
}

/// What other listeners of the port have accepted for this one.
#[derive(Default)]
struct Inbox {
    handed: VecDeque<Handed>,
    waker: Option<Waker>,
}

/// So many wait until a listener takes them; it does so at once, unless its runtime stands still. Beyond, the
/// oldest is dropped.
const MAX_HANDED: usize = 1_024;

impl Port {
    fn routes(&self) -> MutexGuard<'_, Vec<Arc<Route>>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who listens at the path of a request.
    pub(super) fn route(&self, target: &str) -> Option<Arc<Route>> {
        self.routes().iter().find(|route| is_at(&route.path, target)).cloned()
    }

    fn add(&self, route: &Arc<Route>) -> io::Result<()> {
        let mut routes = self.routes();
        if routes.iter().any(|other| is_at(&other.path, &route.path)) {
            return Err(ErrorKind::AddrInUse.into());
        }
        routes.push(route.clone());
        Ok(())
    }

    /// The port at an address: that of others in this process, or a new one.
    fn open(
        address: SocketAddr,
        only_v6: bool,
        server: &Option<Server>,
        options: &ListenOptions,
    ) -> io::Result<Arc<Self>> {
        let mut ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
        ports.retain(|port| port.strong_count() > 0);
        let there = ports.iter().filter_map(Weak::upgrade).find(|port| port.address == address);
        if let Some(port) = there {
            return match port.server == *server {
                true => Ok(port),
                false => Err(io::Error::new(ErrorKind::AddrInUse, "the port is shared, but not its TLS")),
            };
        }
        let socket = tcp::bind(address, only_v6, options)?;
        let address = socket.local_addr()?;
        let port = Arc::new(Self { address, server: server.clone(), socket, routes: Mutex::default() });
        ports.push(Arc::downgrade(&port));
        Ok(port)
    }
}

impl Route {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a connection to the listener whose it is.
    pub(super) fn hand_over(&self, handed: Handed) {
        let (waker, _too_many) = {
            let mut inbox = self.inbox();
            inbox.handed.push_back(handed);
            let too_many = (inbox.handed.len() > MAX_HANDED).then(|| inbox.handed.pop_front());
            (inbox.waker.take(), too_many)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A listener at one path of a port.
pub(crate) struct Listening {
    port: Arc<Port>,
    route: Arc<Route>,
    tcp: tcp::Listening,
}

/// Listens at the path of an address; returns the address with its real port, too.
pub(crate) async fn listen(
    addr: &Ws,
    speaks: Speaks,
    options: &ListenOptions,
) -> io::Result<(Listening, Ws)> {
    let (sub_protocol, mapping) = agreement(speaks, Side::Server);
    Agreed::check_headers(&sub_protocol, &options.ws.headers)
        .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
    let route = Arc::new(Route {
        path: addr.path().to_owned(),
        sub_protocol,
        mapping,
        options: options.ws.clone(),
        inbox: Mutex::default(),
    });
    let only_v6 = addr.tcp().family() == Family::V6;
    #[cfg(feature = "tls")]
    let server = addr.is_secure().then(|| tls::server_of(options, "wss")).transpose()?;
    #[cfg(not(feature = "tls"))]
    let server = None;
    let mut last = None;
    for address in tcp::candidates(addr.tcp()).await? {
        match Port::open(address, only_v6, &server, options) {
            Ok(port) => {
                let tcp = tcp::Listening::new(port.socket.try_clone()?, options)?;
                port.add(&route)?;
                let bound = addr.clone().with_port(port.address.port());
                return Ok((Listening { port, route, tcp }, bound));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into()))
}

impl Accept for Listening {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        {
            let mut inbox = self.route.inbox();
            if let Some(handed) = inbox.handed.pop_front() {
                let admitted = handed.admit(self.route.clone());
                return Poll::Ready(Ok(Incoming::Upgrading(Box::pin(async { admitted.await.map(Some) }))));
            }
            inbox.waker = Some(cx.waker().clone());
        }
        let stream = ready!(self.tcp.poll_stream(cx))?;
        let (port, route) = (Arc::downgrade(&self.port), self.route.clone());
        let arriving = arrive(stream, self.port.server.clone(), port, route);
        Poll::Ready(Ok(Incoming::Upgrading(Box::pin(arriving))))
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Some(self.port.address)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.port.routes().retain(|route| !Arc::ptr_eq(route, &self.route));
        // Connections that were on their way to it.
        let dropped = std::mem::take(&mut self.route.inbox().handed);
        drop(dropped);
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, path) = (&self.port.address, &self.route.path);
        f.debug_struct("Listening").field("address", address).field("path", path).finish()
    }
}
