//! From the first signal handler to the last word.

use super::Common;
use super::counts::Counts;
use crate::complaint::Complaint;
use crate::device::stop_signal;
use spanwire::mux::{Connection, Event, Events};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// What the user may want meanwhile. Made before anything listens, so that whoever sees us listen can ask.
pub(super) struct Wishes {
    stop: Pin<Box<dyn Future<Output = ()>>>,
    #[cfg(unix)]
    report: tokio::signal::unix::Signal,
    every: Option<Interval>,
}

impl Wishes {
    pub(super) fn new(common: &Common) -> Result<Self, Complaint> {
        #[cfg(unix)]
        let report = {
            use tokio::signal::unix::{SignalKind, signal};
            signal(SignalKind::user_defined1())
                .map_err(|error| Complaint::new(format!("cannot wait for signals: {error}")))?
        };
        let every = common.every.map(|seconds| {
            let period = Duration::from_secs(seconds.into());
            let mut every = interval_at(Instant::now() + period, period);
            every.set_missed_tick_behavior(MissedTickBehavior::Skip);
            every
        });
        Ok(Self {
            stop: Box::pin(stop_signal()?),
            #[cfg(unix)]
            report,
            every,
        })
    }

    /// Works until that ends, or the user wants it to; reports when he wants to know.
    pub(super) async fn grant(
        &mut self,
        counts: &Counts,
        connections: impl Fn() -> Vec<Connection>,
        work: impl Future<Output = Complaint>,
    ) -> Result<(), Complaint> {
        let mut work = pin!(work);
        loop {
            #[cfg(unix)]
            let asked = self.report.recv();
            #[cfg(not(unix))]
            let asked = std::future::pending::<Option<()>>();
            let due = async {
                match &mut self.every {
                    Some(every) => drop(every.tick().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                why = &mut work => return Err(why),
                () = &mut self.stop => return Ok(()),
                _ = asked => {}
                () = due => {}
            }
            counts.report(&connections());
        }
    }
}

/// The end: waits for what closes, and for who is still carried; a second wish to end cuts them.
pub(super) async fn end(
    verbose: bool,
    closing: impl Future<Output = bool>,
    mut carrying: JoinSet<()>,
) -> Result<(), Complaint> {
    let again = stop_signal()?;
    while carrying.try_join_next().is_some() {}
    if verbose && !carrying.is_empty() {
        eprintln!("ending");
    }
    let all = async {
        closing.await;
        // Their channels are over; what has come for them is still written.
        let rest = async { while carrying.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_WORDS, rest).await;
    };
    tokio::select! {
        () = all => {}
        () = again => {}
    }
    Ok(())
}

/// What came at the very last moment has so long to be taken by who it is for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Tells of failures, but not of the same one again and again.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<Option<String>>);

impl Failures {
    pub(super) fn tell(&self, verbose: bool, text: String) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if verbose || last.as_ref() != Some(&text) {
            eprintln!("{text}");
        }
        *last = Some(text);
    }

    /// It works again: the next failure is news.
    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Tells what happens on connections.
pub(super) async fn narrate(mut events: Events) {
    while let Some(event) = events.next().await {
        match event {
            Event::Connected { number, url } => eprintln!("connection {number} at {url} is there"),
            Event::Ended { number, url, end } => eprintln!("connection {number} at {url} is gone: {end}"),
            Event::ListenerFailed { url, error } => eprintln!("cannot accept on {url}: {error}"),
            // Whoever wanted the connection tells that.
            _ => {}
        }
    }
}
