//! One logical connection echoes small messages, one after the other, while another one is full of large messages.
//! Both are on one physical connection.

use super::echo::{Progress, answer_all};
use super::oneway::{receive_job, send_job};
use super::{Channel, Message, Multiplexer, accept, listen, open};
use crate::{Job, LARGE_BYTES, Measure, Role, Samples, serve};
use anyhow::{Context, Result, anyhow};
use std::sync::Arc;
use std::time::Instant;

pub(super) async fn receive<M: Multiplexer>(multiplexer: &M, role: &Role) -> Result<()> {
    let mut server = listen(multiplexer, role).await?;
    let small = accept(multiplexer, &mut server, role.cell.body_bytes).await?;
    let mut large = accept(multiplexer, &mut server, LARGE_BYTES).await?;
    tokio::spawn(answer_all(small, role.cell.body_bytes, Arc::new(Progress::default())));
    serve::on_runtime(async |job| receive_job(&mut large, job, LARGE_BYTES).await).await
}

pub(super) async fn send<M: Multiplexer>(multiplexer: &M, role: &Role) -> Result<()> {
    let (small_message, large_message) = (Message::new(role.cell.body_bytes), Message::new(LARGE_BYTES));
    let mut link = multiplexer.dial(&role.address).await.context("dialing")?;
    let mut small = open(multiplexer, &mut link, &small_message).await?;
    let mut spare = Some(open(multiplexer, &mut link, &large_message).await?);
    serve::on_runtime(async |job: Job| {
        let mut large = spare.take().context("an earlier job failed")?;
        let message = large_message.clone();
        let sending = tokio::spawn(async move {
            send_job(&mut large, job, &message).await?;
            anyhow::Ok(large)
        });
        let mut samples = Samples::start(1 << 10);
        // At least one, for there must be an answer to how long one takes.
        while samples.is_empty() || !sending.is_finished() {
            let asked_at = Instant::now();
            small.ask(&small_message).await?;
            samples.note(asked_at.elapsed());
        }
        spare = Some(sending.await.map_err(|error| anyhow!("the large messages failed: {error}"))??);
        let other = samples.len() as u64;
        Ok(Measure { other, ..samples.finish(job.count) })
    })
    .await
}
