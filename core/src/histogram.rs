//! [`Histogram`]: how long things took, in a fixed amount of memory and with a bounded error.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// Counts spans of time in buckets that grow with them.
///
/// ```text
///   0 1 2 … 15 │ 16 18 … 30 │ 32 36 … 60 │ 64 72 … 120 │ …      nanoseconds
///   width 1    │ 2          │ 4          │ 8           │ …
/// ```
///
/// Log-linear: from 16 ns on, each doubling is cut into 8 buckets of equal width. So the width of a
/// bucket is at most an eighth of what is in it, and a [`quantile`](Self::quantile) is never less than
/// the true value and never more than an eighth above it. All of `u64` nanoseconds fit (584 years), in
/// 496 buckets. Only doublings in which something was counted have theirs, 64 bytes each: spans from 20 us
/// to 10 ms take 640 bytes, all there can be 4 KiB, and none take none. Counts and sums stop at `u64::MAX`.
///
/// ```
/// use core::time::Duration;
/// use spanwire_core::Histogram;
///
/// let mut spans = Histogram::new();
/// for micros in 1..=100 {
///     spans.record(Duration::from_micros(micros));
/// }
/// assert_eq!(spans.count(), 100);
/// let median = spans.quantile(0.5);
/// assert!(median >= Duration::from_micros(50) && median <= Duration::from_micros(50) * 9 / 8);
/// assert_eq!(spans.max(), Duration::from_micros(100));
/// ```
#[derive(Default)]
pub struct Histogram {
    /// Which doublings have buckets here: a bit for each, the lowest for the smallest numbers.
    there: u64,
    /// Their buckets, in rising order.
    counts: Vec<[u64; PER_DOUBLING]>,
    count: u64,
    sum: u64,
    min: u64,
    max: u64,
}

/// Each doubling has 2 to the power of this many buckets.
const BITS: u32 = 3;
const PER_DOUBLING: usize = 1 << BITS;

/// How many buckets a [`Histogram`] has.
pub const BUCKETS: usize = (64 - BITS as usize + 1) * PER_DOUBLING;

// There is a bit for each doubling.
const _: () = assert!(BUCKETS / PER_DOUBLING <= u64::BITS as usize);

impl Histogram {
    /// One without any spans, which takes no memory yet.
    pub const fn new() -> Self {
        Self { there: 0, counts: Vec::new(), count: 0, sum: 0, min: 0, max: 0 }
    }

    /// Counts one span. Longer than 584 years counts as that.
    pub fn record(&mut self, span: Duration) {
        self.add(nanos(span), 1);
    }

    /// Counts `count` spans of so many nanoseconds.
    fn add(&mut self, nanos: u64, count: u64) {
        self.put(bucket_of(nanos), count);
        self.min = if self.count == 0 { nanos } else { self.min.min(nanos) };
        self.max = self.max.max(nanos);
        self.count = self.count.saturating_add(count);
        self.sum = self.sum.saturating_add(nanos.saturating_mul(count));
    }

    fn put(&mut self, bucket: usize, count: u64) {
        let (doubling, place) = (bucket / PER_DOUBLING, bucket % PER_DOUBLING);
        let at = self.place_of(doubling);
        if self.there & (1 << doubling) == 0 {
            // Seldom, and no more than once for each: no room to spare is kept.
            self.counts.reserve_exact(1);
            self.counts.insert(at, [0; PER_DOUBLING]);
            self.there |= 1 << doubling;
        }
        let place = &mut self.counts[at][place];
        *place = place.saturating_add(count);
    }

    /// Where the buckets of a doubling are, or would be: behind those of all smaller ones.
    #[inline]
    const fn place_of(&self, doubling: usize) -> usize {
        (self.there & ((1 << doubling) - 1)).count_ones() as usize
    }

