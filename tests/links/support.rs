//! Pairs of connections, and strangers that speak bytes.

pub(crate) use crate::waiting::{Bed, SOON, soon, until};

use spanwire::link::{Conn, End, Event, Events, Host, HostOptions, LinkOptions, Server};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An address of each transport, to listen on.
pub(crate) fn everywhere() -> Vec<String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("spanwire-links-{}-{number}", std::process::id()));
    vec![
        "tcp://127.0.0.1:0".into(),
        format!("ipc://{}", path.display()),
        "abstract://".into(),
        format!("inproc://links-{number}"),
    ]
}

pub(crate) fn host(name: &str, link: LinkOptions) -> Host {
    Host::with(HostOptions { name: name.into(), link, ..HostOptions::default() })
}

/// A connection: its dialer's end, its acceptor's, and who has accepted it.
pub(crate) async fn pair_at(url: &str, link: LinkOptions) -> (Conn, Conn, Server) {
    let server = host("bob", link.clone()).serve(url).await.unwrap();
    let ann = soon("a connection", host("ann", link).connect(&server.url())).await.unwrap();
    let bob = soon("an accepted one", server.accept()).await.unwrap();
    (ann, bob, server)
}

pub(crate) async fn pair_with(link: LinkOptions) -> (Conn, Conn, Server) {
    pair_at("tcp://127.0.0.1:0", link).await
}

pub(crate) async fn pair() -> (Conn, Conn, Server) {
    pair_with(LinkOptions::default()).await
}

/// The next event of the wanted kind; others are passed over.
pub(crate) async fn event<T>(events: &mut Events, what: &str, wanted: impl Fn(&Event) -> Option<T>) -> T {
    soon(what, async {
        loop {
            let event = events.next().await.expect("the host is there");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    })
    .await
}

/// Why the next connection that comes to nothing does so.
pub(crate) async fn refusal(events: &mut Events) -> End {
    event(events, "a refusal", |event| match event {
        Event::Refused { end, .. } => Some(end.clone()),
        _ => None,
    })
    .await
}

/// How the next connection that ends does so.
pub(crate) async fn ending(events: &mut Events) -> End {
    event(events, "an end", |event| match event {
        Event::Ended(_, end) => Some(end.clone()),
        _ => None,
    })
    .await
}

/// A peer that speaks bytes.
pub(crate) struct Stranger {
    pub(crate) stream: TcpStream,
}

/// A session message: its number, and its payload.
pub(crate) fn session(kind: u8, payload: &[u8]) -> Vec<u8> {
    frame(&[&[1, 0, 0, 0, kind], payload].concat())
}

/// Whatever is in a frame.
pub(crate) fn frame(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32).to_be_bytes()[..], content].concat()
}

/// A good Hello of a host without a name of note.
pub(crate) fn hello() -> Vec<u8> {
    let payload = [
        &b"SWLK\x01\x01\0\0\0\0"[..],
        b"an instance, 16.",
        &[7; 32],
        b"\0\0\x04\0\0\x40\0\0\0\0\0\0\x04\0\0\0\0\x10\0\x04\0\0",
        b"\x08stranger",
        b"\0\0",
    ];
    session(1, &payload.concat())
}

impl Stranger {
    pub(crate) async fn to(server: &Server) -> Self {
        let to = server.local_addr().expect("it listens on tcp");
        let stream = soon("a connection", TcpStream::connect(to)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    pub(crate) async fn says(&mut self, bytes: &[u8]) {
        soon("a write", self.stream.write_all(bytes)).await.unwrap();
    }

    /// The next frame, without its length.
    pub(crate) async fn hears(&mut self) -> Vec<u8> {
        soon("a frame", async {
            let length = self.stream.read_u32().await.unwrap();
            let mut frame = vec![0; length as usize];
            self.stream.read_exact(&mut frame).await.unwrap();
            frame
        })
        .await
    }

    /// The next frame of this kind, its payload.
    pub(crate) async fn hears_of(&mut self, kind: u8) -> Vec<u8> {
        loop {
            let frame = self.hears().await;
            if frame[..5] == [1, 0, 0, 0, kind] {
                return frame[5..].to_vec();
            }
        }
    }

    /// The connection ends, whatever is said before.
    pub(crate) async fn hears_the_end(&mut self) {
        soon("the end", async {
            let mut buffer = [0; 1_024];
            while !matches!(self.stream.read(&mut buffer).await, Ok(0) | Err(_)) {}
        })
        .await;
    }

    /// Shakes hands.
    pub(crate) async fn introduced(server: &Server) -> Self {
        let mut stranger = Self::to(server).await;
        stranger.says(&hello()).await;
        stranger.hears_of(1).await;
        stranger.says(&session(2, b"\0\0")).await;
        stranger.hears_of(2).await;
        stranger
    }
}
