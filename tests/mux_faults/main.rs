//! What multiplexed connections do with peers that mean ill, with load, and with connections that break. All of it ends by
//! name, harms no other connection, and leaves no task behind.
#![cfg(unix)]

mod load;
mod peer;
mod reconnect;
#[path = "../support/mod.rs"]
mod support;

use peer::{
    BEGIN, CREDIT, FINISH, GO_AWAY, HELLO, MESSAGE, OPEN, OVER, Over, PING, PONG, Peer, RESET, ends, frame,
    hello,
};
use spanwire::mux::{ChannelEnd, Connection, End, MuxError, MuxOptions, RecvError};
use std::time::{Duration, Instant};
use support::within;
use tokio::runtime::Handle;

/// Another connection of the same program, which must not suffer.
struct Bystander {
    ends: [Connection; 2],
    channels: [spanwire::mux::Channel; 2],
}

impl Bystander {
    async fn new() -> Self {
        let (a, b) = ends(Over::Tcp).await;
        let (here, there) =
            (Connection::wrap(a, MuxOptions::default()), Connection::wrap(b, MuxOptions::default()));
        let a = here.open("bystander").await.unwrap();
        let b = there.accept("bystander").await.unwrap();
        Self { ends: [here, there], channels: [a, b] }
    }

    async fn goes_on(&self) {
        let [a, b] = &self.channels;
        for _ in 0..10 {
            a.send("there").await.unwrap();
            assert_eq!(b.recv().await.unwrap(), "there");
            b.send("and back").await.unwrap();
            assert_eq!(a.recv().await.unwrap(), "and back");
        }
        assert!(self.ends.iter().all(|end| end.end().is_none()));
    }
}

/// One of our connections and a peer, over everything; `test` leaves it over. Afterwards no task is left.
async fn suffers(options: MuxOptions, test: impl AsyncFn(&Connection, Peer)) {
    for over in OVER {
        println!("over {over:?}");
        let bystander = Bystander::new().await;
        bystander.goes_on().await;
        let tasks = Handle::current().metrics().num_alive_tasks();
        let (io, ours) = ends(over).await;
        let here = Connection::wrap(ours, options.clone());
        within(test(&here, Peer { io })).await;
        bystander.goes_on().await;
        assert!(here.end().is_some());
        drop(here);
        let start = Instant::now();
        while Handle::current().metrics().num_alive_tasks() > tasks {
            assert!(start.elapsed() < Duration::from_secs(20), "a task is left");
            tokio::task::yield_now().await;
        }
    }
}

/// A peer that breaks a rule: what it says behind its Hello, and what that is called.
async fn is_told(bytes: &[u8], error: MuxError) {
    suffers(MuxOptions::default(), async |here, mut peer| {
        assert!(peer.write(&hello(true)).await);
        peer.write(bytes).await;
        assert_eq!(here.ended().await, End::Violation(error.clone()));
        if let Some(told) = peer.told().await {
            assert_eq!(told, (1, error.to_string()));
        }
    })
    .await;
}

fn open(channel: u32) -> Vec<u8> {
    frame(OPEN, channel, &[2])
}

#[tokio::test]
async fn who_opens_for_ever_is_stopped_at_its_limit() {
    let bytes: Vec<_> = (0..5_000).flat_map(|number| open(number * 2 + 1)).collect();
    // As many as may wait are refused before that.
    is_told(&bytes, MuxError::TooManyChannels).await;
}

