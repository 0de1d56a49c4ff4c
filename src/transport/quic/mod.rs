//! `quic://`, `quic4://`, `quic6://`: one connection of QUIC with one stream of it for each pipe.
//!
//! ```text
//!  dial ── UDP socket ── handshake ── opens the stream ─┐
//!                                                       ├─▶ Stream { halves of it } ── SP as over tcp
//!  listen ── UDP socket ── Incoming ── handshake ── stream arrives
//! ```
//!
//! | file | what it does |
//! | --- | --- |
//! | `dial` | a UDP socket per connection, and whether anybody is there |
//! | `listen` | a UDP socket per listener; address validation when many come at once |
//! | `line` | the stream as something that reads and writes, and how a connection ends |
//! | `error` | [`QuicError`]: why there was no connection |
//!
//! The bytes are in `docs/quic-wire.md`. Tasks and timers of quinn are made by `rt::quic`.

mod dial;
mod error;
mod line;
mod listen;

pub(crate) use dial::dial;
pub use error::QuicError;
pub(crate) use listen::listen;

use crate::options::QuicOptions;
use quinn::{EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The protocol that both sides name in the handshake (RFC 7301).
const ALPN: &[&[u8]] = &[b"sp"];

/// What the connection allows the peer, and itself.
fn transport(options: &QuicOptions, streams_of_the_peer: u32) -> Arc<TransportConfig> {
    let window = bounded(options.receive_window_bytes);
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(streams_of_the_peer.into())
        .max_concurrent_uni_streams(0_u32.into())
        .datagram_receive_buffer_size(None)
        // There is one stream, so both windows are its.
        .stream_receive_window(window)
        .receive_window(window)
        .crypto_buffer_size(HANDSHAKE_BYTES)
        .send_window(bounded(options.send_window_bytes).into_inner())
        .keep_alive_interval(options.keep_alive)
        // What is longer than can be said is as good as for ever.
        .max_idle_timeout(options.idle_timeout.and_then(|span| IdleTimeout::try_from(span).ok()));
    Arc::new(config)
}

/// Version 1 and no draft of it.
fn endpoint_config() -> EndpointConfig {
    let mut config = EndpointConfig::default();
    config.supported_versions(vec![VERSION]);
    config
}

/// RFC 9000.
const VERSION: u32 = 1;

/// What a peer's part of the handshake may have on its way: chains of certificates, above all. rustls takes no
/// larger ones.
const HANDSHAKE_BYTES: usize = 64 * 1024;

/// A window in the units of QUIC: at least one packet.
fn bounded(bytes: usize) -> VarInt {
    VarInt::from_u64(bytes.max(1_500) as u64).unwrap_or(VarInt::MAX)
}

/// Bytes of one direction that are lost when a connection is cut: those that we sent and were not
/// acknowledged, and those that a peer like us has not read.
fn in_flight_bytes(options: &QuicOptions) -> usize {
    options.send_window_bytes.saturating_add(options.receive_window_bytes)
}

/// An address as people write it: sockets for both kinds of IP show IPv4 as IPv6.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(plain_ip(address.ip()), address.port())
}

fn plain_ip(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// What the kernel may keep of datagrams that come in a burst, as far as it lets us.
const UDP_BYTES: usize = 2 * 1024 * 1024;
