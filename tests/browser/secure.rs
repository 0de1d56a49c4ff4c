//! What listens at `wss://`: its certificate, and how a browser can be told to trust just that one.

use crate::certificates::{Authority, HERE, with_server};
use base64::Engine;
use rcgen::{KeyPair, PublicKeyData};
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use spanwire::ListenOptions;
use spanwire::tls::TlsServerOptions;

/// A certificate for this machine of an authority that no browser knows.
pub(crate) struct Certificate {
    options: TlsServerOptions,
    /// The hash of its public key, as Chromium wants it.
    pub(crate) fingerprint: String,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let issued = Authority::new("nobody's").issue(HERE);
        let key = KeyPair::from_pem(&issued.key).unwrap().subject_public_key_info();
        let sha256 = TLS13_AES_128_GCM_SHA256.tls13().expect("it is one of TLS 1.3").common.hash_provider;
        let fingerprint = base64::prelude::BASE64_STANDARD.encode(sha256.hash(&key));
        Self { options: TlsServerOptions::new(issued.identity()), fingerprint }
    }

    /// The same options, with this certificate.
    pub(crate) fn listen(self, options: &ListenOptions) -> ListenOptions {
        ListenOptions { tls: with_server(self.options).tls, ..options.clone() }
    }
}
