//! When the peer is told of room on a channel, and who may have more than its share.

use super::super::credit::{Asked, News};
use super::super::stream::RecvState;
use super::{Mux, SOLO_BYTES, due};

impl Mux {
    /// Tells the peer of room on a channel, if there is enough of it.
    pub(super) fn give_credit(&mut self, slot: u32) {
        let Some(Some(channel)) = self.channels.get_mut(slot as usize) else { return };
        if channel.over || channel.end.is_some() || channel.rx.state != RecvState::Open {
            return;
        }
        let lacks = channel.rx.lacks(self.options.max_message_bytes);
        let lacks = lacks.map(|missing| self.shared.lack(missing));
        let overdraws = self.overdraws.is_none_or(|(other, _)| other == slot);
        let alone = self.came.0 == slot && self.came.1 >= SOLO_BYTES;
        match self.shared.news(&mut channel.rx.window, Asked { lacks, overdraws, alone }, self.now) {
            News::None => {}
            News::Promise => {
                if let Some(lack) = lacks.filter(|_| self.shared.used() > self.options.shared_window) {
                    self.overdraws = Some((slot, channel.rx.window.received() + lack.least()));
                }
                self.owe(slot, due::CREDIT);
            }
            News::Short if !core::mem::replace(&mut channel.rx.short, true) => self.short.push_back(slot),
            News::Short => {}
        }
    }

    /// The message for which a channel had more than its share is taken, or will never be: the next one's turn.
    pub(super) fn settle_overdraft(&mut self, slot: u32) {
        if self.overdraws.is_some_and(|(other, _)| other == slot) {
            self.overdraws = None;
        }
        while self.overdraws.is_none() {
            let Some(next) = self.short.pop_front() else { return };
            let Some(Some(channel)) = self.channels.get_mut(next as usize) else { continue };
            if core::mem::take(&mut channel.rx.short) {
                self.give_credit(next);
            }
        }
    }

    /// What was kept for the peer on a channel is given to others.
    pub(super) fn forget_window(&mut self, slot: u32) {
        if let Some(Some(channel)) = self.channels.get_mut(slot as usize) {
            let waiting = channel.rx.window.waiting();
            self.shared.take(&mut channel.rx.window, waiting);
            channel.rx.short = false;
        }
        self.settle_overdraft(slot);
    }
}
