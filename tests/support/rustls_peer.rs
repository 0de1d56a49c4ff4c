//! A peer that is rustls alone, on a socket that blocks: these tests trust no code of ours.

// Not every test uses all of it.
#![allow(dead_code)]

use crate::certificates::{Authority, Issued};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

/// Nothing takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client.
pub(crate) struct Foreign(StreamOwned<ClientConnection, TcpStream>);

impl Deref for Foreign {
    type Target = StreamOwned<ClientConnection, TcpStream>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Foreign {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Foreign {
    /// Connects; the handshake is still to come.
    pub(crate) fn connect(
        to: SocketAddr,
        authority: &Authority,
        version: &'static SupportedProtocolVersion,
    ) -> Self {
        Self::with(to, client(authority, version, None))
    }

    pub(crate) fn with(to: SocketAddr, connection: ClientConnection) -> Self {
        let tcp = TcpStream::connect(to).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_nodelay(true).unwrap();
        Self(StreamOwned::new(connection, tcp))
    }

    /// Connects, says `hello` (a header of SP, and perhaps more), and hears a header.
    pub(crate) async fn greet(
        to: SocketAddr,
        authority: &Authority,
        version: &'static SupportedProtocolVersion,
        hello: impl AsRef<[u8]> + Send + 'static,
    ) -> Self {
        let mut foreign = Self::connect(to, authority, version);
        let greet = tokio::task::spawn_blocking(move || {
            foreign.write_all(hello.as_ref()).unwrap();
            foreign.flush().unwrap();
            foreign.read_exact(&mut [0; 8]).unwrap();
            foreign
        });
        greet.await.unwrap()
    }
}

/// What is a client without a socket.
pub(crate) fn client(
    authority: &Authority,
    version: &'static SupportedProtocolVersion,
    identity: Option<&Issued>,
) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        None => config.with_no_client_auth(),
        Some(issued) => {
            let (chain, key) = in_der(issued);
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap()
}

/// What is a server without a socket.
pub(crate) fn server(identity: &Issued) -> ServerConnection {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (chain, key) = in_der(identity);
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    ServerConnection::new(Arc::new(config)).unwrap()
}

fn in_der(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(issued.certificate.as_bytes()).collect::<Result<_, _>>();
    (chain.unwrap(), PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap())
}
