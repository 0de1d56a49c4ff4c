//! Many threads, one connection: each adds its frames to a shared batch under a lock, and whoever fills
//! it writes it.

use super::batch::{BATCH_BYTES, Outgoing};
use super::oneway;
use super::wire::{self, Format};
use anyhow::{Result, anyhow};
use spanwire_bench_ends::{Budget, Measure, Role, Side, role};
use std::sync::Mutex;
use std::thread;

pub(super) fn run(role: &Role) -> Result<()> {
    let (stream, format) = (wire::join(role)?, Format::of(&role.cell));
    if role.side == Side::Server {
        return oneway::receive(stream, format);
    }
    let body = vec![b'x'; format.body_bytes];
    let shared = Mutex::new(Outgoing::new(stream, format, BATCH_BYTES));
    let lock = || shared.lock().map_err(|_| anyhow!("a thread panicked"));
    role::serve(|job| {
        let budget = Budget::new(job.count);
        let send = || {
            while budget.take() {
                lock()?.push(&body)?;
            }
            anyhow::Ok(())
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..role.cell.many).map(|_| scope.spawn(send)).collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
        })?;
        lock()?.flush()?;
        Ok(Measure::moved(job.count))
    })
}
