//! Servers: several listeners, filters, limits.

use crate::support::*;
use spanwire::ListenOptions;
use spanwire::link::*;
use std::sync::Arc;

fn refused(reason: Reason) -> End {
    End::RefusedByPeer { reason, text: String::new() }
}

fn end_of(error: ConnectError) -> End {
    match error {
        ConnectError::Ended { end, .. } => end,
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_server_listens_at_several_places_and_leaves_each_when_it_is_told_to() {
    let host = Host::new("bob");
    let server = host.server(ServerOptions::default());
    let mut urls = Vec::new();
    for url in everywhere() {
        urls.push(server.listen(&url).await.unwrap());
    }
    assert_eq!(server.urls(), urls);
    for url in &urls {
        let ann = soon(url, connect(url)).await.unwrap();
        let bob = soon(url, server.accept()).await.unwrap();
        assert_eq!(bob.peer().origin.url.as_ref(), url);
        ann.send("x").await.unwrap();
        soon(url, bob.recv()).await.unwrap();
        assert!(server.unlisten(url) && !server.unlisten(url));
        let error = connect(url).await.unwrap_err();
        assert!(matches!(error, ConnectError::Dial(_)) && error.is_transient(), "{error}");
        ann.send("connections stay").await.unwrap();
        soon(url, bob.recv()).await.unwrap();
    }
    let taken = host.serve("tcp://127.0.0.1:0").await.unwrap();
    assert!(server.listen(&taken.url()).await.unwrap_err().is_transient());
    assert!(!server.listen("nonsense").await.unwrap_err().is_transient());
}

#[tokio::test]
async fn the_filter_refuses_before_anything_is_said() {
    let host = Host::new("bob");
    let mut events = host.events();
    let me = std::process::id() as i32;
    let filter: Filter =
        Arc::new(move |ends| ends.credentials.is_some_and(|credentials| credentials.pid == Some(me)));
    let server = host.server(ServerOptions { filter: Some(filter), ..ServerOptions::default() });
    let tcp = server.listen("tcp://127.0.0.1:0").await.unwrap();
    let local = server.listen("abstract://").await.unwrap();
    let error = soon("a refusal", connect(&tcp)).await.unwrap_err();
    assert!(!error.is_transient());
    assert_eq!(end_of(error), refused(Reason::Filtered));
    assert_eq!(refusal(&mut events).await, End::RefusedHere { reason: Reason::Filtered });
    soon("a connection", connect(&local)).await.unwrap();
    assert_eq!(server.stats().filtered, 1);
}

#[tokio::test]
async fn no_more_connections_than_allowed_are_taken() {
    let host = Host::new("bob");
    let server = host.server(ServerOptions { connections: 2, ..ServerOptions::default() });
    let url = server.listen("tcp://127.0.0.1:0").await.unwrap();
    let (ann, _carol) = (connect(&url).await.unwrap(), connect(&url).await.unwrap());
    let error = soon("a refusal", connect(&url)).await.unwrap_err();
    assert!(error.is_transient());
    assert_eq!(end_of(error), refused(Reason::Full));
    ann.close(SOON).await;
    until("there is a place", || server.stats().connections == 1).await;
    soon("a connection", connect(&url)).await.unwrap();
    let stats = server.stats();
    assert_eq!((stats.arrived, stats.opened, stats.full), (4, 3, 1));
}

#[tokio::test]
async fn one_peer_does_not_take_all_the_places() {
    let host = Host::new("bob");
    let options = ServerOptions { connections_per_peer: Some(1), ..ServerOptions::default() };
    let server = host.server(options);
    let tcp = server.listen("tcp://127.0.0.1:0").await.unwrap();
    let local = server.listen("abstract://").await.unwrap();
    let _ann = connect(&tcp).await.unwrap();
    assert_eq!(end_of(connect(&tcp).await.unwrap_err()), refused(Reason::Full));
    let _me = connect(&local).await.unwrap();
    assert_eq!(end_of(connect(&local).await.unwrap_err()), refused(Reason::Full));
}

#[tokio::test]
async fn silent_strangers_do_not_keep_an_honest_peer_out() {
    let host = Host::new("bob");
    let listen = ListenOptions { half_open: 5, ..ListenOptions::default() };
    let server = host.server(ServerOptions { listen, ..ServerOptions::default() });
    let url = server.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut strangers = Vec::new();
    for _ in 0..50 {
        strangers.push(Stranger::to(&server).await);
    }
    let ann = soon("a connection", connect(&url)).await.unwrap();
    ann.send("x").await.unwrap();
    soon("a message", soon("it", server.accept()).await.unwrap().recv()).await.unwrap();
    until("the others were dropped", || server.stats().evicted >= 45).await;
    assert!(server.stats().half_open <= 5);
    strangers[0].hears_the_end().await;
}

#[tokio::test]
async fn a_server_that_is_dropped_leaves_accepted_connections_alone() {
    let bed = Bed::new();
    let (ann, bob, server) = pair().await;
    let url = server.url();
    let unaccepted = connect(&url).await.unwrap();
    drop(server);
    assert!(matches!(soon("its end", unaccepted.ended()).await, End::ClosedByPeer { .. }));
    ann.send("still here").await.unwrap();
    soon("a message", bob.recv()).await.unwrap();
    assert!(connect(&url).await.is_err());
    drop((ann, bob, unaccepted));
    bed.ends_clean().await;
}
