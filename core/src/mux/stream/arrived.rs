//! [`Arrived`]: what has come on a channel, and waits to be taken.

use super::super::credit::Missing;
use super::receiving::Take;
use super::spare::Queue;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;

/// What has come on a channel, and waits to be taken.
#[derive(Debug, Default)]
pub(in crate::mux) struct Arrived {
    queue: VecDeque<Segment>,
    /// Messages that are whole in the queue, or were given up by the peer.
    pub(super) ended: usize,
    /// The message that is coming.
    pub(super) part: Option<Part>,
    /// The message at the front has been taken in part.
    streaming: bool,
}

#[derive(Debug)]
struct Segment {
    bytes: Bytes,
    cost: u32,
    ends: Ends,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    No,
    Whole,
    Aborted,
}

#[derive(Debug)]
pub(super) struct Part {
    /// Bytes that are missing, if that is known.
    pub(super) missing: Option<u64>,
    /// Bytes that came.
    pub(super) came: u64,
}

impl Queue for Arrived {
    fn is_blank(&self) -> bool {
        self.is_idle() && !self.streaming
    }

    fn room(&self) -> usize {
        self.queue.capacity()
    }
}

impl Arrived {
    /// Whether all of it is taken, and it was no part of a message.
    pub(super) fn is_idle(&self) -> bool {
        self.is_empty() && self.part.is_none()
    }

    /// Whether there is nothing to take.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes that wait to be taken. Looks at each piece that does.
    pub(super) fn bytes(&self) -> usize {
        self.queue.iter().map(|segment| segment.bytes.len()).sum()
    }

    #[inline]
    pub(super) fn push(&mut self, bytes: Bytes, cost: u64, ends: Ends) {
        self.ended += usize::from(ends != Ends::No);
        self.queue.push_back(Segment { bytes, cost: cost as u32, ends });
    }

    /// See [`Receiving::cut`](super::Receiving::cut).
    pub(super) fn cut(&mut self) -> u64 {
        self.part = None;
        if self.streaming && self.ended == 0 {
            return 0;
        }
        let whole =
            self.queue.iter().rposition(|segment| segment.ends != Ends::No).map_or(0, |last| last + 1);
        self.queue.drain(whole..).map(|segment| u64::from(segment.cost)).sum()
    }

    /// Whether the message at the front is longer than what is taken whole.
    pub(super) fn is_too_large(&self, max: u64) -> bool {
        let Some(part) = self.part.as_ref().filter(|_| self.ended == 0) else { return false };
        part.missing.map_or(part.came, |missing| part.came.saturating_add(missing)) > max
    }

    /// What the message at the front still lacks, if it can be had whole.
    pub(super) fn lacks(&self, max: u64) -> Option<Missing> {
        if self.ended > 0 || self.is_too_large(max) {
            return None;
        }
        let part = self.part.as_ref()?;
        Some(part.missing.map_or(Missing::Unknown { came: part.came }, Missing::Bytes))
    }

    /// The next message, whole; and what it has cost.
    #[inline]
    pub(super) fn take_message(&mut self, max: u64) -> (Take, u64) {
        let mut cost = 0;
        while self.ended > 0 {
            let Some(segment) = self.queue.pop_front() else { break };
            if segment.ends == Ends::No && !self.streaming {
                match self.join(segment, max) {
                    // In a loop, since a peer may give up as many as it likes.
                    (Take::Aborted, more) => cost += more,
                    (take, more) => {
                        return (take, cost + more);
                    }
                }
                continue;
            }
            cost += u64::from(segment.cost);
            match segment.ends {
                Ends::Whole if !self.streaming => {
                    self.ended -= 1;
                    return (Take::Message(segment.bytes), cost);
                }
                // The rest of one of which the program has had pieces, and wants no more.
                Ends::No => {}
                Ends::Whole | Ends::Aborted => {
                    self.ended -= 1;
                    self.streaming = false;
                }
            }
        }
        if self.streaming {
            // The rest of it is not wanted, but has not come yet.
            for segment in self.queue.drain(..) {
                cost += u64::from(segment.cost);
            }
        }
        let take = match self.is_too_large(max) && !self.streaming {
            true => Take::TooLarge,
            false => Take::Nothing,
        };
        (take, cost)
    }

    /// A message that came in pieces, and is whole or was given up; and what it has cost.
    fn join(&mut self, first: Segment, max: u64) -> (Take, u64) {
        let last = self.queue.iter().position(|segment| segment.ends != Ends::No).unwrap_or(0);
        let bytes =
            first.bytes.len() + self.queue.iter().take(last + 1).map(|s| s.bytes.len()).sum::<usize>();
        let is_whole = self.queue[last].ends == Ends::Whole;
        if is_whole && bytes as u64 > max {
            self.queue.push_front(first);
            return (Take::TooLarge, 0);
        }
        let mut cost = 0;
        let mut whole = Vec::with_capacity(if is_whole { bytes } else { 0 });
        let rest = self.queue.drain(..=last);
        for segment in core::iter::once(first).chain(rest) {
            cost += u64::from(segment.cost);
            if is_whole {
                whole.extend_from_slice(&segment.bytes);
            }
        }
        self.ended -= 1;
        (if is_whole { Take::Message(whole.into()) } else { Take::Aborted }, cost)
    }

    /// The next bytes of the message at the front.
    pub(super) fn take_piece(&mut self) -> (Take, u64) {
        let Some(segment) = self.queue.front_mut() else { return (Take::Nothing, 0) };
        let cost = u64::from(core::mem::take(&mut segment.cost));
        if !segment.bytes.is_empty() {
            let bytes = core::mem::take(&mut segment.bytes);
            if segment.ends == Ends::No {
                self.queue.pop_front();
            }
            self.streaming = true;
            return (Take::Piece(bytes), cost);
        }
        let ends = segment.ends;
        self.queue.pop_front();
        match ends {
            Ends::No => {
                // The beginning of a message without its first bytes: the program has nothing of it yet.
                let (take, more) = self.take_piece();
                (take, cost + more)
            }
            Ends::Whole | Ends::Aborted => {
                self.ended -= 1;
                self.streaming = false;
                (if ends == Ends::Whole { Take::End } else { Take::Aborted }, cost)
            }
        }
    }

    /// Panics when the account does not add up. What all of it has cost.
    pub(super) fn check_invariants(&self) -> u64 {
        let ended = self.queue.iter().filter(|segment| segment.ends != Ends::No).count();
        assert_eq!(self.ended, ended, "messages that are over");
        self.queue.iter().map(|segment| u64::from(segment.cost)).sum()
    }
}
