//! [`Writer`]: the writing half of a WebSocket, and what is owed to the peer besides messages.

use super::keys;
use crate::transport::WriteHalf;
use spanwire_core::framing::ws::frame::close;
use spanwire_core::framing::ws::{Encoder, Opcode, Side, Stage};
use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll};
#[cfg(unix)]
use std::time::Duration;

/// Turns SP frames as on tcp into the frames of a WebSocket, and answers the peer's control frames.
///
/// Whoever sends is the writer of the moment, and whoever reads finds out what is to be answered. Neither waits
/// for the other: the reader leaves what it *owes*, and pays at once if nobody writes; if somebody does, he
/// looks when he is done. At most one answer is owed, the latest, as RFC 6455 5.5.3 allows; so a peer that asks
/// without end costs no memory.
pub(super) struct Writer {
    below: Arc<dyn WriteHalf>,
    /// Held while something is written, which never blocks.
    encoder: Mutex<Encoder>,
    owed: Mutex<Owed>,
    /// Whether something is owed.
    owes: AtomicBool,
    /// We have said farewell: nothing may follow. Changed by who has the encoder.
    silent: AtomicBool,
    /// Our end is to be shut as soon as everything has left.
    shutting: AtomicBool,
    /// The peer hears nothing any more.
    deaf: AtomicBool,
    /// The reader holds something that can be handed on without reading.
    holds: AtomicBool,
}

#[derive(Default)]
struct Owed {
    answer: Option<Vec<u8>>,
    farewell: Farewell,
}

/// ```text
///   Unsaid ── owe ──▶ Owed ── staged ──▶ Said
/// ```
#[derive(Copy, Clone, Default, PartialEq, Eq)]
enum Farewell {
    #[default]
    Unsaid,
    Owed(u16),
    Said,
}

/// One vectored write takes at most so many pieces.
const WRITE_PIECES: usize = 64;

thread_local! {
    /// What frames are staged in. A connection has it for as long as something is on its way, so that one
    /// which is idle has none.
    static SPARE: RefCell<Stage> = RefCell::default();
}

impl Writer {
    pub(super) fn new(below: Arc<dyn WriteHalf>, side: Side) -> Self {
        Self {
            below,
            encoder: Mutex::new(Encoder::new(side)),
            owed: Mutex::default(),
            owes: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            shutting: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
            holds: AtomicBool::new(false),
        }
    }

    /// The peer has asked for an answer.
    pub(super) fn owe_answer(&self, payload: Vec<u8>) {
        self.owed().answer = Some(payload);
        self.owes.store(true, Ordering::Release);
    }

    /// There is no more to say, for this reason. Only the first one counts.
    pub(super) fn owe_farewell(&self, code: u16) {
        let mut owed = self.owed();
        if owed.farewell == Farewell::Unsaid {
            owed.farewell = Farewell::Owed(code);
        }
        drop(owed);
        self.owes.store(true, Ordering::Release);
    }

