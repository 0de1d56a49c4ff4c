//! Messages of any length, both ways.

use super::sending::Item;
use super::told::NotSent;
use super::{Link, State};
use crate::framing::link::{Control, Head, LinkError, STREAMED};
use crate::link::gather::Piece;
use crate::link::options::LinkOptions;
use crate::link::parcel::{Parcel, Priority};
use bytes::Bytes;

/// A stream that we send.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) priority: Priority,
    pub(super) sent: u64,
    pub(super) granted: u64,
    /// End or Abort was queued.
    pub(super) ended: bool,
    /// The peer wants no more of it, or has had all.
    pub(super) stopped: bool,
}

impl Link {
    /// Begins a message of any length.
    pub fn open_stream(&mut self, head: &Parcel) -> Result<u32, NotSent> {
        let (State::Open, Some(theirs)) = (&self.state, &self.theirs) else { return Err(NotSent::Over) };
        if theirs.streams == 0 {
            return Err(NotSent::TooLarge { limit: theirs.max_message_bytes });
        }
        if self.outgoing.len() >= usize::from(theirs.streams) {
            return Err(NotSent::Full);
        }
        let transfer = self.new_transfer();
        let (priority, granted) = (head.priority, self.peer_stream_window());
        self.outgoing.insert(transfer, Outgoing { priority, sent: 0, granted, ended: false, stopped: false });
        let head = Head::application(head.protocol, head.message);
        let begin = Control::Begin { transfer, head, priority: priority as u8, length: STREAMED };
        self.lanes.push(priority, Item::Stream(begin), 0);
        Ok(transfer)
    }

    pub(super) fn peer_stream_window(&self) -> u64 {
        self.theirs.as_ref().map_or(0, |theirs| theirs.stream_window_bytes.into())
    }

    pub(super) fn new_transfer(&mut self) -> u32 {
        loop {
            let transfer = self.next_transfer;
            self.next_transfer = self.next_transfer.wrapping_add(1);
            if !self.outgoing.contains_key(&transfer) {
                return transfer;
            }
        }
    }

    /// Takes as many bytes off the front of `data` as there is room for, at least one.
    pub fn write_stream(&mut self, transfer: u32, data: &mut Bytes) -> Result<(), NotSent> {
        let LinkOptions { send_messages, send_bytes, chunk_bytes, .. } = self.options;
        let (true, Some(stream)) = (self.is_open(), self.outgoing.get_mut(&transfer)) else {
            return Err(NotSent::Over);
        };
        if stream.stopped || stream.ended {
            return Err(NotSent::Over);
        }
        let credit = usize::try_from(stream.granted - stream.sent).unwrap_or(usize::MAX);
        let count = data.len().min(credit).min(chunk_bytes);
        if count == 0 || !self.lanes.has_room(stream.priority, count, send_messages, send_bytes) {
            return if data.is_empty() { Ok(()) } else { Err(NotSent::Full) };
        }
        stream.sent += count as u64;
        let data = data.split_to(count);
        self.lanes.push(stream.priority, Item::Stream(Control::Chunk { transfer, data }), count);
        Ok(())
    }

    /// All of it was written, or the rest will not come.
    pub fn end_stream(&mut self, transfer: u32, whole: bool) {
        let Some(stream) = self.outgoing.get_mut(&transfer) else { return };
        if core::mem::replace(&mut stream.ended, true) {
            return;
        }
        let last = match whole {
            true => Control::End { transfer },
            false => Control::Abort { transfer },
        };
        self.lanes.push(stream.priority, Item::Stream(last), 0);
        self.forget_stream(transfer);
    }

    /// Whether the peer has had all of a stream that was ended, or has stopped it; `None` as long as it
    /// has not.
    pub fn stream_stopped(&self, transfer: u32) -> bool {
        self.outgoing.get(&transfer).is_none_or(|stream| stream.stopped)
    }

    pub(super) fn forget_stream(&mut self, transfer: u32) {
        if self.outgoing.get(&transfer).is_some_and(|stream| stream.ended && stream.stopped) {
            self.outgoing.remove(&transfer);
            self.changes.room = true;
        }
    }

    pub(super) fn stopped(&mut self, transfer: u32) -> Result<(), LinkError> {
        let stream = self.outgoing.get_mut(&transfer).ok_or(LinkError::BadField("transfer"))?;
        if core::mem::replace(&mut stream.stopped, true) {
            return Err(LinkError::BadField("transfer"));
        }
        self.changes.room = true;
        match stream.ended {
            true => self.forget_stream(transfer),
            false => self.end_stream(transfer, false),
        }
        Ok(())
    }

    /// The oldest stream that nobody has taken.
    pub fn recv_stream(&mut self) -> Option<(u32, Parcel)> {
        let (transfer, head) = self.streams.pop_front()?;
        Some((transfer, Parcel::new(head.protocol, head.message, Bytes::new())))
    }

    /// The next piece of a stream.
    pub fn read_stream(&mut self, transfer: u32) -> Piece {
        let (piece, news) = self.gather.take(transfer);
        if let (Some(bytes), None) = (news, self.end()) {
            self.widen(transfer, bytes);
        }
        piece
    }

    /// The program has had all of a stream, or wants no more.
    pub fn drop_stream(&mut self, transfer: u32) {
        self.wider.remove(&transfer);
        if self.gather.drop_stream(transfer) && self.end().is_none() {
            self.push_control(Control::Stop { transfer });
        }
    }
}
