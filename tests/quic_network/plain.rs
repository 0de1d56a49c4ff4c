//! Peers that are quinn alone.

use crate::certificates::{Authority, HERE, with_client, with_server};
use crate::world::SECOND;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use spanwire::tls::TlsServerOptions;
use spanwire::{DialError, DialOptions, ListenOptions, Protocol, PushSocket};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// What a dialer or a listener of plain quinn needs.
pub(crate) struct Plain {
    authority: Authority,
}

impl Plain {
    pub(crate) fn new() -> Self {
        Self { authority: Authority::new("plain") }
    }

    pub(crate) fn listening(&self) -> ListenOptions {
        with_server(TlsServerOptions::new(self.authority.issue(HERE).identity()))
    }

    pub(crate) fn dialing(&self) -> DialOptions {
        with_client(self.authority.client())
    }

    fn client(&self, alpn: &str) -> quinn::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
    }

    /// Shows its certificate so many times.
    fn server(&self, alpn: &str, times: usize) -> quinn::ServerConfig {
        let issued = self.authority.issue(HERE);
        let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate; times], key)
            .unwrap();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(config).unwrap()))
    }

    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        alpn: &str,
    ) -> Result<quinn::Connection, quinn::ConnectionError> {
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        endpoint.connect_with(self.client(alpn), address, "localhost").unwrap().await
    }

    /// Connects as a PUSH, and greets the PULL that is there.
    pub(crate) async fn greet(
        &self,
        address: SocketAddr,
    ) -> (quinn::Connection, quinn::SendStream, quinn::RecvStream) {
        let connection = self.connect(address, "sp").await.unwrap();
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(&Protocol::Push.handshake()).await.unwrap();
        let mut header = [0; 8];
        recv.read_exact(&mut header).await.unwrap();
        assert_eq!(header, Protocol::Pull.handshake());
        (connection, send, recv)
    }

    /// What a socket of ours says that has dialled such a listener; there it fails, too.
    pub(crate) async fn dial_in_vain(&self, alpn: &str, times: usize) -> DialError {
        let here = (Ipv4Addr::LOCALHOST, 0).into();
        let server = quinn::Endpoint::server(self.server(alpn, times), here).unwrap();
        let url = format!("quic://{}", server.local_addr().unwrap());
        let serve = async { server.accept().await.unwrap().await.map(drop) };
        let push = PushSocket::new();
        let (dialed, served) = tokio::join!(push.dial_with(&url, self.dialing()), serve);
        assert!(served.is_err());
        push.close(SECOND).await;
        dialed.unwrap_err()
    }
}
