//! What a receiver has got of a job.

use crate::body::{self, Seen};
use anyhow::{Result, bail};
use spanwire_bench_ends::{Arrivals, Fairness, Job, Measure, Role, Work};
use std::time::Duration;

/// Counts what arrives, and checks it.
pub(crate) struct Tally {
    pub(crate) arrivals: Arrivals,
    fairness: Option<Fairness>,
    body_bytes: usize,
    loses: bool,
}

impl Tally {
    /// Of what `job` sends to one receiver. If it `loses` something, waiting ends when nothing more comes.
    pub(crate) fn new(role: &Role, job: Job, loses: bool) -> Self {
        let (many, body_bytes) = (role.cell.many, role.cell.body_bytes);
        let by_pusher = role.cell.work == Work::Pushers;
        Self {
            arrivals: Arrivals::new(job.count),
            fairness: by_pusher.then(|| Fairness::new(many)),
            body_bytes: if by_pusher { body_bytes.max(4) } else { body_bytes },
            loses,
        }
    }

    /// A message came, or a probe.
    #[inline]
    pub(crate) fn note(&mut self, seen: Seen) -> Result<()> {
        if !body::is_message(seen.length, self.body_bytes)? {
            return Ok(());
        }
        if self.fairness.as_mut().is_some_and(|fairness| !fairness.note(&seen.start)) {
            bail!("a message came from a pusher that there is not");
        }
        self.arrivals.note(1);
        Ok(())
    }

    /// How long to wait for the next message, if not for ever.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.loses.then(|| self.arrivals.patience())
    }

    /// What came and what did not.
    pub(crate) fn finish(self) -> Measure {
        let lost = self.arrivals.missing();
        let measure = Measure { lost, ..self.arrivals.finish() };
        self.fairness.map_or(measure, |fairness| fairness.into(measure))
    }
}
