//! [`TlsServer`]: what a listener needs for TLS.

use super::error::TlsConfigError;
use super::material::{Identity, Roots};
use super::per_alpn::PerAlpn;
use super::{TlsVersion, provider};
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What listeners do in TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsServerOptions {
    /// Who we are.
    pub identity: Identity,
    /// Whether clients have to show a certificate (mutual TLS). Default: they are not asked.
    pub client_auth: ClientAuth,
    /// The oldest version that we speak. Default TLS 1.2, as there are SP peers that know no later one.
    pub min_version: TlsVersion,
}

impl TlsServerOptions {
    /// The defaults for a server that is `identity`.
    pub fn new(identity: Identity) -> Self {
        Self { identity, client_auth: ClientAuth::default(), min_version: TlsVersion::default() }
    }
}

/// Whether clients have to prove who they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// Who shows a certificate must have it from these authorities; who has none may come in, too. The peer's
    /// [`TlsPeer`](crate::TlsPeer) tells them apart.
    Optional(Roots),
    /// Only those with a certificate of these authorities come in.
    Required(Roots),
}

/// A handle on what listeners do in TLS; see [`ListenOptions::tls`](crate::ListenOptions::tls).
///
/// Clones are the same, and equal; two that were made apart are not.
#[derive(Clone)]
pub struct TlsServer {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    options: TlsServerOptions,
    loaded: Arc<PerAlpn<ServerConfig>>,
}

impl TlsServer {
    /// Reads certificates and keys. Blocks for as long as that takes.
    pub fn new(options: TlsServerOptions) -> Result<Self, TlsConfigError> {
        let loaded = Arc::new(load(&options)?);
        Ok(Self { inner: Arc::new(Mutex::new(Inner { options, loaded })) })
    }

    /// Reads the files again. Handshakes that begin later use what is in them now; connections that run stay
    /// as they are. If anything is wrong with a file, all stays as it was, and the error says what.
    pub fn reload(&self) -> Result<(), TlsConfigError> {
        let options = self.lock().options.clone();
        self.replace(options)
    }

    /// The same with other options: for certificates that are not in files.
    pub fn replace(&self, options: TlsServerOptions) -> Result<(), TlsConfigError> {
        let loaded = Arc::new(load(&options)?);
        *self.lock() = Inner { options, loaded };
        Ok(())
    }

    /// For a connection that begins now, to speak one of the protocols in `alpn`; none if that is empty.
    pub(crate) fn config(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let loaded = self.lock().loaded.clone();
        loaded.get(alpn, |config, names| config.alpn_protocols = names)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(options: &TlsServerOptions) -> Result<PerAlpn<ServerConfig>, TlsConfigError> {
    let TlsServerOptions { identity, client_auth, min_version } = options;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(min_version.and_later())
        .map_err(TlsConfigError::refused)?;
    let verifier = |roots: &Roots| {
        Ok::<_, TlsConfigError>(WebPkiClientVerifier::builder_with_provider(roots.load()?, provider()))
    };
    let verifier = match client_auth {
        ClientAuth::None => WebPkiClientVerifier::no_client_auth(),
        ClientAuth::Optional(roots) => {
            verifier(roots)?.allow_unauthenticated().build().map_err(TlsConfigError::refused)?
        }
        ClientAuth::Required(roots) => verifier(roots)?.build().map_err(TlsConfigError::refused)?,
    };
    let mut config = builder
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.load()?)));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(PerAlpn::new(config))
}

impl PartialEq for TlsServer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for TlsServer {}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").field("options", &self.lock().options).finish_non_exhaustive()
    }
}