#[tokio::test]
async fn who_opens_and_resets_for_ever_leaves_nothing_behind() {
    suffers(MuxOptions::default(), async |here, mut peer| {
        peer.write(&hello(true)).await;
        for round in 0..200 {
            let some: Vec<_> = (0..100)
                .map(|number| (round * 100 + number) * 2 + 1)
                .flat_map(|channel| {
                    [open(channel), frame(MESSAGE, channel, &[7; 50]), frame(RESET, channel, &[0; 4])]
                        .concat()
                })
                .collect();
            assert!(peer.write(&some).await);
            // It may be heard of, as what was delivered is; and then it is forgotten.
            while let Ok(channel) = here.try_accept("") {
                assert!(channel.end().is_some() || channel.recv().await.is_ok());
            }
        }
        peer.say(PING, 0, &[9; 8]).await;
        while !matches!(peer.hear().await, Some((PONG, _, token)) if token == [9; 8]) {}
        while here.try_accept("").is_ok() {}
        assert_eq!(here.stats().channels, 0);
        drop(peer);
        assert_eq!(here.ended().await, End::Lost);
    })
    .await;
}

#[tokio::test]
async fn who_opens_for_ever_and_reads_nothing_is_stopped() {
    let options = MuxOptions { backlog: 8, channels: 64, ..MuxOptions::default() };
    suffers(options, async |here, mut peer| {
        peer.write(&hello(true)).await;
        let mut number = 1;
        // Refusals of what is more than may wait cannot be written.
        while here.end().is_none() {
            let some = (0..100).flat_map(|_| {
                number += 2;
                open(number - 2)
            });
            let some = some.collect::<Vec<u8>>();
            if !peer.write(&some).await {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(here.ended().await, End::Violation(MuxError::TooManyChannels));
    })
    .await;
}

#[tokio::test]
async fn who_sends_beyond_its_credit_is_told() {
    let bytes = [open(1), frame(MESSAGE, 1, &[7; 20_000])].concat();
    is_told(&bytes, MuxError::NoCredit { channel: 1 }).await;
    let empty: Vec<_> = std::iter::repeat_n(frame(MESSAGE, 1, b""), 2_000).flatten().collect();
    is_told(&[open(1), empty].concat(), MuxError::NoCredit { channel: 1 }).await;
}

#[tokio::test]
async fn who_replays_a_frame_is_told() {
    is_told(&[open(1), open(1)].concat(), MuxError::BadField("channel")).await;
    is_told(&hello(true), MuxError::Unexpected("Hello")).await;
    let finish = frame(FINISH, 1, b"");
    is_told(&[open(1), finish.clone(), finish].concat(), MuxError::Unexpected("Finish")).await;
    let begin = frame(BEGIN, 1, &[0, 0, 0, 0, 0, 0, 0, 9, b'x']);
    is_told(&[open(1), begin.clone(), begin].concat(), MuxError::Unexpected("Begin")).await;
    let away = frame(GO_AWAY, 0, &[0; 8]);
    is_told(&[open(1), away.repeat(10_000)].concat(), MuxError::Unexpected("GoAway")).await;
}

#[tokio::test]
async fn who_says_what_there_is_not_is_told() {
    is_told(&frame(99, 1, b"what"), MuxError::UnknownKind(99)).await;
    is_told(&[0, 0, 0, 2, 4, 0], MuxError::Short).await;
    is_told(&[0xff, 0xff, 0xff, 0xff, 4], MuxError::TooLarge { claimed: 0xffff_ffff }).await;
    is_told(&frame(CREDIT, 7, &[0; 16]).repeat(10_000), MuxError::BadField("channel")).await;
}

#[tokio::test]
async fn who_speaks_something_else_or_another_version_is_told() {
    let other = frame(HELLO, 0, b"SWMX\x09\x08and so on");
    let cases = [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), MuxError::NoMux),
        (vec![0xff; 64], MuxError::NoMux),
        (open(1), MuxError::NoMux),
        (other, MuxError::Version { newest: 9, oldest: 8 }),
    ];
    for (bytes, error) in cases {
        suffers(MuxOptions::default(), async |here, mut peer| {
            peer.write(&bytes).await;
            assert_eq!(here.ended().await, End::Violation(error.clone()));
            assert_eq!(peer.told().await, Some((1, error.to_string())));
        })
        .await;
    }
}

