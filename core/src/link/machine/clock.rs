//! What is due when: the handshake, the end, pings, what lingers, and what is held back.

use super::{End, Link, State};
use crate::framing::link::{Control, Reason};
use crate::session::pulse::Beat;
use crate::time::Time;

impl Link {
    /// When [`expire`](Self::expire) is due.
    pub fn deadline(&self) -> Option<Time> {
        let mut due = match self.state {
            State::Greeting | State::Judging { .. } | State::Confirming => return Some(self.handshake_until),
            State::Draining { until } => Some(until),
            State::Open => None,
            State::Over(_) => return None,
        };
        for other in [self.pulse.deadline(), self.held_until, self.slowed_until].into_iter().flatten() {
            due = Some(due.map_or(other, |due| due.min(other)));
        }
        due
    }

    /// Does what is due.
    pub fn expire(&mut self, now: Time) {
        match self.state {
            State::Greeting | State::Judging { .. } | State::Confirming => {
                if self.handshake_until <= now {
                    self.dismiss(End::HandshakeTimeout, Reason::TooSlow, "");
                }
                return;
            }
            State::Draining { until } if until <= now => {
                self.abandon();
                self.part_if_drained();
                return;
            }
            State::Open | State::Draining { .. } => {}
            State::Over(_) => return,
        }
        if self.held_until.is_some_and(|until| until <= now) {
            self.held_until = None;
        }
        if self.slowed_until.is_some_and(|until| until <= now) {
            self.slowed_until = None;
            self.tell_room();
        }
        match self.pulse.expire(now) {
            Some(Beat::Ping(token)) => {
                self.stats.pings += 1;
                self.push_control(Control::Ping { token });
            }
            Some(Beat::Dead) => self.lost(End::Silent),
            None => {}
        }
    }

    /// Asks the peer whether it is there, now.
    pub fn ping(&mut self, now: Time) {
        if self.is_open() {
            self.stats.pings += 1;
            let token = self.pulse.ping(now);
            self.push_control(Control::Ping { token });
        }
    }
}
