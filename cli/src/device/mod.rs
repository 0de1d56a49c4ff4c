//! `spanwire device`: joins two addresses with raw sockets, until it is told to stop.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `sides` | which protocol listens and dials where, from the order of the arguments |
//! | `counts` | what went through |

mod counts;
mod sides;

use crate::args;
use crate::complaint::Complaint;
use crate::secure::{self, Secure};
use crate::stats::Stats;
use counts::Counts;
use sides::{Address, Side};
use spanwire::device::{Device, DeviceError, Direction};
use spanwire::{DialOptions, Event, Events, Options, PubSocket, RawSocket, Start};
use std::time::Duration;

/// Join two addresses: what arrives at one side goes out at the other
///
/// Each side is a protocol and the addresses after it, any number of them:
///
///   spanwire device rep --listen tcp://:5555  req --dial ipc:///run/service
///   spanwire device sub --dial tcp://news:5556  pub --listen tcp://:5557 --tap ipc:///tmp/tap
///   spanwire device bus --listen tcp://:5558 --listen ipc:///tmp/bus --reflect
///
/// Protocols: pair0, pair1, pub, sub, req, rep, push, pull, surveyor, respondent, bus. The two of
/// a device are each other's peers. Dialled addresses need not be there yet; they are tried until
/// they are. Ends with status 0 on SIGINT and SIGTERM.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(verbatim_doc_comment, after_help = args::EXIT_STATUS)]
#[command(override_usage = "spanwire device [OPTIONS] PROTOCOL (--listen URL | --dial URL)... \
    PROTOCOL (--listen URL | --dial URL)...\n       \
    spanwire device [OPTIONS] --reflect PROTOCOL (--listen URL | --dial URL)...")]
pub(crate) struct Args {
    #[command(flatten)]
    sides: sides::Sides,
    /// Send back what arrives; one side only, of a protocol that is its own peer
    #[arg(long)]
    reflect: bool,
    /// Publish the body of every message here too (SUB sockets may look on)
    #[arg(long, value_name = "URL")]
    tap: Vec<String>,
    /// How many devices a message may pass, itself included
    #[arg(long, value_name = "HOPS", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=15))]
    hop_limit: u8,
    #[command(flatten)]
    stats: Stats,
    /// Tell on standard error what happens, and at the end what went through
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    tls: secure::Flags,
}

/// What still waits at the end has this long to be sent.
const GOODBYE: Duration = Duration::from_secs(2);

pub(crate) fn run(args: Args) -> Result<(), Complaint> {
    let sides = args.sides.check(args.reflect)?;
    let secure = args.tls.read().map_err(Complaint::new)?;
    crate::block_on(serve(&args, &sides, &secure))
}

async fn serve(args: &Args, sides: &[Side], secure: &Secure) -> Result<(), Complaint> {
    // Before anything listens, so that whoever sees us listen can end us.
    let stop = stop_signal()?;
    let counts = Counts::default();
    let tap = (!args.tap.is_empty()).then(PubSocket::new);
    let options = Options { hop_limit: args.hop_limit, ..Options::default() };
    let sockets: Vec<_> = sides.iter().map(|side| RawSocket::with(side.protocol, options.clone())).collect();
    let device = join(&sockets)?.tap(|direction, message| {
        counts.passed(direction, message.body().len());
        if let Some(tap) = &tap {
            // Never waits, and fails only when it is closed: onlookers do not hold us up.
            let _ = tap.try_send(message.body().clone());
        }
    });
    let names = sides.iter().map(|side| side.protocol.name());
    let service = args.stats.show(secure, names.zip(&sockets)).await?;
    if let (Some(service), true) = (&service, args.verbose) {
        eprintln!("stats: listening on {}", service.url());
    }
    for (side, socket) in sides.iter().zip(&sockets) {
        if args.verbose {
            tokio::spawn(narrate(side.protocol.name(), socket.events()));
        }
        for address in &side.addresses {
            attach(socket, address, secure, args.verbose).await?;
        }
    }
    if let Some(tap) = &tap {
        if args.verbose {
            tokio::spawn(narrate("tap", tap.events()));
        }
        for url in &args.tap {
            let listener = tap.listen_with(url, secure.listening(url)?).await?;
            if args.verbose {
                eprintln!("tap: listening on {}", listener.url());
            }
        }
    }
    let ended = tokio::select! {
        why = device.run() => Err(why),
        () = stop => Ok(()),
    };
    let mut closed = Vec::new();
    for socket in &sockets {
        closed.push(socket.close(GOODBYE).await);
    }
    if let Some(tap) = &tap {
        tap.close(GOODBYE).await;
    }
    if args.verbose {
        counts.report(sides, &sockets, &closed);
    }
    ended.map_err(|why| Complaint::new(why.to_string()))
}

fn join(sockets: &[RawSocket]) -> Result<Device<'_>, Complaint> {
    let joined = match sockets {
        [one] => Device::reflector(one.clone()),
        [one, other] => Device::new(one.clone(), other.clone()),
        _ => unreachable!("there are one or two sides"),
    };
    joined.map_err(|error| {
        let DeviceError::Mismatch(one, other) = error else { return Complaint::new(error.to_string()) };
        match sockets.len() {
            1 => Complaint::usage(format!("{} is not its own peer, so it cannot be reflected", one.name()))
                .advise("reflect pair0, pair1 or bus"),
            _ => Complaint::usage(format!("a device cannot join {} and {}", one.name(), other.name()))
                .advise(
                    "join rep and req, sub and pub, pull and push, respondent and surveyor, or two of a kind",
                ),
        }
    })
}

async fn attach(
    socket: &RawSocket,
    address: &Address,
    secure: &Secure,
    verbose: bool,
) -> Result<(), Complaint> {
    match address {
        Address::Listen(url) => {
            let listener = socket.listen_with(url, secure.listening(url)?).await?;
            if verbose {
                eprintln!("{}: listening on {}", socket.protocol().name(), listener.url());
            }
        }
        Address::Dial(url) => {
            let options = DialOptions { start: Start::Background, ..secure.dialing(url)? };
            socket.dial_with(url, options).await?;
        }
    }
    Ok(())
}

/// Tells what happens on a socket.
async fn narrate(name: &'static str, mut events: Events) {
    while let Some(event) = events.next().await {
        match event {
            Event::Attached(peer) => eprintln!("{name}: {} is here", peer.ends.remote),
            Event::Detached(peer, why) => eprintln!("{name}: {} is gone: {why}", peer.ends.remote),
            Event::Refused(_, why) => eprintln!("{name}: refused a connection: {why}"),
            Event::DialFailed { error, .. } => eprintln!("{name}: {error}; trying again"),
            Event::UpgradeFailed { url, error } => {
                eprintln!("{name}: refused a connection at {url}: {error}")
            }
            Event::AcceptFailed { url, error } => eprintln!("{name}: cannot accept on {url}: {error}"),
            // Counted, and reported at the end.
            _ => {}
        }
    }
}

/// Ready when somebody wants us to end. They are heard from this call on.
#[cfg(unix)]
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()>, Complaint> {
    use tokio::signal::unix::{SignalKind, signal};
    let deaf = |error| Complaint::new(format!("cannot wait for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(deaf)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(deaf)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ready when somebody wants us to end.
#[cfg(not(unix))]
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()>, Complaint> {
    Ok(async {
        // If that cannot be waited for, the user ends us in a ruder way.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

/// Which way is which, for people.
fn arrow(direction: Direction) -> &'static str {
    match direction {
        Direction::Forth => "->",
        Direction::Back => "<-",
    }
}
