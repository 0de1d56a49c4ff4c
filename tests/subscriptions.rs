//! SUB: topics, contexts, and what a full queue gives up.

#[macro_use]
#[path = "support/everywhere.rs"]
mod everywhere;
mod support;

use spanwire::{Dropped, NotSubscribed, Options, Prefer, PubSocket, RecvError, SubSocket};

/// A publisher and one subscriber, joined.
async fn joined(url: &str, options: Options) -> (PubSocket, SubSocket) {
    let (publisher, subscriber) = (PubSocket::new(), SubSocket::with(options));
    subscriber.dial(publisher.listen(url).await.unwrap().url()).await.unwrap();
    publisher.wait_peers(1).await.unwrap();
    (publisher, subscriber)
}

/// Waits until so many messages have come, taken or not.
async fn arrived(subscriber: &SubSocket, count: u64) {
    while subscriber.stats().ledger.received_messages < count {
        tokio::task::yield_now().await;
    }
}

everywhere! {
    async fn a_topic_is_a_prefix(url: &str) {
        let (publisher, subscriber) = joined(url, Options::default()).await;
        subscriber.subscribe("news/");
        subscriber.subscribe("news/");
        subscriber.subscribe("w");
        for body in ["news", "news/", "news/today", "sport", "w", "weather", ""] {
            publisher.send(body).await.unwrap();
        }
        arrived(&subscriber, 7).await;
        for body in ["news/", "news/today", "w", "weather"] {
            assert_eq!(&subscriber.recv().await.unwrap()[..], body.as_bytes());
        }
        assert_eq!(subscriber.try_recv(), Err(RecvError::Empty));
        assert_eq!(subscriber.stats().ledger.dropped(Dropped::NotSubscribed), 3);

        subscriber.unsubscribe("news/").unwrap();
        assert_eq!(subscriber.unsubscribe("news/"), Err(NotSubscribed), "twice was as good as once");
        subscriber.subscribe("");
        publisher.send("anything").await.unwrap();
        assert_eq!(&subscriber.recv().await.unwrap()[..], b"anything");
    }

    async fn an_unsubscribed_topic_takes_its_waiting_messages_along(url: &str) {
        let (publisher, subscriber) = joined(url, Options::default()).await;
        subscriber.subscribe("a");
        subscriber.subscribe("b");
        for body in ["a1", "b1", "a2", "b2"] {
            publisher.send(body).await.unwrap();
        }
        arrived(&subscriber, 4).await;
        subscriber.unsubscribe("a").unwrap();
        assert_eq!(&subscriber.recv().await.unwrap()[..], b"b1");
        assert_eq!(&subscriber.recv().await.unwrap()[..], b"b2");
        assert_eq!(subscriber.try_recv(), Err(RecvError::Empty));
    }

    async fn contexts_have_their_own_topics_and_queues(url: &str) {
        let (publisher, subscriber) = joined(url, Options::default()).await;
        let (all, some) = (subscriber.context(), subscriber.context());
        all.subscribe("");
        some.subscribe("x");
        for body in ["x1", "y1", "x2"] {
            publisher.send(body).await.unwrap();
        }
        for body in ["x1", "y1", "x2"] {
            assert_eq!(&all.recv().await.unwrap()[..], body.as_bytes());
        }
        assert_eq!(&some.recv().await.unwrap()[..], b"x1");
        assert_eq!(&some.recv().await.unwrap()[..], b"x2");
        assert_eq!(subscriber.try_recv(), Err(RecvError::Empty), "the socket itself asked for nothing");
    }

    async fn a_full_queue_gives_up_the_oldest(url: &str) {
        let (publisher, subscriber) = joined(url, Options { recv_messages: 5, ..Options::default() }).await;
        subscriber.subscribe("");
        for n in 0..12_u8 {
            publisher.send(vec![n]).await.unwrap();
        }
        arrived(&subscriber, 12).await;
        for n in 7..12 {
            assert_eq!(subscriber.recv().await.unwrap()[..], [n]);
        }
        assert_eq!(subscriber.stats().ledger.dropped(Dropped::QueueFull), 7);
    }

    async fn or_the_newest_if_the_oldest_is_preferred(url: &str) {
        let options = Options { recv_messages: 5, prefer: Prefer::Oldest, ..Options::default() };
        let (publisher, subscriber) = joined(url, options).await;
        subscriber.subscribe("");
        for n in 0..12_u8 {
            publisher.send(vec![n]).await.unwrap();
        }
        arrived(&subscriber, 12).await;
        for n in 0..5 {
            assert_eq!(subscriber.recv().await.unwrap()[..], [n]);
        }
        assert_eq!(subscriber.stats().ledger.dropped(Dropped::QueueFull), 7);
    }
}
