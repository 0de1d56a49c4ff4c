//! The command line as a whole. Each command says its own part in its own folder.

use crate::{demo, device, docs, perf};

/// Scalability Protocols at a prompt: messages between programs, without a broker
///
/// Joins NNG, nanomsg and mangos systems, since it speaks their wire. Start with `spanwire demo`.
#[derive(clap::Parser, Debug)]
#[command(name = "spanwire", version, after_help = EXIT_STATUS)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Demo(demo::Args),
    Perf(perf::Args),
    Device(device::Args),
    Completions(docs::CompletionsArgs),
    Man(docs::ManArgs),
}

/// Shown below every help, and so in every man page.
pub(crate) const EXIT_STATUS: &str =
    "Exit status: 0 it worked, 1 it failed, 2 the command line makes no sense.";
