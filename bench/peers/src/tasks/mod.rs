//! The works for libraries whose calls are futures.
//!
//! * `pairs`: one sender or asker and one receiver or answerer. `inproc`: both in one process.
//! * `fanout`: one publisher. `crowd`: many pushers, tasks, connections or requests in flight. `load`: requests
//!   at a rate. `outrun`: a sender whose receiver does not read. `mixed`: singles beside a
//!   bulk.
//!
//! Everything runs in tasks of tokio's multi-threaded runtime, which is what these libraries' examples
//! use; pinned to one CPU it has one thread.

mod crowd;
mod fanout;
mod inproc;
mod load;
mod mixed;
mod outrun;
mod pairs;

use crate::jobs;
use crate::kind::Kind;
use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use spanwire_bench_ends::role::{self, Begun};
use spanwire_bench_ends::{Job, Role, Side, Transport, Work};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A library.
pub(crate) trait Library: Clone + Send + Sync + 'static {
    type Socket: Socket;

    /// Whether a socket of this kind can lose messages although it is asked not to.
    fn loses(kind: Kind) -> bool;

    /// Whether what was sent is on its way for certain when a socket is closed, and nothing of it is left
    /// behind. Where not, [`Work::Connect`] asks instead of pushing, for an answer is the only sign.
    const CLOSE_DELIVERS: bool;

    /// Makes a socket.
    fn open(&self, kind: Kind) -> impl Future<Output = Result<Self::Socket>> + Send;
}

/// A socket.
pub(crate) trait Socket: Sized + Send + 'static {
    /// Has it keep no more than `messages`, before it listens or dials. `false` if there is no such option.
    fn bound(&mut self, _messages: u32) -> impl Future<Output = Result<bool>> + Send {
        async { Ok(false) }
    }

    /// Listens and says where to dial.
    fn listen(&mut self, url: &str) -> impl Future<Output = Result<String>> + Send;

    /// Dials. What is sent from then on is not lost, even if the connection is still being made.
    fn dial(&mut self, url: &str) -> impl Future<Output = Result<()>> + Send;

    fn send(&mut self, body: Bytes) -> impl Future<Output = Result<()>> + Send;

    /// Sends, if there is room for it within `patience`. `false` if not.
    fn send_within(&mut self, body: Bytes, patience: Duration) -> impl Future<Output = Result<bool>> + Send {
        async move {
            tokio::time::timeout(patience, self.send(body))
                .await
                .map_or(Ok(false), |sent| sent.map(|()| true))
        }
    }

    /// The next body; its future may be dropped without losing one.
    fn recv(&mut self) -> impl Future<Output = Result<Bytes>> + Send;

    /// Answers a request with its own body, which is so long.
    fn echo(&mut self) -> impl Future<Output = Result<usize>> + Send;

    /// Asks, and waits for the answer.
    fn ask(&mut self, body: Bytes) -> impl Future<Output = Result<Bytes>> + Send {
        async {
            self.send(body).await?;
            self.recv().await
        }
    }

    /// The same socket for another task. `None` if the library has no such thing.
    fn share(&self) -> Option<Self>;

    fn close(self) -> impl Future<Output = Result<()>> + Send;
}

/// Is one end.
pub(crate) fn run<L: Library>(library: L, role: &Role) -> Result<()> {
    if role.cell.transport == Transport::Inproc {
        return inproc::run(&library, role);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let role = role.clone();
    let end = async move { tokio::spawn(async move { end(&library, &role).await }).await? };
    let runtime = runtime.context("cannot make a runtime")?;
    let result = runtime.block_on(end);
    // What these libraries still have running would only wait for the other end.
    runtime.shutdown_background();
    result
}

async fn end<L: Library>(library: &L, role: &Role) -> Result<()> {
    use Side::{Client, Server};
    let (work, side) = (role.cell.work, role.side);
    match (work, side) {
        (Work::RoundTrip, Server) => pairs::answer(library, Kind::Rep, role).await,
        (Work::RoundTrip, Client) => pairs::ask(library, role).await,
        (Work::Connect, Server) if !L::CLOSE_DELIVERS => pairs::answer(library, Kind::Rep, role).await,
        (Work::OneWay | Work::Pushers | Work::Threads | Work::Connect, Server) => {
            pairs::receive(library, role).await
        }
        (Work::OneWay, Client) => pairs::send(library, role).await,
        (Work::Publish | Work::Stall, Server) => fanout::publish(library, role).await,
        (Work::Publish | Work::Stall, Client) => fanout::subscribe(library, role).await,
        (Work::Flight | Work::Load, Server) => pairs::answer(library, Kind::Router, role).await,
        (Work::Flight, Client) => crowd::flight(library, role).await,
        (Work::Load, Client) => load::ask(library, role).await,
        (Work::Pushers, Client) => crowd::push(library, role).await,
        (Work::Threads, Client) => crowd::share(library, role).await,
        (Work::Idle, Server) => crowd::watch(library, role).await,
        (Work::Idle, Client) => crowd::idle(library, role).await,
        (Work::Connect, Client) => crowd::reconnect(library, role).await,
        (Work::Outrun, Server) => outrun::receive(library, role).await,
        (Work::Outrun, Client) => outrun::send(library, role).await,
        (Work::Mixed, Server) => mixed::receive(library, role).await,
        (Work::Mixed, Client) => mixed::send(library, role).await,
        (Work::Mux(_), _) => bail!("it is no multiplexer"),
    }
}

/// The parent's wishes; whoever waits for one lets the runtime go on.
struct Jobs(UnboundedReceiver<Result<Job>>);

impl Jobs {
    /// Tells the parent that this end is ready.
    fn ready() -> Result<Self> {
        let (sender, jobs) = unbounded_channel();
        jobs::hear(move |job| sender.send(job).is_ok());
        role::say_ready()?;
        Ok(Self(jobs))
    }

    /// The next job, which has begun when this returns.
    async fn begin(&mut self) -> Result<Option<(Job, Begun)>> {
        match self.0.recv().await.transpose()? {
            Some(job) => Ok(Some((job, Begun::now()?))),
            None => Ok(None),
        }
    }
}

/// What a task returned.
async fn joined<T>(task: tokio::task::JoinHandle<Result<T>>) -> Result<T> {
    task.await.map_err(|error| anyhow!("a task failed: {error}"))?
}
