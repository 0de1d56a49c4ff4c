//! The ledger: why messages were dropped, why pipes went away, how often, and how long things took.

use crate::histogram::Histogram;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// Declares an enum whose variants have a short sentence and can be counted in an array.
macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name, which never changes: for labels and for programs.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }

            /// The one with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }

            /// What it is, in a few words.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

reasons! {
    /// Why a message was discarded. Each discard is counted once, under one of these.
    Dropped {
        /// The peer sent a payload that its protocol does not allow; its connection is closed.
        Malformed => "malformed payload",
        /// The message had been through as many devices as the hop limit allows.
        HopLimit => "hop limit reached",
        /// A reply or an answer whose request or survey is not, or no longer, waiting.
        NoRequest => "no such request",
        /// A second reply to a request that has its reply.
        Duplicate => "request was answered already",
        /// No subscription of the receiving socket matches.
        NotSubscribed => "not subscribed",
        /// The receive queue was full (SUB, BUS, answers to a survey).
        QueueFull => "receive queue full",
        /// The outbox of a subscriber was full; its oldest message made room.
        SlowSubscriber => "slow subscriber",
        /// A newer message on the same topic took its place in a slow subscriber's outbox.
        Conflated => "replaced by a newer message",
        /// The outbox of the addressed peer was full, and the pattern does not wait.
        OutboxFull => "outbox full",
        /// Nobody was attached who could have had it.
        NoPeer => "no peer",
        /// The peer it was for is gone, with the message not handed to the kernel.
        PipeLost => "connection lost",
        /// A request was dropped by the application without a reply.
        Unanswered => "request dropped unanswered",
        /// The application began something new, or gave up, before this was taken.
        Cancelled => "cancelled",
        /// The peer sent data on a socket that only sends.
        Unexpected => "data on a socket that only sends",
        /// The message was larger than the limit; the connection is closed.
        TooLarge => "message over the size limit",
        /// It was still waiting when the socket was closed.
        Closed => "socket closed",
    }
}

reasons! {
    /// Why a pipe went away, or never came to be.
    DetachReason {
        /// The peer closed the connection between two messages.
        PeerClosed => "closed by the peer",
        /// The connection broke, or ended inside a message.
        ConnectionLost => "connection lost",
        /// The peer did not speak the SP handshake.
        BadHandshake => "peer does not speak SP",
        /// The peer speaks SP, but not the pattern that belongs to ours.
        WrongProtocol => "peer has an incompatible protocol",
        /// The handshake below SP failed: TLS, WebSocket or QUIC. An event says more.
        UpgradeFailed => "secure or WebSocket handshake failed",
        /// The handshake took longer than it may.
        HandshakeTimeout => "handshake timed out",
        /// Too many connections were waiting in their handshake; this was the oldest.
        HalfOpenLimit => "too many half-open connections",
        /// A frame or a payload broke the protocol.
        ProtocolViolation => "peer broke the protocol",
        /// The peer announced a message larger than the limit.
        MessageTooLarge => "message over the size limit",
        /// The filter of the application refused the peer.
        Filtered => "refused by the filter",
        /// The socket has its one peer already (PAIR).
        Busy => "socket has its peer already",
        /// The application closed the pipe, its dialer, its listener or the socket.
        ClosedHere => "closed here",
        /// The runtime that served the connection is gone.
        RuntimeGone => "runtime gone",
    }
}

reasons! {
    /// What takes time, and is measured: each span is counted in a [`Histogram`] of the socket.
    Latency {
        /// REQ: from a request's being sent to its reply's coming in, resends included.
        Reply => "request to reply",
        /// SURVEYOR: from a survey's being sent to each of its answers.
        Answer => "survey to answer",
        /// How long a sender waited for room, or for a peer; those that gave up included. Sends that
        /// found room at once are not counted.
        Room => "wait for room to send",
        /// How long a dialer needed to resolve a name and to connect; with TLS, WebSocket or QUIC, to
        /// shake hands below SP, too.
        Connect => "connecting",
        /// From a connection's being there to its being a peer: what is left of the handshakes, and the
        /// filter.
        Handshake => "handshake",
        /// How long peers that are gone had been attached.
        Connection => "life of a connection",
    }
}

