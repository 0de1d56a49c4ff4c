//! Listeners that fail: at first, or later.

use crate::support::*;
use spanwire::addr::Foreign;
use spanwire::link::*;
use spanwire::transport::{Acceptor, Connection, Transport, Wait};
use spanwire::{DialOptions, ListenOptions, Start};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Quick ones.
fn options() -> ServerOptions {
    ServerOptions {
        rebind_min: Duration::from_millis(1),
        rebind_max: Duration::from_millis(4),
        ..ServerOptions::default()
    }
}

async fn failure(events: &mut Events) -> (String, String) {
    event(events, "a failure", |event| match event {
        Event::ListenerFailed { url, error } => Some((url.to_string(), error.to_string())),
        _ => None,
    })
    .await
}

async fn bound(events: &mut Events) -> String {
    event(events, "a listener that is bound", |event| match event {
        Event::ListenerBound { url } => Some(url.to_string()),
        _ => None,
    })
    .await
}

/// A port that somebody else has.
async fn taken() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test]
async fn an_address_that_is_taken_is_reported_at_once() {
    let (_taken, url) = taken().await;
    let host = Host::new("bob");
    let server = host.server(options());
    let error = soon("an error", server.listen(&url)).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().starts_with(&format!("cannot listen on {url}")));
    assert!(server.urls().is_empty() && server.stats().failures == 0, "nothing is left behind");
}

#[tokio::test]
async fn an_address_that_is_taken_is_had_as_soon_as_it_is_free_where_that_is_wanted() {
    let (taken, url) = taken().await;
    let host = Host::new("bob");
    let mut events = host.events();
    let server = host.server(ServerOptions { start: Start::Background, ..options() });
    assert_eq!(soon("it", server.listen(&url)).await.unwrap(), url);
    assert_eq!(server.urls(), [&url[..]]);
    for _ in 0..3 {
        assert_eq!(failure(&mut events).await.0, url);
    }
    drop(taken);
    assert_eq!(bound(&mut events).await, url);
    assert!(server.stats().failures >= 3 && server.local_addr().is_some());
    let ann = soon("a connection", connect(&url)).await.unwrap();
    let there = soon("it", server.accept()).await.unwrap();
    ann.send("at last").await.unwrap();
    soon("a message", there.recv()).await.unwrap();
}

#[tokio::test]
async fn a_listener_that_waits_for_its_address_goes_when_it_is_told_to() {
    let bed = Bed::new();
    let (taken, url) = taken().await;
    let host = Host::new("bob");
    let mut events = host.events();
    let server = host.server(ServerOptions { start: Start::Background, ..options() });
    soon("it", server.listen(&url)).await.unwrap();
    failure(&mut events).await;
    assert!(server.unlisten(&url) && server.urls().is_empty());
    soon("again", server.listen(&url)).await.unwrap();
    server.close(SOON).await;
    drop((taken, server, host, events));
    bed.ends_clean().await;
    TcpListener::bind(&url["tcp://".len()..]).await.unwrap();
}

#[tokio::test]
async fn what_trying_again_does_not_help_is_an_error_in_the_background_too() {
    let server = Host::new("bob").server(ServerOptions { start: Start::Background, ..options() });
    assert!(matches!(server.listen("nonsense").await, Err(spanwire::ListenError::Address { .. })));
    #[cfg(feature = "tls")]
    {
        let error = server.listen("tls+tcp://127.0.0.1:0").await.unwrap_err();
        assert!(matches!(error, spanwire::ListenError::Bind { .. }), "it has no certificate: {error}");
    }
    assert!(server.urls().is_empty());
}

/// TCP whose listener breaks when it is told to, and is hard to bind.
#[derive(Clone, Debug, Default)]
struct Fragile(Arc<Mutex<Condition>>);

#[derive(Debug, Default)]
struct Condition {
    /// What the listener says of itself.
    fault: Option<ErrorKind>,
    waker: Option<Waker>,
    /// Attempts to bind that fail, and those that were made.
    refusals: u32,
    binds: u32,
}

