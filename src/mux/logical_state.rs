//! [`Shared`]: what the handles of a logical connection and the task that looks after it share.

use super::channel::Channel;
use super::logical::{LogicalOptions, LogicalStats, Loss, LossCause};
use super::pool::Pool;
use super::pool_key::{Key, Site};
use super::wire::On;
use super::{Account, ChannelId, OpenError};
use crate::rt;
use bytes::Bytes;
use spanwire_core::mux::End;
use spanwire_core::mux::stream::NotSent;
use spanwire_core::session::backoff::Backoff;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::task::AbortHandle;

pub(super) struct Shared {
    pub(super) pool: Pool,
    pub(super) key: Key,
    pub(super) id: ChannelId,
    pub(super) options: LogicalOptions,
    state: Mutex<State>,
}

/// ```text
///            use                 opened
///   Down ───────────▶ Opening ────────────▶ Up(channel)
///    ▲ ▲                 │ failed              │ over, idle
///    │ └─────────────────┘                     │
///    └─────────────────────────────────────────┘       (and from all: close ▶ Closed)
/// ```
enum Stage {
    Down,
    Opening,
    Up(Channel),
    Closed,
}

struct State {
    stage: Stage,
    /// The number of the attempt that was begun last, and of its channel.
    attempt: u64,
    /// Why an attempt came to nothing.
    failed: Option<(u64, OpenError)>,
    /// The attempt whose channel was closed here, since it was idle.
    idle: u64,
    waits: Vec<Waker>,
    /// What became of messages on channels that are no more.
    past: Account,
    /// Of these, since the last flush: what one has lost.
    lost: Option<(Account, String)>,
    /// Channels that are no more, with messages that nobody has taken: the oldest first.
    leftovers: VecDeque<Channel>,
    opened: u64,
    losses: u64,
    task: Option<AbortHandle>,
}

/// So many channels are kept for what was not taken from them.
const MAX_LEFTOVERS: usize = 4;
/// How often within its idle timeout it is looked whether there were messages.
const IDLE_LOOKS: u32 = 4;
/// How long what waits may take to be delivered when an idle one closes.
const IDLE_CLOSE: Duration = Duration::from_secs(1);

/// What somebody wants a channel for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Send,
    Recv,
}

/// Whether a channel is of any use for that; if not, another one is opened.
fn is_of_use(channel: &Channel, what: Use) -> bool {
    let wire = channel.wire().lock();
    let (mux, at) = (&wire.mux, channel.at());
    match what {
        Use::Send => {
            !matches!(mux.may_send(at, 0), Err(NotSent::Over | NotSent::Stopped(_) | NotSent::Finished))
        }
        Use::Recv => !mux.is_recv_finished(at) || mux.channel_stats(at).recv_waiting > 0,
    }
}

