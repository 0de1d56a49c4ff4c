//! What the peer does: what each frame means.

use super::super::frame::{FRAME_COST, Frame, HEAD_BYTES, Hello, MuxError};
use super::super::id::{ChannelId, Code};
use super::super::stream::{Receiving, RecvState};
use super::life::RETURN_AFTER;
use super::{Changes, ChannelEnd, End, Mux, State, due};
use crate::options::mux::SameId;
use crate::priority::Priority;
use crate::time::Time;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::{Buf, Bytes};

/// Round trips that are measured before the first message, and then after each so many bytes.
const FIRST_PINGS: u64 = 3;

impl Mux {
    /// A frame came, without its length.
    #[inline]
    pub fn frame(&mut self, frame: Bytes, now: Time) {
        self.now = now;
        self.pulse.heard(now);
        if matches!(self.state, State::Over(_)) {
            return;
        }
        let done = match Frame::is_message(&frame) {
            Some(channel) if self.theirs.is_some() => self.message(channel, frame),
            _ => Frame::decode(frame).and_then(|frame| self.act(frame)),
        };
        if let Err(error) = done {
            self.violated(error);
        }
    }

    /// What came is no frame.
    pub fn violated(&mut self, error: MuxError) {
        if matches!(self.state, State::Over(_)) {
            return;
        }
        self.say_go_away(Code::VIOLATION, &error.to_string());
        self.over(End::Violation(error));
    }

    /// What most frames are.
    #[inline]
    fn message(&mut self, channel: u32, mut frame: Bytes) -> Result<(), MuxError> {
        let Some(slot) = self.find(channel)? else { return Ok(()) };
        frame.advance(HEAD_BYTES);
        self.data(slot, frame.len(), |rx, cost| rx.message(frame, cost))
    }

    fn act(&mut self, frame: Frame) -> Result<(), MuxError> {
        match (&frame, &self.theirs) {
            (Frame::Hello(_), Some(_)) => return Err(MuxError::Unexpected("Hello")),
            (Frame::Hello(_) | Frame::GoAway { .. }, _) | (_, Some(_)) => {}
            (_, None) => return Err(MuxError::NoMux),
        }
        match frame {
            Frame::Message { channel, body } => {
                let Some(slot) = self.find(channel)? else { return Ok(()) };
                self.data(slot, body.len(), |rx, cost| rx.message(body, cost))
            }
            Frame::Begin { channel, length, body } => {
                let Some(slot) = self.find(channel)? else { return Ok(()) };
                self.data(slot, body.len(), |rx, cost| rx.begin(length, body, cost))
            }
            Frame::Piece { channel, body } => {
                let Some(slot) = self.find(channel)? else { return Ok(()) };
                self.data(slot, body.len(), |rx, cost| rx.piece(body, cost, false))
            }
            Frame::End { channel } => self.end_of_message(channel, true),
            Frame::Abort { channel } => self.end_of_message(channel, false),
            Frame::Credit { channel, bytes, delivered } => self.credited(channel, bytes, delivered),
            Frame::Flush { channel } => {
                if let Some(slot) = self.find(channel)? {
                    self.owe(slot, due::CREDIT);
                }
                Ok(())
            }
            Frame::Open { channel, priority, id } => self.opened(channel, priority, id),
            Frame::Accept { channel } => {
                let Some(slot) = self.find(channel)? else { return Ok(()) };
                match &mut self.channels[slot as usize] {
                    Some(channel) if channel.incoming || channel.accepted => {
                        return Err(MuxError::Unexpected("Accept"));
                    }
                    Some(channel) => channel.accepted = true,
                    None => {}
                }
                self.change(slot, Changes::STATE);
                Ok(())
            }
            Frame::Finish { channel } => {
                let Some(slot) = self.find(channel)? else { return Ok(()) };
                let Some(channel) = &mut self.channels[slot as usize] else { return Ok(()) };
                channel.rx.finish()?;
                if channel.rx.state == RecvState::Finished {
                    // So that it knows what has come.
                    self.owe(slot, due::CREDIT | due::STOP);
                }
                self.change(slot, Changes::READ | Changes::STATE);
                self.close_if_done(slot);
                Ok(())
            }
            Frame::Stop { channel, code } => {
                let Some(slot) = self.find(channel)? else { return Ok(()) };
                let Some(channel) = &mut self.channels[slot as usize] else { return Ok(()) };
                let delivered = channel.tx.delivered;
                channel.tx.stop(code, delivered)?;
                if channel.tx.has_items() {
                    self.turns.add(channel.priority, slot, &mut channel.tx.turn);
                }
                self.change(slot, Changes::ROOM | Changes::STATE);
                self.close_if_done(slot);
                Ok(())
            }
            Frame::Reset { channel, code, text } => {
                if let Some(slot) = self.find(channel)? {
                    self.end_channel(slot, Some(ChannelEnd::ResetByPeer { code, text }));
                }
                Ok(())
            }
            Frame::Return { channel, bytes } => {
                let Some(slot) = self.find(channel)? else { return Ok(()) };
                let Some(held) = &mut self.channels[slot as usize] else { return Ok(()) };
                match self.shared.returned(&mut held.rx.window, bytes) {
                    true => Ok(()),
                    false => Err(MuxError::NoCredit { channel }),
                }
            }
            Frame::Openings { total } => {
                if total > self.may_open {
                    self.may_open = total;
                    self.news.openings = true;
                }
                Ok(())
            }
            Frame::Ping { token } => {
                // A peer that asks without end gets the answer to the latest.
                self.pong_due = Some(token);
                Ok(())
            }
            Frame::Pong { token } => {
                if let Some(round_trip) = self.pulse.pong(token, self.now) {
                    self.round_trips[self.pongs as usize % self.round_trips.len()] = Some(round_trip);
                    self.pongs += 1;
                    self.shared.set_round_trip(self.round_trip());
                    self.news.round_trip = true;
                    if self.pongs < FIRST_PINGS {
                        self.ping(self.now);
                    }
                }
                Ok(())
            }
            Frame::Hello(theirs) => self.greeted(theirs),
            Frame::GoAway { .. } if self.peer_away.is_some() => Err(MuxError::Unexpected("GoAway")),
            Frame::GoAway { last, code, text } => {
                self.left(last, code, text);
                Ok(())
            }
        }
    }

