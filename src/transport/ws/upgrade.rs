//! The opening handshake with hands: requests and answers over a stream of bytes.

use super::port::{Port, Route};
use super::{Server, Side, agreement, keys, secured, wrap};
use crate::error::{ConnectError, UpgradeError};
use crate::options::DialOptions;
#[cfg(feature = "tls")]
use crate::transport::tls;
use crate::transport::{Speaks, Stream, WriteHalf, tcp};
use spanwire_core::addr::Ws;
use spanwire_core::framing::ws::upgrade::{Answer, Ask, MAX_HEAD_BYTES, Request, WsError, key_text};
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, Weak};
use std::task::Poll;

/// Connects, and asks for a WebSocket.
pub(crate) async fn dial(addr: &Ws, speaks: Speaks, options: &DialOptions) -> Result<Stream, ConnectError> {
    let (sub_protocol, mapping) = agreement(speaks, Side::Client);
    let key = key_text(keys::random());
    let ask = Ask {
        host: &authority(addr)?,
        target: addr.target(),
        key: &key,
        sub_protocol: &sub_protocol,
        origin: options.ws.origin.as_deref(),
        headers: &options.ws.headers,
    };
    // Before anybody is bothered: what is wrong with the options is ours to mend.
    let request = ask.encode()?;
    let mut stream = below(addr, options).await?;
    write_all(&*stream.writer, &request).await?;
    let (length, mut head) =
        read_head(&mut stream, |head| Answer::check(head, &key, &sub_protocol)).await??;
    let rest = head.split_off(length);
    Ok(wrap(stream, Side::Client, mapping, rest))
}

/// Host and port as they stand in the address: NNG compares them with its own. The usual port is left out.
fn authority(addr: &Ws) -> io::Result<String> {
    let (host, port) = addr.tcp().remote().map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
    let usual = if addr.is_secure() { Ws::SECURE_PORT } else { Ws::PORT };
    Ok(if port == usual { host.to_string() } else { format!("{host}:{port}") })
}

/// The stream of bytes that a WebSocket runs over.
async fn below(addr: &Ws, options: &DialOptions) -> Result<Stream, ConnectError> {
    #[cfg(feature = "tls")]
    if addr.is_secure() {
        return tls::dial(addr.tcp(), options).await;
    }
    Ok(tcp::dial(addr.tcp(), options).await?)
}

/// A connection has come in at a port: finds out which listener it is for, and whether that lets it in.
/// `accepted_by` is the one whose task this is; `None` if it is for another one.
pub(super) async fn arrive(
    mut stream: Stream,
    server: Option<Server>,
    port: Weak<Port>,
    accepted_by: Arc<Route>,
) -> Result<Option<Stream>, ConnectError> {
    if let Some(server) = &server {
        stream = secured(stream, server).await?;
    }
    let (request, rest) = match read_head(&mut stream, Request::read).await? {
        Ok(((request, length), mut head)) => (request, head.split_off(length)),
        Err(error) => return Err(refuse(stream, error).await),
    };
    // Whoever closes has the right to do so in the middle of this.
    let Some(port) = port.upgrade() else { return Err(UpgradeError::Ended.into()) };
    let Some(route) = port.route(request.target()) else {
        let error = request.no_such_path();
        return Err(refuse(stream, error).await);
    };
    drop(port);
    if Arc::ptr_eq(&route, &accepted_by) {
        return admit(stream, request, rest, &route).await.map(Some);
    }
    // From here on it may be served by another runtime.
    #[cfg(unix)]
    stream.reader.unwatch();
    stream.writer.unwatch();
    route.hand_over(Handed { stream, request, rest });
    Ok(None)
}

/// A connection that another listener of the same port has accepted, and its request.
pub(super) struct Handed {
    stream: Stream,
    request: Request,
    rest: Vec<u8>,
}

impl Handed {
    /// Goes on where the other listener stopped.
    pub(super) async fn admit(self, route: Arc<Route>) -> Result<Stream, ConnectError> {
        admit(self.stream, self.request, self.rest, &route).await
    }
}

async fn admit(
    stream: Stream,
    request: Request,
    rest: Vec<u8>,
    route: &Route,
) -> Result<Stream, ConnectError> {
    let answer = request
        .judge(&route.sub_protocol, &route.options.origins)
        .and_then(|agreed| agreed.encode(&route.options.headers));
    match answer {
        Ok(answer) => {
            write_all(&*stream.writer, &answer).await?;
            Ok(wrap(stream, Side::Server, route.mapping, rest))
        }
        Err(error) => Err(refuse(stream, error).await),
    }
}

/// Tells a dialer why it is not let in.
async fn refuse(mut stream: Stream, error: WsError) -> ConnectError {
    if write_all(&*stream.writer, &error.encode()).await.is_ok() {
        let _ = stream.writer.shut_down();
        // What the dialer has sent besides would make of our end a reset, which takes the answer away from it.
        let mut rest = Vec::with_capacity(MAX_HEAD_BYTES);
        poll_fn(|cx| {
            for _ in 0..DRAIN_READS {
                rest.clear();
                let read = stream.reader.poll_read(cx, &mut rest, MAX_HEAD_BYTES);
                if !matches!(read, Poll::Ready(Ok(1..))) {
                    break;
                }
            }
            Poll::Ready(())
        })
        .await;
    }
    error.into()
}

/// Of what a refused dialer has sent already so many reads are thrown away.
const DRAIN_READS: usize = 16;
/// Most heads are shorter.
const HEAD_BYTES: usize = 1_024;

/// Reads until `parse` has what it wants; with it, everything that was read.
async fn read_head<T>(
    stream: &mut Stream,
    parse: impl Fn(&[u8]) -> Result<Option<T>, WsError>,
) -> Result<Result<(T, Vec<u8>), WsError>, ConnectError> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    loop {
        let before = head.len();
        if head.capacity() == before {
            head.reserve_exact(MAX_HEAD_BYTES.saturating_sub(before).max(1));
        }
        let limit = MAX_HEAD_BYTES - before;
        match poll_fn(|cx| stream.reader.poll_read(cx, &mut head, limit)).await {
            Ok(0) => return Err(UpgradeError::Ended.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        }
        // A line at a time: who sends single bytes shall not have the rest read anew for each of them. What
        // is no HTTP at all shows in its first bytes.
        let new = &head[before..];
        if before == 0 || head.len() >= MAX_HEAD_BYTES || new.contains(&b'\n') {
            match parse(&head) {
                Ok(Some(parsed)) => return Ok(Ok((parsed, head))),
                Ok(None) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}

async fn write_all(writer: &dyn WriteHalf, mut bytes: &[u8]) -> io::Result<()> {
    let mut waited = false;
    let result = poll_fn(|cx| {
        while !bytes.is_empty() {
            match writer.try_write(&[IoSlice::new(bytes)]) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    waited = true;
                    std::task::ready!(writer.poll_writable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    })
    .await;
    if waited {
        writer.unwatch();
    }
    result
}
