//! The table that turns an address into something to connect to or to accept from.
//!
//! It stands above the transports, since some schemes are no transport: `inproc` joins two sockets directly
//! (between plain connections it is bytes in memory), and with `mux+` an address is that of a channel of a
//! multiplexed connection, which is itself connected through this table. [`listening`] is what the servers of plain
//! and of multiplexed connections accept from.

pub(crate) mod listening;

use crate::error::{ConnectError, DialError};
use crate::mux;
use crate::options::{DialOptions, ListenOptions};
use crate::rt::Home;
#[cfg(all(unix, feature = "ipc"))]
use crate::transport::ipc;
#[cfg(feature = "inproc")]
use crate::transport::memory;
#[cfg(feature = "quic")]
use crate::transport::quic;
#[cfg(feature = "tcp")]
use crate::transport::tcp;
#[cfg(feature = "tls")]
use crate::transport::tls;
#[cfg(feature = "ws")]
use crate::transport::ws;
use crate::transport::{Accept, Speaks, Stream, foreign};
use spanwire_core::addr::{Addr, AddrError};
use std::io;
use std::sync::Arc;

/// A way to get connections: one for each attempt.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    pub(crate) addr: Addr,
    pub(crate) options: DialOptions,
}

impl Connector {
    pub(crate) fn new(url: &str, options: DialOptions) -> Result<Self, AddrError> {
        let addr = match &options.transport {
            Some(_) => Addr::foreign(url)?,
            None => Addr::parse(url)?,
        };
        addr.for_dial()?;
        built_in(&addr)?;
        Ok(Self { addr, options })
    }

    /// Connects under any executor, no longer than `connect_timeout`.
    pub(crate) async fn reach(&self, url: &str, speaks: Speaks, home: &Home) -> Result<Stream, DialError> {
        let connect = home.run(self.connect(speaks, home));
        match home.within(self.options.connect_timeout, connect).await {
            Some(Ok(stream)) => Ok(stream),
            Some(Err(ConnectError::Io(error))) => {
                Err(DialError::Connect { url: url.into(), error: Arc::new(error) })
            }
            Some(Err(ConnectError::Upgrade(error))) => Err(DialError::Upgrade { url: url.into(), error }),
            None => Err(DialError::TimedOut { url: url.into() }),
        }
    }

    /// Connects. Names are resolved anew each time, and every address is tried.
    pub(crate) async fn connect(&self, speaks: Speaks, home: &Home) -> Result<Stream, ConnectError> {
        let _used_by_some = speaks;
        match &self.addr {
            Addr::Mux(addr) => mux::transport::channel_to(addr, &self.options, home).await,
            Addr::Foreign(addr) => match &self.options.transport {
                Some(transport) => Ok(foreign::connect(&**transport, addr, home).await?),
                None => Err(ConnectError::Io(io::ErrorKind::Unsupported.into())),
            },
            #[cfg(feature = "tcp")]
            Addr::Tcp(addr) => Ok(tcp::dial(addr, &self.options).await?),
            #[cfg(feature = "quic")]
            Addr::Quic(addr) => quic::dial(addr, &self.options, home).await,
            #[cfg(feature = "tls")]
            Addr::Tls(addr) => tls::dial(addr, &self.options).await,
            #[cfg(all(unix, feature = "ipc"))]
            Addr::Ipc(addr) => Ok(ipc::connect(addr.path().as_ref(), &self.options, home).await?),
            #[cfg(all(target_os = "linux", feature = "ipc"))]
            Addr::Abstract(addr) => Ok(ipc::connect_abstract(addr.name(), &self.options, home).await?),
            #[cfg(feature = "ws")]
            Addr::Ws(addr) => ws::dial(addr, speaks, &self.options).await,
            #[cfg(feature = "inproc")]
            Addr::Inproc(name) if speaks == Speaks::Link => Ok(memory::connect(name)?),
            _ => Err(ConnectError::Io(io::ErrorKind::Unsupported.into())),
        }
    }
}

/// Parses an address to listen on.
pub(crate) fn listen_addr(url: &str, options: &ListenOptions) -> Result<Addr, AddrError> {
    let addr = match &options.transport {
        Some(_) => Addr::foreign(url)?,
        None => Addr::parse(url)?,
    };
    addr.for_listen()?;
    built_in(&addr)?;
    Ok(addr)
}

/// Binds; returns the address as it is bound, with its real port.
pub(crate) async fn bind(
    addr: &Addr,
    speaks: Speaks,
    options: &ListenOptions,
    home: &Home,
) -> io::Result<(Box<dyn Accept>, Addr)> {
    match (addr, &options.transport) {
        (Addr::Mux(addr), _) => {
            let (listening, bound) = mux::transport::listen(addr, options, home).await?;
            Ok((Box::new(listening), Addr::Mux(bound)))
        }
        (Addr::Foreign(addr), Some(transport)) => {
            let (listening, bound) = foreign::listen(&**transport, addr, home).await?;
            Ok((Box::new(listening), Addr::Foreign(bound)))
        }
        _ => bind_ours(addr, speaks, options, home).await,
    }
}