#[tokio::test]
async fn who_never_says_hello_is_given_up() {
    let options = MuxOptions { handshake_timeout: Duration::from_millis(100), ..MuxOptions::default() };
    suffers(options, async |here, peer| {
        assert!(here.open("x").await.is_err());
        assert_eq!(here.ended().await, End::HandshakeTimeout);
        drop(peer);
    })
    .await;
}

#[tokio::test]
async fn who_takes_nothing_while_we_send_is_found_dead_and_costs_no_more_than_its_bound() {
    let options = MuxOptions {
        keep_alive: Some(Duration::from_millis(100)),
        dead_after: Duration::from_millis(500),
        ..MuxOptions::default()
    };
    suffers(options.clone(), async |here, mut peer| {
        peer.write(&hello(true)).await;
        let mut channels = Vec::new();
        for _ in 0..20 {
            let channel = here.open("x").await.unwrap();
            while channel.try_send(vec![7; 30_000]).is_ok() {}
            let stats = channel.stats();
            assert!(stats.send_waiting_bytes <= options.send_bytes);
            channels.push(channel);
        }
        assert_eq!(here.ended().await, End::Silent);
        for channel in channels {
            let account = channel.account();
            assert_eq!(account.delivered, 0);
            assert_eq!(account.accepted, account.abandoned + account.unknown);
        }
        drop(peer);
    })
    .await;
}

#[tokio::test]
async fn a_message_that_is_cut_in_the_middle_is_none() {
    suffers(MuxOptions::default(), async |here, mut peer| {
        peer.write(&hello(true)).await;
        peer.write(&[open(1), frame(MESSAGE, 1, b"whole")].concat()).await;
        peer.write(&frame(BEGIN, 1, &[0, 0, 0, 0, 0, 0, 0, 9, b'p', b'a'])).await;
        let channel = here.accept("").await.unwrap();
        let cut = frame(MESSAGE, 1, b"never whole");
        peer.write(&cut[..cut.len() - 1]).await;
        drop(peer);
        assert_eq!(here.ended().await, End::Lost);
        assert_eq!(channel.recv().await.unwrap(), "whole");
        assert_eq!(channel.recv().await, Err(RecvError::Closed(ChannelEnd::Connection(End::Lost))));
        assert_eq!(channel.stats().received, 1);
    })
    .await;
}

#[tokio::test]
async fn who_asks_without_end_is_answered_when_it_listens() {
    suffers(MuxOptions::default(), async |here, mut peer| {
        peer.write(&hello(true)).await;
        for round in 0..100_u64 {
            let pings: Vec<_> = (0..1_000)
                .flat_map(|number| frame(PING, 0, &(round * 1_000 + number + 1_000).to_be_bytes()))
                .collect();
            assert!(peer.write(&pings).await);
        }
        let (last, mut pongs) = (100_999_u64, 0);
        while let Some((kind, _, token)) = peer.hear().await {
            pongs += usize::from(kind == PONG);
            if kind == PONG && token == last.to_be_bytes() {
                break;
            }
        }
        assert!((1..=100_000).contains(&pongs), "{pongs}");
        assert_eq!(here.end(), None);
        drop(peer);
        here.ended().await;
    })
    .await;
}

#[tokio::test]
async fn a_message_longer_than_anybody_takes_is_told_and_gets_no_credit() {
    suffers(MuxOptions { max_message_bytes: 100_000, ..MuxOptions::default() }, async |here, mut peer| {
        peer.write(&[hello(true), open(1)].concat()).await;
        let channel = here.accept("").await.unwrap();
        let (received, _) = tokio::join!(channel.recv(), async {
            // By then it waits.
            tokio::task::yield_now().await;
            let length = (1_u64 << 40).to_be_bytes();
            peer.write(&frame(BEGIN, 1, &[&length[..], &[7; 1_000]].concat())).await
        });
        assert_eq!(received, Err(RecvError::TooLarge { limit: 100_000 }));
        assert!(channel.stats().recv_credit <= 16 * 1024);
        drop(peer);
        here.ended().await;
    })
    .await;
}
