//! REQ and REP: conversations, their rule of cancelling, and what happens when a replier is lost.

#[macro_use]
#[path = "support/everywhere.rs"]
mod everywhere;
mod support;

use futures_util::future::join_all;
use spanwire::{
    Dropped, Event, Message, Options, RecvError, RepSocket, ReqSocket, Request, RequestError, SendError,
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A requester with two repliers, all attached.
async fn two_repliers(url: &str, options: Options) -> (ReqSocket, [RepSocket; 2]) {
    let req = ReqSocket::with(options);
    let listener = req.listen(url).await.unwrap();
    let repliers = [RepSocket::new(), RepSocket::new()];
    for rep in &repliers {
        rep.dial(listener.url()).await.unwrap();
    }
    req.wait_peers(2).await.unwrap();
    (req, repliers)
}

/// The next request of either, and which one got it.
async fn first_of(repliers: &[RepSocket; 2]) -> (usize, Request) {
    tokio::select! {
        request = repliers[0].recv() => (0, request.unwrap()),
        request = repliers[1].recv() => (1, request.unwrap()),
    }
}

everywhere! {
    async fn a_hundred_requests_at_once_get_each_their_reply(url: &str) {
        let (req, rep) = (ReqSocket::new(), RepSocket::with(Options { requests_per_pipe: 100, ..Options::default() }));
        req.dial(rep.listen(url).await.unwrap().url()).await.unwrap();
        let serve = async {
            let mut requests = Vec::new();
            for _ in 0..100 {
                requests.push(rep.recv().await.unwrap());
            }
            // The last one first: nothing depends on the order of replies.
            for request in requests.into_iter().rev() {
                let body = request.to_vec();
                request.reply(body).await.unwrap();
            }
        };
        let ask = join_all((0..100_u8).map(|n| req.request(vec![n])));
        let (replies, ()) = tokio::join!(ask, serve);
        for (n, reply) in (0..).zip(replies) {
            assert_eq!(reply.unwrap()[..], [n]);
        }
    }

    async fn a_new_request_cancels_the_former_of_its_context_and_no_other(url: &str) {
        let (req, rep) = (ReqSocket::new(), RepSocket::new());
        req.dial(rep.listen(url).await.unwrap().url()).await.unwrap();
        let (context, other) = (req.context(), req.context());
        assert_eq!(context.try_recv(), Err(RecvError::State), "nothing was asked");
        context.send("first").await.unwrap();
        other.send("other").await.unwrap();
        let (first, asked_again) = tokio::join!(context.recv(), context.send("second"));
        asked_again.unwrap();
        assert_eq!(first, Err(RecvError::Cancelled));
        for _ in 0..3 {
            let request = rep.recv().await.unwrap();
            let body = [&request[..], b"!"].concat();
            request.reply(body).await.unwrap();
        }
        assert_eq!(&context.recv().await.unwrap()[..], b"second!");
        assert_eq!(&other.recv().await.unwrap()[..], b"other!");
        assert_eq!(req.stats().ledger.dropped(Dropped::NoRequest), 1, "the reply to the first");
    }

    async fn a_request_goes_to_another_replier_when_its_own_is_lost(url: &str) {
        let (req, repliers) = two_repliers(url, Options::default()).await;
        let serve = async {
            let (who, request) = first_of(&repliers).await;
            let pipe = request.message().pipe().unwrap();
            assert!(repliers[who].disconnect(pipe));
            let second = repliers[1 - who].recv().await.unwrap();
            assert_eq!(second[..], request[..]);
            second.reply("done").await.unwrap();
            match request.reply("too late").await {
                Err(SendError::NoSuchPeer(back)) => assert_eq!(&back[..], b"too late"),
                other => panic!("{other:?}"),
            }
        };
        let (reply, ()) = tokio::join!(req.request("work"), serve);
        assert_eq!(&reply.unwrap()[..], b"done");
        assert_eq!(req.stats().ledger.resent_messages, 1);
    }

    async fn a_request_goes_to_another_replier_after_the_resend_time(url: &str) {
        let options = Options { resend_time: Some(SECOND / 10), ..Options::default() };
        let (req, repliers) = two_repliers(url, options).await;
        let mut events = req.events();
        let serve = async {
            let (who, slow) = first_of(&repliers).await;
            let quick = repliers[1 - who].recv().await.unwrap();
            quick.reply("quick").await.unwrap();
            slow
        };
        let (reply, slow) = tokio::join!(req.request("work"), serve);
        assert_eq!(&reply.unwrap()[..], b"quick");
        slow.reply("slow").await.unwrap();
        loop {
            match events.next().await.unwrap() {
                Event::Dropped { why, bytes, .. } => {
                    // Its body and its id.
                    assert_eq!((why, bytes), (Dropped::NoRequest, 8));
                    break;
                }
                _ => continue,
            }
        }
    }

    async fn without_resending_a_lost_replier_is_an_error(url: &str) {
        let options = Options { resend_time: None, ..Options::default() };
        let (req, repliers) = two_repliers(url, options).await;
        let cut = async {
            let (who, request) = first_of(&repliers).await;
            repliers[who].disconnect(request.message().pipe().unwrap());
        };
        let (reply, ()) = tokio::join!(req.request("work"), cut);
        assert_eq!(reply.unwrap_err(), RequestError::Recv(RecvError::ConnectionLost));
    }

    async fn a_request_that_is_dropped_unanswered_is_counted(url: &str) {
        let (req, rep) = (ReqSocket::new(), RepSocket::new());
        req.dial(rep.listen(url).await.unwrap().url()).await.unwrap();
        let ignore = async { drop(rep.recv().await.unwrap()) };
        let (reply, ()) = tokio::join!(req.request_timeout("hello?", SECOND / 10), ignore);
        assert_eq!(reply.unwrap_err(), RequestError::Recv(RecvError::TimedOut));
        assert_eq!(rep.stats().ledger.dropped(Dropped::Unanswered), 1);
    }

    async fn contexts_of_a_replier_work_side_by_side(url: &str) {
        let (req, rep) = (ReqSocket::new(), RepSocket::new());
        req.dial(rep.listen(url).await.unwrap().url()).await.unwrap();
        let (one, two) = (rep.context(), rep.context());
        let serve = async {
            let (first, second) = (one.recv().await.unwrap(), two.recv().await.unwrap());
            two.send(second.into_body()).await.unwrap();
            one.send(first.into_body()).await.unwrap();
            assert!(matches!(one.send("again").await, Err(SendError::State(_))));
        };
        let (a, b, ()) = tokio::join!(req.request("a"), req.request("b"), serve);
        assert_eq!((&a.unwrap()[..], &b.unwrap()[..]), (&b"a"[..], &b"b"[..]));
    }

    async fn a_request_waits_for_its_first_replier(url: &str) {
        let req = ReqSocket::new();
        let listener = req.listen(url).await.unwrap();
        match req.context().try_send("nobody") {
            Err(SendError::NoPeer(back)) => assert_eq!(back, Message::from("nobody")),
            other => panic!("{other:?}"),
        }
        let serve = async {
            let rep = RepSocket::new();
            rep.dial(listener.url()).await.unwrap();
            rep.recv().await.unwrap().reply("here").await.unwrap();
            rep
        };
        let (reply, _rep) = tokio::join!(req.request("anybody?"), serve);
        assert_eq!(&reply.unwrap()[..], b"here");
    }
}
