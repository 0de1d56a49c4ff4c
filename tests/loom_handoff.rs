//! The shipped hand-off in every interleaving of senders, driver and kernel. Runs with
//! `--cfg spanwire_loom` only.
//!
//! Senders and the driver do here what `session/pipe.rs` and `session/driver.rs` do, with a kernel
//! whose room another thread gives back. What nobody is left to write shows as a deadlock.
//!
//! Multiplexed connections keep what is not yet in the outbox behind it, so that something urgent can go first, and whoever
//! has written takes more of it: `mux/wire.rs`. Here that is the backlog; other connections have none.

#![cfg(spanwire_loom)]

use loom::future::block_on;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Mutex, MutexGuard};
use loom::thread;
use spanwire::session::handoff::{Drive, HandOff, Kick, Next, Queue, Wrote};
use spanwire_core::Time;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Who sent it, and its number among his.
type Item = (u8, u8);

/// An outbox that holds items until they are settled.
#[derive(Default)]
struct Outbox {
    waiting: Vec<Item>,
    writing: usize,
    item_bytes: usize,
    /// Goes into the outbox when less waits there than `buffer_bytes`.
    backlog: VecDeque<Item>,
    buffer_bytes: usize,
}

impl Queue for Outbox {
    fn items(&self) -> usize {
        self.waiting.len() + self.writing
    }
    fn waiting_bytes(&self) -> usize {
        self.waiting.len() * self.item_bytes
    }
}

/// Takes items while it has room.
struct Kernel {
    room: usize,
    broken: bool,
    written: Vec<Item>,
    watcher: Option<Waker>,
}

/// One connection.
struct Connection {
    /// Under its owner's lock.
    handoff: Mutex<HandOff<Outbox>>,
    kernel: Mutex<Kernel>,
    closing: AtomicBool,
    /// How late the driver is each time it finds something.
    late: Time,
}

/// How a model starts.
struct Start {
    /// Direct writes that were used up before. A new hand-off has four.
    spent: u8,
    /// What the kernel takes at first.
    room: usize,
    /// Whether it fails instead of being full.
    breaks: bool,
    /// What an item weighs.
    item_bytes: usize,
    /// The outbox is full when so much waits; 0: never, there is no backlog.
    buffer_bytes: usize,
    late: Time,
}

const FIRST_GRANT: u8 = 4;
/// So much waiting makes a sender write by itself.
const INLINE_BYTES: usize = 60 * 1024;
const SENDER_ROUNDS: usize = 2;
const DRIVER_ROUNDS: usize = 3;

const CALM: Start = Start {
    spent: 0,
    room: 100,
    breaks: false,
    item_bytes: 10,
    buffer_bytes: 0,
    late: Time::from_nanos(1_000_000_000),
};

impl Connection {
    fn new(start: Start) -> Arc<Self> {
        let connection = Arc::new(Self {
            handoff: Mutex::new(HandOff::new(Outbox {
                item_bytes: start.item_bytes,
                buffer_bytes: start.buffer_bytes,
                ..Outbox::default()
            })),
            kernel: Mutex::new(Kernel { room: 100, broken: false, written: Vec::new(), watcher: None }),
            closing: AtomicBool::new(false),
            late: start.late,
        });
        for n in 0..start.spent {
            connection.send((9, n));
        }
        {
            let mut kernel = connection.kernel.lock().unwrap();
            (kernel.room, kernel.written) = (start.room, Vec::new());
            kernel.broken = start.breaks;
        }
        connection
    }

