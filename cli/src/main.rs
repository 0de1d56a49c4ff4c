//! The command `spanwire`.
//!
//! | subcommand | where | reads its arguments |
//! | --- | --- | --- |
//! | `demo` | [`demo`] | with clap |
//! | `perf` | [`perf`] | with clap |
//! | `device` | [`device`] | with clap |
//! | `mux` | [`mux`] | with clap |
//! | `top` | [`top`] | with clap |
//! | `metrics` | [`metrics`] | with clap |
//! | `cert` | [`cert`] | with clap |
//! | `cat` | [`cat`] | itself, as nngcat does |
//! | `nanocat` | [`nanocat`] | itself, as nanocat does |
//! | `completions` `man` | [`docs`] | with clap |
//!
//! Under the name `nngcat`, `nanocat` or `nn_req` and its kin, as a link for instance, the program is
//! that command.
//!
//! Exit status: 0 when it worked, 1 when it failed, 2 when the command line makes no sense; `cat` and
//! `nanocat` have those of the programs that they stand in for.

#![forbid(unsafe_code)]

mod args;
mod cat;
mod cert;
mod complaint;
mod demo;
mod device;
mod docs;
mod failure;
mod flags;
mod metrics;
mod mux;
mod nanocat;
mod perf;
mod secure;
mod stats;
mod terminal;
mod top;

use args::{Args, Command, Foreign};
use clap::Parser;
use complaint::Complaint;
use spanwire::Protocol;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// What a shell shows as the status of a program that died of SIGPIPE: 128 + 13.
const BROKEN_PIPE: u8 = 141;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let called = args.next().unwrap_or_default();
    match Path::new(&called).file_stem().and_then(|name| name.to_str()) {
        Some("nngcat") => return cat::main(args),
        Some("nanocat") => return nanocat::main(args, None),
        Some(name) => {
            if let Some(protocol) = name.strip_prefix("nn_").and_then(linked) {
                return nanocat::main(args, Some(protocol));
            }
        }
        None => {}
    }
    // Before clap, which would take a `--` away.
    let args: Vec<_> = args.collect();
    match args.first().and_then(|first| first.to_str()) {
        Some("cat") => return cat::main(args.into_iter().skip(1)),
        Some("nanocat") => return nanocat::main(args.into_iter().skip(1), None),
        _ => {}
    }
    let done = match Args::parse().command {
        Command::Cat(Foreign { args }) => return cat::main(args.into_iter()),
        Command::Nanocat(Foreign { args }) => return nanocat::main(args.into_iter(), None),
        Command::Demo(args) => demo::run(&args),
        Command::Perf(args) => perf::run(args),
        Command::Device(args) => device::run(args),
        Command::Mux(args) => mux::run(args),
        Command::Top(args) => top::run(args),
        Command::Metrics(args) => metrics::run(&args),
        Command::Cert(args) => cert::run(&args),
        Command::Completions(args) => docs::completions(&args),
        Command::Man(args) => docs::man(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => complaint.report(),
    }
}

/// Says something on standard error. If nobody can hear it, nothing is lost that matters.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The protocol that a link called `nn_<name>` chooses.
fn linked(name: &str) -> Option<Protocol> {
    Some(match name {
        "push" => Protocol::Push,
        "pull" => Protocol::Pull,
        "pub" => Protocol::Pub,
        "sub" => Protocol::Sub,
        "req" => Protocol::Req,
        "rep" => Protocol::Rep,
        "surveyor" => Protocol::Surveyor,
        "respondent" => Protocol::Respondent,
        "bus" => Protocol::Bus,
        "pair" => Protocol::Pair0,
        _ => return None,
    })
}

/// Runs `work` on this thread.
fn block_on<T>(work: impl Future<Output = Result<T, Complaint>>) -> Result<T, Complaint> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Complaint::new(format!("cannot start: {error}")))?.block_on(work)
}
