//! Credit: how much one side may have on its way to the other.
//!
//! The sums count from the beginning of the connection and only grow, so that nothing goes wrong when news
//! of them cross each other.

/// What we may send.
#[derive(Clone, Debug)]
pub struct Allowance {
    granted_messages: u64,
    granted_bytes: u64,
    window_bytes: u64,
    sent_messages: u64,
    sent_bytes: u64,
}

impl Allowance {
    /// By the window in the peer's Hello.
    pub fn new(messages: u32, bytes: u32) -> Self {
        Self {
            granted_messages: messages.into(),
            granted_bytes: bytes.into(),
            window_bytes: bytes.into(),
            sent_messages: 0,
            sent_bytes: 0,
        }
    }

    /// Whether a message of so many bytes may be sent. One may always be on its way, however large.
    pub fn has(&self, bytes: u64) -> bool {
        self.sent_messages < self.granted_messages
            && fits(bytes, self.granted_bytes, self.sent_bytes, self.window_bytes)
    }

    /// It is sent.
    pub fn use_up(&mut self, bytes: u64) {
        self.sent_messages += 1;
        self.sent_bytes = self.sent_bytes.saturating_add(bytes);
    }

    /// The peer has made room. `false`: for more than was ever sent and its window, which is nonsense.
    pub fn granted(&mut self, messages: u64, bytes: u64) -> bool {
        let sane = bytes <= self.sent_bytes.saturating_add(self.window_bytes);
        self.granted_messages = self.granted_messages.max(messages);
        self.granted_bytes = self.granted_bytes.max(bytes);
        sane
    }

    /// Messages sent so far.
    pub fn sent(&self) -> u64 {
        self.sent_messages
    }
}

/// Whether `bytes` more may be on their way. The receiver tells when half of its window is free again; so
/// with more than half of it left, all may have been taken, and one message may go, however large.
fn fits(bytes: u64, granted: u64, sent: u64, window: u64) -> bool {
    let Some(left) = granted.checked_sub(sent) else { return false };
    bytes <= left || left >= window / 2 + u64::from(window > 0)
}

/// What the peer may send, and what it has been told.
#[derive(Clone, Debug)]
pub struct Room {
    window_messages: u64,
    window_bytes: u64,
    received_messages: u64,
    received_bytes: u64,
    taken_messages: u64,
    taken_bytes: u64,
    told_messages: u64,
    told_bytes: u64,
}

impl Room {
    /// By the window in our Hello.
    pub fn new(messages: u32, bytes: u32) -> Self {
        let (messages, bytes) = (u64::from(messages), u64::from(bytes));
        Self {
            window_messages: messages,
            window_bytes: bytes,
            received_messages: 0,
            received_bytes: 0,
            taken_messages: 0,
            taken_bytes: 0,
            told_messages: messages,
            told_bytes: bytes,
        }
    }

    /// A message begins. `false`: the peer had no credit for it.
    pub fn receive(&mut self, bytes: u64) -> bool {
        let fits = self.received_messages < self.told_messages
            && fits(bytes, self.told_bytes, self.received_bytes, self.window_bytes);
        self.received_messages += 1;
        self.received_bytes = self.received_bytes.saturating_add(bytes);
        fits
    }

    /// The program has taken a message, or it was discarded.
    pub fn take(&mut self, bytes: u64) {
        self.taken_messages += 1;
        self.taken_bytes = self.taken_bytes.saturating_add(bytes);
    }

    /// The sums to tell the peer, once it is worth a message: when half of a window is free again.
    pub fn news(&mut self) -> Option<(u64, u64)> {
        let messages = self.taken_messages + self.window_messages;
        let bytes = self.taken_bytes.saturating_add(self.window_bytes);
        let worth = messages - self.told_messages >= self.window_messages.div_ceil(2)
            || bytes - self.told_bytes >= self.window_bytes.div_ceil(2).max(1);
        if !worth {
            return None;
        }
        (self.told_messages, self.told_bytes) = (messages, bytes);
        Some((messages, bytes))
    }

    /// Whether there is something to tell.
    pub fn has_news(&self) -> bool {
        self.clone().news().is_some()
    }

    /// Messages received so far.
    pub fn received(&self) -> u64 {
        self.received_messages
    }

    /// Messages and bytes received that nobody has taken.
    pub fn waiting(&self) -> (u64, u64) {
        (self.received_messages - self.taken_messages, self.received_bytes - self.taken_bytes)
    }

    /// Panics when the account does not add up.
    pub fn check_invariants(&self) {
        assert!(self.taken_messages <= self.received_messages);
        assert!(self.taken_bytes <= self.received_bytes);
        assert!(self.told_messages <= self.taken_messages + self.window_messages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[test]
    fn one_message_may_always_be_on_its_way() {
        let mut allowance = Allowance::new(4, 100);
        assert!(allowance.has(1_000_000));
        allowance.use_up(1_000_000);
        assert!(!allowance.has(0));
        assert!(allowance.granted(5, 1_000_100));
        assert!(allowance.has(7));
        assert!(!allowance.granted(9, 2_000_000), "for what was never sent");
    }

    proptest! {
        /// Sender and receiver never disagree, whatever is delayed; and nobody waits for ever.
        #[test]
        fn a_sender_with_credit_is_never_a_violation(
            messages in 1_u32..8, bytes in 0_u32..200,
            steps in prop::collection::vec((0_u8..4, 0_u64..300), 0..300),
        ) {
            let (mut allowance, mut room) = (Allowance::new(messages, bytes), Room::new(messages, bytes));
            let (mut wire, mut queue, mut news) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
            let mut act = |step: u8, size: u64| {
                match step {
                    0 if allowance.has(size) => {
                        allowance.use_up(size);
                        wire.push_back(size);
                    }
                    1 => if let Some(size) = wire.pop_front() {
                        prop_assert!(room.receive(size));
                        queue.push_back(size);
                    },
                    2 => if let Some(size) = queue.pop_front() {
                        room.take(size);
                        news.extend(room.news());
                    },
                    3 => if let Some((messages, bytes)) = news.pop_front() {
                        prop_assert!(allowance.granted(messages, bytes));
                    },
                    _ => {}
                }
                room.check_invariants();
                let (waiting, bytes_waiting) = room.waiting();
                prop_assert!(waiting <= u64::from(messages));
                prop_assert!(waiting <= 1 || bytes_waiting <= 300 + u64::from(bytes));
                Ok(())
            };
            for (step, size) in steps {
                act(step, size)?;
            }
            for _ in 0..400 {
                for step in [1, 2, 3] {
                    act(step, 0)?;
                }
            }
            prop_assert!(allowance.has(u64::MAX), "all is taken, so there is room");
        }
    }
}
