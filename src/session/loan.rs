//! [`Loan`]: who reads a connection at this moment, and who has to hear of it.
//!
//! The driver reads, unless a receiver that waits borrows the reading and does it itself: data then
//! makes no detour through another task or thread. Loom runs this very type (`tests/loom_loan.rs`).

// Public for loom alone.
#![cfg_attr(not(spanwire_loom), allow(unreachable_pub))]

#[cfg(spanwire_loom)]
use loom::sync::{Mutex, MutexGuard};
use std::sync::{Arc, PoisonError};
#[cfg(not(spanwire_loom))]
use std::sync::{Mutex, MutexGuard};
use std::task::{Wake, Waker};

/// The reading of one connection, between its driver and whoever receives.
///
/// ```text
///             drive                      borrow                   wait
///   Driving ◀─────── Driver ─────────────────────────▶ Lent ──────────────▶ Waiting
///      └── done ──▶    ▲                               │ │ ▲ ◀── resume ──────┘ │
///                      │   give_back, or it was recalled │ │ │                    │
///                      ├───────────────────────────────┘ │ └ borrow ┐           │
///                      │                            keep └──────▶ Kept          │
///                      │          recall, or unused for a while     │           │
///                      └────────────────────────────────────────────┴───────────┘
///   any ── end ──▶ Ended
/// ```
///
/// `Driving` and `Lent` are the middle of reading: the one or the other has the reader in his hands,
/// and nobody takes it from him. In all other phases it may change hands at once.
///
/// **The loan is sticky.** A receiver that has its message keeps it, as it will most likely be back
/// soon. Until then nobody reads, so the driver looks every now and then whether the loan was used
/// (`GRACE` in `driver`), and takes it back if it was not. While a receiver waits and nothing comes, the
/// driver does not look: an idle connection wakes nobody. `watched` says whether it does.
///
/// **The connection's waker is the loan.** What the runtime reports goes to whoever reads now. A receiver
/// that was told and does not come is no better than one that is gone; so the driver is told, too,
/// unless it looks anyway.
///
/// **A second receiver** that finds the loan out ends it, and for a while there is none: two who wait
/// are served by the driver, in the order in which they came.
#[derive(Debug)]
pub struct Loan {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    /// The number of the latest loan.
    number: u64,
    by: By,
    /// Who is `Waiting`.
    receiver: Option<Waker>,
    driver: Option<Waker>,
    /// It goes back as soon as whoever reads is done.
    recalled: bool,
    /// It was reported to be readable while somebody read.
    again: bool,
    /// So it was to somebody `Waiting`, who has not come since; or while it was `Kept`.
    told: bool,
    /// The driver looks at the loan now and then.
    watched: bool,
    /// The loan was used since the driver looked.
    used: bool,
    /// So many times it is refused, since receivers were in each other's way.
    refusals: u32,
    /// It was recalled, and the driver has not run since.
    unseen: bool,
    /// It is never lent again.
    closed: bool,
    ending: bool,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Phase {
    Driver,
    Driving,
    Lent,
    Waiting,
    Kept,
    Ended,
}

/// What a receiver waits as.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// A task: the runtime tells it.
    Task,
    /// A thread: it waits in the kernel, and the runtime does not watch the connection.
    Thread,
}

/// Names a loan, so that one that has ended is not taken for a later one.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Lease(u64);

/// What the driver has to do about reading.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Drive {
    /// Read, and be `done`.
    Read,
    /// Look again in a while.
    Look,
    /// Find out whether the peer has ended: something was reported that nobody reads. If so, recall. Then
    /// ask again.
    Peek,
    /// Nothing, until it is woken.
    Rest,
}

/// How a receiver that wanted to wait goes on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Waits {
    /// It waits, and is woken when there is something to read.
    Yes,
    /// It waits, but shall come again at once: there is something already.
    Again,
    /// The driver reads from here on.
    Over,
}

/// Two that were in each other's way once will be again.
const REFUSALS: u32 = 64;

impl Default for Loan {
    fn default() -> Self {
        Self {
            inner: Mutex::new(Inner {
                phase: Phase::Driver,
                number: 0,
                by: By::Task,
                receiver: None,
                driver: None,
                recalled: false,
                again: false,
                told: false,
                watched: false,
                used: false,
                refusals: 0,
                unseen: false,
                closed: false,
                ending: false,
            }),
        }
    }
}

