//! The handshake, over any [`Stream`].

use super::halves;
use super::machine::{Machine, Step};
use super::peer::describe;
use crate::error::{ConnectError, UpgradeError};
use crate::tls::{TlsClient, TlsError, TlsServer};
use crate::transport::Stream;
use rustls::ServerConfig;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ResolvesServerCert, UnbufferedServerConnection};
use rustls::sign::CertifiedKey;
use spanwire_core::addr::Host;
use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

/// Secures `stream`, which we have dialled; `host` is whom we expect there.
pub(crate) async fn connect(stream: Stream, client: &TlsClient, host: &Host) -> Result<Stream, ConnectError> {
    let name = client.name_of(host)?;
    let connection = UnbufferedClientConnection::new(client.config(&[]), name).map_err(TlsError::from)?;
    let secured = shake(stream, Machine::Client(Box::new(connection))).await?;
    Ok(secured.finish(None))
}

impl TlsClient {
    /// The name that the server behind `host` has to prove.
    pub(crate) fn name_of(&self, host: &Host) -> Result<ServerName<'static>, TlsError> {
        if let Some(name) = self.server_name() {
            return Ok(name);
        }
        match host {
            Host::Ip(ip) => Ok(ServerName::IpAddress((*ip).into())),
            // A trailing dot says that the name is complete; certificates do not have it.
            Host::Name(name) => ServerName::try_from(name.trim_end_matches('.').to_owned())
                .map_err(|_| TlsError::BadServerName { name: name.clone() }),
        }
    }
}

/// Secures `stream`, which came in.
pub(crate) async fn accept(stream: Stream, server: &TlsServer) -> Result<Stream, ConnectError> {
    let mut config = ServerConfig::clone(&server.config(&[]));
    let asked = Arc::new(Asked { resolver: config.cert_resolver.clone(), name: OnceLock::new() });
    config.cert_resolver = asked.clone();
    let connection = UnbufferedServerConnection::new(Arc::new(config)).map_err(TlsError::from)?;
    let secured = shake(stream, Machine::Server(Box::new(connection))).await?;
    Ok(secured.finish(asked.name.get().cloned()))
}

/// Remembers what name the client has asked for.
#[derive(Debug)]
struct Asked {
    resolver: Arc<dyn ResolvesServerCert>,
    name: OnceLock<String>,
}

impl ResolvesServerCert for Asked {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = hello.server_name() {
            let _ = self.name.set(name.to_owned());
        }
        self.resolver.resolve(hello)
    }
}

/// A handshake may take so many bytes from the peer: rustls allows a certificate chain of 64 KiB, and
/// each of its parts may be in a record of its own.
const MAX_BYTES: usize = 256 * 1024;

/// So much is read at a time.
const READ_BYTES: usize = 8 * 1024;

/// A handshake on its way.
struct Shaking {
    stream: Stream,
    machine: Machine,
    /// What the peer has sent and is not used up; it grows as data arrives.
    sealed: Vec<u8>,
    /// How much that was in all.
    received: usize,
    replies: Vec<u8>,
    /// How many of the replies have left.
    sent: usize,
    /// What came behind the handshake.
    plain: Vec<u8>,
    /// The peer has ended already.
    closed: bool,
    /// It takes nothing any more; it may have said why before.
    broken: bool,
}

async fn shake(stream: Stream, machine: Machine) -> Result<Shaking, ConnectError> {
    let mut shaking = Shaking {
        stream,
        machine,
        sealed: Vec::new(),
        received: 0,
        replies: Vec::new(),
        sent: 0,
        plain: Vec::new(),
        closed: false,
        broken: false,
    };
    let result = poll_fn(|cx| shaking.poll(cx)).await;
    if let Err(error) = result {
        shaking.say_why();
        return Err(error.into());
    }
    Ok(shaking)
}

impl Shaking {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpgradeError>> {
        loop {
            self.digest()?;
            ready!(self.poll_flush(cx))?;
            if !self.machine.is_handshaking() && !self.broken {
                return Poll::Ready(Ok(()));
            }
            if self.closed {
                return Poll::Ready(Err(UpgradeError::Ended));
            }
            ready!(self.poll_fill(cx))?;
        }
    }

    /// Takes all steps that what has come allows.
    fn digest(&mut self) -> Result<(), UpgradeError> {
        let Self { machine, sealed, replies, plain, closed, received, .. } = self;
        // Told apart here, since what is no TLS may look like any error of it.
        if *received == sealed.len() && sealed.first().is_some_and(|kind| !RECORD_KINDS.contains(kind)) {
            return Err(TlsError::NotTls.into());
        }
        loop {
            let (done, step) = machine.step(sealed, |bytes| plain.extend_from_slice(bytes), replies);
            sealed.drain(..done);
            match step? {
                Step::More => {}
                Step::Rest => return Ok(()),
                Step::Closed => {
                    *closed = true;
                    return Ok(());
                }
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpgradeError>> {
        while self.sent < self.replies.len() {
            match self.stream.writer.try_write(&[IoSlice::new(&self.replies[self.sent..])]) {
                Ok(0) => return Poll::Ready(Err(UpgradeError::Ended)),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.stream.writer.poll_writable(cx)).map_err(|_| UpgradeError::Ended)?;
                }
                Err(_) => {
                    self.broken = true;
                    break;
                }
            }
        }
        self.replies.clear();
        self.sent = 0;
        // Where the connection below keeps something back, it goes on with that while we wait for the peer.
        let _ = self.stream.writer.poll_flush(cx);
        Poll::Ready(Ok(()))
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpgradeError>> {
        self.sealed.reserve(READ_BYTES);
        let count = match ready!(self.stream.reader.poll_read(cx, &mut self.sealed, READ_BYTES)) {
            Ok(0) => return Poll::Ready(Err(UpgradeError::Ended)),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Err(_) => return Poll::Ready(Err(UpgradeError::Ended)),
        };
        self.received += count;
        match self.received > MAX_BYTES {
            true => Poll::Ready(Err(TlsError::TooLarge.into())),
            false => Poll::Ready(Ok(())),
        }
    }

    /// Tells the peer why it failed, if it takes that at once.
    fn say_why(&mut self) {
        self.machine.last_words(&mut self.replies);
        if self.sent < self.replies.len() {
            let _ = self.stream.writer.try_write(&[IoSlice::new(&self.replies[self.sent..])]);
            let _ = self.stream.writer.shut_down();
        }
    }

    fn finish(self, server_name: Option<String>) -> Stream {
        let Self { stream, machine, sealed, plain, closed, .. } = self;
        let peer = Arc::new(describe(&machine, server_name));
        halves::join(stream, machine, halves::Left { sealed, plain, closed }, peer)
    }
}

/// The first byte of a record: what it carries, RFC 8446 section 5.1.
const RECORD_KINDS: std::ops::RangeInclusive<u8> = 20..=23;
