//! [`Spin`]: a busy wait before a real one, for as long as that pays; [`Worth`]: whether it does.

use spanwire_core::Time;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long those who wait for the same thing spin.
#[derive(Debug, Default)]
pub(crate) struct Spin {
    /// Small, as there is one for each direction of a connection.
    span_micros: u32,
    /// Between so many looks the processor is given away, if anybody wants it: it may be the peer.
    looks: u32,
    worth: Worth,
}

/// Whether it pays to look for something before waiting for it.
///
/// ```text
///              in vain: half as long              in vain, and short already
///   Full ─────────────────────────▶ Shorter ─────────────────────────────────▶ Off
///     ▲                                │ something came                         │
///     └────────────────────────────────┴── a probe, every 64th wait: it came ───┘
/// ```
#[derive(Debug, Default)]
pub(crate) struct Worth {
    /// Failures in a row; after so many, waits that did not look are counted.
    in_vain: AtomicU32,
}

/// After so many failures in a row, each of half the length, it is not tried any more ...
const HALVINGS: u32 = 4;
/// ... but once in so many waits.
const PROBE: u32 = 64;
/// A look that costs little is repeated so often before the processor is given away.
const LOOKS: u32 = 16;

impl Worth {
    /// How long the next wait may look, of `span` at most.
    pub(crate) fn allowed(&self, span: Duration) -> Duration {
        match self.in_vain.load(Ordering::Relaxed) {
            failures @ 0..HALVINGS => span / (1 << failures),
            waits if waits % PROBE == 0 => span,
            waits => {
                self.in_vain.store(waits.wrapping_add(1).max(HALVINGS), Ordering::Relaxed);
                Duration::ZERO
            }
        }
    }

    /// Whether the last look was not in vain.
    pub(crate) fn pays(&self) -> bool {
        self.in_vain.load(Ordering::Relaxed) == 0
    }

    /// One that did look has found something, or not.
    pub(crate) fn note(&self, found: bool) {
        match found {
            true => self.in_vain.store(0, Ordering::Relaxed),
            false => {
                self.in_vain.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Spin {
    pub(crate) fn new(span: Duration) -> Self {
        let micros = span.as_nanos().div_ceil(1_000);
        let span_micros = u32::try_from(micros).unwrap_or(u32::MAX);
        Self { span_micros, looks: LOOKS, worth: Worth::default() }
    }

    /// One that lets others run after each look.
    pub(crate) fn yielding(span: Duration) -> Self {
        Self { looks: 1, ..Self::new(span) }
    }

    /// Asks until there is something or the time for that is up.
    pub(crate) fn until<T>(&self, now: impl Fn() -> Time, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
        if self.span_micros == 0 {
            return None;
        }
        let allowed = self.worth.allowed(Duration::from_micros(self.span_micros.into()));
        if allowed.is_zero() {
            return None;
        }
        let until = now() + allowed;
        for look in 1_u32.. {
            if let Some(found) = ask() {
                self.worth.note(true);
                return Some(found);
            }
            if now() >= until {
                break;
            }
            match look % self.looks.max(1) {
                0 => std::thread::yield_now(),
                _ => std::hint::spin_loop(),
            }
        }
        self.worth.note(false);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Waits in vain; returns for how long.
    fn in_vain(spin: &Spin) -> u64 {
        let clock = Cell::new(Time::ZERO);
        let tick = || {
            clock.set(clock.get() + Duration::from_micros(1));
            clock.get()
        };
        let mut asked = 0;
        assert_eq!(
            spin.until(tick, || -> Option<()> {
                asked += 1;
                None
            }),
            None
        );
        asked
    }

    #[test]
    fn fruitless_spins_get_shorter_and_end() {
        let spin = Spin::new(Duration::from_micros(64));
        let spans: Vec<_> = (0..6).map(|_| in_vain(&spin)).collect();
        assert_eq!(spans, [64, 32, 16, 8, 0, 0]);
    }

    #[test]
    fn now_and_then_it_is_tried_again() {
        let spin = Spin::new(Duration::from_micros(64));
        let tried = (0..4 + 10 * PROBE).filter(|_| in_vain(&spin) > 0).count();
        assert_eq!(tried, 4 + 10);
    }

    #[test]
    fn success_brings_it_back() {
        let spin = Spin::new(Duration::from_micros(64));
        while in_vain(&spin) > 0 {}
        while spin.until(|| Time::ZERO, || Some(())).is_none() {}
        assert_eq!(in_vain(&spin), 64);
    }

    #[test]
    fn one_that_yields_gets_shorter_as_well() {
        let spin = Spin::yielding(Duration::from_micros(64));
        let spans: Vec<_> = (0..6).map(|_| in_vain(&spin)).collect();
        assert_eq!(spans, [64, 32, 16, 8, 0, 0]);
    }

    #[test]
    fn it_is_off_unless_asked_for() {
        let spin = Spin::new(Duration::ZERO);
        assert_eq!(spin.until(|| unreachable!(), || -> Option<()> { unreachable!() }), None);
    }
}
