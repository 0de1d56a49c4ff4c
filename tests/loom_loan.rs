//! The shipped loan in every interleaving of receivers, driver, runtime and peer. Runs with
//! `--cfg spanwire_loom` only.
//!
//! Receivers and the driver do here what `socket/receiver.rs` and `session/driver.rs` do, with a
//! kernel that a peer sends into. What nobody is left to read shows as a deadlock.

#![cfg(spanwire_loom)]

use loom::future::block_on;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;
use spanwire::session::loan::{By, Drive, Lease, Loan, Waits};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

/// What has arrived, and who is told of more.
#[derive(Default)]
struct Kernel {
    items: usize,
    /// The runtime watches, for this one.
    watcher: Option<Waker>,
    /// A thread polls.
    poller: Option<Waker>,
}

/// What was read, and who waits for it.
#[derive(Default)]
struct Socket {
    items: usize,
    line: VecDeque<(usize, Waker)>,
    closed: bool,
}

/// One connection of one socket.
struct Connection {
    loan: std::sync::Arc<Loan>,
    kernel: Mutex<Kernel>,
    socket: Mutex<Socket>,
    /// Somebody has the reader in his hands.
    reading: AtomicBool,
    ending: AtomicBool,
    driver: Mutex<Option<Waker>>,
}

/// One who waits: its number in the line, and its loan.
struct Receiver {
    number: usize,
    by: Option<By>,
    in_line: bool,
    lease: Option<Lease>,
}

impl Receiver {
    fn new(number: usize, by: Option<By>) -> Self {
        Self { number, by, in_line: false, lease: None }
    }
}

