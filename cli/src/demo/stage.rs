//! [`Stage`]: one stop of the tour while it is played.
//!
//! A pattern says which sockets there are, who joins whom, and what one round is; the stage does the
//! rest: it connects over the transport in question, sends rounds of growing size, checks, counts,
//! measures, and ends the play when a connection is lost, a message is dropped, or nothing more
//! comes. In an undisturbed process none of that happens, so all of it is failure.

use super::grid::{Stop, Transport};
use super::member::Member;
use super::payload::{self, Way};
use crate::secure::{Secure, Unusable};
use bytes::Bytes;
use spanwire::{DetachReason, DialOptions, Dropped, Event, Events, ListenOptions};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Why a stop failed.
#[derive(Debug)]
pub(super) struct Trouble {
    /// In a few words.
    pub(super) what: String,
    /// What else is known.
    pub(super) detail: Option<String>,
}

impl Trouble {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), detail: None }
    }
}

impl<E: Error> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

/// What was seen at one stop.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Figures {
    /// Messages that arrived and were right.
    pub(super) messages: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// The median round trip.
    pub(super) median: Duration,
    /// The round trip that 99 of 100 do not exceed.
    pub(super) p99: Duration,
}

/// Round trips that are measured, of [`SMALL`] bytes each. An odd number has a middle.
const ROUNDS: u32 = 201;
/// Before they are measured, so many are not: the first ones find caches and buffers cold.
const WARM_UP: u32 = 10;
const SMALL: usize = 64;
/// After them come larger messages, so many of each size.
const LARGE: [usize; 4] = [1_000, 4_097, 65_536, payload::MAX];
const LARGE_ROUNDS: u32 = 3;
/// A stop that takes longer is stuck. It takes milliseconds; this is for a machine that is very busy.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the sockets may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// One stop of the tour.
pub(super) struct Stage<'a> {
    stop: Stop,
    /// Where socket files may be made.
    scratch: &'a Path,
    /// Who listeners are, and whom they trust.
    listening: ListenOptions,
    /// The same of dialers.
    dialing: DialOptions,
    /// Whether to cut a connection half-way.
    sabotaged: bool,
    members: RefCell<Vec<Box<dyn Member>>>,
    listeners: Cell<u32>,
    lost: mpsc::UnboundedSender<Loss>,
    losses: Cell<Option<mpsc::UnboundedReceiver<Loss>>>,
    rounds: Cell<u32>,
    messages: Cell<u64>,
    bytes: Cell<u64>,
    round_trips: RefCell<Vec<Duration>>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        stop: Stop,
        scratch: &'a Path,
        secure: &Secure,
        sabotaged: bool,
    ) -> Result<Self, Trouble> {
        let (lost, losses) = mpsc::unbounded_channel();
        let unusable = |error: Unusable| Trouble::new(error.to_string());
        let address = format!("{}://", stop.transport.name());
        Ok(Self {
            stop,
            scratch,
            listening: secure.listening(&address).map_err(unusable)?,
            dialing: secure.dialing(&address).map_err(unusable)?,
            sabotaged,
            members: RefCell::default(),
            listeners: Cell::new(0),
            lost,
            losses: Cell::new(Some(losses)),
            rounds: Cell::new(0),
            messages: Cell::new(0),
            bytes: Cell::new(0),
            round_trips: RefCell::default(),
        })
    }

    /// Connects `dialers` to `listener`, and returns when all are attached.
    pub(super) async fn join(&self, listener: &dyn Member, dialers: &[&dyn Member]) -> Result<(), Trouble> {
        self.enter(listener);
        let before = listener.peers().len();
        let url = self.url();
        match url {
            Some(url) => {
                let at = listener.listen(&url, self.listening.clone()).await?;
                for dialer in dialers {
                    self.enter(*dialer);
                    dialer.dial(at.url(), self.dialing.clone()).await?;
                }
            }
            #[cfg(unix)]
            None => {
                for dialer in dialers {
                    self.enter(*dialer);
                    let (one, other) = std::os::unix::net::UnixStream::pair()?;
                    tokio::try_join!(listener.adopt(one.into()), dialer.adopt(other.into()))?;
                }
            }
            #[cfg(not(unix))]
            None => return Err(Trouble::new("this system has no socketpairs")),
        }
        listener.wait_peers(before + dialers.len()).await?;
        Ok(())
    }

    /// Keeps a socket in view.
    fn enter(&self, member: &dyn Member) {
        tokio::spawn(watch(member.events(), self.lost.clone()));
        self.members.borrow_mut().push(member.again());
    }

    fn url(&self) -> Option<String> {
        let number = self.listeners.replace(self.listeners.get() + 1);
        let name = format!("{}-{number}", self.stop.pattern.name());
        match self.stop.transport {
            Transport::Tcp => Some("tcp://127.0.0.1:0".into()),
            Transport::Ipc => Some(format!("ipc://{}", self.scratch.join(name).display())),
            // The kernel finds a free name.
            Transport::Abstract => Some("abstract://".into()),
            Transport::Inproc => Some(format!("inproc://demo-{name}")),
            Transport::Socketpair => None,
            Transport::Tls => Some("tls+tcp://127.0.0.1:0".into()),
            Transport::Ws => Some(format!("ws://127.0.0.1:0/{name}")),
            Transport::Wss => Some(format!("wss://127.0.0.1:0/{name}")),
            Transport::Quic => Some("quic://127.0.0.1:0".into()),
            Transport::Mux => Some(format!("mux+tcp://127.0.0.1:0#{name}")),
        }
    }

    /// Plays `rounds` while `others` play their part, which has no end of its own.
    #[allow(clippy::await_holding_refcell_ref)] // see below
    pub(super) async fn play(
        &self,
        rounds: impl Future<Output = Result<(), Trouble>>,
        others: impl Future<Output = Result<Infallible, Trouble>>,
    ) -> Result<(), Trouble> {
        let mut losses = self.losses.take().expect("a stage is played on once");
        let ended = tokio::select! {
            biased;
            ended = rounds => ended,
            Err(trouble) = others => Err(trouble),
            Some(loss) = losses.recv() => return Err(self.lost(loss)),
            () = tokio::time::sleep(PATIENCE) => {
                Err(Trouble::new(format!("stuck {}", self.progress())))
            }
        };
        match ended {
            Ok(()) => Ok(()),
            // Sockets may have noticed before we heard why.
            Err(trouble) => match timeout(Duration::from_millis(50), losses.recv()).await {
                Ok(Some(loss)) => Err(self.lost(loss)),
                _ => Err(trouble),
            },
        }
    }

    fn lost(&self, (what, why): Loss) -> Trouble {
        Trouble { what: format!("{what} {}", self.progress()), detail: Some(why) }
    }

    fn progress(&self) -> String {
        format!("after {} round trips", self.rounds.get())
    }

    /// Repeats `round`, which sends a payload of this number and size and waits for all answers.
    pub(super) async fn rounds(
        &self,
        mut round: impl AsyncFnMut(u32, usize) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        for number in 0..WARM_UP + ROUNDS {
            if self.sabotaged && number == WARM_UP + ROUNDS / 2 {
                self.cut();
            }
            let start = Instant::now();
            round(number, SMALL).await?;
            if number >= WARM_UP {
                self.round_trips.borrow_mut().push(start.elapsed());
            }
            self.rounds.set(number + 1);
        }
        let large = LARGE.iter().flat_map(|size| [*size; LARGE_ROUNDS as usize]);
        for (number, size) in (WARM_UP + ROUNDS..).zip(large) {
            round(number, size).await?;
            self.rounds.set(number + 1);
        }
        Ok(())
    }

    /// Cuts a connection, as a pulled cable would.
    fn cut(&self) {
        for member in self.members.borrow().iter() {
            if let Some(peer) = member.peers().first() {
                member.disconnect(peer.pipe);
                return;
            }
        }
    }

    /// Checks a message and counts it; returns its number.
    pub(super) fn take(&self, topic: &str, way: Way, body: &Bytes) -> Result<u32, Trouble> {
        let number = payload::check(topic, way, body).map_err(Trouble::new)?;
        self.messages.set(self.messages.get() + 1);
        self.bytes.set(self.bytes.get() + body.len() as u64);
        Ok(number)
    }

    /// Checks an answer to the message of this number, and counts it.
    pub(super) fn take_answer(&self, topic: &str, number: u32, body: &Bytes) -> Result<(), Trouble> {
        match self.take(topic, Way::Back, body)? {
            same if same == number => Ok(()),
            other => Err(Trouble::new(format!("the answer to message {number} was that to message {other}"))),
        }
    }

    /// Closes all sockets, and tells what was seen.
    pub(super) async fn leave(&self) -> Result<Figures, Trouble> {
        let closing = self
            .members
            .take()
            .into_iter()
            .map(|member| tokio::spawn(async move { member.close(GOODBYE).await }));
        for closed in closing.collect::<Vec<_>>() {
            // What is unknown to the sockets is known to us: everything arrived.
            let count = closed.await?.abandoned;
            if count > 0 {
                return Err(Trouble::new(format!("closing lost {count} messages")));
            }
        }
        let mut round_trips = self.round_trips.take();
        round_trips.sort_unstable();
        let last = round_trips.len().saturating_sub(1) as f64;
        // None were made where the play ended early; then nobody looks at them.
        let at = |part: f64| round_trips.get((last * part).round() as usize).copied().unwrap_or_default();
        Ok(Figures { messages: self.messages.get(), bytes: self.bytes.get(), median: at(0.5), p99: at(0.99) })
    }
}

/// What should not happen, and why it did.
type Loss = (&'static str, String);

/// Passes on what should not happen on a socket.
async fn watch(mut events: Events, lost: mpsc::UnboundedSender<Loss>) {
    while let Some(event) = events.next().await {
        let loss = match event {
            // Its other end says the same in better words.
            Event::Detached(_, DetachReason::ClosedHere) => continue,
            Event::Detached(_, why) => ("connection cut", why.to_string()),
            Event::Refused(_, why) => ("connection refused", why.to_string()),
            // That is what topics are for, and a lost connection speaks for itself.
            Event::Dropped { why: Dropped::NotSubscribed | Dropped::PipeLost, .. } => continue,
            Event::Dropped { why, .. } => ("message dropped", why.to_string()),
            Event::DialFailed { error, .. } => ("dialing failed", error.to_string()),
            _ => continue,
        };
        // The stage is gone when its sockets close.
        if lost.send(loss).is_err() {
            return;
        }
    }
}
