//! [`Bucket`]: a rate that may not be exceeded for long.

use crate::time::Time;
use core::time::Duration;

/// A token bucket that may go into debt: what has come cannot be undone, but nothing more is due before
/// the debt is paid.
///
/// Exact: what is left over by a division is kept, so that no rate is lost to rounding, however often it
/// is asked.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Tokens a second.
    rate: u64,
    /// The most tokens there are at once.
    burst: u64,
    /// What there is, in tokens times a second of nanoseconds; negative in debt.
    level: i128,
    at: Time,
}

const SECOND: i128 = 1_000_000_000;

impl Bucket {
    /// Full. A rate below 1 is 1.
    pub fn new(rate: u64, burst: u64, now: Time) -> Self {
        let (rate, burst) = (rate.max(1), burst.max(1));
        Self { rate, burst, level: i128::from(burst) * SECOND, at: now }
    }

    fn fill(&mut self, now: Time) {
        let nanos = (now - self.at).as_nanos() as i128;
        self.at = self.at.max(now);
        let full = i128::from(self.burst) * SECOND;
        self.level = self.level.saturating_add(nanos.saturating_mul(self.rate.into())).min(full);
    }

    /// Takes `count` tokens, into debt if need be. Whether there were so many.
    pub fn take(&mut self, count: u64, now: Time) -> bool {
        self.fill(now);
        let price = i128::from(count) * SECOND;
        let enough = self.level >= price;
        self.level -= price;
        enough
    }

    /// Whether it is as if nothing had ever been taken.
    pub fn is_full(&mut self, now: Time) -> bool {
        self.fill(now);
        self.level >= i128::from(self.burst) * SECOND
    }

    /// When the debt is paid; `None` when there is none.
    pub fn paid_at(&mut self, now: Time) -> Option<Time> {
        self.fill(now);
        if self.level >= 0 {
            return None;
        }
        let rate = i128::from(self.rate);
        let nanos = (-self.level + rate - 1) / rate;
        Some(self.at + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Time = Time::from_nanos(1);

    #[test]
    fn a_debt_is_paid_at_the_rate() {
        let mut bucket = Bucket::new(10, 5, START);
        assert!(bucket.take(5, START));
        assert_eq!(bucket.paid_at(START), None);
        assert!(!bucket.take(20, START));
        let paid = START + Duration::from_secs(2);
        assert_eq!(bucket.paid_at(START), Some(paid));
        assert_eq!(bucket.paid_at(paid), None);
        assert!(!bucket.take(1, paid));
        assert!(!bucket.is_full(paid) && bucket.is_full(paid + Duration::from_millis(600)));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let later = START + Duration::from_secs(1);
        let mut bucket = Bucket::new(10, 1, later);
        assert!(bucket.take(1, later));
        assert!(!bucket.take(1, START));
        assert!(!bucket.take(1, later));
    }

    proptest! {
        /// Over any span, no more is taken without debt than the burst and what the rate gives.
        #[test]
        fn no_more_is_taken_than_burst_and_rate_allow(
            rate in 1_u64..1_000_000, burst in 1_u64..1_000,
            takes in prop::collection::vec((0_u64..50_000_000, 0_u64..200), 1..60),
        ) {
            let mut bucket = Bucket::new(rate, burst, START);
            let (mut now, mut taken) = (START, 0_u128);
            for (wait, count) in takes {
                now = now + Duration::from_nanos(wait);
                if bucket.paid_at(now).is_none() && bucket.clone().take(count, now) {
                    bucket.take(count, now);
                    taken += u128::from(count);
                }
                let nanos = (now - START).as_nanos();
                let allowed = u128::from(burst) * 1_000_000_000 + nanos * u128::from(rate);
                prop_assert!(taken * 1_000_000_000 <= allowed);
            }
        }

        /// Whoever waits until his debt is paid is never in debt by more than what he took last, and is
        /// told the first moment at which he is not.
        #[test]
        fn a_debt_ends_at_the_moment_that_was_told(
            rate in 1_u64..10_000_000, burst in 1_u64..1_000, counts in prop::collection::vec(0_u64..5_000, 1..40),
        ) {
            let mut bucket = Bucket::new(rate, burst, START);
            let mut now = START;
            for count in counts {
                bucket.take(count, now);
                if let Some(paid) = bucket.paid_at(now) {
                    prop_assert!(paid > now);
                    prop_assert!(bucket.clone().paid_at(Time::from_nanos(paid.as_nanos() - 1)).is_some());
                    now = paid;
                }
                prop_assert_eq!(bucket.paid_at(now), None);
            }
        }
    }
}
