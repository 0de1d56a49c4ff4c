//! TLS by rustls, over a blocking socket.

use super::wire::Stream;
use anyhow::{Context, Result};
use rustls::StreamOwned;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use spanwire_bench_ends::secure;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// A secured socket.
#[derive(Debug)]
pub(super) enum Secured {
    Client(StreamOwned<ClientConnection, TcpStream>),
    Server(StreamOwned<ServerConnection, TcpStream>),
}

pub(super) fn accept(mut socket: TcpStream) -> Result<Stream> {
    let mut connection = ServerConnection::new(Arc::new(server()?)).context("cannot begin TLS")?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).context("the handshake of TLS failed")?;
    }
    Ok(Stream::Tls(Box::new(Secured::Server(StreamOwned::new(connection, socket)))))
}

pub(super) fn connect(mut socket: TcpStream) -> Result<Stream> {
    let name = ServerName::try_from(secure::HOST).context("no name for a server")?;
    let mut connection = ClientConnection::new(Arc::new(client()?), name).context("cannot begin TLS")?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).context("the handshake of TLS failed")?;
    }
    Ok(Stream::Tls(Box::new(Secured::Client(StreamOwned::new(connection, socket)))))
}

impl Secured {
    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Client(stream) => &stream.sock,
            Self::Server(stream) => &stream.sock,
        }
    }
}

impl Read for Secured {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Client(stream) => stream.read(buffer),
            Self::Server(stream) => stream.read(buffer),
        }
    }
}

impl Write for Secured {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Client(stream) => stream.write(buffer),
            Self::Server(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Client(stream) => stream.flush(),
            Self::Server(stream) => stream.flush(),
        }
    }
}

/// How servers are set up.
pub(super) fn server() -> Result<ServerConfig> {
    let key = PrivateKeyDer::from_pem_slice(secure::KEY.as_bytes()).context("no key")?;
    let config = ServerConfig::builder().with_no_client_auth();
    config.with_single_cert(vec![certificate()?], key).context("no good key")
}

/// How clients are set up.
pub(super) fn client() -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate()?).context("no good certificate")?;
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

fn certificate() -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(secure::CERTIFICATE.as_bytes()).context("no certificate")
}