reasons! {
    /// What a send waits for.
    Lack {
        /// Those who are there have no room.
        Full => "no room",
        /// Nobody is there.
        NoPeer => "no peer",
    }
}

/// A [`Histogram`] for each [`Latency`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies([Histogram; Latency::ALL.len()]);

impl Latencies {
    /// Counts one span.
    pub fn record(&mut self, what: Latency, span: Duration) {
        self.0[what as usize].record(span);
    }

    /// What was counted of one kind.
    pub fn of(&self, what: Latency) -> &Histogram {
        &self.0[what as usize]
    }

    /// The same, to change it.
    pub fn of_mut(&mut self, what: Latency) -> &mut Histogram {
        &mut self.0[what as usize]
    }

    /// Adds all that others have counted.
    pub fn merge(&mut self, others: &Self) {
        for (what, spans) in others.measured() {
            self.of_mut(what).merge(spans);
        }
    }

    /// Those kinds of which something was counted.
    pub fn measured(&self) -> impl Iterator<Item = (Latency, &Histogram)> {
        Latency::ALL.iter().map(|what| (*what, self.of(*what))).filter(|(_, all)| !all.is_empty())
    }
}

/// A [`Histogram`] for each reason that has occurred: how long things took that ended, or waited, for it.
#[derive(Clone, Debug)]
pub struct ByReason<R>(Vec<(R, Histogram)>);

impl<R> Default for ByReason<R> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<R: Copy + Ord> ByReason<R> {
    /// Counts one span.
    pub fn record(&mut self, why: R, span: Duration) {
        self.of_mut(why).record(span);
    }

    /// What was counted for one reason.
    pub fn of(&self, why: R) -> &Histogram {
        static NONE: Histogram = Histogram::new();
        self.place_of(why).map_or(&NONE, |at| &self.0[at].1)
    }

    /// The same, to change it.
    pub fn of_mut(&mut self, why: R) -> &mut Histogram {
        let at = self.place_of(why).unwrap_or_else(|at| {
            self.0.insert(at, (why, Histogram::new()));
            at
        });
        &mut self.0[at].1
    }

    /// Those reasons for which something was counted, in their order.
    pub fn measured(&self) -> impl Iterator<Item = (R, &Histogram)> {
        self.0.iter().map(|(why, all)| (*why, all)).filter(|(_, all)| !all.is_empty())
    }

    fn place_of(&self, why: R) -> Result<usize, usize> {
        self.0.binary_search_by_key(&why, |(other, _)| *other)
    }
}

/// Two are the same when they have counted the same.
impl<R: Copy + Ord> PartialEq for ByReason<R> {
    fn eq(&self, other: &Self) -> bool {
        self.measured().eq(other.measured())
    }
}

impl<R: Copy + Ord> Eq for ByReason<R> {}

impl DetachReason {
    /// Whether trying again soon may well succeed without anybody changing anything.
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::PeerClosed
                | Self::ConnectionLost
                | Self::HandshakeTimeout
                | Self::HalfOpenLimit
                | Self::Busy
        )
    }
}

/// What a socket counts. All numbers are totals since the socket was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Messages accepted from the application.
    pub sent_messages: u64,
    /// Their bytes, header included.
    pub sent_bytes: u64,
    /// Messages that came in from peers, whatever became of them.
    pub received_messages: u64,
    /// Their bytes, header included.
    pub received_bytes: u64,
    /// Messages handed to the application.
    pub delivered_messages: u64,
    /// Requests or jobs that were sent again, to the same peer or another.
    pub resent_messages: u64,
    /// Messages whose bytes the kernel had, in part or whole, when their connection was cut.
    pub unknown_messages: u64,
    /// Pipes that were attached.
    pub attached_pipes: u64,
    /// Connections that were refused before they became pipes.
    pub refused_pipes: u64,
    dropped: [u64; Dropped::ALL.len()],
    detached: [u64; DetachReason::ALL.len()],
    refused: [u64; DetachReason::ALL.len()],
}

impl Ledger {
    /// How many messages were discarded for this reason.
    pub fn dropped(&self, why: Dropped) -> u64 {
        self.dropped[why as usize]
    }

