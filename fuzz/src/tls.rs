//! Bytes that pretend to be TLS, from either side, before the handshake and behind it.

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use spanwire::blocking::{PullSocket, PushSocket};
use spanwire::tls::{Identity, Roots, TlsClient, TlsClientOptions, TlsServer, TlsServerOptions};
use spanwire::{DialError, DialOptions, ListenOptions};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

/// Nothing takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// One socket for all inputs, so that what one of them breaks is noticed by the next.
struct World {
    pull: PullSocket,
    /// A peer that does nothing wrong.
    honest: PushSocket,
    address: SocketAddr,
    /// Our dialers.
    client: TlsClient,
    /// Those of rustls.
    config: Arc<ClientConfig>,
    /// Waits for our dialers.
    trap: TcpListener,
}

/// The first byte says who is fed: a listener of ours, one behind the handshake, or a dialer.
///
/// # Panics
///
/// When the connection does not end, bytes that nobody has sealed are received, or the socket serves nobody else any more.
pub fn tls(data: &[u8]) {
    static WORLD: OnceLock<World> = OnceLock::new();
    let world = WORLD.get_or_init(World::new);
    let Some((who, bytes)) = data.split_first() else { return };
    match who % 3 {
        0 => feed(TcpStream::connect(world.address).expect("it listens"), bytes),
        1 => world.feed_behind_the_handshake(bytes),
        _ => world.feed_a_dialer(bytes),
    }
    world.honest.send("still here").expect("a peer");
    let job = world.pull.recv_timeout(PATIENCE).expect("the socket serves others");
    assert_eq!(&job[..], b"still here");
}

/// Says `bytes`, and hears how it ends.
fn feed(mut stream: TcpStream, bytes: &[u8]) {
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    // The other side may have had enough already.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut rest = [0; 4096];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => return assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it hangs"),
        }
    }
}

impl World {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).expect("names");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        let server = TlsServerOptions::new(Identity::pem(certificate.clone(), key.serialize_pem()));
        let tls = Some(TlsServer::new(server).expect("good options"));
        let client = TlsClientOptions { roots: Roots::pem(certificate.clone()), ..Default::default() };

        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();

        let (pull, honest) = (PullSocket::new(), PushSocket::new());
        let listener = pull.listen_with("tls+tcp://127.0.0.1:0", ListenOptions { tls, ..Default::default() });
        pull.listen("inproc://honest").expect("a free name");
        honest.dial("inproc://honest").expect("it listens");
        Self {
            address: listener.expect("a free port").local_addr().expect("an IP address"),
            pull,
            honest,
            client: TlsClient::new(client).expect("good options"),
            config: Arc::new(config),
            trap: TcpListener::bind("127.0.0.1:0").expect("a free port"),
        }
    }

    fn feed_behind_the_handshake(&self, bytes: &[u8]) {
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(self.config.clone(), name).expect("a client");
        let tcp = TcpStream::connect(self.address).expect("it listens");
        tcp.set_read_timeout(Some(PATIENCE)).expect("an option");
        let mut stream = StreamOwned::new(connection, tcp);
        stream.write_all(b"\0SP\0\0\x50\0\0").expect("a handshake");
        stream.flush().expect("a handshake");
        stream.read_exact(&mut [0; 8]).expect("a header");
        feed(stream.sock, bytes);
    }

    fn feed_a_dialer(&self, bytes: &[u8]) {
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream = self.trap.accept().expect("a dialer").0;
                stream.set_read_timeout(Some(PATIENCE)).expect("an option");
                // So that closing does not wipe out what it has not heard yet.
                let _ = stream.read(&mut [0; 4096]);
                feed(stream, bytes);
            });
            let push = PushSocket::new();
            let url = format!("tls+tcp://{}", self.trap.local_addr().expect("an address"));
            let options = DialOptions { tls: Some(self.client.clone()), ..Default::default() };
            let result = push.dial_with(&url, options);
            assert!(
                matches!(result, Err(DialError::Upgrade { .. } | DialError::Refused { .. })),
                "{result:?}"
            );
            push.close(PATIENCE);
        });
    }
}
