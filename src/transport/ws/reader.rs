//! [`Reader`]: the reading half of a WebSocket.

use super::writer::Writer;
use crate::transport::ReadHalf;
#[cfg(unix)]
use crate::transport::{at_once, polled};
use spanwire_core::framing::ws::frame::close;
use spanwire_core::framing::ws::{Control, Decoder, Fault, Side};
use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Turns the frames of a WebSocket into SP frames as on tcp, and tells the writer what has to be answered.
///
/// What comes is read into a buffer that belongs to the thread, and decoded from there into the one that is to
/// be filled: one copy, under which the mask is taken off. The payload of a large message in one frame is read
/// straight into its place instead, where whoever reads has asked for that alone; parts of large messages into
/// the buffer that joins them.
pub(super) struct Reader {
    below: Box<dyn ReadHalf>,
    writer: Arc<Writer>,
    decoder: Decoder,
    /// Was read, and did not fit; the first `start` bytes are used up.
    raw: Vec<u8>,
    start: usize,
    end: Option<End>,
}

/// How the peer's side ended.
#[derive(Copy, Clone)]
enum End {
    /// Between two messages, or with one that is too large.
    Whole,
    /// Inside a message.
    Cut,
    Broken(Fault),
}

/// A read takes at most so much where messages are small: a header is shorter than a length, so what comes out is more,
/// and should fit into the room that there is.
const READ_BYTES: usize = 56 * 1024;
/// Where they are large it takes so much, so that one of 64 KiB comes whole with all that stands before it ...
const LARGE_READ_BYTES: usize = 68 * 1024;
/// ... as far as there is room, with some left for lengths that are longer than headers.
const LENGTHS_BYTES: usize = 64;