    fn handoff(&self) -> MutexGuard<'_, HandOff<Outbox>> {
        self.handoff.lock().unwrap()
    }

    fn send(&self, item: Item) {
        self.carry_out(self.push(item));
    }

    fn push(&self, item: Item) -> Kick {
        let mut handoff = self.handoff();
        handoff.queue().backlog.push_back(item);
        fill(&mut handoff)
    }

    fn carry_out(&self, kick: Kick) {
        match kick {
            Kick::Nothing => {}
            Kick::Wake(waker) => waker.wake(),
            Kick::Write => self.write_out(SENDER_ROUNDS),
        }
    }

    /// What a sender does that found no room.
    fn flush_owed(&self) {
        let claimed = self.handoff().claim();
        if claimed {
            self.write_out(SENDER_ROUNDS);
        }
    }

    fn write_out(&self, rounds: usize) {
        for round in 1..=rounds {
            let batch = self.handoff().take(|outbox| {
                outbox.writing = outbox.waiting.len();
                std::mem::take(&mut outbox.waiting)
            });
            let (wrote, count) = self.write(&batch);
            let next = {
                let mut handoff = self.handoff();
                // Before the account is settled: whoever writes at this moment takes it along.
                let kick = fill(&mut handoff);
                assert!(matches!(kick, Kick::Nothing), "somebody writes already");
                let settle = |outbox: &mut Outbox| {
                    outbox.writing = 0;
                    outbox.waiting.splice(0..0, batch[count..].iter().copied());
                };
                handoff.settle(wrote, round == rounds, settle).1
            };
            match next {
                Next::Again => {}
                Next::Done => return,
                Next::Wake(waker) => return waker.wake(),
            }
        }
    }

    fn write(&self, batch: &[Item]) -> (Wrote, usize) {
        let mut kernel = self.kernel.lock().unwrap();
        let count = batch.len().min(kernel.room);
        kernel.room -= count;
        kernel.written.extend(&batch[..count]);
        match (count == batch.len(), kernel.broken) {
            (true, _) => (Wrote::All, count),
            (false, false) => (Wrote::Full, count),
            (false, true) => (Wrote::Broken, count),
        }
    }

    /// The peer has read.
    fn give_room(&self, room: usize) {
        let watcher = {
            let mut kernel = self.kernel.lock().unwrap();
            kernel.room += room;
            kernel.watcher.take()
        };
        if let Some(watcher) = watcher {
            watcher.wake();
        }
    }

    fn close(&self) {
        self.closing.store(true, Ordering::Release);
        let waker = self.handoff().wake();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The life of a driver: writes what is left to it until it is told to close and everything is
    /// written, or `at_once`.
    fn drive(&self, at_once: bool) {
        block_on(poll_fn(|cx| {
            let writable = || {
                let mut kernel = self.kernel.lock().unwrap();
                if kernel.room == 0 && !kernel.broken {
                    kernel.watcher = Some(cx.waker().clone());
                }
                kernel.room > 0 || kernel.broken
            };
            let mut drive = self.handoff().drive(cx.waker(), || self.late);
            if matches!(drive, Drive::Patience(_)) || (drive == Drive::Blocked && writable()) {
                drive = self.handoff().go_on();
            }
            if drive == Drive::Write {
                self.write_out(DRIVER_ROUNDS);
            }
            let closing = self.closing.load(Ordering::Acquire);
            let flushed = closing && (at_once || self.handoff().await_quiet());
            if flushed || drive == Drive::Shut { Poll::Ready(()) } else { Poll::Pending }
        }));
        block_on(poll_fn(|cx| {
            let mut handoff = self.handoff();
            handoff.watch(cx.waker());
            if handoff.shut() { Poll::Ready(()) } else { Poll::Pending }
        }));
    }

    /// What was not written, once all writing is shut: the owner asks for it when nobody can send
    /// any more.
    fn rest(&self) -> Vec<Item> {
        let mut handoff = self.handoff();
        let outbox = handoff.queue();
        outbox.waiting.drain(..).chain(outbox.backlog.drain(..)).collect()
    }

    /// Everything that `senders` sent is in `written` or in `rest`, once, and in order.
    fn check(&self, senders: &[(u8, u8)], rest: &[Item]) {
        let kernel = self.kernel.lock().unwrap();
        for (sender, count) in senders {
            let of = |items: &[Item]| -> Vec<u8> {
                items.iter().filter(|(from, _)| from == sender).map(|(_, n)| *n).collect()
            };
            let all = [of(&kernel.written), of(rest)].concat();
            assert_eq!(all, (0..*count).collect::<Vec<_>>(), "of sender {sender}");
        }
    }
}

/// Moves what may wait to be written into the outbox.
fn fill(handoff: &mut HandOff<Outbox>) -> Kick {
    let mut kick = Kick::Nothing;
    loop {
        let outbox = handoff.queue();
        if outbox.buffer_bytes > 0 && outbox.waiting_bytes() >= outbox.buffer_bytes {
            return kick;
        }
        let Some(item) = outbox.backlog.pop_front() else { return kick };
        match handoff.push(|| false, |outbox| outbox.waiting.push(item)) {
            Kick::Nothing => {}
            more => kick = more,
        }
    }
}

/// Two senders and a driver; a third thread reads if the kernel has little room. Everything is
/// written before the driver ends.
fn everything_is_written(start: fn() -> Start, items: u8, room_later: &'static [usize], claims: bool) {
    model(move || {
        let connection = Connection::new(start());
        let spawn = |work: Box<dyn FnOnce(&Connection) + Send>| {
            let connection = connection.clone();
            thread::spawn(move || work(&connection))
        };
        let driver = {
            let connection = connection.clone();
            thread::spawn(move || connection.drive(false))
        };
        let other = spawn(Box::new(move |connection| {
            (0..items).for_each(|n| connection.send((1, n)));
            if claims {
                connection.flush_owed();
            }
        }));
        // This thread is the second sender, and the peer: loom has room for few threads.
        (0..items).for_each(|n| connection.send((0, n)));
        room_later.iter().for_each(|room| connection.give_room(*room));
        other.join().unwrap();
        connection.close();
        driver.join().unwrap();
        let rest = connection.rest();
        assert_eq!(rest, [], "the driver ended with something unwritten");
        connection.check(&[(0, items), (1, items)], &rest);
    });
}

