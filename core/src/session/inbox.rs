//! [`Inbox`]: messages cut out of the bytes of one connection.

use crate::framing::sp::{FrameError, Framing, MAX_PREFIX_BYTES};
use alloc::vec::Vec;
use bytes::{Buf, Bytes};

/// Cuts frames out of a stream, however the stream was cut into reads.
///
/// Whole frames are slices of the buffer they were read into: no copy. What is cut in two by the
/// end of a read is gathered in a buffer of its own; when much of it is missing, the next read goes
/// straight there ([`direct`](Inbox::direct)). That buffer grows as data arrives: a peer's claim
/// alone allocates nothing beyond what it has proved to send before.
///
/// ```text
///  feed(read bytes)     next() ──▶ Ok(Some(payload))   a frame was whole
///  direct() ─ read into it     ──▶ Ok(None)            read more
///                              ──▶ Err(..)             close the connection
/// ```
#[derive(Debug)]
pub struct Inbox {
    framing: Framing,
    max_bytes: usize,
    /// Read, not yet looked at.
    chunk: Bytes,
    /// The first bytes of a prefix that was cut in two.
    prefix: [u8; MAX_PREFIX_BYTES],
    prefix_len: usize,
    /// A payload that was cut in two, and how long it will be.
    body: Option<(Vec<u8>, usize)>,
    /// The largest payload this peer has ever sent whole.
    proved: usize,
}

/// With this much or more missing, the next read goes straight into the message. With less, a read
/// of its own for the rest would cost more than copying it.
const DIRECT_BYTES: usize = 16 * 1024;

/// What is allocated ahead for a peer that has not proved anything yet.
const FIRST_BYTES: usize = 64 * 1024;

impl Inbox {
    /// For a stream in this framing; payloads above `max_bytes` are an error, 0 allows any.
    pub fn new(framing: Framing, max_bytes: usize) -> Self {
        Self {
            framing,
            max_bytes,
            chunk: Bytes::new(),
            prefix: [0; MAX_PREFIX_BYTES],
            prefix_len: 0,
            body: None,
            proved: 0,
        }
    }

    /// Changes the limit for payloads whose prefix has not been looked at: a peer that has shaken hands may
    /// send more than one that has not.
    pub fn allow(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
    }

    /// Bytes that were read. Call [`next`](Self::next) until it asks for more, before feeding again.
    pub fn feed(&mut self, bytes: Bytes) {
        debug_assert!(self.chunk.is_empty(), "the last chunk was not used up");
        self.chunk = bytes;
    }

    /// The buffer of a large message and how many bytes it lacks: read at most so many into it,
    /// instead of feeding.
    pub fn direct(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        let proved = self.proved;
        let (body, length) = self.body.as_mut()?;
        let missing = *length - body.len();
        if missing < DIRECT_BYTES || !self.chunk.is_empty() {
            return None;
        }
        if body.capacity() - body.len() < DIRECT_BYTES {
            // Doubling, or at once what this peer has sent whole before.
            let ahead = body.len().max(proved.saturating_sub(body.len())).max(FIRST_BYTES);
            body.reserve_exact(missing.min(ahead));
        }
        Some((body, missing))
    }

