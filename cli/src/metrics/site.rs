//! [`Site`]: where scrapers are answered.

use crate::complaint::Complaint;
use crate::secure::Secure;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Where scrapers are answered, with TLS or without.
pub(super) struct Site {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<TlsAcceptor>,
    local: SocketAddr,
}

impl Site {
    /// Listens at `HOST:PORT`, behind `https://` with our certificate.
    pub(super) async fn open(address: &str, secure: &Secure) -> Result<Self, Complaint> {
        let cannot = |error| {
            Complaint::new(format!("cannot listen on {address}: {error}"))
                .advise("give a host and a port that is free, as in 127.0.0.1:9100")
        };
        let (tls, place) = match address.split_once("://") {
            Some(("https", place)) => {
                // What is wrong with the files is told as for any other listener.
                secure.listening(address)?;
                (Some(acceptor(secure)?), place)
            }
            Some(("http", place)) => (None, place),
            _ => (None, address),
        };
        let listener = TcpListener::bind(place).await.map_err(cannot)?;
        let local = listener.local_addr().map_err(cannot)?;
        Ok(Self { listener, tls, local })
    }

    /// What to scrape.
    pub(super) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/metrics", self.local)
    }
}

fn acceptor(secure: &Secure) -> Result<TlsAcceptor, Complaint> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match &secure.authorities {
        Some(pem) if !secure.insecure => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate.map_err(unusable)?).map_err(unusable)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(unusable)?)
        }
        _ => builder.with_no_client_auth(),
    };
    let certificate = secure.certificate.as_deref().unwrap_or_default();
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>().map_err(unusable)?;
    let key = PrivateKeyDer::from_pem_slice(secure.key.as_deref().unwrap_or(certificate));
    let mut config = builder.with_single_cert(chain, key.map_err(unusable)?).map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn unusable(error: impl Display) -> Complaint {
    Complaint::new(format!("cannot answer over TLS: {error}"))
}