/// A message is accepted; while its sender sees to it, somebody else closes.
fn what_was_accepted_is_written(start: fn() -> Start, room_later: usize) {
    model(move || {
        let connection = Connection::new(start());
        let driver = {
            let connection = connection.clone();
            thread::spawn(move || connection.drive(false))
        };
        let kick = connection.push((0, 0));
        let sender = {
            let connection = connection.clone();
            thread::spawn(move || connection.carry_out(kick))
        };
        connection.close();
        connection.give_room(room_later);
        driver.join().unwrap();
        sender.join().unwrap();
        let rest = connection.rest();
        connection.check(&[(0, 1)], &rest);
        assert_eq!(rest, [], "the driver ended with something unwritten");
    });
}

/// Everything is sent and closed, but the driver ends at once when it is told to, or when the kernel breaks.
fn nothing_is_lost_or_doubled(start: fn() -> Start) {
    model(move || {
        let connection = Connection::new(start());
        let driver = {
            let connection = connection.clone();
            thread::spawn(move || connection.drive(true))
        };
        let other = {
            let connection = connection.clone();
            thread::spawn(move || connection.send((1, 0)))
        };
        connection.send((0, 0));
        connection.close();
        other.join().unwrap();
        driver.join().unwrap();
        let rest = connection.rest();
        connection.check(&[(0, 1), (1, 1)], &rest);
    });
}

/// Every interleaving with up to three preemptions, or what `LOOM_MAX_PREEMPTIONS` says.
fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(3));
    model.check(check);
}

#[test]
fn direct_writes() {
    everything_is_written(|| CALM, 2, &[], false);
}

#[test]
fn the_last_direct_write_and_the_first_for_the_driver() {
    everything_is_written(|| Start { spent: FIRST_GRANT - 1, ..CALM }, 1, &[], false);
}

#[test]
fn everything_for_the_driver() {
    everything_is_written(|| Start { spent: FIRST_GRANT, ..CALM }, 2, &[], false);
}

#[test]
fn a_sender_without_room_claims_what_is_owed() {
    everything_is_written(|| Start { spent: FIRST_GRANT, ..CALM }, 1, &[], true);
}

#[test]
fn a_sender_with_much_waiting_writes_by_itself() {
    everything_is_written(
        || Start { spent: FIRST_GRANT, item_bytes: INLINE_BYTES / 2, ..CALM },
        1,
        &[],
        false,
    );
}

#[test]
fn a_driver_that_is_patient() {
    everything_is_written(|| Start { spent: FIRST_GRANT, late: Time::from_nanos(1), ..CALM }, 1, &[], true);
}

#[test]
fn a_full_kernel() {
    everything_is_written(|| Start { room: 0, ..CALM }, 1, &[1, 1], false);
}

#[test]
fn a_kernel_that_is_full_half_way() {
    everything_is_written(|| Start { spent: FIRST_GRANT - 1, room: 1, ..CALM }, 1, &[1], true);
}

#[test]
fn a_backlog_behind_direct_writes() {
    everything_is_written(|| Start { buffer_bytes: 1, ..CALM }, 2, &[], false);
}

#[test]
fn a_backlog_behind_what_is_for_the_driver() {
    everything_is_written(|| Start { spent: FIRST_GRANT, buffer_bytes: 1, ..CALM }, 2, &[], false);
}

#[test]
fn a_backlog_behind_a_full_kernel() {
    everything_is_written(|| Start { room: 0, buffer_bytes: 1, ..CALM }, 1, &[1, 1], false);
}

#[test]
fn a_backlog_behind_a_kernel_that_is_full_half_way() {
    let start = || Start { spent: FIRST_GRANT - 1, room: 1, buffer_bytes: 1, ..CALM };
    everything_is_written(start, 1, &[1], false);
}

#[test]
fn closing_while_a_sender_writes() {
    what_was_accepted_is_written(|| CALM, 0);
}

#[test]
fn closing_while_something_is_owed() {
    what_was_accepted_is_written(|| Start { spent: FIRST_GRANT, ..CALM }, 0);
}

#[test]
fn closing_while_the_kernel_is_full() {
    what_was_accepted_is_written(|| Start { room: 0, ..CALM }, 1);
}

#[test]
fn shutting_under_direct_writes() {
    nothing_is_lost_or_doubled(|| CALM);
}

#[test]
fn shutting_with_something_owed() {
    nothing_is_lost_or_doubled(|| Start { spent: FIRST_GRANT, ..CALM });
}

#[test]
fn shutting_a_full_kernel() {
    nothing_is_lost_or_doubled(|| Start { room: 0, ..CALM });
}

#[test]
fn a_broken_kernel() {
    nothing_is_lost_or_doubled(|| Start { room: 1, breaks: true, ..CALM });
}
