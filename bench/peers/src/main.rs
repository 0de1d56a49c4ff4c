//! Our benchmark's workloads, done with other people's libraries. `spanwire-bench` starts this program
//! and talks to it; `spanwire-bench-ends` says how.
//!
//! * `subject`: which library can do what, in which version and with which settings.
//! * `blocking`: the works for libraries whose calls block: `nng`, `nanomsg`, `libzmq`, `zenoh`.
//! * `tasks`: the works for libraries whose calls are futures: `rzmq`, `zeromq`, `nats`.
//! * `mux`: the libraries that put many streams on one connection: `yamux`, `tokio-yamux`, `h2`. Their works are
//!   in `spanwire-bench-ends`, as the limit, Spanwire and quinn have the same.
//! * `body`: what is in a message. `tally`: counting them. `jobs`: hearing the parent meanwhile.
//!   `memory`: what an end needs of it.
//!
//! Each library has the settings that its own documentation recommends for the work, and none that drops
//! messages where it has a choice. They are told with `list`, and explained where they are made.

mod blocking;
mod body;
mod descriptors;
mod jobs;
mod kind;
mod libzmq;
mod loaded;
mod memory;
#[cfg(feature = "mux")]
mod mux;
mod nanomsg;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "nng")]
mod nng;
mod port;
#[cfg(feature = "rzmq")]
mod rzmq;
mod subject;
mod tally;
#[cfg(any(feature = "nats", feature = "rzmq", feature = "zeromq"))]
mod tasks;
#[cfg(feature = "zenoh")]
mod zenoh;
#[cfg(feature = "zeromq")]
mod zeromq;

use anyhow::{Result, bail};
use spanwire_bench_ends::role;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spanwire-peer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    match arguments.split_first() {
        Some((first, rest)) if first == role::ARGUMENT => role::main(rest, subject::run),
        Some((first, [])) if first == "list" => {
            subject::list();
            Ok(())
        }
        _ => bail!("this program is for spanwire-bench; by hand only `spanwire-peer list` is of use"),
    }
}
