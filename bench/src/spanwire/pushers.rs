//! Many PUSHs, each with a connection of its own, and one PULL.

use super::{CLOSE_DEADLINE, Flow, nothing_left, oneway, options, serve};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use spanwire::{Message, PullSocket, PushSocket, SendError, blocking};
use spanwire_bench_ends::{Arrivals, Budget, Fairness, Job, Measure, Role, Side, role, usage};
use std::sync::Arc;

pub(super) async fn run(role: &Role, flow: &Flow) -> Result<()> {
    usage::raise_file_limit();
    if role.side == Side::Server {
        let socket = oneway::listen(role, role.cell.many as usize).await?;
        return serve::on_runtime(async |job| receive(&socket, job, flow, role.cell.many).await).await;
    }
    let mut pushers = Vec::new();
    for number in 0..role.cell.many {
        let socket = PushSocket::with(options(&role.cell));
        socket.dial(&role.address).await.context("dialing")?;
        pushers.push((socket, body(number, flow)));
    }
    serve::on_runtime(async |job| send(&pushers, job).await).await?;
    for (socket, _) in pushers {
        nothing_left(socket.close(CLOSE_DEADLINE).await.abandoned)?;
    }
    Ok(())
}

fn body(number: u32, flow: &Flow) -> Bytes {
    Fairness::body(number, flow.body.len()).into()
}

/// A task for each.
async fn send(pushers: &[(PushSocket, Bytes)], job: Job) -> Result<Measure> {
    let budget = Arc::new(Budget::new(job.count));
    let start = |(socket, body): &(PushSocket, Bytes)| {
        let (socket, body, budget) = (socket.clone(), body.clone(), budget.clone());
        tokio::spawn(async move {
            while budget.take() {
                socket.send(Message::new(body.clone())).await.context("sending")?;
            }
            anyhow::Ok(())
        })
    };
    let tasks: Vec<_> = pushers.iter().map(start).collect();
    for task in tasks {
        task.await??;
    }
    Ok(Measure::moved(job.count))
}

async fn receive(socket: &PullSocket, job: Job, flow: &Flow, many: u32) -> Result<Measure> {
    let (mut arrivals, mut fairness) = (Arrivals::new(job.count), Fairness::new(many));
    while arrivals.missing() > 0 {
        let message = socket.recv().await.context("waiting for a message")?;
        note(&message, flow, &mut fairness)?;
        arrivals.note(1);
    }
    Ok(fairness.into(arrivals.finish()))
}

fn note(message: &Message, flow: &Flow, fairness: &mut Fairness) -> Result<()> {
    flow.check(message)?;
    if !fairness.note(message.body()) {
        bail!("a message of nobody came");
    }
    Ok(())
}

pub(super) fn run_blocking(role: &Role, flow: &Flow) -> Result<()> {
    usage::raise_file_limit();
    if role.side == Side::Server {
        let many = role.cell.many;
        let socket = oneway::listen_blocking(role, many as usize)?;
        return role::serve(|job| {
            let (mut arrivals, mut fairness) = (Arrivals::new(job.count), Fairness::new(many));
            while arrivals.missing() > 0 {
                note(&socket.recv().context("waiting for a message")?, flow, &mut fairness)?;
                arrivals.note(1);
            }
            Ok(fairness.into(arrivals.finish()))
        });
    }
    let mut pushers = Vec::new();
    for number in 0..role.cell.many {
        let socket = blocking::PushSocket::with(options(&role.cell));
        socket.dial(&role.address).context("dialing")?;
        pushers.push((socket, body(number, flow)));
    }
    role::serve(|job| send_blocking(&pushers, job))?;
    pushers.into_iter().try_for_each(|(socket, _)| nothing_left(socket.close(CLOSE_DEADLINE).abandoned))
}

/// One thread for all, a few messages each in turn; who has no room is passed over.
fn send_blocking(pushers: &[(blocking::PushSocket, Bytes)], job: Job) -> Result<Measure> {
    let (mut left, mut refused) = (job.count, 0);
    for (socket, body) in pushers.iter().cycle() {
        if left == 0 {
            break;
        }
        let before = left;
        for _ in 0..TURN.min(left) {
            match socket.try_send(Message::new(body.clone())) {
                Ok(()) => left -= 1,
                // When nobody has room, wait for this one.
                Err(SendError::Full(message)) if refused >= pushers.len() => {
                    socket.send(message).context("sending")?;
                    left -= 1;
                }
                Err(SendError::Full(_)) => break,
                Err(error) => return Err(error).context("sending"),
            }
        }
        refused = if left < before { 0 } else { refused + 1 };
    }
    Ok(Measure::moved(job.count))
}

/// How many messages a pusher sends in its turn. The limit sends about as many in one write.
const TURN: u64 = 64;