async fn bind_ours(
    addr: &Addr,
    speaks: Speaks,
    options: &ListenOptions,
    home: &Home,
) -> io::Result<(Box<dyn Accept>, Addr)> {
    let _used_by_some = (speaks, options, home);
    match addr {
        #[cfg(feature = "tcp")]
        Addr::Tcp(addr) => {
            let (listening, bound) = tcp::listen(addr, options).await?;
            Ok((Box::new(listening), Addr::Tcp(bound)))
        }
        #[cfg(feature = "quic")]
        Addr::Quic(addr) => {
            let (listening, bound) = quic::listen(addr, options, home).await?;
            Ok((Box::new(listening), Addr::Quic(bound)))
        }
        #[cfg(feature = "tls")]
        Addr::Tls(addr) => {
            let (listening, bound) = tls::listen(addr, options).await?;
            Ok((Box::new(listening), Addr::Tls(bound)))
        }
        #[cfg(all(unix, feature = "ipc"))]
        Addr::Ipc(path) => {
            let listening = ipc::bind(path.path().as_ref(), options)?;
            Ok((Box::new(listening), addr.clone()))
        }
        #[cfg(all(target_os = "linux", feature = "ipc"))]
        Addr::Abstract(name) => {
            let (listening, bound) = ipc::bind_abstract(name.name(), options)?;
            Ok((Box::new(listening), Addr::Abstract(bound)))
        }
        #[cfg(feature = "ws")]
        Addr::Ws(addr) => {
            let (listening, bound) = ws::listen(addr, speaks, options).await?;
            Ok((Box::new(listening), Addr::Ws(bound)))
        }
        #[cfg(feature = "inproc")]
        Addr::Inproc(name) if speaks == Speaks::Link => {
            Ok((Box::new(memory::listen(name, options.backlog)?), addr.clone()))
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Whether this build has the transport; `inproc` is dealt with by the sockets.
fn built_in(addr: &Addr) -> Result<(), AddrError> {
    let built_in = match addr {
        Addr::Mux(addr) => built_in(addr.inner()).is_ok(),
        Addr::Tcp(_) => cfg!(feature = "tcp"),
        Addr::Ipc(_) => cfg!(all(unix, feature = "ipc")),
        Addr::Abstract(_) => cfg!(all(target_os = "linux", feature = "ipc")),
        Addr::Inproc(_) => cfg!(feature = "inproc"),
        Addr::Quic(_) => cfg!(feature = "quic"),
        Addr::Foreign(_) => true,
        Addr::Tls(_) => cfg!(feature = "tls"),
        Addr::Ws(addr) => cfg!(feature = "ws") && (cfg!(feature = "tls") || !addr.is_secure()),
        _ => false,
    };
    if built_in { Ok(()) } else { Err(AddrError::NotBuiltIn { scheme: addr.scheme().into() }) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::transport::Incoming;
    use std::future::poll_fn;

    /// Bytes of the send buffer that were asked for, at the dialer and at the listener.
    const ASKED: [usize; 2] = [30_000, 50_000];

    fn options() -> (DialOptions, ListenOptions) {
        let dial = DialOptions { send_buffer_bytes: Some(ASKED[0]), ..DialOptions::default() };
        let listen = ListenOptions { send_buffer_bytes: Some(ASKED[1]), ..ListenOptions::default() };
        #[cfg(feature = "tls")]
        let (dial, listen) = {
            let (client, server) = tls::tests::handles();
            let dial = DialOptions { tls: Some(client.clone()), ..dial };
            (dial, ListenOptions { tls: Some(server.clone()), ..listen })
        };
        (dial, listen)
    }

    #[tokio::test]
    async fn every_stream_of_the_kernel_has_the_buffers_that_were_asked_for() {
        let file = std::env::temp_dir().join(format!("spanwire-buffers-{}", std::process::id()));
        let schemes = [
            (cfg!(feature = "tcp"), "tcp://127.0.0.1:0".to_owned()),
            (cfg!(feature = "ipc"), format!("ipc://{}", file.display())),
            (cfg!(feature = "ipc"), "abstract://".into()),
            (cfg!(feature = "tls"), "tls+tcp://127.0.0.1:0".into()),
            (cfg!(feature = "ws"), "ws://127.0.0.1:0/buffers".into()),
            (cfg!(all(feature = "ws", feature = "tls")), "wss://127.0.0.1:0/buffers".into()),
        ];
        let home = Home::current();
        for (_, url) in schemes.iter().filter(|(built_in, _)| *built_in) {
            let (dial, listen) = options();
            let addr = listen_addr(url, &listen).unwrap();
            let (acceptor, addr) = bind(&addr, Speaks::Link, &listen, &home).await.unwrap();
            let accept = async {
                match poll_fn(|cx| acceptor.poll_accept(cx)).await.unwrap() {
                    Incoming::Ready(stream) => stream,
                    Incoming::Upgrading(upgrade) => upgrade.await.unwrap().unwrap(),
                }
            };
            let connector = Connector::new(&addr.to_string(), dial).unwrap();
            let (here, there) = tokio::join!(connector.connect(Speaks::Link, &home), accept);
            // Linux gives twice of what is asked for, and the peer's kernel keeps about as much.
            let bytes = [here.unwrap(), there].map(|stream| stream.writer.kernel_bytes());
            assert_eq!(bytes, ASKED.map(|asked| 2 * 2 * asked), "{url}");
        }
    }
}
