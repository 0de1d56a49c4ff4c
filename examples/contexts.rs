//! Contexts: several conversations on one socket, each with sending and receiving apart.
//!
//! `ReqSocket::request` opens a context behind the scenes, and that is enough for most programs. Use
//! one of your own where asking and waiting happen in different places, or where a question may
//! be withdrawn in favour of a newer one.
//!
//! ```sh
//! cargo run --example contexts
//! ```

use spanwire::{PubSocket, RecvError, RepSocket, ReqSocket, SubSocket};
use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    requests().await?;
    subscriptions().await
}

async fn requests() -> Result<(), Box<dyn Error>> {
    let server = RepSocket::new();
    let listener = server.listen("tcp://127.0.0.1:0").await?;
    let client = ReqSocket::new();
    client.dial(listener.url()).await?;

    // Three workers share the server's socket. Each context remembers the request it received
    // last, and `send` replies to that one.
    for _ in 0..3 {
        let worker = server.context();
        tokio::spawn(async move {
            while let Ok(request) = worker.recv().await {
                let answer = request.iter().rev().copied().collect::<Vec<u8>>();
                worker.send(answer).await.ok();
            }
        });
    }

    // Two conversations at once, asked first and heard later.
    let (a, b) = (client.context(), client.context());
    a.send("stressed").await?;
    b.send("drawer").await?;
    assert_eq!(b.recv().await?.body(), "reward".as_bytes());
    assert_eq!(a.recv().await?.body(), "desserts".as_bytes());

    // A context has one request at a time: a newer one takes the place of the former, whose reply
    // will be ignored when it comes.
    a.send("first thought").await?;
    a.send("better idea").await?;
    assert_eq!(a.recv().await?.body(), "aedi retteb".as_bytes());

    // Now nothing is being asked, so there is nothing to wait for.
    assert_eq!(a.recv().await.err(), Some(RecvError::State));
    println!("two conversations, one socket, one connection");
    Ok(())
}

/// Contexts of a SUB socket have subscriptions and a queue of their own, over the same connections.
async fn subscriptions() -> Result<(), Box<dyn Error>> {
    let publisher = PubSocket::new();
    let listener = publisher.listen("tcp://127.0.0.1:0").await?;
    let socket = SubSocket::new();
    let (errors, all) = (socket.context(), socket.context());
    errors.subscribe("error ");
    all.subscribe("");
    socket.dial(listener.url()).await?;
    publisher.wait_peers(1).await?;

    publisher.send("info started").await?;
    publisher.send("error out of paper").await?;
    assert_eq!(errors.recv().await?.body(), "error out of paper".as_bytes());
    assert_eq!(all.recv().await?.body(), "info started".as_bytes());
    println!("two views of one publisher");
    Ok(())
}
