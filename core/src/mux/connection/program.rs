//! What the program does: opens, accepts, sends, takes, gives up.

use super::super::frame::{FRAME_COST, Frame};
use super::super::id::{ChannelId, Code};
use super::super::stream::{NotSent, Receiving, SendState, Sending, Take, Wanted};
use super::{Changes, Channel, ChannelEnd, Mux, NotOpened, Outgoing, Place, due};
use crate::priority::Priority;
use alloc::string::{String, ToString};
use bytes::Bytes;

impl Mux {
    /// Opens a channel. What is sent on it travels at once: the peer need not have accepted it.
    ///
    /// # Errors
    /// See [`NotOpened`].
    pub fn open(&mut self, id: ChannelId, priority: Priority) -> Result<Place, NotOpened> {
        self.may_open()?;
        let number = self.next_number;
        self.next_number += 2;
        self.have_opened += 1;
        self.stats.opened += 1;
        let place = self.insert(number, id, priority, false);
        self.owe(place.slot, due::OPEN);
        Ok(place)
    }

    /// The next channel that the peer has opened and whose id is wanted.
    pub fn accept(&mut self, wanted: impl Fn(&ChannelId) -> bool) -> Option<(Place, ChannelId)> {
        let at = self.incoming.iter().position(|slot| {
            self.channels[*slot as usize].as_ref().is_some_and(|channel| wanted(&channel.id))
        })?;
        let slot = self.incoming.remove(at)?;
        let channel = self.channels[slot as usize].as_mut()?;
        channel.accepted = true;
        let taken = (Place { slot, number: channel.number }, channel.id.clone());
        if !channel.over {
            self.owe(slot, due::ACCEPT);
        }
        Some(taken)
    }

    /// Refuses the next channel that the peer has opened and whose id is unwanted; what came on it is
    /// discarded. Whether there was one.
    pub fn refuse(&mut self, unwanted: impl Fn(&ChannelId) -> bool, code: Code) -> bool {
        let at = self.incoming.iter().position(|slot| {
            self.channels[*slot as usize].as_ref().is_some_and(|channel| unwanted(&channel.id))
        });
        let Some(slot) = at.and_then(|at| self.incoming.remove(at)) else { return false };
        self.stats.refused += 1;
        let Some(Some(channel)) = self.channels.get_mut(slot as usize) else { return true };
        channel.rx.discard();
        channel.released = true;
        match channel.over {
            true => self.free_slot(slot),
            false => self.reset_slot(slot, code, String::new(), ChannelEnd::ResetHere { code }),
        }
        true
    }

    /// Channels that wait to be accepted.
    pub fn incoming(&self) -> impl Iterator<Item = &ChannelId> {
        self.incoming
            .iter()
            .filter_map(|slot| self.channels[*slot as usize].as_ref())
            .map(|channel| &channel.id)
    }

    /// Whether a message of so many bytes may be sent now.
    ///
    /// # Errors
    /// Why not.
    pub fn may_send(&self, place: Place, bytes: usize) -> Result<(), NotSent> {
        let channel = self.channel(place).ok_or(NotSent::Over)?;
        if channel.end.is_some() {
            return Err(NotSent::Over);
        }
        channel.tx.may_send()?;
        if channel.tx.streaming {
            return Err(NotSent::Full);
        }
        let limit = self.longest_message();
        if bytes as u64 > limit {
            return Err(NotSent::TooLarge { limit });
        }
        match channel.tx.has_room(bytes, self.options.send_messages, self.options.send_bytes) {
            true => Ok(()),
            false => Err(NotSent::Full),
        }
    }

    /// The longest that the peer takes whole, as far as it has said.
    #[inline]
    fn longest_message(&self) -> u64 {
        self.theirs.as_ref().map_or(u64::MAX, |theirs| theirs.max_message)
    }

