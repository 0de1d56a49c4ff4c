//! The opening handshake: what a dialer asks, what a listener answers, and who is let in (spec 3.1, RFC 6455 4).
//!
//! ```text
//! dialer                                                 listener
//!   Ask::encode ──────── GET path, key, name ───────────▶ Request::read ─ path? ─▶ Request::judge
//!   Answer::check ◀───── 101, accept, name ────────────── Agreed::encode
//!                 ◀───── 400, 403, 404, 405, 426, 431 ─── WsError::encode
//! ```
//!
//! All of it is about bytes: heads go in and come out whole. What may be in them is read liberally and written
//! exactly, as NNG and nanomsg compare it.

use crate::framing::sp::Protocol;
use crate::options::Origins;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use core::error::Error;
use core::{fmt, str};
use sha1::{Digest, Sha1};

/// A head of a request or an answer that is longer than this is refused.
pub const MAX_HEAD_BYTES: usize = 8 * 1024;
/// So long a request may be that we send: nanomsg has room for no more.
pub const MAX_REQUEST_BYTES: usize = 4 * 1024 - 1;
/// So long an answer may be that lets a dialer in: nanomsg has room for no more.
pub const MAX_ANSWER_BYTES: usize = 511;
/// Lines of a head; beyond, it is too large.
const MAX_HEADERS: usize = 64;
/// What is kept of a text that the peer chose.
const MAX_TEXT_CHARS: usize = 200;

const VERSION: &str = "13";
/// What is hashed with the key (RFC 6455 1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The name that both sides use: that of the *listener's* protocol, whichever side speaks.
pub fn sub_protocol(listener: Protocol) -> String {
    format!("{}.sp.nanomsg.org", listener.name())
}

/// What goes into `Sec-WebSocket-Key`: 16 bytes that nobody can foresee.
pub fn key_text(random: [u8; 16]) -> String {
    BASE64_STANDARD.encode(random)
}

/// What has to come back for a key.
fn accept_text(key: &str) -> String {
    BASE64_STANDARD.encode(Sha1::new().chain_update(key).chain_update(MAGIC).finalize())
}

/// Whether a listener at `path` is meant by a request for `target`: one slash at the end does not count, nor
/// does the query.
pub fn is_at(path: &str, target: &str) -> bool {
    plain(path) == plain(target)
}

fn plain(target: &str) -> &str {
    let path = target.split('?').next().unwrap_or_default();
    path.strip_suffix('/').unwrap_or(path)
}

/// What a dialer asks.
#[derive(Copy, Clone, Debug)]
pub struct Ask<'a> {
    /// Host and port as they stand in the address: NNG lets nobody in who asks for another.
    pub host: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// See [`key_text`].
    pub key: &'a str,
    /// What the listener is expected to speak. One name: NNG and nanomsg take no list.
    pub sub_protocol: &'a str,
    /// Whose page it is that asks, if that is wanted.
    pub origin: Option<&'a str>,
    /// More headers, by name and value.
    pub headers: &'a [(String, String)],
}

impl Ask<'_> {
    /// The head of the request. Refused are headers that would break it, or that are part of it already.
    pub fn encode(&self) -> Result<Vec<u8>, WsError> {
        let Self { host, target, key, sub_protocol, origin, headers } = *self;
        let mut head = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: {VERSION}\r\n\
             Sec-WebSocket-Protocol: {sub_protocol}\r\n"
        );
        if let Some(origin) = origin {
            if !is_value(origin) {
                return Err(WsError::BadOption { name: "Origin".to_owned() });
            }
            head.push_str(&format!("Origin: {origin}\r\n"));
        }
        add_headers(&mut head, headers)?;
        match head.len() {
            0..=MAX_REQUEST_BYTES => Ok(head.into_bytes()),
            _ => Err(WsError::HeadTooLarge),
        }
    }
}

/// Adds headers of the application, and the end of the head.
fn add_headers(head: &mut String, headers: &[(String, String)]) -> Result<(), WsError> {
    for (name, value) in headers {
        // A line break in a value would be a header that nobody wanted.
        if !is_name(name) || !is_value(value) || is_ours(name) {
            return Err(WsError::BadOption { name: shortened(name) });
        }
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    Ok(())
}

fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(allowed)
}

