//! [`Backoff`]: how long a dialer waits before it tries again.

use core::time::Duration;

/// Random waits in [0, current), doubling from a minimum to a maximum, as NNG does it (spec 9).
///
/// The randomness keeps a thousand dialers from coming back in the same millisecond after their
/// listener was restarted.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    current: Duration,
    state: u64,
}

impl Backoff {
    /// Starts at `min`; never goes above `max` (or above `min`, if `max` is smaller).
    pub fn new(min: Duration, max: Duration, seed: u64) -> Self {
        Self { min, max: max.max(min), current: min, state: seed }
    }

    /// How long to wait this time.
    pub fn next_wait(&mut self) -> Duration {
        let bound = u64::try_from(self.current.as_nanos()).unwrap_or(u64::MAX);
        self.current = self.current.saturating_mul(2).min(self.max);
        match bound {
            0 => Duration::ZERO,
            _ => Duration::from_nanos(self.random() % bound),
        }
    }

    /// The connection worked: start again at the minimum.
    pub fn reset(&mut self) {
        self.current = self.min;
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): tiny, and good enough to spread dialers.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redial_waits_up_to_twice_as_long_each_time() {
        let ms = Duration::from_millis;
        let mut longest = [Duration::ZERO; 8];
        for seed in 0..2_000 {
            let mut backoff = Backoff::new(ms(100), ms(1_000), seed);
            for longest in &mut longest {
                *longest = backoff.next_wait().max(*longest);
            }
        }
        for (longest, bound) in longest.into_iter().zip([100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000]) {
            assert!(longest < ms(bound), "{longest:?} of {bound} ms");
            assert!(longest > ms(bound) * 9 / 10, "{longest:?} of {bound} ms");
        }
    }

    #[test]
    fn the_random_numbers_are_those_of_splitmix64() {
        let mut backoff = Backoff::new(Duration::ZERO, Duration::ZERO, 1_234_567);
        let numbers = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(numbers.map(|_: u64| backoff.random()), numbers);
    }

    #[test]
    fn success_starts_it_again() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60), 7);
        for _ in 0..10 {
            backoff.next_wait();
        }
        backoff.reset();
        assert!(backoff.next_wait() < Duration::from_secs(1));
    }

    #[test]
    fn a_minimum_of_zero_never_waits() {
        let mut backoff = Backoff::new(Duration::ZERO, Duration::from_secs(1), 7);
        assert_eq!(backoff.next_wait(), Duration::ZERO);
        assert_eq!(backoff.next_wait(), Duration::ZERO);
    }
}
