//! [`Lookout`]: keeps a thread of a runtime awake between two reads, for as long as that pays.
//!
//! To sleep and to be woken costs a message some 30 to 50 us, and the processor a part of that. So it is right to look
//! for the next message for about as long before going to sleep: whatever comes, that costs no more than twice
//! the best that could have been done (the *ski rental* argument, Karlin et al. 1990). And where looking was in
//! vain several times it is left alone for a while.

use super::spin::Worth;
use crate::rt;
use spanwire_core::Time;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Context;
use std::time::Duration;

/// Who looks is back after a few microseconds. After longer, others had the processor: perhaps the peer, which then
/// would have had it sooner if we had slept.
const AWAY: Duration = Duration::from_micros(4);

/// What a connection does for the thread that it is served by.
///
/// ```text
///            read; nobody looks, and it may pay       the other tasks have run
///   Away ───────────────────────────────────▶ Near ─────────────────────────────▶ Looking
///     ▲                                         ▲ any connection has read           │
///     │                                         └───────────────────────────────────┤
///     └───────────────────────── in vain, or the peer needs this processor ─────────┘
/// ```
#[derive(Debug)]
pub(crate) struct Lookout {
    span: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    Away,
    Near {
        post: Post,
        allowed: Duration,
    },
    /// `in_vain`: the kernel has been asked since, and had nothing. What it has at once needed no looking for.
    Looking {
        post: Post,
        until: Time,
        reads: u32,
        looked_at: Time,
        in_vain: bool,
    },
}

/// What the connections of one thread know together.
#[derive(Debug, Default)]
struct Thread {
    reads: AtomicU32,
    /// One connection looks. That is enough: the runtime asks the kernel about all of them.
    taken: AtomicBool,
    worth: Worth,
}

/// Held by who looks. The task may have gone to another thread meanwhile.
#[derive(Debug)]
struct Post(Arc<Thread>);

impl Drop for Post {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Relaxed);
    }
}

thread_local! {
    static THREAD: Arc<Thread> = Arc::default();
}

impl Thread {
    fn post(self: &Arc<Self>, span: Duration) -> Option<(Post, Duration)> {
        if span.is_zero() || self.taken.swap(true, Ordering::Relaxed) {
            return None;
        }
        let post = Post(self.clone());
        let allowed = self.worth.allowed(span);
        (!allowed.is_zero()).then_some((post, allowed))
    }
}

/// Whether who looks on this thread finds something: so the peer works at the same time, on another processor.
pub(crate) fn pays() -> bool {
    THREAD.with(|thread| thread.worth.pays())
}

impl Lookout {
    /// Looks for so long at most; not at all if that is zero.
    pub(crate) fn new(span: Duration) -> Self {
        Self { span, state: State::Away }
    }

    /// A turn of the connection begins.
    pub(crate) fn begin(&mut self) {
        self.comes_back(rt::now);
    }

    fn comes_back(&mut self, now: impl Fn() -> Time) {
        if let State::Looking { post, looked_at, .. } = &self.state {
            if now() - *looked_at > AWAY {
                post.0.worth.note(false);
                self.state = State::Away;
            }
        }
    }

    /// A turn of the connection is over, in which it has read something or not. If it looks, it is woken when the
    /// others have run and the runtime has looked for I/O.
    pub(crate) fn turn(&mut self, has_read: bool, cx: &mut Context<'_>) {
        if has_read {
            THREAD.with(|thread| thread.reads.fetch_add(1, Ordering::Relaxed));
        }
        if self.looks(has_read, rt::now) {
            rt::give_way(cx);
        }
    }

