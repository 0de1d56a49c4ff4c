//! The life of one end: a process that the parent started, and which it talks to over stdin and stdout.
//!
//! ```text
//! parent                             end
//!    ◀── URL tcp://127.0.0.1:4711 ────    the server, once it listens
//!    ◀── READY ───────────────────────    both, once they are connected
//!    ─── RUN 100000 timed 0 0 ────────▶    so many messages; whether timed, rate, milliseconds
//!    ◀── GO ──────────────────────────    it is about to begin
//!    ◀── DONE count=100000 … ─────────    what it measured
//!    ─── (end of file) ──────────────▶    it leaves
//! ```
//!
//! `RUN` comes as often as the parent likes. Nothing else may be printed to stdout; stderr is free.

use crate::usage::{cpu_nanos, switches};
use crate::{Cell, Measure, Mode, Side, Transport, Word, Work, parse_size, pin};
use anyhow::{Context, Result, bail};
use std::fmt;
use std::io::Write;
use std::str::FromStr;

/// The first argument of a process that is an end.
pub const ARGUMENT: &str = "role";

/// Which end, of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Inproc has one process, which calls itself the client.
    pub side: Side,
    /// By what means; each program knows its own.
    pub subject: String,
    /// What is done.
    pub cell: Cell,
    /// Where to listen (a URL whose port may be 0), or where to dial.
    pub address: String,
}

impl Role {
    /// The command line that makes a process this end.
    pub fn arguments(&self) -> Vec<String> {
        let Self { side, subject, cell, address } = self;
        let (bytes, many) = (cell.body_bytes.to_string(), cell.many.to_string());
        let words = [ARGUMENT, side.word(), subject, cell.work.word(), cell.transport.word(), &bytes];
        words.into_iter().chain([cell.mode.word(), &many, address]).map(str::to_owned).collect()
    }

    /// Reads what follows [`ARGUMENT`].
    pub fn parse(arguments: &[String]) -> Option<Self> {
        let [side, subject, work, transport, bytes, mode, many, address] = arguments else { return None };
        let side = [Side::Server, Side::Client].into_iter().find(|known| known.word() == side)?;
        let cell = Cell {
            work: Work::find(work)?,
            transport: Transport::find(transport)?,
            body_bytes: parse_size(bytes).ok()?,
            mode: Mode::find(mode)?,
            many: many.parse().ok()?,
        };
        Some(Self { side, subject: subject.clone(), cell, address: address.clone() })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}, {}", self.side.word(), self.cell, self.subject)
    }
}

/// Is one end until the parent has had enough: reads the arguments after [`ARGUMENT`], goes to its CPU,
/// and leaves the rest to `run`.
pub fn main(arguments: &[String], run: impl FnOnce(&Role) -> Result<()>) -> Result<()> {
    let role = Role::parse(arguments).context("these arguments are for the benchmark's own use")?;
    pin::this_thread(role.cell.mode, role.side).and_then(|()| run(&role)).with_context(|| role.to_string())
}

/// What the parent asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Messages or round trips.
    pub count: u64,
    /// Whether each round trip is timed. It is not while a tool counts what the end does.
    pub timed: bool,
    /// Messages a second, for the works that send at a rate; 0: as fast as may be.
    pub rate: u64,
    /// For the works that watch rather than move messages: how long.
    pub millis: u64,
}

impl Job {
    /// So many messages, timed, as fast as may be.
    pub fn timed(count: u64) -> Self {
        Self { count, timed: true, rate: 0, millis: 0 }
    }

    /// How many round trips make one sample, given how many would be good.
    pub fn group(&self, group: u32) -> u32 {
        if self.timed { group } else { 0 }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timed = if self.timed { "timed" } else { "bare" };
        write!(f, "RUN {} {timed} {} {}", self.count, self.rate, self.millis)
    }
}

impl FromStr for Job {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["RUN", count, timed @ ("timed" | "bare"), rate, millis] = words[..] else {
            bail!("the parent said {line:?}");
        };
        let timed = timed == "timed";
        Ok(Self { count: count.parse()?, timed, rate: rate.parse()?, millis: millis.parse()? })
    }
}

/// Tells the parent where this end listens.
pub fn say_url(url: &str) -> Result<()> {
    say(&format!("URL {url}"))
}

/// Does what the parent asks for, with calls that block.
pub fn serve(mut run: impl FnMut(Job) -> Result<Measure>) -> Result<()> {
    say_ready()?;
    while let Some(job) = next_job()? {
        let begun = Begun::now()?;
        begun.finish(run(job)?)?;
    }
    Ok(())
}

/// Tells the parent that this end is connected and waits for jobs.
pub fn say_ready() -> Result<()> {
    say("READY")
}

/// Waits for the parent's next wish. `None` when it has no more.
pub fn next_job() -> Result<Option<Job>> {
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line).context("cannot hear the parent")? {
        0 => Ok(None),
        _ => line.parse().map(Some),
    }
}

/// A job that has begun.
#[derive(Debug)]
pub struct Begun {
    switches: u64,
    cpu_nanos: u64,
}

impl Begun {
    /// Tells the parent that the job begins.
    pub fn now() -> Result<Self> {
        let begun = Self { switches: switches(), cpu_nanos: cpu_nanos() };
        say("GO")?;
        Ok(begun)
    }

    /// Tells the parent what came of it, with switches and CPU time added.
    pub fn finish(self, mut measure: Measure) -> Result<()> {
        measure.cpu_nanos = cpu_nanos().saturating_sub(self.cpu_nanos);
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
        let (work, transport, mode) = (Work::Publish, Transport::Ipc, Mode::Same);
        let cell = Cell { work, transport, body_bytes: 1000, mode, many: 64 };
        let role = Role { side: Side::Server, subject: "any".into(), cell, address: "ipc:///x y".into() };
        let arguments = role.arguments();
        assert_eq!(Role::parse(&arguments[1..]), Some(role));
    }

    #[test]
    fn a_job_reads_back() {
        for timed in [true, false] {
            let job = Job { count: 7, timed, rate: 1000, millis: 2 };
            assert_eq!(job.to_string().parse::<Job>().unwrap(), job);
        }
        assert!("RUN 1 soon 0 0".parse::<Job>().is_err());
    }
}
