//! Backtraces and request ids: the header that REQ, REP, SURVEYOR and RESPONDENT share. Spec 5.1.
//!
//! ```text
//!   hop tag   hop tag   id          body
//!  ┌─────────┬─────────┬─────────┬─ ─ ─ ─
//!  │0 31 bits│0 31 bits│1 31 bits│          4 bytes each, big-endian; the id is the first
//!  └─────────┴─────────┴─────────┴─ ─ ─ ─   tag with its top bit set, and ends the list
//! ```
//!
//! Every device on the way puts the pipe that a request came over in front, and takes it off the
//! reply to find the way back. Tags of others are opaque.

use super::{CtxId, Effects};
use crate::event::{DetachReason, Dropped};
use crate::message::{Header, Message, PipeId};
use alloc::vec::Vec;

/// The most tags that a reply can have when it comes back to a raw socket: those of a request at
/// the largest hop limit (15), and our own. NNG's header holds as many.
pub(crate) const MOST_TAGS: u8 = 16;

const ID: u32 = 0x8000_0000;

/// Moves the backtrace of a message that came from `pipe` into its header.
///
/// `None` when it has none, and the message is gone: tags that end without an id are a breach of
/// the protocol and close the pipe, as in NNG; more than `hop_limit` tags, the id among them, are a
/// loop, which is not the fault of this peer. Never looks at more than `hop_limit` tags.
pub(crate) fn accept(
    pipe: PipeId,
    mut message: Message,
    hop_limit: u8,
    fx: &mut impl Effects,
) -> Option<Message> {
    debug_assert!(hop_limit <= MOST_TAGS);
    if is_asked_directly(message.header()) {
        // As it comes in-process from the socket that asked: there is nothing to move.
        return Some(message);
    }
    let bytes = message.len();
    let mut tags = [0; 4 * MOST_TAGS as usize];
    for hop in 0..usize::from(hop_limit) {
        let Some(tag) = message.take_tag() else {
            malformed(pipe, bytes, fx);
            return None;
        };
        tags[4 * hop..4 * hop + 4].copy_from_slice(&tag.to_be_bytes());
        if tag & ID != 0 {
            message.join();
            return Some(message.header_set(Header::new(&tags[..4 * hop + 4])));
        }
    }
    fx.discard(Dropped::HopLimit, Some(pipe), bytes);
    None
}

/// Whether a header is just an id.
#[inline]
fn is_asked_directly(header: &Header) -> bool {
    matches!(header.as_slice(), [first, _, _, _] if first & 0x80 != 0)
}

/// Takes the id off a reply or an answer: its first tag, whatever that is. `None` when there is
/// none, and the message is gone and the pipe closed, as in NNG.
pub(crate) fn accept_answer(
    pipe: PipeId,
    mut message: Message,
    fx: &mut impl Effects,
) -> Option<(u32, Message)> {
    let bytes = message.len();
    let Some(id) = message.take_tag() else {
        malformed(pipe, bytes, fx);
        return None;
    };
    message.join();
    Some((id, message))
}

fn malformed(pipe: PipeId, bytes: usize, fx: &mut impl Effects) {
    fx.discard(Dropped::Malformed, Some(pipe), bytes);
    fx.close(pipe, DetachReason::ProtocolViolation);
}

/// The ids of one socket: which are in use, by which context, and which comes next.
///
/// Each id has just one place, which its low bits name, so that nothing is searched for and nothing
/// is allocated but when there are more at once than ever before. An id whose place is taken is passed
/// over.
#[derive(Debug)]
pub(crate) struct Ids {
    next: u32,
    /// A power of two, and never more than half full. At most one per context.
    places: Vec<Option<(u32, CtxId)>>,
    live: usize,
}

/// What most sockets need at most: some requests at once.
const FEWEST_PLACES: usize = 16;

impl Ids {
    /// Starts anywhere; `seed` should be random, so that replies to a former life of this socket
    /// find nobody.
    pub(crate) fn new(seed: u32) -> Self {
        Self { next: seed | ID, places: alloc::vec![None; FEWEST_PLACES], live: 0 }
    }

    #[inline]
    fn place(&self, id: u32) -> usize {
        id as usize & (self.places.len() - 1)
    }

    /// The next id whose place is free, for `ctx`.
    pub(crate) fn start(&mut self, ctx: CtxId) -> u32 {
        if 2 * self.live >= self.places.len() {
            self.grow();
        }
        // Ends, as half of the places are free.
        loop {
            let id = self.next;
            self.next = self.next.wrapping_add(1) | ID;
            let place = self.place(id);
            if self.places[place].is_none() {
                self.places[place] = Some((id, ctx));
                self.live += 1;
                return id;
            }
        }
    }

    /// Ids in different places are in different ones of a larger table, too.
    #[cold]
    fn grow(&mut self) {
        let larger = alloc::vec![None; 2 * self.places.len()];
        for (id, ctx) in core::mem::replace(&mut self.places, larger).into_iter().flatten() {
            let place = self.place(id);
            self.places[place] = Some((id, ctx));
        }
    }

    /// Whose id this is.
    #[inline]
    pub(crate) fn owner(&self, id: u32) -> Option<CtxId> {
        let (live, ctx) = self.places[self.place(id)]?;
        (live == id).then_some(ctx)
    }