impl Loan {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and wakes whom that concerns once the lock is released.
    fn change<T>(&self, change: impl FnOnce(&mut Inner, &mut Wakes) -> T) -> T {
        let mut wakes = Wakes::default();
        let result = change(&mut self.lock(), &mut wakes);
        wakes.0.into_iter().flatten().for_each(Waker::wake);
        result
    }

    /// A receiver wants to read by itself. With a lease it has the reader in its hands, and must
    /// `wait`, `keep` or `give_back` it.
    pub fn borrow(&self, by: By) -> Option<Lease> {
        self.change(|inner, wakes| match inner.phase {
            Phase::Driver | Phase::Kept if inner.closed || inner.refusals > 0 => {
                inner.refusals = inner.refusals.saturating_sub(1);
                None
            }
            Phase::Driver => Some(inner.lend(by)),
            Phase::Kept if inner.by == by => Some(inner.lend(by)),
            Phase::Kept | Phase::Lent | Phase::Waiting => {
                inner.refusals = REFUSALS;
                inner.recall(wakes);
                None
            }
            Phase::Driving | Phase::Ended => None,
        })
    }

    /// A receiver that waited is there again. With `Some` it still has the loan, and the reader in its
    /// hands; it is `true` if there was something to read.
    pub fn resume(&self, lease: Lease) -> Option<bool> {
        self.change(|inner, wakes| {
            if inner.phase != Phase::Waiting || inner.number != lease.0 {
                return None;
            }
            let told = inner.told;
            inner.receiver = None;
            inner.used = true;
            inner.settle_at(Phase::Lent);
            // Only a thread that was waited for finds itself in this case.
            let over = inner.ending && inner.put_down(Phase::Driver, wakes);
            (!over).then_some(told)
        })
    }

    /// The receiver waits for more. `busy` says that there is more already, but that others come first.
    pub fn wait(&self, waker: &Waker, busy: bool) -> Waits {
        self.change(|inner, wakes| {
            debug_assert_eq!(inner.phase, Phase::Lent, "only who has it waits with it");
            if inner.recalled || inner.ending {
                inner.put_down(Phase::Driver, wakes);
                return Waits::Over;
            }
            let told = inner.again || busy;
            inner.settle_at(Phase::Waiting);
            inner.receiver = Some(waker.clone());
            if !told {
                return Waits::Yes;
            }
            inner.told = true;
            if !inner.watched {
                wakes.0[0] = inner.driver.clone();
            }
            Waits::Again
        })
    }

    /// The receiver has what it waited for, and may come back.
    pub fn keep(&self) {
        self.change(|inner, wakes| {
            debug_assert_eq!(inner.phase, Phase::Lent, "only who has it keeps it");
            inner.put_down(Phase::Kept, wakes);
        });
    }

    /// The receiver is done, and has the reader in its hands: the driver shall read again.
    pub fn give_back(&self) {
        self.change(|inner, wakes| {
            debug_assert_eq!(inner.phase, Phase::Lent, "only who has it gives it back");
            inner.put_down(Phase::Driver, wakes);
        });
    }

    /// The receiver waits no longer, and did not resume.
    pub fn leave(&self, lease: Lease) {
        if self.resume(lease).is_some() {
            self.give_back();
        }
    }

    /// The driver shall read again: somebody needs to see what comes who does not wait for it. Whether it
    /// did not.
    pub fn recall(&self) -> bool {
        self.change(|inner, wakes| {
            inner.recall(wakes);
            inner.unseen |= wakes.0[0].is_some() || inner.recalled;
            inner.unseen
        })
    }

    /// Whether the driver has not run since it was recalled.
    pub fn is_unseen(&self) -> bool {
        self.lock().unseen
    }

    /// The driver has run, and done what was to be done.
    pub fn seen(&self) {
        self.lock().unseen = false;
    }

    /// The same for good: the connection is about to end.
    pub fn close(&self) {
        self.change(|inner, wakes| {
            inner.closed = true;
            inner.recall(wakes);
        });
    }