impl Connection {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            loan: std::sync::Arc::default(),
            kernel: Mutex::default(),
            socket: Mutex::default(),
            reading: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            driver: Mutex::default(),
        })
    }

    /// The peer sends.
    fn arrive(&self) {
        let told = {
            let mut kernel = self.kernel.lock().unwrap();
            kernel.items += 1;
            [kernel.watcher.take(), kernel.poller.take()]
        };
        told.into_iter().flatten().for_each(Waker::wake);
    }

    /// Whoever may read reads all there is; whether that was anything.
    fn read(&self, by: By) -> bool {
        assert!(!self.reading.swap(true, Ordering::AcqRel), "two read at once");
        let items = {
            let mut kernel = self.kernel.lock().unwrap();
            kernel.watcher = match by {
                By::Task if kernel.items == 0 => Some(Waker::from(self.loan.clone())),
                By::Task => kernel.watcher.take(),
                By::Thread => None,
            };
            std::mem::take(&mut kernel.items)
        };
        let mut woken = Vec::new();
        {
            let mut socket = self.socket.lock().unwrap();
            socket.items += items;
            for _ in 0..items {
                woken.extend(socket.line.pop_front());
            }
        }
        woken.into_iter().for_each(|(_, waker)| waker.wake());
        self.reading.store(false, Ordering::Release);
        items > 0
    }

    fn drive(&self) {
        let mut look = false;
        block_on(poll_fn(|cx| {
            *self.driver.lock().unwrap() = Some(cx.waker().clone());
            let ending = self.ending.load(Ordering::Acquire);
            if ending {
                self.loan.close();
            }
            match self.loan.drive(cx.waker(), std::mem::take(&mut look)) {
                Drive::Read => {
                    while self.read(By::Task) {}
                    if self.loan.done() {
                        cx.waker().wake_by_ref();
                    }
                }
                // The time passes.
                Drive::Look => {
                    look = true;
                    thread::yield_now();
                    cx.waker().wake_by_ref();
                }
                // What came is no end.
                Drive::Peek => cx.waker().wake_by_ref(),
                Drive::Rest => {}
            }
            if ending && self.loan.end() { Poll::Ready(()) } else { Poll::Pending }
        }));
    }

    /// Takes an item; `None` when the socket was closed.
    fn poll(&self, receiver: &mut Receiver, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let mut holds = receiver.lease.take().filter(|lease| self.loan.resume(*lease).is_some());
        if let (None, Some(by)) = (holds, receiver.by) {
            holds = self.loan.borrow(by);
        }
        if let (Some(_), Some(by)) = (holds, receiver.by) {
            self.leave_line(receiver);
            while self.read(by) {
                if self.take(receiver, None) {
                    self.loan.keep();
                    return Poll::Ready(Some(()));
                }
            }
        }
        let taken = self.take(receiver, Some(cx.waker()));
        if taken || self.socket.lock().unwrap().closed {
            if holds.is_some() {
                self.loan.keep();
            }
            return Poll::Ready(taken.then_some(()));
        }
        if let Some(lease) = holds {
            match self.loan.wait(cx.waker(), false) {
                Waits::Yes => receiver.lease = Some(lease),
                Waits::Again => {
                    receiver.lease = Some(lease);
                    cx.waker().wake_by_ref();
                }
                Waits::Over => {}
            }
        }
        if receiver.lease.is_some() && receiver.by == Some(By::Thread) {
            let mut kernel = self.kernel.lock().unwrap();
            match kernel.items {
                0 => kernel.poller = Some(cx.waker().clone()),
                _ => cx.waker().wake_by_ref(),
            }
        }
        Poll::Pending
    }

    fn take(&self, receiver: &mut Receiver, waker: Option<&Waker>) -> bool {
        let mut socket = self.socket.lock().unwrap();
        socket.line.retain(|(number, _)| *number != receiver.number);
        receiver.in_line = false;
        if socket.items > 0 {
            socket.items -= 1;
            return true;
        }
        if let (Some(waker), false) = (waker, socket.closed) {
            receiver.in_line = true;
            socket.line.push_back((receiver.number, waker.clone()));
        }
        false
    }

    /// Whoever had been woken and leaves wakes the next.
    fn leave_line(&self, receiver: &mut Receiver) {
        let next = {
            let mut socket = self.socket.lock().unwrap();
            let before = socket.line.len();
            socket.line.retain(|(number, _)| *number != receiver.number);
            let woken = std::mem::take(&mut receiver.in_line) && socket.line.len() == before;
            if woken && socket.items > 0 { socket.line.pop_front() } else { None }
        };
        if let Some((_, waker)) = next {
            waker.wake();
        }
    }

    fn recv(&self, receiver: &mut Receiver) -> Option<()> {
        block_on(poll_fn(|cx| self.poll(receiver, cx)))
    }

    /// Polls once and gives up, if that is not enough.
    fn try_and_leave(&self, receiver: &mut Receiver) -> bool {
        let done = block_on(poll_fn(|cx| Poll::Ready(self.poll(receiver, cx).is_ready())));
        if let Some(lease) = receiver.lease.take() {
            self.loan.leave(lease);
        }
        self.leave_line(receiver);
        done
    }

    fn end(&self) {
        let woken: Vec<_> = {
            let mut socket = self.socket.lock().unwrap();
            socket.closed = true;
            socket.line.drain(..).collect()
        };
        woken.into_iter().for_each(|(_, waker)| waker.wake());
        self.ending.store(true, Ordering::Release);
        let driver = self.driver.lock().unwrap().clone();
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

/// A driver, and what else there is; then the end.
fn model(parts: impl Fn(&Arc<Connection>) + Send + Sync + 'static) {
    bounded(3, parts);
}

fn bounded(preemptions: usize, parts: impl Fn(&Arc<Connection>) + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(model.preemption_bound.map_or(preemptions, |bound| bound.min(preemptions)));
    model.check(move || {
        let connection = Connection::new();
        let driver = {
            let connection = connection.clone();
            thread::spawn(move || connection.drive())
        };
        parts(&connection);
        connection.end();
        driver.join().unwrap();
    });
}

fn spawn<T: 'static>(
    connection: &Arc<Connection>,
    work: impl FnOnce(&Connection) -> T + 'static,
) -> thread::JoinHandle<T> {
    let connection = connection.clone();
    thread::spawn(move || work(&connection))
}

