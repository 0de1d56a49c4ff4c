//! What is accepted to be sent, and which frame goes next.
//!
//! ```text
//!   send, call, open_stream ─ room? ─▶ lane of its priority ─ credit? ─┐
//!   pings, answers about the connection ─▶ control ────────────────────┴▶ next_frame
//! ```

use super::told::{Frame, NotSent};
use super::{Link, State};
use crate::framing::link::{Control, Head, Kind, MAX_FRAME_BYTES, Metadata, Reason};
use crate::link::options::LinkOptions;
use crate::link::parcel::{Parcel, Priority};
use crate::message::{Header, Message};
use crate::time::Time;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

/// What waits in a lane.
#[derive(Debug)]
pub(super) enum Item {
    /// Goes in one frame.
    Whole { head: Head, fields: Vec<u8>, body: Bytes, call: Option<u64> },
    /// Goes in pieces.
    Parts { head: Head, fields: Vec<u8>, body: Bytes, transfer: Option<u32>, call: Option<u64> },
    /// Of a stream.
    Stream(Control),
}

impl Item {
    /// The bytes for which it needs credit before it goes on.
    fn needs(&self) -> Option<u64> {
        match self {
            Self::Whole { fields, body, .. } | Self::Parts { fields, body, transfer: None, .. } => {
                Some((fields.len() + body.len()) as u64)
            }
            Self::Parts { .. } | Self::Stream(_) => None,
        }
    }
}

/// Answers to the peer that may wait to be written; with more, it is asking without listening.
pub(super) const MAX_CONTROLS: usize = 4_096;

impl Link {
    /// Accepts a message to be sent. It is left as it is if it is not accepted.
    pub fn send(&mut self, parcel: &mut Parcel, now: Time) -> Result<(), NotSent> {
        let head = Head::application(parcel.protocol, parcel.message);
        self.check_room(parcel.priority, parcel.body.len())?;
        let body = core::mem::take(&mut parcel.body);
        self.queue(parcel.priority, head, Vec::new(), body, None, now);
        Ok(())
    }

    pub(super) fn check_room(&self, priority: Priority, bytes: usize) -> Result<(), NotSent> {
        let theirs = match (&self.state, &self.theirs) {
            (State::Open, Some(theirs)) => theirs,
            _ => return Err(NotSent::Over),
        };
        if bytes as u64 > theirs.max_message_bytes {
            return Err(NotSent::TooLarge { limit: theirs.max_message_bytes });
        }
        let LinkOptions { send_messages, send_bytes, .. } = self.options;
        match self.lanes.has_room(priority, bytes, send_messages, send_bytes) {
            true => Ok(()),
            false => Err(NotSent::Full),
        }
    }

    pub(super) fn queue(
        &mut self,
        priority: Priority,
        head: Head,
        fields: Vec<u8>,
        body: Bytes,
        call: Option<u64>,
        now: Time,
    ) {
        let bytes = fields.len() + body.len();
        self.stats.sent_messages += 1;
        self.stats.sent_bytes += body.len() as u64;
        if self.options.linger > Duration::ZERO && self.lanes.is_empty() && priority != Priority::Urgent {
            self.held_until.get_or_insert(now + self.options.linger);
        }
        let item = match bytes <= self.options.chunk_bytes {
            true => Item::Whole { head, fields, body, call },
            false => Item::Parts { head, fields, body, transfer: None, call },
        };
        self.lanes.push(priority, item, bytes);
        if priority == Priority::Urgent || self.lanes.waiting().1 >= self.options.write_buffer_bytes {
            self.held_until = None;
        }
    }

    /// Tells the peer what our metadata are.
    pub fn update_metadata(&mut self, metadata: Metadata) -> Result<(), NotSent> {
        if !self.is_open() {
            return Err(NotSent::Over);
        }
        self.ours.metadata = metadata.clone();
        // Only the latest matters.
        self.control.retain(|control| !matches!(control, Control::Metadata(_)));
        self.push_control(Control::Metadata(metadata));
        Ok(())
    }

