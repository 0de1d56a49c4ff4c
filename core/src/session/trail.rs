//! [`Trail`]: how many messages the kernel may still have had when a connection was cut.

use alloc::collections::VecDeque;

/// The latest flushes of one connection.
///
/// SP has no acknowledgements, so what a cut has swallowed cannot be known, only bounded: it is
/// among the messages whose bytes the two kernels could still hold. This keeps the flushes of so
/// many bytes back, and no more.
#[derive(Debug, Default)]
pub struct Trail {
    /// Flushes, oldest first; small ones are put together.
    steps: VecDeque<Step>,
    bytes: usize,
}

#[derive(Debug)]
struct Step {
    messages: usize,
    bytes: usize,
}

/// Flushes are put together up to this size: the answer is an upper bound anyway.
const STEP_BYTES: usize = 16 * 1024;

/// The longest trail: what a channel of a multiplexed connection may have on its way by default (a window of 16 MiB,
/// and a queue of 1 MiB). The two kernels hold less of a stream with Linux's default limits (`tcp_wmem` 4 MiB,
/// `tcp_rmem` 6 MiB).
const MAX_BYTES: usize = 18 * 1024 * 1024;

impl Trail {
    /// `messages` messages ended in `bytes` bytes that were just handed to the kernel.
    pub fn note(&mut self, messages: usize, bytes: usize) {
        self.bytes += bytes;
        match self.steps.back_mut() {
            Some(last) if last.bytes + bytes <= STEP_BYTES => {
                last.messages += messages;
                last.bytes += bytes;
            }
            _ => self.steps.push_back(Step { messages, bytes }),
        }
        while let Some(first) = self.steps.front() {
            if self.bytes - first.bytes < MAX_BYTES {
                break;
            }
            self.bytes -= first.bytes;
            self.steps.pop_front();
        }
    }

    /// At most so many messages are among the last `window` bytes.
    pub fn messages_within(&self, window: usize) -> usize {
        let (mut messages, mut bytes) = (0, 0);
        for step in self.steps.iter().rev() {
            if bytes >= window {
                break;
            }
            bytes += step.bytes;
            messages += step.messages;
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_messages_can_be_unknown() {
        let mut trail = Trail::default();
        for _ in 0..1_000 {
            trail.note(100, 10_000);
        }
        assert_eq!(trail.messages_within(0), 0);
        assert_eq!(trail.messages_within(10_000), 100);
        assert!((10_000..=10_200).contains(&trail.messages_within(1_000_000)));
    }

    #[test]
    fn it_stays_short_however_much_is_sent() {
        let mut trail = Trail::default();
        for _ in 0..1_000_000 {
            trail.note(1, 100);
        }
        assert!(trail.steps.len() <= MAX_BYTES / STEP_BYTES * 2);
        assert!(trail.messages_within(usize::MAX) <= 2 * MAX_BYTES / 100);
    }

    #[test]
    fn a_large_message_may_be_the_whole_trail() {
        let mut trail = Trail::default();
        trail.note(1, MAX_BYTES * 3);
        assert_eq!(trail.messages_within(1), 1);
    }
}
