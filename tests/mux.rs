//! Multiplexed connections, from outside: channels, credit, ends.

use spanwire::mux::{ChannelEnd, Code, Connection, End, MuxOptions, Priority, RecvError, SendError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SOON: Duration = Duration::from_secs(20);

fn pair() -> (Connection, Connection) {
    let (a, b) = tokio::io::duplex(64 * 1024);
    (Connection::wrap(a, MuxOptions::default()), Connection::wrap(b, MuxOptions::default()))
}

#[tokio::test]
async fn messages_go_where_they_belong() {
    let (here, there) = pair();
    let one = here.open("one").await.unwrap();
    let two = here.open("two").await.unwrap();
    two.send("for two").await.unwrap();
    one.send("for one").await.unwrap();
    let accepted = there.accept("one").await.unwrap();
    assert_eq!(accepted.recv().await.unwrap(), "for one");
    let other = there.accept("").await.unwrap();
    assert_eq!((other.id().as_str(), other.recv().await.unwrap()), ("two", "for two".into()));
    other.send("back").await.unwrap();
    assert_eq!(two.recv().await.unwrap(), "back");
    one.accepted().await.unwrap();
    one.flush().await.unwrap();
    assert_eq!(one.account().delivered, 1);
}

#[tokio::test]
async fn a_reader_that_stops_holds_up_nobody_else() {
    let (here, there) = pair();
    let slow = here.open("slow").await.unwrap();
    let quick = here.open("quick").await.unwrap();
    let stopped = there.accept("slow").await.unwrap();
    let reads = there.accept("quick").await.unwrap();
    let mut sent = 0;
    while slow.send_timeout(vec![7; 1_000], Duration::from_millis(200)).await.is_ok() {
        sent += 1;
    }
    assert!(sent > 100, "{sent}");
    for number in 0..5_000_u32 {
        quick.send(number.to_be_bytes().to_vec()).await.unwrap();
        assert_eq!(&reads.recv().await.unwrap()[..], number.to_be_bytes());
    }
    for _ in 0..sent {
        assert_eq!(stopped.recv().await.unwrap().len(), 1_000);
    }
    slow.send("on it goes").await.unwrap();
    assert_eq!(stopped.recv().await.unwrap(), "on it goes");
}

#[tokio::test]
async fn both_sides_push_with_all_their_might() {
    let (here, there) = pair();
    let a = here.open("x").await.unwrap();
    let b = there.accept("x").await.unwrap();
    let push = |channel: spanwire::mux::Channel| async move {
        for number in 0..200_u32 {
            let mut body = vec![0; 100_000];
            body[..4].copy_from_slice(&number.to_be_bytes());
            channel.send(body).await.unwrap();
        }
    };
    let pull = |channel: spanwire::mux::Channel| async move {
        for number in 0..200_u32 {
            assert_eq!(channel.recv().await.unwrap()[..4], number.to_be_bytes());
        }
    };
    let all = async { tokio::join!(push(a.clone()), push(b.clone()), pull(a.clone()), pull(b.clone())) };
    tokio::time::timeout(SOON, all).await.expect("no deadlock");
}

#[tokio::test]
async fn streams_of_any_length_go_both_ways_in_bounded_memory() {
    let (here, there) = pair();
    let a = here.open("x").await.unwrap();
    let b = there.accept("x").await.unwrap();
    let echo = tokio::spawn(async move {
        let mut from = b.recv_stream().await.unwrap();
        let mut to = b.send_stream().await.unwrap();
        let copied = tokio::io::copy(&mut from, &mut to).await.unwrap();
        to.finish();
        b.close(SOON).await;
        copied
    });
    let mut to = a.send_stream().await.unwrap();
    let write = async {
        for _ in 0..1_000 {
            to.write_all(&[7; 50_000]).await.unwrap();
        }
        to.shutdown().await.unwrap();
    };
    let read = async {
        let mut from = a.recv_stream().await.unwrap();
        let mut total = 0;
        let mut buffer = vec![0; 70_000];
        loop {
            match from.read(&mut buffer).await.unwrap() {
                0 => return total,
                count => total += count,
            }
        }
    };
    let ((), total) = tokio::time::timeout(SOON, async { tokio::join!(write, read) }).await.unwrap();
    assert_eq!((total, echo.await.unwrap()), (50_000_000, 50_000_000));
}

#[tokio::test]
async fn half_closing_resetting_and_dropping_are_told_apart() {
    let (here, there) = pair();
    let a = here.open("finish").await.unwrap();
    let b = there.accept("finish").await.unwrap();
    a.send("last").await.unwrap();
    a.finish();
    assert_eq!(a.send("more").await, Err(SendError::Finished("more".into())));
    assert_eq!(b.recv().await.unwrap(), "last");
    assert_eq!(b.recv().await, Err(RecvError::Finished));
    b.send("still").await.unwrap();
    assert_eq!(a.recv().await.unwrap(), "still");

    let a = here.open("reset").await.unwrap();
    let b = there.accept("reset").await.unwrap();
    b.reset(Code(999), "no more");
    let end = ChannelEnd::ResetByPeer { code: Code(999), text: "no more".into() };
    assert_eq!(a.recv().await, Err(RecvError::Closed(end)));

    let a = here.open("drop").await.unwrap();
    let b = there.accept("drop").await.unwrap();
    a.send("before").await.unwrap();
    drop(a);
    assert_eq!(b.recv().await.unwrap(), "before");
    assert_eq!(b.recv().await, Err(RecvError::Finished));
    let refused = tokio::time::timeout(SOON, async {
        loop {
            if let Err(error) = b.send("x").await {
                return error;
            }
            tokio::task::yield_now().await;
        }
    });
    assert!(matches!(refused.await.unwrap(), SendError::Stopped { code: Code::DROPPED, .. }));
}

#[tokio::test]
async fn closing_a_channel_says_what_was_delivered() {
    let (here, there) = pair();
    let a = here.open("x").await.unwrap();
    let b = there.accept("x").await.unwrap();
    for _ in 0..10 {
        a.send("x").await.unwrap();
    }
    let report = a.close(SOON).await;
    assert_eq!((report.delivered, report.abandoned, report.unknown), (10, 0, 0));
    assert_eq!(b.stats().recv_waiting, 10);
    // Nobody reads on the next one.
    let a = here.open("y").await.unwrap();
    while a.try_send(vec![7; 10_000]).is_ok() {}
    let accepted = a.account().accepted;
    let report = a.close(Duration::from_millis(50)).await;
    assert!(report.abandoned > 0, "{report:?}");
    assert_eq!(report.delivered + report.abandoned + report.unknown, accepted);
}

#[tokio::test]
async fn closing_a_connection_waits_for_its_channels() {
    let (here, there) = pair();
    let a = here.open("x").await.unwrap();
    let b = there.accept("x").await.unwrap();
    let closing = tokio::spawn({
        let here = here.clone();
        async move { here.close(SOON).await }
    });
    assert!(matches!(
        tokio::time::timeout(SOON, async {
            loop {
                match there.open("another").await {
                    Ok(channel) => drop(channel),
                    Err(error) => return error,
                }
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap(),
        spanwire::mux::OpenError::Leaving
    ));
    a.send("still").await.unwrap();
    assert_eq!(b.recv().await.unwrap(), "still");
    drop(a);
    drop(b);
    assert!(closing.await.unwrap(), "all channels had ended");
    assert_eq!(here.end(), Some(End::ClosedHere));
    assert!(matches!(there.ended().await, End::ClosedByPeer { .. }));
}

#[tokio::test]
async fn an_urgent_message_passes_a_gigabyte() {
    let options = MuxOptions { max_message_bytes: 1 << 31, ..MuxOptions::default() };
    let (a, b) = tokio::io::duplex(64 * 1024);
    let (here, there) = (Connection::wrap(a, options.clone()), Connection::wrap(b, options));
    let bulk = here.open("bulk").await.unwrap();
    let urgent = here.open_with("urgent".try_into().unwrap(), Priority::Urgent).await.unwrap();
    let (takes, reads) = (there.accept("bulk").await.unwrap(), there.accept("urgent").await.unwrap());
    let sink = tokio::spawn(async move {
        let mut stream = takes.recv_stream().await.unwrap();
        let mut total = 0_u64;
        while let Some(bytes) = stream.read_chunk().await.unwrap() {
            total += bytes.len() as u64;
        }
        total
    });
    bulk.send(vec![7; 300_000_000]).await.unwrap();
    let mut passed = 0;
    while !sink.is_finished() {
        urgent.send("x").await.unwrap();
        assert_eq!(reads.recv().await.unwrap(), "x");
        passed += 1;
        tokio::task::yield_now().await;
    }
    assert_eq!(sink.await.unwrap(), 300_000_000);
    assert!(passed > 80, "{passed}: one may wait for a few turns of the other, not for all of it");
}

#[tokio::test]
async fn what_is_no_multiplexer_is_told_so_and_leaves() {
    let (mut peer, ours) = tokio::io::duplex(64 * 1024);
    let here = Connection::wrap(ours, MuxOptions::default());
    peer.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let error = here.open("x").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no connection: the peer broke the rules of the wire: \
         the peer does not speak the multiplexer's protocol"
    );
    let mut told = Vec::new();
    peer.read_to_end(&mut told).await.unwrap();
    assert!(String::from_utf8_lossy(&told).contains("does not speak"), "{told:?}");
}
