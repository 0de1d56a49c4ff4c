//! `spanwire metrics`: the sockets of a program as Prometheus text, once or for a scraper.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `http` | as much of HTTP as a scraper needs |
//! | `site` | where scrapers are answered, with TLS or without |

mod http;
mod site;

use crate::complaint::Complaint;
use crate::stats::{PATIENCE, looking};
use crate::{args, secure};
use site::Site;
use spanwire::watch::{Detail, Viewer};
use std::io::{self, Write};

/// Print what the sockets of a running program count, or let Prometheus scrape it
///
/// The program serves its sockets at an address: `spanwire::watch::serve(URL)`, or `--stats URL` of a
/// command here. Without --listen the text is printed once:
///
///   spanwire metrics ipc:///run/worker.stats
///   spanwire metrics ipc:///run/worker.stats --listen 127.0.0.1:9100
///
/// With `--listen https://HOST:PORT` the answer goes over TLS, with our certificate, and to those alone whose
/// certificates --cacert trusts, if it is given.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(verbatim_doc_comment, after_help = args::EXIT_STATUS)]
pub(crate) struct Args {
    /// Where the program serves its sockets
    url: String,
    /// Answer GET /metrics here, until SIGINT or SIGTERM; port 0 lets the system choose
    #[arg(long, value_name = "[https://]HOST:PORT")]
    listen: Option<String>,
    /// Series for each peer, multiplexed connection and channel, too
    #[arg(long)]
    peers: bool,
    #[command(flatten)]
    tls: secure::Flags,
}

pub(crate) fn run(args: &Args) -> Result<(), Complaint> {
    let secure = args.tls.read().map_err(Complaint::new)?;
    crate::block_on(async {
        let detail = if args.peers { Detail::Peers } else { Detail::Sockets };
        let viewer = Viewer::connect_with(&args.url, looking(&args.url, &secure)?).await?;
        let Some(address) = &args.listen else {
            let text = viewer.prometheus(detail, PATIENCE).await?;
            io::stdout().write_all(text.as_bytes())?;
            return Ok(());
        };
        let stop = crate::device::stop_signal()?;
        let site = Site::open(address, &secure).await?;
        eprintln!("listening on {}", site.url());
        tokio::select! {
            () = http::serve(site, viewer, detail) => {}
            () = stop => {}
        }
        Ok(())
    })
}
