//! The certificate of servers in the benchmark, which clients trust: itself its authority.
//!
//! Made for `localhost` and `127.0.0.1`, with `openssl req -x509`, good for a hundred years. Its key is no
//! secret, so it is good for nothing else.

/// The certificate, as PEM.
pub const CERTIFICATE: &str = include_str!("../certs/cert.pem");

/// Its key, as PEM.
pub const KEY: &str = include_str!("../certs/key.pem");

/// The host that it names, and under which servers are dialled.
pub const HOST: &str = "127.0.0.1";
