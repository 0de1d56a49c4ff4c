//! What an end counts while it works, and how it tells the parent.

use anyhow::{Context, Result};
use std::fmt;
use std::str::FromStr;
use std::time::Instant;

/// What one end has to say after a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measure {
    /// Messages received, or round trips done; a sender reports what it sent.
    pub(crate) count: u64,
    /// How many of them fell into the measured time.
    pub(crate) timed: u64,
    /// The measured time.
    pub(crate) nanos: u64,
    /// Of one round trip: median, 99 % and 99.9 % are below.
    pub(crate) p50_nanos: u64,
    pub(crate) p99_nanos: u64,
    pub(crate) p999_nanos: u64,
    /// How often this end's threads gave up their CPU, by waiting or by force.
    pub(crate) switches: u64,
}

impl Measure {
    /// The answer of an end that only moves messages.
    pub(crate) fn moved(count: u64) -> Self {
        Self { count, ..Self::default() }
    }

    /// Nanoseconds per message or round trip.
    pub(crate) fn mean_nanos(&self) -> f64 {
        self.nanos as f64 / self.timed.max(1) as f64
    }

    /// Messages a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.timed as f64 * 1e9 / self.nanos.max(1) as f64
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, timed, nanos, p50_nanos, p99_nanos, p999_nanos, switches } = self;
        write!(f, "{count} {timed} {nanos} {p50_nanos} {p99_nanos} {p999_nanos} {switches}")
    }
}

impl FromStr for Measure {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let mut numbers = line.split_whitespace();
        let mut next = || -> Result<u64> { Ok(numbers.next().context("a figure is missing")?.parse()?) };
        Ok(Self {
            count: next()?,
            timed: next()?,
            nanos: next()?,
            p50_nanos: next()?,
            p99_nanos: next()?,
            p999_nanos: next()?,
            switches: next()?,
        })
    }
}

/// Counts what a receiver gets. The clock starts with the first batch, which is therefore not in the
/// rate: how long the sender took to start is not the receiver's business.
#[derive(Debug)]
pub(crate) struct Arrivals {
    wanted: u64,
    first: u64,
    later: u64,
    since: Option<Instant>,
}

impl Arrivals {
    pub(crate) fn new(wanted: u64) -> Self {
        Self { wanted, first: 0, later: 0, since: None }
    }

    /// `count` messages arrived together.
    #[inline]
    pub(crate) fn note(&mut self, count: u64) {
        if self.since.is_some() {
            self.later += count;
        } else if count > 0 {
            self.first = count;
            self.since = Some(Instant::now());
        }
    }

    /// How many are still to come.
    #[inline]
    pub(crate) fn missing(&self) -> u64 {
        self.wanted.saturating_sub(self.first + self.later)
    }

    /// Stops the clock.
    pub(crate) fn finish(self) -> Measure {
        let nanos = self.since.map_or(0, |since| since.elapsed().as_nanos() as u64);
        Measure { count: self.first + self.later, timed: self.later, nanos, ..Measure::default() }
    }
}

/// Times round trips.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    /// So many round trips make one sample; 0 takes none.
    group: u32,
    in_group: u32,
    start: Instant,
    last: Instant,
    samples: Vec<u32>,
    laps: u64,
}

impl Stopwatch {
    /// Starts. One sample is taken of each `group` round trips: reading the clock takes a few tens of
    /// nanoseconds, too much beside round trips that are not much longer.
    pub(crate) fn start(laps: u64, group: u32) -> Self {
        let samples = laps.checked_div(u64::from(group)).unwrap_or(0).min(1 << 24);
        let now = Instant::now();
        let samples = Vec::with_capacity(samples as usize + 1);
        Self { group, in_group: 0, start: now, last: now, samples, laps: 0 }
    }

    /// A round trip is over and the next begins.
    #[inline]
    pub(crate) fn lap(&mut self) {
        self.laps += 1;
        self.in_group += 1;
        if self.in_group == self.group {
            let now = Instant::now();
            let nanos = (now - self.last).as_nanos() / u128::from(self.group);
            self.samples.push(u32::try_from(nanos).unwrap_or(u32::MAX));
            self.last = now;
            self.in_group = 0;
        }
    }

    /// Stops the clock.
    pub(crate) fn finish(mut self) -> Measure {
        let nanos = self.start.elapsed().as_nanos() as u64;
        self.samples.sort_unstable();
        let at = |thousandths: usize| -> u64 {
            let index = self.samples.len() * thousandths / 1000;
            self.samples.get(index).or(self.samples.last()).copied().unwrap_or(0).into()
        };
        Measure {
            count: self.laps,
            timed: self.laps,
            nanos,
            p50_nanos: at(500),
            p99_nanos: at(990),
            p999_nanos: at(999),
            switches: 0,
        }
    }
}

/// How often the threads of this process have been switched away from so far; 0 where that is unknown.
pub(crate) fn switches() -> u64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0 };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok())
        .flat_map(|status| {
            status
                .lines()
                .filter(|line| line.contains("ctxt_switches:"))
                .filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok())
                .collect::<Vec<_>>()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_reads_back() {
        let measure = Measure { count: 9, timed: 8, nanos: 7, switches: 3, ..Measure::default() };
        assert_eq!(measure.to_string().parse::<Measure>().unwrap(), measure);
    }

    #[test]
    fn the_first_batch_starts_the_clock_and_is_counted() {
        let mut arrivals = Arrivals::new(10);
        arrivals.note(0);
        arrivals.note(4);
        assert_eq!(arrivals.missing(), 6);
        arrivals.note(6);
        let measure = arrivals.finish();
        assert_eq!((measure.count, measure.timed), (10, 6));
    }

    #[test]
    fn every_lap_counts_and_groups_make_samples() {
        let mut watch = Stopwatch::start(10, 4);
        (0..10).for_each(|_| watch.lap());
        assert_eq!(watch.samples.len(), 2);
        assert_eq!(watch.finish().count, 10);
    }
}
