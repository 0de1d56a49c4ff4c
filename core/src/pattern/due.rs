//! [`Due`]: deadlines that are all the same span away, first in, first out.

use crate::time::Time;
use alloc::collections::VecDeque;

/// When requests are to be sent again.
///
/// As the span is the same for all, a new deadline is always the last, and nothing has to be
/// sorted. One that lost its meaning stays where it is until it comes to the front, or until more
/// than half of the list is such litter.
#[derive(Debug, Default)]
pub(crate) struct Due {
    entries: VecDeque<(Time, u32)>,
}

/// Litter that is not worth the sweeping.
const TOLERATED: usize = 32;

impl Due {
    /// Adds a deadline, not earlier than those before.
    pub(crate) fn push(&mut self, at: Time, id: u32) {
        self.entries.push_back((at, id));
    }

    /// Forgets deadlines that mean nothing any more, so that the first one left does. `useful` is
    /// how many there are that do.
    #[inline]
    pub(crate) fn tidy(&mut self, useful: usize, means: impl Fn(Time, u32) -> bool) {
        while self.entries.front().is_some_and(|(at, id)| !means(*at, *id)) {
            self.entries.pop_front();
        }
        if self.entries.len() > 2 * useful + TOLERATED {
            self.entries.retain(|(at, id)| means(*at, *id));
        }
    }

    /// The earliest deadline.
    #[inline]
    pub(crate) fn first(&self) -> Option<Time> {
        self.entries.front().map(|(at, _)| *at)
    }

    /// Takes the first deadline, if it has come.
    pub(crate) fn pop(&mut self, now: Time) -> Option<(Time, u32)> {
        if self.first()? > now {
            return None;
        }
        self.entries.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn litter_never_outgrows_what_means_something() {
        let mut due = Due::default();
        due.push(Time::from_nanos(1), 0);
        for id in 1..10_000 {
            due.push(Time::from_nanos(2), id);
            due.tidy(1, |_, id| id == 0);
            assert!(due.entries.len() <= 2 + TOLERATED);
        }
        assert_eq!(due.pop(Time::ZERO), None);
        assert_eq!(due.pop(Time::from_nanos(1)), Some((Time::from_nanos(1), 0)));
        due.tidy(0, |_, _| false);
        assert_eq!(due.first(), None);
    }
}
