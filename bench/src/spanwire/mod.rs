//! The same work with Spanwire: the async and the blocking API, as a user would write it.
//!
//! * `serve`: jobs for an end that lives on a runtime.
//! * `oneway`, `roundtrip`: one end each, given its socket. `inproc`: both ends in one process.
//!
//! Bodies are handed over as clones of one `Bytes`, so what is measured is the library and not the
//! allocator of the caller; the limit copies from one body too.

mod inproc;
mod oneway;
mod roundtrip;
mod serve;

use crate::pin::Side;
use crate::plan::{Cell, Subject, Transport, Work};
use crate::role::{self, Role};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use spanwire::{Message, PullSocket, PushSocket, RepSocket, ReqSocket, blocking};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Is one end of a Spanwire workload.
pub(crate) fn run(role: &Role) -> Result<()> {
    let flow = Flow::new(&role.cell, role.subject);
    match (role.cell.transport, is_blocking(role.subject)) {
        (Transport::Inproc, _) => inproc::run(role, &flow),
        (_, true) => run_blocking(role, &flow),
        (_, false) => runtime(role.subject)?.block_on(run_async(role, &flow)),
    }
}

fn is_blocking(subject: Subject) -> bool {
    matches!(subject, Subject::Blocking | Subject::BlockingMany)
}

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

async fn run_async(role: &Role, flow: &Flow) -> Result<()> {
    let address = &role.address;
    match (role.cell.work, role.side) {
        (Work::RoundTrip, Side::Server) => {
            let socket = RepSocket::new();
            let listener = socket.listen(address).await.context("listening")?;
            role::say_url(listener.url())?;
            socket.wait_peers(1).await.context("waiting for the client")?;
            serve::on_runtime(async |job| roundtrip::answer(&socket, job, flow).await).await
        }
        (Work::RoundTrip, Side::Client) => {
            let socket = ReqSocket::new();
            let _dialer = socket.dial(address).await.context("dialing")?;
            serve::on_runtime(async |job| roundtrip::ask(&socket, job, flow, 1).await).await
        }
        (Work::OneWay, Side::Server) => {
            let socket = PullSocket::new();
            let listener = socket.listen(address).await.context("listening")?;
            role::say_url(listener.url())?;
            socket.wait_peers(1).await.context("waiting for the client")?;
            serve::on_runtime(async |job| oneway::receive(&socket, job, flow).await).await
        }
        (Work::OneWay, Side::Client) => {
            let socket = PushSocket::new();
            let _dialer = socket.dial(address).await.context("dialing")?;
            serve::on_runtime(async |job| oneway::send(&socket, job, flow).await).await?;
            let report = socket.close(CLOSE_DEADLINE).await;
            nothing_left(report.abandoned)
        }
    }
}

fn run_blocking(role: &Role, flow: &Flow) -> Result<()> {
    let address = &role.address;
    match (role.cell.work, role.side) {
        (Work::RoundTrip, Side::Server) => {
            let socket = blocking::RepSocket::new();
            let listener = socket.listen(address).context("listening")?;
            role::say_url(listener.url())?;
            socket.wait_peers(1).context("waiting for the client")?;
            role::serve(|job| roundtrip::answer_blocking(&socket, job, flow))
        }
        (Work::RoundTrip, Side::Client) => {
            let socket = blocking::ReqSocket::new();
            let _dialer = socket.dial(address).context("dialing")?;
            role::serve(|job| roundtrip::ask_blocking(&socket, job, flow))
        }
        (Work::OneWay, Side::Server) => {
            let socket = blocking::PullSocket::new();
            let listener = socket.listen(address).context("listening")?;
            role::say_url(listener.url())?;
            socket.wait_peers(1).context("waiting for the client")?;
            role::serve(|job| oneway::receive_blocking(&socket, job, flow))
        }
        (Work::OneWay, Side::Client) => {
            let socket = blocking::PushSocket::new();
            let _dialer = socket.dial(address).context("dialing")?;
            role::serve(|job| oneway::send_blocking(&socket, job, flow))?;
            let report = socket.close(CLOSE_DEADLINE);
            nothing_left(report.abandoned)
        }
    }
}

fn nothing_left(abandoned: u64) -> Result<()> {
    match abandoned {
        0 => Ok(()),
        _ => bail!("{abandoned} messages were left unsent"),
    }
}

/// Everything has arrived by then; the close only says goodbye.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
