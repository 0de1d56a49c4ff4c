//! Requests, their answers, and what becomes of those without one.

use crate::support::*;
use bytes::Bytes;
use spanwire::link::*;

fn failed(code: Fault, text: &str) -> Result<Bytes, CallError> {
    Err(CallError::Failed { code, text: text.into() })
}

#[tokio::test]
async fn handlers_answer_or_fail_by_name_over_every_transport() {
    for url in everywhere() {
        let (ann, bob, _server) = pair_at(&url, LinkOptions::default()).await;
        let handlers = Handlers::new()
            .on(1, 1, async |asked, _| Ok::<_, HandlerError>(asked.body.to_ascii_uppercase()))
            .on(1, 2, async |_, _| Err::<Bytes, _>("out of paper"))
            .on(1, 3, async |_, _| {
                Err::<Bytes, _>(HandlerError {
                    code: Fault::Other(Fault::APPLICATION + 1),
                    text: "mine".into(),
                })
            })
            .on(1, 4, async |asked: Parcel, _| {
                assert!(asked.body.is_empty(), "a handler that panics");
                Ok::<_, HandlerError>("")
            });
        let serving = tokio::spawn(async move { bob.serve(&handlers).await });
        let call =
            async |message, body: &'static str| soon(&url, ann.call(Parcel::new(1, message, body))).await;
        assert_eq!(call(1, "loud").await, Ok("LOUD".into()));
        assert_eq!(call(2, "").await, failed(Fault::Failed, "out of paper"));
        assert_eq!(call(3, "").await, failed(Fault::Other(257), "mine"));
        assert_eq!(call(4, "x").await, failed(Fault::Failed, "the handler panicked"));
        assert_eq!(call(4, "").await, Ok("".into()), "it goes on all the same");
        assert_eq!(call(9, "").await, failed(Fault::NoHandler, "protocol 1, message 9"));
        ann.close(SOON).await;
        assert!(matches!(soon("the end", serving).await.unwrap(), End::ClosedByPeer { .. }));
    }
}

#[tokio::test]
async fn many_are_in_flight_and_answers_come_in_any_order() {
    let (ann, bob, _server) = pair().await;
    let asked = {
        let calls: Vec<_> = (0..50_u8)
            .map(|n| {
                let ann = ann.clone();
                tokio::spawn(async move { (n, ann.call(vec![n]).await) })
            })
            .collect();
        let mut requests = Vec::new();
        while requests.len() < 50 {
            requests.push(soon("a request", bob.recv_request()).await.unwrap());
        }
        for request in requests.into_iter().rev() {
            let body = request.body().clone();
            assert!(request.reply(body));
        }
        calls
    };
    for call in asked {
        let (n, answer) = soon("an answer", call).await.unwrap();
        assert_eq!(answer, Ok(vec![n].into()));
    }
}

#[tokio::test]
async fn a_request_that_is_dropped_unanswered_says_so() {
    let (ann, bob, _server) = pair().await;
    let call = tokio::spawn(async move { (ann.call("?").await, ann) });
    drop(soon("a request", bob.recv_request()).await.unwrap());
    let (answer, _ann) = soon("an answer", call).await.unwrap();
    assert_eq!(answer, failed(Fault::Unanswered, ""));
}

#[tokio::test]
async fn more_requests_than_may_wait_are_busy() {
    let (ann, bob, _server) = pair_with(LinkOptions { requests: 2, ..LinkOptions::default() }).await;
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let ann = ann.clone();
            tokio::spawn(async move { ann.call("?").await })
        })
        .collect();
    until("one is busy", || bob.stats().busy_requests == 1).await;
    for _ in 0..2 {
        soon("a request", bob.recv_request()).await.unwrap().reply("!");
    }
    let mut busy = 0;
    for call in calls {
        match soon("an answer", call).await.unwrap() {
            Ok(body) => assert_eq!(&body[..], b"!"),
            Err(error) => {
                assert!(error.is_transient());
                busy += 1;
            }
        }
    }
    assert_eq!(busy, 1);
}

#[tokio::test]
async fn a_call_that_is_given_up_is_cancelled_at_the_peer() {
    let (ann, bob, _server) = pair().await;
    let call = tokio::spawn({
        let ann = ann.clone();
        async move { ann.call("?").await }
    });
    let request = soon("a request", bob.recv_request()).await.unwrap();
    call.abort();
    assert!(soon("the abort", call).await.is_err());
    // A later call passes only behind the news of the cancellation.
    let later = tokio::spawn(async move { (ann.call("later").await, ann) });
    let other = soon("a request", bob.recv_request()).await.unwrap();
    assert!(!request.reply("too late"));
    assert!(other.reply("in time"));
    assert_eq!(soon("an answer", later).await.unwrap().0, Ok("in time".into()));
}

#[tokio::test]
async fn large_requests_and_answers_go_in_pieces() {
    let (ann, bob, _server) = pair().await;
    let serving = tokio::spawn(async move {
        let handlers = Handlers::new().otherwise(async |asked, _| Ok::<_, HandlerError>(asked.body));
        bob.serve(&handlers).await
    });
    let body = Bytes::from((0..3_000_000_u32).map(|n| n as u8).collect::<Vec<_>>());
    assert_eq!(soon("an echo", ann.call(body.clone())).await, Ok(body));
    drop(ann);
    soon("the end", serving).await.unwrap();
}