fn is_value(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_graphic() || b == b' ' || b == b'\t')
}

/// Headers that say something about the handshake itself, or about a body, which there is not.
fn is_ours(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("sec-websocket-")
        || ["host", "upgrade", "connection", "origin", "content-length", "transfer-encoding"]
            .contains(&name.as_str())
}

/// What a dialer wants, as a listener has read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    target: String,
    upgrade: bool,
    version: Option<String>,
    key: Option<String>,
    sub_protocols: Vec<String>,
    origin: Option<String>,
    has_body: bool,
}

impl Request {
    /// Reads the head of a request from the front of `bytes`, and how long it is. `Ok(None)` when more bytes
    /// are needed.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, WsError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        let Some(length) = is_whole(parsed.parse(bytes), bytes)? else { return Ok(None) };
        if parsed.method != Some("GET") {
            return Err(WsError::BadMethod);
        }
        let mut request = Self {
            target: in_path_form(parsed.path.unwrap_or_default()).to_owned(),
            upgrade: parsed.version == Some(1),
            version: None,
            key: None,
            sub_protocols: Vec::new(),
            origin: None,
            has_body: false,
        };
        let headers = Headers(parsed.headers);
        request.upgrade &= headers.lists("Connection", "upgrade") && headers.lists("Upgrade", "websocket");
        request.version = headers.only("Sec-WebSocket-Version")?.map(ToOwned::to_owned);
        request.key = headers.only("Sec-WebSocket-Key")?.map(ToOwned::to_owned);
        request.origin = headers.only("Origin")?.map(ToOwned::to_owned);
        request.sub_protocols = headers
            .items("Sec-WebSocket-Protocol")
            .filter(|name| !name.is_empty())
            .map(ToOwned::to_owned)
            .collect();
        let length_of_body = headers.only("Content-Length")?.unwrap_or("0");
        request.has_body = length_of_body != "0" || headers.items("Transfer-Encoding").next().is_some();
        Ok(Some((request, length)))
    }

    /// Path and query that it asks for.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether a listener of this sub-protocol, whose address the request is for, lets it in.
    pub fn judge(&self, sub_protocol: &str, origins: &Origins) -> Result<Agreed, WsError> {
        if !self.upgrade {
            return Err(WsError::NoUpgrade);
        }
        if self.has_body {
            return Err(WsError::Body);
        }
        match self.version.as_deref() {
            Some(VERSION) => {}
            Some(version) => return Err(WsError::BadVersion { version: shortened(version) }),
            None => return Err(WsError::MissingHeader { name: "Sec-WebSocket-Version" }),
        }
        let key = self.key.clone().ok_or(WsError::MissingHeader { name: "Sec-WebSocket-Key" })?;
        if !BASE64_STANDARD.decode(&key).is_ok_and(|bytes| bytes.len() == 16) {
            return Err(WsError::BadKey);
        }
        if let Some(origin) = self.origin.as_deref().filter(|origin| !origins.allow(origin)) {
            return Err(WsError::ForeignOrigin { origin: shortened(origin) });
        }
        if self.sub_protocols.is_empty() {
            return Err(WsError::MissingHeader { name: "Sec-WebSocket-Protocol" });
        }
        // As it was asked for: mangos compares letter by letter.
        let fitting = self.sub_protocols.iter().find(|offered| offered.eq_ignore_ascii_case(sub_protocol));
        match fitting {
            Some(fitting) => Ok(Agreed { key, sub_protocol: fitting.clone() }),
            None => Err(WsError::WrongSubprotocol {
                expected: sub_protocol.to_owned(),
                found: shortened(&self.sub_protocols.join(", ")),
            }),
        }
    }

    /// The error of a request for a path that nobody listens at.
    pub fn no_such_path(&self) -> WsError {
        WsError::NoSuchPath { path: shortened(plain(&self.target)) }
    }
}

