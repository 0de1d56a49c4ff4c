//! Many connections into one reader. The writers take turns, a batch each; the more there are, the
//! smaller the batches, so that the turns stay short.

use super::batch::{BATCH_BYTES, Incoming, Outgoing};
use super::ready::Ready;
use super::wire::{self, Format};
use anyhow::{Context, Result, bail};
use spanwire_bench_ends::{Arrivals, Budget, Fairness, Measure, Role, Side, role};
use std::time::Duration;

pub(super) fn run(role: &Role) -> Result<()> {
    spanwire_bench_ends::usage::raise_file_limit();
    let (many, format) = (role.cell.many, Format::of(&role.cell));
    let mut streams = wire::join_many(role, many)?;
    if role.side == Side::Client {
        let batch = (BATCH_BYTES / many.max(1) as usize).max(SMALLEST_BATCH_BYTES);
        let mut senders: Vec<_> = (0..many)
            .zip(streams)
            .map(|(number, stream)| {
                (Fairness::body(number, format.body_bytes), Outgoing::new(stream, format, batch))
            })
            .collect();
        let turn = (batch / format.frame_bytes()).max(1) as u64;
        return role::serve(|job| {
            let budget = Budget::new(job.count);
            for place in (0..senders.len()).cycle() {
                let count = budget.take_some(turn);
                if count == 0 {
                    break;
                }
                let (body, outgoing) = &mut senders[place];
                (0..count).try_for_each(|_| outgoing.push(body))?;
                outgoing.flush()?;
            }
            Ok(Measure::moved(job.count))
        });
    }
    let mut incoming: Vec<Incoming> = streams.iter().map(|_| Incoming::new()).collect();
    let mut ready = Ready::new(&streams)?;
    role::serve(|job| {
        let (mut arrivals, mut fairness) = (Arrivals::new(job.count), Fairness::new(many));
        while arrivals.missing() > 0 {
            let mut came = false;
            for place in ready.wait(PATIENCE)? {
                came = true;
                let mut strange = false;
                let note = |frame: &[u8]| strange |= !fairness.note(format.body(frame));
                let count = incoming[place].read_each(&mut streams[place], &format, note);
                if strange {
                    bail!("a frame of nobody came");
                }
                arrivals.note(count.context("waiting for a batch")?);
            }
            if !came {
                bail!("{} frames are missing", arrivals.missing());
            }
        }
        Ok(fairness.into(arrivals.finish()))
    })
}

/// Shorter than the parent's, so that the one who knows what is missing says so.
const PATIENCE: Duration = Duration::from_secs(8);
const SMALLEST_BATCH_BYTES: usize = 4 << 10;
