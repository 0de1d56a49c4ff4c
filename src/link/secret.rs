//! [`Secret`]: a key that both sides know and neither sends.

use super::{Hook, Peer};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;

/// A [`Hook`] for hosts that share a secret: each side proves that it knows it by an HMAC-SHA-256 (RFC 2104)
/// of the challenge, so the secret never travels, and what was overheard is of no use a second time.
///
/// It says who is there; it does not encrypt. Whoever can change bytes on the way can change what is sent
/// after the handshake: use TLS where that is a worry.
///
/// ```
/// use spanwire::link::{Host, HostOptions, Secret};
/// use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let knows = |secret: &str| {
///     Host::with(HostOptions { hook: Some(Arc::new(Secret::new(secret))), ..HostOptions::default() })
/// };
/// let server = knows("open sesame").serve("tcp://127.0.0.1:0").await?;
/// assert!(knows("open sesame").connect(&server.url()).await.is_ok());
/// assert!(knows("open barley").connect(&server.url()).await.is_err());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Secret {
    mac: Hmac<Sha256>,
}

impl Secret {
    /// Of any length; 32 random bytes are as good as it gets.
    pub fn new(secret: impl AsRef<[u8]>) -> Self {
        let mac = Hmac::new_from_slice(secret.as_ref()).expect("any length will do");
        Self { mac }
    }
}

impl Hook for Secret {
    fn prove(&self, _: &Peer, challenge: &[u8]) -> Vec<u8> {
        self.mac.clone().chain_update(challenge).finalize().into_bytes().to_vec()
    }

    fn verify(&self, _: &Peer, challenge: &[u8], proof: &[u8]) -> bool {
        // In a time that does not depend on where they differ.
        self.mac.clone().chain_update(challenge).verify_slice(proof).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}
