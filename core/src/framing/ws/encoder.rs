//! [`Encoder`]: SP frames as on tcp, written as the frames of a WebSocket.

use super::frame::{Header, Opcode, Side, append_masked};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Deref;

/// Makes of length and payload of messages, as they would go over tcp (spec 2.2), what goes over a WebSocket
/// instead; and keeps account of which of the one stands for which of the other.
///
/// It *plans*: what is offered becomes frames, of which headers, small payloads and everything under a mask are
/// staged here, while large payloads without a mask stay where they are. What was planned leaves as it is,
/// however often that takes to be tried; so the same bytes have to be offered again until they count as gone.
///
/// Messages of more than [`FRAGMENT_BYTES`] go in parts.
///
/// ```text
///  offered   length | payload               | length | large payload
///              ▼         ▼                     ▼             ▼
///  staged    [ header | payload under mask ] [ header ]    (stays)
///  items     Staged ──────────────────────── Staged ────── Direct
/// ```
#[derive(Debug)]
pub struct Encoder {
    side: Side,
    stage: Stage,
    /// Staged bytes that have left.
    start: usize,
    /// A length that was cut in two by what was offered.
    prefix: [u8; PREFIX_BYTES],
    prefix_len: usize,
    /// Bytes of the current message of which no frame is planned yet, and whether there is one before them.
    message: Option<Rest>,
    /// The current frame, as far as its payload is not planned yet.
    frame: Option<Open>,
}

/// What a plan is made in. Who has many encoders lends it to the one that writes, so that idle ones need none.
#[derive(Debug, Default)]
pub struct Stage {
    items: VecDeque<Item>,
    bytes: Vec<u8>,
}

/// A piece of what leaves.
#[derive(Copy, Clone, Debug)]
enum Item {
    /// So many staged bytes; when all of them have left, so many of the offered ones count as gone.
    Staged { bytes: usize, stands_for: usize },
    /// So many of the offered bytes themselves.
    Direct { bytes: usize },
}

#[derive(Copy, Clone, Debug)]
struct Rest {
    left: usize,
    begun: bool,
}

#[derive(Copy, Clone, Debug)]
struct Open {
    key: [u8; 4],
    done: usize,
    left: usize,
}

const PREFIX_BYTES: usize = 8;
/// The payload of a frame is at most so long: NNG takes no longer one, and its dialers send such. With shorter ones
/// more messages come in parts, which the peer has to join with a copy.
pub const FRAGMENT_BYTES: usize = 1024 * 1024;
/// With so much staged nothing more is begun ...
const STAGE_BYTES: usize = 96 * 1024;
/// ... and no more than so much, and a header, is staged of what was begun: enough for two messages of 64 KiB with all
/// that stands before them, and not too much for the cache of the processor, from which the kernel takes it.
const MAX_STAGE_BYTES: usize = 144 * 1024;
/// Payloads without a mask that are longer than this stay where they are. A copy of so much costs about as
/// much as one more piece in a vectored write.
const COPY_BYTES: usize = 4 * 1024;
/// So many pieces a plan has at most; nobody writes more at once.
const MAX_ITEMS: usize = 1_024;

impl Encoder {
    /// For what `side` sends.
    pub fn new(side: Side) -> Self {
        Self {
            side,
            stage: Stage::default(),
            start: 0,
            prefix: [0; PREFIX_BYTES],
            prefix_len: 0,
            message: None,
            frame: None,
        }
    }

    /// Whether nothing that was planned is still to leave.
    pub fn is_idle(&self) -> bool {
        self.stage.items.is_empty()
    }

    /// Whether a control frame may come next: what was planned does not end inside a frame.
    pub fn at_frame_end(&self) -> bool {
        self.frame.is_none()
    }

    /// So many of the offered bytes are in the plan and not gone: they have to come again.
    pub fn held_bytes(&self) -> usize {
        self.stage.items.iter().map(|item| item.stands_for()).sum()
    }

    /// Takes a stage, if it has none.
    pub fn lend(&mut self, spare: &mut Stage) {
        if self.stage.bytes.capacity() == 0 {
            core::mem::swap(&mut self.stage, spare);
        }
    }

    /// Gives the stage back, if nothing is on it: to who has lent it, unless he has got a larger one.
    pub fn give_back(&mut self, spare: &mut Stage) {
        if !self.is_idle() {
            return;
        }
        let stage = core::mem::take(&mut self.stage);
        if stage.bytes.capacity() > spare.bytes.capacity() {
            *spare = stage;
        }
    }

