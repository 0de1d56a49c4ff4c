//! Every workload with a handful of messages. What is checked is that all of them arrive; nothing is
//! timed, so a loaded machine cannot fail it.

use crate::pair::{Pair, Scratch, plain};
use crate::plan::{Cell, Mode, SUBJECTS, Selection, Subject, Word};
use crate::role::Job;
use anyhow::{Context, Result};
use std::time::Duration;

/// Fails with the first workload that loses a message.
pub(crate) fn all() -> Result<()> {
    let mut selection = Selection::default();
    selection.default_modes(&[Mode::Free, Mode::Runtime]);
    let mut scratch = Scratch::new()?;
    let (mut workloads, mut messages) = (0, 0);
    for cell in selection.cells() {
        for subject in SUBJECTS.iter().copied().filter(|subject| cell.suits(*subject)) {
            messages +=
                one(cell, subject, &mut scratch).with_context(|| format!("{cell}, {}", subject.word()))?;
            workloads += 1;
        }
    }
    println!("smoke: {workloads} workloads, all {messages} messages arrived");
    Ok(())
}

/// Two jobs, so that a message left over by the first would be noticed by the second.
fn one(cell: Cell, subject: Subject, scratch: &mut Scratch) -> Result<u64> {
    let count = if cell.body_bytes > 4 << 10 { 8 } else { 300 };
    let mut pair = Pair::start(cell, subject, scratch, PATIENCE, &plain)?;
    let first = pair.run(Job { count, timed: true })?;
    let second = pair.run(Job { count, timed: true })?;
    pair.finish()?;
    Ok(first.count + second.count)
}

const PATIENCE: Duration = Duration::from_secs(60);
