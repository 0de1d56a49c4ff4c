//! Requests at a rate on one socket: one task sends what is due, and takes answers until the next is due.

use super::{Jobs, Library, Socket, pairs};
use crate::body;
use crate::kind::Kind;
use anyhow::{Context, Result};
use bytes::Bytes;
use spanwire_bench_ends::{Clock, IN_FLIGHT, Job, MOST_OUTSTANDING, Measure, Pace, Role, Samples};
use std::collections::VecDeque;
use std::time::Instant;

pub(super) async fn ask<L: Library>(library: &L, role: &Role) -> Result<()> {
    let mut socket = pairs::dial(library, Kind::Dealer, role).await?;
    let body = Bytes::from(body::filling(role.cell.body_bytes));
    let mut jobs = Jobs::ready()?;
    while let Some((job, begun)) = jobs.begin().await? {
        begun.finish(ask_job(&mut socket, job, &body).await?)?;
    }
    Ok(())
}

/// Without a rate a request is due when there is room for it. Capacity is found by the same means, or it
/// would be one that this cannot reach.
async fn ask_job(socket: &mut impl Socket, job: Job, body: &Bytes) -> Result<Measure> {
    let most = if job.rate == 0 { IN_FLIGHT as usize } else { MOST_OUTSTANDING };
    let mut samples = Samples::start(job.count);
    let clock = Clock::new()?;
    let pace = Pace::start(job.rate);
    let (mut asked, mut waiting) = (0, VecDeque::new());
    while asked < job.count || !waiting.is_empty() {
        let may_ask = asked < job.count && waiting.len() < most;
        let due = async { if job.rate == 0 { Ok(Instant::now()) } else { clock.wait(&pace, asked).await } };
        let answer = tokio::select! {
            biased;
            due = due, if may_ask => Err(due?),
            answer = socket.recv(), if !waiting.is_empty() => Ok(answer.context("waiting for an answer")?),
        };
        match answer {
            Err(due) => {
                socket.send(body.clone()).await.context("asking")?;
                waiting.push_back(due);
                asked += 1;
            }
            Ok(answer) => {
                body::check(answer.len(), body.len())?;
                // One task answers on one connection, so the order is that of the requests.
                let since = waiting.pop_front().context("an answer came to no request")?;
                samples.note(Instant::now().saturating_duration_since(since));
            }
        }
    }
    Ok(samples.finish(job.count))
}