    /// Adds all that another one has counted, as if it had been counted here.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        for (bucket, count) in other.filled() {
            self.put(bucket, count);
        }
        self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// What was counted since `earlier`, an earlier state of this one. The shortest and longest of that
    /// are known to the width of a bucket only. An `earlier` that is no such thing counts as nothing.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut new = Self::new();
        for (bucket, count) in self.filled() {
            let count = count.saturating_sub(earlier.in_bucket(bucket));
            if count > 0 {
                let (low, high) = bounds(bucket);
                new.add(low.max(self.min), 0);
                new.max = high.min(self.max);
                new.put(bucket, count);
                new.count = new.count.saturating_add(count);
            }
        }
        new.sum = self.sum.saturating_sub(earlier.sum);
        new
    }

    /// How many spans were counted.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Whether none was.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them, one after the other.
    pub const fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// The shortest; zero without any.
    pub const fn min(&self) -> Duration {
        Duration::from_nanos(self.min)
    }

    /// The longest; zero without any.
    pub const fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The average; zero without any.
    pub const fn mean(&self) -> Duration {
        Duration::from_nanos(match self.count {
            0 => 0,
            count => self.sum / count,
        })
    }

    /// A span that the share `q` of all spans do not exceed: the median for 0.5. Never less than the
    /// exact one, and at most an eighth above it. Zero without any; `q` beyond 0 to 1 is moved there.
    pub fn quantile(&self, q: f64) -> Duration {
        // `ceil` is not in core. What is lost by f64 beyond 2^53 spans is less than the error above.
        let exact = q.clamp(0.0, 1.0) * self.count as f64;
        let rank = (exact as u64 + u64::from(exact as u64 as f64 != exact)).clamp(1, self.count.max(1));
        let mut seen = 0_u64;
        for (bucket, count) in self.filled() {
            seen = seen.saturating_add(count);
            if seen >= rank {
                return Duration::from_nanos(bounds(bucket).1.clamp(self.min, self.max));
            }
        }
        Duration::ZERO
    }

    /// How many spans were no longer than `2^power - 1` nanoseconds: exact, since a bucket ends there.
    /// Below 2^4 that is so for every number; `power` counts up to 64.
    pub fn below_power(&self, power: u32) -> u64 {
        let end = match power {
            64.. => BUCKETS,
            _ => bucket_of(1 << power),
        };
        let below = self.filled().take_while(|(bucket, _)| *bucket < end);
        below.fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// The buckets that have something in them, in rising order, each with its count.
    pub fn filled(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let mut left = self.there;
        let doublings = core::iter::from_fn(move || {
            let doubling = (left != 0).then(|| left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(doubling * PER_DOUBLING)
        });
        doublings
            .zip(&self.counts)
            .flat_map(|(first, counts)| (first..).zip(counts.iter().copied()))
            .filter(|(_, count)| *count > 0)
    }

    /// A span from the middle of a bucket, for whoever needs one that stands for all that are in it.
    pub fn middle(bucket: usize) -> Duration {
        let (low, high) = bounds(bucket.min(BUCKETS - 1));
        Duration::from_nanos(low + (high - low) / 2)
    }

    fn in_bucket(&self, bucket: usize) -> u64 {
        let (doubling, place) = (bucket / PER_DOUBLING, bucket % PER_DOUBLING);
        match self.there & (1 << doubling) {
            0 => 0,
            _ => self.counts[self.place_of(doubling)][place],
        }
    }

    /// Puts together what was taken apart by [`filled`](Self::filled), [`sum`](Self::sum),
    /// [`min`](Self::min) and [`max`](Self::max). `None` when they cannot belong together: a bucket that
    /// does not exist, or a shortest and longest that are not in the first and last of them.
    pub fn of_parts(
        filled: impl IntoIterator<Item = (usize, u64)>,
        sum: Duration,
        min: Duration,
        max: Duration,
    ) -> Option<Self> {
        let mut all = Self::new();
        let (mut first, mut last) = (None, 0);
        for (bucket, count) in filled {
            if bucket >= BUCKETS || count == 0 || first.is_some_and(|_| bucket <= last) {
                return None;
            }
            all.put(bucket, count);
            all.count = all.count.saturating_add(count);
            first = first.or(Some(bucket));
            last = bucket;
        }
        (all.sum, all.min, all.max) = (nanos(sum), nanos(min), nanos(max));
        let fits = match first {
            None => (all.sum, all.min, all.max) == (0, 0, 0),
            Some(first) => bucket_of(all.min) == first && bucket_of(all.max) == last && all.min <= all.max,
        };
        fits.then_some(all)
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Where a span of so many nanoseconds is counted.
#[inline]
const fn bucket_of(nanos: u64) -> usize {
    // With fewer bits than this there are as many values as buckets.
    let doubling = (u64::BITS - nanos.leading_zeros()).saturating_sub(BITS + 1);
    doubling as usize * PER_DOUBLING + (nanos >> doubling) as usize
}

/// The least and the greatest number of nanoseconds that is counted in a bucket.
const fn bounds(bucket: usize) -> (u64, u64) {
    let doubling = (bucket / PER_DOUBLING).saturating_sub(1);
    let low = ((bucket - doubling * PER_DOUBLING) as u64) << doubling;
    (low, low + ((1 << doubling) - 1))
}

impl Clone for Histogram {
    fn clone(&self) -> Self {
        Self { counts: self.counts.clone(), ..*self }
    }

    /// Takes no new memory where the old is enough.
    fn clone_from(&mut self, other: &Self) {
        let mut counts = core::mem::take(&mut self.counts);
        counts.clone_from(&other.counts);
        *self = Self { counts, ..*other };
    }
}

/// Two are the same when they have counted the same; memory does not count.
impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        (self.count, self.sum, self.min, self.max) == (other.count, other.sum, other.min, other.max)
            && self.filled().eq(other.filled())
    }
}

impl Eq for Histogram {}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count)
            .field("min", &self.min())
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("max", &self.max())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(spans: &[u64]) -> Histogram {
        let mut all = Histogram::new();
        for nanos in spans {
            all.record(Duration::from_nanos(*nanos));
        }
        all
    }

    /// Of every magnitude, where plain `any` would give huge ones only.
    fn spans() -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::vec((any::<u64>(), 0_u32..64).prop_map(|(nanos, shift)| nanos >> shift), 0..60)
    }

    #[test]
    fn buckets_cover_all_numbers_without_gap_or_overlap() {
        let mut next = 0_u64;
        for bucket in 0..BUCKETS {
            let (low, high) = bounds(bucket);
            assert_eq!(low, next, "bucket {bucket}");
            assert_eq!((bucket_of(low), bucket_of(high)), (bucket, bucket));
            assert!(high - low <= low / PER_DOUBLING as u64, "an eighth at most: {bucket}");
            next = high.wrapping_add(1);
        }
        assert_eq!(next, 0, "the last one ends with the last number");
    }

    #[test]
    fn without_spans_all_is_zero() {
        let none = Histogram::new();
        assert_eq!((none.count(), none.quantile(0.5), none.mean()), (0, Duration::ZERO, Duration::ZERO));
        assert_eq!((none.min(), none.max(), none.below_power(64)), (Duration::ZERO, Duration::ZERO, 0));
    }

    #[test]
    fn memory_is_taken_for_doublings_that_have_something() {
        let mut spans = of(&[20_000, 10_000_000]);
        assert_eq!(spans.counts.len(), 2);
        for _ in 0..3 {
            spans.record(Duration::from_micros(25));
            spans.record(Duration::from_nanos(17));
        }
        assert_eq!((spans.counts.len(), spans.counts.capacity()), (3, 3));
        let mut copy = of(&[1, 100, 10_000]);
        let before = copy.counts.as_ptr();
        copy.clone_from(&spans);
        assert_eq!((copy.counts.as_ptr(), &copy), (before, &spans));
        for shift in 0..64 {
            spans.record(Duration::from_nanos(u64::MAX >> shift));
        }
        assert_eq!(spans.counts.len(), BUCKETS / PER_DOUBLING);
    }

    #[test]
    fn sums_that_do_not_fit_stop_at_the_end() {
        let huge = of(&[u64::MAX, u64::MAX]);
        assert_eq!(huge.sum(), Duration::from_nanos(u64::MAX));
        assert_eq!(huge.quantile(1.0), Duration::from_nanos(u64::MAX));
        let mut longer = Histogram::new();
        longer.record(Duration::MAX);
        assert_eq!(longer.max(), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused() {
        let span = Duration::from_nanos;
        let parts = |filled: &[(usize, u64)], min, max| {
            Histogram::of_parts(filled.iter().copied(), span(9), span(min), span(max))
        };
        assert!(parts(&[(4, 1), (5, 1)], 4, 5).is_some());
        assert!(parts(&[(BUCKETS, 1)], 4, 5).is_none(), "no such bucket");
        assert!(parts(&[(5, 1), (4, 1)], 5, 4).is_none(), "falling");
        assert!(parts(&[(4, 1), (4, 1)], 4, 4).is_none(), "twice");
        assert!(parts(&[(4, 0)], 4, 4).is_none(), "empty");
        assert!(parts(&[(4, 1)], 3, 4).is_none(), "a shortest that is not there");
        assert!(parts(&[], 0, 0).is_none(), "a sum of nothing");
    }

    proptest! {
        #[test]
        fn a_quantile_is_at_most_an_eighth_above_the_exact_one(mut spans in spans(), q in 0.0..=1.0_f64) {
            let all = of(&spans);
            spans.sort_unstable();
            prop_assert_eq!(all.count(), spans.len() as u64);
            if spans.is_empty() {
                return Ok(());
            }
            let rank = ((q * spans.len() as f64).ceil() as usize).clamp(1, spans.len());
            let exact = spans[rank - 1];
            let told = all.quantile(q).as_nanos() as u64;
            prop_assert!(told >= exact, "{told} of {exact}");
            prop_assert!(told - exact <= exact / 8, "{told} of {exact}");
            prop_assert_eq!(all.quantile(1.0), Duration::from_nanos(spans[spans.len() - 1]));
            prop_assert_eq!(all.min(), Duration::from_nanos(spans[0]));
        }

        #[test]
        fn merging_is_counting_together(one in spans(), other in spans()) {
            let mut merged = of(&one);
            merged.merge(&of(&other));
            prop_assert_eq!(merged, of(&[one, other].concat()));
        }

        #[test]
        fn what_came_later_is_what_merging_adds(one in spans(), other in spans()) {
            let (earlier, later) = (of(&one), of(&[one.clone(), other.clone()].concat()));
            let new = later.since(&earlier);
            prop_assert!(new.filled().eq(of(&other).filled()));
            prop_assert_eq!(new.count(), other.len() as u64);
            if let (Some(least), Some(most)) = (other.iter().min(), other.iter().max()) {
                prop_assert!(new.min() <= Duration::from_nanos(*least));
                prop_assert!(new.max() >= Duration::from_nanos(*most));
            }
        }

        #[test]
        fn counts_below_a_power_are_exact(spans in spans(), power in 0_u32..=64) {
            let below = |nanos: &&u64| power == 64 || **nanos < 1_u64 << power;
            prop_assert_eq!(of(&spans).below_power(power), spans.iter().filter(below).count() as u64);
        }

        #[test]
        fn parts_make_the_whole_again(spans in spans()) {
            let all = of(&spans);
            let again = Histogram::of_parts(all.filled(), all.sum(), all.min(), all.max());
            prop_assert_eq!(again, Some(all));
        }
    }
}