/// A request may name the whole address (RFC 9112 3.2.2).
fn in_path_form(target: &str) -> &str {
    match target.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphabetic()) => {
            rest.find(['/', '?']).map_or("/", |at| &rest[at..])
        }
        _ => target,
    }
}

/// A dialer that is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    key: String,
    sub_protocol: String,
}

impl Agreed {
    /// The head of the answer, with more headers. Every value is written as NNG and nanomsg compare it.
    pub fn encode(&self, headers: &[(String, String)]) -> Result<Vec<u8>, WsError> {
        let mut head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {}\r\n",
            accept_text(&self.key),
            self.sub_protocol
        );
        add_headers(&mut head, headers)?;
        match head.len() {
            0..=MAX_ANSWER_BYTES => Ok(head.into_bytes()),
            _ => Err(WsError::HeadTooLarge),
        }
    }

    /// Whether these headers can be part of an answer, whoever asks.
    pub fn check_headers(sub_protocol: &str, headers: &[(String, String)]) -> Result<(), WsError> {
        let longest = Self { key: String::new(), sub_protocol: sub_protocol.to_owned() };
        longest.encode(headers).map(drop)
    }
}

/// What a listener answered, as a dialer has read it.
#[derive(Debug)]
pub struct Answer;

impl Answer {
    /// Reads an answer from the front of `bytes`: how long it is, if it lets the dialer in. `Ok(None)` when
    /// more bytes are needed.
    pub fn check(bytes: &[u8], key: &str, sub_protocol: &str) -> Result<Option<usize>, WsError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        let Some(length) = is_whole(parsed.parse(bytes), bytes)? else { return Ok(None) };
        let code = parsed.code.unwrap_or_default();
        if code != 101 {
            let body = bytes[length..].iter().take(MAX_TEXT_CHARS);
            let text =
                body.map(|b| char::from(*b)).take_while(|c| c.is_ascii_graphic() || *c == ' ').collect();
            return Err(WsError::Status { code, text });
        }
        let headers = Headers(parsed.headers);
        if !headers.lists("Upgrade", "websocket") || !headers.lists("Connection", "upgrade") {
            return Err(WsError::NoUpgrade);
        }
        if headers.only("Sec-WebSocket-Accept")? != Some(accept_text(key).as_str()) {
            return Err(WsError::BadAccept);
        }
        if headers.items("Sec-WebSocket-Extensions").next().is_some() {
            return Err(WsError::UnaskedExtension);
        }
        let found = headers.only("Sec-WebSocket-Protocol")?.unwrap_or_default();
        if !found.eq_ignore_ascii_case(sub_protocol) {
            let (expected, found) = (sub_protocol.to_owned(), shortened(found));
            return Err(WsError::WrongSubprotocol { expected, found });
        }
        Ok(Some(length))
    }
}

/// How long a head is, once it is whole.
fn is_whole(parsed: httparse::Result<usize>, bytes: &[u8]) -> Result<Option<usize>, WsError> {
    match parsed {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD_BYTES => Ok(Some(length)),
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD_BYTES => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(WsError::HeadTooLarge),
        Err(_) => Err(WsError::NotHttp),
    }
}

struct Headers<'h, 'b>(&'h [httparse::Header<'b>]);

impl<'b> Headers<'_, 'b> {
    /// The values of a header, wherever it stands.
    fn values(&self, name: &str) -> impl Iterator<Item = &'b str> {
        let named = self.0.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        // What is no text is nothing that we know.
        named.map(|header| str::from_utf8(header.value).unwrap_or_default().trim())
    }

    /// What a header lists.
    fn items(&self, name: &str) -> impl Iterator<Item = &'b str> {
        self.values(name).flat_map(|value| value.split(',')).map(str::trim)
    }

    /// Whether a header lists this, in letters of any case.
    fn lists(&self, name: &str, item: &str) -> bool {
        self.items(name).any(|listed| listed.eq_ignore_ascii_case(item))
    }

    /// The value of a header that may stand there once.
    fn only(&self, name: &'static str) -> Result<Option<&'b str>, WsError> {
        let mut values = self.values(name);
        let value = values.next();
        if values.next().is_some() { Err(WsError::RepeatedHeader { name }) } else { Ok(value) }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).collect()
}