    /// The id is no longer in use.
    #[inline]
    pub(crate) fn end(&mut self, id: u32) {
        let place = self.place(id);
        if self.places[place].take_if(|(live, _)| *live == id).is_some() {
            self.live -= 1;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// All in use, the lowest first; that is the oldest, but for one wrap in 2^31 requests. Sorts them:
    /// for when a connection is lost.
    pub(crate) fn in_order(&self) -> Vec<(u32, CtxId)> {
        let mut ids: Vec<_> = self.places.iter().flatten().copied().collect();
        ids.sort_unstable_by_key(|(id, _)| *id);
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Script, pipe};
    use super::*;
    use proptest::prelude::*;

    fn tags(count: u32) -> Vec<u8> {
        (1..=count).flat_map(|n| (if n == count { ID | n } else { n }).to_be_bytes()).collect()
    }

    fn accept_wire(bytes: Vec<u8>, limit: u8) -> (Option<Message>, Script) {
        let mut fx = Script::default();
        let message = accept(pipe(1), bytes.into(), limit, &mut fx);
        (message, fx)
    }

    #[test]
    fn eight_tags_pass_a_limit_of_eight_and_nine_do_not() {
        let (passed, fx) = accept_wire(tags(8), 8);
        assert_eq!(passed.unwrap().header().as_slice(), tags(8));
        assert!(fx.dropped.is_empty());
        let (dropped, fx) = accept_wire(tags(9), 8);
        assert_eq!(dropped, None);
        assert_eq!(fx.dropped, [(Dropped::HopLimit, Some(pipe(1)), 36)]);
        assert!(fx.closed.is_empty(), "the pipe stays");
        assert!(accept_wire(tags(1), 1).0.is_some());
        assert!(accept_wire(tags(16), MOST_TAGS).0.is_some());
    }

    #[test]
    fn tags_without_an_end_close_the_pipe() {
        for bytes in [&b""[..], b"abc", &[0, 0, 0, 1], &[0, 0, 0, 1, 0x80, 0, 0]] {
            let (message, fx) = accept_wire(bytes.to_vec(), 8);
            assert_eq!(message, None);
            assert_eq!(fx.dropped, [(Dropped::Malformed, Some(pipe(1)), bytes.len())]);
            assert_eq!(fx.closed, [(pipe(1), DetachReason::ProtocolViolation)]);
        }
    }

    #[test]
    fn an_empty_body_behind_the_id_is_fine() {
        let (message, _) = accept_wire(tags(1), 8);
        assert_eq!(message.unwrap().body().len(), 0);
    }

    #[test]
    fn ids_wrap_inside_the_upper_half_and_skip_those_in_use() {
        let mut ids = Ids::new(0x7fff_fffe);
        assert_eq!(ids.start(CtxId(1)), 0xffff_fffe);
        assert_eq!(ids.start(CtxId(2)), 0xffff_ffff);
        assert_eq!(ids.start(CtxId(3)), 0x8000_0000);
        ids.next = 0xffff_fffe;
        ids.end(0xffff_ffff);
        assert_eq!((ids.start(CtxId(4)), ids.start(CtxId(5))), (0xffff_ffff, 0x8000_0001));
        assert_eq!((ids.owner(0x8000_0000), ids.owner(0x8000_0002)), (Some(CtxId(3)), None));
    }

    #[test]
    fn ids_keep_their_owners_while_their_table_grows() {
        let mut ids = Ids::new(0xffff_ff80);
        let started: Vec<u32> = (0..1_000).map(|n| ids.start(CtxId(n))).collect();
        let owned = started.iter().zip(0..).all(|(id, n)| ids.owner(*id) == Some(CtxId(n)));
        assert!(owned && ids.len() == 1_000);
        let mut sorted = started.clone();
        sorted.sort_unstable();
        assert!(ids.in_order().into_iter().map(|(id, _)| id).eq(sorted));
        started.iter().for_each(|id| ids.end(*id));
        ids.end(started[0]);
        assert_eq!((ids.len(), ids.owner(started[7])), (0, None));
        assert!(ids.places.len() <= 4_096, "no larger than it has to be");
    }

    /// One that is never answered stays in its place, and the others go round it.
    #[test]
    fn an_id_whose_place_is_taken_is_passed_over() {
        let mut ids = Ids::new(0);
        let stays = ids.start(CtxId(1));
        for _ in 0..100 {
            let id = ids.start(CtxId(2));
            assert_ne!(ids.place(id), ids.place(stays));
            ids.end(id);
        }
        assert_eq!((ids.owner(stays), ids.places.len()), (Some(CtxId(1)), FEWEST_PLACES));
    }

    proptest! {
        /// However the bytes are split between header and body, as in-process, they mean the same.
        #[test]
        fn header_and_body_read_as_one(bytes in prop::collection::vec(prop_oneof![Just(0), Just(0x80), any::<u8>()], 0..90),
                                       split in 0..90_usize, limit in 1..=MOST_TAGS) {
            let split = split.min(bytes.len());
            let apart = Message::with_header(&bytes[..split], bytes[split..].to_vec());
            let mut fx = Script::default();
            let parsed = accept(pipe(1), apart, limit, &mut fx);
            let (whole, wire_fx) = accept_wire(bytes.clone(), limit);
            prop_assert_eq!(&parsed, &whole);
            prop_assert_eq!(fx.dropped, wire_fx.dropped);
            if let Some(message) = parsed {
                prop_assert_eq!([message.header().as_slice(), message.body()].concat(), bytes);
            }
        }
    }
}
