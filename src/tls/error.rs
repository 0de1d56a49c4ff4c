//! What goes wrong: [`TlsConfigError`] before there is a connection, [`TlsError`] on one.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};
use std::path::PathBuf;
use std::sync::Arc;

/// What is wrong with certificates, keys or options of ours.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: Arc<std::io::Error>,
    },
    /// It is no PEM.
    #[error("{place} is no PEM: {why}")]
    Pem {
        /// The file, or that it was in memory.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no certificate in it.
    #[error("{place} has no certificate in it")]
    NoCertificate {
        /// The file, or that it was in memory.
        place: String,
    },
    /// There is no private key in it; or it is encrypted, which is not supported.
    #[error("{place} has no private key in it (an encrypted one does not count)")]
    NoKey {
        /// The file, or that it was in memory.
        place: String,
    },
    /// A certificate cannot be used.
    #[error("the certificate in {place} cannot be used: {why}")]
    BadCertificate {
        /// The file, or that it was in memory.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// The private key cannot be used.
    #[error("the private key in {place} cannot be used: {why}")]
    BadKey {
        /// The file, or that it was in memory.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// The key is that of another certificate.
    #[error("the private key in {key} is not that of the first certificate in {certificates}")]
    KeyMismatch {
        /// The file with the certificates, or that they were in memory.
        certificates: String,
        /// The file with the key, or that it was in memory.
        key: String,
    },
    /// The operating system names nobody to trust.
    #[error("the operating system has no authorities to trust: {why}")]
    NoSystemRoots {
        /// What it said.
        why: String,
    },
    /// The server's name is neither a DNS name nor an IP address.
    #[error("{name:?} is neither a DNS name nor an IP address")]
    BadServerName {
        /// The name.
        name: String,
    },
    /// A listener was not told who it is.
    #[error("a listener of {scheme}:// needs a certificate: set ListenOptions::tls")]
    NoServer {
        /// The scheme of its address.
        scheme: &'static str,
    },
    /// Anything else that rustls does not accept.
    #[error("the options cannot be used: {why}")]
    Refused {
        /// What it said.
        why: String,
    },
}

impl TlsConfigError {
    pub(super) fn refused(error: impl ToString) -> Self {
        Self::Refused { why: error.to_string() }
    }
}

/// Why TLS failed with a peer, by who has to do something about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    // The peer's certificate is not good enough for us.
    /// The peer's certificate, or one above it, has expired.
    #[error("the peer's certificate has expired")]
    Expired,
    /// The peer's certificate, or one above it, is not valid yet; or our clock is wrong.
    #[error("the peer's certificate is not valid yet")]
    NotYetValid,
    /// The server's certificate is for somebody else.
    #[error("the peer's certificate is not for {expected}, but for {}", listed(presented))]
    WrongName {
        /// Whom we dialled.
        expected: String,
        /// Whom it names.
        presented: Vec<String>,
    },
    /// Nobody whom we trust has issued the peer's certificate.
    #[error("the peer's certificate comes from no authority that we trust")]
    UnknownAuthority,
    /// The peer's certificate was revoked.
    #[error("the peer's certificate was revoked")]
    Revoked,
    /// The peer's certificate cannot be used for another reason.
    #[error("the peer's certificate cannot be used: {why}")]
    BadCertificate {
        /// What is wrong with it.
        why: String,
    },
    /// We require a certificate, and the peer has shown none.
    #[error("the peer has shown no certificate, and one is required")]
    NoCertificate,

    // We are not good enough for the peer.
    /// The peer requires a certificate, and we have shown none: [`TlsClientOptions::identity`](super::TlsClientOptions::identity).
    #[error("the peer requires a certificate of us")]
    CertificateRequired,
    /// The peer has ended the connection with this alert.
    #[error("the peer has ended it with the alert {name}")]
    Alert {
        /// Its name in RFC 8446, as in `unknown_ca`.
        name: &'static str,
    },

    // The two do not fit together.
    /// What the peer sends is no TLS: it speaks plain TCP, or is no peer of ours.
    #[error("the peer does not speak TLS")]
    NotTls,
    /// There is no version of TLS that both allow.
    #[error("there is no version of TLS that both sides allow")]
    VersionMismatch,
    /// They have no ciphers, key exchanges or signatures in common.
    #[error("the two sides have nothing in common: {what}")]
    Incompatible {
        /// What they lack.
        what: String,
    },
    /// The host of the address is no name that a certificate could have.
    #[error("{name:?} is no name for a certificate")]
    BadServerName {
        /// The host.
        name: String,
    },
    /// A dialer without [`DialOptions::tls`](crate::DialOptions::tls) trusts the authorities of the operating system,
    /// and they could not be read.
    #[error("{why}")]
    NoRoots {
        /// What is wrong with them.
        why: String,
    },

    // The peer broke the protocol.
    /// The peer's handshake is larger than we allow: a gigantic chain of certificates, for one.
    #[error("the peer's handshake is too large")]
    TooLarge,
    /// The peer does not keep to the protocol, or somebody has changed what it sent.
    #[error("the peer broke the protocol: {why}")]
    Protocol {
        /// How.
        why: String,
    },
    /// It is our own fault, or that of the system.
    #[error("TLS failed here: {why}")]
    Failed {
        /// How.
        why: String,
    },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "nobody".into() } else { names.join(", ") }
}

