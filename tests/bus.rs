//! BUS: all neighbours, never oneself, and nothing is passed on.

#[macro_use]
#[path = "support/everywhere.rs"]
mod everywhere;
mod support;

use spanwire::{BusSocket, Dropped, Options, RecvError};

everywhere! {
    async fn neighbours_hear_it_and_nobody_else(url: &str) {
        // left - middle - right: what left says, middle hears, and does not pass on.
        let (left, middle, right) = (BusSocket::new(), BusSocket::new(), BusSocket::new());
        let listener = middle.listen(url).await.unwrap();
        left.dial(listener.url()).await.unwrap();
        right.dial(listener.url()).await.unwrap();
        middle.wait_peers(2).await.unwrap();
        left.send("from left").await.unwrap();
        assert_eq!(&middle.recv().await.unwrap()[..], b"from left");
        middle.send("from middle").await.unwrap();
        assert_eq!(&left.recv().await.unwrap()[..], b"from middle");
        assert_eq!(&right.recv().await.unwrap()[..], b"from middle", "and not what left had said");
        for socket in [&left, &middle, &right] {
            assert_eq!(socket.try_recv(), Err(RecvError::Empty), "nobody hears himself");
        }
    }

    async fn a_neighbour_that_does_not_listen_misses_messages_and_that_is_counted(url: &str) {
        let deaf = BusSocket::with(Options { recv_messages: 10, ..Options::default() });
        let listener = deaf.listen(url).await.unwrap();
        let talker = BusSocket::new();
        talker.dial(listener.url()).await.unwrap();
        for n in 0..100_u8 {
            talker.send(vec![n]).await.unwrap();
        }
        while deaf.stats().ledger.received_messages < 100 {
            tokio::task::yield_now().await;
        }
        for n in 0..10_u8 {
            assert_eq!(deaf.recv().await.unwrap()[..], [n], "the oldest are kept");
        }
        assert_eq!(deaf.try_recv(), Err(RecvError::Empty));
        assert_eq!(deaf.stats().ledger.dropped(Dropped::QueueFull), 90);
    }

    async fn talking_to_nobody_is_no_error_and_is_counted(url: &str) {
        let alone = BusSocket::new();
        alone.listen(url).await.unwrap();
        alone.send("hello?").await.unwrap();
        assert_eq!(alone.stats().ledger.dropped(Dropped::NoPeer), 1);
    }
}
