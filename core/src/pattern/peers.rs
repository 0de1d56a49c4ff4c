//! [`Peers`]: the attached pipes, the room each has, and whose turn it is.

use super::credit::Credit;
use super::pipes::PipeTable;
use super::{Effects, Refusal};
use crate::event::Dropped;
use crate::message::{Message, PipeId};
use crate::options::Options;
use alloc::collections::VecDeque;

/// Everybody a pattern can send to. It picks the next with room, gives to one by name, or to all.
///
/// Room is used up when a pipe is picked and comes back with `drained`.
#[derive(Debug)]
pub(crate) struct Peers {
    pipes: PipeTable<Peer>,
    /// Each pipe that may have room, once, in the order of their turns. One whose room was used up
    /// by name stays in line until its turn comes; so nothing is searched for.
    turns: VecDeque<PipeId>,
    /// How many pipes have room.
    open: usize,
    /// Senders that were refused by a pipe of their choice since they were last told of room.
    refused: usize,
    window: usize,
    max_messages: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Peer {
    credit: Credit,
    in_turn: bool,
    /// Somebody who named this pipe was refused, and wants to know when it drains or goes.
    refused: bool,
}

impl Peers {
    /// Nobody yet. Each will have the room that the options give an outbox.
    pub(crate) fn new(options: &Options) -> Self {
        Self::growing(options.outbox_messages, options)
    }

    /// The same, but the room starts at `window` messages and grows while the peer drains.
    pub(crate) fn growing(window: usize, options: &Options) -> Self {
        Self {
            pipes: PipeTable::new(),
            turns: VecDeque::new(),
            open: 0,
            refused: 0,
            window,
            max_messages: options.outbox_messages,
            max_bytes: options.outbox_bytes,
        }
    }

    pub(crate) fn attach(&mut self, pipe: PipeId) {
        let credit = Credit::growing(self.window, self.max_messages, self.max_bytes);
        self.pipes.insert(pipe, Peer { credit, in_turn: true, refused: false });
        self.turns.push_back(pipe);
        self.open += 1;
    }

    /// Forgets a pipe. `None` when it was not known, else how many senders wait for nothing now.
    pub(crate) fn detach(&mut self, pipe: PipeId) -> Option<usize> {
        let peer = self.pipes.remove(pipe)?;
        if peer.in_turn {
            self.turns.retain(|turn| *turn != pipe);
        }
        self.open -= usize::from(peer.credit.is_open());
        Some(if peer.refused { self.take_refused() } else { 0 })
    }

    /// The outbox of `pipe` got shorter. Returns how many senders that name their pipe should look
    /// again: all that were refused by any, once this pipe is among those that refused, since to
    /// wake fewer might wake the wrong ones; and at least 1 when it had no room and has some now.
    pub(crate) fn drained(&mut self, pipe: PipeId, messages: usize, bytes: usize) -> usize {
        let Some(peer) = self.pipes.get_mut(pipe) else { return 0 };
        let was_open = peer.credit.is_open();
        peer.credit.give_back(messages, bytes, self.window);
        let opened = !was_open && peer.credit.is_open();
        if opened && !peer.in_turn {
            peer.in_turn = true;
            self.turns.push_back(pipe);
        }
        self.open += usize::from(opened);
        let refused = if core::mem::take(&mut peer.refused) { self.take_refused() } else { 0 };
        refused.max(usize::from(opened))
    }

    /// How many senders that named a pipe were refused; they count as told.
    pub(crate) fn take_refused(&mut self) -> usize {
        core::mem::take(&mut self.refused)
    }

    /// The next pipe in turn that has room for `bytes`; its room is used.
    #[inline]
    pub(crate) fn pick(&mut self, bytes: usize) -> Option<PipeId> {
        // Every pipe in line is asked at most once: a large message may fit none of them.
        for _ in 0..self.turns.len() {
            let pipe = *self.turns.front()?;
            let peer = self.pipes.get_mut(pipe).expect("pipes in line are attached");
            let was_open = peer.credit.is_open();
            let took = peer.credit.take(bytes);
            peer.in_turn = peer.credit.is_open();
            if !peer.in_turn {
                self.turns.pop_front();
            } else if self.turns.len() > 1 {
                self.turns.rotate_left(1);
            }
            self.open -= usize::from(was_open && !peer.in_turn);
            if took {
                return Some(pipe);
            }
        }
        None
    }

    /// Uses the room of the pipe that the sender named.
    #[inline]
    pub(crate) fn reserve(&mut self, pipe: PipeId, bytes: usize) -> Result<(), Refusal> {
        let Some(peer) = self.pipes.get_mut(pipe) else { return Err(Refusal::NoSuchPeer) };
        let was_open = peer.credit.is_open();
        if !peer.credit.take(bytes) {
            peer.refused = true;
            self.refused = self.refused.saturating_add(1);
            return Err(Refusal::Full);
        }
        self.open -= usize::from(was_open && !peer.credit.is_open());
        Ok(())
    }

