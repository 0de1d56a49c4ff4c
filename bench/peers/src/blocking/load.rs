//! Requests at a rate on one socket that may send before an answer has come: one thread sends what is due,
//! and takes answers until the next is due.

use super::{Library, Socket, pairs};
use crate::body;
use crate::kind::Kind;
use anyhow::{Context, Result};
use spanwire_bench_ends::{IN_FLIGHT, Job, MOST_OUTSTANDING, Measure, Pace, Role, Samples, pace, role};
use std::collections::VecDeque;
use std::thread;
use std::time::Instant;

pub(super) fn ask<L: Library>(library: &L, role: &Role) -> Result<()> {
    let mut socket = pairs::dial(library, Kind::Dealer, role)?;
    let body = L::Socket::body(body::filling(role.cell.body_bytes))?;
    pace::wake_exactly();
    role::serve(|job| ask_job(&mut socket, &body, job, role.cell.body_bytes))
}

/// Without a rate a request is due when there is room for it. Capacity is found by the same means, or it
/// would be one that this cannot reach.
fn ask_job<S: Socket>(socket: &mut S, body: &S::Body, job: Job, bytes: usize) -> Result<Measure> {
    let most = if job.rate == 0 { IN_FLIGHT as usize } else { MOST_OUTSTANDING };
    let mut samples = Samples::start(job.count);
    let pace = Pace::start(job.rate);
    let (mut asked, mut waiting) = (0, VecDeque::new());
    while asked < job.count || !waiting.is_empty() {
        let may_ask = asked < job.count && waiting.len() < most;
        let now = Instant::now();
        let due = if job.rate == 0 { now } else { pace.due(asked) };
        if may_ask && due <= now {
            socket.send(body).context("asking")?;
            waiting.push_back(due);
            asked += 1;
            continue;
        }
        if waiting.is_empty() {
            pace.wait(asked);
            continue;
        }
        let is_soon = may_ask && due - now < pace::SHORT;
        let until = if is_soon { now } else { due };
        let answer = socket.recv_until(may_ask.then_some(until)).context("waiting for an answer")?;
        let Some(answer) = answer else {
            if is_soon {
                // The library's own threads are on this CPU too.
                thread::yield_now();
            }
            continue;
        };
        body::check(answer.length, bytes)?;
        // One thread answers on one connection, so the order is that of the requests.
        let since = waiting.pop_front().context("an answer came to no request")?;
        samples.note(Instant::now().saturating_duration_since(since));
    }
    Ok(samples.finish(job.count))
}
