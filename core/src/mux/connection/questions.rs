//! What can be asked of a connection and of each channel; nothing changes.

use super::super::frame::{Hello, MAX_FRAME_BYTES, MAX_HELLO_BYTES};
use super::super::id::ChannelId;
use super::super::stream::{RecvState, SendState};
use super::{Account, Channel, ChannelEnd, ChannelStats, End, Mux, MuxStats, NotOpened, Place, State};
use core::fmt;
use core::time::Duration;

impl Mux {
    /// Where it is in its life.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<&End> {
        match &self.state {
            State::Over(end) => Some(end),
            _ => None,
        }
    }

    /// What the peer can take, once it has said so.
    pub fn theirs(&self) -> Option<&Hello> {
        self.theirs.as_ref()
    }

    /// The largest frame that may come, without its length.
    pub fn max_frame_bytes(&self) -> usize {
        match self.state {
            State::Greeting => MAX_HELLO_BYTES,
            _ => MAX_FRAME_BYTES,
        }
    }

    /// The shortest of the last round trips.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trips.iter().flatten().min().copied()
    }

    /// The last round trip that was measured, and how many were.
    pub fn last_round_trip(&self) -> (Option<Duration>, u64) {
        (self.pulse.round_trip(), self.pongs)
    }

    /// What it has counted.
    pub fn stats(&self) -> MuxStats {
        MuxStats { channels: self.live, shared_used: self.shared.used(), ..self.stats }
    }

    /// Channels now, on which something may still happen.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Whether the peer lets us open another one now.
    pub fn may_open(&self) -> Result<(), NotOpened> {
        match &self.state {
            State::Greeting => Err(NotOpened::Full),
            State::Leaving { .. } => Err(NotOpened::Leaving),
            State::Over(end) => Err(NotOpened::Over(end.clone())),
            State::Open if self.next_number > u32::MAX - 2 => Err(NotOpened::Leaving),
            State::Open if self.have_opened >= self.may_open => Err(NotOpened::Full),
            State::Open => Ok(()),
        }
    }

    /// All channels on which something may still happen.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        let live =
            self.channels.iter().enumerate().filter_map(|(slot, channel)| Some((slot, channel.as_ref()?)));
        live.filter(|(_, channel)| !channel.over)
            .map(|(slot, channel)| Place { slot: slot as u32, number: channel.number })
    }

    #[inline]
    pub(super) fn channel(&self, place: Place) -> Option<&Channel> {
        self.channels.get(place.slot())?.as_deref().filter(|channel| channel.number == place.number)
    }

    #[inline]
    pub(super) fn channel_mut(&mut self, place: Place) -> Option<&mut Channel> {
        self.channels.get_mut(place.slot())?.as_deref_mut().filter(|channel| channel.number == place.number)
    }

    /// What the channel is called.
    pub fn id(&self, place: Place) -> Option<&ChannelId> {
        self.channel(place).map(|channel| &channel.id)
    }

    /// Whether the peer's program has accepted it, or ours has.
    pub fn is_accepted(&self, place: Place) -> bool {
        self.channel(place).is_some_and(|channel| channel.accepted)
    }

    /// How it ended before its time, if it has.
    pub fn channel_end(&self, place: Place) -> Option<&ChannelEnd> {
        self.channel(place)?.end.as_ref().map(|end| &end.how)
    }

    /// Whether both directions have ended, and both sides know.
    pub fn is_over(&self, place: Place) -> bool {
        self.channel(place).is_none_or(|channel| channel.over)
    }

    /// Whether the peer sends nothing more: all that came is in the queue.
    pub fn is_recv_finished(&self, place: Place) -> bool {
        self.channel(place).is_none_or(|channel| channel.over || channel.rx.state != RecvState::Open)
    }

    /// What became of what was sent on a channel.
    pub fn account(&self, place: Place) -> Account {
        let Some(channel) = self.channel(place) else { return Account::default() };
        let tx = &channel.tx;
        let written = tx.pushed - u64::from(tx.unsent).min(tx.pushed);
        let dead = channel.end.is_some() || !matches!(tx.state, SendState::Open | SendState::Ending);
        Account {
            accepted: tx.accepted,
            delivered: tx.delivered,
            abandoned: if dead { tx.accepted - written.max(tx.delivered) } else { 0 },
            unknown: written.saturating_sub(tx.delivered),
        }
    }

    /// What puts a channel before others where not all can be told of: how often it stalled, what waits to be
    /// sent, and how many messages it moved.
    pub(in crate::mux) fn weight(&self, place: Place) -> (u64, usize, u64) {
        let Some(channel) = self.channel(place) else { return (0, 0, 0) };
        let moved = self.account(place).accepted + channel.rx.delivered;
        (channel.tx.stalls.into(), channel.tx.waiting().1, moved)
    }

    /// What a channel has counted.
    pub fn channel_stats(&self, place: Place) -> ChannelStats {
        let Some(channel) = self.channel(place) else { return ChannelStats::default() };
        let (send_waiting, send_waiting_bytes) = channel.tx.waiting();
        ChannelStats {
            account: self.account(place),
            received: channel.rx.delivered,
            send_waiting,
            send_waiting_bytes,
            recv_waiting: channel.rx.messages(),
            recv_waiting_bytes: channel.rx.bytes(),
            send_credit: channel.tx.credit(),
            recv_credit: channel.rx.window.left(),
            window: channel.rx.window.size(),
            stalled_by_peer: channel.tx.stalls.into(),
        }
    }

    /// Whether something is to be written beside data, such as room for the peer.
    #[inline]
    pub fn owes(&self) -> bool {
        !self.debtors.is_empty()
    }

    /// Who has how much of the memory that all share, for people.
    pub fn memory(&self) -> impl fmt::Debug + '_ {
        (&self.shared, self.overdraws, &self.short)
    }
}
