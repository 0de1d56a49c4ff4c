//! The works of multiplexers: many logical connections on few physical ones. The same code for the raw limit,
//! for Spanwire and for every other multiplexer, so that all do the same; only [`Multiplexer`] and [`Channel`]
//! differ.
//!
//! ```text
//!  client                                                server
//!  dial ──▶ Link ─ open ─▶ Channel ═══════╗    ╔═══════ Channel ◀─ accept ─ Server ◀── listen
//!                  open ─▶ Channel ═══════╬════╬═══════ Channel ◀─ accept ─┘
//!            (a physical connection)      ╚════╝
//! ```
//!
//! * `channel`: [`Channel`], and [`StreamChannel`], which cuts messages out of any stream of bytes.
//! * `echo`, `oneway`, `mixed`, `idle`: a work each, or two that differ in a word.
//!
//! Both ends run on [`runtime`], a single-threaded one, as the async API does in all other works.
//!
//! Client and server agree on which channel is which by their order: the client opens one after the other and
//! has a message echoed on each before it opens the next (`open`, `accept`). That also makes sure that both
//! ends have it, for many multiplexers say nothing to the other end before something is sent.

mod channel;
mod echo;
mod idle;
mod mixed;
mod oneway;

pub use channel::{Channel, Message, StreamChannel};

use crate::{Mux, Role, Side, Work};
use anyhow::{Context, Result, bail};
use std::future::Future;
use tokio::runtime::{Builder, Runtime};

/// A multiplexer: what one end needs of it.
///
/// What it needs to live, such as a task that drives a physical connection, it starts itself.
pub trait Multiplexer: 'static {
    /// What accepts.
    type Server: Send;
    /// The dialing end of one physical connection.
    type Link: Send;
    /// A logical connection.
    type Channel: Channel;

    /// Listens at `url` (`tcp://127.0.0.1:0`) and says where that is.
    fn listen(&self, url: &str) -> impl Future<Output = Result<(Self::Server, String)>>;

    /// Makes a physical connection of its own to what `listen` said, or gets ready to make it with the first
    /// channel.
    fn dial(&self, url: &str) -> impl Future<Output = Result<Self::Link>>;

    /// The next logical connection that the other end opened, on whichever physical connection.
    fn accept(&self, server: &mut Self::Server) -> impl Future<Output = Result<Self::Channel>>;

    /// One more logical connection on this physical one. The works of one physical connection call this for
    /// up to 10,000 of them.
    fn open(&self, link: &mut Self::Link) -> impl Future<Output = Result<Self::Channel>>;
}

/// The runtime of every end: one thread.
pub fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("cannot make a runtime")
}

/// Is one end.
pub async fn run<M: Multiplexer>(multiplexer: &M, role: &Role) -> Result<()> {
    let Work::Mux(work) = role.cell.work else { bail!("{role} is no work of multiplexers") };
    match (work, role.side) {
        (Mux::Echo | Mux::Links, Side::Server) => echo::answer(multiplexer, role).await,
        (Mux::Echo | Mux::Links, Side::Client) => echo::ask(multiplexer, role).await,
        (Mux::Send, Side::Server) | (Mux::Recv, Side::Client) => oneway::receive(multiplexer, role).await,
        (Mux::Send, Side::Client) | (Mux::Recv, Side::Server) => oneway::send(multiplexer, role).await,
        (Mux::Mixed, Side::Server) => mixed::receive(multiplexer, role).await,
        (Mux::Mixed, Side::Client) => mixed::send(multiplexer, role).await,
        (Mux::Idle, Side::Server) => idle::accept(multiplexer, role).await,
        (Mux::Idle, Side::Client) => idle::open(multiplexer, role).await,
    }
}

/// Listens and tells the parent where.
async fn listen<M: Multiplexer>(multiplexer: &M, role: &Role) -> Result<M::Server> {
    let (server, url) = multiplexer.listen(&role.address).await.context("listening")?;
    crate::role::say_url(&url)?;
    Ok(server)
}

/// Opens a logical connection that both ends have.
async fn open<M: Multiplexer>(multiplexer: &M, link: &mut M::Link, greeting: &Message) -> Result<M::Channel> {
    let mut channel = multiplexer.open(link).await.context("opening a channel")?;
    channel.ask(greeting).await.context("greeting")?;
    Ok(channel)
}

/// Accepts the one that the client opens next.
async fn accept<M: Multiplexer>(
    multiplexer: &M,
    server: &mut M::Server,
    body_bytes: usize,
) -> Result<M::Channel> {
    let mut channel = multiplexer.accept(server).await.context("accepting a channel")?;
    channel.echo(body_bytes).await.context("answering a greeting")?;
    Ok(channel)
}