impl Fragile {
    fn breaks(&self, fault: ErrorKind, refusals: u32) {
        let waker = {
            let mut condition = self.0.lock().unwrap();
            (condition.fault, condition.refusals) = (Some(fault), refusals);
            condition.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Transport for Fragile {
    fn connect<'a>(&'a self, address: &'a Foreign) -> Wait<'a, Connection> {
        Box::pin(async move { Ok(Connection::new(TcpStream::connect(address.rest()).await?)) })
    }

    fn listen<'a>(&'a self, address: &'a Foreign) -> Wait<'a, Box<dyn Acceptor>> {
        Box::pin(async move {
            {
                let mut condition = self.0.lock().unwrap();
                condition.binds += 1;
                if condition.refusals > 0 {
                    condition.refusals -= 1;
                    return Err(io::Error::other("not yet"));
                }
                condition.fault = None;
            }
            let listener = TcpListener::bind(address.rest()).await?;
            Ok(Box::new(FragileListener(listener, self.clone())) as Box<dyn Acceptor>)
        })
    }
}

#[derive(Debug)]
struct FragileListener(TcpListener, Fragile);

impl Acceptor for FragileListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Wait<'static, Connection>>> {
        {
            let mut condition = self.1.0.lock().unwrap();
            if let Some(fault) = condition.fault {
                return Poll::Ready(Err(fault.into()));
            }
            condition.waker = Some(cx.waker().clone());
        }
        self.0.poll_accept(cx).map_ok(|(stream, _)| -> Wait<'static, Connection> {
            Box::pin(async move { Ok(Connection::new(stream)) })
        })
    }

    fn bound_to(&self) -> Option<String> {
        self.0.local_addr().ok().map(|address| address.to_string())
    }
}

#[tokio::test]
async fn a_listener_that_breaks_is_bound_again_at_the_same_port_and_connections_stay() {
    let fragile = Fragile::default();
    let transport: Option<Arc<dyn Transport>> = Some(Arc::new(fragile.clone()));
    let host = Host::new("bob");
    let mut events = host.events();
    let listen = ListenOptions { transport: transport.clone(), ..ListenOptions::default() };
    let server = host.server(ServerOptions { listen, ..options() });
    let url = server.listen("fragile://127.0.0.1:0").await.unwrap();
    let dialing = || DialOptions { transport: transport.clone(), ..DialOptions::default() };
    let ann = soon("a connection", Host::new("ann").connect_with(&url, dialing())).await.unwrap();
    let there = soon("it", server.accept()).await.unwrap();
    // One says at once that it is broken; of the other nobody knows, until nothing comes of it.
    for (fault, says) in [(ErrorKind::NotConnected, 1), (ErrorKind::Other, 8)] {
        fragile.breaks(fault, 3);
        for n in 0..says + 3 {
            let (at, error) = failure(&mut events).await;
            let what = if n < says { fault.to_string() } else { "not yet".into() };
            assert_eq!((&at, error), (&url, what), "failure {n}");
        }
        assert_eq!(bound(&mut events).await, url, "the port is the same");
        soon("a new one", Host::new("carol").connect_with(&url, dialing())).await.unwrap();
        soon("it", server.accept()).await.unwrap();
        ann.send("still here").await.unwrap();
        soon("a message", there.recv()).await.unwrap();
    }
    assert_eq!(fragile.0.lock().unwrap().binds, 1 + 2 * 4);
    assert_eq!(server.stats().failures, (1 + 3) + (8 + 3));
}

#[tokio::test]
async fn a_listener_that_is_out_of_memory_keeps_its_port() {
    let fragile = Fragile::default();
    let host = Host::new("bob");
    let mut events = host.events();
    let listen = ListenOptions { transport: Some(Arc::new(fragile.clone())), ..ListenOptions::default() };
    let server = host.server(ServerOptions { listen, ..options() });
    server.listen("fragile://127.0.0.1:0").await.unwrap();
    fragile.breaks(ErrorKind::OutOfMemory, 0);
    for _ in 0..9 {
        failure(&mut events).await;
    }
    assert_eq!(fragile.0.lock().unwrap().binds, 1);
}