impl TlsError {
    /// Whether trying again soon may well succeed without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            // Clocks that differ by a moment; certificates are issued for the moment they are needed.
            Self::NotYetValid => true,
            // On the peer's side something failed that has nothing to do with us; or bytes were changed.
            Self::Alert { name } => matches!(*name, "internal_error" | "user_canceled" | "bad_record_mac"),
            Self::Expired
            | Self::WrongName { .. }
            | Self::UnknownAuthority
            | Self::Revoked
            | Self::BadCertificate { .. }
            | Self::NoCertificate
            | Self::CertificateRequired
            | Self::NotTls
            | Self::VersionMismatch
            | Self::Incompatible { .. }
            | Self::BadServerName { .. }
            | Self::NoRoots { .. }
            | Self::TooLarge
            | Self::Protocol { .. }
            | Self::Failed { .. } => false,
        }
    }
}

impl From<Error> for TlsError {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => error.into(),
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::AlertReceived(AlertDescription::CertificateRequired) => Self::CertificateRequired,
            Error::AlertReceived(AlertDescription::ProtocolVersion) => Self::VersionMismatch,
            Error::AlertReceived(alert) => Self::Alert { name: name_of(alert) },
            Error::PeerIncompatible(what) => match what {
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::Tls13RequiredForQuic => Self::VersionMismatch,
                what => Self::Incompatible { what: format!("{what:?}") },
            },
            Error::NoApplicationProtocol => Self::Incompatible { what: "application protocols".into() },
            Error::InvalidMessage(
                InvalidMessage::CertificatePayloadTooLarge | InvalidMessage::HandshakePayloadTooLarge,
            ) => Self::TooLarge,
            Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::InvalidMessage(_)
            | Error::PeerMisbehaved(_)
            | Error::PeerSentOversizedRecord
            | Error::DecryptError => Self::Protocol { why: error.to_string() },
            error => Self::Failed { why: error.to_string() },
        }
    }
}

impl From<CertificateError> for TlsError {
    fn from(error: CertificateError) -> Self {
        use CertificateError as Why;
        match error {
            Why::Expired | Why::ExpiredContext { .. } => Self::Expired,
            Why::NotValidYet | Why::NotValidYetContext { .. } => Self::NotYetValid,
            Why::UnknownIssuer => Self::UnknownAuthority,
            Why::Revoked => Self::Revoked,
            Why::NotValidForNameContext { expected, presented } => {
                Self::WrongName { expected: expected.to_str().into_owned(), presented }
            }
            error => Self::BadCertificate { why: Error::InvalidCertificate(error).to_string() },
        }
    }
}

/// Its name in the registry of the RFCs.
fn name_of(alert: AlertDescription) -> &'static str {
    use AlertDescription as Alert;
    match alert {
        Alert::CloseNotify => "close_notify",
        Alert::UnexpectedMessage => "unexpected_message",
        Alert::BadRecordMac => "bad_record_mac",
        Alert::DecryptionFailed => "decryption_failed",
        Alert::RecordOverflow => "record_overflow",
        Alert::HandshakeFailure => "handshake_failure",
        Alert::NoCertificate => "no_certificate",
        Alert::BadCertificate => "bad_certificate",
        Alert::UnsupportedCertificate => "unsupported_certificate",
        Alert::CertificateRevoked => "certificate_revoked",
        Alert::CertificateExpired => "certificate_expired",
        Alert::CertificateUnknown => "certificate_unknown",
        Alert::IllegalParameter => "illegal_parameter",
        Alert::UnknownCA => "unknown_ca",
        Alert::AccessDenied => "access_denied",
        Alert::DecodeError => "decode_error",
        Alert::DecryptError => "decrypt_error",
        Alert::InsufficientSecurity => "insufficient_security",
        Alert::InternalError => "internal_error",
        Alert::InappropriateFallback => "inappropriate_fallback",
        Alert::UserCanceled => "user_canceled",
        Alert::NoRenegotiation => "no_renegotiation",
        Alert::MissingExtension => "missing_extension",
        Alert::UnsupportedExtension => "unsupported_extension",
        Alert::UnrecognisedName => "unrecognized_name",
        Alert::BadCertificateStatusResponse => "bad_certificate_status_response",
        Alert::UnknownPSKIdentity => "unknown_psk_identity",
        Alert::NoApplicationProtocol => "no_application_protocol",
        _ => "(of an unknown kind)",
    }
}
