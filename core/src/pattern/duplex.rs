//! [`Duplex`]: what all PAIRs do in both directions, whatever their header.

use super::credit::Credit;
use super::pipes::PipeTable;
use super::queue::FairQueue;
use super::{CtxId, Effects, Held, Nothing, Refusal, Room, discard_unsent};
use crate::event::DetachReason;
use crate::message::{Message, PipeId};
use crate::options::Options;
use alloc::vec::Vec;

/// The peers of a PAIR: room towards each, and a fair queue of what they sent.
#[derive(Debug)]
pub(crate) struct Duplex {
    peers: PipeTable<Credit>,
    /// Attached pipes, the oldest first: it gets what is addressed to nobody.
    order: Vec<PipeId>,
    queue: FairQueue,
    peers_allowed: Peers,
    max_messages: usize,
    max_bytes: usize,
}

/// How many peers a PAIR has at a time.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peers {
    /// The first stays, others are refused while it does.
    One,
    /// Polyamorous: as many as come.
    Many,
}

impl Duplex {
    pub(crate) fn new(options: &Options, peers_allowed: Peers) -> Self {
        Self {
            peers: PipeTable::new(),
            order: Vec::new(),
            queue: FairQueue::new(options.recv_messages, options.recv_bytes, usize::MAX),
            peers_allowed,
            max_messages: options.outbox_messages,
            max_bytes: options.outbox_bytes,
        }
    }

    pub(crate) fn attach(&mut self, pipe: PipeId, fx: &mut impl Effects) -> Result<(), DetachReason> {
        if self.peers_allowed == Peers::One && !self.peers.is_empty() {
            return Err(DetachReason::Busy);
        }
        self.peers.insert(pipe, Credit::new(self.max_messages, self.max_bytes));
        self.order.push(pipe);
        self.queue.attach(pipe);
        self.tell_writable(self.max_messages, fx);
        Ok(())
    }

    pub(crate) fn detach(&mut self, pipe: PipeId, unsent: Vec<Message>, fx: &mut impl Effects) {
        discard_unsent(pipe, unsent, fx);
        if self.peers.remove(pipe).is_none() {
            return;
        }
        self.order.retain(|other| *other != pipe);
        self.queue.detach(pipe);
        // Among many, somebody may have waited for this very pipe, or for it to stop being the
        // oldest. With one there is no use in looking before the next comes.
        if self.peers_allowed == Peers::Many {
            self.tell_writable(self.max_messages, fx);
        }
    }

    pub(crate) fn drained(&mut self, pipe: PipeId, messages: usize, bytes: usize, fx: &mut impl Effects) {
        if let Some(credit) = self.peers.get_mut(pipe) {
            credit.give_back(messages, bytes, self.max_messages);
            self.tell_writable(messages, fx);
        }
    }

    /// Tells senders of room for `count` messages. Among many peers all who wait have to look: each
    /// may wait for another pipe, and the one who is told may not be the one who can go on.
    fn tell_writable(&self, count: usize, fx: &mut impl Effects) {
        match self.peers_allowed {
            Peers::One => fx.writable(count),
            Peers::Many => fx.writable(usize::MAX),
        }
    }

    fn contains(&self, pipe: PipeId) -> bool {
        self.peers.get(pipe).is_some()
    }

    pub(crate) fn room(&mut self, pipe: PipeId) -> Room {
        self.queue.room(pipe)
    }

    /// Keeps a message from `pipe`, as the application shall see it.
    pub(crate) fn deliver(&mut self, pipe: PipeId, message: Message, fx: &mut impl Effects) {
        if self.contains(pipe) {
            self.queue.push(pipe, message);
            fx.readable(CtxId::DEFAULT, 1);
        }
    }

    /// The pipe for a message of `bytes` bytes: the one it is addressed to, else the oldest. Its
    /// credit is used.
    pub(crate) fn pick(&mut self, to: Option<PipeId>, bytes: usize) -> Result<PipeId, Refusal> {
        let pipe = match to {
            Some(pipe) => pipe,
            None => *self.order.first().ok_or(Refusal::NoPeer)?,
        };
        let credit = self.peers.get_mut(pipe).ok_or(Refusal::NoSuchPeer)?;
        if credit.take(bytes) { Ok(pipe) } else { Err(Refusal::Full) }
    }

    pub(crate) fn take(&mut self, fx: &mut impl Effects) -> Result<Message, Nothing> {
        self.queue.pop(fx).ok_or(Nothing::Yet)
    }

    pub(crate) fn readable(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(crate) fn writable(&self) -> bool {
        self.peers.iter().any(|(_, credit)| credit.is_open())
    }

    pub(crate) fn held(&self) -> Held {
        self.queue.held()
    }

    pub(crate) fn clear(&mut self, fx: &mut impl Effects) {
        self.queue.clear(fx);
    }

    pub(crate) fn check_invariants(&self) {
        self.queue.check_invariants();
        assert_eq!(self.order.len(), self.peers.len(), "every peer has its place in the order");
        assert!(self.order.iter().all(|pipe| self.contains(*pipe)), "nobody else has");
        assert!(self.peers_allowed == Peers::Many || self.peers.len() <= 1, "one peer at a time");
        self.peers.iter().for_each(|(_, credit)| credit.check_invariants());
    }
}