thread_local! {
    static RAW: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Reader {
    /// `rest` was read already.
    pub(super) fn new(below: Box<dyn ReadHalf>, writer: Arc<Writer>, side: Side, rest: Vec<u8>) -> Self {
        writer.note_held(!rest.is_empty());
        Self { below, writer, decoder: Decoder::new(side.peer()), raw: rest, start: 0, end: None }
    }

    /// Fills the spare room of `buffer` with at most `limit` bytes, by way of `read`.
    fn fill(
        &mut self,
        buffer: &mut Vec<u8>,
        limit: usize,
        read: impl FnMut(&mut dyn ReadHalf, &mut Vec<u8>, usize) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let filled = self.fill_from(buffer, limit, read);
        let holds = self.start < self.raw.len() || self.decoder.has_more() || self.end.is_some();
        self.writer.note_held(holds);
        if matches!(&filled, Poll::Ready(Err(error)) if error.kind() != ErrorKind::WouldBlock
            && error.kind() != ErrorKind::Interrupted)
        {
            self.writer.note_deaf();
        }
        filled
    }

    fn fill_from(
        &mut self,
        buffer: &mut Vec<u8>,
        limit: usize,
        mut read: impl FnMut(&mut dyn ReadHalf, &mut Vec<u8>, usize) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let before = buffer.len();
        let room = limit.min(buffer.capacity() - before);
        if self.start < self.raw.len() || self.decoder.has_more() {
            self.decode_held(buffer, room);
            if buffer.len() > before {
                return Poll::Ready(Ok(buffer.len() - before));
            }
        }
        if let Some(end) = self.end {
            return Poll::Ready(end.result());
        }
        if self.decoder.passing() >= room {
            let count = ready!(read(&mut *self.below, buffer, room))?;
            self.decoder.passed(&mut buffer[before..]);
            return Poll::Ready(if count == 0 { self.ended() } else { Ok(count) });
        }
        if let Some((gathered, missing)) = self.decoder.part() {
            let count = ready!(read(&mut *self.below, gathered, missing))?;
            self.decoder.parted(count);
            if count == 0 {
                return Poll::Ready(self.ended());
            }
            self.decode(&mut &[][..], buffer, room);
        } else {
            ready!(self.read_some(buffer, room, read))?;
        }
        match (buffer.len() - before, self.end) {
            (0, Some(end)) => Poll::Ready(end.result()),
            // Control frames, or less than a header: others have their turn before there is more of that.
            (0, None) => Poll::Ready(Err(ErrorKind::Interrupted.into())),
            (count, _) => Poll::Ready(Ok(count)),
        }
    }

    /// Reads once, and decodes as much as fits.
    fn read_some(
        &mut self,
        buffer: &mut Vec<u8>,
        room: usize,
        mut read: impl FnMut(&mut dyn ReadHalf, &mut Vec<u8>, usize) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        let mut raw = RAW.take();
        let limit = match self.decoder.is_large() {
            true => room.saturating_sub(LENGTHS_BYTES).clamp(READ_BYTES, LARGE_READ_BYTES),
            false => READ_BYTES,
        };
        if raw.capacity() < limit {
            raw = Vec::with_capacity(limit);
        }
        let read = read(&mut *self.below, &mut raw, limit);
        if let Poll::Ready(Ok(_)) = read {
            let mut input = &raw[..];
            match input.is_empty() {
                // What it ended with is told once what came before is handed on.
                true => drop(self.ended()),
                false => self.decode(&mut input, buffer, room),
            }
            if !input.is_empty() {
                self.raw = input.to_vec();
                self.start = 0;
            }
        }
        raw.clear();
        RAW.set(raw);
        read.map_ok(drop)
    }

    fn decode_held(&mut self, buffer: &mut Vec<u8>, room: usize) {
        let raw = std::mem::take(&mut self.raw);
        let mut input = &raw[self.start..];
        self.decode(&mut input, buffer, room);
        self.start = raw.len() - input.len();
        // An idle connection keeps no buffer.
        if !input.is_empty() {
            self.raw = raw;
        } else {
            self.start = 0;
        }
    }

    /// Decodes until the input is used up, the room is, or the peer's side has ended.
    fn decode(&mut self, input: &mut &[u8], buffer: &mut Vec<u8>, room: usize) {
        let full = buffer.len() + room;
        while self.end.is_none() {
            let (code, end) = match self.decoder.decode(input, buffer, full - buffer.len()) {
                Ok(None) => break,
                Ok(Some(Control::Ping(payload))) => {
                    self.writer.owe_answer(payload);
                    continue;
                }
                Ok(Some(Control::Close(_))) => (close::NORMAL, self.end_of_stream()),
                // Its length is handed on, at which it will be refused.
                Ok(Some(Control::TooLarge)) => (close::TOO_BIG, End::Whole),
                Err(fault) => (fault.close_code(), End::Broken(fault)),
            };
            self.writer.owe_farewell(code);
            self.end = Some(end);
            *input = &[];
        }
        self.writer.pay();
    }

    /// The peer has shut its end, and is gone most likely.
    fn ended(&mut self) -> io::Result<usize> {
        self.writer.note_deaf();
        let end = self.end_of_stream();
        self.end = Some(end);
        end.result()
    }

    fn end_of_stream(&self) -> End {
        if self.decoder.at_boundary() { End::Whole } else { End::Cut }
    }
}

impl End {
    fn result(self) -> io::Result<usize> {
        match self {
            Self::Whole => Ok(0),
            Self::Cut => Err(ErrorKind::UnexpectedEof.into()),
            Self::Broken(fault) => Err(io::Error::new(ErrorKind::InvalidData, fault)),
        }
    }
}

impl ReadHalf for Reader {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        self.writer.poll_shut(cx);
        self.fill(buffer, limit, |below, buffer, limit| below.poll_read(cx, buffer, limit))
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        match self.end {
            Some(_) => Poll::Ready(true),
            None => self.below.poll_end(cx),
        }
    }

    fn limit_messages(&mut self, max_bytes: usize) {
        self.decoder.limit(max_bytes);
    }

    #[cfg(unix)]
    fn try_read(&mut self, buffer: &mut Vec<u8>, limit: usize) -> io::Result<usize> {
        at_once(self.fill(buffer, limit, |below, buffer, limit| polled(below.try_read(buffer, limit))))
    }

    #[cfg(unix)]
    fn unwatch(&mut self) {
        self.below.unwatch();
    }
}
