//! The life of one end: a process that the parent started, and which it talks to over stdin and stdout.
//!
//! ```text
//! parent                           end
//!    ◀── URL tcp://127.0.0.1:4711 ──    the server, once it listens
//!    ◀── READY ─────────────────────    both, once they are connected
//!    ─── RUN 100000 timed ─────────▶    so many messages or round trips
//!    ◀── GO ────────────────────────    it is about to begin
//!    ◀── DONE 100000 … ─────────────    what it measured
//!    ─── (end of file) ────────────▶    it leaves
//! ```

use crate::limit;
use crate::measure::{Measure, switches};
use crate::pin::{self, Side};
use crate::plan::{Cell, Mode, Subject, Transport, Word, Work, parse_size};
use crate::spanwire;
use anyhow::{Context, Result, bail};
use std::fmt;
use std::io::Write;
use std::str::FromStr;

/// The first argument of a process that is an end.
pub(crate) const ARGUMENT: &str = "role";

/// Which end, of what.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    /// Inproc has one process, which calls itself the client.
    pub(crate) side: Side,
    pub(crate) subject: Subject,
    pub(crate) cell: Cell,
    /// Where to listen (a URL whose port may be 0), or where to dial.
    pub(crate) address: String,
}

impl Role {
    /// The command line that makes a process this end.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let Self { side, subject, cell, address } = self;
        let bytes = cell.body_bytes.to_string();
        let words = [ARGUMENT, side.word(), subject.word(), cell.work.word(), cell.transport.word(), &bytes];
        words.into_iter().chain([cell.mode.word(), address]).map(str::to_owned).collect()
    }

    fn parse(arguments: &[String]) -> Option<Self> {
        let [side, subject, work, transport, bytes, mode, address] = arguments else { return None };
        let side = [Side::Server, Side::Client].into_iter().find(|known| known.word() == side)?;
        let cell = Cell {
            work: Work::find(work)?,
            transport: Transport::find(transport)?,
            body_bytes: parse_size(bytes).ok()?,
            mode: Mode::find(mode)?,
        };
        Some(Self { side, subject: Subject::find(subject)?, cell, address: address.clone() })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}, {}", self.side.word(), self.cell, self.subject.word())
    }
}

/// Is one end until the parent has had enough.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let role = Role::parse(arguments).context("these arguments are for the benchmark's own use")?;
    pin::this_thread(role.cell.mode, role.side)
        .and_then(|()| match role.subject {
            Subject::Limit => limit::run(&role),
            _ => spanwire::run(&role),
        })
        .with_context(|| role.to_string())
}

/// What the parent asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    /// Messages or round trips.
    pub(crate) count: u64,
    /// Whether each round trip is timed. It is not while a tool counts what the end does.
    pub(crate) timed: bool,
}

impl Job {
    /// How many round trips make one sample, given how many would be good.
    pub(crate) fn group(&self, group: u32) -> u32 {
        if self.timed { group } else { 0 }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RUN {} {}", self.count, if self.timed { "timed" } else { "bare" })
    }
}

impl FromStr for Job {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["RUN", count, "timed"] => Ok(Self { count: count.parse()?, timed: true }),
            ["RUN", count, "bare"] => Ok(Self { count: count.parse()?, timed: false }),
            _ => bail!("the parent said {line:?}"),
        }
    }
}

/// Tells the parent where this end listens.
pub(crate) fn say_url(url: &str) -> Result<()> {
    say(&format!("URL {url}"))
}

/// Does what the parent asks for, with calls that block.
pub(crate) fn serve(mut run: impl FnMut(Job) -> Result<Measure>) -> Result<()> {
    say_ready()?;
    while let Some(job) = next_job()? {
        let begun = Begun::now()?;
        begun.finish(run(job)?)?;
    }
    Ok(())
}

/// Tells the parent that this end is connected and waits for jobs.
pub(crate) fn say_ready() -> Result<()> {
    say("READY")
}

/// Waits for the parent's next wish. `None` when it has no more.
pub(crate) fn next_job() -> Result<Option<Job>> {
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line).context("cannot hear the parent")? {
        0 => Ok(None),
        _ => line.parse().map(Some),
    }
}

/// A job that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    switches: u64,
}

impl Begun {
    /// Tells the parent that the job begins.
    pub(crate) fn now() -> Result<Self> {
        let switches = switches();
        say("GO")?;
        Ok(Self { switches })
    }

    /// Tells the parent what came of it.
    pub(crate) fn finish(self, mut measure: Measure) -> Result<()> {
        measure.switches = switches().saturating_sub(self.switches);
        say(&format!("DONE {measure}"))
    }
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot tell the parent")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_reads_back() {
        let cell = Cell { work: Work::OneWay, transport: Transport::Ipc, body_bytes: 1000, mode: Mode::Same };
        let role =
            Role { side: Side::Server, subject: Subject::AsyncMany, cell, address: "ipc:///x y".into() };
        let arguments = role.arguments();
        assert_eq!(Role::parse(&arguments[1..]).unwrap().to_string(), role.to_string());
    }

    #[test]
    fn a_job_reads_back() {
        for timed in [true, false] {
            let job = Job { count: 7, timed };
            assert_eq!(job.to_string().parse::<Job>().unwrap(), job);
        }
    }
}
