//! What we promise to survive: bad input, and faults of peers, networks and the machine.
//!
//! | file | what goes wrong |
//! | --- | --- |
//! | `handshakes` | what comes before a connection is a pipe |
//! | `frames` | lengths, types, and cuts in the middle |
//! | `peers` | peers that misbehave, never read, or die |
//! | `machine` | descriptors, socket files, names |
//! | `tls` | certificates, and what is no TLS |
//! | `headers` | backtraces, hop counts, ids |
//! | `misuse` | what the application itself does wrong, and every way to close |
//! | `cancel` | every public future, dropped after any number of polls |
//! | `runtimes` | runtimes that go away, or are in the way |
//!
//! Each test provokes its fault with a peer that speaks bytes, and then looks at four things: what
//! the socket says of it (event, counter, error, reason); that an honest peer of the same socket is
//! served all along; that the bounds hold; and that closing leaves nothing behind.
//! `tests/architecture/faults.rs` has the list.

mod cancel;
#[cfg(feature = "tls")]
#[path = "../support/certificates.rs"]
mod certificates;
#[cfg(feature = "tls")]
#[path = "../support/rustls_peer.rs"]
mod foreign;
mod frames;
mod handshakes;
mod headers;
mod machine;
mod misuse;
mod peers;
mod runtimes;
mod support;
#[cfg(feature = "tls")]
mod tls;
#[path = "../support/waiting.rs"]
mod waiting;
