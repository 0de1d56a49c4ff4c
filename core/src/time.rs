//! Points in time, as the rules see them: an argument, never a clock.

use core::ops::{Add, Sub};
use core::time::Duration;

/// A point in time in nanoseconds after an arbitrary start that all parts of one process share.
///
/// The rules never ask what time it is; whoever calls them passes it in. That is what lets a test
/// or a simulator run an hour of protocol in a millisecond. A `u64` of nanoseconds lasts 584 years.
///
/// ```
/// use core::time::Duration;
/// use spanwire_core::Time;
/// let start = Time::ZERO;
/// let later = start + Duration::from_millis(5);
/// assert_eq!(later - start, Duration::from_millis(5));
/// assert_eq!(start - later, Duration::ZERO); // never negative
/// ```
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The arbitrary start.
    pub const ZERO: Self = Self(0);
    /// Later than everything else; adding to it changes nothing.
    pub const MAX: Self = Self(u64::MAX);

    /// The point `nanos` nanoseconds after the start.
    #[inline]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the start.
    #[inline]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
}

/// Saturates at [`Time::MAX`], so that "for ever" may be written as `Duration::MAX`.
impl Add<Duration> for Time {
    type Output = Self;
    #[inline]
    fn add(self, span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// The span from `earlier` to `self`; zero when `earlier` is in fact later.
impl Sub for Time {
    type Output = Duration;
    #[inline]
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