    /// Plans a control frame behind what is planned, where [`at_frame_end`](Self::at_frame_end). `payload` has at
    /// most 125 bytes.
    pub fn control(&mut self, opcode: Opcode, payload: &[u8], key: impl FnOnce() -> [u8; 4]) {
        debug_assert!(self.at_frame_end(), "inside a frame");
        let before = self.stage.bytes.len();
        let key = (self.side == Side::Client).then(key);
        Header::whole(opcode, key, payload.len()).encode(&mut self.stage.bytes);
        match key {
            Some(key) => append_masked(&mut self.stage.bytes, payload, key, 0),
            None => self.stage.bytes.extend_from_slice(payload),
        }
        self.stage.items.push_back(Item::Staged { bytes: self.stage.bytes.len() - before, stands_for: 0 });
    }

    /// Plans some of the bytes that are offered; only where nothing is planned, control frames apart. Each frame
    /// of a client gets a new `key`, which nobody may be able to foresee.
    pub fn plan<P: Deref<Target = [u8]>>(&mut self, offered: &[P], mut key: impl FnMut() -> [u8; 4]) {
        debug_assert_eq!(self.held_bytes(), 0, "what was planned has to leave first");
        for piece in offered {
            let mut piece: &[u8] = piece;
            while !piece.is_empty() {
                if self.staged_bytes() >= STAGE_BYTES || self.stage.items.len() >= MAX_ITEMS {
                    return;
                }
                if self.message.is_none() {
                    self.begin(&mut piece, &mut key);
                    continue;
                }
                self.go_on(&mut piece, &mut key);
            }
        }
    }

    /// Reads the length of a message.
    fn begin(&mut self, piece: &mut &[u8], key: &mut impl FnMut() -> [u8; 4]) {
        let count = piece.len().min(PREFIX_BYTES - self.prefix_len);
        self.prefix[self.prefix_len..][..count].copy_from_slice(take(piece, count));
        self.prefix_len += count;
        if self.prefix_len < PREFIX_BYTES {
            // There is nothing to say yet, and so nothing to wait for.
            self.stage.items.push_back(Item::Staged { bytes: 0, stands_for: count });
            return;
        }
        self.prefix_len = 0;
        // The outbox has written it, so it fits in memory.
        let left = u64::from_be_bytes(self.prefix) as usize;
        self.message = Some(Rest { left, begun: false });
        self.open(count, key);
        if left == 0 {
            (self.message, self.frame) = (None, None);
        }
    }

    /// Stages the header of the next frame, which stands for so many bytes.
    fn open(&mut self, stands_for: usize, key: &mut impl FnMut() -> [u8; 4]) {
        let Some(rest) = &mut self.message else { return };
        let left = rest.left.min(FRAGMENT_BYTES);
        let key = (self.side == Side::Client).then(key);
        let opcode = if rest.begun { Opcode::Continuation } else { Opcode::Binary };
        let before = self.stage.bytes.len();
        Header { last: left == rest.left, opcode, key, length: left as u64 }.encode(&mut self.stage.bytes);
        let bytes = self.stage.bytes.len() - before;
        self.stage.items.push_back(Item::Staged { bytes, stands_for });
        rest.begun = true;
        self.frame = Some(Open { key: key.unwrap_or_default(), done: 0, left });
    }

    /// Bytes that are staged and have not left.
    fn staged_bytes(&self) -> usize {
        self.stage.bytes.len() - self.start
    }

    /// Whether so much of a payload is staged.
    fn copies(&self, count: usize) -> bool {
        self.side == Side::Client || count <= COPY_BYTES
    }

    /// Plans some of the payload.
    fn go_on(&mut self, piece: &mut &[u8], key: &mut impl FnMut() -> [u8; 4]) {
        if self.frame.is_none() {
            self.open(0, key);
        }
        let (Some(mut frame), Some(mut rest)) = (self.frame, self.message) else { return };
        let mut count = frame.left.min(piece.len());
        if self.copies(count) {
            count = count.min(MAX_STAGE_BYTES.saturating_sub(self.staged_bytes()));
            let bytes = take(piece, count);
            match self.side {
                Side::Client => append_masked(&mut self.stage.bytes, bytes, frame.key, frame.done),
                Side::Server => self.stage.bytes.extend_from_slice(bytes),
            }
            match self.stage.items.back_mut() {
                // The header, and what came before of the same frame: a frame is whole or it is not.
                Some(Item::Staged { bytes, stands_for }) => {
                    *bytes += count;
                    *stands_for += count;
                }
                _ => self.stage.items.push_back(Item::Staged { bytes: count, stands_for: count }),
            }
        } else {
            take(piece, count);
            self.stage.items.push_back(Item::Direct { bytes: count });
        }
        frame.done += count;
        frame.left -= count;
        rest.left -= count;
        self.frame = (frame.left > 0).then_some(frame);
        self.message = (rest.left > 0).then_some(rest);
    }

