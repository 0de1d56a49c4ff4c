//! `local-lat` answers, `remote-lat` asks and measures.

use super::figures::Latency;
use super::side::{Kind, Side};
use super::{Run, check_size};
use crate::complaint::Complaint;
use bytes::Bytes;
use std::io::{self, Write};
use std::time::Instant;

#[derive(clap::Args, Debug)]
#[group(skip)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) run: Run,
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
pub(super) async fn local<S: Side>(args: &Args) -> Result<(), Complaint> {
    let run = &args.run;
    let kind = match args.pattern {
        Pattern::Req => Kind::Rep,
        Pattern::Pair0 => Kind::Pair0,
        Pattern::Pair1 => Kind::Pair1,
    };
    let side = S::open(kind, run.options());
    let _service = side.show(&run.stats, &run.secure()?).await?;
    run.announce(&side.listen(&run.url, run.listening()?).await?)?;
    let work = async {
        for _ in 0..run.count {
            side.answer(run.size).await?;
        }
        Ok(())
    };
    side.while_connected(work).await?;
    side.close().await;
    Ok(())
}

/// Asks and measures.
pub(super) async fn remote<S: Side>(args: &Args) -> Result<(), Complaint> {
    let run = &args.run;
    let (kind, pattern) = match args.pattern {
        Pattern::Req => (Kind::Req, "req"),
        Pattern::Pair0 => (Kind::Pair0, "pair0"),
        Pattern::Pair1 => (Kind::Pair1, "pair1"),
    };
    let side = S::open(kind, run.options());
    let _service = side.show(&run.stats, &run.secure()?).await?;
    side.dial(&run.url, run.dialing()?).await?;
    let body = Bytes::from(vec![0; run.size]);
    let work = async {
        side.wait_for_peer().await?;
        let mut round_trips = Vec::with_capacity(run.count.min(1 << 20) as usize);
        let start = Instant::now();
        let mut before = start;
        for _ in 0..run.count {
            let size = side.ask(body.clone()).await?;
            let now = Instant::now();
            round_trips.push(now - before);
            before = now;
            check_size(run.size, size)?;
        }
        Ok(Latency::new(round_trips, before - start))
    };
    let latency = side.while_connected(work).await?;
    side.close().await;
    let setting = run.setting(&run.url, pattern);
    let text = if run.json { latency.json(&setting).to_string() } else { latency.text(&setting) };
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}
