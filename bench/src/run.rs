//! Rounds: in each, every subject of a cell does the same work once, in turn.

use crate::measure::Measure;
use crate::options::Options;
use crate::pair::{Pair, Scratch, plain};
use crate::plan::{Cell, Mode, Subject};
use crate::role::Job;
use crate::{pin, report};
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// What one subject did in a cell.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) subject: Subject,
    /// One measure a round.
    pub(crate) rounds: Vec<Measure>,
    /// Why there are fewer than asked for.
    pub(crate) void: Option<String>,
    /// Messages or round trips in one round, from the first.
    count: u64,
}

/// Runs and reports everything chosen.
pub(crate) fn all(options: &Options) -> Result<()> {
    let cells: Vec<Cell> = options.selection.cells().into_iter().filter(is_possible).collect();
    if cells.is_empty() {
        bail!("nothing to run: the words in --only exclude each other, or pinning needs more CPUs");
    }
    let mut scratch = Scratch::new()?;
    let mut results = Vec::new();
    report::head(options);
    for cell in cells {
        let outcomes = rounds(cell, options, &mut scratch);
        report::cell(&cell, &outcomes);
        results.push((cell, outcomes));
    }
    if let Some(path) = &options.json {
        report::write_json(path, options, &results)?;
    }
    let voids = results.iter().flat_map(|(_, outcomes)| outcomes).filter(|o| o.void.is_some()).count();
    if voids > 0 {
        bail!("{voids} void");
    }
    Ok(())
}

/// Two cores need two cores.
fn is_possible(cell: &Cell) -> bool {
    cell.mode != Mode::Split || pin::cpus().is_some()
}

fn rounds(cell: Cell, options: &Options, scratch: &mut Scratch) -> Vec<Outcome> {
    let outcome = |subject| Outcome { subject, rounds: Vec::new(), void: None, count: 0 };
    let mut outcomes: Vec<Outcome> = options.selection.subjects(&cell).into_iter().map(outcome).collect();
    for _ in 0..options.rounds {
        for outcome in outcomes.iter_mut().filter(|outcome| outcome.void.is_none()) {
            match round(cell, outcome, options.duration, scratch) {
                Ok(measure) => outcome.rounds.push(measure),
                Err(error) => outcome.void = Some(format!("{error:#}")),
            }
        }
    }
    outcomes
}

/// Starts the ends anew, so that no round inherits the luck of another, warms them up and measures.
fn round(cell: Cell, outcome: &mut Outcome, duration: Duration, scratch: &mut Scratch) -> Result<Measure> {
    let mut pair = Pair::start(cell, outcome.subject, scratch, PATIENCE + 4 * duration, &plain)?;
    if outcome.count == 0 {
        outcome.count = calibrate(&mut pair, duration)?;
    } else {
        pair.run(Job { count: (outcome.count / WARM_UP_PART).max(1), timed: true })?;
    }
    let measure = pair.run(Job { count: outcome.count, timed: true })?;
    pair.finish()?;
    Ok(measure)
}

/// Finds the count that takes about `duration`, by growing jobs until they take long enough to tell.
fn calibrate(pair: &mut Pair, duration: Duration) -> Result<u64> {
    let enough = (duration / 10).clamp(Duration::from_millis(2), Duration::from_millis(50));
    let mut count = FEWEST;
    loop {
        let start = Instant::now();
        pair.run(Job { count, timed: true })?;
        let elapsed = start.elapsed();
        if elapsed >= enough {
            let wanted = count as f64 * duration.as_secs_f64() / elapsed.as_secs_f64();
            return Ok((wanted as u64).clamp(FEWEST, MOST));
        }
        count = (count * 4).min(MOST);
    }
}

/// How long an end may stay silent beyond the time its job should take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What part of a job is done before it, unmeasured.
const WARM_UP_PART: u64 = 16;

/// The fewest and most messages of one job.
const FEWEST: u64 = 16;
const MOST: u64 = 200_000_000;
