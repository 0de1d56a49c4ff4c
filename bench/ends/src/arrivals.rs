//! Counting what a receiver gets, and sharing out what senders have to send.

use crate::{Measure, QUIET};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts what a receiver gets. The clock starts with the first batch, which is therefore not in the
/// rate: how long the sender took to start is not the receiver's business.
#[derive(Clone, Debug)]
pub struct Arrivals {
    wanted: u64,
    first: u64,
    later: u64,
    since: Option<Instant>,
    until: Option<Instant>,
}

impl Arrivals {
    /// So many should come.
    pub fn new(wanted: u64) -> Self {
        Self { wanted, first: 0, later: 0, since: None, until: None }
    }

    /// `count` messages arrived together.
    #[inline]
    pub fn note(&mut self, count: u64) {
        if self.since.is_some() {
            self.later += count;
        } else if count > 0 {
            self.first = count;
            self.since = Some(Instant::now());
        }
    }

    /// How many are still to come.
    #[inline]
    pub fn missing(&self) -> u64 {
        self.wanted.saturating_sub(self.first + self.later)
    }

    /// How long to wait for the next: [`QUIET`] when something has come, longer for the first.
    pub fn patience(&self) -> Duration {
        if self.since.is_some() { QUIET } else { FIRST }
    }

    /// Stops the clock now.
    pub fn stop(&mut self) {
        self.until = Some(Instant::now());
    }

    /// Nothing has come for [`patience`](Self::patience): stops the clock as of then.
    pub fn quiet(&mut self) {
        self.until = Instant::now().checked_sub(self.patience());
    }

    /// What came.
    pub fn finish(mut self) -> Measure {
        if self.until.is_none() {
            self.stop();
        }
        Self::finish_all(&[self])
    }

    /// What came at several receivers: from the first start to the last stop.
    pub fn finish_all(all: &[Self]) -> Measure {
        let since = all.iter().filter_map(|one| one.since).min();
        let until = all.iter().filter_map(|one| one.until).max();
        let nanos = match (since, until) {
            (Some(since), Some(until)) => until.saturating_duration_since(since).as_nanos() as u64,
            _ => 0,
        };
        let later = all.iter().map(|one| one.later).sum::<u64>();
        let first = all.iter().map(|one| one.first).sum::<u64>();
        // Only the very first batch is older than the clock.
        let before = all.iter().find(|one| one.since.is_some() && one.since == since);
        let before = before.map_or(0, |one| one.first);
        Measure { count: first + later, timed: first + later - before, nanos, ..Measure::default() }
    }
}

/// The first message may take a while: the sender is told later than the receiver.
const FIRST: Duration = Duration::from_secs(5);

/// How many messages the senders may still send between them.
#[derive(Debug)]
pub struct Budget(AtomicU64);

impl Budget {
    /// So many.
    pub fn new(count: u64) -> Self {
        Self(AtomicU64::new(count))
    }

    /// One message, while there are any.
    #[inline]
    pub fn take(&self) -> bool {
        self.take_some(1) == 1
    }

    /// Up to `most` messages; fewer at the end, and then none.
    #[inline]
    pub fn take_some(&self, most: u64) -> u64 {
        let take = |left: u64| (left > 0).then(|| left.saturating_sub(most));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).map_or(0, |left| left.min(most))
    }
}

/// How many messages came from each of many senders.
#[derive(Debug)]
pub struct Fairness(Vec<u64>);

impl Fairness {
    /// Of so many senders.
    pub fn new(senders: u32) -> Self {
        Self(vec![0; senders as usize])
    }

    /// The body of sender `number`: its number and then filling.
    pub fn body(number: u32, bytes: usize) -> Vec<u8> {
        let mut body = number.to_be_bytes().to_vec();
        body.resize(bytes.max(4), b'x');
        body
    }

    /// A message with this body came. `false` if nobody can have sent it.
    #[inline]
    pub fn note(&mut self, body: &[u8]) -> bool {
        let number = body.first_chunk::<4>().map(|number| u32::from_be_bytes(*number) as usize);
        match number.and_then(|number| self.0.get_mut(number)) {
            Some(count) => *count += 1,
            None => return false,
        }
        true
    }

    /// Adds the fewest and the most.
    pub fn into(self, measure: Measure) -> Measure {
        let (least, most) = (self.0.iter().min(), self.0.iter().max());
        Measure { least: least.copied().unwrap_or(0), most: most.copied().unwrap_or(0), ..measure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn several_receivers_leave_out_one_first_batch() {
        let mut all = vec![Arrivals::new(5), Arrivals::new(5), Arrivals::new(5)];
        for one in &mut all[..2] {
            one.note(2);
            one.note(3);
            one.stop();
        }
        let measure = Arrivals::finish_all(&all);
        assert_eq!((measure.count, measure.timed), (10, 8));
    }

    #[test]
    fn a_budget_is_spent_exactly() {
        let budget = Budget::new(5);
        assert_eq!((budget.take_some(3), budget.take_some(3), budget.take_some(3)), (3, 2, 0));
        assert!(!budget.take());
    }

    #[test]
    fn fairness_is_the_fewest_and_the_most() {
        let mut fairness = Fairness::new(2);
        for number in [0, 1, 1] {
            assert!(fairness.note(&Fairness::body(number, 64)));
        }
        assert!(!fairness.note(&Fairness::body(2, 64)));
        assert!(!fairness.note(b"abc"));
        let measure = fairness.into(Measure::default());
        assert_eq!((measure.least, measure.most), (1, 2));
    }
}