    /// Sends to everybody with room and tells `reached` of each; the others miss it, counted.
    /// Without any pipe at all the message is discarded.
    pub(crate) fn broadcast(
        &mut self,
        message: &Message,
        fx: &mut impl Effects,
        mut reached: impl FnMut(PipeId),
    ) {
        if self.pipes.is_empty() {
            fx.discard(Dropped::NoPeer, None, message.len());
        }
        for (pipe, peer) in self.pipes.iter_mut() {
            let was_open = peer.credit.is_open();
            if peer.credit.take(message.len()) {
                self.open -= usize::from(was_open && !peer.credit.is_open());
                fx.transmit_copy(pipe, message);
                reached(pipe);
            } else {
                fx.discard(Dropped::OutboxFull, Some(pipe), message.len());
            }
        }
    }

    /// Why [`pick`](Self::pick) found nobody.
    pub(crate) fn refusal(&self) -> Refusal {
        if self.pipes.is_empty() { Refusal::NoPeer } else { Refusal::Full }
    }

    /// Whether some pipe has room for some message.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.open > 0
    }

    /// Whether this very pipe has room for some message.
    pub(crate) fn is_open(&self, pipe: PipeId) -> bool {
        self.pipes.get(pipe).is_some_and(|peer| peer.credit.is_open())
    }

    pub(crate) fn contains(&self, pipe: PipeId) -> bool {
        self.pipes.get(pipe).is_some()
    }

    /// Whether some pipe has room for `bytes`. Looks at every pipe.
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        self.pipes.iter().any(|(_, peer)| peer.credit.allows(bytes))
    }

    /// What a new pipe adds to the room.
    pub(crate) fn window(&self) -> usize {
        self.window
    }

    pub(crate) fn check_invariants(&self) {
        let mut open = 0;
        let mut in_turn = 0;
        for (pipe, peer) in self.pipes.iter() {
            peer.credit.check_invariants();
            assert!(peer.in_turn || !peer.credit.is_open(), "room of {pipe} that nobody knows of");
            open += usize::from(peer.credit.is_open());
            in_turn += usize::from(peer.in_turn);
        }
        assert_eq!(open, self.open, "pipes with room");
        assert_eq!(in_turn, self.turns.len(), "one turn each");
        assert!(self.open <= self.turns.len() && self.turns.len() <= self.pipes.len());
        let known = |turn: &PipeId| self.pipes.get(*turn).is_some_and(|peer| peer.in_turn);
        assert!(self.turns.iter().all(known), "pipes in line are attached");
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Script, pipe};
    use super::*;

    fn peers(outbox_messages: usize, count: u32) -> Peers {
        let mut peers = Peers::new(&Options { outbox_messages, ..Options::default() });
        (1..=count).for_each(|n| peers.attach(pipe(n)));
        peers
    }

    #[test]
    fn a_pipe_used_up_by_name_is_passed_over_in_its_turn() {
        let mut peers = peers(1, 2);
        assert_eq!(peers.reserve(pipe(1), 5), Ok(()));
        assert_eq!(peers.pick(5), Some(pipe(2)));
        assert_eq!((peers.pick(5), peers.has_room()), (None, false));
        peers.drained(pipe(1), 1, 5);
        assert!(peers.is_open(pipe(1)) && !peers.is_open(pipe(2)));
        assert_eq!(peers.pick(5), Some(pipe(1)));
        peers.check_invariants();
    }

    #[test]
    fn whoever_named_a_full_pipe_hears_when_it_drains_or_goes() {
        let mut peers = peers(1, 2);
        for n in [1, 2] {
            assert_eq!(peers.reserve(pipe(n), 1), Ok(()));
            assert_eq!(peers.reserve(pipe(n), 1), Err(Refusal::Full));
        }
        assert_eq!(peers.drained(pipe(1), 1, 1), 2, "both, for who is who is not known here");
        assert_eq!(peers.drained(pipe(1), 0, 0), 0, "told already");
        assert_eq!(peers.reserve(pipe(2), 1), Err(Refusal::Full));
        assert_eq!(peers.detach(pipe(2)), Some(1));
        assert_eq!(peers.detach(pipe(2)), None);
        assert_eq!(peers.reserve(pipe(2), 1), Err(Refusal::NoSuchPeer));
        peers.check_invariants();
    }

    #[test]
    fn a_broadcast_counts_whom_it_misses() {
        let mut fx = Script::default();
        let mut peers = peers(1, 0);
        peers.broadcast(&"x".into(), &mut fx, |_| panic!("nobody is there"));
        peers.attach(pipe(1));
        peers.attach(pipe(2));
        assert_eq!(peers.reserve(pipe(1), 1), Ok(()));
        let mut reached = vec![];
        peers.broadcast(&"x".into(), &mut fx, |pipe| reached.push(pipe));
        assert_eq!(reached, [pipe(2)]);
        assert_eq!(fx.dropped, [(Dropped::NoPeer, None, 1), (Dropped::OutboxFull, Some(pipe(1)), 1)]);
        peers.check_invariants();
    }
}
