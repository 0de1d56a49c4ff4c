//! What a connection tells of the peer: [`TlsPeer`].

use super::machine::Machine;
use crate::transport::TlsPeer;
use rustls::pki_types::CertificateDer;
use rustls::{NamedGroup, ProtocolVersion};
use std::net::{Ipv4Addr, Ipv6Addr};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// What is known once the handshake is done. `server_name` is what the dialer has asked for.
pub(super) fn describe(machine: &Machine, server_name: Option<String>) -> TlsPeer {
    let version = machine.protocol_version().map(|version| match version {
        ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
        ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
        other => format!("{other:?}"),
    });
    let group = machine.negotiated_key_exchange_group().map(|group| match group.name() {
        NamedGroup::Unknown(number) => format!("{number:#06x}"),
        name => format!("{name:?}"),
    });
    let suite = machine.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    let certificates = machine.peer_certificates().unwrap_or_default();
    TlsPeer {
        version: version.unwrap_or_default(),
        key_exchange: group.unwrap_or_default(),
        cipher_suite: suite.unwrap_or_default(),
        server_name,
        certificates: certificates.iter().map(|certificate| certificate.to_vec()).collect(),
        names: names(certificates),
    }
}

/// Whom the first of `certificates` names: DNS names, IP addresses and URIs; else its common name.
pub(crate) fn names(certificates: &[CertificateDer<'_>]) -> Vec<String> {
    let Some(first) = certificates.first() else { return Vec::new() };
    let Ok((_, certificate)) = X509Certificate::from_der(first) else { return Vec::new() };
    let mut names = Vec::new();
    if let Ok(Some(alternatives)) = certificate.subject_alternative_name() {
        names.extend(alternatives.value.general_names.iter().filter_map(name_of));
    }
    if names.is_empty() {
        let common = certificate.subject().iter_common_name().next();
        names.extend(common.and_then(|name| name.as_str().ok()).map(ToOwned::to_owned));
    }
    names
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match **bytes {
            [a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn names_in(names: Vec<SanType>) -> Vec<String> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.distinguished_name.push(DnType::CommonName, "the common name");
        let key = KeyPair::generate().expect("a key");
        super::names(&[params.self_signed(&key).expect("a certificate").der().clone()])
    }

    #[test]
    fn a_certificate_names_hosts_addresses_and_uris() {
        let uri = "spiffe://system/worker".try_into().expect("a URI");
        let dns = "worker.test".try_into().expect("a name");
        let ips = ["192.0.2.1", "2001:db8::1"].map(|ip| SanType::IpAddress(ip.parse().expect("an address")));
        let [v4, v6] = ips;
        let found = names_in(vec![SanType::DnsName(dns), v4, v6, SanType::URI(uri)]);
        assert_eq!(found, ["worker.test", "192.0.2.1", "2001:db8::1", "spiffe://system/worker"]);
    }

    #[test]
    fn without_any_it_is_the_common_name() {
        assert_eq!(names_in(vec![]), ["the common name"]);
    }

    #[test]
    fn what_is_no_certificate_names_nobody() {
        assert!(names(&[CertificateDer::from(vec![0x30, 0x82, 0xff, 0xff, 1])]).is_empty());
        assert!(names(&[]).is_empty());
    }
}
