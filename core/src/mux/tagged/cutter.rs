//! [`Cutter`]: frames of the tagged layout, cut out of the bytes of a connection.

use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use core::fmt;

/// The longest id: its length is one byte.
pub const MAX_ID_BYTES: usize = 255;

/// The longest that stands in front of data.
pub const MAX_HEAD_BYTES: usize = 1 + MAX_ID_BYTES + LENGTH_BYTES;

const LENGTH_BYTES: usize = 4;

/// With this much or more missing, the next read goes straight into the message.
const DIRECT_BYTES: usize = 16 * 1024;

/// What is allocated ahead for a peer that has not proved anything yet.
const FIRST_BYTES: usize = 64 * 1024;

/// A message of no more than this is copied while it waits, as it would pin the larger buffer it was read
/// into.
const SMALL_BYTES: usize = 8 * 1024;

/// A message of the tagged layout, and the id it was sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// At most [`MAX_ID_BYTES`].
    pub id: Bytes,
    /// The message.
    pub data: Bytes,
}

impl Frame {
    /// Its bytes on the wire.
    pub fn wire_bytes(&self) -> usize {
        1 + self.id.len() + LENGTH_BYTES + self.data.len()
    }

    /// The same, keeping no large buffer for a small message.
    pub(super) fn unpinned(self) -> Self {
        match self.data.len() <= SMALL_BYTES {
            true => Self { data: Bytes::copy_from_slice(&self.data), ..self },
            false => self,
        }
    }
}

/// Puts what stands in front of a message behind what is in `into`. `false`, and nothing is done, when the id
/// or the message is longer than its length can say.
pub fn encode_head(id: &[u8], data_bytes: usize, into: &mut impl Extend<u8>) -> bool {
    let (Ok(id_bytes), Ok(data_bytes)) = (u8::try_from(id.len()), u32::try_from(data_bytes)) else {
        return false;
    };
    into.extend([id_bytes]);
    into.extend(id.iter().copied());
    into.extend(data_bytes.to_be_bytes());
    true
}

/// A peer claimed a message that is larger than allowed. Whatever is not this layout looks like that, too.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// What it claimed.
    pub claimed_bytes: u32,
    /// What is allowed.
    pub max_bytes: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { claimed_bytes, max_bytes } = self;
        write!(f, "the peer claims a message of {claimed_bytes} bytes, {max_bytes} are allowed")
    }
}

impl core::error::Error for TooLarge {}

/// Cuts frames out of a stream, however the stream was cut into reads.
///
/// Whole frames are slices of what was fed: no copy. A message that was cut in two is gathered in a buffer of
/// its own, which grows as data comes: a claim allocates no more than the peer has proved to send before.
///
/// ```text
///  feed(read bytes)     next() ──▶ Ok(Some(frame))   a frame was whole
///  direct() ─ read into it     ──▶ Ok(None)          read more
///                              ──▶ Err(..)           close the connection
/// ```
#[derive(Debug)]
pub struct Cutter {
    max_bytes: usize,
    /// Read, not yet looked at.
    chunk: Bytes,
    /// What has come of a head that was cut in two.
    head: Vec<u8>,
    body: Option<Body>,
    /// The largest message this peer has ever sent whole.
    proved: usize,
    /// Nothing that follows can be read.
    failed: Option<TooLarge>,
}

/// A message that was cut in two.
#[derive(Debug)]
struct Body {
    id: Bytes,
    data: Vec<u8>,
    length: usize,
}

