//! What is to be written next, and what the program is to be told next.

use super::super::frame::{Frame, HEAD_BYTES, MAX_FRAME_BYTES};
use super::{Changes, ConnectionChanges, Mux, Outgoing, Place, SOLO_BYTES, State, due};

impl Mux {
    /// What is to be written next.
    #[inline]
    pub fn next_frame(&mut self) -> Option<Outgoing> {
        let urgent = self.hello_due
            || self.pong_due.is_some()
            || self.ping_due.is_some()
            || self.openings_due
            || self.go_away_due
            || !self.debtors.is_empty();
        if urgent {
            if let Some(frame) = self.next_control() {
                return Some(Outgoing { message: frame.encode(), ends: None });
            }
        }
        if !matches!(self.state, State::Open | State::Leaving { .. }) {
            return None;
        }
        self.next_data()
    }

    fn next_control(&mut self) -> Option<Frame> {
        if core::mem::take(&mut self.hello_due) {
            return Some(Frame::Hello(self.ours.clone()));
        }
        if self.theirs.is_some() && !matches!(self.state, State::Over(_)) {
            if let Some(token) = self.pong_due.take() {
                return Some(Frame::Pong { token });
            }
            if let Some(token) = self.ping_due.take() {
                self.stats.pings += 1;
                return Some(Frame::Ping { token });
            }
            if core::mem::take(&mut self.openings_due) {
                return Some(Frame::Openings { total: self.let_open });
            }
        }
        if let Some(frame) = self.next_debt() {
            return Some(frame);
        }
        if core::mem::take(&mut self.go_away_due) {
            let (code, text) = self.go_away.clone().unwrap_or_default();
            let last = if self.they_opened > 0 { self.last_number } else { 0 };
            return Some(Frame::GoAway { last, code, text });
        }
        None
    }

    /// What a channel owes the peer.
    fn next_debt(&mut self) -> Option<Frame> {
        while let Some(&slot) = self.debtors.front() {
            let Some(Some(held)) = self.channels.get_mut(slot as usize) else {
                self.debtors.pop_front();
                continue;
            };
            let channel = held.number;
            let lowest = held.due & held.due.wrapping_neg();
            held.due &= !lowest;
            return Some(match lowest {
                due::OPEN => Frame::Open { channel, priority: held.priority, id: held.id.clone() },
                due::ACCEPT => Frame::Accept { channel },
                due::CREDIT => {
                    Frame::Credit { channel, bytes: held.rx.window.promised(), delivered: held.rx.delivered }
                }
                due::FLUSH => Frame::Flush { channel },
                due::STOP => {
                    // What has come is told before.
                    let code = held.rx.stop_code;
                    held.rx.told_stop();
                    self.close_if_done(slot);
                    Frame::Stop { channel, code }
                }
                due::RESET => {
                    let reset = held.end.as_mut().and_then(|end| end.reset.take());
                    let (code, text) = reset.unwrap_or_default();
                    Frame::Reset { channel, code, text }
                }
                due::RETURN => match held.tx.give_back() {
                    Some(bytes) => Frame::Return { channel, bytes },
                    None => continue,
                },
                _ => {
                    held.in_debt = false;
                    self.debtors.pop_front();
                    self.free_slot(slot);
                    continue;
                }
            });
        }
        None
    }

    #[inline]
    fn next_data(&mut self) -> Option<Outgoing> {
        if self.turns.is_empty() {
            return None;
        }
        let alone = self.turns.is_alone();
        let (last, run) = self.solo;
        let chunk = self.options.chunk_bytes;
        let max = move |slot: u32| match alone && slot == last && run >= SOLO_BYTES {
            true => MAX_FRAME_BYTES - HEAD_BYTES - 8,
            false => chunk,
        };
        let mut stalls = 0;
        let served = self.turns.serve(
            &mut self.channels,
            |channels, slot| channels.get_mut(slot as usize)?.as_mut().map(|channel| &mut channel.tx.turn),
            |channels, slot| {
                let channel = channels.get_mut(slot as usize)?.as_mut()?;
                let before = channel.tx.stalls;
                let sent = channel.tx.next(channel.number, max(slot));
                stalls += u64::from(channel.tx.stalls - before);
                let sent = sent?;
                let bytes = sent.bytes;
                Some(((slot, sent), bytes))
            },
        );
        self.stats.stalls += stalls;
        let (slot, sent) = served?;
        self.solo = match slot == last || last == u32::MAX {
            true => (slot, run.saturating_add(sent.bytes as u64)),
            false => (slot, sent.bytes as u64),
        };
        self.stats.sent_bytes += sent.bytes as u64;
        self.stats.sent_messages += u64::from(sent.ends);
        let max_messages = self.options.send_messages;
        let gave_up = matches!(sent.frame, Frame::Abort { .. });
        let (place, finished, flush, room) = {
            let channel = self.channels[slot as usize].as_mut()?;
            channel.tx.keep_room(&mut self.spare);
            let place = Place { slot, number: channel.number };
            let finished = matches!(sent.frame, Frame::Finish { .. });
            // Told when half of the room is there again, or all of it.
            let (messages, bytes) = channel.tx.waiting();
            let room = channel.tx.room_wanted
                && messages <= max_messages / 2
                && bytes <= self.options.send_bytes / 2;
            channel.tx.room_wanted &= !room;
            (place, finished, channel.tx.is_flush_due(), room)
        };
        if flush {
            self.owe(slot, due::FLUSH);
        }
        if room {
            self.change(slot, Changes::ROOM);
        }
        if gave_up {
            // There is one less to be delivered: perhaps that was the last.
            self.change(slot, Changes::STATE);
        }
        if finished {
            self.change(slot, Changes::STATE);
            self.close_if_done(slot);
        }
        Some(Outgoing { message: sent.frame.encode(), ends: sent.ends.then_some(place) })
    }

    #[inline]
    pub(super) fn owe(&mut self, slot: u32, what: u8) {
        let Some(Some(channel)) = self.channels.get_mut(slot as usize) else { return };
        if channel.over && what != due::RESET {
            return;
        }
        channel.due |= what;
        if !core::mem::replace(&mut channel.in_debt, true) {
            self.debtors.push_back(slot);
        }
    }

    #[inline]
    pub(super) fn change(&mut self, slot: u32, what: u8) {
        let Some(Some(channel)) = self.channels.get_mut(slot as usize) else { return };
        if channel.changes == 0 && !channel.released {
            self.changed.push_back(slot);
        }
        channel.changes |= what;
    }

    /// The next channel on which something has changed.
    #[inline]
    pub fn next_change(&mut self) -> Option<(Place, Changes)> {
        loop {
            let slot = self.changed.pop_front()?;
            let Some(channel) = &mut self.channels[slot as usize] else { continue };
            let changes = core::mem::take(&mut channel.changes);
            if changes != 0 && !channel.released {
                return Some((Place { slot, number: channel.number }, Changes(changes)));
            }
        }
    }

    /// What has changed on the connection since it was asked last.
    #[inline]
    pub fn news(&mut self) -> ConnectionChanges {
        core::mem::take(&mut self.news)
    }
}
