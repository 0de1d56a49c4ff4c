//! What holds of a pool at any time.

use super::{Idle, Pool, State};

impl<K: Ord + Clone> Pool<K> {
    /// Panics when the account does not add up. For tests and fuzzers.
    pub fn check_invariants(&self) {
        assert!(self.physical.len() <= self.options.in_all, "no more physical connections than may be");
        assert!(self.tickets.len() <= self.options.max_waiting, "no more wait than may");
        let (mut physical, mut waiting, mut granted, mut stranded, mut redials) = (0, 0, 0, 0, 0);
        for (key, address) in &self.addresses {
            let view = self.view(key);
            assert!(view.live <= self.options.per_address, "no more to one address than may be");
            let is_needed = address.stay_up > 0 || !address.waiting.is_empty();
            assert!(is_needed || !address.physical.is_empty(), "an address without use is forgotten");
            physical += address.physical.len();
            waiting += address.waiting.len();
            for ticket in &address.waiting {
                let place = self.tickets.get(ticket).expect("who waits is known");
                assert!(place.key == *key && place.granted.is_none());
            }
            assert!(
                address.waiting.is_empty() || view.live == 0 || view.dials > 0,
                "who waits, waits for a dial"
            );
            let first = address.waiting.first().copied().filter(|_| view.live == 0);
            assert_eq!(address.stranded, first, "stranded without any");
            if let Some(first) = first {
                stranded += 1;
                assert!(self.stranded.get(&first) == Some(key));
            }
            let wants = view.live == 0 && address.waiting.is_empty() && address.stay_up > 0;
            assert_eq!(address.redial_at.is_some(), wants, "who wants to stay up is dialled again");
            if let Some(at) = address.redial_at {
                redials += 1;
                assert!(self.redials.contains(&(at, key.clone())));
            }
        }
        let mut idle = 0;
        for (number, connection) in &self.physical {
            let address = self.addresses.get(&connection.key).expect("its address is known");
            assert!(address.physical.contains(number));
            granted += connection.granted.len();
            for ticket in &connection.granted {
                let place = self.tickets.get(ticket).expect("who was granted one is known");
                assert!(place.key == connection.key && place.granted == Some(*number));
            }
            assert!(connection.granted.len() as u64 <= connection.logical, "what is granted counts");
            match connection.state {
                State::Dialing => assert_eq!(connection.logical, 0),
                State::Open => {}
                State::Leaving => assert!(connection.logical > 0 && connection.granted.is_empty()),
            }
            if let Some(since) = connection.idle_since {
                idle += 1;
                assert!(self.idle.contains(&(since, *number)));
                assert!(connection.logical == 0 && address.stay_up == 0, "idle ones are not used");
                assert!(!connection.passing, "this one is not kept");
            } else {
                let is_used = connection.logical > 0 || address.stay_up > 0;
                assert!(is_used || !address.waiting.is_empty(), "what is not used is idle");
            }
            assert!(!self.closed || connection.state == State::Leaving);
        }
        assert_eq!((physical, idle), (self.physical.len(), self.idle.len()));
        assert_eq!(waiting + granted, self.tickets.len(), "each ticket waits or was granted something");
        assert_eq!((stranded, redials), (self.stranded.len(), self.redials.len()));
        let is_full = self.physical.len() == self.options.in_all && self.idle.is_empty();
        assert!(self.stranded.is_empty() || is_full, "nobody waits while there is room");
        assert!(self.idle.is_empty() || self.options.idle != Idle::CloseAtOnce);
        assert!(!self.closed || self.tickets.is_empty() && self.redials.is_empty());
    }
}
