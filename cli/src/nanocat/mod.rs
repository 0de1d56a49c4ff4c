//! `spanwire nanocat`: nanocat(1) of nanomsg 1.1, its flags, habits and exit statuses.
//!
//! * `options.rs`: the flag table
//! * `parse.rs`: how it reads a command line
//!
//! What it does with messages is that of [`crate::cat`]; the two differ in these habits:
//!
//! | | nngcat | nanocat |
//! | --- | --- | --- |
//! | nobody listens where we dial | fails | keeps trying |
//! | exit status: command line, unreadable file, socket | 1, 1, 1 | 1, 2, 3 |
//! | exit status of `--help` | 1 | 0 |
//! | `--delay` | before sending | before sending or receiving |
//! | seconds | whole | with a fraction; negative is for ever |
//! | a timeout of 0 | for ever | at once |
//! | after an ASCII message | nothing | a newline |
//! | a path given with `-X` | made absolute with a slash | as it is |
//! | `--count`, several addresses, `-V` | yes | no `--count`, no `-V` |

pub(crate) mod options;
pub(crate) mod parse;

use crate::cat::format::Dialect;
use crate::cat::run;
use crate::cat::settings::{Ask, Plan, Settings};
use crate::failure::Failure;
use crate::flags::help;
use spanwire::Protocol;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command. `protocol` is the one that the name of the program has chosen already.
pub(crate) fn main(args: impl Iterator<Item = OsString>, protocol: Option<Protocol>) -> ExitCode {
    let args = args.map(OsString::into_encoded_bytes).collect();
    match prepare(args, protocol).and_then(|plan| plan.map_or(Ok(()), run::run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Pipe) => ExitCode::from(crate::BROKEN_PIPE),
        Err(failure) => {
            crate::complain(&format!("spanwire nanocat: {failure}"));
            ExitCode::from(match failure {
                Failure::Usage(_) => 1,
                Failure::File(_) => 2,
                _ => 3,
            })
        }
    }
}

/// What to do; `None` when help was asked for, and given.
fn prepare(args: Vec<Vec<u8>>, protocol: Option<Protocol>) -> Result<Option<Plan>, Failure> {
    let mut settings = Settings { protocol, ..Settings::new(Dialect::Nanocat) };
    let used = parse::parse(args, &mut settings)?;
    if settings.ask == Some(Ask::Help) {
        run::say(&help(options::FLAGS, USAGE))?;
        return Ok(None);
    }
    settings.plan(&used).map(Some)
}

const USAGE: &str = "Usage: spanwire nanocat <protocol> <address>... [<flags>]

Sends and receives messages, exactly as nanocat(1) does.";
