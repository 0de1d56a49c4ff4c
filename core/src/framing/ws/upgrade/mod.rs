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
//!
//! | file | what it holds |
//! | --- | --- |
//! | `ask` | what a dialer asks, and what it makes of the answer |
//! | `request` | what a listener reads, whom it lets in, and how it says so |
//! | `head` | heads of HTTP |
//! | `error` | why it failed |

mod ask;
mod error;
mod head;
mod request;
#[cfg(test)]
mod tests;

pub use ask::{Answer, Ask};
pub use error::WsError;
pub use request::{Agreed, Request};

use crate::framing::sp::Protocol;
use alloc::format;
use alloc::string::String;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
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
