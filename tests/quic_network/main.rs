//! `quic://` over networks that misbehave, and with peers that do.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `world` | a dialer and a listener, others who must not notice, and what they say |
//! | `plain` | peers that are quinn alone |
//! | `paths` | packets that are lost, repeated, late, or go another way |
//! | `addresses` | addresses of this machine that go and come, in a network of its own |
//! | `strangers` | packets that are no connection, and handshakes that come to nothing |
//! | `peers` | peers that speak QUIC and do not behave |

#![cfg(feature = "quic")]

#[cfg(target_os = "linux")]
mod addresses;
#[path = "../support/certificates.rs"]
mod certificates;
mod paths;
mod peers;
mod plain;
mod strangers;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/udp_proxy.rs"]
mod udp_proxy;
mod world;
