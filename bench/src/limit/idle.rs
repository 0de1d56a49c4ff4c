//! Connections that are there and nothing else: what of them the process itself pays.

use super::wire;
use anyhow::Result;
use spanwire_bench_ends::{Measure, Role, Side, role, usage};
use std::thread;
use std::time::Duration;

pub(super) fn run(role: &Role) -> Result<()> {
    usage::raise_file_limit();
    if role.side == Side::Client {
        let streams = wire::join_many(role, role.cell.many)?;
        return role::serve(|_| Ok(Measure::moved(streams.len() as u64)));
    }
    let listener = wire::listen_for(role)?;
    let before = usage::rss_bytes();
    let streams = (0..role.cell.many).map(|_| listener.accept()).collect::<Result<Vec<_>>>()?;
    role::serve(|job| {
        thread::sleep(Duration::from_millis(job.millis));
        Ok(Measure {
            rss_bytes: usage::rss_bytes().saturating_sub(before),
            ..Measure::moved(streams.len() as u64)
        })
    })
}