    fn greeted(&mut self, theirs: Hello) -> Result<(), MuxError> {
        let odd = match self.ours.nonce.cmp(&theirs.nonce) {
            core::cmp::Ordering::Equal => return Err(MuxError::Myself),
            order => order.is_gt(),
        };
        if theirs.window == 0 {
            return Err(MuxError::BadField("window"));
        }
        self.next_number = if odd { 1 } else { 2 };
        // The one before their first.
        self.last_number = if odd { 0 } else { u32::MAX };
        self.may_open = theirs.channels.into();
        self.theirs = Some(theirs);
        if self.state == State::Greeting {
            self.state = State::Open;
            (self.no_channels_since, self.sooner) = (self.now, true);
            self.ping(self.now);
        }
        (self.news.state, self.news.openings) = (true, true);
        self.end_if_done();
        Ok(())
    }

    fn is_theirs(&self, number: u32) -> bool {
        number % 2 != self.next_number % 2
    }

    /// The slot of a channel; `None` if it was there and is over.
    #[inline]
    fn find(&mut self, number: u32) -> Result<Option<u32>, MuxError> {
        if self.recent.0 == number {
            return Ok(Some(self.recent.1));
        }
        if let Some(slot) = self.numbers.get(&number) {
            self.recent = (number, *slot);
            return Ok(Some(*slot));
        }
        let was_there = match self.is_theirs(number) {
            true => self.they_opened > 0 && number <= self.last_number,
            false => number < self.next_number,
        };
        if was_there { Ok(None) } else { Err(MuxError::BadField("channel")) }
    }

    fn opened(&mut self, number: u32, priority: Priority, id: ChannelId) -> Result<(), MuxError> {
        let next = self.last_number.wrapping_add(2);
        // When all numbers are used up there is no first one again: it may still be there.
        let begins_anew = self.they_opened > 0 && next < self.last_number;
        if !self.is_theirs(number) || number != next || begins_anew {
            return Err(MuxError::BadField("channel"));
        }
        if self.they_opened >= self.let_open {
            return Err(MuxError::TooManyChannels);
        }
        self.last_number = number;
        self.they_opened += 1;
        self.stats.incoming += 1;
        self.offer_openings();
        let refuses = self.options.same_id == SameId::Refuse && !id.is_empty();
        let refused = if self.go_away.is_some() {
            Some(Code::LEAVING)
        } else if self.incoming.len() >= self.options.backlog {
            Some(Code::BUSY)
        } else if refuses && self.ids.contains(&id) {
            Some(Code::SAME_ID)
        } else {
            None
        };
        if refuses && refused.is_none() {
            self.ids.insert(id.clone());
        }
        let place = self.insert(number, id, priority, true);
        match refused {
            Some(code) => {
                self.stats.refused += 1;
                if let Some(channel) = self.channel_mut(place) {
                    // It must not free the id of the other one.
                    channel.id = ChannelId::EMPTY;
                }
                self.reset_slot(place.slot, code, String::new(), ChannelEnd::ResetHere { code });
            }
            None => {
                self.incoming.push_back(place.slot);
                self.news.incoming = true;
            }
        }
        Ok(())
    }

