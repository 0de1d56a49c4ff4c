//! Servers of multiplexed connections: who comes in, who gets which channel, and that nothing stays.

#[cfg(feature = "tls")]
#[path = "support/certificates.rs"]
mod certificates;

use spanwire::mux::{
    AcceptError, Code, Connection, End, Event, MuxOptions, OpenError, Server, ServerOptions,
};
use spanwire::{ListenOptions, Place};
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = Duration::from_secs(20);
const URL: &str = "tcp://127.0.0.1:0";

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("in time")
}

async fn connect(url: &str) -> Connection {
    Connection::connect(url, MuxOptions::default()).await.unwrap()
}

/// Until something is so, within bounds.
async fn until(mut is_so: impl FnMut() -> bool) {
    within(async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn channels_of_all_connections_and_listeners_are_accepted() {
    within(async {
        let server = Server::bind(URL).await.unwrap();
        let second = server.listen("inproc://mux-server-listeners").await.unwrap();
        let mut urls = vec![server.url(), second];
        #[cfg(unix)]
        urls.push(server.listen("abstract://mux-server-listeners").await.unwrap());
        assert_eq!(server.urls(), urls);
        assert!(server.local_addr().is_some_and(|address| address.port() != 0));
        let mut here = Vec::new();
        for (number, url) in urls.iter().enumerate() {
            let connection = connect(url).await;
            let channel = connection.open(&format!("from {number}")).await.unwrap();
            channel.send(format!("hello {number}")).await.unwrap();
            let accepted = server.accept("").await.unwrap();
            assert_eq!(accepted.id().as_str(), format!("from {number}"));
            assert_eq!(accepted.recv().await.unwrap(), format!("hello {number}"));
            accepted.send("back").await.unwrap();
            assert_eq!(channel.recv().await.unwrap(), "back");
            here.push((connection, channel, accepted));
        }
        assert_eq!(server.connections().len(), urls.len());
        let stats = server.stats();
        let count = urls.len() as u64;
        assert_eq!((stats.arrived, stats.opened, stats.accepted, stats.half_open), (count, count, count, 0));
    })
    .await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn channels_go_over_tls() {
    within(async {
        let options = ServerOptions { listen: certificates::listening(), ..ServerOptions::default() };
        let server = Server::with(options);
        let url = server.listen("tls+tcp://localhost:0").await.unwrap();
        let dial = certificates::dialing();
        let here = Connection::connect_with(&url, MuxOptions::default(), dial).await.unwrap();
        let channel = here.open("x").await.unwrap();
        channel.send(vec![7; 1_000_000]).await.unwrap();
        let accepted = server.accept("x").await.unwrap();
        assert_eq!(accepted.recv().await.unwrap().len(), 1_000_000);
        assert!(accepted.connection().ends().unwrap().tls.is_some());
    })
    .await;
}

#[tokio::test]
async fn who_wants_an_id_by_name_gets_it_before_who_wants_all() {
    within(async {
        let server = Server::bind(URL).await.unwrap();
        let here = connect(&server.url()).await;
        let accept = |id: &'static str| {
            let server = server.clone();
            tokio::spawn(async move { server.accept(id).await.unwrap() })
        };
        let all = accept("");
        let named = accept("named");
        // Both wait by now.
        tokio::task::yield_now().await;
        let _first = here.open("named").await.unwrap();
        assert_eq!(named.await.unwrap().id().as_str(), "named");
        assert!(!all.is_finished());
        let _second = here.open("named").await.unwrap();
        assert_eq!(all.await.unwrap().id().as_str(), "named", "nobody wants it by name any more");

        // One that nobody wants by name waits, and does not hold up another one behind it.
        let _other = here.open("other").await.unwrap();
        let _named = here.open("named").await.unwrap();
        assert_eq!(server.accept("named").await.unwrap().id().as_str(), "named");
        assert_eq!(server.try_accept("named").unwrap_err(), AcceptError::Empty);
        assert_eq!(server.try_accept("").unwrap().id().as_str(), "other");
        let timed_out = server.accept_timeout("", Duration::from_millis(10)).await;
        assert_eq!(timed_out.unwrap_err(), AcceptError::TimedOut);
    })
    .await;
}

#[tokio::test]
async fn an_acceptor_that_is_dropped_leaves_its_id_to_others() {
    within(async {
        let server = Server::bind(URL).await.unwrap();
        let here = connect(&server.url()).await;
        let mut named = Box::pin(server.accept("named"));
        std::future::poll_fn(|cx| {
            assert!(named.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        let all = tokio::spawn({
            let server = server.clone();
            async move { server.accept("").await.unwrap() }
        });
        let channel = here.open("named").await.unwrap();
        channel.send("x").await.unwrap();
        until(|| server.connections().iter().any(|connection| connection.stats().received_messages == 1))
            .await;
        assert!(!all.is_finished());
        drop(named);
        assert_eq!(all.await.unwrap().recv().await.unwrap(), "x");
    })
    .await;
}

#[tokio::test]
async fn what_a_peer_left_behind_can_still_be_accepted() {
    within(async {
        let server = Server::bind(URL).await.unwrap();
        let here = connect(&server.url()).await;
        let channel = here.open("x").await.unwrap();
        channel.send("last words").await.unwrap();
        channel.flush().await.unwrap();
        drop(channel);
        here.close(SOON).await;
        until(|| server.connections().is_empty()).await;
        assert_eq!(server.accept("x").await.unwrap().recv().await.unwrap(), "last words");
        assert_eq!(server.stats().connections, 0);
    })
    .await;
}

#[tokio::test]
async fn what_is_left_behind_has_a_bound() {
    within(async {
        let server = Server::with(ServerOptions { connections: 2, ..ServerOptions::default() });
        let url = server.listen(URL).await.unwrap();
        for number in 0..5 {
            let here = connect(&url).await;
            let channel = here.open("x").await.unwrap();
            channel.send(number.to_string()).await.unwrap();
            channel.flush().await.unwrap();
            drop(channel);
            here.close(SOON).await;
            until(|| server.stats().connections == 0).await;
        }
        assert_eq!((server.stats().opened, server.stats().forgotten), (5, 3));
        for number in 3..5 {
            let accepted = server.accept("").await.unwrap();
            assert_eq!(accepted.recv().await.unwrap(), number.to_string());
        }
        assert_eq!(server.try_accept("").unwrap_err(), AcceptError::Empty);
    })
    .await;
}

#[tokio::test]
async fn beyond_the_bound_peers_are_told_that_it_is_busy() {
    within(async {
        let server = Server::with(ServerOptions { connections: 1, ..ServerOptions::default() });
        let url = server.listen(URL).await.unwrap();
        let mut events = server.events();
        let first = connect(&url).await;
        let kept = first.open("x").await.unwrap();
        let accepted = server.accept("").await.unwrap();
        let refused = connect(&url).await.ended().await;
        assert!(matches!(refused, End::ClosedByPeer { code: Code::BUSY, .. }), "{refused:?}");
        assert_eq!((server.stats().full, server.connections().len()), (1, 1));
        kept.send("still there").await.unwrap();
        assert_eq!(accepted.recv().await.unwrap(), "still there");
        drop((kept, accepted));
        first.close(SOON).await;
        assert!(matches!(events.next().await, Some(Event::Connected { .. })));
        let ended = events.next().await;
        let Some(Event::Ended { end: End::ClosedByPeer { .. }, .. }) = ended else { panic!("{ended:?}") };
        // Its place is free, and so is that of the refused one.
        connect(&url).await.open("x").await.unwrap();
        until(|| server.stats().opened == 2 && server.stats().half_open == 0).await;
    })
    .await;
}

#[tokio::test]
async fn the_filter_cuts_whom_it_does_not_like() {
    within(async {
        let filter = |ends: &spanwire::Ends| !matches!(ends.remote, Place::Ip(_));
        let server =
            Server::with(ServerOptions { filter: Some(Arc::new(filter)), ..ServerOptions::default() });
        let tcp = server.listen(URL).await.unwrap();
        let inproc = server.listen("inproc://mux-server-filter").await.unwrap();
        let error = Connection::connect(&tcp, MuxOptions::default()).await.unwrap_err();
        assert!(matches!(error, OpenError::Closed(End::Lost)), "{error:?}");
        connect(&inproc).await;
        assert_eq!((server.stats().filtered, server.connections().len()), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_peers_that_say_nothing_keeps_nobody_out() {
    within(async {
        let listen = ListenOptions { half_open: 8, ..ListenOptions::default() };
        let server = Server::with(ServerOptions { listen, ..ServerOptions::default() });
        let url = server.listen(URL).await.unwrap();
        let address = server.local_addr().unwrap();
        let mut silent = Vec::new();
        for _ in 0..100 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        until(|| server.stats().arrived == 100).await;
        assert_eq!((server.stats().half_open, server.stats().evicted), (8, 92));
        let here = connect(&url).await;
        let _channel = here.open("x").await.unwrap();
        server.accept("x").await.unwrap();
        // The first of them was cut.
        let mut told = Vec::new();
        // Reset or ended, whatever was read before.
        let _ = silent[0].read_to_end(&mut told).await;
        drop(silent);
        until(|| server.stats().half_open == 0).await;
    })
    .await;
}

#[tokio::test]
async fn closing_tells_the_peers_waits_and_frees_the_addresses() {
    within(async {
        let server = Server::bind(URL).await.unwrap();
        let (url, address) = (server.url(), server.local_addr().unwrap());
        let here = connect(&url).await;
        let idle = connect(&url).await;
        let channel = here.open("x").await.unwrap();
        let accepted = server.accept("").await.unwrap();
        let waits = tokio::spawn({
            let server = server.clone();
            async move { server.accept("nobody").await.unwrap_err() }
        });
        let closing = tokio::spawn({
            let server = server.clone();
            async move { server.close(SOON).await }
        });
        assert_eq!(waits.await.unwrap(), AcceptError::Closed(End::ClosedHere));
        assert!(matches!(idle.ended().await, End::ClosedByPeer { .. }));
        channel.send("still").await.unwrap();
        assert_eq!(accepted.recv().await.unwrap(), "still");
        drop((channel, accepted));
        assert!(closing.await.unwrap(), "all channels had ended");
        drop(TcpListener::bind(address).await.unwrap());
        assert!(server.listen(URL).await.is_err());

        // One that does not end is cut.
        let server = Server::bind(URL).await.unwrap();
        let here = connect(&server.url()).await;
        let _channel = here.open("x").await.unwrap();
        let _accepted = server.accept("").await.unwrap();
        assert!(!server.close(Duration::from_millis(50)).await);
        here.ended().await;
    })
    .await;
}

#[tokio::test]
async fn it_stops_listening_where_it_is_told_to() {
    within(async {
        let server = Server::bind(URL).await.unwrap();
        let url = server.url();
        let here = connect(&url).await;
        let channel = here.open("x").await.unwrap();
        assert!(server.unlisten(&url));
        assert!(!server.unlisten(&url));
        assert!(matches!(
            Connection::connect(&url, MuxOptions::default()).await,
            Err(OpenError::Dial(error)) if error.is_transient()
        ));
        let accepted = server.accept("").await.unwrap();
        channel.send("stays").await.unwrap();
        assert_eq!(accepted.recv().await.unwrap(), "stays");
    })
    .await;
}

#[tokio::test]
async fn a_channel_outlives_its_server() {
    within(async {
        let server = Server::bind(URL).await.unwrap();
        let here = connect(&server.url()).await;
        let channel = here.open("x").await.unwrap();
        let accepted = server.accept("").await.unwrap();
        let mut events = server.events();
        drop(server);
        channel.send("on it goes").await.unwrap();
        assert_eq!(accepted.recv().await.unwrap(), "on it goes");
        drop(accepted);
        drop(channel);
        here.ended().await;
        assert_eq!(events.next().await, None, "nothing is left that could tell");
    })
    .await;
}

/// Allows as many descriptors as the system lets us have; returns how many that are.
fn allow_descriptors() -> usize {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        // Where the system says that there is no limit it may have another one all the same.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
        let allowed = getrlimit(Resource::Nofile).current;
        allowed.map_or(usize::MAX, |allowed| usize::try_from(allowed).unwrap_or(usize::MAX))
    }
    #[cfg(not(unix))]
    usize::MAX
}

#[tokio::test]
async fn a_thousand_connections_at_once() {
    a_thousand_at("inproc://mux-server-thousand", 1_000).await;
}

#[tokio::test]
async fn a_thousand_connections_at_once_over_tcp() {
    // Both ends of each are here, and other tests of this file run meanwhile.
    let count = 1_000.min(allow_descriptors().saturating_sub(200) / 2);
    a_thousand_at(URL, count).await;
}

async fn a_thousand_at(url: &str, count: usize) {
    within(async {
        let server = Server::bind(url).await.unwrap();
        let mut here = Vec::new();
        for number in 0..count {
            let connection = connect(&server.url()).await;
            let channel = connection.open(&number.to_string()).await.unwrap();
            channel.send(number.to_string()).await.unwrap();
            here.push((connection, channel));
        }
        for _ in 0..count {
            let accepted = server.accept("").await.unwrap();
            let said = accepted.recv().await.unwrap();
            assert_eq!(said, accepted.id().as_str());
            accepted.send(said).await.unwrap();
        }
        for (number, (_, channel)) in here.iter().enumerate() {
            assert_eq!(channel.recv().await.unwrap(), number.to_string());
        }
        assert_eq!(server.connections().len(), count);
        drop(here);
        until(|| server.connections().is_empty()).await;
    })
    .await;
}
