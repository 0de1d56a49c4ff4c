//! Spanwire beside the real libraries: NNG, nanomsg and pynng.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `peer.py` | the foreign side: sockets of one library, driven over stdin and stdout |
//! | `foreign` | our end of that conversation |
//! | `cases` | lists of cases, and how they are run |
//! | `address` | addresses that nobody uses yet |
//! | `sockets` | what our sockets have in common, as a trait |
//! | `matrix` | every pattern, transport, role and direction of dialing |
//! | `talk` | what is said in one cell |
//! | `devices` | devices of ours between foreign peers, and chains with theirs |
//! | `troubles` | wrong protocols, dying repliers, repeated requests, too many hops |
//! | `floods` | many messages and peers at once, and peers that do not read |
//! | `returns` | peers that go away and come back, addresses that are taken |
//! | `nngcat` | the program over TLS and WebSocket, with its certificates |
//! | `tally` | counts what ran and what should have |
//!
//! Every step has a deadline and waits for a message or an event, never for time to pass. Without
//! a library its cells are skipped, and counted as such; with `SPANWIRE_REQUIRE_PEERS=1` that is a
//! failure. `SPANWIRE_PYTHON` names the interpreter.

#![cfg(all(target_os = "linux", feature = "tcp", feature = "ipc"))]

mod address;
mod cases;
#[cfg(feature = "tls")]
#[path = "../support/certificates.rs"]
mod certificates;
mod devices;
mod floods;
mod foreign;
mod matrix;
#[cfg(all(feature = "tls", feature = "ws"))]
mod nngcat;
mod returns;
mod sockets;
mod talk;
mod tally;
mod troubles;

use foreign::Library;

/// What every step of a case gives; the error is a sentence for a person.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pattern_talks_with_nng() {
    matrix::run(Library::Nng).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pattern_talks_with_nanomsg() {
    matrix::run(Library::Nanomsg).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pattern_talks_with_pynng() {
    matrix::run(Library::Pynng).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pattern_talks_with_the_newest_nng() {
    matrix::run(Library::NewNng).await;
}

#[cfg(all(feature = "tls", feature = "ws"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_nngcat_talks_over_tls_and_websocket() {
    nngcat::run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_join_foreign_peers() {
    devices::run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn troubles_with_foreign_peers_are_survived() {
    troubles::run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_arrive_in_order_and_once() {
    floods::run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_return_are_found() {
    returns::run().await;
}
