//! [`MuxSnapshot`]: what multiplexed connections count, and who stalls on them, at one moment.

use super::connection::{ChannelStats, Mux, MuxStats, Place};
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

/// So many channels of one connection are told of: those of which somebody who looks wants to know first.
pub const TOLD_CHANNELS: usize = 32;

/// So many channels of all connections under one name, at least one of each.
const TOLD_OF_ALL: usize = 1_024;

/// How many channels of each are told of where there are so many connections: 32, and fewer from 33
/// connections on, so that it is never much more than 1,024 in all; at least one.
pub fn told_channels(connections: usize) -> usize {
    (TOLD_OF_ALL / connections.max(1)).clamp(1, TOLD_CHANNELS)
}

/// The connections of a pool or of a server, or a single one, at one moment. Counters are totals since the
/// pool or server was made; they never fall.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MuxSnapshot {
    /// Under which name it is exposed; empty when it is not.
    pub name: String,
    /// What it is.
    pub role: MuxRole,
    /// Dials that were begun, or connections that arrived. A single connection: 1.
    pub attempts: u64,
    /// Dials, or attempts to accept, that failed.
    pub failures: u64,
    /// Who was refused: logical connections for which too many waited already; connections that a server did
    /// not let in.
    pub refused: u64,
    /// Connections that were closed since they were idle or others needed their place; half-open ones that
    /// were dropped since there were too many.
    pub evicted: u64,
    /// Who waits for a connection; connections in their handshake.
    pub waiting: usize,
    /// Each that is there, the oldest first.
    pub connections: Vec<MuxConnectionSnapshot>,
}

impl MuxSnapshot {
    /// One without connections.
    pub fn new(role: MuxRole) -> Self {
        let (attempts, failures, refused, evicted) = (0, 0, 0, 0);
        let connections = Vec::new();
        Self { name: String::new(), role, attempts, failures, refused, evicted, waiting: 0, connections }
    }
}

/// What multiplexed connections belong to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MuxRole {
    /// A pool, which dials them.
    Pool,
    /// A server, which accepts them.
    Server,
    /// It is a single one.
    Connection,
}

impl MuxRole {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pool, Self::Server, Self::Connection];

    /// In one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Server => "server",
            Self::Connection => "connection",
        }
    }

    /// The one with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A physical connection, for whoever watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MuxConnectionSnapshot {
    /// Its number: that of no other connection of the process.
    pub number: u64,
    /// The address that was dialled, or of the listener it came from; `wrapped` if the program had it already.
    pub url: String,
    /// Where the peer is, as the transport knows it.
    pub remote: String,
    /// Whether we dialled.
    pub dialed: bool,
    /// The shortest of the last round trips; nothing before one was measured.
    pub round_trip: Option<Duration>,
    /// What it has counted.
    pub stats: MuxStats,
    /// Bytes that wait to be handed to the kernel.
    pub waiting_bytes: usize,
    /// Up to [`TOLD_CHANNELS`] of its channels: those that stalled most, then those on which most waits to be
    /// sent, then those on which most messages went both ways.
    pub channels: Vec<MuxChannelSnapshot>,
}

/// A channel, for whoever watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MuxChannelSnapshot {
    /// Its number on its connection.
    pub number: u32,
    /// What it is called.
    pub id: String,
    /// What it has counted, what waits on it, the credit that is left, and how often its reader was too slow.
    pub stats: ChannelStats,
}

