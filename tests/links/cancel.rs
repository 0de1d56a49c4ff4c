//! Every public future, dropped after any number of polls: a send that was dropped has sent nothing, a
//! receive has taken nothing, and the connection is good for the next operation.

use crate::support::*;
use spanwire::link::*;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// No future of ours needs to be polled so often.
const ENOUGH: usize = 500;

/// Polls `work` so many times, then drops it; between polls, everything else may run.
async fn polled<T>(polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    for _ in 0..polls {
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
            return Some(output);
        }
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
    }
    None
}

/// Runs `scenario` with 0, 1, 2 … polls until it says that the future in it completed.
async fn every(what: &str, mut scenario: impl AsyncFnMut(usize) -> bool) {
    for polls in 0..ENOUGH {
        if soon(what, scenario(polls)).await {
            return;
        }
    }
    panic!("{what} never completed");
}

fn narrow() -> LinkOptions {
    LinkOptions { send_messages: 2, recv_messages: 2, ..LinkOptions::default() }
}

fn numbered(number: u16) -> Parcel {
    Parcel::new(0, number, "x")
}

#[tokio::test]
async fn a_send_that_is_dropped_has_sent_nothing() {
    let (ann, bob, _server) = pair_with(narrow()).await;
    for relief in 0..3 {
        let mut next = 0;
        let mut expected = Vec::new();
        every("a send when full", async |polls| {
            while ann.try_send(numbered(next)).is_ok() {
                expected.push(next);
                next += 1;
                tokio::task::yield_now().await;
            }
            let mut send = pin!(ann.send(numbered(next)));
            let mut sent = false;
            for poll in 0..polls {
                if poll == relief {
                    assert_eq!(bob.recv().await.unwrap().message, expected.remove(0));
                }
                if let Some(done) = polled(1, send.as_mut()).await {
                    done.unwrap();
                    expected.push(next);
                    sent = true;
                    break;
                }
            }
            next += 1;
            sent
        })
        .await;
        for number in expected {
            assert_eq!(soon("what was sent", bob.recv()).await.unwrap().message, number);
        }
        assert_eq!(bob.try_recv(), Err(RecvError::Empty));
    }
}

#[tokio::test]
async fn a_receive_that_is_dropped_has_taken_nothing() {
    let (ann, bob, _server) = pair_with(narrow()).await;
    for arrival in 0..3 {
        let mut next = 0;
        every("a receive", async |polls| {
            let mut recv = Box::pin(bob.recv());
            let (mut got, mut sent) = (None, false);
            for poll in 0..polls {
                if poll == arrival {
                    ann.send(numbered(next)).await.unwrap();
                    sent = true;
                }
                if let Some(parcel) = polled(1, recv.as_mut()).await {
                    got = Some(parcel.unwrap().message);
                    break;
                }
            }
            drop(recv);
            let done = got.is_some();
            if sent {
                // Whoever receives next gets what was there.
                let number = match got {
                    Some(number) => number,
                    None => soon("what is there", bob.recv()).await.unwrap().message,
                };
                assert_eq!(number, next);
                next += 1;
            }
            done
        })
        .await;
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_no_trace() {
    let (ann, bob, _server) = pair_with(LinkOptions { calls: 3, requests: 3, ..narrow() }).await;
    let serving = tokio::spawn(async move {
        let handlers = Handlers::new().otherwise(async |asked, _| {
            tokio::task::yield_now().await;
            Ok::<_, HandlerError>(asked.body)
        });
        bob.serve(&handlers).await
    });
    every("a call", async |polls| {
        let answer = polled(polls, ann.call("?")).await;
        if let Some(answer) = &answer {
            assert_eq!(*answer, Ok("?".into()));
        }
        // There is a place for others, however often that happens.
        assert_eq!(soon("another", ann.call("!")).await, Ok("!".into()));
        answer.is_some()
    })
    .await;
    soon("a close", ann.close(SOON)).await;
    soon("the end", serving).await.unwrap();
}

#[tokio::test]
async fn connecting_accepting_and_dialing_may_be_dropped_at_any_point() {
    let bed = Bed::new();
    let server = Host::new("bob").serve("tcp://127.0.0.1:0").await.unwrap();
    let ann = Host::new("ann");
    every("a connection", async |polls| {
        let conn = polled(polls, ann.connect(&server.url())).await;
        let done = conn.is_some();
        drop(conn.map(Result::unwrap));
        until("nothing is left", || ann.peers().is_empty()).await;
        done
    })
    .await;
    while server.try_accept().is_ok() {}
    let mut waiting = None;
    every("an accept", async |polls| {
        if polls == 3 {
            waiting = Some(ann.connect(&server.url()).await.unwrap());
        }
        polled(polls, server.accept()).await.map(Result::unwrap).is_some()
    })
    .await;
    let dialer = ann.dialer(&server.url()).unwrap();
    every("the next connection", async |polls| {
        polled(polls, dialer.next()).await.map(Result::unwrap).is_some()
    })
    .await;
    drop((waiting, dialer, server, ann));
    bed.ends_clean().await;
}

#[tokio::test]
async fn streams_requests_and_ends_may_be_dropped_at_any_point() {
    let (ann, bob, _server) = pair().await;
    every("the beginning of a stream", async |polls| {
        let stream = polled(polls, ann.send_stream("x")).await;
        let begun = stream.is_some();
        if let Some(stream) = stream {
            drop(stream.unwrap());
        }
        begun
    })
    .await;
    let mut stream = soon("it", bob.recv_stream()).await.unwrap();
    every("a piece", async |polls| polled(polls, stream.read_chunk()).await.is_some()).await;
    drop(stream);
    let finishing = ann.send_stream("y").await.unwrap();
    drop(polled(3, finishing.finish()).await);
    every("a request", async |polls| {
        let call = ann.call("?");
        let mut call = pin!(call);
        assert!(polled(2, call.as_mut()).await.is_none());
        let request = polled(polls, bob.recv_request()).await;
        match request {
            Some(request) => request.unwrap().reply("!"),
            None => soon("it", bob.recv_request()).await.unwrap().reply("!"),
        };
        soon("the answer", call).await.unwrap();
        polls > 3
    })
    .await;
    assert!(polled(3, bob.ended()).await.is_none());
    assert!(polled(3, bob.metadata_changed()).await.is_none());
    // A close that is dropped goes on in the background.
    assert!(polled(0, ann.close(SOON)).await.is_none());
    assert!(ann.end().is_none());
    let _ = polled(1, ann.close(SOON)).await;
    assert!(matches!(soon("the end", bob.ended()).await, End::ClosedByPeer { .. }));
}
