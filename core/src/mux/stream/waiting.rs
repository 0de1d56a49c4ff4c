//! [`Waiting`]: what waits to be sent on a channel.

use super::spare::Queue;
use alloc::collections::VecDeque;
use bytes::Bytes;

/// What waits to be sent on a channel.
#[derive(Debug, Default)]
pub(in crate::mux) struct Waiting {
    pub(super) queue: VecDeque<Item>,
    /// Messages that have not left whole; of the one that the program is in the middle of perhaps nothing waits.
    pub(super) messages: usize,
    pub(super) bytes: usize,
    /// The message at the front is sent in part.
    pub(super) begun: bool,
}

#[derive(Debug)]
pub(super) enum Item {
    /// The rest of a message of known length.
    Whole(Bytes),
    /// A message of unknown length.
    Begin,
    Piece(Bytes),
    End,
    Abort,
    Finish,
}

impl Item {
    fn body(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(body) | Self::Piece(body) => Some(body),
            Self::Begin | Self::End | Self::Abort | Self::Finish => None,
        }
    }
}

impl Queue for Waiting {
    fn is_blank(&self) -> bool {
        self.queue.is_empty() && self.messages == 0 && !self.begun
    }

    fn room(&self) -> usize {
        self.queue.capacity()
    }
}

impl Waiting {
    /// Panics when the account does not add up.
    pub(super) fn check_invariants(&self) {
        let bytes: usize = self.queue.iter().map(|item| item.body().map_or(0, Bytes::len)).sum();
        assert_eq!(self.bytes, bytes, "bytes that wait");
        let known = |item: &&Item| matches!(item, Item::Whole(_) | Item::Begin);
        assert!(self.queue.iter().filter(known).count() <= self.messages, "messages that wait");
    }
}
