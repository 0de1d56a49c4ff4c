//! [`HandOff`]: who may write to a connection at this moment, and who has to be woken for it.
//!
//! One file holds the queue, the writing flag and the wake-up of the driver, because that is the part
//! most easily got wrong; loom runs this very type (`--cfg spanwire_loom`). It has no lock of its own:
//! whoever the connection belongs to keeps it under his.

// Public for loom alone.
#![cfg_attr(not(spanwire_loom), allow(unreachable_pub))]

#[cfg(spanwire_loom)]
use loom::thread::{self, ThreadId};
use spanwire_core::Time;
use std::task::Waker;
#[cfg(not(spanwire_loom))]
use std::thread::{self, ThreadId};

/// What waits to be written. Two methods, so that loom can put something small in its place.
pub trait Queue {
    /// Items that wait or are being written.
    fn items(&self) -> usize;
    /// Bytes that could be written now.
    fn waiting_bytes(&self) -> usize;
}

/// A queue between those who send and whoever writes at the moment.
///
/// ```text
///            push, allowance left               settle: all written
///   Quiet ────────────────────────▶ Writing ─────────────────────────▶ Quiet
///     │                              ▲  ▲ │
///     │ push, none left              │  │ │ settle: more has come, and this writer did its share
///     ▼                              │  │ ▼
///   Owed ────────────────────────────┘  │ Owed
///     driver runs, or much is waiting   │ │ settle: the kernel takes no more
///                                       │ ▼
///                                     Blocked
///                           driver: writable again
/// ```
///
/// In `Owed` and `Blocked` the driver has been, or will be, woken. While somebody is `Writing`,
/// whatever is pushed is his to find when he settles.
///
/// **Who writes.** A sender that finds the connection quiet writes at once, in its own thread: that
/// is what makes a lone message fast. A sender that sends many in a row would make a system call
/// for each; so after a few direct writes the driver is woken instead, and what has piled up when it
/// runs leaves in one write. What it finds tells the two cases apart without a clock: a pile means a
/// burst, and direct writes stay off; a message or two means an idle sender, which gets a larger
/// allowance (doubling) so that the detour becomes rare.
#[derive(Debug)]
pub struct HandOff<Q> {
    queue: Q,
    phase: Phase,
    /// Direct writes left before the driver is asked.
    allowance: u32,
    /// What `allowance` becomes when the driver finds an idle sender.
    grant: u32,
    driver: Option<Waker>,
    /// The driver was woken and has not run since.
    woken: bool,
    /// Who asked for it, and when it was asked for last.
    owed_by: Option<ThreadId>,
    owed_at: Time,
    /// It was another thread than the driver's.
    elsewhere: bool,
    /// Direct writes since then.
    direct: u32,
    /// Direct writes in a row whose sender came right from another one.
    hurry: u32,
    /// How often the driver lets other threads run before it writes.
    patience: u32,
    /// The driver wants to end all writing, and waits for a writer to come back.
    shutting: bool,
    /// The driver wants to hear when all is written.
    awaited: bool,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Phase {
    Quiet,
    Owed,
    Writing,
    Blocked,
    /// Nothing is written any more; what is pushed now is unsent.
    Shut,
}

/// What a sender has to do after a push, once it holds no lock.
#[derive(Debug)]
#[must_use]
pub enum Kick {
    /// Nothing: somebody else will write.
    Nothing,
    /// Write: the caller is the writer now, and must `settle`.
    Write,
    /// Wake the driver.
    Wake(Waker),
}

/// What the driver finds when it runs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Drive {
    /// It is the writer now.
    Write,
    /// There is something to write, but more will come at once: let other threads run so often,
    /// then `go_on`.
    Patience(u32),
    /// The kernel took no more the last time: `go_on` once it does.
    Blocked,
    /// Nothing waits and nobody writes.
    Quiet,
    /// A sender is writing.
    Busy,
    /// Writing has failed or was ended.
    Shut,
}

/// How a write ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Wrote {
    /// All that was taken.
    All,
    /// The kernel takes no more for now.
    Full,
    /// The connection is broken.
    Broken,
}