    /// What is to leave, in pieces: fills `out` from the front by way of `make`, and returns how many pieces and
    /// bytes there are. `offered` is what was planned, less what has gone since.
    pub fn slices<'a, P: Deref<Target = [u8]>, T>(
        &'a self,
        offered: &'a [P],
        out: &mut [T],
        make: impl Fn(&'a [u8]) -> T,
    ) -> (usize, usize) {
        let mut source = Source { pieces: offered, at: 0 };
        let (mut count, mut total) = (0, 0);
        let mut staged = self.start..self.start;
        let mut put = |bytes: &'a [u8], count: &mut usize| match out.get_mut(*count) {
            Some(place) if !bytes.is_empty() => {
                *place = make(bytes);
                *count += 1;
                total += bytes.len();
                true
            }
            Some(_) => true,
            None => false,
        };
        for item in &self.stage.items {
            match *item {
                Item::Staged { bytes, stands_for } => {
                    staged.end += bytes;
                    source.skip(stands_for);
                }
                Item::Direct { bytes } => {
                    if !put(&self.stage.bytes[staged.clone()], &mut count) {
                        return (count, total);
                    }
                    staged.start = staged.end;
                    let mut left = bytes;
                    while left > 0 {
                        let Some(part) = source.take(left) else { return (count, total) };
                        left -= part.len();
                        if !put(part, &mut count) {
                            return (count, total);
                        }
                    }
                }
            }
        }
        put(&self.stage.bytes[staged], &mut count);
        (count, total)
    }

    /// So many bytes of the [`slices`](Self::slices) have left. Returns how many of the offered ones count as
    /// gone with them: those of frames that are staged when their last byte has left.
    pub fn advance(&mut self, mut count: usize) -> usize {
        let mut gone = 0;
        while let Some(front) = self.stage.items.front_mut() {
            match front {
                Item::Staged { bytes, stands_for } => {
                    let part = count.min(*bytes);
                    *bytes -= part;
                    count -= part;
                    self.start += part;
                    if *bytes > 0 {
                        break;
                    }
                    gone += *stands_for;
                }
                Item::Direct { bytes } => {
                    let part = count.min(*bytes);
                    *bytes -= part;
                    count -= part;
                    gone += part;
                    if *bytes > 0 {
                        break;
                    }
                }
            }
            self.stage.items.pop_front();
        }
        if self.stage.items.is_empty() {
            self.stage.bytes.clear();
            self.start = 0;
        }
        gone
    }

    /// Panics when the account does not add up.
    pub fn check_invariants(&self) {
        let staged: usize = self.stage.items.iter().map(|item| item.staged()).sum();
        assert_eq!(staged, self.staged_bytes(), "every staged byte belongs to an item");
        assert!(self.prefix_len < PREFIX_BYTES, "a whole length is not kept");
        assert!(self.frame.is_none() || self.message.is_some(), "a frame without a message");
        assert!(self.stage.items.len() <= MAX_ITEMS + 4);
    }
}

impl Item {
    fn stands_for(&self) -> usize {
        match *self {
            Self::Staged { stands_for, .. } => stands_for,
            Self::Direct { bytes } => bytes,
        }
    }

    fn staged(&self) -> usize {
        match *self {
            Self::Staged { bytes, .. } => bytes,
            Self::Direct { .. } => 0,
        }
    }
}

/// What is offered, from front to back.
struct Source<'a, P> {
    pieces: &'a [P],
    /// Bytes of the first piece that are behind us.
    at: usize,
}

impl<'a, P: Deref<Target = [u8]>> Source<'a, P> {
    /// At most `most` bytes that lie together.
    fn take(&mut self, most: usize) -> Option<&'a [u8]> {
        loop {
            let first: &'a [u8] = self.pieces.first()?;
            if self.at < first.len() {
                let end = first.len().min(self.at + most);
                let part = &first[self.at..end];
                self.at = end;
                return Some(part);
            }
            self.pieces = &self.pieces[1..];
            self.at = 0;
        }
    }

    fn skip(&mut self, mut count: usize) {
        while count > 0 {
            let Some(part) = self.take(count) else { return };
            count -= part.len();
        }
    }
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (front, back) = input.split_at(count);
    *input = back;
    front
}