    #[inline]
    fn data(
        &mut self,
        slot: u32,
        bytes: usize,
        keep: impl FnOnce(&mut Receiving, u64) -> Result<bool, MuxError>,
    ) -> Result<(), MuxError> {
        let Some(channel) = &mut self.channels[slot as usize] else { return Ok(()) };
        let cost = bytes as u64 + FRAME_COST;
        if !self.shared.receive(&mut channel.rx.window, cost) {
            return Err(MuxError::NoCredit { channel: channel.number });
        }
        self.stats.received_bytes += bytes as u64;
        let (last, run) = self.came;
        self.came = match slot == last || last == u32::MAX {
            true => (slot, run.saturating_add(cost)),
            false => (slot, cost),
        };
        channel.idle_looks = 0;
        if !channel.rx.is_wanted() {
            self.stats.discarded_bytes += bytes as u64;
            self.shared.take(&mut channel.rx.window, cost);
            return match channel.rx.state {
                RecvState::Unwanted { finished: false, .. } => Ok(()),
                _ => Err(MuxError::Unexpected("data")),
            };
        }
        let before = channel.rx.delivered;
        channel.rx.make_room(&mut self.spare);
        let wakes = match keep(&mut channel.rx, cost) {
            Ok(wakes) => wakes,
            Err(error) => {
                self.shared.take(&mut channel.rx.window, cost);
                return Err(error);
            }
        };
        self.stats.received_messages += channel.rx.delivered - before;
        let max = self.options.max_message_bytes;
        let lacks = channel.rx.lacks(max).is_some();
        if wakes || channel.rx.refuses(max) {
            self.change(slot, Changes::READ);
        }
        if lacks {
            self.give_credit(slot);
        }
        Ok(())
    }

    fn end_of_message(&mut self, number: u32, whole: bool) -> Result<(), MuxError> {
        let Some(slot) = self.find(number)? else { return Ok(()) };
        let Some(channel) = &mut self.channels[slot as usize] else { return Ok(()) };
        if channel.rx.is_wanted() {
            channel.rx.end(whole)?;
            self.stats.received_messages += u64::from(whole);
            self.change(slot, Changes::READ);
        }
        Ok(())
    }

    fn credited(&mut self, number: u32, bytes: u64, delivered: u64) -> Result<(), MuxError> {
        let Some(slot) = self.find(number)? else { return Ok(()) };
        let Some(channel) = &mut self.channels[slot as usize] else { return Ok(()) };
        let before = channel.tx.delivered;
        let more = channel.tx.credited(bytes, delivered)?;
        if more && channel.tx.has_items() {
            self.turns.add(channel.priority, slot, &mut channel.tx.turn);
        }
        if more && !channel.tx.rich {
            channel.tx.rich = true;
            self.rich.push_back(slot);
            if self.look_at.is_none() {
                (self.look_at, self.sooner) = (Some(self.now + RETURN_AFTER), true);
            }
        }
        if delivered > before {
            self.change(slot, Changes::STATE);
        }
        Ok(())
    }

    fn left(&mut self, last: u32, code: Code, text: String) {
        let never_seen: Vec<_> = self
            .numbers
            .iter()
            .filter(|(number, _)| !self.is_theirs(**number) && **number > last)
            .map(|(_, slot)| *slot)
            .collect();
        for slot in never_seen {
            self.end_channel(slot, Some(ChannelEnd::NeverSeen));
        }
        self.peer_away = Some((last, code, text));
        if matches!(self.state, State::Greeting | State::Open) {
            (self.state, self.sooner) = (State::Leaving { until: None }, true);
            (self.news.state, self.news.openings) = (true, true);
        }
        self.end_if_done();
    }
}
