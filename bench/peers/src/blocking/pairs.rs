//! One sender or asker, one receiver or answerer.

use super::{Library, Socket};
use crate::body;
use crate::kind::Kind;
use crate::tally::Tally;
use anyhow::{Context, Result, anyhow};
use spanwire_bench_ends::{Cell, Job, Measure, Role, Side, Stopwatch, Work, pin, role, usage};

/// Also answers many at once, where the socket is of a kind that can, and connections in turn.
pub(super) fn answer<L: Library>(library: &L, kind: Kind, role: &Role) -> Result<()> {
    let mut socket = listen(library, kind, role)?;
    role::serve(|job| answer_job(&mut socket, job, role))
}

pub(super) fn ask<L: Library>(library: &L, role: &Role) -> Result<()> {
    let mut socket = dial(library, Kind::Req, role)?;
    let body = L::Socket::body(body::filling(role.cell.body_bytes))?;
    role::serve(|job| ask_job(&mut socket, &body, job, role.cell))
}

/// Also receives from many pushers and threads, and from connections in turn.
pub(super) fn receive<L: Library>(library: &L, role: &Role) -> Result<()> {
    usage::raise_file_limit();
    let mut socket = listen(library, Kind::Pull, role)?;
    role::serve(|job| receive_job(&mut socket, job, role))
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
        let answer = || answer_job(&mut server, job, role);
        Ok(on_two_threads(role, answer, || ask_job(&mut client, &body, job, role.cell))?.1)
    })
}

pub(super) fn one_way_inproc<L: Library>(library: &L, role: &Role) -> Result<()> {
    let (mut server, mut client) = open_both(library, Kind::Pull, Kind::Push, role)?;
    let body = L::Socket::body(body::filling(role.cell.body_bytes))?;
    role::serve(|job| {
        let receive = || receive_job(&mut server, job, role);
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

fn answer_job(socket: &mut impl Socket, job: Job, role: &Role) -> Result<Measure> {
    Ok(socket.answer(Tally::new(role, job, false)).context("answering")?.finish())
}

fn ask_job<S: Socket>(socket: &mut S, body: &S::Body, job: Job, cell: Cell) -> Result<Measure> {
    let mut watch = Stopwatch::start(job.count, job.group(1));
    for _ in 0..job.count {
        socket.send(body).context("asking")?;
        let answer = socket.recv(None).context("waiting for an answer")?;
        body::check(answer.context("no answer came")?.length, cell.body_bytes)?;
        watch.lap();
    }
    Ok(watch.finish())
}

fn receive_job(socket: &mut impl Socket, job: Job, role: &Role) -> Result<Measure> {
    // Only a socket that is closed at once may take a message with it.
    let tally = Tally::new(role, job, role.cell.work == Work::Connect);
    Ok(socket.receive(tally).context("receiving")?.finish())
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
