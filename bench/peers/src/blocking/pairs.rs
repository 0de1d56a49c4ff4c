//! One sender or asker, one receiver or answerer.

use super::{Kind, Library, Socket};
use crate::body;
use anyhow::{Context, Result, anyhow};
use spanwire_bench_ends::{Arrivals, Cell, Job, Measure, Role, Side, Stopwatch, Work, pin, role};
use std::time::Duration;

pub(super) fn answer<L: Library>(library: &L, role: &Role) -> Result<()> {
    let mut socket = listen(library, Kind::Rep, role)?;
    role::serve(|job| answer_job(&mut socket, job, role.cell))
}

pub(super) fn ask<L: Library>(library: &L, role: &Role) -> Result<()> {
    let mut socket = dial(library, Kind::Req, role)?;
    let body = L::Socket::body(body::filling(role.cell.body_bytes))?;
    role::serve(|job| ask_job(&mut socket, &body, job, role.cell))
}

/// Also receives from many threads and from many connections in turn: it cannot tell.
pub(super) fn receive<L: Library>(library: &L, role: &Role) -> Result<()> {
    let mut socket = listen(library, Kind::Pull, role)?;
    role::serve(|job| receive_job(&mut socket, job, role.cell))
}

pub(super) fn send<L: Library>(library: &L, role: &Role) -> Result<()> {
    let mut socket = dial(library, Kind::Push, role)?;
    let body = L::Socket::body(body::filling(role.cell.body_bytes))?;
    role::serve(|job| send_job(&mut socket, &body, job))
}

pub(super) fn round_trips_inproc<L: Library>(library: &L, role: &Role) -> Result<()> {
    let (mut server, mut client) = open_both(library, Kind::Rep, Kind::Req, role)?;
    let body = L::Socket::body(body::filling(role.cell.body_bytes))?;
    role::serve(|job| {
        let answer = || answer_job(&mut server, job, role.cell);
        Ok(on_two_threads(role, answer, || ask_job(&mut client, &body, job, role.cell))?.1)
    })
}

pub(super) fn one_way_inproc<L: Library>(library: &L, role: &Role) -> Result<()> {
    let (mut server, mut client) = open_both(library, Kind::Pull, Kind::Push, role)?;
    let body = L::Socket::body(body::filling(role.cell.body_bytes))?;
    role::serve(|job| {
        let receive = || receive_job(&mut server, job, role.cell);
        Ok(on_two_threads(role, receive, || send_job(&mut client, &body, job))?.0)
    })
}

/// A socket that listens, which the parent knows.
pub(super) fn listen<L: Library>(library: &L, kind: Kind, role: &Role) -> Result<L::Socket> {
    let mut socket = library.open(kind, role.cell.body_bytes)?;
    let url = socket.listen(&role.address).context("listening")?;
    role::say_url(&url)?;
    Ok(socket)
}

/// A socket that has dialed.
pub(super) fn dial<L: Library>(library: &L, kind: Kind, role: &Role) -> Result<L::Socket> {
    let mut socket = library.open(kind, role.cell.body_bytes)?;
    socket.dial(&role.address).context("dialing")?;
    Ok(socket)
}

fn open_both<L: Library>(
    library: &L,
    server: Kind,
    client: Kind,
    role: &Role,
) -> Result<(L::Socket, L::Socket)> {
    let mut server = library.open(server, role.cell.body_bytes)?;
    server.listen(&role.address).context("listening")?;
    Ok((server, dial(library, client, role)?))
}

fn answer_job(socket: &mut impl Socket, job: Job, cell: Cell) -> Result<Measure> {
    for _ in 0..job.count {
        body::check(socket.echo().context("answering")?, cell.body_bytes)?;
    }
    Ok(Measure::moved(job.count))
}

fn ask_job<S: Socket>(socket: &mut S, body: &S::Body, job: Job, cell: Cell) -> Result<Measure> {
    let mut watch = Stopwatch::start(job.count, job.group(1));
    for _ in 0..job.count {
        socket.send(body).context("asking")?;
        let length = socket.recv(None, <[u8]>::len).context("waiting for an answer")?;
        body::check(length.context("no answer came")?, cell.body_bytes)?;
        watch.lap();
    }
    Ok(watch.finish())
}

fn receive_job(socket: &mut impl Socket, job: Job, cell: Cell) -> Result<Measure> {
    let mut arrivals = Arrivals::new(job.count);
    while arrivals.missing() > 0 {
        // Only a socket that is closed at once may take a message with it.
        let patience: Option<Duration> = (cell.work == Work::Connect).then(|| arrivals.patience());
        match socket.recv(patience, <[u8]>::len).context("receiving")? {
            Some(length) => body::check(length, cell.body_bytes)?,
            None => {
                arrivals.quiet();
                break;
            }
        }
        arrivals.note(1);
    }
    let lost = arrivals.missing();
    Ok(Measure { lost, ..arrivals.finish() })
}

fn send_job<S: Socket>(socket: &mut S, body: &S::Body, job: Job) -> Result<Measure> {
    for _ in 0..job.count {
        socket.send(body).context("sending")?;
    }
    Ok(Measure::moved(job.count))
}

/// Runs the server on a thread of its own and the client on this one.
fn on_two_threads(
    role: &Role,
    server: impl FnOnce() -> Result<Measure> + Send,
    client: impl FnOnce() -> Result<Measure>,
) -> Result<(Measure, Measure)> {
    std::thread::scope(|scope| {
        let server = scope.spawn(move || {
            pin::this_thread(role.cell.mode, Side::Server)?;
            server()
        });
        let client = client()?;
        let server = server.join().map_err(|_| anyhow!("the server's thread panicked"))??;
        Ok((server, client))
    })
}
