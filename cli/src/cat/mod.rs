//! `spanwire cat`: nngcat(1) of NNG 1.5, its flags, output and exit statuses.
//!
//! * `options.rs`: the flag table, each flag with its effect
//! * `parse.rs`: how it reads a command line
//! * `settings.rs`: what was typed, and what it means
//! * `socket.rs`: the sockets of all patterns behind one type
//! * `run.rs`: the exchange of messages
//! * `format.rs`: what messages look like on standard output
//!
//! A script written for nngcat runs unchanged. On purpose, four things are better:
//!
//! * Without `--interval`, exchanges of `--count` end when their answer is there, and
//!   `--recv-timeout` holds. In nngcat both fail as soon as an answer takes a millisecond.
//! * Messages are on their way when the command ends; nngcat gives them 200 ms.
//! * Dialing something that speaks another protocol is an error; nngcat waits.
//! * A listener that is told whom to trust (`--cacert`) asks its peers who they are; nngcat lets
//!   everybody in all the same.
//!
//! What is said on standard error is our own, and one thing is said that nngcat does not say: that
//! messages were lost (`--silent` keeps it quiet). The exit status does not change for that.

pub(crate) mod format;
pub(crate) mod options;
pub(crate) mod parse;
pub(crate) mod run;
pub(crate) mod settings;
mod socket;

use crate::failure::Failure;
use crate::flags::help;
use settings::{Ask, Plan};
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command.
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args = args.map(OsString::into_encoded_bytes).collect();
    match prepare(args).and_then(|work| work.do_it()) {
        Ok(code) => code,
        Err(Failure::Pipe) => ExitCode::from(crate::BROKEN_PIPE),
        Err(failure) => {
            crate::complain(&format!("spanwire cat: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// What a command line asks for.
enum Work {
    /// To print something and end with this status.
    Say(String, ExitCode),
    /// To talk to peers.
    Run(Box<Plan>),
}

impl Work {
    fn do_it(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Say(text, code) => run::say(&text).map(|()| code),
            Self::Run(plan) => run::run(*plan).map(|()| ExitCode::SUCCESS),
        }
    }
}

fn prepare(args: Vec<Vec<u8>>) -> Result<Work, Failure> {
    let (settings, used) = parse::parse(args)?;
    match settings.ask {
        Some(Ask::Help) => Ok(Work::Say(help(options::FLAGS, USAGE), ExitCode::FAILURE)),
        Some(Ask::Version) => Ok(Work::Say(format!("{}\n", env!("CARGO_PKG_VERSION")), ExitCode::SUCCESS)),
        None => settings.plan(&used).map(|plan| Work::Run(Box::new(plan))),
    }
}

const USAGE: &str = "Usage: spanwire cat <protocol> <address>... [<flags>]

Sends and receives messages, exactly as nngcat(1) does.";
