//! A peer written by hand from `docs/mux-wire.md`.

use std::fmt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) const HELLO: u8 = 1;
pub(crate) const OPEN: u8 = 2;
pub(crate) const MESSAGE: u8 = 4;
pub(crate) const BEGIN: u8 = 5;
pub(crate) const CREDIT: u8 = 9;
pub(crate) const FINISH: u8 = 11;
pub(crate) const RESET: u8 = 13;
pub(crate) const PING: u8 = 16;
pub(crate) const PONG: u8 = 17;
pub(crate) const GO_AWAY: u8 = 18;

/// What a connection runs over.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Over {
    Duplex,
    Tcp,
    Ipc,
}

pub(crate) const OVER: [Over; 3] = [Over::Duplex, Over::Tcp, Over::Ipc];

/// Both ends of a connection.
pub(crate) async fn ends(over: Over) -> (Box<dyn Io>, Box<dyn Io>) {
    match over {
        Over::Duplex => {
            let (a, b) = tokio::io::duplex(64 * 1024);
            (Box::new(a), Box::new(b))
        }
        Over::Tcp => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (a, b) = tokio::join!(TcpStream::connect(address), listener.accept());
            (Box::new(a.unwrap()), Box::new(b.unwrap().0))
        }
        Over::Ipc => {
            let (a, b) = UnixStream::pair().unwrap();
            (Box::new(a), Box::new(b))
        }
    }
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, channel: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() + 5) as u32;
    [&length.to_be_bytes()[..], &[kind], &channel.to_be_bytes(), payload].concat()
}

/// The bytes of a Hello whose sender opens odd channels, or (nearly always) even ones.
pub(crate) fn hello(odd: bool) -> Vec<u8> {
    let nonce = if odd { [255; 16] } else { [0; 16] };
    let (window, channels, max) = (65_536_u32, 100_u32, 1_000_000_u64);
    let fields = [&window.to_be_bytes()[..], &channels.to_be_bytes(), &max.to_be_bytes()].concat();
    frame(HELLO, 0, &[b"SWMX\x01\x01", &nonce[..], &fields].concat())
}

pub(crate) struct Peer {
    pub(crate) io: Box<dyn Io>,
}

impl Peer {
    /// Writes; the other side may have hung up.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> bool {
        self.io.write_all(bytes).await.is_ok()
    }

    pub(crate) async fn say(&mut self, kind: u8, channel: u32, payload: &[u8]) -> bool {
        self.write(&frame(kind, channel, payload)).await
    }

    /// The next frame; `None` at the end.
    pub(crate) async fn hear(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let length = self.io.read_u32().await.ok()? as usize;
        assert!(length <= 1024 * 1024 + 64, "a frame of {length} bytes");
        let mut bytes = vec![0; length];
        self.io.read_exact(&mut bytes).await.ok()?;
        let channel = u32::from_be_bytes(bytes[1..5].try_into().unwrap());
        Some((bytes[0], channel, bytes.split_off(5)))
    }

    /// Code and text of the GoAway that it is told before the end.
    pub(crate) async fn told(&mut self) -> Option<(u32, String)> {
        let mut told = None;
        while let Some((kind, _, payload)) = self.hear().await {
            if kind == GO_AWAY {
                let code = u32::from_be_bytes(payload[4..8].try_into().unwrap());
                told = Some((code, String::from_utf8(payload[8..].to_vec()).unwrap()));
            }
        }
        told
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peer")
    }
}
