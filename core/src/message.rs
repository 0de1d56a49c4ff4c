//! [`Message`]: a body, a protocol header, and where and when it came from.

use crate::time::Time;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::{Buf, Bytes, BytesMut};
use core::fmt;
use core::num::NonZeroU32;

/// The identity of one attached connection of one socket.
///
/// `get()` is what travels in backtraces: 1 to 0x7fff_ffff, unique in this process, sequential
/// from a random start (as in NNG, spec 5.1). The slot is where tables keep the connection; it may
/// be used again after a disconnect, the id is not.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipeId {
    id: NonZeroU32,
    slot: u32,
}

impl PipeId {
    /// Puts an id together. `id` loses its top bit, which on the wire marks the end of a backtrace.
    ///
    /// Returns `None` when nothing is left of the id.
    #[inline]
    pub const fn new(id: u32, slot: u32) -> Option<Self> {
        match NonZeroU32::new(id & 0x7fff_ffff) {
            Some(id) => Some(Self { id, slot }),
            None => None,
        }
    }

    /// The number as it appears in a backtrace.
    #[inline]
    pub const fn get(self) -> u32 {
        self.id.get()
    }

    /// The index at which this socket's tables keep the pipe.
    #[inline]
    pub const fn slot(self) -> usize {
        self.slot as usize
    }
}

impl fmt::Debug for PipeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pipe {}", self.id)
    }
}

impl fmt::Display for PipeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// Up to 15 header bytes live in the message itself: that is three tags, a request through two
/// devices. Longer ones go to the heap.
const INLINE: usize = 15;

/// The protocol bytes in front of a body: request ids, backtraces, hop counts.
///
/// Cooked sockets make and remove headers themselves; only raw sockets show them.
///
/// No enum: a message is moved several times on its way, and fields of a byte and of fifteen are moved
/// badly.
#[derive(Clone)]
pub struct Header {
    /// Bytes, and in the last one how many. Unused ones are 0.
    inline: [u8; INLINE + 1],
    /// All of it, when it is longer.
    heap: Option<Box<Bytes>>,
}

impl Header {
    /// No header.
    pub const EMPTY: Self = Self { inline: [0; INLINE + 1], heap: None };

    /// A header that holds a copy of `bytes`.
    #[inline]
    pub fn new(bytes: &[u8]) -> Self {
        let mut header = Self::EMPTY;
        match header.inline[..INLINE].get_mut(..bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                header.inline[INLINE] = bytes.len() as u8;
            }
            None => header.heap = Some(Box::new(Bytes::copy_from_slice(bytes))),
        }
        header
    }

    /// A header of one tag.
    #[inline]
    pub fn tag(tag: u32) -> Self {
        let mut header = Self::EMPTY;
        header.inline[..4].copy_from_slice(&tag.to_be_bytes());
        header.inline[INLINE] = 4;
        header
    }

    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.heap {
            None => &self.inline[..self.inline_len()],
            Some(bytes) => bytes,
        }
    }

    /// How many bytes there are.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.heap {
            None => self.inline_len(),
            Some(bytes) => bytes.len(),
        }
    }

    /// So that the compiler knows the bound as well.
    #[inline]
    fn inline_len(&self) -> usize {
        usize::from(self.inline[INLINE]).min(INLINE)
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a tag in front, as a device does on each hop.
    pub fn prepend_tag(&mut self, tag: u32) {
        let old = self.as_slice();
        let mut bytes = Vec::with_capacity(4 + old.len());
        bytes.extend_from_slice(&tag.to_be_bytes());
        bytes.extend_from_slice(old);
        *self = Self::new(&bytes);
    }

    /// Takes the first tag away. `None`, and no change, when fewer than four bytes are left.
    pub fn take_tag(&mut self) -> Option<u32> {
        let (tag, rest) = self.as_slice().split_first_chunk::<4>()?;
        let tag = u32::from_be_bytes(*tag);
        *self = Self::new(rest);
        Some(tag)
    }
}

impl Default for Header {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl From<&[u8]> for Header {
    #[inline]
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }
}

