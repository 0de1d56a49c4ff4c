//! Certificates and keys: [`Pem`], [`Identity`], [`Roots`].

use super::error::TlsConfigError;
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Text in PEM: a file, or what was in one.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// Read when the handle is made, and again at each `reload`.
    File(PathBuf),
    /// In memory. `reload` finds the same; give others with `replace`.
    Bytes(Vec<u8>),
}

impl Pem {
    fn read(&self) -> Result<Cow<'_, [u8]>, TlsConfigError> {
        match self {
            Self::File(path) => match std::fs::read(path) {
                Ok(bytes) => Ok(bytes.into()),
                Err(error) => Err(TlsConfigError::Read { path: path.clone(), error: Arc::new(error) }),
            },
            Self::Bytes(bytes) => Ok(bytes.into()),
        }
    }

    /// Where it comes from, for errors.
    fn place(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Bytes(_) => "the text in memory".into(),
        }
    }

    /// All certificates in it, at least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
        let text = self.read()?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let found = found.map_err(|error| self.bad(error))?;
        match found.is_empty() {
            true => Err(TlsConfigError::NoCertificate { place: self.place() }),
            false => Ok(found),
        }
    }

    /// The first private key in it.
    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
        PrivateKeyDer::from_pem_slice(&self.read()?).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsConfigError::NoKey { place: self.place() },
            error => self.bad(error),
        })
    }

    fn bad(&self, error: pem::Error) -> TlsConfigError {
        TlsConfigError::Pem { place: self.place(), why: error.to_string() }
    }
}

/// Never shows what is in memory: it may be a key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
        }
    }
}

/// Peers refuse more than 64 KiB, as we do; they need a little of that for the lengths.
const MAX_CHAIN_BYTES: usize = 63 * 1024;

/// Who we are: a certificate, and the key that proves that it is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Our certificate first, then those that lead from it towards an authority that the peer trusts.
    pub certificates: Pem,
    /// The private key: PKCS #8, PKCS #1 or SEC 1, not encrypted. It may be in the same file.
    pub key: Pem,
}

impl Identity {
    /// From two files, which may be the same.
    pub fn files(certificates: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificates: Pem::File(certificates.into()), key: Pem::File(key.into()) }
    }

    /// From PEM in memory.
    pub fn pem(certificates: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self { certificates: Pem::Bytes(certificates.into()), key: Pem::Bytes(key.into()) }
    }

    /// Reads both, and sees that they belong together.
    pub(super) fn load(&self) -> Result<CertifiedKey, TlsConfigError> {
        let certificates = self.certificates.certificates()?;
        let bytes: usize = certificates.iter().map(|certificate| certificate.len()).sum();
        if bytes > MAX_CHAIN_BYTES {
            return Err(TlsConfigError::BadCertificate {
                place: self.certificates.place(),
                why: format!("a chain of {bytes} bytes is too large for peers"),
            });
        }
        let key = self.key.key()?;
        CertifiedKey::from_der(certificates, key, &super::provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsConfigError::KeyMismatch { certificates: self.certificates.place(), key: self.key.place() }
            }
            rustls::Error::InvalidCertificate(_) => {
                TlsConfigError::BadCertificate { place: self.certificates.place(), why: error.to_string() }
            }
            error => TlsConfigError::BadKey { place: self.key.place(), why: error.to_string() },
        })
    }
}

/// The authorities that we trust.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// Those of the operating system; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
    #[default]
    System,
    /// Those in here, and no others.
    Pem(Pem),
}

impl Roots {
    /// The certificates in a file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::Pem(Pem::File(path.into()))
    }

    /// The certificates in PEM in memory.
    pub fn pem(certificates: impl Into<Vec<u8>>) -> Self {
        Self::Pem(Pem::Bytes(certificates.into()))
    }

    pub(super) fn load(&self) -> Result<Arc<RootCertStore>, TlsConfigError> {
        let mut store = RootCertStore::empty();
        match self {
            Self::System => {
                let found = rustls_native_certs::load_native_certs();
                // One that cannot be understood does not take the others along.
                let (added, _) = store.add_parsable_certificates(found.certs);
                if added == 0 {
                    let why = found.errors.first().map_or("it has none".into(), ToString::to_string);
                    return Err(TlsConfigError::NoSystemRoots { why });
                }
            }
            Self::Pem(pem) => {
                for certificate in pem.certificates()? {
                    store.add(certificate).map_err(|error| TlsConfigError::BadCertificate {
                        place: pem.place(),
                        why: error.to_string(),
                    })?;
                }
            }
        }
        Ok(Arc::new(store))
    }
}
