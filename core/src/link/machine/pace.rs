//! How much the peer may send: credit, and the rates that it may not exceed.
//!
//! ```text
//!   message, chunk ─▶ came ─ charge ─▶ Rates, of all connections of the peer ─ paced ─┬▶ Grant, Widen
//!   taken by the program ─▶ asks ─┘                                                   ├▶ slowed_until
//!                                                                                     └▶ dismissed
//! ```

use super::Link;
use crate::framing::link::{Control, LinkError, Reason};
use crate::link::options::TooFast;
use crate::link::rates::{Came, Verdict};
use crate::time::Time;

impl Link {
    /// Something that needs credit begins: whether there was some.
    pub(super) fn credited(&mut self, bytes: u64) -> Result<(), LinkError> {
        if !self.room.receive(bytes) {
            return Err(LinkError::Unexpected("message without credit"));
        }
        self.comes(1, bytes);
        Ok(())
    }

    /// Something has come that counts for the rates.
    pub(super) fn comes(&mut self, messages: u64, bytes: u64) {
        if self.limited {
            self.came.messages = self.came.messages.saturating_add(messages);
            self.came.bytes = self.came.bytes.saturating_add(bytes);
        }
    }

    /// What is to be charged to the peer: what has come since the last call; or nothing, where it is only to be
    /// known whether it may send more.
    pub fn charge(&mut self) -> Option<Came> {
        (self.asks || self.came != Came::default()).then(|| core::mem::take(&mut self.came))
    }

    /// It was charged, and this becomes of the peer.
    pub fn paced(&mut self, verdict: Verdict, now: Time) {
        if !verdict.within && self.options.too_fast == TooFast::Dismiss {
            self.refuse(Reason::TooFast, "");
        }
        if !core::mem::take(&mut self.asks) {
            return;
        }
        match verdict.paid_at.filter(|paid_at| *paid_at > now) {
            Some(until) => {
                self.stats.slowed += 1;
                self.slowed_until = Some(until);
            }
            None => self.grant(),
        }
    }

    /// A message of the peer is discarded.
    pub(super) fn discard(&mut self, bytes: u64) {
        self.stats.discarded_messages += 1;
        self.taken(bytes);
    }

    /// Something that took credit is out of the way.
    pub(super) fn taken(&mut self, bytes: u64) {
        self.room.take(bytes);
        self.tell_room();
    }

    /// A stream may go on so far.
    pub(super) fn widen(&mut self, transfer: u32, bytes: u64) {
        if !self.limited {
            return self.push_control(Control::Widen { transfer, bytes });
        }
        self.wider.insert(transfer, bytes);
        self.tell_room();
    }

    /// Tells the peer of new room, unless it has been too fast.
    pub(super) fn tell_room(&mut self) {
        let has_news = self.room.has_news() || !self.wider.is_empty();
        if self.slowed_until.is_some() || !has_news {
            return;
        }
        match self.limited {
            true => self.asks = true,
            false => self.grant(),
        }
    }

    fn grant(&mut self) {
        let (news, wider) = (self.room.news(), core::mem::take(&mut self.wider));
        if self.end().is_some() {
            return;
        }
        if let Some((messages, bytes)) = news {
            self.push_control(Control::Grant { messages, bytes });
        }
        for (transfer, bytes) in wider {
            self.push_control(Control::Widen { transfer, bytes });
        }
    }
}
