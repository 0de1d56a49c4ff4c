//! [`Rates`]: how much each peer may send, over all of its connections.

use super::bucket::Bucket;
use super::options::LinkOptions;
use crate::time::Time;
use alloc::collections::BTreeMap;
use core::hash::{BuildHasher, Hash};
use hashbrown::HashMap;

/// What peers may send each second, and what each has left. `K` is a peer.
///
/// A peer that goes is remembered until it has paid: until its allowance is as whole as that of a stranger.
/// So nobody gets a new one by connecting again. Remembered are at most [`MAX_GONE`] peers without a
/// connection; beyond, the one that has been gone longest is forgotten. Those with connections are as many
/// as these at most, which whoever lets them in has bounded.
///
/// ```text
///               join                     last leave
///   stranger ────────▶ here, allowance ─────────────▶ gone ── allowance is whole, or too many ─▶ stranger
///                        ▲                             │ join
///                        └─────────────────────────────┘
/// ```
///
/// Peers may choose what they are called, so the hasher `S` has to be one that they cannot foresee.
#[derive(Debug)]
pub struct Rates<K, S> {
    messages_per_second: Option<u64>,
    bytes_per_second: Option<u64>,
    peers: HashMap<K, Peer, S>,
    /// Those without a connection, in the order in which they went.
    gone: BTreeMap<u64, K>,
    goings: u64,
}

/// Peers without a connection that are remembered.
pub const MAX_GONE: usize = 1_024;

#[derive(Debug)]
struct Peer {
    connections: usize,
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
    /// Its place among those that are gone.
    gone: Option<u64>,
}

/// What has come from a peer.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Came {
    /// Messages, requests and answers.
    pub messages: u64,
    /// Their bytes, those of streams included.
    pub bytes: u64,
}

/// What becomes of a peer after something has come from it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// It was allowed so much.
    pub within: bool,
    /// When its debt is paid; `None`: it has none.
    pub paid_at: Option<Time>,
}

impl Verdict {
    /// All is fine.
    pub const FINE: Self = Self { within: true, paid_at: None };
}

impl Peer {
    fn buckets(&mut self) -> impl Iterator<Item = &mut Bucket> {
        [&mut self.messages, &mut self.bytes].into_iter().flatten()
    }

    fn is_whole(&mut self, now: Time) -> bool {
        self.buckets().all(|bucket| bucket.is_full(now))
    }
}

impl<K: Clone + Eq + Hash, S: BuildHasher + Default> Rates<K, S> {
    /// The rates of these options; `None` where they have none.
    pub fn new(options: &LinkOptions) -> Option<Self> {
        let LinkOptions { messages_per_second, bytes_per_second, .. } = *options;
        let limited = messages_per_second.is_some() || bytes_per_second.is_some();
        limited.then(|| Self {
            messages_per_second: messages_per_second.map(u64::from),
            bytes_per_second,
            peers: HashMap::default(),
            gone: BTreeMap::new(),
            goings: 0,
        })
    }
}

impl<K: Clone + Eq + Hash, S: BuildHasher> Rates<K, S> {
    /// A peer has one more connection.
    pub fn join(&mut self, peer: K, now: Time) {
        self.forget(now);
        let bucket = |rate: Option<u64>| rate.map(|rate| Bucket::new(rate, rate, now));
        let (messages, bytes) = (self.messages_per_second, self.bytes_per_second);
        let known = self.peers.entry(peer).or_insert_with(|| Peer {
            connections: 0,
            messages: bucket(messages),
            bytes: bucket(bytes),
            gone: None,
        });
        known.connections += 1;
        if let Some(place) = known.gone.take() {
            self.gone.remove(&place);
        }
    }