impl PartialEq for Header {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Header {}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// One message: a body, and for raw sockets a protocol header.
///
/// Bodies are [`Bytes`]: cloning a message copies no data, and a body that the caller hands over is
/// never copied when it is larger than 4 KiB. A received message knows the pipe it came over and
/// when it arrived. It may share memory with messages that were read together with it; keep
/// [`detached`](Message::detached) messages when you keep few of many for long.
///
/// ```
/// use spanwire_core::Message;
/// let message = Message::from("hello");
/// assert_eq!(message.body(), b"hello".as_slice());
/// assert_eq!(&message[..], b"hello");
/// ```
#[derive(Clone, Default)]
pub struct Message {
    body: Bytes,
    header: Header,
    pipe: Option<PipeId>,
    arrived: Time,
}

impl Message {
    /// A message with this body and no header.
    #[inline]
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), header: Header::EMPTY, pipe: None, arrived: Time::ZERO }
    }

    /// A message with a header, for raw sockets.
    pub fn with_header(header: impl Into<Header>, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), header: header.into(), pipe: None, arrived: Time::ZERO }
    }

    /// The payload.
    #[inline]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The payload, to change or replace.
    pub fn body_mut(&mut self) -> &mut Bytes {
        &mut self.body
    }

    /// The payload, for keeps.
    #[inline]
    pub fn into_body(self) -> Bytes {
        self.body
    }

    /// The protocol bytes in front of the payload; empty on cooked sockets.
    #[inline]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The header, to change or replace.
    #[inline]
    pub fn header_mut(&mut self) -> &mut Header {
        &mut self.header
    }

    /// Replaces the header and hands the message on.
    #[inline]
    #[must_use]
    pub fn header_set(mut self, header: Header) -> Self {
        self.header = header;
        self
    }

    /// The pipe it came over, or, on sockets that let the sender choose, the pipe it shall go to.
    #[inline]
    pub fn pipe(&self) -> Option<PipeId> {
        self.pipe
    }

    /// Chooses the pipe a polyamorous or raw socket sends this message to.
    pub fn set_pipe(&mut self, pipe: Option<PipeId>) {
        self.pipe = pipe;
    }

    /// Addresses the message to a pipe, as in `socket.send(Message::from("hi").to(pipe))`.
    #[inline]
    #[must_use]
    pub fn to(mut self, pipe: PipeId) -> Self {
        self.pipe = Some(pipe);
        self
    }

    /// When it was read from its connection; `None` for a message made here.
    pub fn arrived(&self) -> Option<Time> {
        (self.arrived != Time::ZERO).then_some(self.arrived)
    }

    /// Notes where and when the message came from; called by whoever read it.
    #[inline]
    #[must_use]
    pub fn received(mut self, pipe: PipeId, at: Time) -> Self {
        self.note_received(pipe, at);
        self
    }

    /// The same in its place.
    #[inline]
    pub(crate) fn note_received(&mut self, pipe: PipeId, at: Time) {
        self.pipe = Some(pipe);
        self.arrived = at;
    }

    /// Bytes of header and body together: what the frame's length field says.
    #[inline]
    pub fn len(&self) -> usize {
        self.header.len() + self.body.len()
    }

    /// Whether header and body are both empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same message in memory of its own.
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.body = Bytes::copy_from_slice(&self.body);
        self
    }

    /// Takes the next four bytes off the front of the payload *as it is on the wire*, that is of
    /// header and body joined: a message that came in-process still has its header apart.
    ///
    /// `None`, and no change but the joining, when fewer than four bytes are left.
    pub fn take_tag(&mut self) -> Option<u32> {
        if let Some(tag) = self.header.take_tag() {
            return Some(tag);
        }
        self.join();
        (self.body.len() >= 4).then(|| self.body.get_u32())
    }

    /// Makes the payload one piece, as a reader of the wire would see it. Copies only when there is
    /// a header, which between cooked sockets is never longer than a backtrace.
    #[inline]
    pub fn join(&mut self) {
        if !self.header.is_empty() {
            self.join_header();
        }
    }

    #[cold]
    fn join_header(&mut self) {
        let mut whole = BytesMut::with_capacity(self.len());
        whole.extend_from_slice(self.header.as_slice());
        whole.extend_from_slice(&self.body);
        self.body = whole.freeze();
        self.header = Header::EMPTY;
    }
}

