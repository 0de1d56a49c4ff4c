//! Rounds: in each, every subject of a cell does the same work once, in turn.

use crate::options::Options;
use crate::pair::{Pair, Told, Workshop, plain};
use crate::plan::{all_subjects, baseline};
use crate::report::{self, Results};
use crate::subject::Subject;
use crate::trace;
use anyhow::{Result, bail};
use spanwire_bench_ends::{Cell, Job, LARGE_BYTES, Measure, Mode, Mux, Work, pin, usage};
use std::time::{Duration, Instant};

/// What one subject did in a cell.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) subject: Subject,
    pub(crate) rounds: Vec<Round>,
    /// Why there are fewer than asked for.
    pub(crate) void: Option<String>,
    /// Messages or round trips in one round and in its baseline, from the first.
    count: u64,
    baseline_count: u64,
}

/// One round of one subject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) told: Told,
    /// The same with one, unloaded, or before one stalled; what a cell is compared to.
    pub(crate) baseline: Option<Measure>,
}

/// Runs and reports everything chosen.
pub(crate) fn all(options: &Options) -> Result<()> {
    let mut workshop = Workshop::open(options.peers.as_deref())?;
    let cells = possible(options.selection.cells());
    if cells.is_empty() {
        bail!("nothing to run: the words exclude each other, or pinning needs more CPUs");
    }
    let mut results = Results::new(options, workshop.peers.as_ref());
    report::head(&results);
    for cell in cells {
        let subjects = options.selection.subjects(&cell, workshop.peers.as_ref());
        let outcomes = rounds(cell, &subjects, options, &mut workshop);
        let cell = report::cell(&cell, &outcomes);
        report::print(&cell);
        results.cells.push(cell);
        // Kept as far as it is: a long run that is broken off has not been for nothing.
        report::write(options, &results)?;
    }
    if options.costs {
        results.costs = trace::everything(options, &mut workshop)?;
        report::write(options, &results)?;
    }
    if let Some(folder) = &options.out {
        println!("\nwritten into {}", folder.display());
    }
    match results.voids() {
        0 => Ok(()),
        voids => bail!("{voids} void"),
    }
}

/// Leaves out what needs two CPUs where there is one, and shrinks what needs too many files.
pub(crate) fn possible(cells: Vec<Cell>) -> Vec<Cell> {
    let files = usage::raise_file_limit();
    let needs_two = |cell: &Cell| matches!(cell.mode, Mode::Split | Mode::Spin);
    let fit = |cell: Cell| {
        let most = u32::try_from(files.saturating_sub(FILES_BESIDE)).unwrap_or(u32::MAX);
        if !matches!(cell.work, Work::Idle | Work::Pushers | Work::Mux(Mux::Idle)) || cell.many <= most {
            return cell;
        }
        eprintln!("{cell}: only {files} files may be open, so there are {most} connections");
        cell.with_many(most)
    };
    cells.into_iter().filter(|cell| !needs_two(cell) || pin::cpus().is_some()).map(fit).collect()
}

fn rounds(cell: Cell, subjects: &[Subject], options: &Options, workshop: &mut Workshop) -> Vec<Outcome> {
    let outcome = |subject: &Subject| Outcome {
        subject: *subject,
        rounds: Vec::new(),
        void: None,
        count: 0,
        baseline_count: 0,
    };
    let mut outcomes: Vec<Outcome> = subjects.iter().map(outcome).collect();
    for _ in 0..options.rounds {
        for outcome in outcomes.iter_mut().filter(|outcome| outcome.void.is_none()) {
            match round(cell, outcome, options.duration, workshop) {
                Ok(round) => outcome.rounds.push(round),
                Err(error) => outcome.void = Some(format!("{error:#}")),
            }
        }
    }
    outcomes
}

