//! Watching a socket: who comes and goes and why, what is dropped, and what has been counted.
//!
//! ```sh
//! cargo run --example events
//! ```

use spanwire::{DetachReason, Dropped, Event, Options, Pair0Socket, Place, PubSocket, SubSocket};
use std::error::Error;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    peers_that_come_and_go().await?;
    messages_that_are_dropped().await
}

async fn peers_that_come_and_go() -> Result<(), Box<dyn Error>> {
    let host = Pair0Socket::new();
    // From here on; what happened before is not told.
    let mut events = host.events();

    // A filter sees each peer after its handshake and before it is attached.
    host.set_filter(|peer| matches!(peer.ends.remote, Place::Ip(address) if address.ip().is_loopback()));

    let listener = host.listen("tcp://127.0.0.1:0").await?;
    let guest = Pair0Socket::new();
    guest.dial(listener.url()).await?;
    guest.send("hello").await?;
    host.recv().await?;

    // What a socket knows of its peers, and what it has exchanged with them.
    host.wait_peers(1).await?;
    for peer in host.peers() {
        println!("{} is {}: {:?}", peer.pipe, peer.ends.remote, peer.stats);
    }

    guest.close(Duration::from_secs(1)).await;
    let mut story = Vec::new();
    while let Some(event) = events.next().await {
        story.push(match event {
            Event::Attaching(_) => "attaching",
            Event::Attached(_) => "attached",
            Event::Detached(_, DetachReason::PeerClosed) => {
                story.push("the peer closed");
                break;
            }
            // There are more kinds, and there may be more still in later versions.
            other => panic!("unexpected: {other:?}"),
        });
    }
    assert_eq!(story, ["attaching", "attached", "the peer closed"]);

    // Listeners and dialers count, too.
    println!("the listener: {:?}, {:?}", listener.state(), listener.stats());
    Ok(())
}

async fn messages_that_are_dropped() -> Result<(), Box<dyn Error>> {
    let publisher = PubSocket::new();
    let listener = publisher.listen("tcp://127.0.0.1:0").await?;
    // A subscriber with room for two messages, which does not look at them.
    let lazy = SubSocket::with(Options { recv_messages: 2, ..Options::default() });
    lazy.subscribe("");
    let mut events = lazy.events();
    lazy.dial(listener.url()).await?;
    publisher.wait_peers(1).await?;
    for n in 0..5 {
        publisher.send(format!("news {n}")).await?;
    }

    // Every message that a socket discards is an event with its reason, its peer and its size ...
    let mut dropped = 0;
    while dropped < 3 {
        if let Some(Event::Dropped { why, bytes, .. }) = events.next().await {
            println!("dropped {bytes} bytes: {why}");
            dropped += 1;
        }
    }
    // ... and is counted. The ledger is what to export to a monitoring system.
    let ledger = lazy.stats().ledger;
    assert_eq!(ledger.dropped(Dropped::QueueFull), 3);
    assert_eq!(ledger.received_messages, 5);
    assert_eq!(lazy.recv().await?.body(), "news 3".as_bytes(), "the oldest went first");
    Ok(())
}
