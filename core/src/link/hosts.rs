//! Who is who: [`Hosts`] maps transport hosts to logical hosts and back, and decides which of two
//! connections between the same two hosts stays.

use alloc::sync::Arc;
use core::hash::BuildHasher;
use core::iter::successors;
use hashbrown::HashMap;

/// The connections of one host, by number and by the logical host at their other end.
///
/// This is the one owner of both mappings: what is in one is in the other. `T` is the transport host: the
/// address at the other end of a connection. Either way is one look into a hash table, however many there
/// are. Peers choose the names, so the hasher `S` has to be one that they cannot foresee (keyed, with a
/// random key, as the one of the standard library); it comes in from outside like all randomness.
///
/// ```text
///   number ──▶ Entry { transport, name, older, newer }          the open connections to
///                          │         ▲                          one host are a chain
///   name   ──▶ Known { oldest, newest, place }
/// ```
///
/// **Two connections where one is wanted.** When both sides want one connection and dial each other at the
/// same time, each finds a second one. Of the two hosts, the one with the smaller instance is the *umpire*:
/// it alone decides, in the order in which its own events happen, so the two cannot disagree. It claims the
/// place for the first connection that it is about to accept, lets the second one wait in its handshake
/// until the first is settled, and then refuses it, or takes it if the first has failed. So there is never
/// a moment without one of them.
///
/// ```text
///   Free ── claim ──▶ Claimed(a) ── settled ──▶ Taken(a) ── ended ──▶ Free
///                        │  ▲ another claim waits    │ another claim is a duplicate
///                        └── failed ──▶ Free         │ of a new instance: replaced
/// ```
#[derive(Debug)]
pub struct Hosts<T, S> {
    by_number: HashMap<u64, Entry<T>, S>,
    by_name: HashMap<Arc<str>, Known, S>,
}

#[derive(Debug)]
struct Entry<T> {
    transport: T,
    /// Known once the handshake is done.
    open: Option<Open>,
    /// The host whose place it has.
    place: Option<Arc<str>>,
}

/// One of the open connections to a logical host.
#[derive(Debug)]
struct Open {
    name: Arc<str>,
    /// Its neighbours: opened before and after it.
    older: Option<u64>,
    newer: Option<u64>,
}

/// A logical host with open connections, or with a place.
#[derive(Debug, Default)]
struct Known {
    /// The connections that were opened first and last.
    open: Option<(u64, u64)>,
    place: Option<Place>,
}

#[derive(Debug)]
struct Place {
    number: u64,
    instance: [u8; 16],
    taken: bool,
}

/// What becomes of a connection that asks for the place of its logical host.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It has it; it is settled by `open`, or fails by `remove`.
    Granted,
    /// Another one is about to have it: ask again when that is settled.
    Wait,
    /// Connection `.0` has it: this one is a duplicate.
    Duplicate(u64),
    /// It has it; connection `.0` had it before and is to be ended: the host at its other end has been
    /// started anew, or has lost it.
    Replaces(u64),
}

/// Whether this is the moment to [`claim`](Hosts::claim): before the umpire commits itself, and for the
/// other one after that. `acknowledged` says whether the peer's Ack is here.
pub fn claims_now(dialed: bool, acknowledged: bool, ours: &[u8; 16], theirs: &[u8; 16]) -> bool {
    acknowledged != (dialed && ours < theirs)
}

impl<T, S: Default> Default for Hosts<T, S> {
    fn default() -> Self {
        Self { by_number: HashMap::default(), by_name: HashMap::default() }
    }
}

impl<T, S: BuildHasher> Hosts<T, S> {
    /// A connection was made: its transport host is known.
    pub fn add(&mut self, number: u64, transport: T) {
        self.by_number.insert(number, Entry { transport, open: None, place: None });
    }

