//! Pairs: two peers that talk both ways, in order; and one that talks to many.
//!
//! ```sh
//! cargo run --example pair
//! ```

use spanwire::{Pair0Socket, Pair1Socket, PolySocket};
use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    one_to_one().await?;
    one_to_many().await
}

/// PAIR v0: the plainest of all. Over `inproc` the messages are handed over as they are.
async fn one_to_one() -> Result<(), Box<dyn Error>> {
    let (left, right) = (Pair0Socket::new(), Pair0Socket::new());
    left.listen("inproc://pair").await?;
    right.dial("inproc://pair").await?;
    left.send("hello").await?;
    right.send("hello yourself").await?;
    assert_eq!(right.recv().await?.body(), "hello".as_bytes());
    assert_eq!(left.recv().await?.body(), "hello yourself".as_bytes());

    // A pair has one peer at a time. The first stays, and a second is turned away.
    let third = Pair0Socket::new();
    let refused = third.dial("inproc://pair").await.expect_err("left has its peer");
    println!("a third is told: {refused}");
    Ok(())
}

/// PAIR v1 in polyamorous mode: the peers are plain PAIR v1 sockets, which do not know of each
/// other. Each message names the peer it came from, or the one it shall go to.
async fn one_to_many() -> Result<(), Box<dyn Error>> {
    let hub = PolySocket::new();
    let listener = hub.listen("tcp://127.0.0.1:0").await?;
    let (ann, bob) = (Pair1Socket::new(), Pair1Socket::new());
    ann.dial(listener.url()).await?;
    bob.dial(listener.url()).await?;

    ann.send("I am ann").await?;
    bob.send("I am bob").await?;
    for _ in 0..2 {
        let message = hub.recv().await?;
        let from = message.pipe().expect("a received message knows its pipe");
        let name = String::from_utf8_lossy(&message).replace("I am ", "");
        hub.send(spanwire::Message::from(format!("hello, {name}")).to(from)).await?;
    }
    assert_eq!(ann.recv().await?.body(), "hello, ann".as_bytes());
    assert_eq!(bob.recv().await?.body(), "hello, bob".as_bytes());
    println!("each got its own answer");
    Ok(())
}
