//! How much the peer may send: credit, and the rates that it may not exceed.

use super::Link;
use crate::framing::link::{Control, LinkError, Reason};
use crate::link::bucket::Bucket;
use crate::link::options::TooFast;
use crate::time::Time;

impl Link {
    /// Something that needs credit begins: whether there was some, and whether it is too fast.
    pub(super) fn credited(&mut self, bytes: u64, now: Time) -> Result<(), LinkError> {
        if !self.room.receive(bytes) {
            return Err(LinkError::Unexpected("message without credit"));
        }
        self.paces(1, bytes, now);
        Ok(())
    }

    pub(super) fn paces(&mut self, messages: u64, bytes: u64, now: Time) {
        let mut fine = true;
        for (rate, count) in [(&mut self.messages_rate, messages), (&mut self.bytes_rate, bytes)] {
            if let Some(rate) = rate {
                fine &= rate.take(count, now);
            }
        }
        if !fine && self.options.too_fast == TooFast::Dismiss {
            self.refuse(Reason::TooFast, "");
        }
    }

    pub(super) fn discard(&mut self, bytes: u64, now: Time) {
        self.stats.discarded_messages += 1;
        self.taken(bytes, now);
    }

    /// Something that took credit is out of the way.
    pub(super) fn taken(&mut self, bytes: u64, now: Time) {
        self.room.take(bytes);
        self.tell_room(now);
    }

    /// Tells the peer of new room, unless it has been too fast.
    pub(super) fn tell_room(&mut self, now: Time) {
        if self.slowed_until.is_some() || !self.room.has_news() {
            return;
        }
        let paid = |rate: &mut Option<Bucket>| rate.as_mut().and_then(|rate| rate.paid_at(now));
        if let Some(until) = paid(&mut self.messages_rate).max(paid(&mut self.bytes_rate)) {
            self.stats.slowed += 1;
            self.slowed_until = Some(until);
            return;
        }
        if let (Some((messages, bytes)), true) = (self.room.news(), self.end().is_none()) {
            self.push_control(Control::Grant { messages, bytes });
        }
    }
}