fn one_receiver(by: By, items: usize) {
    model(move |connection| {
        let receiver = spawn(connection, move |connection| {
            let mut receiver = Receiver::new(1, Some(by));
            (0..items).for_each(|_| assert!(connection.recv(&mut receiver).is_some()));
        });
        (0..items).for_each(|_| connection.arrive());
        receiver.join().unwrap();
    });
}

#[test]
fn a_task_that_reads_misses_nothing() {
    one_receiver(By::Task, 2);
}

#[test]
fn a_thread_that_reads_misses_nothing() {
    one_receiver(By::Thread, 2);
}

/// Somebody else, who only stands in line, gets what is left.
fn given_up(by: By) {
    model(move |connection| {
        let quitter =
            spawn(connection, move |connection| connection.try_and_leave(&mut Receiver::new(1, Some(by))));
        connection.arrive();
        let got = quitter.join().unwrap();
        if !got {
            assert!(connection.recv(&mut Receiver::new(2, None)).is_some());
        }
    });
}

#[test]
fn what_comes_to_a_task_that_gave_up_is_read_by_the_driver() {
    given_up(By::Task);
}

#[test]
fn what_comes_to_a_thread_that_gave_up_is_read_by_the_driver() {
    given_up(By::Thread);
}

fn kept(by: By) {
    model(move |connection| {
        connection.arrive();
        assert!(connection.recv(&mut Receiver::new(1, Some(by))).is_some());
        connection.arrive();
        // The first does not come back, and has not given back what it borrowed.
        assert!(connection.recv(&mut Receiver::new(2, None)).is_some());
    });
}

#[test]
fn a_task_that_does_not_come_back_loses_the_loan() {
    kept(By::Task);
}

#[test]
fn a_thread_that_does_not_come_back_loses_the_loan() {
    kept(By::Thread);
}

fn two_receivers(by: By) {
    // A third preemption takes minutes here.
    bounded(2, move |connection| {
        let other = spawn(connection, move |connection| {
            assert!(connection.recv(&mut Receiver::new(1, Some(by))).is_some());
        });
        connection.arrive();
        connection.arrive();
        assert!(connection.recv(&mut Receiver::new(2, Some(by))).is_some());
        other.join().unwrap();
    });
}

#[test]
fn two_tasks_get_one_each() {
    two_receivers(By::Task);
}

#[test]
fn two_threads_get_one_each() {
    two_receivers(By::Thread);
}

fn recalled(by: By) {
    model(move |connection| {
        let receiver = spawn(connection, move |connection| {
            assert!(connection.recv(&mut Receiver::new(1, Some(by))).is_some());
        });
        connection.loan.recall();
        connection.arrive();
        receiver.join().unwrap();
    });
}

#[test]
fn a_task_without_its_loan_gets_what_comes() {
    recalled(By::Task);
}

#[test]
fn a_thread_without_its_loan_gets_what_comes() {
    recalled(By::Thread);
}

fn closed(by: By) {
    model(move |connection| {
        let receiver = spawn(connection, move |connection| connection.recv(&mut Receiver::new(1, Some(by))));
        connection.end();
        assert!(receiver.join().unwrap().is_none());
    });
}

#[test]
fn a_task_that_reads_hears_of_the_end() {
    closed(By::Task);
}

#[test]
fn a_thread_that_reads_hears_of_the_end() {
    closed(By::Thread);
}

/// A task that was told and does not come: the driver reads for those behind it.
#[test]
fn a_task_that_nobody_polls_holds_nothing_up() {
    model(|connection| {
        let mut idle = Receiver::new(1, Some(By::Task));
        let waker = Waker::noop();
        let polled = connection.poll(&mut idle, &mut Context::from_waker(waker));
        connection.arrive();
        if polled.is_pending() {
            // It stands in line, and has been woken for the first; there is one more for us.
            connection.arrive();
            assert!(connection.recv(&mut Receiver::new(2, None)).is_some());
        }
    });
}