    /// A peer has one connection less.
    pub fn leave(&mut self, peer: &K, now: Time) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.connections = known.connections.saturating_sub(1);
            if known.connections == 0 && known.gone.is_none() {
                known.gone = Some(self.goings);
                self.gone.insert(self.goings, peer.clone());
                self.goings += 1;
            }
        }
        self.forget(now);
    }

    /// Something has come from a peer, or nothing, and what it may send next is asked.
    pub fn charge(&mut self, peer: &K, came: Came, now: Time) -> Verdict {
        let Some(known) = self.peers.get_mut(peer) else { return Verdict::FINE };
        let mut verdict = Verdict::FINE;
        for (bucket, count) in [(&mut known.messages, came.messages), (&mut known.bytes, came.bytes)] {
            let Some(bucket) = bucket else { continue };
            verdict.within &= count == 0 || bucket.take(count, now);
            verdict.paid_at = verdict.paid_at.max(bucket.paid_at(now));
        }
        verdict
    }

    /// Forgets who is like a stranger again, as far as those go that have been gone longest.
    fn forget(&mut self, now: Time) {
        while let Some(longest) = self.gone.first_entry() {
            let whole = self.peers.get_mut(longest.get()).is_none_or(|peer| peer.is_whole(now));
            if !whole && self.gone.len() <= MAX_GONE {
                break;
            }
            if let Some((_, peer)) = self.gone.pop_first() {
                self.peers.remove(&peer);
            }
        }
    }

    /// Peers that are known: here, or remembered.
    pub fn known(&self) -> usize {
        self.peers.len()
    }

    /// Panics when its books are wrong.
    pub fn check_invariants(&self) {
        assert!(self.gone.len() <= MAX_GONE);
        let gone = self.peers.iter().filter(|(_, peer)| peer.connections == 0);
        assert_eq!(gone.clone().count(), self.gone.len());
        for (key, peer) in gone {
            assert!(peer.gone.is_some_and(|place| self.gone.get(&place) == Some(key)));
        }
        assert!(self.peers.values().all(|peer| peer.connections == 0 || peer.gone.is_none()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::script::Sums;
    use core::hash::BuildHasherDefault;
    use core::time::Duration;
    use proptest::prelude::*;

    type Table = Rates<u32, BuildHasherDefault<Sums>>;

    const START: Time = Time::from_nanos(1);

    fn at(millis: u64) -> Time {
        START + Duration::from_millis(millis)
    }

    fn table(messages: u32) -> Table {
        Rates::new(&LinkOptions { messages_per_second: Some(messages), ..LinkOptions::default() }).unwrap()
    }

    fn messages(messages: u64) -> Came {
        Came { messages, bytes: 10 * messages }
    }

    #[test]
    fn without_limits_there_is_no_table() {
        assert!(Table::new(&LinkOptions::default()).is_none());
    }

    #[test]
    fn all_connections_of_a_peer_share_one_allowance_and_no_other_peer_is_affected() {
        let mut rates = table(10);
        [1, 1, 2].into_iter().for_each(|peer| rates.join(peer, START));
        assert_eq!(rates.charge(&1, messages(6), START), Verdict::FINE);
        assert_eq!(
            rates.charge(&1, messages(6), START),
            Verdict { within: false, paid_at: Some(at(200)) },
            "it has two connections, and one allowance"
        );
        assert_eq!(rates.charge(&2, messages(10), START), Verdict::FINE);
        // Whoever asks, whatever its connection, is told when that is paid.
        assert_eq!(rates.charge(&1, Came::default(), at(100)).paid_at, Some(at(200)));
        assert_eq!(rates.charge(&1, Came::default(), at(200)), Verdict::FINE);
    }

    #[test]
    fn the_stricter_of_two_rates_counts() {
        let options = LinkOptions {
            messages_per_second: Some(10),
            bytes_per_second: Some(100),
            ..LinkOptions::default()
        };
        let mut rates = Table::new(&options).unwrap();
        rates.join(1, START);
        let came = Came { messages: 1, bytes: 150 };
        assert_eq!(rates.charge(&1, came, START), Verdict { within: false, paid_at: Some(at(500)) });
    }

    #[test]
    fn whoever_connects_again_has_no_new_allowance() {
        let mut rates = table(10);
        rates.join(1, START);
        assert!(!rates.charge(&1, messages(30), START).within);
        rates.leave(&1, START);
        rates.join(1, at(1_000));
        assert_eq!(rates.charge(&1, Came::default(), at(1_000)).paid_at, Some(at(2_000)));
        rates.leave(&1, at(1_000));
        rates.check_invariants();
        assert_eq!(rates.known(), 1);
        // Three seconds: two for its debt, and one until it is like a stranger.
        rates.join(2, at(2_999));
        assert_eq!(rates.known(), 2);
        rates.join(2, at(3_000));
        assert_eq!(rates.known(), 1);
    }

    #[test]
    fn no_more_peers_are_remembered_than_the_bound() {
        let mut rates = table(10);
        for peer in 0..3_000 {
            rates.join(peer, START);
            rates.charge(&peer, messages(1_000), START);
            rates.leave(&peer, START);
            rates.check_invariants();
        }
        assert_eq!(rates.known(), MAX_GONE);
        // The one that went last is remembered, the one that went first is not.
        rates.join(2_999, START);
        rates.join(0, START);
        assert!(rates.charge(&2_999, Came::default(), START).paid_at.is_some());
        assert_eq!(rates.charge(&0, Came::default(), START), Verdict::FINE);
    }

    proptest! {
        /// Over any span and any connections, a peer gets no more through without debt than a second's
        /// worth and what the rate gives, however it comes and goes.
        #[test]
        fn coming_and_going_gains_nothing(
            steps in prop::collection::vec((0_u32..3, 0_u8..4, 0_u64..40, 0_u64..400), 0..200),
        ) {
            let mut rates = table(100);
            let mut now = START;
            let (mut here, mut passed) = ([0_u32; 3], [0_u64; 3]);
            for (peer, step, count, wait) in steps {
                now = now + Duration::from_millis(wait);
                let n = peer as usize;
                match step {
                    0 => {
                        rates.join(peer, now);
                        here[n] += 1;
                    }
                    1 if here[n] > 0 => {
                        rates.leave(&peer, now);
                        here[n] -= 1;
                    }
                    _ if here[n] > 0 => {
                        let free = rates.charge(&peer, Came::default(), now).paid_at.is_none();
                        if free && rates.charge(&peer, messages(count), now).within {
                            passed[n] += count;
                        }
                    }
                    _ => {}
                }
                rates.check_invariants();
                let allowed = 100 + (now - START).as_millis() as u64 / 10 + 1;
                prop_assert!(passed.iter().all(|passed| *passed <= allowed), "{:?} of {}", passed, allowed);
            }
        }
    }
}