/// What a writer has to do after settling.
#[derive(Debug)]
#[must_use]
pub enum Next {
    /// Nothing more.
    Done,
    /// More has come: take again.
    Again,
    /// Wake the driver, and be done.
    Wake(Waker),
}

/// Direct writes that a sender is given at first, and after a burst.
const FIRST_GRANT: u32 = 4;
/// The most an idle sender is ever given: one detour through the driver in a thousand messages.
const MAX_GRANT: u32 = 1_024;
/// With this much waiting, the sender does not wait for the driver. With the message that makes it so
/// much it still fits into one buffer of the outbox, and into one read of the peer.
pub(crate) const INLINE_BYTES: usize = 60 * 1024;
/// The driver found so many at most: an idle sender.
const FEW: usize = 2;
/// The driver found so many at least: a burst.
const MANY: usize = 8;
/// So much is a pile, however few messages it is.
const MUCH_BYTES: usize = 8 * 1024;
/// So many direct writes that each followed another at once are a burst.
const BURST: u32 = 8;
/// Messages closer together than this come from somebody in a hurry: a direct write takes about
/// half of it.
const TIGHT_NANOS: u32 = 8_000;
/// A driver that yields the processor so often has given a sender about 15 us.
const MAX_PATIENCE: u32 = 31;

impl<Q: Queue> HandOff<Q> {
    /// Nobody writes, nobody waits.
    pub fn new(queue: Q) -> Self {
        Self {
            queue,
            phase: Phase::Quiet,
            allowance: FIRST_GRANT,
            grant: FIRST_GRANT,
            driver: None,
            woken: false,
            owed_by: None,
            owed_at: Time::ZERO,
            elsewhere: false,
            direct: 0,
            hurry: 0,
            patience: 0,
            shutting: false,
            awaited: false,
        }
    }

    /// Adds to the queue and decides who writes. `hurried` tells whether somebody has just come back
    /// from writing for the same owner; it is asked only where the sender might write by itself.
    #[inline]
    pub fn push(&mut self, hurried: impl FnOnce() -> bool, add: impl FnOnce(&mut Q)) -> Kick {
        add(&mut self.queue);
        match self.phase {
            Phase::Quiet => {
                // So much is worth a write of its own: less than to wake a driver in another thread for it.
                if self.elsewhere && self.queue.waiting_bytes() >= INLINE_BYTES {
                    self.phase = Phase::Writing;
                    return Kick::Write;
                }
                if self.allowance > 0 && !self.bursts(hurried()) {
                    self.allowance -= 1;
                    self.direct += 1;
                    self.phase = Phase::Writing;
                    return Kick::Write;
                }
                self.phase = Phase::Owed;
                self.owed_by = Some(thread::current().id());
                self.wake().map_or(Kick::Nothing, Kick::Wake)
            }
            Phase::Owed if self.queue.waiting_bytes() >= INLINE_BYTES => {
                self.phase = Phase::Writing;
                Kick::Write
            }
            Phase::Owed | Phase::Writing | Phase::Blocked | Phase::Shut => Kick::Nothing,
        }
    }

    /// Notes how a direct write began. After some that followed others at once there are no more of
    /// them: what is sent to many peers in turn is a burst, though each of them gets little.
    fn bursts(&mut self, hurried: bool) -> bool {
        self.hurry = if hurried { self.hurry + 1 } else { 0 };
        if self.hurry >= BURST {
            self.allowance = 0;
        }
        self.allowance == 0
    }

    /// A sender found no room: it writes what is owed itself instead of waiting for the driver.
    /// `true` makes the caller the writer.
    pub fn claim(&mut self) -> bool {
        let owed = self.phase == Phase::Owed;
        if owed {
            self.phase = Phase::Writing;
        }
        owed
    }

