//! [`Service`]: a REP socket that shows the exposed sockets to whoever asks.

use super::registry::report;
use crate::error::ListenError;
use crate::options::ListenOptions;
use crate::rt::{self, Home};
use crate::{Options, RepSocket};
use spanwire_core::watch::{Question, encode, prometheus};
use tokio::task::AbortHandle;

/// Shows the exposed sockets of this process at an address, until it is dropped.
#[derive(Debug)]
pub struct Service {
    url: Box<str>,
    task: AbortHandle,
}

/// Shows the exposed sockets of this process at an address: to `spanwire top`, `spanwire metrics`, a
/// [`Viewer`](super::Viewer), or any REQ socket.
///
/// Whoever can connect can look; nobody can change anything. `ipc://` in a folder of your own, or a
/// loopback address, keeps it to yourself. It runs on the library's one background thread, and so goes on
/// telling when the program's own runtime is stuck. Cancel-safe: dropped before it is done, nothing listens.
///
/// # Errors
/// The address makes no sense, or is in use or not ours.
pub async fn serve(url: &str) -> Result<Service, ListenError> {
    serve_with(url, ListenOptions::default()).await
}

/// [`serve`] with options for the listener, such as the permissions of a socket file.
///
/// # Errors
/// As `serve`.
pub async fn serve_with(url: &str, options: ListenOptions) -> Result<Service, ListenError> {
    let home = Home::background();
    let socket = RepSocket::at(bounds(), home.clone());
    let listener = socket.listen_with(url, options).await?;
    let task = home.spawn(answer(socket));
    Ok(Service { url: listener.url().into(), task })
}

/// [`serve`] for programs without a runtime of theirs.
///
/// # Errors
/// As `serve`.
pub fn serve_blocking(url: &str) -> Result<Service, ListenError> {
    rt::block_on(serve(url))
}

impl Service {
    /// Where it listens, with its real port.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// The task has the last handle of the socket, which closes with it.
impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Questions are short, and who does not read its answer gets no second one.
fn bounds() -> Options {
    Options {
        max_message_bytes: 1_024,
        requests_per_pipe: 1,
        recv_messages: 64,
        outbox_messages: 1,
        ..Options::default()
    }
}

async fn answer(socket: RepSocket) {
    while let Ok(request) = socket.recv().await {
        let answer = match Question::parse(request.message().body()) {
            Some(Question::Report) => encode(&report()),
            Some(Question::Prometheus(detail)) => prometheus(&report(), detail),
            None => UNKNOWN.into(),
        };
        // A peer that has no room has not read the last one, and one that is gone needs none.
        let _ = request.try_reply(answer);
    }
}

const UNKNOWN: &str = "error: ask \"report 1\", \"prometheus\" or \"prometheus peers\"\n";
