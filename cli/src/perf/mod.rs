//! `spanwire perf`: latency and throughput between two processes, in the shape of nng's and ZeroMQ's
//! `local_lat`, `remote_lat`, `local_thr` and `remote_thr`.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `latency` | one asks, the other answers, and the asking one measures |
//! | `throughput` | one sends, and the receiving one measures |
//! | `figures` | percentiles and rates, for people and as JSON |
//! | `side` | a socket of either, async or blocking |
//! | `pair` | both at once, for a quick figure |
//!
//! The wire is that of nng's programs, so either side may be one of theirs with `--pattern pair1`.

mod figures;
mod latency;
mod pair;
mod side;
mod throughput;

use crate::args;
use crate::complaint::Complaint;
use crate::secure::{self, Secure};
use crate::stats::Stats;
use figures::Setting;
use side::{Async, Blocking};
use spanwire::{DialOptions, Event, ListenOptions, Listener, Options, Start};
use std::io::{self, Write};
use std::time::Duration;

/// Measure latency and throughput between two processes
///
/// Alone, or as `spanwire perf pair`, it starts both processes itself. Otherwise start a local-*
/// side, which listens, and then the remote-* side that belongs to it, with the same size and count:
///
///   spanwire perf local-lat tcp://:5555 64 100000
///   spanwire perf remote-lat tcp://server:5555 64 100000
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(verbatim_doc_comment, after_help = args::EXIT_STATUS, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    pair: pair::Args,
}

#[derive(clap::Subcommand, Debug)]
enum Role {
    /// Answer each message (start this side first)
    #[command(visible_alias = "local_lat", after_help = args::EXIT_STATUS)]
    LocalLat(latency::Args),
    /// Send a message, wait for the answer, repeat; print the round trip times
    #[command(visible_alias = "remote_lat", after_help = args::EXIT_STATUS)]
    RemoteLat(latency::Args),
    /// Receive messages; print how fast they came (start this side first)
    #[command(visible_alias = "local_thr", after_help = args::EXIT_STATUS)]
    LocalThr(throughput::Args),
    /// Send messages as fast as they are taken
    #[command(visible_alias = "remote_thr", after_help = args::EXIT_STATUS)]
    RemoteThr(throughput::Args),
    /// Start both processes on this machine and print a quick figure
    #[command(after_help = args::EXIT_STATUS)]
    Pair(pair::Args),
}

/// What all roles are told.
#[derive(clap::Args, Debug)]
#[group(skip)]
struct Run {
    /// Where to listen (local) or whom to dial (remote), as in tcp://127.0.0.1:5555
    url: String,
    /// Bytes in each message
    #[arg(value_parser = size)]
    size: usize,
    /// How many messages or round trips
    #[arg(value_parser = count)]
    count: u64,
    /// Print the figures as one line of JSON
    #[arg(long)]
    json: bool,
    /// Use the blocking sockets instead of the async ones
    #[arg(long)]
    blocking: bool,
    #[command(flatten)]
    stats: Stats,
    /// Print the address in use before anything else, so that a program can read it
    #[arg(long, hide = true)]
    announce: bool,
    #[command(flatten)]
    tls: secure::Flags,
}

impl Run {
    /// Options with room for the messages in question.
    fn options(&self) -> Options {
        let default = Options::default();
        // A header may come on top.
        let needed = self.size.saturating_add(64);
        Options {
            max_message_bytes: default.max_message_bytes.max(needed),
            send_timeout: None,
            recv_timeout: None,
            ..default
        }
    }

    /// What TLS needs.
    fn secure(&self) -> Result<Secure, Complaint> {
        self.tls.read().map_err(Complaint::new)
    }

    /// How the local side listens.
    fn listening(&self) -> Result<ListenOptions, Complaint> {
        Ok(self.secure()?.listening(&self.url)?)
    }

    /// How the remote side dials: it may be started before its local side.
    fn dialing(&self) -> Result<DialOptions, Complaint> {
        Ok(DialOptions {
            start: Start::Background,
            reconnect_min: Duration::from_millis(20),
            reconnect_max: Duration::from_millis(500),
            ..self.secure()?.dialing(&self.url)?
        })
    }

    /// Where a figure comes from.
    fn setting(&self, url: &str, pattern: &'static str) -> Setting {
        let Self { size, count, blocking, .. } = *self;
        Setting { url: url.to_owned(), pattern, size, count, blocking }
    }

    /// Tells where we listen: programs if they asked, and people if they cannot know.
    fn announce(&self, listener: &Listener) -> io::Result<()> {
        if self.announce {
            let mut out = io::stdout().lock();
            writeln!(out, "{}", listener.url())?;
            out.flush()?;
        } else if listener.url() != self.url {
            eprintln!("listening on {}", listener.url());
        }
        Ok(())
    }
}

/// How long the sockets may take to hand over what they have.
const GOODBYE: Duration = Duration::from_secs(10);

/// A role, played with the sockets that were asked for.
macro_rules! either {
    ($args:expr, $($role:ident)::+) => {{
        let args = $args;
        match args.run.blocking {
            true => crate::block_on($($role)::+::<Blocking>(&args)),
            false => crate::block_on($($role)::+::<Async>(&args)),
        }
    }};
}

pub(crate) fn run(args: Args) -> Result<(), Complaint> {
    match args.role {
        None => pair::run(&args.pair),
        Some(Role::Pair(args)) => pair::run(&args),
        Some(Role::LocalLat(args)) => either!(args, latency::local),
        Some(Role::RemoteLat(args)) => either!(args, latency::remote),
        Some(Role::LocalThr(args)) => either!(args, throughput::local),
        Some(Role::RemoteThr(args)) => either!(args, throughput::remote),
    }
}

/// An error if this event means that the other side is not, or no longer, there.
fn lost(event: &Event) -> Result<(), Complaint> {
    match event {
        Event::Detached(_, why) => Err(Complaint::new(format!("the other side is gone: {why}"))),
        Event::Refused(_, why) => Err(Complaint::new(format!("the other side does not fit: {why}"))),
        _ => return Ok(()),
    }
    .map_err(|complaint| complaint.advise(SAME))
}

/// An error if a message has not this size: the two sides were told different things.
fn check_size(expected: usize, got: usize) -> Result<(), Complaint> {
    if expected == got {
        return Ok(());
    }
    Err(Complaint::new(format!("a message of {got} bytes came instead of {expected}")).advise(SAME))
}

const SAME: &str = "start both sides with the same pattern, size and count";

fn size(text: &str) -> Result<usize, String> {
    number(text).and_then(|size| match size {
        0..=0x4000_0000 => Ok(size as usize),
        _ => Err("a message can have no more than 1 GiB".into()),
    })
}

fn count(text: &str) -> Result<u64, String> {
    number(text).and_then(|count| match count {
        0 => Err("at least one is needed".into()),
        1..=1_000_000_000 => Ok(count),
        _ => Err("no more than 1000000000".into()),
    })
}

/// A number, with `_` or `,` where people like them.
fn number(text: &str) -> Result<u64, String> {
    text.replace(['_', ','], "").parse().map_err(|_| "not a number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_be_grouped() {
        assert_eq!(count("1_000,000"), Ok(1_000_000));
        assert!(count("0").is_err());
        assert!(count("many").is_err());
        assert_eq!(size("0"), Ok(0));
        assert!(size("1073741825").is_err());
    }
}
