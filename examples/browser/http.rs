//! A web server as small as can be, for the files of a page: enough for this example and for the
//! tests, and not for the world. Use a real one in front of real people.
//!
//! One request per connection, bounded in time and size, so many connections at once.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// A request: what was asked for, and what came with it.
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without its query.
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

/// An answer.
pub(crate) struct Answer {
    status: &'static str,
    /// One more line of the head, with its line break.
    header: String,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(body: impl Into<String>) -> Self {
        Self::new("200 OK", TEXT, body.into().into_bytes())
    }

    pub(crate) fn refusal(status: &'static str) -> Self {
        Self::new(status, TEXT, status.into())
    }

    /// Where to look instead: a path of ours.
    pub(crate) fn redirect(path: &'static str) -> Self {
        Self { status: "302 Found", header: format!("Location: {path}\r\n"), body: Vec::new() }
    }

    fn new(status: &'static str, kind: &str, body: Vec<u8>) -> Self {
        Self { status, header: format!("Content-Type: {kind}\r\n"), body }
    }

    /// The file at `path` below `root`. What is not plainly a name goes nowhere: no dots in front,
    /// no empty parts, so nothing above the root and nothing hidden.
    pub(crate) async fn file(root: &Path, path: &str) -> Self {
        let is_name = |part: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed)
        };
        let Some(relative) = path.strip_prefix('/').filter(|path| path.split('/').all(is_name)) else {
            return Self::refusal("404 Not Found");
        };
        let kind = match relative.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            _ => return Self::refusal("404 Not Found"),
        };
        match tokio::fs::read(PathBuf::from(root).join(relative)).await {
            Ok(body) => Self::new("200 OK", kind, body),
            Err(_) => Self::refusal("404 Not Found"),
        }
    }
}

/// Serves for ever.
pub(crate) async fn serve<F>(listener: TcpListener, answer: impl Fn(Request) -> F + Send + Sync + 'static)
where
    F: Future<Output = Answer> + Send,
{
    let answer = Arc::new(answer);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let place = places.clone().acquire_owned().await.expect("it is never closed");
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let answer = answer.clone();
        tokio::spawn(async move {
            let _place = place;
            // Whatever goes wrong here goes wrong for this visitor alone.
            let _ = visit(stream, &*answer).await;
        });
    }
}

async fn visit<F>(mut stream: TcpStream, answer: &impl Fn(Request) -> F) -> io::Result<()>
where
    F: Future<Output = Answer>,
{
    let answer = match tokio::time::timeout(HEAD_TIME, read(&mut stream)).await {
        Ok(Some(request)) => answer(request).await,
        Ok(None) => Answer::refusal("400 Bad Request"),
        Err(_) => Answer::refusal("408 Request Timeout"),
    };
    let head = format!(
        "HTTP/1.1 {}\r\n{}Content-Length: {}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        answer.status,
        answer.header,
        answer.body.len()
    );
    let write = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&answer.body).await?;
        stream.shutdown().await
    };
    tokio::time::timeout(WRITE_TIME, write).await.unwrap_or(Ok(()))
}

/// `None` for what is no request, or too large.
async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut got = Vec::new();
    let head_end = loop {
        if let Some(at) = got.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if got.len() > MAX_HEAD_BYTES || stream.read_buf(&mut got).await.ok()? == 0 {
            return None;
        }
    };
    let head = std::str::from_utf8(&got[..head_end]).ok()?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let path = target.split('?').next()?.to_owned();
    let length = lines.filter_map(|line| line.split_once(':'));
    let mut length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.next().map_or(Some(0), |(_, value)| value.trim().parse::<usize>().ok())?;
    if length > MAX_BODY_BYTES {
        return None;
    }
    let mut body = got.split_off(head_end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    body.truncate(length);
    Some(Request { method, path, body })
}

const TEXT: &str = "text/plain; charset=utf-8";

const MAX_CONNECTIONS: usize = 64;
const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_BODY_BYTES: usize = 64 * 1024;
const HEAD_TIME: Duration = Duration::from_secs(10);
const WRITE_TIME: Duration = Duration::from_secs(10);
