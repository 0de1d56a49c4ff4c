//! [`Dialer`]: hands out the next connection after a loss.

use super::conn::Conn;
use super::host::{Host, HostCore};
use super::{ConnectError, Event};
use crate::endpoint::Connector;
use crate::error::DialError;
use crate::options::DialOptions;
use crate::rt;
use crate::session::wire::wait_in;
use spanwire_core::session::backoff::Backoff;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::task::AbortHandle;

/// Keeps one connection to an address: when it is lost, it dials again, and hands out the next one.
///
/// It dials in the background until it succeeds, with a wait that is random, below a bound that doubles
/// from `reconnect_min` to `reconnect_max`; names are resolved anew each time. Errors that will not go away
/// by themselves (a bad proof, another version) are handed out by [`next`](Self::next), once each time they
/// occur, and do not end it either. Every failed attempt is an [`Event::DialFailed`].
///
/// Each connection is handed out once. When all handles of it are dropped, it closes, and the next one is
/// dialled. Dropping the dialer ends it; the connections that it handed out live on.
#[derive(Debug)]
pub struct Dialer {
    url: Arc<str>,
    host: Arc<HostCore>,
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    /// Not taken yet. A later one takes its place.
    next: Option<Result<Conn, ConnectError>>,
    over: bool,
    attempts: u64,
    connections: u64,
    waits: Vec<Waker>,
}

/// What a dialer has counted.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DialerStats {
    /// Attempts to connect.
    pub attempts: u64,
    /// Those that succeeded.
    pub connections: u64,
}

impl Host {
    /// A dialer to this address. It starts at once.
    ///
    /// # Errors
    /// The address cannot be dialled.
    pub fn dialer(&self, url: &str) -> Result<Dialer, ConnectError> {
        self.dialer_with(url, DialOptions::default())
    }

    /// [`dialer`](Self::dialer) with options. `start` does not matter: it never gives up.
    ///
    /// # Errors
    /// The address cannot be dialled.
    pub fn dialer_with(&self, url: &str, options: DialOptions) -> Result<Dialer, ConnectError> {
        let address = |error| DialError::Address { url: url.into(), error };
        let connector = Connector::new(url, options).map_err(address)?;
        let (host, url): (_, Arc<str>) = (self.core.clone(), url.into());
        let shared = Arc::new(Shared::default());
        let over = Over(shared.clone());
        let task = host.home.spawn(dial(host.clone(), connector, url.clone(), over));
        Ok(Dialer { url, host, shared, task })
    }
}

async fn dial(host: Arc<HostCore>, connector: Connector, url: Arc<str>, over: Over) {
    let mut seed = [0; 8];
    super::host::random(&mut seed);
    let DialOptions { reconnect_min, reconnect_max, .. } = connector.options;
    let mut backoff = Backoff::new(reconnect_min, reconnect_max, u64::from_le_bytes(seed));
    loop {
        over.0.lock().attempts += 1;
        match host.clone().connect(&connector, url.clone()).await {
            Ok(conn) => {
                backoff.reset();
                let wire = conn.wire().clone();
                over.0.put(Ok(conn));
                // The one that nobody has taken yet is ours, and would keep itself open otherwise.
                poll_fn(|cx| wire.poll_gone(cx)).await;
            }
            Err(error) => {
                let transient = error.is_transient();
                host.hub.tell(|| Event::DialFailed {
                    url: url.clone(),
                    error: error.to_string().into(),
                    transient,
                });
                if !transient {
                    over.0.put(Err(error));
                }
            }
        }
        host.home.sleep(backoff.next_wait()).await;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, next: Result<Conn, ConnectError>) {
        let (former, waits) = {
            let mut state = self.lock();
            state.connections += u64::from(next.is_ok());
            (state.next.replace(next), std::mem::take(&mut state.waits))
        };
        // A connection closes when it is dropped, so not under the lock.
        drop(former);
        waits.into_iter().for_each(Waker::wake);
    }
}

/// Held by the task: whoever waits hears of its end.
struct Over(Arc<Shared>);

impl Drop for Over {
    fn drop(&mut self) {
        let waits = {
            let mut state = self.0.lock();
            state.over = true;
            std::mem::take(&mut state.waits)
        };
        waits.into_iter().for_each(Waker::wake);
    }
}

impl Dialer {
    /// Whom it dials.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The next connection: the first, or the one after that which was handed out last is gone.
    ///
    /// Cancel-safe. Of several callers, each connection goes to one.
    ///
    /// # Errors
    /// Something that will not go away by itself is in the way; the dialer goes on trying. Or
    /// [`ConnectError::Closed`], when the dialer was closed, or its runtime shut down.
    pub async fn next(&self) -> Result<Conn, ConnectError> {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if let Some(next) = state.next.take() {
                return Poll::Ready(next);
            }
            if state.over {
                return Poll::Ready(Err(ConnectError::Closed));
            }
            wait_in(&mut state.waits, cx);
            Poll::Pending
        })
        .await
    }

    /// [`next`](Self::next), no longer than this.
    ///
    /// # Errors
    /// [`ConnectError::TimedOut`], too.
    pub async fn next_timeout(&self, timeout: Duration) -> Result<Conn, ConnectError> {
        self.host.home.within(Some(timeout), self.next()).await.unwrap_or(Err(ConnectError::TimedOut))
    }

    /// The next connection if there is one.
    pub fn try_next(&self) -> Option<Result<Conn, ConnectError>> {
        self.shared.lock().next.take()
    }

    /// What it has counted.
    pub fn stats(&self) -> DialerStats {
        let state = self.shared.lock();
        DialerStats { attempts: state.attempts, connections: state.connections }
    }

    /// Ends it. A connection that nobody has taken is closed, for no longer than this.
    pub async fn close(&self, timeout: Duration) {
        self.task.abort();
        let until = rt::now() + timeout;
        // The task is dropped when its runtime next looks at it.
        let over = poll_fn(|cx| {
            let mut state = self.shared.lock();
            if state.over {
                return Poll::Ready(());
            }
            state.waits.push(cx.waker().clone());
            Poll::Pending
        });
        self.host.home.within(Some(timeout), over).await;
        if let Some(Ok(conn)) = self.try_next() {
            conn.close(until - rt::now()).await;
        }
    }
}

impl Drop for Dialer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
