//! [`Ask`] and [`Answer`]: the opening handshake as a dialer has it.

use super::head::{Headers, add_headers, is_value, is_whole, shortened};
use super::{MAX_HEADERS, MAX_REQUEST_BYTES, MAX_TEXT_CHARS, VERSION, WsError, accept_text};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What a dialer asks.
#[derive(Copy, Clone, Debug)]
pub struct Ask<'a> {
    /// Host and port as they stand in the address: NNG lets nobody in who asks for another.
    pub host: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// See [`key_text`](super::key_text).
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
