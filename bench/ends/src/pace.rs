//! Sending at a rate, and telling the time to another process.

use std::time::{Duration, Instant};

/// When each of many messages is due.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    start: Instant,
    rate: u64,
}

impl Pace {
    /// `rate` messages a second from now on; at least 1.
    pub fn start(rate: u64) -> Self {
        Self { start: Instant::now(), rate: rate.max(1) }
    }

    /// When message `number` is due.
    pub fn due(&self, number: u64) -> Instant {
        let nanos = u128::from(number) * 1_000_000_000 / u128::from(self.rate);
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Sleeps until message `number` is due, and returns when that was. A thread that is late does not
    /// sleep: the messages it owes go out one after the other, and their times count from when they
    /// were due.
    pub fn wait(&self, number: u64) -> Instant {
        let due = self.due(number);
        let ahead = due.saturating_duration_since(Instant::now());
        if !ahead.is_zero() {
            std::thread::sleep(ahead);
        }
        due
    }
}

/// Has this thread woken as exactly as the kernel can, rather than when it suits the kernel within 50 us.
/// Call it in the thread that calls [`Pace::wait`].
pub fn wake_exactly() {
    #[cfg(target_os = "linux")]
    {
        // Where it is not allowed, sleeps are a little longer, for every subject alike.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    }
}

/// `at` on the clock that all processes share, in nanoseconds.
#[cfg(unix)]
pub fn stamp(at: Instant) -> u64 {
    use nix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC);
    let now = time.map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64);
    let here = Instant::now();
    match at.checked_duration_since(here) {
        Some(ahead) => now + ahead.as_nanos() as u64,
        None => now.saturating_sub((here - at).as_nanos() as u64),
    }
}

/// Where clocks are not shared, nothing is measured by them.
#[cfg(not(unix))]
pub fn stamp(_: Instant) -> u64 {
    0
}

/// How long ago `stamp` was.
pub fn since(stamp_nanos: u64) -> Duration {
    Duration::from_nanos(stamp(Instant::now()).saturating_sub(stamp_nanos))
}

/// What is not worth sleeping for: setting a timer and waking takes about as long.
pub const SHORT: Duration = Duration::from_micros(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_at_the_rate() {
        let pace = Pace::start(1000);
        assert_eq!(pace.due(1500) - pace.due(0), Duration::from_millis(1500));
    }

    #[test]
    fn stamps_tell_how_long_ago() {
        let ago = Duration::from_secs(5);
        let Some(then) = Instant::now().checked_sub(ago) else { return };
        assert!(since(stamp(then)) >= ago);
    }
}
