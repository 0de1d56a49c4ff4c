//! [`Request`] and [`Agreed`]: the opening handshake as a listener has it.

use super::head::{Headers, add_headers, is_whole, shortened};
use super::{MAX_ANSWER_BYTES, MAX_HEADERS, VERSION, WsError, accept_text, plain};
use crate::options::Origins;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

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
    pub(super) key: String,
    pub(super) sub_protocol: String,
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
