//! Spans and events for `tracing`, where the feature is on; else nothing, at no cost.
//!
//! | name | what | fields |
//! | --- | --- | --- |
//! | `dial` | span: from an attempt to connect to the connection, or not | `url` `protocol` |
//! | `handshake` | span: from the connection to the peer, or not | `url` `protocol` `dialed` |
//! | `connection` | span: as long as the peer is attached | `url` `protocol` `dialed` `peer` `pipe` |
//! | `attached` `lost` | events in `connection` | `lost`: `reason` |
//! | `refused` | event: a connection did not become a peer | `url` `protocol` `reason`, and `error` where the handshake of TLS, WebSocket or QUIC failed |
//! | `dial failed` `accept failed` | events | `url` `protocol` `error` |
//!
//! The target is `spanwire`. Nothing here is on the way of a message: the spans of connections are kept, not
//! entered. Subscribers are foreign code, so they are called with no lock held.

use crate::error::UpgradeError;
use spanwire_core::DetachReason;
use spanwire_core::framing::sp::Protocol;
use std::fmt::Display;
use std::future::Future;

/// A span that ends when all clones of this are dropped.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

#[cfg(feature = "tracing")]
impl Span {
    /// An attempt to connect.
    pub(crate) fn dial(url: &str, protocol: Protocol) -> Self {
        Self { span: tracing::info_span!(target: "spanwire", "dial", url, protocol = protocol.name()) }
    }

    /// A connection on its way to become a peer.
    pub(crate) fn handshake(url: &str, protocol: Protocol, dialed: bool) -> Self {
        let protocol = protocol.name();
        Self { span: tracing::info_span!(target: "spanwire", "handshake", url, protocol, dialed) }
    }

    /// A peer.
    pub(crate) fn connection(
        url: &str,
        protocol: Protocol,
        dialed: bool,
        peer: &dyn Display,
        pipe: u32,
    ) -> Self {
        let (protocol, peer) = (protocol.name(), tracing::field::display(peer));
        Self {
            span: tracing::info_span!(target: "spanwire", "connection", url, protocol, dialed, peer, pipe),
        }
    }

    /// It ends here.
    pub(crate) fn end(self) {
        drop(self.span);
    }

    /// `work` inside this span.
    pub(crate) fn within<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        tracing::Instrument::instrument(work, self.span.clone())
    }

    /// The peer is attached.
    pub(crate) fn attached(&self) {
        tracing::info!(target: "spanwire", parent: &self.span, "attached");
    }

    /// The peer is gone.
    pub(crate) fn lost(&self, why: DetachReason) {
        tracing::info!(target: "spanwire", parent: &self.span, reason = why.name(), "lost");
    }
}

/// A connection did not become a peer.
#[cfg(feature = "tracing")]
pub(crate) fn refused(url: &str, protocol: Protocol, why: DetachReason, error: Option<&UpgradeError>) {
    let (protocol, reason) = (protocol.name(), why.name());
    let error = error.map(tracing::field::display);
    tracing::warn!(target: "spanwire", url, protocol, reason, error, "refused");
}

/// A dialer got no connection, and tries again.
#[cfg(feature = "tracing")]
pub(crate) fn dial_failed(url: &str, protocol: Protocol, error: &str) {
    tracing::warn!(target: "spanwire", url, protocol = protocol.name(), error, "dial failed");
}

/// A listener could not accept, and tries again.
#[cfg(feature = "tracing")]
pub(crate) fn accept_failed(url: &str, protocol: Protocol, error: &str) {
    tracing::warn!(target: "spanwire", url, protocol = protocol.name(), error, "accept failed");
}

#[cfg(not(feature = "tracing"))]
impl Span {
    pub(crate) fn dial(_: &str, _: Protocol) -> Self {
        Self {}
    }

    pub(crate) fn handshake(_: &str, _: Protocol, _: bool) -> Self {
        Self {}
    }

    pub(crate) fn connection(_: &str, _: Protocol, _: bool, _: &dyn Display, _: u32) -> Self {
        Self {}
    }

    pub(crate) fn end(self) {}

    pub(crate) fn within<F: Future>(&self, work: F) -> F {
        work
    }

    pub(crate) fn attached(&self) {}

    pub(crate) fn lost(&self, _: DetachReason) {}
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn refused(_: &str, _: Protocol, _: DetachReason, _: Option<&UpgradeError>) {}

#[cfg(not(feature = "tracing"))]
pub(crate) fn dial_failed(_: &str, _: Protocol, _: &str) {}

#[cfg(not(feature = "tracing"))]
pub(crate) fn accept_failed(_: &str, _: Protocol, _: &str) {}
