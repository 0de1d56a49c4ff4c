//! Messages of any length, in bounded memory.

use crate::support::*;
use bytes::Bytes;
use spanwire::link::*;
use std::time::Duration;

fn narrow() -> LinkOptions {
    LinkOptions { stream_bytes: 100_000, streams: 2, ..LinkOptions::default() }
}

#[tokio::test]
async fn a_message_larger_than_memory_allows_goes_through_over_every_transport() {
    for url in everywhere() {
        let (ann, bob, _server) = pair_at(&url, narrow()).await;
        let send = async {
            let mut stream = ann.send_stream(Parcel::new(3, 4, "first ")).await.unwrap();
            for n in 0..400_u32 {
                stream.write_chunk(vec![n as u8; 50_000]).await.unwrap();
            }
            stream.finish().await.unwrap();
        };
        let recv = async {
            let mut stream = bob.recv_stream().await.unwrap();
            assert_eq!((stream.head().protocol, stream.head().message), (3, 4));
            let (mut sum, mut count) = (0_u64, 0);
            while let Some(piece) = stream.read_chunk().await.unwrap() {
                count += piece.len();
                sum += piece.iter().map(|byte| u64::from(*byte)).sum::<u64>();
            }
            assert_eq!(stream.read_chunk().await, Ok(None), "and so it stays");
            (sum, count)
        };
        let (_, (sum, count)) = soon(&url, async { tokio::join!(send, recv) }).await;
        let first: u64 = b"first ".iter().map(|byte| u64::from(*byte)).sum();
        assert_eq!(count, 20_000_000 + 6);
        assert_eq!(sum, first + (0..400_u64).map(|n| (n % 256) * 50_000).sum::<u64>());
    }
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_up_nothing_else() {
    let (ann, bob, _server) = pair_with(narrow()).await;
    let mut stream = ann.send_stream("").await.unwrap();
    let error = stream.write_chunk_timeout(vec![0; 1 << 20], Duration::from_millis(50)).await;
    assert_eq!(error, Err(StreamError::TimedOut));
    ann.send("past it").await.unwrap();
    assert_eq!(soon("a message", bob.recv()).await.unwrap().body, Bytes::from("past it"));
    // As many as the peer takes, and no more.
    let _other = soon("another", ann.send_stream("")).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(20), ann.send_stream("")).await.is_err());
}

#[tokio::test]
async fn who_drops_its_end_tells_the_other() {
    let (ann, bob, _server) = pair_with(narrow()).await;
    let mut unwanted = ann.send_stream("x").await.unwrap();
    drop(soon("it", bob.recv_stream()).await.unwrap());
    let stopped = soon("the news", async {
        loop {
            if let Err(error) = unwanted.write_chunk("more").await {
                break error;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(stopped.await, StreamError::Stopped);
    drop(unwanted);
    let given_up = soon("a place", ann.send_stream("begun")).await.unwrap();
    let mut stream = soon("it", bob.recv_stream()).await.unwrap();
    drop(given_up);
    assert_eq!(soon("a piece", stream.read_chunk()).await, Ok(Some("begun".into())));
    assert_eq!(soon("the end", stream.read_chunk_timeout(SOON)).await, Err(StreamError::Aborted));
}

#[tokio::test]
async fn streams_end_with_their_connection() {
    let (ann, bob, _server) = pair_with(narrow()).await;
    let mut sending = ann.send_stream("x").await.unwrap();
    let mut receiving = soon("it", bob.recv_stream()).await.unwrap();
    assert_eq!(soon("a piece", receiving.read_chunk()).await, Ok(Some("x".into())));
    bob.close(SOON).await;
    assert_eq!(soon("the end", receiving.read_chunk()).await, Err(StreamError::Closed(End::ClosedHere)));
    soon("the end", ann.ended()).await;
    assert!(matches!(sending.write_chunk("y").await, Err(StreamError::Closed(End::ClosedByPeer { .. }))));
    assert!(matches!(sending.finish().await, Err(StreamError::Closed(_))));
    assert!(matches!(ann.send_stream("z").await, Err(StreamError::Closed(_))));
}

#[tokio::test]
async fn a_peer_may_take_none() {
    let server = host("bob", LinkOptions { streams: 0, ..LinkOptions::default() });
    let server = server.serve("tcp://127.0.0.1:0").await.unwrap();
    let ann = connect(&server.url()).await.unwrap();
    assert_eq!(ann.send_stream("x").await.err(), Some(StreamError::NotTaken));
}