/// Starts the ends anew, so that no round inherits the luck of another, warms them up and measures.
fn round(cell: Cell, outcome: &mut Outcome, duration: Duration, workshop: &mut Workshop) -> Result<Round> {
    let patience = patience(&cell) + 4 * duration;
    let subject = outcome.subject;
    let mut start = |cell| Pair::start(cell, subject, workshop, patience, &plain);
    match cell.work {
        Work::Idle | Work::Mux(Mux::Idle) => {
            let mut pair = start(cell)?;
            let job = Job { millis: WATCH_MILLIS, ..Job::timed(cell.many.into()) };
            let mut told = pair.run(job)?;
            told.counting.nanos = WATCH_MILLIS * 1_000_000;
            pair.finish()?;
            Ok(Round { told, baseline: None })
        }
        Work::Outrun => {
            let mut pair = start(cell)?;
            let told = pair.run(Job { millis: WATCH_MILLIS, ..Job::timed(OUTRUN_MESSAGES) })?;
            pair.finish()?;
            Ok(Round { told, baseline: None })
        }
        Work::Mux(Mux::Mixed) => {
            let mut pair = start(cell)?;
            // Found anew each time, for a gigabyte takes no longer than looking for what to do instead.
            let count = calibrate(&mut pair, duration.max(LATENCY_SPAN))?;
            let told = pair.run(Job::timed(count.min(MOST_LARGE)))?;
            pair.finish()?;
            Ok(Round { told, baseline: None })
        }
        Work::Mixed => {
            let span = duration.max(LATENCY_SPAN).as_millis() as u64;
            let job = Job { rate: SINGLES_A_SECOND, ..Job::timed(SINGLES_A_SECOND * span / 1000) };
            let mut one = |cell| {
                let mut pair = start(cell)?;
                pair.run(Job { count: job.count / WARM_UP_PART, ..job })?;
                let told = pair.run(job)?;
                pair.finish()?;
                anyhow::Ok(told)
            };
            let baseline = baseline(&cell).map(&mut one).transpose()?.map(|told| told.counting);
            Ok(Round { told: one(cell)?, baseline })
        }
        Work::Load => {
            let mut pair = start(cell)?;
            let capacity = measured(&mut pair, &mut outcome.count, duration)?.counting.per_second();
            let mut one = |percent: u32| {
                let rate = (capacity * f64::from(percent) / 100.0) as u64;
                let span = duration.max(LATENCY_SPAN).as_secs_f64();
                let count = (rate as f64 * span) as u64;
                pair.run(Job { rate: rate.max(1), ..Job::timed(count.max(FEWEST)) })
            };
            let baseline = baseline(&cell).map(|cell| one(cell.many)).transpose()?;
            let told = one(cell.many)?;
            pair.finish()?;
            Ok(Round { told, baseline: baseline.map(|told| told.counting) })
        }
        Work::Stall => {
            let mut pair = start(cell)?;
            let before = measured(&mut pair, &mut outcome.count, duration)?;
            pair.stall()?;
            let told = pair.run(Job::timed(outcome.count))?;
            pair.finish()?;
            Ok(Round { told, baseline: Some(before.counting) })
        }
        _ => {
            // Fairness means nothing before each of many has had its turn many times.
            let span = match cell.work {
                Work::Pushers => duration.max(FAIR_SPAN),
                Work::Mux(Mux::Send | Mux::Recv) => {
                    // Windows grow while a connection lives, so each has to find out anew what it can.
                    outcome.count = 0;
                    duration.max(GROWN_SPAN)
                }
                _ => duration,
            };
            let mut one = |cell, count: &mut u64| {
                let mut pair = start(cell)?;
                let told = measured(&mut pair, count, span)?;
                pair.finish()?;
                anyhow::Ok(told)
            };
            let baseline = baseline(&cell).map(|cell| one(cell, &mut outcome.baseline_count)).transpose()?;
            let told = one(cell, &mut outcome.count)?;
            Ok(Round { told, baseline: baseline.map(|told| told.counting) })
        }
    }
}

/// Measures `count` messages after a warm-up; finds the count first if it is 0.
fn measured(pair: &mut Pair, count: &mut u64, duration: Duration) -> Result<Told> {
    if *count == 0 {
        *count = calibrate(pair, duration)?;
    } else {
        pair.run(Job::timed((*count / WARM_UP_PART).max(1)))?;
    }
    pair.run(Job::timed(*count))
}

/// Finds the count that takes about `duration`, by growing jobs until they take long enough to tell.
/// The time is that of the end that counts, for it knows when nothing more came.
fn calibrate(pair: &mut Pair, duration: Duration) -> Result<u64> {
    let enough = (duration / 10).clamp(Duration::from_millis(2), Duration::from_millis(50));
    let mut count = FEWEST;
    loop {
        let start = Instant::now();
        let told = pair.run(Job::timed(count))?;
        let measured = Duration::from_nanos(told.counting.nanos);
        // The few that come alone can all be in the first batch, which is not timed.
        let elapsed = if measured.is_zero() { start.elapsed() } else { measured };
        if elapsed >= enough || start.elapsed() > duration || count == MOST {
            let wanted = count as f64 * duration.as_secs_f64() / elapsed.as_secs_f64();
            return Ok((wanted as u64).clamp(FEWEST, MOST));
        }
        count = (count * 4).min(MOST);
    }
}

/// How long an end may stay silent beyond the time its job should take.
fn patience(cell: &Cell) -> Duration {
    // Thousands of connections are made one after the other.
    let connecting = Duration::from_millis(10) * cell.many;
    Duration::from_secs(10) + if cell.work == Work::Load { Duration::ZERO } else { connecting }
}

/// The subjects of a cell for a short look at everything.
pub(crate) fn everybody(cell: &Cell, workshop: &Workshop) -> Vec<Subject> {
    all_subjects(cell, workshop.peers.as_ref())
}

/// What part of a job is done before it, unmeasured.
const WARM_UP_PART: u64 = 16;

/// The fewest and most messages of one job.
const FEWEST: u64 = 16;
const MOST: u64 = 200_000_000;

/// How long idle connections are watched, and how long a receiver does not read.
const WATCH_MILLIS: u64 = 2_000;

/// More than any bound that counts bytes, and few enough for those that count messages.
const OUTRUN_MESSAGES: u64 = 1_000;

/// A gigabyte of large messages.
const MOST_LARGE: u64 = (1 << 30) / LARGE_BYTES as u64;

/// How many single messages a second go beside the bulk.
const SINGLES_A_SECOND: u64 = 1_000;

/// The shortest time in which a thousandth means something.
const LATENCY_SPAN: Duration = Duration::from_secs(1);

/// The shortest time in which a thousand pushers are compared.
const FAIR_SPAN: Duration = Duration::from_secs(1);

/// The shortest time for what begins slowly.
const GROWN_SPAN: Duration = Duration::from_millis(500);

/// Files that a process needs beside its connections.
const FILES_BESIDE: u64 = 100;
