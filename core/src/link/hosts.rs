//! Who is who: [`Hosts`] maps transport hosts to logical hosts and back, and decides which of two
//! connections between the same two hosts stays.

use alloc::collections::BTreeMap;
use alloc::string::String;

/// The connections of one host, by number and by the logical host at their other end.
///
/// This is the one owner of both mappings: what is in one is in the other. `T` is the transport host: the
/// address at the other end of a connection. Nothing is ever searched for: either way is a look into an
/// ordered map, which unlike a hash table cannot be made slow by whoever chooses the names.
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
pub struct Hosts<T> {
    by_number: BTreeMap<u64, Entry<T>>,
    /// One of the open connections to each logical host, for `to_transport`: the oldest.
    by_logical: BTreeMap<(String, u64), ()>,
    places: BTreeMap<String, Place>,
}

#[derive(Debug)]
struct Entry<T> {
    transport: T,
    /// Known once the handshake is done.
    logical: Option<String>,
    /// The host whose place it has.
    place: Option<String>,
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

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Self { by_number: BTreeMap::new(), by_logical: BTreeMap::new(), places: BTreeMap::new() }
    }
}

impl<T> Hosts<T> {
    /// A connection was made: its transport host is known.
    pub fn add(&mut self, number: u64, transport: T) {
        self.by_number.insert(number, Entry { transport, logical: None, place: None });
    }

    /// Its handshake is done: its logical host is known, and will not change.
    pub fn open(&mut self, number: u64, logical: &str) {
        let Some(entry) = self.by_number.get_mut(&number) else { return };
        entry.logical = Some(logical.into());
        self.by_logical.insert((logical.into(), number), ());
        if let Some(place) = self.places.get_mut(logical) {
            place.taken |= place.number == number;
        }
    }

    /// It is gone, at whatever point.
    pub fn remove(&mut self, number: u64) {
        let Some(entry) = self.by_number.remove(&number) else { return };
        if let Some(logical) = entry.logical {
            self.by_logical.remove(&(logical, number));
        }
        if let Some(host) = entry.place {
            self.places.remove(&host);
        }
    }

    /// The logical host at the other end of a connection.
    pub fn logical(&self, number: u64) -> Option<&str> {
        self.by_number.get(&number)?.logical.as_deref()
    }

    /// The transport host at the other end of a connection.
    pub fn transport(&self, number: u64) -> Option<&T> {
        self.by_number.get(&number).map(|entry| &entry.transport)
    }

    /// The open connections to a logical host, oldest first.
    pub fn connections<'a>(&'a self, logical: &'a str) -> impl Iterator<Item = u64> + 'a {
        let from = (String::from(logical), 0);
        let range = self.by_logical.range(from..);
        range.take_while(move |((host, _), ())| host == logical).map(|((_, number), ())| *number)
    }

    /// The transport host to send to for a logical host: that of its oldest open connection.
    pub fn to_transport(&self, logical: &str) -> Option<&T> {
        self.transport(self.connections(logical).next()?)
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
        let claim = match self.places.get(logical) {
            None => Claim::Granted,
            Some(place) if place.number == number => return Claim::Granted,
            // The host has been started anew, and can know nothing of the old one.
            Some(place) if place.instance != *theirs => Claim::Replaces(place.number),
            Some(place) if ours >= theirs => Claim::Replaces(place.number),
            Some(place) if place.taken => return Claim::Duplicate(place.number),
            Some(_) => return Claim::Wait,
        };
        if let Claim::Replaces(former) = claim {
            if let Some(former) = self.by_number.get_mut(&former) {
                former.place = None;
            }
        }
        if let Some(entry) = self.by_number.get_mut(&number) {
            // It has one place at most.
            if let Some(other) = entry.place.replace(logical.into()) {
                self.places.remove(&other);
            }
            self.places.insert(logical.into(), Place { number, instance: *theirs, taken: false });
        }
        claim
    }

    /// Whether this is the moment to [`claim`](Self::claim): before the umpire commits itself, and for the
    /// other one after that. `acknowledged` says whether the peer's Ack is here.
    pub fn claims_now(dialed: bool, acknowledged: bool, ours: &[u8; 16], theirs: &[u8; 16]) -> bool {
        acknowledged != (dialed && ours < theirs)
    }

    /// The connection that has, or is about to have, the place of a logical host.
    pub fn holder(&self, logical: &str) -> Option<u64> {
        self.places.get(logical).map(|place| place.number)
    }

    /// Panics when the two mappings are not each other's reverse.
    pub fn check_invariants(&self) {
        for ((logical, number), ()) in &self.by_logical {
            assert_eq!(self.logical(*number), Some(logical.as_str()));
        }
        let open = self.by_number.values().filter(|entry| entry.logical.is_some()).count();
        assert_eq!(open, self.by_logical.len());
        for (host, place) in &self.places {
            let of = self.by_number.get(&place.number).and_then(|entry| entry.place.as_ref());
            assert_eq!(of, Some(host), "a place and its connection");
        }
        let placed = self.by_number.values().filter(|entry| entry.place.is_some()).count();
        assert_eq!(placed, self.places.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn the_two_mappings_never_part(
            steps in prop::collection::vec((0_u8..4, 0_u64..6, 0_usize..3, any::<bool>()), 0..100),
        ) {
            let names = ["ann", "bob", "ann2"];
            let mut hosts = Hosts::default();
            for (step, number, name, umpire) in steps {
                let (ours, theirs) = if umpire { (SMALL, LARGE) } else { (LARGE, SMALL) };
                match step {
                    0 if hosts.transport(number).is_none() => hosts.add(number, number),
                    1 if hosts.logical(number).is_none() => hosts.open(number, names[name]),
                    2 => hosts.remove(number),
                    _ if hosts.transport(number).is_some() => {
                        hosts.claim(number, names[name], &ours, &theirs);
                    }
                    _ => {}
                }
                hosts.check_invariants();
                for name in names {
                    for number in hosts.connections(name) {
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
