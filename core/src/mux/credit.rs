//! Credit: what the peer may send us on each channel, and who gets how much of the memory that all share.

use super::frame::FRAME_COST;
use crate::time::Time;
use core::time::Duration;

/// What the peer may send on one channel. All sums count from the beginning of the channel, in bytes and
/// [`FRAME_COST`] for each frame.
///
/// ```text
///   0 ────────── taken ─────────── received ─────────── promised
///                  │  in the queue     │  still to come     │
///                  └──────── what it may cost us ───────────┘
/// ```
#[derive(Clone, Debug)]
pub struct Window {
    taken: u64,
    received: u64,
    promised: u64,
    /// What may be on its way or in the queue, by the path and the reader, if the shared memory allows.
    tuned: u32,
    /// The same, with room for messages as long as those that came: where nobody else would have to wait
    /// behind them.
    target: u32,
    /// When the peer was last told of more.
    told_at: Time,
    /// How often in a row half of it was taken so fast that it is too small for the path.
    fast: u8,
}

/// The memory that all channels of a connection share, beyond the window that each of them is sure to have.
///
/// *Dynamic thresholds* (Choudhury and Hahne 1998): a channel may hold as much of it as is free afterwards. So one
/// that stops reading holds half of it at most, two hold two thirds, and there is always something left for who
/// comes next; and who gets nothing of it still has its own window.
///
/// A message that does not fit is given what it lacks if a program waits for it: *one* at a time, or several that are
/// half there would wait for each other's memory for ever.
#[derive(Clone, Debug)]
pub struct Shared {
    window: u32,
    max_window: u32,
    limit: u64,
    /// What channels hold of it.
    used: u64,
    /// The shortest of the last round trips.
    round_trip: Option<Duration>,
}

/// What [`Shared::news`] has to know of a channel.
#[derive(Copy, Clone, Debug, Default)]
pub struct Asked {
    /// What is missing of a message that a program waits for.
    pub lacks: Option<Lack>,
    /// The channel may have more than its share for it.
    pub overdraws: bool,
    /// Nothing has come on other channels for long.
    pub alone: bool,
}

/// What to tell a peer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    None,
    /// It may send more: [`Window::promised`].
    Promise,
    /// A message that somebody waits for lacks memory, and only one channel may have more than its share.
    Short,
}

/// What a message still needs that a program waits for: bytes, if that is known.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// So many.
    Bytes(u64),
    /// Nobody knows.
    Unknown {
        /// What there is of it.
        came: u64,
    },
}

/// The same as credit.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    wish: u64,
    least: u64,
}

impl Lack {
    /// With less there is no use.
    pub fn least(self) -> u64 {
        self.least
    }
}

/// A round trip that nobody has measured yet.
const UNKNOWN_ROUND_TRIP: Duration = Duration::from_millis(1);

/// Up to so many bytes a window grows while half of it is taken in two round trips: it is so small that to sleep and to
/// be woken counts for more than the path does.
const SMALL: u32 = 256 * 1024;

/// Beyond, it grows when it was too small for the path so often in a row. One burst says little.
const TOO_SMALL: u8 = 3;

/// What of a measured round trip is sleep: two threads were woken for it, as they are not while much is on its way.
const WAKING: Duration = Duration::from_micros(60);

/// Shorter ones are beyond what our clock can tell.
const LEAST_ROUND_TRIP: Duration = Duration::from_micros(50);

impl Window {
    /// Of a channel that begins.
    pub fn new(window: u32, now: Time) -> Self {
        let promised = window.into();
        Self { taken: 0, received: 0, promised, tuned: window, target: window, told_at: now, fast: 0 }
    }

    /// What the peer may still send.
    pub fn left(&self) -> u64 {
        self.promised - self.received
    }

    /// What came.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// What was taken.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// What came and was not taken.
    pub fn waiting(&self) -> u64 {
        self.received - self.taken
    }

    /// What the peer may have sent in all.
    pub fn promised(&self) -> u64 {
        self.promised
    }

    /// How much of the connection's memory it may need beyond its own window.
    fn extra(&self, window: u32) -> u64 {
        (self.promised - self.taken).saturating_sub(window.into())
    }

    /// What may be on its way, at the moment.
    pub fn size(&self) -> u64 {
        self.target.into()
    }
}

