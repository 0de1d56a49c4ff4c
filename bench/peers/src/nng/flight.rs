//! Many requests in flight on one socket, as fast as may be or at a rate. Each has a context and an
//! asynchronous operation, and NNG's threads call back to move it on; this is how NNG's own documentation
//! does it on both sides.

use super::{Message, Socket, check};
use crate::blocking::Socket as _;
use crate::body;
use crate::kind::Kind;
use anyhow::{Context, Result, anyhow};
use nng_c_sys as c;
use spanwire_bench_ends::{IN_FLIGHT, Job, Measure, Pace, Role, Samples, Side, Work, pace, role};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

/// As many as in the server that NNG shows for this.
const ANSWERING: u32 = 128;

/// With so many contexts, which is the most that can be in flight.
pub(super) fn ask(role: &Role, most: u32) -> Result<()> {
    let mut socket = Socket::open(Kind::Req, role.cell.body_bytes)?;
    socket.dial(&role.address).context("dialing")?;
    let crew = Crew::new(&socket, Side::Client, most, role.cell.body_bytes)?;
    pace::wake_exactly();
    role::serve(|job| match role.cell.work {
        Work::Load if job.rate > 0 => crew.ask_at_rate(job),
        Work::Load => crew.ask(job, IN_FLIGHT),
        _ => crew.ask(job, most),
    })
}

pub(super) fn answer(role: &Role) -> Result<()> {
    let mut socket = Socket::open(Kind::Rep, role.cell.body_bytes)?;
    let url = socket.listen(&role.address).context("listening")?;
    let crew = Crew::new(&socket, Side::Server, ANSWERING, role.cell.body_bytes)?;
    crew.lanes.iter().for_each(|lane| lane.receive());
    role::say_url(&url)?;
    let mut wanted = 0;
    role::serve(|job| {
        wanted += job.count;
        crew.shared.wait(wanted)?;
        Ok(Measure::moved(job.count))
    })
}

/// All contexts of a socket.
struct Crew {
    lanes: Vec<Arc<Lane>>,
    shared: Arc<Shared>,
}

impl Crew {
    fn new(socket: &Socket, side: Side, many: u32, body_bytes: usize) -> Result<Self> {
        let shared = Arc::new(Shared { body: body::filling(body_bytes), ..Shared::default() });
        let lanes = (0..many).map(|_| Lane::open(socket, side, shared.clone())).collect::<Result<_>>()?;
        Ok(Self { lanes, shared })
    }

    /// Keeps `many` requests in flight.
    fn ask(&self, job: Job, many: u32) -> Result<Measure> {
        let shared = &self.shared;
        let wanted = shared.done.load(Ordering::Relaxed) + job.count;
        shared.left.store(job.count as i64, Ordering::Relaxed);
        shared.timed.store(job.timed, Ordering::Relaxed);
        let mut samples = Samples::start(if job.timed { job.count } else { 0 });
        self.lanes.iter().take(many as usize).try_for_each(|lane| lane.ask_next())?;
        shared.wait(wanted)?;
        self.collect(&mut samples);
        Ok(samples.finish(job.count))
    }

    /// Asks when it is due, whether answers come or not. The contexts take turns; one whose answer has not
    /// come yet makes the next request late, which counts from when it was due.
    fn ask_at_rate(&self, job: Job) -> Result<Measure> {
        let shared = &self.shared;
        let wanted = shared.done.load(Ordering::Relaxed) + job.count;
        shared.left.store(0, Ordering::Relaxed);
        shared.timed.store(true, Ordering::Relaxed);
        let mut samples = Samples::start(job.count);
        let pace = Pace::start(job.rate);
        for (number, lane) in (0..job.count).zip(self.lanes.iter().cycle()) {
            lane.ask_since(pace.wait(number))?;
        }
        shared.wait(wanted)?;
        self.collect(&mut samples);
        Ok(samples.finish(job.count))
    }

    fn collect(&self, samples: &mut Samples) {
        for lane in &self.lanes {
            samples.join(std::mem::replace(&mut lane.state().samples, Samples::start(0)));
        }
    }
}

/// What all contexts of a socket share.
#[derive(Default)]
struct Shared {
    body: Vec<u8>,
    timed: AtomicBool,
    /// How many are still to be asked; below 0 once somebody found none left.
    left: AtomicI64,
    /// How many round trips or answers are complete, ever.
    done: AtomicU64,
    /// How many of them somebody waits for.
    wanted: AtomicU64,
    /// Why it cannot go on.
    failure: Mutex<Option<anyhow::Error>>,
    changed: Condvar,
}

impl Shared {
    fn wait(&self, wanted: u64) -> Result<()> {
        self.wanted.store(wanted, Ordering::SeqCst);
        let mut failure = lock(&self.failure);
        while failure.is_none() && self.done.load(Ordering::SeqCst) < wanted {
            failure = self.changed.wait(failure).unwrap_or_else(PoisonError::into_inner);
        }
        failure.take().map_or(Ok(()), Err)
    }

