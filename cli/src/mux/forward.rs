//! `spanwire mux forward`: takes local connections and carries each as a channel.

use super::counts::{Counts, name};
use super::local::{Door, Local};
use super::relay::{Cut, relay};
use super::running::{self, Failures, Wishes};
use super::{Common, PATIENCE};
use crate::args;
use crate::complaint::Complaint;
use crate::secure;
use spanwire::mux::{ChannelId, End, OpenError, Pool, PoolOptions};
use spanwire::{Addr, DialError};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Take local connections and carry each as a channel, all over one connection
///
/// The connection to the other side is made for the first that comes, again for the next after it
/// was lost, and given up when nobody has used it for 5 minutes. A local connection that cannot be
/// carried is cut. Ends with status 0 on SIGINT and SIGTERM.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(after_help = args::EXIT_STATUS)]
pub(super) struct Args {
    /// Take local connections here: tcp://host:port or ipc://path
    #[arg(long, value_name = "URL", required = true)]
    listen: Vec<String>,
    /// The other side: where spanwire mux serve listens, over any transport
    #[arg(long, value_name = "URL")]
    to: String,
    /// What our channels are called there, which chooses the target
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    id: String,
    #[command(flatten)]
    common: Common,
}

/// What all local connections share.
struct Forward {
    pool: Pool,
    to: String,
    id: String,
    counts: Counts,
    failures: Failures,
    verbose: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Complaint> {
    crate::block_on(forward(args))
}

async fn forward(args: &Args) -> Result<(), Complaint> {
    super::carries(&args.to)?;
    let mut wishes = Wishes::new(&args.common)?;
    let secure = args.common.tls.read().map_err(Complaint::new)?;
    let address = |error| DialError::Address { url: args.to.as_str().into(), error };
    Addr::parse(&args.to).and_then(|addr| addr.for_dial()).map_err(address)?;
    ChannelId::new(&args.id).map_err(|error| Complaint::usage(error.to_string()))?;
    let pool = Pool::with(PoolOptions {
        mux: args.common.options(),
        dial: spanwire::DialOptions { connect_timeout: Some(PATIENCE), ..secure.dialing(&args.to)? },
        ..PoolOptions::default()
    });
    let verbose = args.common.verbose;
    if verbose {
        tokio::spawn(running::narrate(pool.events()));
    }
    let mut doors = Vec::new();
    for url in &args.listen {
        let (door, at) = Door::open(url).await?;
        doors.push(door);
        if verbose {
            eprintln!("listening on {at}");
        }
    }
    let _service = args.common.show("forward", &pool).await?;
    let forward = Arc::new(Forward {
        pool: pool.clone(),
        to: args.to.clone(),
        id: args.id.clone(),
        counts: Counts::default(),
        failures: Failures::default(),
        verbose,
    });
    let mut carrying = JoinSet::new();
    let taking = take(&forward, &doors, args.common.connections, &mut carrying);
    let ended = wishes.grant(&forward.counts, || pool.connections(), taking).await;
    // Nobody else comes in.
    drop(doors);
    if verbose {
        forward.counts.report(&pool.connections());
    }
    running::end(verbose, pool.close(args.common.grace()), carrying).await?;
    ended
}

/// Takes local connections as long as there is room; others wait in the kernel, as at any busy server.
async fn take(
    forward: &Arc<Forward>,
    doors: &[Door],
    connections: u32,
    carrying: &mut JoinSet<()>,
) -> Complaint {
    let room = Arc::new(Semaphore::new(connections as usize));
    let mut turn = 0;
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return Complaint::new("closed") };
        while carrying.try_join_next().is_some() {}
        match accept(doors, &mut turn).await {
            Ok((local, from)) => {
                let forward = forward.clone();
                carrying.spawn(async move {
                    forward.carry(local, &from).await;
                    drop(place);
                });
            }
            Err(error) => {
                forward.failures.tell(forward.verbose, format!("cannot accept: {error}"));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Out of descriptors, most likely: it does not help to ask again at once.
const PAUSE: Duration = Duration::from_millis(100);

/// The next local connection; doors take turns.
async fn accept(doors: &[Door], turn: &mut usize) -> io::Result<(Local, String)> {
    poll_fn(|cx| {
        for step in 0..doors.len() {
            let at = (*turn + step) % doors.len();
            if let Poll::Ready(accepted) = doors[at].poll_accept(cx) {
                *turn = at + 1;
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}

impl Forward {
    fn complain(&self, error: OpenError) -> Complaint {
        match error {
            // With TLS 1.3 a listener refuses our certificate after we are done.
            OpenError::Closed(End::Lost) if secure::is_secured(&self.to) => Complaint::new(error.to_string())
                .advise(
                    "if it was refused there: say who we are with --cert and --key, and see what it says",
                ),
            error => error.into(),
        }
    }

    async fn carry(&self, local: Local, from: &str) {
        let channel = match self.pool.open_timeout(&self.to, &self.id, PATIENCE).await {
            Ok(channel) => channel,
            Err(error) => {
                self.counts.refused();
                self.failures.tell(self.verbose, self.complain(error).to_string());
                return local.cut();
            }
        };
        let called = name(&channel);
        if self.verbose {
            eprintln!("{from}: is carried on {called}");
        }
        let carried = self.counts.carried(&channel);
        let done = relay(local, &channel, &self.counts).await;
        drop(carried);
        match done {
            Ok(()) => {
                self.failures.forget();
                if self.verbose {
                    eprintln!("{from}: has ended on {called}");
                }
            }
            Err(cut @ Cut::Refused(_)) => {
                self.counts.refused();
                self.failures.tell(self.verbose, format!("connection {cut}"));
            }
            Err(cut) => {
                self.counts.cut();
                if self.verbose {
                    eprintln!("{from}: was {cut}");
                }
            }
        }
    }
}
