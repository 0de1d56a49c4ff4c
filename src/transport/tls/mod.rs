//! `tls+tcp://`, `tls+tcp4://`, `tls+tcp6://`; and TLS over any other [`Stream`].
//!
//! On the wire it is TLS with the frames of tcp in it, as NNG and mangos have it: no ALPN, no renegotiation, resumption,
//! compression or early data.
//!
//! | file | what it does |
//! | --- | --- |
//! | `handshake` | [`connect`] and [`accept`] |
//! | `machine` | rustls, over bytes in memory |
//! | `halves` | what reading and writing share |
//! | `incoming` | reading |
//! | `outgoing` | writing |
//! | `peer` | who the peer has proved to be |
//!
//! **What costs what.** rustls is driven without buffers of its own: records are opened where they were read, and sealed
//! next to each other, four to a write. It still copies what is in each record once, on both ways.
//!
//! **How a connection ends.** With close_notify and the end of tcp. Peers that leave out the first are taken at their word where
//! a frame ends; within a frame it is a loss.

mod halves;
mod handshake;
mod incoming;
mod machine;
mod outgoing;
pub(crate) mod peer;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use handshake::{accept, connect};

use super::{Accept, Incoming, Stream, tcp};
use crate::error::ConnectError;
use crate::options::{DialOptions, ListenOptions};
use crate::tls::{TlsClient, TlsConfigError, TlsError, TlsServer};
use spanwire_core::addr::Tcp;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

/// The dialer's options, or those of who has none: the authorities of the system.
pub(crate) fn client_of(options: &DialOptions) -> Result<TlsClient, TlsError> {
    match &options.tls {
        Some(client) => Ok(client.clone()),
        None => TlsClient::system().map_err(|error| TlsError::NoRoots { why: error.to_string() }),
    }
}

/// The listener's options; without a certificate there is none.
pub(crate) fn server_of(options: &ListenOptions, scheme: &'static str) -> io::Result<TlsServer> {
    options
        .tls
        .clone()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, TlsConfigError::NoServer { scheme }))
}

/// Connects to any of the addresses that a dialled address means.
pub(crate) async fn dial(tcp: &Tcp, options: &DialOptions) -> Result<Stream, ConnectError> {
    let client = client_of(options)?;
    let (host, _) = tcp.remote().map_err(tcp::bad_address)?;
    connect(tcp::dial(tcp, options).await?, &client, host).await
}

/// A listening TCP socket for TLS.
#[derive(Debug)]
pub(crate) struct Listening {
    tcp: tcp::Listening,
    server: TlsServer,
}

/// Listens; returns the address with its real port, too.
pub(crate) async fn listen(tcp: &Tcp, options: &ListenOptions) -> io::Result<(Listening, Tcp)> {
    let server = server_of(options, "tls+tcp")?;
    let (tcp, bound) = tcp::listen(tcp, options).await?;
    Ok((Listening { tcp, server }, bound))
}

impl Accept for Listening {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        let stream = ready!(self.tcp.poll_stream(cx))?;
        let server = self.server.clone();
        Poll::Ready(Ok(Incoming::Upgrading(Box::pin(async move { accept(stream, &server).await.map(Some) }))))
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.tcp.local_addr()
    }
}
