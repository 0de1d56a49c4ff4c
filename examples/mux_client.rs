//! A logical connection: by address and id, made on first use, and again after a loss.
//!
//! Run with `cargo run --example mux_client`.

use spanwire::mux::{self, LogicalOptions, LogicalRecvError, LogicalSendError, Server};
use std::error::Error;
use std::time::Duration;

/// Answers whoever comes.
async fn serve(server: Server) {
    while let Ok(channel) = server.accept("").await {
        tokio::spawn(async move {
            while let Ok(message) = channel.recv().await {
                if channel.send(message.to_ascii_uppercase()).await.is_err() {
                    break;
                }
            }
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::bind("tcp://127.0.0.1:0").await?;
    let url = server.url();
    tokio::spawn(serve(server.clone()));

    // Nothing is dialled yet. Idle for 5 minutes, it closes, and the next use opens it again.
    let idle_timeout = Duration::from_secs(5 * 60);
    let here = mux::connect_with(&url, "", LogicalOptions { idle_timeout, ..LogicalOptions::default() })?;
    here.send("hello").await?;
    println!("{:?}", here.recv().await?);

    // Accepted is one thing, delivered another.
    here.send("are you still there?").await?;
    here.flush().await?;
    println!("delivered {} of {}", here.account().delivered, here.account().accepted);
    assert_eq!(here.account().delivered, 2);
    here.recv().await?;

    // The server goes, and comes back at the same address.
    server.close(Duration::ZERO).await;
    let server = Server::bind(&url).await?;
    tokio::spawn(serve(server));

    // Whoever is in a call when the connection ends learns what became of the messages; the next call connects.
    // An answer to what was sent before that never comes, so there has to be a time after which it is not
    // waited for.
    let answer = loop {
        match here.send("again").await {
            Ok(()) => {}
            Err(LogicalSendError::Lost { loss, .. }) => {
                println!("{loss}");
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        match here.recv_timeout(Duration::from_secs(1)).await {
            Ok(answer) => break answer,
            Err(LogicalRecvError::Lost(loss)) => println!("{loss}"),
            Err(LogicalRecvError::TimedOut) => println!("no answer"),
            Err(error) => return Err(error.into()),
        }
    };
    assert_eq!(answer, "AGAIN");
    here.close(Duration::from_secs(1)).await;
    Ok(())
}
