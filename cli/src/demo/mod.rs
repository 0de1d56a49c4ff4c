//! `spanwire demo`: the tour.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `grid` | which patterns and transports there are |
//! | `patterns` | what each pattern plays |
//! | `stage` | connects, repeats, checks, measures, and notices what goes wrong |
//! | `member` | any socket, as the stage sees it |
//! | `payload` | messages that can be checked |
//! | `table` | what is printed |

mod grid;
mod member;
mod patterns;
mod payload;
mod stage;
mod table;

use crate::cert;
use crate::complaint::Complaint;
use crate::secure::Secure;
use crate::terminal::Terminal;
use grid::{Pattern, Stop, Transport};
use stage::{Figures, Stage, Trouble};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;
use table::{Summary, Table};

/// Take the tour: every pattern over every transport, checked and measured in seconds
///
/// Nothing needs to be set up, and nothing is left behind. Fails if any message is lost or damaged,
/// or any connection is cut.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(after_help = crate::args::EXIT_STATUS)]
pub(crate) struct Args {
    /// Cut a connection in the middle of this stop, to see that it is noticed.
    #[arg(long, value_name = "TRANSPORT/PATTERN", hide = true, value_parser = Stop::parse)]
    sabotage: Option<Stop>,
}

pub(crate) fn run(args: &Args) -> Result<(), Complaint> {
    let scratch = Scratch::make()
        .map_err(|error| Complaint::new(format!("cannot make a folder for socket files: {error}")))
        .map_err(|complaint| complaint.advise("set TMPDIR to a folder in which this user may make files"))?;
    let secure = cert::for_a_while("demo")?;
    crate::block_on(tour(args, &scratch.0, &secure))
}

async fn tour(args: &Args, scratch: &Path, secure: &Secure) -> Result<(), Complaint> {
    let start = Instant::now();
    let mut table = Table::new(io::stdout().lock(), Terminal::stdout());
    let mut summary = Summary::default();
    table.head()?;
    for pattern in Pattern::ALL {
        table.begin();
        for transport in Transport::all() {
            let stop = Stop { pattern, transport };
            table.playing(stop)?;
            let result = visit(stop, scratch, secure, args.sabotage == Some(stop)).await;
            table.row(stop, &result)?;
            summary.add(stop, result);
        }
        table.end(pattern)?;
    }
    summary.took = start.elapsed();
    table.summary(&summary)?;
    match summary.failed.len() {
        0 => Ok(()),
        failed => Err(Complaint::new(format!("{failed} of {} stops of the tour failed", summary.stops))
            .advise("the table says which and why; if this machine is not overloaded, it is a bug")),
    }
}

async fn visit(stop: Stop, scratch: &Path, secure: &Secure, sabotaged: bool) -> Result<Figures, Trouble> {
    let stage = Stage::new(stop, scratch, secure, sabotaged)?;
    let played = patterns::play(stop.pattern, &stage).await;
    let left = stage.leave().await;
    played.and(left)
}

/// A folder of our own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> io::Result<Self> {
        let parent = std::env::temp_dir();
        let mut number = std::process::id();
        loop {
            let path = parent.join(format!("spanwire-demo-{number}"));
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                // Left by one that was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number = number.wrapping_add(1),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Whoever cleans the temporary folder gets what we could not remove.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
