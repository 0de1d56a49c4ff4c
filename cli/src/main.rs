//! `spanwire`: the Scalability Protocols at a prompt.
//!
//! | command | file | what it does |
//! | --- | --- | --- |
//! | `demo` | `demo/` | a tour: every pattern over every transport |
//! | `perf` | `perf/` | latency and throughput between two processes |
//! | `device` | `device/` | joins two addresses |
//! | `completions` `man` | `docs/` | what shells and `man` want to know |
//!
//! Exit status: 0 when it worked, 1 when it failed, 2 when it was called in a way that makes no sense.

#![forbid(unsafe_code)]

mod args;
mod demo;
mod device;
mod docs;
mod failure;
mod perf;
mod terminal;

use args::{Args, Command};
use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Perf(args) => perf::run(args),
        Command::Device(args) => device::run(args),
        Command::Completions(args) => docs::completions(&args),
        Command::Man(args) => docs::man(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Runs `work` on this thread.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(format!("cannot start: {error}")))?.block_on(work)
}
