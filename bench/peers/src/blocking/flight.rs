//! Many requests in flight on one socket that may send before an answer has come. Answers come in the order
//! of requests, since one thread gives them on one connection.

use super::{Library, Socket, pairs};
use crate::body;
use crate::kind::Kind;
use anyhow::{Context, Result};
use spanwire_bench_ends::{Role, Samples, role};
use std::collections::VecDeque;
use std::time::Instant;

pub(super) fn ask<L: Library>(library: &L, role: &Role) -> Result<()> {
    let mut socket = pairs::dial(library, Kind::Dealer, role)?;
    let body = L::Socket::body(body::filling(role.cell.body_bytes))?;
    role::serve(|job| {
        let (mut left, mut since) = (job.count, VecDeque::new());
        let mut samples = Samples::start(if job.timed { job.count } else { 0 });
        loop {
            if left > 0 && since.len() < role.cell.many as usize {
                left -= 1;
                since.push_back(Instant::now());
                socket.send(&body).context("asking")?;
                continue;
            }
            let Some(since) = since.pop_front() else { break };
            let answer = socket.recv(None).context("waiting for an answer")?;
            body::check(answer.context("no answer came")?.length, role.cell.body_bytes)?;
            if job.timed {
                samples.note(since.elapsed());
            }
        }
        Ok(samples.finish(job.count))
    })
}
