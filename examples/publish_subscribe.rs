//! Publish and subscribe: one tells, many listen to what interests them.
//!
//! ```sh
//! cargo run --example publish_subscribe
//! cargo run --example publish_subscribe -- --expose ipc:///tmp/publish_subscribe   # to be watched by `spanwire top`
//! ```

#[path = "support/expose.rs"]
mod expose;

use expose::Expose;
use spanwire::{PubSocket, SubSocket, watch};
use std::error::Error;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let expose = Expose::from_args()?;
    let publisher = PubSocket::new();
    let listener = publisher.listen("tcp://127.0.0.1:0").await?;

    // A subscription is a prefix of the message: any bytes. The empty one is everything; without
    // any, nothing is delivered.
    let oslo = SubSocket::new();
    oslo.subscribe("weather.oslo ");
    oslo.dial(listener.url()).await?;

    let everything = SubSocket::new();
    everything.subscribe("");
    everything.dial(listener.url()).await?;

    watch::expose("publisher", &publisher)?;
    watch::expose("oslo", &oslo)?;
    watch::expose("everything", &everything)?;

    // Messages to subscribers that are not there yet are gone: wait for them instead of hoping.
    publisher.wait_peers(2).await?;

    // A publisher never waits for anybody. These travel to both subscribers, and each of them
    // keeps what it wants: the wire has no way to tell a publisher what is wanted.
    publisher.send("weather.oslo -3").await?;
    publisher.send("weather.rome 21").await?;
    publisher.send("sport.result 2:1").await?;

    println!("oslo: {}", text(&oslo.recv().await?));
    for _ in 0..3 {
        println!("everything: {}", text(&everything.recv().await?));
    }

    // Messages of one publisher arrive in order. With this one, the two before it have been judged.
    publisher.send("weather.oslo -4").await?;
    println!("oslo: {}", text(&oslo.recv().await?));

    // Subscriptions may change at any time. What waits and no longer fits is dropped.
    oslo.unsubscribe("weather.oslo ")?;
    oslo.subscribe("sport.");
    publisher.send("weather.oslo -5").await?;
    publisher.send("sport.result 3:1").await?;
    println!("sport: {}", text(&oslo.recv().await?));

    // What was filtered out was counted.
    let stats = oslo.stats();
    for (why, count) in stats.ledger.drops() {
        println!("dropped by the first subscriber: {count} ({why})");
    }
    assert_eq!(stats.ledger.dropped(spanwire::Dropped::NotSubscribed), 3);

    expose.until_enter();
    publisher.close(Duration::from_secs(1)).await;
    Ok(())
}

fn text(message: &[u8]) -> String {
    String::from_utf8_lossy(message).into_owned()
}
