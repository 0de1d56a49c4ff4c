//! [`Secure`]: the files that TLS needs, as a command line names them.

use spanwire::tls::{
    ClientAuth, Identity, Roots, TlsClient, TlsClientOptions, TlsConfigError, TlsServer, TlsServerOptions,
    Verify,
};
use spanwire::{DialOptions, ListenOptions};
use std::fmt;
use std::path::PathBuf;

/// The flags, for commands that read theirs with clap.
#[derive(clap::Args, Clone, Debug, Default)]
#[group(skip)]
pub(crate) struct Flags {
    /// TLS: whom to trust, as PEM; a listener then asks its peers for certificates
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    cacert: Option<PathBuf>,
    /// TLS: our certificate, as PEM
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    cert: Option<PathBuf>,
    /// TLS: its key, as PEM; default: in the file of the certificate
    #[arg(long, value_name = "FILE", help_heading = HEADING, requires = "cert")]
    key: Option<PathBuf>,
    /// TLS: trust anybody (for tests)
    #[arg(long, help_heading = HEADING)]
    insecure: bool,
}

const HEADING: &str = "TLS (tls+tcp, wss, quic)";

impl Flags {
    /// The same on another command line.
    pub(crate) fn as_arguments(&self) -> Vec<std::ffi::OsString> {
        let files = [("--cacert", &self.cacert), ("--cert", &self.cert), ("--key", &self.key)];
        let named = files.into_iter().filter_map(|(flag, file)| Some([flag.into(), file.as_ref()?.into()]));
        named.flatten().chain(self.insecure.then(|| "--insecure".into())).collect()
    }

    /// Reads the files.
    pub(crate) fn read(&self) -> Result<Secure, String> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
        };
        Ok(Secure {
            authorities: self.cacert.as_ref().map(read).transpose()?,
            certificate: self.cert.as_ref().map(read).transpose()?,
            key: self.key.as_ref().map(read).transpose()?,
            insecure: self.insecure,
        })
    }
}

/// What the files have in them, as PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secure {
    /// Whom we trust.
    pub(crate) authorities: Option<Vec<u8>>,
    /// Who we are.
    pub(crate) certificate: Option<Vec<u8>>,
    /// Its key; without one, it is with the certificate.
    pub(crate) key: Option<Vec<u8>>,
    /// Whoever is at the other end will do.
    pub(crate) insecure: bool,
}

impl Secure {
    /// How to dial `url`.
    pub(crate) fn dialing(&self, url: &str) -> Result<DialOptions, Unusable> {
        let tls = is_secured(url).then(|| self.client()).transpose()?;
        Ok(DialOptions { tls, ..DialOptions::default() })
    }

    /// How to listen on `url`.
    pub(crate) fn listening(&self, url: &str) -> Result<ListenOptions, Unusable> {
        let tls = match (is_secured(url), self.identity()) {
            (false, _) => None,
            (true, Some(identity)) => Some(self.server(identity)?),
            (true, None) => return Err(Unusable::NoCertificate { url: url.to_owned() }),
        };
        Ok(ListenOptions { tls, ..ListenOptions::default() })
    }

    fn client(&self) -> Result<TlsClient, TlsConfigError> {
        TlsClient::new(TlsClientOptions {
            roots: self.roots(),
            identity: self.identity(),
            verify: if self.insecure { Verify::InsecureAcceptAnybody } else { Verify::Full },
            ..TlsClientOptions::default()
        })
    }

    fn server(&self, identity: Identity) -> Result<TlsServer, TlsConfigError> {
        let client_auth = match self.authorities {
            Some(_) if !self.insecure => ClientAuth::Required(self.roots()),
            _ => ClientAuth::None,
        };
        TlsServer::new(TlsServerOptions { client_auth, ..TlsServerOptions::new(identity) })
    }

    fn roots(&self) -> Roots {
        self.authorities.as_ref().map_or_else(Roots::default, |pem| Roots::pem(pem.clone()))
    }

    fn identity(&self) -> Option<Identity> {
        let certificate = self.certificate.clone()?;
        Some(Identity::pem(certificate.clone(), self.key.clone().unwrap_or(certificate)))
    }
}

/// Why an address cannot be used with these files.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// Something is wrong with a file.
    Config(TlsConfigError),
    /// A listener has to prove who it is.
    NoCertificate {
        /// Its address.
        url: String,
    },
}

impl From<TlsConfigError> for Unusable {
    fn from(error: TlsConfigError) -> Self {
        Self::Config(error)
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::NoCertificate { url } => {
                write!(f, "a listener at {url} needs a certificate: give it with --cert and --key")
            }
        }
    }
}

/// Keys are not for everybody's eyes.
impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = [&self.authorities, &self.certificate, &self.key].map(Option::is_some);
        f.debug_struct("Secure").field("there", &there).field("insecure", &self.insecure).finish()
    }
}

/// Whether an address is one of those that need TLS. `https` is where scrapers are answered.
pub(crate) fn is_secured(url: &str) -> bool {
    let scheme = url.split("://").next().unwrap_or_default().to_ascii_lowercase();
    let scheme = scheme.strip_prefix("mux+").unwrap_or(&scheme);
    ["tls+", "wss", "quic", "https"].iter().any(|start| scheme.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_with_tls_need_the_files() {
        for (url, expected) in [
            ("tls+tcp://h:1", true),
            ("TLS+TCP4://h:1", true),
            ("wss://h/x", true),
            ("quic6://h:1", true),
            ("mux+tls+tcp://h:1#x", true),
            ("MUX+wss://h", true),
            ("mux+tcp://h:1#tls+", false),
            ("https://h:1", true),
            ("ws://h/x", false),
            ("tcp://h:1", false),
            ("ipc://wss", false),
        ] {
            assert_eq!(is_secured(url), expected, "{url}");
        }
        let broken = Secure { authorities: Some(b"no PEM".to_vec()), ..Secure::default() };
        assert_eq!(broken.dialing("tcp://h:1").unwrap(), DialOptions::default());
        assert!(broken.dialing("tls+tcp://h:1").is_err());
    }

    #[test]
    fn keys_are_not_printed() {
        let secure = Secure { key: Some(b"secret".to_vec()), ..Secure::default() };
        assert!(!format!("{secure:?}").contains("115"));
    }
}
