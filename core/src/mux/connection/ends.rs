//! How channels begin and end, when they are forgotten, and how many more the peer may open.

use super::super::credit::Window;
use super::super::id::{ChannelId, Code};
use super::super::stream::{Receiving, RecvState, SendState, Sending};
use super::{Changes, Channel, ChannelEnd, Mux, Place, due};
use crate::options::mux::SameId;
use crate::priority::Priority;
use alloc::boxed::Box;
use alloc::string::String;

impl Mux {
    pub(super) fn insert(&mut self, number: u32, id: ChannelId, priority: Priority, incoming: bool) -> Place {
        let window = self.theirs.as_ref().map_or(0, |theirs| theirs.window);
        let channel = Channel {
            number,
            id,
            priority,
            incoming,
            accepted: false,
            released: false,
            over: false,
            end: None,
            stop_code: Code::NONE,
            reset: None,
            returns: 0,
            promise: self.options.window.into(),
            due: 0,
            in_debt: false,
            changes: 0,
            idle_looks: 0,
            tx: Sending::new(window),
            rx: Receiving::new(Window::new(self.options.window, self.now)),
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.channels[slot as usize] = Some(Box::new(channel));
                slot
            }
            None => {
                self.channels.push(Some(Box::new(channel)));
                self.channels.len() as u32 - 1
            }
        };
        self.numbers.insert(number, slot);
        self.live += 1;
        // Idle ones are looked for again.
        self.sooner |= self.live == 1;
        Place { slot, number }
    }

    pub(super) fn reset_slot(&mut self, slot: u32, code: Code, text: String, end: ChannelEnd) {
        if let Some(Some(channel)) = self.channels.get_mut(slot as usize) {
            channel.reset = Some(Box::new((code, text)));
        }
        self.owe(slot, due::RESET);
        self.end_channel(slot, Some(end));
    }

    /// A channel is over, before its time or not.
    pub(super) fn end_channel(&mut self, slot: u32, end: Option<ChannelEnd>) {
        let Some(Some(channel)) = self.channels.get_mut(slot as usize) else { return };
        if channel.over {
            return;
        }
        channel.over = true;
        // What the peer has not heard of cannot be reset, and the next number would be missing one.
        channel.due &= if channel.due & due::RESET != 0 { due::OPEN | due::RESET } else { 0 };
        if end.is_some() {
            channel.tx.discard();
            channel.tx.state = SendState::Over;
            // What came before is still there to be taken, unless it was cut in the middle.
            channel.rx.state = RecvState::Over;
            let cost = channel.rx.cut();
            self.shared.take(&mut channel.rx.window, cost);
        }
        channel.end = channel.end.take().or(end.map(Box::new));
        if core::mem::take(&mut channel.rx.short) {
            self.short.retain(|other| *other != slot);
        }
        self.shared.end(&mut channel.rx.window);
        // Who had more than its share for what is still to be taken has it until then.
        let has_its_message = !channel.rx.is_idle();
        self.numbers.remove(&channel.number);
        if self.recent.0 == channel.number {
            self.recent = (0, 0);
        }
        self.live -= 1;
        self.news.ended = true;
        if self.live == 0 {
            (self.no_channels_since, self.sooner) = (self.now, true);
        }
        if channel.incoming && self.options.same_id == SameId::Refuse {
            self.ids.remove(&channel.id);
        }
        if !has_its_message {
            self.settle_overdraft(slot);
        }
        self.change(slot, Changes::READ | Changes::ROOM | Changes::STATE);
        self.forget_unaccepted(slot);
        self.free_slot(slot);
        self.end_if_done();
    }

    /// A channel that nobody has accepted is over: there is no use in it, unless messages came.
    fn forget_unaccepted(&mut self, slot: u32) {
        let Some(Some(channel)) = self.channels.get_mut(slot as usize) else { return };
        if channel.incoming && !channel.accepted && !channel.rx.has_any() {
            channel.released = true;
            self.incoming.retain(|other| *other != slot);
        }
    }

    /// Both directions have ended in order: it is over.
    pub(super) fn close_if_done(&mut self, slot: u32) {
        let Some(Some(channel)) = self.channels.get_mut(slot as usize) else { return };
        if channel.tx.state == SendState::Over && channel.rx.state == RecvState::Over && !channel.over {
            self.end_channel(slot, None);
        }
    }

    /// Forgets a channel that is over and that no program has.
    ///
    /// Only now the peer may open another one: else who opens and resets for ever, and reads nothing, makes us
    /// remember more and more of what is over, and keeps any number of programs busy.
    pub(super) fn free_slot(&mut self, slot: u32) {
        let Some(Some(channel)) = self.channels.get(slot as usize) else { return };
        // When the connection is over, its last words may still be due.
        let owes = channel.in_debt && !self.debtors.is_empty();
        if !channel.over || !channel.released || owes {
            return;
        }
        let incoming = channel.incoming;
        self.channels[slot as usize] = None;
        self.free.push(slot);
        if !incoming {
            return;
        }
        self.they_closed += 1;
        self.offer_openings();
    }

    /// Tells the peer of room for channels when it is worth it: an eighth of them, or when it has none left.
    pub(super) fn offer_openings(&mut self) {
        let total = self.they_closed + u64::from(self.options.channels);
        let step = u64::from(self.options.channels / 8).max(1);
        let more = total - self.let_open;
        if more >= step || (more > 0 && self.they_opened == self.let_open) {
            self.let_open = total;
            self.openings_due = true;
        }
    }
}
