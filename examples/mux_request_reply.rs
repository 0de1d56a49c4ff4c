//! Requests and replies: one at a time on a logical connection, or each on one of its own.
//!
//! Run with `cargo run --example mux_request_reply`.

use spanwire::mux::{self, Code, Pool, RecvError, Server};
use std::error::Error;
use std::time::Duration;

/// A code of this application's own: what was asked for is not there.
const NOT_THERE: Code = Code(Code::APPLICATION + 1);

async fn serve(server: Server) {
    while let Ok(channel) = server.accept("").await {
        tokio::spawn(async move {
            while let Ok(request) = channel.recv().await {
                match &request[..] {
                    b"REQUEST" => drop(channel.send("RESPONSE").await),
                    // Ends this one, and says why.
                    _ => channel.reset(NOT_THERE, "nothing of that name"),
                }
            }
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::bind("tcp://127.0.0.1:0").await?;
    tokio::spawn(serve(server.clone()));

    // Replies come in the order of the requests. Should the connection be lost between the two, the reply never
    // comes: hence the timeout.
    let client = mux::connect(&server.url(), "client")?;
    for _ in 0..3 {
        client.send("REQUEST").await?;
        assert_eq!(client.recv_timeout(Duration::from_secs(10)).await?, "RESPONSE");
    }

    // Many at once: a logical connection for each costs no round trip, and none waits for another.
    let pool = Pool::global();
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..100 {
        let (pool, url) = (pool.clone(), server.url());
        asked.spawn(async move {
            let channel = pool.open(&url, &format!("request {n}")).await.ok()?;
            channel.send("REQUEST").await.ok()?;
            channel.finish();
            channel.recv().await.ok()
        });
    }
    let mut answered = 0;
    while let Some(answer) = asked.join_next().await {
        answered += usize::from(answer? == Some("RESPONSE".into()));
    }
    println!("{answered} answers over {} connection", pool.connections().len());
    assert_eq!((answered, pool.connections().len()), (100, 1));

    // A failure has a code and words.
    let channel = pool.open(&server.url(), "one more").await?;
    channel.send("NONSENSE").await?;
    match channel.recv().await {
        Err(RecvError::Closed(end)) => println!("{end}"),
        other => panic!("{other:?}"),
    }
    Ok(())
}
