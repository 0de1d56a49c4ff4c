//! The pool of physical connections: who shares, what is bounded, what comes after a loss; and logical
//! connections through it.

#[cfg(feature = "tls")]
#[path = "support/certificates.rs"]
mod certificates;

use spanwire::mux::{
    Account, Channel, Code, Connection, End, Event, FlushError, Idle, Logical, LogicalOptions,
    LogicalRecvError, LogicalSendError, LossCause, MuxOptions, OpenError, PhysicalState, Pool, PoolBounds,
    PoolOptions, Server, ServerOptions,
};
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const MS: Duration = Duration::from_millis(1);
const TCP: &str = "tcp://127.0.0.1:0";

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("in time")
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

fn pool(bounds: PoolBounds) -> Pool {
    Pool::with(PoolOptions { bounds, ..PoolOptions::default() })
}

/// Answers every message on every channel with the same.
fn echo(server: &Server) {
    let server = server.clone();
    tokio::spawn(async move {
        while let Ok(channel) = server.accept("").await {
            tokio::spawn(async move {
                while let Ok(body) = channel.recv().await {
                    if channel.send(body).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

async fn server(url: &str) -> Server {
    let server = Server::bind(url).await.unwrap();
    echo(&server);
    server
}

async fn answers(channel: &Channel) {
    channel.send("ping").await.unwrap();
    assert_eq!(channel.recv().await.unwrap(), "ping");
}

fn is_pending<F: Future>(future: &mut Pin<Box<F>>) -> impl Future<Output = bool> {
    poll_fn(move |cx| Poll::Ready(future.as_mut().poll(cx).is_pending()))
}

fn numbers(channels: &[Channel]) -> BTreeSet<u64> {
    channels.iter().map(|channel| channel.connection().number()).collect()
}

#[tokio::test]
async fn many_logical_connections_share_one_physical_one() {
    within(async {
        let mut urls = vec![TCP, "inproc://mux-pool-share"];
        if cfg!(target_os = "linux") {
            urls.push("abstract://mux-pool-share");
        }
        for url in urls {
            let server = server(url).await;
            let pool = pool(PoolBounds::default());
            let mut opens = Vec::new();
            for number in 0..50 {
                let (pool, url) = (pool.clone(), server.url());
                opens.push(tokio::spawn(async move { pool.open(&url, &number.to_string()).await.unwrap() }));
            }
            let mut channels = Vec::new();
            for open in opens {
                channels.push(open.await.unwrap());
            }
            assert_eq!(numbers(&channels).len(), 1, "{url}");
            for channel in &channels {
                answers(channel).await;
            }
            assert_eq!((server.connections().len(), pool.connections().len()), (1, 1));
            let stats = pool.stats();
            let physical = &stats.physical[0];
            assert_eq!((stats.total.dials, stats.total.granted, stats.waiting), (1, 50, 0));
            assert_eq!((physical.state, physical.logical), (PhysicalState::Open, 50));
            assert_eq!((physical.mux.channels, physical.mux.sent_messages), (50, 50));
            assert!(physical.round_trip.is_some() && *physical.url == *server.url());
            drop(channels);
            until(|| pool.stats().physical[0].logical == 0).await;
            assert!(pool.close(SOON).await);
            assert!(matches!(pool.open(&server.url(), "x").await, Err(OpenError::ClosedHere)));
        }
    })
    .await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn they_share_over_tls() {
    within(async {
        let options = ServerOptions { listen: certificates::listening(), ..ServerOptions::default() };
        let server = Server::with(options);
        let url = server.listen("tls+tcp://localhost:0").await.unwrap();
        echo(&server);
        let pool = Pool::with(PoolOptions { dial: certificates::dialing(), ..PoolOptions::default() });
        let channels = [pool.open(&url, "a").await.unwrap(), pool.open(&url, "b").await.unwrap()];
        for channel in &channels {
            answers(channel).await;
        }
        assert_eq!(numbers(&channels).len(), 1);
    })
    .await;
}

#[tokio::test]
async fn several_per_address_are_used_evenly() {
    within(async {
        let server = server(TCP).await;
        let pool = pool(PoolBounds { per_address: 3, ..PoolBounds::default() });
        let mut channels = Vec::new();
        for _ in 0..9 {
            channels.push(pool.open(&server.url(), "x").await.unwrap());
        }
        assert_eq!(numbers(&channels).len(), 3);
        assert!(pool.stats().physical.iter().all(|physical| physical.logical == 3));
        // The one that has the fewest gets the next.
        let free = channels.remove(0);
        let number = free.connection().number();
        drop(free);
        until(|| pool.stats().physical.iter().any(|physical| physical.logical == 2)).await;
        assert_eq!(pool.open(&server.url(), "x").await.unwrap().connection().number(), number);
    })
    .await;
}

#[tokio::test]
async fn the_bound_in_all_is_kept_and_an_idle_one_makes_room() {
    within(async {
        let (a, b) = (server(TCP).await, server(TCP).await);
        let pool = pool(PoolBounds { in_all: 1, ..PoolBounds::default() });
        let first = pool.open(&a.url(), "x").await.unwrap();
        let second = pool.open_timeout(&b.url(), "x", 20 * MS).await;
        assert!(matches!(second, Err(OpenError::TimedOut)));
        let url = b.url();
        let waiting = pool.open(&url, "x");
        let mut waiting = Box::pin(waiting);
        assert!(is_pending(&mut waiting).await);
        assert_eq!((pool.stats().waiting, pool.stats().physical.len()), (1, 1));
        drop(first);
        answers(&waiting.await.unwrap()).await;
        assert_eq!((pool.stats().total.evicted, pool.connections().len()), (1, 1));
        until(|| a.connections().is_empty()).await;
    })
    .await;
}

#[tokio::test]
async fn an_idle_physical_connection_ends() {
    within(async {
        let server = server(TCP).await;
        for idle in [Idle::CloseAtOnce, Idle::CloseAfter(30 * MS)] {
            let pool = pool(PoolBounds { idle, ..PoolBounds::default() });
            let mut events = pool.events();
            let channel = pool.open(&server.url(), "x").await.unwrap();
            answers(&channel).await;
            drop(channel);
            until(|| pool.stats().physical.is_empty()).await;
            until(|| server.connections().is_empty()).await;
            let expired = u64::from(idle != Idle::CloseAtOnce);
            assert_eq!(pool.stats().total.expired, expired);
            // The next use dials again.
            answers(&pool.open(&server.url(), "x").await.unwrap()).await;
            assert_eq!(pool.stats().total.dials, 2);
            assert!(matches!(events.next().await, Some(Event::Connected { .. })));
        }
        // One that is used does not, however long.
        let pool = pool(PoolBounds { idle: Idle::CloseAfter(MS), ..PoolBounds::default() });
        let channel = pool.open(&server.url(), "x").await.unwrap();
        for _ in 0..20 {
            answers(&channel).await;
            let nothing = server.accept_timeout("nobody", MS).await;
            assert!(nothing.is_err());
        }
        assert_eq!(pool.stats().total.expired, 0);
    })
    .await;
}

#[tokio::test]
async fn an_open_that_is_dropped_leaves_nothing() {
    within(async {
        let server = server(TCP).await;
        let pool = pool(PoolBounds { idle: Idle::CloseAtOnce, ..PoolBounds::default() });
        let url = server.url();
        for polls in 0..5 {
            let mut open = Box::pin(pool.open(&url, "x"));
            for _ in 0..polls {
                if !is_pending(&mut open).await {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        until(|| pool.stats().physical.is_empty() && pool.stats().waiting == 0).await;
        until(|| server.connections().is_empty() && server.stats().half_open == 0).await;
        answers(&pool.open(&url, "x").await.unwrap()).await;
    })
    .await;
}

#[tokio::test]
async fn all_who_wait_are_told_why_there_is_no_connection() {
    within(async {
        let pool = pool(PoolBounds::default());
        let mut events = pool.events();
        // Bound and dropped: nobody listens there.
        let nobody = Server::bind(TCP).await.unwrap();
        let url = nobody.url();
        nobody.close(SOON).await;
        let (a, b) = tokio::join!(pool.open(&url, "a"), pool.open(&url, "b"));
        for error in [a.unwrap_err(), b.unwrap_err()] {
            assert!(matches!(&error, OpenError::Dial(_)) && error.is_transient(), "{error:?}");
        }
        let failed = events.next().await;
        assert!(matches!(&failed, Some(Event::DialFailed { url: to, .. }) if **to == *url), "{failed:?}");
        assert_eq!((pool.stats().total.failed_dials, pool.stats().physical.len()), (1, 0));
        let error = pool.open("nonsense", "x").await.unwrap_err();
        assert!(matches!(&error, OpenError::Dial(_)) && !error.is_transient(), "{error:?}");
        assert!(matches!(pool.open(&url, &"x".repeat(256)).await, Err(OpenError::Id(_))));
    })
    .await;
}

#[tokio::test]
async fn where_the_peer_lets_nobody_open_more_another_one_is_used_or_room_awaited() {
    within(async {
        let mux = MuxOptions { channels: 2, ..MuxOptions::default() };
        let server = Server::with(ServerOptions { mux, ..ServerOptions::default() });
        let url = server.listen(TCP).await.unwrap();
        echo(&server);
        let two = pool(PoolBounds { per_address: 2, ..PoolBounds::default() });
        let mut channels = Vec::new();
        for _ in 0..4 {
            channels.push(two.open(&url, "x").await.unwrap());
        }
        assert_eq!(numbers(&channels).len(), 2);
        let one = pool(PoolBounds::default());
        let kept = [one.open(&url, "x").await.unwrap(), one.open(&url, "x").await.unwrap()];
        let mut waits = Box::pin(one.open(&url, "third"));
        assert!(is_pending(&mut waits).await);
        drop(kept);
        answers(&waits.await.unwrap()).await;
        assert_eq!(one.stats().total.dials, 1);
    })
    .await;
}

#[tokio::test]
async fn one_that_goes_away_is_replaced_on_the_next_use_and_its_channels_go_on() {
    within(async {
        let server = server(TCP).await;
        let pool = pool(PoolBounds::default());
        let old = pool.open(&server.url(), "x").await.unwrap();
        answers(&old).await;
        server.connections()[0].go_away(Code::NONE, "maintenance");
        until(|| pool.stats().physical[0].state == PhysicalState::Leaving).await;
        let new = pool.open(&server.url(), "x").await.unwrap();
        assert_ne!(old.connection().number(), new.connection().number());
        answers(&old).await;
        answers(&new).await;
        drop(old);
        until(|| pool.connections().len() == 1).await;
        answers(&new).await;
    })
    .await;
}

#[tokio::test]
async fn the_worst_stalled_channel_is_named() {
    within(async {
        let server = Server::bind(TCP).await.unwrap();
        let pool = pool(PoolBounds::default());
        let slow = pool.open(&server.url(), "slow").await.unwrap();
        let _taken = server.accept("slow").await.unwrap();
        while slow.send_timeout(vec![7; 10_000], 20 * MS).await.is_ok() {}
        let stats = pool.stats();
        let physical = &stats.physical[0];
        assert!(physical.stalls > 0 && physical.stalled[0].waiting_bytes > 0, "{physical:?}");
        assert_eq!(physical.stalled[0].id.as_str(), "slow");
    })
    .await;
}

#[tokio::test]
async fn a_thousand_physical_connections_at_once() {
    within(async {
        let server = server("inproc://mux-pool-thousand").await;
        let pool = pool(PoolBounds { per_address: 1_000, ..PoolBounds::default() });
        let mut channels = Vec::new();
        for _ in 0..1_000 {
            channels.push(pool.open(&server.url(), "x").await.unwrap());
        }
        assert_eq!(numbers(&channels).len(), 1_000);
        for channel in &channels {
            channel.send("ping").await.unwrap();
        }
        for channel in &channels {
            assert_eq!(channel.recv().await.unwrap(), "ping");
        }
        drop(channels);
        assert!(pool.close(SOON).await);
        until(|| server.connections().is_empty()).await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_restarted_is_found_again() {
    within(async {
        let first = server(TCP).await;
        let url = first.url();
        let pool = pool(PoolBounds::default());
        let here = Logical::new(&pool, &url, "x").unwrap();
        assert_eq!(pool.stats().physical.len(), 0, "nothing is dialled before it is used");
        here.send("one").await.unwrap();
        assert_eq!(here.recv().await.unwrap(), "one");
        let waits = tokio::spawn({
            let here = here.clone();
            async move { here.recv().await }
        });
        here.flush().await.unwrap();
        first.close(Duration::ZERO).await;
        let Err(LogicalRecvError::Lost(loss)) = waits.await.unwrap() else { panic!("it was waiting") };
        assert!(!loss.reconnects);
        assert_eq!(loss.account, Account { accepted: 1, delivered: 1, ..Account::default() });
        // Nobody is there: whoever asks is told, and it is not the end.
        let error = here.send("two").await.unwrap_err();
        assert!(matches!(&error, LogicalSendError::Open { .. }) && error.is_transient(), "{error:?}");
        assert_eq!(error.into_body(), "two");
        let _second = server(&url).await;
        here.send("three").await.unwrap();
        assert_eq!(here.recv().await.unwrap(), "three");
        here.flush().await.unwrap();
        assert_eq!((here.stats().opened, here.stats().losses), (2, 1));
        assert_eq!((here.account().accepted, here.account().unknown), (2, 0));
        let report = here.close(SOON).await;
        assert_eq!((report.delivered, report.abandoned, report.unknown), (2, 0, 0));
        assert!(matches!(here.send("x").await, Err(LogicalSendError::Closed(_))));
        assert!(matches!(here.recv().await, Err(LogicalRecvError::Closed)));
    })
    .await;
}

#[tokio::test]
async fn one_that_stays_up_is_there_again_without_being_used() {
    within(async {
        let first = server(TCP).await;
        let url = first.url();
        let pool = pool(PoolBounds { reconnect_max: 20 * MS, reconnect_min: MS, ..PoolBounds::default() });
        let options = LogicalOptions { stay_up: true, ..LogicalOptions::default() };
        let here = Logical::with(&pool, &url, "x", options).unwrap();
        until(|| here.channel().is_some()).await;
        let waits = tokio::spawn({
            let here = here.clone();
            async move { here.recv().await }
        });
        tokio::task::yield_now().await;
        first.close(Duration::ZERO).await;
        let Err(LogicalRecvError::Lost(loss)) = waits.await.unwrap() else { panic!("it was waiting") };
        assert!(loss.reconnects);
        let second = server(&url).await;
        until(|| second.stats().accepted == 1).await;
        until(|| here.channel().is_some()).await;
        here.send("again").await.unwrap();
        assert_eq!(here.recv().await.unwrap(), "again");
        drop(here);
        // It is not kept up any longer.
        until(|| pool.stats().physical.iter().all(|physical| physical.logical == 0)).await;
        second.close(SOON).await;
        until(|| pool.stats().physical.is_empty()).await;
    })
    .await;
}

#[tokio::test]
async fn what_was_on_its_way_at_a_cut_is_accounted_for_and_not_sent_again() {
    within(async {
        let first = Server::bind(TCP).await.unwrap();
        let url = first.url();
        let pool = pool(PoolBounds::default());
        let here = Logical::new(&pool, &url, "x").unwrap();
        here.send("delivered").await.unwrap();
        let there = first.accept("x").await.unwrap();
        here.flush().await.unwrap();
        // Nobody takes these.
        while here.send_timeout(vec![7; 10_000], 20 * MS).await.is_ok() {}
        let accepted = here.account().accepted;
        drop(there);
        first.close(Duration::ZERO).await;
        until(|| here.channel().is_none()).await;
        let account = here.account();
        assert_eq!(account.accepted, account.delivered + account.abandoned + account.unknown);
        assert_eq!(account.accepted, accepted);
        assert!(account.abandoned + account.unknown > 0, "{account:?}");
        let Err(FlushError::Lost { account: lost, .. }) = here.flush().await else { panic!("some are lost") };
        assert_eq!(lost, account);
        here.flush().await.unwrap();
        let second = Server::bind(&url).await.unwrap();
        here.send("new").await.unwrap();
        assert_eq!(second.accept("").await.unwrap().recv().await.unwrap(), "new");
    })
    .await;
}

#[tokio::test]
async fn an_idle_logical_connection_closes_its_channel_and_opens_another_one_on_use() {
    within(async {
        let server = server(TCP).await;
        let pool = pool(PoolBounds::default());
        let options = LogicalOptions { idle_timeout: 40 * MS, ..LogicalOptions::default() };
        let here = Logical::with(&pool, &server.url(), "x", options).unwrap();
        here.send("one").await.unwrap();
        assert_eq!(here.recv().await.unwrap(), "one");
        let Err(LogicalRecvError::Lost(loss)) = here.recv().await else { panic!("it was idle") };
        assert_eq!(loss.cause, LossCause::Idle);
        until(|| pool.stats().physical[0].logical == 0).await;
        here.send("two").await.unwrap();
        assert_eq!(here.recv().await.unwrap(), "two");
        assert_eq!((here.stats().opened, pool.stats().total.dials), (2, 1), "on the same physical one");
    })
    .await;
}

#[tokio::test]
async fn closing_ends_the_waits_of_all_and_says_so() {
    within(async {
        let server = server(TCP).await;
        let pool = pool(PoolBounds::default());
        let here = Logical::new(&pool, &server.url(), "x").unwrap();
        here.send("one").await.unwrap();
        assert_eq!(here.recv().await.unwrap(), "one");
        let mut waits = Box::pin(here.recv());
        assert!(is_pending(&mut waits).await);
        let report = here.close(SOON).await;
        assert_eq!((report.delivered, report.abandoned, report.unknown), (1, 0, 0));
        assert!(matches!(waits.await, Err(LogicalRecvError::Closed)));
        assert!(matches!(here.try_send("x"), Err(LogicalSendError::Closed(_))));
        until(|| pool.stats().physical[0].logical == 0).await;

        // One that was never used, and one that is being opened.
        let unused = Logical::new(&pool, &server.url(), "x").unwrap();
        assert_eq!(unused.close(SOON).await.delivered, 0);
        let nowhere = Logical::new(&pool, "inproc://mux-pool-nobody", "x").unwrap();
        assert!(matches!(nowhere.try_send("x"), Err(LogicalSendError::Full(_))));
        drop(nowhere);
        until(|| pool.stats().physical.len() == 1 && pool.stats().waiting == 0).await;
    })
    .await;
}

#[tokio::test]
async fn what_came_before_the_end_can_still_be_taken_after_another_channel_is_up() {
    within(async {
        let server = Server::bind(TCP).await.unwrap();
        let pool = pool(PoolBounds::default());
        let here = Logical::new(&pool, &server.url(), "x").unwrap();
        assert!(matches!(here.try_recv(), Err(LogicalRecvError::Empty)), "it is opened for that");
        let there = server.accept("x").await.unwrap();
        there.send("left behind").await.unwrap();
        until(|| here.stats().channel.is_some_and(|channel| channel.recv_waiting == 1)).await;
        there.reset(Code(300), "");
        until(|| here.channel().is_none()).await;
        here.send("new").await.unwrap();
        assert_eq!(here.recv().await.unwrap(), "left behind");
        let there = server.accept("x").await.unwrap();
        assert_eq!(there.recv().await.unwrap(), "new");
        there.send("answer").await.unwrap();
        assert_eq!(here.recv().await.unwrap(), "answer");
    })
    .await;
}

#[tokio::test]
async fn cuts_under_load_lose_nothing_that_was_delivered_and_send_nothing_twice() {
    within(async {
        let mut server = Server::bind(TCP).await.unwrap();
        let url = server.url();
        let pool = pool(PoolBounds::default());
        let here = Logical::new(&pool, &url, "x").unwrap();
        let mut came = Vec::new();
        let mut next = 0_u32;
        for _ in 0..10 {
            for _ in 0..200 {
                match here.send(next.to_be_bytes().to_vec()).await {
                    Ok(()) => next += 1,
                    Err(LogicalSendError::Lost { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            let there = server.accept("x").await.unwrap();
            for _ in 0..100 {
                let body = there.recv().await.unwrap();
                came.push(u32::from_be_bytes(body[..].try_into().unwrap()));
            }
            server.close(Duration::ZERO).await;
            while let Ok(body) = there.recv().await {
                came.push(u32::from_be_bytes(body[..].try_into().unwrap()));
            }
            until(|| here.channel().is_none()).await;
            server = Server::bind(&url).await.unwrap();
        }
        let account = here.account();
        assert_eq!(account.accepted, u64::from(next));
        assert_eq!(account.accepted, account.delivered + account.abandoned + account.unknown);
        assert!(came.windows(2).all(|pair| pair[0] < pair[1]), "in order, and each once");
        assert!(came.len() as u64 >= account.delivered && came.len() >= 1_000);
    })
    .await;
}

#[tokio::test]
async fn a_storm_of_opens_and_cuts_leaves_nothing() {
    within(async {
        let server = server(TCP).await;
        let bounds = PoolBounds { per_address: 3, idle: Idle::CloseAtOnce, ..PoolBounds::default() };
        let pool = pool(bounds);
        let mut storm = Vec::new();
        for task in 0..20_u32 {
            let (pool, url) = (pool.clone(), server.url());
            storm.push(tokio::spawn(async move {
                let mut answered = 0;
                for round in 0..30 {
                    // Some give up before they have a channel, some just after.
                    let patience = MS * ((task + round) % 4);
                    let Ok(channel) = pool.open_timeout(&url, "x", patience).await else { continue };
                    if channel.send("ping").await.is_ok() && round % 3 > 0 {
                        answered += u32::from(channel.recv().await.is_ok());
                    }
                }
                answered
            }));
        }
        let cuts = tokio::spawn({
            let server = server.clone();
            async move {
                for _ in 0..30 {
                    for connection in server.connections() {
                        connection.close(Duration::ZERO).await;
                    }
                    tokio::task::yield_now().await;
                }
            }
        });
        for task in storm {
            task.await.unwrap();
        }
        cuts.await.unwrap();
        until(|| pool.stats().physical.is_empty() && pool.stats().waiting == 0).await;
        until(|| server.connections().is_empty() && server.stats().half_open == 0).await;
        answers(&pool.open(&server.url(), "x").await.unwrap()).await;
    })
    .await;
}

#[tokio::test]
async fn ten_thousand_logical_connections_on_one_physical_one() {
    within(async {
        let mux = MuxOptions { channels: 10_000, backlog: 10_000, ..MuxOptions::default() };
        let server = Server::with(ServerOptions { mux, ..ServerOptions::default() });
        let url = server.listen("inproc://mux-pool-many").await.unwrap();
        let pool = pool(PoolBounds::default());
        let mut channels = Vec::new();
        for number in 0..10_000_u32 {
            let channel = pool.open(&url, "").await.unwrap();
            channel.send(number.to_be_bytes().to_vec()).await.unwrap();
            channels.push(channel);
        }
        let mut theirs = Vec::new();
        for number in 0..10_000_u32 {
            let channel = server.accept("").await.unwrap();
            assert_eq!(channel.recv().await.unwrap()[..], number.to_be_bytes());
            theirs.push(channel);
        }
        assert_eq!((pool.stats().physical.len(), pool.stats().physical[0].logical), (1, 10_000));
        drop((channels, theirs));
        until(|| pool.stats().physical[0].logical == 0).await;
    })
    .await;
}

#[tokio::test]
async fn the_pool_of_the_process_outlives_runtimes() {
    let url = "inproc://mux-pool-global";
    let _server = tokio::task::spawn_blocking(move || {
        let server = spanwire::blocking::mux::Server::bind(url).unwrap();
        let accepting = server.clone();
        std::thread::spawn(move || {
            while let Ok(channel) = accepting.accept("") {
                while let Ok(body) = channel.recv() {
                    if channel.send(body).is_err() {
                        break;
                    }
                }
            }
        });
        server
    })
    .await
    .unwrap();
    let one = || {
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(within(async {
                let here = spanwire::mux::connect(url, "x").unwrap();
                here.send("ping").await.unwrap();
                assert_eq!(here.recv().await.unwrap(), "ping");
                let number = here.channel().unwrap().connection().number();
                here.close(SOON).await;
                number
            }))
        })
    };
    let (first, second) = (one().join().unwrap(), one().join().unwrap());
    assert_eq!(first, second, "the same physical connection");
}

#[test]
fn the_end_of_the_runtime_of_a_pool_is_told() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (pool, channel, here) = runtime.block_on(async {
        let server = server("inproc://mux-pool-runtime").await;
        let pool = pool(PoolBounds::default());
        let channel = pool.open(&server.url(), "x").await.unwrap();
        let here = Logical::new(&pool, &server.url(), "y").unwrap();
        here.send("ping").await.unwrap();
        (pool, channel, here)
    });
    drop(runtime);
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    other.block_on(within(async {
        assert!(channel.recv().await.is_err());
        assert_eq!(channel.connection().end(), Some(End::RuntimeGone));
        while here.recv().await.is_ok() {}
        let error = pool.open("inproc://mux-pool-runtime", "x").await.unwrap_err();
        assert!(!matches!(error, OpenError::TimedOut), "{error:?}");
        pool.close(Duration::from_millis(10)).await;
    }));
}

#[tokio::test]
async fn a_peer_that_has_no_room_may_be_asked_again() {
    within(async {
        let server = Server::with(ServerOptions { connections: 1, ..ServerOptions::default() });
        let url = server.listen(TCP).await.unwrap();
        echo(&server);
        let first = Connection::connect(&url, MuxOptions::default()).await.unwrap();
        let pool = pool(PoolBounds::default());
        // It may be told before or after it has opened one: never that it has to change anything.
        match pool.open(&url, "x").await {
            Ok(channel) => {
                let error = channel.recv().await.unwrap_err();
                assert!(error.is_transient(), "{error:?}");
            }
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
        assert!(server.stats().full > 0);
        drop(first);
    })
    .await;
}