#[cfg(test)]
mod tests {
    use super::super::decoder::{Control, Decoder};
    use super::*;
    use proptest::prelude::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    fn tcp(payloads: &[Vec<u8>]) -> Vec<u8> {
        payloads.iter().flat_map(|p| [&(p.len() as u64).to_be_bytes(), &p[..]].concat()).collect()
    }

    /// Writes everything in pieces of the first sizes, to somebody who takes as much as the second ones say.
    /// With control frames, one comes before each plan that may have one.
    fn written(
        side: Side,
        bytes: &[u8],
        sizes: &[usize],
        takes: &[usize],
        controls: bool,
    ) -> (Vec<u8>, usize) {
        let mut encoder = Encoder::new(side);
        let (mut out, mut gone, mut pings) = (Vec::new(), 0, 0);
        let mut takes = takes.iter().cycle();
        let mut keys = 0_u32;
        let mut key = || {
            keys += 1;
            keys.to_be_bytes()
        };
        let mut turns = 0;
        while gone < bytes.len() || !encoder.is_idle() {
            turns += 1;
            assert!(turns < 1_000_000, "it ends");
            let mut offered: Vec<&[u8]> = Vec::new();
            let mut rest = &bytes[gone..];
            for size in sizes.iter().cycle().take(8) {
                let size = (*size).min(rest.len());
                offered.push(take(&mut rest, size));
            }
            if encoder.is_idle() {
                if controls && encoder.at_frame_end() {
                    encoder.control(Opcode::Ping, b"ping", &mut key);
                    pings += 1;
                }
                encoder.plan(&offered, &mut key);
            }
            encoder.check_invariants();
            let mut slices = [&[][..]; 5];
            let (count, total) = encoder.slices(&offered, &mut slices, |bytes| bytes);
            let leaving = slices[..count].concat();
            assert_eq!(leaving.len(), total);
            let taken = (*takes.next().unwrap()).min(total);
            out.extend_from_slice(&leaving[..taken]);
            let held = encoder.held_bytes();
            let now = encoder.advance(taken);
            assert_eq!(encoder.held_bytes() + now, held);
            gone += now;
            encoder.check_invariants();
        }
        assert_eq!(gone, bytes.len());
        assert!(encoder.at_frame_end());
        (out, pings)
    }

