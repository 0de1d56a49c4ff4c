//! A bus: what one node says, all its direct neighbours hear.
//!
//! ```text
//!      ann
//!     /   \         everybody is connected to everybody: a message is heard by the other two, once
//!   bob ── cid
//! ```
//!
//! ```sh
//! cargo run --example bus
//! ```

use spanwire::BusSocket;
use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (ann, bob, cid) = (BusSocket::new(), BusSocket::new(), BusSocket::new());

    // A bus passes nothing on, so each pair of nodes that shall hear each other needs a connection.
    // Who of the two dials does not matter.
    let ann_at = ann.listen("tcp://127.0.0.1:0").await?;
    let bob_at = bob.listen("tcp://127.0.0.1:0").await?;
    bob.dial(ann_at.url()).await?;
    cid.dial(ann_at.url()).await?;
    cid.dial(bob_at.url()).await?;
    for node in [&ann, &bob, &cid] {
        node.wait_peers(2).await?;
    }

    ann.send("ann is here").await?;
    cid.send("cid is here").await?;

    // Bob hears both, ann and cid hear each other, and nobody hears themselves.
    let mut heard = [text(&bob.recv().await?), text(&bob.recv().await?)];
    heard.sort();
    assert_eq!(heard, ["ann is here", "cid is here"]);
    assert_eq!(text(&ann.recv().await?), "cid is here");
    assert_eq!(text(&cid.recv().await?), "ann is here");
    assert!(ann.try_recv().is_err(), "no echo");
    println!("bob heard {heard:?}");
    Ok(())
}

fn text(message: &[u8]) -> String {
    String::from_utf8_lossy(message).into_owned()
}