impl Shared {
    /// With so much for each channel, at most so much for one, and so much for all.
    pub fn new(window: u32, max_window: u64, limit: u64) -> Self {
        let max_window = u32::try_from(max_window).unwrap_or(u32::MAX);
        Self { window, max_window, limit, used: 0, round_trip: None }
    }

    /// What is in use of it.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// The shortest of the last round trips, by which windows are measured.
    pub fn set_round_trip(&mut self, round_trip: Option<Duration>) {
        self.round_trip = round_trip;
    }

    /// A frame with so many bytes came. `false`: there was no credit for it.
    pub fn receive(&mut self, window: &mut Window, bytes: u64) -> bool {
        let received = window.received.saturating_add(bytes);
        let allowed = received <= window.promised;
        if allowed {
            window.received = received;
        }
        allowed
    }

    /// The program took so much, or it was discarded.
    pub fn take(&mut self, window: &mut Window, bytes: u64) {
        let before = window.extra(self.window);
        window.taken += bytes;
        debug_assert!(window.taken <= window.received, "nobody takes what has not come");
        self.used -= before - window.extra(self.window);
    }

    /// The peer does not use so much of what it was promised.
    pub fn returned(&mut self, window: &mut Window, bytes: u64) -> bool {
        let allowed = self.receive(window, bytes);
        if allowed {
            self.take(window, bytes);
            (window.tuned, window.target) = (self.window, self.window);
        }
        allowed
    }

    /// Nothing more comes on this channel. What waits to be taken is still there.
    pub fn end(&mut self, window: &mut Window) {
        let before = window.extra(self.window);
        window.promised = window.received;
        self.used -= before - window.extra(self.window);
    }

    /// What to tell the peer.
    pub fn news(&mut self, window: &mut Window, asked: Asked, now: Time) -> News {
        let Asked { lacks, overdraws, alone } = asked;
        let others = self.used - window.extra(self.window);
        let share = u64::from(self.window) + self.limit.saturating_sub(others) / 2;
        let out = window.promised - window.taken;
        let wished = u64::from(if alone { window.target } else { window.tuned });
        let mut due = out <= wished.min(share) / 2;
        let mut size = wished.min(share);
        let mut short = false;
        if let Some(Lack { wish, least }) = lacks {
            // All that came of the message is in the queue. Where others speak, too, the rest of it comes by
            // and by, so that what is in the kernels' buffers is no more than the path needs.
            let waiting = window.waiting();
            let step = if alone { u64::MAX } else { waiting + wished };
            let (most, whole) = ((waiting + wish).min(step), (waiting + least).min(step));
            if out < whole && (alone || window.left() <= wished / 2) {
                let granted = if most <= share { most } else { whole };
                if granted <= share || overdraws {
                    size = size.max(granted);
                    if alone {
                        // The next one of its size goes without waiting.
                        let most = u64::from(self.max_window);
                        window.target = window.target.max(granted.min(most) as u32);
                    }
                    due = true;
                } else {
                    short = true;
                }
            }
        }
        if due {
            // Half of it was taken in so short a time that the peer waits for us: where a window is the bound, half of
            // it takes half a round trip. Where others speak, too, what waits in the kernels is in their way: so it
            // grows to no more than three times what the path holds. For who is alone, to some six times.
            let round_trip = self.round_trip.unwrap_or(UNKNOWN_ROUND_TRIP).max(LEAST_ROUND_TRIP);
            let since = now - window.told_at;
            let too_small = since < round_trip * 2;
            let double = |size: u32| size.saturating_mul(2).min(self.max_window);
            let path = round_trip.saturating_sub(WAKING).max(LEAST_ROUND_TRIP / 2);
            window.fast = if since < path * 3 / 4 { window.fast + 1 } else { 0 };
            if alone {
                window.target = if too_small { double(window.target) } else { window.target };
            } else if window.fast == TOO_SMALL || (too_small && window.tuned < SMALL) {
                window.tuned = double(window.tuned);
                window.target = window.target.max(window.tuned);
            }
            window.fast %= TOO_SMALL;
        }
        let promise = window.taken + size;
        if due && promise > window.promised {
            let before = window.extra(self.window);
            window.promised = promise;
            window.told_at = now;
            self.used += window.extra(self.window) - before;
            return News::Promise;
        }
        if short { News::Short } else { News::None }
    }

