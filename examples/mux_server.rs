//! A server of many logical connections: one task takes one id, another all others; both serve any number of
//! physical connections.
//!
//! Run with `cargo run --example mux_server`.

use spanwire::mux::{Channel, Connection, MuxOptions, RecvError, Server, ServerOptions};
use std::error::Error;
use std::time::Duration;

/// Serves one logical connection until its peer has finished.
async fn greet(channel: Channel, how: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    loop {
        match channel.recv().await {
            Ok(message) => {
                let name = String::from_utf8_lossy(&message);
                channel.send(format!("{how}, {name} of {}", channel.id())).await?;
            }
            // The end of one half: what we still have to say is heard.
            Err(RecvError::Finished) => break,
            Err(error) => return Err(error.into()),
        }
    }
    channel.close(Duration::from_secs(1)).await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // What peers can make us remember has a bound, which is known beforehand.
    let mux = MuxOptions { channels: 100, ..MuxOptions::default() };
    println!("at most {} MiB of messages for each peer", mux.memory_bound() >> 20);
    let server = Server::with(ServerOptions { mux, connections: 50, ..ServerOptions::default() });
    let url = server.listen("tcp://127.0.0.1:0").await?;
    let local = server.listen("abstract://").await?;

    for (id, how) in [("admin", "Good day"), ("", "Hello")] {
        let server = server.clone();
        tokio::spawn(async move {
            while let Ok(channel) = server.accept(id).await {
                tokio::spawn(greet(channel, how));
            }
        });
    }

    let mut answers = Vec::new();
    for url in [&url, &local] {
        let connection = Connection::connect(url, MuxOptions::default()).await?;
        for id in ["admin", "session 1", "session 2"] {
            let channel = connection.open(id).await?;
            channel.send("Ann").await?;
            channel.finish();
            answers.push(channel.recv().await?);
            assert_eq!(channel.recv().await, Err(RecvError::Finished));
        }
    }
    for answer in &answers {
        println!("{}", String::from_utf8_lossy(answer));
    }
    assert_eq!(answers[0], "Good day, Ann of admin");
    assert_eq!(answers[5], "Hello, Ann of session 2");
    assert_eq!(server.stats().accepted, 6);

    // No new ones; those that there are may finish.
    server.close(Duration::from_secs(1)).await;
    Ok(())
}
