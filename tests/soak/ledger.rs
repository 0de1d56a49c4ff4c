//! Bodies that show damage, who has seen what, and what this process uses.

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The largest ballast.
pub(crate) const MAX_BALLAST: usize = 300_000;

/// Bytes of which no two stretches are alike; ballast is cut out of it.
static PATTERN: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..MAX_BALLAST + 256).map(|n| (n * 31 + n / 251 + n / 65_521) as u8).collect());

fn ballast(number: u64, length: usize) -> &'static [u8] {
    let start = (number % 256) as usize;
    &PATTERN[start..start + length]
}

/// A body of 12 bytes that say whose and which it is, and `length` more that follow from that.
pub(crate) fn body(from: u32, number: u64, length: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(12 + length);
    body.extend(from.to_be_bytes());
    body.extend(number.to_be_bytes());
    body.extend(ballast(number, length));
    body
}

/// Who made a body, and its number; panics if it was damaged.
#[track_caller]
pub(crate) fn read(body: &[u8]) -> (u32, u64) {
    let from = u32::from_be_bytes(body[..4].try_into().unwrap());
    let number = u64::from_be_bytes(body[4..12].try_into().unwrap());
    assert!(body[12..] == *ballast(number, body.len() - 12), "message {number} of {from} is damaged");
    (from, number)
}

/// The numbers that were seen, one bit each: an hour of them has to fit.
#[derive(Default)]
pub(crate) struct Seen(Mutex<(Vec<u64>, u64)>);

impl Seen {
    /// Panics when `number` was seen before.
    #[track_caller]
    pub(crate) fn once(&self, number: u64) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (place, bit) = ((number / 64) as usize, 1 << (number % 64));
        if seen.0.len() <= place {
            seen.0.resize(place + 1, 0);
        }
        assert_eq!(seen.0[place] & bit, 0, "{number} came twice");
        seen.0[place] |= bit;
        seen.1 += 1;
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// What this process uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) memory_kib: usize,
    pub(crate) descriptors: usize,
}

impl Usage {
    pub(crate) fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let memory_kib = memory.trim().trim_end_matches(" kB").parse().unwrap();
        Self { memory_kib, descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count() }
    }
}

/// Whether something comes true before long: for what ends just after it was waited for.
pub(crate) fn settled(is_so: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > Duration::from_secs(20) {
            return false;
        }
        std::thread::yield_now();
    }
    true
}
