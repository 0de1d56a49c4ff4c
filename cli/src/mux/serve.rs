//! `spanwire mux serve`: takes channels and connects each to its target.

use super::counts::{Counts, name, place};
use super::local::Local;
use super::relay::relay;
use super::running::{self, Failures, Wishes};
use super::targets::{Target, Targets};
use super::{Common, UNREACHABLE};
use crate::args;
use crate::complaint::Complaint;
use crate::secure::{self, Secure};
use spanwire::mux::{Channel, Code, Server, ServerOptions};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Take channels and connect each to its target
///
/// The id of a channel chooses the target; one without a name before it takes all other ids:
///
///   spanwire mux serve --listen tcp://:7000 --id db --to tcp://db:5432 --id web --to ipc:///run/web
///
/// Ends with status 0 on SIGINT and SIGTERM.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(verbatim_doc_comment, after_help = args::EXIT_STATUS)]
pub(super) struct Args {
    /// Listen here, over any transport
    #[arg(long, value_name = "URL", required = true)]
    listen: Vec<String>,
    #[command(flatten)]
    targets: Targets,
    /// Other sides at once; more are refused
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    peers: u32,
    #[command(flatten)]
    common: Common,
}

/// What all channels share.
struct Serve {
    targets: Vec<Target>,
    counts: Counts,
    failures: Failures,
    verbose: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Complaint> {
    let targets = args.targets.check()?;
    crate::block_on(serve(args, targets))
}

async fn serve(args: &Args, targets: Vec<Target>) -> Result<(), Complaint> {
    let mut wishes = Wishes::new(&args.common)?;
    let server = listen(&args.common, &args.listen, args.peers).await?;
    let _service = args.common.show("serve", &server).await?;
    let serve = Arc::new(Serve {
        targets,
        counts: Counts::default(),
        failures: Failures::default(),
        verbose: args.common.verbose,
    });
    let mut carrying = JoinSet::new();
    let taking = take(&serve, &server, args.common.connections, &mut carrying);
    let ended = wishes.grant(&serve.counts, || server.connections(), taking).await;
    let verbose = args.common.verbose;
    if verbose {
        serve.counts.report(&server.connections());
    }
    running::end(verbose, server.close(args.common.grace()), carrying).await?;
    ended
}

/// A server that listens at all of these.
pub(super) async fn listen(common: &Common, urls: &[String], peers: u32) -> Result<Server, Complaint> {
    urls.iter().try_for_each(|url| super::carries(url))?;
    let secure: Secure = common.tls.read().map_err(Complaint::new)?;
    // Only those with TLS look at what is there for it.
    let secured = urls.iter().find(|url| secure::is_secured(url)).or(urls.first());
    let listen = secured.map(|url| secure.listening(url)).transpose()?.unwrap_or_default();
    let server = Server::with(ServerOptions {
        mux: common.options(),
        listen,
        connections: peers as usize,
        ..ServerOptions::default()
    });
    if common.verbose {
        tokio::spawn(running::narrate(server.events()));
    }
    for url in urls {
        let at = server.listen(url).await?;
        if common.verbose {
            eprintln!("listening on {at}");
        }
    }
    Ok(server)
}

async fn take(
    serve: &Arc<Serve>,
    server: &Server,
    connections: u32,
    carrying: &mut JoinSet<()>,
) -> Complaint {
    let room = Arc::new(Semaphore::new(connections as usize));
    loop {
        let channel = match server.accept("").await {
            Ok(channel) => channel,
            Err(error) => return Complaint::new(error.to_string()),
        };
        while carrying.try_join_next().is_some() {}
        let id = channel.id().as_str();
        let Some(target) = serve.targets.iter().find(|target| target.takes(id)).cloned() else {
            serve.refuse(&channel, Code::NOBODY, format!("there is no target for the id {id:?}"));
            continue;
        };
        let Ok(place) = room.clone().try_acquire_owned() else {
            serve.refuse(&channel, Code::BUSY, format!("{connections} connections are carried already"));
            continue;
        };
        let serve = serve.clone();
        carrying.spawn(async move {
            serve.carry(&channel, &target).await;
            drop(place);
        });
    }
}

impl Serve {
    fn refuse(&self, channel: &Channel, code: Code, why: String) {
        self.counts.refused();
        channel.reset(code, &why);
        self.failures.tell(
            self.verbose,
            format!("refused a channel of connection {}: {why}", place(&channel.connection())),
        );
    }

    async fn carry(&self, channel: &Channel, target: &Target) {
        let local = match Local::connect(&target.addr).await {
            Ok(local) => local,
            Err(error) => return self.refuse(channel, UNREACHABLE, error.to_string()),
        };
        let called = name(channel);
        if self.verbose {
            eprintln!("{called}: is carried to {}", target.addr);
        }
        let carried = self.counts.carried(channel);
        let done = relay(local, channel, &self.counts).await;
        drop(carried);
        match done {
            Ok(()) => {
                self.failures.forget();
                if self.verbose {
                    eprintln!("{called}: has ended");
                }
            }
            Err(cut) => {
                self.counts.cut();
                if self.verbose {
                    eprintln!("{called}: was {cut}");
                }
            }
        }
    }
}
