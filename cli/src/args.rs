//! The command line as a whole. Each command says its own part in its own folder.

use crate::{cert, demo, device, docs, metrics, mux, perf, top};
use std::ffi::OsString;

/// Scalability Protocols from the shell: messages between programs, without a broker
///
/// Speaks the wire of NNG, nanomsg and mangos, and so joins their systems. Start with `spanwire demo`.
#[derive(clap::Parser, Debug)]
#[command(name = "spanwire", version, arg_required_else_help = true, after_help = EXIT_STATUS)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Demo(demo::Args),
    /// Send and receive messages, with the flags of nngcat(1)
    #[command(disable_help_flag = true)]
    Cat(Foreign),
    /// Send and receive messages, with the flags of nanocat(1)
    #[command(disable_help_flag = true)]
    Nanocat(Foreign),
    Device(device::Args),
    Mux(mux::Args),
    Perf(perf::Args),
    Top(top::Args),
    Metrics(metrics::Args),
    Cert(cert::Args),
    Completions(docs::CompletionsArgs),
    Man(docs::ManArgs),
}

/// The arguments of a command that reads them itself.
#[derive(clap::Args, Debug)]
#[group(skip)]
pub(crate) struct Foreign {
    /// See its own --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "flags")]
    pub(crate) args: Vec<OsString>,
}

/// Shown below every help, and so in every man page.
pub(crate) const EXIT_STATUS: &str =
    "Exit status: 0 it worked, 1 it failed, 2 the command line makes no sense.";
