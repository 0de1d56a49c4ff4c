//! Several listeners at one port.

use crate::support::within;
use spanwire::{
    DialError, ListenError, Pair0Socket, PullSocket, PushSocket, RepSocket, ReqSocket, UpgradeError, WsError,
};
use std::io::ErrorKind;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn kind(result: Result<spanwire::Listener, ListenError>) -> ErrorKind {
    match result {
        Err(ListenError::Bind { error, .. }) => error.kind(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn sockets_share_a_port_by_their_paths() {
    let (pull, rep) = (PullSocket::new(), RepSocket::new());
    let jobs = pull.listen("ws://127.0.0.1:0/jobs").await.unwrap();
    let port = jobs.local_addr().unwrap().port();
    let at = |path: &str| format!("ws://127.0.0.1:{port}{path}");
    let asks = rep.listen(&at("/asks?x=y")).await.unwrap();
    let more = pull.listen(&at("/jobs/more")).await.unwrap();
    assert_eq!(asks.local_addr(), jobs.local_addr());
    for taken in ["/jobs", "/jobs/", "/asks", "/jobs/more?a"] {
        assert_eq!(kind(rep.listen(&at(taken)).await), ErrorKind::AddrInUse, "{taken}");
    }

    for n in 0..20_u8 {
        let (push, req) = (PushSocket::new(), ReqSocket::new());
        push.dial(&at(if n % 2 == 0 { "/jobs" } else { "/jobs/more/" })).await.unwrap();
        req.dial(&at("/asks/?z")).await.unwrap();
        push.send(vec![n]).await.unwrap();
        assert_eq!(within(pull.recv()).await.unwrap()[..], [n]);
        let (reply, ()) = tokio::join!(req.request(vec![n]), async {
            let request = rep.recv().await.unwrap();
            let body = request.to_vec();
            request.reply(body).await.unwrap();
        });
        assert_eq!(reply.unwrap()[..], [n]);
        push.close(SECOND).await;
        req.close(SECOND).await;
    }
    // Each counts its own, whoever has accepted them.
    let counts = [&jobs, &more, &asks].map(|listener| listener.stats());
    assert_eq!(
        counts.map(|stats| (stats.connections, stats.attached, stats.refused)),
        [(10, 10, 0), (10, 10, 0), (20, 20, 0)]
    );

    // One less: the others stay, and its path is nobody's.
    jobs.close();
    let push = PushSocket::new();
    match push.dial(&at("/jobs")).await {
        Err(error @ DialError::Upgrade { .. }) => {
            assert!(error.is_transient(), "somebody may listen there in a moment");
            let DialError::Upgrade { error, .. } = error else { unreachable!() };
            assert!(matches!(error, UpgradeError::WebSocket(WsError::Status { code: 404, .. })), "{error:?}");
        }
        other => panic!("{other:?}"),
    }
    push.dial(&at("/jobs/more")).await.unwrap();
    rep.listen(&at("/jobs")).await.unwrap();
    push.close(SECOND).await;
    pull.close(SECOND).await;
    rep.close(SECOND).await;
    // And with the last of them the port is free, for whatever else.
    std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
}

#[tokio::test]
async fn a_port_of_somebody_else_is_in_use() {
    let foreign = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/path", foreign.local_addr().unwrap());
    let pair = Pair0Socket::new();
    assert_eq!(kind(pair.listen(&url).await), ErrorKind::AddrInUse);
    let plain = pair.listen("tcp://127.0.0.1:0").await.unwrap();
    let url = plain.url().replace("tcp", "ws");
    assert_eq!(kind(pair.listen(&url).await), ErrorKind::AddrInUse);
    pair.close(SECOND).await;
}

#[test]
fn listeners_of_several_runtimes_share_a_port() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let (pull, rep) =
        (first.block_on(async { PullSocket::new() }), second.block_on(async { RepSocket::new() }));
    let jobs = first.block_on(pull.listen("ws://127.0.0.1:0/jobs")).unwrap();
    let at = |path: &str| format!("ws://{}{path}", jobs.local_addr().unwrap());
    second.block_on(rep.listen(&at("/asks"))).unwrap();
    let here = runtime();
    let ask = |n: u8| {
        let req = {
            let _entered = here.enter();
            ReqSocket::new()
        };
        here.block_on(within(async {
            req.dial(&at("/asks")).await.unwrap();
            let (reply, ()) = tokio::join!(req.request(vec![n]), async {
                let request = rep.recv().await.unwrap();
                request.reply(vec![n]).await.unwrap();
            });
            assert_eq!(reply.unwrap()[..], [n]);
            req.close(SECOND).await;
        }));
    };
    for n in 0..20 {
        ask(n);
        here.block_on(within(async {
            let push = PushSocket::new();
            push.dial(&at("/jobs")).await.unwrap();
            push.send(vec![n]).await.unwrap();
            assert_eq!(pull.recv().await.unwrap()[..], [n]);
            push.close(SECOND).await;
        }));
    }
    // The one that has opened the port goes away, and its runtime with it.
    first.shutdown_background();
    for n in 0..20 {
        ask(n);
    }
    here.block_on(rep.close(SECOND));
}