    /// The driver runs: its waker is noted, and it learns what there is to do. `now` is asked for
    /// only when senders have left something to write.
    pub fn drive(&mut self, waker: &Waker, now: impl FnOnce() -> Time) -> Drive {
        self.woken = false;
        if !self.driver.as_ref().is_some_and(|old| old.will_wake(waker)) {
            self.driver = Some(waker.clone());
        }
        match self.phase {
            Phase::Owed => {
                self.judge(now());
                if self.patience > 0 {
                    return Drive::Patience(self.patience);
                }
            }
            Phase::Blocked => return Drive::Blocked,
            // Something was received or a timer ran.
            Phase::Quiet => self.received(),
            Phase::Writing | Phase::Shut => {}
        }
        self.go_on()
    }

    /// The driver has been patient, or has found that a connection that was full takes more.
    pub fn go_on(&mut self) -> Drive {
        match self.phase {
            Phase::Owed | Phase::Blocked => {
                self.phase = Phase::Writing;
                Drive::Write
            }
            Phase::Quiet => Drive::Quiet,
            Phase::Writing => Drive::Busy,
            Phase::Shut => Drive::Shut,
        }
    }

    /// Something was received, whoever has read it: no burst of direct writes in a row. Nor is a sender in a hurry
    /// that answers right after its last write: where both ends share a processor, the peer may have had all its
    /// turn before that write came back. One that is known for a burst stays so: it answers many at once.
    pub fn received(&mut self) {
        if self.hurry < BURST {
            self.hurry = 0;
        }
        if self.phase == Phase::Quiet && self.allowance > 0 {
            self.allowance = self.allowance.max(FIRST_GRANT);
        }
    }

    /// Whether the kernel takes no more.
    pub fn is_blocked(&self) -> bool {
        self.phase == Phase::Blocked
    }

    /// The driver wants nothing but to be woken.
    pub fn watch(&mut self, waker: &Waker) {
        self.woken = false;
        self.driver = Some(waker.clone());
    }

    /// The writer takes what waits.
    pub fn take<B>(&mut self, take: impl FnOnce(&mut Q) -> B) -> B {
        debug_assert_eq!(self.phase, Phase::Writing, "only the writer takes");
        take(&mut self.queue)
    }

    /// The writer is back. It settles its account with the queue and learns what is left to do;
    /// `last` says that it has done its share and the driver shall go on.
    pub fn settle<T>(&mut self, wrote: Wrote, last: bool, settle: impl FnOnce(&mut Q) -> T) -> (T, Next) {
        debug_assert_eq!(self.phase, Phase::Writing, "only the writer settles");
        let account = settle(&mut self.queue);
        let more = self.queue.items() > 0;
        let wake = |this: &mut Self| this.wake().map_or(Next::Done, Next::Wake);
        let next = match wrote {
            _ if self.shutting => {
                self.phase = Phase::Shut;
                wake(self)
            }
            Wrote::All if !more => {
                self.phase = Phase::Quiet;
                // Nobody else would tell the driver that it has nothing more to wait for.
                match std::mem::take(&mut self.awaited) {
                    true => wake(self),
                    false => Next::Done,
                }
            }
            Wrote::All if !last => Next::Again,
            Wrote::All => {
                self.phase = Phase::Owed;
                wake(self)
            }
            Wrote::Full => {
                self.phase = Phase::Blocked;
                wake(self)
            }
            Wrote::Broken => {
                self.phase = Phase::Shut;
                wake(self)
            }
        };
        (account, next)
    }

    /// Ends all writing, unless somebody is in the middle of a write: then it is `false`, and the
    /// driver is woken when he has settled. What is pushed afterwards stays in the queue.
    pub fn shut(&mut self) -> bool {
        if self.phase == Phase::Writing {
            self.shutting = true;
            return false;
        }
        self.phase = Phase::Shut;
        true
    }

    /// Whether all writing was ended, and nobody is in the middle of it.
    pub fn is_shut(&self) -> bool {
        self.phase == Phase::Shut
    }

    /// The queue, for whatever has nothing to do with writing.
    pub fn queue(&mut self) -> &mut Q {
        &mut self.queue
    }

    /// Whether nothing waits and nobody writes; if not, the driver is woken when that is so. A
    /// sender that finishes its own write tells nobody otherwise.
    pub fn await_quiet(&mut self) -> bool {
        let quiet = self.phase == Phase::Quiet && self.queue.items() == 0;
        self.awaited = !quiet;
        quiet
    }
}