    /// The next whole payload.
    ///
    /// `Ok(None)` asks for more bytes. After an error the stream cannot be read any further.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        if self.body.is_some() {
            return Ok(self.fill_body());
        }
        let length = if self.prefix_len == 0 {
            match self.framing.decode_prefix(&self.chunk, self.max_bytes)? {
                Some(length) => {
                    self.chunk.advance(self.framing.prefix_bytes());
                    length
                }
                None => {
                    self.gather_prefix();
                    return Ok(None);
                }
            }
        } else {
            self.gather_prefix();
            match self.framing.decode_prefix(&self.prefix[..self.prefix_len], self.max_bytes)? {
                Some(length) => {
                    self.prefix_len = 0;
                    length
                }
                None => return Ok(None),
            }
        };
        if self.chunk.len() >= length {
            self.proved = self.proved.max(length);
            return Ok(Some(self.chunk.split_to(length)));
        }
        let ahead = self.proved.max(FIRST_BYTES).max(self.chunk.len());
        self.body = Some((Vec::with_capacity(length.min(ahead)), length));
        Ok(self.fill_body())
    }

    /// Moves what there is of a prefix out of the chunk.
    fn gather_prefix(&mut self) {
        let wanted = self.framing.prefix_bytes() - self.prefix_len;
        let part = self.chunk.split_to(wanted.min(self.chunk.len()));
        self.prefix[self.prefix_len..][..part.len()].copy_from_slice(&part);
        self.prefix_len += part.len();
    }

    /// Moves what there is of a payload out of the chunk; returns it once it is whole.
    fn fill_body(&mut self) -> Option<Bytes> {
        let (body, length) = self.body.as_mut()?;
        let missing = *length - body.len();
        let part = self.chunk.split_to(missing.min(self.chunk.len()));
        body.extend_from_slice(&part);
        if body.len() < *length {
            return None;
        }
        self.proved = self.proved.max(*length);
        self.body.take().map(|(body, _)| body.into())
    }

    /// Whether a message worth a read of its own has come in part.
    pub fn is_in_large(&self) -> bool {
        self.body.as_ref().is_some_and(|(body, length)| *length >= DIRECT_BYTES && body.len() < *length)
    }
    /// Whether the stream could end here without cutting a message in two.
    pub fn at_boundary(&self) -> bool {
        self.chunk.is_empty() && self.prefix_len == 0 && self.body.is_none()
    }

    /// Whether [`next`](Self::next) would only ask for more: nothing was fed, and no large message
    /// has been filled.
    pub fn is_empty(&self) -> bool {
        self.chunk.is_empty() && self.body.as_ref().is_none_or(|(body, length)| body.len() < *length)
    }

    /// Bytes held: read but not yet handed on.
    pub fn held_bytes(&self) -> usize {
        self.chunk.len() + self.body.as_ref().map_or(0, |(body, _)| body.capacity())
    }

    /// Panics when the account does not add up.
    pub fn check_invariants(&self) {
        assert!(self.prefix_len < self.framing.prefix_bytes(), "a whole prefix is not kept");
        assert!(self.prefix_len == 0 || self.body.is_none(), "half a prefix inside a payload");
        if let Some((body, length)) = &self.body {
            assert!(body.len() <= *length, "more than the payload");
            assert!(self.max_bytes == 0 || *length <= self.max_bytes, "a payload over the limit");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(framing: Framing, payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for payload in payloads {
            let prefix = framing.encode_prefix(payload.len() as u64);
            bytes.extend_from_slice(&prefix[..framing.prefix_bytes()]);
            bytes.extend_from_slice(payload);
        }
        bytes
    }

    /// Reads the way a driver does: into the large message where the inbox asks for that.
    fn read(inbox: &mut Inbox, mut bytes: &[u8], cuts: &[usize]) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut found = Vec::new();
        let mut cuts = cuts.iter().cycle();
        while !bytes.is_empty() {
            let size = (*cuts.next().unwrap()).clamp(1, bytes.len());
            let size = if let Some((body, missing)) = inbox.direct() {
                let size = size.min(missing);
                body.extend_from_slice(&bytes[..size]);
                size
            } else {
                inbox.feed(Bytes::copy_from_slice(&bytes[..size]));
                size
            };
            bytes = &bytes[size..];
            while let Some(payload) = inbox.next()? {
                found.push(payload.to_vec());
            }
        }
        Ok(found)
    }

    proptest! {
        #[test]
        fn however_a_stream_is_cut_the_same_messages_come_out(
            payloads in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..40),
                    (30_000_usize..200_000).prop_map(|n| vec![n as u8; n]),
                ],
                0..6,
            ),
            cuts in prop::collection::vec(1_usize..70_000, 1..8),
            ipc: bool,
        ) {
            let framing = if ipc { Framing::Ipc } else { Framing::Tcp };
            let mut inbox = Inbox::new(framing, 0);
            let found = read(&mut inbox, &stream(framing, &payloads), &cuts).unwrap();
            prop_assert_eq!(found, payloads);
            prop_assert!(inbox.at_boundary());
        }

        #[test]
        fn no_bytes_make_it_panic(
            reads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 1..20),
            ipc: bool,
        ) {
            let framing = if ipc { Framing::Ipc } else { Framing::Tcp };
            let mut inbox = Inbox::new(framing, 1_000);
            for bytes in reads {
                if read(&mut inbox, &bytes, &[7, 1, 30]).is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn single_bytes_are_enough() {
        let payloads = vec![b"one".to_vec(), vec![], b"three".to_vec()];
        let mut inbox = Inbox::new(Framing::Ipc, 10);
        assert_eq!(read(&mut inbox, &stream(Framing::Ipc, &payloads), &[1]).unwrap(), payloads);
    }

    #[test]
    fn a_claim_allocates_little_until_data_comes() {
        let mut inbox = Inbox::new(Framing::Tcp, 0);
        inbox.feed(Bytes::copy_from_slice(&(1_u64 << 40).to_be_bytes()));
        assert_eq!(inbox.next(), Ok(None));
        assert_eq!(inbox.held_bytes(), 64 * 1024);
        let (body, missing) = inbox.direct().expect("a large message is missing");
        assert_eq!(missing, 1 << 40);
        assert!(body.capacity() <= FIRST_BYTES);
    }

    /// An inbox that lacks all of a payload but its first byte.
    fn lacking(missing: usize) -> Inbox {
        let mut inbox = Inbox::new(Framing::Tcp, 0);
        let prefix = Framing::Tcp.encode_prefix(missing as u64 + 1);
        inbox.feed(Bytes::from([&prefix[..8], b"x"].concat()));
        assert_eq!(inbox.next(), Ok(None));
        inbox
    }

    #[test]
    fn sixteen_kib_are_worth_a_read_of_their_own() {
        assert!(lacking(16 * 1024 - 1).direct().is_none());
        assert_eq!(lacking(16 * 1024).direct().map(|(_, missing)| missing), Some(16 * 1024));
        let mut inbox = lacking(1 << 20);
        inbox.feed(Bytes::from_static(b"yz"));
        assert!(inbox.direct().is_none(), "what was fed comes first");
        assert_eq!(inbox.next(), Ok(None));
        assert_eq!(inbox.direct().map(|(_, missing)| missing), Some((1 << 20) - 2));
    }

    #[test]
    fn a_large_message_gets_more_room_once_less_than_a_read_is_left() {
        const KIB: usize = 1024;
        let mut inbox = lacking(KIB * KIB);
        assert_eq!(inbox.held_bytes(), 64 * KIB);
        let (body, _) = inbox.direct().unwrap();
        assert_eq!(body.capacity(), 64 * KIB);
        body.resize(48 * KIB, 7);
        let (body, _) = inbox.direct().unwrap();
        assert_eq!(body.capacity(), 64 * KIB, "sixteen are left");
        body.resize(48 * KIB + 1, 7);
        let (body, _) = inbox.direct().unwrap();
        assert!(body.capacity() > 100 * KIB);
    }

    #[test]
    fn only_a_large_message_that_is_not_whole_is_worth_looking_for() {
        assert!(!Inbox::new(Framing::Tcp, 0).is_in_large());
        assert!(!lacking(DIRECT_BYTES - 2).is_in_large());
        let mut inbox = lacking(DIRECT_BYTES - 1);
        assert!(inbox.is_in_large());
        inbox.feed(Bytes::from(vec![7; DIRECT_BYTES - 2]));
        assert_eq!(inbox.next(), Ok(None));
        assert!(inbox.is_in_large(), "one byte is missing");
        inbox.feed(Bytes::from_static(b"x"));
        assert!(matches!(inbox.next(), Ok(Some(_))));
        assert!(!inbox.is_in_large());
        let mut inbox = lacking(DIRECT_BYTES);
        inbox.direct().unwrap().0.resize(DIRECT_BYTES + 1, 7);
        assert!(!inbox.is_in_large(), "filled, and not handed on");
    }

    #[test]
    fn an_inbox_knows_where_it_stands() {
        let stands = |inbox: &Inbox| (inbox.at_boundary(), inbox.is_empty(), inbox.held_bytes());
        let mut inbox = Inbox::new(Framing::Tcp, 0);
        assert_eq!(stands(&inbox), (true, true, 0));
        inbox.feed(Bytes::from_static(b"\0\0\0"));
        assert_eq!(stands(&inbox), (false, false, 3));
        assert_eq!(inbox.next(), Ok(None));
        assert_eq!(stands(&inbox), (false, true, 0), "inside a prefix");
        inbox.feed(Bytes::from_static(b"\0\0\0\0\x03a"));
        assert_eq!(inbox.next(), Ok(None));
        assert_eq!(stands(&inbox), (false, true, 3), "inside a payload");
        inbox.feed(Bytes::from_static(b"bc"));
        assert_eq!(stands(&inbox), (false, false, 5));
        assert_eq!(inbox.next(), Ok(Some(Bytes::from_static(b"abc"))));
        assert_eq!(stands(&inbox), (true, true, 0));
        let mut inbox = lacking(20 * 1024);
        inbox.direct().unwrap().0.resize(20 * 1024 + 1, 7);
        assert!(!inbox.is_empty() && !inbox.at_boundary(), "filled, and not handed on");
    }

    #[test]
    fn a_proved_size_is_allocated_at_once() {
        let payload = vec![7; 300_000];
        let bytes = stream(Framing::Tcp, &[payload.clone(), payload]);
        let mut inbox = Inbox::new(Framing::Tcp, 0);
        read(&mut inbox, &bytes[..300_008 + 8], &[65_536]).unwrap();
        assert_eq!(inbox.direct().map(|(body, _)| body.capacity() >= 300_000), Some(true));
    }

    #[test]
    fn whole_frames_share_the_memory_they_were_read_into() {
        let bytes = Bytes::from(stream(Framing::Tcp, &[b"abc".to_vec()]));
        let place = bytes[8..].as_ptr();
        let mut inbox = Inbox::new(Framing::Tcp, 0);
        inbox.feed(bytes);
        assert_eq!(inbox.next().unwrap().unwrap().as_ptr(), place);
    }
}
