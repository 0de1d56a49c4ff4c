//! The command `spanwire`.
//!
//! | subcommand | where | reads its arguments |
//! | --- | --- | --- |
//! | `cat` | [`cat`] | itself, as nngcat does |
//! | `nanocat` | [`nanocat`] | itself, as nanocat does |
//!
//! Everything else is clap's. Under the name `nngcat`, `nanocat` or `nn_req` and its kin, as a link
//! for instance, the program is that command.

mod cat;
mod failure;
mod flags;
mod nanocat;

use clap::{Parser, Subcommand};
use spanwire::Protocol;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// What a shell shows as the status of a program that died of SIGPIPE: 128 + 13.
const BROKEN_PIPE: u8 = 141;

/// Scalability Protocols from the shell, compatible with NNG, nanomsg and mangos.
#[derive(Parser)]
#[command(name = "spanwire", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send and receive messages, with the flags of nngcat(1)
    #[command(disable_help_flag = true)]
    Cat(Foreign),
    /// Send and receive messages, with the flags of nanocat(1)
    #[command(disable_help_flag = true)]
    Nanocat(Foreign),
}

/// The arguments of a command that reads them itself.
#[derive(clap::Args)]
struct Foreign {
    /// See its own --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "flags")]
    args: Vec<OsString>,
}

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
    match Cli::parse().command {
        Command::Cat(Foreign { args }) => cat::main(args.into_iter()),
        Command::Nanocat(Foreign { args }) => nanocat::main(args.into_iter(), None),
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