    pub(super) fn push_control(&mut self, control: Control) {
        if self.control.len() >= MAX_CONTROLS {
            self.refuse(Reason::TooFast, "asking without listening");
            return;
        }
        self.control.push_back(control);
    }

    /// The next frame to write, if any may be.
    pub fn next_frame(&mut self) -> Option<Frame> {
        if core::mem::take(&mut self.hello_due) {
            return Some(self.hello_frame());
        }
        if let Some(control) = self.control.pop_front() {
            return Some(session_frame(control.kind(), control.encode(), false));
        }
        if !matches!(self.state, State::Open | State::Draining { .. }) || self.held_until.is_some() {
            return None;
        }
        let frame = self.next_content();
        self.part_if_drained();
        // The goodbye that this may have caused.
        frame.or_else(|| {
            let control = self.control.pop_front()?;
            Some(session_frame(control.kind(), control.encode(), false))
        })
    }

    pub(super) fn next_content(&mut self) -> Option<Frame> {
        let chunk_bytes = self.options.chunk_bytes;
        let mut begun = None;
        let allowance = &self.allowance;
        let (priority, item) =
            self.lanes.front(|item| item.needs().is_none_or(|bytes| allowance.has(bytes)))?;
        let (frame, cost, done) = match item {
            Item::Stream(control) => {
                let frame = session_frame(control.kind(), control.encode(), false);
                let cost = frame.message.len();
                (frame, cost, true)
            }
            Item::Whole { head, fields, body, .. } => {
                self.allowance.use_up((fields.len() + body.len()) as u64);
                let content = (core::mem::take(fields), core::mem::take(body));
                let frame = frame(*head, content, true);
                let cost = frame.message.len();
                (frame, cost, true)
            }
            Item::Parts { transfer: Some(transfer), fields, body, .. } => {
                let transfer = *transfer;
                let data = match fields.is_empty() {
                    true => body.split_to(chunk_bytes.min(body.len())),
                    false => core::mem::take(fields).into(),
                };
                let (control, done) = match data.is_empty() {
                    true => (Control::End { transfer }, true),
                    false => (Control::Chunk { transfer, data }, false),
                };
                let frame = session_frame(control.kind(), control.encode(), done);
                let cost = frame.message.len();
                (frame, cost, done)
            }
            Item::Parts { head, fields, body, transfer: place @ None, .. } => {
                let length = (fields.len() + body.len()) as u64;
                self.allowance.use_up(length);
                let mut transfer = self.next_transfer;
                while self.outgoing.contains_key(&transfer) {
                    transfer = transfer.wrapping_add(1);
                }
                *place = Some(transfer);
                begun = Some(transfer.wrapping_add(1));
                let begin = Control::Begin { transfer, head: *head, priority: priority as u8, length };
                (session_frame(Kind::Begin, begin.encode(), false), 0, false)
            }
        };
        if let Some(next) = begun {
            self.next_transfer = next;
        }
        self.lanes.served(priority, cost);
        if done {
            self.lanes.pop(priority);
            self.changes.room = true;
        }
        Some(frame)
    }
}

/// A frame of a session message with these fields and this data.
fn session_frame(kind: Kind, content: (Vec<u8>, Bytes), ends: bool) -> Frame {
    frame(Head::session(kind), content, ends)
}

/// Small ones are one piece of memory; a large body stays where it is.
fn frame(head: Head, (mut fields, body): (Vec<u8>, Bytes), ends: bool) -> Frame {
    let head = head.encode();
    let message = if fields.is_empty() {
        Message::with_header(Header::new(&head), body)
    } else if body.len() <= SMALL_BYTES {
        fields.extend_from_slice(&body);
        Message::with_header(Header::new(&head), fields)
    } else {
        Message::with_header(Header::new(&[&head[..], &fields].concat()), body)
    };
    debug_assert!(message.len() <= MAX_FRAME_BYTES, "larger ones go in pieces");
    Frame { message, ends }
}

/// As the outbox copies.
const SMALL_BYTES: usize = 4 * 1024;