/// Why an opening handshake failed. On a listener's side each of them is answered with a status of HTTP and a
/// line of text that says the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WsError {
    /// The peer does not speak HTTP.
    NotHttp,
    /// A head of more than [`MAX_HEAD_BYTES`] or 64 lines; or our own would be longer than peers have room for,
    /// as there are too many headers in the options.
    HeadTooLarge,
    /// The listener refused, with this status of HTTP.
    Status {
        /// The status, as in 404.
        code: u16,
        /// What it said about it, as far as it came with the status: at most 200 characters of ASCII.
        text: String,
    },
    /// It is not about a WebSocket: `Upgrade: websocket` and `Connection: Upgrade` are missing.
    NoUpgrade,
    /// The answer does not belong to our question: `Sec-WebSocket-Accept` is wrong. A cache, most likely.
    BadAccept,
    /// The listener wants to use an extension that it was not asked for.
    UnaskedExtension,
    /// The peer is not what belongs to our socket.
    WrongSubprotocol {
        /// The name of the listener's protocol, as this side sees it.
        expected: String,
        /// What the peer named instead; at most 200 characters.
        found: String,
    },
    /// The dialer asks by another method than GET.
    BadMethod,
    /// Nobody listens at this path.
    NoSuchPath {
        /// The path without its query; at most 200 characters.
        path: String,
    },
    /// The dialer speaks another version of the protocol than 13.
    BadVersion {
        /// Which one; at most 200 characters.
        version: String,
    },
    /// A header is missing that has to be there.
    MissingHeader {
        /// Its name.
        name: &'static str,
    },
    /// A header that may be there once is there several times.
    RepeatedHeader {
        /// Its name.
        name: &'static str,
    },
    /// The dialer's key is not 16 bytes in base64.
    BadKey,
    /// The request has a body.
    Body,
    /// The request comes from a page of a site that is not allowed; see [`Origins`].
    ForeignOrigin {
        /// The site; at most 200 characters.
        origin: String,
    },
    /// A header in the options cannot be sent: its name or value would break the head, or is part of it
    /// already. This is ours to mend.
    BadOption {
        /// The header's name.
        name: String,
    },
}

impl WsError {
    /// Whether trying again soon may well succeed without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            // Somebody may listen there in a moment, as with a port that refuses.
            Self::NoSuchPath { .. } => true,
            Self::Status { code, .. } => matches!(code, 404 | 408 | 425 | 429 | 500..=599),
            _ => false,
        }
    }

    /// The status that a listener answers with, and its words.
    const fn status(&self) -> (u16, &'static str) {
        match self {
            Self::HeadTooLarge => (431, "Request Header Fields Too Large"),
            Self::NoUpgrade => (426, "Upgrade Required"),
            Self::BadMethod => (405, "Method Not Allowed"),
            Self::NoSuchPath { .. } => (404, "Not Found"),
            Self::ForeignOrigin { .. } => (403, "Forbidden"),
            _ => (400, "Bad Request"),
        }
    }

    /// The answer of a listener, text included.
    pub fn encode(&self) -> Vec<u8> {
        let (code, words) = self.status();
        let more = match self {
            Self::NoUpgrade => "Upgrade: websocket\r\n",
            Self::BadMethod => "Allow: GET\r\n",
            Self::BadVersion { .. } => "Sec-WebSocket-Version: 13\r\n",
            _ => "",
        };
        // What the peer said itself is not repeated: a browser might take it for ours.
        let text = match self {
            Self::NotHttp => "this is a WebSocket address, and that was no request of HTTP",
            Self::HeadTooLarge => "the head of the request is too large",
            Self::NoUpgrade => "this is a WebSocket address; ask for an upgrade",
            Self::BadMethod => "this is a WebSocket address; ask with GET",
            Self::NoSuchPath { .. } => "nobody listens at this path",
            Self::BadVersion { .. } => "only version 13 of WebSocket is spoken here",
            Self::BadKey => "Sec-WebSocket-Key is not 16 bytes in base64",
            Self::Body => "a request for a WebSocket has no body",
            Self::ForeignOrigin { .. } => "pages of this origin are not allowed",
            Self::MissingHeader { name } => return answer(code, words, more, &format!("{name} is missing")),
            Self::RepeatedHeader { name } => {
                return answer(code, words, more, &format!("{name} is there more than once"));
            }
            Self::WrongSubprotocol { expected, .. } => {
                return answer(code, words, more, &format!("the socket here speaks {expected}"));
            }
            _ => "the request is refused",
        };
        answer(code, words, more, text)
    }
}

