//! The life of a connection: it leaves, is lost, is over; and what is due when.

use super::super::id::Code;
use super::super::stream::SendState;
use super::{ChannelEnd, ConnectionChanges, End, Mux, Place, State, due};
use crate::session::pulse::Beat;
use crate::time::Time;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

/// A channel that sent nothing for so long, or twice that, gives back what credit it has beyond the first.
pub(super) const RETURN_AFTER: Duration = Duration::from_secs(1);

/// Idle channels are looked for so many times in the time that they may be idle.
pub(super) const IDLE_LOOKS: u8 = 4;

impl Mux {
    /// Takes no new channels, and ends when those that there are have ended, or at `until`.
    pub fn leave(&mut self, code: Code, text: &str, until: Option<Time>) {
        match &mut self.state {
            State::Over(_) => return,
            State::Leaving { until: before } => {
                self.sooner = true;
                *before = match (*before, until) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
            State::Greeting | State::Open => {
                (self.state, self.sooner) = (State::Leaving { until }, true);
                (self.news.state, self.news.openings, self.news.incoming) = (true, true, true);
            }
        }
        self.say_go_away(code, text);
        // Those of which messages have come stay to be accepted: their sender knows that they are here.
        let (stay, go): (VecDeque<u32>, VecDeque<u32>) = core::mem::take(&mut self.incoming)
            .into_iter()
            .partition(|slot| self.channels[*slot as usize].as_ref().is_some_and(|c| c.rx.has_any()));
        self.incoming = stay;
        for slot in go {
            self.reset_slot(
                slot,
                Code::LEAVING,
                String::new(),
                ChannelEnd::ResetHere { code: Code::LEAVING },
            );
        }
        self.end_if_done();
    }

    /// Whether it is over, and no channel was cut by a [`leave`](Self::leave): all had ended by themselves.
    pub fn has_parted(&self) -> bool {
        self.end().is_some() && !self.cut_short
    }

    pub(super) fn say_go_away(&mut self, code: Code, text: &str) {
        if self.go_away.is_none() {
            self.go_away = Some((code, text.to_string()));
            self.go_away_due = true;
        }
    }

    /// Measures the round trip; [`last_round_trip`](Self::last_round_trip) has one more then.
    pub fn ping(&mut self, now: Time) {
        self.ping_due = Some(self.pulse.ping(now));
    }

    /// Whether the [`deadline`](Self::deadline) may have come nearer since this was asked last.
    #[inline]
    pub fn is_due_sooner(&mut self) -> bool {
        core::mem::take(&mut self.sooner)
    }

    /// When [`expire`](Self::expire) is due.
    pub fn deadline(&self) -> Option<Time> {
        let state = match self.state {
            State::Greeting => return Some(self.handshake_until),
            State::Open => None,
            State::Leaving { until } => until,
            State::Over(_) => return None,
        };
        let idle = self.options.idle_timeout.filter(|_| self.live == 0);
        let idle = idle.map(|timeout| self.no_channels_since + timeout);
        let look = self.idle_look_at.filter(|_| self.live > 0);
        [state, idle, look, self.look_at, self.pulse.deadline()].into_iter().flatten().min()
    }

    /// It is so late.
    pub fn expire(&mut self, now: Time) {
        self.now = now;
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        match self.state {
            State::Over(_) => return,
            State::Greeting if due(Some(self.handshake_until)) => {
                return self.over(End::HandshakeTimeout);
            }
            State::Leaving { until } if due(until) => {
                self.cut_short |= self.live > 0;
                let places: Vec<Place> = self.places().collect();
                for place in places {
                    let end = ChannelEnd::ResetHere { code: Code::LEAVING };
                    self.reset_slot(place.slot, Code::LEAVING, String::new(), end);
                }
                return self.end_if_done();
            }
            _ => {}
        }
        match self.pulse.expire(now) {
            Some(Beat::Ping(token)) => self.ping_due = Some(token),
            Some(Beat::Dead) => return self.over(End::Silent),
            None => {}
        }
        if due(self.look_at) {
            self.look_at = None;
            self.look_for_credit();
        }
        if due(self.idle_look_at) {
            self.look_for_idle();
        }
        let idle = self.options.idle_timeout.map(|timeout| self.no_channels_since + timeout);
        if self.live == 0 && self.state == State::Open && due(idle) {
            self.say_go_away(Code::IDLE, "");
            self.over(End::Idle);
        }
    }

    /// Channels that send nothing give back what credit they have beyond the first.
    fn look_for_credit(&mut self) {
        for slot in core::mem::take(&mut self.rich) {
            let Some(Some(channel)) = self.channels.get_mut(slot as usize) else { continue };
            if core::mem::take(&mut channel.tx.active) {
                self.rich.push_back(slot);
                continue;
            }
            channel.tx.rich = false;
            let open = channel.end.is_none() && channel.tx.state == SendState::Open;
            if open && channel.tx.surplus().is_some() {
                self.owe(slot, due::RETURN);
            }
        }
        if !self.rich.is_empty() {
            self.look_at = Some(self.now + RETURN_AFTER);
        }
    }

    fn look_for_idle(&mut self) {
        let Some(timeout) = self.options.channel_idle_timeout else { return };
        self.idle_look_at = Some(self.now + timeout / IDLE_LOOKS.into());
        let mut idle = Vec::new();
        for (slot, channel) in self.channels.iter_mut().enumerate() {
            if let Some(channel) = channel.as_mut().filter(|channel| !channel.over) {
                channel.idle_looks += 1;
                if channel.idle_looks > IDLE_LOOKS {
                    idle.push(slot as u32);
                }
            }
        }
        for slot in idle {
            let end = ChannelEnd::ResetHere { code: Code::IDLE };
            self.reset_slot(slot, Code::IDLE, String::new(), end);
        }
    }

    /// The connection is gone.
    pub fn lost(&mut self, end: End) {
        if !matches!(self.state, State::Over(_)) {
            let end = match (&self.peer_away, end) {
                (Some((_, code, text)), End::Lost) if *code == Code::VIOLATION => {
                    End::ClosedByPeer { code: *code, text: text.clone() }
                }
                (_, end) => end,
            };
            self.over(end);
        }
    }

    pub(super) fn over(&mut self, end: End) {
        self.cut_short |= self.live > 0 && matches!(self.state, State::Leaving { .. });
        self.state = State::Over(end.clone());
        self.debtors.clear();
        self.news =
            ConnectionChanges { incoming: true, openings: true, state: true, round_trip: true, ended: true };
        let places: Vec<Place> = self.places().collect();
        for place in places {
            self.end_channel(place.slot, Some(ChannelEnd::Connection(end.clone())));
        }
    }

    pub(super) fn end_if_done(&mut self) {
        if self.live > 0 || !matches!(self.state, State::Leaving { .. }) {
            return;
        }
        let end = match (&self.peer_away, &self.go_away) {
            (Some((_, code, text)), None) => End::ClosedByPeer { code: *code, text: text.clone() },
            _ => End::ClosedHere,
        };
        self.say_go_away(Code::NONE, "");
        self.over_after_debts(end);
    }

    /// Over, but what was said to end the last channels is still written.
    fn over_after_debts(&mut self, end: End) {
        let debtors = core::mem::take(&mut self.debtors);
        self.over(end);
        self.debtors = debtors;
    }
}
