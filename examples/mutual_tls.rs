//! Two programs that prove to each other who they are, a stranger who cannot, and certificates that are replaced
//! while it runs.
//!
//! ```sh
//! cargo run --example mutual_tls --features tls
//! ```

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use spanwire::tls::{ClientAuth, Identity, Roots, TlsClient, TlsClientOptions, TlsServer, TlsServerOptions};
use spanwire::{DialOptions, ListenOptions, RepSocket, ReqSocket};
use std::error::Error;

/// In earnest these are files, and the authority is on a machine of its own.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// A certificate for somebody of this name, and its key.
    fn issue(&self, name: &str) -> Result<Identity, rcgen::Error> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![name.into()])?.signed_by(&key, &self.issuer)?;
        Ok(Identity::pem(certificate.pem(), key.serialize_pem()))
    }

    fn roots(&self) -> Roots {
        Roots::pem(self.pem.clone())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let authority = Authority::new()?;

    let server = TlsServer::new(TlsServerOptions {
        client_auth: ClientAuth::Required(authority.roots()),
        ..TlsServerOptions::new(authority.issue("localhost")?)
    })?;
    let rep = RepSocket::new();
    // The authority says who may come at all; the filter, who may come here.
    rep.set_filter(|peer| {
        peer.ends.tls.as_ref().is_some_and(|tls| tls.names.iter().any(|n| n == "worker.example"))
    });
    let options = ListenOptions { tls: Some(server.clone()), ..Default::default() };
    let listener = rep.listen_with("tls+tcp://localhost:0", options).await?;
    tokio::spawn(async move {
        while let Ok(request) = rep.recv().await {
            request.reply("only for your eyes").await.ok();
        }
    });

    let worker = TlsClientOptions {
        roots: authority.roots(),
        identity: Some(authority.issue("worker.example")?),
        ..Default::default()
    };
    println!("the worker hears: {}", ask(listener.url(), worker.clone()).await?);

    let stranger = TlsClientOptions { identity: None, ..worker.clone() };
    match ask(listener.url(), stranger).await {
        Ok(_) => return Err("nobody should have answered".into()),
        Err(error) => println!("the stranger hears: {error}"),
    }

    // New certificates, without a restart. For those in files it is `server.reload()`.
    server.replace(TlsServerOptions {
        client_auth: ClientAuth::Required(authority.roots()),
        ..TlsServerOptions::new(authority.issue("localhost")?)
    })?;
    println!("the worker still hears: {}", ask(listener.url(), worker).await?);
    Ok(())
}

async fn ask(url: &str, options: TlsClientOptions) -> Result<String, Box<dyn Error>> {
    let req = ReqSocket::new();
    let tls = Some(TlsClient::new(options)?);
    req.dial_with(url, DialOptions { tls, ..Default::default() }).await?;
    let answer = req.request("what is it?").await?;
    if let Some(tls) = req.peers().first().and_then(|peer| peer.ends.tls.clone()) {
        println!("({} and {}, with {:?})", tls.version, tls.key_exchange, tls.names);
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
