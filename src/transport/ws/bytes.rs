//! Bytes over a WebSocket: each write is a message, and where messages end does not matter.
//!
//! For connections that frame by themselves. It stands above the halves that show messages as SP frames on
//! tcp, a length of 8 bytes and what it counts, and hides those lengths.

use crate::transport::{ReadHalf, WriteHalf};
#[cfg(unix)]
use crate::transport::{at_once, polled};
use std::io::{self, ErrorKind, IoSlice};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
#[cfg(unix)]
use std::time::Duration;

/// A message has at most so many bytes: what NNG takes in one frame, too.
const MESSAGE_BYTES: usize = 64 * 1024;
/// The largest message that is taken: those of other implementations may be larger than ours.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
const LENGTH_BYTES: usize = 8;
/// One write takes at most so many pieces, the length among them.
const PIECES: usize = 64;

/// The reading half.
pub(super) struct Reader {
    below: Box<dyn ReadHalf>,
    /// What has come of a length.
    length: [u8; LENGTH_BYTES],
    length_bytes: usize,
    /// Bytes of the message that are still to come.
    missing: usize,
}

impl Reader {
    pub(super) fn new(mut below: Box<dyn ReadHalf>) -> Self {
        below.limit_messages(MAX_MESSAGE_BYTES);
        Self { below, length: [0; LENGTH_BYTES], length_bytes: 0, missing: 0 }
    }

    /// Takes the lengths out of what was read behind `start`; returns how much is left.
    fn strip(&mut self, buffer: &mut Vec<u8>, start: usize) -> usize {
        let (mut from, mut to) = (start, start);
        while from < buffer.len() {
            if self.missing == 0 {
                let count = (LENGTH_BYTES - self.length_bytes).min(buffer.len() - from);
                self.length[self.length_bytes..][..count].copy_from_slice(&buffer[from..from + count]);
                self.length_bytes += count;
                from += count;
                if self.length_bytes == LENGTH_BYTES {
                    self.length_bytes = 0;
                    // The halves below let no larger one pass.
                    self.missing = usize::try_from(u64::from_be_bytes(self.length)).unwrap_or(usize::MAX);
                }
                continue;
            }
            let count = self.missing.min(buffer.len() - from);
            buffer.copy_within(from..from + count, to);
            self.missing -= count;
            from += count;
            to += count;
        }
        buffer.truncate(to);
        to - start
    }

    fn read(
        &mut self,
        buffer: &mut Vec<u8>,
        limit: usize,
        read: impl FnOnce(&mut dyn ReadHalf, &mut Vec<u8>, usize) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let start = buffer.len();
        match ready!(read(&mut *self.below, buffer, limit))? {
            0 => Poll::Ready(Ok(0)),
            _ => Poll::Ready(match self.strip(buffer, start) {
                // Nothing but lengths: that is no end.
                0 => Err(ErrorKind::Interrupted.into()),
                count => Ok(count),
            }),
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
        self.read(buffer, limit, |below, buffer, limit| below.poll_read(cx, buffer, limit))
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.below.poll_end(cx)
    }

    #[cfg(unix)]
    fn try_read(&mut self, buffer: &mut Vec<u8>, limit: usize) -> io::Result<usize> {
        at_once(self.read(buffer, limit, |below, buffer, limit| polled(below.try_read(buffer, limit))))
    }

    #[cfg(unix)]
    fn unwatch(&mut self) {
        self.below.unwatch();
    }
}

/// The writing half.
pub(super) struct Writer {
    below: Arc<dyn WriteHalf>,
    message: Mutex<Message>,
}

/// The message that is on its way. Its bytes come again with each write until they have left.
#[derive(Default)]
struct Message {
    length: [u8; LENGTH_BYTES],
    /// What has left of the length.
    length_gone: usize,
    /// Bytes that have not left.
    missing: usize,
}

impl Writer {
    pub(super) fn new(below: Arc<dyn WriteHalf>) -> Self {
        Self { below, message: Mutex::default() }
    }

