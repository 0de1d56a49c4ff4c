//! The benchmark: what Spanwire reaches, beside the same work done with raw sockets in the same run.
//!
//! ```text
//!  options ─▶ plan (cells) ─▶ run (rounds: limit, async, blocking, limit, …) ─▶ report (table, JSON)
//!                                   │
//!                                 pair ── stdin/stdout ──▶ role, role   (two pinned processes)
//!                                                            │
//!                                                     limit/ or spanwire/
//! ```
//!
//! * `plan` names the workloads and picks some; `options` reads the command line.
//! * `pair` starts this program again as the two ends of a workload; `role` is the life of one end.
//! * `pin` puts an end on a CPU; `measure` is what an end counts and how it is told to the parent.
//! * `limit` is the work done with raw sockets and channels; `spanwire` the same work with ours.
//! * `run` repeats and interleaves, `report` prints, `trace` counts system calls and instructions,
//!   `smoke` moves a few messages through everything and looks at no clock.

#![forbid(unsafe_code)]

mod limit;
mod measure;
mod options;
mod pair;
mod pin;
mod plan;
mod report;
mod role;
mod run;
mod smoke;
mod spanwire;
mod trace;

use options::Task;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, rest)) if first == role::ARGUMENT => role::main(rest),
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

fn parent(arguments: &[String]) -> anyhow::Result<()> {
    let options = options::parse(arguments)?;
    match options.task {
        Task::Help => print!("{}", options::HELP),
        Task::List => plan::print(&options.selection.cells()),
        Task::Measure => run::all(&options)?,
        Task::Smoke => smoke::all()?,
        Task::Syscalls => trace::all(&options, trace::Tool::Strace)?,
        Task::Instructions => trace::all(&options, trace::Tool::Callgrind)?,
    }
    Ok(())
}
