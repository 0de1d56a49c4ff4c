//! Zenoh, two peers that are told of each other.

use crate::blocking::{self, Library};
use crate::body::Seen;
use crate::kind::Kind;
use crate::port;
use crate::tally::Tally;
use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zenoh::handlers::FifoChannelHandler;
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::CongestionControl;
use zenoh::sample::Sample;
use zenoh::{Config, Session, Wait};

/// What `list` says.
pub(crate) const SETTINGS: &str = "mode peer with endpoints given, neither multicast scouting nor \
    gossip; congestion control Block, so that nothing is dropped, but Drop beside a subscriber that does \
    not read; req, flight and load as z_ping and z_pong do it, with a publisher and a subscriber each \
    way; express for req, otherwise batching as by default; a session for each connection; receivers \
    count in callbacks, askers have the default channel of 256 samples; connect with req and rep";

pub(crate) struct Zenoh;

impl Library for Zenoh {
    type Socket = Socket;
    const PUB_LOSES: bool = false;
    const CLOSE_DELIVERS: bool = false;

    fn open(&self, kind: Kind, _: usize) -> Result<Socket> {
        Ok(Socket {
            kind,
            publisher: None,
            answers: None,
            inbox: None,
            sessions: Vec::new(),
            has_peer: false,
        })
    }
}

/// A session with what it is for. One that dials again has one more, for a session keeps no second
/// connection to the same peer.
pub(crate) struct Socket {
    kind: Kind,
    publisher: Option<Arc<Publisher<'static>>>,
    /// Of one who asks.
    answers: Option<Subscriber<FifoChannelHandler<Sample>>>,
    /// Of the others who receive: what its callback, which runs in Zenoh's threads, has seen.
    inbox: Option<(Subscriber<()>, Arc<Inbox>)>,
    sessions: Vec<Session>,
    /// Whether somebody subscribes to what is published, as far as that matters.
    has_peer: bool,
}

impl Socket {
    fn start(&mut self, endpoints: &str, url: &str) -> Result<()> {
        let endpoint = match url.split_once("://") {
            Some(("tcp", address)) => format!("tcp/{address}"),
            Some(("ipc", path)) => format!("unixsock-stream/{path}"),
            _ => bail!("there is no {url} for zenoh"),
        };
        let mut config = Config::default();
        for (key, value) in [
            ("mode", "\"peer\""),
            ("scouting/multicast/enabled", "false"),
            // Or the subscribers of one process would find each other.
            ("scouting/gossip/enabled", "false"),
            ("listen/endpoints", "[]"),
            (endpoints, &format!("[{endpoint:?}]")),
            // Probes and `put` see to that; waiting takes a third of a second for every session but the first.
            ("open/return_conditions/connect_scouted", "false"),
            ("open/return_conditions/declares", "false"),
            // By default 1000 and 100.
            ("transport/unicast/max_sessions", "20000"),
            ("transport/unicast/accept_pending", "1000"),
        ] {
            config.insert_json5(key, value).map_err(foreign)?;
        }
        let session = zenoh::open(config).wait().map_err(foreign)?;
        let (publish, subscribe) = match self.kind {
            Kind::Req | Kind::Dealer => (Some("bench/ping"), Some("bench/pong")),
            Kind::Rep | Kind::Router => (Some("bench/pong"), Some("bench/ping")),
            Kind::Push | Kind::Pub | Kind::LossyPub => (Some("bench/one-way"), None),
            Kind::Pull | Kind::Sub => (None, Some("bench/one-way")),
        };
        if let Some(key) = publish {
            let control = match self.kind {
                Kind::LossyPub => CongestionControl::Drop,
                _ => CongestionControl::Block,
            };
            let publisher = session.declare_publisher(key).congestion_control(control);
            // With many in flight it makes each a batch of its own, at a tenth of the rate.
            let express = matches!(self.kind, Kind::Req | Kind::Rep);
            self.publisher = Some(Arc::new(publisher.express(express).wait().map_err(foreign)?));
        }
        if let Some(key) = subscribe {
            let subscriber = session.declare_subscriber(key);
            if matches!(self.kind, Kind::Req | Kind::Dealer) {
                self.answers = Some(subscriber.wait().map_err(foreign)?);
            } else {
                let inbox = Arc::new(Inbox::default());
                let (filled, publisher) = (inbox.clone(), self.publisher.clone());
                let subscriber = subscriber.callback(move |sample| filled.put(&sample, publisher.as_deref()));
                self.inbox = Some((subscriber.wait().map_err(foreign)?, inbox));
            }
        }
        self.sessions.push(session);
        // Publishers have probes for this, since one subscriber more or less matters to them.
        self.has_peer = matches!(self.kind, Kind::Pub | Kind::LossyPub);
        Ok(())
    }