impl Mux {
    /// What somebody who looks is told: of the connection, and of so many channels.
    pub fn snapshot(&self, channels: usize) -> MuxConnectionSnapshot {
        let mut told: Vec<_> = self.places().map(|place| (Reverse(self.weight(place)), place)).collect();
        let order = |(weight, place): &(Reverse<_>, Place)| (*weight, place.number());
        if channels < told.len() {
            told.select_nth_unstable_by_key(channels, order);
            told.truncate(channels);
        }
        told.sort_unstable_by_key(order);
        let channels = told.into_iter().map(|(_, place)| MuxChannelSnapshot {
            number: place.number(),
            id: self.id(place).map_or_else(String::new, |id| id.as_str().into()),
            stats: self.channel_stats(place),
        });
        MuxConnectionSnapshot {
            round_trip: self.round_trip(),
            stats: self.stats(),
            channels: channels.collect(),
            ..MuxConnectionSnapshot::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MuxOptions;
    use super::super::connection::tests::{START, deliver};
    use super::super::id::{ChannelId, Code};
    use super::*;
    use crate::priority::Priority;
    use alloc::{format, vec};

    #[test]
    fn those_are_told_of_that_stall_and_those_that_move_most() {
        let options = MuxOptions::default();
        let mut here = Mux::new(&options, [2; 16], START);
        let mut there = Mux::new(&options, [1; 16], START);
        let run = |here: &mut Mux, there: &mut Mux| {
            while deliver(here, there, START) | deliver(there, here, START) {}
        };
        run(&mut here, &mut there);
        let mut open = |id: &str| {
            let id = ChannelId::new(id).expect("it is short");
            let place = here.open(id, Priority::Normal).expect("the peer takes more");
            run(&mut here, &mut there);
            place
        };
        let _idle: Vec<_> = (0..40).map(|number| open(&format!("idle {number}"))).collect();
        let (busy, slow) = (open("busy"), open("slow"));
        let mut sent = 0;
        while here.send(slow, vec![7; 1_000].into()).is_ok() {
            sent += 1;
            assert!(sent < 10_000, "somebody who does not read is not sent to for ever");
            run(&mut here, &mut there);
        }
        for _ in 0..2 {
            here.send(busy, "x".into()).expect("there is room");
            run(&mut here, &mut there);
        }
        let all = here.snapshot(TOLD_CHANNELS);
        assert_eq!((all.stats.channels, all.channels.len()), (42, TOLD_CHANNELS));
        let ids: Vec<_> = all.channels.iter().map(|channel| &*channel.id).collect();
        assert_eq!(ids[..4], ["slow", "busy", "idle 0", "idle 1"]);
        let stats = &all.channels[0].stats;
        assert!(stats.stalled_by_peer > 0 && stats.send_waiting_bytes > 0 && stats.send_credit < 10_000);
        assert_eq!(all.stats.stalls, stats.stalled_by_peer, "no other has stalled");
        // What has not been taken waits at the other end; nobody has stalled there.
        let other = there.snapshot(1);
        assert_eq!((other.stats.channels, other.channels.len(), other.stats.stalls), (42, 1, 0));
        let [waits] = &other.channels[..] else { panic!("{other:?}") };
        assert_eq!((&*waits.id, waits.stats.received), ("slow", waits.stats.recv_waiting as u64));
        assert!(waits.stats.recv_waiting_bytes >= waits.stats.recv_waiting * 1_000);
        // Those of channels that are gone are still counted.
        let stalls = all.stats.stalls;
        here.reset(slow, Code::NONE, "");
        here.release(slow);
        run(&mut here, &mut there);
        assert!(here.snapshot(1).channels.iter().all(|channel| channel.number != slow.number()));
        assert_eq!(here.stats().stalls, stalls);
        assert!(here.snapshot(0).channels.is_empty());
    }

    #[test]
    fn where_there_are_many_connections_each_tells_of_fewer_channels() {
        for (connections, channels) in [(0, 32), (1, 32), (32, 32), (33, 31), (1_000, 1), (100_000, 1)] {
            assert_eq!(told_channels(connections), channels, "{connections}");
        }
    }

    #[test]
    fn a_role_is_found_by_its_name() {
        for role in MuxRole::ALL {
            assert_eq!(MuxRole::from_name(role.name()), Some(role));
        }
        assert_eq!(MuxRole::from_name("tunnel"), None);
    }
}
