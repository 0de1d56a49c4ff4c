//! TCP connections, each with a task that drives it, and what comes out of these tasks.

use anyhow::{Context, Error, Result};
use std::future::Future;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// Streams that the other end opened, of all connections.
pub(crate) struct Accepted<S>(UnboundedReceiver<Result<S>>);

impl<S> Accepted<S> {
    pub(crate) async fn next(&mut self) -> Result<S> {
        self.0.recv().await.context("nothing is accepted any more")?
    }
}

/// Where a task that drives a connection puts them. `send` fails when nobody wants them any more.
pub(crate) type Streams<S> = UnboundedSender<Result<S>>;

/// Listens, and has each connection driven by a task of its own until it ends.
pub(crate) async fn listen<S, D>(
    url: &str,
    drive: impl Fn(TcpStream, Streams<S>) -> D + Send + 'static,
) -> Result<(Accepted<S>, String)>
where
    S: Send + 'static,
    D: Future<Output = Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind(address(url)?).await?;
    let url = format!("tcp://{}", listener.local_addr()?);
    let (sender, streams) = unbounded_channel();
    tokio::spawn(async move {
        loop {
            let accepted = listener.accept().await.map_err(Error::from);
            match accepted.and_then(|(socket, _)| Ok((socket.set_nodelay(true)?, socket))) {
                Ok(((), socket)) => {
                    let driving = drive(socket, sender.clone());
                    let sender = sender.clone();
                    tokio::spawn(async move {
                        if let Err(error) = driving.await {
                            // Nobody may be there any more to hear it.
                            let _ = sender.send(Err(error));
                        }
                    });
                }
                Err(error) => {
                    let _ = sender.send(Err(error));
                    break;
                }
            }
        }
    });
    Ok((Accepted(streams), url))
}

pub(crate) async fn connect(url: &str) -> Result<TcpStream> {
    let socket = TcpStream::connect(address(url)?).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn address(url: &str) -> Result<&str> {
    url.strip_prefix("tcp://").with_context(|| format!("{url} is not for tcp"))
}

/// Asks a task that owns a connection for streams.
pub(crate) struct Opener<S>(UnboundedSender<Wish<S>>);

/// Where one stream is wanted.
pub(crate) type Wish<S> = oneshot::Sender<Result<S>>;

impl<S> Opener<S> {
    /// And what the task hears.
    pub(crate) fn new() -> (Self, UnboundedReceiver<Wish<S>>) {
        let (sender, wishes) = unbounded_channel();
        (Self(sender), wishes)
    }

    pub(crate) async fn open(&self) -> Result<S> {
        let (wish, stream) = oneshot::channel();
        self.0.send(wish).ok().context("the connection has ended")?;
        stream.await.context("the connection has ended")?
    }
}