    fn looks(&mut self, has_read: bool, now: impl Fn() -> Time) -> bool {
        self.state = match std::mem::replace(&mut self.state, State::Away) {
            State::Away if !has_read => State::Away,
            State::Away => match THREAD.with(|thread| thread.post(self.span)) {
                Some((post, allowed)) => State::Near { post, allowed },
                None => State::Away,
            },
            near @ State::Near { .. } if has_read => near,
            State::Near { post, allowed } => {
                let reads = post.0.reads.load(Ordering::Relaxed);
                let looked_at = now();
                State::Looking { post, until: looked_at + allowed, reads, looked_at, in_vain: false }
            }
            State::Looking { post, until, reads, in_vain, .. } => {
                let looked_at = now();
                if post.0.reads.load(Ordering::Relaxed) != reads {
                    if in_vain {
                        post.0.worth.note(true);
                    }
                    let allowed = post.0.worth.allowed(self.span);
                    State::Near { post, allowed }
                } else if looked_at >= until {
                    post.0.worth.note(false);
                    State::Away
                } else {
                    State::Looking { post, until, reads, looked_at, in_vain: true }
                }
            }
        };
        !matches!(self.state, State::Away)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_micros(32);

    fn at(micros: u64) -> Time {
        Time::ZERO + Duration::from_micros(micros)
    }

    /// One read, and then none: how many microseconds it looks.
    fn in_vain(lookout: &mut Lookout) -> u64 {
        if !lookout.looks(true, || unreachable!()) {
            return 0;
        }
        (0..).find(|micros| !lookout.looks(false, || at(*micros))).expect("it ends")
    }

    #[test]
    fn it_looks_after_a_read_until_that_does_not_pay() {
        let mut lookout = Lookout::new(SPAN);
        assert!(!lookout.looks(false, || unreachable!()), "nothing has come yet");
        assert!(pays(), "as far as anybody knows");
        let spans: Vec<_> = (0..6).map(|_| in_vain(&mut lookout)).collect();
        assert_eq!(spans, [32, 16, 8, 4, 0, 0]);
        assert!(!pays());
    }

    #[test]
    fn what_comes_in_time_makes_it_pay_again() {
        let mut lookout = Lookout::new(SPAN);
        assert_eq!(in_vain(&mut lookout), 32);
        assert!(lookout.looks(true, || unreachable!()));
        assert!(lookout.looks(false, || at(0)));
        assert!(lookout.looks(false, || at(1)));
        THREAD.with(|thread| thread.reads.fetch_add(1, Ordering::Relaxed));
        assert!(!pays());
        lookout.comes_back(|| at(1));
        assert!(lookout.looks(true, || at(1)));
        assert!(pays());
        lookout.comes_back(|| unreachable!());
        assert!(lookout.looks(false, || at(2)), "the others run first");
        assert!(lookout.looks(false, || at(33)));
        assert!(!lookout.looks(false, || at(34)));
    }

    #[test]
    fn one_looks_for_all_of_a_thread() {
        let (mut one, mut other) = (Lookout::new(SPAN), Lookout::new(SPAN));
        assert!(one.looks(true, || unreachable!()));
        assert!(!other.looks(true, || unreachable!()));
        std::thread::scope(|scope| {
            let elsewhere = || assert!(Lookout::new(SPAN).looks(true, || unreachable!()));
            scope.spawn(elsewhere);
        });
        drop(one);
        assert!(other.looks(true, || unreachable!()));
    }

    #[test]
    fn what_is_there_at_once_says_nothing() {
        let mut lookout = Lookout::new(SPAN);
        assert_eq!(in_vain(&mut lookout), 32);
        assert!(lookout.looks(true, || unreachable!()));
        for micros in 0..100 {
            assert!(lookout.looks(false, || at(micros)));
            THREAD.with(|thread| thread.reads.fetch_add(1, Ordering::Relaxed));
            assert!(lookout.looks(true, || at(micros)));
            assert!(!pays());
        }
    }

    #[test]
    fn where_the_peer_needs_the_same_processor_it_does_not_pay() {
        let mut lookout = Lookout::new(SPAN);
        assert!(lookout.looks(true, || unreachable!()));
        assert!(lookout.looks(false, || at(0)));
        lookout.comes_back(|| at(20));
        THREAD.with(|thread| thread.reads.fetch_add(1, Ordering::Relaxed));
        assert!(!pays(), "though something has come");
        assert!(lookout.looks(true, || unreachable!()), "it is tried again, for less long");
        assert!(lookout.looks(false, || at(30)));
        assert!(!lookout.looks(false, || at(46)));
    }

    #[test]
    fn what_another_connection_reads_counts() {
        let mut lookout = Lookout::new(SPAN);
        assert!(lookout.looks(true, || unreachable!()));
        assert!(lookout.looks(false, || at(0)));
        THREAD.with(|thread| thread.reads.fetch_add(1, Ordering::Relaxed));
        assert!(lookout.looks(false, || at(40)), "late, but it came");
    }

    #[test]
    fn it_can_be_turned_off() {
        assert!(!Lookout::new(Duration::ZERO).looks(true, || unreachable!()));
    }
}