    /// How many messages were discarded for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Every reason that occurred, with its count.
    pub fn drops(&self) -> impl Iterator<Item = (Dropped, u64)> + '_ {
        counted(Dropped::ALL, |why| self.dropped(why))
    }

    /// Counts a discarded message: the one place where that happens.
    #[inline]
    pub fn count_dropped(&mut self, why: Dropped) {
        self.dropped[why as usize] += 1;
    }

    /// How many pipes went away for this reason.
    pub fn detached(&self, why: DetachReason) -> u64 {
        self.detached[why as usize]
    }

    /// Every reason for which pipes went away, with its count.
    pub fn detaches(&self) -> impl Iterator<Item = (DetachReason, u64)> + '_ {
        counted(DetachReason::ALL, |why| self.detached(why))
    }

    /// How many connections were refused for this reason before they became pipes.
    pub fn refused(&self, why: DetachReason) -> u64 {
        self.refused[why as usize]
    }

    /// Every reason for which connections were refused, with its count.
    pub fn refusals(&self) -> impl Iterator<Item = (DetachReason, u64)> + '_ {
        counted(DetachReason::ALL, |why| self.refused(why))
    }

    /// Counts a pipe that went away.
    pub fn count_detached(&mut self, why: DetachReason) {
        self.detached[why as usize] += 1;
    }

    /// Counts a connection that did not become a pipe.
    pub fn count_refused(&mut self, why: DetachReason) {
        self.refused[why as usize] += 1;
        self.refused_pipes += 1;
    }

    /// For whoever reads a ledger from somewhere: sets the count of one reason.
    pub(crate) fn set_dropped(&mut self, why: Dropped, count: u64) {
        self.dropped[why as usize] = count;
    }

    pub(crate) fn set_detached(&mut self, why: DetachReason, count: u64) {
        self.detached[why as usize] = count;
    }

    pub(crate) fn set_refused(&mut self, why: DetachReason, count: u64) {
        self.refused[why as usize] = count;
    }
}

/// Those of `all` that occurred, with their counts.
fn counted<R: Copy>(all: &'static [R], count: impl Fn(R) -> u64) -> impl Iterator<Item = (R, u64)> {
    all.iter().map(move |why| (*why, count(*why))).filter(|(_, count)| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_counter_of_its_own() {
        let mut ledger = Ledger::default();
        for (n, why) in Dropped::ALL.iter().enumerate() {
            for _ in 0..=n {
                ledger.count_dropped(*why);
            }
        }
        for (n, why) in Dropped::ALL.iter().enumerate() {
            assert_eq!(ledger.dropped(*why), n as u64 + 1, "{why}");
        }
        assert_eq!(ledger.drops().count(), Dropped::ALL.len());
        for why in DetachReason::ALL {
            ledger.count_detached(*why);
            ledger.count_refused(*why);
            ledger.count_refused(*why);
            assert_eq!((ledger.detached(*why), ledger.refused(*why)), (1, 2), "{why}");
        }
        assert_eq!(ledger.refused_pipes, 2 * DetachReason::ALL.len() as u64);
        assert_eq!(ledger.detaches().count(), ledger.refusals().count());
    }

    #[test]
    fn spans_are_kept_by_reason_in_their_order() {
        let mut spans = ByReason::default();
        for (why, millis) in [(Lack::NoPeer, 3), (Lack::Full, 1), (Lack::NoPeer, 4)] {
            spans.record(why, Duration::from_millis(millis));
        }
        assert_eq!((spans.of(Lack::Full).count(), spans.of(Lack::NoPeer).count()), (1, 2));
        assert!(spans.measured().map(|(why, _)| why).eq([Lack::Full, Lack::NoPeer]));
        assert!(ByReason::default().of(DetachReason::Busy).is_empty());
        let mut asked = ByReason::default();
        assert!(asked.of_mut(DetachReason::Busy).is_empty());
        assert_eq!(asked, ByReason::default());
    }

    #[test]
    fn a_name_finds_its_reason() {
        for why in Dropped::ALL {
            assert_eq!(Dropped::from_name(why.name()), Some(*why));
        }
        assert_eq!(Dropped::PipeLost.name(), "PipeLost");
        assert_eq!(Dropped::from_name("pipe lost"), None);
    }
}
