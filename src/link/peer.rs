//! [`Peer`]: who is at the other end.

use crate::session::Origin;
use crate::transport::Ends;
use spanwire_core::framing::link::Metadata;
use spanwire_core::link::Link;
use std::time::Duration;

/// Who is at the other end of a connection, as it was when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The connection's number at its host.
    pub connection: u64,
    /// Its logical host; empty before it has said so. Stable once the handshake is done.
    pub host: String,
    /// Different each time that host starts.
    pub instance: [u8; 16],
    /// Its transport host, and who it is by the transport: addresses, unix credentials, TLS identity.
    pub ends: Option<Ends>,
    /// The dialer or listener that the connection came from.
    pub origin: Origin,
    /// What it says about itself.
    pub metadata: Metadata,
    /// The last round trip that was measured.
    pub round_trip: Option<Duration>,
}

impl Peer {
    pub(super) fn new(connection: u64, origin: &Origin, ends: Option<&Ends>, link: &Link) -> Self {
        let hello = link.theirs();
        Self {
            connection,
            host: hello.map(|hello| hello.host.clone()).unwrap_or_default(),
            instance: hello.map(|hello| hello.instance).unwrap_or_default(),
            ends: ends.cloned(),
            origin: origin.clone(),
            metadata: hello.map(|hello| hello.metadata.clone()).unwrap_or_default(),
            round_trip: link.round_trip(),
        }
    }
}