/// Messages are equal when header and body are; where and when they came does not matter.
impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.header == other.header && self.body == other.body
    }
}

impl Eq for Message {}

impl core::ops::Deref for Message {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        &self.body
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = f.debug_struct("Message");
        if !self.header.is_empty() {
            s.field("header", &self.header);
        }
        s.field("body", &self.body);
        if let Some(pipe) = self.pipe {
            s.field("pipe", &pipe.get());
        }
        s.finish()
    }
}

impl From<Bytes> for Message {
    #[inline]
    fn from(body: Bytes) -> Self {
        Self::new(body)
    }
}

impl From<Message> for Bytes {
    fn from(message: Message) -> Self {
        message.body
    }
}

impl From<Vec<u8>> for Message {
    #[inline]
    fn from(body: Vec<u8>) -> Self {
        Self::new(body)
    }
}

impl From<String> for Message {
    #[inline]
    fn from(body: String) -> Self {
        Self::new(body)
    }
}

impl From<BytesMut> for Message {
    #[inline]
    fn from(body: BytesMut) -> Self {
        Self::new(body.freeze())
    }
}

/// Borrows text that lives for ever; copies nothing.
impl From<&'static str> for Message {
    #[inline]
    fn from(body: &'static str) -> Self {
        Self::new(Bytes::from_static(body.as_bytes()))
    }
}

/// Borrows bytes that live for ever; copies nothing.
impl From<&'static [u8]> for Message {
    #[inline]
    fn from(body: &'static [u8]) -> Self {
        Self::new(Bytes::from_static(body))
    }
}

/// Borrows bytes that live for ever; copies nothing.
impl<const N: usize> From<&'static [u8; N]> for Message {
    fn from(body: &'static [u8; N]) -> Self {
        Self::new(Bytes::from_static(body))
    }
}

impl From<Cow<'static, [u8]>> for Message {
    fn from(body: Cow<'static, [u8]>) -> Self {
        match body {
            Cow::Borrowed(body) => body.into(),
            Cow::Owned(body) => body.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_across_header_and_body() {
        let mut message = Message::with_header(&[0, 0, 0, 1, 0x80, 0][..], &[0, 2, b'x'][..]);
        assert_eq!(message.take_tag(), Some(1));
        assert_eq!(message.take_tag(), Some(0x8000_0002));
        assert_eq!(message.take_tag(), None);
        assert_eq!(message.body(), &b"x"[..]);
    }

    #[test]
    fn long_headers_move_to_the_heap_and_back() {
        let mut header = Header::tag(0x8000_0000);
        for hop in 1..=15 {
            header.prepend_tag(hop);
        }
        assert_eq!(header.len(), 64);
        for hop in (1..=15).rev() {
            assert_eq!(header.take_tag(), Some(hop));
        }
        assert_eq!(header, Header::tag(0x8000_0000));
    }

    #[test]
    fn a_received_message_equals_the_one_that_was_sent() {
        let sent = Message::from("hello");
        let pipe = PipeId::new(1, 0).unwrap();
        assert_eq!(sent.clone().received(pipe, Time::from_nanos(7)), sent);
        assert_ne!(sent, Message::with_header(&[1][..], "hello"));
    }

    #[test]
    fn a_message_stays_small() {
        // Queues hold messages by value; nine words are a line of the cache and a bit.
        assert_eq!(size_of::<Message>(), 72);
        assert_eq!(size_of::<Option<PipeId>>(), 8);
    }

    #[test]
    fn a_pipe_id_never_has_the_top_bit() {
        assert_eq!(PipeId::new(0x8000_0000, 0), None);
        assert_eq!(PipeId::new(0x8000_0001, 7).map(PipeId::get), Some(1));
    }
}
