//! Any bytes as a report of sockets and multiplexed connections.

use spanwire_core::mux::snapshot::MuxChannelSnapshot;
use spanwire_core::watch::{Detail, decode, encode, prometheus};

/// What decodes is encoded so that it decodes to the same, within the bounds of the format.
///
/// # Panics
///
/// It does not.
pub fn report(data: &[u8]) {
    let first = match decode(data) {
        Ok(report) => report,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let bytes = encode(&first);
    assert!(bytes.len() <= 16 << 20);
    // Long texts are cut once, and then stay as they are.
    let second = decode(bytes.as_bytes()).expect("what was encoded can be decoded");
    assert_eq!(second.sockets.len(), first.sockets.len());
    for (one, other) in first.sockets.iter().zip(&second.sockets) {
        assert_eq!(
            (&one.ledger, &one.latencies, one.queues),
            (&other.ledger, &other.latencies, other.queues)
        );
        assert_eq!((&one.lives, &one.refusals, &one.waits), (&other.lives, &other.refusals, &other.waits));
        for (one, other) in one.transports.iter().zip(&other.transports) {
            assert_eq!(one.latencies, other.latencies);
        }
        for (one, other) in one.peers.iter().zip(&other.peers) {
            assert_eq!(one.latencies, other.latencies);
        }
        for (_, spans) in one.latencies.measured() {
            assert!(spans.quantile(0.0) <= spans.quantile(1.0) && spans.quantile(1.0) == spans.max());
        }
    }
    assert_eq!(second.muxes.len(), first.muxes.len());
    for (one, other) in first.muxes.iter().zip(&second.muxes) {
        assert_eq!((one.role, one.attempts, one.waiting), (other.role, other.attempts, other.waiting));
        assert_eq!(one.connections.len(), other.connections.len());
        for (one, other) in one.connections.iter().zip(&other.connections) {
            assert_eq!(
                (one.number, one.stats, one.round_trip),
                (other.number, other.stats, other.round_trip)
            );
            let stats =
                |channels: &[MuxChannelSnapshot]| channels.iter().map(|one| one.stats).collect::<Vec<_>>();
            assert_eq!(stats(&one.channels), stats(&other.channels));
        }
    }
    assert_eq!(encode(&second), bytes);
    for line in prometheus(&second, Detail::Peers).lines() {
        assert!(line.starts_with("spanwire_") || line.starts_with("# "), "{line:?}");
    }
}
