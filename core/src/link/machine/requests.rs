//! Questions and answers, both ways.

use super::Link;
use super::sending::Item;
use super::told::NotSent;
use crate::framing::link::{Control, Fault, Head, Kind, LinkError};
use crate::link::calls::{Answer, Arrival, Failure};
use crate::link::parcel::{Parcel, Priority};
use crate::time::Time;
use alloc::string::String;

impl Link {
    /// Accepts a request; its number is what its answer is taken by.
    pub fn call(&mut self, parcel: &mut Parcel, now: Time) -> Result<u64, NotSent> {
        self.check_room(parcel.priority, parcel.body.len())?;
        let id = self.calls.open(self.options.calls).ok_or(NotSent::Full)?;
        let body = core::mem::take(&mut parcel.body);
        let Parcel { protocol, message, priority, .. } = *parcel;
        let control = Control::Request { id, protocol, message, body };
        let (fields, body) = control.encode();
        self.queue(priority, Head::session(Kind::Request), fields, body, Some(id), now);
        Ok(id)
    }

    /// The answer to a request of ours, once it is here.
    pub fn answer(&mut self, id: u64) -> Option<Answer> {
        let answer = self.calls.take(id)?;
        self.answer_taken(&answer);
        Some(answer)
    }

    pub(super) fn answer_taken(&mut self, answer: &Answer) {
        self.changes.room = true;
        if let Ok(body) = answer {
            self.taken(8 + body.len() as u64);
        }
    }

    /// Nobody waits for the answer any more.
    pub fn forget_call(&mut self, id: u64) {
        let (tell, answer) = self.calls.forget(id);
        if let Some(answer) = answer {
            self.answer_taken(&answer);
        }
        if !tell {
            return;
        }
        self.changes.room = true;
        // What has not begun to leave need not.
        let mut here = 0;
        self.lanes.remove(|item| {
            let gone = matches!(item, Item::Whole { call, .. } | Item::Parts { call, transfer: None, .. }
                if *call == Some(id));
            here += u64::from(gone);
            gone
        });
        self.abandoned += here;
        if here == 0 && self.is_open() {
            self.push_control(Control::Cancel { id });
        }
    }

    /// The oldest request that came.
    pub fn recv_request(&mut self) -> Option<(u64, Parcel)> {
        let (id, parcel) = self.asked.take()?;
        self.taken(12 + parcel.body.len() as u64);
        Some((id, parcel))
    }

    pub(super) fn asked_or_answered(&mut self, control: Control) -> Result<(), LinkError> {
        self.stats.received_messages += 1;
        match control {
            // Nobody will answer it any more.
            Control::Request { body, .. } if !self.is_open() => {
                self.stats.received_messages -= 1;
                self.discard(12 + body.len() as u64);
            }
            Control::Request { id, protocol, message, body } => {
                let bytes = 12 + body.len() as u64;
                self.stats.received_bytes += body.len() as u64;
                match self.asked.push(id, Parcel::new(protocol, message, body), self.options.requests) {
                    Arrival::Twice => return Err(LinkError::BadField("request id")),
                    Arrival::Waits => self.changes.requests = true,
                    Arrival::Busy => {
                        self.stats.busy_requests += 1;
                        self.discard(bytes);
                        let text = String::new();
                        self.push_control(Control::Failure { id, code: Fault::Busy, text });
                    }
                }
            }
            Control::Reply { id, body } => {
                self.stats.received_bytes += body.len() as u64;
                self.answered(id, Ok(body));
            }
            _ => return Err(LinkError::BadField("head")),
        }
        Ok(())
    }

    pub(super) fn answered(&mut self, id: u64, answer: Answer) {
        let bytes = answer.as_ref().ok().map(|body| 8 + body.len() as u64);
        match (self.calls.answer(id, answer), bytes) {
            (true, _) => self.changes.answers = true,
            // Cancelled, and the news crossed.
            (false, Some(bytes)) => self.discard(bytes),
            (false, None) => {}
        }
    }

    /// Answers a request of the peer. `false`: it does not wait for it any more.
    pub fn reply(&mut self, id: u64, priority: Priority, answer: Answer, now: Time) -> bool {
        if !self.asked.close(id) || !self.is_open() {
            return false;
        }
        let limit = self.theirs.as_ref().map_or(0, |theirs| theirs.max_message_bytes);
        match answer {
            Ok(body) if body.len() as u64 <= limit => {
                let (fields, body) = Control::Reply { id, body }.encode();
                // No bound of its lane: there are no more answers than requests that were let in.
                self.queue(priority, Head::session(Kind::Reply), fields, body, None, now);
            }
            Ok(body) => {
                let text = alloc::format!("{} bytes", body.len());
                self.push_control(Control::Failure { id, code: Fault::TooLarge, text });
            }
            Err(Failure { code, text }) => self.push_control(Control::Failure { id, code, text }),
        }
        true
    }
}