    /// The driver runs. `late` says that it was told to look again, and the time for that has come.
    pub fn drive(&self, waker: &Waker, late: bool) -> Drive {
        self.change(|inner, wakes| {
            if !inner.driver.as_ref().is_some_and(|old| old.will_wake(waker)) {
                inner.driver = Some(waker.clone());
            }
            let expected = inner.phase == Phase::Waiting && !inner.told;
            match inner.phase {
                Phase::Driver => {}
                Phase::Driving | Phase::Ended => return Drive::Rest,
                Phase::Kept if !late && std::mem::take(&mut inner.told) => return Drive::Peek,
                // It looks already, and not yet again.
                _ if inner.watched && !late => return Drive::Look,
                _ if late && std::mem::take(&mut inner.used) => return Drive::Look,
                _ if expected => {
                    inner.watched = false;
                    return Drive::Rest;
                }
                Phase::Lent => {
                    inner.watched = true;
                    return Drive::Look;
                }
                Phase::Kept | Phase::Waiting if !late => {
                    (inner.watched, inner.used) = (true, false);
                    return Drive::Look;
                }
                // Whoever had it is gone, or busy with something else.
                Phase::Kept | Phase::Waiting => wakes.0[1] = inner.receiver.take(),
            }
            inner.settle_at(Phase::Driving);
            Drive::Read
        })
    }

    /// The driver has read. `true` if there was more in the meantime.
    pub fn done(&self) -> bool {
        let mut inner = self.lock();
        debug_assert_eq!(inner.phase, Phase::Driving, "only the driver drives");
        inner.phase = Phase::Driver;
        std::mem::take(&mut inner.again)
    }

    /// Nobody reads any more; unless a receiver is at it. Then it is `false`, and the driver is woken
    /// when he is done.
    pub fn end(&self) -> bool {
        self.change(|inner, wakes| match inner.phase {
            // A thread holds the connection itself.
            Phase::Waiting if inner.by == By::Thread => {
                inner.ending = true;
                wakes.0[1] = inner.receiver.clone();
                false
            }
            Phase::Lent => {
                inner.ending = true;
                false
            }
            Phase::Driver | Phase::Driving | Phase::Waiting | Phase::Kept | Phase::Ended => {
                wakes.0[1] = inner.receiver.take();
                inner.phase = Phase::Ended;
                true
            }
        })
    }

    /// There is something to read.
    fn readable(&self) {
        self.change(|inner, wakes| match inner.phase {
            Phase::Driver => wakes.0[0] = inner.driver.clone(),
            Phase::Driving | Phase::Lent => inner.again = true,
            Phase::Waiting => {
                inner.told = true;
                wakes.0[1] = inner.receiver.clone();
                if !inner.watched {
                    wakes.0[0] = inner.driver.clone();
                }
            }
            // It may be the peer's end, for which nobody will come.
            Phase::Kept => {
                inner.told = true;
                wakes.0[0] = inner.driver.clone();
            }
            Phase::Ended => {}
        });
    }
}

/// Woken by the runtime.
impl Wake for Loan {
    fn wake(self: Arc<Self>) {
        self.readable();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.readable();
    }
}

/// The driver's and the receiver's, as far as they have to be woken.
#[derive(Default)]
struct Wakes([Option<Waker>; 2]);

impl Inner {
    fn lend(&mut self, by: By) -> Lease {
        self.settle_at(Phase::Lent);
        self.number += 1;
        (self.by, self.used) = (by, true);
        Lease(self.number)
    }

    /// The receiver is done reading: it goes to `phase`, unless somebody wants it elsewhere. `true`: the
    /// loan is over.
    fn put_down(&mut self, phase: Phase, wakes: &mut Wakes) -> bool {
        let over = self.recalled || self.ending || phase == Phase::Driver;
        self.settle_at(match over {
            true if self.ending => Phase::Ended,
            true => Phase::Driver,
            false => phase,
        });
        if over || !self.watched {
            wakes.0[0] = self.driver.clone();
        }
        over
    }

    fn recall(&mut self, wakes: &mut Wakes) {
        match self.phase {
            Phase::Driver | Phase::Driving | Phase::Ended => {}
            Phase::Lent => self.recalled = true,
            Phase::Kept | Phase::Waiting => {
                *wakes = Wakes([self.driver.clone(), self.receiver.take()]);
                self.settle_at(Phase::Driver);
            }
        }
    }

    /// A new phase, with nothing left over from the last.
    fn settle_at(&mut self, phase: Phase) {
        self.phase = phase;
        (self.recalled, self.again, self.told) = (false, false, false);
        if matches!(phase, Phase::Driver | Phase::Driving) {
            self.watched = false;
        }
    }
}
