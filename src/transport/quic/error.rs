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

#[cfg(test)]
mod tests {
    use super::*;
    use quinn::{ApplicationClose, ConnectionClose};

    fn ours(code: TransportErrorCode, reason: &str) -> UpgradeError {
        let mut error = ConnectionError::TransportError(code.into());
        if let ConnectionError::TransportError(error) = &mut error {
            error.reason = reason.into();
        }
        failure(error)
    }

    fn theirs(error_code: TransportErrorCode) -> UpgradeError {
        let close = ConnectionClose { error_code, frame_type: None, reason: b"because"[..].into() };
        failure(ConnectionError::ConnectionClosed(close))
    }

    #[test]
    fn each_end_has_its_culprit() {
        assert_eq!(failure(ConnectionError::TimedOut), UpgradeError::TimedOut);
        assert_eq!(failure(ConnectionError::LocallyClosed), UpgradeError::Ended);
        for (error, expected) in [
            (failure(ConnectionError::VersionMismatch), QuicError::VersionMismatch),
            (failure(ConnectionError::Reset), QuicError::Reset),
            (theirs(TransportErrorCode::CONNECTION_REFUSED), QuicError::Refused),
            (theirs(TransportErrorCode::APPLICATION_ERROR), QuicError::Refused),
            (
                theirs(TransportErrorCode::FLOW_CONTROL_ERROR),
                QuicError::Blamed { code: 3, reason: "because".into() },
            ),
            (
                failure(ConnectionError::ApplicationClosed(ApplicationClose {
                    error_code: 7_u32.into(),
                    reason: b"\xff"[..].into(),
                })),
                QuicError::Closed { code: 7, reason: "\u{fffd}".into() },
            ),
            (
                ours(TransportErrorCode::INTERNAL_ERROR, "no socket"),
                QuicError::Failed { why: "no socket".into() },
            ),
        ] {
            assert_eq!(error, UpgradeError::Quic(expected));
        }
        match ours(TransportErrorCode::STREAM_LIMIT_ERROR, "") {
            UpgradeError::Quic(error @ QuicError::Protocol { .. }) => assert!(!error.is_transient()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn alerts_are_those_of_who_saw_the_fault() {
        let crypto = TransportErrorCode::crypto;
        for (alert, why, expected) in [
            (45, "invalid peer certificate: certificate expired", TlsError::Expired),
            (45, "invalid peer certificate: certificate not valid yet", TlsError::NotYetValid),
            (44, "", TlsError::Revoked),
            (48, "", TlsError::UnknownAuthority),
            (116, "", TlsError::NoCertificate),
            (70, "", TlsError::VersionMismatch),
            (42, "another name", TlsError::BadCertificate { why: "another name".into() }),
            (120, "", TlsError::Incompatible { what: "application protocols".into() }),
            (50, "odd", TlsError::Protocol { why: "odd".into() }),
        ] {
            assert_eq!(ours(crypto(alert), why), UpgradeError::Quic(QuicError::Tls(expected)), "{alert}");
        }
        for (alert, expected) in [
            (116, TlsError::CertificateRequired),
            (48, TlsError::Alert { name: "unknown_ca" }),
            (120, TlsError::Alert { name: "no_application_protocol" }),
        ] {
            assert_eq!(theirs(crypto(alert)), UpgradeError::Quic(QuicError::Tls(expected)), "{alert}");
        }
    }

    #[test]
    fn a_wrong_certificate_is_there_to_stay_and_a_busy_peer_is_not() {
        assert!(!QuicError::Tls(TlsError::Expired).is_transient());
        assert!(!QuicError::VersionMismatch.is_transient());
        assert!(QuicError::Refused.is_transient() && QuicError::Reset.is_transient());
    }
}
