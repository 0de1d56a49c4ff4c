//! The same work with Spanwire: the async and the blocking API, as a user would write it.
//!
//! * `roundtrip`, `oneway`, `publish`, `flight`, `load`, `pushers`, `threads`, `idle`, `connect`, `mixed`,
//!   `outrun`: a work each, both ends, both APIs. `inproc`: both ends in one process.
//! * `mux`: the works of multiplexers, whose ends are the same for all of them but for what is in here.
//!
//! Bodies are handed over as clones of one `Bytes`, so what is measured is the library and not the
//! allocator of the caller; the limit copies from one body too.

mod connect;
mod flight;
mod idle;
mod inproc;
mod load;
mod mixed;
pub(crate) mod mux;
mod oneway;
mod outrun;
mod publish;
mod pushers;
mod roundtrip;
mod threads;

use crate::serve;
use crate::subject::Subject;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use spanwire::tls::{Identity, Roots, TlsClient, TlsClientOptions, TlsServer, TlsServerOptions};
use spanwire::{DialOptions, ListenOptions, Message, Options, Stats};
use spanwire_bench_ends::{Cell, Mode, Role, Transport, Work, secure};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Is one end of a Spanwire workload.
pub(crate) fn run(role: &Role, subject: Subject) -> Result<()> {
    if let Work::Mux(_) = role.cell.work {
        return mux::run(role);
    }
    let flow = Flow::new(&role.cell, subject);
    match (role.cell.transport, is_blocking(subject)) {
        (Transport::Inproc, _) => inproc::run(role, subject, &flow),
        (_, true) => run_blocking(role, &flow),
        (_, false) => runtime(subject)?.block_on(run_async(role, &flow)),
    }
}

async fn run_async(role: &Role, flow: &Flow) -> Result<()> {
    match role.cell.work {
        Work::RoundTrip => roundtrip::run(role, flow).await,
        Work::OneWay => oneway::run(role, flow).await,
        Work::Publish | Work::Stall => publish::run(role, flow).await,
        Work::Flight => flight::run(role, flow).await,
        Work::Load => load::run(role, flow).await,
        Work::Pushers => pushers::run(role, flow).await,
        Work::Threads => threads::run(role, flow).await,
        Work::Idle => idle::run(role).await,
        Work::Connect => connect::run(role, flow).await,
        Work::Mixed => mixed::run(role, flow).await,
        Work::Outrun => outrun::run(role, flow).await,
        Work::Mux(_) => bail!("this has a way of its own"),
    }
}

fn run_blocking(role: &Role, flow: &Flow) -> Result<()> {
    match role.cell.work {
        Work::RoundTrip => roundtrip::run_blocking(role, flow),
        Work::OneWay => oneway::run_blocking(role, flow),
        Work::Publish | Work::Stall => publish::run_blocking(role, flow),
        Work::Flight => flight::run_blocking(role, flow),
        Work::Load => load::run_blocking(role, flow),
        Work::Pushers => pushers::run_blocking(role, flow),
        Work::Threads => threads::run_blocking(role, flow),
        Work::Idle => idle::run_blocking(role),
        Work::Connect => connect::run_blocking(role, flow),
        Work::Mixed => mixed::run_blocking(role, flow),
        Work::Outrun => outrun::run_blocking(role, flow),
        Work::Mux(_) => bail!("multiplexers are measured with their async API"),
    }
}

fn is_blocking(subject: Subject) -> bool {
    matches!(subject, Subject::Blocking | Subject::BlockingMany)
}

/// The options of every socket. What a work needs beside them it says itself.
fn options(cell: &Cell) -> Options {
    let spin = if cell.mode == Mode::Spin { SPIN } else { Duration::ZERO };
    Options { spin, ..Options::default() }
}

/// How servers listen.
fn listening() -> Result<ListenOptions> {
    let options = TlsServerOptions::new(Identity::pem(secure::CERTIFICATE, secure::KEY));
    let tls = TlsServer::new(options).context("setting up TLS")?;
    Ok(ListenOptions { tls: Some(tls), ..ListenOptions::default() })
}

/// How clients dial.
fn dialing() -> Result<DialOptions> {
    let options = TlsClientOptions { roots: Roots::pem(secure::CERTIFICATE), ..TlsClientOptions::default() };
    let tls = TlsClient::new(options).context("setting up TLS")?;
    Ok(DialOptions { tls: Some(tls), ..DialOptions::default() })
}

/// How long a receiver looks for input before it sleeps, in the mode `spin`.
const SPIN: Duration = Duration::from_micros(200);

/// What flows.
#[derive(Clone, Debug)]
struct Flow {
    body: Bytes,
    /// Whether many messages are handed over with one call.
    many: bool,
}

impl Flow {
    fn new(cell: &Cell, subject: Subject) -> Self {
        let many = matches!(subject, Subject::AsyncMany | Subject::BlockingMany);
        Self { body: Bytes::from(vec![b'x'; cell.body_bytes]), many }
    }

    /// A message to send.
    fn message(&self) -> Message {
        Message::new(self.body.clone())
    }

    /// Fails unless `message` is as long as what was sent.
    fn check(&self, message: &Message) -> Result<()> {
        match message.body().len() {
            length if length == self.body.len() => Ok(()),
            length => bail!("a body of {length} bytes arrived"),
        }
    }
}

fn runtime(subject: Subject) -> Result<Runtime> {
    let mut builder = match subject {
        Subject::AsyncThreads => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    builder.enable_all().build().context("cannot make a runtime")
}

/// How many messages a socket has dropped so far, for whatever reason.
fn dropped(stats: &Stats) -> u64 {
    stats.ledger.dropped_total()
}

fn nothing_left(abandoned: u64) -> Result<()> {
    match abandoned {
        0 => Ok(()),
        _ => bail!("{abandoned} messages were left unsent"),
    }
}

/// Everything has arrived by then; the close only says goodbye.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
