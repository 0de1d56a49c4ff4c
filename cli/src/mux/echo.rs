//! `spanwire mux echo`: sends back what comes on every channel.

use super::counts::{Counts, name};
use super::running::{self, Wishes};
use super::{Common, serve};
use crate::args;
use crate::complaint::Complaint;
use spanwire::mux::{Channel, Code, RecvError, Server};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Send back what comes on every channel, messages and streams, to try programs with
///
/// A channel ends when its peer has ended its half. Ends with status 0 on SIGINT and SIGTERM.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(after_help = args::EXIT_STATUS)]
pub(super) struct Args {
    /// Listen here, over any transport
    #[arg(long, value_name = "URL", required = true)]
    listen: Vec<String>,
    /// Other sides at once; more are refused
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    peers: u32,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args) -> Result<(), Complaint> {
    crate::block_on(echo(args))
}

async fn echo(args: &Args) -> Result<(), Complaint> {
    let mut wishes = Wishes::new(&args.common)?;
    let server = serve::listen(&args.common, &args.listen, args.peers).await?;
    let _service = args.common.show("echo", &server).await?;
    let counts = Arc::new(Counts::default());
    let mut carrying = JoinSet::new();
    let taking = take(&counts, &server, &args.common, &mut carrying);
    let ended = wishes.grant(&counts, || server.connections(), taking).await;
    if args.common.verbose {
        counts.report(&server.connections());
    }
    running::end(args.common.verbose, server.close(args.common.grace()), carrying).await?;
    ended
}

async fn take(
    counts: &Arc<Counts>,
    server: &Server,
    common: &Common,
    carrying: &mut JoinSet<()>,
) -> Complaint {
    let room = Arc::new(Semaphore::new(common.connections as usize));
    let verbose = common.verbose;
    loop {
        let channel = match server.accept("").await {
            Ok(channel) => channel,
            Err(error) => return Complaint::new(error.to_string()),
        };
        while carrying.try_join_next().is_some() {}
        let Ok(place) = room.clone().try_acquire_owned() else {
            counts.refused();
            channel.reset(Code::BUSY, "");
            continue;
        };
        let counts = counts.clone();
        carrying.spawn(async move {
            let carried = counts.carried(&channel);
            let done = send_back(&channel, &counts).await;
            drop(carried);
            match done {
                Ok(()) if verbose => eprintln!("{}: has ended", name(&channel)),
                Ok(()) => {}
                Err(why) => {
                    counts.cut();
                    if verbose {
                        eprintln!("{}: was cut: {why}", name(&channel));
                    }
                }
            }
            drop(place);
        });
    }
}

/// Each message or stream as it comes: whoever waits for the first bytes before he sends more gets them.
async fn send_back(channel: &Channel, counts: &Counts) -> Result<(), String> {
    loop {
        let mut from = match channel.recv_stream().await {
            Ok(from) => from,
            Err(RecvError::Finished) => break,
            Err(error) => return Err(error.to_string()),
        };
        let mut to = channel.send_stream().await.map_err(|error| error.to_string())?;
        while let Some(bytes) = from.read_chunk().await.map_err(|error| error.to_string())? {
            counts.received(bytes.len());
            counts.sent(bytes.len());
            to.write_chunk(bytes).await.map_err(|error| error.to_string())?;
        }
        to.finish();
    }
    channel.finish();
    Ok(())
}