impl Cutter {
    /// Messages above `max_bytes` are an error.
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, chunk: Bytes::new(), head: Vec::new(), body: None, proved: 0, failed: None }
    }

    /// Bytes that were read. Call [`next`](Self::next) until it asks for more, before feeding again.
    pub fn feed(&mut self, bytes: Bytes) {
        debug_assert!(self.chunk.is_empty(), "the last chunk was not used up");
        self.chunk = bytes;
    }

    /// The buffer of a large message and how many bytes it lacks: read at most so many into it, instead of
    /// feeding.
    pub fn direct(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        let body = self.body.as_mut()?;
        let missing = body.length - body.data.len();
        if missing < DIRECT_BYTES || !self.chunk.is_empty() {
            return None;
        }
        let data = &mut body.data;
        if data.capacity() - data.len() < DIRECT_BYTES {
            // Doubling, or at once what this peer has sent whole before.
            let ahead = data.len().max(self.proved.saturating_sub(data.len())).max(FIRST_BYTES);
            data.reserve_exact(missing.min(ahead));
        }
        Some((data, missing))
    }

    /// Gives back the buffer that was taken out of [`direct`](Self::direct).
    pub(super) fn restore(&mut self, data: Vec<u8>) {
        if let Some(body) = &mut self.body {
            debug_assert!(body.data.is_empty() && data.len() <= body.length, "it was taken here");
            body.data = data;
        }
    }

    /// The next whole frame. `Ok(None)` asks for more bytes.
    ///
    /// # Errors
    /// The peer claims more than is allowed. The stream cannot be read any further: it is the same from then
    /// on.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Frame>, TooLarge> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.body.is_some() {
            return Ok(self.fill_body());
        }
        let Some((id, length)) = self.next_head()? else { return Ok(None) };
        if self.chunk.len() >= length {
            self.proved = self.proved.max(length);
            return Ok(Some(Frame { id, data: self.chunk.split_to(length) }));
        }
        let ahead = self.proved.max(FIRST_BYTES).max(self.chunk.len());
        let data = Vec::with_capacity(length.min(ahead));
        self.body = Some(Body { id: Bytes::copy_from_slice(&id), data, length });
        Ok(self.fill_body())
    }

    /// The id and the length of what comes next.
    fn next_head(&mut self) -> Result<Option<(Bytes, usize)>, TooLarge> {
        let mut head = match self.head.is_empty() && self.chunk.len() >= head_bytes(&self.chunk) {
            true => self.chunk.split_to(head_bytes(&self.chunk)),
            false => {
                // Its length is known with its first byte.
                for _ in 0..2 {
                    let wanted = head_bytes(&self.head) - self.head.len();
                    let part = self.chunk.split_to(wanted.min(self.chunk.len()));
                    self.head.extend_from_slice(&part);
                }
                if self.head.len() < head_bytes(&self.head) {
                    return Ok(None);
                }
                core::mem::take(&mut self.head).into()
            }
        };
        let mut id = head.split_off(1);
        let claimed_bytes = id.split_off(id.len() - LENGTH_BYTES).get_u32();
        match usize::try_from(claimed_bytes) {
            Ok(length) if length <= self.max_bytes => Ok(Some((id, length))),
            _ => {
                let error = TooLarge { claimed_bytes, max_bytes: self.max_bytes };
                self.failed = Some(error);
                Err(error)
            }
        }
    }

    /// Moves what there is of a message out of the chunk; returns it once it is whole.
    fn fill_body(&mut self) -> Option<Frame> {
        let body = self.body.as_mut()?;
        let missing = body.length - body.data.len();
        body.data.extend_from_slice(&self.chunk.split_to(missing.min(self.chunk.len())));
        if body.data.len() < body.length {
            return None;
        }
        self.proved = self.proved.max(body.length);
        self.body.take().map(|body| Frame { id: body.id, data: body.data.into() })
    }

    /// Whether the stream could end here without cutting a frame in two.
    pub fn at_boundary(&self) -> bool {
        self.chunk.is_empty() && self.head.is_empty() && self.body.is_none()
    }

    /// Bytes held: read but not yet handed on.
    pub fn held_bytes(&self) -> usize {
        let body = self.body.as_ref().map_or(0, |body| body.id.len() + body.data.capacity());
        self.chunk.len() + self.head.len() + body
    }

    /// Panics when the account does not add up. For tests and fuzzers.
    pub fn check_invariants(&self) {
        assert!(self.head.is_empty() || self.head.len() < head_bytes(&self.head), "a whole head is not kept");
        assert!(self.head.is_empty() || self.body.is_none(), "half a head inside a message");
        if let Some(body) = &self.body {
            assert!(body.data.len() <= body.length && body.length <= self.max_bytes);
            let ahead = self.proved.max(FIRST_BYTES).max(2 * body.data.len()) + FIRST_BYTES;
            assert!(body.data.capacity() <= ahead.max(body.length.min(ahead)), "allocated on a claim");
        }
    }
}

