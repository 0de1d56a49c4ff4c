//! TLS: who we are, whom we trust, and what goes wrong. For `tls+tcp://`, `wss://` and `quic://`.
//!
//! ```no_run
//! use spanwire::tls::{Identity, Roots, TlsClient, TlsClientOptions, TlsServer, TlsServerOptions};
//! use spanwire::{DialOptions, ListenOptions, PullSocket, PushSocket};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let server = TlsServer::new(TlsServerOptions::new(Identity::files("server.pem", "server.key")))?;
//! let pull = PullSocket::new();
//! let options = ListenOptions { tls: Some(server.clone()), ..Default::default() };
//! let listener = pull.listen_with("tls+tcp://127.0.0.1:0", options).await?;
//!
//! let roots = Roots::file("authority.pem");
//! let client = TlsClient::new(TlsClientOptions { roots, ..Default::default() })?;
//! let push = PushSocket::new();
//! push.dial_with(listener.url(), DialOptions { tls: Some(client), ..Default::default() }).await?;
//!
//! // Later, when the files have been replaced: connections that run stay, new ones see the new certificate.
//! server.reload()?;
//! # Ok(()) }
//! ```
//!
//! A [`TlsClient`] is for dialers, a [`TlsServer`] for listeners. Both are handles, cheap to clone: whoever
//! holds a clone can [`reload`](TlsServer::reload) the certificates of all that use it.
//!
//! TLS 1.3 and 1.2, the peer's certificate is verified, keys are agreed on by `X25519MLKEM768` where the peer
//! knows it, so that what is recorded today cannot be read by the quantum computer of tomorrow. There is no
//! renegotiation, resumption, early data or compression.
//!
//! | file | what it has |
//! | --- | --- |
//! | `client` | [`TlsClient`] |
//! | `server` | [`TlsServer`] |
//! | `material` | certificates and keys: [`Pem`], [`Identity`], [`Roots`] |
//! | `per_alpn` | configurations for rustls, made once per protocol |
//! | `error` | [`TlsConfigError`], [`TlsError`] |

mod client;
mod error;
mod material;
mod per_alpn;
mod server;

pub use client::{TlsClient, TlsClientOptions, Verify};
pub use error::{TlsConfigError, TlsError};
pub use material::{Identity, Pem, Roots};
pub use server::{ClientAuth, TlsServer, TlsServerOptions};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{SupportedProtocolVersion, version};
use std::sync::{Arc, OnceLock};

/// A version of TLS.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246; with forward secrecy and authenticated encryption only.
    #[default]
    Tls12,
    /// TLS 1.3, RFC 8446.
    Tls13,
}

impl TlsVersion {
    /// What is spoken if this is the oldest version allowed.
    fn and_later(self) -> &'static [&'static SupportedProtocolVersion] {
        static VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
        match self {
            Self::Tls12 => &VERSIONS,
            Self::Tls13 => &VERSIONS[..1],
        }
    }
}

/// The cryptography, hybrid key exchange first.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())).clone()
}
