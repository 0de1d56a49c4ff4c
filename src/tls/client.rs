//! [`TlsClient`]: what a dialer needs for TLS.

use super::error::TlsConfigError;
use super::material::{Identity, Roots};
use super::per_alpn::PerAlpn;
use super::{TlsVersion, provider};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What dialers do in TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsClientOptions {
    /// Who may vouch for a server. Default: the authorities of the operating system.
    pub roots: Roots,
    /// Who we are, for servers that ask (mutual TLS). Default: nobody.
    pub identity: Option<Identity>,
    /// The name that the server's certificate has to bear, and that we ask for (SNI): a DNS name or an IP
    /// address. Default: the host of the address. IP addresses are not sent, as RFC 6066 asks.
    pub server_name: Option<String>,
    /// Whether the server's certificate is verified. Default: it is.
    pub verify: Verify,
    /// The oldest version that we speak. Default TLS 1.2, as there are SP peers that know no later one.
    pub min_version: TlsVersion,
}

/// Whether a server has to prove who it is.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Its certificate is valid, was issued by somebody we trust, and bears the name we dialled.
    #[default]
    Full,
    /// Anybody will do. **Insecure**: whoever is in the middle can read and change everything. For tests.
    InsecureAcceptAnybody,
}

/// A handle on what dialers do in TLS; see [`DialOptions::tls`](crate::DialOptions::tls).
///
/// Clones are the same, and equal; two that were made apart are not.
#[derive(Clone)]
pub struct TlsClient {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    options: TlsClientOptions,
    loaded: Arc<Loaded>,
}

/// What was made of the options.
struct Loaded {
    config: PerAlpn<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl TlsClient {
    /// Reads certificates and keys. Blocks for as long as that takes.
    pub fn new(options: TlsClientOptions) -> Result<Self, TlsConfigError> {
        let loaded = Loaded::new(&options)?;
        Ok(Self { inner: Arc::new(Mutex::new(Inner { options, loaded: Arc::new(loaded) })) })
    }

    /// Reads the files again. Handshakes that begin later use what is in them now; connections that run stay
    /// as they are. If anything is wrong with a file, all stays as it was, and the error says what.
    pub fn reload(&self) -> Result<(), TlsConfigError> {
        let options = self.lock().options.clone();
        self.replace(options)
    }

    /// The same with other options: for certificates that are not in files.
    pub fn replace(&self, options: TlsClientOptions) -> Result<(), TlsConfigError> {
        let loaded = Arc::new(Loaded::new(&options)?);
        *self.lock() = Inner { options, loaded };
        Ok(())
    }

    /// For a dialer without options of its own: the authorities of the system, read once.
    pub(crate) fn system() -> Result<Self, TlsConfigError> {
        static SYSTEM: OnceLock<TlsClient> = OnceLock::new();
        if let Some(client) = SYSTEM.get() {
            return Ok(client.clone());
        }
        let client = Self::new(TlsClientOptions::default())?;
        Ok(SYSTEM.get_or_init(|| client).clone())
    }

    /// For a connection that begins now, to speak one of the protocols in `alpn`; none if that is empty.
    pub(crate) fn config(&self, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let loaded = self.lock().loaded.clone();
        loaded.config.get(alpn, |config, names| config.alpn_protocols = names)
    }

    /// The name that a server has to prove, if the options say which.
    pub(crate) fn server_name(&self) -> Option<ServerName<'static>> {
        self.lock().loaded.name.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loaded {
    fn new(options: &TlsClientOptions) -> Result<Self, TlsConfigError> {
        let TlsClientOptions { roots, identity, server_name, verify, min_version } = options;
        let name = match server_name {
            None => None,
            Some(name) => Some(
                ServerName::try_from(name.clone())
                    .map_err(|_| TlsConfigError::BadServerName { name: name.clone() })?,
            ),
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(min_version.and_later())
            .map_err(TlsConfigError::refused)?;
        let builder = match verify {
            Verify::Full => {
                let verifier = WebPkiServerVerifier::builder_with_provider(roots.load()?, provider());
                builder.with_webpki_verifier(verifier.build().map_err(TlsConfigError::refused)?)
            }
            Verify::InsecureAcceptAnybody => {
                let algorithms = provider().signature_verification_algorithms;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAnybody { algorithms }))
            }
        };
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.load()?)))
            }
        };
        config.resumption = Resumption::disabled();
        Ok(Self { config: PerAlpn::new(config), name })
    }
}

impl PartialEq for TlsClient {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for TlsClient {}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").field("options", &self.lock().options).finish_non_exhaustive()
    }
}

/// Accepts every certificate, but still sees that the server has its key.
#[derive(Debug)]
struct AcceptAnybody {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AcceptAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
