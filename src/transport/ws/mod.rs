//! `ws://` and `wss://`: WebSocket, over tcp or TLS. The rules are in `spanwire_core::framing::ws`.
//!
//! ```text
//!   dial ─▶ tcp (TLS) ─ request ─▶ answer ───────────────────────────────┐
//!                                                                        ├─▶ Stream { Reader, Writer }
//!   listen ─▶ Port ─ accept ─▶ tcp (TLS) ─ request ─ path ─▶ Route ─ answer ┘
//! ```
//!
//! The two halves of a stream stand over those of the transport below, and show SP frames as on tcp to whoever
//! is above: length and payload. So the layers above know nothing of WebSocket, and nothing here knows what the
//! frames below travel in.
//!
//! | file | what it does |
//! | --- | --- |
//! | `upgrade` | the opening handshake, on both sides |
//! | `port` | listeners of several paths that share a port |
//! | `reader` `writer` | the halves |
//! | `keys` | masks that nobody can foresee |

mod bytes;
mod keys;
mod port;
mod reader;
mod upgrade;
mod writer;

pub(crate) use port::listen;
pub(crate) use upgrade::dial;

#[cfg(feature = "tls")]
use super::tls;
use super::{Speaks, Stream};
use crate::error::ConnectError;
use reader::Reader;
use spanwire_core::framing::sp::Framing;
use spanwire_core::framing::ws::{Side, upgrade as rules};
use std::sync::Arc;
use writer::Writer;

/// What TLS needs on a listener's side.
#[cfg(feature = "tls")]
type Server = crate::tls::TlsServer;
/// Nobody has one.
#[cfg(not(feature = "tls"))]
#[derive(Clone, PartialEq)]
enum Server {}

/// TLS over a stream that came in.
#[cfg(feature = "tls")]
async fn secured(stream: Stream, server: &Server) -> Result<Stream, ConnectError> {
    tls::accept(stream, server).await
}

#[cfg(not(feature = "tls"))]
async fn secured(_: Stream, server: &Server) -> Result<Stream, ConnectError> {
    match *server {}
}

/// How what the upper layers say goes into the messages of a WebSocket.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Mapping {
    /// An SP message is a binary message.
    Messages,
    /// Each write is a binary message, and where messages end does not matter.
    Bytes,
}

/// The sub-protocol of plain connections.
const LINK: &str = "link.spanwire";

/// What both sides have to agree on: the name of it, and how it is spoken. The one place that knows.
fn agreement(speaks: Speaks, side: Side) -> (String, Mapping) {
    match speaks {
        // The name is the listener's, whoever speaks (spec 3.1).
        Speaks::Sp(protocol) => {
            let listener = if side == Side::Server { protocol } else { protocol.peer() };
            (rules::sub_protocol(listener), Mapping::Messages)
        }
        Speaks::Link => (LINK.to_owned(), Mapping::Bytes),
    }
}

/// A WebSocket over `below`, whose opening handshake is done. `rest` came behind the peer's head.
fn wrap(below: Stream, side: Side, mapping: Mapping, rest: Vec<u8>) -> Stream {
    let writer = Arc::new(Writer::new(below.writer, side));
    let reader = Box::new(Reader::new(below.reader, writer.clone(), side, rest));
    let (framing, ends) = (Framing::Tcp, below.ends);
    match mapping {
        Mapping::Messages => Stream { reader, writer, framing, agreed: true, ends },
        Mapping::Bytes => {
            let (reader, writer) =
                (Box::new(bytes::Reader::new(reader)), Arc::new(bytes::Writer::new(writer)));
            Stream { reader, writer, framing, agreed: true, ends }
        }
    }
}
