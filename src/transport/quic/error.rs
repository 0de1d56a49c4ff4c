//! [`QuicError`]: why there was no connection, by who has to do something about it.

use crate::error::UpgradeError;
use crate::tls::TlsError;
use quinn::{ConnectionError, TransportErrorCode};
use rustls::AlertDescription;

/// Why a connection of QUIC came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuicError {
    // One of the two has to change something.
    /// The handshake of TLS in it failed.
    #[error("{0}")]
    Tls(#[source] TlsError),
    /// There is no version of QUIC that both sides speak.
    #[error("there is no version of QUIC that both sides speak")]
    VersionMismatch,

    // The peer does not want us, now or ever.
    /// It takes no connection at the moment: it has too many, or is closing.
    #[error("the peer takes no connection at the moment")]
    Refused,
    /// It has ended the connection for a reason of its own. SP peers of ours use 0 for a connection that is
    /// over, and 1 for one that they cut.
    #[error("the peer has ended the connection with code {code}: {reason:?}")]
    Closed {
        /// The number it gave.
        code: u64,
        /// The text it gave.
        reason: String,
    },
    /// It does not know the connection any more: it was started anew, most likely.
    #[error("the peer does not know the connection any more")]
    Reset,

    // Somebody broke the protocol.
    /// The peer says that we did.
    #[error("the peer says that we broke the protocol: error {code:#x}, {reason:?}")]
    Blamed {
        /// Its error, of RFC 9000 20.1.
        code: u64,
        /// The text it gave.
        reason: String,
    },
    /// The peer did.
    #[error("the peer broke the protocol: {why}")]
    Protocol {
        /// How.
        why: String,
    },

    // It is our own fault, or that of the system.
    /// The connection could not even be tried.
    #[error("QUIC failed here: {why}")]
    Failed {
        /// How.
        why: String,
    },
}

impl QuicError {
    /// Whether trying again soon may well succeed without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Tls(error) => error.is_transient(),
            Self::Refused | Self::Closed { .. } | Self::Reset => true,
            Self::VersionMismatch | Self::Blamed { .. } | Self::Protocol { .. } | Self::Failed { .. } => {
                false
            }
        }
    }
}

/// What quinn says, in our words.
pub(super) fn failure(error: ConnectionError) -> UpgradeError {
    UpgradeError::Quic(match error {
        ConnectionError::TimedOut => return UpgradeError::TimedOut,
        ConnectionError::LocallyClosed => return UpgradeError::Ended,
        ConnectionError::VersionMismatch => QuicError::VersionMismatch,
        ConnectionError::Reset => QuicError::Reset,
        ConnectionError::CidsExhausted => QuicError::Failed { why: "it has no more connection ids".into() },
        ConnectionError::TransportError(ours) => match alert(ours.code) {
            Some(alert) => QuicError::Tls(seen_here(alert, ours.reason)),
            None if ours.code == TransportErrorCode::INTERNAL_ERROR => QuicError::Failed { why: ours.reason },
            None => QuicError::Protocol { why: ours.to_string() },
        },
        ConnectionError::ConnectionClosed(theirs) => match alert(theirs.error_code) {
            Some(alert) => QuicError::Tls(rustls::Error::AlertReceived(alert.into()).into()),
            None if theirs.error_code == TransportErrorCode::CONNECTION_REFUSED => QuicError::Refused,
            // It has ended before it could speak for itself (RFC 9000 10.2.3).
            None if theirs.error_code == TransportErrorCode::APPLICATION_ERROR => QuicError::Refused,
            None => QuicError::Blamed { code: theirs.error_code.into(), reason: text(&theirs.reason) },
        },
        ConnectionError::ApplicationClosed(theirs) => {
            QuicError::Closed { code: theirs.error_code.into_inner(), reason: text(&theirs.reason) }
        }
    })
}

/// The alert of TLS that an error of QUIC stands for (RFC 9001 4.8).
fn alert(code: TransportErrorCode) -> Option<u8> {
    match u64::from(code) {
        code @ 0x100..=0x1ff => u8::try_from(code & 0xff).ok(),
        _ => None,
    }
}

/// What we did not like about the peer: quinn keeps the alert for it, and the text.
fn seen_here(alert: u8, why: String) -> TlsError {
    match AlertDescription::from(alert) {
        AlertDescription::CertificateExpired if why.contains("not valid yet") => TlsError::NotYetValid,
        AlertDescription::CertificateExpired => TlsError::Expired,
        AlertDescription::CertificateRevoked => TlsError::Revoked,
        AlertDescription::UnknownCA => TlsError::UnknownAuthority,
        AlertDescription::CertificateRequired => TlsError::NoCertificate,
        AlertDescription::ProtocolVersion => TlsError::VersionMismatch,
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown => TlsError::BadCertificate { why },
        AlertDescription::NoApplicationProtocol => {
            TlsError::Incompatible { what: "application protocols".into() }
        }
        AlertDescription::HandshakeFailure => TlsError::Incompatible { what: why },
        AlertDescription::InternalError => TlsError::Failed { why },
        _ => TlsError::Protocol { why },
    }
}

/// What a peer gives as its reason is at most a packet long.
fn text(reason: &[u8]) -> String {
    String::from_utf8_lossy(reason).into_owned()
}
