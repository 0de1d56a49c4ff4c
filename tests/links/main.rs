//! Plain connections, as programs see them: one file per thing.

#[cfg(feature = "tls")]
#[path = "../support/certificates.rs"]
mod certificates;
#[path = "../../examples/own_transport/memory.rs"]
mod own_transport;

mod blocking;
mod cancel;
mod closing;
mod dialers;
mod faults;
mod handshakes;
mod listeners;
mod messages;
mod rates;
mod requests;
#[cfg(all(feature = "tls", feature = "ws", feature = "quic"))]
mod secure;
mod servers;
#[cfg(feature = "tower")]
mod service;
mod single;
mod streams;
mod support;
#[path = "../support/waiting.rs"]
mod waiting;
