//! `local-lat` answers, `remote-lat` asks and measures.

use super::figures::{Latency, Setting};
use super::side::Side;
use super::{Run, patiently, while_connected, wrong_size};
use crate::complaint::Complaint;
use bytes::Bytes;
use std::io::{self, Write};
use std::time::Instant;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    run: Run,
    /// The sockets to use
    #[arg(long, value_enum, default_value_t)]
    pattern: Pattern,
}

/// Patterns with answers.
#[derive(clap::ValueEnum, Copy, Clone, Debug, Default)]
enum Pattern {
    /// REQ asks, REP answers
    #[default]
    Req,
    /// PAIR v0 on both sides
    Pair0,
    /// PAIR v1 on both sides, as nng's own programs have it
    Pair1,
}

/// Answers every message with the same one.
pub(super) async fn local(args: &Args) -> Result<(), Complaint> {
    let run = &args.run;
    let side = match args.pattern {
        Pattern::Req => Side::rep(run.options()),
        Pattern::Pair0 => Side::pair0(run.options()),
        Pattern::Pair1 => Side::pair1(run.options()),
    };
    let events = side.events();
    run.announce(&side.listen(&run.url).await?)?;
    let check = |size| if size == run.size { Ok(()) } else { Err(wrong_size(run.size, size)) };
    let work = async {
        for _ in 0..run.count {
            side.answer(check).await?;
        }
        Ok(())
    };
    while_connected(events, work).await?;
    side.close().await;
    Ok(())
}

/// Asks and measures.
pub(super) async fn remote(args: &Args) -> Result<(), Complaint> {
    let run = &args.run;
    let (side, pattern) = match args.pattern {
        Pattern::Req => (Side::req(run.options()), "req"),
        Pattern::Pair0 => (Side::pair0(run.options()), "pair0"),
        Pattern::Pair1 => (Side::pair1(run.options()), "pair1"),
    };
    let events = side.events();
    side.dial(&run.url, patiently()).await?;
    let body = Bytes::from(vec![0; run.size]);
    let work = async {
        side.wait_for_peer().await.map_err(|error| Complaint::new(error.to_string()))?;
        let mut round_trips = Vec::with_capacity(run.count.min(1 << 20) as usize);
        let start = Instant::now();
        let mut before = start;
        for _ in 0..run.count {
            let size = side.ask(body.clone()).await?;
            let now = Instant::now();
            round_trips.push(now - before);
            before = now;
            if size != run.size {
                return Err(wrong_size(run.size, size));
            }
        }
        Ok(Latency::new(round_trips, before - start))
    };
    let latency = while_connected(events, work).await?;
    side.close().await;
    let setting = Setting { url: run.url.clone(), pattern, size: run.size, count: run.count };
    let text = if run.json { latency.json(&setting).to_string() } else { latency.text(&setting) };
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}
