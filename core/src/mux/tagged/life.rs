//! Lives of a [`Tagged`], for tests and fuzzers: any bytes in any cuts, receivers that come or do not.

use super::{
    Cutter, Discarded, Effect, Frame, Overflow, Received, Route, Tagged, TaggedOptions, encode_head,
};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;

/// Lives through what these bytes say: four for options, ids and cuts, the rest is what the peer sends.
///
/// # Panics
/// When a message is lost, changed, received twice, out of turn or by somebody else than it should, or a
/// bound is exceeded.
pub fn live(input: &[u8]) {
    let [how, ids, bounds, cut, rest @ ..] = input else { return };
    let overflow = match how % 3 {
        0 => Overflow::End,
        1 => Overflow::Stall,
        _ => Overflow::Discard,
    };
    let options = TaggedOptions {
        max_message_bytes: 2_000,
        recv_messages: usize::from(bounds % 5) + 1,
        recv_bytes: usize::from(bounds / 5) * 10,
        total_bytes: 3_000,
        max_ids: 5,
        overflow,
        ..TaggedOptions::default()
    };
    let bytes = match how & 0x80 {
        0 => frames(rest),
        _ => rest.to_vec(),
    };
    let mut world = World { tagged: Tagged::new(options), open: BTreeMap::new(), heard: Vec::new() };
    for (n, id) in IDS.iter().enumerate() {
        if ids & 1 << n != 0 {
            world.open.insert(id, world.tagged.open(id).expect("there is room for all of them"));
        }
    }
    world.live(bytes, usize::from(*cut) + 1, *how, overflow);
}

const IDS: [&[u8]; 5] = [b"", b"a", b"bb", &[b'c'; 255], b"\0"];

/// Frames that two bytes each make.
fn frames(input: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (n, pair) in input.chunks_exact(2).enumerate() {
        let length = usize::from(pair[1]) * usize::from(pair[0] >> 4);
        encode_head(IDS[usize::from(pair[0] & 0xf) % IDS.len()], length, &mut bytes);
        bytes.extend(core::iter::repeat_n(n as u8, length));
    }
    bytes
}

struct World {
    tagged: Tagged,
    open: BTreeMap<&'static [u8], Route>,
    /// What each receiver got, in its turn.
    heard: Vec<(Route, Frame)>,
}

impl World {
    fn live(mut self, bytes: Vec<u8>, cut: usize, how: u8, overflow: Overflow) {
        let expected = whole(&bytes);
        let mut fx = Vec::new();
        let mut discarded: BTreeMap<Discarded, u64> = BTreeMap::new();
        let mut note = |fx: &mut Vec<Effect>| {
            for effect in fx.drain(..) {
                if let Effect::Discarded { why, messages, .. } = effect {
                    *discarded.entry(why).or_default() += messages;
                }
            }
        };
        let mut bytes = Bytes::from(bytes);
        let mut turn = usize::from(how);
        while !bytes.is_empty() && self.tagged.end().is_none() {
            if self.tagged.wants_bytes() {
                let part = bytes.split_to(cut.min(bytes.len()));
                self.tagged.feed(part, &mut fx);
            } else {
                turn |= 1;
            }
            self.tagged.check_invariants();
            // Receivers come every other time, or when nothing goes on without them.
            turn += 1;
            if turn % 2 == 0 {
                let routes: Vec<_> = self.open.values().copied().collect();
                for route in routes {
                    self.recv(route, &mut fx);
                }
            }
            note(&mut fx);
        }
        if self.tagged.end().is_none() {
            self.tagged.over(&mut fx);
        }
        let routes: Vec<_> = self.open.values().copied().collect();
        // What has stalled goes on with each of them, and may wait for another one then.
        while routes.iter().any(|route| self.recv(*route, &mut fx)) {}
        self.tagged.check_invariants();
        note(&mut fx);
        let stats = self.tagged.stats();
        assert_eq!(stats.messages, expected.len() as u64);
        assert_eq!(stats.discarded(), discarded.values().sum::<u64>(), "what is discarded is told");
        assert_eq!(stats.received + stats.discarded(), stats.messages, "nothing is left");
        assert!(self.tagged.end().is_some() && self.tagged.held_bytes() == 0);
        let lossless = overflow == Overflow::Stall;
        assert!(!lossless || stats.discarded() == stats.nobody_receives);
        for route in self.open.values() {
            let heard: Vec<_> = self.heard.iter().filter(|(by, _)| by == route).map(|(_, it)| it).collect();
            let theirs: Vec<_> = expected.iter().filter(|it| self.whose(&it.id) == Some(*route)).collect();
            match overflow {
                Overflow::Stall => assert_eq!(heard, theirs),
                Overflow::End => assert_eq!(heard, theirs[..heard.len()], "all up to the end"),
                Overflow::Discard => {
                    let mut theirs = theirs.into_iter();
                    assert!(heard.into_iter().all(|it| theirs.any(|other| other == it)), "in order");
                }
            }
        }
    }

    fn whose(&self, id: &[u8]) -> Option<Route> {
        self.open.get(id).or_else(|| self.open.get(&b""[..])).copied()
    }

    fn recv(&mut self, route: Route, fx: &mut Vec<Effect>) -> bool {
        let received = self.tagged.recv(route, fx);
        self.tagged.check_invariants();
        match received {
            Received::Message(frame) => {
                self.heard.push((route, frame));
                true
            }
            Received::Nothing | Received::Overflowed { .. } | Received::Ended(_) => false,
        }
    }
}

/// The frames that a decoder finds which sees all at once.
fn whole(bytes: &[u8]) -> Vec<Frame> {
    let mut cutter = Cutter::new(2_000);
    cutter.feed(Bytes::copy_from_slice(bytes));
    let found: Vec<_> = core::iter::from_fn(|| cutter.next().ok().flatten()).collect();
    let mut naive = Vec::new();
    let mut rest = bytes;
    while let Some((&id_bytes, behind)) = rest.split_first() {
        let Some((id, behind)) = behind.split_at_checked(id_bytes.into()) else { break };
        let Some((length, behind)) = behind.split_first_chunk() else { break };
        let length = u32::from_be_bytes(*length) as usize;
        let Some((data, behind)) = behind.split_at_checked(length).filter(|_| length <= 2_000) else { break };
        naive.push(Frame { id: Bytes::copy_from_slice(id), data: Bytes::copy_from_slice(data) });
        rest = behind;
    }
    assert_eq!(found, naive);
    naive
}