    fn message(&self) -> MutexGuard<'_, Message> {
        self.message.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WriteHalf for Writer {
    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let pieces = &pieces[..pieces.len().min(PIECES - 1)];
        let offered: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut message = self.message();
        if message.missing == 0 {
            if offered == 0 {
                return Ok(0);
            }
            let missing = offered.min(MESSAGE_BYTES);
            *message = Message { length: (missing as u64).to_be_bytes(), length_gone: 0, missing };
        }
        loop {
            let length = message.length;
            let mut framed = [IoSlice::new(&[]); PIECES];
            framed[0] = IoSlice::new(&length[message.length_gone..]);
            let (mut count, mut room) = (1, message.missing);
            for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
                let bytes = &piece[..piece.len().min(room)];
                room -= bytes.len();
                framed[count] = IoSlice::new(bytes);
                count += 1;
                if room == 0 {
                    break;
                }
            }
            let gone = self.below.try_write(&framed[..count])?;
            if gone == 0 {
                return Ok(0);
            }
            let of_length = gone.min(LENGTH_BYTES - message.length_gone);
            message.length_gone += of_length;
            message.missing -= gone - of_length;
            if gone > of_length {
                return Ok(gone - of_length);
            }
            // Only a part of the length has left: that is nothing to whoever writes.
        }
    }

    fn held_bytes(&self) -> usize {
        // The length has said, or will say, how many there are.
        self.message().missing
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.below.poll_writable(cx)
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.below.poll_flush(cx)
    }

    fn unwatch(&self) {
        self.below.unwatch();
    }

    fn kernel_bytes(&self) -> usize {
        self.below.kernel_bytes()
    }

    fn shut_down(&self) -> io::Result<()> {
        self.below.shut_down()
    }

    fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.below.poll_settled(cx)
    }

    fn forgets(&self) -> bool {
        self.below.forgets()
    }

    #[cfg(unix)]
    fn threads_may_wait(&self) -> bool {
        self.below.threads_may_wait()
    }

    #[cfg(unix)]
    fn wait_readable(&self, alarm: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
        self.below.wait_readable(alarm, timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Takes at most so many bytes a write, and none every second time; gives back what it took.
    #[derive(Default)]
    struct Pipe {
        bytes: Mutex<(VecDeque<u8>, usize)>,
        most: usize,
    }

    impl WriteHalf for Pipe {
        fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
            let mut state = self.bytes.lock().unwrap();
            state.1 += 1;
            if state.1 % 2 == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let before = state.0.len();
            let offered: Vec<u8> =
                pieces.iter().flat_map(|piece| piece.iter().copied()).take(self.most).collect();
            state.0.extend(offered);
            Ok(state.0.len() - before)
        }

        fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn kernel_bytes(&self) -> usize {
            0
        }

        fn shut_down(&self) -> io::Result<()> {
            Ok(())
        }

        #[cfg(unix)]
        fn wait_readable(&self, _: BorrowedFd<'_>, _: Option<Duration>) -> io::Result<bool> {
            Ok(true)
        }
    }

    struct Out(Arc<Pipe>, usize);

    impl ReadHalf for Out {
        fn poll_read(
            &mut self,
            _: &mut Context<'_>,
            buffer: &mut Vec<u8>,
            limit: usize,
        ) -> Poll<io::Result<usize>> {
            let mut state = self.0.bytes.lock().unwrap();
            let count = limit.min(self.1).min(state.0.len());
            buffer.extend(state.0.drain(..count));
            Poll::Ready(Ok(count))
        }

        #[cfg(unix)]
        fn try_read(&mut self, _: &mut Vec<u8>, _: usize) -> io::Result<usize> {
            Err(ErrorKind::WouldBlock.into())
        }

        #[cfg(unix)]
        fn unwatch(&mut self) {}
    }

    #[test]
    fn bytes_arrive_as_they_were_written_whatever_the_cuts() {
        let sent: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        for most in [1_usize, 3, 8, 9, 1_000, 70_000] {
            let sent = &sent[..sent.len().min(most * 300)];
            let pipe = Arc::new(Pipe { most, ..Pipe::default() });
            let writer = Writer::new(pipe.clone());
            let mut left = sent;
            while !left.is_empty() {
                let (one, other) = left.split_at(left.len().min(5));
                match writer.try_write(&[IoSlice::new(one), IoSlice::new(&[]), IoSlice::new(other)]) {
                    Ok(count) => left = &left[count..],
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::WouldBlock);
                        assert!(writer.held_bytes() <= left.len());
                    }
                }
            }
            assert_eq!(writer.held_bytes(), 0);
            let mut reader = Reader::new(Box::new(Out(pipe, most)));
            let (mut got, mut cx) =
                (Vec::with_capacity(sent.len() + 8), Context::from_waker(std::task::Waker::noop()));
            loop {
                match reader.poll_read(&mut cx, &mut got, 4_096) {
                    Poll::Ready(Ok(0)) => break,
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::Interrupted),
                    Poll::Pending => unreachable!(),
                }
            }
            assert!(got == sent, "{most}");
        }
    }
}
