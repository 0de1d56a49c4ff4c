//! Heads of HTTP: what is read of them, and what may be written into them.

use super::{MAX_HEAD_BYTES, MAX_TEXT_CHARS, WsError};
use alloc::format;
use alloc::string::String;
use core::str;

/// How long a head is, once it is whole.
pub(super) fn is_whole(parsed: httparse::Result<usize>, bytes: &[u8]) -> Result<Option<usize>, WsError> {
    match parsed {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD_BYTES => Ok(Some(length)),
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD_BYTES => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(WsError::HeadTooLarge),
        Err(_) => Err(WsError::NotHttp),
    }
}

pub(super) struct Headers<'h, 'b>(pub(super) &'h [httparse::Header<'b>]);

impl<'b> Headers<'_, 'b> {
    /// The values of a header, wherever it stands.
    fn values(&self, name: &str) -> impl Iterator<Item = &'b str> {
        let named = self.0.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        // What is no text is nothing that we know.
        named.map(|header| str::from_utf8(header.value).unwrap_or_default().trim())
    }

    /// What a header lists.
    pub(super) fn items(&self, name: &str) -> impl Iterator<Item = &'b str> {
        self.values(name).flat_map(|value| value.split(',')).map(str::trim)
    }

    /// Whether a header lists this, in letters of any case.
    pub(super) fn lists(&self, name: &str, item: &str) -> bool {
        self.items(name).any(|listed| listed.eq_ignore_ascii_case(item))
    }

    /// The value of a header that may stand there once.
    pub(super) fn only(&self, name: &'static str) -> Result<Option<&'b str>, WsError> {
        let mut values = self.values(name);
        let value = values.next();
        if values.next().is_some() { Err(WsError::RepeatedHeader { name }) } else { Ok(value) }
    }
}

pub(super) fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).collect()
}

/// Adds headers of the application, and the end of the head.
pub(super) fn add_headers(head: &mut String, headers: &[(String, String)]) -> Result<(), WsError> {
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

pub(super) fn is_value(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_graphic() || b == b' ' || b == b'\t')
}

/// Headers that say something about the handshake itself, or about a body, which there is not.
fn is_ours(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("sec-websocket-")
        || ["host", "upgrade", "connection", "origin", "content-length", "transfer-encoding"]
            .contains(&name.as_str())
}
