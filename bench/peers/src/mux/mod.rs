//! Libraries that put many streams on one connection. What is done with them is in
//! `spanwire_bench_ends::mux`; here is how each makes connections and streams.
//!
//! * `yamux`, `tokio_yamux`: the protocol of that name, twice. `h2`: HTTP/2.
//! * `link`: a TCP connection with a task that drives it, which all of them need.

pub(crate) mod h2;
mod link;
pub(crate) mod tokio_yamux;
pub(crate) mod yamux;

use anyhow::{Result, bail};
use spanwire_bench_ends::{Role, mux};

/// What all of them can do.
pub(crate) const WORKS: &str = "mux-echo:t mux-send:t mux-recv:t mux-links:t mux-mixed:t mux-idle:t";

/// Is one end.
pub(crate) fn run(role: &Role) -> Result<()> {
    let runtime = mux::runtime()?;
    match role.subject.as_str() {
        "h2" => runtime.block_on(mux::run(&h2::H2, role)),
        "tokio-yamux" => runtime.block_on(mux::run(&tokio_yamux::TokioYamux, role)),
        "yamux" => runtime.block_on(mux::run(&yamux::Yamux, role)),
        unknown => bail!("{unknown} is no multiplexer"),
    }
}

/// More streams than any work has on one connection.
const MOST_STREAMS: usize = 100_000;