/// How long the head is that begins like this; 1 when nothing is known of it.
fn head_bytes(begin: &[u8]) -> usize {
    begin.first().map_or(1, |id_bytes| 1 + usize::from(*id_bytes) + LENGTH_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    const MAX: usize = 1 << 20;

    /// An id and a message.
    type Plain = (Vec<u8>, Vec<u8>);

    fn stream(frames: &[Plain]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (id, data) in frames {
            assert!(encode_head(id, data.len(), &mut bytes));
            bytes.extend_from_slice(data);
        }
        bytes
    }

    /// Reads as a connection does: into the large message where the cutter asks for that.
    fn read(cutter: &mut Cutter, mut bytes: &[u8], cuts: &[usize]) -> Result<Vec<Plain>, TooLarge> {
        let mut found = Vec::new();
        let mut cuts = cuts.iter().cycle();
        while !bytes.is_empty() {
            let size = (*cuts.next().unwrap()).clamp(1, bytes.len());
            let size = if let Some((body, missing)) = cutter.direct() {
                let size = size.min(missing);
                body.extend_from_slice(&bytes[..size]);
                size
            } else {
                cutter.feed(Bytes::copy_from_slice(&bytes[..size]));
                size
            };
            bytes = &bytes[size..];
            while let Some(Frame { id, data }) = cutter.next()? {
                found.push((id.to_vec(), data.to_vec()));
            }
            cutter.check_invariants();
        }
        Ok(found)
    }

    fn some_frames() -> impl Strategy<Value = Vec<Plain>> {
        let id = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..4),
            any::<u8>().prop_map(|byte| vec![byte; 255]),
        ];
        let data = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            (30_000_usize..200_000).prop_map(|length| vec![length as u8; length]),
        ];
        prop::collection::vec((id, data), 0..6)
    }

    proptest! {
        #[test]
        fn however_a_stream_is_cut_the_same_frames_come_out(
            frames in some_frames(),
            cuts in prop::collection::vec(1_usize..70_000, 1..8),
        ) {
            let mut cutter = Cutter::new(MAX);
            let found = read(&mut cutter, &stream(&frames), &cuts).unwrap();
            prop_assert_eq!(found, frames);
            prop_assert!(cutter.at_boundary());
        }

        #[test]
        fn no_bytes_make_it_panic(
            reads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 1..20),
        ) {
            let mut cutter = Cutter::new(1_000);
            for bytes in reads {
                if read(&mut cutter, &bytes, &[7, 1, 30]).is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn the_bytes_are_these() {
        let mut bytes = Vec::new();
        assert!(encode_head(b"user", 2, &mut bytes));
        assert_eq!(bytes, b"\x04user\0\0\0\x02");
        bytes.clear();
        assert!(encode_head(b"", 0x0102_0304, &mut bytes));
        assert_eq!(bytes, [0, 1, 2, 3, 4]);
        bytes.clear();
        assert!(encode_head(&[7; 255], u32::MAX as usize, &mut bytes));
        assert_eq!(bytes, [&[255][..], &[7; 255], &[255; 4]].concat());
        bytes.clear();
        assert!(!encode_head(&[7; 256], 0, &mut bytes));
        assert!(!encode_head(b"", 1 << 32, &mut bytes));
        assert!(bytes.is_empty());
    }

    #[test]
    fn single_bytes_are_enough() {
        let mut cutter = Cutter::new(10);
        let bytes = b"\x01a\0\0\0\x03one\0\0\0\0\0\x02bc\0\0\0\x01x";
        let pair = |id: &[u8], data: &[u8]| (id.to_vec(), data.to_vec());
        let expected = [pair(b"a", b"one"), pair(b"", b""), pair(b"bc", b"x")];
        assert_eq!(read(&mut cutter, bytes, &[1]).unwrap(), expected);
        assert_eq!((cutter.at_boundary(), cutter.held_bytes()), (true, 0));
    }

    #[test]
    fn a_message_that_is_too_large_is_an_error_before_any_of_it_is_read() {
        let mut cutter = Cutter::new(10);
        cutter.feed(Bytes::from_static(b"\x01a\0\0\0\x0a0123456789\x01a\0\0\0\x0b\0\0\0\0\0"));
        assert_eq!(cutter.next().unwrap().unwrap().data.len(), 10);
        let error = TooLarge { claimed_bytes: 11, max_bytes: 10 };
        assert_eq!([cutter.next(), cutter.next()], [Err(error), Err(error)]);
        assert_eq!(error.to_string(), "the peer claims a message of 11 bytes, 10 are allowed");
    }

    #[test]
    fn a_claim_allocates_little_until_data_comes() {
        let mut cutter = Cutter::new(u32::MAX as usize);
        cutter.feed(Bytes::from_static(b"\x01a\xff\xff\xff\xff"));
        assert_eq!(cutter.next(), Ok(None));
        let (body, missing) = cutter.direct().expect("a large message is missing");
        assert_eq!((body.capacity(), missing), (FIRST_BYTES, u32::MAX as usize));
        body.resize(FIRST_BYTES - DIRECT_BYTES + 1, 7);
        let (body, _) = cutter.direct().expect("it is still missing");
        assert!((2 * FIRST_BYTES - DIRECT_BYTES..=2 * FIRST_BYTES).contains(&body.capacity()));
        cutter.check_invariants();
    }

    #[test]
    fn a_proved_size_is_allocated_at_once() {
        let frame = (b"a".to_vec(), vec![7; 300_000]);
        let bytes = stream(&[frame.clone(), frame]);
        let mut cutter = Cutter::new(MAX);
        read(&mut cutter, &bytes[..300_006 + 6], &[65_536]).unwrap();
        assert_eq!(cutter.direct().map(|(body, _)| body.capacity() >= 300_000), Some(true));
    }

    #[test]
    fn whole_frames_share_the_memory_they_were_read_into_and_small_ones_leave_it_to_wait() {
        let bytes = Bytes::from(stream(&[(b"a".to_vec(), b"abc".to_vec())]));
        let place = bytes[6..].as_ptr();
        let mut cutter = Cutter::new(MAX);
        cutter.feed(bytes);
        let frame = cutter.next().unwrap().unwrap();
        assert_eq!(frame.data.as_ptr(), place);
        assert_ne!(frame.unpinned().data.as_ptr(), place);
    }

    #[test]
    fn it_knows_whether_the_stream_may_end_here() {
        let mut cutter = Cutter::new(MAX);
        for (bytes, at_boundary) in [
            (&b""[..], true),
            (b"\x02", false),
            (b"a", false),
            (b"b\0\0\0", false),
            (b"\x01", false),
            (b"x", true),
            (b"\0\0\0\0\0", true),
        ] {
            cutter.feed(Bytes::from_static(bytes));
            while cutter.next().unwrap().is_some() {}
            assert_eq!(cutter.at_boundary(), at_boundary, "{bytes:?}");
        }
    }
}
