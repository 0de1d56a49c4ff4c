//! Many logical connections on one physical one, which were used once. What memory each of them takes.

use super::{Message, Multiplexer, accept as accept_one, listen, open as open_one};
use crate::{Measure, Role, serve, usage};
use anyhow::{Context, Result};
use std::time::Duration;

pub(super) async fn accept<M: Multiplexer>(multiplexer: &M, role: &Role) -> Result<()> {
    usage::raise_file_limit();
    let body_bytes = role.cell.body_bytes;
    let mut server = listen(multiplexer, role).await?;
    let _first = accept_one(multiplexer, &mut server, body_bytes).await?;
    let before = usage::rss_bytes();
    let mut channels = Vec::with_capacity(role.cell.many as usize);
    for _ in 0..role.cell.many {
        channels.push(accept_one(multiplexer, &mut server, body_bytes).await?);
    }
    watch(channels.len(), before).await
}

pub(super) async fn open<M: Multiplexer>(multiplexer: &M, role: &Role) -> Result<()> {
    usage::raise_file_limit();
    let greeting = Message::new(role.cell.body_bytes);
    let mut link = multiplexer.dial(&role.address).await.context("dialing")?;
    // What the physical connection needs, it has after the first.
    let _first = open_one(multiplexer, &mut link, &greeting).await?;
    let before = usage::rss_bytes();
    let mut channels = Vec::with_capacity(role.cell.many as usize);
    for _ in 0..role.cell.many {
        channels.push(open_one(multiplexer, &mut link, &greeting).await?);
    }
    watch(channels.len(), before).await
}

async fn watch(channels: usize, before: u64) -> Result<()> {
    serve::on_runtime(async |job| {
        tokio::time::sleep(Duration::from_millis(job.millis)).await;
        let rss_bytes = usage::rss_bytes().saturating_sub(before);
        Ok(Measure { rss_bytes, ..Measure::moved(channels as u64) })
    })
    .await
}
