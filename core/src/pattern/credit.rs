//! [`Credit`]: how much more may be given to one pipe.

/// The room in one pipe's outbox, as its pattern knows it.
///
/// Used when the pattern picks the pipe, given back by `drained`. That is why a refused send is
/// refused before anything has moved. A single message is always allowed, however large.
#[derive(Clone, Debug)]
pub(crate) struct Credit {
    messages: usize,
    bytes: usize,
    window: usize,
    max_messages: usize,
    max_bytes: usize,
}

impl Credit {
    /// Room for `max_messages` messages and `max_bytes` bytes.
    pub(crate) fn new(max_messages: usize, max_bytes: usize) -> Self {
        Self { messages: 0, bytes: 0, window: max_messages, max_messages, max_bytes }
    }

    /// The same, but starting at `window` messages and growing while the pipe drains.
    pub(crate) fn growing(window: usize, max_messages: usize, max_bytes: usize) -> Self {
        Self { messages: 0, bytes: 0, window: window.min(max_messages), max_messages, max_bytes }
    }

    /// Whether a message of `bytes` bytes has room.
    #[inline]
    pub(crate) fn allows(&self, bytes: usize) -> bool {
        self.messages == 0
            || (self.messages < self.window && self.bytes.saturating_add(bytes) <= self.max_bytes)
    }

    /// Whether some message, be it an empty one, has room.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.allows(0)
    }

    /// Uses room for a message of `bytes` bytes; `false`, and no change, when there is none.
    #[inline]
    #[must_use]
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let allowed = self.allows(bytes);
        if allowed {
            self.messages += 1;
            self.bytes = self.bytes.saturating_add(bytes);
        }
        allowed
    }

    /// `messages` messages of `bytes` bytes left the outbox.
    ///
    /// A window that had been used up and drained whole doubles; one that drained only in part
    /// halves: then the kernel's buffer is full, and more here would only wait.
    #[inline]
    pub(crate) fn give_back(&mut self, messages: usize, bytes: usize, smallest_window: usize) {
        let was_full = self.messages >= self.window;
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = self.bytes.saturating_sub(bytes);
        if was_full {
            self.window = match self.messages {
                0 => self.window.saturating_mul(2).min(self.max_messages),
                _ => (self.window / 2).max(smallest_window.min(self.max_messages)),
            };
        }
    }

    /// Whether anything waits in the outbox.
    pub(crate) fn is_used(&self) -> bool {
        self.messages > 0
    }

    /// Panics when more was used than allowed.
    pub(crate) fn check_invariants(&self) {
        assert!(self.window >= 1 && self.window <= self.max_messages, "window out of range");
        assert!(self.messages <= self.max_messages, "more messages out than allowed");
        assert!(self.messages <= 1 || self.bytes <= self.max_bytes, "more bytes out than allowed");
        assert!(self.messages > 0 || self.bytes == 0, "bytes out without a message");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_message_is_always_allowed() {
        let mut credit = Credit::new(4, 10);
        assert!(credit.take(1_000));
        assert!(!credit.take(0), "bytes are used up");
        credit.give_back(1, 1_000, 4);
        assert!(credit.take(5) && credit.take(5) && !credit.take(1));
        credit.check_invariants();
    }

    #[test]
    fn it_is_used_while_a_message_is_out() {
        let mut credit = Credit::new(4, 10);
        assert!(!credit.is_used());
        assert!(credit.take(0) && credit.is_used());
        credit.give_back(1, 0, 4);
        assert!(!credit.is_used());
    }

    #[test]
    fn a_window_grows_while_the_peer_drains_and_shrinks_when_it_stops() {
        let mut credit = Credit::growing(2, 8, 1_000);
        assert!(credit.take(1) && credit.take(1) && !credit.take(1));
        credit.give_back(2, 2, 2);
        assert_eq!((0..9).filter(|_| credit.take(1)).count(), 4);
        credit.give_back(1, 1, 2);
        assert!(!credit.is_open(), "the window went back to two, three are out");
        credit.check_invariants();
    }
}
