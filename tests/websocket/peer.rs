//! [`Peer`]: a peer that speaks bytes.

use crate::support::within;
use spanwire::{Event, Events, Origins};
use spanwire_core::framing::ws::upgrade::Request;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The example of RFC 6455 1.3.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One side of a WebSocket, spelt out.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    /// It dialled, and so masks what it sends.
    client: bool,
}

impl Peer {
    /// Connects and says nothing.
    pub(crate) async fn connect(to: Option<SocketAddr>) -> Self {
        let stream = within(TcpStream::connect(to.unwrap())).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, client: true }
    }

    /// Connects, and is let in at `/` by a socket of this protocol.
    pub(crate) async fn client(to: Option<SocketAddr>, name: &str) -> Self {
        let mut peer = Self::connect(to).await;
        peer.say(request("/", name, "").as_bytes()).await;
        let head = peer.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        peer
    }

    /// Waits for a dialer, and lets it in.
    pub(crate) async fn server(listener: &TcpListener) -> Self {
        let (stream, _) = within(listener.accept()).await.unwrap();
        let mut peer = Self::over(stream);
        let answer = answer_to(&peer.head().await);
        peer.say(&answer).await;
        peer
    }

    /// The listening side of a connection, which has said nothing yet.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, client: false }
    }

    /// Sends these very bytes. That the other side may have ended already is no matter.
    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        let _ = within(self.stream.write_all(bytes)).await;
    }

    /// Sends a frame with this first byte, masked as it should be.
    pub(crate) async fn frame(&mut self, first: u8, payload: &[u8]) {
        self.say(&frame(self.client, first, payload)).await;
    }

    /// Reads to the end of a head of HTTP, and not a byte further.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match within(self.stream.read_u8()).await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads a frame: its first byte and its payload without the mask. `None` when there is none any more.
    pub(crate) async fn heard(&mut self) -> Option<(u8, Vec<u8>)> {
        within(async {
            let first = self.stream.read_u8().await.ok()?;
            let second = self.stream.read_u8().await.ok()?;
            assert_eq!(second & 0x80 != 0, !self.client, "clients mask and servers do not");
            let length = match second & 0x7f {
                126 => u64::from(self.stream.read_u16().await.ok()?),
                127 => self.stream.read_u64().await.ok()?,
                short => u64::from(short),
            };
            let mut key = [0; 4];
            if !self.client {
                self.stream.read_exact(&mut key).await.ok()?;
            }
            let mut payload = vec![0; usize::try_from(length).ok()?];
            self.stream.read_exact(&mut payload).await.ok()?;
            payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
            Some((first, payload))
        })
        .await
    }

    /// Everything until the other side ends.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = within(self.stream.read_to_end(&mut rest)).await;
        rest
    }
}

/// A frame with this first byte.
pub(crate) fn frame(masked: bool, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let bit = u8::from(masked) << 7;
    match payload.len() {
        length @ 0..=125 => bytes.push(bit | length as u8),
        length @ 126..=0xffff => {
            bytes.push(bit | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(bit | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    match masked {
        true => {
            bytes.extend(MASK);
            bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
        false => bytes.extend(payload),
    }
    bytes
}

/// A request as NNG sends it, with more lines, each of them ended.
pub(crate) fn request(target: &str, name: &str, more: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: {name}.sp.nanomsg.org\r\n{more}\r\n"
    )
}

/// The answer that lets a dialer in, whatever it asks for.
pub(crate) fn answer_to(request: &str) -> Vec<u8> {
    let name = request.split("Sec-WebSocket-Protocol: ").nth(1).unwrap().lines().next().unwrap();
    let (request, _) = Request::read(request.as_bytes()).unwrap().unwrap();
    request.judge(name, &Origins::Any).unwrap().encode(&[]).unwrap()
}

/// The next event that `wanted` accepts; others are passed over.
pub(crate) async fn event<T>(events: &mut Events, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
    within(async {
        loop {
            let event = events.next().await.expect("the socket is open");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    })
    .await
}
