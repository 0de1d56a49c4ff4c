//! WebSocket by tungstenite, over a blocking socket or rustls: a message of ours is one of its own.

use super::batch::BATCH_BYTES;
use super::tls;
use super::wire::{Stream, no_delay};
use anyhow::{Context, Result, bail};
use spanwire_bench_ends::{Arrivals, Measure, Role, Side, Stopwatch, Transport, Work, role, usage};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Bytes, Message, WebSocket};

pub(super) fn run(role: &Role) -> Result<()> {
    if role.cell.work == Work::Idle {
        return idle(role);
    }
    let socket = join(role)?;
    let body = vec![b'x'; role.cell.body_bytes].into();
    match (role.cell.work, role.side) {
        (Work::RoundTrip, Side::Server) => answer(socket),
        (Work::RoundTrip, Side::Client) => ask(socket, body),
        (_, Side::Server) => receive(socket),
        (_, Side::Client) => send(socket, &body),
    }
}

fn join(role: &Role) -> Result<WebSocket<Stream>> {
    match role.side {
        Side::Server => accept(role, &listen(role)?),
        Side::Client => dial(role),
    }
}

fn listen(role: &Role) -> Result<TcpListener> {
    let listener = TcpListener::bind(host(role)?).context("cannot listen")?;
    let scheme = if is_secure(role) { "wss" } else { "ws" };
    role::say_url(&format!("{scheme}://{}/bench", listener.local_addr()?))?;
    Ok(listener)
}

fn accept(role: &Role, listener: &TcpListener) -> Result<WebSocket<Stream>> {
    let socket = no_delay(listener.accept().context("cannot accept")?.0)?;
    let stream = if is_secure(role) { tls::accept(socket)? } else { Stream::Tcp(socket) };
    match tungstenite::accept_with_config(stream, Some(config())) {
        Ok(socket) => Ok(socket),
        Err(error) => bail!("the upgrade failed: {error}"),
    }
}

fn dial(role: &Role) -> Result<WebSocket<Stream>> {
    let host = host(role)?;
    let socket = no_delay(TcpStream::connect(host).context("cannot dial")?)?;
    let stream = if is_secure(role) { tls::connect(socket)? } else { Stream::Tcp(socket) };
    // The scheme only says whether tungstenite would have to do TLS.
    let url = format!("ws://{host}/bench");
    match tungstenite::client::client_with_config(url, stream, Some(config())) {
        Ok((socket, _)) => Ok(socket),
        Err(error) => bail!("the upgrade failed: {error}"),
    }
}

fn is_secure(role: &Role) -> bool {
    role.cell.transport == Transport::Wss
}

fn host(role: &Role) -> Result<&str> {
    role.address.split('/').nth(2).context("no host in the address")
}

/// Connections on which nothing happens.
fn idle(role: &Role) -> Result<()> {
    let many = 0..role.cell.many;
    match role.side {
        Side::Client => {
            usage::raise_file_limit();
            watch(&many.map(|_| dial(role)).collect::<Result<Vec<_>>>()?, usage::rss_bytes())
        }
        Side::Server => {
            usage::raise_file_limit();
            let listener = listen(role)?;
            let before = usage::rss_bytes();
            watch(&many.map(|_| accept(role, &listener)).collect::<Result<Vec<_>>>()?, before)
        }
    }
}

/// Looks on for as long as the parent wants, and says what `connections` have cost since there was `before`.
fn watch<T>(connections: &[T], before: u64) -> Result<()> {
    role::serve(|job| {
        std::thread::sleep(Duration::from_millis(job.millis));
        let rss_bytes = usage::rss_bytes().saturating_sub(before);
        Ok(Measure { rss_bytes, ..Measure::moved(connections.len() as u64) })
    })
}

/// Batches as large as those of the other limits.
fn config() -> WebSocketConfig {
    WebSocketConfig::default().write_buffer_size(BATCH_BYTES).read_buffer_size(BATCH_BYTES)
}

fn ask(mut socket: WebSocket<Stream>, body: Bytes) -> Result<()> {
    role::serve(|job| {
        let mut watch = Stopwatch::start(job.count, job.group(1));
        for _ in 0..job.count {
            socket.send(Message::Binary(body.clone())).context("asking")?;
            socket.read().context("waiting for an answer")?;
            watch.lap();
        }
        Ok(watch.finish())
    })
}

fn answer(mut socket: WebSocket<Stream>) -> Result<()> {
    role::serve(|job| {
        for _ in 0..job.count {
            let request = socket.read().context("waiting for a request")?;
            socket.send(request).context("answering")?;
        }
        Ok(Measure::moved(job.count))
    })
}

fn send(mut socket: WebSocket<Stream>, body: &Bytes) -> Result<()> {
    role::serve(|job| {
        for _ in 0..job.count {
            // It writes when its buffer is full.
            socket.write(Message::Binary(body.clone())).context("sending")?;
        }
        socket.flush().context("sending the rest")?;
        Ok(Measure::moved(job.count))
    })
}

fn receive(mut socket: WebSocket<Stream>) -> Result<()> {
    role::serve(|job| {
        let mut arrivals = Arrivals::new(job.count);
        while arrivals.missing() > 0 {
            socket.read().with_context(|| format!("{} messages are missing", arrivals.missing()))?;
            arrivals.note(1);
        }
        Ok(arrivals.finish())
    })
}
