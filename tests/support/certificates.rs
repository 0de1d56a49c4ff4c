//! A small authority for tests, and what it vouches for.

// Not every test uses all of it.
#![allow(dead_code)]

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use spanwire::tls::{ClientAuth, Identity, Roots, TlsClient, TlsClientOptions, TlsServer, TlsServerOptions};
use spanwire::{DialOptions, ListenOptions};
use std::sync::OnceLock;

/// Issues certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Issued {
    pub(crate) fn identity(&self) -> Identity {
        Identity::pem(self.certificate.clone(), self.key.clone())
    }
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for these names, which `change` may make worse.
    pub(crate) fn issue_changed(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "spanwire test");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_changed(names, |_| {})
    }

    pub(crate) fn issue_expired(&self, names: &[&str]) -> Issued {
        self.issue_changed(names, |params| {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        })
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::pem(self.pem.clone())
    }

    /// Dialers that trust this authority.
    pub(crate) fn client(&self) -> TlsClientOptions {
        TlsClientOptions { roots: self.roots(), ..TlsClientOptions::default() }
    }

    /// Dialers that trust this authority and bear its certificate for `names`.
    pub(crate) fn known_client(&self, names: &[&str]) -> TlsClientOptions {
        TlsClientOptions { identity: Some(self.issue(names).identity()), ..self.client() }
    }

    /// Listeners for this machine that let in who bears a certificate of this authority.
    pub(crate) fn mutual_server(&self) -> TlsServerOptions {
        TlsServerOptions {
            client_auth: ClientAuth::Required(self.roots()),
            ..TlsServerOptions::new(self.issue(HERE).identity())
        }
    }
}

/// What this machine is called.
pub(crate) const HERE: &[&str] = &["localhost", "127.0.0.1", "::1"];

/// The name that dialers of [`dialing`] can prove.
pub(crate) const DIALER: &str = "dialer.test";

struct Everybody {
    authority: Authority,
    client: TlsClient,
    server: TlsServer,
}

/// Both sides prove who they are.
fn everybody() -> &'static Everybody {
    static EVERYBODY: OnceLock<Everybody> = OnceLock::new();
    EVERYBODY.get_or_init(|| {
        let authority = Authority::new("everybody's");
        Everybody {
            client: TlsClient::new(authority.known_client(&[DIALER])).unwrap(),
            server: TlsServer::new(authority.mutual_server()).unwrap(),
            authority,
        }
    })
}

/// For programs that meet [`listening`] and [`dialing`]: the authority, and a certificate of it.
pub(crate) fn for_others() -> (String, Issued) {
    let authority = &everybody().authority;
    (authority.pem.clone(), authority.issue(HERE))
}

/// Options with which [`dialing`] finds a way in.
pub(crate) fn listening() -> ListenOptions {
    ListenOptions { tls: Some(everybody().server.clone()), ..ListenOptions::default() }
}

pub(crate) fn dialing() -> DialOptions {
    DialOptions { tls: Some(everybody().client.clone()), ..DialOptions::default() }
}

pub(crate) fn with_client(options: TlsClientOptions) -> DialOptions {
    DialOptions { tls: Some(TlsClient::new(options).unwrap()), ..DialOptions::default() }
}

pub(crate) fn with_server(options: TlsServerOptions) -> ListenOptions {
    ListenOptions { tls: Some(TlsServer::new(options).unwrap()), ..ListenOptions::default() }
}
