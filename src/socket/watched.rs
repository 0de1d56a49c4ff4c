//! What a socket shows of itself: [`Snapshot`]s; and [`Watchable`], which multiplexed connections are, too.

use super::core::{Core, Phase};
use super::lane::Lane;
use super::{Peer, PeerStats};
use crate::{mux, rt};
use spanwire_core::mux::snapshot::MuxSnapshot;
use spanwire_core::pattern::{Held, Pattern};
use spanwire_core::snapshot::{EndpointSnapshot, PeerSnapshot, Snapshot};
use spanwire_core::{DetachReason, Histogram, Latency, Time};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

/// What can be watched: each socket of this crate; each [pool](crate::mux::Pool), [server](crate::mux::Server) and
/// [connection](crate::mux::Connection) of multiplexed connections; the blocking ones included.
pub trait Watchable: sealed::Sealed {}

pub(crate) mod sealed {
    /// Keeps [`Watchable`](super::Watchable) to the types of this crate.
    pub trait Sealed {
        #[doc(hidden)]
        fn watched(&self) -> super::Watched;
    }
}

/// What somebody watches, which does not keep it open.
#[derive(Clone, Debug)]
pub struct Watched(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Socket(Weak<Core>),
    Mux(mux::Watched),
}

/// What is shown.
pub(crate) enum Shown {
    Socket(Box<Snapshot>),
    Mux(MuxSnapshot),
}

impl Watched {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self(Kind::Socket(Arc::downgrade(core)))
    }

    /// What it shows now, under this name; nothing once it is closed.
    pub(crate) fn show(&self, name: &str) -> Option<Shown> {
        match &self.0 {
            Kind::Socket(core) => {
                let mut snapshot = open(core)?.snapshot();
                snapshot.name = name.into();
                Some(Shown::Socket(Box::new(snapshot)))
            }
            Kind::Mux(watched) => {
                let mut snapshot = watched.snapshot()?;
                snapshot.name = name.into();
                Some(Shown::Mux(snapshot))
            }
        }
    }

    /// Whether there is something to watch.
    pub(crate) fn is_open(&self) -> bool {
        match &self.0 {
            Kind::Socket(core) => open(core).is_some(),
            Kind::Mux(watched) => watched.is_open(),
        }
    }
}

fn open(core: &Weak<Core>) -> Option<Arc<Core>> {
    core.upgrade().filter(|core| core.is_open())
}

/// Those that carry channels, by themselves or for programs without `async`.
macro_rules! carriers {
    ($($carrier:ty)*) => {$(
        impl Watchable for $carrier {}

        impl sealed::Sealed for $carrier {
            fn watched(&self) -> Watched {
                Watched(Kind::Mux(self.watched()))
            }
        }
    )*};
}

carriers! { mux::Pool mux::Server mux::Connection }

/// Their blocking twins.
macro_rules! blocking_carriers {
    ($($carrier:ident)*) => {$(
        impl Watchable for crate::blocking::mux::$carrier {}

        impl sealed::Sealed for crate::blocking::mux::$carrier {
            fn watched(&self) -> Watched {
                sealed::Sealed::watched(self.as_async())
            }
        }
    )*};
}

blocking_carriers! { Pool Server Connection }

impl Core {
    /// Counts how long something took that has to do with a connection from `url`.
    pub(super) fn took(&self, url: &str, what: Latency, span: Duration) {
        self.lock().took.transports.took(url, what, span);
    }

    /// Counts how long a connection was there that did not become a peer.
    pub(super) fn refused_after(&self, why: DetachReason, span: Duration) {
        self.lock().took.refusals.record(why, span);
    }

    /// Everything that is counted and measured here. What has to be put into words and summed up is noted
    /// under the lock; the rest is done after it.
    pub(super) fn snapshot(&self) -> Snapshot {
        struct Here {
            peer: Arc<Peer>,
            stats: PeerStats,
            answers: Option<(Latency, Histogram)>,
            since: Time,
            outgoing: Held,
        }
        let mut all = Snapshot::new(self.protocol);
        let mut here;
        let mut transports;
        {
            let mut state = self.lock();
            let state = &mut *state;
            here = Vec::with_capacity(state.attached());
            for entry in state.pipes.iter_mut().flatten() {
                let outgoing = entry.lane.as_mut().map(Lane::held);
                if let (Some(outgoing), Some(since)) = (outgoing, entry.since) {
                    let (peer, stats) = (entry.peer.clone(), entry.tally.stats());
                    let answers = entry.tally.answers().map(|(what, spans)| (what, spans.clone()));
                    here.push(Here { peer, stats, answers, since, outgoing });
                }
            }
            all.ledger = state.ledger.clone();
            all.latencies = state.took.late.clone();
            all.lives = state.took.lives.clone();
            all.refusals = state.took.refusals.clone();
            all.waits = state.took.waits.clone();
            transports = state.took.transports.clone();
            all.queues.peers = state.attached();
            all.queues.incoming = state.rule.held();
            all.queues.outgoing.messages = state.rule.waiting();
            all.queues.waiting_senders = state.waits.senders();
        }
        let now = rt::now();
        all.age = now - self.made;
        all.queues.waiting_receivers = self.waiting_receivers();
        for Here { peer, stats, answers, since, outgoing } in here {
            transports.add(&peer.origin.url, &stats, answers.as_ref().map(|(what, spans)| (*what, spans)));
            all.queues.outgoing = [all.queues.outgoing, outgoing].into_iter().sum();
            let mut one = PeerSnapshot::default();
            one.pipe = peer.pipe.get();
            one.remote = peer.ends.remote.to_string();
            one.url = peer.origin.url.to_string();
            one.dialed = peer.origin.dialed;
            one.age = now - since;
            one.outgoing = outgoing;
            one.stats = stats;
            if let Some((what, spans)) = answers {
                *one.latencies.of_mut(what) = spans;
            }
            all.peers.push(one);
        }
        all.transports = transports.into_sums();
        for transport in &all.transports {
            all.latencies.merge(&transport.latencies);
        }
        for (_, spans) in all.waits.measured() {
            all.latencies.of_mut(Latency::Room).merge(spans);
        }
        let endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.endpoints = endpoints.iter().filter(|one| !one.is_closed()).map(|one| one.snapshot()).collect();
        all.queues.half_open = all.endpoints.iter().map(|one: &EndpointSnapshot| one.half_open).sum();
        all
    }

    /// Whether it is neither closed nor orphaned.
    pub(super) fn is_open(&self) -> bool {
        self.lock().phase == Phase::Open
    }
}
