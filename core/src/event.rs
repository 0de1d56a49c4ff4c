//! The ledger: why messages were dropped, why pipes went away, and how often.

use core::fmt;

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

            /// What happened, in a few words.
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
        Dropped::ALL.iter().map(|why| (*why, self.dropped(*why))).filter(|(_, count)| *count > 0)
    }

    /// Counts a discarded message: the one place where that happens.
    #[inline]
    pub fn count_dropped(&mut self, why: Dropped) {
        self.dropped[why as usize] += 1;
    }
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
    }
}