    fn put(&mut self, body: impl Into<zenoh::bytes::ZBytes>) -> Result<()> {
        let publisher = self.publisher.as_ref().context("such a socket does not send")?;
        // What is published before somebody subscribes is lost.
        let deadline = Instant::now() + PEER_DEADLINE;
        while !self.has_peer {
            self.has_peer = publisher.matching_status().wait().map_err(foreign)?.matching();
            if Instant::now() > deadline {
                bail!("nobody subscribes to {}", publisher.key_expr());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        publisher.put(body).wait().map_err(foreign)
    }

    fn inbox(&self) -> Result<&Inbox> {
        self.inbox.as_ref().map(|(_, inbox)| &**inbox).context("such a socket does not receive")
    }
}

impl blocking::Socket for Socket {
    type Body = Bytes;

    fn body(bytes: Vec<u8>) -> Result<Bytes> {
        Ok(bytes.into())
    }

    fn listen(&mut self, url: &str) -> Result<String> {
        let url = port::free(url)?;
        self.start("listen/endpoints", &url)?;
        Ok(url)
    }

    fn dial(&mut self, url: &str) -> Result<()> {
        self.start("connect/endpoints", url)
    }

    fn send(&mut self, body: &Bytes) -> Result<()> {
        self.put(body.clone())
    }

    fn recv(&mut self, patience: Option<Duration>) -> Result<Option<Seen>> {
        if let Some(answers) = &self.answers {
            return answers.recv().map(|sample| Some(seen(&sample))).map_err(foreign);
        }
        self.inbox()?.take(patience)
    }

    fn recv_until(&mut self, deadline: Option<Instant>) -> Result<Option<Seen>> {
        let Some(deadline) = deadline else { return self.recv(None) };
        let answers = self.answers.as_ref().context("such a socket does not ask")?;
        Ok(answers.recv_deadline(deadline).map_err(foreign)?.as_ref().map(seen))
    }

    fn receive(&mut self, tally: Tally) -> Result<Tally> {
        self.inbox()?.fill(tally)
    }

    fn echo(&mut self) -> Result<Seen> {
        self.inbox()?.take(None)?.context("nothing came")
    }

    fn answer(&mut self, tally: Tally) -> Result<Tally> {
        self.inbox()?.fill(tally)
    }

    fn share(&self) -> Option<Self> {
        let sessions = self.sessions.clone();
        let publisher = self.publisher.as_ref().and_then(|publisher| {
            let publisher = sessions.last()?.declare_publisher(publisher.key_expr().clone());
            publisher.congestion_control(CongestionControl::Block).wait().ok()
        })?;
        let (kind, publisher) = (self.kind, Some(Arc::new(publisher)));
        Some(Self { kind, publisher, answers: None, inbox: None, sessions, has_peer: false })
    }
}

/// What a callback has seen: in the tally of a job, or before that.
#[derive(Default)]
struct Inbox {
    content: Mutex<Content>,
    changed: Condvar,
}

#[derive(Default)]
struct Content {
    early: VecDeque<Seen>,
    tally: Option<Tally>,
    failure: Option<anyhow::Error>,
}

impl Inbox {
    /// A sample came, which `publisher` sends back if there is one.
    fn put(&self, sample: &Sample, publisher: Option<&Publisher<'_>>) {
        let sent = publisher.map_or(Ok(()), |publisher| publisher.put(sample.payload().clone()).wait());
        let seen = seen(sample);
        let mut content = self.lock();
        if let Err(error) = sent {
            content.failure = Some(foreign(error));
        }
        match &mut content.tally {
            Some(tally) => {
                let noted = tally.note(seen);
                let complete = tally.arrivals.missing() == 0;
                content.failure = noted.err().or(content.failure.take());
                // Nobody is to wake for less.
                if complete || content.failure.is_some() {
                    self.changed.notify_all();
                }
            }
            None => {
                content.early.push_back(seen);
                self.changed.notify_all();
            }
        }
    }

    /// Waits for one outside of a job.
    fn take(&self, patience: Option<Duration>) -> Result<Option<Seen>> {
        let nothing = |content: &mut Content| content.early.is_empty();
        let patience = patience.unwrap_or(Duration::MAX);
        let waited = self.changed.wait_timeout_while(self.lock(), patience, nothing);
        Ok(waited.unwrap_or_else(PoisonError::into_inner).0.early.pop_front())
    }

    /// Waits until nothing is missing in `tally`, or nothing more comes.
    fn fill(&self, mut tally: Tally) -> Result<Tally> {
        let mut content = self.lock();
        content.early.drain(..).try_for_each(|seen| tally.note(seen))?;
        let step = tally.patience().map_or(Duration::MAX, |_| WATCH_EVERY);
        let (mut missing, mut since) = (tally.arrivals.missing(), Instant::now());
        content.tally = Some(tally);
        loop {
            let going_on = |content: &mut Content| {
                content.failure.is_none() && content.tally.as_ref().is_some_and(|t| t.arrivals.missing() > 0)
            };
            let waited = self.changed.wait_timeout_while(content, step, going_on);
            content = waited.unwrap_or_else(PoisonError::into_inner).0;
            if let Some(failure) = content.failure.take() {
                return Err(failure);
            }
            let mut tally = content.tally.take().context("the tally is gone")?;
            if tally.arrivals.missing() == 0 {
                tally.arrivals.stop();
                return Ok(tally);
            }
            if tally.arrivals.missing() != missing {
                (missing, since) = (tally.arrivals.missing(), Instant::now());
            } else if tally.patience().is_some_and(|patience| since.elapsed() >= patience) {
                tally.arrivals.quiet();
                return Ok(tally);
            }
            content.tally = Some(tally);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seen(sample: &Sample) -> Seen {
    let payload = sample.payload();
    Seen::new(payload.len(), payload.slices().next().unwrap_or_default())
}

/// Its errors are boxes, which are no errors themselves.
fn foreign(error: zenoh::Error) -> anyhow::Error {
    anyhow!("zenoh: {error}")
}

const PEER_DEADLINE: Duration = Duration::from_secs(10);

/// How exactly it is known when the last of what was not lost has come.
const WATCH_EVERY: Duration = Duration::from_millis(2);