    /// The connection is gone: nobody would hear a farewell.
    pub(super) fn note_deaf(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    /// Whether the reader can hand something on without reading.
    pub(super) fn note_held(&self, holds: bool) {
        // Written where it changes only: both halves look at it for each message.
        if self.holds.load(Ordering::Relaxed) != holds {
            self.holds.store(holds, Ordering::Release);
        }
    }

    fn owed(&self) -> MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn encoder(&self) -> MutexGuard<'_, Encoder> {
        self.encoder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pays what is owed, unless somebody writes, who will, or what was begun cannot go on without him.
    pub(super) fn pay(&self) {
        while self.owes.load(Ordering::Acquire) {
            let mut encoder = match self.encoder.try_lock() {
                Ok(encoder) => encoder,
                Err(TryLockError::Poisoned(encoder)) => encoder.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            if !self.pay_now(&mut encoder) {
                return;
            }
        }
    }

    /// The same for who has the encoder. Whether everything has left.
    fn pay_now(&self, encoder: &mut Encoder) -> bool {
        if encoder.is_idle() {
            self.stage_owed(encoder);
        }
        // A plan that stands for messages needs them to go on.
        while !encoder.is_idle() && encoder.held_bytes() == 0 {
            match self.write_planned(encoder, &[]) {
                Ok(Wrote::Some(_)) => {}
                Ok(Wrote::Nothing) | Err(_) => return false,
            }
        }
        encoder.is_idle() && encoder.at_frame_end()
    }

    /// Plans what is owed, where a control frame may stand.
    fn stage_owed(&self, encoder: &mut Encoder) {
        if !self.owes.load(Ordering::Acquire) || !encoder.at_frame_end() {
            return;
        }
        lend(encoder);
        let mut owed = self.owed();
        self.owes.store(false, Ordering::Release);
        let answer = owed.answer.take().filter(|_| owed.farewell != Farewell::Said);
        if let Some(payload) = answer {
            encoder.control(Opcode::Pong, &payload, keys::random);
        }
        if let Farewell::Owed(code) = owed.farewell {
            owed.farewell = Farewell::Said;
            self.silent.store(true, Ordering::Relaxed);
            encoder.control(Opcode::Close, &code.to_be_bytes(), keys::random);
        }
    }

    /// Writes of the plan what the connection takes.
    fn write_planned(&self, encoder: &mut Encoder, offered: &[IoSlice<'_>]) -> io::Result<Wrote> {
        let wrote = {
            let mut pieces = [IoSlice::new(&[]); WRITE_PIECES];
            let (count, bytes) = encoder.slices(offered, &mut pieces, IoSlice::new);
            match bytes {
                0 => 0,
                _ => match self.below.try_write(&pieces[..count])? {
                    0 => return Ok(Wrote::Nothing),
                    wrote => wrote,
                },
            }
        };
        let gone = encoder.advance(wrote);
        if encoder.is_idle() {
            // A thread that ends has none, and needs none.
            let _ = SPARE.try_with(|spare| encoder.give_back(&mut spare.borrow_mut()));
        }
        Ok(Wrote::Some(gone))
    }

    fn write(&self, offered: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut encoder = self.encoder();
        loop {
            if encoder.is_idle() {
                self.stage_owed(&mut encoder);
            }
            if encoder.held_bytes() == 0 {
                if self.silent.load(Ordering::Relaxed) {
                    return Err(ErrorKind::BrokenPipe.into());
                }
                lend(&mut encoder);
                encoder.plan(offered, keys::random);
            }
            match self.write_planned(&mut encoder, offered)? {
                Wrote::Nothing => return Ok(0),
                // A part of a frame has left, or something that was owed.
                Wrote::Some(0) => {}
                Wrote::Some(gone) => return Ok(gone),
            }
        }
    }

    /// Goes on with what was left when the connection took no more. Called by whoever reads, as long as our
    /// end is to be shut: then nobody writes any more.
    pub(super) fn poll_shut(&self, cx: &mut Context<'_>) {
        while self.shutting.load(Ordering::Relaxed) {
            if self.pay_now(&mut self.encoder()) {
                self.shutting.store(false, Ordering::Relaxed);
                // A failure means that the connection is gone, which reading tells too.
                let _ = self.below.shut_down();
                return;
            }
            match self.below.poll_writable(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => self.shutting.store(false, Ordering::Relaxed),
                Poll::Pending => return,
            }
        }
    }
}

/// What came of a write.
enum Wrote {
    /// The connection takes nothing, and never will.
    Nothing,
    /// So many of the bytes that were offered are gone.
    Some(usize),
}

fn lend(encoder: &mut Encoder) {
    let _ = SPARE.try_with(|spare| encoder.lend(&mut spare.borrow_mut()));
}

impl WriteHalf for Writer {
    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let result = self.write(pieces);
        // The reader may have left something meanwhile.
        self.pay();
        result
    }

    fn held_bytes(&self) -> usize {
        self.encoder().held_bytes()
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.below.poll_writable(cx)
    }

    fn unwatch(&self) {
        self.below.unwatch();
    }

    fn kernel_bytes(&self) -> usize {
        self.below.kernel_bytes()
    }

    /// Says farewell first. Where the connection takes no more at the moment, both are done by whoever reads.
    fn shut_down(&self) -> io::Result<()> {
        self.owe_farewell(close::NORMAL);
        if self.pay_now(&mut self.encoder()) {
            return self.below.shut_down();
        }
        self.shutting.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.below.poll_settled(cx)
    }

    #[cfg(unix)]
    fn threads_may_wait(&self) -> bool {
        self.below.threads_may_wait()
    }

    #[cfg(unix)]
    fn wait_readable(&self, alarm: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
        match self.holds.load(Ordering::Acquire) {
            true => Ok(true),
            false => self.below.wait_readable(alarm, timeout),
        }
    }
}

/// Whatever the reason for the end, a peer that can still hear it is told, if that costs no waiting.
impl Drop for Writer {
    fn drop(&mut self) {
        if !*self.deaf.get_mut() {
            self.owe_farewell(close::GOING_AWAY);
            self.pay();
        }
    }
}