fn answer(code: u16, words: &str, more: &str, text: &str) -> Vec<u8> {
    // The length of the text and the line break behind it.
    let length = text.len() + 1;
    format!(
        "HTTP/1.1 {code} {words}\r\n{more}Content-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{text}\n"
    )
    .into_bytes()
}

impl fmt::Display for WsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp => f.write_str("the peer does not speak HTTP"),
            Self::HeadTooLarge => f.write_str("the head of the HTTP message is too large"),
            Self::Status { code, text } if text.is_empty() => {
                write!(f, "the server answered with status {code}")
            }
            Self::Status { code, text } => write!(f, "the server answered with status {code}: {text}"),
            Self::NoUpgrade => f.write_str("the peer does not upgrade to WebSocket"),
            Self::BadAccept => f.write_str("the server's Sec-WebSocket-Accept does not belong to our key"),
            Self::UnaskedExtension => f.write_str("the server uses an extension that it was not asked for"),
            Self::WrongSubprotocol { expected, found } => {
                write!(f, "the sub-protocol has to be {expected:?}, and the peer has {found:?}")
            }
            Self::BadMethod => f.write_str("the request is no GET"),
            Self::NoSuchPath { path } => write!(f, "nobody listens at {path:?}"),
            Self::BadVersion { version } => write!(f, "the peer speaks version {version:?} and not 13"),
            Self::MissingHeader { name } => write!(f, "the header {name} is missing"),
            Self::RepeatedHeader { name } => write!(f, "the header {name} is there more than once"),
            Self::BadKey => f.write_str("Sec-WebSocket-Key is not 16 bytes in base64"),
            Self::Body => f.write_str("the request has a body"),
            Self::ForeignOrigin { origin } => write!(f, "pages of {origin:?} are not allowed; see Origins"),
            Self::BadOption { name } => write!(f, "the header {name:?} of the options cannot be sent"),
        }
    }
}

