//! The benchmark: what Spanwire reaches, beside the same work done with raw sockets and by other
//! libraries, in the same run.
//!
//! ```text
//!  options ─▶ plan (cells) ─▶ run (rounds: limit, async, blocking, peers, limit, …) ─▶ report
//!                                   │
//!                                 pair ── stdin/stdout ──▶ role, role   (two pinned processes)
//!                                                            │
//!                                          limit/, spanwire/, or the program of the peers
//! ```
//!
//! * `plan` names the workloads and picks some; `subject` says by what means, `peers` which other
//!   libraries there are; `options` reads the command line.
//! * `pair` starts the two ends of a workload, each an `end`. What an end needs whatever it is about is in
//!   a crate of its own, `ends/`.
//! * `limit` is the work done with raw sockets and channels; `spanwire` the same work with ours; `quinn` that
//!   of multiplexers with the streams of QUIC.
//! * `run` repeats and interleaves, `report` prints and writes, `trace` counts system calls and
//!   instructions, `bounds` says how many may be needed, `smoke` moves a few messages through everything and
//!   looks at no clock.

#![forbid(unsafe_code)]

mod bounds;
mod end;
mod limit;
mod options;
mod pair;
mod peers;
mod plan;
mod quinn;
mod report;
mod run;
mod smoke;
mod spanwire;
mod subject;
mod trace;

use anyhow::Context;
use options::Task;
use spanwire_bench_ends::{Role, Word, role, serve};
use std::process::ExitCode;
use subject::Subject;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, rest)) if first == role::ARGUMENT => role::main(rest, end_of),
        _ => parent(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spanwire-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Is one end.
fn end_of(role: &Role) -> anyhow::Result<()> {
    match Subject::find(&role.subject).context("this subject is not known")? {
        Subject::Limit => limit::run(role),
        Subject::Quinn => quinn::run(role),
        subject => spanwire::run(role, subject),
    }
}

fn parent(arguments: &[String]) -> anyhow::Result<()> {
    let options = options::parse(arguments)?;
    match &options.task {
        Task::Help => print!("{}", options::HELP),
        Task::List => plan::print(&options.selection.cells()),
        Task::Measure => run::all(&options)?,
        Task::Smoke => smoke::all(options.peers.as_deref())?,
        Task::Bounds => bounds::all()?,
        Task::Syscalls => trace::all(&options, trace::Tool::Strace)?,
        Task::Instructions => trace::all(&options, trace::Tool::Callgrind)?,
        Task::Report(folder) => report::print_markdown(folder)?,
    }
    Ok(())
}