    /// What is missing of a message.
    pub fn lack(&self, missing: Missing) -> Lack {
        let cost = |bytes: u64| bytes.saturating_add(FRAME_COST * (bytes / 65_536 + 2));
        match missing {
            Missing::Bytes(bytes) => Lack { wish: cost(bytes), least: cost(bytes) },
            // As much again as there is, and always a window: a sender with less left may wait for more before
            // it cuts a piece. And no more than that may be left over in the end.
            Missing::Unknown { came } => {
                let window = self.window.into();
                Lack { wish: cost(came).max(window), least: window }
            }
        }
    }

    /// Panics when the account does not add up.
    pub fn check_invariants<'a>(&self, windows: impl Iterator<Item = &'a Window>, overdraft: u64) {
        let mut used = 0;
        for window in windows {
            assert!(window.taken <= window.received, "taken before it came");
            assert!(window.received <= window.promised, "received without credit");
            used += window.extra(self.window);
        }
        assert_eq!(self.used, used, "what channels hold of the shared memory");
        assert!(used <= self.limit + overdraft, "{used} of {} and {overdraft}", self.limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a window comes to that is read as fast as it is written to, over a path of so many bytes a second where
    /// an idle connection measures `measured`, and a busy one has `real` for a round trip.
    fn settled(measured: Duration, real: Duration, bytes_a_second: f64, alone: bool) -> f64 {
        let mut shared = Shared::new(16 * 1024, 1 << 30, 1 << 32);
        shared.set_round_trip(Some(measured));
        let mut now = Time::ZERO;
        let mut window = Window::new(16 * 1024, now);
        let size = |window: &Window| if alone { window.target } else { window.tuned };
        for _ in 0..200 {
            let half = size(&window) / 2;
            let rate = bytes_a_second.min(size(&window) as f64 / real.as_secs_f64());
            now = now + Duration::from_secs_f64(half as f64 / rate);
            let half = u64::from(half).min(window.left());
            assert!(shared.receive(&mut window, half));
            shared.take(&mut window, half);
            shared.news(&mut window, Asked { alone, ..Asked::default() }, now);
        }
        size(&window) as f64
    }

    const MICRO: Duration = Duration::from_micros(1);

    #[test]
    fn a_window_comes_to_what_the_path_holds() {
        for micros in [1_000, 10_000, 100_000] {
            let round_trip = MICRO * micros;
            for rate in [1e8, 1e9] {
                let held = (rate * round_trip.as_secs_f64()).max(SMALL as f64);
                // A fifth more than the shortest is no queue yet.
                let real = round_trip.mul_f64(1.2);
                let (one, all) =
                    (settled(round_trip, real, rate, true), settled(round_trip, real, rate, false));
                assert!(all >= held && all <= held * 3.0, "{micros} us, {rate}: {all} of {held}");
                assert!(one >= all && one <= held * 8.0, "{micros} us, {rate}: {one} of {held}");
            }
        }
    }

    #[test]
    fn where_waking_counts_for_more_than_the_path_a_window_stays_small() {
        // Loopback: an idle round trip wakes two threads.
        let window = settled(MICRO * 90, MICRO * 40, 3e9, false);
        assert_eq!(window, SMALL as f64);
    }

    #[test]
    fn a_slow_reader_gets_no_larger_window() {
        assert_eq!(settled(MICRO * 100, MICRO * 100, 1e6, false), 16.0 * 1024.0);
        assert_eq!(settled(MICRO * 100, MICRO * 100, 1e6, true), 16.0 * 1024.0);
    }

    #[test]
    fn one_burst_makes_no_window_larger_than_small() {
        let mut shared = Shared::new(1 << 18, 1 << 30, 1 << 32);
        shared.set_round_trip(Some(MICRO * 1_000));
        let mut window = Window::new(1 << 18, Time::ZERO);
        let mut now = Time::ZERO;
        for round in 0..30 {
            // Two halves at once, and then one that takes its time.
            now = now + if round % 3 == 2 { MICRO * 3_000 } else { MICRO };
            assert!(shared.receive(&mut window, 1 << 17));
            shared.take(&mut window, 1 << 17);
            shared.news(&mut window, Asked::default(), now);
        }
        assert_eq!(window.tuned, 1 << 18);
    }
}
