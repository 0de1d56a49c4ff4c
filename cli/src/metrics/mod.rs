//! `spanwire metrics`: the sockets of a program as Prometheus text, once or for a scraper.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `http` | as much of HTTP as a scraper needs |

mod http;

use crate::args;
use crate::complaint::Complaint;
use spanwire::watch::{Detail, Viewer};
use std::io::{self, Write};
use std::time::Duration;
use tokio::net::TcpListener;

/// Print what the sockets of a running program count, or let Prometheus scrape it
///
/// The program serves its sockets at an address: `spanwire::watch::serve(URL)`, or `--stats URL` of a
/// command here. Without --listen the text is printed once:
///
///   spanwire metrics ipc:///run/worker.stats
///   spanwire metrics ipc:///run/worker.stats --listen 127.0.0.1:9100
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(verbatim_doc_comment, after_help = args::EXIT_STATUS)]
pub(crate) struct Args {
    /// Where the program serves its sockets
    url: String,
    /// Answer GET /metrics here, until SIGINT or SIGTERM; port 0 lets the system choose
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Series for each peer, too
    #[arg(long)]
    peers: bool,
}

/// A program that is there answers in less.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &Args) -> Result<(), Complaint> {
    crate::block_on(async {
        let detail = if args.peers { Detail::Peers } else { Detail::Sockets };
        let viewer = Viewer::connect(&args.url).await?;
        let Some(address) = &args.listen else {
            let text = viewer.prometheus(detail, PATIENCE).await?;
            io::stdout().write_all(text.as_bytes())?;
            return Ok(());
        };
        let stop = crate::device::stop_signal()?;
        let cannot = |error| {
            Complaint::new(format!("cannot listen on {address}: {error}"))
                .advise("give a host and a port that is free, as in 127.0.0.1:9100")
        };
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let local = listener.local_addr().map_err(cannot)?;
        eprintln!("listening on http://{local}/metrics");
        tokio::select! {
            () = http::serve(listener, viewer, detail) => {}
            () = stop => {}
        }
        Ok(())
    })
}
