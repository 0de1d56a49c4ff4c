//! [`WsError`]: why an opening handshake failed, and what a listener answers to that.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

/// Why an opening handshake failed. On a listener's side each of them is answered with a status of HTTP and a
/// line of text that says the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WsError {
    /// The peer does not speak HTTP.
    NotHttp,
    /// A head of more than [`MAX_HEAD_BYTES`](super::MAX_HEAD_BYTES) or 64 lines; or our own would be longer than peers have room for,
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
    /// The request comes from a page of a site that is not allowed; see [`Origins`](crate::options::Origins).
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