    /// Somebody waits for room on this channel.
    pub fn room_wanted(&mut self, place: Place) {
        if let Some(channel) = self.channel_mut(place) {
            channel.tx.room_wanted = true;
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// Why not, and the message.
    pub fn send(&mut self, place: Place, body: Bytes) -> Result<(), (NotSent, Bytes)> {
        match self.may_send(place, body.len()) {
            Err(not) => Err((not, body)),
            Ok(()) => {
                self.queue(place, |tx| tx.push(body));
                Ok(())
            }
        }
    }

    /// Sends a message as [`send`](Self::send) does, but past all queues: what is to be written next is this, with
    /// the body out of `body`. `None`, and nothing has happened, where anything else is to be said before, or
    /// it cannot go at once and in one piece.
    #[inline]
    pub fn send_at_once(&mut self, place: Place, body: &mut Bytes) -> Option<Outgoing> {
        let quiet = self.debtors.is_empty() && self.turns.is_empty() && !self.hello_due;
        let bytes = body.len();
        if !quiet || self.end().is_some() || bytes > self.options.chunk_bytes {
            return None;
        }
        if bytes as u64 > self.longest_message() {
            return None;
        }
        let channel = self.channels.get_mut(place.slot())?.as_mut()?;
        if channel.number != place.number || !channel.tx.may_pass(bytes as u64 + FRAME_COST) {
            return None;
        }
        channel.tx.pass(bytes as u64 + FRAME_COST);
        channel.idle_looks = 0;
        let (last, run) = self.solo;
        self.solo = match place.slot == last || last == u32::MAX {
            true => (place.slot, run.saturating_add(bytes as u64)),
            false => (place.slot, bytes as u64),
        };
        self.stats.sent_bytes += bytes as u64;
        self.stats.sent_messages += 1;
        let message = Frame::message(place.number, core::mem::take(body));
        Some(Outgoing { message, ends: Some(place) })
    }

    fn queue(&mut self, place: Place, push: impl FnOnce(&mut Sending)) {
        let Some(Some(channel)) = self.channels.get_mut(place.slot()) else { return };
        channel.tx.make_room(&mut self.spare);
        push(&mut channel.tx);
        channel.idle_looks = 0;
        self.turns.add(channel.priority, place.slot, &mut channel.tx.turn);
    }

    /// A message of unknown length begins. Nobody else may send before it has [ended](Self::end_stream).
    ///
    /// # Errors
    /// Why not.
    pub fn begin_stream(&mut self, place: Place) -> Result<(), NotSent> {
        self.may_send(place, 0)?;
        self.queue(place, Sending::begin);
        Ok(())
    }

    /// The next bytes of it; `Full` if there is no room for any.
    ///
    /// # Errors
    /// Why not, and the bytes.
    pub fn send_piece(&mut self, place: Place, body: Bytes) -> Result<(), (NotSent, Bytes)> {
        if body.is_empty() {
            return Ok(());
        }
        match self.may_go_on(place) {
            Ok(()) if self.has_room_for(place, body.len()) => {
                self.queue(place, |tx| tx.piece(body));
                Ok(())
            }
            Ok(()) => Err((NotSent::Full, body)),
            Err(not) => Err((not, body)),
        }
    }

    fn may_go_on(&self, place: Place) -> Result<(), NotSent> {
        let channel = self.channel(place).filter(|channel| channel.end.is_none()).ok_or(NotSent::Over)?;
        channel.tx.may_send()
    }

    fn has_room_for(&self, place: Place, bytes: usize) -> bool {
        let has_room =
            |c: &Channel| c.tx.has_room(bytes, self.options.send_messages, self.options.send_bytes);
        self.channel(place).is_some_and(has_room)
    }

    /// The message of unknown length is whole, or will never be. Always possible.
    pub fn end_stream(&mut self, place: Place, whole: bool) {
        let open = |channel: &Channel| channel.end.is_none() && channel.tx.state == SendState::Open;
        if self.channel(place).is_some_and(open) {
            self.queue(place, |tx| tx.end(whole));
            // Others may send again.
            self.change(place.slot, Changes::ROOM);
        }
    }

    /// Nothing more will be sent on the channel; what waits still is.
    pub fn finish(&mut self, place: Place) {
        if self.channel(place).is_some_and(|channel| channel.end.is_none()) {
            self.queue(place, Sending::finish);
        }
    }

    /// Nothing more is taken from the channel; what came is discarded.
    pub fn stop(&mut self, place: Place, code: Code) {
        let Some(channel) = self.channel_mut(place) else { return };
        channel.stop_code = code;
        let tells = channel.end.is_none() && channel.rx.refuse();
        channel.rx.discard();
        self.forget_window(place.slot);
        if tells {
            self.owe(place.slot, due::CREDIT | due::STOP);
        }
    }

    /// Ends both directions at once.
    pub fn reset(&mut self, place: Place, code: Code, text: &str) {
        if self.channel(place).is_some_and(|channel| !channel.over && channel.end.is_none()) {
            self.reset_slot(place.slot, code, text.to_string(), ChannelEnd::ResetHere { code });
        }
    }

    /// The program has no use for the channel any more: sends what waits, takes nothing more, and forgets it.
    pub fn release(&mut self, place: Place) {
        if self.channel(place).is_none() {
            return;
        }
        self.finish(place);
        self.stop(place, Code::DROPPED);
        if let Some(channel) = self.channel_mut(place) {
            channel.released = true;
            channel.rx.wanted = Wanted::Nothing;
        }
        self.free_slot(place.slot);
    }

    /// Takes the next message.
    #[inline]
    pub fn take_message(&mut self, place: Place) -> Take {
        let max = self.options.max_message_bytes;
        self.take(place, |rx| rx.take_message(max), Wanted::Whole)
    }

    /// Takes the next bytes of the message at the front, whole or not.
    pub fn take_piece(&mut self, place: Place) -> Take {
        self.take(place, Receiving::take_piece, Wanted::Pieces)
    }

    fn take(
        &mut self,
        place: Place,
        take: impl FnOnce(&mut Receiving) -> (Take, u64),
        wanted: Wanted,
    ) -> Take {
        let channel = self.channels.get_mut(place.slot()).and_then(Option::as_mut);
        let Some(channel) = channel.filter(|channel| channel.number == place.number) else {
            return Take::Finished;
        };
        let (taken, cost) = take(&mut channel.rx);
        channel.rx.keep_room(&mut self.spare);
        channel.idle_looks = 0;
        channel.rx.wanted = if taken == Take::Nothing { wanted } else { Wanted::Nothing };
        if cost > 0 {
            self.shared.take(&mut channel.rx.window, cost);
        }
        let max = self.options.max_message_bytes;
        let taken_until = channel.rx.window.taken();
        let idle = channel.rx.is_idle();
        let had_its_message =
            self.overdraws.is_some_and(|(slot, until)| slot == place.slot && (until <= taken_until || idle));
        if cost > 0 || channel.rx.lacks(max).is_some() {
            self.give_credit(place.slot);
        }
        if had_its_message {
            self.settle_overdraft(place.slot);
        }
        taken
    }

    /// Nobody waits on this channel any more.
    pub fn not_wanted(&mut self, place: Place) {
        if let Some(channel) = self.channel_mut(place) {
            channel.rx.wanted = Wanted::Nothing;
        }
    }

    /// Asks until when all that was accepted is delivered. `true`: it is.
    pub fn flush(&mut self, place: Place) -> bool {
        let Some(channel) = self.channel_mut(place) else { return true };
        if channel.tx.delivered >= channel.tx.accepted {
            return true;
        }
        if channel.tx.flush() {
            self.owe(place.slot, due::FLUSH);
        }
        false
    }

    /// Frames in the outbox that will never be written, each with the end of a message.
    pub fn unsent(&mut self, place: Place) {
        if let Some(channel) = self.channel_mut(place) {
            channel.tx.unsent += 1;
        }
    }
}
