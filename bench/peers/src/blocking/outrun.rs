//! A sender whose receiver does not read: how much memory the two need.

use super::{Library, Socket};
use crate::kind::Kind;
use crate::memory;
use crate::tally::Tally;
use anyhow::{Context, Result};
use spanwire_bench_ends::{Measure, Role, role};
use std::time::Duration;

pub(super) fn receive<L: Library>(library: &L, role: &Role) -> Result<()> {
    let mut socket = library.open(Kind::Pull, role.cell.body_bytes)?;
    let is_bounded = socket.bound(memory::MESSAGES)?;
    role::say_url(&socket.listen(&role.address).context("listening")?)?;
    role::serve(|job| {
        let watch = memory::Watch::start(role, is_bounded);
        std::thread::sleep(Duration::from_millis(job.millis));
        let tally = socket.receive(Tally::new(role, job, true)).context("receiving")?;
        // How many were sent only the other end knows, so none is known to be lost.
        Ok(watch.finish(tally.arrivals.finish()))
    })
}

pub(super) fn send<L: Library>(library: &L, role: &Role) -> Result<()> {
    let mut socket = library.open(Kind::Push, role.cell.body_bytes)?;
    let is_bounded = socket.bound(memory::MESSAGES)?;
    socket.dial(&role.address).context("dialing")?;
    role::serve(|job| {
        let watch = memory::Watch::start(role, is_bounded);
        let patience = Duration::from_millis(job.millis / 2);
        let mut count = 0;
        while count < job.count && socket.send_fresh(role.cell.body_bytes, patience).context("sending")? {
            count += 1;
        }
        Ok(watch.finish(Measure::moved(count)))
    })
}
