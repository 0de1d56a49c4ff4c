//! Both ends in one process, each on a runtime of its own, which is where the mode wants it.

use super::{Library, Socket, pairs};
use crate::body;
use crate::kind::Kind;
use crate::tally::Tally;
use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use spanwire_bench_ends::{Role, Side, Work, pin, role};
use tokio::runtime::{Builder, Runtime};

pub(super) fn run<L: Library>(library: &L, role: &Role) -> Result<()> {
    let (here, there) = (runtime(role, Side::Client)?, runtime(role, Side::Server)?);
    let (bytes, address) = (role.cell.body_bytes, role.address.clone());
    let (server_kind, client_kind) = match role.cell.work {
        Work::RoundTrip => (Kind::Rep, Kind::Req),
        Work::OneWay => (Kind::Pull, Kind::Push),
        _ => bail!("inproc is for req and push"),
    };
    let (server, client) = (library.clone(), library.clone());
    let server_address = address.clone();
    let server = there.block_on(there.spawn(async move {
        let mut socket = server.open(server_kind).await?;
        socket.listen(&server_address).await.context("listening")?;
        anyhow::Ok(socket)
    }))??;
    let client = here.block_on(here.spawn(async move {
        let mut socket = client.open(client_kind).await?;
        socket.dial(&address).await.context("dialing")?;
        anyhow::Ok(socket)
    }))??;

    let body = Bytes::from(body::filling(bytes));
    let mut sockets = Some((server, client));
    role::serve(|job| {
        let (mut server, mut client) = sockets.take().context("the last job has failed")?;
        let (body, round_trips) = (body.clone(), role.cell.work == Work::RoundTrip);
        let tally = Tally::new(role, job, false);
        let serving = there.spawn(async move {
            let done = match round_trips {
                true => pairs::answer_job(&mut server, job, bytes).await,
                false => pairs::arrive(&mut server, tally).await.map(Tally::finish),
            };
            done.map(|measure| (server, measure))
        });
        let asking = here.spawn(async move {
            let done = match round_trips {
                true => pairs::ask_job(&mut client, job, &body).await,
                false => pairs::send_job(&mut client, job, &body).await,
            };
            done.map(|measure| (client, measure))
        });
        let (client, asked) = here.block_on(asking)??;
        let (server, served) = here.block_on(serving)??;
        sockets = Some((server, client));
        Ok(if round_trips { asked } else { served })
    })
}

/// A runtime whose threads are where `side` belongs.
fn runtime(role: &Role, side: Side) -> Result<Runtime> {
    let mode = role.cell.mode;
    let building = std::thread::spawn(move || {
        // Threads run where the one that starts them does.
        pin::this_thread(mode, side)?;
        Builder::new_multi_thread().worker_threads(1).enable_all().build().context("cannot make a runtime")
    });
    building.join().map_err(|_| anyhow!("a runtime's thread panicked"))?
}