    /// Its handshake is done: its logical host is known, and will not change.
    pub fn open(&mut self, number: u64, logical: &str) {
        if self.by_number.get(&number).is_none_or(|entry| entry.open.is_some()) {
            return;
        }
        let (name, known) = self.known(logical);
        let older = known.open.map(|(_, newest)| newest);
        known.open = Some((known.open.map_or(number, |(oldest, _)| oldest), number));
        if let Some(place) = &mut known.place {
            place.taken |= place.number == number;
        }
        if let Some(older) = older {
            self.link(older, |open| open.newer = Some(number));
        }
        if let Some(entry) = self.by_number.get_mut(&number) {
            entry.open = Some(Open { name, older, newer: None });
        }
    }

    /// It is gone, at whatever point.
    pub fn remove(&mut self, number: u64) {
        let Some(entry) = self.by_number.remove(&number) else { return };
        if let Some(name) = entry.place {
            self.vacate(&name);
        }
        let Some(Open { name, older, newer }) = entry.open else { return };
        if let Some(older) = older {
            self.link(older, |open| open.newer = newer);
        }
        if let Some(newer) = newer {
            self.link(newer, |open| open.older = older);
        }
        let Some(known) = self.by_name.get_mut(&name) else { return };
        known.open = known.open.and_then(|(oldest, newest)| {
            let oldest = if oldest == number { newer? } else { oldest };
            Some((oldest, if newest == number { older? } else { newest }))
        });
        self.forget_unknown(&name);
    }

    /// What is known of a name, and its one copy.
    fn known(&mut self, name: &str) -> (Arc<str>, &mut Known) {
        let shared = match self.by_name.get_key_value(name) {
            Some((shared, _)) => shared.clone(),
            None => Arc::from(name),
        };
        let known = self.by_name.entry(shared.clone()).or_default();
        (shared, known)
    }

    fn link(&mut self, number: u64, change: impl FnOnce(&mut Open)) {
        self.by_number.get_mut(&number).and_then(|entry| entry.open.as_mut()).map(change);
    }

    /// Nobody has the place of a host any more.
    fn vacate(&mut self, name: &str) {
        if let Some(known) = self.by_name.get_mut(name) {
            known.place = None;
        }
        self.forget_unknown(name);
    }

    fn forget_unknown(&mut self, name: &str) {
        if self.by_name.get(name).is_some_and(|known| known.open.is_none() && known.place.is_none()) {
            self.by_name.remove(name);
        }
    }

    /// The logical host at the other end of a connection.
    pub fn logical(&self, number: u64) -> Option<&str> {
        self.by_number.get(&number)?.open.as_ref().map(|open| &*open.name)
    }

    /// The transport host at the other end of a connection.
    pub fn transport(&self, number: u64) -> Option<&T> {
        self.by_number.get(&number).map(|entry| &entry.transport)
    }

