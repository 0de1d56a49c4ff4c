//! Many threads that share one PUSH.

use super::{CLOSE_DEADLINE, Flow, nothing_left, oneway, options, serve};
use anyhow::{Context, Result, anyhow};
use spanwire::{PushSocket, blocking};
use spanwire_bench_ends::{Budget, Job, Measure, Role, Side, role};
use std::thread;
use tokio::runtime::Builder;

pub(super) async fn run(role: &Role, flow: &Flow) -> Result<()> {
    if role.side == Side::Server {
        return oneway::run(role, flow).await;
    }
    let socket = PushSocket::with(options(&role.cell));
    let _dialer = socket.dial(&role.address).await.context("dialing")?;
    serve::on_runtime(async |job| {
        let (socket, flow, many) = (socket.clone(), flow.clone(), role.cell.many);
        let send = move || send(job, many, |budget| send_on_runtime(&socket, &flow, budget));
        // Off the runtime, so that it goes on driving the connection meanwhile.
        tokio::task::spawn_blocking(send).await?
    })
    .await?;
    nothing_left(socket.close(CLOSE_DEADLINE).await.abandoned)
}

/// Each thread has a runtime of its own; the connection lives on that of the socket.
fn send_on_runtime(socket: &PushSocket, flow: &Flow, budget: &Budget) -> Result<()> {
    let runtime = Builder::new_current_thread().build().context("cannot make a runtime")?;
    runtime.block_on(async {
        while budget.take() {
            socket.send(flow.message()).await.context("sending")?;
        }
        Ok(())
    })
}

pub(super) fn run_blocking(role: &Role, flow: &Flow) -> Result<()> {
    if role.side == Side::Server {
        return oneway::run_blocking(role, flow);
    }
    let socket = blocking::PushSocket::with(options(&role.cell));
    let _dialer = socket.dial(&role.address).context("dialing")?;
    role::serve(|job| {
        send(job, role.cell.many, |budget| {
            while budget.take() {
                socket.send(flow.message()).context("sending")?;
            }
            Ok(())
        })
    })?;
    nothing_left(socket.close(CLOSE_DEADLINE).abandoned)
}

/// Has `many` threads spend the budget.
fn send(job: Job, many: u32, work: impl Fn(&Budget) -> Result<()> + Sync) -> Result<Measure> {
    let budget = Budget::new(job.count);
    let work = || work(&budget);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..many).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a sending thread panicked"))?)
    })?;
    Ok(Measure::moved(job.count))
}
