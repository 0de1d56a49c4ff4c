//! [`Key`]: who shares a physical connection; [`Site`]: where it lives.

use super::MuxOptions;
use crate::options::{DialOptions, Start};
use crate::rt::Home;
use std::cmp::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Whoever asks with the same key shares a physical connection: the address in its usual spelling, and the options
/// that make a difference to the connection.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) url: Arc<str>,
    pub(super) way: Arc<Way>,
}

/// How a connection is made. There is one of each set of options, so the number stands for all of them.
#[derive(Debug)]
pub(super) struct Way {
    number: u64,
    pub(super) mux: MuxOptions,
    /// Without a time limit: it matters to whoever dials, and not to the connection.
    pub(super) dial: DialOptions,
}

/// The ways of one pool, as long as somebody has them.
#[derive(Debug, Default)]
pub(super) struct Ways {
    known: Vec<Weak<Way>>,
    last: u64,
}

/// Where a connection is to live that somebody asks for.
#[derive(Clone, Debug, Default)]
pub(super) enum Site {
    /// Where those of the pool do. It is kept while nobody uses it, as the bounds say.
    #[default]
    Pool,
    /// In the runtime of whoever asks, who wants to wait so long. It ends with its last channel: nobody may run that
    /// runtime any more when he is done.
    Asker(Home, Option<Duration>),
}

impl Ways {
    /// The way of these options, without those that do not matter to the connection: what is each dialer's own, and
    /// what the pool decides.
    pub(super) fn way(&mut self, mux: &MuxOptions, dial: &DialOptions) -> Arc<Way> {
        let mux = MuxOptions { idle_timeout: None, ..mux.clone() };
        let dial = DialOptions {
            start: Start::Wait,
            reconnect_min: Duration::ZERO,
            reconnect_max: Duration::ZERO,
            connect_timeout: None,
            mux: MuxOptions::default(),
            ..dial.clone()
        };
        self.known.retain(|way| way.strong_count() > 0);
        let mut known = self.known.iter().filter_map(Weak::upgrade);
        if let Some(way) = known.find(|way| (&way.mux, &way.dial) == (&mux, &dial)) {
            return way;
        }
        self.last += 1;
        let way = Arc::new(Way { number: self.last, mux, dial });
        self.known.push(Arc::downgrade(&way));
        way
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.url.cmp(&other.url).then(self.way.number.cmp(&other.way.number))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_make_no_difference_to_the_connection_are_the_same_way() {
        let mut ways = Ways::default();
        let (mux, dial) = (MuxOptions::default(), DialOptions::default());
        let first = ways.way(&mux, &dial);
        let patient = DialOptions { connect_timeout: None, start: Start::Background, ..dial.clone() };
        let lasting = MuxOptions { idle_timeout: None, ..mux.clone() };
        assert!(Arc::ptr_eq(&first, &ways.way(&lasting, &patient)));
        let slow = DialOptions { no_delay: false, ..dial.clone() };
        let few = MuxOptions { channels: 7, ..mux.clone() };
        let others = [ways.way(&mux, &slow), ways.way(&few, &dial)];
        assert_eq!(others.each_ref().map(|way| way.number), [2, 3]);
        let [a, b] = [&first, &others[0]].map(|way| Key { url: "tcp://here:1".into(), way: way.clone() });
        assert!(a < b && a == a.clone());
        assert_ne!(a, Key { url: "tcp://here:2".into(), ..a.clone() });
    }

    #[test]
    fn ways_that_nobody_has_any_more_are_forgotten() {
        let mut ways = Ways::default();
        let (mut mux, dial) = (MuxOptions::default(), DialOptions::default());
        let kept = ways.way(&mux, &dial);
        for channels in 1..100 {
            mux.channels = channels;
            ways.way(&mux, &dial);
        }
        assert!(ways.known.len() <= 2);
        assert!(Arc::ptr_eq(&kept, &ways.way(&MuxOptions::default(), &dial)));
    }
}
