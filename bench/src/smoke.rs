//! Every workload with a handful of messages. What is checked is that all of them arrive; nothing is
//! timed, so a loaded machine cannot fail it.

use crate::pair::{Pair, Workshop, plain};
use crate::plan::Selection;
use crate::run::{everybody, possible};
use crate::subject::Subject;
use anyhow::{Context, Result};
use spanwire_bench_ends::{Cell, Job, Mode, Mux, Word, Work};
use std::path::Path;
use std::time::Duration;

/// Fails with the first workload that loses a message.
pub(crate) fn all(peers: Option<&Path>) -> Result<()> {
    let mut selection = Selection::default();
    selection.default_modes(&[Mode::Free, Mode::Runtime, Mode::Spin]);
    let mut workshop = Workshop::open(peers)?;
    let mut cells: Vec<Cell> = possible(selection.cells()).into_iter().map(small).collect();
    cells.dedup();
    let (mut workloads, mut messages) = (0, 0);
    for cell in cells {
        for subject in everybody(&cell, &workshop) {
            messages +=
                one(cell, subject, &mut workshop).with_context(|| format!("{cell}, {}", subject.word()))?;
            workloads += 1;
        }
    }
    println!("smoke: {workloads} workloads, all {messages} messages arrived or were counted as lost");
    Ok(())
}

/// With as many as it takes to be more than a few.
fn small(cell: Cell) -> Cell {
    match cell.work {
        Work::Publish | Work::Stall | Work::Threads => cell.with_many(cell.many.min(3)),
        Work::Pushers | Work::Idle | Work::Mux(Mux::Idle) => cell.with_many(20),
        Work::Mux(Mux::Echo) => cell.with_many(cell.many.min(20)),
        _ => cell,
    }
}

/// Two jobs, so that a message left over by the first would be noticed by the second.
fn one(cell: Cell, subject: Subject, workshop: &mut Workshop) -> Result<u64> {
    let mut pair = Pair::start(cell, subject, workshop, PATIENCE, &plain)?;
    let first = pair.run(job(&cell, true))?;
    if cell.work == Work::Stall {
        pair.stall()?;
    }
    let second = pair.run(job(&cell, false))?;
    pair.finish()?;
    Ok(first.counting.count + second.counting.count)
}

fn job(cell: &Cell, is_first: bool) -> Job {
    let count = match cell.work {
        Work::Idle | Work::Mux(Mux::Idle) => cell.many.into(),
        Work::Mux(Mux::Mixed) => 8,
        Work::Outrun => 20,
        Work::Connect => 30,
        Work::Mixed => 100,
        // Where there are fewer CPUs than spinning ends, each turn takes a slice of the scheduler's.
        _ if cell.mode == Mode::Spin => 20,
        _ if cell.body_bytes > 4 << 10 => 8,
        _ => 300,
    };
    let job = Job::timed(count);
    match cell.work {
        Work::Idle | Work::Outrun | Work::Mux(Mux::Idle) => Job { millis: 200, ..job },
        Work::Load if is_first => job,
        Work::Load | Work::Mixed => Job { rate: 2_000, ..job },
        _ => job,
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
