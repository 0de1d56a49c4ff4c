//! Raw sockets: headers are the application's business.

#[macro_use]
#[path = "support/everywhere.rs"]
mod everywhere;
mod support;

use spanwire::{
    BusSocket, Message, Protocol, PubSocket, RawSocket, RecvError, RepSocket, ReqSocket, RespondSocket,
    SendError,
};

const ID: [u8; 4] = [0x80, 0, 0, 7];

everywhere! {
    async fn a_raw_requester_chooses_its_replier(url: &str) {
        let req = RawSocket::new(Protocol::Req);
        let listener = req.listen(url).await.unwrap();
        let repliers = [RepSocket::new(), RepSocket::new()];
        for rep in &repliers {
            rep.dial(listener.url()).await.unwrap();
        }
        req.wait_peers(2).await.unwrap();
        let mut pipes: Vec<_> = req.peers().iter().map(|peer| peer.pipe).collect();
        pipes.sort_unstable_by_key(|pipe| pipe.slot());
        for _ in 0..3 {
            req.send(Message::with_header(&ID[..], "you!").to(pipes[1])).await.unwrap();
            let request = repliers[1].recv().await.unwrap();
            assert_eq!(&request[..], b"you!");
            request.reply("me?").await.unwrap();
            let reply = req.recv().await.unwrap();
            assert_eq!((&reply[..], reply.header().as_slice(), reply.pipe()), (&b"me?"[..], &ID[..], Some(pipes[1])));
        }
        assert_eq!(repliers[0].try_recv().unwrap_err(), RecvError::Empty);
    }

    async fn a_raw_replier_serves_cooked_requesters(url: &str) {
        let rep = RawSocket::new(Protocol::Rep);
        let listener = rep.listen(url).await.unwrap();
        let requesters = [ReqSocket::new(), ReqSocket::new()];
        for requester in &requesters {
            requester.dial(listener.url()).await.unwrap();
        }
        let serve = async {
            for _ in 0..2 {
                let request = rep.recv().await.unwrap();
                assert_eq!(request.header().len(), 8, "the pipe and the request's id");
                let answer = [&request[..], b"!"].concat();
                rep.send(Message::with_header(request.header().as_slice(), answer)).await.unwrap();
            }
        };
        let ask = async {
            let (a, b) = tokio::join!(requesters[0].request("a"), requesters[1].request("b"));
            assert_eq!((&a.unwrap()[..], &b.unwrap()[..]), (&b"a!"[..], &b"b!"[..]));
        };
        tokio::join!(serve, ask);
        for header in [&[][..], &[1, 2, 3], &[0, 0, 0, 0, 0x80, 0, 0, 1]] {
            let sent = rep.send(Message::with_header(header, "to nobody")).await;
            assert!(
                matches!(sent, Err(SendError::BadHeader(_) | SendError::NoSuchPeer(_))),
                "{header:?}: {sent:?}"
            );
        }
    }

    async fn a_raw_surveyor_takes_what_comes(url: &str) {
        let surveyor = RawSocket::new(Protocol::Surveyor);
        let listener = surveyor.listen(url).await.unwrap();
        let respondents = [RespondSocket::new(), RespondSocket::new()];
        for respondent in &respondents {
            respondent.dial(listener.url()).await.unwrap();
        }
        surveyor.wait_peers(2).await.unwrap();
        surveyor.send(Message::with_header(&ID[..], "who?")).await.unwrap();
        for respondent in &respondents {
            respondent.recv().await.unwrap().reply("me").await.unwrap();
        }
        for _ in &respondents {
            let answer = surveyor.recv().await.unwrap();
            assert_eq!((&answer[..], answer.header().as_slice()), (&b"me"[..], &ID[..]));
        }
    }

    async fn a_raw_subscriber_gets_everything(url: &str) {
        let publisher = PubSocket::new();
        let listener = publisher.listen(url).await.unwrap();
        let subscriber = RawSocket::new(Protocol::Sub);
        subscriber.dial(listener.url()).await.unwrap();
        publisher.wait_peers(1).await.unwrap();
        publisher.send("whatever").await.unwrap();
        assert_eq!(&subscriber.recv().await.unwrap()[..], b"whatever");
        assert!(matches!(subscriber.try_send("no"), Err(SendError::State(_))));
    }

    async fn a_raw_bus_leaves_out_whom_it_names(url: &str) {
        let bus = RawSocket::new(Protocol::Bus);
        let listener = bus.listen(url).await.unwrap();
        let members = [BusSocket::new(), BusSocket::new()];
        for member in &members {
            member.dial(listener.url()).await.unwrap();
        }
        bus.wait_peers(2).await.unwrap();
        members[0].send("hello").await.unwrap();
        let hello = bus.recv().await.unwrap();
        assert_eq!(hello.header().as_slice(), hello.pipe().unwrap().get().to_be_bytes());
        let mut onwards = hello.clone();
        onwards.set_pipe(None);
        bus.send(onwards).await.unwrap();
        assert_eq!(&members[1].recv().await.unwrap()[..], b"hello");
        bus.send("to all").await.unwrap();
        assert_eq!(&members[0].recv().await.unwrap()[..], b"to all", "nothing before that");
        assert_eq!(&members[1].recv().await.unwrap()[..], b"to all");
    }
}

#[tokio::test]
async fn headers_that_make_no_sense_are_refused() {
    let pair = RawSocket::new(Protocol::Pair1);
    assert!(matches!(pair.try_send("no header"), Err(SendError::BadHeader(_))));
    let push = RawSocket::new(Protocol::Push);
    assert_eq!(push.recv().await, Err(RecvError::State));
}
