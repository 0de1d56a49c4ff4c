//! `spanwire mux`: many connections over one, for programs that know nothing of it.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `forward` | takes local connections and carries each as a channel |
//! | `serve` | takes channels and connects each to its target |
//! | `targets` | which target belongs to which id, from the order of the arguments |
//! | `echo` | sends back what comes on every channel |
//! | `local` | tcp and unix sockets of programs that know nothing of it |
//! | `relay` | a local connection over a channel, both ways |
//! | `counts` | what went through, and on what |
//! | `running` | from the first signal handler to the last word |
//!
//! ```text
//!  client ─┐                                                    ┌─ target
//!  client ─┼─ forward ═══ one connection of any transport ═══ serve ─ target
//!  client ─┘   a channel for each client, with credit of its own └─ target
//! ```

mod counts;
mod echo;
mod forward;
mod local;
mod relay;
mod running;
mod serve;
mod targets;

use crate::args;
use crate::complaint::Complaint;
use crate::secure;
use crate::stats::Stats;
use spanwire::mux::{Code, MuxOptions};
use spanwire::watch::{Service, Watchable};
use std::time::Duration;

/// Carry many connections over one: forward local ports and unix sockets to another machine
///
/// A tunnel has two ends, and each connection through it has credit of its own, so that a reader
/// that stops holds up nobody else:
///
///   spanwire mux serve --listen tcp://:7000 --to tcp://127.0.0.1:5432
///   spanwire mux forward --listen tcp://127.0.0.1:5432 --to tcp://server:7000
///
/// Over tls+tcp, wss or quic it is encrypted, and with certificates on both sides only those get
/// in who have one. Without, whoever reaches the port of serve reaches its targets.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(verbatim_doc_comment, after_help = args::EXIT_STATUS)]
pub(crate) struct Args {
    #[command(subcommand)]
    role: Role,
}

#[derive(clap::Subcommand, Debug)]
enum Role {
    Forward(forward::Args),
    Serve(serve::Args),
    Echo(echo::Args),
}

/// What all roles are told.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
struct Common {
    /// Connections carried at once, each in up to 384 KiB and its share of a window of 32 MiB
    #[arg(long, value_name = "COUNT", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    connections: u32,
    /// How long connections may go on after SIGINT or SIGTERM; a second one ends them at once
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    grace: u32,
    /// Tell what went through every so often; SIGUSR1 asks for it at any time
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    every: Option<u32>,
    /// Tell on standard error what happens, and at the end what went through
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    stats: Stats,
    #[command(flatten)]
    tls: secure::Flags,
}

impl Common {
    fn options(&self) -> MuxOptions {
        MuxOptions { channels: self.connections, send_bytes: SEND_BYTES, ..MuxOptions::default() }
    }

    /// Shows a pool or a server where the user wants it, for as long as what is returned is kept.
    async fn show(&self, name: &str, shown: &impl Watchable) -> Result<Option<Service>, Complaint> {
        let secure = self.tls.read().map_err(Complaint::new)?;
        let service = self.stats.show(&secure, [(name, shown)]).await?;
        if let (Some(service), true) = (&service, self.verbose) {
            eprintln!("stats: listening on {}", service.url());
        }
        Ok(service)
    }

    fn grace(&self) -> Duration {
        Duration::from_secs(self.grace.into())
    }
}

/// What may wait on each channel for the other side: as much again as a socket has.
const SEND_BYTES: usize = 256 * 1024;
/// So long may it take to reach the other side, or a target.
const PATIENCE: Duration = Duration::from_secs(10);
/// The connection that a channel stands for was cut, and did not end.
const CUT: Code = Code(Code::APPLICATION);
/// The target is not there.
const UNREACHABLE: Code = Code(Code::APPLICATION + 1);

/// What carries channels is no channel itself.
fn carries(url: &str) -> Result<(), Complaint> {
    match url.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("mux+")) {
        true => Err(Complaint::usage(format!("{url} is the address of a channel"))
            .advise("give the address of the connection, without mux+, and the name as --id")),
        false => Ok(()),
    }
}

pub(crate) fn run(args: Args) -> Result<(), Complaint> {
    match args.role {
        Role::Forward(args) => forward::run(&args),
        Role::Serve(args) => serve::run(&args),
        Role::Echo(args) => echo::run(&args),
    }
}
