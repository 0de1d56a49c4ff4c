//! Timing round trips and messages.

use crate::Measure;
use std::time::{Duration, Instant};

/// Times round trips that follow each other.
#[derive(Debug)]
pub struct Stopwatch {
    /// So many round trips make one sample; 0 takes none.
    group: u32,
    in_group: u32,
    last: Instant,
    laps: u64,
    samples: Samples,
}

impl Stopwatch {
    /// Starts. One sample is taken of each `group` round trips: reading the clock takes a few tens of
    /// nanoseconds, too much beside round trips that are not much longer.
    pub fn start(laps: u64, group: u32) -> Self {
        let samples = Samples::start(laps.checked_div(u64::from(group)).unwrap_or(0));
        Self { group, in_group: 0, last: samples.since, laps: 0, samples }
    }

    /// A round trip is over and the next begins.
    #[inline]
    pub fn lap(&mut self) {
        self.laps += 1;
        self.in_group += 1;
        if self.in_group == self.group {
            let now = Instant::now();
            self.samples.note((now - self.last) / self.group);
            self.last = now;
            self.in_group = 0;
        }
    }

    /// Stops the clock.
    pub fn finish(self) -> Measure {
        self.samples.finish(self.laps)
    }
}

/// Times of messages that overlap.
#[derive(Debug)]
pub struct Samples {
    since: Instant,
    nanos: Vec<u32>,
}

impl Samples {
    /// Starts the clock; about so many samples are expected.
    pub fn start(expected: u64) -> Self {
        let nanos = Vec::with_capacity(expected.min(1 << 24) as usize + 1);
        Self { since: Instant::now(), nanos }
    }

    /// One took so long.
    #[inline]
    pub fn note(&mut self, took: Duration) {
        // Four seconds and more are as bad as each other.
        self.nanos.push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.nanos.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nanos.is_empty()
    }

    /// Adds those of another, which started its clock at the same time or later.
    pub fn join(&mut self, other: Self) {
        self.nanos.extend(other.nanos);
    }

    /// Stops the clock; `count` round trips or messages were moved.
    pub fn finish(mut self, count: u64) -> Measure {
        let nanos = self.since.elapsed().as_nanos() as u64;
        self.nanos.sort_unstable();
        let at = |thousandths: usize| -> u64 {
            let index = self.nanos.len() * thousandths / 1000;
            self.nanos.get(index).or(self.nanos.last()).copied().unwrap_or(0).into()
        };
        Measure {
            count,
            timed: count,
            nanos,
            p50_nanos: at(500),
            p99_nanos: at(990),
            p999_nanos: at(999),
            ..Measure::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lap_counts_and_groups_make_samples() {
        let mut watch = Stopwatch::start(10, 4);
        (0..10).for_each(|_| watch.lap());
        assert_eq!(watch.samples.nanos.len(), 2);
        assert_eq!(watch.finish().count, 10);
    }

    #[test]
    fn percentiles_are_of_all_samples() {
        let (mut one, mut other) = (Samples::start(500), Samples::start(500));
        (0..500).for_each(|n| one.note(Duration::from_nanos(n)));
        (500..1000).for_each(|n| other.note(Duration::from_nanos(n)));
        one.join(other);
        let measure = one.finish(1000);
        assert_eq!((measure.p50_nanos, measure.p99_nanos, measure.p999_nanos), (500, 990, 999));
    }
}
