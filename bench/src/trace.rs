//! System calls and instructions per message, which repeat where times do not.
//!
//! Both ends run under a tool, once with N messages and once with 2 N. The difference is what N
//! messages cost; starting, connecting and leaving cancel out.

use crate::options::Options;
use crate::pair::{Pair, Scratch};
use crate::pin::Side;
use crate::plan::{Cell, Subject, Transport, Word, Work};
use crate::role::Job;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// System calls, by name.
    Strace,
    /// Instructions in user space.
    Callgrind,
}

impl Tool {
    fn program(self) -> &'static str {
        match self {
            Self::Strace => "strace",
            Self::Callgrind => "valgrind",
        }
    }

    /// The tool around `program`, writing to `report`.
    fn around(self, program: &Path, report: &str) -> Command {
        let mut command = Command::new(self.program());
        match self {
            Self::Strace => command.args(["-c", "-f", "-U", "calls,name", "-o", report]),
            Self::Callgrind => command.args([
                "--tool=callgrind",
                "--callgrind-out-file=/dev/null",
                &format!("--log-file={report}"),
            ]),
        };
        command.arg(program);
        command
    }

    /// What `report` says: a count for each name.
    fn read(self, report: &str) -> Result<Counts> {
        let text = std::fs::read_to_string(report).context("the tool wrote no report")?;
        let counts = match self {
            Self::Strace => text.lines().filter_map(strace_line).collect(),
            Self::Callgrind => text.lines().filter_map(callgrind_line).collect(),
        };
        Ok(counts)
    }

    /// Fewer under callgrind, which is some fifty times slower than the program alone.
    fn count(self, cell: &Cell) -> u64 {
        match (self, cell.work, cell.body_bytes) {
            (Self::Strace, Work::OneWay, ..=4096) => 200_000,
            (Self::Callgrind, Work::OneWay, ..=4096) => 50_000,
            (_, Work::OneWay, _) => 500,
            (Self::Strace, Work::RoundTrip, _) => 2_000,
            (Self::Callgrind, Work::RoundTrip, _) => 1_000,
        }
    }
}

type Counts = BTreeMap<String, i64>;

/// ` 1234  sendto`; the head, the rule and the total have no such form or no place here.
fn strace_line(line: &str) -> Option<(String, i64)> {
    let mut words = line.split_whitespace();
    let calls = words.next()?.parse().ok()?;
    let name = words.next().filter(|name| *name != "total")?;
    Some((name.to_owned(), calls))
}

/// `==77== Collected : 1234`.
fn callgrind_line(line: &str) -> Option<(String, i64)> {
    let count = line.split_once("Collected : ")?.1;
    Some(("instructions".to_owned(), count.trim().parse().ok()?))
}

/// Runs and prints everything chosen.
pub(crate) fn all(options: &Options, tool: Tool) -> Result<()> {
    let found = Command::new(tool.program()).arg("--version").stdout(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        bail!("{} is not installed", tool.program());
    }
    let mut scratch = Scratch::new()?;
    for cell in options.selection.cells() {
        let unit = if cell.work == Work::OneWay { "message" } else { "round trip" };
        println!("\n{cell}, both ends, per {unit}");
        for subject in options.selection.subjects(&cell) {
            let count = tool.count(&cell);
            let costs = difference(tool, cell, subject, count, &mut scratch)
                .with_context(|| format!("{cell}, {}", subject.word()))?;
            print(subject, &costs, count);
        }
    }
    Ok(())
}

fn print(subject: Subject, costs: &Counts, count: u64) {
    let per = |calls: i64| calls as f64 / count as f64;
    let total = per(costs.values().sum());
    let digits = if total >= 10.0 { 1 } else { 4 };
    print!("  {:<16}{total:>12.digits$}", subject.word());
    let mut parts: Vec<_> = costs.iter().filter(|(_, calls)| **calls != 0).collect();
    parts.sort_by_key(|(_, calls)| -calls.abs());
    if parts.len() > 1 {
        let parts: Vec<String> =
            parts.into_iter().map(|(name, calls)| format!("{name} {:.4}", per(*calls))).collect();
        print!("   {}", parts.join(", "));
    }
    println!();
}

/// What `count` messages cost: a run of twice as many less a run of as many.
fn difference(tool: Tool, cell: Cell, subject: Subject, count: u64, scratch: &mut Scratch) -> Result<Counts> {
    let once = run(tool, cell, subject, count, scratch)?;
    let mut costs = run(tool, cell, subject, 2 * count, scratch)?;
    for (name, calls) in once {
        *costs.entry(name).or_default() -= calls;
    }
    Ok(costs)
}

fn run(tool: Tool, cell: Cell, subject: Subject, count: u64, scratch: &mut Scratch) -> Result<Counts> {
    let report = scratch.next_path()?;
    let path = |side: Side| format!("{report}.{}", side.word());
    let wrap = |program: &Path, side: Side| tool.around(program, &path(side));
    let mut pair = Pair::start(cell, subject, scratch, PATIENCE, &wrap)?;
    pair.run(Job { count, timed: false })?;
    pair.finish()?;
    let mut counts = tool.read(&path(Side::Client))?;
    if cell.transport != Transport::Inproc {
        for (name, calls) in tool.read(&path(Side::Server))? {
            *counts.entry(name).or_default() += calls;
        }
    }
    if counts.is_empty() {
        bail!("{} counted nothing; may it trace here?", tool.program());
    }
    Ok(counts)
}

const PATIENCE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tool_reports_are_understood() {
        assert_eq!(strace_line("     12 sendto"), Some(("sendto".to_owned(), 12)));
        assert_eq!(strace_line("     12 total"), None);
        assert_eq!(strace_line("--------- ----------------"), None);
        let line = "==77== Collected : 1234";
        assert_eq!(callgrind_line(line), Some(("instructions".to_owned(), 1234)));
    }
}