    /// One more is complete. Wakes only who waits for exactly this one.
    fn note(&self) {
        if self.done.fetch_add(1, Ordering::SeqCst) + 1 == self.wanted.load(Ordering::SeqCst) {
            let _waiting = lock(&self.failure);
            self.changed.notify_all();
        }
    }

    fn fail(&self, error: anyhow::Error) {
        lock(&self.failure).get_or_insert(error);
        self.changed.notify_all();
    }
}

/// One context, with one operation under way.
struct Lane {
    side: Side,
    context: c::nng_ctx,
    operation: *mut c::nng_aio,
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// Told when it has nothing to do and somebody waits for that.
    idle: Condvar,
}

struct State {
    doing: Doing,
    since: Instant,
    samples: Samples,
    is_awaited: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Doing {
    Nothing,
    Sending,
    Receiving,
}

// SAFETY: NNG's functions for contexts and operations may be called from any thread; the rest is `Sync`.
unsafe impl Sync for Lane {}

impl Lane {
    fn open(socket: &Socket, side: Side, shared: Arc<Shared>) -> Result<Arc<Self>> {
        let (doing, since, samples) = (Doing::Nothing, Instant::now(), Samples::start(0));
        let state = Mutex::new(State { doing, since, samples, is_awaited: false });
        let (mut context, mut operation, mut made) = (c::nng_ctx { id: 0 }, null_mut(), Ok(()));
        // SAFETY: `context` is where the new context goes.
        check(unsafe { c::nng_ctx_open(&mut context, socket.handle.0) }).context("opening a context")?;
        // NNG keeps its address, so it has to stay where it is. In a `Box` it would be ours alone.
        let lane = Arc::new_cyclic(|lane: &Weak<Self>| {
            let lane = lane.as_ptr().cast_mut().cast();
            // SAFETY: the callback gets the lane's address. It is called only while an operation is under
            // way, which needs a lane that is complete, and dropping the lane waits for that.
            made = check(unsafe { c::nng_aio_alloc(&mut operation, Some(called_back), lane) });
            Self { side, context, operation, shared, state, idle: Condvar::new() }
        });
        made.context("making an operation")?;
        Ok(lane)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Asks once more, if there is something left to ask.
    fn ask_next(&self) -> Result<()> {
        if self.shared.left.fetch_sub(1, Ordering::Relaxed) > 0 {
            self.state().since = Instant::now();
            self.send(Message::new(&self.shared.body)?);
        }
        Ok(())
    }

    /// Asks when the last answer has come; the time counts from `due`.
    fn ask_since(&self, due: Instant) -> Result<()> {
        let mut state = self.state();
        while state.doing != Doing::Nothing {
            state.is_awaited = true;
            state = self.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (state.since, state.is_awaited) = (due, false);
        drop(state);
        self.send(Message::new(&self.shared.body)?);
        Ok(())
    }

    fn send(&self, message: Message) {
        self.state().doing = Doing::Sending;
        // SAFETY: no operation is under way; it owns the message until it is done.
        unsafe {
            c::nng_aio_set_msg(self.operation, message.0);
            c::nng_ctx_send(self.context, self.operation);
        }
        std::mem::forget(message);
    }

    fn receive(&self) {
        self.state().doing = Doing::Receiving;
        // SAFETY: no operation is under way.
        unsafe { c::nng_ctx_recv(self.context, self.operation) };
    }

    /// The operation is done.
    fn step(&self) -> Result<()> {
        let doing = self.state().doing;
        // SAFETY: the operation is done, and this is the one call that hears of it.
        let result = check(unsafe { c::nng_aio_result(self.operation) });
        if result.is_err() || doing == Doing::Receiving {
            // What was received is ours, and so is what could not be sent.
            // SAFETY: as above.
            let message = unsafe { c::nng_aio_get_msg(self.operation) };
            let message = (!message.is_null()).then(|| Message(message));
            result?;
            return self.received(message.context("a message of no memory came")?);
        }
        if self.side == Side::Server {
            self.shared.note();
        }
        self.receive();
        Ok(())
    }

    fn received(&self, message: Message) -> Result<()> {
        body::check(message.body().len(), self.shared.body.len())?;
        if self.side == Side::Server {
            self.send(message);
            return Ok(());
        }
        let mut state = self.state();
        if self.shared.timed.load(Ordering::Relaxed) {
            let took = state.since.elapsed();
            state.samples.note(took);
        }
        state.doing = Doing::Nothing;
        if state.is_awaited {
            self.idle.notify_one();
        }
        drop(state);
        // First, so that who waits for the last one finds nobody still at work.
        self.ask_next()?;
        self.shared.note();
        Ok(())
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // SAFETY: it waits for the callback, and nobody uses the two afterwards. An operation that was
        // never made is null, which both take.
        unsafe {
            c::nng_aio_stop(self.operation);
            c::nng_aio_free(self.operation);
            c::nng_ctx_close(self.context);
        }
    }
}

unsafe extern "C" fn called_back(lane: *mut c_void) {
    // SAFETY: it is the address that `Lane::open` gave, and the lane is still there.
    let lane = unsafe { &*lane.cast::<Lane>() };
    if let Err(error) = lane.step() {
        lane.shared.fail(anyhow!("{error:#}"));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