impl Error for WsError {}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const REP: &str = "rep.sp.nanomsg.org";

    /// A request of NNG's, with lines left out, changed or added.
    fn asked(first: &str, without: &str, more: &str) -> Result<Agreed, WsError> {
        let lines = [
            "Host: 127.0.0.1:5555",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: rep.sp.nanomsg.org",
        ];
        let mut head = format!("{first}\r\n");
        for line in lines.iter().filter(|line| without.is_empty() || !line.starts_with(without)) {
            head.push_str(&format!("{line}\r\n"));
        }
        head.push_str(&format!("{more}\r\n"));
        let (request, length) = Request::read(head.as_bytes())?.expect("a whole head");
        assert_eq!(length, head.len());
        request.judge(REP, &Origins::Listed(vec!["https://good.example".to_owned()]))
    }

    const GET: &str = "GET /path HTTP/1.1";

    #[test]
    fn requests_of_every_library_are_let_in() {
        let text = include_str!("../../../../tests/vectors/websocket.json");
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        let mut seen = 0;
        for vector in file["vectors"].as_array().unwrap() {
            if !vector["id"].as_str().unwrap().ends_with("-client-upgrade") {
                continue;
            }
            let head = vector["text"].as_str().unwrap();
            let (request, length) = Request::read(head.as_bytes()).unwrap().unwrap();
            assert_eq!((length, request.target()), (head.len(), "/path/x?q=1"));
            request.judge(REP, &Origins::default()).unwrap();
            seen += 1;
        }
        assert_eq!(seen, 6);
    }

    #[test]
    fn our_request_is_the_one_that_nng_sends() {
        let text = include_str!("../../../../tests/vectors/websocket.json");
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        let vector = vectors.iter().find(|v| v["id"] == "ws-nng152-client-upgrade").unwrap();
        let captured = vector["text"].as_str().unwrap();
        let key = captured.split("Key: ").nth(1).unwrap().lines().next().unwrap();
        let ask = Ask {
            host: "127.0.0.1:50105",
            target: "/path/x?q=1",
            key,
            sub_protocol: &sub_protocol(Protocol::Rep),
            origin: None,
            headers: &[],
        };
        assert_eq!(str::from_utf8(&ask.encode().unwrap()).unwrap(), captured);
    }

    #[test]
    fn our_answer_is_the_one_that_nng_sends() {
        let text = include_str!("../../../../tests/vectors/websocket.json");
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        let mut seen = 0;
        for vector in file["vectors"].as_array().unwrap() {
            let id = vector["id"].as_str().unwrap();
            if !id.ends_with("-server-upgrade") {
                continue;
            }
            let answer = vector["text"].as_str().unwrap();
            let (request, _) =
                Request::read(vector["request_text"].as_str().unwrap().as_bytes()).unwrap().unwrap();
            let ours = request.judge(REP, &Origins::default()).unwrap().encode(&[]).unwrap();
            if id.contains("nng") {
                assert_eq!(str::from_utf8(&ours).unwrap(), answer, "{id}");
            }
            assert_eq!(Answer::check(answer.as_bytes(), KEY, REP), Ok(Some(answer.len())), "{id}");
            assert_eq!(Answer::check(&ours, KEY, REP), Ok(Some(ours.len())));
            seen += 1;
        }
        assert_eq!(seen, 6);
    }

    #[test]
    fn liberal_in_what_is_read() {
        for (first, without, more) in [
            (GET, "", ""),
            ("GET /path/?x=1 HTTP/1.1", "", ""),
            ("GET ws://host:1/path HTTP/1.1", "", ""),
            (GET, "Connection", "connection: keep-alive,Upgrade\r\n"),
            (GET, "Connection", "Connection: keep-alive\r\nConnection: upgrade\r\n"),
            (GET, "Upgrade", "UPGRADE: WebSocket\r\n"),
            (GET, "Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: foo,rep.sp.nanomsg.org , bar\r\n"),
            (GET, "", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
            (GET, "", "Origin: HTTPS://good.example\r\n"),
            (GET, "", "Content-Length: 0\r\n"),
        ] {
            let agreed = asked(first, without, more).unwrap_or_else(|error| panic!("{more}: {error}"));
            let answer = String::from_utf8(agreed.encode(&[]).unwrap()).unwrap();
            assert!(!answer.contains("Extensions"), "compression is never agreed on");
        }
        let odd =
            asked(GET, "Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: REP.sp.Nanomsg.org\r\n").unwrap();
        let answer = String::from_utf8(odd.encode(&[]).unwrap()).unwrap();
        assert!(answer.contains("Sec-WebSocket-Protocol: REP.sp.Nanomsg.org\r\n"), "as it was asked for");
    }

    #[test]
    fn every_bad_request_has_an_error_of_its_own_and_a_status() {
        let missing = |name| WsError::MissingHeader { name };
        let cases = [
            ("POST /path HTTP/1.1", "", "", WsError::BadMethod, 405),
            ("GET /path HTTP/1.0", "", "", WsError::NoUpgrade, 426),
            (GET, "Upgrade", "", WsError::NoUpgrade, 426),
            (GET, "Connection", "Connection: keep-alive\r\n", WsError::NoUpgrade, 426),
            (GET, "", "Content-Length: 5\r\n", WsError::Body, 400),
            (GET, "", "Transfer-Encoding: chunked\r\n", WsError::Body, 400),
            (GET, "Sec-WebSocket-Version", "", missing("Sec-WebSocket-Version"), 400),
            (
                GET,
                "Sec-WebSocket-Version",
                "Sec-WebSocket-Version: 8\r\n",
                WsError::BadVersion { version: "8".to_owned() },
                400,
            ),
            (GET, "Sec-WebSocket-Key", "", missing("Sec-WebSocket-Key"), 400),
            (GET, "Sec-WebSocket-Key", "Sec-WebSocket-Key: c2hvcnQ=\r\n", WsError::BadKey, 400),
            (
                GET,
                "",
                "Sec-WebSocket-Key: AAAA\r\n",
                WsError::RepeatedHeader { name: "Sec-WebSocket-Key" },
                400,
            ),
            (GET, "Sec-WebSocket-Protocol", "", missing("Sec-WebSocket-Protocol"), 400),
            (
                GET,
                "Sec-WebSocket-Protocol",
                "Sec-WebSocket-Protocol: req.sp.nanomsg.org, pub.sp.nanomsg.org\r\n",
                WsError::WrongSubprotocol {
                    expected: REP.to_owned(),
                    found: "req.sp.nanomsg.org, pub.sp.nanomsg.org".to_owned(),
                },
                400,
            ),
            (
                GET,
                "",
                "Origin: https://evil.example\r\n",
                WsError::ForeignOrigin { origin: "https://evil.example".to_owned() },
                403,
            ),
        ];
        for (first, without, more, error, code) in cases {
            assert_eq!(asked(first, without, more), Err(error.clone()), "{first} {more}");
            let answer = String::from_utf8(error.encode()).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
            let (head, text) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}\r\n", text.len())), "{answer}");
            assert!(!answer.contains("evil"), "what the peer said is not repeated");
            assert!(!error.is_transient() && !format!("{error}").is_empty());
            // And what a dialer of ours makes of it.
            match Answer::check(answer.as_bytes(), KEY, REP) {
                Err(WsError::Status { code: found, text: said }) => {
                    assert_eq!((found, said.as_str()), (code, text.trim_end()));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_http_is_seen_before_it_is_whole() {
        for bytes in [&b"\0SP\0\0\x30\0\0"[..], b"\x16\x03\x01\x02\0\x01", b"GET /path FTP", b"\x82\x85abcd"]
        {
            assert_eq!(Request::read(bytes), Err(WsError::NotHttp), "{}", bytes.escape_ascii());
        }
        assert_eq!(Answer::check(b"\0SP\0\0\x31\0\0", KEY, REP), Err(WsError::NotHttp));
    }

    #[test]
    fn a_head_has_a_bound_in_bytes_and_in_lines() {
        let mut long = format!("{GET}\r\nX: ").into_bytes();
        long.resize(MAX_HEAD_BYTES - 1, b'x');
        assert_eq!(Request::read(&long), Ok(None));
        long.push(b'x');
        assert_eq!(Request::read(&long), Err(WsError::HeadTooLarge));
        let lines = "a: b\r\n".repeat(MAX_HEADERS + 1);
        assert_eq!(Request::read(format!("{GET}\r\n{lines}").as_bytes()), Err(WsError::HeadTooLarge));
        assert!(WsError::HeadTooLarge.encode().starts_with(b"HTTP/1.1 431 "));
    }

    #[test]
    fn a_head_may_come_in_any_pieces() {
        let head = format!("{GET}\r\nHost: x\r\nUpgrade: websocket\r\n\r\n\x01\x02");
        for cut in 0..head.len() - 2 {
            assert_eq!(Request::read(&head.as_bytes()[..cut]), Ok(None), "{cut}");
        }
        let (_, length) = Request::read(head.as_bytes()).unwrap().unwrap();
        assert_eq!(length, head.len() - 2, "what follows is not part of it");
    }

    #[test]
    fn every_bad_answer_has_an_error_of_its_own() {
        let good = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {REP}\r\n\r\n",
            accept_text(KEY)
        );
        let check = |text: &str| Answer::check(text.as_bytes(), KEY, REP);
        assert_eq!(check(&good), Ok(Some(good.len())));
        for cut in 0..good.len() {
            assert_eq!(check(&good[..cut]), Ok(None));
        }
        let wrong =
            |found: &str| WsError::WrongSubprotocol { expected: REP.to_owned(), found: found.to_owned() };
        for (from, to, error) in [
            ("101 ", "200 ", WsError::Status { code: 200, text: String::new() }),
            ("Upgrade: websocket\r\n", "", WsError::NoUpgrade),
            ("Connection: keep-alive, Upgrade", "Connection: close", WsError::NoUpgrade),
            ("Accept: ", "Accept: x", WsError::BadAccept),
            (REP, "pub.sp.nanomsg.org", wrong("pub.sp.nanomsg.org")),
            ("Sec-WebSocket-Protocol", "X-Other", wrong("")),
            (
                "\r\n\r\n",
                "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
                WsError::UnaskedExtension,
            ),
        ] {
            assert_eq!(check(&good.replacen(from, to, 1)), Err(error), "{to}");
        }
    }

    #[test]
    fn headers_of_options_cannot_break_out() {
        let with = |name: &str, value: &str| {
            let headers = [(name.to_owned(), value.to_owned())];
            let ask = Ask {
                host: "h:1",
                target: "/",
                key: KEY,
                sub_protocol: REP,
                origin: None,
                headers: &headers,
            };
            let asked = ask.encode();
            let answered = Agreed { key: KEY.to_owned(), sub_protocol: REP.to_owned() }.encode(&headers);
            assert_eq!(asked.is_ok(), answered.is_ok(), "{name}: {value}");
            asked
        };
        assert!(with("Authorization", "Bearer abc").unwrap().ends_with(b"Authorization: Bearer abc\r\n\r\n"));
        for (name, value) in [
            ("X", "a\r\nEvil: b"),
            ("X", "a\nb"),
            ("X", "a\0b"),
            ("X\r\nEvil", "b"),
            ("X Y", "b"),
            ("", "b"),
            ("Host", "elsewhere"),
            ("sec-websocket-protocol", "pub.sp.nanomsg.org"),
            ("Transfer-Encoding", "chunked"),
        ] {
            assert_eq!(
                with(name, value),
                Err(WsError::BadOption { name: name.to_owned() }),
                "{name}: {value}"
            );
        }
        let origin = |origin| {
            let ask = Ask {
                host: "h",
                target: "/",
                key: KEY,
                sub_protocol: REP,
                origin: Some(origin),
                headers: &[],
            };
            ask.encode()
        };
        assert!(origin("https://a.example\r\nX: y").is_err());
        assert!(origin("https://a.example").unwrap().ends_with(b"Origin: https://a.example\r\n\r\n"));
    }

    #[test]
    fn our_heads_are_short_enough_for_nanomsg() {
        for protocol in Protocol::ALL {
            let agreed = Agreed { key: KEY.to_owned(), sub_protocol: sub_protocol(protocol) };
            assert!(agreed.encode(&[]).unwrap().len() < 512);
        }
        let long = [("X".to_owned(), "x".repeat(400))];
        assert_eq!(Agreed::check_headers(REP, &long), Err(WsError::HeadTooLarge));
        assert_eq!(Agreed::check_headers(REP, &[]), Ok(()));
        let long = [("X".to_owned(), "x".repeat(4_000))];
        let ask = Ask { host: "h", target: "/", key: KEY, sub_protocol: REP, origin: None, headers: &long };
        assert_eq!(ask.encode(), Err(WsError::HeadTooLarge));
    }

    #[test]
    fn paths_are_compared_without_query_and_last_slash() {
        for (path, target, same) in [
            ("/path", "/path", true),
            ("/path", "/path/", true),
            ("/path/", "/path", true),
            ("/path", "/path?x=1", true),
            ("/path?x=1", "/path/?y=2", true),
            ("/", "/", true),
            ("/", "/?x", true),
            ("/path", "/path//", false),
            ("/path", "/Path", false),
            ("/path", "/", false),
            ("/", "/path", false),
        ] {
            assert_eq!(is_at(path, target), same, "{path} {target}");
        }
    }
}
