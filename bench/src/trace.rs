//! System calls and instructions per message, which repeat where times do not.
//!
//! Both ends run under a tool, once with N messages and once with 2 N. The difference is what N
//! messages cost; starting, connecting and leaving cancel out.

use crate::options::Options;
use crate::pair::{Pair, Workshop};
use crate::plan::Selection;
use crate::report::{Cost, short};
use crate::subject::Subject;
use anyhow::{Context, Result, bail};
use spanwire_bench_ends::{Cell, Job, Mode, Side, Transport, Word, Work};
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
    /// What it is called.
    pub(crate) fn program(self) -> &'static str {
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

    /// What it counts.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Strace => "system calls",
            Self::Callgrind => "instructions",
        }
    }

    /// Fewer under callgrind, which is some fifty times slower than the program alone.
    fn count(self, cell: &Cell) -> u64 {
        match (self, cell.work, cell.body_bytes) {
            (Self::Strace, Work::RoundTrip, _) => 2_000,
            (Self::Callgrind, Work::RoundTrip, _) => 1_000,
            (Self::Strace, _, ..=4096) => 200_000 / u64::from(cell.many),
            (Self::Callgrind, _, ..=4096) => 50_000 / u64::from(cell.many),
            _ => 500,
        }
    }

    /// Whether it is installed and may look into another program, which not every container allows.
    pub(crate) fn is_there(self) -> bool {
        let tried = self.around(Path::new("true"), "/dev/null").stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    }
}

type Counts = BTreeMap<String, i64>;

/// ` 1234  sendto`; the head, the rule and the total have no such form or no place here.
fn strace_line(line: &str) -> Option<(String, i64)> {
    let mut words = line.split_whitespace();
    let calls = words.next()?.parse().ok()?;
    let name = words.next().filter(|name| *name != "total")?;
    // A call that was under way when strace came has no name.
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    Some((name.to_owned(), calls))
}

/// `==77== Collected : 1234`.
fn callgrind_line(line: &str) -> Option<(String, i64)> {
    let count = line.split_once("Collected : ")?.1;
    Some(("instructions".to_owned(), count.trim().parse().ok()?))
}

/// Runs and prints everything chosen.
pub(crate) fn all(options: &Options, tool: Tool) -> Result<()> {
    if !tool.is_there() {
        bail!("{} is not installed or may not trace", tool.program());
    }
    let mut workshop = Workshop::open(options.peers.as_deref())?;
    let cells = options.selection.cells();
    let countable: Vec<Cell> = cells.into_iter().filter(is_countable).collect();
    if countable.is_empty() {
        bail!("nothing to count: only req, push, pub and flight have the same costs each time");
    }
    for cell in countable {
        let unit = if cell.work == Work::OneWay { "message" } else { "round trip or publication" };
        println!("\n{cell}, both ends, per {unit}");
        for subject in options.selection.subjects(&cell, workshop.peers.as_ref()) {
            print(&cost(tool, cell, subject, &mut workshop)?);
        }
    }
    Ok(())
}

/// What goes into every report: small messages, each transport, with every tool that is there.
pub(crate) fn everything(options: &Options, workshop: &mut Workshop) -> Result<Vec<Cost>> {
    let mut selection = Selection::default();
    selection.default_works(&[Work::RoundTrip, Work::OneWay]);
    selection.default_bodies(&[64]);
    selection.default_modes(&[Mode::Split]);
    let mut costs = Vec::new();
    for tool in [Tool::Strace, Tool::Callgrind] {
        if !tool.is_there() {
            println!(
                "\n{} is not installed or may not trace: no {} are counted",
                tool.program(),
                tool.what()
            );
            continue;
        }
        for cell in selection.cells() {
            println!("\n{cell}, {} of both ends, each", tool.what());
            for subject in options.selection.subjects(&cell, workshop.peers.as_ref()) {
                // A peer that cannot live under a tool is no reason to lose the rest.
                match cost(tool, cell, subject, workshop) {
                    Ok(cost) => {
                        print(&cost);
                        costs.push(cost);
                    }
                    Err(error) => println!("  {:<16}{error:#}", subject.word()),
                }
            }
        }
    }
    Ok(costs)
}

fn is_countable(cell: &Cell) -> bool {
    matches!(cell.work, Work::RoundTrip | Work::OneWay | Work::Publish | Work::Flight)
}

fn print(cost: &Cost) {
    let digits = if cost.each >= 10.0 { 1 } else { 4 };
    let parts: Vec<String> =
        cost.parts.iter().map(|(name, each)| format!("{name} {}", short(*each))).collect();
    println!("  {:<16}{:>12.digits$}   {}", cost.subject, cost.each, parts.join(", "));
}

/// What a message or round trip of `cell` costs both ends.
pub(crate) fn cost(tool: Tool, cell: Cell, subject: Subject, workshop: &mut Workshop) -> Result<Cost> {
    let count = tool.count(&cell);
    let costs = difference(tool, cell, subject, count, workshop)
        .with_context(|| format!("{cell}, {}", subject.word()))?;
    let per = |calls: i64| calls as f64 / count as f64;
    let mut parts: Vec<(String, i64)> =
        costs.iter().filter(|(_, calls)| **calls > 0).map(|(name, calls)| (name.clone(), *calls)).collect();
    parts.sort_by_key(|(_, calls)| -calls);
    // One part is the whole.
    let parts = if parts.len() > 1 { parts } else { Vec::new() };
    Ok(Cost {
        title: cell.to_string(),
        subject: subject.word().to_owned(),
        what: tool.what().to_owned(),
        each: per(costs.values().sum()),
        parts: parts.into_iter().take(MOST_PARTS).map(|(name, calls)| (name, per(calls))).collect(),
    })
}

/// The rest is a handful of calls at the start.
const MOST_PARTS: usize = 6;

/// What `count` messages cost: a run of twice as many less a run of as many.
fn difference(
    tool: Tool,
    cell: Cell,
    subject: Subject,
    count: u64,
    workshop: &mut Workshop,
) -> Result<Counts> {
    let once = run(tool, cell, subject, count, workshop)?;
    let mut costs = run(tool, cell, subject, 2 * count, workshop)?;
    for (name, calls) in once {
        *costs.entry(name).or_default() -= calls;
    }
    Ok(costs)
}

fn run(tool: Tool, cell: Cell, subject: Subject, count: u64, workshop: &mut Workshop) -> Result<Counts> {
    let report = workshop.next_path()?;
    let path = |side: Side| format!("{report}.{}", side.word());
    let wrap = |program: &Path, side: Side| tool.around(program, &path(side));
    let mut pair = Pair::start(cell, subject, workshop, PATIENCE, &wrap)?;
    pair.run(Job { timed: false, ..Job::timed(count) })?;
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
        assert_eq!(strace_line("     12 ???("), None);
        assert_eq!(strace_line("--------- ----------------"), None);
        let line = "==77== Collected : 1234";
        assert_eq!(callgrind_line(line), Some(("instructions".to_owned(), 1234)));
    }
}
