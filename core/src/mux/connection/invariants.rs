//! What holds of a connection at any time.

use super::Mux;

impl Mux {
    /// Panics when the account does not add up.
    pub fn check_invariants(&self) {
        let channels = || self.channels.iter().flatten();
        let overdraft = 2 * u64::from(self.options.window) + self.options.max_message_bytes;
        self.shared.check_invariants(channels().map(|channel| &channel.rx.window), overdraft);
        for channel in channels() {
            channel.tx.check_invariants();
            channel.rx.check_invariants();
            if !channel.over {
                let slot = self.numbers.get(channel.number, &self.channels);
                let there = slot.and_then(|slot| self.channels[slot as usize].as_ref());
                assert_eq!(
                    there.map(|there| there.number),
                    Some(channel.number),
                    "it is found by its number"
                );
            }
        }
        assert_eq!(self.live, self.numbers.len(), "channels that live");
        assert_eq!(self.live, channels().filter(|channel| !channel.over).count(), "channels that live");
        let theirs = channels().filter(|channel| channel.incoming).count();
        assert!(theirs as u64 <= u64::from(self.options.channels), "more channels than may be");
        assert_eq!(self.they_opened - self.they_closed, theirs as u64, "channels of the peer");
        assert!(self.incoming.len() <= self.options.backlog, "more than may wait");
        assert_eq!(
            self.free.len() + channels().count(),
            self.channels.len(),
            "every slot is one or the other"
        );
    }
}
