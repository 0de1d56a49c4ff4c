//! What multiplexed connections show of themselves to those who look from outside.

mod support;

use spanwire::blocking;
use spanwire::mux::{Channel, Connection, MuxOptions, Pool, PoolOptions, Server, ServerOptions};
use spanwire::watch::{self, Detail, MuxConnectionSnapshot, MuxRole, MuxSnapshot, TOLD_CHANNELS, Viewer};
use std::time::Duration;
use support::within;

const SOON: Duration = Duration::from_secs(20);
const URL: &str = "tcp://127.0.0.1:0";

/// Until something is so, within bounds.
async fn until(mut is_so: impl FnMut() -> bool) {
    within(async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// What is shown under this name in this process.
fn shown(name: &str) -> Option<MuxSnapshot> {
    watch::report().muxes.into_iter().find(|mux| mux.name == name)
}

/// The same where there is one connection.
fn only(mux: &MuxSnapshot) -> &MuxConnectionSnapshot {
    let [only] = &mux.connections[..] else { panic!("{mux:?}") };
    only
}

/// A channel, and its other end.
async fn open(pool: &Pool, server: &Server, id: &str) -> (Channel, Channel) {
    let here = pool.open(&server.url(), id).await.unwrap();
    let there = within(server.accept(id)).await.unwrap();
    within(here.accepted()).await.unwrap();
    (here, there)
}

/// Sends until there is neither credit nor room; returns how many messages were sent.
async fn fill(channel: &Channel) -> u64 {
    let mut sent = 0;
    loop {
        match channel.try_send(vec![7; 5_000]) {
            Ok(()) => sent += 1,
            Err(_) if channel.stats().stalled_by_peer > 0 => return sent,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn a_pool_and_a_server_show_their_connections_and_who_stalls_on_them() {
    within(async {
        let server = Server::bind(URL).await.unwrap();
        let pool = Pool::with(PoolOptions::default());
        watch::expose("stalling pool", &pool).unwrap();
        watch::expose("stalling server", &server).unwrap();
        assert!(shown("stalling pool").unwrap().connections.is_empty());
        let (quick, takes) = open(&pool, &server, "quick").await;
        let (slow, sleeps) = open(&pool, &server, "slow").await;
        for _ in 0..5 {
            quick.send("to and").await.unwrap();
            takes.send(takes.recv().await.unwrap()).await.unwrap();
            assert_eq!(quick.recv().await.unwrap(), "to and");
        }
        let sent = fill(&slow).await;
        quick.connection().ping().await.unwrap();
        // Nothing more is on its way.
        until(|| sleeps.stats().recv_credit < 5_000 + 64).await;

        let service = watch::serve(URL).await.unwrap();
        let viewer = Viewer::connect(service.url()).await.unwrap();
        let report = loop {
            let before = slow.stats();
            let report = viewer.report(SOON).await.unwrap();
            if slow.stats() == before {
                break report;
            }
        };
        let seen = |name: &str| report.muxes.iter().find(|mux| mux.name == name).unwrap();
        let (here, there) = (seen("stalling pool"), seen("stalling server"));
        assert_eq!((here.role, there.role), (MuxRole::Pool, MuxRole::Server));
        assert_eq!((here.attempts, here.failures, here.refused, here.waiting), (1, 0, 0, 0));
        assert_eq!((there.attempts, there.failures, there.refused, there.waiting), (1, 0, 0, 0));

        let one = only(here);
        assert_eq!((one.number, &*one.url, one.dialed), (slow.connection().number(), &*server.url(), true));
        assert!(server.url().ends_with(&one.remote), "{one:?}");
        assert!(one.round_trip.is_some_and(|span| span > Duration::ZERO && span < SOON));
        assert_eq!((one.stats.channels, one.stats.opened), (2, 2));
        assert_eq!(one.stats.stalls, slow.stats().stalled_by_peer);
        let [first, second] = &one.channels[..] else { panic!("{one:?}") };
        assert_eq!((&*first.id, first.number), ("slow", slow.number()), "the one that stalls comes first");
        assert_eq!(first.stats, slow.stats());
        assert_eq!(first.stats.account.accepted, sent);
        assert!(first.stats.send_waiting > 0 && first.stats.send_waiting_bytes > 0);
        assert!(first.stats.stalled_by_peer > 0 && first.stats.send_credit < 5_000 + 64);
        assert_eq!((&*second.id, second.stats.stalled_by_peer, second.stats.received), ("quick", 0, 5));

        let other = only(there);
        assert_eq!((&*other.url, other.dialed, other.stats.incoming), (&*server.url(), false, 2));
        let waits = other.channels.iter().find(|channel| channel.id == "slow").unwrap();
        assert!(waits.stats.recv_waiting > 0 && waits.stats.recv_waiting_bytes >= waits.stats.recv_waiting * 5_000);
        assert_eq!(waits.stats.stalled_by_peer, 0, "it is not the one who has to wait");

        let text = viewer.prometheus(Detail::Sockets, SOON).await.unwrap();
        assert!(text.contains("spanwire_mux_channels{mux=\"stalling pool\",role=\"pool\"} 2\n"), "{text}");
        assert!(!text.contains("spanwire_mux_channel_stalls"), "{text}");
        let text = viewer.prometheus(Detail::Peers, SOON).await.unwrap();
        let (connection, channel) = (one.number, first.number);
        let labels = format!(
            "mux=\"stalling pool\",role=\"pool\",connection=\"{connection}\",id=\"slow\",channel=\"{channel}\""
        );
        let stalls = first.stats.stalled_by_peer;
        assert!(text.contains(&format!("spanwire_mux_channel_stalls_total{{{labels}}} {stalls}\n")), "{text}");

        // It goes on when the reader does, and what was counted of it stays.
        for _ in 0..sent {
            within(sleeps.recv()).await.unwrap();
        }
        drop((slow, sleeps));
        until(|| only(&shown("stalling pool").unwrap()).stats.channels == 1).await;
        let after = shown("stalling pool").unwrap();
        assert!(only(&after).stats.stalls >= stalls);
        assert_eq!(only(&after).channels.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_closed_or_dropped_is_shown_no_more_and_a_name_keeps_nothing_open() {
    within(async {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let here = Connection::wrap(ours, MuxOptions::default());
        let there = Connection::wrap(theirs, MuxOptions::default());
        watch::expose("single", &here).unwrap();
        assert!(watch::expose("single", &there).is_err(), "the name is taken");
        here.greeted().await.unwrap();
        let single = shown("single").unwrap();
        assert_eq!((single.role, &*only(&single).url), (MuxRole::Connection, "wrapped"));
        there.close(SOON).await;
        until(|| shown("single").is_none()).await;
        watch::expose("single", &Connection::wrap(tokio::io::duplex(64).0, MuxOptions::default())).unwrap();
        until(|| shown("single").is_none()).await;

        let server = Server::bind(URL).await.unwrap();
        let pool = Pool::with(PoolOptions::default());
        watch::expose("closing pool", &pool).unwrap();
        watch::expose("closing server", &server).unwrap();
        let (channel, other) = open(&pool, &server, "x").await;
        drop(pool);
        assert!(shown("closing pool").is_none());
        channel.send("still there").await.unwrap();
        assert_eq!(other.recv().await.unwrap(), "still there");
        assert!(shown("closing server").is_some());
        drop((channel, other));
        server.close(SOON).await;
        assert!(shown("closing server").is_none());
        assert!(!watch::hide("closing server"));
    })
    .await;
}

#[tokio::test]
async fn of_many_channels_and_connections_a_bounded_number_is_told() {
    within(async {
        let options = MuxOptions { channels: 2_000, backlog: 2_000, ..MuxOptions::default() };
        let server = Server::with(ServerOptions { mux: options.clone(), ..ServerOptions::default() });
        let url = server.listen("inproc://mux-watching-many").await.unwrap();
        watch::expose("many", &server).unwrap();
        let connection = Connection::connect(&url, options.clone()).await.unwrap();
        let mut held = Vec::new();
        for number in 0..1_500 {
            held.push(connection.open(&number.to_string()).await.unwrap());
        }
        held[700].send("something moves here").await.unwrap();
        until(|| {
            let connections = shown("many").unwrap().connections;
            let first = connections.first().map(|one| (one.stats.channels, one.stats.received_messages));
            first == Some((1_500, 1))
        })
        .await;
        let many = shown("many").unwrap();
        assert_eq!(only(&many).channels.len(), TOLD_CHANNELS);
        assert_eq!(only(&many).channels[0].id, "700");

        let mut others = Vec::new();
        for _ in 0..63 {
            let other = Connection::connect(&url, options.clone()).await.unwrap();
            for number in 0..20 {
                held.push(other.open(&number.to_string()).await.unwrap());
            }
            others.push(other);
        }
        until(|| {
            let all = shown("many").unwrap().connections;
            all.len() == 64 && all.iter().map(|one| one.stats.channels).sum::<usize>() == 1_500 + 63 * 20
        })
        .await;
        let many = shown("many").unwrap();
        assert!(many.connections.iter().all(|one| one.channels.len() == 16), "a 64th of 1,024 each");
        assert!(watch::encode(&watch::report()).len() < 1 << 20);
    })
    .await;
}

#[test]
fn those_without_async_are_shown_as_well() {
    use blocking::mux;
    let server = mux::Server::bind(URL).unwrap();
    let pool = mux::Pool::with(PoolOptions::default());
    watch::expose("blocking server", &server).unwrap();
    watch::expose("blocking pool", &pool).unwrap();
    let channel = pool.open(&server.url(), "x").unwrap();
    channel.send("hello").unwrap();
    let other = server.accept("x").unwrap();
    assert_eq!(other.recv().unwrap(), "hello");
    watch::expose("blocking connection", &channel.connection()).unwrap();
    for name in ["blocking server", "blocking pool", "blocking connection"] {
        let mux = shown(name).unwrap();
        assert_eq!((only(&mux).stats.channels, &*only(&mux).channels[0].id), (1, "x"), "{name}");
    }
    assert_eq!(only(&shown("blocking pool").unwrap()).stats.sent_bytes, 5);
}
