//! [`PeerRates`]: what each peer of a host may send, whichever of its connections it comes over.

use crate::rt;
use crate::transport::{Ends, Place};
use spanwire_core::Time;
use spanwire_core::link::LinkOptions;
use spanwire_core::link::rates::{Came, Rates, Verdict};
use std::collections::hash_map::RandomState;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One peer, as far as limits are concerned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// A logical host that has proved its name.
    Host(Arc<str>),
    Ip(IpAddr),
    /// Over unix sockets: by its user, as the kernel says.
    User(u32),
    /// What has neither address nor user: this process, adopted descriptors, most transports of applications.
    Other,
}

impl Who {
    /// By the transport, which nobody can choose freely.
    pub(super) fn by_transport(ends: Option<&Ends>) -> Self {
        match ends.map(|ends| (&ends.remote, ends.credentials)) {
            // Listeners for both kinds of IP show IPv4 as IPv6.
            Some((Place::Ip(address), _)) => Self::Ip(address.ip().to_canonical()),
            Some((_, Some(credentials))) => Self::User(credentials.uid),
            _ => Self::Other,
        }
    }
}

/// The rates of all peers of a host. Leaf lock: used under that of a connection.
#[derive(Debug)]
pub(super) struct PeerRates(Mutex<Rates<Who, RandomState>>);

impl PeerRates {
    /// `None` where the options have no rates.
    pub(super) fn new(options: &LinkOptions) -> Option<Arc<Self>> {
        Rates::new(options).map(|rates| Arc::new(Self(Mutex::new(rates))))
    }

    fn lock(&self) -> MutexGuard<'_, Rates<Who, RandomState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection of this peer has its part until what is returned is dropped.
    pub(super) fn join(self: &Arc<Self>, who: Who) -> Share {
        self.lock().join(who.clone(), rt::now());
        Share { rates: self.clone(), who }
    }
}

/// The part that a connection has in the allowance of its peer.
#[derive(Debug)]
pub(super) struct Share {
    rates: Arc<PeerRates>,
    who: Who,
}

impl Share {
    pub(super) fn charge(&self, came: Came, now: Time) -> Verdict {
        self.rates.lock().charge(&self.who, came, now)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.rates.lock().leave(&self.who, rt::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_the_same_whichever_kind_of_listener_it_comes_to() {
        let ends = |remote: &str| {
            let (local, remote) = (Place::Unnamed, Place::Ip(remote.parse().unwrap()));
            Who::by_transport(Some(&Ends { local, remote, credentials: None, tls: None }))
        };
        assert_eq!(ends("127.0.0.1:1"), ends("[::ffff:127.0.0.1]:2"));
        assert_ne!(ends("127.0.0.1:1"), ends("127.0.0.2:1"));
        assert_eq!(Who::by_transport(None), Who::Other);
    }
}
