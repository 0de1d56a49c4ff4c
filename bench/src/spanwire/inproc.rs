//! Both ends in one process: two tasks of one runtime, or two threads. With the async API each of the
//! two threads runs its own runtime.

use super::{Flow, is_blocking, oneway, roundtrip, runtime};
use crate::subject::Subject;
use anyhow::{Context, Result, anyhow, bail};
use spanwire::{PullSocket, PushSocket, RepSocket, ReqSocket, blocking};
use spanwire_bench_ends::{Job, Measure, Mode, Role, Side, Work, pin, role};
use std::thread;

/// As for the limit: one sample of so many round trips between tasks.
const TASK_GROUP: u32 = 16;

/// Is both ends.
pub(super) fn run(role: &Role, subject: Subject, flow: &Flow) -> Result<()> {
    match (role.cell.work, is_blocking(subject)) {
        (Work::RoundTrip, false) => round_trip(role, subject, flow),
        (Work::RoundTrip, true) => round_trip_blocking(role, flow),
        (Work::OneWay, false) => one_way(role, subject, flow),
        (Work::OneWay, true) => one_way_blocking(role, flow),
        _ => bail!("this work is not done within one process"),
    }
}

fn round_trip(role: &Role, subject: Subject, flow: &Flow) -> Result<()> {
    let (here, there) = (runtime(subject)?, runtime(subject)?);
    let server_runtime = if role.cell.mode == Mode::Runtime { &here } else { &there };
    let server = server_runtime.block_on(async {
        let socket = RepSocket::new();
        socket.listen(&role.address).await.map(|listener| (socket, listener))
    });
    let (server, _listener) = server.context("listening")?;
    let client = here.block_on(async {
        let socket = ReqSocket::new();
        socket.dial(&role.address).await.map(|dialer| (socket, dialer))
    });
    let (client, _dialer) = client.context("dialing")?;
    role::serve(|job| {
        if role.cell.mode == Mode::Runtime {
            return here.block_on(round_trip_tasks(&server, &client, job, flow));
        }
        let answer = || there.block_on(roundtrip::answer(&server, job, flow));
        let ask = || here.block_on(roundtrip::ask(&client, job, flow, 1));
        Ok(on_two_threads(role.cell.mode, answer, ask)?.1)
    })
}

async fn round_trip_tasks(server: &RepSocket, client: &ReqSocket, job: Job, flow: &Flow) -> Result<Measure> {
    let (server, for_server) = (server.clone(), flow.clone());
    let answering = tokio::spawn(async move { roundtrip::answer(&server, job, &for_server).await });
    let (client, for_client) = (client.clone(), flow.clone());
    let asking = tokio::spawn(async move { roundtrip::ask(&client, job, &for_client, TASK_GROUP).await });
    let measure = asking.await??;
    answering.await??;
    Ok(measure)
}

fn round_trip_blocking(role: &Role, flow: &Flow) -> Result<()> {
    let server = blocking::RepSocket::new();
    let _listener = server.listen(&role.address).context("listening")?;
    let client = blocking::ReqSocket::new();
    let _dialer = client.dial(&role.address).context("dialing")?;
    role::serve(|job| {
        let answer = || roundtrip::answer_blocking(&server, job, flow);
        let ask = || roundtrip::ask_blocking(&client, job, flow);
        Ok(on_two_threads(role.cell.mode, answer, ask)?.1)
    })
}

fn one_way(role: &Role, subject: Subject, flow: &Flow) -> Result<()> {
    let (here, there) = (runtime(subject)?, runtime(subject)?);
    let server_runtime = if role.cell.mode == Mode::Runtime { &here } else { &there };
    let server = server_runtime.block_on(async {
        let socket = PullSocket::new();
        socket.listen(&role.address).await.map(|listener| (socket, listener))
    });
    let (server, _listener) = server.context("listening")?;
    let client = here.block_on(async {
        let socket = PushSocket::new();
        socket.dial(&role.address).await.map(|dialer| (socket, dialer))
    });
    let (client, _dialer) = client.context("dialing")?;
    role::serve(|job| {
        if role.cell.mode == Mode::Runtime {
            return here.block_on(one_way_tasks(&server, &client, job, flow));
        }
        let receive = || there.block_on(oneway::receive(&server, job, flow));
        let send = || here.block_on(oneway::send(&client, job, flow));
        Ok(on_two_threads(role.cell.mode, receive, send)?.0)
    })
}

async fn one_way_tasks(server: &PullSocket, client: &PushSocket, job: Job, flow: &Flow) -> Result<Measure> {
    let (client, for_client) = (client.clone(), flow.clone());
    let sending = tokio::spawn(async move { oneway::send(&client, job, &for_client).await });
    let (server, for_server) = (server.clone(), flow.clone());
    let receiving = tokio::spawn(async move { oneway::receive(&server, job, &for_server).await });
    let measure = receiving.await??;
    sending.await??;
    Ok(measure)
}

fn one_way_blocking(role: &Role, flow: &Flow) -> Result<()> {
    let server = blocking::PullSocket::new();
    let _listener = server.listen(&role.address).context("listening")?;
    let client = blocking::PushSocket::new();
    let _dialer = client.dial(&role.address).context("dialing")?;
    role::serve(|job| {
        let receive = || oneway::receive_blocking(&server, job, flow);
        let send = || oneway::send_blocking(&client, job, flow);
        Ok(on_two_threads(role.cell.mode, receive, send)?.0)
    })
}

/// Runs the server on a thread of its own and the client on this one.
fn on_two_threads(
    mode: Mode,
    server: impl FnOnce() -> Result<Measure> + Send,
    client: impl FnOnce() -> Result<Measure>,
) -> Result<(Measure, Measure)> {
    thread::scope(|scope| {
        let server = scope.spawn(move || {
            pin::this_thread(mode, Side::Server)?;
            server()
        });
        let client = client()?;
        let server = server.join().map_err(|_| anyhow!("the server's thread panicked"))??;
        Ok((server, client))
    })
}