    fn read_back(side: Side, bytes: &[u8]) -> (Vec<u8>, usize) {
        let mut decoder = Decoder::new(side);
        let (mut out, mut pings) = (Vec::new(), 0);
        let mut input = bytes;
        while !input.is_empty() || decoder.has_more() {
            match decoder.decode(&mut input, &mut out, usize::MAX >> 1).unwrap() {
                Some(Control::Ping(payload)) => {
                    assert_eq!(payload, b"ping");
                    pings += 1;
                }
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        }
        assert!(decoder.at_boundary());
        (out, pings)
    }

    /// What is to leave where all of it is staged.
    fn staged(encoder: &Encoder) -> Vec<u8> {
        let mut out = [&[][..]; 2];
        let (count, total) = encoder.slices(&[&[][..]; 0], &mut out, |bytes| bytes);
        let bytes = out[..count].concat();
        assert_eq!(bytes.len(), total);
        bytes
    }

    #[test]
    fn a_message_is_one_frame() {
        let mut encoder = Encoder::new(Side::Server);
        encoder.plan(&[&tcp(&[b"answer".to_vec(), vec![]])[..]], || unreachable!("a server has no mask"));
        assert_eq!(staged(&encoder), b"\x82\x06answer\x82\x00");
        assert_eq!(encoder.held_bytes(), 22);
        assert_eq!(encoder.advance(7), 0, "a frame that has not left whole does not count");
        assert_eq!(encoder.advance(1), 14);
        assert_eq!(encoder.advance(2), 8);
        assert!(encoder.is_idle());
        let mut encoder = Encoder::new(Side::Client);
        encoder.plan(&[&tcp(&[b"ask".to_vec()])[..]], || KEY);
        assert_eq!(
            staged(&encoder),
            [0x82, 0x83, 0x37, 0xfa, 0x21, 0x3d, b'a' ^ 0x37, b's' ^ 0xfa, b'k' ^ 0x21]
        );
    }

    #[test]
    fn large_payloads_of_a_server_stay_where_they_are_in_parts_of_a_mib() {
        let body = vec![7; 2_500_000];
        let prefix = (body.len() as u64).to_be_bytes();
        let offered = [&prefix[..], &body[..]];
        let mut encoder = Encoder::new(Side::Server);
        encoder.plan(&offered, || KEY);
        let mut out = [&[][..]; 16];
        let (count, total) = encoder.slices(&offered, &mut out, |bytes| bytes);
        assert_eq!(out[0], [0x02, 127, 0, 0, 0, 0, 0, 16, 0, 0], "as dialers of NNG do it");
        assert_eq!(out[1].as_ptr(), body.as_ptr());
        assert_eq!(out[1].len(), FRAGMENT_BYTES);
        assert_eq!(out[2], [0x00, 127, 0, 0, 0, 0, 0, 16, 0, 0]);
        assert_eq!(out[count - 2], [0x80, 127, 0, 0, 0, 0, 0, 0x06, 0x25, 0xa0]);
        assert_eq!(total, body.len() + 3 * 10);
        // What of it has left counts byte by byte.
        assert_eq!(encoder.advance(10), 8);
        assert_eq!(encoder.advance(5), 5);
    }

    #[test]
    fn little_is_staged_at_once() {
        let bytes = tcp(&vec![vec![7; 1_000]; 1_000]);
        let mut encoder = Encoder::new(Side::Client);
        encoder.plan(&[&bytes[..]], || KEY);
        let staged = encoder.stage.items.iter().map(Item::staged).sum::<usize>();
        assert!(staged < STAGE_BYTES + 1_014, "{staged}");
        let large = tcp(&[vec![7; 1_000_000]]);
        let mut encoder = Encoder::new(Side::Client);
        encoder.plan(&[&large[..]], || KEY);
        let staged = encoder.stage.items.iter().map(Item::staged).sum::<usize>();
        assert_eq!(staged, MAX_STAGE_BYTES);
        let tiny = tcp(&vec![vec![]; 10_000]);
        let mut encoder = Encoder::new(Side::Server);
        encoder.plan(&[&tiny[..]], || KEY);
        assert!(encoder.stage.items.len() <= MAX_ITEMS);
    }

    #[test]
    fn each_frame_of_a_client_has_a_key_of_its_own() {
        let bytes = tcp(&[vec![1; 1_100_000], vec![2; 3]]);
        let (out, _) = written(Side::Client, &bytes, &[200_000], &[usize::MAX], false);
        let mut keys = Vec::new();
        let mut rest = &out[..];
        while !rest.is_empty() {
            let (header, count) = Header::decode(rest, Side::Client).unwrap().unwrap();
            keys.push(header.key.unwrap());
            take(&mut rest, count + header.length as usize);
        }
        assert_eq!(keys, [[0, 0, 0, 1], [0, 0, 0, 2], [0, 0, 0, 3]]);
    }

    #[test]
    fn parts_of_a_message_are_read_as_one() {
        let bytes = tcp(&[(0..2_500_000).map(|at| (at * 31 % 251) as u8).collect()]);
        for side in [Side::Client, Side::Server] {
            let (out, pings) = written(side, &bytes, &[8, 1_000_000], &[100_001, 3, 70_000], true);
            assert!(read_back(side, &out) == (bytes.clone(), pings));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_of_it_the_peer_reads_the_same(
            payloads in prop::collection::vec(
                prop_oneof![0_usize..20, 100_usize..5_000, 60_000_usize..150_000].prop_map(|n| {
                    (0..n).map(|at| (at * 31 + n) as u8).collect::<Vec<u8>>()
                }),
                0..6,
            ),
            sizes in prop::collection::vec(prop_oneof![1_usize..20, 1_000_usize..70_000], 1..5),
            takes in prop::collection::vec(prop_oneof![0_usize..3, 1_000_usize..100_000], 1..5),
            client: bool,
            controls: bool,
        ) {
            let side = if client { Side::Client } else { Side::Server };
            let takes = [&takes[..], &[1_000]].concat();
            let bytes = tcp(&payloads);
            let (out, pings) = written(side, &bytes, &sizes, &takes, controls);
            let read = read_back(side, &out);
            prop_assert!(read == (bytes, pings));
        }
    }
}
