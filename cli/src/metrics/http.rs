//! As much of HTTP/1.1 as a scraper needs: one request a connection, no body, bounded in every way.

use super::PATIENCE;
use super::site::Site;
use spanwire::watch::{CONTENT_TYPE, Detail, Viewer};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// No head of a request is longer.
const MAX_HEAD: usize = 8 * 1024;
/// So many are served at once; others wait in the kernel.
const MAX_CONNECTIONS: usize = 16;
/// A scraper shakes hands, sends its head, and takes the answer, in less.
const HURRY: Duration = Duration::from_secs(10);

/// Serves for ever.
pub(super) async fn serve(site: Site, viewer: Viewer, detail: Detail) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match site.listener.accept().await {
            Ok((stream, _)) => {
                let (viewer, tls) = (viewer.clone(), site.tls.clone());
                tokio::spawn(async move {
                    // A scraper that fails comes again; nobody else has to know.
                    let _ = timeout(HURRY, welcome(stream, tls, &viewer, detail)).await;
                    drop(place);
                });
            }
            // Out of descriptors, most likely: there may be one again later.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn welcome(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    viewer: &Viewer,
    detail: Detail,
) -> io::Result<()> {
    match tls {
        Some(tls) => answer(tls.accept(stream).await?, viewer, detail).await,
        None => answer(stream, viewer, detail).await,
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    viewer: &Viewer,
    detail: Detail,
) -> io::Result<()> {
    let mut head = Vec::new();
    let ask = loop {
        match ask(&head) {
            Some(ask) => break ask,
            None if (&mut stream).take(1_024).read_buf(&mut head).await? == 0 => return Ok(()),
            None => {}
        }
    };
    let (status, kind, body) = match ask {
        Ask::Metrics { .. } => match viewer.prometheus(detail, PATIENCE).await {
            Ok(text) => ("200 OK", CONTENT_TYPE, text),
            Err(error) => ("503 Service Unavailable", PLAIN, format!("{error}\n")),
        },
        Ask::Wrong(status) => (status, PLAIN, format!("{status}: GET /metrics\n")),
    };
    let length = body.len();
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{allow}Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    if !matches!(ask, Ask::Metrics { body: false }) {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// What a request asks for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Ask {
    /// The text, or its head alone.
    Metrics { body: bool },
    /// Something else; the status says what is wrong.
    Wrong(&'static str),
}

/// What the head of a request asks for, once it is whole or too long.
fn ask(head: &[u8]) -> Option<Ask> {
    if !head.windows(4).any(|end| end == b"\r\n\r\n") {
        return (head.len() > MAX_HEAD).then_some(Ask::Wrong("431 Request Header Fields Too Large"));
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let (Some(method), Some(target), Some(b"HTTP/1.0" | b"HTTP/1.1"), None) =
        (method, target, version, words.next())
    else {
        return Some(Ask::Wrong("400 Bad Request"));
    };
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    Some(match (method, path) {
        (b"GET", b"/metrics") => Ask::Metrics { body: true },
        (b"HEAD", b"/metrics") => Ask::Metrics { body: false },
        (_, b"/metrics") => Ask::Wrong("405 Method Not Allowed"),
        _ => Ask::Wrong("404 Not Found"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        let of = |head: &str| ask(head.as_bytes());
        assert_eq!(of("GET /metrics HTTP/1.1\r\nHost: x\r\n"), None, "not whole yet");
        assert_eq!(of("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), Some(Ask::Metrics { body: true }));
        assert_eq!(of("GET /metrics?x=1 HTTP/1.0\r\n\r\n"), Some(Ask::Metrics { body: true }));
        assert_eq!(of("HEAD /metrics HTTP/1.1\r\n\r\n"), Some(Ask::Metrics { body: false }));
        for (head, status) in [
            ("GET / HTTP/1.1\r\n\r\n", "404"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
            ("GET /metrics\r\n\r\n", "400"),
            ("GET /metrics HTTP/2.0\r\n\r\n", "400"),
            ("GET /metrics HTTP/1.1 more\r\n\r\n", "400"),
            ("\r\n\r\n", "400"),
            ("\u{0}SP\r\n\r\n", "400"),
        ] {
            assert!(matches!(of(head), Some(Ask::Wrong(told)) if told.starts_with(status)), "{head:?}");
        }
        assert!(matches!(ask(&[b'x'; MAX_HEAD + 1]), Some(Ask::Wrong(_))));
    }
}
