//! One logical connection, on which one end only sends and the other only receives: from the client to the server,
//! or back.

use super::{Channel, Message, Multiplexer, accept, listen, open};
use crate::{Arrivals, Job, Measure, Role, Side, serve};
use anyhow::{Context, Result};

pub(super) async fn send<M: Multiplexer>(multiplexer: &M, role: &Role) -> Result<()> {
    let message = Message::new(role.cell.body_bytes);
    let (_end, mut channel) = join(multiplexer, role, &message).await?;
    serve::on_runtime(async |job| send_job(&mut channel, job, &message).await).await
}

pub(super) async fn receive<M: Multiplexer>(multiplexer: &M, role: &Role) -> Result<()> {
    let (_end, mut channel) = join(multiplexer, role, &Message::new(role.cell.body_bytes)).await?;
    serve::on_runtime(async |job| receive_job(&mut channel, job, role.cell.body_bytes).await).await
}

/// What a channel lives on, at either end.
enum End<M: Multiplexer> {
    Server(M::Server),
    Client(M::Link),
}

async fn join<M: Multiplexer>(
    multiplexer: &M,
    role: &Role,
    greeting: &Message,
) -> Result<(End<M>, M::Channel)> {
    match role.side {
        Side::Server => {
            let mut server = listen(multiplexer, role).await?;
            let channel = accept(multiplexer, &mut server, role.cell.body_bytes).await?;
            Ok((End::Server(server), channel))
        }
        Side::Client => {
            let mut link = multiplexer.dial(&role.address).await.context("dialing")?;
            let channel = open(multiplexer, &mut link, greeting).await?;
            Ok((End::Client(link), channel))
        }
    }
}

pub(super) async fn send_job(channel: &mut impl Channel, job: Job, message: &Message) -> Result<Measure> {
    for _ in 0..job.count {
        channel.send(message).await?;
    }
    channel.flush().await?;
    Ok(Measure::moved(job.count))
}

pub(super) async fn receive_job(channel: &mut impl Channel, job: Job, body_bytes: usize) -> Result<Measure> {
    let mut arrivals = Arrivals::new(job.count);
    while arrivals.missing() > 0 {
        let missing = || format!("{} messages are missing", arrivals.missing());
        let count = channel.recv(body_bytes).await.with_context(missing)?;
        arrivals.note(count);
    }
    Ok(arrivals.finish())
}
