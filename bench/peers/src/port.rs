//! Ports for libraries that cannot tell which one they were given.

use anyhow::{Context, Result};
use std::net::TcpListener;

/// `url`, with a port that nobody listens at in the place of 0.
pub(crate) fn free(url: &str) -> Result<String> {
    match url.strip_prefix("tcp://").filter(|address| address.ends_with(":0")) {
        Some(address) => {
            let listener = TcpListener::bind(address).with_context(|| format!("no port at {url}"))?;
            Ok(format!("tcp://{}", listener.local_addr()?))
        }
        None => Ok(url.to_owned()),
    }
}
