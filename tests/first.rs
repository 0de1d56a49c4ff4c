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