impl Shared {
    pub(super) fn new(pool: Pool, key: Key, id: ChannelId, options: LogicalOptions) -> Self {
        let state = State {
            stage: Stage::Down,
            attempt: 0,
            failed: None,
            idle: 0,
            waits: Vec::new(),
            past: Account::default(),
            lost: None,
            leftovers: VecDeque::new(),
            opened: 0,
            losses: 0,
            task: None,
        };
        Self { pool, key, id, options, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A channel for this, and the attempt that it came from. `asked` is the attempt that one who waits waits
    /// for; without a context one is begun all the same.
    pub(super) fn poll_up(
        self: &Arc<Self>,
        what: Use,
        asked: &mut Option<u64>,
        cx: Option<&Context<'_>>,
    ) -> Poll<Result<(u64, Channel), OpenError>> {
        let mut dead = None;
        let attempt = {
            let mut state = self.lock();
            let of_no_use = match &state.stage {
                Stage::Closed => return Poll::Ready(Err(OpenError::ClosedHere)),
                Stage::Up(channel) if is_of_use(channel, what) => {
                    return Poll::Ready(Ok((state.attempt, channel.clone())));
                }
                Stage::Up(_) => true,
                Stage::Down | Stage::Opening => false,
            };
            if of_no_use {
                dead = state.take_down();
            }
            let begins = match (&state.stage, *asked, &state.failed) {
                (Stage::Opening, ..) => false,
                (_, Some(asked), Some((failed, error))) if *failed >= asked => {
                    return Poll::Ready(Err(error.clone()));
                }
                _ => true,
            };
            if begins {
                state.begin();
            }
            asked.get_or_insert(state.attempt);
            state.wait(cx);
            begins.then_some(state.attempt)
        };
        drop(dead);
        attempt.into_iter().for_each(|attempt| self.spawn(attempt));
        Poll::Pending
    }

    /// Begins to open it if it is down.
    pub(super) fn start(self: &Arc<Self>) {
        let attempt = {
            let mut state = self.lock();
            let down = matches!(state.stage, Stage::Down);
            if down {
                state.begin();
            }
            down.then_some(state.attempt)
        };
        attempt.into_iter().for_each(|attempt| self.spawn(attempt));
    }

    fn spawn(self: &Arc<Self>, attempt: u64) {
        let over = TaskOver { shared: self.clone(), attempt };
        let task = self.pool.core().home.spawn(look_after(over));
        let mut state = self.lock();
        match state.attempt == attempt && !matches!(state.stage, Stage::Closed) {
            true => state.task = Some(task),
            false => task.abort(),
        }
    }

    /// A message that a channel which is no more has left behind.
    pub(super) fn leftover(&self) -> Option<Bytes> {
        loop {
            // No channel is asked under our lock.
            let channel = self.lock().leftovers.front().cloned()?;
            if let Ok(body) = channel.try_recv() {
                return Some(body);
            }
            let mut state = self.lock();
            let same = state.leftovers.front().is_some_and(|front| front.is(&channel));
            let empty = if same { state.leftovers.pop_front() } else { None };
            drop(state);
            drop(empty);
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.lock().stage, Stage::Closed)
    }

    /// Somebody has seen that this channel is over.
    pub(super) fn lost(&self, attempt: u64, channel: &Channel, cause: LossCause) -> Loss {
        let (dead, idle) = {
            let mut state = self.lock();
            let same = state.attempt == attempt && matches!(state.stage, Stage::Up(_));
            (if same { state.take_down() } else { None }, state.idle == attempt)
        };
        drop(dead);
        let cause = if idle { LossCause::Idle } else { cause };
        Loss { cause, account: channel.account(), reconnects: self.options.stay_up }
    }

    /// The channel that is up, if there is one, and what was lost since this was asked last.
    pub(super) fn to_flush(&self) -> (Option<Channel>, Option<(Account, String)>) {
        let mut state = self.lock();
        let lost = state.lost.take();
        match &state.stage {
            Stage::Up(channel) => (Some(channel.clone()), lost),
            _ => (None, lost),
        }
    }

    pub(super) fn account(&self) -> Account {
        let state = self.lock();
        match &state.stage {
            Stage::Up(channel) => sum(state.past, channel.account()),
            _ => state.past,
        }
    }

    pub(super) fn stats(&self) -> LogicalStats {
        let state = self.lock();
        let channel = match &state.stage {
            Stage::Up(channel) => Some(channel.stats()),
            _ => None,
        };
        let account = sum(state.past, channel.map(|channel| channel.account).unwrap_or_default());
        LogicalStats { account, opened: state.opened, losses: state.losses, channel }
    }

    pub(super) fn channel(&self) -> Option<Channel> {
        match &self.lock().stage {
            Stage::Up(channel) => Some(channel.clone()),
            _ => None,
        }
    }

    /// Nobody gets a channel any more. `None`: so it was before.
    pub(super) fn close(&self) -> Option<Option<Channel>> {
        let (former, waits, task, leftovers) = {
            let mut state = self.lock();
            let former = std::mem::replace(&mut state.stage, Stage::Closed);
            let leftovers = std::mem::take(&mut state.leftovers);
            (former, std::mem::take(&mut state.waits), state.task.take(), leftovers)
        };
        task.into_iter().for_each(|task| task.abort());
        waits.into_iter().for_each(Waker::wake);
        drop(leftovers);
        if self.options.stay_up && !matches!(former, Stage::Closed) {
            self.pool.core().set_stay_up(&self.key, false);
        }
        match former {
            Stage::Closed => None,
            Stage::Up(channel) => Some(Some(channel)),
            Stage::Down | Stage::Opening => Some(None),
        }
    }

    /// What became of the last channel counts for all.
    pub(super) fn settled(&self, account: Account) -> Account {
        let mut state = self.lock();
        state.past = sum(state.past, account);
        state.past
    }

    // ---- what the task does ----

    /// Does something to the state of this attempt; `None` if another one has begun meanwhile.
    fn of<T>(&self, attempt: u64, act: impl FnOnce(&mut State) -> T) -> Option<T> {
        let (result, waits) = {
            let mut state = self.lock();
            if state.attempt != attempt || matches!(state.stage, Stage::Closed) {
                return None;
            }
            (act(&mut state), std::mem::take(&mut state.waits))
        };
        waits.into_iter().for_each(Waker::wake);
        Some(result)
    }

    fn opened(&self, attempt: u64, channel: &Channel) -> bool {
        let opened = self.of(attempt, |state| {
            state.stage = Stage::Up(channel.clone());
            state.opened += 1;
            state.failed = None;
        });
        opened.is_some()
    }

    fn failed(&self, attempt: u64, error: OpenError) -> bool {
        let failed = self.of(attempt, |state| {
            if matches!(state.stage, Stage::Opening) {
                state.stage = Stage::Down;
                state.failed = Some((attempt, error));
            }
        });
        failed.is_some()
    }

    /// Its channel is over. Whether that is the task's business still.
    fn is_over(&self, attempt: u64, idle: bool) -> bool {
        let dead = self.of(attempt, |state| {
            if idle {
                state.idle = attempt;
            }
            match state.stage {
                Stage::Up(_) => Some(state.take_down()),
                _ => None,
            }
        });
        dead.is_some()
    }

    /// The next attempt of the same task.
    fn again(&self, attempt: u64) -> Option<u64> {
        self.of(attempt, |state| match state.stage {
            Stage::Down => {
                let task = state.task.take();
                let attempt = state.begin();
                state.task = task;
                Some(attempt)
            }
            _ => None,
        })
        .flatten()
    }
}

impl State {
    fn begin(&mut self) -> u64 {
        self.attempt += 1;
        self.stage = Stage::Opening;
        self.task = None;
        self.attempt
    }

    fn wait(&mut self, cx: Option<&Context<'_>>) {
        let Some(cx) = cx else { return };
        if !self.waits.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.waits.push(cx.waker().clone());
        }
    }

    /// The channel that was up is no more. What is to be dropped where no lock is held.
    fn take_down(&mut self) -> Option<Channel> {
        let Stage::Up(channel) = std::mem::replace(&mut self.stage, Stage::Down) else { return None };
        self.losses += 1;
        let account = channel.account();
        self.past = sum(self.past, account);
        if account.delivered < account.accepted {
            let before = self.lost.take().map(|(before, _)| before).unwrap_or_default();
            let why = channel.end().map_or_else(|| "the channel was closed".into(), |end| end.to_string());
            self.lost = Some((sum(before, account), why));
        }
        if channel.stats().recv_waiting == 0 {
            return Some(channel);
        }
        self.leftovers.push_back(channel);
        if self.leftovers.len() > MAX_LEFTOVERS { self.leftovers.pop_front() } else { None }
    }
}

fn sum(a: Account, b: Account) -> Account {
    Account {
        accepted: a.accepted + b.accepted,
        delivered: a.delivered + b.delivered,
        abandoned: a.abandoned + b.abandoned,
        unknown: a.unknown + b.unknown,
    }
}

/// Opens a channel and looks after it: closes it when it is idle, and opens the next one if it is to stay up.
async fn look_after(mut task: TaskOver) {
    let shared = task.shared.clone();
    let core = shared.pool.core().clone();
    let (min, max) = core.pauses();
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).expect("the system has randomness");
    let mut backoff = Backoff::new(min, max, u64::from_le_bytes(seed));
    loop {
        let mut pause = true;
        match core.open(&shared.key, &shared.id, shared.options.priority, &Site::Pool).await {
            Ok(channel) => {
                let since = rt::now();
                if !shared.opened(task.attempt, &channel) {
                    return;
                }
                let idle = until_over(&shared, &channel).await == Over::Idle;
                if !shared.is_over(task.attempt, idle) {
                    return;
                }
                if idle {
                    channel.close(IDLE_CLOSE).await;
                    return;
                }
                if rt::now() - since >= min {
                    backoff.reset();
                    pause = false;
                }
            }
            Err(error) => {
                let hopeless = !error.is_transient();
                if !shared.failed(task.attempt, error) || hopeless {
                    return;
                }
            }
        }
        if !shared.options.stay_up {
            return;
        }
        if pause {
            core.home.sleep(backoff.next_wait()).await;
        }
        match shared.again(task.attempt) {
            Some(attempt) => task.attempt = attempt,
            None => return,
        }
    }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Over {
    Ended,
    Idle,
}

async fn until_over(shared: &Shared, channel: &Channel) -> Over {
    let look_after = shared.options.idle_timeout() / IDLE_LOOKS;
    let home = &shared.pool.core().home;
    let mut timer = (!shared.options.stay_up).then(|| home.sleep(look_after));
    let (mut seen, mut looks) = (channel.stats(), 0);
    poll_fn(|cx| {
        {
            let mut wire = channel.wire().lock();
            let at = channel.at();
            if wire.mux.channel_end(at).is_some() || wire.mux.is_over(at) {
                return Poll::Ready(Over::Ended);
            }
            wire.wait_on(at, On::State, cx);
        }
        while let Some(sleep) = &mut timer {
            if Pin::new(sleep).poll(cx).is_pending() {
                break;
            }
            let now = channel.stats();
            let same = (now.account.accepted, now.received) == (seen.account.accepted, seen.received)
                && now.recv_waiting == seen.recv_waiting;
            (seen, looks) = (now, if same { looks + 1 } else { 0 });
            if looks == IDLE_LOOKS {
                return Poll::Ready(Over::Idle);
            }
            timer = Some(home.sleep(look_after));
        }
        Poll::Pending
    })
    .await
}

/// Held by the task: however it ends, nobody waits for its attempt any longer.
struct TaskOver {
    shared: Arc<Shared>,
    attempt: u64,
}

impl Drop for TaskOver {
    fn drop(&mut self) {
        self.shared.failed(self.attempt, OpenError::Closed(End::RuntimeGone));
    }
}
