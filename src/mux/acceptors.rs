//! [`Acceptors`]: who waits for channels at a server, and under which ids.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::Waker;

/// Who waits. Whoever has a waker here is woken when there may be something for him.
#[derive(Debug, Default)]
pub(super) struct Acceptors {
    waiting: BTreeMap<u64, Option<Waker>>,
    /// Ids that are waited for by name, and by how many.
    names: BTreeMap<Arc<str>, usize>,
    last: u64,
}

/// The place of one who waits.
#[derive(Debug)]
pub(super) struct Waiting(u64);

impl Acceptors {
    /// Waits, or goes on waiting.
    pub(super) fn wait(&mut self, id: &str, place: Option<Waiting>, waker: &Waker) -> Waiting {
        let place = place.unwrap_or_else(|| {
            self.last += 1;
            if !id.is_empty() {
                match self.names.get_mut(id) {
                    Some(count) => *count += 1,
                    None => {
                        self.names.insert(id.into(), 1);
                    }
                }
            }
            Waiting(self.last)
        });
        self.waiting.insert(place.0, Some(waker.clone()));
        place
    }

    /// Waits no more, with or without a channel. Those who left theirs to this one may look again.
    pub(super) fn leave(&mut self, id: &str, place: Waiting) -> Vec<Waker> {
        self.waiting.remove(&place.0);
        let Some(count) = self.names.get_mut(id) else { return Vec::new() };
        *count -= 1;
        if *count > 0 {
            return Vec::new();
        }
        self.names.remove(id);
        self.wake()
    }

    /// The ids that somebody waits for by name.
    pub(super) fn wanted_by_name(&self) -> BTreeSet<Arc<str>> {
        self.names.keys().cloned().collect()
    }

    /// Everybody looks again.
    pub(super) fn wake(&mut self) -> Vec<Waker> {
        self.waiting.values_mut().filter_map(Option::take).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_reserved_while_somebody_waits_for_it_by_name() {
        let mut acceptors = Acceptors::default();
        let all = acceptors.wait("", None, Waker::noop());
        let one = acceptors.wait("x", None, Waker::noop());
        let other = acceptors.wait("x", None, Waker::noop());
        let one = acceptors.wait("x", Some(one), Waker::noop());
        assert!(acceptors.wanted_by_name().contains("x"));
        assert!(acceptors.leave("x", one).is_empty());
        assert!(acceptors.wanted_by_name().contains("x"));
        assert_eq!(acceptors.leave("x", other).len(), 1, "who wants all may have it now");
        assert!(acceptors.wanted_by_name().is_empty());
        assert!(acceptors.leave("", all).is_empty());
        assert!(acceptors.wake().is_empty());
    }
}
