//! `remote-thr` sends, `local-thr` receives and measures.
//!
//! An empty message goes first and starts the clock, as with nng's programs: what is measured is the
//! flow of messages, not how long it took to connect.

use super::figures::{Setting, Throughput};
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
pub(super) async fn local(args: &Args) -> Result<(), Complaint> {
    let run = &args.run;
    let (side, pattern) = match args.pattern {
        Pattern::Push => (Side::pull(run.options()), "push"),
        Pattern::Pair0 => (Side::pair0(run.options()), "pair0"),
        Pattern::Pair1 => (Side::pair1(run.options()), "pair1"),
    };
    let events = side.events();
    let listener = side.listen(&run.url).await?;
    run.announce(&listener)?;
    let work = async {
        match side.recv().await? {
            0 => {}
            size => return Err(wrong_size(0, size)),
        }
        let start = Instant::now();
        for _ in 0..run.count {
            let size = side.recv().await?;
            if size != run.size {
                return Err(wrong_size(run.size, size));
            }
        }
        Ok(start.elapsed())
    };
    let total = while_connected(events, work).await?;
    side.close().await;
    let setting = Setting { url: listener.url().to_owned(), pattern, size: run.size, count: run.count };
    let throughput = Throughput::new(&setting, total);
    let text = if run.json { throughput.json(&setting).to_string() } else { throughput.text(&setting) };
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}

/// Sends.
pub(super) async fn remote(args: &Args) -> Result<(), Complaint> {
    let run = &args.run;
    let side = match args.pattern {
        Pattern::Push => Side::push(run.options()),
        Pattern::Pair0 => Side::pair0(run.options()),
        Pattern::Pair1 => Side::pair1(run.options()),
    };
    let events = side.events();
    side.dial(&run.url, patiently()).await?;
    let body = Bytes::from(vec![0; run.size]);
    let work = async {
        side.send(Bytes::new()).await?;
        for _ in 0..run.count {
            side.send(body.clone()).await?;
        }
        Ok(())
    };
    while_connected(events, work).await?;
    match side.close().await.abandoned {
        0 => Ok(()),
        count => Err(Complaint::new(format!("{count} messages were not taken"))
            .advise("start both sides with the same pattern, size and count")),
    }
}