impl<Q: Queue> HandOff<Q> {
    /// What is owed tells who sends: somebody now and then, or somebody in a hurry.
    fn judge(&mut self, now: Time) {
        let items = self.queue.items();
        let since = u32::try_from((now - self.owed_at).as_nanos()).unwrap_or(u32::MAX);
        let sent = self.direct.saturating_add(items as u32).max(1);
        let elsewhere = self.owed_by.is_some_and(|thread| thread != thread::current().id());
        (self.owed_at, self.elsewhere, self.direct) = (now, elsewhere, 0);
        if items >= MANY || self.queue.waiting_bytes() >= MUCH_BYTES {
            (self.allowance, self.grant) = (0, FIRST_GRANT);
            self.patience /= 2;
        } else if elsewhere && (since / sent < TIGHT_NANOS || self.hurry >= BURST) {
            (self.allowance, self.grant) = (0, FIRST_GRANT);
            self.patience = (self.patience * 2 + 1).min(MAX_PATIENCE);
        } else if items <= FEW {
            self.allowance = self.grant;
            self.grant = (self.grant * 2).min(MAX_GRANT);
            self.patience = 0;
        }
    }
}

impl<Q> HandOff<Q> {
    /// The driver's waker, unless it is on its way already.
    pub fn wake(&mut self) -> Option<Waker> {
        // A driver that has not run yet has no waker, and will look at everything when it does.
        if self.woken {
            return None;
        }
        let waker = self.driver.clone();
        self.woken = waker.is_some();
        waker
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Pile(usize);

    impl Queue for Pile {
        fn items(&self) -> usize {
            self.0
        }
        fn waiting_bytes(&self) -> usize {
            self.0 * 100
        }
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn write_all(handoff: &mut HandOff<Pile>) {
        loop {
            let taken = handoff.take(|pile| pile.0);
            match handoff.settle(Wrote::All, false, |pile| pile.0 -= taken).1 {
                Next::Again => {}
                Next::Done => return,
                Next::Wake(_) => unreachable!("nothing was left"),
            }
        }
    }

    /// Sends like a caller would; returns whether it wrote by itself.
    fn send(handoff: &mut HandOff<Pile>) -> bool {
        match handoff.push(|| false, |pile| pile.0 += 1) {
            Kick::Write => {
                write_all(handoff);
                true
            }
            Kick::Wake(waker) => {
                waker.wake();
                false
            }
            Kick::Nothing => false,
        }
    }

    /// So long after the last time that nobody can be in a hurry.
    fn late() -> Time {
        static NOW: AtomicUsize = AtomicUsize::new(1_000_000_000);
        Time::from_nanos(NOW.fetch_add(1_000_000_000, Ordering::Relaxed) as u64)
    }

    fn with_driver() -> (HandOff<Pile>, Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut handoff = HandOff::new(Pile::default());
        assert_eq!(handoff.drive(&waker, late), Drive::Quiet);
        (handoff, count, waker)
    }

    #[test]
    fn a_burst_is_handed_to_the_driver_with_one_wake() {
        let (mut handoff, wakes, waker) = with_driver();
        let direct = (0..100).filter(|_| send(&mut handoff)).count();
        assert_eq!(direct, FIRST_GRANT as usize);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert_eq!(handoff.drive(&waker, late), Drive::Write);
        write_all(&mut handoff);
        assert!(!send(&mut handoff), "a burst stays with the driver");
    }

    #[test]
    fn a_driver_that_is_too_fast_for_a_pile_is_patient() {
        let (mut handoff, _, waker) = with_driver();
        let mut patience = 0;
        for n in 1..100 {
            let hurried = || {
                for _ in 0..=FIRST_GRANT {
                    send(&mut handoff);
                }
            };
            std::thread::scope(|other| other.spawn(hurried).join().unwrap());
            match handoff.drive(&waker, || Time::from_nanos(n)) {
                Drive::Patience(count) => patience = count,
                Drive::Write => write_all(&mut handoff),
                _ => {}
            }
            if handoff.claim() {
                write_all(&mut handoff);
            }
        }
        assert_eq!(patience, MAX_PATIENCE);
    }

    #[test]
    fn an_idle_sender_soon_hardly_ever_needs_the_driver() {
        let (mut handoff, wakes, waker) = with_driver();
        for _ in 0..10_000 {
            if !send(&mut handoff) && handoff.drive(&waker, late) == Drive::Write {
                write_all(&mut handoff);
            }
        }
        assert!(wakes.0.load(Ordering::Relaxed) < 20);
    }

    #[test]
    fn a_sender_with_much_waiting_writes_by_itself() {
        let (mut handoff, _, _) = with_driver();
        let wrote = (0..2_000).map(|_| send(&mut handoff)).skip(FIRST_GRANT as usize).position(|wrote| wrote);
        assert_eq!(wrote, Some(INLINE_BYTES.div_ceil(100) - 1));
    }

    #[test]
    fn a_message_as_large_as_a_batch_wakes_no_driver_in_another_thread() {
        let (mut handoff, wakes, waker) = with_driver();
        let sender = || {
            for _ in 0..=FIRST_GRANT {
                send(&mut handoff);
            }
        };
        std::thread::scope(|other| other.spawn(sender).join().unwrap());
        assert_eq!(handoff.drive(&waker, late), Drive::Write);
        write_all(&mut handoff);
        assert!((0..FIRST_GRANT).all(|_| send(&mut handoff)));
        let large = |pile: &mut Pile| pile.0 += INLINE_BYTES.div_ceil(100);
        assert!(matches!(handoff.push(|| false, large), Kick::Write));
        write_all(&mut handoff);
        assert!(!send(&mut handoff), "a small one does");
        assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn whoever_answers_is_in_no_hurry() {
        let (mut handoff, wakes, _) = with_driver();
        for _ in 0..3 * BURST {
            handoff.received();
            assert!(matches!(handoff.push(|| true, |pile| pile.0 += 1), Kick::Write));
            write_all(&mut handoff);
        }
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_full_kernel_waits_for_the_driver_to_find_it_writable() {
        let (mut handoff, wakes, waker) = with_driver();
        assert!(matches!(handoff.push(|| false, |pile| pile.0 += 1), Kick::Write));
        let ((), next) = handoff.settle(Wrote::Full, false, |_| ());
        let Next::Wake(wake) = next else { panic!("the driver has to watch") };
        wake.wake();
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert_eq!(handoff.drive(&waker, late), Drive::Blocked);
        assert!(!send(&mut handoff));
        assert_eq!(handoff.go_on(), Drive::Write);
        write_all(&mut handoff);
        assert_eq!(handoff.go_on(), Drive::Quiet);
    }

    #[test]
    fn a_driver_that_awaits_quiet_hears_of_it_from_a_sender() {
        let (mut handoff, wakes, waker) = with_driver();
        assert!(matches!(handoff.push(|| false, |pile| pile.0 += 1), Kick::Write));
        assert_eq!(handoff.drive(&waker, late), Drive::Busy);
        assert!(!handoff.await_quiet());
        let (_, next) = handoff.settle(Wrote::All, false, |pile| pile.0 -= 1);
        let Next::Wake(waker) = next else { panic!("the driver waits for it") };
        waker.wake();
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert!(handoff.await_quiet());
        assert!(send(&mut handoff), "quiet as before");
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "and only when it was asked for");
    }

    #[test]
    fn shutting_waits_for_a_writer() {
        let (mut handoff, _, _) = with_driver();
        assert!(matches!(handoff.push(|| false, |pile| pile.0 += 1), Kick::Write));
        assert!(!handoff.shut());
        assert!(matches!(handoff.settle(Wrote::All, false, |_| ()).1, Next::Wake(_)));
        assert!(handoff.shut() && handoff.is_shut());
        assert!(!send(&mut handoff));
        assert_eq!(handoff.queue().0, 2);
    }
}
