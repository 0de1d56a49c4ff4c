//! Polyamorous PAIR v1: many peers on one socket, each addressed by its pipe.

#[macro_use]
#[path = "support/everywhere.rs"]
mod everywhere;
mod support;

use spanwire::{Message, Pair1Socket, PolySocket, SendError};
use std::time::Duration;

everywhere! {
    async fn every_peer_is_answered_by_name(url: &str) {
        let poly = PolySocket::new();
        let listener = poly.listen(url).await.unwrap();
        let pairs = [Pair1Socket::new(), Pair1Socket::new(), Pair1Socket::new()];
        for (n, pair) in (0_u8..).zip(&pairs) {
            pair.dial(listener.url()).await.unwrap();
            pair.send(vec![n]).await.unwrap();
        }
        for _ in &pairs {
            let hello = poly.recv().await.unwrap();
            let answer = Message::new(vec![hello[0] + 100]).to(hello.pipe().unwrap());
            poly.send(answer).await.unwrap();
        }
        for (n, pair) in (0_u8..).zip(&pairs) {
            assert_eq!(pair.recv().await.unwrap()[..], [n + 100]);
        }
    }

    async fn without_a_name_the_oldest_peer_gets_it(url: &str) {
        let poly = PolySocket::new();
        let listener = poly.listen(url).await.unwrap();
        let (first, second) = (Pair1Socket::new(), Pair1Socket::new());
        first.dial(listener.url()).await.unwrap();
        poly.wait_peers(1).await.unwrap();
        second.dial(listener.url()).await.unwrap();
        poly.wait_peers(2).await.unwrap();
        poly.send("one").await.unwrap();
        assert_eq!(&first.recv().await.unwrap()[..], b"one");
        let gone = poly.peers().iter().map(|peer| peer.pipe).min_by_key(|pipe| pipe.slot()).unwrap();
        let mut events = poly.events();
        first.close(Duration::from_secs(1)).await;
        while !matches!(events.next().await, Some(spanwire::Event::Detached(..))) {}
        poly.send("two").await.unwrap();
        assert_eq!(&second.recv().await.unwrap()[..], b"two");
        match poly.send(Message::new("three").to(gone)).await {
            Err(SendError::NoSuchPeer(back)) => assert_eq!(&back[..], b"three"),
            other => panic!("{other:?}"),
        }
    }
}
