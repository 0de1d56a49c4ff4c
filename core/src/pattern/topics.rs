//! [`Topics`]: a set of subscribed prefixes, and whether one of them fits.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use core::ops::Bound;

/// The prefixes that one SUB context is subscribed to.
///
/// Sorted, so that a match is a few look-ups however many there are. Take the greatest prefix that
/// is not after the body. Either the body starts with it, or every prefix that could still fit is
/// as short as what the two have in common: look again with that part of the body. A round costs
/// a binary search, and there are no more rounds than the body has bytes in common with
/// prefixes; with ordinary topics one or two.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    /// Whether the empty prefix, which fits all, is there. It is kept apart, so that the socket
    /// that wants everything looks for nothing.
    everything: bool,
    prefixes: BTreeSet<Box<[u8]>>,
}

impl Topics {
    /// Adds a prefix; adding it again changes nothing (as in NNG and mangos, spec 5.5).
    pub(crate) fn insert(&mut self, topic: &[u8]) {
        if topic.is_empty() {
            self.everything = true;
        } else if !self.prefixes.contains(topic) {
            self.prefixes.insert(topic.into());
        }
    }

    /// Takes a prefix away; `false` when it was not there.
    pub(crate) fn remove(&mut self, topic: &[u8]) -> bool {
        match topic.is_empty() {
            true => core::mem::take(&mut self.everything),
            false => self.prefixes.remove(topic),
        }
    }

    /// Whether `body` starts with one of the prefixes.
    pub(crate) fn matches(&self, body: &[u8]) -> bool {
        if self.everything {
            return true;
        }
        let mut body = body;
        while !body.is_empty() {
            let not_after = (Bound::Unbounded, Bound::Included(body));
            let Some(nearest) = self.prefixes.range::<[u8], _>(not_after).next_back() else { return false };
            let common = body.iter().zip(nearest).take_while(|(a, b)| a == b).count();
            if common == nearest.len() {
                return true;
            }
            body = &body[..common];
        }
        false
    }

    /// All of them.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let empty: &[u8] = &[];
        self.everything.then_some(empty).into_iter().chain(self.prefixes.iter().map(|topic| &**topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn topics(all: &[&str]) -> Topics {
        let mut topics = Topics::default();
        all.iter().for_each(|topic| topics.insert(topic.as_bytes()));
        topics
    }

    #[test]
    fn without_a_subscription_nothing_fits() {
        assert!(!topics(&[]).matches(b"x"));
        assert!(!topics(&["x"]).matches(b""));
    }

    #[test]
    fn the_empty_topic_fits_all_even_the_empty_message() {
        assert!(topics(&[""]).matches(b"x"));
        assert!(topics(&[""]).matches(b""));
    }

    #[test]
    fn a_short_prefix_is_found_behind_longer_neighbours() {
        let topics = topics(&["a", "ab1", "ab2", "abc9"]);
        assert!(topics.matches(b"abcd"));
        assert!(topics.matches(b"a"));
        assert!(!topics.matches(b"b"));
    }

    #[test]
    fn a_topic_longer_than_the_message_does_not_fit() {
        assert!(!topics(&["abc"]).matches(b"ab"));
        assert!(topics(&["abc"]).matches(b"abc"));
    }

    #[test]
    fn a_topic_is_a_set_member_and_not_counted() {
        let mut topics = topics(&["a", "a", "", ""]);
        assert!(topics.remove(b"a") && !topics.remove(b"a"));
        assert!(topics.remove(b"") && !topics.remove(b""));
        assert!(!topics.matches(b"a"));
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(vec![0, 1, 254, 255]), 0..6)
    }

    proptest! {
        #[test]
        fn it_agrees_with_trying_each_in_turn(all in prop::collection::vec(bytes(), 0..12), body in bytes()) {
            let mut topics = Topics::default();
            all.iter().for_each(|topic| topics.insert(topic));
            prop_assert_eq!(topics.matches(&body), all.iter().any(|topic| body.starts_with(topic)));
            prop_assert!(all.iter().all(|topic| topics.iter().any(|t| t == &**topic)));
        }
    }
}
