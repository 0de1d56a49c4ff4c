//! Ports for libraries that cannot tell which one they were given.

use anyhow::{Context, Result};
use std::net::TcpListener;

/// `url`, with a port that nobody listens at in the place of 0.
pub(crate) fn free(url: &str) -> Result<String> {
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| *scheme != "ipc") else {
        return Ok(url.to_owned());
    };
    let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if !address.ends_with(":0") {
        return Ok(url.to_owned());
    }
    let listener = TcpListener::bind(address).with_context(|| format!("no port at {url}"))?;
    Ok(format!("{scheme}://{}{path}", listener.local_addr()?))
}
