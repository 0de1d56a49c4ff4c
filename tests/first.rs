//! Messages over each transport.

use spanwire::{Options, Pair0Socket, PullSocket, PushSocket};
use std::time::Duration;

#[tokio::test]
async fn jobs_travel_over_tcp() {
    let pull = PullSocket::new();
    let listener = pull.listen("tcp://127.0.0.1:0").await.unwrap();
    let push = PushSocket::new();
    push.dial(listener.url()).await.unwrap();
    for n in 0..10_000_u32 {
        push.send(n.to_be_bytes().to_vec()).await.unwrap();
    }
    for n in 0..10_000_u32 {
        assert_eq!(pull.recv().await.unwrap().body()[..], n.to_be_bytes());
    }
    let report = push.close(Duration::from_secs(1)).await;
    assert_eq!((report.abandoned, report.unknown), (0, 0));
    pull.close(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn pairs_talk_over_inproc_and_ipc() {
    let dir = std::env::temp_dir().join(format!("spanwire-first-{}", std::process::id()));
    for url in ["inproc://first".to_string(), format!("ipc://{}", dir.display()), "abstract://".into()] {
        let a = Pair0Socket::with(Options { ..Options::default() });
        let b = Pair0Socket::new();
        let listener = a.listen(&url).await.unwrap();
        b.dial(listener.url()).await.unwrap();
        b.send("hello").await.unwrap();
        assert_eq!(&a.recv().await.unwrap()[..], b"hello");
        a.send("there").await.unwrap();
        assert_eq!(&b.recv().await.unwrap()[..], b"there");
        a.close(Duration::from_secs(1)).await;
        b.close(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn every_pattern_talks() {
    use spanwire::*;
    let second = Duration::from_secs(1);
    let rep = RepSocket::new();
    let at = rep.listen("tcp://127.0.0.1:0").await.unwrap();
    let req = ReqSocket::new();
    req.dial(at.url()).await.unwrap();
    let server = async {
        for _ in 0..10 {
            let request = rep.recv().await.unwrap();
            let body = request.to_vec();
            request.reply(body).await.unwrap();
        }
    };
    let client = async {
        for n in 0..10_u8 {
            assert_eq!(&req.request(vec![n]).await.unwrap()[..], [n]);
        }
    };
    futures_util::future::join(server, client).await;

    let publisher = PubSocket::new();
    let at = publisher.listen("inproc://every-pub").await.unwrap();
    let sub = SubSocket::new();
    sub.subscribe("a");
    sub.dial(at.url()).await.unwrap();
    publisher.wait_peers(1).await.unwrap();
    publisher.send("b no").await.unwrap();
    publisher.send("a yes").await.unwrap();
    assert_eq!(&sub.recv().await.unwrap()[..], b"a yes");

    let surveyor = SurveySocket::new();
    let at = surveyor.listen("tcp://127.0.0.1:0").await.unwrap();
    let respondent = RespondSocket::new();
    respondent.dial(at.url()).await.unwrap();
    surveyor.wait_peers(1).await.unwrap();
    let survey = surveyor.survey("who?").await.unwrap().end_when_all_answered();
    let request = respondent.recv().await.unwrap();
    request.reply("me").await.unwrap();
    let answers = survey.collect().await;
    assert_eq!(answers.len(), 1);
    assert_eq!(&answers[0][..], b"me");

    let front = RawSocket::new(Protocol::Rep);
    let back = RawSocket::new(Protocol::Req);
    let f = front.listen("inproc://front").await.unwrap();
    let b = back.listen("inproc://back").await.unwrap();
    let rep2 = RepSocket::new();
    rep2.dial(b.url()).await.unwrap();
    let req2 = ReqSocket::new();
    req2.dial(f.url()).await.unwrap();
    let dev = device::Device::new(front.clone(), back.clone()).unwrap();
    tokio::select! {
        _ = dev.run() => unreachable!(),
        got = async { futures_util::future::join(req2.request("over"), async { rep2.recv().await.unwrap().reply("there").await.unwrap() }).await.0 } => assert_eq!(&got.unwrap()[..], b"there"),
    }
    for r in [req.close(second).await, rep.close(second).await] {
        assert_eq!(r.abandoned, 0);
    }
}
