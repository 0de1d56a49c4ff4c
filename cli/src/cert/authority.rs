//! [`Authority`]: who signs, and what a certificate says.

use crate::complaint::Complaint;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// Who signs certificates.
pub(super) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate is good for.
#[derive(Copy, Clone)]
pub(super) enum Role<'a> {
    /// To be dialled under these names and addresses. It may dial as well.
    Server { hosts: &'a [String] },
    /// To dial.
    Client,
}

/// A certificate and its key, both as PEM.
pub(super) struct Signed {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Clocks differ: a certificate is good an hour before it is made.
const EARLIER: Duration = Duration::HOUR;

impl Authority {
    /// A new one, good for `days`.
    pub(super) fn new(days: u32) -> Result<Self, Complaint> {
        let mut params = params("Spanwire test authority", &[], days)?;
        // It signs certificates of peers, and no other authorities.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(cannot_make)?;
        let pem = params.self_signed(&key).map_err(cannot_make)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// One that was made before.
    pub(super) fn of(certificate: &str, key: &str) -> Result<Self, Complaint> {
        let unreadable = |error: rcgen::Error| {
            Complaint::new(format!("cannot use the authority: {error}"))
                .advise("name another folder, or remove ca.pem and ca.key to begin anew")
        };
        let key = KeyPair::from_pem(key).map_err(unreadable)?;
        let issuer = Issuer::from_ca_cert_pem(certificate, key).map_err(unreadable)?;
        Ok(Self { pem: certificate.into(), issuer })
    }

    /// Its certificate.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Signs a new certificate for a new key.
    pub(super) fn certificate(&self, name: &str, role: Role<'_>, days: u32) -> Result<Signed, Complaint> {
        let own_name = [name.to_owned()];
        // A client is known by the name in its certificate: as a subject alternative name it is one that
        // filters can match, too.
        let names = match role {
            Role::Server { hosts } => hosts,
            Role::Client => &own_name,
        };
        let mut params = params(name, names, days)?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match role {
            Role::Server { .. } => {
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
            }
            Role::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        let key = KeyPair::generate().map_err(cannot_make)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(cannot_make)?;
        Ok(Signed { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn params(name: &str, hosts: &[String], days: u32) -> Result<CertificateParams, Complaint> {
    let bad_host = |error| {
        Complaint::usage(format!("cannot certify {}: {error}", hosts.join(" ")))
            .advise("a host is a name, in ASCII, or an IP address")
    };
    let mut params = CertificateParams::new(hosts).map_err(bad_host)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - EARLIER;
    params.not_after = now + Duration::days(days.into());
    Ok(params)
}

fn cannot_make(error: rcgen::Error) -> Complaint {
    Complaint::new(format!("cannot make a certificate: {error}"))
}