    /// The open connections to a logical host, in the order in which they were opened.
    pub fn connections(&self, logical: &str) -> impl Iterator<Item = u64> + '_ {
        let oldest = self.by_name.get(logical).and_then(|known| known.open).map(|(oldest, _)| oldest);
        successors(oldest, |number| self.by_number.get(number)?.open.as_ref()?.newer)
    }

    /// The transport host to send to for a logical host: that of its oldest open connection.
    pub fn to_transport(&self, logical: &str) -> Option<&T> {
        let (oldest, _) = self.by_name.get(logical)?.open?;
        self.transport(oldest)
    }

    /// Connections, those in their handshake included.
    pub fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// A connection to a host of which one is enough is about to be accepted here.
    ///
    /// `ours` and `theirs` are the instances of the two hosts. Who is no umpire takes what the other
    /// decides: a connection that was accepted there is the one.
    pub fn claim(&mut self, number: u64, logical: &str, ours: &[u8; 16], theirs: &[u8; 16]) -> Claim {
        let claim = match self.by_name.get(logical).and_then(|known| known.place.as_ref()) {
            None => Claim::Granted,
            Some(place) if place.number == number => return Claim::Granted,
            // The host has been started anew, and can know nothing of the old one.
            Some(place) if place.instance != *theirs => Claim::Replaces(place.number),
            Some(place) if ours >= theirs => Claim::Replaces(place.number),
            Some(place) if place.taken => return Claim::Duplicate(place.number),
            Some(_) => return Claim::Wait,
        };
        if !self.by_number.contains_key(&number) {
            return claim;
        }
        if let Claim::Replaces(former) = claim {
            if let Some(former) = self.by_number.get_mut(&former) {
                former.place = None;
            }
        }
        let (name, known) = self.known(logical);
        known.place = Some(Place { number, instance: *theirs, taken: false });
        // It has one place at most.
        let other = self.by_number.get_mut(&number).and_then(|entry| entry.place.replace(name));
        if let Some(other) = other {
            self.vacate(&other);
        }
        claim
    }

    /// The connection that has, or is about to have, the place of a logical host.
    pub fn holder(&self, logical: &str) -> Option<u64> {
        self.by_name.get(logical)?.place.as_ref().map(|place| place.number)
    }

    /// Panics when the two mappings are not each other's reverse.
    pub fn check_invariants(&self) {
        let (mut open, mut placed) = (0, 0);
        for (name, known) in &self.by_name {
            assert!(known.open.is_some() || known.place.is_some(), "nothing is known of {name}");
            let mut older = None;
            for number in self.connections(name) {
                let link = self.by_number[&number].open.as_ref();
                assert_eq!(link.map(|link| (&link.name, link.older)), Some((name, older)), "a chain");
                older = Some(number);
                open += 1;
            }
            assert_eq!(known.open.map(|(_, newest)| newest), older, "the end of a chain");
            if let Some(place) = &known.place {
                let of = self.by_number.get(&place.number).and_then(|entry| entry.place.as_ref());
                assert_eq!(of, Some(name), "a place and its connection");
                placed += 1;
            }
        }
        let entries = || self.by_number.values();
        assert_eq!(entries().filter(|entry| entry.open.is_some()).count(), open);
        assert_eq!(entries().filter(|entry| entry.place.is_some()).count(), placed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::script::Sums;
    use alloc::vec::Vec;
    use core::hash::{BuildHasherDefault, Hasher};
    use proptest::prelude::*;

    type Hosts<T> = super::Hosts<T, BuildHasherDefault<Sums>>;

    /// The worst there is: everything has the same hash.
    #[derive(Default)]
    struct Same;

    impl Hasher for Same {
        fn write(&mut self, _: &[u8]) {}

        fn finish(&self) -> u64 {
            0
        }
    }

    const SMALL: [u8; 16] = [1; 16];
    const LARGE: [u8; 16] = [2; 16];
    const NEW: [u8; 16] = [3; 16];

    #[test]
    fn both_ways_lead_to_the_same_connection() {
        let mut hosts = Hosts::default();
        hosts.add(1, "tcp a:1");
        assert_eq!((hosts.logical(1), hosts.transport(1)), (None, Some(&"tcp a:1")));
        assert_eq!(hosts.to_transport("ann"), None, "not before its handshake is done");
        hosts.open(1, "ann");
        hosts.add(2, "tcp a:2");
        hosts.open(2, "ann");
        hosts.check_invariants();
        assert_eq!((hosts.logical(1), hosts.to_transport("ann")), (Some("ann"), Some(&"tcp a:1")));
        hosts.remove(1);
        assert_eq!(hosts.to_transport("ann"), Some(&"tcp a:2"));
        hosts.remove(2);
        assert_eq!((hosts.to_transport("ann"), hosts.len()), (None, 0));
    }

    #[test]
    fn the_umpire_takes_the_first_and_refuses_the_second_when_that_is_settled() {
        let mut hosts = Hosts::default();
        hosts.add(1, ());
        hosts.add(2, ());
        assert_eq!(hosts.claim(1, "bob", &SMALL, &LARGE), Claim::Granted);
        assert_eq!(hosts.claim(2, "bob", &SMALL, &LARGE), Claim::Wait);
        hosts.open(1, "bob");
        assert_eq!(hosts.claim(2, "bob", &SMALL, &LARGE), Claim::Duplicate(1));
    }

    #[test]
    fn the_second_is_taken_when_the_first_fails() {
        let mut hosts = Hosts::default();
        hosts.add(1, ());
        hosts.add(2, ());
        assert_eq!(hosts.claim(1, "bob", &SMALL, &LARGE), Claim::Granted);
        assert_eq!(hosts.claim(2, "bob", &SMALL, &LARGE), Claim::Wait);
        hosts.remove(1);
        assert_eq!(hosts.claim(2, "bob", &SMALL, &LARGE), Claim::Granted);
    }

    #[test]
    fn a_host_that_was_started_anew_replaces_its_old_connection() {
        let mut hosts = Hosts::default();
        for number in 1..4 {
            hosts.add(number, ());
        }
        assert_eq!(hosts.claim(1, "bob", &SMALL, &LARGE), Claim::Granted);
        hosts.open(1, "bob");
        assert_eq!(hosts.claim(2, "bob", &SMALL, &NEW), Claim::Replaces(1));
        hosts.open(2, "bob");
        hosts.remove(1);
        hosts.check_invariants();
        assert_eq!((hosts.holder("bob"), hosts.to_transport("bob")), (Some(2), Some(&())));
    }

    #[test]
    fn who_is_no_umpire_goes_along() {
        let mut hosts = Hosts::default();
        hosts.add(1, ());
        hosts.add(2, ());
        assert_eq!(hosts.claim(1, "ann", &LARGE, &SMALL), Claim::Granted);
        assert_eq!(hosts.claim(2, "ann", &LARGE, &SMALL), Claim::Replaces(1));
        assert_eq!(hosts.holder("ann"), Some(2));
    }

    #[test]
    fn a_connection_in_the_middle_of_many_goes_without_a_trace() {
        let mut hosts = Hosts::default();
        for number in 0..5 {
            hosts.add(number, number);
            hosts.open(number, "ann");
        }
        for (gone, left) in [(2, &[0, 1, 3, 4][..]), (0, &[1, 3, 4]), (4, &[1, 3]), (1, &[3]), (3, &[])] {
            hosts.remove(gone);
            hosts.check_invariants();
            assert_eq!(hosts.connections("ann").collect::<Vec<_>>(), left);
            assert_eq!(hosts.to_transport("ann"), left.first());
        }
        assert!(hosts.is_empty() && hosts.by_name.is_empty());
    }

    proptest! {
        /// Whatever the hashes are: they decide how long it takes, and nothing else.
        #[test]
        fn the_two_mappings_never_part(
            steps in prop::collection::vec((0_u8..4, 0_u64..6, 0_usize..3, any::<bool>()), 0..100),
        ) {
            let names = ["ann", "bob", "ann2"];
            let mut hosts = super::Hosts::<u64, BuildHasherDefault<Same>>::default();
            // The model: what is open, in the order in which it was opened.
            let mut open: Vec<(u64, &str)> = Vec::new();
            for (step, number, name, umpire) in steps {
                let (ours, theirs) = if umpire { (SMALL, LARGE) } else { (LARGE, SMALL) };
                match step {
                    0 if hosts.transport(number).is_none() => hosts.add(number, number),
                    1 if hosts.logical(number).is_none() => {
                        hosts.open(number, names[name]);
                        if hosts.transport(number).is_some() {
                            open.push((number, names[name]));
                        }
                    }
                    2 => {
                        hosts.remove(number);
                        open.retain(|(other, _)| *other != number);
                    }
                    _ if hosts.transport(number).is_some() => {
                        hosts.claim(number, names[name], &ours, &theirs);
                    }
                    _ => {}
                }
                hosts.check_invariants();
                for name in names {
                    let wanted: Vec<_> = open.iter().filter(|(_, to)| *to == name).map(|(n, _)| *n).collect();
                    prop_assert_eq!(hosts.connections(name).collect::<Vec<_>>(), &wanted[..]);
                    prop_assert_eq!(hosts.to_transport(name), wanted.first());
                    for number in wanted {
                        prop_assert_eq!(hosts.logical(number), Some(name));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "rivals.rs"]
mod rivals;
