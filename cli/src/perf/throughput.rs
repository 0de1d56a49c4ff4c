//! `remote-thr` sends, `local-thr` receives and measures.
//!
//! An empty message goes first and starts the clock, as with nng's programs: what is measured is the
//! flow of messages, not how long it took to connect.

use super::figures::Throughput;
use super::side::{Kind, Side};
use super::{Run, SAME, check_size};
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

/// Patterns that wait for slow receivers.
#[derive(clap::ValueEnum, Copy, Clone, Debug, Default)]
enum Pattern {
    /// PUSH sends, PULL receives
    #[default]
    Push,
    /// PAIR v0 on both sides
    Pair0,
    /// PAIR v1 on both sides, as nng's own programs have it
    Pair1,
}

/// Receives and measures.
pub(super) async fn local<S: Side>(args: &Args) -> Result<(), Complaint> {
    let run = &args.run;
    let (kind, pattern) = match args.pattern {
        Pattern::Push => (Kind::Pull, "push"),
        Pattern::Pair0 => (Kind::Pair0, "pair0"),
        Pattern::Pair1 => (Kind::Pair1, "pair1"),
    };
    let side = S::open(kind, run.options());
    let _service = side.show(&run.stats, &run.secure()?).await?;
    let listener = side.listen(&run.url, run.listening()?).await?;
    run.announce(&listener)?;
    let work = async {
        check_size(0, side.recv().await?)?;
        let start = Instant::now();
        for _ in 0..run.count {
            check_size(run.size, side.recv().await?)?;
        }
        Ok(start.elapsed())
    };
    let total = side.while_connected(work).await?;
    side.close().await;
    let setting = run.setting(listener.url(), pattern);
    let throughput = Throughput::new(&setting, total);
    let text = if run.json { throughput.json(&setting).to_string() } else { throughput.text(&setting) };
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}

/// Sends.
pub(super) async fn remote<S: Side>(args: &Args) -> Result<(), Complaint> {
    let run = &args.run;
    let kind = match args.pattern {
        Pattern::Push => Kind::Push,
        Pattern::Pair0 => Kind::Pair0,
        Pattern::Pair1 => Kind::Pair1,
    };
    let side = S::open(kind, run.options());
    let _service = side.show(&run.stats, &run.secure()?).await?;
    side.dial(&run.url, run.dialing()?).await?;
    let body = Bytes::from(vec![0; run.size]);
    let work = async {
        side.send(Bytes::new()).await?;
        for _ in 0..run.count {
            side.send(body.clone()).await?;
        }
        Ok(())
    };
    side.while_connected(work).await?;
    match side.close().await.abandoned {
        0 => Ok(()),
        count => Err(Complaint::new(format!("{count} messages were not taken")).advise(SAME)),
    }
}
